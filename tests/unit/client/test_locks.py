"""KeyedLocks: one holder for each name, no circle, nothing left behind."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.client.worlds import settle
from waton.client.locks import KeyedLocks


class Holder:
    """A task that holds names until it is let go."""

    def __init__(self, locks: KeyedLocks, names: list[str], log: list[str], me: str) -> None:
        self.go = asyncio.Event()
        self.task = asyncio.create_task(self._run(locks, names, log, me))

    async def _run(self, locks: KeyedLocks, names: list[str], log: list[str], me: str) -> None:
        async with locks.hold(names):
            log.append(f"{me} in")
            await self.go.wait()
            log.append(f"{me} out")

    async def end(self) -> None:
        self.go.set()
        await self.task


async def test_one_name_has_one_holder_and_waiters_come_in_order() -> None:
    locks, log = KeyedLocks(), list[str]()
    holders = [Holder(locks, ["a"], log, str(number)) for number in range(3)]
    await settle()
    assert log == ["0 in"]
    for holder in holders:
        await holder.end()
    assert log == ["0 in", "0 out", "1 in", "1 out", "2 in", "2 out"]


async def test_other_names_do_not_wait() -> None:
    locks, log = KeyedLocks(), list[str]()
    holders = [Holder(locks, [name], log, name) for name in "abc"]
    await settle()
    assert log == ["a in", "b in", "c in"]
    for holder in holders:
        await holder.end()


async def test_crossing_sets_do_not_lock_each_other_out() -> None:
    locks, log = KeyedLocks(), list[str]()
    sets = [["a", "b"], ["b", "a"], ["c", "a", "b"], ["b", "c"], ["c", "b", "a"]]
    blocker = Holder(locks, ["b"], log, "blocker")
    await settle()
    holders = [Holder(locks, names, log, str(number)) for number, names in enumerate(sets)]
    await settle()
    assert log == ["blocker in"]  # each of them needs b, and none has it
    for holder in holders:
        holder.go.set()
    await blocker.end()
    await asyncio.wait_for(asyncio.gather(*(holder.task for holder in holders)), 20)
    inside = 0
    for line in log:
        inside += 1 if line.endswith("in") else -1
        assert 0 <= inside <= 1  # all of them share b


async def test_a_name_told_twice_is_taken_once() -> None:
    locks = KeyedLocks()
    async with asyncio.timeout(20), locks.hold(["a", "a", "b"]):
        pass


async def test_no_names_at_all() -> None:
    async with KeyedLocks().hold([]):
        pass


async def test_nothing_is_left_behind() -> None:
    locks, log = KeyedLocks(), list[str]()
    first, second = Holder(locks, ["a", "b"], log, "1"), Holder(locks, ["b", "c"], log, "2")
    await settle()
    await first.end()
    await second.end()
    assert locks._locks == {}


async def test_an_error_inside_lets_go() -> None:
    locks = KeyedLocks()
    with pytest.raises(RuntimeError):
        async with locks.hold(["a", "b"]):
            raise RuntimeError
    assert locks._locks == {}


async def test_a_cancelled_waiter_lets_go_of_what_it_had() -> None:
    locks, log = KeyedLocks(), list[str]()
    holder = Holder(locks, ["b"], log, "holder")
    await settle()
    waiter = Holder(locks, ["a", "b"], log, "waiter")  # has a, waits for b
    await settle()
    waiter.task.cancel()
    await asyncio.gather(waiter.task, return_exceptions=True)
    async with asyncio.timeout(20), locks.hold(["a"]):
        pass
    await holder.end()
    assert log == ["holder in", "holder out"]
    assert locks._locks == {}


async def test_more_can_be_taken_and_all_is_given_back() -> None:
    locks, log = KeyedLocks(), list[str]()
    async with asyncio.timeout(20):
        async with locks.hold(["a"]) as held:
            assert not await held.take(["c", "b"])
            waiting = Holder(locks, ["c"], log, "other")
            await settle()
            assert log == []
        await settle()
        assert log == ["other in"]
        await waiting.end()
        async with locks.hold(["a", "b", "c"]):
            pass


async def test_whose_name_changes_while_it_waits_holds_the_new_one() -> None:
    locks, log = KeyedLocks(), list[str]()
    names = frozenset({"number"})

    async def known() -> frozenset[str]:
        return names

    first = Holder(locks, ["number"], log, "first")
    await settle()

    async def second() -> None:
        async with locks.hold_by(known):
            log.append("second in")

    waiting = asyncio.create_task(second())
    await settle()
    names = frozenset({"number", "lid"})
    third = Holder(locks, ["lid"], log, "third")
    await settle()
    await first.end()
    await settle()
    assert log == ["first in", "third in", "first out"]
    await third.end()
    async with asyncio.timeout(20):
        await waiting
    assert log[-1] == "second in"


async def test_names_that_cannot_be_told_hold_nothing() -> None:
    locks = KeyedLocks()

    async def unknown() -> frozenset[str]:
        raise KeyError

    with pytest.raises(KeyError):
        async with locks.hold_by(unknown):
            pass
    async with asyncio.timeout(20), locks.hold(["a"]):
        pass
