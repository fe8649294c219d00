"""Parity: the real Baileys beside us on the same inputs and against the same lab; every difference is a row.

    report = waton.parity.load()          # what was found last, from the committed baseline
    report = waton.parity.engine()           # find it anew: needs Node 20 and `waton parity setup`
    report.domains()                      # and .functions() .stanzas("login") .events() .fields() .better() .lacking()

Three kinds of evidence: what both sources declare (`scan`), what functions return (`differential`), what the clients
say on the wire and emit (`wire`). Nothing is asserted by hand; see `evidence`.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from waton.errors import ParityError

if TYPE_CHECKING:
    from pathlib import Path

    from waton.parity.report import Report


@contextmanager
def needing_the_extra() -> Generator[None]:
    """What is imported in here needs packages that only the extra `parity` installs. Raises ParityError, naming one."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ParityError(f"{error.name} is missing: pip install 'waton[parity]'") from error


def load(path: Path | None = None) -> Report:
    """The report of a baseline; None is the committed one. Raises ParityError when there is none."""
    from waton.parity import report

    return report.load(path)


def run(domain: str | None = None) -> Report:
    """Compare now, and report; takes a minute or two.

    Args:
        domain: one of the report's domains; None is all of them.
    Raises:
        ParityError: no such domain; or Node, Baileys or the `parity` extra is missing.
    """
    with needing_the_extra():
        from waton.parity.engine import run as look
    from waton.parity.evidence import domain_named
    from waton.parity.report import Report

    found = look(domain=None if domain is None else domain_named(domain))
    return Report(found.rows, found.versions)


__all__ = ["load", "needing_the_extra", "run"]
