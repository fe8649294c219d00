"""Lanes: order within, side by side between, faults told, bounded."""

from __future__ import annotations

import asyncio

from tests.unit.client.worlds import settle
from waton.client.lanes import Job, Lanes


class Work:
    """Lanes whose jobs write down when they begin and end; a job waits for its gate, if it has one."""

    def __init__(self, limit: int = 1024) -> None:
        self.log: list[str] = []
        self.errors: list[tuple[str, str]] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.lanes = Lanes(lambda lane, error: self.errors.append((lane, type(error).__name__)), limit)

    def job(self, name: str, *, gated: bool = False, error: Exception | None = None) -> Job:
        if gated:
            self.gates[name] = asyncio.Event()

        async def run() -> None:
            self.log.append(f"{name} begins")
            if gated:
                await self.gates[name].wait()
            if error is not None:
                raise error
            self.log.append(f"{name} ends")

        return run


async def test_jobs_of_one_lane_run_one_after_the_other() -> None:
    work = Work()
    for name in ("1", "2", "3"):
        await work.lanes.submit("a", work.job(name, gated=True))
    for name in ("3", "2"):
        work.gates[name].set()
    await settle()
    assert work.log == ["1 begins"]
    work.gates["1"].set()
    await work.lanes.drain()
    assert work.log == ["1 begins", "1 ends", "2 begins", "2 ends", "3 begins", "3 ends"]


async def test_lanes_run_side_by_side() -> None:
    work = Work()
    await work.lanes.submit("a", work.job("slow", gated=True))
    await work.lanes.submit("b", work.job("quick"))
    await settle()
    assert work.log == ["slow begins", "quick begins", "quick ends"]
    work.gates["slow"].set()
    await work.lanes.drain()
    assert work.log[-1] == "slow ends"


async def test_a_lane_that_never_waits_lets_others_have_their_turn() -> None:
    work = Work()
    for number in range(200):
        await work.lanes.submit("a", work.job(f"long {number}"))
    await work.lanes.submit("b", work.job("short"))
    await work.lanes.drain()
    assert work.log.index("short begins") < work.log.index("long 40 begins")
    assert work.log.index("long 199 ends") == len(work.log) - 1


async def test_a_job_that_raises_is_told_and_the_lane_goes_on() -> None:
    work = Work()
    await work.lanes.submit("a", work.job("bad", error=RuntimeError()))
    await work.lanes.submit("a", work.job("good"))
    await work.lanes.submit("a", work.job("worse", error=KeyError()))
    await work.lanes.drain()
    assert work.errors == [("a", "RuntimeError"), ("a", "KeyError")]
    assert work.log == ["bad begins", "good begins", "good ends", "worse begins"]


async def test_a_lane_that_was_worked_off_takes_new_jobs() -> None:
    work = Work()
    for name in ("1", "2"):
        await work.lanes.submit("a", work.job(name))
        await work.lanes.drain()
    assert work.log == ["1 begins", "1 ends", "2 begins", "2 ends"]
    assert work.lanes.is_idle


async def test_a_job_may_feed_its_own_lane() -> None:
    work = Work()

    async def feeding() -> None:
        await work.lanes.submit("a", work.job("fed"))

    await work.lanes.submit("a", feeding)
    await work.lanes.drain()
    assert work.log == ["fed begins", "fed ends"]


async def test_who_submits_more_than_fits_waits() -> None:
    work = Work(limit=2)
    await work.lanes.submit("a", work.job("1", gated=True))
    await work.lanes.submit("b", work.job("2", gated=True))
    third = asyncio.create_task(work.lanes.submit("c", work.job("3")))
    await settle()
    assert not third.done()
    assert work.log == ["1 begins", "2 begins"]
    work.gates["2"].set()
    await third
    await settle()
    assert work.log[-1] == "3 ends"
    work.gates["1"].set()
    await work.lanes.drain()


