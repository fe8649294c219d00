"""Handing out: order within a lane, lanes side by side, and handlers that raise, hang or leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tests.unit.client.worlds import settle
from waton.client.events import CredentialsUpdate, Event
from waton.client.handlers import Handlers, Parcel


def event(lane: str, number: int) -> Event:
    return CredentialsUpdate((lane, str(number)))


def name(event: Event) -> str:
    assert isinstance(event, CredentialsUpdate)
    return "".join(event.what)


class World:
    """Handlers, what was handled, and what was reported."""

    def __init__(self, timeout: float | None = None) -> None:
        self.handled: list[int] = []
        self.reports: list[tuple[str, dict[str, str | float], int | None]] = []
        self.reported = asyncio.Event()
        self.handlers = Handlers(self.handled.append, self._report, timeout)
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self._ids = 0

    def _report(self, what: str, detail: dict[str, str | float], trace: int | None) -> None:
        self.reports.append((what, detail, trace))
        self.reported.set()

    def put(self, lane: str, *numbers: int) -> None:
        for number in numbers:
            self._ids += 1
            self.handlers.put(lane, Parcel(self._ids, event(lane, number), 100 + self._ids))

    def take(self, event: Event) -> None:
        self.log.append(name(event))

    async def gated(self, event: Event) -> None:
        """Waits for the event's gate, if it has one."""
        self.log.append(f"{name(event)} begins")
        if name(event) in self.gates:
            await self.gates[name(event)].wait()
        self.log.append(f"{name(event)} ends")

    def gate(self, *names: str) -> None:
        self.gates |= {name: asyncio.Event() for name in names}

    async def slow(self, count: int) -> None:
        """Wait until so many handlers were reported as slow."""
        async with asyncio.timeout(20):
            while len(self.reports) < count:
                self.reported.clear()
                await self.reported.wait()


@asynccontextmanager
async def started(timeout: float | None = None) -> AsyncGenerator[World]:
    world = World(timeout)
    world.handlers.start([])
    try:
        yield world
    finally:
        await world.handlers.close(0)


# --- order


async def test_one_lane_is_told_in_order_and_one_at_a_time() -> None:
    async with started() as world:
        world.handlers.subscribe(world.gated)
        world.gate("a1")
        world.put("a", 1, 2)
        await settle()
        assert world.log == ["a1 begins"]
        world.gates["a1"].set()
        await settle()
        world.put("a", 3)
        await settle()
    assert world.log == ["a1 begins", "a1 ends", "a2 begins", "a2 ends", "a3 begins", "a3 ends"]
    assert world.handled == [1, 2, 3]


async def test_a_handler_that_hangs_in_one_lane_holds_up_no_other() -> None:
    async with started() as world:
        world.handlers.subscribe(world.gated)
        world.gate("a1")
        world.put("a", 1, 2)
        world.put("b", 1, 2)
        await settle()
        assert world.log == ["a1 begins", "b1 begins", "b1 ends", "b2 begins", "b2 ends"]
        assert world.handled == [3, 4]
        world.gates["a1"].set()
        await settle()
        assert world.handled == [3, 4, 1, 2]


async def test_a_lane_with_much_to_tell_lets_others_have_their_turn() -> None:
    async with started() as world:
        world.handlers.subscribe(world.take)
        world.put("a", *range(200))
        world.put("b", 1)
        await settle()
    assert world.log.index("b1") < world.log.index("a40")
    assert len(world.handled) == 201


async def test_all_subscribers_are_told_one_event_before_any_is_told_the_next() -> None:
    async with started() as world:
        world.handlers.subscribe(world.gated)
        world.handlers.subscribe(world.take)
        world.put("a", 1, 2)
        await settle()
    assert world.log == ["a1 begins", "a1 ends", "a1", "a2 begins", "a2 ends", "a2"]


