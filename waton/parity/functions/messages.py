"""Messages: content out and in, ids and addresses of a stanza, acknowledgements.

Content is compared as protobuf bytes. The addresses of an incoming stanza are compared as waton's receiver works them
out before it decrypts anything; Baileys' chat and author are given the form it stores them in (its cleanMessage drops
the device).

Source: Baileys Utils/messages.ts, decode-wa-message.ts, generics.ts, stanza-ack.ts.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import Pair, symbol
from waton.parity.evidence import Domain
from waton.parity.functions.nodes import to_ours, told, told_by_baileys
from waton.parity.generators import node
from waton.parity.oracle.process import Functions

Value: TypeAlias = Any

MESSAGES = "lib/Utils/messages.js"
DECODE = "lib/Utils/decode-wa-message.js"
GENERICS = "lib/Utils/generics.js"
ACK = "lib/Utils/stanza-ack.js"
ME, MY_LID = "4915000000001:2@s.whatsapp.net", "77000000000001:2@lid"
_BESIDE_CONTENT = ("messageContextInfo", "senderKeyDistributionMessage")
"""Fields of a message that are never its content."""
_NOT_IN_BAILEYS = (
    "botPlatformRegistrationSuccessMessage",
    "conditionalRevealMessage",
    "eventInviteMessage",
    "musicMessage",
    "newsletterAdminProfileMessage",
    "newsletterAdminProfileStatusMessage",
    "paymentReminderMessage",
    "pollAddOptionMessage",
    "pollCreationMessageV6",
    "pollResultSnapshotMessageV3At115",
    "rootSecretDistributeMessage",
    "spoilerMessage",
    "splitPaymentMessage",
    "splitPaymentUpdateMessage",
)
"""Kinds that our schema has from whatsmeow's; to Baileys they are unknown fields."""


# --- content out ----------------------------------------------------------------------------------------------------


def _texts() -> SearchStrategy[str]:
    """Texts without a link, of which Baileys makes a preview; the empty one included."""
    return generators.prose().filter(lambda text: "https" not in text)


def _text(value: str) -> bytes:
    from waton.protocol.message import text_message

    return text_message(value).SerializeToString()


def _their_text(baileys: Functions, value: str) -> Value:
    """Without the secret for reporting tokens, which is drawn with dice."""
    from waton.protocol import proto

    made = baileys.ask(
        "call",
        module=MESSAGES,
        name="generateWAMessageContent",
        args=[{"text": value}, {"logger": None}],
        encodeAs="Message",
    )
    message = proto.Message.FromString(made)
    message.messageContextInfo.ClearField("messageSecret")
    if not message.messageContextInfo.ListFields():
        message.ClearField("messageContextInfo")
    return message.SerializeToString()


def _their_secret(baileys: Functions, value: str) -> Value:
    from waton.protocol import proto

    args = [{"text": value}, {"logger": None}]
    made = baileys.ask("call", module=MESSAGES, name="generateWAMessageContent", args=args, encodeAs="Message")
    return len(proto.Message.FromString(made).messageContextInfo.messageSecret)


def _our_secret(value: str) -> int:
    from waton.protocol.message import text_message

    return len(text_message(value).messageContextInfo.messageSecret)


def _padded(value: Value) -> bytes:
    from waton.utils.padding import pad

    return pad(_text(value[0]), value[1])


def _out() -> list[Pair]:
    place = "waton.protocol.message:text_message"

    def content(name: str, ask: Callable[[Functions, Value], Value], answer: Callable[[Value], Value]) -> Pair:
        export = f"{MESSAGES}:generateWAMessageContent"
        return Pair(f"generateWAMessageContent{name}", Domain.MESSAGES_SEND, export, place, _texts, ask, answer)

    return [
        content(": a text", _their_text, _text),
        content(": the secret of a text", _their_secret, _our_secret),
        Pair(
            "encodeWAMessage",
            Domain.MESSAGES_SEND,
            f"{GENERICS}:encodeWAMessage",
            "waton.utils.padding:pad",
            lambda: st.tuples(_texts(), st.integers(0, 255)),
            lambda baileys, value: baileys.call(
                GENERICS, "encodeWAMessage", {"$proto": "Message", "bytes": _text(value[0])}, dice=bytes([value[1]])
            ),
            _padded,
        ),
    ]


