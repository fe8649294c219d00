"""The account store: units of work land whole or not at all, and nobody sees half of one."""

import asyncio
import fcntl
import logging
import os
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, cast

import pytest

from tests.unit.infra.accounts import ToldClock
from waton.errors import LocalProtocolError, StorageError
from waton.infra import record_cache, storage_commits, storage_sqlite, storage_statements
from waton.infra.migrations import APPLICATION_ID, STEPS, migrate
from waton.infra.record_cache import RecordCache
from waton.infra.storage_lock import AccountLock
from waton.infra.storage_sqlite import SqliteStore
from waton.ports import RecordKind, Store, StoredEvent, UnitOfWork

SESSION, PREKEY = RecordKind.SESSION, RecordKind.PREKEY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "somebody" / "account.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(path, clock=ToldClock())
    yield opened
    await opened.close()


async def reopened(store: SqliteStore, at: float | None = None) -> SqliteStore:
    await store.close()
    return await SqliteStore.open(store.path, clock=ToldClock() if at is None else ToldClock(at))


@asynccontextmanager
async def busy(store: SqliteStore) -> AsyncIterator[None]:
    """The thread that owns the file does nothing else while the block lasts."""
    gate = threading.Event()
    blocked = asyncio.create_task(store._run(lambda _: gate.wait(30)))
    await asyncio.sleep(0)
    try:
        yield
    finally:
        gate.set()
        await blocked


def put(store: SqliteStore, **values: bytes | None) -> Awaitable[None]:
    """Seal a unit that writes these sessions."""
    unit = store.begin()
    for key, value in values.items():
        unit.save(SESSION, key, value)
    return unit.seal()


async def asked(store: SqliteStore, query: str) -> list[tuple[Any, ...]]:
    """What the file says while it is open."""
    return await store._run(lambda connection: connection.execute(query).fetchall())


async def statements(store: SqliteStore) -> list[str]:
    """What SQLite is told from now on."""
    told: list[str] = []
    await store._run(lambda connection: connection.set_trace_callback(told.append))
    return told


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


# --- units of work


async def test_it_is_the_port(store: SqliteStore) -> None:
    port: Store = store
    async with port.unit() as unit:
        assert unit.number == 1


async def test_a_unit_lands_whole_and_stays(store: SqliteStore) -> None:
    async with store.unit() as unit:
        unit.save(SESSION, "b", b"\x00two")
        unit.save(SESSION, "a", b"")
        unit.save(PREKEY, "a", b"other kind")
        id = unit.emit("messages.upsert", b'{"x": 1}')
        unit.transition("ratchet", "step 1", "step 2", {"why": "é", "count": 3})
    store = await reopened(store)
    assert await store.load(SESSION, "a") == b""
    assert await store.load(SESSION, "b") == b"\x00two"
    assert await store.load(SESSION, "c") is None
    assert await store.keys(SESSION) == ["a", "b"]
    assert await store.load_many(PREKEY, ["a", "b", "a"]) == {"a": b"other kind"}
    assert await store.pending_events() == [StoredEvent(id, "messages.upsert", b'{"x": 1}', unit.number)]
    await store.close()
    assert rows(store.path, "SELECT * FROM unit") == [(1, ToldClock().at)]
    [(number, machine, before, after, detail)] = rows(store.path, "SELECT * FROM transition")
    assert (number, machine, before, after) == (1, "ratchet", "step 1", "step 2")
    assert detail == '{"why": "\\u00e9", "count": 3}'


async def test_a_unit_that_raises_leaves_nothing(store: SqliteStore) -> None:
    async with store.unit() as unit:
        unit.save(SESSION, "a", b"kept")

    async def work_and_fail() -> None:
        async with store.unit() as unit:
            unit.save(SESSION, "a", None)
            unit.save(SESSION, "b", b"lost")
            unit.emit("lost", b"{}")
            unit.transition("m", "a", "b")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work_and_fail()
    assert await store.keys(SESSION) == ["a"]
    assert await store.pending_events() == []
    assert await store.committed([1, 2]) == {1}
    await store.close()
    assert rows(store.path, "SELECT count(*) FROM transition") == [(0,)]


