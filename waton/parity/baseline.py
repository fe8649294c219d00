"""The baseline: every row of the last accepted run, in one file that a git diff reads well.

One row is one line, sorted by domain and key, with nothing in it that changes by itself. The gate holds a new run to
it. The three kinds of evidence are kept side by side, so that a scan can be renewed alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waton.errors import ParityError
from waton.parity.evidence import Domain, Evidence, Field, Outcome, Row, Verdict, verdicts

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Baseline:
    """Rows, and what they were made with."""

    rows: tuple[Row, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    """What was compared: "baileys", "web" ..."""

    def with_rows(self, evidence: Evidence, rows: Iterable[Row], versions: Mapping[str, str]) -> Baseline:
        """The same with this kind of evidence renewed."""
        kept = [row for row in self.rows if row.evidence is not evidence]
        return Baseline(tuple(arranged([*kept, *rows])), {**self.versions, **versions})

    def to_text(self) -> str:
        """The file's text."""
        lines = [",\n".join(f"  {json.dumps(to_json(row), ensure_ascii=False)}" for row in arranged(self.rows))]
        told = {verdict.domain.value: _told(verdict) for verdict in verdicts(self.rows)}
        domains = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in told.items())
        return (
            f'{{"format": {FORMAT},\n"versions": {json.dumps(dict(sorted(self.versions.items())))},\n'
            f'"domains": {{\n{domains}\n}},\n"rows": [\n{"".join(lines)}\n]}}\n'
        )


def arranged(rows: Iterable[Row]) -> list[Row]:
    """By domain, then by key."""
    return sorted(rows, key=lambda row: (list(Domain).index(row.domain), row.key))


def _told(verdict: Verdict) -> dict[str, Any]:
    counts = {
        evidence.value: {outcome.value: count for outcome in Outcome if (count := verdict.counts[evidence][outcome])}
        for evidence in Evidence
    }
    return {"status": verdict.status.value, **counts}


def to_json(row: Row) -> dict[str, Any]:
    """A row as JSON holds it; what is empty is left out."""
    told: dict[str, Any] = {
        "domain": row.domain.value,
        "key": row.key,
        "outcome": row.outcome.value,
        "ours": row.ours,
        "theirs": row.theirs,
        "note": row.note,
        "test": row.test,
        "fields": [_field_to_json(one) for one in row.fields],
    }
    return {name: value for name, value in told.items() if value}


def _field_to_json(one: Field) -> dict[str, str]:
    told = {
        "path": one.path,
        "ours": one.ours,
        "theirs": one.theirs,
        "outcome": one.outcome.value,
        "note": one.note,
        "test": one.test,
    }
    return {name: value for name, value in told.items() if value}


def from_json(told: Mapping[str, Any]) -> Row:
    """Raises KeyError, ValueError for what is no row."""
    evidence, kind, name = str(told["key"]).split("/", 2)
    fields = tuple(
        Field(
            one["path"],
            one.get("ours", ""),
            one.get("theirs", ""),
            Outcome(one["outcome"]),
            one.get("note", ""),
            one.get("test", ""),
        )
        for one in told.get("fields", [])
    )
    return Row(
        Domain(told["domain"]),
        Evidence(evidence),
        kind,
        name,
        Outcome(told["outcome"]),
        told.get("ours", ""),
        told.get("theirs", ""),
        told.get("note", ""),
        told.get("test", ""),
        fields,
    )


def read(path: Path) -> Baseline:
    """The baseline in a file. Raises ParityError when there is none, or it is not one."""
    try:
        told = json.loads(path.read_text("utf-8"))
        if told["format"] != FORMAT:
            raise ParityError(f"{path} is of format {told['format']}, and this waton reads {FORMAT}")
        return Baseline(tuple(from_json(row) for row in told["rows"]), told["versions"])
    except OSError as error:
        raise ParityError(f"no baseline at {path}; `waton parity run` makes one") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ParityError(f"{path} is no parity baseline") from error


def write(path: Path, baseline: Baseline) -> None:
    """Write the file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(baseline.to_text(), "utf-8")
    beside.replace(path)


def update(path: Path, evidence: Evidence, rows: Sequence[Row], versions: Mapping[str, str]) -> Baseline:
    """Renew one kind of evidence in a file, which need not exist; returns what it holds now."""
    before = read(path) if path.exists() else Baseline()
    after = before.with_rows(evidence, rows, versions)
    write(path, after)
    return after
