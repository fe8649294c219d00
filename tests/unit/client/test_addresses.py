"""One name for one device's session: the LID where it is known, and records that move when it is learnt."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.client.worlds import settle, step_of
from waton.client import addresses
from waton.client.client import Client, ClientConfig
from waton.errors import StorageError
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.infra.websocket import WebSocketConnector
from waton.jid import Jid, JidServer
from waton.ports import RecordKind
from waton.protocol.trace import Tracer

PN, LID = Jid.parse("4915000000001@s.whatsapp.net"), Jid.parse("77000000000001@lid")
SPEAKER = PN.with_device(3)
GROUP = Jid.parse("12036302@g.us")
OLD, NEW = "4915000000001.3", "77000000000001_1.3"
OTHER_PN, OTHER_LID = Jid.parse("4915000000002@s.whatsapp.net"), Jid.parse("77000000000009@lid")


async def learn(
    store: MemoryStore, pn: Jid = SPEAKER, lid: Jid = LID, *, source: str = "message", now: float = 0.0
) -> bool:
    async with step_of(store) as step:
        return await addresses.learn(step, pn, lid, source=source, now=now)


def machines(store: MemoryStore) -> list[tuple[str, str, str]]:
    return [(machine, before, after) for machine, before, after, _ in store.transitions]


def kept(store: MemoryStore, kind: RecordKind) -> dict[str, bytes]:
    return {key: value for (of, key), value in store.records.items() if of is kind}


# --- asking


async def test_an_address_without_a_mapping_stays() -> None:
    store = MemoryStore()
    for jid in (PN, PN.with_device(3), LID, GROUP):
        assert await addresses.canonical(store, jid) == jid
        assert await addresses.alternate(store, jid) is None
    assert await addresses.phone_number(store, LID) is None
    assert await addresses.canonical_many(store, [PN, LID, GROUP]) == {PN: PN, LID: LID, GROUP: GROUP}


async def test_a_known_person_goes_by_the_lid_and_keeps_the_device() -> None:
    store = MemoryStore()
    assert await learn(store)
    assert await addresses.canonical(store, PN.with_device(9)) == LID.with_device(9)
    assert await addresses.canonical(store, LID.with_device(9)) == LID.with_device(9)
    assert await addresses.phone_number(store, LID.with_device(9)) == PN.with_device(9)
    assert await addresses.phone_number(store, PN) == PN
    assert await addresses.alternate(store, PN.with_device(9)) == LID.with_device(9)
    assert await addresses.alternate(store, LID.with_device(9)) == PN.with_device(9)
    assert await addresses.canonical(store, OTHER_PN) == OTHER_PN
    asked = [PN.with_device(9), OTHER_PN, LID]
    assert await addresses.canonical_many(store, asked) == {
        PN.with_device(9): LID.with_device(9),
        OTHER_PN: OTHER_PN,
        LID: LID,
    }


async def test_the_other_addresses_of_many_are_one_question() -> None:
    store = MemoryStore()
    assert await learn(store)
    asked = [PN.with_device(9), OTHER_PN, LID, GROUP]
    assert await addresses.alternate_many(store, asked) == {PN.with_device(9): LID.with_device(9), LID: PN}
    assert await addresses.alternate_many(store, []) == {}
    assert await addresses.known_as(store, asked) == {PN, LID, OTHER_PN, GROUP}


async def test_hosted_devices_go_from_one_hosted_server_to_the_other() -> None:
    store = MemoryStore()
    hosted, hosted_lid = Jid(PN.user, JidServer.HOSTED, 99), Jid(LID.user, JidServer.HOSTED_LID, 99)
    assert await addresses.canonical(store, hosted) == hosted
    assert await learn(store)
    assert await addresses.canonical(store, hosted) == hosted_lid
    assert await addresses.alternate(store, hosted_lid) == hosted
    assert await addresses.phone_number(store, hosted_lid) == hosted
    # They are the same person: whoever works on one of them holds the locks of all.
    assert await addresses.forms(store, [hosted]) == await addresses.forms(store, [PN]) == {str(PN), str(LID)}
    assert await addresses.known_as(store, [hosted]) == {PN, LID, hosted.bare, hosted_lid.bare}


async def test_a_hosted_pair_teaches_the_same_mapping() -> None:
    store = MemoryStore()
    assert await learn(store, Jid(PN.user, JidServer.HOSTED, 99), Jid(LID.user, JidServer.HOSTED_LID, 99))
    assert await addresses.canonical(store, PN) == LID
    assert not await learn(store)


async def test_an_old_style_number_is_the_same_number() -> None:
    store = MemoryStore()
    await learn(store)
    assert await addresses.canonical(store, Jid(PN.user, "c.us", 4)) == LID.with_device(4)


async def test_who_somebody_is_known_as() -> None:
    store = MemoryStore()
    await learn(store)
    assert await addresses.known_as(store, [SPEAKER]) == {PN, LID}
    assert await addresses.known_as(store, [LID.with_device(5), OTHER_PN, GROUP]) == {PN, LID, OTHER_PN, GROUP}


# --- what is stored


async def test_a_mapping_says_what_taught_it_and_when() -> None:
    store = MemoryStore()
    await learn(store, source="usync", now=1_800_000_000.9)
    expected = {"source": "usync", "t": 1_800_000_000}
    assert {key: json.loads(value) for key, value in kept(store, RecordKind.LID_MAPPING).items()} == {
        str(PN): {"user": LID.user, **expected},
        str(LID): {"user": PN.user, **expected},
    }
    assert store.transitions == [("lid_mapping", "unknown", "known", {"source": "usync"})]


async def test_a_mapping_of_an_early_version_is_read_and_is_no_news() -> None:
    store = MemoryStore()
    store.records[RecordKind.LID_MAPPING, str(PN)] = LID.user.encode()
    store.records[RecordKind.LID_MAPPING, str(LID)] = PN.user.encode()
    assert await addresses.canonical(store, SPEAKER) == LID.with_device(3)
    assert await addresses.phone_number(store, LID) == PN
    assert not await learn(store)
    assert store.transitions == []


@pytest.mark.parametrize("record", [b"{", b'{"user"', b"{}", b"\xff"])
async def test_a_damaged_mapping_is_a_storage_error_that_shows_no_number(record: bytes) -> None:
    store = MemoryStore()
    store.records[RecordKind.LID_MAPPING, str(PN)] = record
    with pytest.raises(StorageError) as refused:
        await addresses.canonical(store, PN)
    assert PN.user not in str(refused.value)


# --- learning


async def test_learning_twice_writes_once() -> None:
    store = MemoryStore()
    assert await learn(store)
    before = dict(store.records)
    store.transitions.clear()
    assert not await learn(store)
    assert not await learn(store, source="another", now=5.0)
    assert store.records == before
    assert store.transitions == []


class Counting(MemoryStore):
    """Counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.loads = 0
        self.scans = 0

    async def load(self, kind: RecordKind, key: str) -> bytes | None:
        self.loads += 1
        return await super().load(kind, key)

    async def load_prefix(self, kind: RecordKind, prefix: str) -> dict[str, bytes]:
        self.scans += 1
        return await super().load_prefix(kind, prefix)


