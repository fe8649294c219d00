"""The chat pane's side in Python: lines, ids, ticks."""

from concurrent.futures import Future

import pytest

from tests.browser.live_source import Talk
from tests.unit.widgets.conftest import Front, Show
from waton.widgets import ChatWidget


def opened(show: Show) -> tuple[Talk, Front]:
    talk = Talk()
    _, front = show(lambda: ChatWidget(talk, to="491510000001"))
    assert front.ask("hello", "messages")["to"] == "491510000001"
    return talk, front


def send(talk: Talk, front: Front, text: str) -> Future[str]:
    line = front.ask("send", "messages", to="491510000001", text=text)["lines"][0]
    assert (line["status"], line["text"]) == ("pending", text)
    front.ask("hello", "messages")  # sending is over when this is answered
    return talk.sent[-1][2]


def lines(front: Front) -> list[tuple[str, str]]:
    while not (message := front.ask("hello", "messages"))["all"]:
        pass
    return [(line["text"], line["status"]) for line in message["lines"]]


@pytest.mark.parametrize("event_first", [True, False])
def test_a_text_of_ours_is_one_line_whichever_comes_first(show: Show, event_first: bool) -> None:
    talk, front = opened(show)
    future = send(talk, front, "hello")
    if event_first:
        talk.upsert("M1", "hello", from_me=True)
        future.set_result("M1")
    else:
        future.set_result("M1")
        talk.upsert("M1", "hello", from_me=True)
    talk.receipt("M1", "DELIVERED")
    assert lines(front) == [("hello", "delivered")]


def test_a_receipt_that_comes_before_the_id_is_not_lost(show: Show) -> None:
    talk, front = opened(show)
    future = send(talk, front, "hello")
    talk.receipt("M1", "READ")
    future.set_result("M1")
    talk.receipt("M1", "SERVER_ACK")
    assert lines(front) == [("hello", "read")]


def test_two_equal_texts_are_two_lines(show: Show) -> None:
    talk, front = opened(show)
    first, second = send(talk, front, "again"), send(talk, front, "again")
    talk.upsert("M1", "again", from_me=True)
    talk.upsert("M2", "again", from_me=True)
    first.set_result("M1")
    second.set_result("M2")
    talk.receipt("M2", "READ")
    assert lines(front) == [("again", "pending"), ("again", "read")]


def test_what_could_not_be_sent_says_why(show: Show) -> None:
    talk, front = opened(show)
    send(talk, front, "hello").set_exception(ValueError("no such number"))
    while (line := front.next("messages")["lines"][0])["status"] == "pending":
        pass
    assert (line["status"], line["problem"]) == ("error", "ValueError: no such number")


def test_earlier_messages_are_there_and_come_once(show: Show) -> None:
    talk = Talk()
    talk.upsert("A1", "before")
    _, front = show(lambda: ChatWidget(talk))
    talk.upsert("A1", "before")
    talk.upsert("A2", "after")
    assert [text for text, _ in lines(front)] == ["before", "after"]
