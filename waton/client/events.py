"""What users subscribe to. Each class says when it is emitted; `.type` is Baileys' name for the same thing.

Events are values. Those that must survive a crash (`DurableEvent`) are stored in the unit of work that caused them,
before the server is told that we have the message, and emitted again after a restart if nobody handled them
(`redelivered`).

Where Baileys has one event for several kinds of news ("messages.update"), there is one class for each kind with that
same `.type`; their `.kind` tells them apart in the stored form. Where Baileys emits a list, one event is one member. A
few have no counterpart in Baileys; their docstrings say so.

A key names a message: the chat, the id and who wrote it. Three people may use one id, so nothing is ever looked up by
the id alone; the author in a key that we have not seen ourselves is whom somebody said it was.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, ClassVar, TypeAlias, TypeGuard, cast

from google.protobuf.message import DecodeError as ProtobufError

from waton.client.event_payload import Record, record_of, register
from waton.errors import RemoteProtocolError, StorageError
from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.binary_node import Node, decode_node, encode_node
from waton.protocol.message_secret import SecretUse
from waton.protocol.stanza.group import GroupMetadata, GroupParticipant


class _Quiet:
    """A repr that shows the class and a message's id: no content, no address."""

    __slots__ = ()

    def __repr__(self) -> str:
        key = getattr(self, "key", None)
        return f"<{type(self).__name__}{f' {key.id}' if isinstance(key, MessageKey) else ''}>"


# --- the connection and our account -----------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True, repr=False)
class CredentialsUpdate:
    """Emitted when the credentials changed; they are stored already. Shows no keys."""

    type: ClassVar[str] = "creds.update"
    what: tuple[str, ...] = field(default=())
    redelivered: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class OfflineDrained(_Quiet):
    """Emitted when the server has handed out everything that waited for us. Baileys: receivedPendingNotifications."""

    type: ClassVar[str] = "connection.update"
    kind: ClassVar[str] = "drained"
    count: int
    """How many stanzas had waited, as the server says."""


@dataclass(frozen=True, slots=True, repr=False)
class OnlineUpdate(_Quiet):
    """Emitted when we say whether somebody is looking. Baileys: isOnline."""

    type: ClassVar[str] = "connection.update"
    kind: ClassVar[str] = "online"
    is_online: bool


# --- messages ---------------------------------------------------------------------------------------------------------


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
    """The device that wrote it; in a key that another message names, the person."""
    author_alt: Jid | None = None
    """The author's other address (PN for a LID, LID for a PN), when it was told."""
    chat_alt: Jid | None = None
    """The chat's other address, when it is a person's and was told."""
    addressing_mode: str | None = None
    """AddressingMode's spelling, when the stanza says it."""
    server_id: str | None = None
    """In a newsletter: the number of the message there."""
    is_view_once: bool = False
    """The server kept the content back because it may be seen once, on the phone."""

    def __repr__(self) -> str:
        return f"<MessageKey {self.id}>"


class UpsertType(StrEnum):
    """Whether a message is news."""

    NOTIFY = "notify"
    APPEND = "append"
    """From the offline queue, from history, or sent by this device."""


@dataclass(frozen=True, slots=True, repr=False)
class MessagesUpsert:
    """Emitted when a message was decrypted and stored, or sent by us.

    Not for what changes another message (edits, revokes, reactions, votes), which has events of its own.
    """

    type: ClassVar[str] = "messages.upsert"
    key: MessageKey
    message: proto.Message
    timestamp: int
    """Unix seconds, the server's."""
    upsert: UpsertType = UpsertType.NOTIFY
    push_name: str = ""
    redelivered: bool = False
    """Stored before a crash or restart and emitted again."""
    verified_name: str = ""
    """A business's name, from the certificate in the stanza. The certificate's signature is not checked."""
    request_id: str = ""
    """Our request that the phone answered with this message; "" when it came by itself."""
    retry_count: int = 0
    """Which of our requests its author answered with it; 0 when it came by itself."""

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
    """Emitted when a message gets further.

    One of ours: the server has it, it was delivered, it was read. One of somebody else's (`key.from_me` is false): we
    have read or played it on another of our devices.
    """

    type: ClassVar[str] = "messages.update"
    key: MessageKey
    status: MessageStatus
    by: Jid
    """The device or person whose receipt says so; the server for SERVER_ACK."""
    timestamp: int
    """Unix seconds of this news; the message keeps its own time."""
    redelivered: bool = False
    error: int | None = None
    """The server's code, when status is ERROR: 463 token missing, 479 malformed ..."""

    def __repr__(self) -> str:
        return f"<MessagesUpdate {self.key.id} {self.status.name}>"


