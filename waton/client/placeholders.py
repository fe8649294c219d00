"""Placeholders: what we know of a message that we could not read, and how the phone is asked for it.

A record under RecordKind.PLACEHOLDER, keyed by chat, id and author, saved in the unit of work that acknowledges the
message and gone when the message could be read. It holds what a request needs after a restart: one to the author
(RetryRequest), or one to our own phone. The phone has read most messages itself, and hands out what it has:

    request    protocolMessage PEER_DATA_OPERATION_REQUEST_MESSAGE, PLACEHOLDER_MESSAGE_RESEND, the message's key;
               a peer message to our own account (PEER_CATEGORY, PEER_PRIORITY, PEER_META)
    response   protocolMessage PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE, a WebMessageInfo for each key

An answer counts only if our own phone (device 0) gave it, for a message we hold a placeholder of, in its own
conversation and by its own author: what a peer message claims is put into the chat unseen, so nothing in it may name
another message. What the phone leaves out or tells differently (LID, device of the author, push name) is kept as the
stanza told it.

Source: whatsapp-rust src/pdo.rs, Baileys Socket/messages-recv.ts requestPlaceholderResend and Utils/process-message.ts,
whatsmeow send.go BuildUnavailableMessageRequest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Set
from dataclasses import dataclass, replace

from google.protobuf.message import DecodeError as ProtobufError

from waton.client.event_payload import record_of
from waton.client.events import MessageKey, MessagesUpsert, UpsertType
from waton.errors import DecodeError, RemoteProtocolError, StorageError
from waton.jid import Jid
from waton.protocol import message as content
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.stanza.message import IncomingMessage

PLACEHOLDER_SECONDS = 14 * 86_400
"""How long a placeholder is kept: as long as the phone may be asked."""
PEER_CATEGORY = "peer"
PEER_PRIORITY = "high_force"
"""The push_priority of a question to the phone: it is woken for it."""
PEER_META = Node("meta", {"appdata": "default"})
"""Goes along as a further child of the stanza."""
MOST_ANSWERS = 256
"""Messages taken from one response."""
_OPERATION = proto.Message.ProtocolMessage.PEER_DATA_OPERATION_REQUEST_MESSAGE
_ANSWER = proto.Message.ProtocolMessage.PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE
_RESEND = proto.Message.PLACEHOLDER_MESSAGE_RESEND


@dataclass(frozen=True, slots=True, repr=False)
class Placeholder:
    """One message we could not read, as its stanza told of it."""

    key: MessageKey
    sender: Jid
    """`from`, and in the other fields `participant` and `recipient`: where a request to its author goes."""
    timestamp: int
    """Unix seconds, the server's."""
    reason: str
    """Failure's spelling."""
    participant: Jid | None = None
    recipient: Jid | None = None
    is_peer: bool = False
    is_offline: bool = False
    """It came out of the offline queue."""
    push_name: str = ""
    asked_at: int | None = None
    """Unix seconds when the phone was asked last."""
    request_id: str = ""
    """The id of our question to the phone."""

    @staticmethod
    def of(stanza: IncomingMessage, key: MessageKey, reason: str, *, is_peer: bool = False) -> Placeholder:
        """Of a stanza that gave nothing."""
        return Placeholder(
            key=key,
            sender=stanza.sender,
            timestamp=stanza.t,
            reason=reason,
            participant=stanza.participant,
            recipient=stanza.recipient,
            is_peer=is_peer,
            is_offline=stanza.offline is not None,
            push_name=stanza.notify,
        )

    @property
    def until(self) -> float:
        """Unix seconds after which it may be forgotten."""
        return float(self.timestamp + PLACEHOLDER_SECONDS)

    def asked(self, now: float, request_id: str) -> Placeholder:
        """The phone was asked for it, in a message of this id."""
        return replace(self, asked_at=int(now), request_id=request_id)

    def to_json(self) -> bytes:
        """The stored form."""
        return json.dumps(record_of(Placeholder).dump(self), separators=(",", ":")).encode()

    @staticmethod
    def from_json(data: bytes) -> Placeholder:
        """Raises StorageError when the record is damaged."""
        try:
            return record_of(Placeholder).load(json.loads(data))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise StorageError("placeholder") from error

    def __repr__(self) -> str:
        return f"<Placeholder {self.key.id} {self.reason}>"


# --- the question -----------------------------------------------------------------------------------------------------


