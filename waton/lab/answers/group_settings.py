"""xmlns=w:g2: what a group says of itself, and what its people may do.

Subject, description and timer are everybody's unless the group is locked; the rest is the admins'.

Guess: 409 for a description that was changed meanwhile. A refusal of the real service would settle it.

Source: Baileys Socket/groups.ts, whatsmeow group.go, whatsapp-rust wacore/src/iq/groups.rs (lengths).
"""

from __future__ import annotations

from waton.errors import IqError
from waton.lab.answers.group_asker import NOT_ACCEPTABLE, as_admin, as_editor, question, text_of
from waton.lab.answers.request import Request
from waton.lab.group_news import tell
from waton.lab.groups import Group
from waton.protocol.binary_node import Node, StanzaError, content_bytes, get_text, require_int
from waton.protocol.stanza.group import MemberAddMode, approval_state
from waton.protocol.stanza.group_notification import GroupChange, Kind

SUBJECT_LENGTH = 100
"""Characters. Source: whatsapp-rust (the A/B prop group_max_subject)."""
DESCRIPTION_LENGTH = 2_048
"""Characters. Source: whatsapp-rust (group_description_length)."""


def subject(request: Request) -> None:
    """A new name."""
    group, text = as_editor(request), text_of(question(request), SUBJECT_LENGTH)
    if not text:
        raise IqError(*NOT_ACCEPTABLE)
    now = request.service.groups.set_subject(group, text, request.account)
    told = request.service.groups.metadata(now, people=False)
    change = GroupChange(Kind.SUBJECT, text=text, by=told.subject_owner, by_pn=told.subject_owner_pn, t=told.subject_t)
    tell(request, now, change)


def description(request: Request) -> None:
    """A new description, or none; `prev` has to name the present one."""
    group, asked = as_editor(request), question(request)
    body = asked.child("body")
    text = "" if body is None or get_text(asked, "delete") == "true" else text_of(body, DESCRIPTION_LENGTH)
    previous = get_text(asked, "prev")
    if previous is not None and group.description is not None and previous != group.description_id:
        raise IqError(409, "conflict")
    id = get_text(asked, "id") or request.world.fresh_id()
    now = request.service.groups.set_description(group, text, id, request.account)
    tell(request, now, GroupChange(Kind.DESCRIPTION, text=text, id=id))


def announcement(request: Request) -> None:
    """Only admins may write, or everybody."""
    kind = Kind(question(request).tag)
    now = request.service.groups.set_announcement(as_admin(request), on=kind is Kind.ANNOUNCEMENT)
    tell(request, now, GroupChange(kind, version=str(now.announcement_version)))


def locked(request: Request) -> None:
    """Only admins may change what the group says of itself, or everybody."""
    kind = Kind(question(request).tag)
    now = request.service.groups.set_locked(as_admin(request), on=kind is Kind.LOCKED)
    tell(request, now, GroupChange(kind))


def ephemeral(request: Request) -> None:
    """How long messages stay."""
    seconds = _seconds(question(request)) if question(request).tag == Kind.EPHEMERAL else 0
    now = request.service.groups.set_ephemeral(as_editor(request), seconds)
    tell(request, now, GroupChange(Kind.EPHEMERAL if seconds else Kind.NOT_EPHEMERAL, seconds=seconds))


def _seconds(node: Node) -> int:
    seconds = require_int(node, "expiration")
    if not 0 <= seconds < 1 << 31:
        raise StanzaError(node, "expiration")
    return seconds


def member_add_mode(request: Request) -> None:
    """Who may add people."""
    group, mode = as_admin(request), _add_mode(question(request))
    now = request.service.groups.set_member_add_mode(group, mode)
    tell(request, now, GroupChange(Kind.MEMBER_ADD_MODE, text=mode))


def _add_mode(node: Node) -> MemberAddMode:
    try:
        return MemberAddMode(content_bytes(node).decode("utf-8", "replace"))
    except ValueError as error:
        raise StanzaError(node, "content") from error


def membership_approval_mode(request: Request) -> None:
    """Whether who comes by an invite has to be let in."""
    on = approval_state(question(request))
    now = request.service.groups.set_approval(as_admin(request), on=on)
    tell(request, now, GroupChange(Kind.MEMBERSHIP_APPROVAL_MODE, text="on" if on else "off"))


def begin_with(request: Request, group: Group, asked: Node) -> Group:
    """The settings a new group begins with."""
    groups = request.service.groups
    for child in asked.children():
        match child.tag:
            case Kind.ANNOUNCEMENT:
                group = groups.set_announcement(group, on=True)
            case Kind.LOCKED:
                group = groups.set_locked(group, on=True)
            case Kind.EPHEMERAL:
                group = groups.set_ephemeral(group, _seconds(child))
            case Kind.MEMBER_ADD_MODE:
                group = groups.set_member_add_mode(group, _add_mode(child))
            case Kind.MEMBERSHIP_APPROVAL_MODE:
                group = groups.set_approval(group, on=approval_state(child))
            case _:
                continue
    return group
