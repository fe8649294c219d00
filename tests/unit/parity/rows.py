"""Rows to judge."""

from __future__ import annotations

from waton.parity.evidence import Domain, Evidence, Field, Outcome, Row


def row(
    name: str,
    outcome: Outcome = Outcome.EQUAL,
    *,
    evidence: Evidence = Evidence.WIRE,
    domain: Domain = Domain.NOISE,
    kind: str = "stanza",
    note: str = "",
    test: str = "",
    fields: tuple[Field, ...] = (),
) -> Row:
    note = note or ("" if outcome.is_good else "because")
    return Row(domain, evidence, kind, name, outcome, "ours", "theirs", note, test, fields)
