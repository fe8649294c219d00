"""What the stanza says about the message inside: type, mediatype, edit, decrypt-fail, meta.

The server, which cannot read the message, routes and counts by it, a phone decides by it how to wake up, and a reader
who cannot decrypt knows by it whether to show anything. All of it follows from the content alone.

Where the clients differ we write what the web client does, as whatsapp-rust found it: Baileys calls answers to events,
link previews, round videos, places and polls of later versions `text`, leaves out the mediatype of content in wrappers,
and hides no more than reactions and pins; whatsmeow hides revokes too, which the server then drops (whatsapp-rust).

Source: whatsapp-rust wacore/src/send/classify.rs and src/send/mod.rs, whatsmeow send.go, Baileys
Socket/messages-send.ts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.message import MAX_WRAPPERS, kind_of
from waton.protocol.stanza.message import MessageType

_WRAPPERS = (
    "ephemeralMessage",
    "viewOnceMessage",
    "viewOnceMessageV2",
    "viewOnceMessageV2Extension",
    "documentWithCaptionMessage",
    "groupMentionedMessage",
    "botInvokeMessage",
    "associatedChildMessage",
    "pollCreationOptionImageMessage",
    "eventCoverImage",
    "groupStatusMessage",
    "groupStatusMessageV2",
    "groupStatusMentionMessage",
    "statusAddYours",
    "statusMentionMessage",
    "questionMessage",
    "questionReplyMessage",
    "spoilerMessage",
    "lottieStickerMessage",
    "limitSharingMessage",
    "newsletterAdminProfileMessage",
    "pollCreationMessageV4",
    "deviceSentMessage",
)
"""What is looked through here: more than when reading, and not editedMessage, which is a sign itself."""
_VIEW_ONCE = ("viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension")

_POLLS = ("pollCreationMessage", "pollCreationMessageV2", "pollCreationMessageV3")
_TYPES = {
    "reactionMessage": MessageType.REACTION,
    "encReactionMessage": MessageType.REACTION,
    "eventMessage": MessageType.EVENT,
    "encEventResponseMessage": MessageType.EVENT,
    "pollUpdateMessage": MessageType.POLL,
    "pollCreationMessageV5": MessageType.POLL,
    "pollCreationMessageV6": MessageType.POLL,
    **dict.fromkeys(_POLLS, MessageType.POLL),
}
_MEDIATYPES = {
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "ptv",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
    "stickerPackMessage": "sticker_pack",
    "locationMessage": "location",
    "liveLocationMessage": "livelocation",
    "contactMessage": "vcard",
    "contactsArrayMessage": "contact_array",
    "groupInviteMessage": "url",
    "listMessage": "list",
    "listResponseMessage": "list_response",
    "buttonsResponseMessage": "buttons_response",
    "orderMessage": "order",
    "productMessage": "product",
    "interactiveResponseMessage": "native_flow_response",
    "messageHistoryBundle": "group_history",
}

_Protocol = proto.Message.ProtocolMessage
_Sealed = proto.Message.SecretEncryptedMessage
_SEALED_TYPES = {
    _Sealed.EVENT_EDIT: MessageType.EVENT,
    _Sealed.POLL_EDIT: MessageType.POLL,
    _Sealed.POLL_ADD_OPTION: MessageType.POLL,
}
_HIDDEN = (
    "reactionMessage",
    "encReactionMessage",
    "pinInChatMessage",
    "editedMessage",
    "keepInChatMessage",
    "encEventResponseMessage",
    "messageHistoryNotice",
    "conditionalRevealMessage",
)
_HIDDEN_PROTOCOL = (
    _Protocol.EPHEMERAL_SYNC_RESPONSE,
    _Protocol.REQUEST_WELCOME_MESSAGE,
    _Protocol.GROUP_MEMBER_LABEL_CHANGE,
    _Protocol.MESSAGE_EDIT,
)


class Edit(StrEnum):
    """The edit attribute of a message."""

    MESSAGE = "1"
    PIN = "2"
    ADMIN = "3"
    """An edit in a newsletter."""
    SENDER_REVOKE = "7"
    """Its author takes something back: a message, a reaction, a keep."""
    ADMIN_REVOKE = "8"
    """An admin takes somebody's message back."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What the stanza of one message says about it."""

    type: str
    """MessageType's spelling."""
    mediatype: str | None = None
    """Of each <enc>."""
    edit: str | None = None
    """Edit's spelling."""
    decrypt_fail: str | None = None
    """Of each <enc>: "hide" for what is no message of its own."""
    meta: Node | None = None
    """A child of the stanza."""


def labels_of(message: proto.Message, *, newsletter: bool = False) -> Labels:
    """The labels of a message that is to be sent.

    Args:
        message: without the wrapper for our own devices; their copy gets the same labels.
        newsletter: its editors' edits and revokes have codes of their own.
    """
    content = _unwrapped(message)
    mediatype = _mediatype(content)
    return Labels(
        type=_type(content, mediatype),
        mediatype=mediatype,
        edit=_edit(content, newsletter=newsletter),
        decrypt_fail="hide" if _is_hidden(content) else None,
        meta=_meta(message, content),
    )


