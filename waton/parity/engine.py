"""A whole run: the three kinds of evidence one after the other, and what they come to.

    found = run(domain=Domain.NOISE)

Baileys' side of a scenario can be handed in (`recordings`), for those who compare several builds of waton with one
Baileys.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from waton.errors import ParityError
from waton.parity import differential, scan
from waton.parity.evidence import Domain, Evidence, Outcome, Row
from waton.parity.known import Differences, Known, known_differences
from waton.parity.oracle import Functions
from waton.parity.oracle.package import require_package
from waton.parity.typescript import read_versions

if TYPE_CHECKING:
    from waton.parity.stage import Recording
    from waton.parity.wire import Failure

WATON = Path(__file__).parents[1]
"""The package that is compared: this one."""
EXAMPLES = 60
"""Inputs for each function."""

Progress = Callable[[Evidence, str, int, int], None]
"""Called with the kind of evidence, what is being done, how many are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a run has found."""

    rows: tuple[Row, ...]
    versions: Mapping[str, str]
    stale: tuple[Known, ...]
    """Lines of the table of differences that nothing has needed."""
    evidence: frozenset[Evidence]
    """What was looked at."""
    domain: Domain | None = None
    """The only domain that was looked at; None for all."""
    scenarios: frozenset[str] | None = None
    """The only scenarios that were played; None for all."""

    @property
    def is_whole(self) -> bool:
        """Everything of these kinds of evidence was looked at."""
        return self.domain is None and self.scenarios is None

    def covers(self, row: Row) -> bool:
        """A row that had to be found if it is still there."""
        is_played = self.scenarios is None or row.name.partition("/")[0] in self.scenarios
        return row.evidence in self.evidence and self.domain in (None, row.domain) and is_played


def run(
    *,
    evidence: Collection[Evidence] = tuple(Evidence),
    domain: Domain | None = None,
    package: Path | None = None,
    examples: int = EXAMPLES,
    recordings: Mapping[str, Recording] | None = None,
    ours: Mapping[str, Recording | Failure] | None = None,
    scenarios: Collection[str] | None = None,
    progress: Progress = lambda evidence, name, done, all: None,
) -> Found:
    """Look for evidence.

    Args:
        evidence: which kinds.
        domain: keep the rows of one domain only; None keeps all.
        package: Baileys' package folder; None takes the installed one.
        examples: inputs for each function.
        recordings: Baileys' side of scenarios, by name, where it is known already.
        ours: the same of our side.
        scenarios: which to play; None for all.
        progress: called before each piece of work.
    Raises:
        ParityError: Node or Baileys is missing, or Baileys does not get through a scenario.
    """
    theirs = package or require_package()
    differences = known_differences()
    rows: list[Row] = []
    if Evidence.SCAN in evidence:
        progress(Evidence.SCAN, "reading both sources", 0, 1)
        rows += scan.scan_rows(WATON, theirs, differences)
    if Evidence.FUNCTION in evidence:
        with Functions.start(theirs) as baileys:

            def tell(name: str, done: int, all: int) -> None:
                progress(Evidence.FUNCTION, name, done, all)

            rows += differential.run(baileys, known=differences, domain=domain, examples=examples, progress=tell)
    if Evidence.WIRE in evidence:

        def tell_wire(name: str, done: int, all: int) -> None:
            progress(Evidence.WIRE, name, done, all)

        rows += _play(differences, scenarios, package, recordings or {}, ours or {}, tell_wire)
    rows = scan.without_dead(rows, scan.dead_modules(WATON))
    kept = tuple(row for row in rows if domain is None or row.domain is domain)
    _check_names(kept)
    played = None if scenarios is None else frozenset(scenarios)
    found = Found(kept, _versions(theirs), (), frozenset(evidence), domain, played)
    stale = (line for kind in evidence for line in differences.stale(kind))
    return replace(found, stale=tuple(stale)) if found.is_whole else found


def _play(
    differences: Differences,
    scenarios: Collection[str] | None,
    package: Path | None,
    recordings: Mapping[str, Recording],
    ours: Mapping[str, Recording | Failure],
    progress: Callable[[str, int, int], None],
) -> list[Row]:
    """The rows of the wire. A waton whose client cannot even be loaded has none that are good."""
    try:
        from waton.parity import wire
    except ImportError as error:
        note = f"waton cannot be played: {error}"
        return [
            Row(domain, Evidence.WIRE, "scenario", f"any of {domain}", Outcome.MISSING, note=note) for domain in Domain
        ]
    return wire.run(differences, only=scenarios, package=package, recordings=recordings, ours=ours, progress=progress)


def _versions(package: Path) -> dict[str, str]:
    told = read_versions(package)
    return {"baileys": told["version"], "web": told["web_version"]}


def _check_names(rows: Collection[Row]) -> None:
    """Two rows of one name would hide each other in the baseline."""
    seen: set[str] = set()
    for row in rows:
        if row.key in seen:
            raise ParityError(f"two rows are called {row.key}")
        seen.add(row.key)