class Authority(StrEnum):
    """By what right somebody changes a message."""

    AUTHOR = "author"
    """We have the original, and he wrote it."""
    ADMIN = "admin"
    """Somebody else wrote it, and he is an admin of the group."""
    UNCONFIRMED_AUTHOR = "unconfirmed_author"
    """He names it as his own, and we do not have it. `key` names him as its author, so it fits nobody else's."""
    UNCONFIRMED_ADMIN = "unconfirmed_admin"
    """Somebody else wrote it, and we do not know whether he is an admin of the group."""

    @property
    def is_confirmed(self) -> bool:
        return self in (Authority.AUTHOR, Authority.ADMIN)


@dataclass(frozen=True, slots=True, repr=False)
class MessageEdited(_Quiet):
    """Emitted when the author of a message has changed it. Baileys takes such a change from anybody in the chat."""

    type: ClassVar[str] = "messages.update"
    kind: ClassVar[str] = "edit"
    key: MessageKey
    """The message that was changed."""
    message: proto.Message
    """Its content from now on."""
    by: MessageKey
    """The message that carried the change."""
    timestamp: int
    """Unix seconds of the change, as its author says, else the server's."""
    authority: Authority
    redelivered: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class MessageRevoked(_Quiet):
    """Emitted when a message was taken back, by its author or by an admin of the group.

    Baileys takes such a change from anybody in the chat.
    """

    type: ClassVar[str] = "messages.update"
    kind: ClassVar[str] = "revoke"
    key: MessageKey
    """The message that was taken back."""
    by: MessageKey
    """The message that says so; its author is who did it."""
    timestamp: int
    authority: Authority
    redelivered: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class MessageAddition(_Quiet):
    """Emitted when somebody added to a message what is sealed with that message's secret, and is still sealed.

    A vote in a poll, an answer to an event, an encrypted reaction, comment or edit. waton.protocol.message_secret opens
    it. Baileys opens answers to events and tells nothing of the others.
    """

    type: ClassVar[str] = "messages.update"
    kind: ClassVar[str] = "addition"
    key: MessageKey
    """The message that was added to: whose secret is needed."""
    by: MessageKey
    """The message that carried the addition; its author is who added."""
    use: SecretUse
    payload: bytes
    iv: bytes
    timestamp: int
    sent_at_ms: int | None = None
    """Unix milliseconds, as the adding person says."""
    authority: Authority | None = None
    """For an edit: by what right. None for what anybody may add."""
    redelivered: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class MessageReaction(_Quiet):
    """Emitted when somebody reacted to a message, or took the reaction back."""

    type: ClassVar[str] = "messages.reaction"
    key: MessageKey
    """The message reacted to."""
    text: str
    """The emoji; "" takes the reaction back."""
    by: MessageKey
    """The message that carried the reaction; its author is who reacted."""
    timestamp: int
    sent_at_ms: int | None = None
    """Unix milliseconds, as the reacting person says."""
    redelivered: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class MessagesDelete(_Quiet):
    """Emitted when messages were deleted for ourselves alone, on another of our devices."""

    type: ClassVar[str] = "messages.delete"
    chat: Jid
    keys: tuple[MessageKey, ...] = ()
    """Empty when it was the whole chat's content."""
    redelivered: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class MessageReceiptUpdate(_Quiet):
    """Emitted when one person has got, read or played a message of ours in a group or in our status."""

    type: ClassVar[str] = "message-receipt.update"
    key: MessageKey
    reader: Jid
    """The device whose receipt says so, or the person."""
    status: MessageStatus
    """DELIVERED, READ or PLAYED."""
    timestamp: int
    """Unix seconds."""
    reader_alt: Jid | None = None
    redelivered: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class MediaUpdate(_Quiet):
    """Emitted when the phone answered that it has uploaded a medium again, or cannot.

    The answer is sealed with the medium's key.
    """

    type: ClassVar[str] = "messages.media-update"
    key: MessageKey
    ciphertext: bytes = b""
    iv: bytes = b""
    error: int | None = None
    """A code instead of an answer: 2, the phone does not have it either."""
    redelivered: bool = False


