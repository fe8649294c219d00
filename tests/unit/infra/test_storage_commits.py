"""The line before the disk: groups, their order, and what a fault does to those who wait."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.client.worlds import settle
from waton.errors import StorageError
from waton.infra import storage_commits
from waton.infra.storage_commits import CommitLine, Sealed
from waton.infra.storage_statements import Changes
from waton.ports import RecordKind

SETTING = RecordKind.SETTING


class Disk:
    """A disk whose writes take as long as the test wants."""

    def __init__(self) -> None:
        self.landed: list[Changes] = []
        self.line = CommitLine(self._write, self.landed.append, "account.db")
        self.writing: list[tuple[Changes, asyncio.Future[None]]] = []

    async def _write(self, changes: Changes) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.writing.append((changes, done))
        await done

    def seal(self, number: int) -> asyncio.Future[None]:
        return self.line.seal(
            Sealed(
                number,
                5.0,
                {(SETTING, "last"): (b"%d" % number, None)},
                [(number, "x", b"")],
                [("m", "a", "b", "")],
            )
        )

    async def finish(self, error: Exception | None = None) -> Changes:
        """The write under way ends."""
        await settle()
        changes, done = self.writing.pop(0)
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
        await settle()
        return changes


def numbers(changes: Changes) -> list[int]:
    return [number for number, _ in changes.units]


async def test_what_waits_while_a_group_is_written_lands_together() -> None:
    disk = Disk()
    first = disk.seal(1)
    await settle()
    rest = [disk.seal(number) for number in range(2, 6)]
    assert numbers(await disk.finish()) == [1]
    assert first.done()
    assert not any(one.done() for one in rest)
    group = await disk.finish()
    assert numbers(group) == [2, 3, 4, 5]
    assert group.records == {(SETTING, "last"): (b"5", None)}
    assert [event[0] for event in group.events] == [2, 3, 4, 5]
    assert group.transitions == [(number, "m", "a", "b", "") for number in range(2, 6)]
    assert all(one.done() for one in rest)
    assert disk.writing == []


async def test_sealed_in_one_go_lands_in_one_group() -> None:
    disk = Disk()
    for number in range(3):
        disk.seal(number)
    assert numbers(await disk.finish()) == [0, 1, 2]


async def test_the_owner_knows_before_those_who_wait() -> None:
    disk = Disk()
    seen: list[list[Changes]] = []
    disk.seal(1).add_done_callback(lambda _: seen.append(list(disk.landed)))
    changes = await disk.finish()
    assert seen == [[changes]]


async def test_a_write_that_fails_ends_the_line_for_it_and_all_behind_it() -> None:
    disk = Disk()
    good = disk.seal(1)
    await settle()
    bad = [disk.seal(2), disk.seal(3)]
    await disk.finish()
    assert good.done()
    behind = [disk.seal(4), disk.line.reach()]
    await disk.finish(StorageError("account.db", "the disk is full"))
    for waiting in [*bad, *behind]:
        with pytest.raises(StorageError, match="the disk is full"):
            await waiting
    with pytest.raises(StorageError, match="the disk is full"):
        disk.line.check()
    with pytest.raises(StorageError):
        disk.seal(5)
    with pytest.raises(StorageError):
        disk.line.handled([1])
    assert [numbers(changes) for changes in disk.landed] == [[1]]
    await disk.line.flush()
    assert disk.writing == []


async def test_a_fault_nobody_thought_of_ends_the_line_too() -> None:
    disk = Disk()
    waiting = disk.seal(1)
    await disk.finish(ZeroDivisionError())
    with pytest.raises(StorageError, match="ZeroDivisionError"):
        await waiting


async def test_when_the_loop_ends_nobody_is_left_waiting() -> None:
    disk = Disk()
    waiting = disk.seal(1)
    await settle()
    worker = disk.line._worker
    assert worker is not None
    worker.cancel()
    await asyncio.wait([worker])
    assert worker.cancelled()
    with pytest.raises(StorageError, match="CancelledError"):
        await waiting


async def test_who_stops_waiting_does_not_hurt_his_group() -> None:
    disk = Disk()
    first, second = disk.seal(1), disk.seal(2)
    first.cancel()
    await disk.finish()
    await second
    assert [numbers(changes) for changes in disk.landed] == [[1, 2]]


async def test_reaching_the_end_of_the_line_waits_for_all_that_is_in_it() -> None:
    disk = Disk()
    assert disk.line.reach().done()
    disk.seal(1)
    gathering = disk.line.reach()
    await settle()
    writing = disk.line.reach()
    disk.seal(2)
    behind = disk.line.reach()
    assert not gathering.done()
    assert not writing.done()
    await disk.finish()
    assert gathering.done()
    assert writing.done()
    assert not behind.done()
    await disk.finish()
    assert behind.done()


async def test_handled_events_ride_with_the_next_group() -> None:
    disk = Disk()
    disk.line.handled([7])
    disk.line.handled([8, 9])
    await settle()
    assert disk.writing == []
    assert disk.line.handled_ids() == {7, 8, 9}
    disk.seal(1)
    assert (await disk.finish()).handled == [7, 8, 9]
    assert disk.line.handled_ids() == set()


async def test_handled_events_do_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_commits, "HANDLED_SECONDS", 0)
    disk = Disk()
    disk.seal(1)
    await settle()
    disk.line.handled([7])  # while a group is being written
    await disk.finish()
    changes = await disk.finish()
    assert (changes.handled, changes.units) == ([7], [])
    disk.line.handled([8])  # while nothing is
    assert (await disk.finish()).handled == [8]


async def test_flushing_leaves_nothing() -> None:
    disk = Disk()
    disk.seal(1)
    disk.line.handled([7])
    flushing = asyncio.create_task(disk.line.flush())
    await disk.finish()
    await flushing
    disk.line.handled([8])
    flushing = asyncio.create_task(disk.line.flush())
    assert (await disk.finish()).handled == [8]
    await flushing
    await disk.line.flush()
    assert disk.writing == []
