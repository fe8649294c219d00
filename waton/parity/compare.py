"""A run as a person asks for it: look, hold the outcome to the baseline, tell, and write what may be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waton.errors import ParityError
from waton.parity import baseline as baselines
from waton.parity import drift as drifts
from waton.parity import gate
from waton.parity.baseline import Baseline, arranged
from waton.parity.engine import Found, run
from waton.parity.evidence import CRITICAL, Evidence, Outcome, Verdict, domain_named, verdicts
from waton.parity.gate import Complaint, Reason
from waton.parity.oracle.package import PINNED, locate, require_package
from waton.parity.report import baseline_path, of

Say = Callable[[str], None]
_REASONS = 5
"""How many reasons are told of each critical domain; the report has them all."""
_HARD = (Reason.WORSE, Reason.VANISHED, Reason.UNDONE)
"""What a baseline is kept from being written by, unless it is accepted."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of it."""

    found: Found
    complaints: tuple[Complaint, ...]
    written: tuple[Path, ...]

    def summary(self) -> dict[str, Any]:
        """The whole in a form for scripts."""
        told = {
            verdict.domain.value: {
                "status": verdict.status.value,
                "lacking": [row.key for row in verdict.lacking],
                **{kind.value: dict(_counts(verdict, kind)) for kind in Evidence},
            }
            for verdict in verdicts(self.found.rows)
            if self.found.domain in (None, verdict.domain)
        }
        return {
            "versions": dict(self.found.versions),
            "rows": len(self.found.rows),
            "domains": told,
            "complaints": [{"reason": one.reason, "where": one.where, "text": one.text} for one in self.complaints],
            "written": [str(path) for path in self.written],
        }


def _counts(verdict: Verdict, kind: Evidence) -> list[tuple[str, int]]:
    return [(outcome.value, count) for outcome in Outcome if (count := verdict.counts[kind][outcome])]


def compare(
    *,
    version: str | None = None,
    domain: str | None = None,
    scenario: str | None = None,
    baseline: Path | None = None,
    writes: bool = False,
    accept: bool = False,
    say: Say = lambda line: None,
    progress: Say | None = None,
) -> Compared:
    """Run, and hold the outcome to a baseline.

    Args:
        version: of Baileys; None is the pinned one.
        domain: one domain only; nothing is written then.
        scenario: one scenario only, and only the wire; nothing is written then.
        baseline: the file; None is the one in docs/parity. The report is written beside it.
        writes: write baseline and report if nothing got worse.
        accept: write them all the same.
        say: gets lines for a person.
        progress: gets a line for each piece of work.
    Raises:
        ParityError: what is needed is not there, or there is no domain or scenario of that name.
    """
    wanted = None if domain is None else domain_named(domain)
    path = baseline or baseline_path()
    before = baselines.read(path) if path.exists() else Baseline()

    def tell(kind: Evidence, name: str, done: int, all: int) -> None:
        if progress is not None:
            progress(f"{kind.value:9} {done}/{all} {name}")

    found = run(
        evidence=tuple(Evidence) if scenario is None else (Evidence.WIRE,),
        domain=wanted,
        scenarios=None if scenario is None else [scenario],
        package=require_package(version or PINNED),
        progress=tell,
    )
    if progress is not None:
        progress("")
    complaints = tuple(gate.check(found, before))
    _tell(found, complaints, say)
    is_kept_back = any(one.reason in _HARD for one in complaints) and not accept
    written: tuple[Path, ...] = ()
    if writes and found.is_whole and not is_kept_back:
        written = write(found, path)
        for file in written:
            say(f"written: {file}")
    return Compared(found, complaints, written)


def write(found: Found, path: Path) -> tuple[Path, ...]:
    """Write a whole run as the baseline at `path`, and the report beside it."""
    made = Baseline(tuple(arranged(found.rows)), found.versions)
    baselines.write(path, made)
    report = path.with_name("report.md")
    report.write_text(of(made).to_markdown(), "utf-8")
    return path, report


def _tell(found: Found, complaints: tuple[Complaint, ...], say: Say) -> None:
    told = [verdict for verdict in verdicts(found.rows) if any(verdict.counts[kind] for kind in Evidence)]
    say(f"{'domain':16} {'status':8} {'scan':>10} {'function':>10} {'wire':>10}  lacking")
    for verdict in told:
        critical = "  critical" if verdict.domain in CRITICAL else ""
        line = " ".join(f"{verdict.share(kind):>10}" for kind in Evidence)
        status = verdict.status.value if found.scenarios is None else "in part"
        say(f"{verdict.domain.value:16} {status:8} {line}  {len(verdict.lacking)}{critical}")
    for verdict in gate.critical(found.rows):
        _tell_lacking(verdict, say)
    for complaint in complaints:
        say(str(complaint))
    say(f"{len(found.rows)} rows; the gate is {'shut: ' + str(len(complaints)) if complaints else 'open'}")


def _tell_lacking(verdict: Verdict, say: Say) -> None:
    """What a critical domain lacks: the reasons that most rows give."""
    reasons = Counter(row.note for row in verdict.lacking).most_common()
    if not reasons:
        return
    say(f"{verdict.domain.value} lacks")
    for reason, count in reasons[:_REASONS]:
        say(f"  {count:4} {reason}")
    if len(reasons) > _REASONS:
        say(f"  {sum(count for _, count in reasons[_REASONS:]):4} for {len(reasons) - _REASONS} other reasons")


def drift(
    old: str | None,
    new: str | None,
    *,
    proto: Path | None = None,
    tokens: Path | None = None,
    web_version: str | None = None,
) -> list[drifts.Change]:
    """What changed between two Baileys (versions or folders), or what one thing has that ours has not.

    Raises:
        ParityError: too little is named, or it cannot be read.
    """
    if proto is not None or tokens is not None or web_version is not None:
        return drifts.against_ours(proto=proto, tokens=tokens, web_version=web_version)
    if old is None or new is None:
        raise ParityError("name two versions or folders of Baileys, or one of --proto, --tokens, --web-version")
    return drifts.drift(_folder(old), _folder(new))


def _folder(named: str) -> Path:
    """A version that is installed, or a folder."""
    if Path(named).is_dir():
        return Path(named)
    package = locate(named)
    if package is None:
        raise ParityError(f"{named} is neither a folder nor installed: waton parity setup --baileys {named}")
    return package
