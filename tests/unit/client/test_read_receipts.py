"""Receipts for what was read: gathered by conversation and author, and never for our own."""

from __future__ import annotations

import pytest

from waton.client.events import MessageKey
from waton.client.read_receipts import gathered
from waton.jid import STATUS_BROADCAST, Jid
from waton.protocol.stanza.receipt import Receipt, ReceiptType

ADA, BEA = Jid.parse("77000000000002:5@lid"), Jid.parse("77000000000003@lid")
GROUP = Jid.parse("120363020000000001@g.us")


def key(chat: Jid, author: Jid, id: str, *, from_me: bool = False) -> MessageKey:
    return MessageKey(chat.bare, id, from_me, author)


def test_one_receipt_for_each_author_in_each_conversation() -> None:
    keys = [
        key(ADA, ADA, "1"),
        key(GROUP, BEA, "2"),
        key(ADA, ADA, "3"),
        key(GROUP, ADA, "4"),
        key(GROUP, BEA, "5"),
    ]
    assert gathered(keys, ReceiptType.READ, 7.9) == [
        Receipt(("1", "3"), ADA.bare, "read", t=7),
        Receipt(("2", "5"), GROUP, "read", participant=BEA, t=7),
        Receipt(("4",), GROUP, "read", participant=ADA, t=7),
    ]


def test_a_status_has_an_author_too() -> None:
    [receipt] = gathered([key(STATUS_BROADCAST, BEA, "1")], ReceiptType.READ_SELF, 7)
    assert (receipt.peer, receipt.participant, receipt.type) == (STATUS_BROADCAST, BEA, "read-self")


def test_our_own_messages_get_none() -> None:
    assert gathered([key(ADA, BEA, "1", from_me=True)], ReceiptType.READ, 7) == []
    assert gathered([], ReceiptType.READ, 7) == []


@pytest.mark.parametrize(("type", "t"), [("read", 7), ("read-self", 7), ("played", None), ("inactive", None)])
def test_only_reading_says_when(type: str, t: int | None) -> None:
    [receipt] = gathered([key(ADA, ADA, "1")], type, 7)
    assert receipt.t == t
