"""Whom we did not know of gets the message after all: at once, after the next login, and after a crash."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.client.service import GROUP, ME, MY_LID, World, said
from tests.unit.client.worlds import settle
from waton.client.events import MessagesUpdate, MessagesUpsert
from waton.client.messages import SendResult
from waton.errors import Disconnected, DisconnectReason, IqError
from waton.jid import Jid
from waton.ports import RecordKind
from waton.protocol.binary_node import Node, get_jid, get_text
from waton.protocol.stanza.receipt import server_ack

ADA, BOB = Jid("200000000000002", "lid"), Jid("200000000000003", "lid")
THEIRS = "2:theirs00"


@pytest.fixture
async def world() -> World:
    """The group is Ada and us, as we know; Bob has joined meanwhile."""
    made = await World.of()
    for jid in (MY_LID.with_device(0), ADA, BOB):
        made.service.person(jid)
    made.service.group(ADA)
    await made.client.groups.metadata(GROUP)
    made.service.group(ADA, BOB)
    made.service.acknowledges = False
    return made


async def send(world: World, failing: str = "") -> SendResult:
    """Send a text; the server acknowledges it with its own hash, and from then on cannot be asked for `failing`."""
    sending = asyncio.create_task(world.client.sender.send_text(GROUP, "hello"))
    await settle()
    if failing:
        world.service.faults[failing] = Disconnected(DisconnectReason.CLOSED)
    await acknowledge(world, THEIRS)
    await settle()
    return await sending


async def acknowledge(world: World, phash: str | None) -> None:
    [stanza] = world.service.of("message")
    attrs = [] if phash is None else [("phash", phash)]
    await world.client.outbox.on_ack(server_ack(stanza, t=1_760_000_001, attrs=attrs), 0)


def to_bob(world: World) -> list[str]:
    """What Bob could read."""
    mine = [node for node in world.service.of("message") if BOB in (get_jid(node, "participant"), get_jid(node, "to"))]
    return [said(world.service.peers[BOB].read(node)) for node in mine]


async def owed(world: World) -> list[str]:
    return await world.client.store.keys(RecordKind.MISSED, "")


async def test_a_member_we_did_not_know_of_gets_the_message(world: World) -> None:
    result = await send(world)
    assert (result.is_accepted, result.server_phash) == (True, THEIRS)
    assert to_bob(world) == ["hello"]
    assert await owed(world) == []
    again = world.service.of("message")[1]
    assert get_text(again, "id") == result.id


@pytest.mark.parametrize("same", [True, False])
async def test_where_the_server_agrees_nobody_is_asked(world: World, same: bool) -> None:
    sending = asyncio.create_task(world.client.sender.send_text(GROUP, "hello"))
    await settle()
    asked = len(world.service.asked)
    ours = get_text(world.service.of("message")[0], "phash")
    assert ours
    await acknowledge(world, ours if same else None)
    await settle()
    assert (await sending).server_phash == ""
    assert len(world.service.asked) == asked
    assert (to_bob(world), await owed(world)) == ([], [])


async def test_it_does_not_hang_on_whoever_waits_for_the_ack(world: World) -> None:
    sending = asyncio.create_task(world.client.sender.send_text(GROUP, "hello"))
    await settle()
    sending.cancel()
    await acknowledge(world, THEIRS)
    await settle()
    assert to_bob(world) == ["hello"]


@pytest.mark.parametrize("lost", ["w:g2", "usync", "encrypt"])
async def test_what_the_network_kept_from_us_is_done_after_the_next_login(world: World, lost: str) -> None:
    result = await send(world, failing=lost)
    assert (to_bob(world), await owed(world)) == ([], [result.id])
    del world.service.faults[lost]
    await world.client.missed.open()
    assert (to_bob(world), await owed(world)) == (["hello"], [])
    await world.client.missed.open()
    assert len(world.service.of("message")) == 2, "once"


async def test_a_crash_right_after_the_ack_forgets_nobody(world: World) -> None:
    await send(world, failing="w:g2")
    later = await World.of(world.client.store)
    later.service.peers, later.service.groups = world.service.peers, world.service.groups
    await later.client.missed.open()
    await settle()
    assert to_bob(later) == ["hello"]


async def test_a_group_that_is_not_ours_any_more_is_owed_nothing(world: World) -> None:
    world.service.faults["w:g2"] = IqError(403, "forbidden")
    await send(world)
    assert (to_bob(world), await owed(world)) == ([], [])


async def test_a_server_that_is_only_busy_is_asked_again(world: World) -> None:
    world.service.faults["w:g2"] = IqError(503, "busy")
    result = await send(world)
    assert await owed(world) == [result.id]
    await world.client.missed.open()
    assert await owed(world) == [result.id]
    del world.service.faults["w:g2"]
    await world.client.missed.open()
    assert (to_bob(world), await owed(world)) == (["hello"], [])


async def test_the_hash_of_a_resend_is_nobody_s_business(world: World) -> None:
    await send(world)
    resend: Node = world.service.of("message")[1]
    asked = len(world.service.asked)
    await world.client.outbox.on_ack(server_ack(resend, t=1, attrs=[("phash", "2:other000")]), 0)
    await settle()
    assert len(world.service.asked) == asked
    assert await owed(world) == []


async def test_the_update_of_a_message_to_a_lid_group_is_by_our_lid(world: World) -> None:
    await send(world)
    [told], updates = world.told(MessagesUpsert), world.told(MessagesUpdate)
    assert isinstance(told, MessagesUpsert)
    assert [one.key for one in updates if isinstance(one, MessagesUpdate)] == [told.key]
    assert told.key.author == MY_LID != ME
