"""<group> as the service writes it, as we read it, and as the lab writes it."""

from __future__ import annotations

import pytest

from waton.jid import Jid
from waton.protocol.binary_node import Node, StanzaError, decode_node, encode_node
from waton.protocol.stanza import group_query as ask
from waton.protocol.stanza.group import (
    Action,
    AddressingMode,
    Description,
    GroupMetadata,
    GroupParticipant,
    Role,
    approval_node,
)

GROUP = Jid("120363000000000001", "g.us")
ADA, ADA_PN = Jid("200000000001000", "lid"), Jid("15550001000", "s.whatsapp.net")
BOB, BOB_PN = Jid("200000000001001", "lid"), Jid("15550001001", "s.whatsapp.net")


def over_the_wire(node: Node) -> Node:
    return decode_node(encode_node(node))


def full() -> GroupMetadata:
    return GroupMetadata(
        id=GROUP,
        subject="Tea",
        addressing_mode=AddressingMode.LID,
        participants=(
            GroupParticipant(ADA, Role.SUPERADMIN, phone_number=ADA_PN),
            GroupParticipant(BOB, display_name="+1∙∙∙∙∙01"),
        ),
        owner=ADA,
        owner_pn=ADA_PN,
        creation=1_700_000_000,
        subject_owner=BOB,
        subject_owner_pn=BOB_PN,
        subject_t=1_700_000_001,
        description=Description("D1", "At four", ADA, ADA_PN, 1_700_000_002),
        announcement=True,
        locked=True,
        ephemeral=86_400,
        member_add_mode="admin_add",
        membership_approval=True,
        size=2,
        participant_version="7",
        announcement_version="3",
        linked_parent=Jid("120363000000000009", "g.us"),
        is_parent=True,
        is_default_sub_group=True,
        suspended=True,
        extra=(Node("growth_locked", {"type": "invite"}),),
    )


def test_everything_comes_back_as_it_was_written() -> None:
    assert GroupMetadata.from_node(over_the_wire(full().to_node())) == full()


def test_what_is_not_set_is_not_written() -> None:
    node = GroupMetadata(GROUP, "Tea").to_node()
    assert node.children() == []
    assert set(node.attrs) == {"id", "subject", "addressing_mode", "size"}
    assert GroupMetadata.from_node(over_the_wire(node)) == GroupMetadata(GROUP, "Tea")


def test_a_group_as_the_service_writes_it() -> None:
    # As whatsmeow's parseGroupNode and Baileys' tests have it: an id without a server, no mode in old groups.
    node = Node(
        "group",
        {"id": "120363000000000001", "subject": "Old", "creation": "1", "creator": ADA_PN, "s_t": "2", "s_o": ADA_PN},
        [
            Node("participant", {"jid": ADA_PN, "lid": ADA, "type": "admin"}),
            Node("participant", {"jid": BOB_PN}),
            Node("membership_approval_mode"),
            Node("never_seen", {"a": "b"}),
        ],
    )
    group = GroupMetadata.from_node(over_the_wire(node))
    assert (group.id, group.addressing_mode, group.size) == (GROUP, "pn", 2)
    assert [(one.jid, one.other, one.is_admin) for one in group.participants] == [
        (ADA_PN, ADA, True),
        (BOB_PN, None, False),
    ]
    assert group.membership_approval
    assert [child.tag for child in group.extra] == ["never_seen"]
    assert group.participant(ADA.with_device(4)) == group.participants[0]
    assert group.participant(BOB) is None


@pytest.mark.parametrize(
    "node",
    [
        Node("group"),
        Node("group", {"id": ""}),
        Node("group", {"id": "1@s.whatsapp.net"}),
        Node("group", {"id": "1", "size": "many"}),
        Node("group", {"id": "1", "creation": "soon"}),
        Node("group", {"id": "1"}, [Node("participant")]),
        Node("group", {"id": "1"}, [Node("ephemeral", {"expiration": "x"})]),
        Node("group", {"id": "1"}, [Node("member_add_mode")]),
        Node("group", {"id": "1", "creator": "@@@"}),
    ],
)
def test_a_group_that_breaks_its_word_is_refused(node: Node) -> None:
    with pytest.raises(StanzaError):
        GroupMetadata.from_node(node)


def test_no_address_and_no_word_shows() -> None:
    group = full()
    shown = " ".join(map(repr, (group, *group.participants, group.description)))
    for secret in ("1555", "Tea", "four", "2000000"):
        assert secret not in shown


def test_approval_is_on_unless_it_says_off() -> None:
    for node, on in (
        (approval_node(on=True), True),
        (approval_node(on=False), False),
        (Node("membership_approval_mode"), True),
    ):
        assert GroupMetadata.from_node(Node("group", {"id": "1"}, [node])).membership_approval is on


# --- questions and answers


def test_questions_are_what_baileys_and_whatsmeow_ask() -> None:
    people = [GroupParticipant(ADA, phone_number=ADA_PN), GroupParticipant(BOB)]
    named = [Node("participant", {"jid": ADA, "phone_number": ADA_PN}), Node("participant", {"jid": BOB})]
    assert ask.metadata_query() == [Node("query", {"request": "interactive"})]
    assert ask.create("Tea", people, key="K") == [Node("create", {"subject": "Tea", "key": "K"}, named)]
    assert ask.change(Action.ADD, people) == [Node("add", None, named)]
    assert ask.leave(GROUP) == [Node("leave", None, [Node("group", {"id": GROUP})])]
    assert ask.set_description("", id="D2", previous="D1") == [
        Node("description", {"id": "D2", "delete": "true", "prev": "D1"})
    ]
    assert ask.set_description("At five", id="D2") == [
        Node("description", {"id": "D2"}, [Node("body", None, b"At five")])
    ]
    assert [node.tag for on in (True, False) for node in ask.set_announcement(on=on)] == [
        "announcement",
        "not_announcement",
    ]
    assert [node.tag for on in (True, False) for node in ask.set_locked(on=on)] == ["locked", "unlocked"]
    assert ask.set_ephemeral(0) == [Node("not_ephemeral")]
    assert ask.set_ephemeral(7) == [Node("ephemeral", {"expiration": "7"})]
    assert ask.invite() == [Node("invite")]
    assert ask.invite("CODE") == [Node("invite", {"code": "CODE"})]


def test_answers_have_a_code_for_each() -> None:
    changed = (ask.Changed(ADA, phone_number=ADA_PN), ask.Changed(BOB, 403))
    answer = Node("iq", None, [Node("add", None, [one.to_node() for one in changed])])
    assert tuple(ask.parse_changed(over_the_wire(answer), Action.ADD)) == changed
    assert [one.is_done for one in changed] == [True, False]
    with pytest.raises(StanzaError):
        ask.parse_changed(answer, Action.REMOVE)


def test_joining_tells_whether_one_is_in() -> None:
    assert ask.parse_joined(Node("iq", None, [Node("group", {"jid": GROUP})])) == (GROUP, True)
    assert ask.parse_joined(Node("iq", None, [Node("membership_approval_request", {"jid": GROUP})])) == (GROUP, False)
    with pytest.raises(StanzaError):
        ask.parse_joined(Node("iq"))
