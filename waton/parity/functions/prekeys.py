"""Prekeys: what a device publishes, and what comes with a request to send again.

Private keys and dice are the same on both sides, so that the keys that are made on the way are the same too.

Source: Baileys Utils/signal.ts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import REFUSED, Pair
from waton.parity.evidence import Domain
from waton.parity.functions import devices
from waton.parity.functions.lids import Memory, run
from waton.parity.functions.nodes import to_ours, told, told_by_baileys
from waton.parity.functions.signal import BOB, SIGNAL, bundle_answer, devices_with_prekeys
from waton.parity.generators import node
from waton.parity.oracle.process import Functions

if TYPE_CHECKING:
    from waton.client.event_pipeline import Step

Value: TypeAlias = Any


class _Notes:
    """A unit of work that keeps nothing: what would be stored, and what the step is called, are not compared."""

    def save(self, kind: object, key: str, value: bytes | None, *, until: float | None = None) -> None:
        """A record."""

    def transition(self, machine: str, before: str, after: str, **detail: object) -> None:
        """A name for the step."""


def _uploads() -> SearchStrategy[Value]:
    return st.fixed_dictionaries(
        {
            "device": generators.credentials(),
            "first": st.integers(1, 0xFFFF00),
            "count": st.integers(1, 6),
            "dice": generators.entropy(192),
        }
    )


def _their_upload(baileys: Functions, value: Value) -> Value:
    first = {"nextPreKeyId": value["first"], "firstUnuploadedPreKeyId": value["first"]}
    creds = devices.theirs(value["device"]) | first
    made = baileys.ask("prekeysNode", creds=creds, count=value["count"], dice=value["dice"])
    content = [told_by_baileys(child) for child in made["node"]["content"]]
    return {"content": content, "next id": made["update"]["nextPreKeyId"]}


def _our_upload(value: Value) -> Value:
    from waton.client.prekeys import make

    notes: Any = _Notes()
    step: Step = notes
    credentials = replace(devices.ours(value["device"]), next_prekey_id=value["first"])
    updated, content = make(step, credentials, value["count"], devices.Dice(value["dice"]))
    return {"content": [told(child) for child in content], "next id": updated.next_prekey_id}


def _their_numbers(baileys: Functions, value: Value) -> Value:
    creds = {"nextPreKeyId": value["first"], "firstUnuploadedPreKeyId": value["first"]}
    made = baileys.call(SIGNAL, "generateOrGetPreKeys", creds, value["count"], dice=value["dice"])
    keys = {int(id): pair["public"] for id, pair in made["newPreKeys"].items()}
    return [[id, keys[id]] for id in sorted(keys)] + [made["lastPreKeyId"]]


def _our_numbers(value: Value) -> Value:
    from waton.client.event_pipeline import Step
    from waton.client.prekeys import make
    from waton.protocol.credentials import KeyPair

    memory: Any = Memory()
    credentials = replace(devices.ours(value["device"]), next_prekey_id=value["first"])
    updated, _ = make(Step(memory, None), credentials, value["count"], devices.Dice(value["dice"]))
    keys = {int(id): KeyPair.of(key).public for (kind, id), key in memory.records.items() if kind == "prekey"}
    return [[id, keys[id]] for id in sorted(keys)] + [updated.next_prekey_id - 1]


def _again() -> SearchStrategy[Value]:
    """An upload of which no answer came; the server asks once more."""
    return _uploads().map(lambda value: value | {"count": 50})


def _ids(content: Value) -> list[int]:
    [listed] = [child for child in content if child["tag"] == "list"]
    return [int.from_bytes(key["content"][0]["content"], "big") for key in listed["content"]]


def _their_repeated(baileys: Functions, value: Value) -> Value:
    """Twice, each time with the numbers that the time before has left."""
    creds = devices.theirs(value["device"])
    first = {"nextPreKeyId": value["first"], "firstUnuploadedPreKeyId": value["first"]}
    once = baileys.ask("prekeysNode", creds=creds | first, count=value["count"], dice=value["dice"])
    twice = baileys.ask("prekeysNode", creds=creds | first | once["update"], count=value["count"], dice=value["dice"])
    return _ids(twice["node"]["content"]) == _ids(once["node"]["content"])


def _our_repeated(value: Value) -> bool:
    async def play() -> bool:
        from waton.client import prekeys
        from waton.client.event_pipeline import Step

        memory: Any = Memory()
        step, dice = Step(memory, None), devices.Dice(value["dice"])
        fresh = replace(devices.ours(value["device"]), next_prekey_id=value["first"])
        once = prekeys.stock(step, fresh, 4, await prekeys.load_pending(step, fresh), dice)
        pending = await prekeys.load_pending(step, once.credentials)
        twice = prekeys.stock(step, once.credentials, 4, pending, dice)
        return _ids([told(child) for child in twice.content or ()]) == _ids(
            [told(child) for child in once.content or ()]
        )

    return run(play)


def _our_keys(value: Value, tag: str) -> Value:
    """The <key> or <skey> of an upload with one prekey."""
    from waton.protocol.stanza.encrypt import upload_content

    once = devices.key_pair(value["once"])["public"]
    found = {child.tag: child for child in upload_content(devices.ours(value), [(value["once_id"], once)])}
    return told(found["skey"] if tag == "skey" else found["list"].children()[0])


def _retry_receipts(change: Callable[[Value], Value] = lambda keys: keys) -> SearchStrategy[Value]:
    def receipt(device: Value, id: str, with_prekey: bool) -> Value:
        user = bundle_answer(device, BOB, with_prekey=with_prekey)["content"][0]["content"][0]
        registration, *keys = user["content"]
        retry = node("retry", {"count": "2", "id": id, "t": "1800000000", "v": "1"})
        return node(
            "receipt", {"id": id, "from": BOB, "type": "retry"}, [retry, registration, node("keys", {}, change(keys))]
        )

    return st.builds(receipt, devices_with_prekeys(), generators.message_ids(), st.booleans())


def _without(tag: str) -> Callable[[Value], Value]:
    return lambda keys: [key for key in keys if key["tag"] != tag]


def _other_type(keys: Value) -> Value:
    return [key | {"content": b"\x06"} if key["tag"] == "type" else key for key in keys]


def _their_retry(baileys: Functions, value: Value) -> Value:
    found = baileys.call(SIGNAL, "extractE2ESessionFromRetryReceipt", value)
    if found is None:
        return REFUSED
    once, signed = found.get("preKey"), found["signedPreKey"]
    return {
        "registration id": found["registrationId"],
        "identity": found["identityKey"][1:],
        "signed": [signed["keyId"], signed["publicKey"][1:], signed["signature"]],
        "once": None if once is None else [once["keyId"], once["publicKey"][1:]],
    }


def _our_retry(value: Value) -> Value:
    from waton.protocol.stanza.receipt import Receipt
    from waton.protocol.stanza.retry import RetryRequest

    bundle = RetryRequest.from_receipt(Receipt.from_node(to_ours(value))).bundle
    if bundle is None:
        return REFUSED
    signed = bundle.signed
    return {
        "registration id": bundle.registration_id,
        "identity": bundle.identity,
        "signed": [signed.id, signed.value, signed.signature],
        "once": None if bundle.prekey is None else list(bundle.prekey),
    }


def _retry(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int | None = None) -> Pair:
    return Pair(
        f"extractE2ESessionFromRetryReceipt{name}",
        Domain.RETRY_MANAGER,
        f"{SIGNAL}:extractE2ESessionFromRetryReceipt",
        "waton.protocol.stanza.retry:RetryRequest.from_receipt",
        inputs,
        _their_retry,
        _our_retry,
        examples,
    )


def pairs() -> list[Pair]:
    """The family's pairs."""
    upload = "waton.protocol.stanza.encrypt:upload_content"
    return [
        Pair(
            "getNextPreKeysNode",
            Domain.PREKEYS,
            f"{SIGNAL}:getNextPreKeysNode",
            "waton.client.prekeys:make",
            _uploads,
            _their_upload,
            _our_upload,
        ),
        Pair(
            "getNextPreKeysNode: an upload that nobody answered",
            Domain.PREKEYS,
            f"{SIGNAL}:getNextPreKeysNode",
            "waton.client.prekeys:stock",
            _again,
            _their_repeated,
            _our_repeated,
            3,
        ),
        Pair(
            "generateOrGetPreKeys",
            Domain.PREKEYS,
            f"{SIGNAL}:generateOrGetPreKeys",
            "waton.client.prekeys:make",
            _uploads,
            _their_numbers,
            _our_numbers,
        ),
        Pair(
            "xmppPreKey",
            Domain.PREKEYS,
            f"{SIGNAL}:xmppPreKey",
            upload,
            devices_with_prekeys,
            lambda baileys, value: told_by_baileys(
                baileys.call(SIGNAL, "xmppPreKey", devices.key_pair(value["once"]), value["once_id"])
            ),
            lambda value: _our_keys(value, "key"),
        ),
        Pair(
            "xmppSignedPreKey",
            Domain.PREKEYS,
            f"{SIGNAL}:xmppSignedPreKey",
            upload,
            devices_with_prekeys,
            lambda baileys, value: told_by_baileys(
                baileys.call(SIGNAL, "xmppSignedPreKey", devices.theirs(value)["signedPreKey"])
            ),
            lambda value: _our_keys(value, "skey"),
        ),
        _retry("", _retry_receipts),
        _retry(": no identity", lambda: _retry_receipts(_without("identity")), 10),
        _retry(": no signed prekey", lambda: _retry_receipts(_without("skey")), 10),
        _retry(": keys of another type", lambda: _retry_receipts(_other_type), 10),
    ]
