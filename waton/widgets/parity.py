"""The parity view: domains by evidence, then the rows of one choice, then one row with both sides beside each other.

A report never changes, so this widget follows nothing. A view asks for an overview, for the rows of a cell or of a
scenario, or for one row, and is answered; only `ParityWidget.show` speaks first. A choice's rows go to the view without
what the two sides are, which is most of a report and is sent when somebody opens a row.

Two sides are laid out line by line. The order of a tag's attributes says nothing and was not compared
(waton.parity.canonical), so lines that differ in nothing else are the same here too. Lines are compared where they are
what a client said; the sides of a scan or a function are names of two things, and stand beside each other as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cached_property
from typing import ClassVar, TypeAlias

from waton.errors import ParityError
from waton.parity.evidence import CRITICAL, Evidence, Field, Outcome, Row, Verdict, domain_named
from waton.parity.report import Report
from waton.widgets.base import LiveWidget, front_end, text_of

WireRow: TypeAlias = "list[str]"
"""key, outcome, kind, title, group, note, domain: what parity.js draws, in this order."""
Line: TypeAlias = "tuple[str, str | None, str | None]"
"""How it differs ("", "changed", "ours", "theirs"), ours, Baileys'; None where a side has no such line."""

_WORST_FIRST = [Outcome.DIFFERS, Outcome.MISSING, Outcome.OPEN, Outcome.LEFT_OUT, Outcome.BETTER, Outcome.EQUAL]
_HOW = {
    Evidence.SCAN: "Both sources were read, and what they declare was compared.",
    Evidence.FUNCTION: "Both functions were called with the same generated inputs.",
    Evidence.WIRE: "Both clients played the same scenarios against the lab.",
}
_UNPLAYED = "not played yet"
_KINDS = ("scenario", "stanza", "order", "event")
"""Of a scenario, in the order they are shown within a step."""
_ATTRIBUTE = re.compile(r' [^\s=<>"]+="[^"]*"')
_HEAD = re.compile(r"\s*</?[\w.:-]*|\s*\S*")


class ParityWidget(LiveWidget):
    """A map of a parity report; click a cell for its rows, and a row for both sides of it.

    Args:
        report: what was found; `waton.parity.load()` has the last.
        scenario: show what both clients say in this one at once.
    Raises:
        ParityError: there is no such scenario.
    """

    _esm, _css = front_end("parity")
    title: ClassVar[str] = "Parity"

    def __init__(self, report: Report, *, scenario: str | None = None) -> None:
        self._pages = Pages(report)
        self._first = [] if scenario is None else [self._pages.scenario(scenario)]
        """What a view that has just been drawn is shown, after the overview."""
        super().__init__()

    def summary(self) -> str:
        return f"{self._pages.told()}; the map is live in a notebook"

    def show(self, key: str) -> None:
        """Open a row, here and in views still to be drawn; `key` as in the report: evidence/kind/name.

        Raises:
            ParityError: there is no such row.
        """
        self._first = self._pages.opened(key)
        self.post(lambda: self._push_all(self._first))

    def receive(self, message: Mapping[str, object]) -> None:
        view = text_of(message, "view")
        match text_of(message, "type"):
            case "hello":
                self._push_all([self._pages.overview(), *self._first], view)
            case "cell":
                page = self._pages.cell(text_of(message, "domain"), text_of(message, "evidence"))
                self._push_all([page], view)
            case "scenario":
                self._push_all([self._pages.scenario(text_of(message, "name"))], view)
            case "row":
                self._push_all([self._pages.row(text_of(message, "key"))], view)
            case _:
                pass  # bye: nothing is kept of views

    def _push_all(self, pages: Iterable[Mapping[str, object]], view: str | None = None) -> None:
        """Send to one view; None is all."""
        for page in pages:
            self.push(page if view is None else {**page, "view": view})


