"""ports.Store on SQLite: the durable state of one account, in `account.db`.

A unit of work gathers its writes in memory and commits them in one transaction, in one hop to the thread that owns the
file: records, events and the unit's number land together or not at all, and are on the disk when the block ends. A read
sees what is committed and the unit's own writes; another open unit's writes it does not see. Units that touch the same
record must be kept apart by their owner (the client's locks are per conversation); the last commit wins.

Numbers grow with every unit, also with those that fail, so that a trace can name its unit before the commit. Which
numbers committed is a table of its own, whatever the unit did: after a crash `committed` tells a journal which of its
rows never became true.

Values are keys and messages: they appear in no log and no error. (aiosqlite logs what it is asked to call, at debug
level; therefore it is handed closures, never values.)
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

import aiosqlite

from waton.errors import LocalProtocolError, StorageError
from waton.infra.storage_file import open_account
from waton.infra.storage_lock import AccountLock
from waton.ports import Clock, RecordKind, StoredEvent

T = TypeVar("T")

UNIT_HISTORY: Final = 1_000_000
"""How many of the last units are remembered one by one, with their transitions. Older ones count as committed."""


class _Connection(aiosqlite.Connection):
    """aiosqlite with one more verb: several statements in one hop."""

    def __init__(self, opened: sqlite3.Connection) -> None:
        super().__init__(lambda: opened, iter_chunk_size=64)
        # A program that ends without closing must end: what was committed is on the disk.
        self._thread.daemon = True

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call `work` on the thread that owns the file."""

        def call() -> T:
            return work(self._conn)

        result: T = await self._execute(call)  # pyright: ignore[reportUnknownMemberType]  it has no annotations
        return result


class SqliteUnit:
    """ports.UnitOfWork over a SqliteStore; made by `SqliteStore.unit`."""

    __slots__ = ("_is_over", "_number", "_store", "events", "transitions", "writes")

    def __init__(self, store: SqliteStore, number: int) -> None:
        self._store = store
        self._number = number
        self._is_over = False
        self.writes: dict[tuple[RecordKind, str], bytes | None] = {}
        self.events: list[tuple[int, str, bytes]] = []
        self.transitions: list[tuple[str, str, str, str]] = []

    @property
    def number(self) -> int:
        return self._number

    async def load(self, kind: RecordKind, key: str) -> bytes | None:
        if (kind, key) in self.writes:
            return self.writes[kind, key]
        return await self._store.load(kind, key)

    async def load_many(self, kind: RecordKind, keys: Iterable[str]) -> dict[str, bytes]:
        wanted = list(dict.fromkeys(keys))
        found = await self._store.load_many(kind, [key for key in wanted if (kind, key) not in self.writes])
        for key in wanted:
            value = self.writes.get((kind, key))
            if value is not None:
                found[key] = value
        return {key: found[key] for key in wanted if key in found}

    async def keys(self, kind: RecordKind) -> list[str]:
        known = set(await self._store.keys(kind))
        for (of, key), value in self.writes.items():
            if of is kind:
                (known.discard if value is None else known.add)(key)
        return sorted(known)

    def save(self, kind: RecordKind, key: str, value: bytes | None, *, until: float | None = None) -> None:
        self._check_open()
        self.writes[kind, key] = value

    def emit(self, type: str, payload: bytes) -> int:
        self._check_open()
        id = self._store.reserve_event()
        self.events.append((id, type, payload))
        return id

    def transition(self, machine: str, before: str, after: str, detail: Mapping[str, str | int] | None = None) -> None:
        self._check_open()
        text = json.dumps(dict(detail)) if detail else ""
        self.transitions.append((machine, before, after, text))

    @property
    def is_empty(self) -> bool:
        """True when there is nothing to commit."""
        return not (self.writes or self.events or self.transitions)

    def end(self) -> None:
        """No more writes: they would be lost."""
        self._is_over = True

    def _check_open(self) -> None:
        if self._is_over:
            raise LocalProtocolError(f"unit of work {self._number} is over; what is written to it now would be lost")

    def __repr__(self) -> str:
        return f"<SqliteUnit {self._number}: {len(self.writes)} writes, {len(self.events)} events>"


