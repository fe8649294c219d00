"""Retries and identities, where we differ on purpose: the real Baileys shown to do what our table says it does."""

from __future__ import annotations

import pytest

from tests.peers.parity.plays import Plays, at, count, devices, has, messages, said, told
from tests.requirements import require
from waton.parity.canonical import Element
from waton.parity.scenarios import ask_for_a_message_again
from waton.parity.scenarios.send_a_message_again import REQUESTS
from waton.parity.scenarios.send_text import send
from waton.parity.stage import Recording, Side, on_stage
from waton.parity.subjects import Kept
from waton.parity.wire import name_of

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]
require("baileys")

COMPANION = "200000000001002:1@lid"


def requests(recording: Recording, step: str) -> list[Element]:
    """The retry receipts of one step."""
    return said(recording, step, lambda stanza: stanza.attrs.get("type") == "retry" and stanza.tag == "receipt")


def acks(recording: Recording, step: str) -> list[Element]:
    """How the messages of one step are acknowledged."""
    return said(recording, step, lambda stanza: stanza.tag == "ack" and stanza.attrs["class"] == "message")


# --- what could not be read -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "reason"), [("a session is lost", "1"), ("nonsense 1", "4")])
def test_baileys_never_says_why_it_asks(plays: Plays, step: str, reason: str) -> None:
    """1: no session. 4: no message of any session."""
    theirs, ours = plays.both("ask-for-a-message-again")
    codes = [at(requests(recording, step)[0], "retry").attrs["error"] for recording in (theirs, ours)]
    assert codes == ["0", reason]


async def test_a_request_of_baileys_costs_a_prekey_of_the_server_s() -> None:
    """Who is asked without getting keys has to fetch a bundle, and with it one of our one-time prekeys."""
    spent: dict[Side, int] = {}
    for side in Side:
        async with on_stage(ask_for_a_message_again.SCENARIO, side) as stage:
            world = stage.lab.service.world
            await send(stage, stage.ada.lid, "hello")
            await stage.ada.send_text(stage.owner.lid, "before")
            await stage.subject.received("before")
            await stage.settle()
            before = world.prekey_count(stage.device)
            await stage.subject.forget(Kept.SESSIONS)
            await stage.ada.send_text(stage.owner.lid, "read me")
            await stage.subject.received("read me")
            spent[side] = before - world.prekey_count(stage.device)
    assert spent == {Side.BAILEYS: 1, Side.WATON: 0}


@pytest.mark.parametrize("step", ["a session is lost", "nonsense 1", "nonsense 2"])
def test_baileys_refuses_what_it_asks_for(plays: Plays, step: str) -> None:
    theirs, ours = plays.both("ask-for-a-message-again")
    for recording in (theirs, ours):
        assert len(requests(recording, step)) == 1
    assert [ack.attrs.get("error") for ack in acks(theirs, step)] == ["500"]
    assert [ack.attrs.get("error") for ack in acks(ours, step)] == [None]


def test_baileys_tells_of_an_unreadable_message_at_each_attempt(plays: Plays) -> None:
    theirs, ours = plays.both("ask-for-a-message-again")
    name = "messages.upsert <id of nonsense>"
    assert [len(told(theirs, f"nonsense {number}", name)) for number in (1, 2)] == [1, 1]
    assert [len(told(ours, f"nonsense {number}", name)) for number in (1, 2)] == [1, 0]


# --- the phone --------------------------------------------------------------------------------------------------------

PHONE = "message-from-the-phone-again"


def test_baileys_asks_its_phone_in_a_copy_of_a_message(plays: Plays) -> None:
    theirs, ours = plays.both(PHONE)
    (wrapped,), (plain,) = (messages(recording, "on the phone only") for recording in (theirs, ours))
    question = ("protocolMessage", "peerDataOperationRequestMessage", "placeholderMessageResendRequest")
    inside = at(wrapped, "enc", "message", "deviceSentMessage", "message", *question)
    assert inside == at(plain, "enc", "message", *question)


