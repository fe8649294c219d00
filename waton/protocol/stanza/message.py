"""message: the stanza that carries encrypted content, both on its way out and on its way in.

Out, a client names one conversation (`to`) and gives each device its own ciphertext under <participants>; in, a device
gets just its own <enc>, with `from` the author or the conversation.

Source: Baileys Socket/messages-send.ts and Utils/decode-wa-message.ts; order of children as Baileys writes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from waton.jid import Jid
from waton.protocol.binary_node import (
    Node,
    content_bytes,
    get_int,
    get_jid,
    get_text,
    require_int,
    require_jid,
    require_text,
)
from waton.protocol.signal_repo import EncType


class MessageType(StrEnum):
    """The type attribute of a message."""

    TEXT = "text"
    MEDIA = "media"
    POLL = "poll"
    REACTION = "reaction"
    EVENT = "event"


@dataclass(frozen=True, slots=True, repr=False)
class Enc:
    """One ciphertext."""

    type: str
    """EncType's spelling, or what the peer wrote."""
    ciphertext: bytes
    version: str = "2"
    count: int | None = None
    """Which retry this is an answer to."""
    mediatype: str | None = None
    decrypt_fail: str | None = None
    """"hide": show nothing if it cannot be read."""

    def to_node(self) -> Node:
        attrs: dict[str, str | Jid | None] = {
            "v": self.version,
            "type": self.type,
            "count": None if self.count is None else str(self.count),
            "mediatype": self.mediatype,
            "decrypt-fail": self.decrypt_fail,
        }
        return Node("enc", attrs, self.ciphertext)

    @staticmethod
    def from_node(node: Node) -> Enc:
        """Raises StanzaError."""
        return Enc(
            type=require_text(node, "type"),
            ciphertext=content_bytes(node),
            version=get_text(node, "v") or "",
            count=require_int(node, "count") if "count" in node.attrs else None,
            mediatype=get_text(node, "mediatype"),
            decrypt_fail=get_text(node, "decrypt-fail"),
        )


@dataclass(frozen=True, slots=True, repr=False)
class OutgoingMessage:
    """What a client sends to the server."""

    id: str
    to: Jid
    encs: tuple[tuple[Jid, Enc], ...]
    """A ciphertext for each device."""
    type: str = MessageType.TEXT
    bare: Enc | None = None
    """A ciphertext for `to` itself: a group's under a sender key, peer messages, one-device and retry sends."""
    device_identity: bytes = b""
    """ADVSignedDeviceIdentity, present when any ciphertext is a pkmsg."""
    category: str | None = None
    push_priority: str | None = None
    edit: str | None = None
    phash: str | None = None
    participant: Jid | None = None
    """In a resend to a group: the one device it is for."""
    recipient: Jid | None = None
    """In a resend to our own other device: the conversation."""
    addressing_mode: str | None = None
    """In a group: which of the two addresses its participants have."""
    device_fanout: str | None = None
    """"false" in a resend to one device of a person."""
    expiration: int | None = None
    """Seconds after which messages of a group disappear."""
    extra: tuple[Node, ...] = ()
    """Children we carry and do not interpret: reporting, tctoken, meta ..."""

    def to_node(self) -> Node:
        attrs: dict[str, str | Jid | None] = {
            "id": self.id,
            "to": self.to,
            "type": self.type,
            "category": self.category,
            "push_priority": self.push_priority,
            "edit": self.edit,
            "phash": self.phash,
            "participant": self.participant,
            "recipient": self.recipient,
            "addressing_mode": self.addressing_mode,
            "device_fanout": self.device_fanout,
            "expiration": None if self.expiration is None else str(self.expiration),
        }
        children: list[Node] = []
        if self.bare is not None:
            children.append(self.bare.to_node())
        if self.encs:
            recipients = [Node("to", {"jid": jid}, [enc.to_node()]) for jid, enc in self.encs]
            children.append(Node("participants", None, recipients))
        if self.device_identity:
            children.append(Node("device-identity", None, self.device_identity))
        return Node("message", attrs, [*children, *self.extra])

    @staticmethod
    def from_node(node: Node) -> OutgoingMessage:
        """The lab's way in. Raises StanzaError."""
        bare = node.child("enc")
        participants = node.child("participants")
        identity = node.child("device-identity")
        known = {"enc", "participants", "device-identity"}
        return OutgoingMessage(
            id=require_text(node, "id"),
            to=require_jid(node, "to"),
            encs=tuple(_recipients(participants)) if participants is not None else (),
            type=get_text(node, "type") or "",
            bare=None if bare is None else Enc.from_node(bare),
            device_identity=b"" if identity is None else content_bytes(identity),
            category=get_text(node, "category"),
            push_priority=get_text(node, "push_priority"),
            edit=get_text(node, "edit"),
            phash=get_text(node, "phash"),
            participant=get_jid(node, "participant"),
            recipient=get_jid(node, "recipient"),
            addressing_mode=get_text(node, "addressing_mode"),
            device_fanout=get_text(node, "device_fanout"),
            expiration=get_int(node, "expiration"),
            extra=tuple(child for child in node.children() if child.tag not in known),
        )


