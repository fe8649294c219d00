"""The timeline of delivery, and timelines as such."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.inspect.told import ADA, GROUP, START, Told
from waton.inspect import Kind, Lane, Point, Shape, Span, Timeline, Tone, assemble, timeline
from waton.inspect import timeline as of
from waton.inspect.delivery_timeline import KINDS
from waton.inspect.timeline import MOST_MARKS, MOST_ROWS, rows_of
from waton.protocol.binary_node import Node
from waton.protocol.trace import Layer, Way

BOB = "77000000000002@lid"


@dataclass(frozen=True)
class Drawn:
    """What a lane shows, in seconds since the journal began."""

    spans: list[tuple[str, float, float | None]]
    points: list[tuple[str, float]]


def lane(told: Timeline, label: str) -> Drawn:
    [key] = [one.key for one in told.lanes if one.label == label]
    spans = [
        (span.kind, span.start - START, None if span.end is None else span.end - START)
        for span in told.spans
        if span.lane == key
    ]
    return Drawn(spans, [(point.kind, point.at - START) for point in told.points if point.lane == key])


def labels(told: Timeline) -> list[str]:
    return [one.label for one in told.lanes]


# --- delivery --------------------------------------------------------------------------------------------------------


def test_a_message_is_a_bar_until_its_ack_and_a_line_until_it_is_delivered(told: Told) -> None:
    told.sent("M1")
    told.acked("M1")
    told.got_to("M1", "delivered")
    drawn = lane(timeline(told.analysis), "person 1")
    assert drawn.spans == [("sent", 2, 4), ("delivering", 4, 6)]
    assert drawn.points == [("delivered", 6)]


def test_what_is_under_way_has_no_end(told: Told) -> None:
    told.sent("M1")
    told.write("M1")
    told.node(Way.IN, Node("iq", {"id": "later"}))
    drawn = timeline(told.analysis)
    assert lane(drawn, "person 1").spans == [("sent", 2, None)]
    assert lane(drawn, "person 1").points == [("again", 4)]
    assert drawn.end - START == 5


def test_what_came_is_a_bar_until_our_receipt(told: Told) -> None:
    told.received("A1")
    again = told.arrives("A1")
    told.state("message", "received", "duplicate", parent=again, id="A1")
    assert lane(timeline(told.analysis), "person 1") == Drawn([("received", 1, 4)], [("again", 5)])


def test_what_could_not_be_read_is_told_apart_until_it_can(told: Told) -> None:
    arrival = told.arrives("A1")
    told.state("retry", "unread", "asked", parent=arrival, id="A1", count=1)
    told.state("message", "new", "undecryptable", parent=arrival, id="A1", reason="bad_mac")
    assert lane(timeline(told.analysis), "person 1").spans == [("unread", 1, None)]
    again = told.arrives("A1")
    told.state("retry", "asked", "resolved", parent=again, id="A1")
    told.state("message", "new", "received", parent=again, id="A1")
    told.receipt("A1", again)
    drawn = timeline(told.analysis)
    assert lane(drawn, "person 1") == Drawn([("unread", 1, 6), ("received", 6, 7)], [("asked", 2), ("again", 4)])
    assert [point.title for point in drawn.points if point.kind == "asked"] == [
        "we could not read it (bad_mac), request 1: resolved"
    ]


def test_a_request_and_its_answer_stand_on_their_message(told: Told) -> None:
    told.sent("M1")
    told.acked("M1")
    request = told.request(Way.IN, "M1", count=1, code=7)
    told.state("retry", "requested", "answered", parent=request, id="M1", count=1)
    told.answer("M1", 1)
    assert lane(timeline(told.analysis), "person 1").points == [("asked", 6), ("answer", 8)]


def test_messages_at_the_same_time_have_rows_of_their_own(told: Told) -> None:
    told.sent("M1")
    told.sent("M2")
    told.acked("M1")
    told.acked("M2")
    told.sent("M3")
    told.acked("M3")
    drawn = timeline(told.analysis)
    assert [(span.kind, span.row) for span in drawn.spans] == [("sent", 0), ("sent", 1), ("sent", 0)]
    assert [one.rows for one in drawn.lanes] == [2]


def test_the_connection_is_never_without_a_word(told: Told) -> None:
    told.state("client", "idle", "connecting")
    told.state("connection", "idle", "handshake")
    told.state("client", "connecting", "open")
    told.state("client", "open", "reconnecting", error="Disconnected: lost")
    told.state("client", "reconnecting", "open")
    told.node(Way.IN, Node("iq"))
    drawn = timeline(told.analysis)
    assert lane(drawn, "connection").spans == [
        ("connecting", 1, 3), ("open", 3, 4), ("connecting", 4, 5), ("open", 5, None),
    ]  # fmt: skip
    assert lane(drawn, "connection").points == [("attempt", 2)]
    assert [dict(span.detail).get("after") for span in drawn.spans] == [None, None, "Disconnected: lost", None]


def test_a_session_that_was_closed_has_ended(told: Told) -> None:
    told.state("client", "connecting", "open")
    told.state("client", "open", "closed")
    assert lane(timeline(told.analysis), "connection").spans == [("open", 1, 2), ("closed", 2, 2)]


def test_pings_and_what_failed(told: Told) -> None:
    def traced(name: str, detail: str) -> None:
        told.tracer.add(Layer.STATE, Way.LOCAL, name, at=START, detail=detail)

    traced("keepalive", '{"by": "ping", "round_trip_ms": 12, "skew_ms": -300}')
    traced("keepalive", '{"by": "success", "skew_ms": 5}')
    traced("keepalive", '{"unanswered": 1}')
    traced("lane.failed", '{"lane": "background", "error": "Disconnected"}')
    traced("lane.failed", '{"lane": "chat", "error": "NameError"}')
    drawn = timeline(told.analysis)
    assert [(point.kind, point.title) for point in drawn.points] == [
        ("measured", "round trip 12 ms"),
        ("measured", "measured by success"),
        ("unanswered", "a ping was not answered"),
        ("failed", "lane.failed: NameError"),
    ]
    assert labels(drawn) == ["keepalive", "trouble"]
    assert dict(drawn.points[0].detail)["server’s clock"] == "-300 ms"


def test_the_labs_faults_have_a_lane_and_stand_on_what_they_struck(told: Told, lab: Told) -> None:
    told.sent("M1")
    told.acked("M1")
    lab.now = START + 2.5
    lab.fault("drop", "M1")
    lab.fault("delay", "M1", seconds=0.25)
    lab.fault("lost_ack", "other", tag="ack", way="out")
    assert "faults" not in labels(timeline(told.analysis))
    drawn = timeline(told.analysis, lab=lab.analysis)
    # Until the newest trace of the client's own journal: nothing is known of it afterwards.
    assert lane(drawn, "faults").points == [("harm", 3.5), ("delay", 4.5)]
    assert lane(drawn, "person 1").points == [("harm", 3.5)]
    late = timeline(told.analysis, lab=lab.analysis, until=START + 60)
    assert lane(late, "faults").points == [("harm", 3.5), ("delay", 4.5), ("loss", 5.5)]
    details = [dict(point.detail) for point in late.points if point.lane == "faults"]
    assert [(detail["stanza"], detail.get("seconds")) for detail in details] == [
        ("ours: message", None), ("ours: message", "0.250"), ("the server’s: ack", None),
    ]  # fmt: skip


def test_people_are_numbered_or_named_and_never_shown_by_number(told: Told) -> None:
    number = "491510000001@s.whatsapp.net"
    told.sent("M1", number)
    told.sent("M2", GROUP)
    told.sent("M3", ADA)
    told.sent("M4", BOB)
    told.sent("M5", ADA)
    drawn = timeline(told.analysis, names={ADA: "Ada", BOB: "Ada"})
    assert labels(drawn) == ["person 1", "group 1", "Ada"]
    shown = repr([drawn.lanes, drawn.spans, drawn.points])
    shown += repr([(mark.title, mark.detail, mark.lane) for mark in (*drawn.spans, *drawn.points)])
    shown += repr([(one.key, one.label) for one in drawn.lanes])
    assert "4915" not in shown
    assert "7700" not in shown
    assert "1203" not in shown


def test_a_part_of_the_time(told: Told) -> None:
    told.sent("OLD")
    told.acked("OLD")
    told.sent("OPEN")
    told.sent("NEW")
    told.acked("NEW")
    drawn = timeline(told.analysis, since=START + 9)
    assert lane(drawn, "person 1").spans == [("sent", 7, None), ("sent", 10, 12)]
    assert (drawn.start, drawn.end) == (START + 9, START + 13)
    early = timeline(told.analysis, until=START + 4)
    assert lane(early, "person 1").spans == [("sent", 2, 4)]


def test_an_empty_journal_is_an_empty_timeline(told: Told) -> None:
    drawn = timeline(told.analysis)
    assert (drawn.lanes, drawn.spans, drawn.points, drawn.kinds) == ((), (), (), ())
    assert drawn.start <= drawn.end


def test_every_kind_that_is_drawn_is_in_the_legend(told: Told, lab: Told) -> None:
    told.sent("M1")
    told.acked("M1")
    lab.fault("drop", "M1")
    drawn = of(told.analysis, lab=lab.analysis)
    kinds = {kind.name for kind in drawn.kinds}
    assert kinds == {mark.kind for mark in (*drawn.spans, *drawn.points)}
    assert len({kind.name for kind in KINDS}) == len({kind.label for kind in KINDS}) == len(KINDS)


# --- timelines as such -----------------------------------------------------------------------------------------------

BAR = Kind("bar", "a bar", Tone.OUT, Shape.BAR)
DOT = Kind("dot", "a dot", Tone.IN, Shape.DOT)


def test_lanes_and_kinds_that_do_not_occur_are_left_out() -> None:
    lanes = [Lane("a", "A"), Lane("b", "B")]
    made = assemble(lanes, [BAR, DOT], [Span("b", 1, 2, "bar", "x")], [])
    assert (labels(made), [kind.name for kind in made.kinds]) == (["B"], ["bar"])
    assert (made.start, made.end) == (1, 2)


def test_of_too_many_marks_the_newest_are_kept_and_what_still_lasts() -> None:
    old = Span("a", 0, None, "bar", "still lasts")
    gone = Span("a", 0, 1, "bar", "long ago")
    points = [Point("a", 10.0 + at, "dot", "x") for at in range(MOST_MARKS)]
    made = assemble([Lane("a", "A")], [BAR, DOT], [old, gone], points)
    assert len(made.spans) + len(made.points) == MOST_MARKS
    assert made.spans == (old,)
    assert made.points[0].at == 11.0
    assert made.left_out == 2


STRETCHES = st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 100)), max_size=80).map(
    lambda drawn: sorted((start, start + length) for start, length in drawn)
)


@given(STRETCHES)
def test_no_two_stretches_in_one_row_overlap_while_there_are_rows(stretches: list[tuple[float, float]]) -> None:
    rows = rows_of(stretches)
    assert len(rows) == len(stretches)
    assert all(0 <= row < MOST_ROWS for row in rows)
    taken: dict[int, float] = {}
    for (start, end), row in zip(stretches, rows, strict=True):
        if row < MOST_ROWS - 1:
            assert start >= taken.get(row, float("-inf"))
        taken[row] = max(end, taken.get(row, end))


@pytest.mark.parametrize(
    "value", [Lane("491510000001", "491510000001"), Span("491510000001", 1, 2, "k", "491510000001")]
)
def test_reprs_show_no_labels(value: object) -> None:
    assert "4915" not in repr(value)
