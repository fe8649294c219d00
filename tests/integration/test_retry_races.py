"""Requests and sends that cross: what one of them changes the other has to see."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest

from tests.support.memory_store import MemoryStore
from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.events import MessageUndecryptable
from waton.client.sessions import Bundles
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid
from waton.lab.server import Lab
from waton.lab.world import Device
from waton.ports import RecordKind
from waton.protocol.binary_node import Node

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield started
    await started.stop()


async def unread(waton: WatonPeer) -> MessageUndecryptable:
    return await waton.event(lambda event: event if isinstance(event, MessageUndecryptable) else None)


async def test_a_request_that_was_written_twice_costs_nothing_later(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ack was not seen; who answers both opens two sessions from the one prekey that came along."""
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    deliveries = lab.service.deliveries
    put = deliveries.put

    def twice(device: Device, node: Node, parent: int | None = None) -> None:
        for _ in range(2 if node.attrs.get("type") == "retry" else 1):
            put(device, node, parent)

    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        await ada.send_text(waton.lid, "one")
        await waton.message("one")
        await waton.client.send_text(ada.lid, "yes")  # from now on her messages name no prekey
        assert (await ada.next_message()).text == "yes"
        store = waton.store
        assert isinstance(store, MemoryStore)
        for key in await store.keys(RecordKind.SESSION):
            del store.records[RecordKind.SESSION, key]
        monkeypatch.setattr(deliveries, "put", twice)
        await ada.send_text(waton.lid, "two")
        assert (await unread(waton)).reason == "no_session"
        await waton.message("two")
        assert (await unread(waton)).is_resolved
        await ada.send_text(waton.lid, "three")
        await waton.message("three")
        assert not [event for event in waton.events if isinstance(event, MessageUndecryptable)]


@pytest.mark.parametrize("where", ["person", "group"])
async def test_a_session_put_aside_while_a_message_is_made_leaves_nobody_out(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """As when a reader asks for something else again just then."""
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        client = waton.client
        to = ada.lid if where == "person" else await ada.create_group("Friends", [owner.lid])
        await client.send_text(ada.lid, "hello")
        assert (await ada.next_message()).text == "hello"
        ask = client.sessions.bundles_for

        async def put_aside(devices: Sequence[Jid], *, all_of_them: bool = False) -> Bundles:
            bundles = await ask(devices, all_of_them=all_of_them)
            monkeypatch.undo()
            async with client.pipeline.step() as step:
                await client.sessions.archive(step, ada.lid)
            return bundles

        monkeypatch.setattr(client.sessions, "bundles_for", put_aside)
        sent = await client.send_text(to, "one")
        assert sent.skipped == {}
        assert (await ada.next_message()).text == "one"
        assert not ada.unreadable
