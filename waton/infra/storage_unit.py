"""ports.UnitOfWork over a SqliteStore: writes gathered in memory until they are sealed. See storage_sqlite.py."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from waton.errors import LocalProtocolError
from waton.infra.record_cache import Entry, Place
from waton.infra.storage_commits import Sealed
from waton.ports import RecordKind
from waton.utils.flat_json import flat_json

if TYPE_CHECKING:
    from waton.infra.storage_sqlite import SqliteStore


class SqliteUnit:
    """One unit of work; made by `SqliteStore.begin` and `SqliteStore.unit`."""

    __slots__ = ("_events", "_is_over", "_number", "_store", "_transitions", "_writes")

    def __init__(self, store: SqliteStore, number: int) -> None:
        self._store = store
        self._number = number
        self._is_over = False
        self._writes: dict[Place, Entry] = {}
        self._events: list[tuple[int, str, bytes]] = []
        self._transitions: list[tuple[str, str, str, str]] = []

    @property
    def number(self) -> int:
        return self._number

    async def load(self, kind: RecordKind, key: str) -> bytes | None:
        own = self._writes.get((kind, key))
        return self._store.value_of(own) if own is not None else await self._store.load(kind, key)

    async def load_many(self, kind: RecordKind, keys: Iterable[str]) -> dict[str, bytes]:
        wanted = list(dict.fromkeys(keys))
        found = await self._store.load_many(kind, [key for key in wanted if (kind, key) not in self._writes])
        for key in wanted:
            own = self._writes.get((kind, key))
            value = None if own is None else self._store.value_of(own)
            if value is not None:
                found[key] = value
        return {key: found[key] for key in wanted if key in found}

    async def load_prefix(self, kind: RecordKind, prefix: str) -> dict[str, bytes]:
        return await self._store.load_prefix(kind, prefix, self._writes)

    async def keys(self, kind: RecordKind, prefix: str = "") -> list[str]:
        return await self._store.keys(kind, prefix, self._writes)

    def save(self, kind: RecordKind, key: str, value: bytes | None, *, until: float | None = None) -> None:
        """See the port. Raises ValueError: the key is not text that a file can hold."""
        self._check_open()
        if not key.isascii():
            key.encode()  # half a surrogate pair would end the line of all commits
        self._writes[kind, key] = (value, until)

    def emit(self, type: str, payload: bytes) -> int:
        self._check_open()
        id = self._store.reserve_event()
        self._events.append((id, type, payload))
        return id

    def transition(self, machine: str, before: str, after: str, detail: Mapping[str, str | int] | None = None) -> None:
        self._check_open()
        self._transitions.append((machine, before, after, flat_json(detail) if detail else ""))

    def seal(self) -> asyncio.Future[None]:
        self._check_open()
        self._is_over = True
        is_empty = not (self._writes or self._events or self._transitions)
        return self._store.line_up(None if is_empty else self._sealed())

    def drop(self) -> None:
        self._is_over = True

    def _sealed(self) -> Sealed:
        return Sealed(self._number, self._store.now(), self._writes, self._events, self._transitions)

    def _check_open(self) -> None:
        if self._is_over:
            raise LocalProtocolError(f"unit of work {self._number} is over; what is written to it now would be lost")

    def __repr__(self) -> str:
        return f"<SqliteUnit {self._number}: {len(self._writes)} writes, {len(self._events)} events>"
