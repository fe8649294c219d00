"""What the stanza says about the message inside. Expected: whatsapp-rust classify.rs, whatsmeow send.go, Baileys."""

from __future__ import annotations

import pytest

from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.message import device_sent, text_message
from waton.protocol.message_labels import Edit, Labels, is_revoke, labels_of

Message = proto.Message
Protocol = Message.ProtocolMessage
Sealed = Message.SecretEncryptedMessage


def protocol(type: Protocol.Type.ValueType, *, from_me: bool = True) -> proto.Message:
    return Message(protocolMessage=Protocol(type=type, key=proto.MessageKey(id="A", fromMe=from_me)))


def sealed(kind: Sealed.SecretEncType.ValueType) -> proto.Message:
    return Message(secretEncryptedMessage=Sealed(secretEncType=kind))


def of_kind(name: str) -> proto.Message:
    """A message with this field, empty."""
    message = Message()
    getattr(message, name).SetInParent()
    return message


def keep(kind: proto.KeepType.ValueType, *, from_me: bool) -> proto.Message:
    told = Message.KeepInChatMessage(key=proto.MessageKey(id="A", fromMe=from_me), keepType=kind)
    return Message(keepInChatMessage=told)


# --- type and mediatype -----------------------------------------------------------------------------------------------

LINK = Message(extendedTextMessage=Message.ExtendedTextMessage(text="see x.org", matchedText="x.org"))


@pytest.mark.parametrize(
    ("message", "type", "mediatype"),
    [
        (text_message("hello"), "text", None),
        (Message(conversation="hello"), "text", None),
        (Message(), "text", None),
        (of_kind("interactiveMessage"), "text", None),
        (of_kind("sendPaymentMessage"), "text", None),
        (LINK, "media", "url"),
        (Message(extendedTextMessage=Message.ExtendedTextMessage(matchedText=" ")), "text", None),
        (of_kind("imageMessage"), "media", "image"),
        (of_kind("videoMessage"), "media", "video"),
        (Message(videoMessage=Message.VideoMessage(gifPlayback=True)), "media", "gif"),
        (of_kind("ptvMessage"), "media", "ptv"),
        (of_kind("audioMessage"), "media", "audio"),
        (Message(audioMessage=Message.AudioMessage(ptt=True)), "media", "ptt"),
        (of_kind("documentMessage"), "media", "document"),
        (of_kind("stickerMessage"), "media", "sticker"),
        (of_kind("stickerPackMessage"), "media", "sticker_pack"),
        (of_kind("locationMessage"), "media", "location"),
        (Message(locationMessage=Message.LocationMessage(isLive=True)), "media", "livelocation"),
        (of_kind("liveLocationMessage"), "media", "livelocation"),
        (of_kind("contactMessage"), "media", "vcard"),
        (of_kind("contactsArrayMessage"), "media", "contact_array"),
        (of_kind("groupInviteMessage"), "media", "url"),
        (of_kind("listMessage"), "media", "list"),
        (of_kind("listResponseMessage"), "media", "list_response"),
        (of_kind("buttonsResponseMessage"), "media", "buttons_response"),
        (of_kind("orderMessage"), "media", "order"),
        (of_kind("productMessage"), "media", "product"),
        (of_kind("interactiveResponseMessage"), "media", "native_flow_response"),
        (of_kind("messageHistoryBundle"), "media", "group_history"),
        (of_kind("reactionMessage"), "reaction", None),
        (of_kind("encReactionMessage"), "reaction", None),
        (of_kind("pollCreationMessage"), "poll", None),
        (of_kind("pollCreationMessageV2"), "poll", None),
        (of_kind("pollCreationMessageV3"), "poll", None),
        (of_kind("pollCreationMessageV5"), "poll", None),
        (of_kind("pollUpdateMessage"), "poll", None),
        (of_kind("eventMessage"), "event", None),
        (of_kind("encEventResponseMessage"), "event", None),
        (sealed(Sealed.EVENT_EDIT), "event", None),
        (sealed(Sealed.POLL_EDIT), "poll", None),
        (sealed(Sealed.POLL_ADD_OPTION), "poll", None),
        (sealed(Sealed.MESSAGE_EDIT), "text", None),
        (protocol(Protocol.REVOKE), "text", None),
        (of_kind("pinInChatMessage"), "text", None),
        (of_kind("keepInChatMessage"), "text", None),
    ],
)
def test_the_type_and_the_mediatype(message: proto.Message, type: str, mediatype: str | None) -> None:
    labels = labels_of(message)
    assert (labels.type, labels.mediatype) == (type, mediatype)


@pytest.mark.parametrize(
    "wrapper",
    ["ephemeralMessage", "viewOnceMessageV2", "documentWithCaptionMessage", "groupStatusMessageV2", "spoilerMessage"],
)
def test_labels_are_those_of_the_content(wrapper: str) -> None:
    for content in (of_kind("imageMessage"), of_kind("reactionMessage"), protocol(Protocol.MESSAGE_EDIT)):
        outer = Message()
        getattr(outer, wrapper).message.CopyFrom(content)
        labels, expected = labels_of(outer), labels_of(content)
        assert (labels.type, labels.mediatype, labels.edit, labels.decrypt_fail) == (
            expected.type,
            expected.mediatype,
            expected.edit,
            expected.decrypt_fail,
        )
        own = labels_of(device_sent(Jid.parse("1@lid"), outer))
        assert (own.type, own.mediatype, own.edit) == (expected.type, expected.mediatype, expected.edit)


def test_a_plain_text_says_nothing_more() -> None:
    assert labels_of(text_message("hello")) == Labels("text")


