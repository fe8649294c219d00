"""The one order of things: decode, persist, acknowledge, emit.

A `Step` is one unit of work. While it is open, code reads and writes records, names transitions and queues events and
acknowledgements. Leaving it seals everything as one unit of the store; when that unit is on the disk the
acknowledgements go out, and only then the events reach subscribers. A crash at any point loses nothing and repeats
nothing: before the commit the server still has the stanza; after it the event is in the outbox and is emitted again at
the next start, marked so.

Who sends must not put on the wire what a crash could undo, so leaving a step waits until it is through, unless told
otherwise. Who receives need not wait: with `wait=False` the block is left as soon as its writes are visible to the next
step, many units share one commit, and acknowledging and emitting follow by themselves. Either way steps get through in
the order in which they were sealed.

What is not on the disk is neither acknowledged nor emitted. After a commit that failed the store takes nothing more;
the owner is told, and ends the connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, TypeAlias

from waton.client.events import (
    ConnectionUpdate,
    DurableEvent,
    Event,
    TransientEvent,
    from_payload,
    message_of,
    to_payload,
)
from waton.client.events import lane_of as conversation_of
from waton.client.handlers import Handlers, Parcel, Subscriber
from waton.client.lanes import TURN, LaneLoad
from waton.errors import Disconnected, DisconnectReason, StorageError
from waton.ports import Clock, RecordKind, Store, StoredEvent, UnitOfWork
from waton.protocol.binary_node import Node
from waton.protocol.trace import Layer, Tracer, Way
from waton.utils.flat_json import flat_json

Send: TypeAlias = Callable[[Node, int | None], Awaitable[None]]
HANDLER_TIMEOUT: Final = 30.0
"""Seconds that a handler may hold up its conversation."""
MOST_SEALED: Final = 2048
"""Steps that may be on their way to the disk; a receiver's step beyond them waits for its turn."""