async def test_what_was_left_comes_first_and_nothing_is_told_twice() -> None:
    world = World()
    world.handlers.subscribe(world.take)
    world.put("a", 1, 2)
    world.handlers.put("a", Parcel(None, event("a", 3), None))
    await settle()
    assert world.log == []
    world.handlers.start([("a", Parcel(0, event("a", 0), None)), ("a", Parcel(1, event("a", 1), None))])
    await settle()
    assert world.log == ["a0", "a1", "a2", "a3"]
    assert world.handled == [0, 1, 2]
    await world.handlers.close(None)


# --- handlers that fail


async def test_one_that_raises_is_reported_and_hurts_nobody() -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("attack at dawn")

    async def waits_for_what_is_cancelled(event: Event) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answer.cancel()
        await answer

    async with started() as world:
        for subscriber in (broken, waits_for_what_is_cancelled, world.take):
            world.handlers.subscribe(subscriber)
        world.put("a", 1, 2)
        await settle()
    assert world.log == ["a1", "a2"]
    assert world.handled == [1, 2]
    errors = ["RuntimeError", "CancelledError"]
    assert world.reports == [("handler.failed", {"error": error}, trace) for trace in (101, 102) for error in errors]


async def test_after_the_timeout_a_handler_is_left_behind_and_its_lane_goes_on() -> None:
    async with started(0.01) as world:
        world.handlers.subscribe(world.gated)
        world.handlers.subscribe(world.take)
        world.gate("a1", "a3")
        world.put("a", 1, 2, 3, 4)
        await world.slow(2)
        await settle()
        assert world.log == [
            *("a1 begins", "a1", "a2 begins", "a2 ends", "a2"),
            *("a3 begins", "a3", "a4 begins", "a4 ends", "a4"),
        ]
        assert world.reports == [("handler.slow", {"seconds": 0.01}, trace) for trace in (101, 103)]
        assert world.handled == [2, 4], "what has not returned is not handled"
        world.gates["a1"].set()
        await settle()
        assert world.log[-1] == "a1 ends", "it was left running"
        assert world.handled == [2, 4, 1]
        assert world.log.count("a1") == 1, "who was told already is not told again"


async def test_who_comes_back_late_finds_his_lane_taken() -> None:
    async with started(0.01) as world:
        world.handlers.subscribe(world.gated)
        world.handlers.subscribe(world.take)
        world.gate("a1", "a2")
        world.put("a", 1, 2, 3)
        await world.slow(1)
        await settle()
        assert world.log == ["a1 begins", "a1", "a2 begins"]
        world.gates["a1"].set()
        await settle()
        assert world.log[3:] == ["a1 ends"]
        await world.slow(2)
        assert world.reports[1][2] == 102, "the second is watched like the first"
        await settle()
        assert world.log[4:] == ["a2", "a3 begins", "a3 ends", "a3"]
        assert world.handled == [1, 3]


async def test_who_comes_back_just_after_he_was_left_behind_does_not_end_the_event() -> None:
    async with started(0.01) as world:
        world.handlers.subscribe(world.gated)
        world.gate("a1")
        told = asyncio.Event()

        async def second(event: Event) -> None:
            await told.wait()

        world.handlers.subscribe(second)
        report = world.handlers._report

        def release(what: str, detail: dict[str, str | float], trace: int | None) -> None:
            world.gates["a1"].set()
            report(what, detail, trace)

        world.handlers._report = release
        world.put("a", 1)
        await world.slow(1)
        await settle()
        assert world.log == ["a1 begins", "a1 ends"]
        assert world.handled == []
        told.set()
        await settle()
        assert world.handled == [1]


async def test_with_two_that_hang_an_event_is_handled_when_both_have_returned() -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    async with started(0.01) as world:
        for gate in gates:

            async def hang(_: Event, gate: asyncio.Event = gate) -> None:
                await gate.wait()

            world.handlers.subscribe(hang)
        world.put("a", 1)
        await world.slow(2)
        await settle()
        gates[0].set()
        await settle()
        assert world.handled == []
        gates[1].set()
        await settle()
        assert world.handled == [1]


