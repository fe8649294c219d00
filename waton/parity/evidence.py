"""Evidence: what a parity run finds, row by row, and what the rows say of a domain.

A `Row` is one thing of Baileys' held against waton's: a method, a function's results, a stanza of a scenario, an
event's payload. Its outcome comes from the comparison alone. Where the two differ, each differing field is looked up
in the table of known differences (waton.parity.known); what nobody has explained there stays `differs`, and fails the
gate.

A domain's status is computed from its rows and from nothing else: there is no place to write it down by hand.

    missing   nothing in it is equal or better
    done      everything in it is equal, and something was run, not just read
    better    as done, and at least one row shows Baileys wrong or weaker
    partial   the rest
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from waton.errors import ParityError


class Domain(StrEnum):
    """What parity is told of, one by one."""

    MESSAGES_RECV = "messages-recv"
    MESSAGES_SEND = "messages-send"
    APP_STATE_SYNC = "app-state-sync"
    RETRY_MANAGER = "retry-manager"
    GROUP_SIGNAL = "group-signal"
    IDENTITY_CHANGE = "identity-change"
    MEDIA = "media"
    GROUPS = "groups"
    COMMUNITIES = "communities"
    NEWSLETTER = "newsletter"
    BUSINESS = "business"
    CHATS = "chats"
    PREKEYS = "prekeys"
    USYNC = "usync"
    PAIRING = "pairing"
    NOISE = "noise"
    BINARY_CODEC = "binary-codec"
    EVENT_BUFFER = "event-buffer"
    HISTORY = "history"
    LID_MAPPING = "lid-mapping"


def domain_named(name: str) -> Domain:
    """The domain of this name. Raises ParityError, which lists them."""
    try:
        return Domain(name)
    except ValueError:
        raise ParityError(f"no domain {name}; there are {', '.join(Domain)}") from None


CRITICAL = (
    Domain.MESSAGES_RECV,
    Domain.APP_STATE_SYNC,
    Domain.RETRY_MANAGER,
    Domain.GROUP_SIGNAL,
    Domain.IDENTITY_CHANGE,
    Domain.MEDIA,
)
"""Where a gap loses messages or trust: the gate lists what each of these still lacks."""


class Evidence(StrEnum):
    """How a row was found."""

    SCAN = "scan"
    """Both sources were read; what is declared was compared."""
    FUNCTION = "function"
    """Both functions were called with the same generated inputs."""
    WIRE = "wire"
    """Both clients played the same scenario against the lab."""


class Outcome(StrEnum):
    """What a comparison says."""

    EQUAL = "equal"
    BETTER = "better"
    """Differs on purpose; the row names the test that shows Baileys wrong or weaker."""
    OPEN = "open"
    """Differs, and the row says what is missing."""
    MISSING = "missing"
    """Waton has no counterpart yet."""
    LEFT_OUT = "left_out"
    """Not compared, and the row says why."""
    DIFFERS = "differs"
    """Differs and nobody has said why."""

    @property
    def rank(self) -> int:
        """0 is best; the gate lets no row's rank grow."""
        return _RANK[self]

    @property
    def is_good(self) -> bool:
        return self in (Outcome.EQUAL, Outcome.BETTER)


_RANK = {
    Outcome.EQUAL: 0,
    Outcome.BETTER: 0,
    Outcome.OPEN: 1,
    Outcome.LEFT_OUT: 2,
    Outcome.MISSING: 2,
    Outcome.DIFFERS: 3,
}


class Status(StrEnum):
    """What the rows of a domain say together."""

    MISSING = "missing"
    PARTIAL = "partial"
    DONE = "done"
    BETTER = "better"


@dataclass(frozen=True, slots=True)
class Field:
    """One place in which a row's two sides differ."""

    path: str
    """Where: an attribute, a child, a protobuf field, an argument."""
    ours: str
    """"" when we have nothing there."""
    theirs: str
    """"" when Baileys has nothing there."""
    outcome: Outcome = Outcome.DIFFERS
    note: str = ""
    """Why it is better, open or left out."""
    test: str = ""
    """The test that shows why it is better."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing compared."""

    domain: Domain
    evidence: Evidence
    kind: str
    """What was compared: method, event, option, function, stanza, order ..."""
    name: str
    """Which one. Unique within evidence and kind, and the same from run to run."""
    outcome: Outcome
    ours: str = ""
    """What waton has, in words a person reads: a symbol, a stanza as XML, JSON."""
    theirs: str = ""
    """The same of Baileys."""
    note: str = ""
    """What is missing, why it is left out, what was found."""
    test: str = ""
    """Where BETTER: the test, as pytest names it."""
    fields: tuple[Field, ...] = ()
    """Every place in which the two differ."""

    @property
    def key(self) -> str:
        """evidence/kind/name: what the baseline and the table of differences know it by."""
        return f"{self.evidence.value}/{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rows say of one domain."""

    domain: Domain
    status: Status
    counts: Mapping[Evidence, Counter[Outcome]]
    lacking: tuple[Row, ...]
    """The rows that keep it from being done, worst first."""

    def good(self, kind: Evidence) -> int:
        """How many rows of this kind are equal or better."""
        return sum(count for outcome, count in self.counts[kind].items() if outcome.is_good)

    def compared(self, kind: Evidence) -> int:
        """How many rows of this kind say something: all but those that are left out."""
        return self.counts[kind].total() - self.counts[kind][Outcome.LEFT_OUT]

    def share(self, kind: Evidence) -> str:
        """good/compared."""
        return f"{self.good(kind)}/{self.compared(kind)}"


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """What several outcomes come to: the worst of them, BETTER before EQUAL, EQUAL when there are none."""
    found = list(outcomes)
    if not found:
        return Outcome.EQUAL
    return max(found, key=lambda outcome: (outcome.rank, outcome is Outcome.BETTER))


def judge(domain: Domain, rows: Iterable[Row]) -> Verdict:
    """The verdict on one domain. rows: any; those of other domains are ignored."""
    mine = [row for row in rows if row.domain is domain]
    counts = {evidence: Counter(row.outcome for row in mine if row.evidence is evidence) for evidence in Evidence}
    lacking = [row for row in mine if not row.outcome.is_good and row.outcome is not Outcome.LEFT_OUT]
    lacking.sort(key=lambda row: (-row.outcome.rank, row.key))
    return Verdict(domain, _status(mine, lacking), counts, tuple(lacking))


def _status(rows: list[Row], lacking: list[Row]) -> Status:
    good = [row for row in rows if row.outcome.is_good]
    if not good:
        return Status.MISSING
    was_run = any(row.evidence is not Evidence.SCAN for row in good)
    if lacking or not was_run:
        return Status.PARTIAL
    return Status.BETTER if any(row.outcome is Outcome.BETTER for row in good) else Status.DONE


def verdicts(rows: Iterable[Row]) -> list[Verdict]:
    """The verdict on every domain, in Domain's order."""
    found = list(rows)
    return [judge(domain, found) for domain in Domain]
