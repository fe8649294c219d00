"""xmlns=w:g2, asked as clients ask: who may do what, what is answered, and who is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.lab.worlds import Bench, Companion, pn
from waton.errors import IqError
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.protocol.binary_node import Node, require_child
from waton.protocol.stanza import group_query as ask
from waton.protocol.stanza import iq
from waton.protocol.stanza.group import (
    GROUPS,
    Action,
    AddressingMode,
    GroupMetadata,
    GroupParticipant,
    MemberAddMode,
    Role,
)
from waton.protocol.stanza.group_notification import GroupChange, GroupNotification, Kind

GET, SET = iq.IqType.GET, iq.IqType.SET
STRANGER = pn("19999999999")


class Circle:
    """Ada with two companions, Bob and Cid with one each, all online; phones are offline. Ada's first one asks."""

    def __init__(self, bench: Bench, ada: Phone, bob: Phone, cid: Phone) -> None:
        self.bench = bench
        self.ada, self.bob, self.cid = ada, bob, cid
        self.mine, self.other = Companion.link(bench, ada), Companion.link(bench, ada)
        self.bobs, self.cids = Companion.link(bench, bob), Companion.link(bench, cid)
        for phone in (ada, bob, cid):
            phone.offline()
        for one in self.all:
            one.login().take()

    @property
    def all(self) -> list[Companion]:
        return [self.mine, self.other, self.bobs, self.cids]

    def set(self, who: Companion, to: Jid, content: list[Node]) -> Node:
        return iq.raise_for_error(who.ask("w:g2", SET, content, to=to))

    def get(self, who: Companion, to: Jid, content: list[Node]) -> Node:
        return iq.raise_for_error(who.ask("w:g2", GET, content, to=to))

    def code(self, who: Companion, to: Jid, content: list[Node], type: iq.IqType = SET) -> int:
        """The code of a refusal."""
        with pytest.raises(IqError) as refused:
            iq.raise_for_error(who.ask("w:g2", type, content, to=to))
        return refused.value.code

    def make(self, *others: Phone, mode: AddressingMode = AddressingMode.LID) -> Jid:
        """A group of Ada's; what everybody was told of it is dropped."""
        self.bench.service.new_groups = mode
        people = [GroupParticipant(one.lid) for one in others]
        made = ask.parse_group(self.set(self.mine, GROUPS, ask.create("Tea", people, key="K1")))
        self.hush()
        return made.id

    def hush(self) -> None:
        for one in self.all:
            one.endpoint.take()

    def told(self, who: Companion) -> list[GroupNotification]:
        """What a companion was told since the last time."""
        return [GroupNotification.from_node(node) for node in who.endpoint.take("notification")]

    def change(self, who: Companion) -> GroupChange:
        """The one change a companion was told of."""
        (told,) = self.told(who)
        (change,) = told.changes
        return change

    def metadata(self, group: Jid) -> GroupMetadata:
        found = self.bench.service.groups.find(group)
        assert found is not None
        return self.bench.service.groups.metadata(found)


@pytest.fixture
async def circle(bench: Bench) -> Circle:
    return Circle(bench, *await bench.phones("Ada", "Bob", "Cid"))


def one(phone: Phone) -> list[GroupParticipant]:
    return [GroupParticipant(phone.lid)]


# --- making and asking


