"""Scan what Baileys declares against what waton declares; print the domains; write the rows into a baseline.

    python tools/parity/scan_baileys_parity.py --waton waton --baileys PATH --out BASELINE

PATH is a Baileys source tree or the installed package; without --baileys it is the pinned one. BASELINE is
docs/parity/baileys-parity-baseline.json; without --out nothing is written. Rows in it that were found by running
something stay as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from waton.errors import ParityError
from waton.parity import baseline
from waton.parity.evidence import Domain, Evidence, Outcome, Row, judge
from waton.parity.oracle.package import require_package
from waton.parity.scan import scan_rows
from waton.parity.typescript import read_versions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 scanned, 2 a path is not what it should be."""
    options = _parser().parse_args(arguments)
    try:
        source: Path = options.baileys or require_package()
        rows = scan_rows(options.waton, source)
        versions = read_versions(source)
        named = {"baileys": versions["version"], "web": versions["web_version"]}
        if options.out is not None:
            baseline.update(options.out, Evidence.SCAN, rows, named)
    except ParityError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"Baileys {named['baileys']}, web {named['web']}: {len(rows)} rows")
    print(table(rows))
    return 0


def table(rows: Sequence[Row]) -> str:
    """One line for each domain: its status by the scan alone, and how many rows came out how."""
    lines = [f"{'domain':16} {'status':8} " + " ".join(f"{outcome.value:>8}" for outcome in Outcome)]
    for domain in Domain:
        counts = Counter(row.outcome for row in rows if row.domain is domain)
        told = " ".join(f"{counts[outcome]:8}" for outcome in Outcome)
        lines.append(f"{domain.value:16} {judge(domain, rows).status.value:8} {told}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--waton", type=Path, default=Path("waton"), help="the waton package (default: waton)")
    parser.add_argument("--baileys", type=Path, help="a Baileys source tree or package (default: the pinned one)")
    parser.add_argument("--out", type=Path, help="the baseline to write the rows into")
    return parser


if __name__ == "__main__":
    sys.exit(main())