async def test_what_is_known_costs_one_load() -> None:
    store = Counting()
    await learn(store)
    store.loads = store.scans = 0
    assert not await learn(store)
    assert (store.loads, store.scans) == (1, 0)


async def test_people_one_has_never_spoken_with_cost_no_look_at_all_sender_keys() -> None:
    store = Counting()
    for number in range(50):
        store.records[RecordKind.SENDER_KEY, f"{GROUP}::49{number}.0"] = b"key"
    asked: list[tuple[RecordKind, str]] = []
    inner = store.load_prefix

    async def note(kind: RecordKind, prefix: str) -> dict[str, bytes]:
        asked.append((kind, prefix))
        return await inner(kind, prefix)

    store.load_prefix = note
    await learn(store)
    assert RecordKind.SENDER_KEY not in {kind for kind, _ in asked}
    assert all(prefix for _, prefix in asked)


async def test_a_person_with_a_new_lid_leaves_no_way_back_from_the_old_one() -> None:
    store = MemoryStore()
    await learn(store)
    assert await learn(store, lid=OTHER_LID)
    assert await addresses.canonical(store, PN) == OTHER_LID
    assert await addresses.phone_number(store, OTHER_LID) == PN
    assert await addresses.phone_number(store, LID) is None
    assert machines(store)[-1] == ("lid_mapping", "other", "known")


