"""Placeholders: the record, the question to the phone, and which of its answers count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waton.client.events import MessageKey, UpsertType
from waton.client.placeholders import (
    MOST_ANSWERS,
    PLACEHOLDER_SECONDS,
    PhoneAnswer,
    Placeholder,
    is_response,
    phone_key,
    read_response,
    recover,
    resend_request,
)
from waton.errors import DecodeError, RemoteProtocolError, StorageError
from waton.jid import STATUS_BROADCAST, Jid
from waton.protocol import message as content
from waton.protocol import proto
from waton.protocol.stanza.message import Enc, IncomingMessage

NOW = 1_755_000_000
ADA, ADA_LID = Jid.parse("4915000000001:3@s.whatsapp.net"), Jid.parse("77000000000001:3@lid")
BEA = Jid.parse("77000000000002@lid")
GROUP = Jid.parse("120363000000000001@g.us")
ME = Jid.parse("4915000000009@s.whatsapp.net")
KEY = MessageKey(ADA_LID.bare, "3EB01", False, ADA_LID)
STANZA = IncomingMessage("3EB01", ADA_LID, NOW, "text", (Enc("msg", b"x"),), notify="Ada")
KEPT = Placeholder.of(STANZA, KEY, "bad_mac").asked(NOW + 3.5, "ASK1")
CHATS = frozenset({ADA.bare, ADA_LID.bare})
TEXT = content.text_message("found again")


def web_message(
    *,
    id: str = "3EB01",
    chat: Jid = ADA.bare,
    from_me: bool = False,
    participant: Jid | None = None,
    message: proto.Message | None = TEXT,
    timestamp: int | None = NOW + 1,
) -> proto.WebMessageInfo:
    """As a phone has it: by phone number, without a device."""
    key = proto.MessageKey(remoteJid=str(chat), fromMe=from_me, id=id)
    if participant is not None:
        key.participant = str(participant)
    info = proto.WebMessageInfo(key=key, message=message, pushName="Phone's name")
    if timestamp is not None:
        info.messageTimestamp = timestamp
    return info


def response(*found: bytes, request_id: str = "ASK1") -> proto.Message:
    outer = proto.Message.PeerDataOperationRequestResponseMessage
    inner = outer.PeerDataOperationResult
    results = [
        inner(placeholderMessageResendResponse=inner.PlaceholderMessageResendResponse(webMessageInfoBytes=data))
        for data in found
    ]
    answer = outer(
        peerDataOperationRequestType=proto.Message.PLACEHOLDER_MESSAGE_RESEND,
        stanzaId=request_id,
        peerDataOperationResult=results,
    )
    kind = proto.Message.ProtocolMessage.PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE
    protocol = proto.Message.ProtocolMessage(type=kind, peerDataOperationRequestResponseMessage=answer)
    return proto.Message.FromString(proto.Message(protocolMessage=protocol).SerializeToString())


def answer(info: proto.WebMessageInfo) -> PhoneAnswer:
    return read_response(response(info.SerializeToString()), ME, is_me=True)[0]


# --- the record -----------------------------------------------------------------------------------------------------


def test_a_placeholder_keeps_what_the_stanza_told() -> None:
    stanza = replace(STANZA, sender=GROUP, participant=ADA, recipient=BEA, offline="2")
    kept = Placeholder.of(stanza, replace(KEY, chat=GROUP), "no_sender_key")
    assert (kept.sender, kept.participant, kept.recipient) == (GROUP, ADA, BEA)
    assert (kept.timestamp, kept.push_name, kept.reason) == (NOW, "Ada", "no_sender_key")
    assert (kept.is_offline, kept.is_peer, kept.asked_at, kept.request_id) == (True, False, None, "")
    assert kept.until == NOW + PLACEHOLDER_SECONDS == NOW + 14 * 24 * 3600
    assert Placeholder.of(stanza, KEY, "bad_mac", is_peer=True).is_peer
    assert (KEPT.asked_at, KEPT.request_id, KEPT.is_offline) == (NOW + 3, "ASK1", False)


@pytest.mark.parametrize("kept", [KEPT, replace(KEPT, is_peer=True, participant=ADA, recipient=BEA, asked_at=None)])
def test_a_placeholder_survives_the_disk(kept: Placeholder) -> None:
    assert Placeholder.from_json(kept.to_json()) == kept


@given(st.binary(max_size=60))
def test_a_damaged_placeholder_is_named(data: bytes) -> None:
    with pytest.raises(StorageError, match="placeholder"):
        Placeholder.from_json(data)


@pytest.mark.parametrize("damaged", [b"{}", b"[1]", b"[" * 99_999, KEPT.to_json().replace(b"1755000000", b'"x"')])
def test_a_placeholder_of_another_shape_is_damaged(damaged: bytes) -> None:
    with pytest.raises(StorageError, match="placeholder"):
        Placeholder.from_json(damaged)


def test_a_repr_shows_nobody() -> None:
    assert repr(KEPT) == "<Placeholder 3EB01 bad_mac>"


# --- the question ---------------------------------------------------------------------------------------------------


def test_the_question_names_the_message() -> None:
    asked = resend_request([phone_key(KEY)])
    assert proto.Message.FromString(asked.SerializeToString()) == asked
    protocol = asked.protocolMessage
    assert protocol.type == proto.Message.ProtocolMessage.PEER_DATA_OPERATION_REQUEST_MESSAGE
    operation = protocol.peerDataOperationRequestMessage
    assert operation.peerDataOperationRequestType == proto.Message.PLACEHOLDER_MESSAGE_RESEND
    (one,) = operation.placeholderMessageResendRequest
    assert one.messageKey == proto.MessageKey(remoteJid="77000000000001@lid", fromMe=False, id="3EB01")


def test_the_questions_bytes_are_those_of_the_schema() -> None:
    # By hand, from the field numbers of WAProto: Message.protocolMessage 12 {type 2 = 16, request 16 {type 1 = 4,
    # resend 5 {key 1 {remoteJid 1, fromMe 2, id 3}}}}.
    key = b"\x0a\x03a@b" + b"\x10\x01" + b"\x1a\x01X"
    resend = b"\x0a" + bytes([len(key)]) + key
    operation = b"\x08\x04" + b"\x2a" + bytes([len(resend)]) + resend
    protocol = b"\x10\x10" + b"\x82\x01" + bytes([len(operation)]) + operation
    expected = b"\x62" + bytes([len(protocol)]) + protocol
    asked = resend_request([proto.MessageKey(remoteJid="a@b", fromMe=True, id="X")])
    assert asked.SerializeToString() == expected


@pytest.mark.parametrize("chat", [GROUP, STATUS_BROADCAST])
def test_in_a_shared_chat_the_author_is_named_unless_we_are(chat: Jid) -> None:
    key = replace(KEY, chat=chat, author=ADA)
    assert phone_key(key).participant == str(ADA.bare)
    assert phone_key(key, author=ADA_LID).participant == str(ADA_LID.bare)
    assert not phone_key(replace(key, from_me=True)).HasField("participant")


def test_the_phone_is_asked_by_canonical_addresses() -> None:
    by_number = replace(KEY, chat=ADA.bare, author=ADA)
    named = phone_key(by_number, chat=ADA_LID, author=ADA_LID)
    assert named == proto.MessageKey(remoteJid=str(ADA_LID.bare), fromMe=False, id="3EB01")


# --- the answer -----------------------------------------------------------------------------------------------------


def test_an_answer_becomes_the_message_with_what_the_stanza_told() -> None:
    found = recover(answer(web_message()), KEPT, chats=CHATS, authors=CHATS)
    assert (found.key, found.text, found.timestamp) == (KEY, "found again", NOW + 1)
    assert (found.upsert, found.push_name, found.request_id) == (UpsertType.NOTIFY, "Ada", "ASK1")


def test_what_the_stanza_did_not_tell_the_phone_does() -> None:
    found = recover(answer(web_message(timestamp=None)), replace(KEPT, push_name=""), chats=CHATS, authors=CHATS)
    assert (found.timestamp, found.push_name) == (NOW, "Phone's name")


def test_a_message_of_the_offline_queue_is_no_news_the_second_time_either() -> None:
    found = recover(answer(web_message()), replace(KEPT, is_offline=True), chats=CHATS, authors=CHATS)
    assert found.upsert is UpsertType.APPEND


def test_in_a_group_the_author_must_be_the_one_who_wrote() -> None:
    kept = replace(KEPT, key=replace(KEY, chat=GROUP))
    found = answer(web_message(chat=GROUP, participant=ADA.bare))
    assert recover(found, kept, chats={GROUP}, authors=CHATS).key.author == ADA_LID
    forged = answer(web_message(chat=GROUP, participant=BEA))
    with pytest.raises(RemoteProtocolError):
        recover(forged, kept, chats={GROUP}, authors=CHATS)
    forged.info.key.ClearField("participant")
    forged.info.participant = str(BEA)
    with pytest.raises(RemoteProtocolError):
        recover(forged, kept, chats={GROUP}, authors=CHATS)


def test_our_own_message_is_found_by_whom_it_went_to() -> None:
    kept = replace(KEPT, key=replace(KEY, from_me=True, author=ME))
    for authors in ({ME}, frozenset[Jid]()):
        found = recover(answer(web_message(from_me=True, participant=ME)), kept, chats=CHATS, authors=authors)
        assert found.key.from_me


@pytest.mark.parametrize(
    ("info", "kept"),
    [
        (web_message(), None),
        (web_message(), replace(KEPT, asked_at=None)),
        (web_message(), replace(KEPT, key=replace(KEY, id="3EB02"))),
        (web_message(chat=BEA), KEPT),
        (web_message(chat=GROUP), KEPT),
        (web_message(from_me=True), KEPT),
        (web_message(participant=BEA), KEPT),
    ],
    ids=["no placeholder", "not asked", "another id", "another chat", "a group", "as if from us", "another author"],
)
def test_what_was_not_asked_for_does_not_count(info: proto.WebMessageInfo, kept: Placeholder | None) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        recover(answer(info), kept, chats=CHATS, authors=CHATS)
    assert not isinstance(caught.value, DecodeError)


@pytest.mark.parametrize("message", [None, proto.Message()])
def test_a_phone_that_has_no_content_either_says_so(message: proto.Message | None) -> None:
    with pytest.raises(DecodeError):
        recover(answer(web_message(message=message)), KEPT, chats=CHATS, authors=CHATS)


def test_only_our_own_phone_answers() -> None:
    told = response(web_message().SerializeToString())
    assert read_response(told, ME, is_me=True)
    for author, is_me in ((ME.with_device(2), True), (ME, False), (ADA.bare, False)):
        with pytest.raises(RemoteProtocolError):
            read_response(told, author, is_me=is_me)


def test_another_message_is_no_answer() -> None:
    kind = proto.Message.ProtocolMessage.PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE
    empty = proto.Message(protocolMessage=proto.Message.ProtocolMessage(type=kind))
    untyped = response()
    untyped.protocolMessage.ClearField("type")
    for message in (TEXT, resend_request([]), empty, untyped):
        assert not is_response(message)
        with pytest.raises(RemoteProtocolError):
            read_response(message, ME, is_me=True)
    assert is_response(response())


def test_a_part_that_does_not_parse_does_not_cost_the_others() -> None:
    nameless = web_message(id="").SerializeToString()
    told = response(b"\xff\xff", b"", nameless, web_message().SerializeToString())
    other = told.protocolMessage.peerDataOperationRequestResponseMessage.peerDataOperationResult.add()
    other.linkPreviewResponse.url = "https://example.org"
    assert [found.id for found in read_response(told, ME, is_me=True)] == ["3EB01"]


def test_text_that_is_no_text_names_nothing() -> None:
    odd = proto.WebMessageInfo(key=proto.MessageKey(remoteJid="@@@", fromMe=False, id="3EB01"), message=TEXT)
    with pytest.raises(RemoteProtocolError):
        recover(answer(odd), KEPT, chats=CHATS, authors=CHATS)
    # remoteJid is one byte that is no UTF-8; the reader gives bytes for it.
    cut = proto.WebMessageInfo.FromString(b"\x0a\x0c\x0a\x01\xff\x10\x00\x1a\x053EB01")
    assert isinstance(cut.key.remoteJid, bytes)
    with pytest.raises(RemoteProtocolError):
        recover(PhoneAnswer("3EB01", cut, ""), KEPT, chats=CHATS, authors=CHATS)


def test_a_response_has_an_end() -> None:
    data = web_message().SerializeToString()
    assert len(read_response(response(*[data] * (MOST_ANSWERS + 1)), ME, is_me=True)) == MOST_ANSWERS


@given(st.binary(max_size=200))
def test_any_bytes_from_the_phone_are_an_answer_or_none(data: bytes) -> None:
    for found in read_response(response(data), ME, is_me=True):
        with pytest.raises(RemoteProtocolError):
            recover(found, None, chats=CHATS, authors=CHATS)