async def test_room_is_by_cost_and_one_job_always_fits() -> None:
    work = Work(limit=10)
    await work.lanes.submit("a", work.job("1", gated=True), 50)
    second = asyncio.create_task(work.lanes.submit("b", work.job("2", gated=True), 7))
    await settle()
    assert not second.done()
    work.gates["1"].set()
    await second
    await work.lanes.submit("c", work.job("3", gated=True), 3)
    fourth = asyncio.create_task(work.lanes.submit("d", work.job("4")))
    await settle()
    assert not fourth.done()
    for name in ("2", "3"):
        work.gates[name].set()
    await fourth
    await work.lanes.drain()
    assert work.log[-1] == "4 ends"


async def test_what_waits_when_lanes_close_gives_its_room_back() -> None:
    work = Work(limit=3)
    await work.lanes.submit("a", work.job("stuck", gated=True))
    await work.lanes.submit("a", work.job("behind"), 2)
    await work.lanes.close(timeout=0.0)
    await asyncio.wait_for(work.lanes.submit("a", work.job("next"), 3), 5.0)
    await work.lanes.drain()
    assert work.log[-1] == "next ends"


async def test_a_job_that_raises_gives_its_room_back() -> None:
    work = Work(limit=1)
    for number in range(3):
        await work.lanes.submit("a", work.job(str(number), error=RuntimeError()))
    await work.lanes.drain()
    assert len(work.errors) == 3


async def test_closing_gives_work_its_time() -> None:
    work = Work()
    await work.lanes.submit("a", work.job("1", gated=True))
    await settle()
    closing = asyncio.create_task(work.lanes.close(timeout=60.0))
    await settle()
    assert not closing.done()
    work.gates["1"].set()
    await closing
    assert work.log == ["1 begins", "1 ends"]


async def test_closing_ends_what_is_late() -> None:
    work = Work()
    await work.lanes.submit("a", work.job("stuck", gated=True))
    await work.lanes.submit("a", work.job("behind"))
    await settle()
    await work.lanes.close(timeout=0)
    await settle()
    assert work.log == ["stuck begins"]
    assert work.errors == []
    await work.lanes.close(timeout=0)


async def test_a_job_whose_wait_was_cancelled_does_not_take_its_lane_along() -> None:
    work = Work()

    async def waits_for_what_is_cancelled() -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answer.cancel()
        await answer

    await work.lanes.submit("a", waits_for_what_is_cancelled)
    await work.lanes.submit("a", work.job("after"))
    await work.lanes.drain()
    assert work.log == ["after begins", "after ends"]
    assert [lane for lane, _ in work.errors] == ["a"]


async def test_lanes_show_what_they_are_at() -> None:
    work = Work()
    assert work.lanes.load() == ()
    assert work.lanes.is_idle
    await work.lanes.submit("b", work.job("1", gated=True))
    await settle()
    await asyncio.sleep(0.01)
    for name in ("2", "3", "4"):
        await work.lanes.submit("a", work.job(name, gated=True))
    await settle()
    assert not work.lanes.is_idle
    loads = work.lanes.load()
    assert [(load.name, load.waiting) for load in loads] == [("b", 0), ("a", 2)]
    assert loads[0].busy > 0.009
    began = work.lanes._lanes["a"].since
    work.gates["2"].set()
    await settle()
    assert work.lanes._lanes["a"].since > began
    assert [(load.name, load.waiting) for load in work.lanes.load()] == [("b", 0), ("a", 1)]
    assert work.lanes.load()[1].busy < loads[0].busy
    for name in ("1", "3", "4"):
        work.gates[name].set()
    await work.lanes.drain()
    assert work.lanes.load() == ()
    assert work.lanes.is_idle


async def test_what_closing_ended_is_shown_no_more() -> None:
    work = Work()
    await work.lanes.submit("a", work.job("stuck", gated=True))
    await settle()
    await work.lanes.close(timeout=0)
    assert work.lanes.is_idle
