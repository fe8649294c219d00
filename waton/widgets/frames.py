"""The frames view: every stanza as it crosses, live.

The recorder never waits for a browser, and a browser never holds more than it can show. So:

- New rows are sent in batches, at most 15 messages a second to one view, one a second while it is out of sight.
  (jupyter_server silently drops widget messages above 1,000 a second: of 6,000 frames sent one by one, 44 % were lost.)
- A view acknowledges each batch after it has drawn it. With two unacknowledged, nothing is sent and rows wait here;
  when too many have gathered the view is given a fresh window on the newest. Rows may thus pass a view by, they are
  counted all the same, and they are in the journal.
- A view that is *held* (paused, or scrolled up) is sent counters only. What it shows does not move under the reader.
- The filter runs here, over the last `_KEPT` rows, and then over each new one.

Views of one widget (two outputs, a reloaded page) have their own filter, place and credit.
"""

from __future__ import annotations

from asyncio import TimerHandle
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import ClassVar, TypedDict

from waton.protocol.trace import Layer, Trace
from waton.widgets.base import LiveWidget, front_end, number_of, text_of
from waton.widgets.row_filter import Accepts, FilterError, parse_filter
from waton.widgets.rows import Row, detail_text, row_of
from waton.widgets.sources import TraceSource

_KEPT = 20_000
"""Rows a widget can look back on; about 8 MB. Older ones are the journal's."""
_WINDOW = 1_000
"""Rows of a fresh window and of one look further back, about 120 KB as JSON."""
_BATCH = 1_500
"""Rows of one push. More than that waiting means the view has fallen behind."""
_CREDIT = 2
_SECONDS = {"shown": 1 / 15, "hidden": 1.0, "counters": 0.25}
"""Least time between two pushes to a view: in sight, out of sight, held."""
_VIEWS = 8
"""Views of one widget at a time; the longest silent one goes first. A page that was closed cannot say so."""
_RATE_SECONDS = 2.0


class Counters(TypedDict):
    """What the status line shows."""

    matched: int
    fresh: int
    total: int
    older: int
    """Of the total, how many only the journal has."""
    recorded: int
    rate: int