# --- kinds of content -----------------------------------------------------------------------------------------------


def _kinds_of(group: str) -> list[str]:
    """The names of Message's fields that are kinds of content, of one of three groups.

    found: Baileys' rule finds them (`conversation`, or a name with "Message" in it); unnamed: it does not; unknown: its
    schema has none of that name.
    """
    from waton.protocol import proto

    return [
        field.name
        for field in proto.Message.DESCRIPTOR.fields
        if field.name not in _BESIDE_CONTENT and _group_of(field.name) == group
    ]


def _group_of(name: str) -> str:
    if name in _NOT_IN_BAILEYS:
        return "unknown"
    return "found" if name == "conversation" or "Message" in name else "unnamed"


def _of_kind(name: str, beside: int) -> bytes:
    """A message of one kind of content, empty inside, with what may lie beside content or without it."""
    from waton.protocol import proto

    message = proto.Message()
    if name == "conversation":
        message.conversation = "text"
    else:
        getattr(message, name).SetInParent()
    if beside & 1:
        message.messageContextInfo.SetInParent()
    if beside & 2:
        message.senderKeyDistributionMessage.SetInParent()
    return message.SerializeToString()


def _their_kinds(baileys: Functions, value: Value) -> Value:
    return {
        name: baileys.call(MESSAGES, "getContentType", {"$proto": "Message", "bytes": _of_kind(name, value["beside"])})
        for name in value["kinds"]
    }


def _our_kinds(value: Value) -> Value:
    from waton.protocol import proto
    from waton.protocol.message import kind_of

    return {name: kind_of(proto.Message.FromString(_of_kind(name, value["beside"]))) or None for name in value["kinds"]}


def _kinds(name: str, group: str) -> Pair:
    return Pair(
        f"getContentType{name}",
        Domain.MESSAGES_RECV,
        f"{MESSAGES}:getContentType",
        "waton.protocol.message:kind_of",
        lambda: st.integers(0, 3).map(lambda beside: {"kinds": _kinds_of(group), "beside": beside}),
        _their_kinds,
        _our_kinds,
    )


# --- whose message it is --------------------------------------------------------------------------------------------


def _others() -> SearchStrategy[str]:
    mine = ("4915000000001", "77000000000001")
    return generators.user_jids(("s.whatsapp.net", "lid")).filter(lambda jid: not jid.startswith(mine))


def _mine() -> SearchStrategy[str]:
    own = [_without_device(jid) for jid in (ME, MY_LID)]
    return st.sampled_from([*own, *(jid.replace("@", f":{device}@") for jid in own for device in (1, 3))])


def _stanzas(**attrs: SearchStrategy[str]) -> SearchStrategy[Value]:
    fixed = {"id": generators.message_ids(), "t": generators.times().map(str), "type": st.just("text")}
    return st.fixed_dictionaries(fixed | attrs, optional={"notify": generators.prose(20)}).map(
        lambda made: node("message", made)
    )


def _conversations() -> SearchStrategy[Value]:
    """Stanzas as the server delivers them: from somebody, from a group, from our own other device."""
    people = generators.bare_jids(("s.whatsapp.net", "lid"))
    broadcast = st.just("status@broadcast")
    return st.one_of(
        _stanzas(**{"from": _others()}),
        _stanzas(**{"from": generators.group_jids(), "participant": st.one_of(_others(), _mine())}),
        _stanzas(**{"from": _mine(), "recipient": people}),
        _stanzas(**{"from": _mine()}),
        _stanzas(**{"from": broadcast, "participant": _others()}),
        _stanzas(**{"from": generators.bare_jids(("newsletter",))}),
    )


def _their_envelope(baileys: Functions, value: Value) -> Value:
    made = baileys.call(DECODE, "decodeMessageNode", value, ME, MY_LID)
    full, key = made["fullMessage"], made["fullMessage"]["key"]
    return {
        "chat": _without_device(key["remoteJid"]),
        "from me": key["fromMe"],
        "id": key["id"],
        "author": made["author"],
        "t": full["messageTimestamp"],
        "push name": full.get("pushName") or "",
    }


