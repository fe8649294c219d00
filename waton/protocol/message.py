"""WAProto messages: what we make, and how we read what comes.

Only the kinds this version produces are made here; every other kind passes through as the protobuf it is.

Source: Baileys Utils/messages.ts and generics.ts (ids, padding), whatsmeow send.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from google.protobuf.message import DecodeError as ProtobufError

from waton.errors import DecodeError
from waton.jid import Jid
from waton.protocol import proto


def message_id(me: Jid | None, now: float, entropy: bytes) -> str:
    """A fresh message id: 3EB0 and 18 hex digits. entropy: 16 random bytes.

    They are the beginning of a SHA-256 over 44 bytes: Unix seconds (8, big-endian), our user with `@c.us` (20, cut or
    filled up with zeros), dice (16).

    Source: Baileys generateMessageIDV2.
    """
    user = f"{me.user}@c.us".encode() if me else b""
    seed = int(now).to_bytes(8, "big") + user[:20].ljust(20, b"\0") + entropy
    return "3EB0" + sha256(seed).hexdigest()[:18].upper()


def text_message(text: str) -> proto.Message:
    """A text. extendedTextMessage, as Baileys always writes it."""
    return proto.Message(extendedTextMessage=proto.Message.ExtendedTextMessage(text=text))


def device_sent(destination: Jid, message: proto.Message) -> proto.Message:
    """The copy of our own message for our other devices."""
    inner = proto.Message.DeviceSentMessage(destinationJid=str(destination.bare), message=message)
    return proto.Message(deviceSentMessage=inner)


def parse_message(plain: bytes) -> proto.Message:
    """Raises DecodeError when the decrypted, unpadded bytes are not a Message."""
    try:
        return proto.Message.FromString(plain)
    except ProtobufError as error:
        raise DecodeError(0, plain, "message") from error


@dataclass(frozen=True, slots=True, repr=False)
class Unwrapped:
    """A message without the wrapper for our own devices."""

    message: proto.Message
    destination: str
    """JID text of the conversation it was sent to; "" when it was not wrapped."""


def unwrap_device_sent(message: proto.Message) -> Unwrapped:
    """Take the content out of a deviceSentMessage; the caller checks that one of our own devices wrote it."""
    if not message.HasField("deviceSentMessage"):
        return Unwrapped(message, "")
    sent = message.deviceSentMessage
    inner = proto.Message()
    inner.CopyFrom(sent.message)
    if message.HasField("messageContextInfo") and not inner.HasField("messageContextInfo"):
        inner.messageContextInfo.CopyFrom(message.messageContextInfo)
    return Unwrapped(inner, sent.destinationJid)


def kind_of(message: proto.Message) -> str:
    """The name of the field that holds the content, "" when there is none."""
    wrappers = ("messageContextInfo", "senderKeyDistributionMessage")
    for field, _ in message.ListFields():
        if field.name not in wrappers:
            return field.name
    return ""