async def test_reads_see_the_units_own_writes_and_nobody_elses(store: SqliteStore) -> None:
    async with store.unit() as first:
        first.save(SESSION, "a", b"1")
        first.save(SESSION, "b", b"1")
    async with store.unit() as ours, store.unit() as theirs:
        ours.save(SESSION, "a", b"2")
        ours.save(SESSION, "b", None)
        ours.save(SESSION, "c", b"2")
        assert await ours.load(SESSION, "a") == b"2"
        assert await ours.load(SESSION, "b") is None
        assert await ours.keys(SESSION) == ["a", "c"]
        assert list((await ours.load_many(SESSION, iter(["c", "b", "a", "x"]))).items()) == [("c", b"2"), ("a", b"2")]
        assert await theirs.load(SESSION, "a") == await store.load(SESSION, "a") == b"1"
        assert await theirs.keys(SESSION) == await store.keys(SESSION) == ["a", "b"]
    assert await store.load(SESSION, "a") == b"2"
    assert await store.keys(SESSION) == ["a", "c"]


async def test_many_units_at_once_all_land_and_none_share_a_number(store: SqliteStore) -> None:
    async def work(place: int) -> int:
        async with store.unit() as unit:
            assert await unit.load(SESSION, str(place)) is None
            unit.save(SESSION, str(place), str(unit.number).encode())
            await asyncio.sleep(0)
            unit.emit("done", str(place).encode())
        return unit.number

    numbers = await asyncio.gather(*(work(place) for place in range(100)))
    assert sorted(numbers) == list(range(1, 101))
    assert await store.committed(range(200)) == set(range(1, 101))
    assert [await store.load(SESSION, str(place)) for place in range(100)] == [str(n).encode() for n in numbers]
    assert {int(event.payload) for event in await store.pending_events()} == set(range(100))


async def test_a_commit_that_fails_ends_the_store_until_it_is_reopened(store: SqliteStore) -> None:
    async with busy(store):
        good = put(store, a=b"1")
        await asyncio.sleep(0)  # its group is on its way
        bad = put(store, b=b"2", c=cast("bytes", object()))
        behind = put(store, a=b"3", d=b"3")
        assert await store.load(SESSION, "a") == b"3"
        begun = store.begin()
    await good
    for waiting in (bad, behind):
        with pytest.raises(StorageError, match="could not be read or written"):
            await waiting
    begun.save(SESSION, "e", b"4")
    with pytest.raises(StorageError):
        await begun.seal()
    with pytest.raises(StorageError):
        store.begin()
    for read in (store.load(SESSION, "a"), store.load_many(SESSION, ["a"]), store.keys(SESSION)):
        with pytest.raises(StorageError, match="until it is reopened"):
            await read
    store = await reopened(store)
    assert await store.load_prefix(SESSION, "") == {"a": b"1"}
    assert await store.committed([1, 2, 3, 4]) == {1}
    async with store.unit() as unit:
        unit.save(SESSION, "f", b"fine")
    assert await store.keys(SESSION) == ["a", "f"]
    await store.close()


async def test_a_full_disk_is_a_storage_error_and_leaves_the_state_before(store: SqliteStore) -> None:
    async with store.unit() as unit:
        unit.save(SESSION, "a", b"before")
    (pages,) = await store._run(lambda connection: connection.execute("PRAGMA page_count").fetchone())
    await store._run(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchall())

    async def work() -> None:
        async with store.unit() as unit:
            unit.save(SESSION, "a", b"after" * 10_000)
            unit.emit("x", b"{}")

    with pytest.raises(StorageError, match="full"):
        await work()
    store = await reopened(store)
    assert await store.load(SESSION, "a") == b"before"
    assert await store.pending_events() == []
    await store.close()


async def test_a_cancelled_commit_is_not_half_done(store: SqliteStore) -> None:
    """The commit is queued behind other work; its owner is cancelled; it lands, and only then the cancellation does."""
    gate, is_reached = threading.Event(), asyncio.Event()

    async def work() -> None:
        async with store.unit() as unit:
            unit.save(SESSION, "a", b"1")
            is_reached.set()

    blocked = asyncio.create_task(store._run(lambda _: gate.wait(30)))
    await asyncio.sleep(0)
    task = asyncio.create_task(work())
    await is_reached.wait()
    await asyncio.sleep(0)
    task.cancel()
    for _ in range(20):  # the cancellation has every chance to arrive
        await asyncio.sleep(0)
    assert not task.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await blocked
    assert await store.load(SESSION, "a") == b"1"


