"""The gate is a ratchet, and refuses rows that say less than they seem to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.parity.rows import row
from waton.errors import ParityError
from waton.parity import baseline as baselines
from waton.parity import gate
from waton.parity.baseline import Baseline
from waton.parity.engine import Found
from waton.parity.evidence import Domain, Evidence, Field, Outcome, Row
from waton.parity.gate import Reason
from waton.parity.known import Known, open_

TEST = "tests/unit/parity/test_gate.py::test_an_unchanged_run_passes"


def found(
    *rows: Row,
    stale: tuple[Known, ...] = (),
    domain: Domain | None = None,
    scenarios: frozenset[str] | None = None,
) -> Found:
    return Found(rows, {"baileys": "7"}, stale, frozenset(row.evidence for row in rows), domain, scenarios)


def reasons(now: Found, *before: Row) -> list[Reason]:
    return [complaint.reason for complaint in gate.check(now, Baseline(before))]


def test_an_unchanged_run_passes() -> None:
    rows = [row("a"), row("b", Outcome.OPEN), row("c", Outcome.BETTER, test=TEST)]
    assert reasons(found(*rows), *rows) == []


@pytest.mark.parametrize(
    ("before", "now", "is_worse"),
    [
        (Outcome.EQUAL, Outcome.OPEN, True),
        (Outcome.EQUAL, Outcome.MISSING, True),
        (Outcome.EQUAL, Outcome.LEFT_OUT, True),
        (Outcome.BETTER, Outcome.OPEN, True),
        (Outcome.OPEN, Outcome.MISSING, True),
        (Outcome.OPEN, Outcome.EQUAL, False),
        (Outcome.MISSING, Outcome.OPEN, False),
        (Outcome.MISSING, Outcome.EQUAL, False),
    ],
)
def test_no_row_may_get_worse(before: Outcome, now: Outcome, is_worse: bool) -> None:
    held = reasons(found(row("a", now, test=TEST), row("b")), row("a", before, test=TEST), row("b"))
    assert (Reason.WORSE in held) is is_worse


def test_no_row_may_vanish() -> None:
    assert reasons(found(row("a")), row("a"), row("b")) == [Reason.VANISHED]


def test_rows_that_were_not_looked_at_have_not_vanished() -> None:
    scanned = row("b", evidence=Evidence.SCAN)
    other = row("c", domain=Domain.USYNC)
    assert reasons(found(row("a")), row("a"), scanned) == []
    assert reasons(found(row("a"), domain=Domain.NOISE), row("a"), other) == []
    assert reasons(found(row("login/a"), scenarios=frozenset({"login"})), row("login/a"), row("pair/a")) == []
    assert reasons(found(row("login/a"), scenarios=frozenset({"login"})), row("login/b")) == [Reason.VANISHED]


def test_a_new_row_is_welcome_unless_it_differs() -> None:
    lacking = row("c", Outcome.OPEN)
    assert reasons(found(row("a"), row("b", Outcome.MISSING), lacking), row("a"), lacking) == []
    assert reasons(found(row("a"), row("b", Outcome.DIFFERS), lacking), row("a"), lacking) == [Reason.UNEXPLAINED]


def test_a_difference_is_refused_also_when_the_baseline_has_it() -> None:
    assert reasons(found(row("a", Outcome.DIFFERS)), row("a", Outcome.DIFFERS)) == [Reason.UNEXPLAINED]


def test_a_domain_once_done_stays_so() -> None:
    assert Reason.UNDONE in reasons(found(row("a"), row("b", Outcome.OPEN)), row("a"))
    assert Reason.UNDONE not in reasons(found(row("a"), row("b", Outcome.OPEN)), row("a"), row("b", Outcome.OPEN))


def test_a_reason_is_asked_for() -> None:
    silent = Row(Domain.NOISE, Evidence.WIRE, "stanza", "a", Outcome.LEFT_OUT)
    assert reasons(found(silent), silent) == [Reason.UNREASONED]


@pytest.mark.parametrize("test", ["", "tests/unit/parity/test_gate.py", "tests/unit/parity/test_gate.py::test_nothing"])
def test_better_needs_a_test_that_exists(test: str) -> None:
    assert reasons(found(row("a", Outcome.BETTER, test=test)), row("a")) == [Reason.UNTESTED]
    fields = (Field("x", "1", "2", Outcome.BETTER, "so", test),)
    assert reasons(found(row("a", Outcome.BETTER, fields=fields)), row("a")) == [Reason.UNTESTED]


def test_a_stale_line_is_refused() -> None:
    assert reasons(found(row("a"), stale=(open_("wire/stanza/b", "lacks b"),)), row("a")) == [Reason.STALE]


# --- the file


def test_a_baseline_comes_back_as_it_was(tmp_path: Path) -> None:
    fields = (Field("x", "ours", "theirs", Outcome.OPEN, "lacks x"), Field("y", "", "2", Outcome.BETTER, "so", TEST))
    rows = [
        row('b/with <xml a="1">', Outcome.OPEN, fields=fields),
        row("a"),
        row("c", evidence=Evidence.SCAN, kind="event"),
    ]
    path = tmp_path / "parity" / "baseline.json"
    baselines.write(path, Baseline(tuple(rows), {"baileys": "7"}))
    read = baselines.read(path)
    assert read == Baseline(tuple(baselines.arranged(rows)), {"baileys": "7"})
    assert read.to_text() == path.read_text("utf-8")
    assert [path.name for path in path.parent.iterdir()] == ["baseline.json"]


def test_a_row_is_a_line() -> None:
    rows = (row("a"), row("b\nc"), row("d"))
    lines = Baseline(rows).to_text().splitlines()
    assert sum('"key"' in line for line in lines) == 3
    changed = Baseline((*rows[:2], row("d", Outcome.OPEN))).to_text().splitlines()
    assert sum(before != after for before, after in zip(lines, changed, strict=True)) == 2  # the row, and its domain


def test_one_kind_of_evidence_can_be_renewed(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    baselines.write(path, Baseline((row("a"), row("b", evidence=Evidence.SCAN)), {"web": "1"}))
    after = baselines.update(path, Evidence.SCAN, [row("c", evidence=Evidence.SCAN)], {"baileys": "7"})
    assert {one.key for one in after.rows} == {"wire/stanza/a", "scan/stanza/c"}
    assert after.versions == {"web": "1", "baileys": "7"}
    assert baselines.read(path) == after


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 99, "versions": {}, "rows": []}', '{"format": 1, "rows": [{}]}']
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(ParityError):
        baselines.read(path)
    with pytest.raises(ParityError):
        baselines.read(tmp_path / "none.json")
