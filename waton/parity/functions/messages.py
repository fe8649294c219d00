"""Messages: content out and in, and acknowledgements.

Content is compared as protobuf bytes.

Source: Baileys Utils/messages.ts, decode-wa-message.ts, generics.ts, stanza-ack.ts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions.envelopes import DECODE, ME, MY_LID, mine, others, without_device
from waton.parity.functions.nodes import to_ours, told, told_by_baileys
from waton.parity.generators import node
from waton.parity.oracle.process import Functions

Value: TypeAlias = Any

MESSAGES = "lib/Utils/messages.js"
GENERICS = "lib/Utils/generics.js"
ACK = "lib/Utils/stanza-ack.js"
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
    from waton.protocol.message import ensure_secret, text_message

    return len(ensure_secret(text_message(value), bytes(32)).messageContextInfo.messageSecret)


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


# --- reading --------------------------------------------------------------------------------------------------------


def _sealed() -> SearchStrategy[Value]:
    """What an author may put into a message for us: a text, plain or wrapped for our own devices."""
    return st.fixed_dictionaries(
        {"text": _texts(), "is_wrapped": st.booleans(), "pad": st.integers(0, 255), "from": mine(), "to": others()}
    )


def _plaintext(value: Value) -> bytes:
    from waton.jid import Jid
    from waton.protocol.message import device_sent, text_message

    message = text_message(value["text"])
    return (device_sent(Jid.parse(value["to"]), message) if value["is_wrapped"] else message).SerializeToString()


def _their_reading(baileys: Functions, value: Value) -> Value:
    enc = node("plaintext", {}, _plaintext(value))
    attrs = {"id": "A1", "from": value["from"], "recipient": without_device(value["to"]), "t": "1800000000"}
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
