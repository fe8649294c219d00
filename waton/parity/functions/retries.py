"""Retries: which requests to make and to answer, and when a session is made anew for them.

Baileys keeps counters, base keys and times in a manager that its socket asks; waton's policy decides in one step and
says what to store. So each story is played to both: to the manager as its socket calls it, to the policy with its
records carried along. What the manager says goes into the same words.

Source: Baileys Utils/message-retry-manager.ts, and Socket/messages-recv.ts for the order of its calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions.nodes import to_ours
from waton.parity.functions.several import each, each_of, several
from waton.parity.generators import node
from waton.parity.oracle.process import Functions

if TYPE_CHECKING:
    from waton.client.retry_manager import PeerSession, Requester
    from waton.client.sent_messages import SentMessage
    from waton.protocol.stanza.retry import RetryRequest

Value: TypeAlias = Any

MANAGER = "lib/Utils/message-retry-manager.js"
_POLICY = "waton.client.retry_manager:RetryManager"
_ADA = "4915000000002:3@s.whatsapp.net"
_ID = "3EB0A1"
_NOW = 1_800_000_000
_HOUR = 3_600
_CODES = tuple(range(14))
_OF_A_MAC = (4, 7)
_REGISTRATION = 7


# --- codes ----------------------------------------------------------------------------------------------------------


def _their_code(baileys: Functions, value: str | None) -> Value:
    text = {"$undefined": True} if value is None else value
    [code] = baileys.ask("retryManager", max=5, steps=[{"now": _NOW, "call": ["parseRetryErrorCode", text]}])
    return code


def _our_code(value: str | None) -> int | None:
    from waton.protocol.stanza.receipt import Receipt
    from waton.protocol.stanza.retry import RetryRequest

    attrs = {"count": "1", "id": _ID, "t": "1", "v": "1"} | ({} if value is None else {"error": value})
    content = [node("retry", attrs), node("registration", {}, bytes(4))]
    receipt = node("receipt", {"id": _ID, "from": _ADA, "type": "retry"}, content)
    reason = RetryRequest.from_receipt(Receipt.from_node(to_ours(receipt))).reason
    # No code, and a code that says nothing, are the same to whoever answers; Baileys has undefined for the first.
    return int(reason) if value else None


def _their_mac(baileys: Functions, value: int) -> Value:
    [found] = baileys.ask("retryManager", max=5, steps=[{"now": _NOW, "call": ["isMacError", value]}])
    return found


def _our_mac(value: int) -> bool:
    """A first request, of a session that was made anew a minute ago: only a MAC failure makes it anew once more."""
    from waton.client.retry_manager import AnswerCounters, Keys, PeerSession, Resend, RetryManager, SessionHistory

    session = PeerSession(True, _REGISTRATION, b"b" * 32, history=SessionHistory(_NOW - 60, 1))
    decision = RetryManager().answer(_request(1, value), AnswerCounters(), _sent(), session, _reader(), _NOW)
    return isinstance(decision, Resend) and decision.keys is Keys.SERVER


# --- asking ---------------------------------------------------------------------------------------------------------


def _deliveries(least: int, most: int) -> SearchStrategy[Value]:
    """A message that comes so often and can never be read, and how often it may be asked for."""
    return st.integers(1, 8).flatmap(
        lambda allowed: st.fixed_dictionaries(
            {"max": st.just(allowed), "deliveries": st.integers(least, most).map(lambda more: max(0, allowed + more))}
        )
    )


def _their_asking(baileys: Functions, value: Value) -> Value:
    """As sendRetryRequest does: asked, unless the limit is reached; then the counter is thrown away."""
    told: list[Value] = []
    calls: list[Value] = []
    for _ in range(value["deliveries"]):
        exceeded, count = _counted(baileys, value["max"], calls)
        told.append(None if exceeded else count)
    return told


def _counted(baileys: Functions, most: int, calls: list[Value]) -> tuple[bool, int]:
    """Whether this delivery is one too many, else its number; `calls` are all that were made before."""
    ask: Value = {"now": _NOW, "call": ["hasExceededMaxRetries", _ID]}
    is_over = bool(baileys.ask("retryManager", max=most, steps=[*calls, ask])[-1])
    calls += [ask, {"now": _NOW, "call": ["markRetryFailed" if is_over else "incrementRetryCount", _ID]}]
    return is_over, 0 if is_over else int(baileys.ask("retryManager", max=most, steps=calls)[-1])


def _our_asking(value: Value) -> Value:
    from waton.client.retry_manager import Ask, AskCounters, FailedMessage, PeerSession, RetryManager
    from waton.jid import Jid

    manager, counters, told = RetryManager(value["max"]), AskCounters(), list[Value]()
    jid = Jid.parse(_ADA)
    for number in range(value["deliveries"]):
        message = FailedMessage(_ID, jid.bare, jid, _NOW)
        decision = manager.ask(counters, "bad_mac", message, PeerSession(is_open=True), _NOW + number)
        counters = AskCounters.from_json(decision.counters.to_json())
        told.append(decision.count if isinstance(decision, Ask) else None)
    return told


# --- answering ------------------------------------------------------------------------------------------------------


def _request(count: int, error: int = 0) -> RetryRequest:
    from waton.jid import Jid
    from waton.protocol.stanza.retry import RetryRequest

    return RetryRequest(_ID, Jid.parse(_ADA), count, _NOW, _REGISTRATION, error=error)


def _sent() -> SentMessage:
    from waton.client.sent_messages import SentMessage
    from waton.jid import Jid

    return SentMessage(Jid.parse(_ADA).bare, _NOW, b"", devices=(Jid.parse(_ADA),))


def _reader() -> Requester:
    from waton.client.retry_manager import Requester

    return Requester(is_own=False, is_reader=True, is_known=True)


def _requests() -> SearchStrategy[Value]:
    """Later requests of one device, without keys in them: when, with which code, and whether our session is open."""
    later = st.one_of(st.integers(6, 100), st.sampled_from((_HOUR - 1, _HOUR, _HOUR + 1)), st.integers(100, 3 * _HOUR))
    one = {"later": later, "error": st.sampled_from(_CODES), "is open": st.booleans()}
    return st.lists(st.fixed_dictionaries(one), min_size=1, max_size=6)


def _their_renewals(baileys: Functions, value: Value) -> Value:
    steps, now = list[Value](), _NOW
    for request in value:
        now += request["later"]
        steps.append({"now": now, "call": ["shouldRecreateSession", _ADA, request["is open"], request["error"]]})
    return [found["recreate"] for found in baileys.ask("retryManager", max=5, steps=steps)]


def _our_renewals(value: Value) -> Value:
    """Each request is the second one for a message of its own: the first may succeed in the session there is."""
    from waton.client.retry_manager import AnswerCounters, Keys, PeerSession, Resend, RetryManager, SessionHistory

    manager, history, now, told = RetryManager(), SessionHistory(), _NOW, list[Value]()
    for request in value:
        now += request["later"]
        session = PeerSession(request["is open"], _REGISTRATION, b"b" * 32, history=history)
        asked = _request(2, request["error"])
        decision = manager.answer(asked, AnswerCounters((1,)), _sent(), session, _reader(), now)
        renews = isinstance(decision, Resend) and decision.keys is Keys.SERVER
        told.append(renews)
        if isinstance(decision, Resend) and decision.history is not None:
            history = SessionHistory.from_json(decision.history.to_json())
    return told


def _base_keys() -> SearchStrategy[Value]:
    """The base keys of the sessions that the second and the third answer go out in."""
    key = st.sampled_from((b"a" * 32, b"b" * 32, b"a" * 31 + b"b"))
    return st.fixed_dictionaries({"second": st.one_of(st.none(), key), "third": key})


def _their_same_key(baileys: Functions, value: Value) -> Value:
    address = "4915000000002.3"
    saved = [] if value["second"] is None else [["saveBaseKey", address, _ID, value["second"]]]
    calls = [*saved, ["hasSameBaseKey", address, _ID, value["third"]]]
    return baileys.ask("retryManager", max=5, steps=[{"now": _NOW, "call": call} for call in calls])[-1]


def _our_same_key(value: Value) -> bool:
    """Nothing else speaks for another session here: it was renewed a minute ago, and the code blames it for nothing."""
    from waton.client.retry_manager import AnswerCounters, Keys, PeerSession, Resend, RetryManager, SessionHistory

    manager = RetryManager()
    session = PeerSession(True, _REGISTRATION, value["second"] or b"", history=SessionHistory(_NOW - 60, 1))
    counters = AnswerCounters((1,))
    if value["second"] is not None:
        answered = manager.answer(_request(2), counters, _sent(), session, _reader(), _NOW)
        counters = AnswerCounters.from_json(answered.counters.to_json())
    third: PeerSession = replace(session, base_key=value["third"])
    decision = manager.answer(_request(3), counters, _sent(), third, _reader(), _NOW)
    return isinstance(decision, Resend) and decision.keys is Keys.SERVER


# --- the table ------------------------------------------------------------------------------------------------------


def _pair(
    method: str,
    inputs: Callable[[], SearchStrategy[Value]],
    ask: Callable[[Functions, Value], Value],
    answer: Callable[[Value], Value],
    ours: str = _POLICY,
    examples: int | None = None,
) -> Pair:
    place = f"{MANAGER}:MessageRetryManager"
    return Pair(f"MessageRetryManager.{method}", Domain.RETRY_MANAGER, place, ours, inputs, ask, answer, examples)


def _texts() -> SearchStrategy[str | None]:
    known = st.sampled_from((None, "", *map(str, _CODES)))
    return st.one_of(known, st.integers(14, 99_999).map(str))


def pairs() -> list[Pair]:
    """The family's pairs."""
    parsing = "waton.protocol.stanza.retry:RetryRequest.from_receipt"
    ask, answer = f"{_POLICY}.ask", f"{_POLICY}.answer"
    return [
        _pair("parseRetryErrorCode", _texts, _their_code, _our_code, parsing),
        _pair("isMacError", lambda: several(st.sampled_from(_CODES)), each(_their_mac), each_of(_our_mac), answer),
        _pair("hasExceededMaxRetries", lambda: _deliveries(-2, 1), _their_asking, _our_asking, ask, 15),
        _pair(
            "hasExceededMaxRetries: delivered again and again",
            lambda: _deliveries(2, 4),
            _their_asking,
            _our_asking,
            ask,
            5,
        ),
        _pair("shouldRecreateSession", _requests, _their_renewals, _our_renewals, answer),
        _pair("hasSameBaseKey", _base_keys, _their_same_key, _our_same_key, answer, 20),
    ]
