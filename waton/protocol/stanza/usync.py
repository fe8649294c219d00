"""usync: one question about many users, by several protocols at once (devices, lid, contact, status ...).

A question names users and protocols; the answer has, for each user, a child for each protocol that had something to
say. What the other protocols than devices, lid and contact say is in usync_profiles.py.

Source: Baileys WAUSync/*, whatsmeow user.go, whatsapp-rust wacore/src/iq/usync (users by name).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from waton.jid import Jid, JidServer
from waton.protocol.binary_node import (
    Node,
    StanzaError,
    content_bytes,
    get_jid,
    get_text,
    require_child,
    require_int,
    require_jid,
)
from waton.protocol.stanza.usync_profiles import About, BotProfile, Disappearing, text_of

MAX_DEVICE = 0xFFFF
"""The largest device number an address can hold."""


class Protocol(StrEnum):
    """What is asked about each user."""

    DEVICES = "devices"
    LID = "lid"
    CONTACT = "contact"
    """Whether an address or a name is on WhatsApp."""
    STATUS = "status"
    DISAPPEARING_MODE = "disappearing_mode"
    USERNAME = "username"
    BOT = "bot"


class Mode(StrEnum):
    """How much is asked."""

    QUERY = "query"
    FULL = "full"
    """The whole address book anew."""
    DELTA = "delta"
    """What has changed in it."""


class Context(StrEnum):
    """What the question is for."""

    INTERACTIVE = "interactive"
    """Somebody waits for the answer."""
    MESSAGE = "message"
    BACKGROUND = "background"
    NOTIFICATION = "notification"


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """One device in a user's list."""

    id: int
    key_index: int | None = None
    is_hosted: bool = False

    @property
    def counts(self) -> bool:
        """A companion without a key index (they count from 1) is not vouched for and must not be sent to."""
        return self.id == 0 or bool(self.key_index)

    def address(self, user: Jid) -> Jid:
        """This device of that user (PN or LID); hosted ones have a server of their own."""
        if not self.is_hosted:
            return user.with_device(self.id)
        return Jid(user.user, JidServer.HOSTED_LID if user.is_lid else JidServer.HOSTED, self.id)


@dataclass(frozen=True, slots=True)
class UserResult:
    """What a usync answer says about one user."""

    jid: Jid
    devices: tuple[DeviceEntry, ...] = ()
    key_index_list: bytes = b""
    """ADVSignedKeyIndexList protobuf."""
    lid: Jid | None = None
    is_registered: bool | None = None
    """Answer of the contact protocol; None when not asked."""
    about: About | None = None
    disappearing: Disappearing | None = None
    username: str | None = None
    bot: BotProfile | None = None
    asked: bytes = field(default=b"", compare=False)
    """What the contact protocol was asked, as the answer repeats it."""
    error: int | None = field(default=None, compare=False)
    """Why the server does not tell their devices; or 0, what it tells of them does not parse. Otherwise None."""

    def device_jids(self) -> list[Jid]:
        """Addresses of the devices that count; hosted ones have a server of their own."""
        return [entry.address(self.jid) for entry in self.devices if entry.counts]


@dataclass(frozen=True, slots=True)
class UserAsked:
    """One user of a question: by address, by number, or by name."""

    jid: Jid | None
    contact: bytes = b""
    """What the contact protocol was asked: +digits (Baileys), digits@c.us (whatsmeow); echoed in the answer."""
    username: str = ""
    username_key: str = ""
    """The number that belongs to a name, where its owner wants it said."""
    lid: Jid | None = None
    """What we take the user's LID to be."""
    persona_id: str = ""
    """Which of a bot's characters."""

    @property
    def phone(self) -> str:
        """The digits of `contact`, "" when it is no phone number."""
        digits = self.contact.decode("ascii", "replace").partition("@")[0].lstrip("+")
        return digits if digits.isdecimal() else ""

    def to_node(self, protocols: Sequence[Protocol]) -> Node:
        """The <user>, with what each protocol wants to know of him."""
        children = [child for protocol in protocols if (child := self._part(protocol)) is not None]
        return Node("user", None if self.jid is None else {"jid": self.jid}, children or None)

    def _part(self, protocol: Protocol) -> Node | None:
        if protocol is Protocol.CONTACT:
            if self.contact:
                return Node("contact", None, self.contact)
            named = {"username": self.username, "pin": self.username_key or None, "lid": self.lid}
            return Node("contact", named if self.username else None)
        if protocol is Protocol.LID and self.lid is not None:
            return Node("lid", {"jid": self.lid})
        if protocol is Protocol.BOT:
            return Node("bot", None, [Node("profile", {"persona_id": self.persona_id or None})])
        return None


def devices_query(sid: str, jids: Sequence[Jid], *, with_lid: bool = True) -> Node:
    """The <usync> child of a question for devices (and LIDs), as asked before sending a message."""
    protocols = (Protocol.DEVICES, Protocol.LID) if with_lid else (Protocol.DEVICES,)
    return query(sid, protocols, [UserAsked(jid.bare) for jid in jids], context=Context.MESSAGE)


def contact_query(sid: str, phones: Sequence[str]) -> Node:
    """The <usync> child of "is this number on WhatsApp": phones are digits, with or without +."""
    users = [UserAsked(None, f"+{phone.lstrip('+')}".encode()) for phone in phones]
    return query(sid, (Protocol.CONTACT, Protocol.LID), users)


