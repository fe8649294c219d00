"""The line of sealed units before the disk: one transaction for all that wait, in the order in which they were sealed.

While one group is being written the next one gathers, so the line is as quick as the disk with few units and hardly
slower with many. A group holds the last write of each record only. What is on the disk after a crash is therefore
always the units up to some point of the line, and all of each.

A group that cannot be written ends the line: it and all that come after fail, for they may have read what will never be
there. Only opening the account anew tells what is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from waton.errors import StorageError
from waton.infra.record_cache import Entry, Place
from waton.infra.storage_statements import Changes

HANDLED_SECONDS: Final = 0.5
"""How long a handled event stays in the outbox when no unit's commit takes it along."""


@dataclass(slots=True)
class Sealed:
    """What one unit wrote. Not frozen: one is made for every message, and that takes thrice as long."""

    number: int
    at: float
    """Unix seconds."""
    records: Mapping[Place, Entry]
    events: Iterable[tuple[int, str, bytes]]
    """Id, type, payload."""
    transitions: Iterable[tuple[str, str, str, str]]
    """Machine, before, after, detail."""


@dataclass(slots=True)
class Group:
    """Sealed units that land together."""

    changes: Changes = field(default_factory=Changes)
    waiting: list[asyncio.Future[None]] = field(default_factory=list[asyncio.Future[None]])

    def add(self, unit: Sealed) -> None:
        """Take a unit along, behind the others."""
        changes, number = self.changes, unit.number
        changes.units.append((number, unit.at))
        changes.records.update(unit.records)
        for id, type, payload in unit.events:
            changes.events.append((id, type, payload, number))
        for named in unit.transitions:
            changes.transitions.append((number, *named))

    def wait(self) -> asyncio.Future[None]:
        """A future that is done with this group."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(waiting)
        return waiting


class CommitLine:
    """Writes groups, one after the other.

    Args:
        write: puts a group on the disk, or raises.
        landed: told of each group that is on the disk, before those who wait for it.
        place: the account, for errors.
    """

    def __init__(
        self, write: Callable[[Changes], Awaitable[None]], landed: Callable[[Changes], None], place: str
    ) -> None:
        self._write = write
        self._landed = landed
        self._place = place
        self._gathering = Group()
        self._writing: Group | None = None
        self._worker: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_hurried = False
        self.fault: str | None = None
        """Why nothing is taken any more."""

    def check(self) -> None:
        """Raises StorageError when the line has ended."""
        if self.fault is not None:
            raise StorageError(self._place, self.fault)

    def seal(self, unit: Sealed) -> asyncio.Future[None]:
        """Put a unit in line."""
        self.check()
        self._gathering.add(unit)
        self._begin()
        return self._gathering.wait()

    def reach(self) -> asyncio.Future[None]:
        """A future that is done when all that is in line now is on the disk."""
        self.check()
        if self._gathering.waiting:
            return self._gathering.wait()
        if self._writing is not None:
            return self._writing.wait()
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.set_result(None)
        return waiting

    def handled(self, ids: Iterable[int]) -> None:
        """Delete events with the next group, or by themselves when none comes soon."""
        self.check()
        self._gathering.changes.handled += ids
        if self._worker is None:
            self._set_timer()

    def handled_ids(self) -> set[int]:
        """Events that were handled and may still be in the file."""
        groups = (self._gathering, self._writing)
        return {id for group in groups if group is not None for id in group.changes.handled}

    async def flush(self) -> None:
        """Wait until the line is empty, or has ended."""
        self._hurry()
        while self._worker is not None:
            await asyncio.wait([self._worker])

    def _set_timer(self) -> None:
        if self._timer is None and self._gathering.changes.handled:
            self._timer = asyncio.get_running_loop().call_later(HANDLED_SECONDS, self._hurry)

    def _hurry(self) -> None:
        """Write what is there, if it is no more than handled events."""
        self._is_hurried = bool(self._gathering.changes.handled)
        if self._is_hurried:
            self._begin()

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._worker is None and self.fault is None:
            self._worker = asyncio.create_task(self._work(), name="waton-commits")

    async def _work(self) -> None:
        try:
            while self._gathering.waiting or self._is_hurried:
                await self._write_group()
        except BaseException as error:
            self._end(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._worker = None
        self._set_timer()

    async def _write_group(self) -> None:
        self._is_hurried = False
        self._writing, self._gathering = group, _ = self._gathering, Group()
        await self._write(group.changes)
        self._writing = None
        self._landed(group.changes)
        for waiting in group.waiting:
            if not waiting.done():  # who waited may have been cancelled
                waiting.set_result(None)

    def _end(self, error: BaseException) -> None:
        why = error.detail if isinstance(error, StorageError) else type(error).__name__
        self.fault = f"{why}; what was not on the disk by then is not there, and nothing is taken until it is reopened"
        lost = [] if self._writing is None else self._writing.waiting
        lost += self._gathering.waiting
        self._writing, self._gathering = None, Group()
        for waiting in lost:
            if not waiting.done():
                waiting.set_exception(StorageError(self._place, self.fault))
                waiting.exception()  # not told to nobody: whoever comes next is told too
