"""Notifications: what is acknowledged was taken, and what could not be taken leaves nothing behind that is wrong."""

from __future__ import annotations

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.client.service import GROUP, World
from tests.unit.client.worlds import settle
from waton.errors import Disconnected, DisconnectReason
from waton.jid import SERVER, Jid
from waton.ports import RecordKind
from waton.protocol.binary_node import Node
from waton.protocol.stanza.group import GroupParticipant
from waton.protocol.stanza.group_notification import GroupChange, GroupNotification, Kind

ADA, BOB = Jid("200000000000002", "lid"), Jid("200000000000003", "lid")
T = 1_760_000_000


@pytest.fixture
async def world() -> World:
    made = await World.of()
    for jid in (ADA, BOB):
        made.service.person(jid)
    made.service.group(ADA, BOB)
    await made.client.groups.metadata(GROUP)
    return made


def removed(*people: Jid) -> Node:
    change = GroupChange(Kind.REMOVE, participants=tuple(GroupParticipant(jid) for jid in people))
    return GroupNotification("N", GROUP, T, (change,), ADA).to_node()


async def test_what_is_not_on_the_disk_is_not_acknowledged(world: World) -> None:
    store = world.client.store
    assert isinstance(store, MemoryStore)
    store.is_broken = True
    await world.receive(removed(BOB))
    await world.receive(Node("notification", {"from": ADA, "id": "E", "type": "encrypt"}, [Node("identity")]))
    await world.receive(Node("notification", {"from": ADA, "id": "D", "type": "devices"}, [Node("update")]))
    await settle()
    assert world.service.of("ack") == []


async def test_a_change_that_cannot_be_read_costs_what_we_remember_of_the_group(world: World) -> None:
    odd = removed(BOB)
    nobody = Node("remove", None, [Node("participant", {"type": "nobody"})])
    await world.receive(Node(odd.tag, {**odd.attrs}, [nobody]))
    assert len(world.service.of("ack")) == 1
    assert await world.client.store.load(RecordKind.GROUP, str(GROUP)) is None, "who is in it is asked anew"


async def test_one_that_is_lost_with_the_connection_is_left_to_come_again(world: World) -> None:
    world.service.faults["encrypt"] = Disconnected(DisconnectReason.LOST)
    count = Node("notification", {"from": SERVER, "id": "C", "type": "encrypt"}, [Node("count", {"value": "0"})])
    await world.receive(count)
    assert world.service.of("ack") == []
    del world.service.faults["encrypt"]
    await world.receive(count)
    assert len(world.service.of("ack")) == 1
