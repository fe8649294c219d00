"""The report: what a run has found, as DataFrames to sort and open, as text, and side by side.

    report = waton.parity.load()          # the committed baseline: needs neither Node nor Baileys
    report = waton.parity.run()           # a fresh run
    report.stanzas("login")               # does waton send the same as Baileys at login, and where not, why?

Columns `ours` and `theirs` hold what each side has, `note` says why a row is not equal, `test` what shows that it is
better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from waton.errors import ParityError
from waton.parity import baseline as baselines
from waton.parity.baseline import Baseline
from waton.parity.evidence import CRITICAL, Domain, Evidence, Outcome, Row, Verdict, verdicts
from waton.parity.oracle.package import checkout, home


def baseline_path() -> Path:
    """The committed baseline in a checkout; for an installed waton, the one its own runs have written."""
    root = checkout()
    return (home() if root is None else root / "docs" / "parity") / "baileys-parity-baseline.json"


_SHOWN = 12
"""How many rows of a list the text names before it counts the rest."""


@dataclass(frozen=True)
class Report:
    """Rows, and the questions people ask of them."""

    rows: tuple[Row, ...]
    versions: Mapping[str, str]

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """The verdict on every domain."""
        return verdicts(self.rows)

    # --- DataFrames ---------------------------------------------------------------------------------------------------

    def domains(self) -> pd.DataFrame:
        """One row a domain: its status, good rows of all compared by each kind of evidence, and how many it lacks."""
        told = [
            {
                "domain": verdict.domain.value,
                "status": verdict.status.value,
                "critical": verdict.domain in CRITICAL,
                **{kind.value: verdict.share(kind) for kind in Evidence},
                "lacking": len(verdict.lacking),
            }
            for verdict in self.verdicts
        ]
        return pd.DataFrame(told).set_index("domain")

    def heat(self) -> pd.DataFrame:
        """The share of good rows, 0 to 1, of each domain by each kind of evidence; NaN where nothing is compared."""
        told = {
            verdict.domain.value: {
                kind.value: verdict.good(kind) / all if (all := verdict.compared(kind)) else float("nan")
                for kind in Evidence
            }
            for verdict in self.verdicts
        }
        return pd.DataFrame(told).T

    def frame(
        self,
        *,
        domain: Domain | str | None = None,
        evidence: Evidence | str | None = None,
        kind: str | None = None,
        outcome: Outcome | str | Collection[str] | None = None,
    ) -> pd.DataFrame:
        """Any rows: domain, evidence, kind, name, outcome, note, test, ours, theirs, and how many fields differ."""
        wanted = {outcome} if isinstance(outcome, str) else None if outcome is None else set(outcome)
        chosen = [
            row
            for row in self.rows
            if (domain is None or row.domain == domain)
            and (evidence is None or row.evidence == evidence)
            and (kind is None or row.kind == kind)
            and (wanted is None or row.outcome.value in wanted)
        ]
        return pd.DataFrame([_told(row) for row in chosen], columns=_COLUMNS)

    def declared(self, kind: str | None = None) -> pd.DataFrame:
        """What both sources declare: methods, events, options, stanza shapes, protobuf messages, tokens ..."""
        return self.frame(evidence=Evidence.SCAN, kind=kind)

    def functions(self) -> pd.DataFrame:
        """Every exported function of Baileys, and what comparing it came to."""
        return self.frame(evidence=Evidence.FUNCTION)

    def stanzas(self, scenario: str | None = None) -> pd.DataFrame:
        """What the clients send: one row a stanza, by scenario and step, in the order of the steps' names.

        Raises:
            ParityError: there is no scenario of that name.
        """
        return self._said("stanza", scenario)

    def events(self, scenario: str | None = None) -> pd.DataFrame:
        """What the clients emit: one row a piece of news, by scenario and step. Raises ParityError."""
        return self._said("event", scenario)

    def _said(self, kind: str, scenario: str | None) -> pd.DataFrame:
        found = self.frame(evidence=Evidence.WIRE, kind=kind)
        parts = found["name"].str.split("/", n=2, expand=True).reindex(columns=range(3))
        told = found.drop(columns=["evidence", "kind", "name"])
        for place, column in enumerate(("scenario", "step", kind)):
            told.insert(place, column, parts[place])
        told = self._in_order(told, kind)
        if scenario is None:
            return told
        if scenario not in set(told["scenario"]):
            raise ParityError(f"no scenario {scenario}; there are {', '.join(sorted(set(told['scenario'])))}")
        return told[told["scenario"] == scenario].drop(columns="scenario").reset_index(drop=True)

    def _in_order(self, said: pd.DataFrame, kind: str) -> pd.DataFrame:
        """Scenarios by name, their steps and stanzas as Baileys has said them; what answers others comes last."""
        steps = {row.name: row.theirs.split("\n") for row in self.rows if row.kind == "scenario"}
        orders = {row.name: f"{row.theirs}\n{row.ours}".split("\n") for row in self.rows if row.kind == "order"}

        def place(row: tuple[str, str, str]) -> tuple[str, int, int]:
            scenario, step, name = row
            spoken = orders.get(f"{scenario}/{step}", [])
            at = steps.get(scenario, []).index(step) if step in steps.get(scenario, []) else -1
            return scenario, at, spoken.index(name) if name in spoken else len(spoken)

        places = [place(row) for row in zip(said["scenario"], said["step"], said[kind], strict=True)]
        return said.iloc[sorted(range(len(places)), key=places.__getitem__)].reset_index(drop=True)

    def fields(self, key: str | None = None) -> pd.DataFrame:
        """Every place in which a row's two sides differ; of one row when its key is given."""
        told = [
            {"domain": row.domain.value, "key": row.key, **asdict(field)}
            for row in self.rows
            for field in row.fields
            if key is None or row.key == key
        ]
        return pd.DataFrame(told, columns=["domain", "key", "path", "outcome", "note", "test", "ours", "theirs"])

    def better(self) -> pd.DataFrame:
        """The deliberate differences: what is better, why, and the test that shows it."""
        told = [
            {"domain": row.domain.value, "key": row.key, "why": note, "test": test}
            for row in self.rows
            for note, test in _reasons(row, Outcome.BETTER)
        ]
        return pd.DataFrame(told, columns=["domain", "key", "why", "test"])

    def lacking(self, domain: Domain | str | None = None) -> pd.DataFrame:
        """What keeps domains from being done, worst first."""
        chosen = [row for verdict in self.verdicts if domain in (None, verdict.domain) for row in verdict.lacking]
        return pd.DataFrame([_told(row) for row in chosen], columns=_COLUMNS)

    @staticmethod
    def drift(old: Path, new: Path) -> pd.DataFrame:
        """What changed between two Baileys folders, and whether waton knows it. Raises ParityError."""
        from waton.parity import drift as drifts  # reads TypeScript; whoever reads a report need not wait for that

        columns = ["kind", "name", "change", "old", "new", "known"]
        return pd.DataFrame([asdict(change) for change in drifts.drift(old, new)], columns=columns)

    # --- one row ------------------------------------------------------------------------------------------------------

    def row(self, key: str) -> Row:
        """The row of this key. Raises ParityError."""
        found = next((row for row in self.rows if row.key == key), None)
        if found is None:
            raise ParityError(f"no row {key}")
        return found

    def to_markdown(self) -> str:
        """The whole as a document."""
        return "\n".join(_markdown(self)) + "\n"

    def __repr__(self) -> str:
        counts = Counter(verdict.status.value for verdict in self.verdicts)
        told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        return (
            f"<Report of waton and Baileys {self.versions.get('baileys', '?')}: {len(self.rows)} rows; domains {told}>"
        )