class DecryptFail(StrEnum):
    """What the author wants shown when a message cannot be read (the decrypt-fail attribute)."""

    SHOW = ""
    HIDE = "hide"
    """Nothing: it is a reaction or the like."""


@dataclass(frozen=True, slots=True, repr=False)
class MessageUndecryptable:
    """Emitted when a message came that we could not read; it is kept, and the reason is in the trace.

    Emitted once more with `is_resolved` when it could be read after all; the message itself is a messages.upsert. Not
    in Baileys, which emits a message with a stub in place of content.
    """

    type: ClassVar[str] = "messages.undecryptable"
    key: MessageKey
    reason: str
    """DecryptReason's spelling, or "decode", "untrusted_identity", "unavailable", "absent"."""
    timestamp: int
    redelivered: bool = False
    retry_count: int = 0
    """How many times its author has been asked for it, this time included."""
    will_retry: bool = False
    """It has been asked for again, and may still come."""
    is_resolved: bool = False
    unavailable: str = ""
    """Why it carried nothing to decrypt, as the server says: "view_once" and the like."""
    decrypt_fail: DecryptFail = DecryptFail.SHOW
    upsert: UpsertType = UpsertType.NOTIFY
    """Whether it is news, as of a message that can be read."""
    push_name: str = ""

    def __repr__(self) -> str:
        return f"<MessageUndecryptable {self.key.id} {self.reason}>"


@dataclass(frozen=True, slots=True, repr=False)
class MessageResent(_Quiet):
    """Emitted when a message of ours was encrypted again for a device that could not read it. Not in Baileys."""

    type: ClassVar[str] = "messages.resent"
    key: MessageKey
    to: Jid
    """The device that asked."""
    retry_count: int
    """Which request of that device this answers."""
    timestamp: int
    reason: str = ""
    """RetryReason's name, in lower case."""
    redelivered: bool = False


class RefusedReason(StrEnum):
    """Why a message was not obeyed."""

    NOT_AUTHOR = "not_author"
    """An edit of a message that somebody else wrote."""
    NOT_ADMIN = "not_admin"
    """A revoke of a message that somebody else wrote, by no admin."""
    NOT_OURS = "not_ours"
    """What only our own phone may say, said by somebody else, or by another device of ours."""
    DESTINATION = "destination"
    """Our own device says inside that it wrote to another chat than the server says outside."""
    MALFORMED = "malformed"
    """It names no message, or has no content."""


@dataclass(frozen=True, slots=True, repr=False)
class MessageRefused(_Quiet):
    """Emitted when a message wanted to change what its author may not change. Nothing was changed. Not in Baileys."""

    type: ClassVar[str] = "messages.refused"
    key: MessageKey
    """The message that wanted it."""
    reason: RefusedReason
    what: str
    """The kind of the content: a protocol message's type, else the content's field."""
    timestamp: int
    target_id: str = ""
    """The message it wanted to change."""
    redelivered: bool = False


# --- groups -----------------------------------------------------------------------------------------------------------


class ParticipantAction(StrEnum):
    """What happened to participants of a group. Baileys' words."""

    ADD = "add"
    REMOVE = "remove"
    """By somebody else, or by themselves: `author` tells."""
    PROMOTE = "promote"
    DEMOTE = "demote"
    MODIFY = "modify"
    """They have another phone number."""


