"""Deliveries, retries and connections, from journals of which every trace is known."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from tests.unit.inspect.told import ADA, GROUP, START, Told
from waton.capture.analysis import Analysis
from waton.inspect import connections, deliveries, read_stories, retries, writings
from waton.protocol.binary_node import Node
from waton.protocol.trace import Layer, Way


def seconds(time: Any) -> float:
    """Since the journal's beginning."""
    return (time - pd.Timestamp(START, unit="s", tz="UTC")).total_seconds()


def only(told: Told) -> dict[str, Any]:
    [row] = deliveries(told.analysis).to_dict("records")
    return {str(name): value for name, value in row.items()}


# --- the way out -----------------------------------------------------------------------------------------------------


def test_a_message_from_its_commit_to_its_readers(told: Told) -> None:
    told.sent("M1")
    told.acked("M1")
    told.got_to("M1", "delivered")
    told.got_to("M1", "read")
    row = only(told)
    times = {name: seconds(row[name]) for name in ("first_seen", "committed", "written", "acknowledged", "delivered")}
    assert times == {"first_seen": 1, "committed": 2, "written": 3, "acknowledged": 4, "delivered": 6}
    assert seconds(row["read"]) == 7
    assert (row["id"], row["way"], row["chat"], row["chat_kind"], row["kind"]) == (
        "M1", "out", ADA, "person", "conversation",
    )  # fmt: skip
    assert (row["status"], row["told"], row["writings"], row["repeats"]) == ("read", 1, 1, 0)
    assert (row["round_trip_ms"], row["connections"], row["run"], row["seq"]) == (1000.0, (1,), 1, 1)


def test_a_message_written_again_is_one_message_with_several_writings(told: Told) -> None:
    told.sent("M1", GROUP)
    told.connection = 2
    told.write("M1", GROUP)
    told.connection = 5
    told.write("M1", GROUP)
    told.acked("M1", GROUP)
    row = only(told)
    assert (row["chat_kind"], row["status"], row["writings"], row["repeats"]) == ("group", "server_ack", 3, 2)
    assert (row["connections"], row["round_trip_ms"]) == ((1, 2, 5), 1000.0)
    table = writings(told.analysis)
    assert list(table["writing"]) == ["first", "again", "again"]
    assert list(table["connection"]) == [1, 2, 5]
    assert [seconds(time) for time in table["time"]] == [3, 4, 5]


def test_only_the_first_ack_counts(told: Told) -> None:
    told.sent("M1")
    told.acked("M1")
    told.write("M1")
    told.acked("M1")
    row = only(told)
    assert seconds(row["acknowledged"]) == 4


def test_what_the_server_has_not_taken_is_pending(told: Told) -> None:
    told.sent("M1")
    row = only(told)
    assert row["status"] == "pending"
    assert pd.isna(row["acknowledged"])
    assert pd.isna(row["round_trip_ms"])
    assert not read_stories(told.analysis).messages[0].is_settled


def test_a_late_ack_does_not_take_back_what_a_reader_said(told: Told) -> None:
    told.sent("M1")
    told.got_to("M1", "delivered")
    told.acked("M1")
    assert only(told)["status"] == "delivered"


def test_what_was_refused_is_an_error_until_somebody_has_it(told: Told) -> None:
    told.sent("M1")
    told.state("message", "pending", "error", id="M1")
    assert only(told)["status"] == "error"
    told.got_to("M1", "delivered")
    assert only(told)["status"] == "delivered"


def test_a_message_outlives_its_process(told: Told) -> None:
    told.sent("M1")
    told.begin()
    told.connection = 1
    told.write("M1")
    told.acked("M1")
    row = only(told)
    assert (row["told"], row["writings"], row["repeats"], row["status"]) == (1, 2, 1, "server_ack")
    assert (row["run"], row["round_trip_ms"]) == (1, 1000.0)


def test_an_ack_of_what_another_process_wrote_measures_nothing(told: Told) -> None:
    told.sent("M1")
    told.begin()
    told.acked("M1")
    row = only(told)
    assert row["status"] == "server_ack"
    assert pd.isna(row["round_trip_ms"])


def test_what_never_committed_is_no_message(told: Told) -> None:
    told.tracer.add(Layer.MESSAGE, Way.OUT, "conversation", at=START, id="M1", recipient=ADA, transition=9)
    told.journal.settle(told.run, set())
    row = only(told)
    assert (row["status"], row["told"], row["writings"]) == ("uncommitted", 0, 0)


# --- the way in ------------------------------------------------------------------------------------------------------


def test_a_message_that_came_is_acknowledged_by_our_receipt(told: Told) -> None:
    told.received("A1")
    row = only(told)
    assert (row["way"], row["status"], row["told"], row["writings"]) == ("in", "received", 1, 1)
    assert (seconds(row["written"]), seconds(row["committed"]), seconds(row["acknowledged"])) == (1, 3, 4)
    assert row["round_trip_ms"] == 3000.0