class Step:
    """One unit of work under way; see EventPipeline.step."""

    __slots__ = ("acks", "afterwards", "epoch", "events", "parent", "transitions", "unit")

    def __init__(self, unit: UnitOfWork, parent: int | None, epoch: int = 0) -> None:
        self.unit = unit
        self.parent = parent
        self.epoch = epoch
        self.acks: list[Node] = []
        self.afterwards: list[Callable[[], Awaitable[None]]] = []
        self.events: list[tuple[int, DurableEvent, bytes]] = []
        self.transitions: list[tuple[str, dict[str, str | int]]] = []

    def load(self, kind: RecordKind, key: str) -> Coroutine[Any, Any, bytes | None]:
        """A record, this step's own writes included."""
        return self.unit.load(kind, key)

    def load_many(self, kind: RecordKind, keys: Iterable[str]) -> Coroutine[Any, Any, dict[str, bytes]]:
        """Those of the records that exist, this step's own writes included."""
        return self.unit.load_many(kind, keys)

    def save(self, kind: RecordKind, key: str, value: bytes | None, *, until: float | None = None) -> None:
        """Write a record at commit; None deletes. until: Unix seconds after which it may be forgotten."""
        self.unit.save(kind, key, value, until=until)

    def emit(self, event: DurableEvent) -> None:
        """Store an event with this step and hand it out after the commit."""
        payload = to_payload(event)
        self.events.append((self.unit.emit(event.type, payload), event, payload))

    def acknowledge(self, node: Node) -> None:
        """Send this stanza after the commit."""
        self.acks.append(node)

    def then(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do this after the commit, before anything is acknowledged. It must be quick, and may not open a step."""
        self.afterwards.append(work)

    def transition(self, machine: str, before: str, after: str, **detail: str | int) -> None:
        """Name what this step does. Detail holds no secrets."""
        self.unit.transition(machine, before, after, detail)
        self.transitions.append((machine, {"before": before, "after": after, **detail}))


class _Block:
    """The block in which a step is open."""

    __slots__ = ("_pipeline", "_send", "_step", "_waits")

    def __init__(self, pipeline: EventPipeline, step: Step, send: Send | None, *, waits: bool) -> None:
        self._pipeline = pipeline
        self._step = step
        self._send = send
        self._waits = waits

    async def __aenter__(self) -> Step:
        return self._step

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._pipeline.leave(self._step, self._send, waits=self._waits)
        else:
            self._step.unit.drop()


@dataclass(slots=True, eq=False)
class _Sealed:
    """A step on its way to the disk, the server and the subscribers."""

    step: Step
    send: Send | None
    durable: Awaitable[None]
    through: asyncio.Future[None] | None
    """Who waits until it is there."""

    def settle(self, error: BaseException | None) -> None:
        """Let go who waits."""
        if self.through is None or self.through.done():
            return
        if error is None:
            self.through.set_result(None)
        else:
            self.through.set_exception(error)


class EventPipeline:
    """Runs steps and hands out events.

    Args:
        store: the account.
        tracer, clock: for traces.
        handler_timeout: seconds after which a subscriber's handler is reported as slow and its conversation goes on
            without it; None waits for ever.
        on_failure: told once, of the first commit that failed.
    """

    def __init__(
        self,
        store: Store,
        tracer: Tracer,
        clock: Clock,
        *,
        handler_timeout: float | None = HANDLER_TIMEOUT,
        on_failure: Callable[[StorageError], None] | None = None,
    ) -> None:
        self._store = store
        self._tracer = tracer
        self._clock = clock
        self._on_failure = on_failure
        self._handlers = Handlers(self._mark_handled, self._report, handler_timeout)
        self._sealed: deque[_Sealed] = deque()
        """In the order of their seals."""
        self._finisher: asyncio.Task[None] | None = None
        self._epoch = 0
        """How often everything was forgotten: a step from before is left no more."""
        self._clearing: Step | None = None
        self.failures = 0
        """How many times a handler raised or was slow, an acknowledgement could not be written, or an event not read
        or not marked as handled."""
        self.failure: StorageError | None = None
        """Why nothing is committed any more."""

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with every event from now on; returns the way to stop that."""
        return self._handlers.subscribe(subscriber)

    def load(self) -> tuple[LaneLoad, ...]:
        """How many events wait in each lane, and for how long its present handler has been at it."""
        return self._handlers.load()

    async def start(self) -> None:
        """Emit again what was committed and not handled, then start handing out events.

        Raises:
            StorageError: the store cannot be read.
        """
        self._handlers.start(self._left_over(await self._store.pending_events()))

    def _left_over(self, stored: Iterable[StoredEvent]) -> list[tuple[str, Parcel]]:
        parcels: list[tuple[str, Parcel]] = []
        for one in stored:
            try:
                event = from_payload(one.type, one.payload)
            except StorageError as error:
                # A newer waton's, or damaged: it stays where it is, and must not keep the others from being told.
                self._report("outbox.unreadable", {"error": type(error).__name__}, None)
                continue
            parcels.append((lane_of(event), Parcel(one.id, event, None)))
        return parcels

    async def close(self, patience: float | None = None) -> None:
        """Finish what is sealed, hand out what is queued, then stop.

        Called by a subscriber, it cannot wait for itself: what is queued then stays in the outbox for the next start.

        Args:
            patience: seconds that a handler may take from now on, if the handler timeout is not shorter.
        """
        while self._finisher is not None and self._finisher is not asyncio.current_task():
            await asyncio.wait([self._finisher])
        await self._handlers.close(patience)

    # --- steps --------------------------------------------------------------------------------------------------------

    def step(self, send: Send | None = None, *, parent: int | None = None, wait: bool = True) -> _Block:
        """One unit of work, for `async with ... as step`: sealed when the block ends, dropped when it raises.

        Args:
            send: writes acknowledgements; a connection lost meanwhile is no error, the server will ask again.
            parent: seq of the trace this follows from.
            wait: leave the block when all is on the disk, acknowledged and queued for the subscribers; False leaves it
                at once, for receivers.
        Raises:
            StorageError: the store takes nothing any more; or, at the end of the block, this unit is not on the disk.
            Disconnected: at the end of the block: everything was forgotten meanwhile.
        """
        return _Block(self, Step(self._store.begin(), parent, self._epoch), send, waits=wait)

    @asynccontextmanager
    async def clearing(self) -> AsyncGenerator[Step]:
        """The unit of work in which everything is forgotten; to be left like one of step().

        Steps that are open meanwhile raise Disconnected when they are left: what they wrote is of what is gone, and
        would be found by those who come after.
        """
        async with self.step() as step:
            self._clearing = step
            try:
                yield step
            finally:
                self._clearing = None
                self._epoch = step.epoch = self._epoch + 1

    async def leave(self, step: Step, send: Send | None, *, waits: bool) -> None:
        """The end of a step's block; see step()."""
        if step.epoch != self._epoch or self._clearing not in (None, step):
            step.unit.drop()
            raise Disconnected(DisconnectReason.LOGGED_OUT)
        durable = step.unit.seal()
        through: asyncio.Future[None] | None = None
        if waits or len(self._sealed) >= MOST_SEALED:
            through = asyncio.get_running_loop().create_future()
        self._sealed.append(_Sealed(step, send, durable, through))
        if self._finisher is None:
            self._finisher = asyncio.create_task(self._finish_sealed(), name="waton-finisher")
        if through is not None:
            await through

    async def _finish_sealed(self) -> None:
        done = 0
        try:
            while self._sealed:
                done += 1
                if done % TURN == 0:
                    await asyncio.sleep(0)
                sealed = self._sealed.popleft()
                try:
                    await sealed.durable
                    await self._finish(sealed.step, sealed.send)
                except StorageError as error:
                    self._fail(sealed, error)
                except BaseException as error:
                    sealed.settle(error)
                    if not isinstance(error, Exception):
                        raise
                    # A fault of ours; those behind it are on the disk and must be told.
                    self._report("step.failed", {"error": type(error).__name__}, sealed.step.parent)
                else:
                    sealed.settle(None)
        finally:
            self._finisher = None

    async def _finish(self, step: Step, send: Send | None) -> None:
        """What follows when a step is on the disk."""
        now, number = self._clock.now(), step.unit.number
        for machine, detail in step.transitions:
            self._tracer.add(
                Layer.STATE,
                Way.LOCAL,
                machine,
                at=now,
                parent=step.parent,
                detail=flat_json(detail),
                transition=number,
            )
        for work in step.afterwards:
            await work()
        if send is not None:
            await self._acknowledge(step.acks, send, step.parent)
        for id, event, payload in step.events:
            trace = self._trace_event(event, payload, step.parent, number)
            self._handlers.put(lane_of(event), Parcel(id, event, trace))

    async def _acknowledge(self, acks: Iterable[Node], send: Send, parent: int | None) -> None:
        for ack in acks:
            try:
                await send(ack, parent)
            except Disconnected:
                return
            except Exception as error:  # noqa: BLE001  an ack that cannot be written must not hold up what is durable
                self._report("ack.failed", {"error": type(error).__name__}, parent)

    def _fail(self, sealed: _Sealed, error: StorageError) -> None:
        sealed.settle(error)
        if self.failure is None:
            self.failure = error
            self._report("commit.failed", {"error": type(error).__name__}, sealed.step.parent)
            if self._on_failure is not None:
                self._on_failure(error)

    # --- events -------------------------------------------------------------------------------------------------------

    def publish(self, event: TransientEvent, parent: int | None = None) -> None:
        """Hand out an event that need not survive a crash."""
        self._handlers.put(lane_of(event), Parcel(None, event, self._trace_event(event, b"", parent, None)))

    def _trace_event(self, event: Event, payload: bytes, parent: int | None, transition: int | None) -> int:
        # A connection.update may hold the QR's secret, so only its status is kept.
        detail = flat_json({"status": event.status.value}) if isinstance(event, ConnectionUpdate) else ""
        return self._tracer.add(
            Layer.EVENT,
            Way.LOCAL,
            event.type,
            at=self._clock.now(),
            parent=parent,
            id=_id_of(event),
            data=payload,
            detail=detail,
            transition=transition,
        )

    def _mark_handled(self, id: int) -> None:
        try:
            self._store.mark_handled([id])
        except StorageError as error:
            # It stays in the outbox and is told again at the next start.
            self._report("outbox.failed", {"error": type(error).__name__}, None)

    def _report(self, name: str, detail: dict[str, str | float], trace: int | None) -> None:
        self.failures += 1
        self._tracer.add(Layer.EVENT, Way.LOCAL, name, at=self._clock.now(), parent=trace, detail=flat_json(detail))


def lane_of(event: Event) -> str:
    """What an event keeps its order within: its conversation, or the account's own affairs."""
    return conversation_of(event) or "connection"


def _id_of(event: Event) -> str:
    """The message an event is about, for its trace."""
    key = message_of(event)
    return "" if key is None else key.id