@dataclass(frozen=True, slots=True, repr=False)
class GroupParticipantsUpdate(_Quiet):
    """Emitted when people came into a group, left it, were removed, promoted or demoted."""

    type: ClassVar[str] = "group-participants.update"
    group: Jid
    action: ParticipantAction
    participants: tuple[GroupParticipant, ...]
    timestamp: int
    author: Jid | None = None
    """Who did it, in the group's addressing; None when the service did."""
    author_alt: Jid | None = None
    reason: str = ""
    """How they came in: "invite"; "" when an admin did it."""
    redelivered: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class GroupsUpsert(_Quiet):
    """Emitted when we came into a group: it was made with us in it, or we were added."""

    type: ClassVar[str] = "groups.upsert"
    group: Jid
    metadata: GroupMetadata
    timestamp: int
    author: Jid | None = None
    author_alt: Jid | None = None
    is_new: bool = False
    """It has just been made."""
    redelivered: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class GroupsUpdate(_Quiet):
    """Emitted when something about a group changed; fields that are None did not."""

    type: ClassVar[str] = "groups.update"
    group: Jid
    timestamp: int
    author: Jid | None = None
    """Who did it, in the group's addressing; None when the service did."""
    author_alt: Jid | None = None
    subject: str | None = None
    description: str | None = None
    """"" when it was taken away."""
    announcement: bool | None = None
    """Only admins may write. Baileys: announce."""
    locked: bool | None = None
    """Only admins may change subject, description and the like. Baileys: restrict."""
    ephemeral: int | None = None
    """Seconds after which messages disappear; 0 never."""
    member_add_mode: str | None = None
    """MemberAddMode's spelling."""
    membership_approval: bool | None = None
    """Baileys: joinApprovalMode."""
    invite_code: str | None = None
    suspended: bool | None = None
    is_deleted: bool | None = None
    other: tuple[Node, ...] = ()
    """Changes of a kind that has no field here, as they came."""
    redelivered: bool = False


class JoinRequestAction(StrEnum):
    """What became of somebody's wish to come into a group. Baileys' words."""

    CREATED = "created"
    REVOKED = "revoked"
    """By the one who wanted to come."""
    REJECTED = "rejected"
    """By an admin."""


@dataclass(frozen=True, slots=True, repr=False)
class GroupJoinRequest(_Quiet):
    """Emitted when somebody asks to come into a group that admits by admins, or that wish has ended."""

    type: ClassVar[str] = "group.join-request"
    group: Jid
    participant: Jid
    """Who wants to come, in the group's addressing."""
    action: JoinRequestAction
    timestamp: int
    participant_alt: Jid | None = None
    method: str = ""
    """invite_link, linked_group_join or non_admin_add."""
    author: Jid | None = None
    author_alt: Jid | None = None
    redelivered: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class GroupMemberTagUpdate(_Quiet):
    """Emitted when a member of a group has given himself another label there."""

    type: ClassVar[str] = "group.member-tag.update"
    group: Jid
    participant: Jid
    label: str
    """"" takes it away."""
    timestamp: int
    participant_alt: Jid | None = None
    redelivered: bool = False


# --- chats, people, calls ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class ChatsUpdate(_Quiet):
    """Emitted when somebody set after how long messages of a chat disappear.

    Baileys emits it for every message too, to count what is unread; that is left to whoever keeps the messages.
    """

    type: ClassVar[str] = "chats.update"
    chat: Jid
    ephemeral_expiration: int
    """Seconds; 0 never."""
    ephemeral_setting_timestamp: int
    """Unix seconds."""
    by: MessageKey
    """The message that says so."""
    redelivered: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class ContactsUpdate(_Quiet):
    """Emitted when we learn something about a person; fields that are None did not change."""

    type: ClassVar[str] = "contacts.update"
    contact: Jid
    alt: Jid | None = None
    """The person's other address, when it was told."""
    push_name: str | None = None
    """The name they gave themselves. Baileys: notify."""
    verified_name: str | None = None
    picture: str | None = None
    """The new profile picture's id; "" when it was taken away. Baileys: imgUrl."""
    redelivered: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class LidMappingUpdate(_Quiet):
    """Emitted when we learn that a phone number and a LID are one person."""

    type: ClassVar[str] = "lid-mapping.update"
    pn: Jid
    lid: Jid
    redelivered: bool = False


