"""Schedules: what a bad network or a tired server does to whoever talks to the lab, as a value.

    Schedule.parse("drop=1%,delay=5-40ms,restart=every:200,seed=7")
    Schedule(seed=7, rules=(Rule(Kind.DROP, chance=0.01), Rule(Kind.LOST_ACK, every=3, limit=1)))
    Schedule.random(7)                          a varied mix that ends, for chaos tests
    profile("flaky", seed=7)

A schedule is a seed and rules. A rule says what happens, how often (a chance for each stanza, or each n-th stanza),
where (which way, which tags, whose devices) and until when or how many times. Nothing happens here: waton.lab.storm
draws the dice, waton.lab.lines does the harm and says what each kind means.

What must stay true: two equal schedules draw equal dice for equal stanzas; `parse(str(schedule)) == schedule`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from waton.errors import LabError
from waton.protocol.trace import Way

LONGEST = 600.0
"""Seconds a delay, a pause or a dying connection may take."""
_YEARS = 10 * 365.25 * 24 * 3600
CONFLICT = "replaced"
"""A stream error without a number: another connection took over."""


class Kind(StrEnum):
    """What can happen; waton.lab.lines says what is promised all the same."""

    DELAY = "delay"
    """A stanza comes later; those behind it wait for it."""
    DROP = "drop"
    """A stanza and all behind it, that way, vanish; the connection dies a little later."""
    DUPLICATE = "duplicate"
    """The server delivers a queued stanza twice."""
    REORDER = "reorder"
    """Two queued stanzas of different conversations swap places."""
    TRUNCATE = "truncate"
    """A part of a frame passes, then the connection is closed."""
    CORRUPT = "corrupt"
    """A byte of a frame's ciphertext is flipped."""
    HALF_OPEN = "half_open"
    """The connection stays open and nothing passes any more, either way."""
    LOST_ACK = "lost_ack"
    """The server takes a message and does not say so."""
    LOST_ANSWER = "lost_answer"
    """The server takes a query and does not answer it."""
    RESTART = "restart"
    """The server drops every connection, and listens again after a pause."""
    CLOCK_SKEW = "clock_skew"
    """The server's clock is off from now on."""
    CLOSE = "close"
    """The connection is closed without a word."""
    STREAM_ERROR = "stream_error"
    """The server says a stream error (during a login: a failure) and closes."""


