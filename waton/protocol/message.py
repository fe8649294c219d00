"""WAProto messages: what we make, and how we read what comes.

Only the kinds this version produces are made here; every other kind passes through as the protobuf it is.

Content may be wrapped: to disappear, to be seen once, as an edit. `normalise` looks through wrappers, `kind_of` says
what is inside, `context_of` what it answers and whom it names. Nothing here changes the message it is given.

What the stanza around a message says about it is in waton.protocol.message_labels.

Source: Baileys Utils/messages.ts and generics.ts (ids, padding, wrappers), whatsmeow send.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from google.protobuf.message import DecodeError as ProtobufError
from google.protobuf.unknown_fields import UnknownFieldSet

from waton.errors import DecodeError
from waton.jid import Jid
from waton.protocol import proto

SECRET_SIZE = 32
MAX_WRAPPERS = 5
"""How deep wrappers are looked through. Source: Baileys."""
WRAPPERS = (
    "ephemeralMessage",
    "viewOnceMessage",
    "documentWithCaptionMessage",
    "viewOnceMessageV2",
    "viewOnceMessageV2Extension",
    "editedMessage",
    "associatedChildMessage",
    "groupStatusMessage",
    "groupStatusMessageV2",
)
"""Fields that hold a whole message; the first that is there counts. Order and members are Baileys'."""
_BESIDE_CONTENT = ("messageContextInfo", "senderKeyDistributionMessage")
_WITHOUT_SECRET = ("reactionMessage", "encReactionMessage", "encEventResponseMessage", "pollUpdateMessage")
"""Additions to another message, which are sealed with that one's secret. Source: Baileys reporting-utils.ts."""


# --- what we make -----------------------------------------------------------------------------------------------------


def message_id(me: Jid | None, now: float, entropy: bytes) -> str:
    """A fresh message id: 3EB0 and 18 hex digits. entropy: 16 random bytes.

    They are the beginning of a SHA-256 over 44 bytes: Unix seconds (8, big-endian), our user with `@c.us` (20, cut or
    filled up with zeros), dice (16).

    Source: Baileys generateMessageIDV2.
    """
    user = f"{me.user}@c.us".encode() if me else b""
    seed = int(now).to_bytes(8, "big") + user[:20].ljust(20, b"\0") + entropy
    return "3EB0" + sha256(seed).hexdigest()[:18].upper()


class WrittenBy(StrEnum):
    """The kind of client that a message id looks like."""

    IOS = "ios"
    ANDROID = "android"
    WEB = "web"
    DESKTOP = "desktop"
    UNKNOWN = "unknown"


_ID_FORMS = (
    (re.compile(r"3A.{18}", re.ASCII), WrittenBy.IOS),
    (re.compile(r"3E.{20}", re.ASCII), WrittenBy.WEB),
    (re.compile(r".{21}|.{32}", re.ASCII), WrittenBy.ANDROID),
    (re.compile(r"3F.*|.{18}", re.ASCII), WrittenBy.DESKTOP),
)


def written_by(id: str) -> WrittenBy:
    """Which kind of client made this id, by its beginning and length. Anybody can write any id: a hint, no more.

    Source: Baileys getDevice.
    """
    return next((kind for form, kind in _ID_FORMS if form.fullmatch(id)), WrittenBy.UNKNOWN)


def text_message(text: str) -> proto.Message:
    """A text. extendedTextMessage, as Baileys always writes it."""
    return proto.Message(extendedTextMessage=proto.Message.ExtendedTextMessage(text=text))


def device_sent(destination: Jid, message: proto.Message) -> proto.Message:
    """The copy of our own message for our other devices."""
    inner = proto.Message.DeviceSentMessage(destinationJid=str(destination.bare), message=message)
    wrapped = proto.Message(deviceSentMessage=inner)
    if message.HasField("messageContextInfo"):
        wrapped.messageContextInfo.CopyFrom(message.messageContextInfo)
    return wrapped


def ensure_secret(message: proto.Message, entropy: bytes) -> proto.Message:
    """The message with a secret, for what may be added to it later; itself when it has one or is an addition.

    Args:
        message: what is to be sent; wrappers keep the secret outside.
        entropy: 32 random bytes, the secret.
    Raises:
        ValueError: not 32 bytes.
    """
    if len(entropy) != SECRET_SIZE:
        raise ValueError(f"a message secret is {SECRET_SIZE} bytes")
    if secret_of(message) is not None or kind_of(normalise(message)) in _WITHOUT_SECRET:
        return message
    made = _copy(message)
    made.messageContextInfo.messageSecret = entropy
    return made


def with_context(message: proto.Message, context: proto.ContextInfo) -> proto.Message:
    """The message with this merged into its content's contextInfo: a quote, mentions, an expiration.

    A plain `conversation` becomes an extendedTextMessage, which can hold one.

    Raises:
        ValueError: content of this kind has no contextInfo.
    """
    made = _copy(message)
    content = normalise(made)
    if content.HasField("conversation"):
        text = content.conversation
        content.ClearField("conversation")
        content.extendedTextMessage.text = text
    body: Any = getattr(content, kind_of(content) or "conversation")
    if not _has_context(body):
        raise ValueError(f"{kind_of(content) or 'an empty message'} has no contextInfo")
    body.contextInfo.MergeFrom(context)
    return made


def _copy(message: proto.Message) -> proto.Message:
    made = proto.Message()
    made.CopyFrom(message)
    return made


# --- what comes -------------------------------------------------------------------------------------------------------


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


def normalise(message: proto.Message) -> proto.Message:
    """The content inside of up to five wrappers: a part of the message given, or itself when nothing is wrapped.

    An empty wrapper holds an empty message. The wrapper for our own devices is none of these, see unwrap_device_sent.

    Source: Baileys normalizeMessageContent.
    """
    for _ in range(MAX_WRAPPERS):
        held = _held(message, WRAPPERS)
        if held is None:
            break
        message = held
    return message


def _held(message: proto.Message, wrappers: tuple[str, ...]) -> proto.Message | None:
    """What the first of these wrappers that is there holds; None when none is."""
    present: dict[str, Any] = {field.name: value for field, value in message.ListFields()}
    for name in wrappers:
        if name in present:
            inner: proto.Message = present[name].message
            return inner
    return None


def kind_of(message: proto.Message) -> str:
    """The name of the field that holds the content, "" when there is none."""
    for field, _ in message.ListFields():
        if field.name not in _BESIDE_CONTENT:
            return field.name
    return ""


def says_something(message: proto.Message) -> bool:
    """It has content: of a kind we know, or in a field that is newer than we are."""
    return bool(kind_of(message)) or len(UnknownFieldSet(message)) > 0


def secret_of(message: proto.Message) -> bytes | None:
    """The secret it carries outside of its wrappers, else with the content; None when it is not 32 bytes."""
    secret = message.messageContextInfo.messageSecret or normalise(message).messageContextInfo.messageSecret
    return secret if len(secret) == SECRET_SIZE else None


def context_of(message: proto.Message) -> proto.ContextInfo | None:
    """What the content answers, whom it names, how long it stays; None when it says nothing of that."""
    content = normalise(message)
    kind = kind_of(content)
    body: Any = getattr(content, kind) if kind else None
    if not _has_context(body) or not body.HasField("contextInfo"):
        return None
    found: proto.ContextInfo = body.contextInfo
    return found


def _has_context(body: Any) -> bool:
    return hasattr(body, "contextInfo")