class Presence(StrEnum):
    """What a person is doing. Baileys' words."""

    AVAILABLE = "available"
    UNAVAILABLE = "unavailable"
    COMPOSING = "composing"
    RECORDING = "recording"
    PAUSED = "paused"
    """Has stopped writing. Baileys tells this as available."""


@dataclass(frozen=True, slots=True, repr=False)
class PresenceUpdate(_Quiet):
    """Emitted when somebody comes, goes, writes or stops. Not stored: it is true for a moment."""

    type: ClassVar[str] = "presence.update"
    chat: Jid
    participant: Jid
    presence: Presence
    last_seen: int | None = None
    """Unix seconds; None when it is not told."""
    online_count: int | None = None
    """In a group: how many are there."""
    redelivered: bool = False


class CallStatus(StrEnum):
    """What is told about a call. Baileys' words."""

    OFFER = "offer"
    RINGING = "ringing"
    PREACCEPT = "preaccept"
    TRANSPORT = "transport"
    RELAY_LATENCY = "relaylatency"
    ACCEPT = "accept"
    REJECT = "reject"
    TIMEOUT = "timeout"
    TERMINATE = "terminate"


@dataclass(frozen=True, slots=True, repr=False)
class CallUpdate(_Quiet):
    """Emitted when somebody calls, and for everything that is told about that call afterwards."""

    type: ClassVar[str] = "call"
    chat: Jid
    id: str
    caller: Jid
    status: CallStatus
    timestamp: int
    caller_pn: Jid | None = None
    is_offline: bool = False
    """It happened while we were not connected."""
    is_video: bool = False
    """Only an offer says it."""
    group: Jid | None = None
    """Only a group call's offer says it."""
    latency_ms: int | None = None
    redelivered: bool = False


class BlocklistAction(StrEnum):
    """Baileys' words."""

    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, repr=False)
class BlocklistUpdate(_Quiet):
    """Emitted when people were blocked or unblocked on another of our devices."""

    type: ClassVar[str] = "blocklist.update"
    people: tuple[Jid, ...]
    action: BlocklistAction
    redelivered: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class IdentityChanged(_Quiet):
    """Emitted when a device came with another identity key than the one we knew. Not in Baileys."""

    type: ClassVar[str] = "identity.changed"
    jid: Jid
    """The device."""
    old: str
    """Fingerprint of the key we knew; "" when we knew none."""
    new: str
    """Fingerprint of the key it has; "" when we do not know it yet."""
    decision: str
    """What was done: the new key was taken, or refused."""
    timestamp: int
    redelivered: bool = False


# --- all of them ------------------------------------------------------------------------------------------------------

TransientEvent: TypeAlias = ConnectionUpdate | OfflineDrained | OnlineUpdate | CredentialsUpdate | PresenceUpdate
"""Not stored."""
MessageEvent: TypeAlias = (
    MessagesUpsert
    | MessagesUpdate
    | MessageUndecryptable
    | MessageReceiptUpdate
    | MessageReaction
    | MessageEdited
    | MessageRevoked
    | MessageAddition
    | MessageResent
    | MessageRefused
    | MediaUpdate
)
"""About one message, their `key`."""
GroupEvent: TypeAlias = GroupParticipantsUpdate | GroupsUpdate | GroupsUpsert | GroupJoinRequest | GroupMemberTagUpdate
DurableEvent: TypeAlias = (
    MessageEvent
    | GroupEvent
    | MessagesDelete
    | ChatsUpdate
    | ContactsUpdate
    | LidMappingUpdate
    | CallUpdate
    | BlocklistUpdate
    | IdentityChanged
)
"""Stored before they are emitted, and emitted again until they are handled."""
Event: TypeAlias = TransientEvent | DurableEvent


def is_durable(event: Event) -> TypeGuard[DurableEvent]:
    """Whether an event is stored."""
    return not isinstance(event, TransientEvent)


def message_of(event: Event) -> MessageKey | None:
    """The message an event is about, None when it is about none."""
    return event.key if isinstance(event, MessageEvent) else None


