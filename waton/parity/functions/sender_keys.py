"""Sender keys: a group's messages with Baileys at one end and with us at that end.

A story is one sender's: messages that are read, lost, read twice or harmed on the way, and fresh keys between them. All
keys and dice are the same on both sides. Signatures are drawn with dice of their own, so of a message all before its
signature is compared, and whether the signature verifies.

Baileys' half is its repository with its own storage, so what the storage spoils shows here as well.

Source: Baileys Signal/libsignal.ts and Signal/Group.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity.differential import REFUSED, Pair
from waton.parity.evidence import Domain
from waton.parity.functions import devices
from waton.parity.functions.signal import REPOSITORY, throw
from waton.parity.oracle.process import BaileysError, Functions

if TYPE_CHECKING:
    from waton.protocol.group_cipher import GroupCipher

Value: TypeAlias = Any

_CIPHER = "waton.protocol.group_cipher:GroupCipher"
_NAME = "makeLibSignalRepository"
GROUP, AUTHOR = "120363000000000001@g.us", "4915000000001:2@s.whatsapp.net"
_RECORD = f"{GROUP}::4915000000001::2"
_SIGNATURE = 64
_FAR = 2_001
"""Messages lost in a row: one more than Baileys follows."""


class Reader(Protocol):
    """One member, who reads one sender."""

    def learn(self, distribution: bytes) -> None:
        """Take what the sender tells."""
        ...

    def read(self, message: bytes) -> bytes:
        """The text of one message."""
        ...


class OurReader:
    """A member of ours."""

    def __init__(self) -> None:
        from waton.protocol.group_cipher import GroupCipher

        self._cipher = GroupCipher()

    def learn(self, distribution: bytes) -> None:
        self._cipher = self._cipher.process(distribution)

    def read(self, message: bytes) -> bytes:
        from waton.jid import Jid
        from waton.protocol.group_cipher import GroupCipher

        opened = self._cipher.decrypt(message, sender=Jid.parse(AUTHOR))
        self._cipher = GroupCipher(opened.record)
        return opened.plaintext


@dataclass(frozen=True, slots=True)
class TheirReader:
    """A member of Baileys'."""

    baileys: Functions

    def __post_init__(self) -> None:
        _party(self.baileys, {})

    def learn(self, distribution: bytes) -> None:
        self.baileys.ask("learnSenderKey", party="member", group=GROUP, author=AUTHOR, distribution=distribution)

    def read(self, message: bytes) -> bytes:
        return self.baileys.ask("decryptGroup", party="member", group=GROUP, author=AUTHOR, message=message)


def _party(baileys: Functions, sender_keys: Value) -> None:
    keys = {name: throw(1, name) for name in ("identity", "signed", "noise", "secret")}
    device = keys | {"entropy": bytes(64), "signed_id": 1, "registration": 1}
    baileys.ask("party", party="member", creds=devices.theirs(device), senderKeys=sender_keys)


class Sender:
    """A sender of ours, whose key is made of the story's dice."""

    def __init__(self, seed: int) -> None:
        from waton.protocol.group_cipher import GroupCipher

        self._seed, self._thrown = seed, 0
        self.cipher: GroupCipher = GroupCipher()

    def fresh(self) -> None:
        """Another key."""
        self.cipher = self.cipher.fresh(entropy=self._dice(68))

    def write(self, text: bytes) -> bytes:
        """The ciphertext of one message."""
        from waton.protocol.group_cipher import GroupCipher

        sealed = self.cipher.encrypt(text, entropy=self._dice(64))
        self.cipher = GroupCipher(sealed.record)
        return sealed.ciphertext

    def _dice(self, size: int) -> bytes:
        self._thrown += 1
        return throw(self._seed, f"throw {self._thrown}", size)


# --- reading --------------------------------------------------------------------------------------------------------


def _stories() -> SearchStrategy[Value]:
    fates = st.sampled_from(("read", "read", "read", "lost", "again", "harmed", "fresh"))
    steps = st.lists(st.tuples(fates, st.binary(max_size=40)), min_size=1, max_size=8)
    # More than five keys are not kept, by both; how many fit is told elsewhere.
    few = steps.filter(lambda made: sum(fate == "fresh" for fate, _ in made) < 5)
    return st.fixed_dictionaries({"seed": st.integers(0, 1 << 32), "start": st.integers(0, 5), "steps": few})


