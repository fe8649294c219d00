"""The one order: commit, acknowledge, emit; and what a crash between any two of them leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.client.worlds import StandingClock, settle
from tests.unit.protocol.wires import NOW
from waton.client import event_pipeline
from waton.client.event_pipeline import EventPipeline, Step
from waton.client.events import (
    ConnectionStatus,
    ConnectionUpdate,
    CredentialsUpdate,
    Event,
    MessageKey,
    MessageStatus,
    MessagesUpdate,
    MessagesUpsert,
    to_payload,
)
from waton.errors import Disconnected, DisconnectReason, LocalProtocolError, StorageError
from waton.jid import SERVER, Jid
from waton.ports import RecordKind
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.trace import Layer, Trace, Tracer, Way

ADA = Jid.parse("4915000000001@s.whatsapp.net")


BEA = Jid.parse("4915000000002@s.whatsapp.net")


def upsert(id: str, chat: Jid = ADA) -> MessagesUpsert:
    return MessagesUpsert(MessageKey(chat, id, False, chat), proto.Message(conversation=f"text {id}"), 5)


class Crash(BaseException):
    """The process ends here."""


class Store(MemoryStore):
    """Writes down its commits and what was handled."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log

    def land(self, count: int | None = None) -> None:
        super().land(count)
        self.log.append("commit")

    def mark_handled(self, ids: Iterable[int]) -> None:
        handled = list(ids)
        super().mark_handled(handled)
        self.log.append(f"handled {handled}")


