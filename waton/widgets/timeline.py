"""The timeline view: lanes of spans and points, to zoom into; live while there is something that changes.

A widget has a timeline, or a way to read one. A view that asks is sent the whole of it, as numbers, with each note
(title and details) said once. Where something says that there is more, the timeline is read again, not more often than
it can be read, and only while somebody looks. `freeze()` gives a picture that stays in a saved notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import ClassVar, TypeAlias

from waton.inspect.timeline import Detail, Point, Span, Timeline
from waton.widgets.base import LiveWidget, front_end, text_of
from waton.widgets.sources import Unsubscribe
from waton.widgets.timeline_picture import Picture, draw

Changes: TypeAlias = Callable[[Callable[[object], None]], Unsubscribe]
"""Calls back when there is more to see, with whatever it likes, on any thread."""
WireMark: TypeAlias = "list[int | float | None]"
"""lane, row, start, end (of a point 0), kind, note: what timeline.js draws, in this order."""

_PAUSE = 0.5
"""Seconds at least between two readings."""
_SHARE = 4
"""Reading may take one part in so many of the time."""
_CELL = 200
"""Characters of one text. A peer chooses ids, also their length."""


class TimelineWidget(LiveWidget):
    """A timeline to zoom into.

    Args:
        timeline: what to draw, or how to read it.
        changes: says when to read it again.
    """

    _esm, _css = front_end("timeline")
    title: ClassVar[str] = "Timeline"

    def __init__(self, timeline: Timeline | Callable[[], Timeline], changes: Changes | None = None) -> None:
        self._timeline = timeline
        self._lookers: set[str] = set()
        self._is_due = False
        self._took = 0.0
        super().__init__()
        if changes is not None:
            self.follow(changes(lambda _: self.post(self._changed)))

    def read(self) -> Timeline:
        """The timeline as it is now. Raises what reading it raises."""
        if isinstance(self._timeline, Timeline):
            return self._timeline
        began = monotonic()
        read = self._timeline()
        self._took = monotonic() - began
        return read

    def freeze(self, start: float | None = None, end: float | None = None) -> Picture:
        """A picture of it, as SVG, which stays in a saved notebook and needs no front end.

        Args:
            start: Unix seconds; None is the beginning.
            end: Unix seconds; None is the end.
        """
        return draw(self.read(), start, end)

    def summary(self) -> str:
        read = self.read()
        marks = f"{len(read.spans):,} spans and {len(read.points):,} points in {len(read.lanes)} lanes"
        return f"{marks}, {read.end - read.start:.1f} s; it is drawn in a notebook"

    # --- views

    def receive(self, message: Mapping[str, object]) -> None:
        view = text_of(message, "view")
        match text_of(message, "type"):
            case "hello":
                self._lookers.add(view)
                self.push({**to_wire(self.read()), "view": view})
            case "bye":
                self._lookers.discard(view)
            case _:
                pass

    def _changed(self) -> None:
        """There is more: read it soon, if somebody looks."""
        if self._lookers and not self._is_due:
            self._is_due = True
            self.post_later(max(_PAUSE, _SHARE * self._took), self._renew)

    def _renew(self) -> None:
        self._is_due = False
        if self._lookers:
            self.push(to_wire(self.read()))


def to_wire(timeline: Timeline) -> dict[str, object]:
    """The message in which a view gets it."""
    notes = _Notes()
    lanes = {lane.key: place for place, lane in enumerate(timeline.lanes)}
    kinds = {kind.name: place for place, kind in enumerate(timeline.kinds)}

    def mark(one: Span | Point, at: float, end: float | None) -> WireMark:
        return [lanes[one.lane], one.row, at, end, kinds[one.kind], notes.place(one.title, one.detail)]

    spans = [mark(span, span.start, span.end) for span in timeline.spans]
    points = [mark(point, point.at, 0) for point in timeline.points]
    return {
        "type": "timeline",
        "start": timeline.start,
        "end": timeline.end,
        "lanes": [[lane.label[:_CELL], lane.rows] for lane in timeline.lanes],
        "kinds": [[kind.name, kind.label, kind.tone.value, kind.shape.value, kind.shades] for kind in timeline.kinds],
        "spans": spans,
        "points": points,
        "notes": notes.all,
        "left_out": timeline.left_out,
    }


class _Notes:
    """Titles and details, each once."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Sequence[tuple[str, str]]]] = []
        self._places: dict[tuple[str, Detail], int] = {}

    def place(self, title: str, detail: Detail) -> int:
        known = self._places.get((title, detail))
        if known is None:
            known = self._places[title, detail] = len(self.all)
            self.all.append((title[:_CELL], [(name[:_CELL], value[:_CELL]) for name, value in detail]))
        return known