class View:
    """One drawing of the widget somewhere."""

    __slots__ = (
        "accepts",
        "counters",
        "filter",
        "fresh",
        "is_following",
        "is_hidden",
        "last_push",
        "matched",
        "name",
        "turn",
        "unacked",
        "waiting",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.filter = ""
        self.accepts: Accepts = parse_filter("")
        self.matched = 0
        """Rows that passed the filter, shown or not."""
        self.fresh = 0
        """Of those, how many since it was held."""
        self.waiting: list[Row] = []
        self.is_following = True
        self.turn = 0
        """The reader's last word on following or holding; sent along, so that what was under way before it is known."""
        self.is_hidden = False
        self.unacked = 0
        self.last_push = 0.0
        self.counters: Counters | None = None
        """As last sent."""

    def take(self, rows: Sequence[Row]) -> None:
        """New rows have come."""
        passed = [row for row in rows if self.accepts(row)]
        self.matched += len(passed)
        if self.is_following:
            self.waiting.extend(passed)
            del self.waiting[: -_BATCH - 1]  # one more than a batch says that the view fell behind
        else:
            self.fresh += len(passed)

    @property
    def pause(self) -> float:
        """Seconds from one push to the next."""
        if self.is_hidden:
            return _SECONDS["hidden"]
        return _SECONDS["shown" if self.is_following else "counters"]


class FramesWidget(LiveWidget):
    """A live table of traces; click a row for what is behind it.

    Args:
        source: a session, or anything else that records.
        layer: which crossings to show.
        filter: what the box starts with; see `waton.widgets.row_filter`.
    Raises:
        FilterError: the filter does not read.
    """

    _esm, _css = front_end("frames")
    title: ClassVar[str] = "Frames"

    def __init__(self, source: TraceSource, *, layer: Layer = Layer.NODE, filter: str = "") -> None:
        parse_filter(filter)
        self._source = source
        self._layer = layer
        self._first_filter = filter
        self._views: dict[str, View] = {}
        self._rows: deque[Row] = deque(maxlen=_KEPT)
        self._total = 0
        self._known = 0
        """seq up to which traces were taken from the source's memory; live ones begin after it."""
        self._inbox: deque[Sequence[Trace]] = deque()
        self._is_noted = False
        """Something is in the inbox, and a beat is planned for it."""
        self._beat: TimerHandle | None = None
        self._is_subscribed = False
        self._history: deque[tuple[float, int]] = deque()
        super().__init__()

    def summary(self) -> str:
        return f"{self._source.trace_count():,} traces recorded; the table is live in a notebook"

    # --- from the source ---------------------------------------------------------------------------------------------

    def _noted(self, traces: Sequence[Trace]) -> None:
        """Called by the source, on its thread: take note and be gone."""
        self._inbox.append(traces)
        if not self._is_noted:
            self._is_noted = True
            self.post(self._plan)

    def _subscribe(self) -> None:
        """Begin to follow, with what was recorded before; nothing twice, nothing missed in between."""
        if self._is_subscribed:
            return
        self._is_subscribed = True
        self.follow(self._source.on_traces(self._noted))
        before = self._source.tail(_KEPT)
        self._keep(before)
        self._known = before[-1].seq if before else 0

    def _keep(self, traces: Iterable[Trace]) -> list[Row]:
        new = [row_of(trace) for trace in traces if trace.layer is self._layer and trace.seq > self._known]
        self._rows.extend(new)
        self._total += len(new)
        return new

    # --- the beat ----------------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        """The next beat is when the first view may be served; without any, the inbox is emptied at leisure."""
        ready = (view for view in self._views.values() if view.unacked < _CREDIT)
        self._beat_in(min((self._wait(view) for view in ready), default=_SECONDS["hidden"]))

    def _beat_in(self, seconds: float) -> None:
        """Plan a beat, unless an earlier one is planned."""
        if self._beat is not None:
            if self._beat.when() <= self._now() + seconds:
                return
            self._beat.cancel()
        self._beat = self.post_later(seconds, self._tick)

    def _wait(self, view: View) -> float:
        """Seconds until the pause after a view's last push is over."""
        pause = view.pause if view.waiting or self._inbox else max(view.pause, _SECONDS["counters"])
        return max(0.0, view.last_push + pause - self._now())

    def _take_in(self) -> None:
        """What was noted becomes rows, here and in each view."""
        new: list[Row] = []
        while self._inbox:
            new += self._keep(self._inbox.popleft())
        for view in self._views.values():
            view.take(new)

    def _tick(self) -> None:
        """One beat: give each view its due."""
        self._beat = None
        self._is_noted = False
        self._take_in()
        self._history.append((self._now(), self._source.trace_count()))
        waits = [wait for view in self._views.values() if (wait := self._serve(view)) is not None]
        if self._rate():
            waits.append(_SECONDS["counters"] if self._views else _SECONDS["hidden"])
        if waits:
            self._beat_in(min(waits))

    def _serve(self, view: View) -> float | None:
        """Push to a view if it may be; returns the seconds until its next turn, None when there is none to plan."""
        if view.unacked >= _CREDIT or (not view.waiting and self._counters(view) == view.counters):
            return None
        wait = self._wait(view)
        if wait > 0:
            return wait
        self._push_rows(view)
        return None

    def _push_rows(self, view: View) -> None:
        fell_behind = len(view.waiting) > _BATCH
        if fell_behind:
            self._push_window(view)
            return
        rows, view.waiting = view.waiting, []
        self._push_to(view, "rows", rows=[row.to_wire() for row in rows])

    def _push_window(self, view: View, *, is_answer: bool = False) -> None:
        """The newest rows, in place of all the view had."""
        view.waiting = []
        view.fresh = 0
        rows = list(islice((row for row in reversed(self._rows) if view.accepts(row)), _WINDOW + 1))
        more = len(rows) > _WINDOW
        wire = [row.to_wire() for row in reversed(rows[:_WINDOW])]
        self._push_to(view, "window", rows=wire, more=more, filter=view.filter, answer=is_answer)

    def _push_to(self, view: View, kind: str, **content: object) -> None:
        view.unacked += 1
        view.last_push = self._now()
        view.counters = self._counters(view)
        place = {"turn": view.turn, "following": view.is_following}
        self.push({"type": kind, "view": view.name, "counters": view.counters, **place, **content})

    def _counters(self, view: View) -> Counters:
        return {
            "matched": view.matched,
            "fresh": view.fresh,
            "total": self._total,
            "older": self._total - len(self._rows),
            "recorded": self._source.trace_count(),
            "rate": self._rate(),
        }

    def _rate(self) -> int:
        """Traces per second, over the last two."""
        now = self._now()
        while len(self._history) > 1 and self._history[1][0] <= now - _RATE_SECONDS:
            self._history.popleft()
        if len(self._history) < 2:
            return 0
        (since, before), (_, count) = self._history[0], self._history[-1]
        return round((count - before) / max(now - since, 0.5))

    def _now(self) -> float:
        return self._thread.loop.time()

    # --- from the views ----------------------------------------------------------------------------------------------

    def receive(self, message: Mapping[str, object]) -> None:
        name = text_of(message, "view")
        kind = text_of(message, "type")
        self._take_in()
        if kind == "hello":
            self._open(name)
            return
        view = self._views.get(name)
        if view is None:
            self.push({"type": "ask_again", "view": name})
        elif kind == "ack":
            view.unacked = max(0, view.unacked - 1)
            self._beat_in(self._wait(view))
        elif kind == "filter":
            self._filter(view, text_of(message, "text"))
        elif kind == "hold":
            self._hold(view, number_of(message, "turn"), number_of(message, "after"))
        elif kind == "follow":
            self._follow(view, number_of(message, "turn"), number_of(message, "after"))
        elif kind == "older":
            self._older(view, number_of(message, "before"))
        elif kind == "detail":
            self._detail(view, number_of(message, "seq"))
        elif kind in ("hidden", "shown"):
            view.is_hidden = kind == "hidden"
            self._beat_in(self._wait(view))
        elif kind == "bye":
            del self._views[name]

    def _open(self, name: str) -> None:
        if name in self._views:
            return  # it asked more than once, and has its answer
        self._subscribe()
        while len(self._views) >= _VIEWS:
            del self._views[next(iter(self._views))]
        view = self._views[name] = View(name)
        self._set_filter(view, self._first_filter)

    def _filter(self, view: View, text: str) -> None:
        try:
            self._set_filter(view, text)
        except FilterError as error:
            self.push(
                {"type": "filter_error", "view": view.name, "text": str(error), "start": error.start, "end": error.end}
            )

    def _set_filter(self, view: View, text: str) -> None:
        """Show what passes this filter; raises FilterError and leaves the view as it was."""
        view.accepts = parse_filter(text)
        view.filter = text
        view.matched = sum(1 for row in self._rows if view.accepts(row))
        self._restart(view)

    def _hold(self, view: View, turn: int, after: int) -> None:
        """Leave a view as it is, with this row its last; what was under way to it does not count."""
        view.turn, view.is_following, view.waiting = turn, False, []
        view.fresh = sum(1 for row in self._rows if row.seq > after and view.accepts(row))

    def _follow(self, view: View, turn: int, after: int) -> None:
        """Go on from a row, or from the newest ones if too many came since."""
        view.turn = turn
        missed = [row for row in self._rows if row.seq > after and view.accepts(row)]
        is_gone = not self._rows or self._rows[0].seq > after
        if is_gone or len(missed) > _BATCH:
            self._restart(view)
            return
        view.is_following, view.fresh, view.waiting = True, 0, []
        self._push_to(view, "rows", rows=[row.to_wire() for row in missed])

    def _restart(self, view: View) -> None:
        """Show the newest rows because the view has asked for them."""
        view.is_following = True
        self._push_window(view, is_answer=True)

    def _older(self, view: View, before: int) -> None:
        """The rows just before one that the view has."""
        rows = list(
            islice((row for row in reversed(self._rows) if row.seq < before and view.accepts(row)), _WINDOW + 1)
        )
        more = len(rows) > _WINDOW
        wire = [row.to_wire() for row in reversed(rows[:_WINDOW])]
        self.push({"type": "older", "view": view.name, "rows": wire, "more": more})

    def _detail(self, view: View, seq: int) -> None:
        row = next((row for row in reversed(self._rows) if row.seq == seq), None)
        if row is None:
            text = "older than what this view keeps; the journal has it"
        else:
            text = detail_text(row, self._source.payload(seq))
        self.push({"type": "detail", "view": view.name, "seq": seq, "text": text})
