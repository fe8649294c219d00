"""The notice that somebody's devices changed: every child, every device once, hashes, and what is passed over."""

from __future__ import annotations

import pytest

from waton.jid import Jid
from waton.protocol.binary_node import Node, StanzaError, decode_node, encode_node
from waton.protocol.stanza.devices import ChangeKind, DevicesNotification, ListChange, contact_hash
from waton.protocol.stanza.usync import DeviceEntry

ADA, LID = Jid.parse("4915000000001@s.whatsapp.net"), Jid.parse("77000000000001@lid")


def told(*children: Node, **attrs: str | Jid | None) -> Node:
    given: dict[str, str | Jid | None] = {"from": ADA, "id": "n1", "type": "devices", "t": "5", "lid": LID}
    return Node("notification", given | attrs, list(children))


def device(jid: Jid, index: str | None = "2", **attrs: str | Jid | None) -> Node:
    return Node("device", {"jid": jid, "key-index": index, **attrs})


def test_a_notification_reads_back() -> None:
    added = ListChange(ChangeKind.ADD, (DeviceEntry(4, 2),), b"signed", 9, "2:aaaaaaaa", "2:bbbbbbbb")
    removed = ListChange(ChangeKind.REMOVE, (DeviceEntry(99, 3, is_hosted=True),), t=10)
    updated = ListChange(ChangeKind.UPDATE, contact_hash="s7oK")
    sent = DevicesNotification(ADA, LID, (added, removed, updated))
    node = decode_node(encode_node(sent.to_node("n1", 5)))
    assert DevicesNotification.from_node(node) == sent
    add, remove, _ = node.children()
    assert add.children()[0] == device(ADA.with_device(4), lid=LID.with_device(4))
    assert str(remove.children()[0].attrs["jid"]) == "4915000000001:99@hosted"
    assert remove.children()[1] == Node("key-index-list", {"ts": "10"})


def test_a_device_named_by_both_addresses_is_one() -> None:
    child = Node("add", None, [device(ADA.with_device(4), lid=LID.with_device(4)), device(LID.with_device(4))])
    [change] = DevicesNotification.from_node(told(child)).changes
    assert change.devices == (DeviceEntry(4, 2),)


def test_devices_of_other_people_and_other_children_are_passed_over() -> None:
    stranger = Jid.parse("4915000000002:4@s.whatsapp.net")
    child = Node("remove", None, [device(stranger), device(ADA.with_device(7), None), Node("other")])
    notification = DevicesNotification.from_node(told(Node("other", None, [device(ADA)]), child))
    [change] = notification.changes
    assert change == ListChange(ChangeKind.REMOVE, (DeviceEntry(7),))
    # Without the LID, an address by LID is somebody else's.
    alone = Node("add", None, [device(LID.with_device(4))])
    assert DevicesNotification.from_node(told(alone, lid=None)).changes == (ListChange(ChangeKind.ADD),)


@pytest.mark.parametrize(
    "node",
    [
        told(**{"from": None}),
        told(Node("add", None, [Node("device")])),
        told(Node("add", None, [device(ADA, "two")])),
        told(Node("add", None, [Node("key-index-list", {"ts": "now"})])),
        told(lid="77:x@lid"),
    ],
)
def test_a_malformed_notification(node: Node) -> None:
    with pytest.raises(StanzaError):
        DevicesNotification.from_node(node)


@pytest.mark.parametrize(
    ("user", "hash"), [("100000000000001", "s7oK"), ("100000000000002", "P2DY"), ("100000000000003", "4ZhY")]
)
def test_the_hash_of_a_contact(user: str, hash: str) -> None:
    # Source: whatsapp-rust wacore/src/crypto.rs.
    assert contact_hash(user) == hash
