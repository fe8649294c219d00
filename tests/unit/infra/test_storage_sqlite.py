"""The account store: units of work land whole or not at all, and nobody sees half of one."""

import asyncio
import fcntl
import logging
import os
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from tests.unit.infra.accounts import ToldClock
from waton.errors import LocalProtocolError, StorageError
from waton.infra import storage_sqlite
from waton.infra.migrations import APPLICATION_ID, STEPS
from waton.infra.storage_lock import AccountLock
from waton.infra.storage_sqlite import SqliteStore
from waton.ports import RecordKind, Store, StoredEvent

SESSION, PREKEY = RecordKind.SESSION, RecordKind.PREKEY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "somebody" / "account.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(path, clock=ToldClock())
    yield opened
    await opened.close()


async def reopened(store: SqliteStore) -> SqliteStore:
    await store.close()
    return await SqliteStore.open(store.path, clock=ToldClock())


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


async def test_a_commit_that_fails_leaves_nothing_and_harms_nobody(store: SqliteStore) -> None:
    async def work() -> None:
        async with store.unit() as unit:
            unit.save(SESSION, "a", b"written first")
            unit.save(SESSION, "b", cast("bytes", object()))

    with pytest.raises(StorageError, match="could not be read or written"):
        await work()
    assert await store.keys(SESSION) == []
    async with store.unit() as unit:
        unit.save(SESSION, "c", b"fine")
    assert await store.keys(SESSION) == ["c"]
    assert await store.committed([1, 2]) == {2}


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
    assert await store.load(SESSION, "a") == b"before"
    assert await store.pending_events() == []


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


# --- events


async def test_events_are_pending_until_they_are_handled_oldest_first(store: SqliteStore) -> None:
    async with store.unit() as unit:
        ids = [unit.emit("a", b"1"), unit.emit("b", b"2"), unit.emit("c", b"3")]
    assert [event.id for event in await store.pending_events()] == ids == sorted(ids)
    await store.mark_handled([ids[1], 999])
    await store.mark_handled(iter(()))
    store = await reopened(store)
    assert [event.type for event in await store.pending_events()] == ["a", "c"]
    await store.mark_handled(ids)
    assert await store.pending_events() == []
    await store.close()
    assert rows(store.path, "SELECT count(*) FROM event") == [(0,)]


async def test_the_id_of_a_handled_event_never_comes_back(store: SqliteStore) -> None:
    async with store.unit() as unit:
        first = unit.emit("a", b"")
    await store.mark_handled([first])
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
    assert rows(store.path, "PRAGMA user_version") == [(2,)]


async def test_a_step_that_fails_changes_nothing(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.close()
    good = store.path.read_bytes()
    steps = (*STEPS, ("CREATE TABLE later (x)", "INSERT INTO nowhere VALUES (1)"))
    monkeypatch.setattr("waton.infra.storage_file.STEPS", steps)
    monkeypatch.setattr("waton.infra.migrations.migrate.__defaults__", (steps,))
    with pytest.raises(StorageError, match="nowhere"):
        await SqliteStore.open(store.path, clock=ToldClock())
    monkeypatch.undo()
    assert rows(store.path, "PRAGMA user_version") == [(1,)]
    assert rows(store.path, "SELECT count(*) FROM sqlite_master WHERE name = 'later'") == [(0,)]
    assert len(store.path.read_bytes()) == len(good)
    again = await SqliteStore.open(store.path, clock=ToldClock())
    await again.close()
