"""Lanes: strict order within a conversation, conversations side by side.

A lane lives as long as it has work. Lanes outlive the connection that fed them: what was received is worked off even
when the wire is gone. What waits is bounded by its cost; a reader that submits more waits, and so does the server
behind it. The bound is far above what a server lets go unacknowledged: a job may be waiting for an answer that comes
behind all this, and would wait in vain once nothing is read. A lane whose jobs never wait for anything lets the others
have their turn now and then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

TURN: Final = 32
"""How much of one kind is done at a stretch before everything else on the loop has its turn."""
LIMIT: Final = 32 << 20
"""Cost of all that may wait: bytes, with a job's own among them."""
OVERHEAD: Final = 1_024
"""What a job costs beside the stanza it is about."""
Job: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """One lane at one moment."""

    name: str
    waiting: int
    """Jobs behind the one under way."""
    busy: float
    """Seconds since the job under way began."""


@dataclass(slots=True)
class _Lane:
    jobs: deque[tuple[Job, int]]
    """With their costs."""
    since: float
    """The loop's time when the job under way began."""


class Lanes:
    """A family of serial workers.

    Args:
        on_error: told of a job that raised; the lane goes on with its next job.
        limit: cost of the jobs that may wait over all lanes; one always may.
    """

    def __init__(self, on_error: Callable[[str, Exception], None], limit: int = LIMIT) -> None:
        self._on_error = on_error
        self._limit = limit
        self._cost = 0
        self._room = asyncio.Event()
        self._lanes: dict[str, _Lane] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def submit(self, name: str, job: Job, cost: int = 1) -> None:
        """Queue a job behind the earlier ones of its lane."""
        while self._cost and self._cost + cost > self._limit:
            self._room.clear()
            await self._room.wait()
        self._cost += cost
        if name in self._lanes:
            self._lanes[name].jobs.append((job, cost))
            return
        self._loop = asyncio.get_running_loop()
        self._lanes[name] = _Lane(deque([(job, cost)]), self._loop.time())
        worker = asyncio.create_task(self._work(name, self._loop), name=f"waton-lane-{name.partition('@')[2]}")
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def _work(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        lane, done = self._lanes[name], 0
        while lane.jobs:
            job, cost = lane.jobs.popleft()
            lane.since = loop.time()
            try:
                await job()
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                # Something the job waited for was cancelled, not the lane.
                self._on_error(name, RuntimeError(str(error) or "cancelled"))
            except Exception as error:  # noqa: BLE001  one stanza must not stop those behind it; the owner is told
                self._on_error(name, error)
            finally:
                self._release(cost)
            done += 1
            if done % TURN == 0:
                await asyncio.sleep(0)
        del self._lanes[name]

    def load(self) -> tuple[LaneLoad, ...]:
        """What every busy lane is at, the longest busy first; empty when there is nothing to do."""
        if self._loop is None:
            return ()
        now = self._loop.time()
        loads = (LaneLoad(name, len(lane.jobs), now - lane.since) for name, lane in self._lanes.items())
        return tuple(sorted(loads, key=lambda load: -load.busy))

    def is_busy(self, name: str) -> bool:
        """True when this lane has something to do."""
        return name in self._lanes

    @property
    def is_idle(self) -> bool:
        """True when no job runs or waits."""
        return not self._lanes

    async def drain(self) -> None:
        """Wait until every submitted job is done."""
        while self._workers:
            await asyncio.wait(self._workers)

    async def close(self, timeout: float) -> None:
        """Give the jobs under way `timeout` seconds, then cancel what is left."""
        if self._workers:
            _, late = await asyncio.wait(self._workers, timeout=timeout)
            for worker in late:
                worker.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for lane in self._lanes.values():
            self._release(sum(cost for _, cost in lane.jobs))
        self._lanes.clear()

    def _release(self, cost: int) -> None:
        self._cost -= cost
        self._room.set()
