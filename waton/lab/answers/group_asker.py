"""Who asks about a group, and may: the first line of most answers of xmlns=w:g2."""

from __future__ import annotations

from waton.errors import IqError
from waton.lab.answers.request import Request
from waton.lab.groups import Group, Member
from waton.lab.world import Account
from waton.protocol.binary_node import Node, StanzaError, content_bytes, get_jid, require_jid

FORBIDDEN = (403, "forbidden")
NOT_FOUND = (404, "item-not-found")
NOT_ACCEPTABLE = (406, "not-acceptable")
NOT_IMPLEMENTED = (501, "feature-not-implemented")


def group_of(request: Request) -> Group:
    """The group the iq is addressed to. Raises IqError."""
    group = request.service.groups.find(require_jid(request.node, "to"))
    if group is None:
        raise IqError(*NOT_FOUND)
    return group


def as_member(request: Request) -> tuple[Group, Member]:
    """The group and the asker's membership. Raises IqError."""
    group = group_of(request)
    member = request.service.groups.member(group, request.account)
    if member is None:
        raise IqError(*FORBIDDEN)
    return group, member


def as_admin(request: Request) -> Group:
    """The group, for what only its admins may do. Raises IqError."""
    group, member = as_member(request)
    if not member.is_admin:
        raise IqError(*FORBIDDEN)
    return group


def as_editor(request: Request) -> Group:
    """Subject, description and timer are everybody's unless the group is locked."""
    group, member = as_member(request)
    if group.locked and not member.is_admin:
        raise IqError(*FORBIDDEN)
    return group


def question(request: Request) -> Node:
    """The question itself: the table is keyed by its tag, so it is there."""
    if request.child is None:
        raise StanzaError(request.node, "child")
    return request.child


def text_of(node: Node, length: int) -> str:
    """What a node says, of at most so many characters. Raises IqError, StanzaError."""
    text = content_bytes(node).decode("utf-8", "replace")
    if len(text) > length:
        raise IqError(*NOT_ACCEPTABLE)
    return text


def account_of(request: Request, participant: Node) -> Account | None:
    """Who is meant, by LID or PN."""
    number = get_jid(participant, "phone_number")
    found = request.world.find(require_jid(participant, "jid"))
    return found if found is not None or number is None else request.world.find(number)