def test_a_message_that_comes_again_is_told_once(told: Told) -> None:
    told.received("A1")
    again = told.arrives("A1")
    told.state("message", "received", "duplicate", parent=again, id="A1")
    told.receipt("A1", again)
    row = only(told)
    assert (row["told"], row["duplicates"], row["writings"], row["repeats"]) == (1, 1, 2, 1)
    assert seconds(row["acknowledged"]) == 4


def test_told_twice_would_show(told: Told) -> None:
    told.received("A1")
    told.received("A1")
    assert only(told)["told"] == 2


def test_one_id_in_two_conversations_is_two_messages(told: Told) -> None:
    told.received("X", ADA)
    told.received("X", GROUP)
    table = deliveries(told.analysis)
    assert list(table["chat"]) == [ADA, GROUP]
    assert list(table["told"]) == [1, 1]


def test_a_device_of_a_person_is_their_conversation(told: Told) -> None:
    told.received("A1", "77000000000001:4@lid")
    assert only(told)["chat"] == ADA


def test_what_we_read_is_read_when_our_receipt_says_so(told: Told) -> None:
    arrival = told.received("A1")
    told.node(Way.OUT, Node("receipt", {"id": "A1", "to": ADA, "type": "read"}))
    row = only(told)
    assert (row["status"], seconds(row["read"])) == ("read", 5)
    assert arrival == row["seq"]


def test_the_servers_ack_of_a_receipt_acknowledges_no_message(told: Told) -> None:
    told.sent("A1")
    told.received("B1")
    told.node(Way.IN, Node("ack", {"class": "receipt", "id": "B1", "from": ADA}))
    ours, theirs = deliveries(told.analysis).to_dict("records")
    assert pd.isna(ours["acknowledged"])
    assert seconds(theirs["acknowledged"]) == 7


# --- retries ---------------------------------------------------------------------------------------------------------


def test_somebody_cannot_read_ours_and_is_answered(told: Told) -> None:
    told.sent("M1")
    told.acked("M1")
    request = told.request(Way.IN, "M1", count=1, code=7, peer="77000000000001:2@lid")
    told.state("retry", "requested", "answered", parent=request, id="M1", count=1)
    told.answer("M1", 1)
    [row] = retries(told.analysis).to_dict("records")
    assert (row["way"], row["chat"], row["peer"]) == ("in", ADA, "77000000000001:2@lid")
    assert (row["count"], row["code"], row["reason"], row["outcome"]) == (1, 7, "bad_mac", "answered")
    assert row["took_ms"] == 1000.0
    assert (only(told)["asked"], only(told)["answered"], only(told)["reason"]) == (1, 1, "bad_mac")
    assert list(writings(told.analysis)["writing"]) == ["first", "answer"]


def test_an_answer_written_again_is_no_second_answer(told: Told) -> None:
    told.sent("M1")
    told.answer("M1", 1)
    told.answer("M1", 1)
    told.answer("M1", 2)
    assert list(writings(told.analysis)["writing"]) == ["first", "answer", "again", "answer"]


def test_a_message_for_a_device_that_came_later_is_more_of_it(told: Told) -> None:
    told.sent("M1")
    told.write("M1", device_fanout="false")
    assert list(writings(told.analysis)["writing"]) == ["first", "more"]


def test_a_request_that_comes_twice_is_refused_the_second_time(told: Told) -> None:
    told.sent("M1")
    first = told.request(Way.IN, "M1", count=1, code=1)
    told.state("retry", "requested", "answered", parent=first, id="M1", count=1)
    second = told.request(Way.IN, "M1", count=1, code=1)
    told.state("retry", "requested", "refused", parent=second, id="M1", why="answered")
    table = retries(told.analysis)
    assert list(table["outcome"]) == ["answered", "refused"]
    assert list(table["why"]) == ["", "answered"]
    assert (only(told)["asked"], only(told)["answered"]) == (2, 1)


def test_a_request_for_what_the_journal_does_not_know_is_kept(told: Told) -> None:
    request = told.request(Way.IN, "OLD", count=2, code=99)
    told.state("retry", "requested", "refused", parent=request, id="OLD", why="unknown_message")
    [row] = retries(told.analysis).to_dict("records")
    assert (row["chat"], row["count"], row["reason"], row["why"]) == ("", 2, "code 99", "unknown_message")


def test_we_cannot_read_theirs_ask_and_get_it(told: Told) -> None:
    arrival = told.arrives("A1")
    told.state("retry", "unread", "asked", parent=arrival, id="A1", count=1)
    told.state("message", "new", "undecryptable", parent=arrival, id="A1", reason="no_session")
    told.receipt("A1", arrival)
    told.request(Way.OUT, "A1", count=1, code=1)
    row = only(told)
    assert (row["status"], row["reason"], row["asked"], row["answered"], row["told"]) == (
        "undecryptable", "no_session", 1, 0, 0,
    )  # fmt: skip
    again = told.arrives("A1")
    told.opened("A1", again)
    told.state("retry", "asked", "resolved", parent=again, id="A1")
    told.state("message", "new", "received", parent=again, id="A1")
    told.receipt("A1", again)
    row = only(told)
    assert (row["status"], row["answered"], row["told"], row["kind"]) == ("received", 1, 1, "conversation")
    assert seconds(row["acknowledged"]) == 10
    [retry] = retries(told.analysis).to_dict("records")
    assert (retry["way"], retry["outcome"], retry["reason"], retry["code"]) == ("out", "resolved", "no_session", 1)
    assert (seconds(retry["time"]), seconds(retry["written"]), seconds(retry["settled"])) == (2, 5, 8)