def query(
    sid: str,
    protocols: Sequence[Protocol],
    users: Sequence[UserAsked],
    *,
    context: str = Context.INTERACTIVE,
    mode: str = Mode.QUERY,
) -> Node:
    """The <usync> child of any question: all of these protocols about all of these users."""
    attrs: dict[str, str | Jid | None] = {
        "context": context,
        "mode": mode,
        "sid": sid,
        "last": "true",
        "index": "0",
    }
    listed = [user.to_node(protocols) for user in users]
    return Node("usync", attrs, [Node("query", None, list(map(_question, protocols))), Node("list", None, listed)])


def _question(protocol: Protocol) -> Node:
    """A protocol among those that are asked."""
    if protocol is Protocol.DEVICES:
        return Node("devices", {"version": "2"})
    if protocol is Protocol.BOT:
        return Node("bot", None, [Node("profile", {"v": "1"})])
    return Node(protocol.value)


def parse_result(answer: Node) -> list[UserResult]:
    """The users of a usync answer (the iq); one without an address is nobody. Raises StanzaError."""
    listed = require_child(require_child(answer, "usync"), "list")
    return [_parse_user(user) for user in listed.children("user") if "jid" in user.attrs]


def parse_each(answer: Node) -> list[UserResult]:
    """parse_result for many who must not suffer for one: a user that does not parse has an `error`, or is left out.

    Raises:
        StanzaError: there is no list of users at all.
    """
    found: list[UserResult] = []
    for user in require_child(require_child(answer, "usync"), "list").children("user"):
        with suppress(StanzaError):
            jid = require_jid(user, "jid")
            try:
                found.append(_parse_user(user))
            except StanzaError:
                found.append(UserResult(jid, error=0))
    return found


def _parse_user(user: Node) -> UserResult:
    devices = user.child("devices")
    lid = user.child("lid")
    contact = user.child("contact")
    about, disappearing = _told(user, Protocol.STATUS), _told(user, Protocol.DISAPPEARING_MODE)
    username, bot = _told(user, Protocol.USERNAME), _told(user, Protocol.BOT)
    jid = require_jid(user, "jid")
    entries: tuple[DeviceEntry, ...] = ()
    key_index_list = b""
    if devices is not None:
        listed = devices.child("device-list")
        entries = () if listed is None else tuple(_parse_device(entry) for entry in listed.children("device"))
        signed = devices.child("key-index-list")
        if signed is not None and signed.content is not None:
            key_index_list = content_bytes(signed)
    return UserResult(
        jid=jid,
        devices=entries,
        key_index_list=key_index_list,
        lid=None if lid is None else get_jid(lid, "val"),
        is_registered=None if contact is None else get_text(contact, "type") == "in",
        about=None if about is None else About.from_node(about),
        disappearing=None if disappearing is None else Disappearing.from_node(disappearing),
        username=None if username is None else text_of(username) or None,
        bot=None if bot is None else BotProfile.from_node(bot, jid),
        asked=b"" if contact is None or contact.content is None else content_bytes(contact),
        error=_error_of(devices),
    )


def _told(user: Node, protocol: Protocol) -> Node | None:
    """What a protocol says of a user; None when that is nothing, or an error of its own."""
    child = user.child(protocol.value)
    return None if child is None or child.child("error") is not None else child


def _error_of(devices: Node | None) -> int | None:
    error = None if devices is None else devices.child("error")
    if error is None:
        return None
    code = get_text(error, "code") or ""
    return int(code) if code.isdecimal() and len(code) < 9 else 500


def _parse_device(node: Node) -> DeviceEntry:
    index = require_int(node, "key-index") if "key-index" in node.attrs else None
    id = require_int(node, "id")
    if not 0 <= id <= MAX_DEVICE:
        raise StanzaError(node, "id")
    return DeviceEntry(id, index, get_text(node, "is_hosted") == "true")


# --- the server's half ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Query:
    """What a client asks."""

    sid: str
    mode: str
    context: str
    protocols: tuple[str, ...]
    users: tuple[UserAsked, ...]

    @staticmethod
    def from_node(request: Node) -> Query:
        """Raises StanzaError."""
        usync = require_child(request, "usync")
        return Query(
            sid=get_text(usync, "sid") or "",
            mode=get_text(usync, "mode") or "",
            context=get_text(usync, "context") or "",
            protocols=tuple(child.tag for child in require_child(usync, "query").children()),
            users=tuple(_parse_asked(user) for user in require_child(usync, "list").children("user")),
        )

    def answer(self, users: Sequence[Node]) -> Node:
        """The <usync> of the answer. users: see user_node."""
        attrs: dict[str, str | Jid | None] = {
            "sid": self.sid,
            "mode": self.mode,
            "context": self.context,
            "index": "0",
            "last": "true",
        }
        result = Node("result", None, [Node(protocol) for protocol in self.protocols])
        return Node("usync", attrs, [result, Node("list", None, list(users))])


def _parse_asked(user: Node) -> UserAsked:
    contact = user.child("contact")
    text = b"" if contact is None or contact.content is None else content_bytes(contact)
    return UserAsked(get_jid(user, "jid"), text)


def devices_node(entries: Sequence[DeviceEntry], key_index_list: bytes, t: int) -> Node:
    """The answer of the devices protocol. t: Unix seconds of the list's signing."""
    devices = [
        Node(
            "device",
            {
                "id": str(entry.id),
                "key-index": None if entry.key_index is None else str(entry.key_index),
                "is_hosted": "true" if entry.is_hosted else None,
            },
        )
        for entry in entries
    ]
    children = [Node("device-list", None, devices)]
    if key_index_list:
        children.append(Node("key-index-list", {"ts": str(t)}, key_index_list))
    return Node("devices", None, children)