def _unwrapped(message: proto.Message) -> proto.Message:
    for _ in range(MAX_WRAPPERS):
        kind = kind_of(message)
        if kind not in _WRAPPERS:
            break
        wrapper: Any = getattr(message, kind)
        message = wrapper.message
    return message


def _type(content: proto.Message, mediatype: str | None) -> str:
    kind = kind_of(content)
    if kind == "secretEncryptedMessage":
        return _SEALED_TYPES.get(content.secretEncryptedMessage.secretEncType, MessageType.TEXT)
    return _TYPES.get(kind) or (MessageType.TEXT if mediatype is None else MessageType.MEDIA)


def _mediatype(content: proto.Message) -> str | None:
    match kind := kind_of(content):
        case "extendedTextMessage":
            return "url" if content.extendedTextMessage.matchedText.strip() else None
        case "videoMessage" if content.videoMessage.gifPlayback:
            return "gif"
        case "audioMessage" if content.audioMessage.ptt:
            return "ptt"
        case "locationMessage" if content.locationMessage.isLive:
            return "livelocation"
        case _:
            return _MEDIATYPES.get(kind)


def _edit(content: proto.Message, *, newsletter: bool) -> str | None:
    edited = Edit.ADMIN if newsletter else Edit.MESSAGE
    match kind_of(content):
        case "pinInChatMessage":
            return Edit.PIN
        case "editedMessage":
            return edited
        case "protocolMessage":
            return _protocol_edit(content.protocolMessage, edited, newsletter=newsletter)
        case "secretEncryptedMessage" if content.secretEncryptedMessage.secretEncType in (
            _Sealed.MESSAGE_EDIT,
            _Sealed.EVENT_EDIT,
        ):
            return Edit.MESSAGE
        case "reactionMessage" if not content.reactionMessage.text:
            return Edit.SENDER_REVOKE
        case "keepInChatMessage" if _is_unkeep(content.keepInChatMessage):
            return Edit.SENDER_REVOKE
        case _:
            return None


def _protocol_edit(told: proto.Message.ProtocolMessage, edited: Edit, *, newsletter: bool) -> str | None:
    if is_revoke(told):
        return Edit.SENDER_REVOKE if told.key.fromMe and not newsletter else Edit.ADMIN_REVOKE
    return edited if told.type == _Protocol.MESSAGE_EDIT or told.HasField("editedMessage") else None


def is_revoke(told: proto.Message.ProtocolMessage) -> bool:
    """Whether it takes a message back. An absent type reads as that one, and is not."""
    return told.HasField("type") and told.type == _Protocol.REVOKE


def _is_unkeep(keep: proto.Message.KeepInChatMessage) -> bool:
    return keep.key.fromMe and keep.keepType == proto.KeepType.UNDO_KEEP_FOR_ALL


def _is_hidden(content: proto.Message) -> bool:
    """Whether a reader who cannot decrypt it shows nothing. Never for revokes: the server drops those that say so."""
    match kind := kind_of(content):
        case "pollUpdateMessage":
            return content.pollUpdateMessage.HasField("vote")
        case "secretEncryptedMessage":
            kinds = (_Sealed.MESSAGE_EDIT, _Sealed.EVENT_EDIT, _Sealed.POLL_EDIT, _Sealed.POLL_ADD_OPTION)
            return content.secretEncryptedMessage.secretEncType in kinds
        case "protocolMessage":
            told = content.protocolMessage
            return told.type in _HIDDEN_PROTOCOL or told.HasField("editedMessage")
        case _:
            return kind in _HIDDEN


def _meta(message: proto.Message, content: proto.Message) -> Node | None:
    attrs: dict[str, str] = {}
    match kind := kind_of(content):
        case "pollUpdateMessage" if content.pollUpdateMessage.HasField("vote"):
            attrs["polltype"] = "vote"
        case "eventMessage":
            attrs["event_type"] = "creation"
        case "encEventResponseMessage":
            attrs["event_type"] = "response"
        case "secretEncryptedMessage" if content.secretEncryptedMessage.secretEncType == _Sealed.EVENT_EDIT:
            attrs["event_type"] = "edit"
        case "protocolMessage" if content.protocolMessage.HasField("memberLabel"):
            is_set = bool(content.protocolMessage.memberLabel.label)
            attrs |= {"tag_reason": "user_update" if is_set else "user_delete", "appdata": "member_tag"}
        case _ if kind in _POLLS:
            attrs["polltype"] = "creation"
        case _:
            pass
    if _is_view_once(message):
        attrs["view_once"] = "true"
    return Node("meta", dict(attrs)) if attrs else None


def _is_view_once(message: proto.Message) -> bool:
    for _ in range(MAX_WRAPPERS):
        kind = kind_of(message)
        if kind in _VIEW_ONCE:
            return True
        if kind not in _WRAPPERS:
            break
        wrapper: Any = getattr(message, kind)
        message = wrapper.message
    body: Any = getattr(message, kind_of(message) or "conversation")
    return bool(getattr(body, "viewOnce", False))
