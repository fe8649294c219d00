"""Who holds our sender key: stored as it is, told once, and lost again when a device has other keys."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.client.worlds import StandingClock, step_of
from tests.unit.protocol.wires import Dice
from waton.client.client import Client
from waton.client.groups import Groups, KeyHolders, OwnKey, takes_part
from waton.errors import StorageError
from waton.jid import Jid
from waton.ports import RecordKind
from waton.protocol.group_cipher import ROTATE_AFTER, GroupCipher, sender_key_name

GROUP = Jid("120363000000000001", "g.us")
ME = Jid("1000", "lid", 3)
ADA, BOB, CAL = (Jid(user, "lid", 1) for user in ("2000", "3000", "4000"))


class Owner:
    """As much of a client as the groups need."""

    def __init__(self, store: MemoryStore, seed: str) -> None:
        self.store = store
        self.entropy = Dice(seed)
        self.clock = StandingClock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def groups_of(store: MemoryStore, seed: str = "groups") -> Groups:
    return Groups(cast(Client, cast(Any, Owner(store, seed))))


async def send(store: MemoryStore, groups: Groups, *devices: Jid) -> tuple[OwnKey, list[Jid]]:
    """What a send does with our key: the key it used, and whom it told."""
    async with step_of(store) as step:
        key = await groups.own_key(step, GROUP, ME, devices)
        told = key.lacking(devices)
        sealed = key.cipher.encrypt(b"\x01" * 16, entropy=bytes(64))
        step.save(RecordKind.SENDER_KEY, key.name, sealed.record)
        groups.told(step, GROUP, key, told)
    return key, told


async def test_each_device_is_told_once(store: MemoryStore) -> None:
    groups = groups_of(store)
    first, told = await send(store, groups, ADA, BOB)
    assert told == [ADA, BOB]
    second, told = await send(store, groups, ADA, BOB)
    assert told == []
    third, told = await send(store, groups, ADA, BOB, CAL)
    assert told == [CAL]
    assert first.cipher.key_id == second.cipher.key_id == third.cipher.key_id


async def test_when_somebody_left_the_key_is_made_anew_and_told_to_those_who_are_left(store: MemoryStore) -> None:
    groups = groups_of(store)
    before, _ = await send(store, groups, ADA, BOB)
    after, told = await send(store, groups, BOB)
    assert after.cipher.key_id != before.cipher.key_id
    assert told == [BOB]
    again, told = await send(store, groups, ADA, BOB)
    assert again.cipher.key_id == after.cipher.key_id
    assert told == [ADA], "who comes back gets the new key"


async def test_a_used_up_key_is_made_anew(store: MemoryStore) -> None:
    groups = groups_of(store)
    before, _ = await send(store, groups, ADA)
    cipher = GroupCipher(await store.load(RecordKind.SENDER_KEY, before.name))
    while not cipher.needs_rotation:
        cipher = GroupCipher(cipher.encrypt(b"\x01" * 16, entropy=bytes(64)).record)
    assert ROTATE_AFTER == 1_000
    async with step_of(store) as step:
        step.save(RecordKind.SENDER_KEY, before.name, cipher.record)
    after, told = await send(store, groups, ADA)
    assert after.cipher.key_id != before.cipher.key_id
    assert told == [ADA]


async def test_who_could_not_read_is_told_again_under_the_same_key(store: MemoryStore) -> None:
    groups = groups_of(store)
    before, _ = await send(store, groups, ADA, BOB)
    async with step_of(store) as step:
        await groups.lost(step, GROUP, ADA)
    after, told = await send(store, groups, ADA, BOB)
    assert told == [ADA]
    assert after.cipher.key_id == before.cipher.key_id


async def test_a_device_with_another_identity_costs_the_key_also_after_a_restart(store: MemoryStore) -> None:
    groups = groups_of(store)
    before, _ = await send(store, groups, ADA, BOB)
    async with step_of(store) as step:
        await groups.mark_stale(step, [ADA])
    later = groups_of(store, "another run")
    await later.load()
    after, told = await send(store, later, ADA, BOB)
    assert after.cipher.key_id != before.cipher.key_id
    assert told == [ADA, BOB]
    _, told = await send(store, later, ADA, BOB)
    assert told == []
    assert await store.keys(RecordKind.SENDER_KEY_SENT) == [str(GROUP)], "the mark is gone"


async def test_who_got_the_key_with_a_resend_costs_it_when_he_is_gone(store: MemoryStore) -> None:
    groups = groups_of(store)
    before, _ = await send(store, groups, ADA)
    async with step_of(store) as step:
        await groups.lost(step, GROUP, BOB)
    again, told = await send(store, groups, ADA, BOB)
    assert told == [BOB], "it is told once more"
    assert again.cipher.key_id == before.cipher.key_id
    async with step_of(store) as step:
        await groups.lost(step, GROUP, BOB)
    after, told = await send(store, groups, ADA)
    assert after.cipher.key_id != before.cipher.key_id, "he could have read on"
    assert told == [ADA]


async def test_a_resend_under_somebody_s_number_counts_for_his_lid_in_the_group(store: MemoryStore) -> None:
    groups = groups_of(store)
    before, _ = await send(store, groups, ADA)
    async with step_of(store) as step:
        step.save(RecordKind.LID_MAPPING, "5000@s.whatsapp.net", b"2000")
    async with step_of(store) as step:
        step.save(RecordKind.LID_MAPPING, "2000@lid", b"5000")
        await groups.lost(step, GROUP, Jid("5000", "s.whatsapp.net", 1))
    after, told = await send(store, groups, ADA)
    assert (after.cipher.key_id, told) == (before.cipher.key_id, [ADA])


async def test_a_key_that_does_not_exist_is_nobody_s_by_a_resend(store: MemoryStore) -> None:
    groups = groups_of(store)
    async with step_of(store) as step:
        await groups.lost(step, GROUP, ADA)
    assert await store.keys(RecordKind.SENDER_KEY_SENT) == []


async def test_a_send_that_fails_leaves_the_marks_that_it_would_have_taken(store: MemoryStore) -> None:
    groups = groups_of(store)
    before, _ = await send(store, groups, ADA, BOB)
    async with step_of(store) as step:
        await groups.mark_stale(step, [ADA])

    async def fail() -> None:
        async with step_of(store) as step:
            key = await groups.own_key(step, GROUP, ME, [ADA, BOB])
            groups.told(step, GROUP, key, [ADA, BOB])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    after, told = await send(store, groups, ADA, BOB)
    assert after.cipher.key_id != before.cipher.key_id
    assert told == [ADA, BOB]


async def test_a_mark_is_made_only_where_the_device_holds_our_key(store: MemoryStore) -> None:
    groups = groups_of(store)
    await send(store, groups, ADA)
    async with step_of(store) as step:
        await groups.mark_stale(step, [BOB.with_device(number) for number in range(99)])
    assert await store.keys(RecordKind.SENDER_KEY_SENT) == [str(GROUP)]


@pytest.mark.parametrize("kind", [RecordKind.SENDER_KEY, RecordKind.SENDER_KEY_SENT])
async def test_a_damaged_record_costs_the_key_and_no_message(store: MemoryStore, kind: RecordKind) -> None:
    groups = groups_of(store)
    before, _ = await send(store, groups, ADA, BOB)
    [place] = [place for place in store.records if place[0] is kind]
    store.records[place] = b"\xff"
    assert await groups.lacking(GROUP, ME, [ADA, BOB]) == [ADA, BOB]
    after, told = await send(store, groups, ADA, BOB)
    assert after.cipher.key_id != before.cipher.key_id
    assert told == [ADA, BOB]


async def test_a_device_that_holds_nothing_costs_nothing(store: MemoryStore) -> None:
    groups = groups_of(store)
    before, _ = await send(store, groups, ADA)
    async with step_of(store) as step:
        await groups.mark_stale(step, [CAL])
    after, told = await send(store, groups, ADA)
    assert after.cipher.key_id == before.cipher.key_id
    assert told == []


async def test_rotating_on_request_makes_it_anew_with_the_next_message(store: MemoryStore) -> None:
    groups = groups_of(store)
    before, _ = await send(store, groups, ADA)
    async with step_of(store) as step:
        await groups.rotate(step, GROUP, "asked for by a stranger")
    after, told = await send(store, groups, ADA)
    assert after.cipher.key_id != before.cipher.key_id
    assert told == [ADA]


async def test_a_send_that_fails_tells_nobody(store: MemoryStore) -> None:
    groups = groups_of(store)

    async def fail() -> None:
        async with step_of(store) as step:
            key = await groups.own_key(step, GROUP, ME, [ADA])
            groups.told(step, GROUP, key, [ADA])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await groups.lacking(GROUP, ME, [ADA]) == [ADA]


async def test_our_key_lives_under_our_lid_whatever_the_group_s_addressing(store: MemoryStore) -> None:
    groups = groups_of(store)
    async with step_of(store) as step:
        step.save(RecordKind.LID_MAPPING, "5000@s.whatsapp.net", b"1000")
    assert await groups.own_name(store, GROUP, Jid("5000", "s.whatsapp.net", 3)) == sender_key_name(GROUP, ME)


def test_the_stored_form_is_what_it_was() -> None:
    holders = KeyHolders(77, frozenset({ADA, BOB}))
    assert KeyHolders.from_json(holders.to_json()) == holders
    assert b"again" not in holders.to_json()
    lost = KeyHolders(77, frozenset({ADA, BOB}), frozenset({BOB}))
    assert KeyHolders.from_json(lost.to_json()) == lost
    assert lost.lacking([ADA, BOB, CAL]) == [BOB, CAL]
    assert KeyHolders.from_json(None) == KeyHolders()


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"\xff", b'{"key_id": 1, "devices": ["x:y@lid"]}', b'{"key_id": 1}']
)
def test_a_damaged_record_is_named(data: bytes) -> None:
    with pytest.raises(StorageError):
        KeyHolders.from_json(data)


@pytest.mark.parametrize(
    ("device", "expected"),
    [(ADA, True), (ADA.with_device(0), True), (ADA.with_device(99), False), (Jid("5000", "hosted", 99), False)],
)
def test_hosted_devices_are_told_no_sender_key(device: Jid, expected: bool) -> None:
    assert takes_part(device) is expected
