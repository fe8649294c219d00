"""Addresses: reading and writing them, what kind they are, and the name of a device's Signal session.

Baileys keeps an address as text and takes it apart each time; waton has a value, `Jid`. So each function is held
against what the value says. Text that is no address makes Baileys return nothing and waton raise: both
count as a refusal.

Source: Baileys WABinary/jid-utils.ts and Signal/libsignal.ts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import REFUSED, Pair
from waton.parity.evidence import Domain
from waton.parity.oracle.process import Functions

if TYPE_CHECKING:
    from waton.jid import Jid

Value: TypeAlias = Any

UTILS = "lib/WABinary/jid-utils.js"
REPOSITORY = "lib/Signal/libsignal.js"
_SIGNAL_SERVERS = ("s.whatsapp.net", "lid", "hosted", "hosted.lid", "c.us", "bot")


def _parse(text: str) -> Jid:
    from waton.jid import Jid

    return Jid.parse(text)


def _pair(
    name: str,
    ours: str,
    inputs: Callable[[], SearchStrategy[Value]],
    answer: Callable[[Value], Value],
    ask: Callable[[Functions, Value], Value] | None = None,
) -> Pair:
    export = name.partition(":")[0]

    def call(baileys: Functions, value: Value) -> Value:
        return baileys.call(UTILS, export, *(value if isinstance(value, tuple) else (value,)))

    return Pair(name, Domain.BINARY_CODEC, f"{UTILS}:{export}", ours, inputs, ask or call, answer)


# --- parts ----------------------------------------------------------------------------------------------------------


def _their_parts(baileys: Functions, text: str) -> Value:
    found = baileys.call(UTILS, "jidDecode", text)
    if found is None or found.get("device") == {"$number": "NaN"}:
        return REFUSED
    server = baileys.call(UTILS, "getServerFromDomainType", found["server"], found["domainType"])
    return {"user": found["user"], "server": server, "device": found.get("device") or 0}


def _our_parts(text: str) -> Value:
    jid = _parse(text)
    return {"user": jid.user, "server": jid.server, "device": jid.device}


def _agents(*numbers: int) -> SearchStrategy[str]:
    agent, device = st.sampled_from(numbers), st.sampled_from(("", ":7"))
    return st.builds("{}_{}{}@s.whatsapp.net".format, generators.phones(), agent, device)


def _written(value: Value) -> str:
    from waton.jid import Jid

    user, server, device = value
    return str(Jid(user, server, device))


def _parts() -> list[Pair]:
    parse, built = "waton.jid:Jid.parse", "waton.jid:Jid"

    def decoding(name: str, inputs: Callable[[], SearchStrategy[Value]]) -> Pair:
        return _pair(f"jidDecode{name}", parse, inputs, _our_parts, _their_parts)

    parts = st.tuples(
        generators.phones(), st.sampled_from((*generators.DEVICE_SERVERS, "g.us", "c.us")), st.integers(0, 255)
    )
    domains = st.sampled_from((0, 1, 128, 129, 2, 7))
    return [
        decoding("", generators.jids),
        decoding(": an agent that stands for a server", lambda: _agents(1, 128, 129)),
        decoding(": an agent that stands for none", lambda: _agents(2, 7)),
        decoding(": a device that is no number", lambda: st.builds("{}:x@lid".format, generators.phones())),
        decoding(": a device above 65535", lambda: st.builds("{}:65536@lid".format, generators.phones())),
        _pair("jidEncode", built, lambda: parts, _written),
        _pair(
            "getServerFromDomainType",
            parse,
            lambda: st.tuples(st.just("s.whatsapp.net"), domains),
            lambda value: _parse(f"1_{value[1]}@{value[0]}" if value[1] else f"1@{value[0]}").server,
        ),
        _pair("jidNormalizedUser", "waton.jid:Jid.bare", _modern, lambda text: str(_parse(text).bare)),
        _pair("jidNormalizedUser: the old server", "waton.jid:Jid.bare", _old, lambda text: str(_parse(text).bare)),
        _pair(
            "transferDevice",
            "waton.jid:Jid.with_device",
            lambda: st.tuples(generators.user_jids(), generators.user_jids()),
            lambda value: str(_parse(value[1]).with_device(_parse(value[0]).device)),
        ),
    ]


def _modern() -> SearchStrategy[str]:
    return generators.jids().filter(lambda text: not text.endswith("@c.us"))


def _old() -> SearchStrategy[str]:
    return generators.bare_jids(("c.us",))


# --- kinds ----------------------------------------------------------------------------------------------------------


def _is(name: str, ours: str, says: Callable[[Jid], bool], inputs: Callable[[], SearchStrategy[str]]) -> Pair:
    return _pair(name, ours, inputs, lambda text: says(_parse(text)))


def _is_hosted(jid: Jid) -> bool:
    return jid.is_hosted and jid.server == "hosted"


def _is_hosted_lid(jid: Jid) -> bool:
    return jid.is_hosted and jid.server == "hosted.lid"


def _is_status(jid: Jid) -> bool:
    from waton.jid import STATUS_BROADCAST

    return jid == STATUS_BROADCAST


def _is_meta_ai(jid: Jid) -> bool:
    from waton.jid import JidServer

    return jid.server == JidServer.BOT


def _same_user(value: Value) -> bool:
    return _parse(value[0]).bare == _parse(value[1]).bare


def _kinds() -> list[Pair]:
    every, jid = generators.jids, "waton.jid:Jid"
    few = st.sampled_from(("1000001", "1000002"))
    near = st.builds("{}{}@lid".format, few, st.sampled_from(("", ":3")))
    return [
        _is("isPnUser", f"{jid}.is_pn", lambda found: found.is_pn, _modern),
        _is("isPnUser: the old server", f"{jid}.is_pn", lambda found: found.is_pn, _old),
        _is("isLidUser", f"{jid}.is_lid", lambda found: found.is_lid, every),
        _is("isJidGroup", f"{jid}.is_group", lambda found: found.is_group, every),
        _is("isJidBroadcast", f"{jid}.is_broadcast", lambda found: found.is_broadcast, every),
        _is("isJidNewsletter", f"{jid}.is_newsletter", lambda found: found.is_newsletter, every),
        _is("isJidStatusBroadcast", "waton.jid:STATUS_BROADCAST", _is_status, every),
        _is("isHostedPnUser", f"{jid}.is_hosted", _is_hosted, every),
        _is("isHostedLidUser", f"{jid}.is_hosted", _is_hosted_lid, every),
        _is("isJidMetaAI", "waton.jid:JidServer.BOT", _is_meta_ai, every),
        _pair("areJidsSameUser", f"{jid}.bare", lambda: st.tuples(near, near), _same_user),
        _pair(
            "areJidsSameUser: a number and a LID of the same digits",
            f"{jid}.bare",
            lambda: few.map(lambda user: (f"{user}@s.whatsapp.net", f"{user}@lid")),
            _same_user,
        ),
    ]


# --- Signal ---------------------------------------------------------------------------------------------------------


def _signal_address(name: str, inputs: Callable[[], SearchStrategy[str]]) -> Pair:
    def ask(baileys: Functions, text: str) -> Value:
        baileys.ask("party", party="names", creds={})
        return baileys.ask("signalAddress", party="names", jid=text)

    def answer(text: str) -> Value:
        from waton.jid import signal_address

        return signal_address(_parse(text))

    return Pair(
        f"makeLibSignalRepository.jidToSignalProtocolAddress{name}",
        Domain.LID_MAPPING,
        f"{REPOSITORY}:makeLibSignalRepository",
        "waton.jid:signal_address",
        inputs,
        ask,
        answer,
    )


def pairs() -> list[Pair]:
    """The family's pairs."""
    odd = ("s.whatsapp.net", "lid")
    return [
        *_parts(),
        *_kinds(),
        _signal_address("", lambda: generators.user_jids(_SIGNAL_SERVERS)),
        _signal_address(": device 99 of a hosted account", lambda: _hosted_99()),
        _signal_address(
            ": device 99 of another",
            lambda: st.builds("{}:99@{}".format, generators.phones(), st.sampled_from(odd)),
        ),
    ]


def _hosted_99() -> SearchStrategy[str]:
    return st.builds("{}:99@{}".format, generators.phones(), st.sampled_from(("hosted", "hosted.lid")))
