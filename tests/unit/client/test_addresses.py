"""One name for one device's session: the LID where it is known, and sessions that move when it is learnt."""

from __future__ import annotations

from tests.support.memory_store import MemoryStore
from waton.client import addresses
from waton.client.event_pipeline import Step
from waton.jid import Jid
from waton.ports import RecordKind

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


async def test_only_the_device_that_spoke_moves() -> None:
    store = MemoryStore()
    store.records[RecordKind.SESSION, "4915000000001.4"] = b"another device"
    await learn(store)
    assert store.records[RecordKind.SESSION, "4915000000001.4"] == b"another device"


async def test_a_session_under_the_lid_is_not_overwritten() -> None:
    store = MemoryStore()
    store.records[RecordKind.SESSION, OLD] = b"old"
    store.records[RecordKind.SESSION, NEW] = b"new"
    await learn(store)
    assert store.records[RecordKind.SESSION, NEW] == b"new"
    assert (RecordKind.SESSION, OLD) not in store.records


async def test_a_mapping_known_already_still_moves_a_session() -> None:
    # usync may teach the mapping for the phone; a companion's session is still under its number then.
    store = MemoryStore()
    await learn(store, PN)
    store.records[RecordKind.SESSION, OLD] = b"session"
    store.transitions.clear()
    await learn(store)
    assert store.records[RecordKind.SESSION, NEW] == b"session"
    assert machines(store) == [("migration", "pn", "lid")]


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