def resend_request(keys: Iterable[proto.MessageKey]) -> proto.Message:
    """The question to our phone for these messages; see `phone_key`."""
    request = proto.Message.PeerDataOperationRequestMessage
    asked = [request.PlaceholderMessageResendRequest(messageKey=key) for key in keys]
    operation = request(peerDataOperationRequestType=_RESEND, placeholderMessageResendRequest=asked)
    protocol = proto.Message.ProtocolMessage(type=_OPERATION, peerDataOperationRequestMessage=operation)
    return proto.Message(protocolMessage=protocol)


def phone_key(key: MessageKey, *, chat: Jid | None = None, author: Jid | None = None) -> proto.MessageKey:
    """A message's key as the phone looks it up.

    Args:
        key: the message.
        chat: its canonical address (LID where known), for the phone keeps its messages under that; None takes the
            key's own.
        author: the same for its author.
    """
    is_shared = key.chat.is_group or key.chat.is_broadcast
    named = proto.MessageKey(remoteJid=str((chat or key.chat).bare), fromMe=key.from_me, id=key.id)
    if is_shared and not key.from_me:
        named.participant = str((author or key.author).bare)
    return named


# --- the answer -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class PhoneAnswer:
    """One message as the phone has it. Not checked yet: see `recover`."""

    id: str
    info: proto.WebMessageInfo
    request_id: str
    """The question it answers, as the phone says."""

    @property
    def chat(self) -> Jid | None:
        """The conversation it names, None when that is no address."""
        return _bare(_text(self.info.key.remoteJid))


def is_response(message: proto.Message) -> bool:
    """It answers a question to the phone."""
    return message.protocolMessage.type == _ANSWER and message.protocolMessage.HasField(
        "peerDataOperationRequestResponseMessage"
    )


def answered_ids(message: proto.Message) -> set[str]:
    """The ids of the messages in a response, whoever wrote it."""
    return {answer.id for answer in _answers(message)}


def read_response(message: proto.Message, author: Jid, *, is_me: bool) -> list[PhoneAnswer]:
    """The messages in a response, without those that do not parse.

    Args:
        message: what was decrypted.
        author: the device that wrote it.
        is_me: it is a device of our own account.
    Raises:
        RemoteProtocolError: it is no response, or not our own phone's.
    """
    if not is_response(message):
        raise RemoteProtocolError("not an answer to a question to the phone")
    if not is_me or author.device != 0:
        raise RemoteProtocolError("an answer to a question to the phone that the phone has not given")
    return _answers(message)


def _answers(message: proto.Message) -> list[PhoneAnswer]:
    response = message.protocolMessage.peerDataOperationRequestResponseMessage
    answers: list[PhoneAnswer] = []
    for result in response.peerDataOperationResult[:MOST_ANSWERS]:
        data = result.placeholderMessageResendResponse.webMessageInfoBytes
        try:
            info = proto.WebMessageInfo.FromString(data)
        except ProtobufError:
            continue  # it stays a placeholder, and may still come from its author
        if id := _text(info.key.id):
            answers.append(PhoneAnswer(id, info, _text(response.stanzaId)))
    return answers


def recover(
    answer: PhoneAnswer, placeholder: Placeholder | None, *, chats: Set[Jid], authors: Set[Jid]
) -> MessagesUpsert:
    """The message that a placeholder stood for, as an event.

    Args:
        answer: what the phone says.
        placeholder: the one of answer.id; None when there is none.
        chats: the addresses of the placeholder's conversation, bare: both of a person's.
        authors: the same for its author.
    Raises:
        RemoteProtocolError: we did not ask for it, or it names another conversation or author.
        DecodeError: the phone has no content of it either.
    """
    if placeholder is None or placeholder.asked_at is None or placeholder.key.id != answer.id:
        raise RemoteProtocolError("the phone tells of a message that it was not asked for")
    key, info = placeholder.key, answer.info
    is_named = _bare(_text(info.key.remoteJid)) in chats and info.key.fromMe == key.from_me
    participant = _text(info.key.participant) or _text(info.participant)
    if not is_named or (participant and not key.from_me and _bare(participant) not in authors):
        raise RemoteProtocolError("the phone tells of another message than it was asked for")
    if not content.kind_of(info.message):
        raise DecodeError(0, b"", "message from the phone")
    upsert = UpsertType.APPEND if placeholder.is_offline else UpsertType.NOTIFY
    timestamp = info.messageTimestamp or placeholder.timestamp
    name = placeholder.push_name or _text(info.pushName)
    return MessagesUpsert(key, info.message, timestamp, upsert, name, request_id=answer.request_id)


def _text(value: str | bytes) -> str:
    """A text field; one with invalid UTF-8 is bytes, and counts as absent."""
    return value if isinstance(value, str) else ""


def _bare(text: str) -> Jid | None:
    try:
        return Jid.parse(text).bare
    except ValueError:
        return None
