"""A program that works on an account until it is killed, by itself at a chosen point or from outside.

Each round uses up one prekey, moves one session on, counts, stores an event and names a transition, in one unit of
work; then it says "committed N" and, when the event is marked as handled, "handled N". What was said to be committed
must be found again; a mark is written with the next round.

    python -m tests.crash.account_worker PATH ROUNDS [MOMENT COUNT]

MOMENT is what to count before dying by SIGKILL: "statement" (before the COUNT-th SQL statement), "opcode" (at the
COUNT-th instruction of SQLite's machine), both counted once the account is open; or "call", counted from the start: the
COUNT-th time Python opens, renames or removes a file or connects to one.
"""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from tests.unit.infra.accounts import ToldClock
from waton.infra.storage_sqlite import SqliteStore
from waton.ports import RecordKind

PREKEYS = 400
CALLS = {"open", "os.rename", "os.remove", "os.chmod", "sqlite3.connect", "sqlite3.connect/handle"}


def fuse(count: int) -> Callable[[], None]:
    """Something to call; the count-th call does not return."""
    left = count

    def burn() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return burn


def watch_calls(count: int, directory: str) -> None:
    burn = fuse(count)

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event in CALLS and (event.startswith("sqlite3") or directory in str(args[0])):
            burn()

    sys.addaudithook(hook)


def watch_sqlite(connection: sqlite3.Connection, moment: str, count: int) -> None:
    burn = fuse(count)
    if moment == "statement":
        connection.set_trace_callback(lambda _: burn())
    elif moment == "opcode":
        connection.set_progress_handler(burn, 1)


async def seed(store: SqliteStore) -> None:
    """The prekeys, once."""
    async with store.unit() as unit:
        if await unit.load(RecordKind.SETTING, "counter") is None:
            unit.save(RecordKind.SETTING, "counter", b"0")
            for number in range(1, PREKEYS + 1):
                unit.save(RecordKind.PREKEY, str(number), bytes([number % 256]) * 32)


async def one_round(store: SqliteStore) -> None:
    async with store.unit() as unit:
        number = int(await unit.load(RecordKind.SETTING, "counter") or b"0") + 1
        unit.save(RecordKind.PREKEY, str(number), None)
        unit.save(RecordKind.SESSION, "peer.0", b"%d:" % number + bytes([number % 256]) * 3000)
        unit.save(RecordKind.SENT_MESSAGE, str(number), b"%d" % unit.number)
        unit.save(RecordKind.SETTING, "counter", b"%d" % number)
        event = unit.emit("round", b"%d" % number)
        unit.transition("worker", str(number - 1), str(number))
    print("committed", number, flush=True)
    store.mark_handled([event])
    print("handled", number, flush=True)


async def work(path: Path, rounds: int, moment: str, count: int) -> None:
    store = await SqliteStore.open(path, clock=ToldClock())
    await seed(store)
    await store._run(lambda connection: watch_sqlite(connection, moment, count))
    print("open", flush=True)
    for _ in range(rounds):
        await one_round(store)
    await store.close()
    print("closed", flush=True)


if __name__ == "__main__":
    place, how_many, when, at = Path(sys.argv[1]), int(sys.argv[2]), *(sys.argv[3:5] or ["never", "0"])
    if when == "call":
        watch_calls(int(at), str(place.parent))
    asyncio.run(work(place, how_many, when, int(at)))
