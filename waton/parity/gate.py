"""The gate: a ratchet. Against the baseline no row may get worse, and a domain once done stays done.

It also refuses what would make the rows say less than they seem to: a difference nobody has explained, an explanation
of something that no longer differs, a "better" without a test that exists, a row that has vanished.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from waton.parity.baseline import Baseline
from waton.parity.engine import Found
from waton.parity.evidence import CRITICAL, Outcome, Row, Status, Verdict, verdicts
from waton.parity.oracle.package import checkout


class Reason(StrEnum):
    """Why the gate is shut."""

    WORSE = "worse"
    VANISHED = "vanished"
    UNEXPLAINED = "unexplained"
    UNREASONED = "unreasoned"
    """Left out, missing or open, and nobody says why."""
    UNTESTED = "untested"
    """Better by a test that is not there."""
    STALE = "stale"
    UNDONE = "undone"
    """A domain was done and is not any more."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One reason to keep the gate shut."""

    reason: Reason
    where: str
    """A row's key, a domain, or a pattern of the table."""
    text: str

    def __str__(self) -> str:
        return f"{self.reason.value:12} {self.where}: {self.text}"


def check(found: Found, baseline: Baseline) -> list[Complaint]:
    """Everything that keeps the gate shut; empty when it may open."""
    before = [row for row in baseline.rows if found.covers(row)]
    complaints = [*_explained(found.rows), *_ratchet(found.rows, before)]
    complaints += [Complaint(Reason.STALE, line.where, "nothing differs there any more") for line in found.stale]
    if found.is_whole and found.evidence == frozenset(row.evidence for row in baseline.rows):
        complaints += _domains(found.rows, baseline.rows)
    return complaints


def _explained(rows: Iterable[Row]) -> list[Complaint]:
    complaints: list[Complaint] = []
    for row in rows:
        if row.outcome is Outcome.DIFFERS:
            places = ", ".join(field.path for field in row.fields if field.outcome is Outcome.DIFFERS)
            complaints.append(Complaint(Reason.UNEXPLAINED, row.key, places or row.note or "the two differ"))
        elif row.outcome in (Outcome.OPEN, Outcome.MISSING, Outcome.LEFT_OUT) and not row.note:
            complaints.append(Complaint(Reason.UNREASONED, row.key, f"{row.outcome.value}, and nobody says why"))
        complaints += [
            Complaint(Reason.UNTESTED, row.key, test or "no test is named")
            for test in _tests(row)
            if not has_test(test)
        ]
    return complaints


def _tests(row: Row) -> list[str]:
    """The tests this row leans on."""
    if row.fields:
        return list(dict.fromkeys(field.test for field in row.fields if field.outcome is Outcome.BETTER))
    return [row.test] if row.outcome is Outcome.BETTER else []


@cache
def has_test(name: str) -> bool:
    """True when a test of this name is in the tree: path::function, or path::class::function.

    An installed waton has no tests beside it; there only the name is asked for.
    """
    path, *parts = name.partition("[")[0].split("::")
    root = checkout()
    if root is None:
        return bool(path and parts)
    file = root / path
    if not path or not parts or not file.is_file():
        return False
    body: list[ast.stmt] = ast.parse(file.read_text("utf-8")).body
    for part in parts:
        found = [
            node
            for node in body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == part
        ]
        if not found:
            return False
        body = found[0].body
    return True


def _ratchet(rows: Iterable[Row], before: Iterable[Row]) -> list[Complaint]:
    now = {row.key: row for row in rows}
    complaints: list[Complaint] = []
    for old in before:
        row = now.get(old.key)
        if row is None:
            complaints.append(Complaint(Reason.VANISHED, old.key, f"it was {old.outcome.value}"))
        elif row.outcome.rank > old.outcome.rank:
            text = f"{old.outcome.value} before, {row.outcome.value} now" + (f" ({row.note})" if row.note else "")
            complaints.append(Complaint(Reason.WORSE, old.key, text))
    return complaints


def _domains(rows: Iterable[Row], before: Iterable[Row]) -> list[Complaint]:
    was = {verdict.domain: verdict.status for verdict in verdicts(before)}
    return [
        Complaint(
            Reason.UNDONE, verdict.domain.value, f"{was[verdict.domain].value} before, {verdict.status.value} now"
        )
        for verdict in verdicts(rows)
        if _is_done(was[verdict.domain]) and not _is_done(verdict.status)
    ]


def _is_done(status: Status) -> bool:
    return status in (Status.DONE, Status.BETTER)


def critical(rows: Iterable[Row]) -> list[Verdict]:
    """The verdicts on the critical domains, with what each still lacks."""
    return [verdict for verdict in verdicts(rows) if verdict.domain in CRITICAL]