@pytest.mark.parametrize("mode", list(AddressingMode))
def test_a_new_group_is_told_to_every_device_of_everybody(circle: Circle, mode: AddressingMode) -> None:
    circle.bench.service.new_groups = mode
    people = [GroupParticipant(circle.bob.pn), GroupParticipant(STRANGER), GroupParticipant(circle.bob.lid)]
    answer = ask.parse_group(circle.set(circle.mine, GROUPS, ask.create("Tea", people, key="K1")))
    ada, bob = circle.ada, circle.bob
    by_lid = mode is AddressingMode.LID
    assert (answer.subject, answer.addressing_mode, answer.size) == ("Tea", mode, 2)
    assert (answer.owner, answer.creation) == (ada.lid if by_lid else ada.pn, int(circle.bench.clock.now()))
    assert [(p.jid, p.other, p.role, p.error) for p in answer.participants] == [
        (ada.lid if by_lid else ada.pn, ada.pn if by_lid else ada.lid, Role.SUPERADMIN, None),
        (bob.lid if by_lid else bob.pn, bob.pn if by_lid else bob.lid, Role.MEMBER, None),
        (STRANGER, None, Role.MEMBER, 404),
    ]
    for who in (circle.mine, circle.other, circle.bobs):
        (told,) = circle.told(who)
        assert (told.group, told.addressing_mode, told.notify) == (answer.id, mode, "Ada")
        assert (told.participant, told.other) == ((ada.lid, ada.pn) if by_lid else (ada.pn, ada.lid))
        (change,) = told.changes
        assert (change.kind, change.type, change.key) == ("create", "new", "K1")
        assert change.group == circle.metadata(answer.id)
    assert circle.told(circle.cids) == []


def test_a_group_is_for_who_is_in_it(circle: Circle) -> None:
    group, nowhere = circle.make(circle.bob), Jid("120363999999999999", "g.us")
    assert ask.parse_group(circle.get(circle.bobs, group, ask.metadata_query())) == circle.metadata(group)
    assert circle.code(circle.cids, group, ask.metadata_query(), GET) == 403
    assert circle.code(circle.mine, nowhere, ask.metadata_query(), GET) == 404
    for content in (
        ask.set_subject("x"),
        ask.change(Action.ADD, one(circle.cid)),
        ask.set_locked(on=True),
        ask.invite(),
    ):
        assert circle.code(circle.cids, group, content) == 403
        assert circle.code(circle.cids, nowhere, content) == 404


def test_all_groups_at_once(circle: Circle) -> None:
    first, second = circle.make(circle.bob), circle.make(circle.bob, circle.cid)
    circle.set(circle.mine, first, ask.set_description("At four", id="D1"))
    found = ask.parse_groups(circle.get(circle.bobs, GROUPS, ask.participating_query()))
    assert found == [circle.metadata(first), circle.metadata(second)]
    (bare,) = ask.parse_groups(circle.get(circle.cids, GROUPS, [Node("participating")]))
    assert (bare.id, bare.size, bare.participants, bare.description) == (second, 3, (), None)


@pytest.mark.parametrize("subject", ["", "x" * 101])
def test_a_subject_has_a_length(circle: Circle, subject: str) -> None:
    assert circle.code(circle.mine, GROUPS, ask.create(subject, [], key="K")) == 406
    assert circle.code(circle.mine, circle.make(), ask.set_subject(subject)) == 406


def test_a_new_group_may_begin_with_settings(circle: Circle) -> None:
    settings = [
        *ask.set_announcement(on=True),
        *ask.set_locked(on=True),
        *ask.set_ephemeral(60),
        *ask.set_member_add_mode(MemberAddMode.ADMIN),
        *ask.set_membership_approval(on=True),
    ]
    made = ask.parse_group(circle.set(circle.mine, GROUPS, ask.create("Tea", [], key="K", extra=settings)))
    assert (made.announcement, made.locked, made.ephemeral) == (True, True, 60)
    assert (made.member_add_mode, made.membership_approval) == ("admin_add", True)


# --- coming and going


def test_who_comes_gets_the_group_and_the_others_the_news(circle: Circle) -> None:
    group = circle.make(circle.bob)
    before = circle.metadata(group)
    people = [*one(circle.cid), *one(circle.bob), GroupParticipant(STRANGER)]
    answer = ask.parse_changed(circle.set(circle.mine, group, ask.change(Action.ADD, people)), Action.ADD)
    assert [(each.jid, each.code) for each in answer] == [(circle.cid.lid, 200), (circle.bob.lid, 409), (STRANGER, 404)]
    now = circle.metadata(group)
    for who in (circle.mine, circle.other, circle.bobs):
        change = circle.change(who)
        assert (change.kind, [person.jid for person in change.participants]) == ("add", [circle.cid.lid])
        assert change.participants[0].phone_number == circle.cid.pn
        assert (change.previous_version, change.version) == (before.participant_version, now.participant_version)
    change = circle.change(circle.cids)
    assert (change.kind, change.type, change.group) == ("create", None, now)
    assert before.participant_version != now.participant_version