def _told(story: Value, reader: Reader) -> tuple[Sender, bytes]:
    """The sender at its start, what it told, and the reader knows it."""
    sender = Sender(story["seed"])
    sender.fresh()
    for _ in range(story["start"]):
        sender.write(b"before")
    told = sender.cipher.distribution()
    reader.learn(told)
    return sender, told


def _tell(story: Value, reader: Reader) -> list[Value]:
    """Play the story; what was read, in order."""
    sender, _ = _told(story, reader)
    said: list[Value] = []
    for fate, text in story["steps"]:
        if fate == "fresh":
            sender.fresh()
            reader.learn(sender.cipher.distribution())
        message = sender.write(text)
        if fate == "harmed":
            said.append(_read(reader, message[:-1] + bytes([message[-1] ^ 1])))
        elif fate != "lost":
            said += [_read(reader, message) for _ in range(2 if fate == "again" else 1)]
    return said


def _read(reader: Reader, message: bytes) -> Value:
    from waton.errors import WatonError

    try:
        return reader.read(message)
    except (BaileysError, WatonError):
        return REFUSED


def late(story: Value, reader: Reader) -> list[Value]:
    """A message that comes after the one that was sent after it."""
    sender, _ = _told(story, reader)
    held, now = sender.write(b"late"), sender.write(b"now")
    return [_read(reader, now), _read(reader, held)]


def told_again(story: Value, reader: Reader) -> list[Value]:
    """A message, the same key told five times more, and the message again."""
    sender, told = _told(story, reader)
    message = sender.write(b"once")
    first = _read(reader, message)
    for _ in range(5):
        reader.learn(told)
    return [first, _read(reader, message)]


def far(story: Value, reader: Reader) -> list[Value]:
    """A message after a long silence."""
    sender, _ = _told(story, reader)
    for _ in range(_FAR):
        sender.write(b"")
    return [_read(reader, sender.write(b"far"))]


def _learned(story: Value, reader: Reader) -> list[Value]:
    """The first message after a key was told."""
    sender, _ = _told(story, reader)
    return [_read(reader, sender.write(story["steps"][0][1]))]


def _reading(
    name: str, play: Callable[[Value, Reader], Value], examples: int | None = None, method: str = "decrypt"
) -> Pair:
    return Pair(
        f"{_NAME}.{name}",
        Domain.GROUP_SIGNAL,
        f"{REPOSITORY}:{_NAME}.{name.partition(':')[0]}",
        f"{_CIPHER}.{method}",
        _stories,
        lambda baileys, story: play(story, TheirReader(baileys)),
        lambda story: play(story, OurReader()),
        examples,
    )


# --- writing --------------------------------------------------------------------------------------------------------


def _writings() -> SearchStrategy[Value]:
    return st.fixed_dictionaries(
        {"seed": st.integers(0, 1 << 32), "texts": st.lists(st.binary(max_size=60), min_size=2, max_size=4)}
    )


def _first_only() -> SearchStrategy[Value]:
    return _writings().map(lambda story: story | {"texts": story["texts"][:1]})


def _record_for_baileys(sender: Sender, seed: int) -> bytes:
    """The sender's first key at its present place, as Baileys keeps it."""
    told = sender.cipher.distribution()
    pair = devices.key_pair(throw(seed, "throw 1", 68)[36:])
    # The distribution ends in chain key (32), tag and length, signing key (33).
    chain_key, signing_key = told[-67:-35], told[-33:]
    state: dict[str, Value] = {
        "senderKeyId": sender.cipher.key_id,
        "senderChainKey": {"iteration": _place(sender), "seed": _buffer(chain_key)},
        "senderSigningKey": {"public": _buffer(signing_key), "private": _buffer(pair["private"])},
        "senderMessageKeys": [],
    }
    return json.dumps([state]).encode()


