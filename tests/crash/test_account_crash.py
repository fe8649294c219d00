"""kill -9 at every persistence point of an account: what was said to be committed is there, whole, and once."""

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.account_worker import PREKEYS
from tests.unit.infra.accounts import ToldClock
from waton.errors import StorageError
from waton.infra.storage_sqlite import SqliteStore
from waton.ports import RecordKind

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.crash


@dataclass
class Said:
    """What a worker said before it ended: the highest numbers, and whether it was killed."""

    committed: int = 0
    handled: int = 0
    was_killed: bool = False

    def hear(self, line: str) -> None:
        if match := re.fullmatch(r"(committed|handled) (\d+)\n", line):
            setattr(self, match[1], int(match[2]))


def start(path: Path, rounds: int, moment: str = "never", count: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.crash.account_worker", str(path), str(rounds), moment, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def run(path: Path, rounds: int, moment: str, count: int) -> Said:
    """Let a worker run to its end."""
    said = Said()
    with start(path, rounds, moment, count) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            said.hear(line)
    assert worker.returncode in (0, -signal.SIGKILL)
    said.was_killed = worker.returncode != 0
    return said


def run_and_kill(path: Path, rounds: int, after_lines: int) -> Said:
    """Let a worker run until it has said so much, and kill it while it goes on."""
    said = Said()
    with start(path, rounds) as worker:
        assert worker.stdout is not None
        for number, line in enumerate(worker.stdout):
            said.hear(line)
            if number == after_lines:
                worker.kill()
    said.was_killed = worker.returncode != 0
    return said


async def check(path: Path, said: Said, *, is_cut: bool = False) -> int:
    """Open the account and hold it against what was said. Returns the rounds it knows.

    Args:
        path: the account.
        said: what the worker said last.
        is_cut: its log was cut short as by a power failure that the disk lied about: less may be there, but never half.
    """
    store = await SqliteStore.open(path, clock=ToldClock())
    counter = int(await store.load(RecordKind.SETTING, "counter") or b"0")
    sent = [int(key) for key in await store.keys(RecordKind.SENT_MESSAGE)]
    prekeys = sorted(int(key) for key in await store.keys(RecordKind.PREKEY))
    session = await store.load(RecordKind.SESSION, "peer.0")
    events = [int(event.payload) for event in await store.pending_events()]
    numbers = [int(await store.load(RecordKind.SENT_MESSAGE, str(place)) or b"") for place in sorted(sent)]
    committed = await store.committed(numbers)
    await store.close()

    if not is_cut:
        assert said.committed <= counter <= said.committed + 1
        assert counter == said.committed or said.was_killed
        assert events == list(range(counter + 1 - len(events), counter + 1))
        assert set(events) >= set(range(said.handled + 2, counter + 1)), "only what was handled leaves"
        assert len(events) <= 2, "a mark is written with the next round"
    assert sorted(sent) == list(range(1, counter + 1))
    assert prekeys in (list(range(counter + 1, PREKEYS + 1)), [])
    assert prekeys or counter == 0
    assert session == (b"%d:" % counter + bytes([counter % 256]) * 3000 if counter else None)
    assert events in (list(range(counter + 1 - len(events), counter + 1)), [])
    assert committed == set(numbers)
    assert numbers == sorted(set(numbers))
    check_file(path, counter)
    return counter


def check_file(path: Path, counter: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        moves = connection.execute("SELECT before, after FROM transition ORDER BY number").fetchall()
    assert moves == [(str(place - 1), str(place)) for place in range(1, counter + 1)]
    assert sorted(os.listdir(path.parent)) in (["account.db"], ["account.db", "account.lock"])


@pytest.mark.parametrize("count", range(1, 27))
async def test_killed_before_each_statement(tmp_path: Path, count: int) -> None:
    """Two rounds and more: each BEGIN, nine changes (one deletes the event of the round before) and COMMIT."""
    path = tmp_path / "account.db"
    said = run(path, 3, "statement", count)
    assert said.was_killed
    counter = await check(path, said)
    assert counter == said.committed, "a statement that was not begun changes nothing"


@pytest.mark.parametrize("seed", range(16))
async def test_killed_within_a_statement(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "account.db"
    said = run(path, 40, "opcode", random.Random(seed).randint(1, 4000))
    assert said.was_killed
    await check(path, said)


@pytest.mark.parametrize("count", range(1, 9))
async def test_killed_while_the_account_is_made(tmp_path: Path, count: int) -> None:
    path = tmp_path / "made" / "account.db"
    said = run(path, 1, "call", count)
    assert said.was_killed
    said = run(path, 2, "never", 0)
    assert (said.committed, said.was_killed) == (2, False)
    await check(path, said)


async def test_killed_again_and_again_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "account.db"
    dice = random.Random(20)
    total = 0
    for _ in range(20):
        said = run_and_kill(path, 1000, dice.randint(1, 20))
        assert said.was_killed
        # What was said in this life continues what was found after the last one.
        said.committed, said.handled = max(said.committed, total), max(said.handled, total)
        await handle_rest(path)
        said.handled = max(said.handled, said.committed)
        total = await check_after_handling(path, said)
    assert total > 40


async def handle_rest(path: Path) -> None:
    """What a restarted client does first: emit again what was not handled."""
    store = await SqliteStore.open(path, clock=ToldClock())
    store.mark_handled([event.id for event in await store.pending_events()])
    assert await store.pending_events() == []
    await store.close()


async def check_after_handling(path: Path, said: Said) -> int:
    store = await SqliteStore.open(path, clock=ToldClock())
    counter = int(await store.load(RecordKind.SETTING, "counter") or b"0")
    await store.close()
    assert said.committed <= counter <= said.committed + 1
    return await check(path, said, is_cut=True)


async def test_a_log_cut_anywhere_gives_an_earlier_state_never_half_a_one(tmp_path: Path) -> None:
    """As if the power failed and the disk had lied: some last commits are gone, none is half there."""
    path = tmp_path / "account.db"
    said = run(path, 30, "statement", 200)
    log = (tmp_path / "account.db-wal").read_bytes()
    dice = random.Random(3)
    counters: set[int] = set()
    for cut in [0, 31, 32, *(dice.randrange(len(log)) for _ in range(40)), len(log)]:
        copy = tmp_path / f"cut-{cut}" / "account.db"
        copy.parent.mkdir()
        shutil.copy(path, copy)
        copy.with_name("account.db-wal").write_bytes(log[:cut])
        counters.add(await check(copy, said, is_cut=True))
    assert len(counters) > 5
    assert max(counters) == said.committed


# --- one holder


async def test_another_process_is_told_who_holds_the_account_and_gets_it_after_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "account.db"
    with start(path, 10_000) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "open\n"
        with pytest.raises(StorageError, match=rf"another process \(pid {worker.pid}\) holds this account"):
            await SqliteStore.open(path, clock=ToldClock())
        worker.kill()
    said = Said(was_killed=True)
    store = await SqliteStore.open(path, clock=ToldClock())
    await store.close()
    assert await check(path, said, is_cut=True) >= 0