def test_who_goes_is_told_as_the_last_thing(circle: Circle) -> None:
    group = circle.make(circle.bob, circle.cid)
    answer = circle.set(circle.mine, group, ask.change(Action.REMOVE, [*one(circle.bob), *one(circle.bob)]))
    assert [each.code for each in ask.parse_changed(answer, Action.REMOVE)] == [200, 200]
    for who in circle.all:
        change = circle.change(who)
        assert (change.kind, [person.jid for person in change.participants]) == ("remove", [circle.bob.lid])
    circle.set(circle.mine, group, ask.set_subject("Without Bob"))
    assert circle.told(circle.bobs) == []
    assert circle.code(circle.bobs, group, ask.metadata_query(), GET) == 403
    again = circle.set(circle.mine, group, ask.change(Action.REMOVE, one(circle.bob)))
    assert [each.code for each in ask.parse_changed(again, Action.REMOVE)] == [404]


def test_who_leaves_is_removed_by_himself(circle: Circle) -> None:
    group, nowhere = circle.make(circle.bob, circle.cid), Jid("120363999999999999", "g.us")
    answer = require_child(circle.set(circle.bobs, GROUPS, ask.leave(group, nowhere)), "leave")
    assert [(left.attrs["id"], left.attrs.get("error")) for left in answer.children()] == [
        (group, None),
        (nowhere, "404"),
    ]
    for who in circle.all:
        (told,) = circle.told(who)
        assert (told.participant, told.changes[0].participants[0].jid) == (circle.bob.lid, circle.bob.lid)
    assert circle.bench.service.groups.of(circle.bob.account) == []


def test_admins_are_made_and_unmade(circle: Circle) -> None:
    group = circle.make(circle.bob, circle.cid)
    for action, role in ((Action.PROMOTE, Role.ADMIN), (Action.DEMOTE, Role.MEMBER)):
        circle.set(circle.mine, group, ask.change(action, one(circle.bob)))
        change = circle.change(circle.cids)
        assert (change.kind, change.participants[0].role) == (action, role)
        found = circle.metadata(group).participant(circle.bob.pn)
        assert found is not None
        assert found.role == role
    circle.set(circle.mine, group, ask.change(Action.PROMOTE, one(circle.bob)))
    for action in (Action.DEMOTE, Action.REMOVE):
        answer = circle.set(circle.bobs, group, ask.change(action, one(circle.ada)))
        assert [each.code for each in ask.parse_changed(answer, action)] == [405]
    assert circle.metadata(group).participants[0].role == Role.SUPERADMIN


# --- what is the admins'

ADMINS: dict[str, Callable[[Circle], list[Node]]] = {
    "remove": lambda circle: ask.change(Action.REMOVE, one(circle.cid)),
    "promote": lambda circle: ask.change(Action.PROMOTE, one(circle.cid)),
    "demote": lambda circle: ask.change(Action.DEMOTE, one(circle.cid)),
    "announcement": lambda circle: ask.set_announcement(on=True),
    "locked": lambda circle: ask.set_locked(on=True),
    "add mode": lambda circle: ask.set_member_add_mode(MemberAddMode.ADMIN),
    "approval": lambda circle: ask.set_membership_approval(on=True),
    "approve": lambda circle: [Node("membership_requests_action", None, [Node("approve")])],
}
EDITORS: dict[str, Callable[[Circle], list[Node]]] = {
    "subject": lambda circle: ask.set_subject("x"),
    "description": lambda circle: ask.set_description("x", id="D1"),
    "ephemeral": lambda circle: ask.set_ephemeral(60),
}


