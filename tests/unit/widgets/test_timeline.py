"""The timeline widget's side in Python, and its picture."""

import re
from collections.abc import Callable
from dataclasses import replace
from queue import Queue
from threading import Event
from xml.etree import ElementTree

import anywidget
import ipywidgets
import pytest

from tests.unit.widgets.conftest import PATIENCE, Front, Show
from waton.inspect import Kind, Lane, Point, Shape, Span, Timeline, Tone
from waton.widgets import TimelineWidget
from waton.widgets.base import LiveWidget
from waton.widgets.timeline import to_wire
from waton.widgets.timeline_picture import draw

T0 = 1_750_000_000.0
KINDS = (
    Kind("open", "open", Tone.GOOD, Shape.BAR),
    Kind("away", "away", Tone.QUIET, Shape.BAR, shades=True),
    Kind("sent", "sent", Tone.OUT, Shape.BAR),
    Kind("on its way", "on its way", Tone.OUT, Shape.LINE),
    Kind("again", "again", Tone.BUSY, Shape.RING),
    Kind("done", "done", Tone.IN, Shape.DOT),
    Kind("harm", "harm", Tone.BAD, Shape.CROSS),
    Kind("asked", "asked", Tone.ACCENT, Shape.DIAMOND),
    Kind("late", "late", Tone.QUIET, Shape.TICK),
)
LANES = (Lane("connection", "connection"), Lane("ada", "Ada", 3), Lane("bo", "Bo & <Co>"))
SPANS = (
    Span("connection", T0, T0 + 4, "open", "open", (("connection", "1"),)),
    Span("connection", T0 + 4, T0 + 6, "away", "reconnecting"),
    Span("connection", T0 + 6, None, "open", "open", (("connection", "2"),)),
    Span("ada", T0 + 1, T0 + 3, "sent", "text sent: delivered", (("id", "M1"), ("status", "delivered"))),
    Span("ada", T0 + 3, T0 + 5, "on its way", "text sent: delivered", (("id", "M1"), ("status", "delivered"))),
    Span("ada", T0 + 2, None, "sent", "text sent: pending", (("id", "M2"),), 1),
    Span("bo", T0 + 5, T0 + 5.001, "sent", "a short one"),
)
POINTS = (
    Point("ada", T0 + 2, "again", "written again", (("id", "M1"),)),
    Point("ada", T0 + 5, "done", "delivered", (("id", "M1"),)),
    Point("ada", T0 + 7, "asked", "could not be read", (("id", "M2"),), 2),
    Point("connection", T0 + 4, "harm", "fault: close"),
    *(Point("bo", T0 + 8 + at / 100, "late", "fault: delay") for at in range(40)),
)
TIMELINE = Timeline(T0, T0 + 10, LANES, KINDS, SPANS, POINTS)
LANE, ROW, AT, END, KIND, NOTE = range(6)


def opened(show: Show, timeline: Timeline = TIMELINE) -> tuple[TimelineWidget, Front]:
    return show(lambda: TimelineWidget(timeline))


# --- what a view is sent ---------------------------------------------------------------------------------------------


def test_a_view_gets_the_whole_timeline(show: Show) -> None:
    _, front = opened(show)
    page = front.ask("hello", "timeline")
    assert (page["view"], page["start"], page["end"], page["left_out"]) == ("v", T0, T0 + 10, 0)
    assert page["lanes"] == [["connection", 1], ["Ada", 3], ["Bo & <Co>", 1]]
    assert page["kinds"][1] == ["away", "away", "quiet", "bar", True]
    assert (len(page["spans"]), len(page["points"])) == (len(SPANS), len(POINTS))
    pending = page["spans"][5]
    assert pending[:KIND] == [1, 1, T0 + 2, None]
    assert page["kinds"][pending[KIND]][0] == "sent"
    assert page["notes"][pending[NOTE]] == ("text sent: pending", [("id", "M2")])


