"""Events: their stored form, and what never shows."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from waton.client.events import (
    ConnectionStatus,
    ConnectionUpdate,
    DurableEvent,
    MessageKey,
    MessageStatus,
    MessagesUpdate,
    MessagesUpsert,
    MessageUndecryptable,
    UpsertType,
    from_payload,
    to_payload,
)
from waton.errors import StorageError
from waton.jid import SERVER, Jid
from waton.protocol import proto

ADA = Jid.parse("4915000000001:4@s.whatsapp.net")
KEY = MessageKey(ADA.bare, "3EB0", True, ADA)
UPSERT = MessagesUpsert(KEY, proto.Message(conversation="attack at dawn"), 5, UpsertType.APPEND, "Ada")
EVENTS: list[DurableEvent] = [
    UPSERT,
    replace(UPSERT, upsert=UpsertType.NOTIFY, key=replace(KEY, from_me=False)),
    MessagesUpdate(KEY, MessageStatus.READ, SERVER, 6),
    MessageUndecryptable(KEY, "bad_mac", 7),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_the_stored_form_reads_back_marked(event: DurableEvent) -> None:
    assert not event.redelivered
    assert from_payload(event.type, to_payload(event)) == replace(event, redelivered=True)


def damaged(**values: object) -> bytes:
    return json.dumps(json.loads(to_payload(UPSERT)) | values).encode()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"null",
        b"{}",
        b"\xff",
        damaged(key=["a"]),
        damaged(key=None),
        damaged(key=["4915:x@s.whatsapp.net", "1", True, "1@lid"]),
        damaged(timestamp="noon"),
        damaged(timestamp=float("inf")),
        damaged(upsert="sometimes"),
        damaged(message="%"),
        damaged(message="/w=="),
        damaged(message=None),
    ],
)
def test_a_damaged_event_is_a_storage_error(payload: bytes) -> None:
    with pytest.raises(StorageError) as refused:
        from_payload("messages.upsert", payload)
    assert "attack" not in str(refused.value)


def test_an_event_of_another_version_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match="unknown type"):
        from_payload("messages.of-tomorrow", to_payload(UPSERT))


def test_the_text_of_a_message() -> None:
    assert UPSERT.text == "attack at dawn"
    extended = proto.Message(extendedTextMessage=proto.Message.ExtendedTextMessage(text="hello"))
    assert replace(UPSERT, message=extended).text == "hello"
    assert replace(UPSERT, message=proto.Message()).text is None


def test_reprs_show_no_content_no_number_and_no_qr() -> None:
    update = ConnectionUpdate(ConnectionStatus.QR, qr="https://wa.me/secret", me=ADA)
    told = " ".join(map(repr, [*EVENTS, KEY, update]))
    for secret in ("attack", "4915", "secret", "Ada"):
        assert secret not in told
    assert "3EB0" in told