def test_baileys_loses_which_request_was_answered(plays: Plays) -> None:
    theirs, ours = plays.both(PHONE)
    given = [
        [has(event, "requestId") for event in told(recording, "on the phone only", "messages.upsert <id of 'read it")]
        for recording in (theirs, ours)
    ]
    assert given == [[False, False], [False, True]]


def test_baileys_tells_nobody_of_a_message_that_is_withheld(plays: Plays) -> None:
    theirs, ours = plays.both(PHONE)
    step = "view_once_unavailable_fanout"
    for recording in (theirs, ours):
        assert [ack.attrs.get("error") for ack in acks(recording, step)] == [None]
    assert told(theirs, step, "messages.upsert") == []
    assert len(told(ours, step, "messages.upsert")) == 1


def test_baileys_takes_an_empty_message_for_delivered(plays: Plays) -> None:
    theirs, ours = plays.both(PHONE)
    assert count(theirs, "view_once", "receipt delivery <id of view_once>") == 1
    assert count(theirs, "view_once", "message peer") == 0
    assert count(ours, "view_once", "receipt delivery <id of view_once>") == 0
    assert count(ours, "view_once", "message peer") == 1


# --- what others could not read ---------------------------------------------------------------------------------------


def test_baileys_repeats_a_message_to_everybody_when_a_phone_asks(plays: Plays) -> None:
    theirs, ours = plays.both("send-a-message-again")
    _, again = messages(theirs, "a phone asks")
    assert devices(again) == ["200000000001001@lid", COMPANION, "200000000001002@lid"]
    _, once = messages(ours, "a phone asks")
    assert (once.attrs["to"], devices(once)) == ("200000000001002@lid", [])

    theirs, ours = plays.both("group-message-again")
    _, again = messages(theirs, "a phone asks")
    assert len(devices(again)) == 5
    _, once = messages(ours, "a phone asks")
    assert (once.attrs["participant"], devices(once)) == ("200000000001003@lid", [])


@pytest.mark.parametrize("scenario", ["send-a-message-again", "group-message-again"])
def test_baileys_encrypts_twice_for_a_companion_that_asks(plays: Plays, scenario: str) -> None:
    for recording, for_it in zip(plays.both(scenario), ([COMPANION], []), strict=True):
        first, again = messages(recording, "a companion asks")
        assert at(again, "enc").attrs["count"] == "1"
        assert devices(again) == for_it
        is_told = "addressing_mode" in first.attrs
        assert ("addressing_mode" in again.attrs) == (is_told and not for_it)


def test_baileys_gives_up_after_a_few_requests(plays: Plays) -> None:
    """Each request is counted where it comes in and where it is answered, so five are over after three at most."""
    theirs, ours = plays.both("send-a-message-again")
    answers = [len(messages(recording, "time and again")) for recording in (theirs, ours)]
    assert answers[0] < 3
    assert answers[1] == REQUESTS


def test_baileys_fetches_a_bundle_before_its_first_answer(plays: Plays) -> None:
    theirs, ours = plays.both("send-a-message-again")
    first = [
        said(recording, "time and again", lambda stanza: stanza.tag in ("iq", "message"))[0]
        for recording in (theirs, ours)
    ]
    assert name_of(first[0]) == "iq get encrypt key"
    assert first[1].tag == "message"


# --- identities -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "step"), [("identity-change-notified", "told"), ("identity-change-in-a-message", "first text")]
)
def test_baileys_tells_nobody_of_another_identity(plays: Plays, scenario: str, step: str) -> None:
    theirs, ours = plays.both(scenario)
    assert not [name for record in theirs.steps for event in record.events if "identity" in (name := name_of(event))]
    assert told(ours, step, "identity.changed")


def test_baileys_goes_on_with_the_old_device_list(plays: Plays) -> None:
    theirs, ours = plays.both("identity-change-notified")
    assert count(theirs, "to the new phone", "iq get usync") == 0
    assert count(ours, "to the new phone", "iq get usync") == 1
