"""notification type=w:gp2, written by the lab and read by a client."""

from __future__ import annotations

import pytest

from tests.unit.protocol.stanza.test_group import ADA, ADA_PN, BOB, BOB_PN, GROUP, full, over_the_wire
from waton.protocol.binary_node import Node, StanzaError
from waton.protocol.stanza.group import GroupParticipant
from waton.protocol.stanza.group_notification import GroupChange, GroupNotification, Kind

BOTH = (GroupParticipant(ADA, phone_number=ADA_PN), GroupParticipant(BOB, phone_number=BOB_PN))
CHANGES = [
    GroupChange(Kind.CREATE, group=full(), type="new", key="K"),
    GroupChange(Kind.ADD, BOTH, version="8", previous_version="7", reason="invite"),
    GroupChange(Kind.REMOVE, BOTH[:1], version="9", previous_version="8"),
    GroupChange(Kind.PROMOTE, BOTH[1:]),
    GroupChange(Kind.DEMOTE, BOTH[1:]),
    GroupChange(Kind.SUBJECT, text="Coffee", by=ADA, by_pn=ADA_PN, t=1_700_000_000),
    GroupChange(Kind.DESCRIPTION, text="At four", id="D1"),
    GroupChange(Kind.DESCRIPTION, id="D2"),
    GroupChange(Kind.ANNOUNCEMENT, version="4"),
    GroupChange(Kind.NOT_ANNOUNCEMENT, version="5"),
    GroupChange(Kind.LOCKED),
    GroupChange(Kind.UNLOCKED),
    GroupChange(Kind.EPHEMERAL, seconds=86_400),
    GroupChange(Kind.NOT_EPHEMERAL),
    GroupChange(Kind.MEMBER_ADD_MODE, text="admin_add"),
    GroupChange(Kind.MEMBERSHIP_APPROVAL_MODE, text="on"),
    GroupChange(Kind.MEMBERSHIP_APPROVAL_MODE, text="off"),
    GroupChange(Kind.INVITE, text="CODE"),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.kind}-{change.text}")
def test_each_change_comes_back_as_it_was_written(change: GroupChange) -> None:
    told = GroupNotification("N1", GROUP, 1_700_000_000, (change,), ADA, ADA_PN, None, "lid", "Ada", "0")
    assert GroupNotification.from_node(over_the_wire(told.to_node())) == told


def test_every_kind_is_among_them() -> None:
    assert {change.kind for change in CHANGES} == set(Kind)


def test_it_is_what_the_other_clients_read() -> None:
    told = GroupNotification("N1", GROUP, 7, tuple(CHANGES[5:8]), ADA, ADA_PN, None, "lid").to_node()
    assert told.attrs == {
        "from": GROUP,
        "type": "w:gp2",
        "id": "N1",
        "t": "7",
        "participant": ADA,
        "participant_pn": ADA_PN,
        "addressing_mode": "lid",
    }
    assert told.children() == [
        Node("subject", {"subject": "Coffee", "s_t": "1700000000", "s_o": ADA, "s_o_pn": ADA_PN}),
        Node("description", {"id": "D1"}, [Node("body", None, b"At four")]),
        Node("description", {"id": "D2"}, [Node("delete")]),
    ]


def test_a_change_nobody_knows_is_kept_as_it_came() -> None:
    unknown = Node("growth_locked", {"type": "invite", "expiration": "9"})
    node = Node("notification", {"from": GROUP, "type": "w:gp2", "id": "N1", "t": "1"}, [unknown])
    told = GroupNotification.from_node(over_the_wire(node))
    assert [(change.kind, change.node) for change in told.changes] == [("growth_locked", unknown)]
    assert (told.participant, told.other, told.addressing_mode) == (None, None, "pn")


@pytest.mark.parametrize(
    "child",
    [
        Node("create"),
        Node("create", None, [Node("group")]),
        Node("add", None, [Node("participant")]),
        Node("subject", {"s_t": "x"}),
        Node("ephemeral", {"expiration": ""}),
        Node("description", None, [Node("body", None, [Node("x")])]),
    ],
)
def test_a_change_that_breaks_its_word_is_refused(child: Node) -> None:
    with pytest.raises(StanzaError):
        GroupNotification.from_node(Node("notification", {"from": GROUP, "id": "N1", "t": "1"}, [child]))


def test_no_address_and_no_word_shows() -> None:
    shown = " ".join(map(repr, (GroupNotification("N1", GROUP, 1, tuple(CHANGES), ADA), *CHANGES)))
    for secret in ("1555", "Coffee", "CODE", "2000000"):
        assert secret not in shown
