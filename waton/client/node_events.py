"""Stanzas that are events by themselves: presence, calls, and the smaller notifications.

Each function takes one stanza and gives the events it is; nothing is looked up and nothing kept. Blocked people and
pictures may be several in one notification, and each is told.

Source: Baileys Socket/chats.ts handlePresenceUpdate, Socket/messages-recv.ts handleCall and processNotification,
Utils/messages-media.ts decodeMediaRetryNode; whatsmeow call.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import DecodeError as ProtobufError

from waton.client.events import (
    BlocklistAction,
    BlocklistUpdate,
    CallStatus,
    CallUpdate,
    ContactsUpdate,
    MediaUpdate,
    MessageKey,
    Presence,
    PresenceUpdate,
)
from waton.client.message_keys import Me, as_text, at_home
from waton.errors import RemoteProtocolError
from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.binary_node import Node, get_int, get_jid, get_text, require_child, require_jid, require_text
from waton.protocol.stanza.message import IncomingMessage

_CALLS: Mapping[str, CallStatus] = {
    "offer": CallStatus.OFFER,
    "offer_notice": CallStatus.OFFER,
    "terminate": CallStatus.TERMINATE,
    "reject": CallStatus.REJECT,
    "accept": CallStatus.ACCEPT,
    "preaccept": CallStatus.PREACCEPT,
    "transport": CallStatus.TRANSPORT,
    "relaylatency": CallStatus.RELAY_LATENCY,
}
_MISSING_CIPHERTEXT = 404
"""Baileys' code for an answer about a medium that holds neither an error nor an answer."""


def presence_event(node: Node) -> PresenceUpdate | None:
    """A <presence> or <chatstate>; None for one that says nothing. Raises StanzaError."""
    chat = require_jid(node, "from")
    participant = get_jid(node, "participant") or chat
    if node.tag == "presence":
        is_gone = get_text(node, "type") == "unavailable"
        presence = Presence.UNAVAILABLE if is_gone else Presence.AVAILABLE
        return PresenceUpdate(chat, participant, presence, _number(node, "last"), _number(node, "count"))
    states = node.children()
    if not states or states[0].tag not in (Presence.COMPOSING, Presence.PAUSED, Presence.RECORDING):
        return None
    is_audio = get_text(states[0], "media") == "audio"
    return PresenceUpdate(chat, participant, Presence.RECORDING if is_audio else Presence(states[0].tag))


def _number(node: Node, name: str) -> int | None:
    """A number; None when it is none: last="deny" keeps it secret."""
    text = get_text(node, name)
    return int(text) if text and text.isdecimal() and len(text) <= 20 else None


def call_event(node: Node) -> CallUpdate:
    """A <call>. Raises StanzaError, or RemoteProtocolError when it tells of no call."""
    told = node.children()
    if not told:
        raise RemoteProtocolError("a call that says nothing")
    about = told[0]
    return CallUpdate(
        chat=require_jid(node, "from"),
        id=require_text(about, "call-id"),
        caller=get_jid(about, "from") or require_jid(about, "call-creator"),
        status=_call_status(about),
        timestamp=get_int(node, "t") or 0,
        caller_pn=get_jid(about, "caller_pn"),
        is_offline="offline" in node.attrs,
        is_video=about.child("video") is not None,
        group=get_jid(about, "group-jid"),
        latency_ms=_number(about, "latency"),
    )


def _call_status(about: Node) -> CallStatus:
    if about.tag == "terminate" and get_text(about, "reason") == "timeout":
        return CallStatus.TIMEOUT
    return _CALLS.get(about.tag, CallStatus.RINGING)


def picture_events(node: Node) -> tuple[ContactsUpdate, ...]:
    """A notification of type picture: somebody, or a group, has another picture or none. Raises StanzaError."""
    changes = [child for child in node.children() if child.tag in ("set", "delete")]
    found: list[ContactsUpdate] = []
    for change in changes:
        whose = get_jid(change, "jid") or require_jid(node, "from")
        picture = require_text(change, "id") if change.tag == "set" else ""
        found.append(ContactsUpdate(at_home(whose.bare), picture=picture))
    return tuple(found)


def blocklist_events(node: Node) -> tuple[BlocklistUpdate, ...]:
    """An account_sync with a <blocklist>: one event for those blocked, one for those let go. Raises StanzaError."""
    people: dict[BlocklistAction, list[Jid]] = {}
    for listed in node.children("blocklist"):
        for item in listed.children("item"):
            is_block = get_text(item, "action") == "block"
            action = BlocklistAction.ADD if is_block else BlocklistAction.REMOVE
            people.setdefault(action, []).append(require_jid(item, "jid"))
    return tuple(BlocklistUpdate(tuple(jids), action) for action, jids in people.items())


def media_event(node: Node, me: Me) -> MediaUpdate:
    """A notification of type mediaretry: the phone has uploaded a medium again, or cannot. Raises StanzaError."""
    about = require_child(node, "rmr")
    chat = require_jid(about, "jid").bare
    from_me = get_text(about, "from_me") == "true"
    author = me.beside(chat) if from_me else get_jid(about, "participant")
    key = MessageKey(at_home(chat), require_text(node, "id"), from_me, at_home((author or chat).bare))
    error = node.child("error")
    if error is not None:
        return MediaUpdate(key, error=get_int(error, "code") or 0)
    sealed = {child.tag: child.content for one in node.children("encrypt") for child in one.children()}
    ciphertext, iv = sealed.get("enc_p"), sealed.get("enc_iv")
    if not isinstance(ciphertext, bytes) or not isinstance(iv, bytes):
        return MediaUpdate(key, error=_MISSING_CIPHERTEXT)
    return MediaUpdate(key, ciphertext, iv)


def verified_name(stanza: IncomingMessage) -> str:
    """The business name that comes with a message; "" when there is none, or it does not parse.

    Its signature is not checked.

    Source: Baileys Utils/decode-wa-message.ts.
    """
    for child in stanza.extra:
        if child.tag == "verified_name" and isinstance(child.content, bytes):
            try:
                certificate = proto.VerifiedNameCertificate.FromString(child.content)
                return as_text(proto.VerifiedNameCertificate.Details.FromString(certificate.details).verifiedName)
            except ProtobufError:
                return ""
    return ""
