"""kill -9 while a journal is written: what was flushed is there in order, and what never became true is marked."""

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.journal_worker import data_of
from tests.unit.infra.accounts import ToldClock
from waton.capture.analysis import Analysis
from waton.capture.journal import Journal, JournalRow
from waton.capture.schema import Flags
from waton.infra.storage_sqlite import SqliteStore

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.crash


def run_and_kill(directory: Path, *, after_lines: int | None = None, statement: int = 0) -> int:
    """A worker's life. Returns how many traces it said were flushed."""
    command = [sys.executable, "-m", "tests.crash.journal_worker", str(directory), str(statement)]
    flushed = 0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        for number, line in enumerate(worker.stdout):
            if line.startswith("flushed"):
                flushed = int(line.split()[1])
            if number == after_lines:
                worker.kill()
    assert worker.returncode == -signal.SIGKILL
    return flushed


def read(path: Path, run: int) -> list[JournalRow]:
    journal = Journal.open(path)
    found: list[JournalRow] = []
    while rows := journal.rows(after=found[-1].row if found else 0, limit=500, run=run, with_data=True):
        found += rows
    journal.close()
    return found


async def settle(directory: Path) -> tuple[set[int], list[int]]:
    """What a session does when it opens its files. Returns what the account says committed, and the runs settled."""
    store = await SqliteStore.open(directory / "account.db", clock=ToldClock())
    journal = Journal.open(directory / "journal.db")
    runs: list[int] = []
    for run, numbers in journal.unsettled():
        journal.settle(run, await store.committed(numbers))
        runs.append(run)
    assert journal.unsettled() == []
    journal.close()
    everything = await store.committed(range(1, await store.last_unit() + 2))
    await store.close()
    return everything, runs


def check_prefix(path: Path, run: int, flushed: int) -> list[JournalRow]:
    """Nothing is missing up to the last row there is, and all that was flushed is."""
    rows = read(path, run)
    assert len(rows) >= flushed
    assert [row.trace.seq for row in rows] == list(range(1, len(rows) + 1))
    assert all(row.trace.data == data_of(row.trace.seq) for row in rows)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT closed FROM run WHERE id = ?", (run,)).fetchall() == [(0,)]
    return rows


@pytest.mark.parametrize("seed", range(8))
async def test_what_was_flushed_is_found_again(tmp_path: Path, seed: int) -> None:
    flushed = run_and_kill(tmp_path, after_lines=random.Random(seed).randint(1, 40))
    check_prefix(tmp_path / "journal.db", 1, flushed)


@pytest.mark.parametrize("statement", [*range(1, 9), 20, 33, 47])
async def test_what_never_committed_is_marked(tmp_path: Path, statement: int) -> None:
    """The journal is flushed within each unit, so the last unit it names is the one that was cut."""
    flushed = run_and_kill(tmp_path, statement=statement)
    before = check_prefix(tmp_path / "journal.db", 1, flushed)
    analysis = Analysis(tmp_path / "journal.db")
    assert analysis.messages()["committed"].all()
    committed, runs = await settle(tmp_path)
    assert runs == [1]
    rows = read(tmp_path / "journal.db", 1)
    assert [row.trace for row in rows] == [row.trace for row in before]
    named = {row.trace.transition: row.flags for row in rows if row.trace.transition is not None}
    assert named == {number: Flags(0) if number in committed else Flags.UNCOMMITTED for number in named}
    assert named[max(named)] == Flags.UNCOMMITTED
    assert all(row.flags == Flags(0) for row in rows if row.trace.transition is None)
    messages = analysis.messages()
    assert set(messages.loc[messages["committed"], "transition"]) == committed & set(named)
    analysis.close()


async def test_many_lives_in_one_journal(tmp_path: Path) -> None:
    dice = random.Random(5)
    for run in range(1, 7):
        flushed = run_and_kill(tmp_path, after_lines=dice.randint(1, 15))
        check_prefix(tmp_path / "journal.db", run, flushed)
        _, settled = await settle(tmp_path)
        assert settled == [run]
        # Every seventh unit failed, whichever life it was in; the one that was cut may be missing from the journal.
        marked = {row.trace.transition for row in read(tmp_path / "journal.db", run) if row.flags}
        assert len({number for number in marked if number is not None and number % 7}) <= 1
    rows = [row for run in range(1, 7) for row in read(tmp_path / "journal.db", run)]
    assert any(row.flags for row in rows)
    assert [row.row for row in rows] == list(range(1, len(rows) + 1))
