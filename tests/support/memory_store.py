"""ports.Store in memory: the same rules as the SQLite one, for tests that are not about disks.

What is sealed is durable at once, unless `is_slow` is set: then units wait in `line` until the test calls `land()`, or
`fail()`, after which the store takes nothing more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager

from waton.errors import LocalProtocolError, StorageError
from waton.ports import Clock, RecordKind, StoredEvent


class MemoryUnit:
    """One unit of work over a MemoryStore."""

    def __init__(self, store: MemoryStore, number: int) -> None:
        self._store = store
        self._is_over = False
        self.number = number
        self.writes: dict[tuple[RecordKind, str], bytes | None] = {}
        self.untils: dict[tuple[RecordKind, str], float | None] = {}
        self.events: list[StoredEvent] = []
        self.transitions: list[tuple[str, str, str, dict[str, str | int]]] = []

    async def load(self, kind: RecordKind, key: str) -> bytes | None:
        if (kind, key) in self.writes:
            return self.writes[kind, key]
        return await self._store.load(kind, key)

    async def load_many(self, kind: RecordKind, keys: Iterable[str]) -> dict[str, bytes]:
        found = {key: await self.load(kind, key) for key in keys}
        return {key: value for key, value in found.items() if value is not None}

    async def load_prefix(self, kind: RecordKind, prefix: str) -> dict[str, bytes]:
        found: dict[str, bytes | None] = {**await self._store.load_prefix(kind, prefix)}
        found |= {key: value for (of, key), value in self.writes.items() if of is kind and key.startswith(prefix)}
        return {key: value for key, value in sorted(found.items()) if value is not None}

    async def keys(self, kind: RecordKind, prefix: str = "") -> list[str]:
        return list(await self.load_prefix(kind, prefix))

    def save(self, kind: RecordKind, key: str, value: bytes | None, *, until: float | None = None) -> None:
        self._check_open()
        self.writes[kind, key] = value
        self.untils[kind, key] = until

    def emit(self, type: str, payload: bytes) -> int:
        self._check_open()
        id = self._store.take_event_id()
        self.events.append(StoredEvent(id, type, payload, self.number))
        return id

    def transition(self, machine: str, before: str, after: str, detail: Mapping[str, str | int] | None = None) -> None:
        self._check_open()
        self.transitions.append((machine, before, after, dict(detail or {})))

    def seal(self) -> asyncio.Future[None]:
        self._check_open()
        self._is_over = True
        return self._store.take(self)

    def drop(self) -> None:
        self._is_over = True

    def _check_open(self) -> None:
        if self._is_over:
            raise LocalProtocolError(f"unit of work {self.number} is over; what is written to it now would be lost")


class MemoryStore:
    """The durable state of one account, without the durability.

    Args:
        clock: what `until` is held against; without one records stay for ever.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self.records: dict[tuple[RecordKind, str], bytes] = {}
        """What reads see: sealed, durable or not."""
        self.untils: dict[tuple[RecordKind, str], float] = {}
        self.outbox: dict[int, StoredEvent] = {}
        """Of durable units only."""
        self.transitions: list[tuple[str, str, str, dict[str, str | int]]] = []
        self.is_slow = False
        self.line: deque[tuple[MemoryUnit, asyncio.Future[None]]] = deque()
        """Sealed and not durable."""
        self.is_broken = False
        self._units = 0
        self._events = 0

    def take_event_id(self) -> int:
        self._events += 1
        return self._events

    def begin(self) -> MemoryUnit:
        self._check()
        self._units += 1
        return MemoryUnit(self, self._units)

    @asynccontextmanager
    async def unit(self) -> AsyncGenerator[MemoryUnit]:
        unit = self.begin()
        try:
            yield unit
        except BaseException:
            unit.drop()
            raise
        await asyncio.shield(unit.seal())

    def take(self, unit: MemoryUnit) -> asyncio.Future[None]:
        """What a unit's seal does."""
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.is_broken:
            return _fail(durable)
        for place, value in unit.writes.items():
            self.untils.pop(place, None)
            self.records.pop(place, None)
            until = unit.untils[place]
            if value is not None:
                self.records[place] = value
            if until is not None:
                self.untils[place] = until
        self.line.append((unit, durable))
        if not self.is_slow:
            self.land()
        return durable

    def land(self, count: int | None = None) -> None:
        """Make the first so many of the line durable, or all of it."""
        for _ in range(len(self.line) if count is None else count):
            unit, durable = self.line.popleft()
            self.outbox.update({event.id: event for event in unit.events})
            self.transitions += unit.transitions
            if not durable.done():
                durable.set_result(None)

    def fail(self) -> None:
        """The commit of all that is in line fails."""
        self.is_broken = True
        while self.line:
            _fail(self.line.popleft()[1])

    async def load(self, kind: RecordKind, key: str) -> bytes | None:
        self._check()
        return self.records.get((kind, key)) if self._is_there(kind, key) else None

    async def load_many(self, kind: RecordKind, keys: Iterable[str]) -> dict[str, bytes]:
        found = {key: await self.load(kind, key) for key in keys}
        return {key: value for key, value in found.items() if value is not None}

    async def load_prefix(self, kind: RecordKind, prefix: str) -> dict[str, bytes]:
        self._check()
        return {
            key: value
            for (of, key), value in sorted(self.records.items())
            if of is kind and key.startswith(prefix) and self._is_there(of, key)
        }

    async def keys(self, kind: RecordKind, prefix: str = "") -> list[str]:
        return list(await self.load_prefix(kind, prefix))

    def _is_there(self, kind: RecordKind, key: str) -> bool:
        until = self.untils.get((kind, key))
        return until is None or self._clock is None or self._clock.now() < until

    async def pending_events(self) -> list[StoredEvent]:
        return [self.outbox[id] for id in sorted(self.outbox)]

    def mark_handled(self, ids: Iterable[int]) -> None:
        self._check()
        for id in ids:
            self.outbox.pop(id, None)

    async def close(self) -> None:
        pass

    def _check(self) -> None:
        if self.is_broken:
            raise StorageError("memory", "the disk is full")


def _fail(durable: asyncio.Future[None]) -> asyncio.Future[None]:
    durable.set_exception(StorageError("memory", "the disk is full"))
    durable.exception()
    return durable