_COLUMNS = ["domain", "evidence", "kind", "name", "outcome", "note", "test", "differing", "ours", "theirs"]


def _told(row: Row) -> dict[str, object]:
    return {
        "domain": row.domain.value,
        "evidence": row.evidence.value,
        "kind": row.kind,
        "name": row.name,
        "outcome": row.outcome.value,
        "note": row.note,
        "test": row.test,
        "differing": len(row.fields),
        "ours": row.ours,
        "theirs": row.theirs,
    }


def _reasons(row: Row, outcome: Outcome) -> list[tuple[str, str]]:
    """(note, test) of each part of a row that has this outcome."""
    if row.fields:
        return list(dict.fromkeys((field.note, field.test) for field in row.fields if field.outcome is outcome))
    return [(row.note, row.test)] if row.outcome is outcome else []


def load(path: Path | None = None) -> Report:
    """The report of a baseline; None is the committed one. Raises ParityError."""
    return of(baselines.read(path or baseline_path()))


def of(baseline: Baseline) -> Report:
    """The report of a baseline in memory."""
    return Report(baseline.rows, baseline.versions)


# --- as a document ----------------------------------------------------------------------------------------------------


def _markdown(report: Report) -> list[str]:
    version = report.versions.get("baileys", "?")
    return [
        "# Parity with Baileys",
        "",
        f"Waton beside npm `baileys@{version}`, from the rows in `baileys-parity-baseline.json`. Made by",
        "`waton parity run`, not written by hand. `notebooks/parity_report.ipynb` shows both sides of each row.",
        "",
        "| domain | status | declared | functions | wire | lacking |",
        "|---|---|---|---|---|---|",
        *(_domain_line(verdict) for verdict in report.verdicts),
        "",
        "Good rows of all that were compared, for each kind of evidence. `missing`: nothing is equal or better;",
        "`done`: everything is, and something of it was run; `better`: done, and Baileys is shown weaker somewhere;",
        "`partial`: the rest.",
        "",
        "## What the critical domains lack",
        *(line for verdict in report.verdicts if verdict.domain in CRITICAL for line in _lacking_lines(verdict)),
        "",
        "## What the others lack",
        *(line for verdict in report.verdicts if verdict.domain not in CRITICAL for line in _lacking_lines(verdict)),
        "",
        "## Better than Baileys, each with its test",
        "",
        *_grouped(report.rows, Outcome.BETTER, lambda note, test: f"{note} (`{test}`)"),
        "",
        "## Not compared, each with its reason",
        "",
        *_grouped(report.rows, Outcome.LEFT_OUT, lambda note, test: note),
    ]


