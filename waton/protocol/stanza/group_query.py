"""xmlns=w:g2: how groups are asked about and changed: the children of each iq, and what its answer says.

The iq goes to the group itself, or to GROUPS where a docstring says so; its type is get for what only asks. The answer
to a change of participants is the same tag again with a code for each, because some may fail and others not.

Source: Baileys Socket/groups.ts, whatsmeow group.go, whatsapp-rust wacore/src/iq/groups.rs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from waton.jid import Jid
from waton.protocol.binary_node import Node, get_jid, require_child, require_int, require_jid, require_text
from waton.protocol.stanza.group import Action, GroupMetadata, GroupParticipant, MemberAddMode, approval_node

# --- questions --------------------------------------------------------------------------------------------------------


def metadata_query() -> list[Node]:
    """A get: everything about one group."""
    return [Node("query", {"request": "interactive"})]


def participating_query() -> list[Node]:
    """A get to GROUPS: every group we are in."""
    return [Node("participating", None, [Node("participants"), Node("description")])]


def create(
    subject: str, participants: Iterable[GroupParticipant], *, key: str, extra: Sequence[Node] = ()
) -> list[Node]:
    """A set to GROUPS: a new group with us as its superadmin.

    Args:
        subject: its name.
        participants: everybody else; of each only the addresses are said.
        key: an id of ours, which the notification repeats.
        extra: settings to begin with (<announcement/>, <ephemeral expiration=.../> ...).
    """
    people = [Node("participant", {"jid": one.jid, "phone_number": one.phone_number}) for one in participants]
    return [Node("create", {"subject": subject, "key": key}, [*people, *extra])]


def leave(*groups: Jid) -> list[Node]:
    """A set to GROUPS."""
    return [Node("leave", None, [Node("group", {"id": group}) for group in groups])]


def change(action: Action, people: Iterable[GroupParticipant]) -> list[Node]:
    """A set: add, remove, promote or demote."""
    attrs: list[dict[str, str | Jid | None]] = [{"jid": one.jid, "phone_number": one.phone_number} for one in people]
    return [Node(action.value, None, [Node("participant", one) for one in attrs])]


def set_subject(subject: str) -> list[Node]:
    """A set."""
    return [Node("subject", None, subject.encode())]


def set_description(text: str, *, id: str, previous: str | None = None) -> list[Node]:
    """A set; an empty text takes the description away. previous: the id of the present one, if there is one."""
    attrs: dict[str, str | Jid | None] = {"id": id, "delete": None if text else "true", "prev": previous}
    return [Node("description", attrs, [Node("body", None, text.encode())] if text else None)]


def set_announcement(*, on: bool) -> list[Node]:
    """A set: only admins may write, or everybody."""
    return [Node("announcement" if on else "not_announcement")]


def set_locked(*, on: bool) -> list[Node]:
    """A set: only admins may change the group, or everybody."""
    return [Node("locked" if on else "unlocked")]


def set_ephemeral(seconds: int) -> list[Node]:
    """A set: 0 for messages that stay."""
    return [Node("ephemeral", {"expiration": str(seconds)}) if seconds else Node("not_ephemeral")]


def set_member_add_mode(mode: MemberAddMode) -> list[Node]:
    """A set."""
    return [Node("member_add_mode", None, mode.value.encode())]


def set_membership_approval(*, on: bool) -> list[Node]:
    """A set."""
    return [approval_node(on=on)]


def invite(code: str | None = None) -> list[Node]:
    """To a group: a get of its code, a set for a new one. With a code, to GROUPS: a get of its group, a set to join."""
    return [Node("invite", {"code": code})]


# --- answers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class Changed:
    """What became of one participant of a change."""

    jid: Jid
    code: int = 200
    """200 done; 403 not allowed (to add: the person has to be invited), 404 nobody or not in it, 409 in it already."""
    phone_number: Jid | None = None

    @property
    def is_done(self) -> bool:
        return self.code == 200

    def to_node(self) -> Node:
        attrs: dict[str, str | Jid | None] = {
            "jid": self.jid,
            "phone_number": self.phone_number,
            "type": "200" if self.is_done else None,
            "error": None if self.is_done else str(self.code),
        }
        return Node("participant", attrs)

    @staticmethod
    def from_node(node: Node) -> Changed:
        """Raises StanzaError."""
        code = require_int(node, "error") if "error" in node.attrs else 200
        return Changed(require_jid(node, "jid"), code, get_jid(node, "phone_number"))


def parse_group(answer: Node) -> GroupMetadata:
    """The group of an answer to metadata_query, create or invite info (the iq). Raises StanzaError."""
    return GroupMetadata.from_node(require_child(answer, "group"))


def parse_groups(answer: Node) -> list[GroupMetadata]:
    """The groups of an answer to participating_query (the iq). Raises StanzaError."""
    return [GroupMetadata.from_node(one) for one in require_child(answer, "groups").children("group")]


def parse_changed(answer: Node, action: Action) -> list[Changed]:
    """What became of each participant (the iq). Raises StanzaError."""
    return [Changed.from_node(one) for one in require_child(answer, action.value).children("participant")]


def parse_invite(answer: Node) -> str:
    """The code of an answer to invite (the iq). Raises StanzaError."""
    return require_text(require_child(answer, "invite"), "code")


def parse_joined(answer: Node) -> tuple[Jid, bool]:
    """The group of an answer to joining by invite (the iq); False when we wait to be let in. Raises StanzaError."""
    group = answer.child("group")
    if group is not None:
        return require_jid(group, "jid"), True
    return require_jid(require_child(answer, "membership_approval_request"), "jid"), False