class Pages:
    """What views are shown of a report, each page as the message it is sent in."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def told(self) -> str:
        """The report in a few words."""
        counts = Counter(verdict.status.value for verdict in self._report.verdicts)
        domains = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        return f"{len(self._report.rows):,} rows; domains {domains}"

    # --- the map and the scenarios -----------------------------------------------------------------------------------

    def overview(self) -> dict[str, object]:
        """All that is on view before anything was chosen."""
        rows = self._report.rows
        return {
            "type": "overview",
            "baileys": self._report.versions.get("baileys", ""),
            "total": len(rows),
            "outcomes": Counter(row.outcome.value for row in rows),
            "evidence": [[kind.value, how] for kind, how in _HOW.items()],
            "domains": [_domain(verdict) for verdict in self._report.verdicts],
            "scenarios": [[name, *self._shares(name)] for name in self._scenarios],
            "unplayed": sum(_is_unplayed(row) for row in rows),
        }

    @cached_property
    def _scenarios(self) -> dict[str, list[Row]]:
        """The rows of each scenario that was played, scenarios by name."""
        found: dict[str, list[Row]] = {}
        for row in self._report.rows:
            if row.evidence is Evidence.WIRE and not _is_unplayed(row):
                found.setdefault(row.name.partition("/")[0], []).append(row)
        return dict(sorted(found.items()))

    def _shares(self, scenario: str) -> tuple[int, int]:
        said = [row for row in self._scenarios[scenario] if row.kind == "stanza"]
        return sum(row.outcome.is_good for row in said), len(said)

    # --- the rows of a choice ----------------------------------------------------------------------------------------

    def cell(self, domain: str, evidence: str) -> dict[str, object]:
        """The rows of one domain and one kind of evidence, worst first; "" is any. Raises ParityError, ValueError."""
        domains = [domain_named(domain)] if domain else None
        kind = Evidence(evidence) if evidence else None
        groups: dict[str, list[Row]] = {}
        for row in sorted(self._report.rows, key=_badness):
            if (domains is None or row.domain in domains) and kind in (None, row.evidence):
                groups.setdefault(_group(row, kind), []).append(row)
        rows = [_wire(row, group) for group, found in groups.items() for row in found]
        title = " · ".join((domain or "all domains", evidence or "all evidence"))
        return {
            "type": "rows",
            "choice": f"{domain}/{evidence}",
            "title": title,
            "text": "" if kind is None else _HOW[kind],
            "rows": rows,
        }

    def scenario(self, name: str) -> dict[str, object]:
        """What both clients say in one scenario, in the order said; "" is those not played. Raises ParityError."""
        if not name:
            rows = sorted((row for row in self._report.rows if _is_unplayed(row)), key=lambda row: row.name)
            text = "Each needs something that waton cannot do yet."
            return _scenario_page("", _UNPLAYED, text, [_wire(row, "") for row in rows])
        if name not in self._scenarios:
            raise ParityError(f"no scenario {name}; there are {', '.join(self._scenarios)}")
        found = self._scenarios[name]
        whole = next((row for row in found if row.kind == "scenario"), None)
        steps = [] if whole is None else whole.theirs.split("\n")
        told = [row for row in found if row is not whole or not row.outcome.is_good]  # the page's text says the same
        rows = sorted(told, key=lambda row: self._place(row, steps))
        text = "" if whole is None else whole.note
        return _scenario_page(name, name, text, [_wire(row, _step_group(row)) for row in rows])

    def _place(self, row: Row, steps: Sequence[str]) -> tuple[int, int, int, str]:
        """By step, then by kind, then as said."""
        step = _step(row)
        at = -1 if row.kind == "scenario" else steps.index(step) if step in steps else len(steps)
        kind = _KINDS.index(row.kind) if row.kind in _KINDS else len(_KINDS)
        return at, kind, self._as_said.get(row.key, len(self._as_said)), row.name

    @cached_property
    def _as_said(self) -> dict[str, int]:
        """The place of each stanza and event in the order said, by key."""
        frames = {"stanza": self._report.stanzas(), "event": self._report.events()}
        keys = [
            f"{Evidence.WIRE.value}/{kind}/{scenario}/{step}/{name}"
            for kind, frame in frames.items()
            for scenario, step, name in zip(frame["scenario"], frame["step"], frame[kind], strict=True)
        ]
        return {key: place for place, key in enumerate(keys)}

    # --- one row -----------------------------------------------------------------------------------------------------

    def row(self, key: str) -> dict[str, object]:
        """Both sides of a row, and why they differ. Raises ParityError."""
        row = self._report.row(key)
        is_said = row.evidence is Evidence.WIRE
        lines = side_by_side(row.ours, row.theirs) if is_said else _as_they_are(row)
        return {
            "type": "row",
            "row": _wire(row, _group(row, None)),
            "sentence": sentence(row),
            "reasons": _reasons(row),
            "lines": lines,
            "reordered": is_said and any(not mark and left and right and left != right for mark, left, right in lines),
        }

    def opened(self, key: str) -> list[dict[str, object]]:
        """The pages on the way to a row: its scenario's rows or its cell's, and itself. Raises ParityError."""
        row = self._report.row(key)
        if row.evidence is Evidence.WIRE:
            return [self.scenario("" if _is_unplayed(row) else row.name.partition("/")[0]), self.row(key)]
        return [self.cell(row.domain.value, row.evidence.value), self.row(key)]


def _scenario_page(name: str, title: str, text: str, rows: list[WireRow]) -> dict[str, object]:
    return {"type": "rows", "choice": f"scenario:{name}", "title": title, "text": text, "rows": rows}


def _domain(verdict: Verdict) -> dict[str, object]:
    cells = [[verdict.good(kind), verdict.compared(kind)] for kind in _HOW]
    return {
        "name": verdict.domain.value,
        "critical": verdict.domain in CRITICAL,
        "status": verdict.status.value,
        "lacking": len(verdict.lacking),
        "cells": cells,
    }


# --- rows in lists ----------------------------------------------------------------------------------------------------


def _wire(row: Row, group: str) -> WireRow:
    return [row.key, row.outcome.value, row.kind, _title(row), group, row.note, row.domain.value]


def _badness(row: Row) -> tuple[int, str, str]:
    return _WORST_FIRST.index(row.outcome), row.kind, row.name


def _is_unplayed(row: Row) -> bool:
    """True for a scenario that neither client has played."""
    return row.kind == "scenario" and not row.theirs


def _step(row: Row) -> str:
    return "/".join(row.name.split("/", 2)[1:2])


def _title(row: Row) -> str:
    """A row's name without what its group says."""
    if row.evidence is not Evidence.WIRE:
        return row.name
    if row.kind == "scenario":
        return row.name if _is_unplayed(row) else "the scenario as a whole"
    if row.kind == "order":
        return "the order of what both send"
    return row.name.split("/", 2)[-1]


