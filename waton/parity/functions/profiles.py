"""What usync says of people beside their devices: about texts, messages that disappear, names, the profiles of bots.

Source: Baileys WAUSync/Protocols.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions.nodes import to_ours
from waton.parity.functions.usync import ALL_PROTOCOLS, answer
from waton.parity.generators import node
from waton.parity.oracle.process import Functions

Value: TypeAlias = Any

_SOMEBODY, _BOT = "4915000000002@s.whatsapp.net", "867051314767696@bot"


def _statuses() -> SearchStrategy[Value]:
    """A <status>: with a text or without, and of people who show it to nobody."""
    t = {"t": generators.times().map(str)}
    text = st.one_of(generators.words(), generators.prose(20).filter(bool).map(str.encode))
    written = st.tuples(st.fixed_dictionaries({}, optional=t), text)
    kept_back = st.tuples(st.fixed_dictionaries({"code": st.sampled_from(("401", "404"))}, optional=t), st.none())
    nothing = st.tuples(st.fixed_dictionaries({}, optional=t), st.one_of(st.none(), st.just(b"")))
    return st.one_of(written, kept_back, nothing).map(lambda made: node("status", *made))


def _somebody(child: Value) -> Value:
    return node("user", {"jid": _SOMEBODY}, [child])


def _our_user(user: Value) -> Any:
    from waton.protocol.stanza.usync import parse_result

    [found] = parse_result(to_ours(answer([user])))
    return found


def _their_child(baileys: Functions, child: Value) -> Value:
    found = baileys.ask("usyncResult", protocols=list(ALL_PROTOCOLS), answer=answer([_somebody(child)]))
    return found["list"][0].get(child["tag"])


def _their_status(baileys: Functions, value: Value) -> Value:
    found = _their_child(baileys, value)
    return {"text": found["status"], "t": found["setAt"]["$date"] // 1000}


def _our_about(value: Value) -> Value:
    about = _our_user(_somebody(value)).about
    return {"text": "" if about.is_hidden else about.text, "t": about.t}


def _durations() -> SearchStrategy[Value]:
    attrs = st.fixed_dictionaries(
        {"duration": st.sampled_from(("0", "86400", "604800", "7776000"))}, optional={"t": generators.times().map(str)}
    )
    return attrs.map(lambda made: node("disappearing_mode", made))


def _their_duration(baileys: Functions, value: Value) -> Value:
    found = _their_child(baileys, value)
    return {"seconds": found["duration"], "t": found["setAt"]["$date"] // 1000}


def _our_duration(value: Value) -> Value:
    found = _our_user(_somebody(value)).disappearing
    return {"seconds": found.seconds, "t": found.t}


def _bots() -> SearchStrategy[Value]:
    """The <user> of a bot with everything that it may say of itself."""

    def said(tag: str) -> SearchStrategy[Value]:
        return generators.prose(10).filter(bool).map(lambda text: node(tag, {}, text.encode()))

    def many(tag: str, *parts: str) -> SearchStrategy[list[Value]]:
        one = st.tuples(*map(said, parts)).map(lambda made: node(tag, {}, list(made)))
        return st.lists(one, max_size=2)

    commands = st.tuples(said("description"), many("command", "name", "description"))
    prompts = many("prompt", "emoji", "text").map(lambda made: node("prompts", {}, made))
    children = st.tuples(
        st.sampled_from(([], [node("default")])),
        st.tuples(*map(said, ("name", "attributes", "description", "category"))).map(list),
        commands.map(lambda made: [node("commands", {}, [made[0], *made[1]])]),
        prompts.map(lambda made: [made]),
    ).map(lambda parts: [child for part in parts for child in part])
    attrs = st.fixed_dictionaries({"persona_id": generators.words()})
    profile = st.tuples(attrs, children).map(lambda made: node("profile", *made))
    return profile.map(lambda made: node("user", {"jid": _BOT}, [node("bot", {}, [made])]))


def _their_bot(baileys: Functions, value: Value) -> Value:
    found = baileys.ask("usyncParse", protocol="bot", node=value)
    names = ("jid", "name", "attributes", "description", "category", "personaId", "isDefault", "commandsDescription")
    commands = [[one["name"], one["description"]] for one in found["commands"]]
    return [*(found[name] for name in names), commands, found["prompts"]]


def _their_bot_in_an_answer(baileys: Functions, value: Value) -> Value:
    found = baileys.ask("usyncResult", protocols=["bot"], answer=answer([value]))
    return found["list"][0]["bot"]["name"]


def _our_bot(value: Value) -> Value:
    bot = _our_user(value).bot
    told = [str(bot.jid), bot.name, bot.attributes, bot.description, bot.category, bot.persona_id, bot.is_default]
    commands = [[one.name, one.description] for one in bot.commands]
    return [*told, bot.commands_description, commands, list(bot.prompts)]


def _protocol(
    name: str,
    inputs: Callable[[], SearchStrategy[Value]],
    ask: Callable[[Functions, Value], Value],
    answer: Callable[[Value], Value],
    ours: str,
    examples: int = 20,
) -> Pair:
    file = {"USyncBotProfileProtocol": "UsyncBotProfileProtocol"}.get(name.partition(":")[0], name.partition(":")[0])
    place = f"lib/WAUSync/Protocols/{file}.js:{name.partition(':')[0]}"
    return Pair(name, Domain.USYNC, place, f"waton.protocol.stanza.{ours}", inputs, ask, answer, examples)


def pairs() -> list[Pair]:
    """The family's pairs."""
    names = generators.words()
    return [
        _protocol("USyncStatusProtocol", _statuses, _their_status, _our_about, "usync_profiles:About"),
        _protocol(
            "USyncDisappearingModeProtocol", _durations, _their_duration, _our_duration, "usync_profiles:Disappearing"
        ),
        _protocol(
            "USyncUsernameProtocol",
            lambda: st.one_of(names, st.none()).map(lambda text: node("username", {}, text)),
            _their_child,
            lambda value: _our_user(_somebody(value)).username,
            "usync:parse_result",
        ),
        _protocol(
            "USyncUsernameProtocol: a name as bytes",
            lambda: names.map(lambda text: node("username", {}, text.encode())),
            _their_child,
            lambda value: _our_user(_somebody(value)).username,
            "usync:parse_result",
            5,
        ),
        _protocol("USyncBotProfileProtocol", _bots, _their_bot, _our_bot, "usync_profiles:BotProfile"),
        _protocol(
            "USyncBotProfileProtocol: in an answer",
            _bots,
            _their_bot_in_an_answer,
            lambda value: _our_user(value).bot.name,
            "usync_profiles:BotProfile",
            5,
        ),
    ]
