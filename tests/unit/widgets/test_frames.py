"""The frames widget's side in Python: windows, batches, credit, holding."""

import pytest

from tests.browser.live_source import Recording
from tests.unit.widgets.conftest import Front, Show
from waton.protocol.trace import Layer, Trace, Way
from waton.widgets import FilterError, FramesWidget, frames
from waton.widgets.rows import detail_text, hex_dump, row_of

SEQ, WAY, NAME = 0, 2, 3


def opened(show: Show, count: int) -> tuple[Recording, Front]:
    """A widget over this many stanzas, with one view that has its first window and has acknowledged it."""
    recording = Recording()
    recording.cross(count)
    _, front = show(lambda: FramesWidget(recording))
    window = front.ask("hello", "window")
    assert window["counters"]["total"] == count
    front.say("ack")
    return recording, front


def test_the_first_window_is_what_was_recorded_before(show: Show) -> None:
    recording = Recording()
    recording.cross(3)
    _, front = show(lambda: FramesWidget(recording))
    window = front.ask("hello", "window")
    assert [(row[SEQ], row[WAY], row[NAME]) for row in window["rows"]] == [
        (2, "out", "iq"),
        (4, "in", "iq"),
        (6, "out", "iq"),
    ]
    assert window["counters"] == {"matched": 3, "fresh": 0, "total": 3, "older": 0, "recorded": 6, "rate": 0}
    assert window["more"] is False


def test_a_long_recording_begins_with_its_newest_rows(show: Show) -> None:
    recording = Recording()
    recording.cross(2500)
    _, front = show(lambda: FramesWidget(recording))
    window = front.ask("hello", "window")
    assert [row[SEQ] for row in window["rows"]] == list(range(3002, 5001, 2))
    assert window["more"] is True
    older = front.ask("older", "older", before=3002)
    assert [row[SEQ] for row in older["rows"]] == list(range(1002, 3001, 2))
    oldest = front.ask("older", "older", before=1002)
    assert [row[SEQ] for row in oldest["rows"]] == list(range(2, 1001, 2))
    assert (older["more"], oldest["more"]) == (True, False)


def test_new_rows_come_once_and_all(show: Show) -> None:
    recording, front = opened(show, 10)
    recording.cross(700)
    seqs: list[int] = []
    while len(seqs) < 700:
        seqs += [row[SEQ] for row in front.next("rows")["rows"]]
        front.say("ack")
    assert seqs == list(range(22, 1421, 2))


