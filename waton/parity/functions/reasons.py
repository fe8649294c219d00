"""Reasons and statuses: why a connection ended, how far a message has got, what is said of calls, and what we say back.

Source: Baileys Utils/generics.ts, Utils/messages.ts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions.envelopes import ME, MY_LID, without_device
from waton.parity.functions.nodes import to_ours
from waton.parity.generators import node
from waton.parity.oracle.process import Functions

Value: TypeAlias = Any

GENERICS = "lib/Utils/generics.js"
MESSAGES = "lib/Utils/messages.js"
_CODES = (401, 403, 411, 440, 500, 503, 515)
"""Those that mean the same to both."""
_STATUSES = (
    None,
    "read",
    "played",
    "sender",
    "read-self",
    "retry",
    "server-error",
    "hist_sync",
    "peer_msg",
    "enc_rekey_retry",
    "view",
    "new",
)

_OF_OURSELVES = ("sender", "read-self", "played-self")
"""Types of receipts that come from our own other devices."""


# --- the end of a stream --------------------------------------------------------------------------------------------


def _stream_error(code: int | None, child: Value | None = None) -> Value:
    attrs = {} if code is None else {"code": str(code)}
    return node("stream:error", attrs, None if child is None else [child])


def _conflict(kind: str) -> Value:
    return node("conflict", {"type": kind})


def _stream_errors() -> SearchStrategy[Value]:
    """What servers are known to say."""
    return st.one_of(
        st.sampled_from(_CODES).map(_stream_error),
        st.just(_stream_error(None, _conflict("replaced"))),
        st.just(_stream_error(401, _conflict("device_removed"))),
        st.sampled_from(("ack", "xml-not-well-formed", "unheard-of")).map(lambda tag: _stream_error(None, node(tag))),
        st.just(_stream_error(None)),
    )


def _their_reason(baileys: Functions, value: Value) -> Value:
    return baileys.call(GENERICS, "getErrorCodeFromStreamError", value)["statusCode"]


def _our_reason(value: Value) -> Value:
    from waton.protocol.stanza.stream import disconnected_of

    return int(disconnected_of(to_ours(value)).reason)


def _our_code(value: Value) -> Value:
    """The server's own number, which Disconnected keeps beside the reason."""
    from waton.protocol.stanza.stream import disconnected_of

    return disconnected_of(to_ours(value)).code


def _reason(name: str, inputs: SearchStrategy[Value], answer: Callable[[Value], Value] = _our_reason) -> Pair:
    return Pair(
        f"getErrorCodeFromStreamError{name}",
        Domain.NOISE,
        f"{GENERICS}:getErrorCodeFromStreamError",
        "waton.protocol.stanza.stream:disconnected_of",
        lambda: inputs,
        _their_reason,
        answer,
    )


# --- receipts -------------------------------------------------------------------------------------------------------


def _their_status(baileys: Functions, value: str | None) -> Value:
    # A receipt that says nothing has no type: undefined in JavaScript, not null.
    return baileys.call(GENERICS, "getStatusFromReceiptType", {"$undefined": True} if value is None else value)


def _our_status(value: str | None) -> int | None:
    """What a receipt of this type makes of a message; our own devices' types come from them."""
    from waton.client.message_keys import Me
    from waton.client.receipt_events import receipt_events
    from waton.jid import Jid
    from waton.protocol.stanza.receipt import Receipt

    me, contact = Me(Jid.parse(ME), Jid.parse(MY_LID)), Jid.parse("4915000000002@s.whatsapp.net")
    is_ours = value in _OF_OURSELVES
    receipt = Receipt(
        ("A1",), Jid.parse(ME) if is_ours else contact, value or "", recipient=contact if is_ours else None
    )
    found = [int(event.status) for event in receipt_events(receipt, me, {}, 0)]
    return found[0] if found else None