async def test_a_lid_with_a_new_number_leaves_the_old_number_to_whoever_has_it_next() -> None:
    store = MemoryStore()
    await learn(store)
    assert await learn(store, OTHER_PN)
    assert await addresses.phone_number(store, LID) == OTHER_PN
    assert await addresses.canonical(store, OTHER_PN) == LID
    assert await addresses.canonical(store, PN) == PN


async def test_two_pairs_that_swap_their_halves() -> None:
    store = MemoryStore()
    await learn(store, PN, LID)
    await learn(store, OTHER_PN, OTHER_LID)
    await learn(store, PN, OTHER_LID)
    assert await addresses.canonical(store, PN) == OTHER_LID
    assert await addresses.phone_number(store, OTHER_LID) == PN
    assert await addresses.canonical(store, OTHER_PN) == OTHER_PN
    assert await addresses.phone_number(store, LID) is None


async def test_a_half_that_points_elsewhere_is_left_alone() -> None:
    # An early version left halves behind: this one is another pair's by now.
    store = MemoryStore()
    await learn(store, OTHER_PN, LID)
    store.records[RecordKind.LID_MAPPING, str(PN)] = LID.user.encode()
    await learn(store, PN, OTHER_LID)
    assert await addresses.canonical(store, OTHER_PN) == LID
    assert await addresses.phone_number(store, LID) == OTHER_PN


async def test_old_news_teaches_what_is_unknown_and_overrules_nothing() -> None:
    store = MemoryStore()
    assert await learn(store, source="history")
    before = dict(store.records)
    assert not await learn(store, lid=OTHER_LID, source="history")
    assert not await learn(store, OTHER_PN, LID, source="history")
    assert store.records == before
    assert await learn(store, lid=OTHER_LID, source="usync")


@pytest.mark.parametrize(
    ("pn", "lid"),
    [(LID, PN), (PN, PN), (LID, LID), (GROUP, LID), (PN, GROUP), (Jid("", JidServer.PN), LID), (PN, Jid("", "lid"))],
)
async def test_what_is_no_pair_of_addresses_teaches_nothing(pn: Jid, lid: Jid) -> None:
    store = MemoryStore()
    assert not await learn(store, pn, lid)
    assert store.records == {}
    assert store.transitions == []


async def test_many_are_learnt_with_one_look_at_what_is_known() -> None:
    store = Counting()
    await learn(store)
    pairs = [(Jid(f"4916{n}", JidServer.PN, n), Jid(f"7716{n}", JidServer.LID, n)) for n in range(20)]
    async with step_of(store) as step:
        news = await addresses.learn_many(step, [(SPEAKER, LID), *pairs, (LID, PN)], source="group", now=7.0)
    assert news == [(pn.bare, lid.bare) for pn, lid in pairs]
    async with step_of(store) as step:
        store.loads = 0
        assert await addresses.learn_many(step, pairs, source="group") == []
        assert store.loads == len(pairs)  # all in one load_many
    assert await addresses.canonical(store, pairs[5][0]) == pairs[5][1]


# --- moving