def test_what_is_not_asked_for_says_why(told: Told) -> None:
    arrival = told.arrives("A1")
    told.state("retry", "unread", "left", parent=arrival, id="A1", why="malformed")
    told.state("message", "new", "undecryptable", parent=arrival, id="A1", reason="malformed")
    [row] = retries(told.analysis).to_dict("records")
    assert (row["outcome"], row["why"], row["count"]) == ("left", "malformed", 0)
    assert only(told)["asked"] == 0


def test_our_phone_is_asked_and_answers(told: Told) -> None:
    arrival = told.arrives("A1")
    told.state("retry", "unread", "left", parent=arrival, id="A1", why="unavailable")
    told.state("message", "new", "undecryptable", parent=arrival, id="A1", reason="unavailable")
    told.state("retry", "unread", "phone asked", id="A1")
    told.state("retry", "phone asked", "resolved", id="A1")
    assert list(retries(told.analysis)["outcome"]) == ["left", "resolved"]
    assert (only(told)["asked"], only(told)["answered"]) == (1, 1)


def test_of_several_requests_the_last_was_answered(told: Told) -> None:
    arrival = told.arrives("A1")
    for count in (1, 2):
        told.state("retry", "unread", "asked", parent=arrival, id="A1", count=count)
    told.state("retry", "asked", "resolved", id="A1")
    table = retries(told.analysis)
    assert list(table["outcome"]) == ["asked", "resolved"]
    assert list(table["count"]) == [1, 2]


def test_a_malformed_request_is_shown_as_it_came(told: Told) -> None:
    told.sent("M1")
    told.node(Way.IN, Node("receipt", {"id": "M1", "from": ADA, "type": "retry"}))
    [row] = retries(told.analysis).to_dict("records")
    assert (row["outcome"], row["reason"], row["count"]) == ("", "", 0)
    assert pd.isna(row["code"])


# --- connections -----------------------------------------------------------------------------------------------------


def test_connections_with_reason_attempts_and_how_long(told: Told) -> None:
    told.state("client", "connecting", "open")
    told.now += 9
    told.state("client", "open", "reconnecting", reason="lost", error="Disconnected: disconnected, lost")
    told.connection = 4
    told.state("client", "reconnecting", "open")
    told.node(Way.OUT, Node("iq", {"id": "1"}))
    table = connections(told.analysis)
    assert list(table["after"]) == ["open", "reconnecting", "open"]
    assert list(table["reason"]) == ["", "lost", ""]
    assert table["attempts"].to_list() == [1, pd.NA, 3]
    assert table["seconds"].to_list() == [10.0, 1.0, 1.0]
    assert list(table["connection"]) == [1, 1, 4]


def test_attempts_are_counted_within_a_run(told: Told) -> None:
    told.connection = 6
    told.state("client", "connecting", "open")
    told.begin()
    told.connection = 2
    told.state("client", "connecting", "open")
    table = connections(told.analysis)
    assert list(table["attempts"]) == [6, 2]
    assert list(table["seconds"]) == [0.0, 0.0]


# --- shape -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [deliveries, writings, retries, connections])
def test_columns_and_dtypes_are_the_same_without_rows(told: Told, make: Callable[[Analysis], pd.DataFrame]) -> None:
    empty = make(told.analysis)
    assert len(empty) == 0
    told.sent("M1")
    told.request(Way.IN, "M1", count=1, code=1)
    told.state("client", "connecting", "open")
    full = make(told.analysis)
    assert len(full) == 1
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()


def test_nothing_of_a_person_is_in_a_repr(told: Told) -> None:
    told.sent("M1", "491510000001@s.whatsapp.net")
    told.request(Way.IN, "M1", count=1, code=1, peer="491510000001@s.whatsapp.net")
    stories = read_stories(told.analysis)
    assert "491510000001" not in repr(stories) + repr(stories.messages) + repr(stories.retries)


def test_what_is_no_address_and_no_json_breaks_nothing(told: Told) -> None:
    told.tracer.add(Layer.NODE, Way.IN, "message", at=START, id="A1", sender=":::")
    told.tracer.add(Layer.STATE, Way.LOCAL, "message", at=START, detail="no json")
    told.tracer.add(Layer.STATE, Way.LOCAL, "client", at=START, detail="[1]")
    told.tracer.add(Layer.STATE, Way.LOCAL, "retry", at=START, detail='{"before": 1, "count": "many"}')
    assert (only(told)["chat"], only(told)["chat_kind"], only(told)["status"]) == (":::", "", "arrived")
    assert len(connections(told.analysis)) == 1
    assert len(retries(told.analysis)) == 0