def _place(sender: Sender) -> int:
    from waton._core import sender_key_describe

    return sender_key_describe(sender.cipher.record or b"")[0]["iteration"]


def _buffer(data: bytes) -> Value:
    return {"type": "Buffer", "data": b64encode(data).decode()}


def _written(message: bytes, distribution: bytes) -> Value:
    """What both must agree on in a message, and whether its signature is that of the distribution's key."""
    from waton._core import xeddsa_verify

    covered, signature = message[:-_SIGNATURE], message[-_SIGNATURE:]
    xeddsa_verify(distribution[-32:], covered, signature)
    return {"distribution": distribution, "message": covered}


def _our_writing(story: Value) -> Value:
    sender = Sender(story["seed"])
    sender.fresh()
    told: list[Value] = []
    for text in story["texts"]:
        distribution = sender.cipher.distribution()
        told.append(_written(sender.write(text), distribution))
    return told


def _their_writing(baileys: Functions, story: Value) -> Value:
    sender = Sender(story["seed"])
    sender.fresh()
    _party(baileys, {_RECORD: _record_for_baileys(sender, story["seed"])})
    made = [baileys.ask("encryptGroup", party="member", group=GROUP, me=AUTHOR, data=text) for text in story["texts"]]
    return [_written(one["ciphertext"], one["senderKeyDistributionMessage"]) for one in made]


def _writing(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int) -> Pair:
    return Pair(
        f"{_NAME}.encryptGroupMessage{name}",
        Domain.GROUP_SIGNAL,
        f"{REPOSITORY}:{_NAME}.encryptGroupMessage",
        f"{_CIPHER}.encrypt",
        inputs,
        _their_writing,
        _our_writing,
        examples,
    )


# --- telling --------------------------------------------------------------------------------------------------------


def _places() -> SearchStrategy[Value]:
    return st.fixed_dictionaries({"seed": st.integers(0, 1 << 32), "start": st.integers(0, 200)})


def _sender_at(story: Value) -> Sender:
    sender = Sender(story["seed"])
    sender.fresh()
    for _ in range(story["start"]):
        sender.write(b"")
    return sender


def _their_distribution(baileys: Functions, story: Value) -> Value:
    _party(baileys, {_RECORD: _record_for_baileys(_sender_at(story), story["seed"])})
    return baileys.ask("senderKey", party="member", group=GROUP, me=AUTHOR)


def _their_possession(baileys: Functions, value: Value) -> Value:
    story, has_key = value
    _party(baileys, {_RECORD: _record_for_baileys(_sender_at(story), story["seed"])} if has_key else {})
    return baileys.ask("hasSenderKey", party="member", group=GROUP, me=AUTHOR)


def _our_possession(value: Value) -> bool:
    from waton.protocol.group_cipher import GroupCipher

    story, has_key = value
    return (_sender_at(story).cipher if has_key else GroupCipher()).has_own_key


def pairs() -> list[Pair]:
    """The family's pairs."""
    where = f"{REPOSITORY}:{_NAME}."
    return [
        _writing("", _first_only, 10),
        _writing(": the messages after the first", _writings, 5),
        _reading("decryptGroupMessage", _tell, 20),
        _reading("decryptGroupMessage: a message that comes late", late, 5),
        _reading("decryptGroupMessage: a key told again and again", told_again, 5),
        _reading("decryptGroupMessage: after more than 2,000 lost messages", far, 2),
        _reading("processSenderKeyDistributionMessage", _learned, 10, "process"),
        Pair(
            f"{_NAME}.getSenderKeyDistributionMessage",
            Domain.GROUP_SIGNAL,
            f"{where}getSenderKeyDistributionMessage",
            f"{_CIPHER}.distribution",
            _places,
            _their_distribution,
            lambda story: _sender_at(story).cipher.distribution(),
            20,
        ),
        Pair(
            f"{_NAME}.hasSenderKey",
            Domain.GROUP_SIGNAL,
            f"{where}hasSenderKey",
            f"{_CIPHER}.has_own_key",
            lambda: st.tuples(_places(), st.booleans()),
            _their_possession,
            _our_possession,
            10,
        ),
    ]
