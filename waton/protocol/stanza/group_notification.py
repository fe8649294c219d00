"""notification type=w:gp2: everybody in a group learns that it has changed.

`from` is the group, `participant` who changed it (absent when the service did), in the group's addressing; each child
is one change, with the tag of what was asked. Who has just come into a group gets `create` with the whole group inside,
everybody else gets `add`; who was removed gets the `remove` too, as the last one; who leaves is removed by himself.

A change of a kind that is not known here is kept as its node.

Source: Baileys Socket/messages-recv.ts handleGroupNotification, whatsmeow group.go parseGroupCreate and
parseGroupChange, whatsapp-rust wacore/src/stanza/groups.rs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from waton.jid import Jid
from waton.protocol.binary_node import (
    Node,
    content_bytes,
    get_int,
    get_jid,
    get_text,
    require_child,
    require_int,
    require_jid,
    require_text,
)
from waton.protocol.stanza.group import (
    AddressingMode,
    GroupMetadata,
    GroupParticipant,
    approval_node,
    approval_state,
)

TYPE = "w:gp2"


class Kind(StrEnum):
    """The tag of a change."""

    CREATE = "create"
    ADD = "add"
    REMOVE = "remove"
    PROMOTE = "promote"
    DEMOTE = "demote"
    SUBJECT = "subject"
    DESCRIPTION = "description"
    ANNOUNCEMENT = "announcement"
    NOT_ANNOUNCEMENT = "not_announcement"
    LOCKED = "locked"
    UNLOCKED = "unlocked"
    EPHEMERAL = "ephemeral"
    NOT_EPHEMERAL = "not_ephemeral"
    MEMBER_ADD_MODE = "member_add_mode"
    MEMBERSHIP_APPROVAL_MODE = "membership_approval_mode"
    INVITE = "invite"
    """A new invite code."""


_OF_PARTICIPANTS = {Kind.ADD, Kind.REMOVE, Kind.PROMOTE, Kind.DEMOTE}


@dataclass(frozen=True, slots=True, repr=False)
class GroupChange:
    """One change; which fields say something depends on the kind."""

    kind: str
    """Kind's spelling, or what the service wrote."""
    participants: tuple[GroupParticipant, ...] = ()
    """add, remove, promote, demote: who. Their roles are not always said."""
    group: GroupMetadata | None = None
    """create: the whole group."""
    text: str = ""
    """subject; description, "" when taken away; member_add_mode; invite code; membership_approval_mode: on, off."""
    seconds: int = 0
    """ephemeral: how long messages stay."""
    id: str | None = None
    """description: names this wording."""
    by: Jid | None = None
    """subject: who set it."""
    by_pn: Jid | None = None
    t: int | None = None
    """subject: Unix seconds."""
    version: str | None = None
    """The participants' (p_v_id) or the announcement's (a_v_id) version after the change."""
    previous_version: str | None = None
    """The participants' version before: who holds another one has missed something."""
    reason: str | None = None
    """How somebody came in: "invite"; None when an admin did it."""
    type: str | None = None
    """create: "new" when the group has just been made."""
    key: str | None = None
    """create: what its maker called the question."""
    node: Node | None = field(default=None, compare=False)
    """As it came."""

    def to_node(self) -> Node:
        """The lab's way out."""
        return Node(self.kind, self._attrs(), self._content())

    def _attrs(self) -> dict[str, str | Jid | None]:
        is_subject = self.kind == Kind.SUBJECT
        return {
            "subject": self.text if is_subject else None,
            "s_t": None if self.t is None else str(self.t),
            "s_o": self.by,
            "s_o_pn": self.by_pn,
            "code": self.text if self.kind == Kind.INVITE else None,
            "expiration": str(self.seconds) if self.kind == Kind.EPHEMERAL else None,
            "id": self.id,
            "v_id": self.version,
            "prev_v_id": self.previous_version,
            "reason": self.reason,
            "type": self.type,
            "key": self.key,
        }

    def _content(self) -> list[Node] | bytes | None:
        if self.group is not None:
            return [self.group.to_node()]
        if self.kind in _OF_PARTICIPANTS:
            return [one.to_node() for one in self.participants]
        if self.kind == Kind.DESCRIPTION:
            return [Node("body", None, self.text.encode()) if self.text else Node("delete")]
        if self.kind == Kind.MEMBER_ADD_MODE:
            return self.text.encode()
        if self.kind == Kind.MEMBERSHIP_APPROVAL_MODE:
            return approval_node(on=self.text == "on").children()
        return None

    @staticmethod
    def from_node(node: Node) -> GroupChange:
        """Raises StanzaError."""
        kind = node.tag
        is_create = kind == Kind.CREATE
        participants = node.children("participant") if kind in _OF_PARTICIPANTS else []
        return GroupChange(
            kind=kind,
            participants=tuple(GroupParticipant.from_node(one) for one in participants),
            group=GroupMetadata.from_node(require_child(node, "group")) if is_create else None,
            text=_text_of(node),
            seconds=get_int(node, "expiration") or 0,
            id=get_text(node, "id"),
            by=get_jid(node, "s_o"),
            by_pn=get_jid(node, "s_o_pn"),
            t=get_int(node, "s_t"),
            version=get_text(node, "v_id"),
            previous_version=get_text(node, "prev_v_id"),
            reason=get_text(node, "reason"),
            type=get_text(node, "type"),
            key=get_text(node, "key"),
            node=node,
        )


