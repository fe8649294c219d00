"""Verdicts come from rows alone, and known differences from places that differ."""

from __future__ import annotations

import pytest

from tests.unit.parity.rows import row
from waton.errors import ParityError
from waton.parity.evidence import Domain, Evidence, Field, Outcome, Status, domain_named, judge, worst
from waton.parity.known import Differences, better, functions, left_out, missing, open_, scan, wire

TEST = "tests/unit/parity/test_evidence.py::test_a_domain_without_rows_is_missing"


def test_a_domain_without_rows_is_missing() -> None:
    assert judge(Domain.NOISE, []).status is Status.MISSING
    assert judge(Domain.NOISE, [row("a", domain=Domain.USYNC)]).status is Status.MISSING


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([Outcome.MISSING, Outcome.OPEN], Status.MISSING),
        ([Outcome.LEFT_OUT], Status.MISSING),
        ([Outcome.EQUAL, Outcome.OPEN], Status.PARTIAL),
        ([Outcome.EQUAL, Outcome.MISSING], Status.PARTIAL),
        ([Outcome.BETTER, Outcome.DIFFERS], Status.PARTIAL),
        ([Outcome.EQUAL, Outcome.LEFT_OUT], Status.DONE),
        ([Outcome.EQUAL, Outcome.BETTER], Status.BETTER),
    ],
)
def test_a_status_comes_from_the_outcomes(outcomes: list[Outcome], status: Status) -> None:
    rows = [row(str(number), outcome) for number, outcome in enumerate(outcomes)]
    assert judge(Domain.NOISE, rows).status is status


def test_what_was_only_read_is_never_done() -> None:
    assert judge(Domain.NOISE, [row("a", evidence=Evidence.SCAN)]).status is Status.PARTIAL
    assert judge(Domain.NOISE, [row("a", evidence=Evidence.SCAN), row("b")]).status is Status.DONE


def test_the_worst_is_what_several_outcomes_come_to() -> None:
    assert worst([]) is Outcome.EQUAL
    assert worst([Outcome.EQUAL, Outcome.BETTER]) is Outcome.BETTER
    assert worst([Outcome.BETTER, Outcome.OPEN]) is Outcome.OPEN
    assert worst([Outcome.OPEN, Outcome.DIFFERS]) is Outcome.DIFFERS


def test_lacking_rows_come_worst_first() -> None:
    rows = [row("a", Outcome.OPEN), row("b", Outcome.DIFFERS), row("c", Outcome.MISSING), row("d")]
    assert [one.name for one in judge(Domain.NOISE, rows).lacking] == ["b", "c", "a"]


def test_a_domain_that_is_none_is_named_with_those_that_are() -> None:
    with pytest.raises(ParityError, match="no domain signal; there are messages-recv"):
        domain_named("signal")


# --- known differences


def differing(*paths: str) -> tuple[Field, ...]:
    return tuple(Field(path, "1", "2") for path in paths)


def test_each_field_needs_its_own_explanation() -> None:
    known = Differences([better("wire/stanza/a#x", "Baileys is wrong", TEST)])
    explained = known.explain(row("a", Outcome.DIFFERS, fields=differing("x", "y"), note="input: 1"))
    assert explained.outcome is Outcome.DIFFERS
    assert [field.outcome for field in explained.fields] == [Outcome.BETTER, Outcome.DIFFERS]
    assert explained.note == "input: 1"


def test_a_row_is_as_bad_as_its_worst_field() -> None:
    known = Differences([better("wire/stanza/a#x", "so", TEST), open_("wire/stanza/a#y", "lacks y")])
    explained = known.explain(row("a", Outcome.DIFFERS, fields=differing("x", "y"), note="input: 1"))
    assert explained.outcome is Outcome.OPEN
    assert explained.note == "so; lacks y"
    assert explained.test == TEST


def test_a_field_that_is_left_out_leaves_the_row_equal() -> None:
    known = Differences([left_out("wire/stanza/a#x", "chance")])
    assert known.explain(row("a", Outcome.DIFFERS, fields=differing("x"))).outcome is Outcome.EQUAL


def test_a_row_without_fields_is_looked_up_by_its_key() -> None:
    known = Differences([missing("wire/stanza/login/*", "waton says nothing there")])
    assert known.explain(row("login/x", Outcome.DIFFERS)).outcome is Outcome.MISSING
    assert known.explain(row("pair/x", Outcome.DIFFERS)).outcome is Outcome.DIFFERS


def test_what_is_equal_is_not_looked_up() -> None:
    known = Differences([open_("wire/stanza/*", "lacks all")])
    assert known.explain(row("a")).outcome is Outcome.EQUAL
    assert [line.where for line in known.stale(Evidence.WIRE)] == ["wire/stanza/*"]


def test_what_is_called_better_is_shown_by_running_baileys() -> None:
    lines = [*functions.KNOWN, *scan.KNOWN, *wire.KNOWN]
    cited = [line.test for line in lines if line.outcome is Outcome.BETTER]
    assert cited
    assert [test for test in cited if not test.startswith("tests/peers/")] == []


def test_a_line_that_was_needed_is_not_stale() -> None:
    known = Differences([open_("wire/stanza/a", "lacks a"), open_("scan/method/b", "lacks b")])
    known.explain(row("a", Outcome.DIFFERS))
    assert known.stale(Evidence.WIRE) == []
    assert [line.where for line in known.stale(Evidence.SCAN)] == ["scan/method/b"]
