"""The journal: what is appended is read back as it was, a file we cannot use is refused and left as it is."""

import json
import os
import random
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.capture.traces import picture, trace
from waton.capture.analysis import Analysis
from waton.capture.journal import Journal, RefusedTrace
from waton.capture.schema import APPLICATION_ID, STEPS, Flags
from waton.errors import CaptureError
from waton.protocol.trace import Layer


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path / "recorded" / "journal.db")
    yield opened
    opened.close()


# --- rows


def test_what_is_appended_is_read_back_as_it_was(journal: Journal) -> None:
    run = journal.begin_run("waton", "client", {"version": "é"})
    written = [
        trace(1),
        trace(2, Layer.STATE, detail='{"before": "a"}', transition=7, data=b""),
        trace(3, id="", kind="", xmlns="", sender="", recipient="", size=0, parent=None, data=bytes(range(256)) * 50),
    ]
    journal.append(run, written[:2])
    journal.append(run, written[2:])
    rows = journal.rows(with_data=True)
    assert [row.trace for row in rows] == written
    assert [(row.row, row.run, row.flags) for row in rows] == [(1, run, 0), (2, run, 0), (3, run, 0)]
    assert [row.trace.data for row in journal.rows()] == [b"", b"", b""]
    assert [journal.payload(run, seq) for seq in (1, 2, 3)] == [made.data for made in written]
    assert journal.last(run, 2) == written[1:]
    assert journal.last(run, 0) == []
    with closing(sqlite3.connect(journal.path)) as connection:
        assert connection.execute("SELECT count(*) FROM payload").fetchone() == (2,)
        [(client, vantage, meta)] = connection.execute("SELECT client, vantage, meta FROM run")
    assert (client, vantage, json.loads(meta)) == ("waton", "client", {"version": "é"})


def test_runs_number_their_traces_anew_and_rows_go_on(journal: Journal) -> None:
    first = journal.begin_run("waton", "client")
    journal.append(first, [trace(1), trace(2)])
    second = journal.begin_run("waton", "client")
    journal.append(second, [trace(1, name="other")])
    journal.append(first, [trace(3)])
    assert [(row.row, row.run, row.trace.seq) for row in journal.rows()] == [(1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 1, 3)]
    assert [row.row for row in journal.rows(after=2)] == [3, 4]
    assert [row.row for row in journal.rows(after=1, limit=2)] == [2, 3]
    assert [row.row for row in journal.rows(run=second)] == [3]
    assert journal.last(second, 10)[0].name == "other"


def test_a_trace_that_is_not_there(journal: Journal) -> None:
    run = journal.begin_run("waton", "client")
    with pytest.raises(CaptureError, match="run 1 has no trace 5"):
        journal.payload(run, 5)


@pytest.mark.parametrize("bad", [{"seq": 1}, {"name": None}, {"size": 1 << 70}, {"name": "\ud800"}, {"layer": "frame"}])
def test_a_batch_with_a_trace_no_row_can_hold_is_refused_whole(journal: Journal, bad: dict[str, Any]) -> None:
    run = journal.begin_run("waton", "client")
    journal.append(run, [trace(1)])
    with pytest.raises(RefusedTrace):
        journal.append(run, [trace(2), replace(trace(3), **bad)])
    assert [row.trace.seq for row in journal.rows()] == [1]
    journal.append(run, [trace(2), trace(3)])
    assert [row.trace.seq for row in journal.rows()] == [1, 2, 3]