def test_without_acknowledgement_two_messages_and_no_more(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(frames._SECONDS, "shown", 0.0)  # so that only credit can hold a push back
    recording, front = opened(show, 0)
    for _ in range(2):
        recording.cross(1)
        assert len(front.next("rows")["rows"]) == 1
    for _ in range(3):
        recording.cross(10)
        front.ask("detail", "detail", seq=2)  # an answer, so what came before it has been worked off
    assert front.messages.empty()
    front.say("ack")
    assert len(front.next("rows")["rows"]) == 30


def test_between_two_pushes_there_is_a_pause(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(frames._SECONDS, "shown", 3600.0)
    recording, front = opened(show, 0)
    recording.cross(5)
    front.ask("detail", "detail", seq=2)
    assert front.messages.empty()


def test_a_view_out_of_sight_waits_longer(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(frames._SECONDS, "hidden", 3600.0)
    recording, front = opened(show, 0)
    front.say("hidden")
    front.ask("hello", "window", view="other")
    recording.cross(3)
    assert front.next("rows")["view"] == "other"
    front.ask("detail", "detail", seq=2)
    assert front.messages.empty()
    front.say("shown")
    pushed = front.next("rows")
    assert (pushed["view"], len(pushed["rows"])) == ("v", 3)


def test_rows_that_only_the_journal_has_are_counted(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "_KEPT", 20)
    recording, front = opened(show, 10)
    recording.cross(30)
    counters = front.next("rows")["counters"]
    assert (counters["total"], counters["older"], counters["matched"]) == (40, 20, 40)


def test_what_is_recorded_while_a_widget_begins_comes_once(show: Show) -> None:
    class Racing(Recording):
        def tail(self, count: int) -> list[Trace]:
            self.cross(2)  # told to the widget, which follows already, and in the tail as well
            return super().tail(count)

    recording = Racing()
    recording.cross(3)
    _, front = show(lambda: FramesWidget(recording))
    window = front.ask("hello", "window")
    front.say("ack")
    recording.cross(1)
    seqs = [row[SEQ] for row in window["rows"] + front.next("rows")["rows"]]
    assert seqs == [2, 4, 6, 8, 10, 12]


def test_a_view_that_fell_behind_gets_a_new_window(show: Show) -> None:
    recording, front = opened(show, 0)
    for _ in range(2):
        recording.cross(1)
        front.next("rows")
    recording.cross(4000)
    front.ask("detail", "detail", seq=2)
    front.say("ack")
    window = front.next("window")
    assert [row[SEQ] for row in window["rows"]] == list(range(6006, 8005, 2))
    assert window["counters"]["matched"] == 4002
    assert window["counters"]["recorded"] == 8004


def test_a_held_view_is_sent_counters_only_and_goes_on_where_it_was(show: Show) -> None:
    recording, front = opened(show, 5)
    front.say("hold", turn=1, after=10)
    recording.cross(30)
    held = front.next("rows")
    assert (held["rows"], held["following"], held["turn"], held["counters"]["fresh"]) == ([], False, 1, 30)
    front.say("ack")
    going = front.ask("follow", "rows", turn=2, after=10)
    assert [row[SEQ] for row in going["rows"]] == list(range(12, 71, 2))
    assert (going["following"], going["counters"]["fresh"]) == (True, 0)


def test_what_was_under_way_when_the_view_was_held_counts_as_new(show: Show) -> None:
    recording, front = opened(show, 5)
    recording.cross(4)
    assert len(front.next("rows")["rows"]) == 4
    front.say("hold", turn=1, after=10)  # the reader held it before those four arrived
    front.say("ack")
    assert front.next("rows")["counters"]["fresh"] == 4


def test_following_after_too_much_starts_anew(show: Show) -> None:
    recording, front = opened(show, 5)
    front.say("hold", turn=1, after=10)
    recording.cross(1)
    front.next("rows")  # the next beat is planned for later now: what follows is not yet taken in by one
    recording.cross(3000)
    window = front.ask("follow", "window", turn=2, after=10)
    assert window["rows"][-1][SEQ] == 6012
    assert window["following"] is True


def test_the_filter_is_the_views_own_and_a_wrong_one_changes_nothing(show: Show) -> None:
    recording, front = opened(show, 80)
    other = front.ask("hello", "window", view="other")
    assert len(other["rows"]) == 80
    window = front.ask("filter", "window", text="tag:message")
    assert {row[NAME] for row in window["rows"]} == {"message"}
    assert window["counters"]["matched"] == 10
    refused = front.ask("filter", "filter_error", text="tag:message nokey:1")
    assert (refused["start"], refused["end"]) == (12, 19)
    front.say("ack")
    recording.cross(8)
    for _ in range(2):
        rows = front.next("rows")
        assert len(rows["rows"]) == (1 if rows["view"] == "v" else 8)


def test_the_detail_is_the_xml(show: Show) -> None:
    _, front = opened(show, 8)
    detail = front.ask("detail", "detail", seq=8)
    assert detail["text"].startswith('<message from="491510000001@s.whatsapp.net"')
    assert "older than" in front.ask("detail", "detail", seq=999)["text"]


def test_what_the_source_raises_is_shown(show: Show) -> None:
    recording, front = opened(show, 4)
    recording.traces.clear()
    assert front.ask("detail", "error", seq=2)["text"] == "StopIteration"
    assert front.ask("follow", "error", turn=1)["text"] == "ValueError: the view sent no number for 'after'"


def test_a_view_that_python_does_not_know_is_asked_to_ask_again(show: Show) -> None:
    _, front = opened(show, 4)
    assert front.ask("ack", "ask_again", view="lost")["view"] == "lost"
    front.say("bye")
    assert front.ask("ack", "ask_again")["view"] == "v"


def test_other_layers_and_wrong_filters(show: Show) -> None:
    recording = Recording()
    recording.cross(3)
    _, front = show(lambda: FramesWidget(recording, layer=Layer.FRAME))
    assert [row[SEQ] for row in front.ask("hello", "window")["rows"]] == [1, 3, 5]
    assert front.ask("detail", "detail", seq=1)["text"].startswith("000000  ")
    with pytest.raises(FilterError):
        FramesWidget(recording, filter="tag:")


def test_hex_and_broken_nodes() -> None:
    assert hex_dump(bytes(range(60, 78))) == (
        "000000  3c 3d 3e 3f 40 41 42 43  44 45 46 47 48 49 4a 4b  <=>?@ABCDEFGHIJK\n"
        "000010  4c 4d                                             LM"
    )
    recording = Recording()
    recording.cross(1)
    node = row_of(recording.traces[1])
    assert detail_text(node, b"\x00\xf8").startswith("cannot decode node")
    assert node.way is Way.OUT
