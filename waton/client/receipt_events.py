"""What a receipt means: how far messages have got, as events.

Receipts about our own messages come from everybody who got them, device by device; those about other people's messages
come from our own other devices, when a chat is read there. A receipt has the time of the reading, never that of the
message.

A receipt is the server's word and not encrypted. It can say of a message only what its sender may: one that we know to
have gone to somebody else is passed over.

Source: Baileys Socket/messages-recv.ts handleReceipt (which knows neither gathered receipts nor what our other devices
have played), whatsmeow receipt.go, whatsapp-rust src/receipt.rs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from waton.client.events import MessageKey, MessageReceiptUpdate, MessageStatus, MessagesUpdate
from waton.client.message_keys import Me, at_home, same_person
from waton.jid import Jid
from waton.protocol.binary_node import Node, get_text
from waton.protocol.stanza.receipt import Receipt, ReceiptType

ReceiptEvent: TypeAlias = MessagesUpdate | MessageReceiptUpdate

STATUS: Mapping[str, MessageStatus] = {
    ReceiptType.SENDER: MessageStatus.SERVER_ACK,
    ReceiptType.DELIVERED: MessageStatus.DELIVERED,
    ReceiptType.INACTIVE: MessageStatus.DELIVERED,
    ReceiptType.READ: MessageStatus.READ,
    ReceiptType.READ_SELF: MessageStatus.READ,
    ReceiptType.PLAYED: MessageStatus.PLAYED,
    ReceiptType.PLAYED_SELF: MessageStatus.PLAYED,
}
"""Types that say how far a message has got; the others say other things."""
_BY_OURSELVES = (ReceiptType.READ, ReceiptType.READ_SELF, ReceiptType.PLAYED, ReceiptType.PLAYED_SELF)


@dataclass(frozen=True, slots=True)
class _Word:
    """What one reader says of some messages."""

    ids: tuple[str, ...]
    reader: Jid
    """The device, or the person."""
    reader_alt: Jid | None
    type: str
    t: int


def receipt_events(receipt: Receipt, me: Me, sent: Mapping[str, MessageKey], now: int) -> tuple[ReceiptEvent, ...]:
    """The events of one receipt, in the order of its messages and readers.

    Args:
        receipt: as it came.
        me: our own addresses.
        sent: the keys of those of its messages that this device has sent. Of others it is not known where they went:
            their keys are what the stanza says.
        now: Unix seconds, for a receipt without a time.
    Returns:
        nothing for types that say something else: retry, server-error (somebody wants a medium uploaded again),
        peer_msg, hist_sync, view.
    """
    return tuple(event for word in _words(receipt, now) for event in _events_of(word, receipt, me, sent))


def message_ids(receipt: Receipt) -> tuple[str, ...]:
    """Every message a receipt is about: what to look up for `receipt_events`."""
    gathered = tuple(several.id for several in receipt.readers)
    return gathered or receipt.ids


def how_many(receipt: Receipt) -> int:
    """The most events that a receipt can be."""
    return sum(len(several.readers) for several in receipt.readers) or len(receipt.ids)


def _words(receipt: Receipt, now: int) -> Iterable[_Word]:
    t = now if receipt.t is None else receipt.t
    for several in receipt.readers:
        for one in several.readers:
            type = receipt.type if one.type is None else one.type
            yield _Word((several.id,), one.jid, one.pn, type, t if one.t is None else one.t)
    if not receipt.readers:
        yield _Word(receipt.ids, receipt.participant or receipt.peer, receipt.participant_pn, receipt.type, t)


def _events_of(word: _Word, receipt: Receipt, me: Me, sent: Mapping[str, MessageKey]) -> Iterable[ReceiptEvent]:
    status = STATUS.get(word.type)
    if status is None:
        return
    if status is MessageStatus.DELIVERED and _is_incapable(receipt.content):
        status = MessageStatus.SERVER_ACK
    is_many = _is_many(receipt)
    for id in word.ids:
        if word.type in _BY_OURSELVES and me.is_me(word.reader):
            yield MessagesUpdate(_read_by_us(receipt, id), status, word.reader, word.t)
            continue
        key = sent.get(id) or _ours(receipt, id, me, word.reader)
        if not _may_speak(word, receipt, me, key):
            continue
        if is_many and status >= MessageStatus.DELIVERED:
            yield MessageReceiptUpdate(key, word.reader, status, word.t, word.reader_alt)
        else:
            yield MessagesUpdate(key, status, word.reader, word.t)


def _is_many(receipt: Receipt) -> bool:
    return receipt.peer.is_group or receipt.peer.is_broadcast or receipt.peer.is_newsletter


def _may_speak(word: _Word, receipt: Receipt, me: Me, key: MessageKey) -> bool:
    """Whether this reader can have got that message: it went to him, to this group, or is on our other device."""
    if word.type == ReceiptType.SENDER:
        return me.is_me(word.reader)
    if _is_many(receipt):
        return receipt.peer.bare == key.chat
    return key.chat.is_broadcast or same_person((key.chat, key.chat_alt), (word.reader,)) is not False


def _ours(receipt: Receipt, id: str, me: Me, reader: Jid) -> MessageKey:
    """The key of a message of ours that this device did not send, as the stanza tells it."""
    chat = at_home(receipt.peer.bare if _is_many(receipt) else (receipt.recipient or receipt.peer).bare)
    return MessageKey(chat, id, True, me.beside(reader) or chat)


def _read_by_us(receipt: Receipt, id: str) -> MessageKey:
    """The key of somebody else's message that we read on another device: recipient is its author, the chat in 1:1."""
    author = at_home((receipt.recipient or receipt.peer).bare)
    return MessageKey(receipt.peer.bare if _is_many(receipt) else author, id, False, author)


def _is_incapable(content: Iterable[Node]) -> bool:
    """The server says that it could not be delivered after all. Source: whatsapp-rust, from the web client."""
    return any(
        child.tag == "error" and get_text(child, "reason") == "lid" and get_text(child, "type") == "feature-incapable"
        for child in content
    )