async def test_a_handler_that_ends_in_time_is_not_slow_however_many_there_were() -> None:
    async with started(0.1) as world:
        done = asyncio.Event()

        async def quick(event: Event) -> None:
            await asyncio.sleep(0.002)
            if name(event) == "a59":
                done.set()

        world.handlers.subscribe(quick)
        world.put("a", *range(60))
        async with asyncio.timeout(20):
            await done.wait()
        await settle()
        assert len(world.handled) == 60
    assert world.reports == []


async def test_without_a_timeout_a_handler_may_take_for_ever() -> None:
    async with started(None) as world:
        world.handlers.subscribe(world.gated)
        world.gate("a1")
        world.put("a", 1, 2)
        await asyncio.sleep(0.03)
        assert world.log == ["a1 begins"]
        assert world.reports == []


async def test_a_lane_shows_what_waits_and_for_how_long() -> None:
    async with started() as world:
        assert world.handlers.load() == ()
        world.handlers.subscribe(world.gated)
        world.gate("a1", "b1")
        world.put("b", 1)
        await settle()
        await asyncio.sleep(0.01)
        world.put("a", 1, 2, 3)
        await settle()
        loads = world.handlers.load()
        assert [(load.name, load.waiting) for load in loads] == [("b", 0), ("a", 2)]
        assert loads[0].busy > 0.009
        world.gates["a1"].set()
        world.gates["b1"].set()
        await settle()
        assert world.handlers.load() == ()


# --- the end


async def test_closing_hands_out_what_is_queued() -> None:
    world = World()
    world.handlers.subscribe(world.gated)
    world.handlers.start([])
    world.put("a", 1, 2)
    world.put("b", 1)
    await world.handlers.close(None)
    assert sorted(world.handled) == [1, 2, 3]
    world.put("a", 3)
    await settle()
    assert len(world.handled) == 3


async def test_closing_gives_up_a_lane_whose_handler_is_slow() -> None:
    world = World(None)
    world.handlers.subscribe(world.gated)
    world.handlers.start([])
    world.gate("a1")
    world.put("a", 1, 2)
    world.put("b", 1, 2)
    await settle()
    async with asyncio.timeout(20):
        await world.handlers.close(0.01)
    assert world.handled == [3, 4]
    assert [report[0] for report in world.reports] == ["handler.slow"]
    assert "a2 begins" not in world.log
    assert not world.handlers._workers


async def test_closing_does_not_wait_for_what_was_left_behind() -> None:
    async with started(0.01) as world:
        world.handlers.subscribe(world.gated)
        world.gate("a1")
        world.put("a", 1, 2)
        await world.slow(1)
        async with asyncio.timeout(20):
            await world.handlers.close(None)
    assert world.handled == [2]
    assert "a1 ends" not in world.log


@pytest.mark.parametrize("patience", [None, 5.0])
async def test_patience_makes_a_timeout_no_longer(patience: float | None) -> None:
    world = World(0.01)
    world.handlers.subscribe(world.gated)
    world.handlers.start([])
    world.gate("a1")
    world.put("a", 1)
    await settle()
    async with asyncio.timeout(4):
        await world.handlers.close(patience)
    assert world.handled == []


async def test_a_handler_may_close_and_what_is_queued_is_left() -> None:
    world = World()

    async def leave(event: Event) -> None:
        await world.handlers.close(None)

    world.handlers.subscribe(leave)
    world.handlers.subscribe(world.take)
    world.handlers.start([])
    world.put("a", 1, 2)
    world.put("b", 1)
    await settle()
    assert world.log[:1] == ["a1"]
    assert "a2" not in world.log
    assert 2 not in world.handled


async def test_who_has_unsubscribed_is_not_called() -> None:
    async with started() as world:
        stop = world.handlers.subscribe(world.take)
        world.put("a", 1)
        await settle()
        stop()
        stop()
        world.put("a", 2)
        await settle()
    assert world.log == ["a1"]
    assert world.handled == [1, 2]


async def test_who_unsubscribes_while_being_told_takes_nobody_along() -> None:
    async with started() as world:

        def once(event: Event) -> None:
            stop()

        stop = world.handlers.subscribe(once)
        world.handlers.subscribe(world.take)
        world.put("a", 1)
        await settle()
    assert world.log == ["a1"]
