"""xmlns=w:g2: what a group is and who is in it.

A group addresses its participants in one of two modes: by LID or by phone number. The mode decides which of a person's
two addresses is the `jid`; the other one goes along when the service tells it (`phone_number` in LID groups, `lid` in
PN groups). Messages and receipts of the group use the mode's addresses too, and so do the names of sender keys.

The answer to every question about a group is a <group>, read by `GroupMetadata.from_node`. Questions and changes are in
group_query.py, the notification by which everybody in a group learns of a change in group_notification.py. Children of
a <group> that have no field here are kept in `extra`.

Source: Baileys Socket/groups.ts, whatsmeow group.go and types/group.go, whatsapp-rust wacore/src/iq/groups.rs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from waton.jid import Jid, JidServer
from waton.protocol.binary_node import (
    Node,
    StanzaError,
    content_bytes,
    get_int,
    get_jid,
    get_text,
    require_jid,
    require_text,
)

XMLNS = "w:g2"
GROUPS = Jid("", JidServer.GROUP)
"""Where questions go that concern no group in particular, or one that is named inside."""


class AddressingMode(StrEnum):
    """Which of a person's two addresses a group uses; also the addressing_mode attribute of its messages."""

    LID = "lid"
    PN = "pn"


class Role(StrEnum):
    """The type attribute of a participant; a plain member has none."""

    MEMBER = ""
    ADMIN = "admin"
    SUPERADMIN = "superadmin"
    """Who made the group."""


class MemberAddMode(StrEnum):
    """Who may add participants."""

    ADMIN = "admin_add"
    ALL = "all_member_add"


class Action(StrEnum):
    """What can be done to participants: the tag of the question, of its answer and of the notification."""

    ADD = "add"
    REMOVE = "remove"
    PROMOTE = "promote"
    DEMOTE = "demote"


# --- what a group is --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class GroupParticipant:
    """One person in a group."""

    jid: Jid
    """In the group's addressing, without a device."""
    role: str = Role.MEMBER
    """Role's spelling, or what the service wrote."""
    phone_number: Jid | None = None
    """In LID groups: the other address, when the service tells it."""
    lid: Jid | None = None
    """In PN groups: the other address, when the service tells it."""
    display_name: str | None = None
    """In LID groups: a phone number with most digits hidden, for people who may not see it."""
    error: int | None = None
    """In the answer to `create`: why this one is not in the group after all (403 not allowed, 404 nobody, 409 ...)."""

    @property
    def is_admin(self) -> bool:
        return self.role in (Role.ADMIN, Role.SUPERADMIN)

    @property
    def other(self) -> Jid | None:
        """The address in the other mode, None when it was not told."""
        return self.phone_number if self.jid.is_lid else self.lid

    def to_node(self) -> Node:
        attrs: dict[str, str | Jid | None] = {
            "jid": self.jid,
            "phone_number": self.phone_number,
            "lid": self.lid,
            "type": self.role or None,
            "display_name": self.display_name,
            "error": None if self.error is None else str(self.error),
        }
        return Node("participant", attrs)

    @staticmethod
    def from_node(node: Node) -> GroupParticipant:
        """Raises StanzaError."""
        return GroupParticipant(
            jid=require_jid(node, "jid"),
            role=get_text(node, "type") or Role.MEMBER,
            phone_number=get_jid(node, "phone_number"),
            lid=get_jid(node, "lid"),
            display_name=get_text(node, "display_name"),
            error=get_int(node, "error"),
        )


@dataclass(frozen=True, slots=True, repr=False)
class Description:
    """A group's description."""

    id: str
    """Names this wording; a change says which one it replaces."""
    text: str
    by: Jid | None = None
    """Who wrote it, in the group's addressing."""
    by_pn: Jid | None = None
    t: int | None = None
    """Unix seconds."""

    def to_node(self) -> Node:
        attrs: dict[str, str | Jid | None] = {
            "id": self.id,
            "participant": self.by,
            "participant_pn": self.by_pn,
            "t": _text(self.t),
        }
        return Node("description", attrs, [Node("body", None, self.text.encode())])

    @staticmethod
    def from_node(node: Node) -> Description | None:
        """None when it has no text. Raises StanzaError."""
        body = node.child("body")
        if body is None or body.content is None:
            return None
        return Description(
            id=get_text(node, "id") or "",
            text=content_bytes(body).decode("utf-8", "replace"),
            by=get_jid(node, "participant"),
            by_pn=get_jid(node, "participant_pn"),
            t=get_int(node, "t"),
        )


