"""Events: their stored form, which conversation they belong to, and what never shows."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import MISSING, fields, replace
from typing import Any, get_args

import pytest

from waton.client import events
from waton.client.events import (
    Authority,
    BlocklistAction,
    BlocklistUpdate,
    CallStatus,
    CallUpdate,
    ChatsUpdate,
    ConnectionStatus,
    ConnectionUpdate,
    ContactsUpdate,
    CredentialsUpdate,
    DecryptFail,
    DurableEvent,
    Event,
    GroupJoinRequest,
    GroupMemberTagUpdate,
    GroupParticipantsUpdate,
    GroupsUpdate,
    GroupsUpsert,
    IdentityChanged,
    JoinRequestAction,
    LidMappingUpdate,
    MediaUpdate,
    MessageAddition,
    MessageEdited,
    MessageKey,
    MessageReaction,
    MessageReceiptUpdate,
    MessageRefused,
    MessageResent,
    MessageRevoked,
    MessagesDelete,
    MessageStatus,
    MessagesUpdate,
    MessagesUpsert,
    MessageUndecryptable,
    OfflineDrained,
    OnlineUpdate,
    ParticipantAction,
    Presence,
    PresenceUpdate,
    RefusedReason,
    UpsertType,
    from_payload,
    is_durable,
    lane_of,
    message_of,
    to_payload,
)
from waton.errors import StorageError
from waton.jid import SERVER, Jid
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.message_secret import SecretUse
from waton.protocol.stanza.group import Description, GroupMetadata, GroupParticipant, Role

ADA = Jid.parse("4915000000001:4@s.whatsapp.net")
BEA = Jid.parse("77000000000002:1@lid")
GROUP = Jid.parse("120363020000000001@g.us")
KEY = MessageKey(ADA.bare, "3EB0", True, ADA)
OTHER = MessageKey(GROUP, "3EB1", False, BEA, ADA, None, "lid", "12", True)
TEXT = proto.Message(conversation="attack at dawn")
UPSERT = MessagesUpsert(KEY, TEXT, 5, UpsertType.APPEND, "Ada")
PEOPLE = (GroupParticipant(BEA.bare, Role.ADMIN, phone_number=ADA.bare), GroupParticipant(ADA.bare))
METADATA = GroupMetadata(GROUP, "Chess", "lid", PEOPLE, description=Description("D1", "rules"), locked=True, size=2)

EVENTS: list[DurableEvent] = [
    UPSERT,
    replace(UPSERT, upsert=UpsertType.NOTIFY, key=OTHER, verified_name="Shop", request_id="3EB2"),
    MessagesUpdate(KEY, MessageStatus.READ, SERVER, 6),
    MessagesUpdate(KEY, MessageStatus.ERROR, SERVER, 6, error=463),
    MessageEdited(OTHER, TEXT, KEY, 7, Authority.UNCONFIRMED_AUTHOR),
    MessageRevoked(OTHER, KEY, 7, Authority.ADMIN),
    MessageAddition(OTHER, KEY, SecretUse.POLL_VOTE, b"\0\xff", bytes(12), 8, 8_000, Authority.AUTHOR),
    MessageReaction(OTHER, "\U0001f9c0", KEY, 9, 9_001),
    MessagesDelete(GROUP, (KEY, OTHER)),
    MessageReceiptUpdate(OTHER, BEA, MessageStatus.PLAYED, 10, ADA),
    MediaUpdate(KEY, b"sealed", bytes(12), 2),
    MessageUndecryptable(KEY, "bad_mac", 7, False, 2, True, True, "view_once", DecryptFail.HIDE),
    MessageResent(KEY, BEA, 2, 11, "bad_mac"),
    MessageRefused(KEY, RefusedReason.NOT_ADMIN, "REVOKE", 12, "3EB1"),
    GroupParticipantsUpdate(GROUP, ParticipantAction.ADD, PEOPLE, 13, BEA, ADA, "invite"),
    GroupsUpsert(GROUP, METADATA, 14, BEA, ADA, True),
    GroupsUpdate(GROUP, 15, BEA, ADA, subject="", announcement=False, ephemeral=0, other=(Node("link", {"a": "b"}),)),
    GroupJoinRequest(GROUP, BEA, JoinRequestAction.REJECTED, 16, ADA, "invite_link", BEA, ADA),
    GroupMemberTagUpdate(GROUP, BEA, "treasurer", 17, ADA),
    ChatsUpdate(BEA.bare, 604_800, 18, KEY),
    ContactsUpdate(BEA.bare, ADA.bare, "Bea", "Bea's shop", ""),
    LidMappingUpdate(ADA.bare, BEA.bare),
    CallUpdate(BEA.bare, "C1", BEA, CallStatus.OFFER, 19, ADA, True, True, GROUP, 20),
    BlocklistUpdate((ADA.bare, BEA.bare), BlocklistAction.ADD),
    IdentityChanged(BEA, "aa", "bb", "accepted", 21),
]
CLASSES: tuple[type[Any], ...] = tuple({type(event) for event in EVENTS})


def least(event: DurableEvent) -> DurableEvent:
    """The same with everything that has a default left out."""
    required = {one.name: getattr(event, one.name) for one in fields(event) if one.default is MISSING}
    return type(event)(**required)


@pytest.mark.parametrize("event", [*EVENTS, *map(least, EVENTS)], ids=lambda event: type(event).__name__)
def test_the_stored_form_reads_back_marked(event: DurableEvent) -> None:
    assert not event.redelivered
    assert from_payload(event.type, to_payload(event)) == replace(event, redelivered=True)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_field_of_an_event_is_stored(event: DurableEvent) -> None:
    again = from_payload(event.type, to_payload(event))
    for field in fields(event):
        if field.name != "redelivered":
            assert getattr(again, field.name) == getattr(event, field.name), field.name


def test_every_durable_event_has_a_stored_form_and_a_name_of_its_own() -> None:
    assert set(CLASSES) == set(get_args(DurableEvent))
    names = [(one.type, getattr(one, "kind", "")) for one in CLASSES]
    assert len(names) == len(set(names))
    for one in CLASSES:
        assert "kind" not in {field.name for field in fields(one)}
        assert (one.__doc__ or "").startswith("Emitted when")


def test_every_class_that_has_a_type_is_an_event() -> None:
    told = {
        one for one in vars(events).values() if isinstance(one, type) and isinstance(getattr(one, "type", None), str)
    }
    assert told == set(get_args(Event))


@pytest.mark.parametrize(
    ("type", "payload", "event"),
    [
        (
            "messages.upsert",
            {
                "key": ["4915000000001@s.whatsapp.net", "3EB0", True, "4915000000001:4@s.whatsapp.net"],
                "timestamp": 5,
                "message": b64encode(TEXT.SerializeToString()).decode(),
                "upsert": "append",
                "push_name": "Ada",
            },
            UPSERT,
        ),
        (
            "messages.update",
            {
                "key": ["4915000000001@s.whatsapp.net", "3EB0", True, "4915000000001:4@s.whatsapp.net"],
                "timestamp": 6,
                "status": 4,
                "by": "s.whatsapp.net",
            },
            MessagesUpdate(KEY, MessageStatus.READ, SERVER, 6),
        ),
        (
            "messages.undecryptable",
            {
                "key": ["4915000000001@s.whatsapp.net", "3EB0", True, "4915000000001:4@s.whatsapp.net"],
                "timestamp": 7,
                "reason": "bad_mac",
            },
            MessageUndecryptable(KEY, "bad_mac", 7),
        ),
    ],
)
def test_what_the_first_version_stored_can_still_be_read(type: str, payload: object, event: DurableEvent) -> None:
    assert from_payload(type, json.dumps(payload).encode()) == replace(event, redelivered=True)


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert from_payload(UPSERT.type, damaged(mood="bright")) == replace(UPSERT, redelivered=True)


def test_a_plain_message_is_stored_in_few_words() -> None:
    plain = replace(UPSERT, upsert=UpsertType.NOTIFY, push_name="")
    assert set(json.loads(to_payload(plain))) == {"key", "message", "timestamp"}
    assert len(json.loads(to_payload(plain))["key"]) == 4


def damaged(event: DurableEvent = UPSERT, **values: object) -> bytes:
    return json.dumps(json.loads(to_payload(event)) | values).encode()


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
        b"[" * 100_000,
        damaged(key=["a"]),
        damaged(key=None),
        damaged(key=["4915:x@s.whatsapp.net", "1", True, "1@lid"]),
        damaged(key=["1@lid", "1", True, "1@lid", {"author_alt": 7}]),
        damaged(key=["1@lid", "1", True, "1@lid", {"is_view_once": 1}]),
        damaged(timestamp="noon"),
        damaged(timestamp=True),
        damaged(timestamp=float("inf")),
        damaged(upsert="sometimes"),
        damaged(push_name=7),
        damaged(message="%"),
        damaged(message="/w=="),
        damaged(message=None),
        damaged(kind="edit"),
    ],
    ids=lambda payload: payload[:24].decode("latin-1"),
)
def test_a_damaged_event_is_a_storage_error(payload: bytes) -> None:
    with pytest.raises(StorageError) as refused:
        from_payload("messages.upsert", payload)
    assert "attack" not in str(refused.value)


@pytest.mark.parametrize(
    ("event", "values"),
    [
        (EVENTS[15], {"metadata": "00"}),
        (EVENTS[15], {"metadata": 7}),
        (EVENTS[16], {"other": "link"}),
        (EVENTS[16], {"other": ["AA=="]}),
        (EVENTS[14], {"participants": [7]}),
        (EVENTS[23], {"people": ["a:b@lid"]}),
    ],
)
def test_a_damaged_part_is_a_storage_error(event: DurableEvent, values: dict[str, Any]) -> None:
    with pytest.raises(StorageError):
        from_payload(event.type, damaged(event, **values))


def test_an_event_of_another_version_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match="unknown type"):
        from_payload("messages.of-tomorrow", to_payload(UPSERT))
    with pytest.raises(StorageError, match="unknown type"):
        from_payload("messages.update", damaged(EVENTS[4], kind="translated"))


# --- what it is about -------------------------------------------------------------------------------------------------

TRANSIENT: list[Event] = [
    ConnectionUpdate(ConnectionStatus.OPEN),
    OfflineDrained(3),
    OnlineUpdate(True),
    CredentialsUpdate(("me",)),
    PresenceUpdate(GROUP, BEA, Presence.COMPOSING, 5, 2),
]
LANES = {
    ContactsUpdate: "77000000000002@lid",
    LidMappingUpdate: "",
    BlocklistUpdate: "",
    ConnectionUpdate: "",
    OfflineDrained: "",
    OnlineUpdate: "",
    CredentialsUpdate: "",
    ChatsUpdate: "77000000000002@lid",
    CallUpdate: "77000000000002@lid",
    IdentityChanged: "77000000000002@lid",
}


@pytest.mark.parametrize("event", [*EVENTS, *TRANSIENT], ids=lambda event: type(event).__name__)
def test_an_event_belongs_to_its_conversation(event: Event) -> None:
    key = message_of(event)
    expected = LANES.get(type(event), str(GROUP)) if key is None else str(key.chat)
    assert lane_of(event) == expected


def test_what_two_events_of_one_chat_say_stays_in_one_lane() -> None:
    assert lane_of(UPSERT) == lane_of(MessagesUpdate(KEY, MessageStatus.READ, BEA, 6)) == "4915000000001@s.whatsapp.net"
    assert lane_of(PresenceUpdate(BEA, BEA, Presence.PAUSED)) == "77000000000002@lid"


def test_what_is_true_for_a_moment_is_not_stored() -> None:
    assert [is_durable(event) for event in TRANSIENT] == [False] * len(TRANSIENT)
    assert all(map(is_durable, EVENTS))
    assert {type(event) for event in [*EVENTS, *TRANSIENT]} == set(get_args(Event))


def test_only_what_is_about_a_message_has_one() -> None:
    assert message_of(EVENTS[4]) is OTHER
    assert message_of(EVENTS[8]) is None
    assert message_of(TRANSIENT[0]) is None


def test_the_text_of_a_message() -> None:
    assert UPSERT.text == "attack at dawn"
    extended = proto.Message(extendedTextMessage=proto.Message.ExtendedTextMessage(text="hello"))
    assert replace(UPSERT, message=extended).text == "hello"
    assert replace(UPSERT, message=proto.Message()).text is None


@pytest.mark.parametrize("authority", Authority)
def test_only_what_was_looked_up_is_confirmed(authority: Authority) -> None:
    assert authority.is_confirmed == (not authority.value.startswith("unconfirmed"))


def test_reprs_show_no_content_no_number_and_no_qr() -> None:
    update = ConnectionUpdate(ConnectionStatus.QR, qr="https://wa.me/secret", me=ADA)
    told = " ".join(map(repr, [*EVENTS, *TRANSIENT, KEY, update]))
    for secret in ("attack", "4915", "7700", "secret", "Ada", "Chess", "rules", "sealed", "treasurer"):
        assert secret not in told
    assert "3EB0" in told