@pytest.mark.parametrize("what", ADMINS)
def test_a_plain_member_may_not(circle: Circle, what: str) -> None:
    group = circle.make(circle.bob, circle.cid)
    before = circle.metadata(group)
    assert circle.code(circle.bobs, group, ADMINS[what](circle)) == 403
    assert circle.metadata(group) == before
    assert circle.told(circle.mine) == []


@pytest.mark.parametrize("what", EDITORS)
def test_a_plain_member_may_unless_the_group_is_locked(circle: Circle, what: str) -> None:
    group = circle.make(circle.bob)
    circle.set(circle.mine, group, ask.set_locked(on=True))
    assert circle.code(circle.bobs, group, EDITORS[what](circle)) == 403
    circle.set(circle.mine, group, ask.set_locked(on=False))
    circle.set(circle.bobs, group, EDITORS[what](circle))


def test_adding_is_everybodys_or_the_admins(circle: Circle) -> None:
    group = circle.make(circle.bob)
    circle.set(circle.mine, group, ask.set_member_add_mode(MemberAddMode.ADMIN))
    assert circle.code(circle.bobs, group, ask.change(Action.ADD, one(circle.cid))) == 403
    circle.set(circle.mine, group, ask.set_member_add_mode(MemberAddMode.ALL))
    circle.set(circle.bobs, group, ask.change(Action.ADD, one(circle.cid)))
    assert circle.metadata(group).size == 3


# --- what it says of itself


def test_every_setting_is_kept_and_told(circle: Circle) -> None:
    group = circle.make(circle.bob)
    t = int(circle.bench.clock.now())
    circle.set(circle.bobs, group, ask.set_subject("Coffee"))
    change = circle.change(circle.mine)
    assert (change.kind, change.text, change.by, change.by_pn, change.t) == (
        "subject",
        "Coffee",
        circle.bob.lid,
        circle.bob.pn,
        t,
    )
    assert circle.change(circle.bobs) == change  # the device that asked is told too
    told: list[tuple[str, str, int]] = []
    versions: list[str | None] = []
    for content in (
        ask.set_announcement(on=True),
        ask.set_announcement(on=False),
        ask.set_locked(on=True),
        ask.set_ephemeral(86_400),
        ask.set_ephemeral(0),
        ask.set_member_add_mode(MemberAddMode.ADMIN),
        ask.set_membership_approval(on=True),
    ):
        circle.set(circle.mine, group, content)
        change = circle.change(circle.bobs)
        told.append((change.kind, change.text, change.seconds))
        versions.append(change.version)
    assert told == [
        ("announcement", "", 0),
        ("not_announcement", "", 0),
        ("locked", "", 0),
        ("ephemeral", "", 86_400),
        ("not_ephemeral", "", 0),
        ("member_add_mode", "admin_add", 0),
        ("membership_approval_mode", "on", 0),
    ]
    now = circle.metadata(group)
    assert versions[1] == now.announcement_version != versions[0] is not None
    assert versions[2:] == [None] * 5
    assert (now.subject, now.subject_owner, now.announcement, now.locked) == ("Coffee", circle.bob.lid, False, True)
    assert (now.ephemeral, now.member_add_mode, now.membership_approval) == (0, "admin_add", True)


def test_a_description_names_the_one_it_replaces(circle: Circle) -> None:
    group = circle.make(circle.bob)
    circle.set(circle.bobs, group, ask.set_description("At four", id="D1"))
    change = circle.change(circle.mine)
    assert (change.kind, change.id, change.text) == ("description", "D1", "At four")
    assert circle.code(circle.mine, group, ask.set_description("At five", id="D2", previous="D0")) == 409
    assert circle.code(circle.mine, group, ask.set_description("x" * 2_049, id="D2")) == 406
    circle.set(circle.mine, group, ask.set_description("At five", id="D2", previous="D1"))
    kept = circle.metadata(group).description
    assert kept is not None
    assert (kept.id, kept.text, kept.by, kept.by_pn) == ("D2", "At five", circle.ada.lid, circle.ada.pn)
    circle.hush()
    # Baileys takes it away without an id.
    circle.set(circle.mine, group, [Node("description", {"delete": "true", "prev": "D2"})])
    change = circle.change(circle.bobs)
    assert (change.kind, change.text) == ("description", "")
    assert circle.metadata(group).description is None


