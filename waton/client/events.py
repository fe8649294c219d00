"""What users subscribe to. Each class says when it is emitted; `.type` is Baileys' name for the same thing.

Events are values. Those that must survive a crash (`durable`) are stored in the unit of work that caused them, before
the server is told that we have the message, and emitted again after a restart if nobody handled them (`redelivered`).
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import ClassVar, TypeAlias

from google.protobuf.message import DecodeError as ProtobufError

from waton.errors import StorageError
from waton.jid import Jid
from waton.protocol import proto


class ConnectionStatus(StrEnum):
    """Where a session is, for people and for the pairing widget."""

    IDLE = "idle"
    CONNECTING = "connecting"
    QR = "qr"
    """Waiting for a phone to scan."""
    PAIRED = "paired"
    """The phone has vouched for us; the server restarts the stream now."""
    OPEN = "open"
    RECONNECTING = "reconnecting"
    """The connection was lost; the next attempt is timed."""
    CLOSED = "closed"
    """Over: logged out, refused, or closed by us."""


@dataclass(frozen=True, slots=True, repr=False)
class ConnectionUpdate:
    """Emitted when the connection's status changes, and for every new QR."""

    type: ClassVar[str] = "connection.update"
    status: ConnectionStatus
    qr: str | None = None
    """The text to draw. Holds a secret: show it, do not keep it."""
    qr_expires_at: float | None = None
    """Unix seconds."""
    qr_left: int = 0
    """How many further QRs the server's refs allow."""
    me: Jid | None = None
    lid: Jid | None = None
    error: Exception | None = None
    """Why it was lost or closed."""
    retry_at: float | None = None
    """Unix seconds of the next attempt, when reconnecting."""

    def __repr__(self) -> str:
        return f"<ConnectionUpdate {self.status.value}>"


class MessageStatus(IntEnum):
    """How far a message of ours has got. Baileys' numbers (WebMessageInfo.Status)."""

    ERROR = 0
    PENDING = 1
    SERVER_ACK = 2
    DELIVERED = 3
    READ = 4
    PLAYED = 5


@dataclass(frozen=True, slots=True, repr=False)
class MessageKey:
    """What identifies a message."""

    chat: Jid
    """The other person or the group, without a device."""
    id: str
    from_me: bool
    author: Jid
    """The device that wrote it."""


class UpsertType(StrEnum):
    """Whether a message is news."""

    NOTIFY = "notify"
    APPEND = "append"
    """From the offline queue, from history, or sent by this device."""


@dataclass(frozen=True, slots=True, repr=False)
class MessagesUpsert:
    """Emitted when a message was decrypted and stored, or sent by us."""

    type: ClassVar[str] = "messages.upsert"
    key: MessageKey
    message: proto.Message
    timestamp: int
    """Unix seconds, the server's."""
    upsert: UpsertType = UpsertType.NOTIFY
    push_name: str = ""
    redelivered: bool = False
    """Stored before a crash or restart and emitted again."""

    @property
    def text(self) -> str | None:
        """The text of a text message, None for other kinds."""
        if self.message.HasField("conversation"):
            return self.message.conversation
        if self.message.HasField("extendedTextMessage"):
            return self.message.extendedTextMessage.text
        return None

    def __repr__(self) -> str:
        return f"<MessagesUpsert {self.key.id} {self.upsert.value}>"


@dataclass(frozen=True, slots=True, repr=False)
class MessagesUpdate:
    """Emitted when a message of ours gets further: the server has it, it was delivered, it was read."""

    type: ClassVar[str] = "messages.update"
    key: MessageKey
    status: MessageStatus
    by: Jid
    """The device or person whose receipt says so; the server for SERVER_ACK."""
    timestamp: int
    redelivered: bool = False

    def __repr__(self) -> str:
        return f"<MessagesUpdate {self.key.id} {self.status.name}>"


@dataclass(frozen=True, slots=True, repr=False)
class MessageUndecryptable:
    """Emitted when a message came that we could not read; it is kept, and the reason is in the trace."""

    type: ClassVar[str] = "messages.undecryptable"
    key: MessageKey
    reason: str
    """DecryptReason's spelling, or "decode", "untrusted_identity", "unavailable", "absent"."""
    timestamp: int
    redelivered: bool = False

    def __repr__(self) -> str:
        return f"<MessageUndecryptable {self.key.id} {self.reason}>"


@dataclass(frozen=True, slots=True, repr=False)
class CredentialsUpdate:
    """Emitted when the credentials changed; they are stored already. Shows no keys."""

    type: ClassVar[str] = "creds.update"
    what: tuple[str, ...] = field(default=())
    redelivered: bool = False


Event: TypeAlias = ConnectionUpdate | MessagesUpsert | MessagesUpdate | MessageUndecryptable | CredentialsUpdate
DurableEvent: TypeAlias = MessagesUpsert | MessagesUpdate | MessageUndecryptable


def to_payload(event: DurableEvent) -> bytes:
    """The stored form of an event: JSON. Holds the message's content."""
    values: dict[str, object] = {"key": _key_to_json(event.key), "timestamp": event.timestamp}
    match event:
        case MessagesUpsert():
            values["message"] = b64encode(event.message.SerializeToString()).decode()
            values["upsert"] = event.upsert.value
            values["push_name"] = event.push_name
        case MessagesUpdate():
            values["status"] = int(event.status)
            values["by"] = str(event.by)
        case MessageUndecryptable():
            values["reason"] = event.reason
    return json.dumps(values).encode()


def from_payload(type: str, payload: bytes) -> DurableEvent:
    """The event of a stored form, marked redelivered. Raises StorageError."""
    try:
        values: Mapping[str, str] = json.loads(payload)
        key, timestamp = _key_from_json(values["key"]), int(values["timestamp"])
        match type:
            case MessagesUpsert.type:
                message = proto.Message.FromString(b64decode(values["message"], validate=True))
                upsert = UpsertType(values["upsert"])
                return MessagesUpsert(key, message, timestamp, upsert, values["push_name"], redelivered=True)
            case MessagesUpdate.type:
                status = MessageStatus(int(values["status"]))
                return MessagesUpdate(key, status, Jid.parse(values["by"]), timestamp, redelivered=True)
            case MessageUndecryptable.type:
                return MessageUndecryptable(key, values["reason"], timestamp, redelivered=True)
            case _:
                raise StorageError(f"event {type}", "is of an unknown type")
    except (ValueError, KeyError, TypeError, OverflowError, ProtobufError) as error:
        raise StorageError(f"event {type}") from error


def _key_to_json(key: MessageKey) -> list[str | bool]:
    return [str(key.chat), key.id, key.from_me, str(key.author)]


def _key_from_json(value: str | list[str | bool]) -> MessageKey:
    chat, id, from_me, author = value
    return MessageKey(Jid.parse(str(chat)), str(id), bool(from_me), Jid.parse(str(author)))
