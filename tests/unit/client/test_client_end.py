"""The end of an account or of a client: nothing of it is left where the next one would find it, and nothing runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.client.service import ME, MY_LID, World, said, text
from tests.unit.client.worlds import settle
from waton.client.events import MessagesUpsert
from waton.errors import Disconnected
from waton.jid import Jid
from waton.ports import RecordKind
from waton.protocol.stanza.message import IncomingMessage

ADA = Jid("200000000000002", "lid")
ACCOUNT = {RecordKind.CREDENTIALS, RecordKind.SIGNED_PREKEY}


@pytest.fixture
async def world() -> World:
    made = await World.of()
    for jid in (MY_LID.with_device(0), ME.with_device(0), ADA):
        made.service.person(jid)
    return made


def kinds(world: World) -> set[RecordKind]:
    store = world.client.store
    assert isinstance(store, MemoryStore)
    return {kind for kind, _ in store.records}


async def test_a_send_that_is_under_way_leaves_nothing_in_the_next_account(world: World) -> None:
    """Stopped at each of its looks at the store, in turn, while the account is forgotten."""
    client, store = world.client, world.client.store
    assert isinstance(store, MemoryStore)
    plain, looks = store.load, 0
    await client.sender.send_text(ADA, "before")
    turns = 0

    async def stopping(kind: RecordKind, key: str) -> bytes | None:
        nonlocal looks
        if asyncio.current_task() is sending:
            looks += 1
            if looks == turns:
                await client.account.forget("test")
        return await plain(kind, key)

    outcomes: list[str] = []
    saved, kept = dict(store.records), client.account.credentials
    while True:
        turns, looks = turns + 1, 0
        store.records.clear()
        store.records.update(saved)
        client.account._credentials = kept
        store.load = stopping
        sending = asyncio.create_task(client.sender.send_text(ADA, "under way", id=f"ID{turns}"))
        await asyncio.wait([sending])
        await settle()
        store.load = plain
        if looks < turns:
            break
        outcomes.append(type(sending.exception()).__name__)
        assert client.credentials.me is None
        assert kinds(world) == ACCOUNT, f"look {turns}"
        assert len(client.outbox) == 0
    assert turns > 5
    assert set(outcomes) <= {"Disconnected", "LocalProtocolError", "NoneType"}


async def test_who_waits_for_an_ack_is_told_that_the_account_is_gone(world: World) -> None:
    world.service.acknowledges = False
    sending = asyncio.create_task(world.client.sender.send_text(ADA, "hello"))
    await settle()
    assert len(world.client.outbox) == 1
    await world.client.account.forget("test")
    with pytest.raises(Disconnected):
        await sending
    assert kinds(world) == ACCOUNT


async def test_what_was_received_is_read_before_its_keys_are_dropped(world: World) -> None:
    ada = world.service.peers[ADA]
    ada.meet(world.client)
    for number in range(50):
        stanza = IncomingMessage(f"ID{number}", ADA, 1_760_000_000, "text", (ada.seal(text(str(number))),))
        await world.client.on_node(world.event(stanza.to_node()))
    await world.client.account.forget("test")
    await settle()
    told = [event for event in world.told(MessagesUpsert) if isinstance(event, MessagesUpsert)]
    assert [said(event.message) for event in told] == [str(number) for number in range(50)]
    assert kinds(world) == ACCOUNT


async def test_a_crash_leaves_the_account_as_it_was_or_a_new_one_and_never_none(world: World) -> None:
    store = world.client.store
    assert isinstance(store, MemoryStore)
    store.is_slow = True
    forgetting = asyncio.create_task(world.client.account.forget("test"))
    await settle()
    assert len(store.line) == 1, "one unit of work"
    store.land()
    await forgetting
    assert world.client.credentials.me is None


async def test_being_called_off_leaves_memory_and_disk_together(world: World) -> None:
    store = world.client.store
    assert isinstance(store, MemoryStore)
    store.is_slow = True
    forgetting = asyncio.create_task(world.client.account.forget("test"))
    await settle()
    forgetting.cancel()
    await asyncio.wait([forgetting])
    store.land()
    await settle()
    kept = await store.load(RecordKind.CREDENTIALS, "self")
    assert kept == world.client.credentials.to_json()
    assert world.client.credentials.me is None


async def test_closing_after_a_logout_ends_what_still_runs(world: World) -> None:
    client, ended = world.client, asyncio.Event()
    await client.logout()

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    work: Coroutine[Any, Any, None] = for_ever()
    client.background(work)
    await settle()
    await client.close()
    assert ended.is_set()
    await client.close()


async def test_lanes_have_as_much_room_after_a_close_as_before(world: World) -> None:
    lanes = world.client.lanes
    never = asyncio.Event()

    async def stuck() -> None:
        await never.wait()

    for _ in range(1_024):
        await lanes.submit("one", stuck)
    await lanes.close(timeout=0.01)
    async with asyncio.timeout(5):
        for number in range(1_024):
            await lanes.submit(f"lane {number}", stuck)
    await lanes.close(timeout=0.0)
