"""Small questions about messages: their keys, their chats, what is inside of wrappers, what was sealed with a secret.

Source: Baileys Utils/process-message.ts, Utils/messages.ts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy, composite

from waton.parity import generators
from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions import stories
from waton.parity.functions.envelopes import ME, MY_LID
from waton.parity.functions.meaning import PROCESS, outcome_of
from waton.parity.functions.messages import MESSAGES
from waton.parity.functions.several import each, each_of, several
from waton.parity.functions.stories import T
from waton.parity.oracle.process import Functions

Value: TypeAlias = Any


# --- smaller questions ------------------------------------------------------------------------------------------------


def _keys_to_clean() -> SearchStrategy[Value]:
    """Keys on every server a person may have an address of, with a device or without."""
    servers = ("s.whatsapp.net", "lid", "hosted", "hosted.lid", "c.us")
    person = generators.user_jids(servers)
    in_group = st.fixed_dictionaries({"chat": generators.group_jids(), "author": person})
    return st.one_of(person.map(lambda jid: {"chat": jid, "author": jid}), in_group)


def _their_clean_key(baileys: Functions, value: Value) -> Value:
    from waton.protocol.message import text_message

    key = {"remoteJid": value["chat"], "fromMe": False, "id": "A1", "participant": value["author"]}
    message = text_message("hello").SerializeToString()
    cleaned = baileys.ask("means", key=key, message=message, timestamp=T, me=ME, lid=MY_LID)["key"]
    return [cleaned["remoteJid"], cleaned["participant"]]


def _our_clean_key(value: Value) -> Value:
    from waton.client.events import MessageKey
    from waton.client.message_keys import clean_key
    from waton.jid import Jid

    cleaned = clean_key(MessageKey(Jid.parse(value["chat"]), "A1", False, Jid.parse(value["author"])))
    return [str(cleaned.chat), str(cleaned.author.bare)]


def _chats() -> SearchStrategy[Value]:
    """Conversations of every kind, and whether the message is our own."""
    person = generators.bare_jids(("s.whatsapp.net", "lid"))
    lists = st.one_of(st.just("status@broadcast"), generators.bare_jids(("broadcast",)))
    chat = st.one_of(generators.group_jids(), lists)
    own = st.booleans()
    return st.one_of(
        st.tuples(person, own).map(lambda pair: {"chat": pair[0], "author": pair[0], "from me": pair[1]}),
        st.fixed_dictionaries({"chat": chat, "author": person, "from me": own}),
    )


def _their_chat(baileys: Functions, value: Value) -> Value:
    key = {"remoteJid": value["chat"], "fromMe": value["from me"], "participant": value["author"]}
    return baileys.call(PROCESS, "getChatId", key)


def _our_chat(value: Value) -> Value:
    from waton.client.events import ChatsUpdate
    from waton.protocol import proto

    protocol = proto.Message.ProtocolMessage
    told = proto.Message(protocolMessage=protocol(type=protocol.EPHEMERAL_SETTING, ephemeralExpiration=1))
    [event] = outcome_of(value | {"message": told.SerializeToString()}).events
    return str(event.chat) if isinstance(event, ChatsUpdate) else None


def _is_real(baileys: Functions, value: Value) -> Value:
    from waton.protocol import proto

    info = proto.WebMessageInfo(message=proto.Message.FromString(value["message"]))
    return baileys.call(PROCESS, "isRealMessage", {"$proto": "WebMessageInfo", "bytes": info.SerializeToString()})


def _our_is_real(value: Value) -> bool:
    from waton.client.events import MessagesUpsert

    return any(isinstance(event, MessagesUpsert) for event in outcome_of(value).events)


@composite
def _onions(draw: DrawFn) -> Value:
    """Content inside of none to seven wrappers, of which five are looked through."""
    from waton.protocol import proto
    from waton.protocol.message import WRAPPERS, text_message

    message = text_message(draw(generators.prose(10)))
    for name in draw(st.lists(st.sampled_from(WRAPPERS), max_size=7)):
        outer = proto.Message()
        getattr(outer, name).message.CopyFrom(message)
        message = outer
    return message.SerializeToString()


def _their_inside(baileys: Functions, value: Value) -> Value:
    args = [{"$proto": "Message", "bytes": value}]
    return baileys.ask("call", module=MESSAGES, name="normalizeMessageContent", args=args, encodeAs="Message")


def _our_inside(value: Value) -> bytes:
    from waton.protocol import proto
    from waton.protocol.message import normalise

    return normalise(proto.Message.FromString(value)).SerializeToString()


def _ids() -> SearchStrategy[str]:
    """Ids of every length that says something, and of others, with every beginning that does."""
    lengths = st.one_of(st.sampled_from((18, 20, 21, 22, 32)), st.integers(0, 34))
    begun = st.tuples(st.sampled_from(("3A", "3E", "3F", "")), st.text(generators.HEX, min_size=34, max_size=34))
    return st.tuples(begun.map("".join), lengths).map(lambda made: made[0][: made[1]])


def _writer(value: str) -> str:
    from waton.protocol.message import written_by

    return written_by(value).value


# --- additions that are sealed ----------------------------------------------------------------------------------------


def _sealed(use: str) -> SearchStrategy[Value]:
    """An addition of somebody to somebody's message; at times opened with one thing wrong."""
    people = generators.bare_jids(("s.whatsapp.net", "lid"))
    return st.fixed_dictionaries(
        {
            "use": st.just(use),
            "id": generators.message_ids(),
            "author": people,
            "by": people,
            "secret": generators.entropy(32),
            "iv": generators.entropy(12),
            "plain": st.lists(generators.entropy(32), max_size=3),
            "wrong": st.sampled_from(("", "", "", "id", "author", "by", "secret", "iv", "payload")),
        }
    )


