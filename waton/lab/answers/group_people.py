"""xmlns=w:g2: people come into groups and go out of them, become admins and plain members.

What is asked is done for those for whom it can be done, and the answer has a code for each. A superadmin can neither be
removed nor demoted. Who comes by an invite waits for an admin's word if the group wants that.

Guess: the codes that no client names: 405 for a superadmin, 406 for an invite code nobody knows. Refusals of the real
service would settle them.

Source: Baileys Socket/groups.ts, whatsmeow group.go, whatsapp-rust wacore/src/iq/groups.rs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from waton.errors import IqError
from waton.lab.answers.group_asker import (
    FORBIDDEN,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    account_of,
    as_admin,
    as_member,
    question,
)
from waton.lab.answers.request import Request
from waton.lab.group_news import tell
from waton.lab.groups import Group, Member
from waton.lab.world import Account
from waton.protocol.binary_node import Node, StanzaError, get_text, require_jid, require_text
from waton.protocol.stanza.group import Action, GroupParticipant, MemberAddMode, Role
from waton.protocol.stanza.group_notification import GroupChange, Kind
from waton.protocol.stanza.group_query import Changed

# --- participants -----------------------------------------------------------------------------------------------------


def add(request: Request) -> list[Node]:
    """Let people in."""
    group, member = as_member(request)
    if group.member_add_mode == MemberAddMode.ADMIN and not member.is_admin:
        raise IqError(*FORBIDDEN)
    return _change(request, group, Action.ADD, _may_come, lambda people: _let_in(request, group, people))


def remove(request: Request) -> list[Node]:
    """Take people out."""
    group = as_admin(request)
    return _change(request, group, Action.REMOVE, _may_go, lambda people: take_out(request, group, people))


def promote(request: Request) -> list[Node]:
    """Make people admins."""
    group = as_admin(request)

    def act(people: Sequence[Account]) -> None:
        _set_role(request, group, Kind.PROMOTE, people, Role.ADMIN)

    return _change(request, group, Action.PROMOTE, _may_go, act)


def demote(request: Request) -> list[Node]:
    """Make admins plain members."""
    group = as_admin(request)

    def act(people: Sequence[Account]) -> None:
        _set_role(request, group, Kind.DEMOTE, people, Role.MEMBER)

    return _change(request, group, Action.DEMOTE, _may_go, act)


def _may_come(member: Member | None) -> int:
    return 200 if member is None else 409


def _may_go(member: Member | None) -> int:
    if member is None:
        return 404
    return 405 if member.role is Role.SUPERADMIN else 200


def _change(
    request: Request,
    group: Group,
    action: Action,
    judge: Callable[[Member | None], int],
    act: Callable[[Sequence[Account]], None],
) -> list[Node]:
    """Do it to those for whom it can be done, and say of each what became of him."""
    done: dict[int, Account] = {}
    answers: list[Node] = []
    for named in question(request).children("participant"):
        jid, account = require_jid(named, "jid"), account_of(request, named)
        if account is None:
            answers.append(Changed(jid, NOT_FOUND[0]).to_node())
            continue
        code = judge(request.service.groups.member(group, account))
        if code == 200:
            done[account.id] = account
        one = request.service.groups.participant(group, account)
        answers.append(Changed(one.jid, code, one.phone_number).to_node())
    if done:
        act(list(done.values()))
    return [Node(action.value, None, answers)]


def _let_in(request: Request, group: Group, people: Sequence[Account], reason: str | None = None) -> None:
    groups = request.service.groups
    before = [member.account for member in groups.members(group)]
    now = groups.add(group, people)
    change = GroupChange(
        Kind.ADD, _people(request, now, people), reason=reason, version=_version(now), previous_version=_version(group)
    )
    tell(request, now, change, before)
    tell(request, now, GroupChange(Kind.CREATE, group=groups.metadata(now), reason=reason), people)


def take_out(request: Request, group: Group, people: Sequence[Account]) -> None:
    """Take people out, and tell everybody who was in it, them included."""
    groups = request.service.groups
    before = [member.account for member in groups.members(group)]
    now = groups.remove(group, people)
    tell(
        request,
        now,
        GroupChange(
            Kind.REMOVE, _people(request, now, people), version=_version(now), previous_version=_version(group)
        ),
        before,
    )


def _set_role(request: Request, group: Group, kind: Kind, people: Sequence[Account], role: Role) -> None:
    now = request.service.groups.set_role(group, people, role)
    tell(
        request,
        now,
        GroupChange(kind, _people(request, now, people, role), version=_version(now), previous_version=_version(group)),
    )


def _people(
    request: Request, group: Group, accounts: Sequence[Account], role: Role = Role.MEMBER
) -> tuple[GroupParticipant, ...]:
    return tuple(request.service.groups.participant(group, account, role) for account in accounts)


def _version(group: Group) -> str:
    return str(group.participant_version)


# --- invites ----------------------------------------------------------------------------------------------------------


def invite(request: Request) -> list[Node]:
    """With a code: what it leads to, or go there. Without, to a group: its code, or a new one."""
    code = get_text(question(request), "code")
    is_set = require_text(request.node, "type") == "set"
    if code is None:
        return _invite_code(request, renew=is_set)
    group = request.service.groups.by_invite(code)
    if group is None:
        raise IqError(*NOT_ACCEPTABLE)
    return (
        _come_by_invite(request, group) if is_set else [request.service.groups.metadata(group, people=False).to_node()]
    )


def _invite_code(request: Request, *, renew: bool) -> list[Node]:
    group, member = as_member(request)
    if not member.is_admin:
        raise IqError(401, "not-authorized")
    if renew:
        group = request.service.groups.renew_invite(group)
        tell(request, group, GroupChange(Kind.INVITE, text=group.invite))
    return [Node("invite", {"code": group.invite})]


def _come_by_invite(request: Request, group: Group) -> list[Node]:
    if request.service.groups.member(group, request.account) is not None:
        raise IqError(409, "conflict")
    if group.approval:
        request.service.groups.ask_in(group, request.account)
        return [Node("membership_approval_request", {"jid": group.id})]
    _let_in(request, group, [request.account], "invite")
    return [Node("group", {"jid": group.id})]


def membership_approval_requests(request: Request) -> list[Node]:
    """Who waits to be let in. Nobody is told of it; admins have to ask."""
    group = as_admin(request)
    waiting = [
        Node("membership_approval_request", {"jid": group.address(account), "request_time": str(t)})
        for account, t in request.service.groups.requests(group)
    ]
    return [Node("membership_approval_requests", None, waiting)]


def membership_requests_action(request: Request) -> list[Node]:
    """Let in those who wait, or turn them away."""
    group = as_admin(request)
    waiting = {account.id: account for account, _ in request.service.groups.requests(group)}
    verdict = next(iter(question(request).children()), None)
    if verdict is None or verdict.tag not in ("approve", "reject"):
        raise StanzaError(question(request), "child")
    named = [(require_jid(one, "jid"), account_of(request, one)) for one in verdict.children("participant")]
    settled = [account for _, account in named if account is not None and account.id in waiting]
    if verdict.tag == "approve" and settled:
        _let_in(request, group, settled, "invite")
    for account in settled:
        request.service.groups.turn_away(group, account)
    answers = [Changed(jid, 200 if account in settled else 404).to_node() for jid, account in named]
    return [Node("membership_requests_action", None, [Node(verdict.tag, None, answers)])]