class SqliteStore:
    """ports.Store over one `account.db`. Made by `open`; one per account on this machine."""

    def __init__(self, path: Path, lock: AccountLock, connection: _Connection, clock: Clock) -> None:
        self.path = path
        self._lock = lock
        self._connection = connection
        self._clock = clock
        self._is_closed = False
        self._numbers = count(1)
        self._event_ids = count(1)
        self._forgotten = 0

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *, clock: Clock) -> SqliteStore:
        """Open an account, made when it does not exist: directory 0700, file 0600.

        Raises:
            StorageError: another process or this one holds it; or the file is damaged, of another program or of a newer
                waton, and was left as it is.
        """
        resolved = _prepare_place(path)
        lock = AccountLock.take(resolved)
        opening = asyncio.ensure_future(asyncio.to_thread(open_account, resolved))
        try:
            connection = _Connection(await _to_the_end(opening))
        except BaseException:
            if not opening.cancelled() and opening.exception() is None:
                opening.result().close()
            lock.release()
            raise
        await connection
        store = cls(resolved, lock, connection, clock)
        await store._begin()
        return store

    async def _begin(self) -> None:
        try:
            last_unit, last_event = await self._run(_last_numbers)
            self._numbers, self._event_ids = count(last_unit + 1), count(last_event + 1)
            self._forgotten = max(0, last_unit - UNIT_HISTORY)
            if self._forgotten:
                await self._run(partial(_forget_units, self._forgotten))
        except BaseException:
            await self.close()
            raise

    @asynccontextmanager
    async def unit(self) -> AsyncGenerator[SqliteUnit]:
        """Open a unit of work: committed when the block ends, dropped when it raises.

        Raises:
            StorageError: at the end of the block: nothing of the unit was written (a full disk, say).
        """
        self._check_open()
        unit = SqliteUnit(self, next(self._numbers))
        try:
            yield unit
        finally:
            unit.end()
        if not unit.is_empty:
            await self._commit(unit)

    async def _commit(self, unit: SqliteUnit) -> None:
        await _to_the_end(asyncio.ensure_future(self._run(partial(_write_unit, unit, self._clock.now()))))

    async def load(self, kind: RecordKind, key: str) -> bytes | None:
        return (await self.load_many(kind, [key])).get(key)

    async def load_many(self, kind: RecordKind, keys: Iterable[str]) -> dict[str, bytes]:
        """Those of the keys that exist."""
        wanted = list(keys)
        return await self._run(partial(_read_records, kind, wanted)) if wanted else {}

    async def keys(self, kind: RecordKind) -> list[str]:
        return await self._run(partial(_read_keys, kind))

    async def pending_events(self) -> list[StoredEvent]:
        return await self._run(_read_events)

    async def mark_handled(self, ids: Iterable[int]) -> None:
        """Take events out of the outbox; ids that are not there are no error."""
        handled = [(id,) for id in ids]
        if handled:
            await self._run(partial(_delete_events, handled))

    async def committed(self, numbers: Iterable[int]) -> set[int]:
        """Those of the units of work that committed; units too old to be remembered count as committed."""
        asked = list(numbers)
        found = await self._run(partial(_read_units, asked))
        return found | {number for number in asked if 0 < number <= self._forgotten}

    async def last_unit(self) -> int:
        """The highest number that committed; 0 for none."""
        return (await self._run(_last_numbers))[0]

    def reserve_event(self) -> int:
        """An id for the outbox that no event had before."""
        return next(self._event_ids)

    async def close(self) -> None:
        """Finish what is under way, fold the log into the file and let go of the account. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._connection.close()
        except sqlite3.Error as error:
            raise StorageError(str(self.path), f"could not be closed cleanly: {error}") from error
        finally:
            self._lock.release()

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._check_open()
        try:
            return await self._connection.run(work)
        except sqlite3.Error as error:
            raise StorageError(str(self.path), f"could not be read or written: {error}") from error

    def _check_open(self) -> None:
        if self._is_closed:
            raise StorageError(str(self.path), "is closed")

    def __repr__(self) -> str:
        return f"<SqliteStore {self.path.name}{' closed' if self._is_closed else ''}>"


async def _to_the_end(work: asyncio.Future[T]) -> T:
    """The outcome of work that cannot be called back: who is cancelled while waiting for it waits on, and is then."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError as cancelled:
        await asyncio.wait([work])
        raise cancelled from (None if work.cancelled() else work.exception())


def _prepare_place(path: str | os.PathLike[str]) -> Path:
    """The file's absolute path, its directory made. Raises StorageError."""
    resolved = Path(path).expanduser().resolve()
    try:
        resolved.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(str(resolved), f"its directory cannot be made: {error.strerror}") from error
    return resolved


# --- what runs on the thread that owns the file ---


def _write_unit(unit: SqliteUnit, at: float, connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("INSERT INTO unit VALUES (?, ?)", (unit.number, at))
        for (kind, key), value in unit.writes.items():
            _write_record(connection, kind, key, value)
        connection.executemany(
            "INSERT INTO event VALUES (?, ?, ?, ?)", ((*event, unit.number) for event in unit.events)
        )
        connection.executemany(
            "INSERT INTO transition VALUES (?, ?, ?, ?, ?)", ((unit.number, *named) for named in unit.transitions)
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _write_record(connection: sqlite3.Connection, kind: RecordKind, key: str, value: bytes | None) -> None:
    if value is None:
        connection.execute("DELETE FROM record WHERE kind = ? AND key = ?", (kind.value, key))
    else:
        connection.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", (kind.value, key, value))


def _read_records(kind: RecordKind, keys: list[str], connection: sqlite3.Connection) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for key in keys:
        row = connection.execute("SELECT value FROM record WHERE kind = ? AND key = ?", (kind.value, key)).fetchone()
        if row is not None:
            found[key] = row[0]
    return found


def _read_keys(kind: RecordKind, connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT key FROM record WHERE kind = ?", (kind.value,))
    return sorted(key for (key,) in rows)


def _read_events(connection: sqlite3.Connection) -> list[StoredEvent]:
    rows = connection.execute("SELECT id, type, payload, transition_no FROM event ORDER BY id")
    return [StoredEvent(*row) for row in rows]


def _delete_events(ids: list[tuple[int]], connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany("DELETE FROM event WHERE id = ?", ids)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _read_units(numbers: list[int], connection: sqlite3.Connection) -> set[int]:
    rows = connection.execute(
        "SELECT number FROM unit WHERE number IN (SELECT value FROM json_each(?))", (json.dumps(numbers),)
    )
    return {number for (number,) in rows}


def _last_numbers(connection: sqlite3.Connection) -> tuple[int, int]:
    """The highest unit and the highest event there ever was."""
    (unit,) = connection.execute("SELECT coalesce(max(number), 0) FROM unit").fetchone()
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
    return unit, 0 if row is None else row[0]


def _forget_units(through: int, connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("DELETE FROM unit WHERE number <= ?", (through,))
        connection.execute("DELETE FROM transition WHERE number <= ?", (through,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