@dataclass(frozen=True, slots=True, repr=False)
class GroupNotification:
    """One notification about one group."""

    id: str
    group: Jid
    t: int
    """Unix seconds."""
    changes: tuple[GroupChange, ...]
    participant: Jid | None = None
    """Who did it, in the group's addressing; None when the service did."""
    participant_pn: Jid | None = None
    participant_lid: Jid | None = None
    """The same person's other address."""
    addressing_mode: str = AddressingMode.PN
    notify: str = ""
    """That person's push name."""
    offline: str | None = None
    """Present when it comes from the offline queue."""

    @property
    def other(self) -> Jid | None:
        """The other address of who did it, None when it was not told."""
        return self.participant_pn or self.participant_lid

    def to_node(self) -> Node:
        """The lab's way out."""
        attrs: dict[str, str | Jid | None] = {
            "from": self.group,
            "type": TYPE,
            "id": self.id,
            "t": str(self.t),
            "participant": self.participant,
            "participant_pn": self.participant_pn,
            "participant_lid": self.participant_lid,
            "addressing_mode": self.addressing_mode,
            "notify": self.notify or None,
            "offline": self.offline,
        }
        return Node("notification", attrs, [change.to_node() for change in self.changes])

    @staticmethod
    def from_node(node: Node) -> GroupNotification:
        """Raises StanzaError."""
        return GroupNotification(
            id=require_text(node, "id"),
            group=require_jid(node, "from"),
            t=require_int(node, "t"),
            changes=tuple(GroupChange.from_node(child) for child in node.children()),
            participant=get_jid(node, "participant"),
            participant_pn=get_jid(node, "participant_pn"),
            participant_lid=get_jid(node, "participant_lid"),
            addressing_mode=get_text(node, "addressing_mode") or AddressingMode.PN,
            notify=get_text(node, "notify") or "",
            offline=get_text(node, "offline"),
        )


def _text_of(node: Node) -> str:
    """What a change says in words; see GroupChange.text."""
    match node.tag:
        case Kind.SUBJECT:
            return get_text(node, "subject") or ""
        case Kind.INVITE:
            return get_text(node, "code") or ""
        case Kind.DESCRIPTION:
            body = node.child("body")
            return "" if body is None or body.content is None else content_bytes(body).decode("utf-8", "replace")
        case Kind.MEMBER_ADD_MODE:
            return "" if node.content is None else content_bytes(node).decode("utf-8", "replace")
        case Kind.MEMBERSHIP_APPROVAL_MODE:
            return "on" if approval_state(node) else "off"
        case _:
            return ""
