"""A change in a group: what is told, and what we know of the group afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from waton.client.events import (
    GroupEvent,
    GroupJoinRequest,
    GroupParticipantsUpdate,
    GroupsUpdate,
    GroupsUpsert,
    JoinRequestAction,
    ParticipantAction,
)
from waton.client.group_notifications import GroupOutcome, group_events
from waton.client.message_keys import Me
from waton.jid import Jid
from waton.protocol.binary_node import Node, StanzaError
from waton.protocol.stanza.group import AddressingMode, Description, GroupMetadata, GroupParticipant, Role
from waton.protocol.stanza.group_notification import TYPE, GroupNotification

ME = Me(Jid.parse("4915000000001:2@s.whatsapp.net"), Jid.parse("77000000000001:2@lid"))
OWN = Jid.parse("77000000000001@lid")
ADA = Jid.parse("77000000000009@lid")
ADA_PN = Jid.parse("4915000000009@s.whatsapp.net")
BEA = Jid.parse("77000000000002@lid")
BEA_PN = Jid.parse("4915000000002@s.whatsapp.net")
CEM = Jid.parse("77000000000003@lid")
GROUP = Jid.parse("120363020000000001@g.us")
AT = 1_760_000_000

CHESS = GroupMetadata(
    GROUP,
    "Chess",
    AddressingMode.LID,
    (
        GroupParticipant(ADA, Role.SUPERADMIN, phone_number=ADA_PN),
        GroupParticipant(BEA, phone_number=BEA_PN),
        GroupParticipant(OWN),
    ),
    size=3,
    participant_version="v1",
)


def notified(*changes: Node, **attrs: str | Jid | None) -> GroupNotification:
    told: dict[str, str | Jid | None] = {
        "id": "N1",
        "from": GROUP,
        "type": TYPE,
        "t": str(AT),
        "participant": ADA,
        "participant_pn": ADA_PN,
        "addressing_mode": "lid",
    }
    return GroupNotification.from_node(Node("notification", told | attrs, list(changes)))


def people(tag: str, *jids: Jid, child: str = "participant", **attrs: str | Jid | None) -> Node:
    return Node(tag, dict(attrs), [Node(child, {"jid": jid}) for jid in jids])


def outcome(*changes: Node, metadata: GroupMetadata | None = CHESS, **attrs: str | Jid | None) -> GroupOutcome:
    return group_events(notified(*changes, **attrs), metadata, ME)


def only(found: GroupOutcome) -> GroupEvent:
    [event] = found.events
    return event


def members(found: GroupOutcome) -> list[Jid]:
    assert found.metadata is not None
    return [one.jid for one in found.metadata.participants]


# --- who is in it -----------------------------------------------------------------------------------------------------


def test_somebody_is_added() -> None:
    found = outcome(people("add", CEM, v_id="v2", prev_v_id="v1", reason="invite"))
    event = only(found)
    assert event == GroupParticipantsUpdate(
        GROUP, ParticipantAction.ADD, (GroupParticipant(CEM),), AT, ADA, ADA_PN, "invite"
    )
    assert members(found) == [ADA, BEA, OWN, CEM]
    assert found.metadata is not None
    assert (found.metadata.size, found.metadata.participant_version) == (4, "v2")
    assert found.removed == ()


def test_who_is_in_it_already_is_not_added_twice() -> None:
    assert members(outcome(people("add", BEA, CEM))) == [ADA, BEA, OWN, CEM]
    assert members(outcome(people("add", BEA_PN))) == [ADA, BEA, OWN]


@pytest.mark.parametrize("named", [BEA, BEA_PN])
def test_a_removed_member_is_out_by_either_address(named: Jid) -> None:
    found = outcome(people("remove", named))
    event = only(found)
    assert isinstance(event, GroupParticipantsUpdate)
    assert (event.action, event.author) == (ParticipantAction.REMOVE, ADA)
    assert members(found) == [ADA, OWN]
    assert (found.removed, found.is_left) == ((named,), False)
    assert found.metadata is not None
    assert found.metadata.size == 2


@pytest.mark.parametrize("tag", ["remove", "leave"])
def test_who_leaves_is_removed_by_himself(tag: str) -> None:
    found = outcome(people(tag, BEA), participant=BEA)
    event = only(found)
    assert isinstance(event, GroupParticipantsUpdate)
    assert (event.action, event.author) == (ParticipantAction.REMOVE, BEA)
    assert members(found) == [ADA, OWN]


@pytest.mark.parametrize("named", [OWN, Jid.parse("4915000000001@s.whatsapp.net")])
def test_when_we_are_removed_the_group_is_forgotten(named: Jid) -> None:
    found = outcome(people("remove", BEA, named))
    assert (found.is_left, found.metadata, found.removed) == (True, None, (BEA, named))


@pytest.mark.parametrize(
    ("tag", "action", "role"),
    [("promote", ParticipantAction.PROMOTE, Role.ADMIN), ("demote", ParticipantAction.DEMOTE, Role.MEMBER)],
)
def test_an_admin_is_made_and_unmade(tag: str, action: ParticipantAction, role: str) -> None:
    known = replace(CHESS, participants=(*CHESS.participants, GroupParticipant(CEM, Role.ADMIN)))
    found = outcome(people(tag, BEA, CEM), metadata=known)
    event = only(found)
    assert isinstance(event, GroupParticipantsUpdate)
    assert event.action is action
    assert found.metadata is not None
    assert [one.role for one in found.metadata.participants] == [Role.SUPERADMIN, role, Role.MEMBER, role]


def test_a_new_number_is_told_and_the_group_asked_for_anew() -> None:
    found = outcome(people("modify", BEA))
    event = only(found)
    assert isinstance(event, GroupParticipantsUpdate)
    assert (event.action, [one.jid for one in event.participants]) == (ParticipantAction.MODIFY, [BEA])
    assert (found.metadata, found.is_left) == (None, False)


def test_after_a_missed_change_the_group_is_asked_for_anew() -> None:
    assert outcome(people("add", CEM, v_id="v3", prev_v_id="v2")).metadata is None


def test_a_change_told_twice_is_made_once() -> None:
    change = people("remove", BEA, v_id="v2", prev_v_id="v1")
    first = outcome(change)
    again = outcome(change, metadata=first.metadata)
    assert again.metadata == first.metadata
    assert again.events == first.events


def test_participants_that_were_never_asked_for_are_not_made_up() -> None:
    unknown = replace(CHESS, participants=(), size=3)
    assert outcome(people("add", CEM), metadata=unknown).metadata is None
    assert outcome(Node("locked"), metadata=unknown).metadata == replace(unknown, locked=True)


def test_a_group_we_do_not_know_stays_unknown() -> None:
    found = outcome(people("add", CEM), Node("locked"), metadata=None)
    assert (found.metadata, len(found.events)) == (None, 2)


def test_whom_the_service_leaves_out_is_asked_for() -> None:
    found = outcome(people("add", CEM), Node("missing_participant_identification"))
    assert (found.metadata, len(found.events)) == (None, 1)


# --- coming into a group ----------------------------------------------------------------------------------------------


def test_a_group_is_made_with_us_in_it() -> None:
    found = outcome(Node("create", {"type": "new"}, [CHESS.to_node()]), metadata=None)
    assert only(found) == GroupsUpsert(GROUP, CHESS, AT, ADA, ADA_PN, is_new=True)
    assert found.metadata == CHESS


def test_we_are_added_to_a_group() -> None:
    group = replace(CHESS, addressing_mode=AddressingMode.PN).to_node()
    event = only(outcome(Node("create", None, [group]), metadata=None))
    assert isinstance(event, GroupsUpsert)
    assert (event.is_new, event.metadata.addressing_mode) == (False, AddressingMode.LID)
    event = only(outcome(Node("create", None, [group]), metadata=None, addressing_mode=None))
    assert isinstance(event, GroupsUpsert)
    assert event.metadata.addressing_mode == AddressingMode.PN


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told", "after"),
    [
        (
            Node("subject", {"subject": "Go", "s_t": "5", "s_o": BEA, "s_o_pn": BEA_PN}),
            {"subject": "Go"},
            {"subject": "Go", "subject_t": 5, "subject_owner": BEA, "subject_owner_pn": BEA_PN},
        ),
        (
            Node("subject", {"subject": ""}),
            {"subject": ""},
            {"subject": "", "subject_t": AT, "subject_owner": ADA, "subject_owner_pn": ADA_PN},
        ),
        (
            Node("description", {"id": "D1"}, [Node("body", None, b"rules")]),
            {"description": "rules"},
            {"description": Description("D1", "rules", ADA, ADA_PN, AT)},
        ),
        (Node("description", {"id": "D2"}, [Node("delete")]), {"description": ""}, {"description": None}),
        (
            Node("announcement", {"v_id": "a2"}),
            {"announcement": True},
            {"announcement": True, "announcement_version": "a2"},
        ),
        (Node("not_announcement"), {"announcement": False}, {"announcement": False}),
        (Node("locked"), {"locked": True}, {"locked": True}),
        (Node("unlocked"), {"locked": False}, {"locked": False}),
        (Node("ephemeral", {"expiration": "86400"}), {"ephemeral": 86_400}, {"ephemeral": 86_400}),
        (Node("not_ephemeral"), {"ephemeral": 0}, {"ephemeral": 0}),
        (
            Node("member_add_mode", None, b"all_member_add"),
            {"member_add_mode": "all_member_add"},
            {"member_add_mode": "all_member_add"},
        ),
        (
            Node("membership_approval_mode", None, [Node("group_join", {"state": "on"})]),
            {"membership_approval": True},
            {"membership_approval": True},
        ),
        (
            Node("membership_approval_mode", None, [Node("group_join", {"state": "off"})]),
            {"membership_approval": False},
            {"membership_approval": False},
        ),
        (Node("suspended"), {"suspended": True}, {"suspended": True}),
        (Node("unsuspended"), {"suspended": False}, {"suspended": False}),
        (Node("invite", {"code": "XYZ"}), {"invite_code": "XYZ"}, {}),
    ],
    ids=lambda value: value.tag if isinstance(value, Node) else "",
)
def test_a_setting_is_told_and_remembered(
    change: Node, told: dict[str, str | bool | int], after: dict[str, object]
) -> None:
    known = replace(
        CHESS,
        announcement=change.tag == "not_announcement",
        locked=change.tag == "unlocked",
        ephemeral=7 if change.tag == "not_ephemeral" else 0,
        membership_approval=told.get("membership_approval") is False,
        suspended=change.tag == "unsuspended",
        description=Description("D0", "old") if told.get("description") == "" else None,
    )
    found = outcome(change, metadata=known)
    event = only(found)
    assert isinstance(event, GroupsUpdate)
    bare = GroupsUpdate(GROUP, AT, ADA, ADA_PN)
    assert event == replace(bare, **told)
    assert found.metadata == replace(known, **after)


def test_a_deleted_group_is_forgotten() -> None:
    found = outcome(Node("delete", {"reason": "spam"}))
    event = only(found)
    assert isinstance(event, GroupsUpdate)
    assert (event.is_deleted, found.metadata) == (True, None)


@pytest.mark.parametrize("change", [Node("growth_locked", {"expiration": "5", "type": "invite"}), Node("of_tomorrow")])
def test_what_is_not_known_is_told_as_it_came(change: Node) -> None:
    found = outcome(change)
    event = only(found)
    assert isinstance(event, GroupsUpdate)
    assert (event.other, found.metadata) == ((change,), CHESS)


def test_after_a_link_the_group_is_asked_for_anew() -> None:
    found = outcome(Node("link", {"link_type": "sub_group"}, [Node("group", {"id": "1"})]))
    assert (found.metadata, len(found.events)) == (None, 1)


def test_all_changes_of_a_notification_are_taken() -> None:
    found = outcome(people("add", CEM), Node("locked"), people("promote", CEM), Node("subject", {"subject": "Go"}))
    assert [type(event) for event in found.events] == [
        GroupParticipantsUpdate,
        GroupsUpdate,
        GroupParticipantsUpdate,
        GroupsUpdate,
    ]
    assert found.metadata is not None
    assert (found.metadata.locked, found.metadata.subject) == (True, "Go")
    cem = found.metadata.participant(CEM)
    assert cem is not None
    assert cem.is_admin


def test_the_service_may_do_it_itself() -> None:
    event = only(outcome(Node("suspended"), participant=None, participant_pn=None))
    assert isinstance(event, GroupsUpdate)
    assert (event.author, event.author_alt) == (None, None)


# --- wishes to come in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "author", "action"),
    [
        (
            people("created_membership_requests", BEA, child="requested_user", request_method="invite_link"),
            ADA,
            JoinRequestAction.CREATED,
        ),
        (people("created_membership_requests", request_method="invite_link"), BEA, JoinRequestAction.CREATED),
        (people("membership_approval_request", request_method="invite_link"), BEA, JoinRequestAction.CREATED),
        (people("revoked_membership_requests", BEA), BEA, JoinRequestAction.REVOKED),
        (people("revoked_membership_requests", BEA), ADA, JoinRequestAction.REJECTED),
    ],
)
def test_a_wish_to_come_in(change: Node, author: Jid, action: JoinRequestAction) -> None:
    found = outcome(change, participant=author, participant_pn=None)
    event = only(found)
    assert isinstance(event, GroupJoinRequest)
    assert (event.participant, event.action, event.author) == (BEA, action, author)
    assert event.method == ("" if change.tag.startswith("revoked") else "invite_link")
    assert found.metadata == CHESS


def test_every_wish_is_told() -> None:
    found = outcome(people("revoked_membership_requests", BEA, CEM))
    assert [event.participant for event in found.events if isinstance(event, GroupJoinRequest)] == [BEA, CEM]


# --- addresses --------------------------------------------------------------------------------------------------------


def test_what_a_notification_tells_of_addresses() -> None:
    added = Node("participant", {"jid": CEM, "phone_number": Jid.parse("4915000000003@s.whatsapp.net")})
    found = outcome(Node("add", None, [added]), people("promote", BEA))
    assert [(str(pn), str(lid)) for pn, lid in found.pairs] == [
        ("4915000000009@s.whatsapp.net", "77000000000009@lid"),
        ("4915000000003@s.whatsapp.net", "77000000000003@lid"),
    ]


def test_a_whole_group_tells_of_everybody() -> None:
    found = outcome(Node("create", None, [CHESS.to_node()]), participant_pn=None)
    assert found.pairs == ((ADA_PN, ADA), (BEA_PN, BEA))


def test_in_a_group_of_numbers_the_other_address_is_the_lid() -> None:
    added = Node("participant", {"jid": BEA_PN, "lid": BEA})
    found = outcome(Node("add", None, [added]), participant=ADA_PN, participant_pn=None, participant_lid=ADA)
    assert set(found.pairs) == {(ADA_PN, ADA), (BEA_PN, BEA)}


def test_a_person_without_an_address_is_refused() -> None:
    with pytest.raises(StanzaError):
        outcome(Node("modify", None, [Node("participant")]))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["remove", "promote", "add"])
def test_twenty_thousand_at_once_in_a_group_of_as_many_are_followed(kind: str) -> None:
    crowd = tuple(GroupParticipant(Jid(str(7_000_000 + number), "lid")) for number in range(20_000))
    known = replace(CHESS, participants=CHESS.participants + crowd, size=3 + len(crowd))
    others = 500_000 if kind == "add" else 0
    people = [Node("participant", {"jid": Jid(str(int(one.jid.user) + others), "lid")}) for one in crowd]
    outcome = group_events(notified(Node(kind, {"prev_v_id": "v1", "v_id": "v2"}, people)), known, ME)
    assert outcome.metadata is not None
    expected = {"remove": 3, "promote": 20_003, "add": 40_003}[kind]
    assert (len(outcome.metadata.participants), outcome.metadata.size) == (expected, expected)
    admins = sum(one.role == Role.ADMIN for one in outcome.metadata.participants)
    assert admins == (20_000 if kind == "promote" else 0)


def test_after_more_changes_than_anybody_makes_at_once_the_service_is_asked() -> None:
    removals = [Node("remove", None, [Node("participant", {"jid": BEA})]) for _ in range(65)]
    outcome = group_events(notified(*removals), CHESS, ME)
    assert outcome.metadata is None
    assert len(outcome.events) == 65