def _recipients(participants: Node) -> list[tuple[Jid, Enc]]:
    # A <to> without <enc> names a reader of a status; it carries nothing to decrypt.
    found: list[tuple[Jid, Enc]] = []
    for to in participants.children("to"):
        enc = to.child("enc")
        if enc is not None:
            found.append((require_jid(to, "jid"), Enc.from_node(enc)))
    return found


@dataclass(frozen=True, slots=True, repr=False)
class IncomingMessage:
    """What the server delivers to one device."""

    id: str
    sender: Jid
    """`from`: the author, our own account, or a group."""
    t: int
    """Unix seconds."""
    type: str
    encs: tuple[Enc, ...]
    participant: Jid | None = None
    recipient: Jid | None = None
    """In a message from our own other device: the conversation."""
    category: str | None = None
    notify: str = ""
    """The author's push name."""
    sender_pn: Jid | None = None
    sender_lid: Jid | None = None
    participant_pn: Jid | None = None
    """In a LID group: the author's other address."""
    participant_lid: Jid | None = None
    recipient_pn: Jid | None = None
    recipient_lid: Jid | None = None
    addressing_mode: str | None = None
    offline: str | None = None
    """Present when it comes from the offline queue."""
    edit: str | None = None
    device_identity: bytes = b""
    unavailable: str | None = None
    """Why it carries nothing to decrypt, when it says so: view_once, bot_unavailable_fanout ...; "" for no reason."""
    plaintext: bytes | None = None
    """Unencrypted content, of a newsletter."""
    server_id: str | None = None
    """In a newsletter: the number of the message there."""
    extra: tuple[Node, ...] = field(default=())

    @property
    def author(self) -> Jid:
        """The device that encrypted it."""
        return self.participant or self.sender

    @property
    def author_alt(self) -> Jid | None:
        """The author's other address, with the device, when the stanza tells it."""
        author = self.author
        other = (self.participant_pn or self.sender_pn) if author.is_lid else (self.participant_lid or self.sender_lid)
        return None if other is None else other.with_device(author.device)

    def to_node(self) -> Node:
        """The lab's way out; attributes that are JIDs stay JIDs (whatsmeow insists)."""
        attrs: dict[str, str | Jid | None] = {
            "from": self.sender,
            "type": self.type,
            "id": self.id,
            "t": str(self.t),
            "participant": self.participant,
            "recipient": self.recipient,
            "category": self.category,
            "notify": self.notify or None,
            "sender_pn": self.sender_pn,
            "sender_lid": self.sender_lid,
            "participant_pn": self.participant_pn,
            "participant_lid": self.participant_lid,
            "recipient_pn": self.recipient_pn,
            "recipient_lid": self.recipient_lid,
            "addressing_mode": self.addressing_mode,
            "offline": self.offline,
            "edit": self.edit,
        }
        children = [enc.to_node() for enc in self.encs]
        if self.device_identity:
            children.append(Node("device-identity", None, self.device_identity))
        return Node("message", attrs, [*children, *self.extra])

    def queued(self, mark: str) -> IncomingMessage:
        """The same, as it comes out of the offline queue."""
        return replace(self, offline=mark)

    @staticmethod
    def from_node(node: Node) -> IncomingMessage:
        """Raises StanzaError."""
        identity = node.child("device-identity")
        absent, plain = node.child("unavailable"), node.child("plaintext")
        known = {"enc", "device-identity", "unavailable", "plaintext"}
        return IncomingMessage(
            id=require_text(node, "id"),
            sender=require_jid(node, "from"),
            t=require_int(node, "t"),
            type=get_text(node, "type") or "",
            encs=tuple(Enc.from_node(enc) for enc in node.children("enc")),
            participant=get_jid(node, "participant"),
            recipient=get_jid(node, "recipient"),
            category=get_text(node, "category"),
            notify=get_text(node, "notify") or "",
            sender_pn=get_jid(node, "sender_pn"),
            sender_lid=get_jid(node, "sender_lid"),
            participant_pn=get_jid(node, "participant_pn"),
            participant_lid=get_jid(node, "participant_lid"),
            # Of a peer's own message the stanza says peer_recipient_pn. Baileys takes that for the author's.
            recipient_pn=get_jid(node, "recipient_pn") or get_jid(node, "peer_recipient_pn"),
            recipient_lid=get_jid(node, "recipient_lid") or get_jid(node, "peer_recipient_lid"),
            addressing_mode=get_text(node, "addressing_mode"),
            offline=get_text(node, "offline"),
            edit=get_text(node, "edit"),
            device_identity=b"" if identity is None else content_bytes(identity),
            unavailable=None if absent is None else get_text(absent, "type") or "",
            plaintext=None if plain is None else content_bytes(plain),
            server_id=get_text(node, "server_id"),
            extra=tuple(child for child in node.children() if child.tag not in known),
        )


__all__ = ["Enc", "EncType", "IncomingMessage", "MessageType", "OutgoingMessage"]