def _domain_line(verdict: Verdict) -> str:
    shares = (verdict.share(kind) for kind in Evidence)
    name = f"**{verdict.domain.value}**" if verdict.domain in CRITICAL else verdict.domain.value
    return f"| {name} | {verdict.status.value} | {' | '.join(shares)} | {len(verdict.lacking)} |"


def _lacking_lines(verdict: Verdict) -> list[str]:
    if not verdict.lacking:
        return ["", f"### {verdict.domain.value}: nothing"]
    by_note: dict[str, list[Row]] = {}
    for row in verdict.lacking:
        by_note.setdefault(row.note or row.outcome.value, []).append(row)
    lines = [f"- {note}: {_names(rows)}" for note, rows in sorted(by_note.items())]
    return ["", f"### {verdict.domain.value} ({len(verdict.lacking)})", "", *lines]


def _grouped(rows: Iterable[Row], outcome: Outcome, told: Callable[[str, str], str]) -> list[str]:
    by_reason: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        for reason in _reasons(row, outcome):
            by_reason.setdefault(reason, []).append(row)
    return [f"- {told(*reason)}: {_names(found)}" for reason, found in sorted(by_reason.items())]


def _names(rows: Sequence[Row]) -> str:
    named = [f"`{row.kind} {row.name}`" for row in rows[:_SHOWN]]
    rest = len(rows) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")
