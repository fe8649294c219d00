"""What is remembered of the disk: bounded, and never wrong about what is not there."""

from __future__ import annotations

import random

from waton.infra import record_cache
from waton.infra.record_cache import ABSENT, KeyFilter, RecordCache
from waton.ports import RecordKind

SESSION, PREKEY = RecordKind.SESSION, RecordKind.PREKEY


def test_what_was_put_is_found_until_it_is_put_anew() -> None:
    cache = RecordCache()
    cache.put((SESSION, "a"), (b"1", None))
    cache.put((PREKEY, "a"), ABSENT)
    assert cache.get((SESSION, "a")) == (b"1", None)
    assert cache.get((PREKEY, "a")) == ABSENT
    assert cache.get((SESSION, "b")) is None
    cache.put((SESSION, "a"), (b"2", 5.0))
    assert cache.get((SESSION, "a")) == (b"2", 5.0)
    assert len(cache) == 2


def test_it_weighs_no_more_than_it_may_and_what_was_used_last_stays() -> None:
    cache = RecordCache(limit=100_000)
    dice = random.Random(4)
    for number in range(2000):
        cache.put((SESSION, str(number)), (bytes(dice.randrange(5000)), None))
        assert cache.get((SESSION, "0")) is not None, "used every time"
        assert cache.weight <= 100_000
    assert 10 < len(cache) < 100
    assert cache.get((SESSION, "1999")) is not None
    assert cache.get((SESSION, "1")) is None


def test_its_weight_is_that_of_what_it_holds() -> None:
    cache = RecordCache(limit=100_000)
    dice = random.Random(5)
    for _ in range(3000):
        cache.put((SESSION, str(dice.randrange(40))), (bytes(dice.randrange(3000)), None))
    held = [entry for key in range(40) if (entry := cache.get((SESSION, str(key)))) is not None]
    keys = sum(len(str(key)) for key in range(40) if cache.get((SESSION, str(key))) is not None)
    assert cache.weight == keys + sum(record_cache._ENTRY_BYTES + len(value or b"") for value, _ in held)


def test_what_is_too_large_is_not_kept_and_takes_its_old_value_along() -> None:
    cache = RecordCache(limit=16_000)
    cache.put((SESSION, "a"), (b"small", None))
    cache.put((SESSION, "b"), (b"small", None))
    cache.put((SESSION, "a"), (bytes(2000), None))
    assert cache.get((SESSION, "a")) is None
    assert cache.get((SESSION, "b")) is not None


def test_what_it_holds_shows_nothing() -> None:
    cache = RecordCache()
    cache.put((SESSION, "15550001234"), (b"secret", None))
    assert "secret" not in repr(cache)
    assert "1555" not in repr(cache)


# --- the filter


def test_a_member_is_never_taken_for_a_stranger() -> None:
    members = KeyFilter()
    for number in range(20_000):
        members.add(SESSION, f"key {number}")
    assert all(members.may_hold("session", f"key {number}") for number in range(20_000))
    assert not members.is_full


def test_few_strangers_are_taken_for_members_also_when_it_is_full() -> None:
    members = KeyFilter()
    number = 0
    while not members.is_full:
        members.add(SESSION, str(number))
        number += 1
    assert number > 100_000
    mistaken = sum(members.may_hold(PREKEY, str(stranger)) for stranger in range(20_000))
    assert mistaken < 200


def test_it_is_made_for_twice_what_there_is() -> None:
    members = KeyFilter(200_000)
    for number in range(390_000):
        members.add(SESSION, str(number))
    assert not members.is_full


def test_who_is_added_again_takes_no_room() -> None:
    members = KeyFilter()
    for _ in range(200_000):
        members.add(SESSION, "the same")
    assert not members.is_full