@dataclass(frozen=True, slots=True, repr=False)
class GroupMetadata:
    """Everything the service says about one group."""

    id: Jid
    subject: str = ""
    addressing_mode: str = AddressingMode.PN
    """AddressingMode's spelling; PN when the service wrote none."""
    participants: tuple[GroupParticipant, ...] = ()
    """In the order of their joining. Empty when the question did not ask for them: see `size`."""
    owner: Jid | None = None
    """Who made it, in the group's addressing."""
    owner_pn: Jid | None = None
    """The same by phone number, in LID groups."""
    creation: int | None = None
    """Unix seconds."""
    subject_owner: Jid | None = None
    subject_owner_pn: Jid | None = None
    subject_t: int | None = None
    """Unix seconds of the last change of the subject."""
    description: Description | None = None
    announcement: bool = False
    """Only admins may write."""
    locked: bool = False
    """Only admins may change subject, description and the like."""
    ephemeral: int = 0
    """Seconds after which messages disappear; 0 never."""
    member_add_mode: str | None = None
    """MemberAddMode's spelling, None when the service does not say."""
    membership_approval: bool = False
    """Who comes by an invite has to be let in by an admin."""
    size: int = 0
    """How many people are in it."""
    participant_version: str | None = None
    """p_v_id: changes with every change of the participants."""
    announcement_version: str | None = None
    """a_v_id."""
    linked_parent: Jid | None = None
    """The community it belongs to."""
    is_parent: bool = False
    """It is a community itself."""
    is_default_sub_group: bool = False
    """It is a community's announcement group."""
    suspended: bool = False
    extra: tuple[Node, ...] = ()
    """Children that have no field here."""

    def __repr__(self) -> str:
        return f"<GroupMetadata {self.id} {self.size} people>"

    def participant(self, jid: Jid) -> GroupParticipant | None:
        """The participant of that address, by LID or PN, whatever the device."""
        bare = jid.bare
        return next((one for one in self.participants if bare in (one.jid, one.other)), None)

    def to_node(self) -> Node:
        """The <group>; the lab's way out."""
        attrs: dict[str, str | Jid | None] = {
            "id": self.id.user,
            "subject": self.subject,
            "s_t": _text(self.subject_t),
            "s_o": self.subject_owner,
            "s_o_pn": self.subject_owner_pn,
            "creation": _text(self.creation),
            "creator": self.owner,
            "creator_pn": self.owner_pn,
            "addressing_mode": self.addressing_mode,
            "size": str(self.size),
            "p_v_id": self.participant_version,
            "a_v_id": self.announcement_version,
        }
        people = [one.to_node() for one in self.participants]
        return Node("group", attrs, [*self._settings(), *people, *self.extra])

    def _settings(self) -> list[Node]:
        flags = {
            "announcement": self.announcement,
            "locked": self.locked,
            "parent": self.is_parent,
            "default_sub_group": self.is_default_sub_group,
            "suspended": self.suspended,
        }
        made = [Node(tag) for tag, is_set in flags.items() if is_set]
        if self.ephemeral:
            made.append(Node("ephemeral", {"expiration": str(self.ephemeral)}))
        if self.member_add_mode is not None:
            made.append(Node("member_add_mode", None, self.member_add_mode.encode()))
        if self.membership_approval:
            made.append(approval_node(on=True))
        if self.linked_parent is not None:
            made.append(Node("linked_parent", {"jid": self.linked_parent}))
        if self.description is not None:
            made.append(self.description.to_node())
        return made

    @staticmethod
    def from_node(node: Node) -> GroupMetadata:
        """Read a <group>. Raises StanzaError when it has no id, or a part is not what its name promises."""
        people = tuple(GroupParticipant.from_node(one) for one in node.children("participant"))
        ephemeral = node.child("ephemeral")
        add_mode = node.child("member_add_mode")
        parent = node.child("linked_parent")
        approval = node.child("membership_approval_mode")
        description = node.child("description")
        return GroupMetadata(
            id=_group_id(node),
            subject=get_text(node, "subject") or "",
            addressing_mode=get_text(node, "addressing_mode") or AddressingMode.PN,
            participants=people,
            owner=get_jid(node, "creator"),
            owner_pn=get_jid(node, "creator_pn"),
            creation=get_int(node, "creation"),
            subject_owner=get_jid(node, "s_o"),
            subject_owner_pn=get_jid(node, "s_o_pn"),
            subject_t=get_int(node, "s_t"),
            description=None if description is None else Description.from_node(description),
            announcement=node.child("announcement") is not None,
            locked=node.child("locked") is not None,
            ephemeral=0 if ephemeral is None else get_int(ephemeral, "expiration") or 0,
            member_add_mode=None if add_mode is None else content_bytes(add_mode).decode("utf-8", "replace"),
            membership_approval=approval is not None and approval_state(approval),
            size=get_int(node, "size") or len(people),
            participant_version=get_text(node, "p_v_id"),
            announcement_version=get_text(node, "a_v_id"),
            linked_parent=None if parent is None else get_jid(parent, "jid"),
            is_parent=node.child("parent") is not None,
            is_default_sub_group=node.child("default_sub_group") is not None,
            suspended=node.child("suspended") is not None,
            extra=tuple(child for child in node.children() if child.tag not in _KNOWN),
        )


_KNOWN = {
    "participant",
    "description",
    "announcement",
    "locked",
    "ephemeral",
    "member_add_mode",
    "membership_approval_mode",
    "linked_parent",
    "parent",
    "default_sub_group",
    "suspended",
}


def _group_id(node: Node) -> Jid:
    """The id attribute: mostly the user part alone, at times a whole address."""
    text = require_text(node, "id")
    try:
        found = Jid.parse(text) if "@" in text else Jid(text, JidServer.GROUP)
    except ValueError as error:
        raise StanzaError(node, "id") from error
    if not found.is_group or not found.user:
        raise StanzaError(node, "id")
    return found


def approval_node(*, on: bool) -> Node:
    """The membership_approval_mode of a group, of a question and of a notification."""
    return Node("membership_approval_mode", None, [Node("group_join", {"state": "on" if on else "off"})])


def approval_state(node: Node) -> bool:
    """What a membership_approval_mode says; on when it does not say off."""
    joining = node.child("group_join")
    return joining is None or get_text(joining, "state") != "off"


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
