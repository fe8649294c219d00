"""A program that receives messages through the real lanes, pipeline and store, until it is killed.

Message N belongs to chat N % CHATS. Taking it is one step that does not wait: it appends N to its chat's record (the
ratchet, as it were), notes N as received, emits an event, and acknowledges; one that was received before is only
acknowledged. What happens is said, one line each, past every buffer:

    sealed N | acked N | told N REDELIVERED | done

    python -m tests.crash.pipeline_worker PATH MOMENT COUNT NUMBER...

The NUMBERs are what the server still has, delivered a few at a time. MOMENT says what to count before dying by SIGKILL:
"statement" or "opcode" (of SQLite, see account_worker), "seal" (a unit is sealed, nothing of it written), "commit" (a
group is on the disk, nobody knows), "ack" (an acknowledgement is about to be written), "acked" (it is written), "tell"
(a subscriber is called), "told" (it has returned), "handled" (the event is marked, the mark not written).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from tests.crash.account_worker import fuse, watch_sqlite
from waton.client.event_pipeline import EventPipeline
from waton.client.events import Event, MessageKey, MessagesUpsert
from waton.client.lanes import Lanes
from waton.infra import storage_statements
from waton.infra.clock import SystemClock
from waton.infra.storage_sqlite import SqliteStore
from waton.jid import Jid
from waton.ports import RecordKind
from waton.protocol import proto
from waton.protocol.binary_node import Node, require_text
from waton.protocol.trace import Tracer

CHATS = 3
AHEAD = 10
"""Messages that the server has under way, so that there are several groups and several units in each."""
MOMENTS = ("seal", "commit", "ack", "acked", "tell", "told", "handled")


def chat_of(number: int) -> Jid:
    return Jid.parse(f"{100 + number % CHATS}@lid")


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def give_up(why: object) -> None:
    """Something failed that should not: the test must not wait for what will not come."""
    os.write(2, f"{why}\n".encode())
    os._exit(1)


def pass_by() -> None:
    """A moment at which nobody dies."""


class Worker:
    """One life."""

    def __init__(self, store: SqliteStore, moment: str, count: int) -> None:
        self.store = store
        self.burn: dict[str, Callable[[], None]] = dict.fromkeys(MOMENTS, pass_by)
        if moment in MOMENTS:
            self.burn[moment] = fuse(count)
        self.acked = 0
        self.moved = asyncio.Event()
        self.pipeline = EventPipeline(store, Tracer(lambda _: None), SystemClock(), on_failure=give_up)
        self.pipeline.subscribe(self.take)
        self.lanes = Lanes(lambda lane, error: give_up(error))

    def watch_store(self) -> None:
        """Count what happens inside."""
        seal, mark, write = self.store.line_up, self.store.mark_handled, storage_statements.write
        burn = self.burn

        def watched_write(
            changes: storage_statements.Changes, expired_at: float | None, connection: sqlite3.Connection
        ) -> int:
            forgotten = write(changes, expired_at, connection)
            burn["commit"]()
            return forgotten

        def watched_seal(*unit: object) -> object:
            sealed = seal(*unit)  # pyright: ignore[reportArgumentType]
            burn["seal"]()
            return sealed

        def watched_mark(ids: list[int]) -> None:
            mark(ids)
            burn["handled"]()

        storage_statements.write = watched_write
        vars(self.store).update(line_up=watched_seal, mark_handled=watched_mark)

    async def receive(self, number: int) -> None:
        async with self.pipeline.step(self.send, wait=False) as step:
            if await step.load(RecordKind.RECEIVED, str(number)) is None:
                chat = chat_of(number)
                chain = await step.load(RecordKind.SESSION, str(chat)) or b""
                step.save(RecordKind.SESSION, str(chat), chain + b"%d " % number)
                step.save(RecordKind.RECEIVED, str(number), b"", until=2e9)
                step.emit(MessagesUpsert(MessageKey(chat, str(number), False, chat), proto.Message(), number))
                step.transition("message", "new", "received", id=str(number))
            step.acknowledge(Node("ack", {"id": str(number)}))
        say("sealed", number)

    async def send(self, node: Node, parent: int | None) -> None:
        self.burn["ack"]()
        say("acked", require_text(node, "id"))
        self.burn["acked"]()
        self.acked += 1
        self.moved.set()

    async def acked_all_but(self, few: int, submitted: int) -> None:
        while submitted - self.acked > few:
            self.moved.clear()
            await self.moved.wait()

    async def take(self, event: Event) -> None:
        assert isinstance(event, MessagesUpsert)
        self.burn["tell"]()
        await asyncio.sleep(0)
        say("told", event.key.id, int(event.redelivered))
        self.burn["told"]()

    async def live(self, numbers: list[int]) -> None:
        self.watch_store()
        await self.pipeline.start()
        for place, number in enumerate(numbers):
            await self.lanes.submit(str(chat_of(number)), lambda number=number: self.receive(number))
            await self.acked_all_but(AHEAD, place + 1)
        await self.lanes.drain()
        await self.pipeline.close()
        await self.store.close()
        assert self.pipeline.failures == 0
        say("done")


async def main(path: str, moment: str, count: str, *numbers: str) -> None:
    store = await SqliteStore.open(Path(path), clock=SystemClock())
    await store._run(lambda connection: watch_sqlite(connection, moment, int(count)))
    await Worker(store, moment, int(count)).live([int(number) for number in numbers])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