def _without_device(jid: str) -> str:
    user, _, server = jid.partition("@")
    return f"{user.partition(':')[0]}@{server}"


def _our_envelope(value: Value) -> Value:
    from waton.jid import Jid
    from waton.protocol.stanza.message import IncomingMessage

    mine = [Jid.parse(text).bare for text in (ME, MY_LID)]

    def is_me(jid: Jid) -> bool:
        return jid.bare in mine

    stanza = IncomingMessage.from_node(to_ours(value))
    receiver = SimpleNamespace(_client=SimpleNamespace(is_me=is_me))
    key = symbol("waton.client.messages_recv:Receiver._envelope")(receiver, stanza).key
    return {
        "chat": str(key.chat),
        "from me": key.from_me,
        "id": key.id,
        "author": str(key.author),
        "t": stanza.t,
        "push name": stanza.notify,
    }


def _envelope(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int | None = None) -> Pair:
    return Pair(
        f"decodeMessageNode{name}",
        Domain.MESSAGES_RECV,
        f"{DECODE}:decodeMessageNode",
        "waton.client.messages_recv:Receiver._envelope",
        inputs,
        _their_envelope,
        _our_envelope,
        examples,
    )


def _without(stanzas: SearchStrategy[Value], *names: str) -> SearchStrategy[Value]:
    return stanzas.map(
        lambda made: made | {"attrs": {name: text for name, text in made["attrs"].items() if name not in names}}
    )


def _their_alternative(baileys: Functions, value: Value) -> Value:
    made = baileys.call(DECODE, "extractAddressingContext", value)
    return {"author": made.get("senderAlt"), "recipient": made.get("recipientAlt")}


def _our_alternative(value: Value) -> Value:
    from waton.protocol.stanza.message import IncomingMessage

    stanza = IncomingMessage.from_node(to_ours(value))
    is_lid = stanza.author.is_lid
    author = stanza.sender_pn if is_lid else stanza.sender_lid
    recipient = stanza.recipient_pn if is_lid else stanza.recipient_lid
    return {"author": None if author is None else str(author), "recipient": recipient and str(recipient)}


def _alternatives(*names: str, group: bool = False) -> SearchStrategy[Value]:
    """Stanzas whose author is named by both addresses; names: the attributes for a PN and for a LID author."""
    pn, lid = generators.user_jids(("s.whatsapp.net",)), generators.user_jids(("lid",))
    for_lid, for_pn = names

    def stanza(author: str, other_pn: str, other_lid: str, to_pn: str, to_lid: str) -> Value:
        by_lid = author.endswith("@lid")
        attrs = {"id": "A1", "t": "1800000000", "type": "text", "from": "1000000@g.us" if group else author}
        if group:
            attrs["participant"] = author
        attrs[for_lid if by_lid else for_pn] = other_pn if by_lid else other_lid
        attrs["recipient_pn" if by_lid else "recipient_lid"] = to_pn if by_lid else to_lid
        return node("message", attrs)

    return st.builds(stanza, st.one_of(pn, lid), pn, lid, pn, lid)


def _alternative(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int | None = None) -> Pair:
    return Pair(
        f"extractAddressingContext{name}",
        Domain.LID_MAPPING,
        f"{DECODE}:extractAddressingContext",
        "waton.protocol.stanza.message:IncomingMessage.from_node",
        inputs,
        _their_alternative,
        _our_alternative,
        examples,
    )


