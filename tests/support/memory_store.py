"""ports.Store in memory: the same rules as the SQLite one, for tests that are not about disks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager

from waton.ports import RecordKind, StoredEvent


class MemoryUnit:
    """One unit of work over a MemoryStore."""

    def __init__(self, store: MemoryStore, number: int) -> None:
        self._store = store
        self.number = number
        self.writes: dict[tuple[RecordKind, str], bytes | None] = {}
        self.events: list[StoredEvent] = []
        self.transitions: list[tuple[str, str, str, dict[str, str | int]]] = []

    async def load(self, kind: RecordKind, key: str) -> bytes | None:
        if (kind, key) in self.writes:
            return self.writes[kind, key]
        return self._store.records.get((kind, key))

    async def load_many(self, kind: RecordKind, keys: Iterable[str]) -> dict[str, bytes]:
        found = {key: await self.load(kind, key) for key in keys}
        return {key: value for key, value in found.items() if value is not None}

    async def keys(self, kind: RecordKind) -> list[str]:
        merged = {**self._store.records, **self.writes}
        return sorted(key for (of, key), value in merged.items() if of is kind and value is not None)

    def save(self, kind: RecordKind, key: str, value: bytes | None, *, until: float | None = None) -> None:
        self.writes[kind, key] = value

    def emit(self, type: str, payload: bytes) -> int:
        id = self._store.take_event_id()
        self.events.append(StoredEvent(id, type, payload, self.number))
        return id

    def transition(self, machine: str, before: str, after: str, detail: Mapping[str, str | int] | None = None) -> None:
        self.transitions.append((machine, before, after, dict(detail or {})))


class MemoryStore:
    """The durable state of one account, without the durability."""

    def __init__(self) -> None:
        self.records: dict[tuple[RecordKind, str], bytes] = {}
        self.outbox: dict[int, StoredEvent] = {}
        self.transitions: list[tuple[str, str, str, dict[str, str | int]]] = []
        self._units = 0
        self._events = 0

    def take_event_id(self) -> int:
        self._events += 1
        return self._events

    @asynccontextmanager
    async def unit(self) -> AsyncGenerator[MemoryUnit]:
        self._units += 1
        unit = MemoryUnit(self, self._units)
        yield unit
        for place, value in unit.writes.items():
            if value is None:
                self.records.pop(place, None)
            else:
                self.records[place] = value
        self.outbox.update({event.id: event for event in unit.events})
        self.transitions += unit.transitions

    async def load(self, kind: RecordKind, key: str) -> bytes | None:
        return self.records.get((kind, key))

    async def keys(self, kind: RecordKind) -> list[str]:
        return sorted(key for of, key in self.records if of is kind)

    async def pending_events(self) -> list[StoredEvent]:
        return [self.outbox[id] for id in sorted(self.outbox)]

    async def mark_handled(self, ids: Iterable[int]) -> None:
        for id in ids:
            self.outbox.pop(id, None)

    async def close(self) -> None:
        pass
