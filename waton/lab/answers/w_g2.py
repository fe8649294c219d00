"""xmlns=w:g2: groups are asked about, made and left; everybody in them is told.

A stranger may do nothing (403; 404 when there is no such group). People and invites are in group_people.py, subject,
description and settings in group_settings.py.

Source: Baileys Socket/groups.ts, whatsmeow group.go, whatsapp-rust wacore/src/iq/groups.rs.
"""

from __future__ import annotations

from waton.errors import IqError
from waton.lab.answers import group_people, group_settings
from waton.lab.answers.group_asker import (
    FORBIDDEN,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    account_of,
    as_member,
    question,
)
from waton.lab.answers.request import Handler, Request, Table
from waton.lab.group_news import tell
from waton.protocol.binary_node import Node, get_text, require_jid
from waton.protocol.stanza.group import AddressingMode, GroupParticipant
from waton.protocol.stanza.group_notification import GroupChange, Kind


def query(request: Request) -> list[Node]:
    """Everything about one group, for who is in it."""
    if question(request).children():
        raise IqError(*NOT_IMPLEMENTED)  # many groups at once, or an invitation sent as a message
    group, _ = as_member(request)
    return [request.service.groups.metadata(group).to_node()]


def participating(request: Request) -> list[Node]:
    """The groups the asker is in; participants and descriptions if asked for."""
    asked, groups = question(request), request.service.groups
    people, description = asked.child("participants") is not None, asked.child("description") is not None
    found = (groups.metadata(one, people=people, description=description) for one in groups.of(request.account))
    return [Node("groups", None, [one.to_node() for one in found])]


def create(request: Request) -> list[Node]:
    """A new group. Those who cannot be in it are in the answer with their error, and nowhere else.

    The lab's own: an addressing_mode on <create> decides the group's; else it is what the lab is set to.
    """
    asked, groups = question(request), request.service.groups
    subject = get_text(asked, "subject") or ""
    if not subject or len(subject) > group_settings.SUBJECT_LENGTH:
        raise IqError(*NOT_ACCEPTABLE)
    people = [(require_jid(one, "jid"), account_of(request, one)) for one in asked.children("participant")]
    mode = get_text(asked, "addressing_mode") or request.service.new_groups
    known = [account for _, account in people if account is not None]
    group = groups.create(request.account, subject, known, AddressingMode(mode))
    group = group_settings.begin_with(request, group, asked)
    whole = groups.metadata(group)
    tell(request, group, GroupChange(Kind.CREATE, group=whole, type="new", key=get_text(asked, "key")))
    lost = [GroupParticipant(jid, error=NOT_FOUND[0]).to_node() for jid, account in people if account is None]
    answer = whole.to_node()
    return [Node(answer.tag, {**answer.attrs}, [*answer.children(), *lost])]


def leave(request: Request) -> list[Node]:
    """Go out of groups; everybody in them is told, and so are one's own devices."""
    left: list[Node] = []
    for named in question(request).children("group"):
        jid = require_jid(named, "id")
        group = request.service.groups.find(jid)
        member = None if group is None else request.service.groups.member(group, request.account)
        if group is None or member is None:
            code, _ = NOT_FOUND if group is None else FORBIDDEN
            left.append(Node("group", {"id": jid, "error": str(code)}))
            continue
        group_people.take_out(request, group, [request.account])
        left.append(Node("group", {"id": jid}))
    return [Node("leave", None, left)]


def not_here(request: Request) -> None:
    """Communities, invitations sent as messages, pictures: the lab has none."""
    raise IqError(*NOT_IMPLEMENTED)


_HANDLERS: dict[str, Handler] = {
    "query": query,
    "participating": participating,
    "create": create,
    "leave": leave,
    "add": group_people.add,
    "remove": group_people.remove,
    "promote": group_people.promote,
    "demote": group_people.demote,
    "subject": group_settings.subject,
    "description": group_settings.description,
    "announcement": group_settings.announcement,
    "not_announcement": group_settings.announcement,
    "locked": group_settings.locked,
    "unlocked": group_settings.locked,
    "ephemeral": group_settings.ephemeral,
    "not_ephemeral": group_settings.ephemeral,
    "member_add_mode": group_settings.member_add_mode,
    "membership_approval_mode": group_settings.membership_approval_mode,
    "invite": group_people.invite,
    "membership_approval_requests": group_people.membership_approval_requests,
    "membership_requests_action": group_people.membership_requests_action,
    "": not_here,
}

TABLE: Table = {("w:g2", tag): handler for tag, handler in _HANDLERS.items()}
