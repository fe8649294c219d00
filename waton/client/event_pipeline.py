"""The one order of things: decode, persist, acknowledge, emit.

A `Step` is one unit of work. While it is open, code reads and writes records, names transitions and queues events and
acknowledgements. Leaving it commits everything in one transaction; only then the acknowledgements go out, and only then
the events reach subscribers. A crash at any point loses nothing and repeats nothing: before the commit the server still
has the stanza; after it the event is in the outbox and is emitted again at the next start, marked so.

Subscribers are called one event after the other, in commit order. One that raises is reported and does not stop the
next; an event counts as handled when all its subscribers have returned.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeAlias

from waton.client.events import ConnectionUpdate, CredentialsUpdate, DurableEvent, Event, from_payload, to_payload
from waton.errors import Disconnected, WatonError
from waton.ports import Clock, RecordKind, Store, UnitOfWork
from waton.protocol.binary_node import Node
from waton.protocol.trace import Layer, Tracer, Way

Subscriber: TypeAlias = Callable[[Event], None] | Callable[[Event], Awaitable[None]]
Send: TypeAlias = Callable[[Node, int | None], Awaitable[None]]


class Step:
    """One unit of work under way; see EventPipeline.step."""

    def __init__(self, unit: UnitOfWork, parent: int | None) -> None:
        self.unit = unit
        self.parent = parent
        self.acks: list[Node] = []
        self.events: list[tuple[int, DurableEvent]] = []
        self.transitions: list[tuple[str, str]] = []

    async def load(self, kind: RecordKind, key: str) -> bytes | None:
        """A record, this step's own writes included."""
        return await self.unit.load(kind, key)

    def save(self, kind: RecordKind, key: str, value: bytes | None, *, until: float | None = None) -> None:
        """Write a record at commit; None deletes. until: Unix seconds after which it may be forgotten."""
        self.unit.save(kind, key, value, until=until)

    def emit(self, event: DurableEvent) -> None:
        """Store an event with this step and hand it out after the commit."""
        self.events.append((self.unit.emit(event.type, to_payload(event)), event))

    def acknowledge(self, node: Node) -> None:
        """Send this stanza after the commit."""
        self.acks.append(node)

    def transition(self, machine: str, before: str, after: str, **detail: str | int) -> None:
        """Name what this step does. Detail holds no secrets."""
        self.unit.transition(machine, before, after, detail)
        self.transitions.append((machine, json.dumps({"before": before, "after": after, **detail})))


class EventPipeline:
    """Runs steps and hands out events."""

    def __init__(self, store: Store, tracer: Tracer, clock: Clock) -> None:
        self._store = store
        self._tracer = tracer
        self._clock = clock
        self._subscribers: list[Subscriber] = []
        self._queue: asyncio.Queue[tuple[int | None, Event, int | None]] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._is_left = False
        self.failures = 0
        """How many times a subscriber raised, or an event could not be marked as handled."""

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with every event from now on; returns the way to stop that."""
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe

    async def start(self) -> None:
        """Emit again what was committed and not handled, then start handing out events."""
        for stored in await self._store.pending_events():
            self._queue.put_nowait((stored.id, from_payload(stored.type, stored.payload), None))
        self._worker = asyncio.create_task(self._hand_out(), name="waton-events")

    async def close(self) -> None:
        """Hand out what is queued, then stop.

        Called by a subscriber, it cannot wait for itself: what is queued then stays in the outbox for the next start.
        """
        worker, self._worker = self._worker, None
        if worker is None:
            return
        if worker is asyncio.current_task():
            self._is_left = True
            return
        await self._queue.join()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)

    @asynccontextmanager
    async def step(self, send: Send | None = None, *, parent: int | None = None) -> AsyncGenerator[Step]:
        """One unit of work: committed when the block ends, dropped when it raises.

        Args:
            send: writes acknowledgements; a connection lost meanwhile is no error, the server will ask again.
            parent: seq of the trace this follows from.
        """
        async with self._store.unit() as unit:
            step = Step(unit, parent)
            yield step
        now = self._clock.now()
        for machine, detail in step.transitions:
            self._tracer.add(
                Layer.STATE, Way.LOCAL, machine, at=now, parent=parent, detail=detail, transition=unit.number
            )
        if send is not None:
            await self._acknowledge(step.acks, send, parent)
        for id, event in step.events:
            self._queue.put_nowait((id, event, self._trace_event(event, parent, unit.number)))

    async def _acknowledge(self, acks: Iterable[Node], send: Send, parent: int | None) -> None:
        for ack in acks:
            try:
                await send(ack, parent)
            except Disconnected:
                return

    def publish(self, event: ConnectionUpdate | CredentialsUpdate, parent: int | None = None) -> None:
        """Hand out an event that need not survive a crash."""
        self._queue.put_nowait((None, event, self._trace_event(event, parent, None)))

    def _trace_event(self, event: Event, parent: int | None, transition: int | None) -> int:
        durable = not isinstance(event, ConnectionUpdate | CredentialsUpdate)
        id = event.key.id if durable else ""
        # A connection.update may hold the QR's secret, so only its status is kept.
        detail = json.dumps({"status": event.status.value}) if isinstance(event, ConnectionUpdate) else ""
        return self._tracer.add(
            Layer.EVENT,
            Way.LOCAL,
            event.type,
            at=self._clock.now(),
            parent=parent,
            id=id,
            data=to_payload(event) if durable else b"",
            detail=detail,
            transition=transition,
        )

    async def _hand_out(self) -> None:
        while not self._is_left:
            id, event, trace = await self._queue.get()
            try:
                for subscriber in tuple(self._subscribers):
                    await self._call(subscriber, event, trace)
                if id is not None:
                    await self._store.mark_handled([id])
            except WatonError as error:
                # It stays in the outbox and is told again at the next start.
                self._report("outbox.failed", error, trace)
            finally:
                self._queue.task_done()

    async def _call(self, subscriber: Subscriber, event: Event, trace: int | None) -> None:
        try:
            outcome = subscriber(event)
            if inspect.isawaitable(outcome):
                await outcome
        except Exception as error:  # noqa: BLE001  a user's handler may raise anything; it must not stop the others
            self._report("handler.failed", error, trace)

    def _report(self, name: str, error: Exception, trace: int | None) -> None:
        self.failures += 1
        detail = json.dumps({"error": type(error).__name__})
        self._tracer.add(Layer.EVENT, Way.LOCAL, name, at=self._clock.now(), parent=trace, detail=detail)
