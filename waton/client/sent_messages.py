"""What we keep of a message we sent: all that is needed to encrypt it again for a device that could not read it.

A record under RecordKind.SENT_MESSAGE, keyed by the message id, saved in the unit of work that first encrypts the
message, and forgotten after SENT_SECONDS. It holds the content in clear, as the events do; its repr does not.

The stored form is one line of JSON, a newline, and the Message protobuf as it was encrypted, before any wrapper for our
own devices. Records of earlier versions hold an address instead of the JSON; they are read, with defaults for the rest.

Source: whatsmeow retry.go (what is kept, and for how long a resend is worth it), Baileys
Utils/message-retry-manager.ts (which keeps it in memory for five minutes).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from google.protobuf.message import DecodeError as ProtobufError

from waton.client.event_payload import record_of
from waton.client.events import MessageStatus
from waton.errors import StorageError
from waton.jid import Jid
from waton.protocol import proto

SENT_SECONDS = 7 * 86_400
"""How long a message of ours can be asked for again."""
_BODY = ("message",)
"""The field that is stored behind the line of JSON."""


@dataclass(frozen=True, slots=True, repr=False)
class SentMessage:
    """One message of ours."""

    chat: Jid
    """The person, group or list it went to, as it was addressed then."""
    at: int
    """Unix seconds when it was sent; 0 in records of earlier versions, which did not say."""
    message: bytes
    """Message protobuf: the content, without the wrapper for our own devices and without a sender key."""
    type: str = "text"
    """The stanza's type attribute."""
    mediatype: str | None = None
    decrypt_fail: str | None = None
    edit: str | None = None
    category: str | None = None
    """"peer" for what we told our own phone."""
    addressing_mode: str | None = None
    """A group's, "pn" or "lid", as it was then."""
    ephemeral: int | None = None
    """Seconds after which the chat makes messages disappear."""
    devices: tuple[Jid, ...] = ()
    """Who got a ciphertext of their own, or could read the group's."""
    status: MessageStatus = MessageStatus.PENDING
    phash: str = ""
    """The participant hash of the devices it was made for; "" in records of earlier versions."""

    @property
    def until(self) -> float:
        """Unix seconds after which the record may be forgotten."""
        return float(self.at + SENT_SECONDS)

    @property
    def is_group(self) -> bool:
        """One ciphertext under a sender key: a group, or a list such as the status."""
        return self.chat.is_group or self.chat.is_broadcast

    def content(self) -> proto.Message:
        """The message. Raises StorageError when the bytes are none."""
        try:
            return proto.Message.FromString(self.message)
        except ProtobufError as error:
            raise StorageError("sent_message") from error

    def got_to(self, status: MessageStatus) -> SentMessage:
        """How far it has got; receipts come in any order, so it never goes back.

        An error counts only as long as nobody is known to have it.
        """
        if status is MessageStatus.ERROR:
            is_later = self.status is MessageStatus.PENDING
        else:
            is_later = status > max(self.status, MessageStatus.PENDING)
        return replace(self, status=status) if is_later else self

    def also_to(self, devices: Iterable[Jid]) -> SentMessage:
        """The record with further devices it was encrypted for."""
        return replace(self, devices=tuple(dict.fromkeys((*self.devices, *devices))))

    def to_bytes(self) -> bytes:
        """The stored form."""
        head = record_of(SentMessage, _BODY).dump(self)
        return json.dumps(head, separators=(",", ":")).encode() + b"\n" + self.message

    @staticmethod
    def from_bytes(data: bytes) -> SentMessage:
        """Either form. Raises StorageError when the record is damaged."""
        head, newline, message = data.partition(b"\n")
        if not newline:
            raise StorageError("sent_message")
        try:
            if not head.startswith(b"{"):
                return SentMessage(Jid.parse(head.decode()), 0, message)
            return record_of(SentMessage, _BODY).load(json.loads(head), message=message)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise StorageError("sent_message") from error

    def __repr__(self) -> str:
        return f"<SentMessage {self.type} {self.status.name}, {len(self.devices)} devices>"
