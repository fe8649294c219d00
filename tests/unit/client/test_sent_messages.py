"""SentMessage: the record of a message of ours, in its present form and in the one before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waton.client.events import MessageStatus
from waton.client.sent_messages import SENT_SECONDS, SentMessage
from waton.errors import StorageError
from waton.jid import STATUS_BROADCAST, Jid
from waton.protocol import message as content

ADA = Jid.parse("4915000000001@s.whatsapp.net")
GROUP = Jid.parse("120363000000000001@g.us")
NOW = 1_755_000_000
BODY = content.text_message("Tea at five?").SerializeToString()
SENT = SentMessage(ADA, NOW, BODY)

JIDS = st.builds(
    Jid, st.text("0123456789", min_size=1, max_size=15), st.sampled_from(["lid", "s.whatsapp.net", "g.us"])
)
TEXTS = st.none() | st.text(max_size=8)
RECORDS = st.builds(
    SentMessage,
    chat=JIDS,
    at=st.integers(0, 2**40),
    message=st.binary(max_size=60),
    type=st.text(max_size=8),
    mediatype=TEXTS,
    decrypt_fail=TEXTS,
    edit=TEXTS,
    category=TEXTS,
    addressing_mode=TEXTS,
    ephemeral=st.none() | st.integers(0, 2**31),
    devices=st.lists(JIDS, max_size=5).map(tuple),
    status=st.sampled_from(MessageStatus),
)


@given(RECORDS)
def test_a_record_survives_the_disk(record: SentMessage) -> None:
    assert SentMessage.from_bytes(record.to_bytes()) == record


def test_a_body_may_hold_newlines_and_braces() -> None:
    record = replace(SENT, message=b'\n{"chat":"x"}\n\n')
    assert SentMessage.from_bytes(record.to_bytes()) == record


def test_a_record_of_an_earlier_version_is_read() -> None:
    body = b"\n" + BODY + b"\n"
    assert SentMessage.from_bytes(str(ADA).encode() + b"\n" + body) == SentMessage(ADA, 0, body)


def test_a_record_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    head, _, body = SENT.to_bytes().partition(b"\n")
    assert SentMessage.from_bytes(head[:-1] + b',"later":{"a":[1]}}\n' + body) == SENT


def test_the_usual_record_is_little_more_than_the_message() -> None:
    assert len(SENT.to_bytes()) - len(BODY) < 64


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"4915000000001@s.whatsapp.net",
        b"no address:x@y\nbody",
        b"\xff\xfe\nbody",
        b"{}\nbody",
        b'{"chat":"4915000000001@s.whatsapp.net"}\nbody',
        b'{"chat":"4915000000001@s.whatsapp.net","at":"1"}\nbody',
        b'{"chat":"4915000000001@s.whatsapp.net","at":1,"devices":"4915000000001@s.whatsapp.net"}\nbody',
        b'{"chat":"4915000000001@s.whatsapp.net","at":1,"status":77}\nbody',
        b'{"chat":7,"at":1}\nbody',
        b'{"chat":\nbody',
        b'{"chat":' + b"[" * 99_999 + b"\nbody",
    ],
)
def test_a_damaged_record_is_named(damaged: bytes) -> None:
    with pytest.raises(StorageError, match="sent_message"):
        SentMessage.from_bytes(damaged)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_record_or_damaged(data: bytes) -> None:
    try:
        found = SentMessage.from_bytes(data)
    except StorageError:
        return
    assert found.message == data.partition(b"\n")[2]


def test_the_content_is_what_was_sent() -> None:
    assert SENT.content().extendedTextMessage.text == "Tea at five?"
    with pytest.raises(StorageError):
        replace(SENT, message=b"\xff").content()


def test_it_is_kept_for_a_week() -> None:
    assert SENT.until == NOW + SENT_SECONDS == NOW + 7 * 24 * 3600


def test_groups_and_lists_share_one_ciphertext() -> None:
    chats = (ADA, GROUP, STATUS_BROADCAST)
    assert [replace(SENT, chat=chat).is_group for chat in chats] == [False, True, True]


@given(st.lists(st.sampled_from(MessageStatus), max_size=12))
def test_receipts_in_any_order_leave_the_furthest(told: list[MessageStatus]) -> None:
    record = SENT
    for status in told:
        before, record = record.status, record.got_to(status)
        assert record.status >= before or (before, record.status) == (MessageStatus.PENDING, MessageStatus.ERROR)
    got = [status for status in told if status > MessageStatus.PENDING]
    fallback = MessageStatus.ERROR if MessageStatus.ERROR in told else MessageStatus.PENDING
    assert record.status == max(got, default=fallback)


def test_an_error_after_a_delivery_does_not_take_it_back() -> None:
    delivered = SENT.got_to(MessageStatus.DELIVERED)
    assert delivered.got_to(MessageStatus.ERROR) is delivered
    failed = SENT.got_to(MessageStatus.ERROR)
    assert failed.got_to(MessageStatus.PENDING) is failed
    assert failed.got_to(MessageStatus.READ).status is MessageStatus.READ


def test_further_devices_are_added_once() -> None:
    first, second = ADA.with_device(1), ADA.with_device(2)
    assert SENT.also_to([first, second]).also_to([second, ADA]).devices == (first, second, ADA)


def test_a_repr_shows_no_content_and_nobody() -> None:
    shown = repr(replace(SENT, devices=(ADA,)))
    assert shown == "<SentMessage text PENDING, 1 devices>"
