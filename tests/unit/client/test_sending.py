"""What is sent: it goes to whom it is for or fails, it cannot be lost halfway, and no id is sent as new twice."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.client.service import GROUP, MY_LID, World, said, text
from tests.unit.client.worlds import settle
from waton.client.events import MessagesUpsert
from waton.client.messages import SendResult
from waton.errors import DecryptError, IqError, LocalProtocolError, QueryTimeout
from waton.jid import Jid
from waton.ports import RecordKind
from waton.protocol import proto
from waton.protocol.binary_node import get_text
from waton.protocol.framing import MAX_FRAME

ADA, ADA_PN = Jid("200000000000002", "lid"), Jid("15550000002", "s.whatsapp.net")
BOB = Jid("200000000000003", "lid")
OWN_PHONE = MY_LID.with_device(0)


@pytest.fixture
async def world() -> World:
    made = await World.of()
    for jid in (OWN_PHONE, ADA, BOB):
        made.service.person(jid)
    return made


def slow_store(world: World) -> MemoryStore:
    store = world.client.store
    assert isinstance(store, MemoryStore)
    store.is_slow = True
    return store


def written(world: World) -> list[str | None]:
    return [get_text(node, "id") for node in world.service.of("message")]


# --- to whom it is for ------------------------------------------------------------------------------------------------


async def test_what_the_recipient_cannot_get_is_not_sent_to_ourselves_alone(world: World) -> None:
    await world.client.sender.send_text(OWN_PHONE.bare, "a session with our own phone")
    del world.service.peers[ADA]
    world.service.person(ADA.with_device(0))
    world.service.faults["encrypt"] = IqError(503, "not now")
    with pytest.raises(LocalProtocolError):
        await world.client.sender.send_text(ADA, "hello", id="A")
    assert "A" not in written(world)
    assert await world.client.store.load(RecordKind.SENT_MESSAGE, "A") is None
    del world.service.faults["encrypt"]
    assert (await world.client.sender.send_text(ADA, "hello", id="A")).is_accepted


async def test_a_text_to_ourselves_goes_to_our_other_devices(world: World) -> None:
    result = await world.client.sender.send_text(MY_LID.bare, "note to self")
    assert result.devices == (OWN_PHONE,)


async def test_who_was_removed_while_devices_were_asked_for_gets_no_key(world: World) -> None:
    world.service.group(ADA, BOB)
    await world.client.groups.metadata(GROUP)

    async def remove_bob() -> None:
        world.service.before.clear()
        world.service.group(ADA)
        async with world.client.hold([GROUP]), world.client.pipeline.step() as step:
            world.client.groups.keep(step, world.service.groups[GROUP])

    world.service.before["encrypt"] = remove_bob
    result = await world.client.sender.send_text(GROUP, "without Bob")
    assert set(result.devices) == {ADA, OWN_PHONE}
    [stanza] = world.service.of("message")
    assert said(world.service.peers[ADA].read(stanza)) == "without Bob"
    with pytest.raises(DecryptError):
        world.service.peers[BOB].read(stanza)


# --- halfway ----------------------------------------------------------------------------------------------------------


async def test_a_send_that_is_called_off_after_its_commit_began_is_sent_all_the_same(world: World) -> None:
    store = slow_store(world)
    sending = asyncio.create_task(world.client.sender.send_text(ADA, "hello", id="A"))
    while not any((RecordKind.SENT_MESSAGE, "A") in unit.writes for unit, _ in store.line):
        store.land(max(0, len(store.line) - 1))
        await asyncio.sleep(0)
        if store.line and (RecordKind.SENT_MESSAGE, "A") not in store.line[-1][0].writes:
            store.land()
    sending.cancel()
    await asyncio.wait([sending])
    with pytest.raises(QueryTimeout):
        await world.client.sender.send_text(ADA, "hello", id="A")
    assert written(world) == [], "it is not on the disk yet"
    store.is_slow = False
    store.land()
    await settle()
    assert written(world) == ["A"]
    result = await world.client.sender.send_text(ADA, "hello", id="A")
    assert result.is_accepted
    assert written(world) == ["A"]
    assert len(world.client.outbox) == 0


async def test_what_is_called_off_in_one_chat_does_not_let_the_next_one_overtake_it(world: World) -> None:
    await world.client.sender.send_text(ADA, "opens", id="0")
    store = slow_store(world)
    first = asyncio.create_task(world.client.sender.send_text(ADA, "first", id="1"))
    await settle()
    first.cancel()
    await asyncio.wait([first])
    second = asyncio.create_task(world.client.sender.send_text(ADA, "second", id="2"))
    await settle()
    store.is_slow = False
    store.land()
    await second
    assert written(world) == ["0", "1", "2"]


async def test_one_id_sent_to_two_people_at_once_is_one_message(world: World) -> None:
    results = await asyncio.gather(
        world.client.sender.send_text(ADA, "hello", id="A"), world.client.sender.send_text(BOB, "hello", id="A")
    )
    assert all(isinstance(result, SendResult) for result in results)
    assert written(world) == ["A"]
    assert len(world.told(MessagesUpsert)) == 1


async def test_what_does_not_fit_into_a_frame_is_refused_before_it_is_stored(world: World) -> None:
    big = proto.Message(conversation="x" * MAX_FRAME)
    with pytest.raises(LocalProtocolError):
        await world.client.sender.send(ADA, big, id="BIG")
    store = world.client.store
    assert await store.load(RecordKind.SENT_MESSAGE, "BIG") is None
    assert await store.keys(RecordKind.OUTBOX) == []
    assert (await world.client.sender.send(ADA, text("small"), id="SMALL")).is_accepted
    assert said(world.service.peers[ADA].read(world.service.of("message")[-1])) == "small"
