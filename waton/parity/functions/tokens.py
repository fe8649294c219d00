"""Tokens: those that people give each other for their privacy, and those by which a message can be reported.

Privacy tokens are compared over the same records: what a notification leaves behind, which token goes with a question,
to which address ours is given, and when. Of reporting tokens Baileys has another idea in three places: it makes them of
padded bytes, names the conversation as the sender of its own messages, and takes nothing out of wrappers. So it is
given unpadded bytes, a key with the sender in it, and no wrappers; then both formulas are one.

Source: Baileys Utils/tc-token-utils.ts, Utils/reporting-utils.ts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions.lids import Memory, learn, run
from waton.parity.functions.nodes import to_ours
from waton.parity.functions.several import each, each_of
from waton.parity.generators import node
from waton.parity.oracle.process import Functions

if TYPE_CHECKING:
    from waton.client.event_pipeline import Step
    from waton.client.privacy_tokens import PrivacyToken

Value: TypeAlias = Any

TOKENS, REPORTING = "lib/Utils/tc-token-utils.js", "lib/Utils/reporting-utils.js"
_WEEK, _NOW = 604_800, 1_800_000_000
_KNOWN, _UNKNOWN = "4915000000001@s.whatsapp.net", "4915000000002@s.whatsapp.net"
_LIDS = {_KNOWN: "77000000000001@lid"}
_OTHERS = ("0@s.whatsapp.net", "13135550002@s.whatsapp.net", "131655500031@s.whatsapp.net", "5@bot", "5@g.us")


# --- when -----------------------------------------------------------------------------------------------------------


def _moments() -> SearchStrategy[Value]:
    """A token's time and now: around every border of a bucket, and anywhere."""
    now = st.one_of(
        st.integers(_NOW, _NOW + _WEEK), st.sampled_from((_NOW // _WEEK * _WEEK, _NOW // _WEEK * _WEEK - 1))
    )

    def times(moment: int) -> SearchStrategy[Value]:
        border = st.integers(-1, 5).map(lambda bucket: (moment // _WEEK - bucket) * _WEEK)
        near = st.tuples(border, st.integers(-1, 1)).map(sum)
        t = st.one_of(near, st.just(0), st.integers(moment - 6 * _WEEK, moment + _WEEK))
        return t.map(lambda told: {"t": told, "now": moment})

    return now.flatmap(times)


def _has_expired(value: Value) -> bool:
    from waton.client.privacy_tokens import Switches

    return Switches().received.is_expired(value["t"], value["now"])


def _is_due(value: Value) -> bool:
    from waton.client.privacy_tokens import PrivacyToken, Switches, should_give

    return should_give(PrivacyToken(given_t=value["t"]), Switches(), value["now"])


# --- what is kept, shown and given ----------------------------------------------------------------------------------


def _entries() -> SearchStrategy[Value]:
    """What is kept of people already, under the address it is kept by; halves alone, too."""
    times = st.integers(_NOW - 9, _NOW + 9)
    token = st.fixed_dictionaries({"token": generators.entropy(8), "timestamp": times.map(str)})
    given = st.fixed_dictionaries({"senderTimestamp": times})
    both = st.tuples(token, given).map(lambda pair: pair[0] | pair[1])
    entry = st.one_of(token, given, both)
    return st.fixed_dictionaries({}, optional={_LIDS[_KNOWN]: entry, _UNKNOWN: entry})


def _contacts() -> SearchStrategy[str]:
    return st.one_of(st.sampled_from((_KNOWN, _LIDS[_KNOWN], _UNKNOWN)), st.sampled_from(_OTHERS))


def _notifications() -> SearchStrategy[Value]:
    times = st.one_of(st.sampled_from(("0", "soon")), st.integers(_NOW - 9, _NOW + 9).map(str))
    kinds = st.sampled_from(("trusted_contact", "trusted_contact", "trusted_contact", "other"))
    attrs = st.fixed_dictionaries(
        {"jid": st.just("4915000000009:3@s.whatsapp.net"), "type": kinds}, optional={"t": times}
    )
    content = st.one_of(st.none(), st.binary(min_size=1, max_size=30), st.binary(min_size=1, max_size=30))
    listed = st.lists(st.tuples(attrs, content).map(lambda pair: node("token", *pair)), max_size=3)
    tokens = listed.map(lambda made: [node("tokens", {}, made)])
    children = st.one_of(tokens, tokens, tokens, st.just(list[Value]()))
    return st.fixed_dictionaries(
        {"entries": _entries(), "jid": _contacts(), "node": children.map(lambda made: node("notification", {}, made))}
    )


def _record(entry: Value) -> PrivacyToken:
    from waton.client.privacy_tokens import PrivacyToken

    given_t = int(entry.get("senderTimestamp") or 0)
    return PrivacyToken(entry.get("token") or b"", int(entry.get("timestamp") or 0), given_t)


def _shape(token: PrivacyToken) -> Value:
    return [token.token, token.t, token.given_t]


async def _world(entries: Value) -> Step:
    """A unit of work in which these records are, and the mappings known."""
    from waton.client import privacy_tokens
    from waton.client.event_pipeline import Step
    from waton.jid import Jid

    memory = Memory()
    for pn, lid in _LIDS.items():
        await learn(memory, pn, lid)
    unit: Any = memory
    step = Step(unit, None)
    for jid, entry in entries.items():
        await privacy_tokens.save(step, Jid.parse(jid), _record(entry), privacy_tokens.Switches())
    return step


def _their_taking(baileys: Functions, value: Value) -> Value:
    kept = baileys.ask("takeTokens", lids=_LIDS, **value)
    return {jid: _shape(_record(entry)) for jid, entry in kept.items()}


def _our_taking(value: Value) -> Value:
    async def play() -> Value:
        from waton.client import privacy_tokens
        from waton.client.privacy_tokens import PrivacyToken
        from waton.errors import RemoteProtocolError
        from waton.ports import RecordKind
        from waton.protocol.stanza.privacy import TokenNotification

        step = await _world(value["entries"])
        told = value["node"] | {"attrs": {"from": value["jid"]}}
        try:
            notification = TokenNotification.from_node(to_ours(told))
            await privacy_tokens.take_notification(step, notification, privacy_tokens.Switches())
        except RemoteProtocolError:
            pass  # of nobody, or without a token
        names = await step.unit.keys(RecordKind.PRIVACY_TOKEN)
        records = await step.load_many(RecordKind.PRIVACY_TOKEN, names)
        return {name: _shape(PrivacyToken.from_json(record)) for name, record in records.items()}

    return run(play)


def _questions() -> SearchStrategy[Value]:
    now = st.one_of(st.sampled_from((_NOW, _NOW + 4 * _WEEK)), st.integers(_NOW, _NOW + 6 * _WEEK))
    return st.fixed_dictionaries({"entries": _entries(), "jid": _contacts(), "now": now})


def _their_showing(baileys: Functions, value: Value) -> Value:
    shown = baileys.ask("shownToken", lids=_LIDS, **value)
    return None if shown is None else [shown["tag"], shown["attrs"], shown["content"]]


def _our_showing(value: Value) -> Value:
    async def play() -> Value:
        from waton.client import privacy_tokens
        from waton.jid import Jid

        known = await privacy_tokens.load(await _world(value["entries"]), Jid.parse(value["jid"]))
        shown = privacy_tokens.query_token(known, privacy_tokens.Switches(), value["now"])
        return None if shown is None else [shown.tag, dict(shown.attrs), shown.content]

    return run(play)


def _gifts() -> SearchStrategy[Value]:
    people = st.sampled_from((_KNOWN, _LIDS[_KNOWN], _UNKNOWN, "77000000000009@lid"))
    return st.fixed_dictionaries({"jid": people, "toLid": st.booleans()})


def _our_giving(value: Value) -> Value:
    async def play() -> str:
        from waton.client import privacy_tokens
        from waton.jid import Jid

        switches = privacy_tokens.Switches(give_to_lid=value["toLid"])
        return str(await privacy_tokens.give_to(await _world({}), Jid.parse(value["jid"]), switches))

    return run(play)


# --- reporting ------------------------------------------------------------------------------------------------------

_SECRET = bytes(range(32))
_ME, _CHAT = "77000000000001@lid", "12036302@g.us"
_WRAPPERS = (37, 53, 55, 58, 59, 74, 87, 92, 93, 94)
_NUMBERS = (*range(1, 31), 49, 60, 64, 66, 88, 100, 5_000)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _fields(depth: int = 0) -> SearchStrategy[bytes]:
    """Fields of any number and wire type, some inside of others; no wrappers, and no number above 32 bits."""
    # 14 inside of 12 is an edit's new message, of which Baileys takes nothing.
    left_out = _WRAPPERS if depth == 0 else (14,) if depth == 1 else ()
    numbers = st.sampled_from([number for number in _NUMBERS if number not in left_out])
    inner = _fields(depth + 1) if depth < 3 else st.binary(max_size=8)
    bodies = st.one_of(
        st.tuples(st.just(0), st.integers(0, (1 << 31) - 1).map(_varint)),
        st.tuples(st.just(1), generators.entropy(8)),
        st.tuples(st.just(5), generators.entropy(4)),
        st.tuples(st.just(2), inner.map(_sized)),
        st.tuples(st.just(2), inner.map(_sized)),
    )
    field = st.tuples(numbers, bodies).map(lambda made: _varint(made[0] << 3 | made[1][0]) + made[1][1])
    return st.lists(field, max_size=4).map(b"".join)


def _reported() -> SearchStrategy[Value]:
    return st.fixed_dictionaries({"plain": _fields(), "id": generators.message_ids()})


def _their_report(baileys: Functions, value: Value) -> Value:
    message = {"messageContextInfo": {"messageSecret": _SECRET}}
    key = {"id": value["id"], "fromMe": False, "participant": _ME, "remoteJid": _CHAT}
    found = baileys.call(REPORTING, "getMessageReportingToken", value["plain"], message, key)
    return None if found is None else found["content"][0]["content"]


def _our_report(value: Value) -> Value:
    from waton.errors import DecodeError
    from waton.jid import Jid
    from waton.protocol import proto
    from waton.protocol.reporting_token import reporting_node

    message = proto.Message()
    message.messageContextInfo.messageSecret = _SECRET
    try:
        made = reporting_node(message, value["plain"], id=value["id"], sender=Jid.parse(_ME), chat=Jid.parse(_CHAT))
    except DecodeError:
        return None  # what is no message has no token; Baileys says the same with null
    return None if made is None else made.children()[0].content


def _kinds() -> SearchStrategy[list[str]]:
    """Every kind of content that is a message of its own, in some order."""
    from waton.protocol import proto

    return st.permutations([one.name for one in proto.Message.DESCRIPTOR.fields if one.message_type is not None])


def _our_including(value: str) -> bool:
    from waton.protocol import proto
    from waton.protocol.reporting_token import is_included

    message = proto.Message()
    getattr(message, value).SetInParent()
    return is_included(message)


# --- the table ------------------------------------------------------------------------------------------------------


def _pair(
    name: str,
    ours: str,
    inputs: Callable[[], SearchStrategy[Value]],
    ask: Callable[[Functions, Value], Value],
    answer: Callable[[Value], Value],
    domain: Domain = Domain.MESSAGES_SEND,
    examples: int | None = None,
) -> Pair:
    module = REPORTING if "Reporting" in name else TOKENS
    return Pair(name, domain, f"{module}:{name}", ours, inputs, ask, answer, examples)


def pairs() -> list[Pair]:
    """The family's pairs."""
    tokens, reporting = "waton.client.privacy_tokens:", "waton.protocol.reporting_token:"

    def at(name: str) -> Callable[[Functions, Value], Value]:
        return lambda baileys, value: baileys.call(TOKENS, name, value["t"], now=value["now"])

    return [
        _pair("isTcTokenExpired", f"{tokens}has_valid", _moments, at("isTcTokenExpired"), _has_expired),
        _pair("shouldSendNewTcToken", f"{tokens}should_give", _moments, at("shouldSendNewTcToken"), _is_due),
        _pair(
            "storeTcTokensFromIqResult",
            f"{tokens}take_notification",
            _notifications,
            _their_taking,
            _our_taking,
            Domain.MESSAGES_RECV,
        ),
        _pair("buildTcTokenFromJid", f"{tokens}query_token", _questions, _their_showing, _our_showing),
        _pair(
            "resolveIssuanceJid",
            f"{tokens}give_to",
            _gifts,
            lambda baileys, value: baileys.ask("givenTo", lids=_LIDS, **value),
            _our_giving,
        ),
        _pair("getMessageReportingToken", f"{reporting}reporting_node", _reported, _their_report, _our_report),
        _pair(
            "shouldIncludeReportingToken",
            f"{reporting}is_included",
            _kinds,
            each(lambda baileys, value: baileys.call(REPORTING, "shouldIncludeReportingToken", {value: {}})),
            each_of(_our_including),
            examples=3,
        ),
    ]