def _status(name: str, inputs: SearchStrategy[str | None]) -> Pair:
    return Pair(
        f"getStatusFromReceiptType{name}",
        Domain.MESSAGES_RECV,
        f"{GENERICS}:getStatusFromReceiptType",
        "waton.client.receipt_events:receipt_events",
        lambda: inputs,
        _their_status,
        _our_status,
    )


# --- receipts that we send ------------------------------------------------------------------------------------------


def _keys() -> SearchStrategy[Value]:
    """Keys of messages in several conversations: in groups with an author, and some of them our own."""
    few = ("7700001@lid", "7700002:3@lid")
    person = st.sampled_from(few).map(lambda jid: {"remoteJid": without_device(jid)})
    groups = st.sampled_from(("120363000000000001@g.us", "status@broadcast"))
    in_group = st.fixed_dictionaries({"remoteJid": groups, "participant": st.sampled_from(few)})
    rest = st.fixed_dictionaries({"id": generators.message_ids(), "fromMe": st.sampled_from((False, False, True))})
    one = st.tuples(st.one_of(person, in_group), rest).map(lambda made: made[0] | made[1])
    return st.lists(one, max_size=6)


def _their_gathering(baileys: Functions, value: Value) -> Value:
    found = baileys.call(MESSAGES, "aggregateMessageKeysNotFromMe", value)
    return [[one["jid"], one.get("participant"), one["messageIds"]] for one in found]


def _our_gathering(value: Value) -> Value:
    from waton.client.events import MessageKey
    from waton.client.read_receipts import gathered
    from waton.jid import Jid

    keys = [
        MessageKey(
            Jid.parse(key["remoteJid"]), key["id"], key["fromMe"], Jid.parse(key.get("participant") or key["remoteJid"])
        )
        for key in value
    ]
    return [
        [str(receipt.peer), None if receipt.participant is None else str(receipt.participant), list(receipt.ids)]
        for receipt in gathered(keys, "read", 0)
    ]


# --- calls ----------------------------------------------------------------------------------------------------------

_CALLS = ("offer", "offer_notice", "preaccept", "transport", "relaylatency", "accept", "reject", "terminate", "mute_v2")


def _calls() -> SearchStrategy[Value]:
    reason = st.sampled_from(("timeout", "hangup"))
    attrs = st.fixed_dictionaries(
        {"call-id": generators.message_ids(), "call-creator": generators.user_jids(("lid",))},
        optional={"reason": reason},
    )
    return st.builds(node, st.sampled_from(_CALLS), attrs)


def _our_call(value: Value) -> str:
    from waton.client.node_events import call_event

    stanza = node("call", {"from": value["attrs"]["call-creator"], "id": "A1", "t": "7"}, [value])
    return call_event(to_ours(stanza)).status.value


def pairs() -> list[Pair]:
    """The family's pairs."""
    return [
        _reason("", _stream_errors()),
        _reason(": codes that only waton names", st.sampled_from((405, 406, 409)).map(_stream_error), _our_code),
        _reason(": codes nobody knows", st.sampled_from((400, 418, 599)).map(_stream_error), _our_code),
        _reason(": a removed device without a code", st.just(_stream_error(None, _conflict("device_removed")))),
        _status("", st.sampled_from(_STATUSES)),
        _status(": delivered to an inactive device", st.just("inactive")),
        _status(": played on our own other device", st.just("played-self")),
        Pair(
            "aggregateMessageKeysNotFromMe",
            Domain.MESSAGES_RECV,
            f"{MESSAGES}:aggregateMessageKeysNotFromMe",
            "waton.client.read_receipts:gathered",
            _keys,
            _their_gathering,
            _our_gathering,
        ),
        Pair(
            "getCallStatusFromNode",
            Domain.MESSAGES_RECV,
            f"{GENERICS}:getCallStatusFromNode",
            "waton.client.node_events:call_event",
            _calls,
            lambda baileys, value: baileys.call(GENERICS, "getCallStatusFromNode", value),
            _our_call,
        ),
    ]
