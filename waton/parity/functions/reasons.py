"""Reasons and statuses: why a connection ended, how far a message has got.

Source: Baileys Utils/generics.ts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity.differential import Pair, symbol
from waton.parity.evidence import Domain
from waton.parity.functions.nodes import to_ours
from waton.parity.generators import node
from waton.parity.oracle.process import Functions

Value: TypeAlias = Any

GENERICS = "lib/Utils/generics.js"
_CODES = (401, 403, 411, 440, 500, 503, 515)
"""Those that mean the same to both."""
_STATUSES = (None, "read", "played", "retry", "server-error", "hist_sync", "peer_msg", "enc_rekey_retry", "view", "new")


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
    from waton.protocol.stanza.receipt import ReceiptType

    known: dict[Any, int] = symbol("waton.client.messages_recv:_STATUS")
    text = value or ""
    found = known.get(ReceiptType(text)) if text in set(ReceiptType) else None
    return None if found is None else int(found)


def _status(name: str, inputs: SearchStrategy[str | None]) -> Pair:
    return Pair(
        f"getStatusFromReceiptType{name}",
        Domain.MESSAGES_RECV,
        f"{GENERICS}:getStatusFromReceiptType",
        "waton.client.messages_recv:_STATUS",
        lambda: inputs,
        _their_status,
        _our_status,
    )


def pairs() -> list[Pair]:
    """The family's pairs."""
    return [
        _reason("", _stream_errors()),
        _reason(": codes that only waton names", st.sampled_from((405, 406, 409)).map(_stream_error), _our_code),
        _reason(": codes nobody knows", st.sampled_from((400, 418, 599)).map(_stream_error), _our_code),
        _reason(": a removed device without a code", st.just(_stream_error(None, _conflict("device_removed")))),
        _status("", st.sampled_from(_STATUSES)),
        _status(": delivered to an inactive device", st.just("inactive")),
        _status(": our own other device", st.sampled_from(("sender", "read-self"))),
    ]