class World:
    """A pipeline over a store, with a log of everything in order."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.log: list[str] = []
        self.store = store or Store(self.log)
        self.traces: list[Trace] = []
        self.faults: list[str] = []
        self.pipeline = EventPipeline(
            self.store,
            Tracer(self.traces.extend, first=100),
            StandingClock(),
            on_failure=lambda error: self.faults.append(str(error)),
        )
        self.got: list[Event] = []

    def take(self, event: Event) -> None:
        self.got.append(event)
        self.log.append(f"emit {event.key.id if isinstance(event, MessagesUpsert) else event.type}")

    async def send(self, node: Node, parent: int | None) -> None:
        self.log.append(f"{node.tag} {node.attrs['id']} for {parent}")

    async def step(
        self,
        *ids: str,
        error: BaseException | None = None,
        wait: bool = True,
        chat: Jid = ADA,
        opened: list[Step] | None = None,
    ) -> None:
        async with self.pipeline.step(self.send, parent=7, wait=wait) as step:
            if opened is not None:
                opened.append(step)
            for id in ids:
                step.save(RecordKind.SETTING, id, b"written")
                step.emit(upsert(id, chat))
                step.acknowledge(Node("ack", {"id": id}))
                step.transition("message", "new", "received", id=id)
            if error is not None:
                raise error
            self.log.append("leave")


@asynccontextmanager
async def running(world: World) -> AsyncGenerator[World]:
    world.pipeline.subscribe(world.take)
    await world.pipeline.start()
    try:
        yield world
    finally:
        await world.pipeline.close()


# --- the order --------------------------------------------------------------------------------------------------------


async def test_commit_then_acknowledge_then_emit_then_handled() -> None:
    async with running(World()) as world:
        await world.step("a")
    assert world.log == ["leave", "commit", "ack a for 7", "emit a", "handled [1]"]
    assert world.store.records == {(RecordKind.SETTING, "a"): b"written"}
    assert await world.store.pending_events() == []


async def test_all_of_a_step_is_acknowledged_before_any_of_it_is_emitted() -> None:
    async with running(World()) as world:
        await world.step("a", "b")
    assert world.log == [
        "leave",
        "commit",
        "ack a for 7",
        "ack b for 7",
        "emit a",
        "handled [1]",
        "emit b",
        "handled [2]",
    ]


async def test_events_come_in_the_order_of_commits() -> None:
    async with running(World()) as world:
        for id in "abc":
            await world.step(id)
    assert [event.key.id for event in world.got if isinstance(event, MessagesUpsert)] == ["a", "b", "c"]
    assert not any(event.redelivered for event in world.got if isinstance(event, MessagesUpsert))


async def test_a_step_that_raises_leaves_no_trace_of_itself() -> None:
    failed: list[Step] = []
    async with running(World()) as world:
        with pytest.raises(RuntimeError):
            await world.step("a", error=RuntimeError(), opened=failed)
        await settle()
        assert (world.log, world.got, world.traces) == ([], [], [])
        assert world.store.records == {}
        assert world.store.transitions == []
        assert await world.store.pending_events() == []
        with pytest.raises(LocalProtocolError):
            failed[0].save(RecordKind.SETTING, "a", b"late")
        await world.step("b")
    assert [line for line in world.log if line.startswith("emit")] == ["emit b"]


async def test_a_commit_that_fails_acknowledges_and_emits_nothing() -> None:
    async with running(World()) as world:
        world.store.is_slow = True
        first = asyncio.create_task(world.step("a"))
        await world.step("b", wait=False)
        await settle()
        assert world.log == ["leave", "leave"]
        world.store.fail()
        with pytest.raises(StorageError, match="full"):
            await first
        with pytest.raises(StorageError, match="full"):
            await world.step("c")
        await settle()
        assert world.log == ["leave", "leave"]
        assert world.got == []
        assert world.faults == ["storage, memory: the disk is full"], "told once"
        assert world.pipeline.failure is not None
        assert [trace.name for trace in world.traces] == ["commit.failed"]


async def test_a_step_reads_what_it_wrote() -> None:
    world = World()
    async with world.pipeline.step() as step:
        step.save(RecordKind.SETTING, "a", b"1")
        assert await step.load(RecordKind.SETTING, "a") == b"1"
        assert await step.load_many(RecordKind.SETTING, ["a", "b"]) == {"a": b"1"}
        assert await world.store.load(RecordKind.SETTING, "a") is None


async def test_a_wire_lost_between_commit_and_acknowledgement_is_no_error() -> None:
    world = World()
    sent: list[Node] = []

    async def lost(node: Node, parent: int | None) -> None:
        sent.append(node)
        raise Disconnected(DisconnectReason.CLOSED)

    async with running(world), world.pipeline.step(lost) as step:
        for id in "ab":
            step.emit(upsert(id))
            step.acknowledge(Node("ack", {"id": id}))
    assert len(sent) == 1  # the rest has no wire to go over either
    assert [line for line in world.log if line.startswith("emit")] == ["emit a", "emit b"]


async def test_what_follows_the_commit_is_done_before_anything_is_acknowledged() -> None:
    async with running(World()) as world, world.pipeline.step(world.send, parent=7) as step:
        step.then(lambda: world.send(Node("message", {"id": "m"}), None))
        step.emit(upsert("a"))
        step.acknowledge(Node("ack", {"id": "a"}))
    assert world.log[:4] == ["commit", "message m for None", "ack a for 7", "emit a"]


async def test_an_acknowledgement_that_cannot_be_written_holds_up_nobody() -> None:
    async def broken(node: Node, parent: int | None) -> None:
        raise ValueError("cannot be encoded")

    async with running(World()) as world:
        async with world.pipeline.step(broken) as step:
            step.emit(upsert("a"))
            step.acknowledge(Node("ack", {"id": "a"}))
        await world.step("b")
    assert [line for line in world.log if line.startswith("emit")] == ["emit a", "emit b"]
    assert [trace.name for trace in world.traces].count("ack.failed") == 1
    assert world.pipeline.failures == 1


# --- receivers: sealed and gone -------------------------------------------------------------------------------------


async def test_who_receives_does_not_wait_and_what_was_written_is_there_at_once() -> None:
    async with running(World()) as world:
        world.store.is_slow = True
        await world.step("a", wait=False)
        await world.step("b", wait=False)
        async with world.pipeline.step(wait=False) as third:
            assert await third.load(RecordKind.SETTING, "b") == b"written"
        await settle()
        assert world.log == ["leave", "leave"]
        assert world.got == []
        world.store.land(1)
        await settle()
        assert world.log[2:] == ["commit", "ack a for 7", "emit a", "handled [1]"]
        world.store.land(2)
        await settle()
        assert world.log[6:] == ["commit", "ack b for 7", "emit b", "handled [2]"]


async def test_acknowledgements_and_events_follow_in_the_order_of_the_seals_whoever_waits() -> None:
    async with running(World()) as world:
        world.store.is_slow = True
        waiting: list[asyncio.Task[None]] = []
        for number, id in enumerate("abcdef"):
            if number % 2:
                waiting.append(asyncio.create_task(world.step(id)))
                await settle()
            else:
                await world.step(id, wait=False)
        world.store.land()
        await asyncio.gather(*waiting)
        await settle()
    assert [line.split()[1] for line in world.log if line.startswith("ack")] == list("abcdef")
    assert [line.split()[1] for line in world.log if line.startswith("emit")] == list("abcdef")


async def test_a_waiting_step_is_left_when_it_is_acknowledged_and_not_before() -> None:
    async with running(World()) as world:
        world.store.is_slow = True
        await world.step("a", wait=False)
        waiting = asyncio.create_task(world.step("b"))
        await settle()
        world.store.land(1)
        await settle()
        assert not waiting.done()
        world.store.land(1)
        await waiting
        assert "ack b for 7" in world.log


async def test_who_stops_waiting_takes_nothing_back() -> None:
    async with running(World()) as world:
        world.store.is_slow = True
        waiting = asyncio.create_task(world.step("a"))
        await settle()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        world.store.land()
        await world.step("b", wait=False)
        world.store.land()
        await settle()
    assert [line for line in world.log if line.startswith("emit")] == ["emit a", "emit b"]


async def test_closing_waits_for_what_is_sealed() -> None:
    world = World()
    world.pipeline.subscribe(world.take)
    await world.pipeline.start()
    world.store.is_slow = True
    await world.step("a", wait=False)
    closing = asyncio.create_task(world.pipeline.close())
    await settle()
    assert not closing.done()
    world.store.land()
    await closing
    assert world.log[-2:] == ["emit a", "handled [1]"]


async def test_when_much_lands_at_once_the_first_is_told_before_the_last_is_acknowledged() -> None:
    async with running(World()) as world:
        world.store.is_slow = True
        for number in range(200):
            await world.step(str(number), wait=False)
        world.store.land()
        await settle()
    assert world.log.index("emit 0") < world.log.index("ack 199 for 7")
    assert [line.split()[1] for line in world.log if line.startswith("emit")] == [str(number) for number in range(200)]


async def test_a_receiver_that_is_far_ahead_of_the_disk_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_pipeline, "MOST_SEALED", 3)
    async with running(World()) as world:
        world.store.is_slow = True
        for id in "abcd":  # one is with the finisher, three wait
            await world.step(id, wait=False)
            await settle()
        ahead = asyncio.create_task(world.step("e", wait=False))
        await settle()
        assert not ahead.done()
        world.store.land(4)
        await settle()
        assert not ahead.done()
        world.store.land(1)
        await ahead


async def test_a_fault_in_one_step_is_reported_and_those_behind_it_are_told() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    async with running(World()) as world:
        with pytest.raises(ZeroDivisionError):
            async with world.pipeline.step() as step:
                step.then(broken)
        async with world.pipeline.step(wait=False) as step:
            step.then(broken)
        await world.step("b")
    assert [line for line in world.log if line.startswith("emit")] == ["emit b"]
    assert [trace.name for trace in world.traces].count("step.failed") == 2


# --- crashes ----------------------------------------------------------------------------------------------------------


async def restarted(world: World) -> list[Event]:
    """What the next process emits over the same store."""
    async with running(World(world.store)) as again:
        pass
    return again.got


async def test_a_crash_between_commit_and_acknowledgement_loses_nothing() -> None:
    class CrashingWire(World):
        async def send(self, node: Node, parent: int | None) -> None:
            raise Crash

    world = CrashingWire()
    world.pipeline.subscribe(world.take)
    with pytest.raises(Crash):
        await world.step("a")
    await settle()
    assert world.got == []
    assert [trace.layer for trace in world.traces] == [Layer.STATE], "nothing is reported by who is dead"
    assert await restarted(world) == [replace(upsert("a"), redelivered=True)]
    assert await restarted(world) == []


async def test_a_crash_between_commit_and_emit_loses_nothing() -> None:
    world = World()  # never started: nobody hands anything out
    await world.step("a", "b")
    assert await restarted(world) == [replace(upsert(id), redelivered=True) for id in "ab"]
    assert await restarted(world) == []


async def test_a_crash_before_the_commit_has_nothing_to_repeat() -> None:
    world = World()
    with pytest.raises(Crash):
        await world.step("a", error=Crash())
    assert world.log == []
    assert await restarted(world) == []


async def test_a_crash_inside_a_subscriber_tells_the_event_again() -> None:
    world = World()
    stuck = asyncio.Event()

    async def never_returns(event: Event) -> None:
        stuck.set()
        await asyncio.Event().wait()

    world.pipeline.subscribe(never_returns)
    await world.pipeline.start()
    await world.step("a")
    await stuck.wait()
    workers = world.pipeline._handlers._workers
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert await restarted(world) == [replace(upsert("a"), redelivered=True)]


async def test_what_is_left_over_comes_before_what_is_new() -> None:
    world = World()
    await world.step("1")
    await world.step("2", chat=BEA)
    await world.step("3")
    async with running(World(world.store)) as again:
        await again.step("4")
    assert [event for event in again.got if isinstance(event, MessagesUpsert) and event.key.chat == ADA] == [
        replace(upsert("1"), redelivered=True),
        replace(upsert("3"), redelivered=True),
        upsert("4"),
    ]
    assert len(again.got) == 4


async def test_what_was_emitted_before_the_start_is_told_once() -> None:
    world = World()
    await world.step("a")
    world.pipeline.publish(CredentialsUpdate(("me",)))
    async with running(world):
        pass
    assert [event.type for event in world.got] == ["messages.upsert", "creds.update"]


async def test_an_event_that_cannot_be_read_keeps_no_other_from_being_told() -> None:
    world = World()
    async with world.store.unit() as unit:
        unit.emit("messages.of-tomorrow", b"{}")
        unit.emit("messages.upsert", b"damaged")
    await world.step("a")
    again = World(world.store)
    async with running(again):
        pass
    assert again.got == [replace(upsert("a"), redelivered=True)]
    assert [stored.id for stored in await world.store.pending_events()] == [1, 2]
    assert [trace.name for trace in again.traces].count("outbox.unreadable") == 2


# --- subscribers ------------------------------------------------------------------------------------------------------


async def test_one_that_raises_does_not_stop_the_others_nor_the_next_event() -> None:
    world = World()

    def broken(event: Event) -> None:
        raise RuntimeError("4915000000001 said attack at dawn")

    async def broken_later(event: Event) -> None:
        await asyncio.sleep(0)
        raise KeyError

    world.pipeline.subscribe(broken)
    world.pipeline.subscribe(broken_later)
    async with running(world):
        await world.step("a")
        await world.step("b")
    assert [line for line in world.log if line.startswith(("emit", "handled"))] == [
        "emit a",
        "handled [1]",
        "emit b",
        "handled [2]",
    ]
    assert world.pipeline.failures == 4
    told = [trace for trace in world.traces if trace.name == "handler.failed"]
    assert [json.loads(trace.detail) for trace in told] == [{"error": "RuntimeError"}, {"error": "KeyError"}] * 2
    by_seq = {trace.seq: trace for trace in world.traces}
    assert {by_seq[trace.parent or 0].name for trace in told} == {"messages.upsert"}


async def test_an_event_is_handled_when_all_subscribers_have_returned() -> None:
    world = World()
    gate = asyncio.Event()

    async def slow(event: Event) -> None:
        await gate.wait()
        world.log.append("slow is done")

    async with running(world):
        world.pipeline.subscribe(slow)
        await world.step("a")
        await settle()
        assert [stored.id for stored in await world.store.pending_events()] == [1]
        gate.set()
    assert world.log[-2:] == ["slow is done", "handled [1]"]


async def test_who_has_unsubscribed_is_not_called() -> None:
    world = World()
    got: list[Event] = []
    stop = world.pipeline.subscribe(got.append)
    async with running(world):
        await world.step("a")
        await settle()
        stop()
        stop()
        await world.step("b")
    assert got == [upsert("a")]
    assert len(world.got) == 2


# --- traces -----------------------------------------------------------------------------------------------------------


async def test_a_step_is_traced_with_its_number_and_its_cause() -> None:
    world = World()
    await world.step("a")
    state, event = world.traces
    assert (state.layer, state.way, state.name, state.parent) == (Layer.STATE, Way.LOCAL, "message", 7)
    assert json.loads(state.detail) == {"before": "new", "after": "received", "id": "a"}
    assert (event.layer, event.name, event.id, event.parent) == (Layer.EVENT, "messages.upsert", "a", 7)
    assert event.data == to_payload(upsert("a"))
    assert {(trace.transition, trace.at) for trace in world.traces} == {(1, NOW)}


async def test_a_qr_is_told_and_not_kept() -> None:
    async with running(World()) as world:
        world.pipeline.publish(ConnectionUpdate(ConnectionStatus.QR, qr="https://wa.me/#secret", me=ADA))
        world.pipeline.publish(CredentialsUpdate(("me",)))
    assert [event.type for event in world.got] == ["connection.update", "creds.update"]
    assert world.log == ["emit connection.update", "emit creds.update"]  # nothing in the outbox
    for trace in world.traces:
        assert b"secret" not in trace.data
        assert "secret" not in trace.detail
        assert "4915" not in trace.detail
    assert json.loads(world.traces[0].detail) == {"status": "qr"}


async def test_every_durable_event_is_stored_as_what_it_is() -> None:
    world = World()
    update = MessagesUpdate(MessageKey(ADA, "a", True, ADA), MessageStatus.SERVER_ACK, SERVER, 5)
    async with world.pipeline.step() as step:
        step.emit(update)
        step.emit(upsert("b"))
    assert [stored.type for stored in await world.store.pending_events()] == ["messages.update", "messages.upsert"]
    assert await restarted(world) == [replace(update, redelivered=True), replace(upsert("b"), redelivered=True)]


async def test_a_subscriber_may_close_the_pipeline_and_the_rest_is_told_next_time() -> None:
    world = World()

    async def leave(event: Event) -> None:
        world.got.append(event)
        await world.pipeline.close()

    world.pipeline.subscribe(leave)
    await world.pipeline.start()
    async with world.pipeline.step() as step:
        step.emit(upsert("1"))
        step.emit(upsert("2"))
    async with asyncio.timeout(1):
        while not world.got:
            await settle()
    await settle()
    assert [stored.type for stored in await world.store.pending_events()] == ["messages.upsert"]
    assert len(world.got) == 1


async def test_an_event_that_cannot_be_marked_is_reported_and_the_next_is_told() -> None:
    class Full(Store):
        def mark_handled(self, ids: Iterable[int]) -> None:
            raise StorageError("outbox", "the disk is full")

    world = World(Full([]))
    world.pipeline.subscribe(world.got.append)
    await world.pipeline.start()
    async with world.pipeline.step() as step:
        step.emit(upsert("1"))
        step.emit(upsert("2"))
    await world.pipeline.close()
    assert [event.key.id for event in world.got if isinstance(event, MessagesUpsert)] == ["1", "2"]
    assert world.pipeline.failures == 2
    assert [trace.name for trace in world.traces].count("outbox.failed") == 2