def _opening(value: Value) -> Value:
    """What the one who opens it is given: the payload, and everything else, one part of it changed perhaps."""
    from waton.jid import Jid
    from waton.protocol import proto
    from waton.protocol.message_secret import Addition, SecretUse, seal

    use = SecretUse(value["use"])
    if use is SecretUse.POLL_VOTE:
        plain = proto.Message.PollVoteMessage(selectedOptions=value["plain"]).SerializeToString()
    else:
        plain = proto.Message.EventResponseMessage(response=len(value["plain"]) or 1).SerializeToString()  # pyright: ignore[reportArgumentType]
    addition = Addition(use, value["id"], Jid.parse(value["author"]), Jid.parse(value["by"]))
    given = value | {"payload": seal(value["secret"], addition, plain, value["iv"])}
    if value["wrong"] in ("secret", "iv", "payload"):
        data = given[value["wrong"]]
        given |= {value["wrong"]: data[:-1] + bytes([data[-1] ^ 1])}
    elif value["wrong"] == "id":
        given |= {"id": f"{value['id']}0"}
    elif value["wrong"]:
        given |= {value["wrong"]: "4915999999999@s.whatsapp.net"}
    return given


_NAMES = {
    "Poll Vote": ("pollCreatorJid", "pollMsgId", "pollEncKey", "voterJid"),
    "Event Response": ("eventCreatorJid", "eventMsgId", "eventEncKey", "responderJid"),
}


def _opened_by_baileys(baileys: Functions, value: Value, function: str) -> Value:
    given = _opening(value)
    parts = (given["author"], given["id"], given["secret"], given["by"])
    context = dict(zip(_NAMES[value["use"]], parts, strict=True))
    found = baileys.call(PROCESS, function, {"encPayload": given["payload"], "encIv": given["iv"]}, context)
    return found.get("selectedOptions") or [] if value["use"] == "Poll Vote" else found["response"]


def _opened_by_us(value: Value) -> Value:
    from waton.jid import Jid
    from waton.protocol import proto
    from waton.protocol.message_secret import Addition, SecretUse, unseal

    given = _opening(value)
    addition = Addition(SecretUse(value["use"]), given["id"], Jid.parse(given["author"]), Jid.parse(given["by"]))
    plain = unseal(given["secret"], addition, given["payload"], given["iv"])
    if value["use"] == "Poll Vote":
        return list(proto.Message.PollVoteMessage.FromString(plain).selectedOptions)
    return proto.Message.EventResponseMessage.FromString(plain).response


def _addition(use: str, function: str) -> Pair:
    return Pair(
        function,
        Domain.MESSAGES_RECV,
        f"{PROCESS}:{function}",
        "waton.protocol.message_secret:unseal",
        lambda: _sealed(use),
        lambda baileys, value: _opened_by_baileys(baileys, value, function),
        _opened_by_us,
    )


# --- the table --------------------------------------------------------------------------------------------------------


def _pair(
    name: str,
    domain: Domain,
    ours: str,
    inputs: Callable[[], SearchStrategy[Value]],
    ask: Callable[[Functions, Value], Value],
    answer: Callable[[Value], Value],
) -> Pair:
    module = MESSAGES if name == "normalizeMessageContent" else PROCESS
    return Pair(name, domain, f"{module}:{name}", ours, inputs, ask, answer)


def _real() -> SearchStrategy[list[Value]]:
    kinds = (stories.contents, stories.reactions, stories.edits, stories.votes, stories.keys_alone)
    return several(st.one_of([kind() for kind in kinds]))


def pairs() -> list[Pair]:
    """The family's pairs."""
    process, recv = "waton.client.process_message:process_message", Domain.MESSAGES_RECV
    clean, inside = "waton.client.message_keys:clean_key", "waton.protocol.message:normalise"
    return [
        _pair("cleanMessage", recv, clean, _keys_to_clean, _their_clean_key, _our_clean_key),
        _pair("getChatId", Domain.CHATS, process, lambda: several(_chats()), each(_their_chat), each_of(_our_chat)),
        _pair("isRealMessage", Domain.CHATS, process, _real, each(_is_real), each_of(_our_is_real)),
        _pair("normalizeMessageContent", recv, inside, _onions, _their_inside, _our_inside),
        Pair(
            "getDevice",
            recv,
            f"{MESSAGES}:getDevice",
            "waton.protocol.message:written_by",
            lambda: several(_ids()),
            each(lambda baileys, value: baileys.call(MESSAGES, "getDevice", value)),
            each_of(_writer),
        ),
        _addition("Poll Vote", "decryptPollVote"),
        _addition("Event Response", "decryptEventResponse"),
    ]
