"""One name for one device's session: the LID where it is known, and sessions that move when it is learnt."""

from __future__ import annotations

import asyncio

from tests.support.memory_store import MemoryStore
from tests.unit.client.worlds import settle
from waton.client import addresses
from waton.client.client import Client, ClientConfig
from waton.client.event_pipeline import Step
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.infra.websocket import WebSocketConnector
from waton.jid import Jid
from waton.ports import RecordKind
from waton.protocol.trace import Tracer

PN, LID = Jid.parse("4915000000001@s.whatsapp.net"), Jid.parse("77000000000001@lid")
SPEAKER = PN.with_device(3)
GROUP = Jid.parse("12036302@g.us")
OLD, NEW = "4915000000001.3", "77000000000001_1.3"


async def learn(store: MemoryStore, pn: Jid = SPEAKER, lid: Jid = LID) -> None:
    async with store.unit() as unit:
        await addresses.learn(Step(unit, None), pn, lid, source="message")


def machines(store: MemoryStore) -> list[tuple[str, str, str]]:
    return [(machine, before, after) for machine, before, after, _ in store.transitions]


async def test_an_address_without_a_mapping_stays() -> None:
    store = MemoryStore()
    for jid in (PN, PN.with_device(3), LID, GROUP):
        assert await addresses.canonical(store, jid) == jid
    assert await addresses.phone_number(store, LID) is None


async def test_a_known_person_goes_by_the_lid_and_keeps_the_device() -> None:
    store = MemoryStore()
    await learn(store)
    assert await addresses.canonical(store, PN.with_device(9)) == LID.with_device(9)
    assert await addresses.canonical(store, LID.with_device(9)) == LID.with_device(9)
    assert await addresses.phone_number(store, LID.with_device(9)) == PN.with_device(9)
    assert await addresses.phone_number(store, PN) == PN
    other = Jid.parse("4915000000002@s.whatsapp.net")
    assert await addresses.canonical(store, other) == other


async def test_a_session_under_the_phone_number_moves() -> None:
    store = MemoryStore()
    store.records[RecordKind.SESSION, OLD] = b"session"
    store.records[RecordKind.IDENTITY, OLD] = b"identity"
    await learn(store)
    assert store.records[RecordKind.SESSION, NEW] == b"session"
    assert store.records[RecordKind.IDENTITY, NEW] == b"identity"
    assert (RecordKind.SESSION, OLD) not in store.records
    assert (RecordKind.IDENTITY, OLD) not in store.records
    assert machines(store) == [
        ("lid_mapping", "unknown", "known"),
        ("migration", "pn", "lid"),
        ("migration", "pn", "lid"),
    ]


async def test_all_devices_of_the_number_move_and_nobody_else_s() -> None:
    # Nobody looks under the number any more: a companion left behind would lose its session.
    store = MemoryStore()
    store.records[RecordKind.SESSION, OLD] = b"speaker"
    store.records[RecordKind.SESSION, "4915000000001.0"] = b"phone"
    store.records[RecordKind.SESSION, "49150000000011.0"] = b"a longer number"
    store.records[RecordKind.SESSION, "4915000000001_128.99"] = b"hosted"
    await learn(store, PN)
    sessions = {key: value for (kind, key), value in store.records.items() if kind is RecordKind.SESSION}
    assert sessions == {
        NEW: b"speaker",
        "77000000000001_1.0": b"phone",
        "49150000000011.0": b"a longer number",
        "4915000000001_128.99": b"hosted",
    }


async def test_a_session_under_the_lid_counts_and_the_other_is_kept() -> None:
    store = MemoryStore()
    store.records[RecordKind.SESSION, OLD] = b"old"
    store.records[RecordKind.SESSION, NEW] = b"new"
    await learn(store)
    assert store.records[RecordKind.SESSION, NEW] == b"new"
    assert store.records[RecordKind.SESSION, OLD] == b"old"


async def test_who_waits_for_a_person_that_gets_another_name_waits_for_both() -> None:
    store = MemoryStore()
    clock, dice = SystemClock(), SystemEntropy()
    connector = WebSocketConnector()  # never asked
    client = Client(
        ClientConfig(), store=store, connector=connector, clock=clock, entropy=dice, tracer=Tracer(lambda _: None)
    )
    order: list[str] = []
    by_lid_done = asyncio.Event()

    async def by_number() -> None:
        async with client.hold([SPEAKER]):
            order.append("by number")

    async def by_lid() -> None:
        async with client.hold([LID]):
            await by_lid_done.wait()
            order.append("by LID")

    async with client.hold([PN]):
        waiting, working = asyncio.create_task(by_number()), asyncio.create_task(by_lid())
        await settle()
        await learn(store)
    await settle()
    assert order == []
    by_lid_done.set()
    await asyncio.gather(waiting, working)
    assert order == ["by LID", "by number"]


async def test_learning_twice_writes_once() -> None:
    store = MemoryStore()
    await learn(store)
    before = dict(store.records)
    store.transitions.clear()
    await learn(store)
    assert store.records == before
    assert store.transitions == []


async def test_a_person_with_a_new_lid() -> None:
    store = MemoryStore()
    await learn(store)
    newer = Jid.parse("77000000000009@lid")
    await learn(store, lid=newer)
    assert await addresses.canonical(store, PN) == newer
    assert machines(store)[-1] == ("lid_mapping", "other", "known")


async def test_what_is_no_pair_of_addresses_teaches_nothing() -> None:
    store = MemoryStore()
    for pn, lid in ((LID, PN), (PN, PN), (LID, LID), (GROUP, LID), (PN, GROUP)):
        await learn(store, pn, lid)
    assert store.records == {}
    assert store.transitions == []


async def test_a_step_that_fails_has_learnt_nothing() -> None:
    store = MemoryStore()
    store.records[RecordKind.SESSION, OLD] = b"session"
    try:
        async with store.unit() as unit:
            await addresses.learn(Step(unit, None), PN.with_device(3), LID, source="message")
            assert await addresses.canonical(unit, PN) == LID  # the step sees its own writes
            raise RuntimeError
    except RuntimeError:
        pass
    assert store.records == {(RecordKind.SESSION, OLD): b"session"}