def lane_of(event: Event) -> str:
    """The conversation an event belongs to, "" for none: what must stay in order among itself.

    A chat is told apart by the address its stanzas name it by: one person by LID and by phone number is two lanes.
    """
    if isinstance(event, MessageEvent):
        return str(event.key.chat)
    if isinstance(event, GroupEvent):
        return str(event.group)
    match event:
        case MessagesDelete() | ChatsUpdate() | PresenceUpdate() | CallUpdate():
            return str(event.chat.bare)
        case ContactsUpdate():
            return str(event.contact.bare)
        case IdentityChanged():
            return str(event.jid.bare)
        case ConnectionUpdate() | OfflineDrained() | OnlineUpdate() | CredentialsUpdate():
            return ""
        case BlocklistUpdate() | LidMappingUpdate():
            return ""


# --- their stored form ------------------------------------------------------------------------------------------------

_MESSAGE_KEY = ("author_alt", "chat_alt", "addressing_mode", "server_id", "is_view_once")
_KIND = "kind"
"""The member that tells events of one type apart; no event has a field of that name."""
_CLASSES: tuple[type[DurableEvent], ...] = (
    MessagesUpsert,
    MessagesUpdate,
    MessageEdited,
    MessageRevoked,
    MessageAddition,
    MessageReaction,
    MessagesDelete,
    MessageReceiptUpdate,
    MediaUpdate,
    MessageUndecryptable,
    MessageResent,
    MessageRefused,
    GroupParticipantsUpdate,
    GroupsUpsert,
    GroupsUpdate,
    GroupJoinRequest,
    GroupMemberTagUpdate,
    ChatsUpdate,
    ContactsUpdate,
    LidMappingUpdate,
    CallUpdate,
    BlocklistUpdate,
    IdentityChanged,
)


def _dump_key(key: MessageKey) -> list[Any]:
    """A list of the first four; an object of the others behind it, when there are any."""
    told: list[Any] = [str(key.chat), key.id, key.from_me, str(key.author)]
    more = _key_more().dump(key) if key.addressing_mode or _has_more(key) else {}
    return [*told, more] if more else told


def _has_more(key: MessageKey) -> bool:
    return bool(key.author_alt or key.chat_alt or key.server_id or key.is_view_once)


def _key_more() -> Record[MessageKey]:
    return record_of(MessageKey, ("chat", "id", "from_me", "author"))


def _load_key(value: Any) -> MessageKey:
    chat, id, from_me, author, *more = cast("list[Any]", value)
    named = {"chat": Jid.parse(str(chat)), "id": str(id), "from_me": bool(from_me), "author": Jid.parse(str(author))}
    return _key_more().load(more[0] if more else {}, **named)


def _dump_group(metadata: GroupMetadata) -> str:
    return encode_node(metadata.to_node()).hex()


def _load_group(value: str) -> GroupMetadata:
    return GroupMetadata.from_node(decode_node(bytes.fromhex(value)))


register(MessageKey, _dump_key, _load_key)
register(GroupMetadata, _dump_group, _load_group)
_RECORDS: dict[type[DurableEvent], Record[Any]] = {one: record_of(one, ("redelivered",)) for one in _CLASSES}
_NAMED = {(one.type, getattr(one, _KIND, "")): _RECORDS[one] for one in _CLASSES}


_DAMAGE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    ProtobufError,
    RemoteProtocolError,
)
"""What reading a damaged payload may raise."""


def to_payload(event: DurableEvent) -> bytes:
    """The stored form of an event: JSON. Holds the message's content."""
    values = _RECORDS[type(event)].dump(event)
    kind = getattr(event, _KIND, "")
    if kind:
        values[_KIND] = kind
    return json.dumps(values).encode()


def from_payload(type: str, payload: bytes) -> DurableEvent:
    """The event of a stored form, marked redelivered. Raises StorageError."""
    try:
        values = json.loads(payload)
        record = _NAMED.get((type, values.get(_KIND, "")))
        if record is None:
            raise StorageError(f"event {type}", "is of an unknown type")
        event: DurableEvent = record.load(values, redelivered=True)
        return event
    except _DAMAGE as error:
        raise StorageError(f"event {type}") from error
