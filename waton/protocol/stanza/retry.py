"""receipt type=retry: "I could not read this message, send it again", with what is needed for a fresh session.

The reader names the message, counts its requests, says why (a RetryReason), and from some count on includes its own
bundle (<keys>), so that the author need not ask the server for one. The author answers with the same message id and the
count in its <enc>. Who asks, when, and who is answered is not said here: see waton.client.retry_manager.

A call has a request of its own, type=enc_rekey_retry, which names the call instead of a message.

Source: Baileys Socket/messages-recv.ts sendRetryRequest, whatsmeow retry.go, whatsapp-rust src/retry.rs.
"""

from __future__ import annotations

from dataclasses import dataclass

from waton.errors import DecryptReason, RetryReason
from waton.jid import Jid
from waton.protocol.binary_node import (
    Node,
    content_bytes,
    get_text,
    require_child,
    require_int,
    require_jid,
    require_text,
)
from waton.protocol.stanza.encrypt import Bundle
from waton.protocol.stanza.message import IncomingMessage
from waton.protocol.stanza.receipt import Receipt, ReceiptType

MAX_COUNT = 5
"""Requests for one message after which both sides give up. Source: whatsmeow retry.go."""
VERSION = "1"
"""The `v` of every <retry> seen so far."""
PEER = "peer"
"""The category of what our own devices tell each other."""
_REASONS = {
    DecryptReason.NO_SESSION: RetryReason.NO_SESSION,
    DecryptReason.NO_SENDER_KEY: RetryReason.NO_SESSION,
    DecryptReason.INVALID_KEY: RetryReason.INVALID_KEY,
    DecryptReason.INVALID_KEY_ID: RetryReason.INVALID_KEY_ID,
    DecryptReason.INVALID_MESSAGE: RetryReason.INVALID_MESSAGE,
    DecryptReason.INVALID_SIGNATURE: RetryReason.INVALID_SIGNATURE,
    DecryptReason.FUTURE_MESSAGE: RetryReason.FUTURE_MESSAGE,
    DecryptReason.BAD_MAC: RetryReason.BAD_MAC,
}


def retry_reason(reason: DecryptReason) -> RetryReason:
    """The wire's number for why a message could not be read."""
    return _REASONS.get(reason, RetryReason.UNKNOWN)


@dataclass(frozen=True, slots=True)
class RetryRequest:
    """One request for one message."""

    id: str
    peer: Jid
    """`to` on the way out: the device that wrote the message. `from` on the way in: the device that asks."""
    count: int
    """From 1."""
    t: int
    """Unix seconds: when the message was sent."""
    registration_id: int
    """The reader's."""
    bundle: Bundle | None = None
    """The reader's keys for a fresh session."""
    error: int = RetryReason.UNKNOWN
    """The number as it came; see `reason`."""
    participant: Jid | None = None
    recipient: Jid | None = None
    category: str | None = None
    """"peer": the message was one of our phone's to this device."""
    version: str = VERSION
    at: int | None = None
    """On the way in, Unix seconds: when the server took it. Tells a request that comes again from another one."""

    @property
    def reason(self) -> RetryReason:
        """Why, as far as we have a name for the number; UNKNOWN otherwise."""
        return RetryReason(self.error) if self.error in set(RetryReason) else RetryReason.UNKNOWN

    @property
    def requester(self) -> Jid:
        """On the way in: the device that asks. In a group that is the participant."""
        return self.participant or self.peer

    @staticmethod
    def of(
        stanza: IncomingMessage,
        *,
        count: int,
        error: RetryReason,
        registration_id: int,
        bundle: Bundle | None = None,
        is_peer: bool = False,
    ) -> RetryRequest:
        """The request for a message that came and could not be read, addressed as the message was.

        Args:
            stanza: the message.
            count: which request this is, from 1.
            error: why.
            registration_id: ours.
            bundle: our keys, when the author is to make a fresh session from them.
            is_peer: it is our own phone's word to this device.
        """
        return RetryRequest(
            id=stanza.id,
            peer=stanza.sender,
            count=count,
            t=stanza.t,
            registration_id=registration_id,
            bundle=bundle,
            error=error,
            participant=stanza.participant,
            recipient=stanza.recipient,
            category=PEER if is_peer else None,
        )

    def to_node(self) -> Node:
        attrs: dict[str, str | Jid | None] = {
            "count": str(self.count),
            "id": self.id,
            "t": str(self.t),
            "v": self.version,
            "error": str(int(self.error)),
        }
        content = [Node("retry", attrs), Node("registration", None, self.registration_id.to_bytes(4, "big"))]
        if self.bundle is not None:
            content.append(Node("keys", None, self.bundle.key_nodes()))
        receipt = Receipt(
            ids=(self.id,),
            peer=self.peer,
            type=ReceiptType.RETRY,
            participant=self.participant,
            recipient=self.recipient,
            content=tuple(content),
            category=self.category,
        )
        return receipt.to_node()

    @staticmethod
    def from_receipt(receipt: Receipt) -> RetryRequest:
        """Raises StanzaError, or RemoteProtocolError for keys of another kind."""
        holder = Node("receipt", {"id": receipt.ids[0]}, list(receipt.content))
        retry = require_child(holder, "retry")
        registration = int.from_bytes(content_bytes(require_child(holder, "registration"), 4), "big")
        keys = holder.child("keys")
        error = get_text(retry, "error")
        return RetryRequest(
            id=receipt.ids[0],
            peer=receipt.peer,
            count=require_int(retry, "count"),
            t=require_int(retry, "t"),
            registration_id=registration,
            bundle=None if keys is None else Bundle.from_keys(keys, registration),
            error=int(error) if error and error.isdecimal() and len(error) < 9 else RetryReason.UNKNOWN,
            participant=receipt.participant,
            recipient=receipt.recipient,
            category=receipt.category,
            version=get_text(retry, "v") or VERSION,
            at=receipt.t,
        )


@dataclass(frozen=True, slots=True)
class RekeyRequest:
    """receipt type=enc_rekey_retry: somebody could not read the key of a call. It names no message."""

    id: str
    """Of the call stanza."""
    peer: Jid
    call_id: str
    call_creator: Jid
    count: int
    registration_id: int

    def to_node(self) -> Node:
        attrs: dict[str, str | Jid | None] = {
            "call-creator": self.call_creator,
            "call-id": self.call_id,
            "count": str(self.count),
        }
        registration = Node("registration", None, self.registration_id.to_bytes(4, "big"))
        content = (Node("enc_rekey", attrs), registration)
        return Receipt((self.id,), self.peer, ReceiptType.ENC_REKEY_RETRY, content=content).to_node()

    @staticmethod
    def from_receipt(receipt: Receipt) -> RekeyRequest:
        """Raises StanzaError."""
        holder = Node("receipt", {"id": receipt.ids[0]}, list(receipt.content))
        rekey = require_child(holder, "enc_rekey")
        return RekeyRequest(
            id=receipt.ids[0],
            peer=receipt.peer,
            call_id=require_text(rekey, "call-id"),
            call_creator=require_jid(rekey, "call-creator"),
            count=require_int(rekey, "count"),
            registration_id=int.from_bytes(content_bytes(require_child(holder, "registration"), 4), "big"),
        )
