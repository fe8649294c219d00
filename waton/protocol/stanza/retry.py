"""receipt type=retry: "I could not read this message, send it again", with what is needed for a fresh session.

The reader names the message, counts its requests, and from some count on includes its own bundle (<keys>), so that the
author need not ask the server for one. The author answers with the same message id and the count in its <enc>.

Source: Baileys Socket/messages-recv.ts sendRetryRequest, whatsmeow retry.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from waton.errors import DecryptReason, RetryReason
from waton.jid import Jid
from waton.protocol.binary_node import Node, content_bytes, get_text, require_child, require_int
from waton.protocol.stanza.encrypt import Bundle
from waton.protocol.stanza.receipt import Receipt, ReceiptType

MAX_COUNT = 5
"""Requests for one message after which both sides give up. Source: whatsmeow retry.go."""
_REASONS = {
    DecryptReason.NO_SESSION: RetryReason.NO_SESSION,
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
    participant: Jid | None = None
    recipient: Jid | None = None

    def to_node(self) -> Node:
        attrs: dict[str, str | Jid | None] = {
            "count": str(self.count),
            "id": self.id,
            "t": str(self.t),
            "v": "1",
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
        )
        return receipt.to_node()

    @staticmethod
    def from_receipt(receipt: Receipt) -> RetryRequest:
        """Raises StanzaError."""
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
        )
