"""Prekeys: how many, which ids, and private keys on disk before the public ones leave."""

from __future__ import annotations

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.protocol.wires import Dice
from waton._core import x25519_public_key
from waton.client import prekeys
from waton.client.event_pipeline import Step
from waton.ports import RecordKind
from waton.protocol.binary_node import Node
from waton.protocol.credentials import Credentials
from waton.protocol.stanza.encrypt import Upload

FRESH = Credentials.generate(Dice("prekeys").take)


@pytest.mark.parametrize(("left", "made"), [(0, 812), (1, 50), (4, 50), (5, 0), (812, 0)])
def test_how_many_are_wanted(left: int, made: int) -> None:
    assert prekeys.wanted(left) == made


async def test_what_is_uploaded_is_stored_with_its_private_half() -> None:
    store = MemoryStore()
    async with store.unit() as unit:
        updated, content = prekeys.make(Step(unit, None), FRESH, 5, Dice("throws"))
        assert store.records == {}
    upload = Upload.from_node(Node("iq", None, content))
    assert [id for id, _ in upload.prekeys] == [1, 2, 3, 4, 5]
    for id, public in upload.prekeys:
        assert x25519_public_key(store.records[RecordKind.PREKEY, str(id)]) == public
    assert len({public for _, public in upload.prekeys}) == 5
    assert Credentials.from_json(store.records[RecordKind.CREDENTIALS, "self"]) == updated
    assert store.transitions == [("prekeys", "1", "6", {"made": 5})]


async def test_ids_are_never_used_twice() -> None:
    store, credentials, seen = MemoryStore(), FRESH, list[int]()
    throws = Dice("throws")
    for count in (3, 2, 4):
        async with store.unit() as unit:
            credentials, content = prekeys.make(Step(unit, None), credentials, count, throws)
        seen += [id for id, _ in Upload.from_node(Node("iq", None, content)).prekeys]
    assert seen == list(range(1, 10))
    assert credentials.next_prekey_id == 10


async def make_and_fail(store: MemoryStore) -> None:
    async with store.unit() as unit:
        prekeys.make(Step(unit, None), FRESH, 5, Dice("throws"))
        raise RuntimeError


async def test_a_step_that_fails_has_made_none() -> None:
    store = MemoryStore()
    with pytest.raises(RuntimeError):
        await make_and_fail(store)
    assert store.records == {}


async def test_ids_end_at_24_bits() -> None:
    store = MemoryStore()
    last = FRESH.evolve(next_prekey_id=prekeys.MAX_ID)
    async with store.unit() as unit:
        with pytest.raises(OverflowError):
            prekeys.make(Step(unit, None), last, 2, Dice("throws"))