def _group(row: Row, evidence: Evidence | None) -> str:
    """The heading a row stands under. evidence: the kind that was chosen, which needs no telling; None is any."""
    if row.evidence is Evidence.WIRE:
        return _UNPLAYED if _is_unplayed(row) else " › ".join(row.name.split("/", 2)[:2])
    return "" if evidence is row.evidence else row.evidence.value


def _step_group(row: Row) -> str:
    """The heading within a scenario."""
    return f"{_step(row)}: events" if row.kind == "event" else _step(row)


# --- one row ----------------------------------------------------------------------------------------------------------


def sentence(row: Row) -> str:
    """What a row comes to, in one sentence."""
    if _is_unplayed(row):
        return "This scenario is not played yet."
    if row.outcome is Outcome.LEFT_OUT:
        return "This is not compared."
    if row.outcome is Outcome.EQUAL:
        is_read = row.evidence is Evidence.SCAN
        return "Both are equal." if not is_read else "Both have this." if row.theirs else "Waton has this."
    has, have = ("does", "do") if row.evidence is Evidence.WIRE else ("has", "have")
    if not row.ours and not row.fields:
        return f"Only Baileys {has} this."
    if row.outcome is Outcome.MISSING:
        return "Waton has no counterpart yet."
    if not row.theirs and not row.fields:
        return f"Only waton {has} this."
    places = {0: "", 1: " in one place"}.get(len(row.fields), f" in {len(row.fields)} places")
    return f"Both {have} this, and differ{places}."


def _reasons(row: Row) -> list[dict[str, object]]:
    """What is said of a row's differences; places of which the same is said stand together."""
    if not row.fields:
        return [_reason(row.outcome, row.note, row.test, ())] if row.note or row.test else []
    said: dict[tuple[Outcome, str, str], list[Field]] = {}
    for field in row.fields:
        said.setdefault((field.outcome, field.note, field.test), []).append(field)
    reasons = [_reason(*reason, fields) for reason, fields in said.items()]
    is_told = any(field.note in row.note for field in row.fields if field.note)
    return reasons if is_told or not row.note else [_reason(row.outcome, row.note, row.test, ()), *reasons]


def _reason(outcome: Outcome, note: str, test: str, fields: Iterable[Field]) -> dict[str, object]:
    places = [[field.path, field.ours, field.theirs] for field in fields]
    return {"outcome": outcome.value, "note": note, "test": test, "places": places}


def side_by_side(ours: str, theirs: str) -> list[Line]:
    """Two texts, line by line beside each other. Of one that stands alone no line is marked."""
    mine, yours = ours.splitlines(), theirs.splitlines()
    if not mine or not yours:
        return [*(("", line, None) for line in mine), *(("", None, line) for line in yours)]
    lines: list[Line] = []
    for kind, start, end, other_start, other_end in _opcodes(map(_without_order, mine), map(_without_order, yours)):
        left, right = mine[start:end], yours[other_start:other_end]
        if kind == "equal":
            lines += [("", *pair) for pair in zip(left, right, strict=True)]
        else:
            lines += _unequal(left, right)
    return lines


def _unequal(mine: Sequence[str], yours: Sequence[str]) -> list[Line]:
    """Lines that are not the same: what begins alike belongs together."""
    lines: list[Line] = []
    for kind, start, end, other_start, other_end in _opcodes(map(_head, mine), map(_head, yours)):
        left, right = mine[start:end], yours[other_start:other_end]
        if kind == "equal":
            lines += [("changed", *pair) for pair in zip(left, right, strict=True)]
        else:
            lines += [*(("ours", line, None) for line in left), *(("theirs", None, line) for line in right)]
    return lines


def _opcodes(left: Iterable[str], right: Iterable[str]) -> list[tuple[str, int, int, int, int]]:
    return list(SequenceMatcher(None, list(left), list(right), autojunk=False).get_opcodes())


def _without_order(line: str) -> str:
    return _ATTRIBUTE.sub("", line) + "".join(sorted(_ATTRIBUTE.findall(line)))


def _head(line: str) -> str:
    found = _HEAD.match(line)
    return "" if found is None else found.group()


def _as_they_are(row: Row) -> list[Line]:
    """Names and values of two sides that are written differently: nothing to compare by line."""
    mine, yours = row.ours.splitlines(), row.theirs.splitlines()
    count = max(len(mine), len(yours))
    return [("", _at(mine, place), _at(yours, place)) for place in range(count)]


def _at(lines: Sequence[str], place: int) -> str | None:
    return lines[place] if place < len(lines) else None