GENTLE = frozenset({Kind.DELAY, Kind.CLOCK_SKEW})
"""These leave the stanza as it is, and may go together with another kind."""
QUEUED_ONLY = frozenset({Kind.DUPLICATE, Kind.REORDER})
OUT_ONLY = QUEUED_ONLY | {Kind.LOST_ACK, Kind.LOST_ANSWER}
"""Things a server does; a client's network cannot."""
_SECONDS: Mapping[Kind, tuple[float, float]] = {
    Kind.DROP: (0.1, 1.0),
    Kind.CORRUPT: (0.1, 1.0),
    Kind.REORDER: (0.2, 0.2),
    Kind.RESTART: (0.2, 0.2),
}
_NEEDS_SECONDS = frozenset({Kind.DELAY, Kind.CLOCK_SKEW})
_CODES = ("503", "515", "429")
"""What a client can come back from by itself."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that happens now and then.

    Raises:
        LabError: a value is out of its bounds, or does not go with the kind.
    """

    kind: Kind
    chance: float = 1.0
    """Of each stanza it can strike, 0 to 1; not asked when `every` is given."""
    every: int = 0
    """Strike each n-th stanza it can strike, counted over all connections; 0 leaves it to chance."""
    way: Way | None = None
    """IN: what clients send; OUT: what the server sends; None: both."""
    tags: frozenset[str] = frozenset()
    """Only stanzas with these tags, server_hello and client_finish for the handshake's frames; empty: all."""
    of: str = ""
    """Only devices of the account with this push name; empty: all, also those not logged in yet."""
    limit: int | None = None
    """At most so many times."""
    until: float | None = None
    """Not later than so many seconds after the schedule began."""
    seconds: tuple[float, float] | None = None
    """Bounds of a draw: the delay; how long a connection whose frames vanish still lives (drop, corrupt); how long to
    wait for a stanza to swap with (reorder); the pause (restart); how far the clock is off (clock_skew). None: the
    kind's own."""
    codes: tuple[str, ...] = ()
    """Of stream_error, one of them is drawn: numbers, or "replaced"; empty: 503, 515, 429."""

    def __post_init__(self) -> None:
        if self.seconds is None and self.kind in _SECONDS:
            object.__setattr__(self, "seconds", _SECONDS[self.kind])
        if not self.codes and self.kind is Kind.STREAM_ERROR:
            object.__setattr__(self, "codes", _CODES)
        if self.kind in OUT_ONLY:
            self._check(self.way is not Way.IN, "happens on the way out only")
            object.__setattr__(self, "way", Way.OUT)
        self._check_bounds()

    def _check_bounds(self) -> None:
        self._check(0 < self.chance <= 1, "a chance is more than 0 and at most 100%")
        self._check(self.every >= 0, "every counts from 1")
        self._check(self.way in (None, Way.IN, Way.OUT), "a way is in or out")
        self._check(self.limit is None or self.limit > 0, "max counts from 1")
        self._check(self.until is None or self.until > 0, "until is a time from the beginning")
        self._check(self.kind is Kind.STREAM_ERROR or not self.codes, "has no codes")
        known = all(code == CONFLICT or (code.isascii() and code.isdecimal() and len(code) == 3) for code in self.codes)
        self._check(known, "a code is three digits, or 'replaced'")
        self._check(self.seconds is not None or self.kind not in _NEEDS_SECONDS, "needs a time")
        self._check(not set(",/") & set("".join((self.of, *self.tags))), "a name has no comma and no slash")
        if self.seconds is not None:
            low, high = self.seconds
            self._check(self.kind in _NEEDS_SECONDS or self.kind in _SECONDS, "has no time")
            self._check(low <= high, "a time's bounds go from low to high")
            first, last = (-_YEARS, _YEARS) if self.kind is Kind.CLOCK_SKEW else (0, LONGEST)
            self._check(first <= low <= high <= last, f"a time is between {first:g} and {last:g} s")

    def _check(self, is_good: bool, rule: str) -> None:
        if not is_good:
            raise LabError(f"faults, {self.kind.value}: {rule}")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rules, the seed of their dice, and bounds for all of them together."""

    seed: int = 0
    rules: tuple[Rule, ...] = ()
    """Asked in this order; the first that strikes a stanza is the only one that harms it."""
    limit: int | None = None
    """After so many faults, delays not counted, nothing happens any more."""
    until: float | None = None
    """Nothing happens later than so many seconds after the schedule began."""
    pairing: bool = False
    """Also strike connections that show a QR; by default they are left alone."""

    def __post_init__(self) -> None:
        if (self.limit is not None and self.limit < 1) or (self.until is not None and self.until <= 0):
            raise LabError("faults: max and until are more than 0")

    @staticmethod
    def parse(text: str) -> Schedule:
        """Read what str() writes; see waton.lab.schedule_text for the words. Raises LabError, which names the part."""
        from waton.lab.schedule_text import parse  # it builds schedules itself

        return parse(text)

    @staticmethod
    def random(seed: int, limit: int = 20) -> Schedule:
        """Three to six kinds, drawn from the seed, of those a client can come back from by itself.

        Args:
            seed: chooses the mix, and is the schedule's seed.
            limit: faults in all.
        """
        dice = Random(f"schedule/{seed}")
        kinds = dice.sample(list(Kind), dice.randint(3, 6))
        return Schedule(seed, tuple(_random_rule(kind, dice) for kind in kinds), limit=limit)

    def __str__(self) -> str:
        from waton.lab.schedule_text import write

        return write(self)


def _random_rule(kind: Kind, dice: Random) -> Rule:
    way = None if kind in OUT_ONLY else dice.choice((None, None, Way.IN, Way.OUT))
    percent = dice.choice((1, 2, 3, 5, 8))
    match kind:
        case Kind.DELAY:
            low = dice.randint(0, 10)
            return Rule(kind, chance=dice.choice((0.2, 0.5, 1.0)), way=way, seconds=(low / 1000, (low + 30) / 1000))
        case Kind.DUPLICATE | Kind.REORDER | Kind.LOST_ACK | Kind.LOST_ANSWER:
            return Rule(kind, chance=percent * 4 / 100)
        case Kind.HALF_OPEN:
            return Rule(kind, chance=percent / 100, limit=2)
        case Kind.RESTART:
            pause = dice.randint(5, 30) / 100
            return Rule(kind, every=dice.randint(40, 120), limit=3, seconds=(pause, pause))
        case Kind.CLOCK_SKEW:
            return Rule(kind, chance=percent / 100, limit=5, seconds=(-3600.0, 3600.0))
        case _:
            return Rule(kind, chance=percent / 100, way=way)


PROFILES: Mapping[str, Schedule] = {
    "slow": Schedule(rules=(Rule(Kind.DELAY, seconds=(0.05, 0.4)),)),
    "flaky": Schedule(
        rules=(
            Rule(Kind.DELAY, seconds=(0.005, 0.06)),
            Rule(Kind.CLOSE, chance=0.01),
            Rule(Kind.DROP, chance=0.005),
            Rule(Kind.HALF_OPEN, chance=0.001),
        )
    ),
    "lossy": Schedule(
        rules=(
            Rule(Kind.DROP, chance=0.02),
            Rule(Kind.TRUNCATE, chance=0.005),
            Rule(Kind.CORRUPT, chance=0.005),
        )
    ),
    "forgetful": Schedule(
        rules=(
            Rule(Kind.LOST_ACK, chance=0.2),
            Rule(Kind.LOST_ANSWER, chance=0.05),
            Rule(Kind.DUPLICATE, chance=0.2),
            Rule(Kind.REORDER, chance=0.2),
        )
    ),
    "restarts": Schedule(rules=(Rule(Kind.RESTART, every=60, seconds=(0.1, 0.5)),)),
    "hostile": Schedule(
        rules=(
            Rule(Kind.DELAY, seconds=(0.0, 0.05)),
            Rule(Kind.CLOCK_SKEW, chance=0.02, seconds=(-3600.0, 3600.0)),
            Rule(Kind.RESTART, every=300),
            Rule(Kind.DROP, chance=0.01),
            Rule(Kind.TRUNCATE, chance=0.005),
            Rule(Kind.CORRUPT, chance=0.005),
            Rule(Kind.HALF_OPEN, chance=0.003),
            Rule(Kind.CLOSE, chance=0.01),
            Rule(Kind.STREAM_ERROR, chance=0.01),
            Rule(Kind.LOST_ACK, chance=0.05),
            Rule(Kind.LOST_ANSWER, chance=0.02),
            Rule(Kind.DUPLICATE, chance=0.05),
            Rule(Kind.REORDER, chance=0.1),
        )
    ),
}
"""Mixes with a name: a slow line, a mobile one, one that loses, a server that forgets to answer, one that is deployed
all day, and all of it."""


def profile(name: str, seed: int = 0) -> Schedule:
    """A mix by its name. Raises LabError when there is none."""
    if name not in PROFILES:
        raise LabError(f"faults: no profile {name!r}; there are {', '.join(PROFILES)}")
    return replace(PROFILES[name], seed=seed)