def test_wrappers_without_an_end_are_no_trap() -> None:
    message = text_message("hello")
    for _ in range(90):
        outer = Message()
        outer.ephemeralMessage.message.CopyFrom(message)
        message = outer
    assert labels_of(message).type == "text"


# --- edit and decrypt-fail --------------------------------------------------------------------------------------------


def edited() -> proto.Message:
    return Message(editedMessage=Message.FutureProofMessage(message=text_message("new")))


@pytest.mark.parametrize(
    ("message", "edit", "is_hidden"),
    [
        (text_message("hello"), None, False),
        (protocol(Protocol.MESSAGE_EDIT), Edit.MESSAGE, True),
        (Message(protocolMessage=Protocol(editedMessage=text_message("new"))), Edit.MESSAGE, True),
        (edited(), Edit.MESSAGE, True),
        (sealed(Sealed.MESSAGE_EDIT), Edit.MESSAGE, True),
        (sealed(Sealed.EVENT_EDIT), Edit.MESSAGE, True),
        (sealed(Sealed.POLL_EDIT), None, True),
        (sealed(Sealed.MESSAGE_SCHEDULE), None, False),
        (of_kind("pinInChatMessage"), Edit.PIN, True),
        (protocol(Protocol.REVOKE), Edit.SENDER_REVOKE, False),
        (protocol(Protocol.REVOKE, from_me=False), Edit.ADMIN_REVOKE, False),
        (Message(protocolMessage=Protocol(key=proto.MessageKey(id="A", fromMe=True))), None, False),
        (Message(reactionMessage=Message.ReactionMessage(text="x")), None, True),
        (Message(reactionMessage=Message.ReactionMessage(text="")), Edit.SENDER_REVOKE, True),
        (of_kind("encReactionMessage"), None, True),
        (keep(proto.KeepType.UNDO_KEEP_FOR_ALL, from_me=True), Edit.SENDER_REVOKE, True),
        (keep(proto.KeepType.UNDO_KEEP_FOR_ALL, from_me=False), None, True),
        (keep(proto.KeepType.KEEP_FOR_ALL, from_me=True), None, True),
        (of_kind("encEventResponseMessage"), None, True),
        (of_kind("pollUpdateMessage"), None, False),
        (Message(pollUpdateMessage=Message.PollUpdateMessage(vote=Message.PollEncValue())), None, True),
        (of_kind("pollCreationMessage"), None, False),
        (protocol(Protocol.GROUP_MEMBER_LABEL_CHANGE), None, True),
        (protocol(Protocol.EPHEMERAL_SETTING), None, False),
    ],
)
def test_the_edit_code_and_what_is_hidden(message: proto.Message, edit: str | None, is_hidden: bool) -> None:
    labels = labels_of(message)
    assert (labels.edit, labels.decrypt_fail) == (edit, "hide" if is_hidden else None)


def test_a_newsletter_has_codes_of_its_own() -> None:
    assert labels_of(protocol(Protocol.MESSAGE_EDIT), newsletter=True).edit == Edit.ADMIN
    assert labels_of(protocol(Protocol.REVOKE), newsletter=True).edit == Edit.ADMIN_REVOKE
    assert labels_of(text_message("hello"), newsletter=True).edit is None


def test_an_absent_type_is_no_revoke() -> None:
    assert not is_revoke(Protocol(key=proto.MessageKey(id="A")))
    assert is_revoke(Protocol(type=Protocol.REVOKE))


# --- meta -------------------------------------------------------------------------------------------------------------


def label(text: str) -> proto.Message:
    told = Protocol(type=Protocol.GROUP_MEMBER_LABEL_CHANGE, memberLabel=proto.MemberLabel(label=text))
    return Message(protocolMessage=told)


@pytest.mark.parametrize(
    ("message", "attrs"),
    [
        (of_kind("pollCreationMessage"), {"polltype": "creation"}),
        (of_kind("pollCreationMessageV3"), {"polltype": "creation"}),
        (Message(pollUpdateMessage=Message.PollUpdateMessage(vote=Message.PollEncValue())), {"polltype": "vote"}),
        (of_kind("eventMessage"), {"event_type": "creation"}),
        (of_kind("encEventResponseMessage"), {"event_type": "response"}),
        (sealed(Sealed.EVENT_EDIT), {"event_type": "edit"}),
        (label("treasurer"), {"tag_reason": "user_update", "appdata": "member_tag"}),
        (label(""), {"tag_reason": "user_delete", "appdata": "member_tag"}),
        (Message(imageMessage=Message.ImageMessage(viewOnce=True)), {"view_once": "true"}),
        (Message(viewOnceMessage=Message.FutureProofMessage(message=of_kind("imageMessage"))), {"view_once": "true"}),
    ],
)
def test_meta_says_what_kind_of_thing_it_is(message: proto.Message, attrs: dict[str, str | Jid | None]) -> None:
    assert labels_of(message).meta == Node("meta", attrs)


def test_meta_holds_everything_at_once() -> None:
    message = Message(viewOnceMessageV2=Message.FutureProofMessage(message=of_kind("eventMessage")))
    assert labels_of(message).meta == Node("meta", {"event_type": "creation", "view_once": "true"})
    inner = Message(ephemeralMessage=Message.FutureProofMessage(message=message))
    assert labels_of(inner).meta == labels_of(message).meta


@pytest.mark.parametrize("message", [text_message("x"), of_kind("imageMessage"), protocol(Protocol.REVOKE)])
def test_most_messages_have_no_meta(message: proto.Message) -> None:
    assert labels_of(message).meta is None