# --- invites


def test_an_invite_leads_in_until_it_is_renewed(circle: Circle) -> None:
    group = circle.make(circle.bob)
    assert circle.code(circle.bobs, group, ask.invite(), GET) == 401
    code = ask.parse_invite(circle.get(circle.mine, group, ask.invite()))
    shown = ask.parse_group(circle.get(circle.cids, GROUPS, ask.invite(code)))
    assert (shown.subject, shown.size, shown.participants) == ("Tea", 2, ())
    assert circle.told(circle.mine) == []
    assert ask.parse_joined(circle.set(circle.cids, GROUPS, ask.invite(code))) == (group, True)
    assert circle.code(circle.cids, GROUPS, ask.invite(code)) == 409
    (told,) = circle.told(circle.mine)
    assert (told.participant, told.changes[0].kind, told.changes[0].reason) == (circle.cid.lid, "add", "invite")
    change = circle.change(circle.cids)
    assert (change.kind, change.reason) == ("create", "invite")
    circle.hush()
    renewed = ask.parse_invite(circle.set(circle.mine, group, ask.invite()))
    assert circle.change(circle.bobs) == GroupChange(Kind.INVITE, text=renewed)
    assert circle.code(circle.cids, GROUPS, ask.invite(code), GET) == 406
    assert ask.parse_group(circle.get(circle.cids, GROUPS, ask.invite(renewed))).id == group


def test_who_has_to_be_let_in_waits(circle: Circle) -> None:
    group = circle.make()
    circle.set(circle.mine, group, ask.set_membership_approval(on=True))
    code = ask.parse_invite(circle.get(circle.mine, group, ask.invite()))
    for who in (circle.bobs, circle.cids):
        assert ask.parse_joined(circle.set(who, GROUPS, ask.invite(code))) == (group, False)
    asked = require_child(
        circle.get(circle.mine, group, [Node("membership_approval_requests")]), "membership_approval_requests"
    )
    assert [waiting.attrs["jid"] for waiting in asked.children()] == [circle.bob.lid, circle.cid.lid]

    def verdict(tag: str, *people: Phone) -> Node:
        named = [Node("participant", {"jid": person.lid}) for person in people]
        return circle.set(circle.mine, group, [Node("membership_requests_action", None, [Node(tag, None, named)])])

    approved = require_child(require_child(verdict("approve", circle.bob), "membership_requests_action"), "approve")
    assert [person.attrs["jid"] for person in approved.children()] == [circle.bob.lid]
    verdict("reject", circle.cid)
    asked = require_child(
        circle.get(circle.mine, group, [Node("membership_approval_requests")]), "membership_approval_requests"
    )
    assert asked.children() == []
    assert [person.jid for person in circle.metadata(group).participants] == [circle.ada.lid, circle.bob.lid]


# --- what is not asked rightly


@pytest.mark.parametrize(
    "content",
    [
        [Node("add", None, [Node("participant")])],
        [Node("ephemeral")],
        [Node("ephemeral", {"expiration": "-1"})],
        [Node("member_add_mode", None, b"nobody")],
        [Node("subject", None, [Node("x")])],
        [Node("membership_requests_action")],
    ],
)
def test_a_malformed_question_is_a_bad_request_and_changes_nothing(circle: Circle, content: list[Node]) -> None:
    group = circle.make(circle.bob)
    before = circle.metadata(group)
    assert circle.code(circle.mine, group, content) == 400
    assert circle.metadata(group) == before


def test_what_the_lab_has_not_is_said_so(circle: Circle) -> None:
    group = circle.make(circle.bob)
    assert circle.code(circle.mine, group, [Node("links")]) == 501
    assert circle.code(circle.mine, GROUPS, [Node("query", None, [Node("group", {"jid": group})])], GET) == 501
