"""Handing out: each event to every subscriber, in order within its lane, lanes side by side.

A lane is one conversation, or the connection. In it one event follows the other, and for one event the subscribers are
called one after the other. One that raises is reported and hurts nobody. One that does not return within the timeout is
reported as slow and left running, and its lane goes on: with the subscribers behind it, then with the next event. So a
handler that hangs costs its own conversation some seconds an event, and the others nothing.

An event counts as handled when every call it was handed to has returned, however late. What was not handled by the end
stays in the store's outbox and is told again by the next process.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from waton.client.events import Event
from waton.client.lanes import TURN, LaneLoad

Subscriber: TypeAlias = Callable[[Event], None] | Callable[[Event], Awaitable[None]]
Report: TypeAlias = Callable[[str, dict[str, str | float], int | None], None]
"""Takes what happened, its detail, and the seq of the event's trace."""


@dataclass(slots=True, eq=False)
class Parcel:
    """One event on its way to the subscribers."""

    id: int | None
    """In the outbox; None for one that need not survive a crash."""
    event: Event
    trace: int | None
    open: int = 0
    """Calls that have not returned."""
    is_through: bool = False
    """Every subscriber was called."""


@dataclass(slots=True, eq=False)
class _Lane:
    name: str
    parcels: deque[Parcel] = field(default_factory=deque[Parcel])
    worker: asyncio.Task[None] | None = None
    """Who works here; a worker that finds another one here has been left behind."""
    parcel: Parcel | None = None
    calls: Iterator[Subscriber] = field(default_factory=lambda: iter(()))
    """Who has not been called with the present parcel."""
    since: float | None = None
    """The loop's time when the call began that is awaited now."""
    timer: asyncio.TimerHandle | None = None


class Handlers:
    """The subscribers, and what they have still to be told.

    Args:
        handled: told of each event's id when all calls have returned. Raises nothing.
        report: told of a handler that failed or is slow.
        timeout: seconds after which a handler is slow; None waits for ever.
    """

    def __init__(self, handled: Callable[[int], None], report: Report, timeout: float | None) -> None:
        self._handled = handled
        self._report = report
        self._timeout = timeout
        self._subscribers: list[Subscriber] = []
        self._lanes: dict[str, _Lane] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._early: list[tuple[str, Parcel]] | None = []
        """What came before the start."""
        self._ended = asyncio.Event()
        self._is_closing = False
        self._is_left = False

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with every event from now on; returns the way to stop that."""
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe

    def start(self, left: Iterable[tuple[str, Parcel]]) -> None:
        """Begin to hand out: what an earlier process left first, then what came before the start."""
        early, self._early = self._early or [], None
        known: set[int | None] = set()
        for lane, parcel in left:
            known.add(parcel.id)
            self.put(lane, parcel)
        for lane, parcel in early:
            if parcel.id is None or parcel.id not in known:
                self.put(lane, parcel)

    def put(self, lane: str, parcel: Parcel) -> None:
        """Queue a parcel behind the earlier ones of its lane."""
        if self._early is not None:
            self._early.append((lane, parcel))
            return
        found = self._lanes.get(lane)
        if found is None:
            found = self._lanes[lane] = _Lane(lane)
            self._engage(found)
        found.parcels.append(parcel)

    def load(self) -> tuple[LaneLoad, ...]:
        """What every lane is at that has something to hand out, the longest busy first."""
        if not self._lanes:
            return ()
        now = asyncio.get_running_loop().time()
        loads = (
            LaneLoad(lane.name, len(lane.parcels), 0.0 if lane.since is None else now - lane.since)
            for lane in self._lanes.values()
        )
        return tuple(sorted(loads, key=lambda load: -load.busy))

    async def close(self, patience: float | None) -> None:
        """Hand out what is queued, then stop, and cancel handlers that were left behind.

        Called by a handler, it cannot wait for itself: what is queued then stays in the outbox.

        Args:
            patience: seconds that a handler may take from now on, if the timeout is not shorter. A lane whose handler
                takes longer is given up, and what it holds stays in the outbox.
        """
        self._is_closing = True
        if asyncio.current_task() in self._workers:
            self._is_left = True
            return
        self._shorten(patience)
        while self._lanes:
            self._ended.clear()
            await self._ended.wait()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._early = []

    def _shorten(self, patience: float | None) -> None:
        if patience is None or (self._timeout is not None and self._timeout <= patience):
            return
        self._timeout = patience
        for lane in self._lanes.values():
            if lane.timer is not None:
                lane.timer.cancel()
                lane.timer = None
            if lane.since is not None:
                lane.since = asyncio.get_running_loop().time()
                self._watch(lane)

    # --- working a lane -----------------------------------------------------------------------------------------------

    def _engage(self, lane: _Lane) -> None:
        lane.worker = asyncio.create_task(self._work(lane), name=f"waton-events-{lane.name.partition('@')[2]}")
        self._workers.add(lane.worker)
        lane.worker.add_done_callback(self._workers.discard)

    async def _work(self, lane: _Lane) -> None:
        me, told = lane.worker, 0
        while not self._is_left:
            if lane.parcel is None:
                if not lane.parcels:
                    break
                lane.parcel, lane.calls = lane.parcels.popleft(), iter(tuple(self._subscribers))
            await self._tell(lane, lane.parcel)
            if lane.worker is not me:
                return
            told += 1
            if told % TURN == 0:
                await asyncio.sleep(0)
        self._end(lane)

    async def _tell(self, lane: _Lane, parcel: Parcel) -> None:
        """Call those who have not been called; stop when this worker was left behind in one of them."""
        me = lane.worker
        for subscriber in lane.calls:
            parcel.open += 1
            await self._call(lane, subscriber, parcel)
            parcel.open -= 1
            if lane.worker is not me:
                break
        else:
            parcel.is_through = True
            lane.parcel = None
        if parcel.is_through and not parcel.open and parcel.id is not None:
            self._handled(parcel.id)

    async def _call(self, lane: _Lane, subscriber: Subscriber, parcel: Parcel) -> None:
        me = lane.worker
        try:
            outcome = subscriber(parcel.event)
            if inspect.isawaitable(outcome):
                lane.since = asyncio.get_running_loop().time()
                self._watch(lane)
                await outcome
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Something the handler waited for was cancelled, not we.
            self._report("handler.failed", {"error": "CancelledError"}, parcel.trace)
        except Exception as error:  # noqa: BLE001  a user's handler may raise anything; it must not stop the others
            self._report("handler.failed", {"error": type(error).__name__}, parcel.trace)
        finally:
            if lane.worker is me:
                lane.since = None

    def _end(self, lane: _Lane) -> None:
        if lane.timer is not None:
            lane.timer.cancel()
        del self._lanes[lane.name]
        self._ended.set()

    # --- patience -----------------------------------------------------------------------------------------------------

    def _watch(self, lane: _Lane) -> None:
        """Look after the lane's timeout whether the same call is still awaited; one timer serves many calls."""
        if lane.timer is None and self._timeout is not None:
            lane.timer = asyncio.get_running_loop().call_later(self._timeout, self._look, lane, self._timeout)

    def _look(self, lane: _Lane, timeout: float) -> None:
        lane.timer = None
        if lane.since is None or lane.parcel is None:
            return
        loop = asyncio.get_running_loop()
        left = lane.since + timeout - loop.time()
        if left > 0:
            lane.timer = loop.call_later(left, self._look, lane, timeout)
            return
        self._report("handler.slow", {"seconds": timeout}, lane.parcel.trace)
        lane.since = None
        if self._is_closing:
            lane.worker = None
            self._end(lane)
        else:
            self._engage(lane)
