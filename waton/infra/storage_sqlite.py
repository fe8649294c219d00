"""ports.Store on SQLite: the durable state of one account, in `account.db`.

A unit of work gathers its writes in memory. Once sealed, every read sees them, and they wait for the disk in a line
(storage_commits.py) whose groups are one transaction each, written on the thread that owns the file: records, events
and the units' numbers land together or not at all. So a conversation goes on while its last message is still being
written, and what may be said of that message waits for the disk. Another open unit's writes nobody sees. Units that
touch the same record must be kept apart by their owner (the client's locks are per conversation); the last one sealed
wins.

Most reads never reach the file: what is sealed and not yet written is in memory anyway, what was lately read or written
is in a cache, and a key that a filter does not know is not there (record_cache.py). A record with an `until` is gone
for every reader once that time has come; from the file it is deleted at the next open, or by a few with each commit.

Numbers grow with every unit, also with those that fail, so that a trace can name its unit before the commit. Which
numbers committed is a table of its own, whatever the unit did: after a crash `committed` tells a journal which of its
rows never became true.

Values are keys and messages: they appear in no log and no error. (aiosqlite logs what it is asked to call, at debug
level; therefore it is handed closures, never values.)
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

import aiosqlite

from waton.errors import StorageError
from waton.infra import storage_statements as statements
from waton.infra.record_cache import ABSENT, Entry, KeyFilter, Place, RecordCache
from waton.infra.storage_commits import CommitLine, Sealed
from waton.infra.storage_file import open_account
from waton.infra.storage_lock import AccountLock
from waton.infra.storage_unit import SqliteUnit
from waton.ports import Clock, RecordKind, StoredEvent

T = TypeVar("T")

UNIT_HISTORY: Final = 1_000_000
"""How many of the last units are remembered one by one, with their transitions. Older ones count as committed."""
SWEEP_SECONDS: Final = 60.0
"""Between two looks for expired records, when the last one found few."""


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


class SqliteStore:
    """ports.Store over one `account.db`. Made by `open`; one per account on this machine."""

    def __init__(self, path: Path, lock: AccountLock, connection: _Connection, clock: Clock) -> None:
        self.path = path
        self.now = clock.now
        self._lock = lock
        self._connection = connection
        self._is_closed = False
        self._numbers = count(1)
        self._event_ids = count(1)
        self._forgotten = 0
        self._line = CommitLine(self._write, self._landed, str(path))
        self._overlay: dict[Place, Entry] = {}
        """What is sealed and not on the disk yet."""
        self._cache = RecordCache()
        self._filter: KeyFilter | None = None
        self._widening: asyncio.Task[None] | None = None
        self._watchers: dict[int, dict[Place, Entry]] = {}
        """For each look at the disk under way: what was sealed since it began."""
        self._sweep_at = 0.0

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
            last_unit, last_event = await self._run(statements.last_numbers)
            self._numbers, self._event_ids = count(last_unit + 1), count(last_event + 1)
            self._forgotten = max(0, last_unit - UNIT_HISTORY)
            if self._forgotten:
                await self._run(partial(statements.forget_units, self._forgotten))
            await self._run(partial(statements.forget_all_expired, self.now()))
            await self._read_filter()
        except BaseException:
            await self.close()
            raise

    # --- units of work ------------------------------------------------------------------------------------------------

    def begin(self) -> SqliteUnit:
        """A unit of work that ends with its `seal()`, or is dropped and leaves nothing. Raises StorageError."""
        self._check_open()
        return SqliteUnit(self, next(self._numbers))

    @asynccontextmanager
    async def unit(self) -> AsyncGenerator[SqliteUnit]:
        """A unit of work: sealed when the block ends and on the disk when it is left; dropped when the block raises.

        Raises:
            StorageError: at the end of the block: it is not on the disk (which is full, say), nor will any later one.
        """
        unit = self.begin()
        try:
            yield unit
        except BaseException:
            unit.drop()
            raise
        await _to_the_end(unit.seal())

    def line_up(self, unit: Sealed | None) -> asyncio.Future[None]:
        """Put a unit in line for the disk; None is a unit that wrote nothing. For SqliteUnit.seal()."""
        try:
            self._check_open()
        except StorageError as error:
            return _failed(error)
        if unit is None:
            return self._line.reach()
        self._overlay.update(unit.records)
        for kind, key in unit.records:
            if self._filter is not None:
                self._filter.add(kind, key)
        for seen in self._watchers.values():
            seen.update(unit.records)
        return self._line.seal(unit)

    async def _write(self, changes: statements.Changes) -> None:
        now = self.now()
        sweep = now if now >= self._sweep_at else None
        forgotten = await self._hop(partial(statements.write, changes, sweep))
        if sweep is not None:
            self._sweep_at = now if forgotten == statements.SWEEP_ROWS else now + SWEEP_SECONDS

    def _landed(self, changes: statements.Changes) -> None:
        for place, entry in changes.records.items():
            self._cache.put(place, entry)
            if self._overlay.get(place) is entry:  # a later unit's write waits still
                del self._overlay[place]
        if self._filter is not None and self._filter.is_full and self._widening is None:
            self._widening = asyncio.create_task(self._widen(), name="waton-keys")

    async def _widen(self) -> None:
        try:
            with suppress(StorageError):  # the narrow one stays right: it only asks the disk more often
                await self._read_filter()
        finally:
            self._widening = None

    async def _read_filter(self) -> None:
        """Learn anew which keys there are, for as many again as there are now."""
        waiting = dict(self._overlay)
        with self._watching() as since:
            made = await self._hop(statements.read_filter)
        for kind, key in (*waiting, *since):
            made.add(kind, key)
        self._filter = made

    def reserve_event(self) -> int:
        """An id for the outbox that no event had before."""
        return next(self._event_ids)

    # --- reading ------------------------------------------------------------------------------------------------------

    def value_of(self, entry: Entry) -> bytes | None:
        """What an entry is worth now: None when its time is over."""
        value, until = entry
        return None if until is not None and until <= self.now() else value

    async def load(self, kind: RecordKind, key: str) -> bytes | None:
        self._check_open()
        entry = self._recall(kind, key)
        if entry is None:
            entry = (await self._look(kind, [key]))[key]
        return self.value_of(entry)

    async def load_many(self, kind: RecordKind, keys: Iterable[str]) -> dict[str, bytes]:
        """Those of the keys that exist."""
        self._check_open()
        found: dict[str, Entry] = {}
        missing: list[str] = []
        for key in dict.fromkeys(keys):
            entry = self._recall(kind, key)
            if entry is None:
                missing.append(key)
            else:
                found[key] = entry
        if missing:
            found |= await self._look(kind, missing)
        return self._values_of(found)

    def _recall(self, kind: RecordKind, key: str) -> Entry | None:
        """What is known without a look at the disk; None when nothing is."""
        place = (kind, key)
        entry = self._overlay.get(place) or self._cache.get(place)
        if entry is None and self._filter is not None and not self._filter.may_hold(kind, key):
            return ABSENT
        return entry

    async def _look(self, kind: RecordKind, keys: list[str]) -> dict[str, Entry]:
        """What the disk says, kept in mind; what was sealed meanwhile counts more."""
        with self._watching() as since:
            found = await self._run(partial(statements.read_records, kind, keys))
        entries: dict[str, Entry] = {}
        for key in keys:
            entry = since.get((kind, key))
            if entry is None:
                entry = found.get(key, ABSENT)
                self._cache.put((kind, key), entry)
            entries[key] = entry
        return entries

    async def load_prefix(
        self, kind: RecordKind, prefix: str, writes: Mapping[Place, Entry] | None = None
    ) -> dict[str, bytes]:
        """All records of a kind whose key begins so, by key, sorted. writes: a unit's own, which count most."""
        return self._values_of(await self._range(statements.read_prefix, kind, prefix, writes))

    async def keys(self, kind: RecordKind, prefix: str = "", writes: Mapping[Place, Entry] | None = None) -> list[str]:
        """All keys of a kind that begin so, sorted. writes: a unit's own, which count most."""
        return list(self._values_of(await self._range(statements.read_keys, kind, prefix, writes)))

    async def _range(
        self,
        read: Callable[[RecordKind, str, sqlite3.Connection], dict[str, Entry]],
        kind: RecordKind,
        prefix: str,
        writes: Mapping[Place, Entry] | None,
    ) -> dict[str, Entry]:
        waiting = dict(self._overlay)
        with self._watching() as since:
            found = await self._run(partial(read, kind, prefix))
        for newer in (waiting, since, writes or {}):
            found |= {key: entry for (of, key), entry in newer.items() if of is kind and key.startswith(prefix)}
        return {key: found[key] for key in sorted(found)}

    def _values_of(self, entries: Mapping[str, Entry]) -> dict[str, bytes]:
        values = ((key, self.value_of(entry)) for key, entry in entries.items())
        return {key: value for key, value in values if value is not None}

    @contextmanager
    def _watching(self) -> Generator[dict[Place, Entry]]:
        """What is sealed while the block lasts: a look at the disk may have come too early for it."""
        since: dict[Place, Entry] = {}
        self._watchers[id(since)] = since
        try:
            yield since
        finally:
            del self._watchers[id(since)]

    # --- events and numbers -------------------------------------------------------------------------------------------

    async def pending_events(self) -> list[StoredEvent]:
        """Committed and not handled, oldest first."""
        handled = self._line.handled_ids()
        found = await self._run(statements.read_events)
        handled |= self._line.handled_ids()
        return [event for event in found if event.id not in handled]

    def mark_handled(self, ids: Iterable[int]) -> None:
        """Take events out of the outbox, with the next commit or soon; ids that are not there are no error."""
        self._check_open()
        self._line.handled(ids)

    async def committed(self, numbers: Iterable[int]) -> set[int]:
        """Those of the units of work that committed; units too old to be remembered count as committed."""
        asked = list(numbers)
        found = await self._run(partial(statements.read_units, asked))
        return found | {number for number in asked if 0 < number <= self._forgotten}

    async def last_unit(self) -> int:
        """The highest number that committed; 0 for none."""
        return (await self._run(statements.last_numbers))[0]

    # --- the file -----------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Put what is sealed on the disk, fold the log into the file, let go of the account. May be called twice.

        Raises:
            StorageError: it could not be closed cleanly.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._line.flush()
            if self._widening is not None:
                await asyncio.wait([self._widening])
            await self._connection.close()
        except sqlite3.Error as error:
            raise StorageError(str(self.path), f"could not be closed cleanly: {error}") from error
        finally:
            self._lock.release()

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._check_open()
        return await self._hop(work)

    async def _hop(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._connection.run(work)
        except sqlite3.Error as error:
            raise StorageError(str(self.path), f"could not be read or written: {error}") from error

    def _check_open(self) -> None:
        if self._is_closed:
            raise StorageError(str(self.path), "is closed")
        if self._line.fault is not None:
            self._line.check()

    def __repr__(self) -> str:
        return f"<SqliteStore {self.path.name}{' closed' if self._is_closed else ''}>"


async def _to_the_end(work: asyncio.Future[T]) -> T:
    """The outcome of work that cannot be called back: who is cancelled while waiting for it waits on, and is then."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError as cancelled:
        await asyncio.wait([work])
        raise cancelled from (None if work.cancelled() else work.exception())


def _failed(error: StorageError) -> asyncio.Future[None]:
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    failed.set_exception(error)
    failed.exception()  # not told to nobody: whoever comes next is told too
    return failed


def _prepare_place(path: str | os.PathLike[str]) -> Path:
    """The file's absolute path, its directory made. Raises StorageError."""
    resolved = Path(path).expanduser().resolve()
    try:
        resolved.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(str(resolved), f"its directory cannot be made: {error.strerror}") from error
    return resolved