async def test_a_session_under_the_phone_number_moves() -> None:
    store = MemoryStore()
    store.records[RecordKind.SESSION, OLD] = b"session"
    store.records[RecordKind.IDENTITY, OLD] = b"identity"
    await learn(store)
    assert kept(store, RecordKind.SESSION) == {NEW: b"session"}
    assert kept(store, RecordKind.IDENTITY) == {NEW: b"identity"}
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
    store.records[RecordKind.SESSION, "4915000000001_1.0"] = b"a LID of the same digits"
    store.records[RecordKind.SESSION, "4915000000001_128.99"] = b"hosted"
    await learn(store, PN)
    assert kept(store, RecordKind.SESSION) == {
        NEW: b"speaker",
        "77000000000001_1.0": b"phone",
        "49150000000011.0": b"a longer number",
        "4915000000001_1.0": b"a LID of the same digits",
        "77000000000001_129.99": b"hosted",
    }


async def test_sender_keys_move_in_every_group() -> None:
    store = MemoryStore()
    other = Jid.parse("12036303@g.us")
    store.records[RecordKind.SESSION, OLD] = b"session"
    for name, value in (
        (f"{GROUP}::{OLD}", b"one"),
        (f"{other}::4915000000001.0", b"two"),
        (f"{GROUP}::4915000000001_128.99", b"hosted"),
        (f"{GROUP}::4915000000001_1.3", b"a LID of the same digits"),
        (f"{GROUP}::49150000000011.3", b"a longer number"),
        ("4915000000001-1@g.us::77.0", b"a group of that name"),
    ):
        store.records[RecordKind.SENDER_KEY, name] = value
    await learn(store)
    assert kept(store, RecordKind.SENDER_KEY) == {
        f"{GROUP}::{NEW}": b"one",
        f"{other}::77000000000001_1.0": b"two",
        f"{GROUP}::77000000000001_129.99": b"hosted",
        f"{GROUP}::4915000000001_1.3": b"a LID of the same digits",
        f"{GROUP}::49150000000011.3": b"a longer number",
        "4915000000001-1@g.us::77.0": b"a group of that name",
    }


async def test_a_sender_key_moves_where_only_the_identity_is_left_of_the_session() -> None:
    store = MemoryStore()
    store.records[RecordKind.IDENTITY, OLD] = b"identity"
    store.records[RecordKind.SENDER_KEY, f"{GROUP}::{OLD}"] = b"key"
    await learn(store)
    assert kept(store, RecordKind.SENDER_KEY) == {f"{GROUP}::{NEW}": b"key"}


async def test_the_device_list_and_the_privacy_token_move() -> None:
    store = MemoryStore()
    for kind in (RecordKind.DEVICE_LIST, RecordKind.PRIVACY_TOKEN):
        store.records[kind, str(PN)] = b"record"
    await learn(store)
    for kind in (RecordKind.DEVICE_LIST, RecordKind.PRIVACY_TOKEN):
        assert kept(store, kind) == {str(LID): b"record"}


async def test_what_is_under_the_lid_counts_and_the_other_is_kept() -> None:
    store = MemoryStore()
    for kind, old, new in (
        (RecordKind.SESSION, OLD, NEW),
        (RecordKind.SENDER_KEY, f"{GROUP}::{OLD}", f"{GROUP}::{NEW}"),
        (RecordKind.PRIVACY_TOKEN, str(PN), str(LID)),
    ):
        store.records[kind, old] = b"old"
        store.records[kind, new] = b"new"
    before = dict(store.records)
    await learn(store)
    assert before.items() <= store.records.items()


async def test_a_step_that_fails_has_learnt_nothing() -> None:
    store = MemoryStore()
    store.records[RecordKind.SESSION, OLD] = b"session"
    try:
        async with step_of(store) as step:
            await addresses.learn(step, PN.with_device(3), LID, source="message")
            assert await addresses.canonical(step, PN) == LID  # the step sees its own writes
            raise RuntimeError
    except RuntimeError:
        pass
    assert store.records == {(RecordKind.SESSION, OLD): b"session"}


# --- locks


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