def test_a_note_is_said_once() -> None:
    page = to_wire(TIMELINE)
    spans, points, notes = page["spans"], page["points"], page["notes"]
    assert isinstance(spans, list)
    assert isinstance(points, list)
    assert isinstance(notes, list)
    assert spans[3][NOTE] == spans[4][NOTE]
    assert len({point[NOTE] for point in points if point[AT] >= T0 + 8}) == 1
    assert len(notes) == len({(mark.title, mark.detail) for mark in (*SPANS, *POINTS)})


def test_texts_of_others_are_cut() -> None:
    long = Point("bo", T0, "done", "x" * 10_000, (("id", "y" * 10_000),))
    page = to_wire(replace(TIMELINE, points=(long,), lanes=(*LANES[:2], Lane("bo", "z" * 10_000))))
    assert max(len(text) for text in re.findall(r"x+|y+|z+", repr(page))) == 200


# --- live ------------------------------------------------------------------------------------------------------------


class Source:
    """A timeline that grows."""

    def __init__(self) -> None:
        self.timeline = TIMELINE
        self.callbacks: list[Callable[[object], None]] = []
        self.readings = 0
        self.was_read = Event()

    def read(self) -> Timeline:
        self.readings += 1
        self.was_read.set()
        return self.timeline

    def on_change(self, callback: Callable[[object], None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def grow(self, seconds: float) -> None:
        self.timeline = replace(self.timeline, end=self.timeline.end + seconds)
        for callback in self.callbacks:
            callback("a batch of traces")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("waton.widgets.timeline._PAUSE", 0.01)


@pytest.mark.usefixtures("quick")
def test_it_is_sent_again_when_there_is_more(show: Show) -> None:
    source = Source()
    _, front = show(lambda: TimelineWidget(source.read, source.on_change))
    assert front.ask("hello", "timeline")["end"] == T0 + 10
    source.grow(5)
    page = front.next("timeline")
    assert (page["end"], page.get("view")) == (T0 + 15, None)


@pytest.mark.usefixtures("quick")
def test_many_changes_at_once_are_read_once(show: Show) -> None:
    source = Source()
    widget, front = show(lambda: TimelineWidget(source.read, source.on_change))
    front.ask("hello", "timeline")
    told = Event()

    def flood() -> None:
        # On the widgets' own thread, so that no reading comes in between.
        for _ in range(100):
            widget._changed()
        told.set()

    source.timeline = replace(TIMELINE, end=T0 + 11)
    widget.post(flood)
    assert told.wait(PATIENCE)
    assert front.next("timeline")["end"] == T0 + 11
    assert source.readings == 2
    assert front.messages.empty()


@pytest.mark.usefixtures("quick")
def test_nobody_who_looks_is_nobody_to_read_for(show: Show) -> None:
    source = Source()
    widget, front = show(lambda: TimelineWidget(source.read, source.on_change))
    due: Queue[bool] = Queue()

    def is_due() -> bool:
        """Asked on the widgets' thread, behind all that was said before."""
        widget.post(lambda: due.put(widget._is_due))
        return due.get(timeout=PATIENCE)

    source.grow(1)
    assert not is_due()
    front.ask("hello", "timeline")
    front.say("bye")
    source.grow(1)
    assert not is_due()
    assert front.ask("hello", "timeline", view="w")["end"] == T0 + 12
    assert source.readings == 2


def test_closing_stops_following(show: Show) -> None:
    source = Source()
    widget, _ = show(lambda: TimelineWidget(source.read, source.on_change))
    assert len(source.callbacks) == 1
    widget.close()
    assert source.callbacks == []
    assert repr(widget) == "<Timeline: closed>"


def test_what_goes_wrong_is_said(show: Show) -> None:
    def broken() -> Timeline:
        raise ValueError("no such journal")

    _, front = show(lambda: TimelineWidget(broken))
    assert front.ask("hello", "error")["text"] == "ValueError: no such journal"


# --- without a browser -----------------------------------------------------------------------------------------------


def test_in_one_line(show: Show) -> None:
    widget, _ = opened(show)
    assert repr(widget) == "<Timeline: 7 spans and 44 points in 3 lanes, 10.0 s; it is drawn in a notebook>"


def picture(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def texts(svg: str) -> list[str]:
    return [text.text or "" for text in picture(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_a_picture_has_every_lane_mark_and_kind(show: Show) -> None:
    widget, _ = opened(show)
    svg = widget.freeze().svg
    said = texts(svg)
    assert said[:3] == ["connection", "Ada", "Bo & <Co>"]
    assert {kind.label for kind in KINDS} <= set(said)
    titles = [title.text for title in picture(svg).iter("{http://www.w3.org/2000/svg}title")]
    assert titles[0] == "7 spans and 44 points, 10.0 s"
    assert titles.count("text sent: pending") == 1
    assert "fault: close" in titles
    assert len(re.findall(r"M[\d.]+ [\d.]+v10", svg)) == 1  # the legend's; a lane of one row has longer strokes
    assert len(re.findall(r"M[\d.]+ [\d.]+v14", svg)) == 40


def test_a_picture_of_a_part(show: Show) -> None:
    widget, _ = opened(show)
    frozen = widget.freeze(T0 + 4.5, T0 + 5.5)
    assert repr(frozen) == "<Picture: 4 spans and 1 points, 1.0 s>"
    assert "late" not in texts(frozen.svg)
    edges = [float(x) for x in re.findall(r'<rect x="([\d.-]+)"', frozen.svg)]
    assert min(edges) >= 0
    assert max(edges) <= 960


def test_a_picture_is_shown_as_svg_and_runs_nothing(show: Show) -> None:
    widget, _ = opened(show)
    bundle = widget.freeze()._repr_mimebundle_()
    assert set(bundle) == {"image/svg+xml", "text/plain"}
    assert not re.search(r"<script|href|\bon\w+=|url\(|@import|foreignObject", bundle["image/svg+xml"])
    assert bundle["text/plain"] == "<Picture: 7 spans and 44 points, 10.0 s>"


@pytest.mark.parametrize("evil", ['"><script>alert(1)</script>', "\x00\x1b[31m", "\ud800", "a" * 5000])
def test_hostile_names_are_only_text(evil: str) -> None:
    lanes = (*LANES[:2], Lane("bo", evil))
    point = Point("bo", T0 + 1, "done", evil, ((evil, evil),))
    svg = draw(replace(TIMELINE, lanes=lanes, points=(point,))).svg
    picture(svg.encode().decode())
    assert "<script" not in svg
    assert "aaaaa" * 100 not in svg


def test_times_without_length_are_drawn() -> None:
    for spans, points in (((), ()), ((), (Point("bo", T0, "done", "x"),)), ((Span("bo", T0, None, "open", "x"),), ())):
        picture(draw(Timeline(T0, T0, LANES, KINDS, spans, points)).svg)


# --- what holds for every widget -------------------------------------------------------------------------------------


def test_no_state_of_its_own_and_nothing_fetched(show: Show) -> None:
    widget, _ = opened(show)
    state = widget.get_state()
    assert set(state) - set(ipywidgets.DOMWidget().get_state()) == {"_esm", "_css", "_anywidget_id"}
    assert len(state["_esm"].encode()) <= 60 * 1024
    front_end = state["_esm"] + state["_css"]
    assert not re.search(r"\bimport\b|\bfetch\(|XMLHttpRequest|innerHTML|eval\(|url\(", front_end)


def test_nothing_of_ipywidgets_is_overridden_by_accident(show: Show) -> None:
    widget, _ = opened(show)
    theirs = set(dir(anywidget.AnyWidget))
    ours = {name for name in vars(TimelineWidget) if not name.startswith("__")} - set(vars(LiveWidget))
    made_by_traitlets = {name for name in ours if re.search(r"trait|descriptor|instance_init|initial_value", name)}
    assert (ours & theirs) - made_by_traitlets == set()
    assert not ({"_timeline", "_lookers", "_is_due", "_took"} & theirs)
    assert {"_timeline", "_lookers", "_is_due", "_took"} <= set(vars(widget))
