"""Ways to lose or to repeat messages, to be put into a client on purpose: what the crash test must see, it has to see.

Each is what somebody could write in good faith; applied in a victim's process only, and for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from waton.client.event_pipeline import EventPipeline, Send, Step, lane_of
from waton.client.handlers import Handlers, Parcel
from waton.infra.record_cache import ABSENT
from waton.infra.storage_sqlite import SqliteUnit
from waton.ports import RecordKind


def _acknowledge_before_the_commit() -> None:
    leave = EventPipeline.leave

    async def early(self: EventPipeline, step: Step, send: Send | None, *, waits: bool) -> None:
        acks, step.acks = step.acks, []
        if send is not None:
            await self._acknowledge(acks, send, step.parent)
        await leave(self, step, send, waits=waits)

    EventPipeline.leave = early


def _emit_before_the_commit() -> None:
    leave = EventPipeline.leave

    async def early(self: EventPipeline, step: Step, send: Send | None, *, waits: bool) -> None:
        events, step.events = step.events, []
        for id, event, _ in events:
            self._handlers.put(lane_of(event), Parcel(id, event, None))
        await asyncio.sleep(0.05)  # a commit that takes its time
        await leave(self, step, send, waits=waits)

    EventPipeline.leave = early


def _keep_no_outbox() -> None:
    _save_nothing_of(RecordKind.OUTBOX)


def _keep_no_received() -> None:
    _save_nothing_of(RecordKind.RECEIVED)


def _save_nothing_of(forgotten: RecordKind) -> None:
    save = SqliteUnit.save

    def save_others(
        self: SqliteUnit, kind: RecordKind, key: str, value: bytes | None, *, until: float | None = None
    ) -> None:
        if kind is not forgotten or value is None:
            save(self, kind, key, value, until=until)

    SqliteUnit.save = save_others


def _keep_ratchets_in_memory() -> None:
    save = SqliteUnit.save

    def save_others(
        self: SqliteUnit, kind: RecordKind, key: str, value: bytes | None, *, until: float | None = None
    ) -> None:
        if kind is RecordKind.SESSION and self._store._recall(kind, key) not in (None, ABSENT):
            self._store._overlay[kind, key] = (value, until)  # every reader sees it, and nothing writes it
        else:
            save(self, kind, key, value, until=until)

    SqliteUnit.save = save_others


def _handled_before_told() -> None:
    tell = Handlers._tell

    async def early(self: Handlers, lane: Any, parcel: Parcel) -> None:
        if parcel.id is not None:
            self._handled(parcel.id)
            await asyncio.sleep(0.6)  # until it is on the disk
        await tell(self, lane, parcel)

    Handlers._tell = early


FLAWS: Final[dict[str, Callable[[], None]]] = {
    "acknowledges before the commit": _acknowledge_before_the_commit,
    "emits before the commit": _emit_before_the_commit,
    "keeps no outbox": _keep_no_outbox,
    "keeps no received ids": _keep_no_received,
    "marks as handled before it tells": _handled_before_told,
    "keeps ratchets in memory": _keep_ratchets_in_memory,
}


def apply(name: str) -> None:
    """Put a flaw into this process; "" is none. Raises KeyError."""
    if name:
        FLAWS[name]()
