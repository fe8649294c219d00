"""A program that works on an account and records what it does, until it is killed.

Each round traces a frame, then opens a unit of work and traces a message that names it; every seventh unit fails. What
is flushed is said: "flushed N" are the traces that must be found again.

    python -m tests.crash.journal_worker DIRECTORY [STATEMENT]

With STATEMENT the journal is flushed within every unit, and the process dies by SIGKILL before the account's SQL
statement of that number: the journal then knows of a unit that the account does not.
"""

import asyncio
import hashlib
import sys
from contextlib import suppress
from pathlib import Path

from tests.crash.account_worker import watch_sqlite
from tests.unit.infra.accounts import ToldClock
from waton.capture.journal import Journal
from waton.capture.recorder import Recorder
from waton.infra.storage_sqlite import SqliteStore
from waton.ports import RecordKind
from waton.protocol.trace import Layer, Tracer, Way


def data_of(seq: int) -> bytes:
    """What trace `seq` must hold: from nothing to 9 KB, none twice."""
    return hashlib.sha256(b"%d" % seq).digest() * (seq * 37 % 290)


class UnitFails(Exception):
    """What every seventh unit raises."""


async def one_round(store: SqliteStore, recorder: Recorder, tracer: Tracer, seq: int, *, flush_within: bool) -> int:
    frame = tracer.add(Layer.FRAME, Way.IN, "stanza", at=float(seq), data=data_of(seq))
    with suppress(UnitFails):
        async with store.unit() as unit:
            unit.save(RecordKind.SETTING, "last", b"%d" % unit.number)
            data, number = data_of(frame + 1), unit.number
            seq = tracer.add(Layer.MESSAGE, Way.IN, "text", at=1.0, parent=frame, data=data, transition=number)
            if flush_within:
                recorder.flush()
                print("flushed", recorder.accepted, flush=True)
            if unit.number % 7 == 0:
                raise UnitFails
    return seq + 1


async def work(directory: Path, statement: int) -> None:
    store = await SqliteStore.open(directory / "account.db", clock=ToldClock())
    recorder = Recorder(Journal.open(directory / "journal.db"), client="waton", vantage="client")
    await store._run(lambda connection: watch_sqlite(connection, "statement" if statement else "never", statement))
    tracer = Tracer(recorder)
    print("open", flush=True)
    seq = 1
    while True:
        seq = await one_round(store, recorder, tracer, seq, flush_within=statement > 0)
        if seq % 20 == 1:
            recorder.flush()
            print("flushed", recorder.accepted, flush=True)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
