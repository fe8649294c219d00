"""What a message means: shown, changing another one, or for ourselves; and who may do what."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import pytest

from waton.client.events import (
    Authority,
    ChatsUpdate,
    ContactsUpdate,
    GroupMemberTagUpdate,
    MessageAddition,
    MessageEdited,
    MessageKey,
    MessageReaction,
    MessageRefused,
    MessageRevoked,
    MessagesUpsert,
    RefusedReason,
    UpsertType,
    from_payload,
    to_payload,
)
from waton.client.message_keys import Me
from waton.client.message_outcome import (
    KeepHistory,
    Known,
    LearnMappings,
    Outcome,
    Received,
    ShareAppStateKeys,
    StoreAppStateKeys,
    StoreSecret,
    TakeAnswers,
    TakePeerData,
)
from waton.client.process_message import from_web_message, process_message, target_of
from waton.jid import STATUS_BROADCAST, Jid
from waton.protocol import proto
from waton.protocol.message import device_sent, text_message
from waton.protocol.message_secret import SecretUse

T = TypeVar("T")
Protocol = proto.Message.ProtocolMessage
Sealed = proto.Message.SecretEncryptedMessage

ME = Me(Jid.parse("4915000000001:2@s.whatsapp.net"), Jid.parse("77000000000001:2@lid"))
PHONE = Jid.parse("77000000000001@lid")
COMPANION = Jid.parse("77000000000001:7@lid")
BEA = Jid.parse("77000000000002:5@lid")
BEA_PN = Jid.parse("4915000000002:5@s.whatsapp.net")
CEM = Jid.parse("77000000000003@lid")
GROUP = Jid.parse("120363020000000001@g.us")
AT = 1_760_000_000
SECRET = bytes(range(32))

CHAT = MessageKey(BEA.bare, "OUT", False, BEA, author_alt=BEA_PN)
IN_GROUP = MessageKey(GROUP, "OUT", False, BEA, author_alt=BEA_PN, addressing_mode="lid")
FROM_PHONE = MessageKey(PHONE, "OUT", True, PHONE)


def process(key: MessageKey, message: proto.Message, known: Known | None = None, **more: object) -> Outcome:
    return process_message(replace(Received(key, message, AT), **more), ME, known)


def only(outcome: Outcome, kind: type[T]) -> T:
    """The one event there is."""
    [event] = outcome.events
    assert isinstance(event, kind)
    return event


def protocol(type: Protocol.Type.ValueType, **values: object) -> proto.Message:
    told = Protocol(type=type)
    for name, value in values.items():
        if isinstance(value, int):
            setattr(told, name, value)
        else:
            getattr(told, name).CopyFrom(value)
    return proto.Message(protocolMessage=told)


def inner(*, me: bool = False, participant: str = "", id: str = "IN") -> proto.MessageKey:
    key = proto.MessageKey(id=id, fromMe=me, remoteJid=str(PHONE))
    if participant:
        key.participant = participant
    return key


def edit(key: proto.MessageKey, text: str = "changed") -> proto.Message:
    return protocol(Protocol.MESSAGE_EDIT, key=key, editedMessage=text_message(text))


def revoke(key: proto.MessageKey) -> proto.Message:
    return protocol(Protocol.REVOKE, key=key)


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_a_text_is_shown_with_all_its_stanza_says() -> None:
    outcome = process(
        CHAT, text_message("hello"), upsert=UpsertType.APPEND, push_name="Bea", verified_name="Shop", request_id="R"
    )
    contact, shown = outcome.events
    assert contact == ContactsUpdate(BEA.bare, BEA_PN.bare, "Bea", "Shop")
    assert shown == MessagesUpsert(
        CHAT, text_message("hello"), AT, UpsertType.APPEND, "Bea", verified_name="Shop", request_id="R"
    )
    assert outcome.actions == ()


def test_a_wrapped_text_is_shown_as_it_came() -> None:
    wrapped = proto.Message()
    wrapped.ephemeralMessage.message.CopyFrom(text_message("hello"))
    assert only(process(CHAT, wrapped), MessagesUpsert).message == wrapped


@pytest.mark.parametrize(
    "message",
    [
        proto.Message(),
        proto.Message.FromString(b"\xfa\xff\x01\x03abc"),
        proto.Message(chat=proto.Message.Chat(displayName="x")),
        protocol(Protocol.SHARE_PHONE_NUMBER),
        proto.Message(protocolMessage=Protocol()),
        proto.Message(protocolMessage=Protocol(key=inner(me=True))),
        proto.Message(pollUpdateMessage=proto.Message.PollUpdateMessage(pollCreationMessageKey=inner())),
        proto.Message(secretEncryptedMessage=Sealed(secretEncType=Sealed.MESSAGE_SCHEDULE, targetMessageKey=inner())),
        protocol(Protocol.GROUP_MEMBER_LABEL_CHANGE, memberLabel=proto.MemberLabel(label="x")),
    ],
    ids=["empty", "unknown field", "odd", "other type", "no type", "no type but a key", "no vote", "later", "no group"],
)
def test_what_is_not_understood_is_shown(message: proto.Message) -> None:
    assert only(process(CHAT, message), MessagesUpsert).message == message


def test_a_type_that_nobody_has_named_is_shown() -> None:
    odd = proto.Message.FromString(b"\x62\x03\x10\xe7\x07")
    assert odd.protocolMessage.type == 999
    assert only(process(CHAT, odd), MessagesUpsert).message == odd


def test_a_sender_key_alone_is_nothing_to_tell() -> None:
    message = proto.Message()
    message.senderKeyDistributionMessage.groupId = str(GROUP)
    assert process(IN_GROUP, message) == Outcome()
    message.conversation = "hello"
    assert only(process(IN_GROUP, message), MessagesUpsert)


def test_a_secret_is_kept_beside_what_is_shown() -> None:
    message = text_message("hello")
    message.messageContextInfo.messageSecret = SECRET
    [action] = process(CHAT, message).actions
    assert isinstance(action, StoreSecret)
    assert (action.key, action.secret) == (CHAT, SECRET)
    message.messageContextInfo.messageSecret = SECRET[:31]
    assert process(CHAT, message).actions == ()


def test_everything_told_can_be_stored() -> None:
    broken = proto.MessageKey.FromString(b"\x1a\x02\xff\xfe")
    reaction = proto.Message(reactionMessage=proto.Message.ReactionMessage(key=broken))
    reaction.reactionMessage.MergeFromString(b"\x12\x02\xff\xfe")
    event = only(process(CHAT, reaction), MessageReaction)
    assert from_payload(event.type, to_payload(event)) == replace(event, redelivered=True)


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("push", "known", "expected"),
    [("Bea", None, "Bea"), ("Bea", "Bea", None), ("Bea", "Bee", "Bea"), ("", None, None), ("-", None, None)],
)
def test_a_push_name_is_told_when_it_is_news(push: str, known: str | None, expected: str | None) -> None:
    told = process(IN_GROUP, text_message("hello"), Known(push_name=known), push_name=push).events
    names = [event.push_name for event in told if isinstance(event, ContactsUpdate)]
    assert names == ([] if expected is None else [expected])


def test_our_own_name_and_a_channels_are_no_contacts() -> None:
    channel = Jid.parse("120363040000000001@newsletter")
    for key in (replace(CHAT, from_me=True, author=COMPANION), MessageKey(channel, "OUT", False, channel)):
        assert only(process(key, text_message("hello"), push_name="X", verified_name="Y"), MessagesUpsert)


# --- edits and revokes ------------------------------------------------------------------------------------------------


def test_an_author_edits_his_message() -> None:
    event = only(process(CHAT, edit(inner(me=True)), Known(original_author=BEA)), MessageEdited)
    assert event.key == MessageKey(BEA.bare, "IN", False, BEA.bare, author_alt=BEA_PN.bare)
    assert (event.by, event.message, event.timestamp) == (CHAT, text_message("changed"), AT)
    assert event.authority is Authority.AUTHOR


def test_an_edit_has_its_authors_time() -> None:
    message = edit(inner(me=True))
    message.protocolMessage.timestampMs = 1_750_000_000_999
    assert only(process(CHAT, message), MessageEdited).timestamp == 1_750_000_000
    message.protocolMessage.timestampMs = -5
    assert only(process(CHAT, message), MessageEdited).timestamp == AT


def test_an_edit_in_its_wrapper_is_an_edit() -> None:
    wrapped = proto.Message()
    wrapped.editedMessage.message.CopyFrom(edit(inner(me=True)))
    assert only(process(CHAT, wrapped), MessageEdited).message == text_message("changed")


def test_without_the_original_the_editor_is_named_as_its_author() -> None:
    event = only(process(IN_GROUP, edit(inner(me=True))), MessageEdited)
    assert event.authority is Authority.UNCONFIRMED_AUTHOR
    assert event.key.author == BEA.bare


@pytest.mark.parametrize(
    ("key", "claimed", "original"),
    [
        (CHAT, inner(), None),
        (IN_GROUP, inner(participant=str(CEM)), None),
        (IN_GROUP, inner(participant="77000000000001@lid"), None),
        (IN_GROUP, inner(me=True), CEM),
        (CHAT, inner(me=True), PHONE),
        (IN_GROUP, inner(me=True), Jid.parse("4915000000003@s.whatsapp.net")),
        (IN_GROUP, inner(me=True, participant=str(CEM)), None),
    ],
    ids=["ours", "hers", "ours in a group", "the copy is hers", "the copy is ours", "hers by phone number", "named"],
)
def test_nobody_edits_what_somebody_else_wrote(
    key: MessageKey, claimed: proto.MessageKey, original: Jid | None
) -> None:
    known = Known(original_author=original, is_admin=True)
    event = only(process(key, edit(claimed), known), MessageRefused)
    assert (event.reason, event.target_id, event.what) == (RefusedReason.NOT_AUTHOR, "IN", "MESSAGE_EDIT")


def test_an_address_of_another_kind_is_no_proof_against_the_author() -> None:
    stranger = replace(IN_GROUP, author_alt=None)
    pn = Known(original_author=Jid.parse("4915000000003@s.whatsapp.net"))
    event = only(process(stranger, edit(inner(me=True)), pn), MessageEdited)
    assert event.authority is Authority.UNCONFIRMED_AUTHOR


def test_what_he_names_as_ours_is_not_his_though_the_addresses_cannot_be_compared() -> None:
    claimed = proto.MessageKey(id="IN", remoteJid="4915000000001@s.whatsapp.net")
    received = Received(replace(CHAT, author_alt=None), edit(claimed), AT)
    assert only(process_message(received, Me(ME.pn)), MessageRefused)


def test_his_own_other_address_is_his() -> None:
    claimed = inner(me=True, participant=str(BEA_PN))
    for key in (IN_GROUP, replace(IN_GROUP, author_alt=None)):
        event = only(process(key, edit(claimed)), MessageEdited)
        assert (event.key.author, event.authority) == (BEA_PN.bare, Authority.UNCONFIRMED_AUTHOR)


def test_the_event_names_the_author_that_our_copy_has() -> None:
    event = only(process(IN_GROUP, edit(inner(me=True)), Known(original_author=BEA_PN)), MessageEdited)
    assert (event.key.author, event.authority) == (BEA_PN.bare, Authority.AUTHOR)


def test_our_other_device_edits_our_message() -> None:
    key = replace(CHAT, from_me=True, author=COMPANION, author_alt=None)
    event = only(process(key, edit(inner(me=True)), Known(original_author=ME.pn)), MessageEdited)
    assert (event.key.from_me, event.authority) == (True, Authority.AUTHOR)
    assert only(process(key, edit(inner(me=True)), Known(original_author=BEA)), MessageRefused)
    assert only(process(key, edit(inner())), MessageRefused)


@pytest.mark.parametrize(
    "message",
    [
        edit(inner(me=True, id="")),
        protocol(Protocol.MESSAGE_EDIT, key=inner(me=True)),
        protocol(Protocol.REVOKE),
        proto.Message(reactionMessage=proto.Message.ReactionMessage(text="x")),
        proto.Message(encReactionMessage=proto.Message.EncReactionMessage(targetMessageKey=inner(), encIv=bytes(12))),
    ],
    ids=["no id", "no content", "no key", "reaction to nothing", "nothing sealed"],
)
def test_what_names_no_message_changes_none(message: proto.Message) -> None:
    assert only(process(CHAT, message), MessageRefused).reason is RefusedReason.MALFORMED


def test_an_author_takes_his_message_back() -> None:
    event = only(process(IN_GROUP, revoke(inner(me=True)), Known(original_author=BEA, is_admin=False)), MessageRevoked)
    assert (event.key.id, event.key.author, event.by) == ("IN", BEA.bare, IN_GROUP)
    assert event.authority is Authority.AUTHOR


@pytest.mark.parametrize(
    ("is_admin", "authority"), [(True, Authority.ADMIN), (None, Authority.UNCONFIRMED_ADMIN), (False, None)]
)
@pytest.mark.parametrize(
    ("claimed", "original"), [(inner(participant=str(CEM)), None), (inner(me=True), CEM), (inner(me=True), CEM.bare)]
)
def test_an_admin_takes_another_ones_message_back(
    is_admin: bool | None, authority: Authority | None, claimed: proto.MessageKey, original: Jid | None
) -> None:
    outcome = process(IN_GROUP, revoke(claimed), Known(original_author=original, is_admin=is_admin))
    if authority is None:
        assert only(outcome, MessageRefused).reason is RefusedReason.NOT_ADMIN
    else:
        event = only(outcome, MessageRevoked)
        assert (event.authority, event.key.author) == (authority, CEM)


def test_in_a_chat_there_are_no_admins() -> None:
    refused = only(process(CHAT, revoke(inner()), Known(is_admin=True)), MessageRefused)
    assert refused.reason is RefusedReason.NOT_AUTHOR


def test_what_to_look_up_is_the_message_that_is_changed() -> None:
    assert target_of(Received(IN_GROUP, edit(inner(participant=str(CEM))), AT), ME) == MessageKey(
        GROUP, "IN", False, CEM, addressing_mode="lid"
    )
    revoked = target_of(Received(CHAT, revoke(inner()), AT), ME)
    assert revoked is not None
    assert revoked.from_me
    sealed = Sealed(secretEncType=Sealed.MESSAGE_EDIT, targetMessageKey=inner(me=True))
    assert target_of(Received(CHAT, proto.Message(secretEncryptedMessage=sealed), AT), ME) is not None
    for other in (
        text_message("hello"),
        protocol(Protocol.EPHEMERAL_SETTING),
        proto.Message(protocolMessage=Protocol()),
    ):
        assert target_of(Received(CHAT, other, AT), ME) is None


def test_what_to_look_up_is_found_inside_our_own_wrapper() -> None:
    key = replace(CHAT, from_me=True, author=COMPANION)
    target = target_of(Received(key, device_sent(BEA, revoke(inner(me=True))), AT), ME)
    assert target is not None
    assert (target.from_me, target.chat) == (True, BEA.bare)
    assert target_of(Received(key, device_sent(CEM, revoke(inner(me=True))), AT), ME) is None


# --- reactions and other additions ------------------------------------------------------------------------------------


def test_a_reaction_names_the_message_from_our_side() -> None:
    told = proto.Message.ReactionMessage(key=inner(), text="\U0001f9c0", senderTimestampMs=7)
    event = only(process(CHAT, proto.Message(reactionMessage=told)), MessageReaction)
    assert (event.key.from_me, event.key.author, event.text, event.sent_at_ms) == (True, PHONE, "\U0001f9c0", 7)
    assert event.by == CHAT
    told.ClearField("senderTimestampMs")
    assert only(process(CHAT, proto.Message(reactionMessage=told)), MessageReaction).sent_at_ms is None


def sealed_edit(kind: Sealed.SecretEncType.ValueType, key: proto.MessageKey) -> proto.Message:
    return proto.Message(
        secretEncryptedMessage=Sealed(secretEncType=kind, targetMessageKey=key, encPayload=b"p", encIv=b"i")
    )


def vote() -> proto.Message:
    told = proto.Message.PollUpdateMessage(pollCreationMessageKey=inner(participant=str(CEM)), senderTimestampMs=9)
    told.vote.encPayload, told.vote.encIv = b"p", b"i"
    return proto.Message(pollUpdateMessage=told)


@pytest.mark.parametrize(
    ("message", "use"),
    [
        (vote(), SecretUse.POLL_VOTE),
        (
            proto.Message(
                encEventResponseMessage=proto.Message.EncEventResponseMessage(
                    eventCreationMessageKey=inner(participant=str(CEM)), encPayload=b"p", encIv=b"i"
                )
            ),
            SecretUse.EVENT_RESPONSE,
        ),
        (
            proto.Message(
                encReactionMessage=proto.Message.EncReactionMessage(
                    targetMessageKey=inner(participant=str(CEM)), encPayload=b"p", encIv=b"i"
                )
            ),
            SecretUse.REACTION,
        ),
        (
            proto.Message(
                encCommentMessage=proto.Message.EncCommentMessage(
                    targetMessageKey=inner(participant=str(CEM)), encPayload=b"p", encIv=b"i"
                )
            ),
            SecretUse.COMMENT,
        ),
        (sealed_edit(Sealed.POLL_ADD_OPTION, inner(participant=str(CEM))), SecretUse.POLL_ADD_OPTION),
    ],
    ids=lambda value: value.value if isinstance(value, SecretUse) else "",
)
def test_anybody_may_add_what_is_sealed(message: proto.Message, use: SecretUse) -> None:
    event = only(process(IN_GROUP, message, Known(is_admin=False)), MessageAddition)
    assert (event.use, event.payload, event.iv, event.authority) == (use, b"p", b"i", None)
    assert (event.key.id, event.key.author, event.by) == ("IN", CEM, IN_GROUP)
    assert event.sent_at_ms == (9 if use is SecretUse.POLL_VOTE else None)


@pytest.mark.parametrize(
    ("kind", "use"),
    [
        (Sealed.MESSAGE_EDIT, SecretUse.MESSAGE_EDIT),
        (Sealed.EVENT_EDIT, SecretUse.EVENT_EDIT),
        (Sealed.POLL_EDIT, SecretUse.POLL_EDIT),
    ],
)
def test_a_sealed_edit_is_for_the_author(kind: Sealed.SecretEncType.ValueType, use: SecretUse) -> None:
    event = only(process(IN_GROUP, sealed_edit(kind, inner(me=True)), Known(original_author=BEA)), MessageAddition)
    assert (event.use, event.authority) == (use, Authority.AUTHOR)
    for known in (Known(original_author=CEM, is_admin=True), None):
        key = inner(participant=str(CEM)) if known is None else inner(me=True)
        assert only(process(IN_GROUP, sealed_edit(kind, key), known), MessageRefused).reason is RefusedReason.NOT_AUTHOR


# --- settings ---------------------------------------------------------------------------------------------------------


def test_disappearing_messages_are_set_for_the_chat() -> None:
    message = protocol(Protocol.EPHEMERAL_SETTING, ephemeralExpiration=604_800)
    assert only(process(CHAT, message), ChatsUpdate) == ChatsUpdate(BEA.bare, 604_800, AT, CHAT)
    assert only(process(CHAT, protocol(Protocol.EPHEMERAL_SETTING)), ChatsUpdate).ephemeral_expiration == 0


@pytest.mark.parametrize(
    ("chat", "expected"), [(Jid.parse("123@broadcast"), BEA.bare), (STATUS_BROADCAST, STATUS_BROADCAST)]
)
def test_what_comes_by_a_list_is_about_the_chat_with_its_author(chat: Jid, expected: Jid) -> None:
    message = protocol(Protocol.EPHEMERAL_SETTING, ephemeralExpiration=1)
    assert only(process(replace(CHAT, chat=chat), message), ChatsUpdate).chat == expected


@pytest.mark.parametrize("label", ["treasurer", ""])
def test_a_member_labels_himself(label: str) -> None:
    message = protocol(Protocol.GROUP_MEMBER_LABEL_CHANGE, memberLabel=proto.MemberLabel(label=label))
    event = only(process(IN_GROUP, message), GroupMemberTagUpdate)
    assert event == GroupMemberTagUpdate(GROUP, BEA.bare, label, AT, BEA_PN.bare)


# --- for ourselves ----------------------------------------------------------------------------------------------------


def key_share() -> proto.Message:
    share = proto.Message.AppStateSyncKeyShare()
    share.keys.add().keyId.keyId = b"K1"
    return protocol(Protocol.APP_STATE_SYNC_KEY_SHARE, appStateSyncKeyShare=share)


def history() -> proto.Message:
    told = proto.Message.HistorySyncNotification(chunkOrder=3)
    return protocol(Protocol.HISTORY_SYNC_NOTIFICATION, historySyncNotification=told)


def mappings(*pairs: tuple[int, int, int]) -> proto.Message:
    payload = proto.LIDMigrationMappingSyncPayload(chatDbMigrationTimestamp=5)
    for pn, assigned, latest in pairs:
        payload.pnToLidMappings.add(pn=pn, assignedLid=assigned, latestLid=latest)
    told = proto.LIDMigrationMappingSyncMessage(encodedMappingPayload=payload.SerializeToString())
    return protocol(Protocol.LID_MIGRATION_MAPPING_SYNC, lidMigrationMappingSyncMessage=told)


def answer(*answers: bytes) -> proto.Message:
    told = proto.Message.PeerDataOperationRequestResponseMessage(stanzaId="R1")
    for one in answers:
        told.peerDataOperationResult.add().placeholderMessageResendResponse.webMessageInfoBytes = one
    return protocol(Protocol.PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE, peerDataOperationRequestResponseMessage=told)


def test_our_phone_shares_keys() -> None:
    [action] = process(FROM_PHONE, key_share(), is_peer=True).actions
    assert isinstance(action, StoreAppStateKeys)
    assert [key.keyId.keyId for key in action.keys] == [b"K1"]
    assert process(FROM_PHONE, protocol(Protocol.APP_STATE_SYNC_KEY_SHARE), is_peer=True) == Outcome()


def test_our_phone_announces_history() -> None:
    [action] = process(FROM_PHONE, history(), is_peer=True).actions
    assert isinstance(action, KeepHistory)
    assert (action.key, action.notification.chunkOrder) == (FROM_PHONE, 3)


def test_our_phone_tells_who_is_who() -> None:
    [action] = process(FROM_PHONE, mappings((49, 7, 0), (50, 8, 9), (0, 1, 1), (51, 0, 0)), is_peer=True).actions
    assert isinstance(action, LearnMappings)
    assert [(str(pn), str(lid)) for pn, lid in action.pairs] == [
        ("49@s.whatsapp.net", "7@lid"),
        ("50@s.whatsapp.net", "9@lid"),
    ]
    assert action.migrated_at == 5


def test_mappings_that_do_not_parse_are_refused() -> None:
    told = proto.LIDMigrationMappingSyncMessage(encodedMappingPayload=b"\xff")
    message = protocol(Protocol.LID_MIGRATION_MAPPING_SYNC, lidMigrationMappingSyncMessage=told)
    assert only(process(FROM_PHONE, message, is_peer=True), MessageRefused).reason is RefusedReason.MALFORMED


def test_our_phone_answers_with_messages() -> None:
    info = proto.WebMessageInfo(
        key=proto.MessageKey(remoteJid=str(GROUP), id="LATE", participant=str(BEA)),
        message=text_message("late"),
        messageTimestamp=7,
        pushName="Bea",
    )
    message = answer(info.SerializeToString(), b"\xff", proto.WebMessageInfo().SerializeToString() or b"\x0a\x00")
    [action] = process(FROM_PHONE, message, is_peer=True).actions
    assert isinstance(action, TakeAnswers)
    assert (action.request_id, action.damaged) == ("R1", 2)
    [late] = action.messages
    assert late.key == MessageKey(GROUP, "LATE", False, BEA)
    assert (late.message, late.timestamp, late.push_name, late.request_id) == (text_message("late"), 7, "Bea", "R1")


def test_another_answer_is_handed_on() -> None:
    [action] = process(FROM_PHONE, answer(), is_peer=True).actions
    assert isinstance(action, TakePeerData)
    assert action.request_id == "R1"


def test_any_of_our_devices_may_ask_for_keys() -> None:
    request = proto.Message.AppStateSyncKeyRequest()
    request.keyIds.add().keyId = b"K1"
    message = protocol(Protocol.APP_STATE_SYNC_KEY_REQUEST, appStateSyncKeyRequest=request)
    for device in (PHONE, COMPANION):
        [action] = process(replace(FROM_PHONE, author=device), message).actions
        assert isinstance(action, ShareAppStateKeys)
        assert (action.key_ids, action.to) == ((b"K1",), device)
    assert only(process(CHAT, message), MessageRefused).reason is RefusedReason.NOT_OURS


@pytest.mark.parametrize(
    "key",
    [CHAT, replace(CHAT, author=BEA.bare), IN_GROUP, replace(FROM_PHONE, author=COMPANION)],
    ids=["stranger", "his phone", "member", "companion"],
)
@pytest.mark.parametrize("is_peer", [True, False])
@pytest.mark.parametrize("message", [key_share(), history(), mappings((49, 7, 0)), answer(b"\x0a\x00")])
def test_only_our_phone_says_what_is_for_ourselves(message: proto.Message, is_peer: bool, key: MessageKey) -> None:
    outcome = process(key, message, is_peer=is_peer)
    assert outcome.actions == ()
    assert only(outcome, MessageRefused).reason is RefusedReason.NOT_OURS


def test_talk_among_our_devices_is_not_shown_and_words_in_its_disguise_are() -> None:
    other = protocol(Protocol.APP_STATE_FATAL_EXCEPTION_NOTIFICATION)
    assert process(FROM_PHONE, other, is_peer=True) == Outcome()
    assert only(process(FROM_PHONE, text_message("hello"), is_peer=True), MessagesUpsert)


# --- the wrapper for our own devices ----------------------------------------------------------------------------------

OURS = replace(CHAT, from_me=True, author=COMPANION, author_alt=None)


def test_our_own_wrapper_is_taken_off_and_its_context_goes_inside() -> None:
    wrapped = device_sent(BEA, text_message("hello"))
    wrapped.messageContextInfo.messageSecret = SECRET
    outcome = process(OURS, wrapped)
    shown = only(outcome, MessagesUpsert)
    assert (shown.key, shown.message.extendedTextMessage.text) == (OURS, "hello")
    [action] = outcome.actions
    assert isinstance(action, StoreSecret)
    assert action.key == OURS


def test_without_a_recipient_outside_the_wrapper_says_where_it_went() -> None:
    shown = only(process(replace(OURS, chat=PHONE), device_sent(BEA, text_message("hello"))), MessagesUpsert)
    assert shown.key.chat == BEA.bare


def test_what_we_wrote_to_ourselves_stays_there() -> None:
    shown = only(process(replace(OURS, chat=PHONE), device_sent(PHONE, text_message("note"))), MessagesUpsert)
    assert shown.key.chat == PHONE


@pytest.mark.parametrize("inside", [BEA_PN, Jid.parse("77000000000002@hosted.lid")])
def test_the_same_chat_by_its_other_address_is_the_same_chat(inside: Jid) -> None:
    assert only(process(OURS, device_sent(inside, text_message("hello"))), MessagesUpsert).key.chat == BEA.bare


@pytest.mark.parametrize(
    ("key", "destination"),
    [
        (OURS, str(CEM)),
        (OURS, "%"),
        (replace(OURS, chat=GROUP), str(BEA)),
        (replace(OURS, chat_alt=BEA_PN.bare), "4915000000003@s.whatsapp.net"),
    ],
)
def test_a_wrapper_that_names_another_chat_is_refused(key: MessageKey, destination: str) -> None:
    wrapped = device_sent(BEA, text_message("hello"))
    wrapped.deviceSentMessage.destinationJid = destination
    outcome = process(key, wrapped)
    assert only(outcome, MessageRefused).reason is RefusedReason.DESTINATION
    assert outcome.actions == ()


@pytest.mark.parametrize("key", [CHAT, IN_GROUP])
def test_somebody_elses_wrapper_stays_on(key: MessageKey) -> None:
    for message in (
        device_sent(CEM, text_message("hello")),
        device_sent(CEM, revoke(inner())),
        device_sent(CEM, history()),
    ):
        outcome = process(key, message)
        assert only(outcome, MessagesUpsert).message == message
        assert outcome.actions == ()


# --- messages as the phone keeps them ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (proto.MessageKey(remoteJid=str(BEA), id="A"), MessageKey(BEA.bare, "A", False, BEA)),
        (proto.MessageKey(remoteJid=str(BEA), id="A", fromMe=True), MessageKey(BEA.bare, "A", True, PHONE)),
        (
            proto.MessageKey(remoteJid=str(GROUP), id="A", participant="1:99@hosted.lid"),
            MessageKey(GROUP, "A", False, Jid.parse("1:99@lid")),
        ),
        (proto.MessageKey(remoteJid=str(GROUP), id="A"), None),
        (proto.MessageKey(remoteJid=str(BEA)), None),
        (proto.MessageKey(remoteJid="%", id="A"), None),
        (proto.MessageKey(id="A"), None),
    ],
)
def test_a_kept_message_has_a_key_or_is_none(key: proto.MessageKey, expected: MessageKey | None) -> None:
    found = from_web_message(proto.WebMessageInfo(key=key), ME)
    assert (None if found is None else found.key) == expected


def test_a_hosted_author_comes_home() -> None:
    hosted = MessageKey(Jid.parse("1:99@hosted"), "OUT", False, Jid.parse("1:99@hosted"))
    shown = only(process(hosted, text_message("hello")), MessagesUpsert)
    assert (str(shown.key.chat), str(shown.key.author)) == ("1@s.whatsapp.net", "1:99@s.whatsapp.net")
