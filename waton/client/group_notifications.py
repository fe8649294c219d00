"""What a change in a group means: events, and the group's metadata afterwards.

A notification may hold several changes; each is taken, in order. What we remember of a group is brought up to date from
them, so that a send need not ask again; where that is not possible (we have missed a change, somebody's address
changed, the service leaves somebody out) it is given up, and the next send asks. A change of a kind that is not known
here is told as it came.

Pure: the caller stores the metadata, learns the addresses, makes new sender keys for those who were removed.

Source: Baileys Socket/messages-recv.ts handleGroupNotification and Utils/process-message.ts (which take the first
change alone), whatsmeow group.go parseGroupChange, whatsapp-rust wacore/src/stanza/groups.rs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from waton.client.events import (
    GroupEvent,
    GroupJoinRequest,
    GroupParticipantsUpdate,
    GroupsUpdate,
    GroupsUpsert,
    JoinRequestAction,
    ParticipantAction,
)
from waton.client.message_keys import Me
from waton.jid import Jid
from waton.protocol.binary_node import get_text
from waton.protocol.stanza.group import AddressingMode, Description, GroupMetadata, GroupParticipant, Role
from waton.protocol.stanza.group_notification import GroupChange, GroupNotification, Kind

_MOST_FOLLOWED = 64
"""Changes in one notification that are followed in what we remember; after more the service is asked."""
_INCOMPLETE = "missing_participant_identification"
"""The service left somebody out."""
_REQUESTED = "membership_approval_request"
_REQUESTS_CREATED = "created_membership_requests"
_REQUESTS_REVOKED = "revoked_membership_requests"


@dataclass(frozen=True, slots=True, repr=False)
class GroupOutcome:
    """What one notification means."""

    events: tuple[GroupEvent, ...]
    metadata: GroupMetadata | None
    """The group from now on; None when we do not know it (any more): forget it, and ask before the next send."""
    pairs: tuple[tuple[Jid, Jid], ...] = ()
    """(PN, LID) of one person each, as far as the notification tells both."""
    removed: tuple[Jid, ...] = ()
    """Who is no longer in the group, in its addressing: our sender key there must be made anew."""
    is_left: bool = False
    """We are no longer in it ourselves."""


def group_events(notification: GroupNotification, metadata: GroupMetadata | None, me: Me) -> GroupOutcome:
    """What a notification means.

    Args:
        notification: as it came.
        metadata: the group as we know it; None when we do not.
        me: our own addresses.
    Raises:
        StanzaError: it names somebody who has no address.
    """
    events: list[GroupEvent] = []
    removed: list[GroupParticipant] = []
    if len(notification.changes) > _MOST_FOLLOWED:
        metadata = None
    for change in notification.changes:
        events += _events_of(notification, change)
        metadata = _after(metadata, notification, change)
        if change.kind in _GONE:
            removed += _people(change)
    is_left = any(_is_one(me, one) for one in removed)
    return GroupOutcome(
        events=tuple(events),
        metadata=None if is_left else metadata,
        pairs=tuple(_pairs(notification)),
        removed=tuple(one.jid for one in removed),
        is_left=is_left,
    )


def _is_one(me: Me, one: GroupParticipant) -> bool:
    return any(address is not None and me.is_me(address) for address in (one.jid, one.other))


def _pairs(notification: GroupNotification) -> Iterable[tuple[Jid, Jid]]:
    people: list[tuple[Jid | None, Jid | None]] = [(notification.participant, notification.other)]
    people += [(one.jid, one.other) for change in notification.changes for one in _people(change)]
    for change in notification.changes:
        if change.group is not None:
            people += [(one.jid, one.other) for one in change.group.participants]
    for one, other in dict.fromkeys(people):
        if one is not None and other is not None and one.is_lid != other.is_lid:
            yield (other.bare, one.bare) if one.is_lid else (one.bare, other.bare)


def _people(change: GroupChange) -> tuple[GroupParticipant, ...]:
    """Whom a change is about; those of kinds without a field of their own are read from the node."""
    if change.participants or change.node is None or change.group is not None:
        return change.participants
    nodes = [*change.node.children("participant"), *change.node.children("requested_user")]
    return tuple(GroupParticipant.from_node(one) for one in nodes)


# --- events -----------------------------------------------------------------------------------------------------------

_ACTIONS: Mapping[str, ParticipantAction] = {
    Kind.ADD: ParticipantAction.ADD,
    Kind.REMOVE: ParticipantAction.REMOVE,
    "leave": ParticipantAction.REMOVE,
    Kind.PROMOTE: ParticipantAction.PROMOTE,
    Kind.DEMOTE: ParticipantAction.DEMOTE,
    "modify": ParticipantAction.MODIFY,
}
_GONE = (Kind.REMOVE.value, "leave")
_UPDATES: Mapping[str, Callable[[GroupChange], dict[str, Any]]] = {
    Kind.SUBJECT: lambda change: {"subject": change.text},
    Kind.DESCRIPTION: lambda change: {"description": change.text},
    Kind.ANNOUNCEMENT: lambda change: {"announcement": True},
    Kind.NOT_ANNOUNCEMENT: lambda change: {"announcement": False},
    Kind.LOCKED: lambda change: {"locked": True},
    Kind.UNLOCKED: lambda change: {"locked": False},
    Kind.EPHEMERAL: lambda change: {"ephemeral": change.seconds},
    Kind.NOT_EPHEMERAL: lambda change: {"ephemeral": 0},
    Kind.MEMBER_ADD_MODE: lambda change: {"member_add_mode": change.text},
    Kind.MEMBERSHIP_APPROVAL_MODE: lambda change: {"membership_approval": change.text == "on"},
    "suspended": lambda change: {"suspended": True},
    "unsuspended": lambda change: {"suspended": False},
}
"""Settings: the fields of both the event and the metadata that a change sets."""
_TOLD: Mapping[str, Callable[[GroupChange], dict[str, Any]]] = {
    **_UPDATES,
    Kind.INVITE: lambda change: {"invite_code": change.text},
    "delete": lambda change: {"is_deleted": True},
}


def _events_of(told: GroupNotification, change: GroupChange) -> list[GroupEvent]:
    if change.kind == _INCOMPLETE:
        return []
    if change.group is not None:
        metadata = _created(told, change.group)
        is_new = change.type == "new"
        return [GroupsUpsert(told.group, metadata, told.t, told.participant, told.other, is_new)]
    if change.kind in _ACTIONS:
        return [_participants(told, change)]
    if change.kind in (_REQUESTED, _REQUESTS_CREATED, _REQUESTS_REVOKED):
        return list(_requests(told, change))
    update = GroupsUpdate(told.group, told.t, told.participant, told.other)
    if change.kind in _TOLD:
        return [replace(update, **_TOLD[change.kind](change))]
    return [replace(update, other=(change.node or change.to_node(),))]


def _participants(told: GroupNotification, change: GroupChange) -> GroupParticipantsUpdate:
    return GroupParticipantsUpdate(
        group=told.group,
        action=_ACTIONS[change.kind],
        participants=_people(change),
        timestamp=told.t,
        author=told.participant,
        author_alt=told.other,
        reason=change.reason or "",
    )


def _requests(told: GroupNotification, change: GroupChange) -> Iterable[GroupJoinRequest]:
    """One for each person; who is not named is the one who did it."""
    people = [(one.jid, one.other) for one in _people(change)]
    if not people and told.participant is not None:
        people = [(told.participant, told.other)]
    method = get_text(change.node, "request_method") if change.node is not None else None
    for person, other in people:
        yield GroupJoinRequest(
            group=told.group,
            participant=person,
            action=_request_action(change, person, told.participant),
            timestamp=told.t,
            participant_alt=other,
            method=method or "",
            author=told.participant,
            author_alt=told.other,
        )


def _request_action(change: GroupChange, person: Jid, author: Jid | None) -> JoinRequestAction:
    if change.kind != _REQUESTS_REVOKED:
        return JoinRequestAction.CREATED
    is_own = author is not None and author.bare == person.bare
    return JoinRequestAction.REVOKED if is_own else JoinRequestAction.REJECTED


# --- the group afterwards ---------------------------------------------------------------------------------------------

_After: TypeAlias = Callable[[GroupMetadata, GroupNotification, GroupChange], GroupMetadata]


def _after(metadata: GroupMetadata | None, told: GroupNotification, change: GroupChange) -> GroupMetadata | None:
    """The group after one change; None when it cannot be known from what we had."""
    if change.group is not None:
        return _created(told, change.group)
    if metadata is None or change.kind in _UNKNOWABLE:
        return None
    if change.kind in _SETTINGS:
        return _SETTINGS[change.kind](metadata, told, change)
    if change.kind not in _MEMBERSHIP:
        return replace(metadata, **_UPDATES[change.kind](change)) if change.kind in _UPDATES else metadata
    if change.version is not None and change.version == metadata.participant_version:
        return metadata  # told once before
    known = metadata.participant_version
    if change.previous_version is not None and known is not None and known != change.previous_version:
        return None  # what lies between was missed
    if not metadata.participants:
        return None  # they were not asked for
    changed = _MEMBERSHIP[change.kind](metadata, told, change)
    size = metadata.size + len(changed.participants) - len(metadata.participants)
    return replace(changed, size=size, participant_version=change.version or known)


def _created(told: GroupNotification, group: GroupMetadata) -> GroupMetadata:
    """The whole group; where it does not say how it addresses people, the notification does."""
    is_lid = AddressingMode.LID in (group.addressing_mode, told.addressing_mode)
    return replace(group, addressing_mode=AddressingMode.LID) if is_lid else group


def _added(metadata: GroupMetadata, told: GroupNotification, change: GroupChange) -> GroupMetadata:
    known = _by_address(metadata)
    new = tuple(one for one in change.participants if one.jid.bare not in known)
    return replace(metadata, participants=metadata.participants + new)


def _removed(metadata: GroupMetadata, told: GroupNotification, change: GroupChange) -> GroupMetadata:
    gone = _named(metadata, _people(change))
    return replace(metadata, participants=tuple(one for one in metadata.participants if one.jid not in gone))


def _by_address(metadata: GroupMetadata) -> dict[Jid, GroupParticipant]:
    """The participants by both of their addresses: a group may have thousands, and so may a change."""
    return {jid: one for one in reversed(metadata.participants) for jid in (one.other, one.jid) if jid is not None}


def _named(metadata: GroupMetadata, people: Iterable[GroupParticipant]) -> set[Jid]:
    """Those of these people who are in the group, as it addresses them."""
    known = _by_address(metadata)
    return {known[one.jid.bare].jid for one in people if one.jid.bare in known}


def _with_role(metadata: GroupMetadata, change: GroupChange, role: str) -> GroupMetadata:
    changed = _named(metadata, change.participants)
    people = (replace(one, role=role) if one.jid in changed else one for one in metadata.participants)
    return replace(metadata, participants=tuple(people))


def _promoted(metadata: GroupMetadata, told: GroupNotification, change: GroupChange) -> GroupMetadata:
    return _with_role(metadata, change, Role.ADMIN)


def _demoted(metadata: GroupMetadata, told: GroupNotification, change: GroupChange) -> GroupMetadata:
    return _with_role(metadata, change, Role.MEMBER)


def _subject(metadata: GroupMetadata, told: GroupNotification, change: GroupChange) -> GroupMetadata:
    return replace(
        metadata,
        subject=change.text,
        subject_owner=change.by or told.participant,
        subject_owner_pn=change.by_pn or told.participant_pn,
        subject_t=told.t if change.t is None else change.t,
    )


def _description(metadata: GroupMetadata, told: GroupNotification, change: GroupChange) -> GroupMetadata:
    made = Description(change.id or "", change.text, told.participant, told.participant_pn, told.t)
    return replace(metadata, description=made if change.text else None)


def _announcement(metadata: GroupMetadata, told: GroupNotification, change: GroupChange) -> GroupMetadata:
    is_on = change.kind == Kind.ANNOUNCEMENT
    version = change.version or metadata.announcement_version
    return replace(metadata, announcement=is_on, announcement_version=version)


_MEMBERSHIP: Mapping[str, _After] = {
    Kind.ADD: _added,
    Kind.REMOVE: _removed,
    "leave": _removed,
    Kind.PROMOTE: _promoted,
    Kind.DEMOTE: _demoted,
}
_SETTINGS: Mapping[str, _After] = {
    Kind.SUBJECT: _subject,
    Kind.DESCRIPTION: _description,
    Kind.ANNOUNCEMENT: _announcement,
    Kind.NOT_ANNOUNCEMENT: _announcement,
}
_UNKNOWABLE = ("modify", "delete", _INCOMPLETE, "link", "unlink", "change_number")
"""After these the service is asked."""
