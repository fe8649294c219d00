"""The outside of an incoming stanza: its kind, and of a message whose it is and which conversation it belongs to.

All of it from tags and addresses alone, without a key. What the addresses claim is the server's word.

Source: Baileys Utils/decode-wa-message.ts decodeMessageNode, whatsmeow message.go parseMessageSource.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from waton.client.events import MessageKey
from waton.errors import RemoteProtocolError
from waton.jid import Jid
from waton.protocol.binary_node import Node
from waton.protocol.stanza.message import IncomingMessage

SECRET_SECONDS = 180 * 86_400
"""How long a message's secret is kept: what is sealed with it (votes, reactions, edits) may come months later."""


class IncomingKind(StrEnum):
    """What an incoming stanza is. Names are the wire's tags, where there is one tag."""

    MESSAGE = "message"
    RECEIPT = "receipt"
    NOTIFICATION = "notification"
    CALL = "call"
    ACK = "ack"
    IQ = "iq"
    IB = "ib"
    PRESENCE = "presence"
    CHATSTATE = "chatstate"
    SUCCESS = "success"
    STREAM_END = "stream"
    """failure, stream:error or xmlstreamend: the server's last word."""
    UNKNOWN = "unknown"

    @property
    def is_acknowledged(self) -> bool:
        """The server delivers it again until we say that we have it."""
        return self in _ACKNOWLEDGED


_ACKNOWLEDGED = (IncomingKind.MESSAGE, IncomingKind.RECEIPT, IncomingKind.NOTIFICATION, IncomingKind.CALL)
_STREAM_END = ("failure", "stream:error", "xmlstreamend")
_NO_TAGS = (IncomingKind.STREAM_END, IncomingKind.UNKNOWN)
_KINDS = {
    **{kind.value: kind for kind in IncomingKind if kind not in _NO_TAGS},
    **dict.fromkeys(_STREAM_END, IncomingKind.STREAM_END),
}


def classify_incoming_node(node: Node) -> IncomingKind:
    """The kind of an incoming stanza; UNKNOWN for a tag that no version of the service was seen to send."""
    return _KINDS.get(node.tag, IncomingKind.UNKNOWN)


@dataclass(frozen=True, slots=True, repr=False)
class Envelope:
    """Whose message it is."""

    key: MessageKey
    stanza: IncomingMessage
    is_peer: bool
    """From our own phone to this device, not part of any conversation."""

    @property
    def chat(self) -> Jid:
        return self.key.chat


def envelope_of(stanza: IncomingMessage, is_me: Callable[[Jid], bool]) -> Envelope:
    """Work out whose message it is.

    Args:
        stanza: the message.
        is_me: tells our own account's addresses.
    Raises:
        RemoteProtocolError: a group's message without an author, or a message to somebody else that is not ours.
    """
    author, chat = stanza.author, stanza.sender.bare
    is_list = chat.is_group or chat.is_broadcast
    if is_list and stanza.participant is None:
        raise RemoteProtocolError("a message of a group that nobody in it has written")
    from_me = is_me(author)
    chat_alt = None if is_list else stanza.author_alt
    if stanza.recipient is not None and not is_list:
        if not from_me:
            raise RemoteProtocolError("a message to somebody else that is not ours")
        chat = stanza.recipient.bare
        chat_alt = stanza.recipient_pn if chat.is_lid else stanza.recipient_lid
    # Keys and history are taken from our own phone only, not from another companion.
    is_peer = stanza.category == "peer" and from_me and author.device == 0
    key = MessageKey(
        chat,
        stanza.id,
        from_me,
        author,
        author_alt=stanza.author_alt,
        chat_alt=None if chat_alt is None else chat_alt.bare,
        addressing_mode=stanza.addressing_mode,
        server_id=stanza.server_id,
        is_view_once=stanza.unavailable == "view_once",
    )
    return Envelope(key, stanza, is_peer)


def message_place(chat: Jid, id: str) -> str:
    """What the keys of all records about messages of this id in this chat begin with."""
    # An id is any text its author likes: escaped, it cannot pose as another message's.
    escaped = id if id.isascii() and id.isalnum() else quote(id, safe="", errors="surrogatepass")
    return f"{chat.bare} {escaped} "


def received_key(key: MessageKey) -> str:
    """The key of records about one message: that it was told, and its secret."""
    return f"{message_place(key.chat, key.id)}{key.author}"
