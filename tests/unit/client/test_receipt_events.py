"""What a receipt means: whose message got how far, who may say so, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from waton.client.events import MessageKey, MessageReceiptUpdate, MessageStatus, MessagesUpdate
from waton.client.message_keys import Me
from waton.client.receipt_events import ReceiptEvent, message_ids, receipt_events
from waton.jid import STATUS_BROADCAST, Jid
from waton.protocol.binary_node import Node
from waton.protocol.stanza.receipt import Reader, Readers, Receipt, ReceiptType

ME = Me(Jid.parse("4915000000001:2@s.whatsapp.net"), Jid.parse("77000000000001:2@lid"))
OWN = Jid.parse("77000000000001:7@lid")
BEA = Jid.parse("77000000000002:5@lid")
BEA_PN = Jid.parse("4915000000002:5@s.whatsapp.net")
CEM = Jid.parse("77000000000003:1@lid")
GROUP = Jid.parse("120363020000000001@g.us")
NOW = 1_760_000_000

TO_BEA = MessageKey(BEA.bare, "A", True, Jid.parse("77000000000001:2@lid"), chat_alt=BEA_PN.bare)
TO_GROUP = MessageKey(GROUP, "A", True, Jid.parse("77000000000001:2@lid"))
SENT = {"A": TO_BEA}
SENT_TO_GROUP = {"A": TO_GROUP}


def told(receipt: Receipt, sent: dict[str, MessageKey] | None = None) -> tuple[ReceiptEvent, ...]:
    return receipt_events(receipt, ME, SENT if sent is None else sent, NOW)


# --- in a chat --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "status"),
    [
        (ReceiptType.DELIVERED, MessageStatus.DELIVERED),
        (ReceiptType.INACTIVE, MessageStatus.DELIVERED),
        (ReceiptType.READ, MessageStatus.READ),
        (ReceiptType.PLAYED, MessageStatus.PLAYED),
    ],
)
def test_our_message_gets_further(type: ReceiptType, status: MessageStatus) -> None:
    assert told(Receipt(("A",), BEA, type, t=5)) == (MessagesUpdate(TO_BEA, status, BEA, 5),)


def test_the_time_is_that_of_the_receipt_or_now() -> None:
    assert [event.timestamp for event in told(Receipt(("A",), BEA, t=7))] == [7]
    assert [event.timestamp for event in told(Receipt(("A",), BEA))] == [NOW]


def test_every_message_of_a_list_gets_further() -> None:
    events = told(Receipt(("A", "B"), BEA, ReceiptType.READ, t=5), SENT | {"B": replace(TO_BEA, id="B")})
    assert [event.key.id for event in events] == ["A", "B"]


def test_our_other_device_has_our_message() -> None:
    receipt = Receipt(("A",), OWN, ReceiptType.SENDER, recipient=BEA.bare, t=5)
    assert told(receipt) == (MessagesUpdate(TO_BEA, MessageStatus.SERVER_ACK, OWN, 5),)
    assert told(replace(receipt, peer=BEA, recipient=None)) == ()


def test_a_message_that_another_device_of_ours_sent_has_the_stanzas_key() -> None:
    [event] = told(Receipt(("B",), BEA, t=5))
    assert event.key == MessageKey(BEA.bare, "B", True, OWN.bare)
    [event] = told(Receipt(("B",), BEA_PN, t=5))
    assert event.key.author == Jid.parse("4915000000001@s.whatsapp.net")


def test_either_address_of_the_reader_will_do() -> None:
    for reader in (BEA, BEA_PN, Jid.parse("77000000000002:99@hosted.lid")):
        assert [event.key for event in told(Receipt(("A",), reader))] == [TO_BEA]


@pytest.mark.parametrize("stranger", [CEM, Jid.parse("4915000000003@s.whatsapp.net")])
@pytest.mark.parametrize("type", [ReceiptType.DELIVERED, ReceiptType.READ])
def test_nobody_else_says_how_far_a_message_got(stranger: Jid, type: ReceiptType) -> None:
    assert told(Receipt(("A",), stranger, type)) == ()


def test_a_readers_unknown_other_address_is_taken_at_its_word() -> None:
    sent = {"A": replace(TO_BEA, chat_alt=None)}
    assert [event.status for event in told(Receipt(("A",), BEA_PN), sent)] == [MessageStatus.DELIVERED]


@pytest.mark.parametrize(
    "type",
    [
        ReceiptType.RETRY,
        ReceiptType.SERVER_ERROR,
        ReceiptType.HIST_SYNC,
        ReceiptType.PEER_MSG,
        ReceiptType.ENC_REKEY_RETRY,
        ReceiptType.VIEW,
        "seen-in-a-dream",
    ],
)
def test_other_receipts_say_other_things(type: str) -> None:
    assert told(Receipt(("A",), BEA, type)) == ()


def test_a_delivery_that_failed_after_all_is_none() -> None:
    error = Node("error", {"reason": "lid", "type": "feature-incapable"})
    [event] = told(Receipt(("A",), BEA, content=(error,)))
    assert event.status is MessageStatus.SERVER_ACK
    [event] = told(Receipt(("A",), BEA, ReceiptType.READ, content=(error,)))
    assert event.status is MessageStatus.READ
    [event] = told(Receipt(("A",), BEA, content=(Node("error", {"reason": "lid", "type": "other"}),)))
    assert event.status is MessageStatus.DELIVERED


# --- read by ourselves ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "status"),
    [
        (ReceiptType.READ, MessageStatus.READ),
        (ReceiptType.READ_SELF, MessageStatus.READ),
        (ReceiptType.PLAYED, MessageStatus.PLAYED),
        (ReceiptType.PLAYED_SELF, MessageStatus.PLAYED),
    ],
)
def test_what_we_read_on_another_device_is_read(type: ReceiptType, status: MessageStatus) -> None:
    [event] = told(Receipt(("IN",), OWN, type, recipient=BEA.bare, t=5))
    assert event == MessagesUpdate(MessageKey(BEA.bare, "IN", False, BEA.bare), status, OWN, 5)


def test_what_we_read_of_a_group_has_its_author() -> None:
    [event] = told(Receipt(("IN",), GROUP, ReceiptType.READ_SELF, participant=OWN, recipient=CEM, t=5))
    assert event == MessagesUpdate(MessageKey(GROUP, "IN", False, CEM.bare), MessageStatus.READ, OWN, 5)


def test_what_others_read_for_themselves_is_about_our_message() -> None:
    [event] = told(Receipt(("A",), BEA, ReceiptType.READ_SELF))
    assert event.key == TO_BEA


# --- in a group -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "status"),
    [
        (ReceiptType.DELIVERED, MessageStatus.DELIVERED),
        (ReceiptType.INACTIVE, MessageStatus.DELIVERED),
        (ReceiptType.READ, MessageStatus.READ),
        (ReceiptType.PLAYED, MessageStatus.PLAYED),
    ],
)
def test_each_reader_in_a_group_is_told(type: ReceiptType, status: MessageStatus) -> None:
    receipt = Receipt(("A",), GROUP, type, participant=BEA, participant_pn=BEA_PN, t=5)
    assert told(receipt, SENT_TO_GROUP) == (MessageReceiptUpdate(TO_GROUP, BEA, status, 5, BEA_PN),)


def test_each_viewer_of_our_status_is_told() -> None:
    key = replace(TO_GROUP, chat=STATUS_BROADCAST)
    [event] = told(Receipt(("A",), STATUS_BROADCAST, ReceiptType.READ, participant=BEA), {"A": key})
    assert isinstance(event, MessageReceiptUpdate)
    assert event.key == key


def test_our_other_device_in_a_group_has_our_message() -> None:
    [event] = told(Receipt(("A",), GROUP, ReceiptType.SENDER, participant=OWN, t=5), SENT_TO_GROUP)
    assert event == MessagesUpdate(TO_GROUP, MessageStatus.SERVER_ACK, OWN, 5)


def test_a_receipt_from_another_chat_says_nothing() -> None:
    elsewhere = Jid.parse("120363020000000002@g.us")
    assert told(Receipt(("A",), elsewhere, participant=BEA), SENT_TO_GROUP) == ()
    assert told(Receipt(("A",), GROUP, participant=BEA), SENT) == ()
    assert told(Receipt(("A",), BEA), SENT_TO_GROUP) == ()


def test_gathered_receipts_are_told_one_by_one() -> None:
    receipt = Receipt(
        ("S1",),
        GROUP,
        ReceiptType.READ,
        t=5,
        readers=(
            Readers("A", (Reader(BEA, 6, pn=BEA_PN), Reader(CEM, type="played"))),
            Readers("B", (Reader(BEA, 7, type="retry"), Reader(CEM, 8, type=""))),
        ),
    )
    assert message_ids(receipt) == ("A", "B")
    assert told(receipt, SENT_TO_GROUP) == (
        MessageReceiptUpdate(TO_GROUP, BEA, MessageStatus.READ, 6, BEA_PN),
        MessageReceiptUpdate(TO_GROUP, CEM, MessageStatus.PLAYED, 5),
        MessageReceiptUpdate(MessageKey(GROUP, "B", True, OWN.bare), CEM, MessageStatus.DELIVERED, 8),
    )


def test_the_messages_of_a_plain_receipt_are_its_ids() -> None:
    assert message_ids(Receipt(("A", "B"), BEA)) == ("A", "B")
