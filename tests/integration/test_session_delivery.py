"""A session's verbs about delivery, against the lab: ids, lanes, deliveries, retries, the timeline."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

import waton
from waton.api import LabHandle, Session
from waton.client.client import ClientConfig
from waton.errors import QueryTimeout

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def lab(tmp_path: Path) -> Generator[LabHandle]:
    with waton.start_lab(path=tmp_path / "lab") as handle:
        yield handle


@pytest.fixture
async def session(lab: LabHandle, tmp_path: Path) -> AsyncGenerator[Session]:
    config = ClientConfig(query_timeout=0.5, resend_after=0.5)
    async with waton.connect(lab, path=tmp_path / "account", config=config) as opened:
        await opened.scan_with_lab()
        await opened.wait_open(20)
        yield opened


async def test_a_text_sent_twice_under_one_id_is_one_text(lab: LabHandle, session: Session) -> None:
    ada = lab.contact("Ada")
    id = session.new_id()
    assert (await session.send_text(ada.lid, "once", id=id)).id == id
    assert (await session.send_text(ada.lid, "once", id=id)).is_accepted
    await ada.next_message()
    await session.send_text(ada.lid, "next")
    await ada.next_message()
    assert [message.text for message in ada.messages] == ["once", "next"]
    assert session.new_id() != session.new_id()


async def test_a_lost_ack_is_seen_in_the_lanes_and_in_the_writings(lab: LabHandle, session: Session) -> None:
    ada = lab.contact("Ada")
    await session.send_text(ada.lid, "warm")
    lab.faults.schedule("lost_ack=every:1/max:1")
    id = session.new_id()
    with pytest.raises(QueryTimeout):
        await session.send_text(ada.lid, "in the outbox", id=id)
    [waiting] = session.lanes().to_dict("records")
    assert (waiting["stage"], waiting["lane"], waiting["waiting"]) == ("outbox", f"message:{ada.lid}", 1)
    assert (await session.send_text(ada.lid, "in the outbox", id=id)).is_accepted
    assert len(session.lanes()) == 0
    [row] = session.deliveries().query("id == @id").to_dict("records")
    assert (row["told"], row["writings"], row["repeats"]) == (1, 2, 1)
    assert list(session.writings().query("id == @id")["writing"]) == ["first", "again"]
    lost = [point for point in session.timeline().points if point.kind == "loss"]
    assert len(lost) == 2  # in the lane of faults, and on the message it was about
    assert [message.text for message in ada.messages] == ["warm", "in the outbox"]


async def test_a_phone_that_lost_its_sessions_asks_and_is_answered(lab: LabHandle, session: Session) -> None:
    ada = lab.contact("Ada", replies=lambda text: f"you said: {text}")
    reply = session.expect_message()
    await session.send_text(ada.lid, "one")
    await ada.next_message()
    await reply
    await ada.lose_sessions()
    await session.send_text(ada.lid, "two")
    assert (await ada.next_message()).text == "two"
    [row] = session.retries().to_dict("records")
    assert (row["way"], row["reason"], row["outcome"]) == ("in", "no_session", "answered")
    labels = [one.label for one in session.timeline(names={str(ada.lid): "A."}).lanes]
    assert "A." in labels
    assert "Ada" in [one.label for one in session.timeline().lanes]
    assert session.connections().iloc[-1]["after"] == "open"


async def test_the_widget_of_a_session_is_told_of_what_follows(lab: LabHandle, session: Session) -> None:
    widget = session.timeline_widget(lab)
    try:
        before = len(widget.read().spans)
        await session.send_text(lab.contact("Ada").lid, "one more")
        assert len(widget.read().spans) > before
        assert "Ada" in widget.freeze().svg
    finally:
        widget.close()