def test_a_full_disk_is_a_capture_error_and_leaves_the_state_before(journal: Journal) -> None:
    run = journal.begin_run("waton", "client")
    assert journal._connection is not None
    (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(CaptureError, match="full"):
        journal.append(run, [trace(1), trace(2, data=bytes(100_000))])
    assert journal.rows() == []


# --- settling


def test_rows_whose_unit_never_committed_are_flagged(journal: Journal) -> None:
    lost = journal.begin_run("waton", "client")
    traces = [trace(1), trace(2, transition=1), trace(3, transition=2), trace(4, transition=2), trace(5, transition=3)]
    journal.append(lost, traces)
    other = journal.begin_run("waton", "client")
    journal.append(other, [trace(1, transition=2)])
    assert journal.unsettled() == [], "what this journal began itself is still going on"
    journal.close()

    again = Journal.open(journal.path)
    again.begin_run("waton", "client")
    assert again.unsettled() == [(lost, [1, 2, 3]), (other, [2])]
    assert again.settle(lost, {1, 3}) == 2
    assert again.unsettled() == [(other, [2])]
    assert again.settle(other, [2]) == 0
    assert again.unsettled() == []
    flags = [row.flags for row in again.rows()]
    assert flags == [0, 0, Flags.UNCOMMITTED, Flags.UNCOMMITTED, 0, 0]
    again.close()


# --- the file


def test_the_file_says_what_it_is_and_nobody_else_may_read_it(journal: Journal) -> None:
    journal.begin_run("waton", "client")
    directory = journal.path.parent
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
    assert len(os.listdir(directory)) == 3
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    journal.close()
    journal.close()
    assert os.listdir(directory) == ["journal.db"]
    with closing(sqlite3.connect(journal.path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with pytest.raises(CaptureError, match="is closed"):
        journal.begin_run("waton", "client")
    journal.path.chmod(0o644)
    Journal.open(journal.path).close()
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_reading_leaves_nothing_beside_the_file(journal: Journal) -> None:
    run = journal.begin_run("waton", "client")
    journal.append(run, [trace(1)])
    journal.close()
    before = picture(journal.path.parent)
    assert journal.payload(run, 1) == b"data 1"
    assert len(Analysis(journal.path).frames()) == 1
    assert picture(journal.path.parent) == before


def test_two_writers_share_one_journal(journal: Journal) -> None:
    second = Journal.open(journal.path)

    def work(of: Journal) -> int:
        run = of.begin_run("waton", "client")
        for seq in range(1, 201):
            of.append(run, [trace(seq)])
        return run

    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(work, (journal, second)))
    second.close()
    rows = journal.rows()
    assert [row.row for row in rows] == list(range(1, 401))
    for run in runs:
        assert [row.trace.seq for row in rows if row.run == run] == list(range(1, 201))


def test_many_make_the_same_journal_at_once(tmp_path: Path) -> None:
    def work(_: int) -> int:
        journal = Journal.open(tmp_path / "journal.db")
        run = journal.begin_run("waton", "client")
        journal.close()
        return run

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(work, range(16))) == list(range(1, 17))
    assert os.listdir(tmp_path) == ["journal.db"]


def test_an_older_file_is_brought_up_to_date(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    run = journal.begin_run("waton", "client")
    journal.append(run, [trace(1)])
    journal.close()
    monkeypatch.setattr("waton.capture.schema.STEPS", (*STEPS, ("CREATE TABLE later (x)",)))
    for _ in range(2):
        again = Journal.open(journal.path)
        assert len(again.rows()) == 1
        again.close()
    with closing(sqlite3.connect(journal.path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS) + 1,)
        assert connection.execute("SELECT count(*) FROM later").fetchone() == (0,)


# --- what is refused


def rewrite(path: Path, *statements: str) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def alter(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


DAMAGES: dict[str, tuple[Callable[[Path], object], int | None, str]] = {
    "random bytes": (lambda path: path.write_bytes(random.Random(1).randbytes(20_000)), None, "not a database"),
    "emptied": (lambda path: path.write_bytes(b""), None, "is empty"),
    "cut to half": (lambda path: os.truncate(path, path.stat().st_size // 8192 * 4096), None, "is damaged"),
    "cut within a page": (lambda path: os.truncate(path, path.stat().st_size - 100), None, "is damaged"),
    "another program's database": (lambda path: rewrite(path, "CREATE TABLE x (y)"), None, "another program"),
    "without a table": (lambda path: alter(path, "DROP TABLE payload"), len(STEPS), "tables are missing"),
    "a newer waton's": (lambda path: alter(path, "PRAGMA user_version = 99"), 99, "newer waton"),
    "gone": (lambda path: path.unlink(), None, "no such file"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_file_is_refused_and_left_as_it_is(journal: Journal, damage: str) -> None:
    run = journal.begin_run("waton", "client")
    journal.append(run, [trace(seq) for seq in range(1, 300)])
    journal.close()
    make, version, sentence = DAMAGES[damage]
    make(journal.path)
    before = picture(journal.path.parent)
    openers: list[Callable[[Path], object]] = [Analysis] if damage == "gone" else [Journal.open, Analysis]
    for opener in openers:
        with pytest.raises(CaptureError, match=sentence) as caught:
            opener(journal.path)
        assert (caught.value.path, caught.value.version) == (str(journal.path), version)
        assert picture(journal.path.parent) == before


def test_a_missing_file_with_its_log_still_there_is_refused(journal: Journal, tmp_path: Path) -> None:
    journal.begin_run("waton", "client")
    place = tmp_path / "crashed"
    place.mkdir()
    shutil.copy(f"{journal.path}-wal", place / "journal.db-wal")
    before = picture(place)
    with pytest.raises(CaptureError, match="is missing, but its write-ahead log is there"):
        Journal.open(place / "journal.db")
    assert picture(place) == before


def test_a_checkpoint_that_was_cut_short_is_no_damage(journal: Journal, tmp_path: Path) -> None:
    """Killed after the first page was copied back: its header promises pages that only the log has."""
    run = journal.begin_run("waton", "client")
    journal.append(run, [trace(seq) for seq in range(1, 300)])
    place = tmp_path / "crashed"
    place.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{journal.path}{suffix}", place / f"journal.db{suffix}")
    journal.close()
    with (place / "journal.db").open("r+b") as file:
        file.write(journal.path.read_bytes()[:4096])
    again = Journal.open(place / "journal.db")
    assert len(again.rows()) == 299
    again.close()