async def test_what_is_written_after_the_end_is_refused(store: SqliteStore) -> None:
    async with store.unit() as unit:
        unit.save(SESSION, "a", b"1")
    with pytest.raises(LocalProtocolError):
        unit.save(SESSION, "a", b"2")
    with pytest.raises(LocalProtocolError):
        unit.emit("x", b"{}")
    with pytest.raises(LocalProtocolError):
        unit.transition("m", "a", "b")
    assert await unit.load(SESSION, "a") == b"1"
    failed: list[UnitOfWork] = []

    async def work_and_fail() -> None:
        async with store.unit() as failing:
            failed.append(failing)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work_and_fail()
    with pytest.raises(LocalProtocolError):
        failed[0].save(SESSION, "a", b"2")


async def test_an_empty_unit_commits_nothing(store: SqliteStore) -> None:
    async with store.unit() as unit:
        await unit.load(SESSION, "a")
    assert await store.committed([unit.number]) == set()
    assert await store.last_unit() == 0


async def test_a_unit_that_only_names_what_it_does_is_committed(store: SqliteStore) -> None:
    async with store.unit() as unit:
        unit.transition("m", "a", "b")
    assert await store.committed([unit.number]) == {unit.number}


async def test_numbers_grow_over_restarts(store: SqliteStore) -> None:
    async with store.unit() as unit:
        unit.save(SESSION, "a", b"1")
    store = await reopened(store)
    async with store.unit() as second:
        second.save(SESSION, "a", b"2")
    assert second.number > unit.number
    assert await store.last_unit() == second.number
    await store.close()


