"""Ways to lose, repeat or mix up messages, put into the product on purpose: what chaos must see, it has to see.

Each is what somebody could write in good faith, and lasts as long as the test that asks for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from random import Random

import pytest

from waton.client import messages_recv
from waton.client.devices import DeviceLists
from waton.client.event_pipeline import EventPipeline, Send, Step
from waton.client.events import MessageKey
from waton.client.lanes import Job, Lanes
from waton.client.outbox import Entry, Outbox
from waton.jid import Jid
from waton.protocol.binary_node import Node
from waton.protocol.stanza.usync import UserResult

_EVERY = 25
"""The commit of each so many-th step is lost, as by a crash."""


def write_once(patch: pytest.MonkeyPatch) -> None:
    """What the server has not acknowledged is not written again."""

    async def open(self: Outbox) -> None:
        self._is_open = True

    async def watch(self: Outbox) -> None:
        await asyncio.Event().wait()

    patch.setattr(Outbox, "open", open)
    patch.setattr(Outbox, "watch", watch)


def write_again_as_new(patch: pytest.MonkeyPatch) -> None:
    """What is written again gets another id, so that nobody can tell that it came before."""
    write, numbers = Outbox._write, count(1)

    async def anew(self: Outbox, entry: Entry) -> None:
        if entry.tries and entry.node.tag == "message":
            id = f"{entry.name[1][:18]}{next(numbers):04X}"
            entry.node = Node("message", {**entry.node.attrs, "id": id}, entry.node.content)
        await write(self, entry)

    patch.setattr(Outbox, "_write", anew)


def remember_nothing_told(patch: pytest.MonkeyPatch) -> None:
    """A message that comes under a second ciphertext is told a second time."""
    numbers = count()

    def key_of_its_own(key: MessageKey) -> str:
        return f"{key.chat} {key.id} {next(numbers)}"

    patch.setattr(messages_recv, "received_key", key_of_its_own)


def acknowledge_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """The server hears of what is not on the disk, and now and then it never gets there."""
    leave, numbers = EventPipeline.leave, count(1)

    async def early(self: EventPipeline, step: Step, send: Send | None, *, waits: bool) -> None:
        if send is None or waits or not step.acks or next(numbers) % _EVERY:
            await leave(self, step, send, waits=waits)
            return
        await self._acknowledge(step.acks, send, step.parent)
        step.unit.drop()

    patch.setattr(EventPipeline, "leave", early)


def work_side_by_side(patch: pytest.MonkeyPatch) -> None:
    """Stanzas of one conversation do not wait for each other."""
    dice, tasks = Random(1), set[asyncio.Task[None]]()

    async def work(self: Lanes, job: Job) -> None:
        await asyncio.sleep(dice.random() * 0.05)
        try:
            await job()
        except Exception as error:  # noqa: BLE001  as in the lanes
            self._on_error("any", error)

    async def submit(self: Lanes, name: str, job: Job, cost: int = 1) -> None:
        task = asyncio.create_task(work(self, job))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    patch.setattr(Lanes, "submit", submit)


def take_no_answer_for_no_devices(patch: pytest.MonkeyPatch) -> None:
    """Whose devices the server did not tell in time is left out of a message."""

    async def of(self: DeviceLists, users: Iterable[Jid]) -> Mapping[Jid, UserResult]:
        resolved = await self.resolve(users)
        if resolved.failed and not resolved.found:
            raise next(iter(resolved.failed.values()))
        return resolved.found

    patch.setattr(DeviceLists, "of", of)


FLAWS: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (
    write_once,
    write_again_as_new,
    remember_nothing_told,
    acknowledge_before_the_commit,
    work_side_by_side,
    take_no_answer_for_no_devices,
)