def _in() -> list[Pair]:
    recipient = _stanzas(**{"from": _others(), "recipient": generators.bare_jids(("s.whatsapp.net",))})
    group = _stanzas(**{"from": generators.group_jids(), "participant": _others()})
    old = _stanzas(**{"from": generators.bare_jids(("c.us",))})
    bot = _stanzas(**{"from": generators.bare_jids(("bot",))})
    return [
        _envelope("", _conversations),
        _envelope(": no id", lambda: _without(_conversations(), "id"), 10),
        _envelope(": no sender", lambda: _without(_conversations(), "from"), 10),
        _envelope(": a recipient, and not from us", lambda: recipient, 10),
        _envelope(": a group, and no participant", lambda: _without(group, "participant"), 10),
        _envelope(": the old server", lambda: old, 10),
        _envelope(": a bot", lambda: bot, 10),
        _alternative("", lambda: _alternatives("sender_pn", "sender_lid")),
        _alternative(": in a group", lambda: _alternatives("participant_pn", "participant_lid", group=True), 20),
        _alternative(": of a peer's recipient", lambda: _alternatives("peer_recipient_pn", "peer_recipient_lid"), 20),
    ]


# --- reading --------------------------------------------------------------------------------------------------------


def _sealed() -> SearchStrategy[Value]:
    """What an author may put into a message for us: a text, plain or wrapped for our own devices."""
    return st.fixed_dictionaries(
        {"text": _texts(), "is_wrapped": st.booleans(), "pad": st.integers(0, 255), "from": _mine(), "to": _others()}
    )


def _plaintext(value: Value) -> bytes:
    from waton.jid import Jid
    from waton.protocol.message import device_sent, text_message

    message = text_message(value["text"])
    return (device_sent(Jid.parse(value["to"]), message) if value["is_wrapped"] else message).SerializeToString()


def _their_reading(baileys: Functions, value: Value) -> Value:
    enc = node("plaintext", {}, _plaintext(value))
    attrs = {"id": "A1", "from": value["from"], "recipient": _without_device(value["to"]), "t": "1800000000"}
    baileys.ask("party", party="reader", creds={})
    made = baileys.ask("readNode", party="reader", node=node("message", attrs, [enc]), me=ME, lid=MY_LID)
    return made["message"]


def _our_reading(value: Value) -> Value:
    from waton.protocol.message import parse_message, unwrap_device_sent

    return unwrap_device_sent(parse_message(_plaintext(value))).message.SerializeToString()


# --- acknowledgements -----------------------------------------------------------------------------------------------


def _acknowledged() -> SearchStrategy[Value]:
    people = generators.user_jids(("s.whatsapp.net", "lid"))
    attrs = st.fixed_dictionaries(
        {"id": generators.message_ids(), "from": st.one_of(people, generators.group_jids())},
        optional={
            "participant": people,
            "recipient": people,
            "type": st.sampled_from(("text", "media", "read", "retry", "devices")),
            "t": generators.times().map(str),
        },
    )
    tags = st.sampled_from(("message", "receipt", "notification", "call"))
    return st.fixed_dictionaries(
        {
            "node": st.builds(node, tags, attrs),
            "error": st.sampled_from((None, 487, 491, 495, 500)),
            "me": st.one_of(st.none(), st.just(ME)),
        }
    )


def _our_ack(value: Value) -> Value:
    from waton.jid import Jid
    from waton.protocol.stanza.receipt import ack

    me = None if value["me"] is None else Jid.parse(value["me"])
    return told(ack(to_ours(value["node"]), error=value["error"], me=me))


def pairs() -> list[Pair]:
    """The family's pairs."""
    return [
        *_out(),
        _kinds("", "found"),
        _kinds(': kinds without "Message" in their name', "unnamed"),
        _kinds(": kinds that Baileys' schema lacks", "unknown"),
        *_in(),
        Pair(
            "decryptMessageNode: the wrapper for our own devices",
            Domain.MESSAGES_RECV,
            f"{DECODE}:decryptMessageNode",
            "waton.protocol.message:unwrap_device_sent",
            _sealed,
            _their_reading,
            _our_reading,
        ),
        Pair(
            "buildAckStanza",
            Domain.MESSAGES_RECV,
            f"{ACK}:buildAckStanza",
            "waton.protocol.stanza.receipt:ack",
            _acknowledged,
            lambda baileys, value: told_by_baileys(
                baileys.call(ACK, "buildAckStanza", value["node"], value["error"], value["me"])
            ),
            _our_ack,
        ),
    ]