async def test_old_units_are_forgotten_and_count_as_committed(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(10):
        async with store.unit() as unit:
            unit.transition("m", "a", "b")
    monkeypatch.setattr(storage_sqlite, "UNIT_HISTORY", 4)
    store = await reopened(store)
    assert await store.committed([0, *range(1, 13)]) == set(range(1, 11))
    async with store.unit() as unit:
        unit.transition("m", "a", "b")
    assert unit.number == 11
    await store.close()
    assert rows(store.path, "SELECT min(number), max(number), count(*) FROM unit") == [(7, 11, 5)]
    assert rows(store.path, "SELECT min(number), count(*) FROM transition") == [(7, 5)]


# --- the line before the disk


async def test_what_is_sealed_is_seen_by_every_read_before_it_is_on_the_disk(store: SqliteStore) -> None:
    await put(store, a=b"1", b=b"1", x=b"1")
    async with busy(store):
        open_before = store.begin()
        first = put(store, a=b"2")
        await asyncio.sleep(0)  # its group is on its way, and the next one gathers
        sealed = put(store, b=None, c=b"2")
        for reader in (store, store.begin(), open_before):
            assert await reader.load(SESSION, "a") == b"2"
            assert await reader.load(SESSION, "b") is None
            assert await reader.load_many(SESSION, ["c", "b", "a", "x"]) == {"c": b"2", "a": b"2", "x": b"1"}
        listing = asyncio.gather(store.keys(SESSION), open_before.load_prefix(SESSION, ""))
        await asyncio.sleep(0)
    assert await listing == [["a", "c", "x"], {"a": b"2", "c": b"2", "x": b"1"}]
    await asyncio.gather(first, sealed)
    store = await reopened(store)
    assert await store.load_prefix(SESSION, "") == {"a": b"2", "c": b"2", "x": b"1"}
    await store.close()


async def test_what_is_not_sealed_nobody_sees_and_what_was_dropped_nobody_ever_does(store: SqliteStore) -> None:
    unit = store.begin()
    unit.save(SESSION, "a", b"1")
    assert await store.load(SESSION, "a") is None
    unit.drop()
    with pytest.raises(LocalProtocolError):
        unit.save(SESSION, "a", b"2")
    with pytest.raises(LocalProtocolError):
        unit.seal()
    assert await store.keys(SESSION) == []
    assert await store.last_unit() == 0


async def test_units_that_wait_share_one_transaction_and_write_each_record_once(store: SqliteStore) -> None:
    told = await statements(store)
    async with busy(store):
        waiting = [put(store, a=b"%d" % number) for number in range(50)]
        await asyncio.sleep(0)
        waiting += [put(store, a=b"%d" % number, b=b"x") for number in range(50, 100)]
    await asyncio.gather(*waiting)
    assert told.count("COMMIT") == 2
    assert sum("INTO record" in statement for statement in told) == 3
    assert await store.committed(range(200)) == set(range(1, 101))
    assert await store.load(SESSION, "a") == b"99"


async def test_a_unit_is_done_when_its_transaction_is_on_the_disk_and_not_before(store: SqliteStore) -> None:
    async with busy(store):
        first = asyncio.ensure_future(put(store, a=b"1"))
        empty = asyncio.ensure_future(store.begin().seal())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not first.done()
        assert not empty.done(), "it may have read what is not on the disk"
    await empty
    assert first.done()
    assert await asked(store, "SELECT key FROM record") == [("a",)]
    await store.begin().seal()
    assert await store.last_unit() == 1


async def test_reads_of_what_is_known_do_not_wait_for_the_disk(store: SqliteStore) -> None:
    await put(store, a=b"1", gone=b"1")
    await put(store, gone=None)
    store = await reopened(store)
    assert await store.load(SESSION, "a") == b"1"
    async with busy(store), asyncio.timeout(5):
        sealed = put(store, b=b"2")
        assert await store.load_many(SESSION, ["a", "b", "never there"]) == {"a": b"1", "b": b"2"}
        assert await store.load(PREKEY, "a") is None
        assert await store.load(SESSION, "gone") is None
    await sealed
    await store.close()


async def test_a_read_that_was_under_way_does_not_bring_back_what_was_overwritten(store: SqliteStore) -> None:
    await put(store, a=b"old", b=b"old", c=b"old")
    store = await reopened(store)  # nothing is remembered
    async with busy(store):
        reads = asyncio.gather(
            store.load(SESSION, "a"),
            store.begin().load_many(SESSION, ["b", "c"]),
            store.keys(SESSION),
            store.load_prefix(SESSION, ""),
        )
        await asyncio.sleep(0)
        sealed = put(store, a=b"new", b=None, d=b"new")
    new = {"a": b"new", "c": b"old", "d": b"new"}
    assert await reads == [b"new", {"c": b"old"}, ["a", "c", "d"], new]
    await sealed
    assert await store.load_many(SESSION, "abcd") == new
    await store.close()


async def test_what_lands_does_not_hide_what_was_sealed_after_it(store: SqliteStore) -> None:
    async with busy(store):
        first = put(store, a=b"1")
        await asyncio.sleep(0)  # its group is on its way
        second = put(store, a=b"2", b=b"2")
        gate = threading.Event()
        blocked = asyncio.create_task(store._run(lambda _: gate.wait(30)))
        await asyncio.sleep(0)  # between the two groups the thread is busy again
    await first
    assert await store.load(SESSION, "a") == b"2"
    gate.set()
    await asyncio.gather(blocked, second)
    assert await store.load(SESSION, "a") == b"2"


async def test_the_last_one_sealed_wins_also_while_an_earlier_one_lands(store: SqliteStore) -> None:
    waiting: list[Awaitable[None]] = []
    for number in range(200):
        waiting.append(put(store, a=b"%d" % number))
        assert await store.load(SESSION, "a") == b"%d" % number
        if number % 7 == 0:
            await waiting[-1]
            assert await store.load(SESSION, "a") == b"%d" % number
    await asyncio.gather(*waiting[-4:])
    store = await reopened(store)
    assert await store.load(SESSION, "a") == b"199"
    await store.close()


async def test_who_does_not_wait_hurts_nobody_and_closing_writes_what_is_sealed(store: SqliteStore) -> None:
    put(store, a=b"1")
    asyncio.ensure_future(put(store, b=b"2")).cancel()
    begun = store.begin()
    store = await reopened(store)
    assert await store.load_prefix(SESSION, "") == {"a": b"1", "b": b"2"}
    begun.save(SESSION, "c", b"3")
    with pytest.raises(StorageError, match="is closed"):
        await begun.seal()
    await store.close()


async def test_a_key_that_is_no_text_is_refused_before_it_can_do_harm(store: SqliteStore) -> None:
    unit = store.begin()
    with pytest.raises(ValueError, match="surrogates"):
        unit.save(SESSION, "half a pair \ud800", b"1")
    unit.save(SESSION, "é\0 \U0010ffff", b"2")
    await unit.seal()
    store = await reopened(store)
    assert await store.load_prefix(SESSION, "") == {"é\0 \U0010ffff": b"2"}
    assert await store.load(SESSION, "half a pair \ud800") is None
    await store.close()


async def test_every_key_is_found_while_the_filter_of_keys_grows(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_cache, "_LEAST_KEYS", 64)
    monkeypatch.setattr(record_cache, "CACHE_BYTES", 1)
    store = await reopened(store)
    store._cache = RecordCache(1)  # nothing is remembered: the filter alone answers
    first = store._filter
    waiting: list[Awaitable[None]] = []
    for number in range(2000):
        waiting.append(put(store, **{f"k{number}": b"%d" % number}))
        if number % 50 == 0:
            await waiting[-1]
            assert await store.load(SESSION, f"k{number // 2}") == b"%d" % (number // 2)
    await asyncio.gather(*waiting[-50:])
    found = await store.load_many(SESSION, (f"k{number}" for number in range(2100)))
    assert found == {f"k{number}": b"%d" % number for number in range(2000)}
    assert store._filter is not first
    await store.close()


async def test_a_new_filter_knows_what_was_sealed_while_it_was_made(store: SqliteStore) -> None:
    await put(store, old=b"0")
    async with busy(store):
        first = put(store, on_its_way=b"1")
        await asyncio.sleep(0)
        waiting = [put(store, gathering=b"2")]
        making = asyncio.create_task(store._read_filter())
        await asyncio.sleep(0)
        waiting.append(put(store, after=b"3"))
    await asyncio.gather(making, first, *waiting)
    store._cache = RecordCache(1)  # nothing is remembered: the filter alone answers
    values = {"old": b"0", "on_its_way": b"1", "gathering": b"2", "after": b"3"}
    assert await store.load_many(SESSION, values) == values


# --- records by prefix


async def test_keys_are_found_by_how_they_begin(store: SqliteStore) -> None:
    kept = ["", "a", "a.", "a.1", "a.2", "aa", "b", "\ud7ff!", "\ue000", "\U0010ffff", "\U0010ffffx", "é1"]
    async with store.unit() as unit:
        for key in kept:
            unit.save(SESSION, key, key.encode())
        unit.save(PREKEY, "a.1", b"other kind")
    store = await reopened(store)
    for prefix in [*kept, "\ud7ff", "x"]:
        wanted = sorted(key for key in kept if key.startswith(prefix))
        assert await store.keys(SESSION, prefix) == wanted
        assert await store.load_prefix(SESSION, prefix) == {key: key.encode() for key in wanted}
    async with store.unit() as unit:
        unit.save(SESSION, "a.1", None)
        unit.save(SESSION, "a.3", b"own")
        unit.save(SESSION, "b.1", b"own")
        unit.save(PREKEY, "a.9", b"other kind")
        assert await unit.keys(SESSION, "a.") == ["a.", "a.2", "a.3"]
        assert await unit.load_prefix(SESSION, "a.") == {"a.": b"a.", "a.2": b"a.2", "a.3": b"own"}
    await store.close()


async def test_many_records_are_loaded_at_once(store: SqliteStore) -> None:
    keys = [f"k{number}" for number in range(1000)]
    await put(store, **dict.fromkeys(keys, b"v"))
    store = await reopened(store)
    told = await statements(store)
    assert list(await store.load_many(SESSION, [*keys, *keys])) == keys
    assert len(told) == 4
    assert await store.load_many(SESSION, []) == {}
    assert await store.load_many(SESSION, keys[:3]) == dict.fromkeys(keys[:3], b"v")
    assert len(told) == 4
    await store.close()


# --- records that end


async def test_a_record_whose_time_is_over_is_not_there(store: SqliteStore) -> None:
    clock = ToldClock(100.0)
    await store.close()
    store = await SqliteStore.open(store.path, clock=clock)
    async with busy(store):
        unit = store.begin()
        unit.save(SESSION, "short", b"1", until=200.0)
        unit.save(SESSION, "long", b"2", until=300.0)
        unit.save(SESSION, "ever", b"3")
        unit.save(SESSION, "over", b"4", until=100.0)
        assert await unit.load(SESSION, "short") == b"1"
        assert await unit.load(SESSION, "over") is None
        sealed = unit.seal()
        assert await store.load(SESSION, "short") == b"1"
        assert await store.load(SESSION, "over") is None
        clock.at = 200.0
        assert await store.load(SESSION, "short") is None
    await sealed
    for _ in range(2):  # from memory, then from the file
        reader = store.begin()
        assert await reader.load(SESSION, "short") is None
        assert await reader.load_many(SESSION, ["short", "long", "ever"]) == {"long": b"2", "ever": b"3"}
        assert await reader.keys(SESSION) == ["ever", "long"]
        assert await reader.load_prefix(SESSION, "") == {"ever": b"3", "long": b"2"}
        store = await reopened(store, 250.0)
    await store.close()


async def test_what_is_written_anew_counts_from_then_on(store: SqliteStore) -> None:
    later = ToldClock().at + 10
    unit = store.begin()
    unit.save(SESSION, "a", b"1", until=later)
    unit.save(SESSION, "b", b"1")
    unit.save(SESSION, "c", b"1", until=later)
    await unit.seal()
    unit = store.begin()
    unit.save(SESSION, "a", b"2")
    unit.save(SESSION, "b", b"2", until=later)
    unit.save(SESSION, "c", b"2", until=later + 10)
    await unit.seal()
    store = await reopened(store, later)
    assert await store.load_prefix(SESSION, "") == {"a": b"2", "c": b"2"}
    await store.close()
    assert rows(store.path, "SELECT key, until FROM record") == [("a", None), ("c", later + 10)]


async def test_what_is_over_is_deleted_when_the_account_is_opened(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_statements, "_OPENING_ROWS", 7)
    unit = store.begin()
    for number in range(30):
        unit.save(SESSION, str(number), b"1", until=ToldClock().at + number)
    await unit.seal()
    store = await reopened(store, ToldClock().at + 20)
    await store.close()
    assert rows(store.path, "SELECT count(*), min(until) FROM record") == [(9, ToldClock().at + 21)]


async def test_commits_take_along_what_is_over_a_few_at_a_time(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_statements, "SWEEP_ROWS", 10)
    clock = ToldClock()
    await store.close()
    store = await SqliteStore.open(store.path, clock=clock)
    unit = store.begin()
    for number in range(25):
        unit.save(SESSION, str(number), b"1", until=clock.at + 1)
    await unit.seal()

    async def left() -> int:
        await put(store, other=b"1")
        [(count,)] = await asked(store, "SELECT count(*) FROM record")
        return int(count) - 1

    assert await left() == 25
    clock.at += 1
    assert await left() == 25, "it looked a moment ago"
    clock.at += storage_sqlite.SWEEP_SECONDS
    assert [await left() for _ in range(4)] == [15, 5, 0, 0]
    await store.close()


async def test_finding_what_is_over_reads_no_more_than_that(store: SqliteStore) -> None:
    def plan(connection: sqlite3.Connection) -> str:
        question = "EXPLAIN QUERY PLAN SELECT kind, key FROM record WHERE until <= 5 ORDER BY until LIMIT 5"
        return str(connection.execute(question).fetchall())

    assert "record_by_until" in await store._run(plan)


# --- events


async def test_a_handled_event_leaves_with_the_next_commit(store: SqliteStore) -> None:
    unit = store.begin()
    ids = [unit.emit("a", b"1"), unit.emit("b", b"2")]
    await unit.seal()
    told = await statements(store)
    store.mark_handled(ids)
    assert await store.pending_events() == []
    assert "COMMIT" not in told
    await put(store, a=b"1")
    assert told.count("COMMIT") == 1
    assert await asked(store, "SELECT count(*) FROM event") == [(0,)]


async def test_a_handled_event_leaves_by_itself_when_nothing_else_is_written(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_commits, "HANDLED_SECONDS", 0.01)
    unit = store.begin()
    unit.emit("a", b"1")
    await unit.seal()
    gone = asyncio.Event()
    landed, loop = store._landed, asyncio.get_running_loop()
    store._line._landed = lambda changes: (landed(changes), loop.call_soon(gone.set))[0]
    store.mark_handled([1])
    async with asyncio.timeout(20):
        await gone.wait()
    assert await asked(store, "SELECT count(*) FROM event") == [(0,)]


async def test_only_what_is_committed_is_pending(store: SqliteStore) -> None:
    async with busy(store):
        asking = asyncio.create_task(store.pending_events())
        await asyncio.sleep(0)
        unit = store.begin()
        unit.emit("a", b"1")
        sealed = unit.seal()
    assert await asking == []
    await sealed
    assert [event.type for event in await store.pending_events()] == ["a"]


async def test_events_are_pending_until_they_are_handled_oldest_first(store: SqliteStore) -> None:
    async with store.unit() as unit:
        ids = [unit.emit("a", b"1"), unit.emit("b", b"2"), unit.emit("c", b"3")]
    assert [event.id for event in await store.pending_events()] == ids == sorted(ids)
    store.mark_handled([ids[1], 999])
    store.mark_handled(iter(()))
    assert [event.type for event in await store.pending_events()] == ["a", "c"]
    store = await reopened(store)
    assert [event.type for event in await store.pending_events()] == ["a", "c"]
    store.mark_handled(ids)
    assert await store.pending_events() == []
    await store.close()
    assert rows(store.path, "SELECT count(*) FROM event") == [(0,)]


async def test_the_id_of_a_handled_event_never_comes_back(store: SqliteStore) -> None:
    async with store.unit() as unit:
        first = unit.emit("a", b"")
    store.mark_handled([first])
    store = await reopened(store)
    async with store.unit() as unit:
        assert unit.emit("b", b"") > first
    await store.close()


# --- one holder


async def test_a_second_open_in_this_process_is_refused(store: SqliteStore, tmp_path: Path) -> None:
    link = tmp_path / "same"
    link.symlink_to(store.path.parent)
    for path in (store.path, link / "account.db"):
        with pytest.raises(StorageError, match=r"this process .* holds this account already"):
            await SqliteStore.open(path, clock=ToldClock())
    async with store.unit() as unit:
        unit.save(SESSION, "a", b"still works")
    await store.close()
    again = await SqliteStore.open(store.path, clock=ToldClock())
    assert await again.load(SESSION, "a") == b"still works"
    await again.close()


async def test_without_the_lock_file_the_file_itself_refuses(store: SqliteStore) -> None:
    (store.path.parent / "account.lock").unlink()
    with pytest.raises(StorageError, match="another program has this file open"):
        await SqliteStore.open(store.path, clock=ToldClock())
    async with store.unit() as unit:
        unit.save(SESSION, "a", b"still works")
    assert await store.load(SESSION, "a") == b"still works"


async def test_a_lock_file_that_was_left_behind_locks_nobody_out(path: Path) -> None:
    path.parent.mkdir()
    (path.parent / "account.lock").write_text("1")
    store = await SqliteStore.open(path, clock=ToldClock())
    await store.close()


async def test_a_lock_on_a_file_that_its_holder_removed_meanwhile_does_not_count(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our opening the lock file and our locking it, the holder let go and removed it: we begin anew."""
    path.parent.mkdir()
    lock = path.with_suffix(".lock")
    inodes: list[int] = []
    flock = fcntl.flock

    def remove_then_lock(descriptor: int, operation: int) -> None:
        if not inodes:
            lock.unlink()
        inodes.append(os.fstat(descriptor).st_ino)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_then_lock)
    held = AccountLock.take(path)
    assert len(inodes) == 2
    assert lock.stat().st_ino == inodes[1]
    with pytest.raises(StorageError, match="holds this account already"):
        AccountLock.take(path)
    held.release()
    assert not lock.exists()


async def test_after_close_only_the_account_is_left(store: SqliteStore) -> None:
    async with store.unit() as unit:
        unit.save(SESSION, "a", b"1")
    await store.close()
    await store.close()
    assert [path.name for path in store.path.parent.iterdir()] == ["account.db"]
    with pytest.raises(StorageError, match="is closed"):
        await store.load(SESSION, "a")
    with pytest.raises(StorageError, match="is closed"):
        async with store.unit():
            pass


# --- the file


async def test_the_file_says_what_it_is(store: SqliteStore) -> None:
    await store.close()
    assert rows(store.path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert rows(store.path, "PRAGMA user_version") == [(len(STEPS),)]
    assert rows(store.path, "PRAGMA journal_mode") == [("wal",)]


async def test_every_commit_is_on_the_disk_when_it_returns(store: SqliteStore) -> None:
    assert await store._run(lambda connection: connection.execute("PRAGMA synchronous").fetchone()) == (2,)


async def test_nobody_else_may_read_it(store: SqliteStore) -> None:
    async with store.unit() as unit:
        unit.save(SESSION, "a", b"1")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.iterdir()}
    assert modes == {"account.db": 0o600, "account.db-wal": 0o600, "account.lock": 0o600}
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    await store.close()
    store.path.chmod(0o644)
    store = await SqliteStore.open(store.path, clock=ToldClock())
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    await store.close()


async def test_what_was_deleted_is_gone_from_the_file(store: SqliteStore) -> None:
    key = b"the only key that must not be found" * 20
    async with store.unit() as unit:
        unit.save(PREKEY, "1", key)
    await store.close()
    assert key[:35] in store.path.read_bytes()
    store = await SqliteStore.open(store.path, clock=ToldClock())
    async with store.unit() as unit:
        unit.save(PREKEY, "1", None)
    await store.close()
    assert key[:35] not in store.path.read_bytes()


async def test_no_value_is_ever_logged(store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with store.unit() as unit:
            unit.save(SESSION, "15550001234", b"secret value")
            unit.emit("type", b"secret value")
            unit.transition("m", "a", "b", {"x": "secret value"})
        await store.load(SESSION, "15550001234")
    assert caplog.messages
    assert "secret" not in caplog.text
    assert "15550001234" not in caplog.text
    assert "secret" not in repr(unit) + repr(store)


async def test_an_older_file_is_brought_up_to_date(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async with store.unit() as unit:
        unit.save(SESSION, "a", b"old")
    await store.close()
    steps = (*STEPS, ("CREATE TABLE later (x)", "INSERT INTO later VALUES (1)"))
    monkeypatch.setattr("waton.infra.storage_file.STEPS", steps)
    monkeypatch.setattr("waton.infra.migrations.migrate.__defaults__", (steps,))
    for _ in range(2):
        store = await SqliteStore.open(store.path, clock=ToldClock())
        assert await store.load(SESSION, "a") == b"old"
        await store.close()
    assert rows(store.path, "SELECT * FROM later") == [(1,)]
    assert rows(store.path, "PRAGMA user_version") == [(len(steps),)]


async def test_a_file_from_before_records_could_end_keeps_them_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(connection, STEPS[:1])
        connection.execute("INSERT INTO record VALUES ('session', 'a', x'01')")
    store = await SqliteStore.open(path, clock=ToldClock(1e12))
    assert await store.load(SESSION, "a") == b"\x01"
    unit = store.begin()
    unit.save(SESSION, "b", b"2", until=1e12 + 1)
    await unit.seal()
    store = await reopened(store, 1e12 + 2)
    assert await store.keys(SESSION) == ["a"]
    await store.close()


async def test_a_step_that_fails_changes_nothing(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.close()
    good = store.path.read_bytes()
    steps = (*STEPS, ("CREATE TABLE later (x)", "INSERT INTO nowhere VALUES (1)"))
    monkeypatch.setattr("waton.infra.storage_file.STEPS", steps)
    monkeypatch.setattr("waton.infra.migrations.migrate.__defaults__", (steps,))
    with pytest.raises(StorageError, match="nowhere"):
        await SqliteStore.open(store.path, clock=ToldClock())
    monkeypatch.undo()
    assert rows(store.path, "PRAGMA user_version") == [(len(STEPS),)]
    assert rows(store.path, "SELECT count(*) FROM sqlite_master WHERE name = 'later'") == [(0,)]
    assert len(store.path.read_bytes()) == len(good)
    again = await SqliteStore.open(store.path, clock=ToldClock())
    await again.close()
