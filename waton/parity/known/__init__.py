"""Known differences: where waton and Baileys differ, and why, one line each.

A line names a place by pattern: a row's key (`wire/stanza/login/*`), or a field in it after a `#`
(`function/function/jidEncode#user`). The places come from the comparison; a line only says what it means that they
differ: `better` with the test that shows Baileys wrong or weaker, `open` with what waton lacks there, `missing` for
what only Baileys does, `left_out` with why it is not compared. A line whose place no longer differs is stale, and
fails the gate, so that the table cannot outlive the facts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from waton.parity.evidence import Evidence, Field, Outcome, Row, worst


@dataclass(frozen=True, slots=True)
class Known:
    """One line of the table. Make it with better(), open_(), missing() or left_out()."""

    where: str
    """Pattern (`*`, `?`, `[...]` as in file names) over `key` or `key#path`."""
    outcome: Outcome
    note: str
    test: str = ""

    @property
    def evidence(self) -> Evidence:
        """Which kind of evidence the place belongs to."""
        return Evidence(self.where.partition("/")[0])


def better(where: str, note: str, test: str) -> Known:
    """We differ on purpose, and `test` (as pytest names it) shows Baileys wrong or weaker there."""
    return Known(where, Outcome.BETTER, note, test)


def open_(where: str, note: str) -> Known:
    """We differ and should not; `note` names what is missing."""
    return Known(where, Outcome.OPEN, note)


def missing(where: str, note: str) -> Known:
    """Only Baileys has or does it; `note` names what waton lacks."""
    return Known(where, Outcome.MISSING, note)


def left_out(where: str, note: str) -> Known:
    """The place is not compared, or says nothing about behaviour; `note` says why."""
    return Known(where, Outcome.LEFT_OUT, note)


class Differences:
    """The table, and which of its lines were needed."""

    def __init__(self, known: Iterable[Known]) -> None:
        self._known = tuple(known)
        self._used: set[Known] = set()

    def explain(self, row: Row) -> Row:
        """The row with each of its differences looked up, and its outcome the worst of them.

        A row that differs and has no fields is looked up by its key; so is one that is missing.
        """
        if row.fields:
            fields = tuple(self._explain_field(row.key, field) for field in row.fields)
            outcome = worst(Outcome.EQUAL if field.outcome is Outcome.LEFT_OUT else field.outcome for field in fields)
            test = next((field.test for field in fields if field.test), "")
            reasons = "; ".join(dict.fromkeys(field.note for field in fields if field.note))
            note = row.note if outcome is Outcome.DIFFERS else reasons or row.note
            return replace(row, fields=fields, outcome=outcome, test=test, note=note)
        if row.outcome not in (Outcome.DIFFERS, Outcome.MISSING):
            return row
        known = self._find(row.key)
        return row if known is None else replace(row, outcome=known.outcome, note=known.note, test=known.test)

    def _explain_field(self, key: str, field: Field) -> Field:
        known = self._find(f"{key}#{field.path}")
        if known is None:
            return field
        return replace(field, outcome=known.outcome, note=known.note, test=known.test)

    def _find(self, place: str) -> Known | None:
        for known in self._known:
            if fnmatchcase(place, known.where):
                self._used.add(known)
                return known
        return None

    def stale(self, evidence: Evidence) -> list[Known]:
        """The lines of this kind of evidence that nothing has needed. Ask after a whole run of that kind."""
        return [known for known in self._known if known.evidence is evidence and known not in self._used]


def known_differences() -> Differences:
    """A fresh table with every line there is."""
    from waton.parity.known import functions, scan, wire

    return Differences([*scan.KNOWN, *functions.KNOWN, *wire.KNOWN])


__all__ = ["Differences", "Known", "better", "known_differences", "left_out", "missing", "open_"]
