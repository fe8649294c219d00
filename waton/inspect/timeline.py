"""Timeline: spans and points in lanes, as values. What to draw, not how; a widget draws it, a test reads it.

A lane is one thing that is watched: a connection, a conversation. A span lasts, a point does not. Both are of a kind,
which has a name for the legend, a tone and a shape, so that who draws need not know what is told. Within a lane, rows
keep apart what happens at the same time.

What must stay true: labels and details name no person by their number; whoever builds a timeline sees to that. Reprs
show neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

MOST_MARKS = 4_000
"""Spans and points of one timeline; of more, the newest are kept."""
MOST_ROWS = 14
"""Rows of one lane; what would need more shares the last one."""
_APART = 0.004
"""Of the whole time, by which two things in one row must be apart to be told from each other; at most _FAR."""
_FAR = 0.25
"""Seconds."""

Detail: TypeAlias = tuple[tuple[str, str], ...]
"""What else there is to say: name and value, in order."""


class Tone(StrEnum):
    """What a colour says."""

    OUT = "out"
    IN = "in"
    GOOD = "good"
    BUSY = "busy"
    BAD = "bad"
    ACCENT = "accent"
    QUIET = "quiet"


class Shape(StrEnum):
    """How a kind is drawn; never told apart by colour alone."""

    BAR = "bar"
    """A span."""
    LINE = "line"
    """A thin span."""
    DOT = "dot"
    RING = "ring"
    DIAMOND = "diamond"
    CROSS = "cross"
    TICK = "tick"
    """A short upright stroke."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of spans or points."""

    name: str
    label: str
    """For the legend."""
    tone: Tone
    shape: Shape
    shades: bool = False
    """Its spans tint all lanes: what else happens is to be seen against them."""


@dataclass(frozen=True, slots=True, repr=False)
class Lane:
    """One thing that is watched."""

    key: str
    """What spans and points name it by."""
    label: str
    rows: int = 1

    def __repr__(self) -> str:
        return f"<Lane of {self.rows} rows>"


@dataclass(frozen=True, slots=True, repr=False)
class Span:
    """Something that lasts. Times are Unix seconds."""

    lane: str
    start: float
    end: float | None
    """None: it still lasts."""
    kind: str
    title: str
    detail: Detail = ()
    row: int = 0

    def __repr__(self) -> str:
        return f"<Span {self.kind} {self.start} to {self.end}>"


@dataclass(frozen=True, slots=True, repr=False)
class Point:
    """Something that happens."""

    lane: str
    at: float
    kind: str
    title: str
    detail: Detail = ()
    row: int = 0

    def __repr__(self) -> str:
        return f"<Point {self.kind} {self.at}>"


@dataclass(frozen=True, slots=True, repr=False)
class Timeline:
    """What to draw."""

    start: float
    """Unix seconds."""
    end: float
    lanes: tuple[Lane, ...] = ()
    """From top to bottom."""
    kinds: tuple[Kind, ...] = ()
    """Those that occur, in the order of the legend."""
    spans: tuple[Span, ...] = ()
    points: tuple[Point, ...] = ()
    left_out: int = 0
    """How many older spans and points there were besides."""

    def __repr__(self) -> str:
        return f"<Timeline {self.end - self.start:.3f} s, {len(self.spans)} spans, {len(self.points)} points>"


def assemble(
    lanes: Iterable[Lane],
    kinds: Iterable[Kind],
    spans: Iterable[Span],
    points: Iterable[Point],
    *,
    since: float | None = None,
    until: float | None = None,
) -> Timeline:
    """A timeline of what lies within a time, bounded, with the lanes and kinds that occur in it.

    Args:
        lanes: all there may be, in their order.
        kinds: all there may be, in their order.
        spans: in any order.
        points: in any order.
        since: Unix seconds; None is where the first of them is.
        until: Unix seconds; None is where the last of them is.
    """
    kept_spans = [span for span in spans if _touches(span.start, span.end, since, until)]
    kept_points = [point for point in points if _touches(point.at, point.at, since, until)]
    times = [time for span in kept_spans for time in (span.start, span.end or span.start)]
    times += [point.at for point in kept_points]
    start = since if since is not None else min(times, default=0.0)
    end = until if until is not None else max(times, default=start)
    left_out = max(0, len(kept_spans) + len(kept_points) - MOST_MARKS)
    if left_out:
        kept_spans, kept_points = _newest(kept_spans, kept_points)
    used = {mark.lane for mark in (*kept_spans, *kept_points)}
    seen = {mark.kind for mark in (*kept_spans, *kept_points)}
    return Timeline(
        start,
        max(start, end),
        tuple(lane for lane in lanes if lane.key in used),
        tuple(kind for kind in kinds if kind.name in seen),
        tuple(sorted(kept_spans, key=lambda span: span.start)),
        tuple(sorted(kept_points, key=lambda point: point.at)),
        left_out,
    )


def _touches(start: float, end: float | None, since: float | None, until: float | None) -> bool:
    return (until is None or start <= until) and (since is None or end is None or end >= since)


def _newest(spans: Sequence[Span], points: Sequence[Point]) -> tuple[list[Span], list[Point]]:
    """The newest of both; what still lasts counts as new."""
    ages = [(float("inf") if span.end is None else span.end, place) for place, span in enumerate(spans)]
    ages += [(point.at, len(spans) + place) for place, point in enumerate(points)]
    kept = {place for _, place in sorted(ages)[-MOST_MARKS:]}
    return (
        [span for place, span in enumerate(spans) if place in kept],
        [point for place, point in enumerate(points) if len(spans) + place in kept],
    )


def rows_of(stretches: Sequence[tuple[float, float]]) -> list[int]:
    """A row for each stretch of time, so that no two in one row overlap, as long as MOST_ROWS suffice.

    Args:
        stretches: start and end, in the order of their starts.
    """
    if not stretches:
        return []
    whole = max(end for _, end in stretches) - stretches[0][0]
    apart = min(_APART * whole, _FAR)
    ends: list[float] = []
    rows: list[int] = []
    for start, end in stretches:
        row = next((row for row, taken in enumerate(ends) if taken <= start), len(ends))
        row = min(row, MOST_ROWS - 1)
        if row == len(ends):
            ends.append(end + apart)
        else:
            ends[row] = max(ends[row], end + apart)
        rows.append(row)
    return rows
