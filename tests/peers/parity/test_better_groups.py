"""Groups, where we differ on purpose: the real Baileys shown to do what our table of differences says it does."""

from __future__ import annotations

import pytest

from tests.peers.parity.plays import Plays, at, count, devices, has, messages, texts, told
from tests.requirements import require
from waton.parity.canonical import Element
from waton.parity.stage import Recording

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]
require("baileys")

MODES = ["send-text-to-lid-group", "send-text-to-pn-group"]
TEXTS = ("first text", "second text", "third text")


def key_of(message: Element) -> Element:
    """With which sender key, and at which place of its chain, a message is encrypted."""
    return at(message, "enc", "by")


def iterations(recording: Recording) -> list[str]:
    """The places of the chain at which the three texts are encrypted."""
    return [key_of(messages(recording, step)[0]).attrs["iteration"] for step in TEXTS]


@pytest.mark.parametrize("scenario", MODES)
def test_baileys_asks_for_the_group_before_each_message(plays: Plays, scenario: str) -> None:
    theirs, ours = plays.both(scenario)
    assert [count(theirs, step, "iq get w:g2 query") for step in TEXTS] == [1, 1, 1]
    assert [count(ours, step, "iq get w:g2 query") for step in TEXTS] == [0, 0, 0]


@pytest.mark.parametrize("scenario", MODES)
def test_baileys_does_not_say_whom_it_thought_of(plays: Plays, scenario: str) -> None:
    theirs, ours = plays.both(scenario)
    for step in TEXTS:
        assert "phash" not in messages(theirs, step)[0].attrs
        assert messages(ours, step)[0].attrs["phash"].startswith("2:")


def test_baileys_tells_its_key_to_itself(plays: Plays) -> None:
    """The account's phone is device 0, its other companion 1, and the client 2."""
    theirs, ours = plays.both("send-text-to-lid-group")
    own = [
        [jid for jid in devices(messages(recording, "first text")[0]) if jid.startswith("200000000001001")]
        for recording in (theirs, ours)
    ]
    assert own[0] == ["200000000001001:1@lid", "200000000001001:2@lid", "200000000001001@lid"]
    assert own[1] == ["200000000001001:1@lid", "200000000001001@lid"]


@pytest.mark.parametrize("scenario", MODES)
def test_baileys_leaves_out_every_other_place_of_its_chain(plays: Plays, scenario: str) -> None:
    theirs, ours = plays.both(scenario)
    assert iterations(theirs) == ["0", "2", "4"]
    assert iterations(ours) == ["0", "1", "2"]


def test_baileys_goes_on_with_the_key_of_one_who_has_left(plays: Plays) -> None:
    """Bob has read the first text with key 1, and reads the next one with it wherever he gets it from."""
    theirs, ours = plays.both("group-member-leaves")
    (still,), (anew,) = (messages(recording, "next text") for recording in (theirs, ours))
    assert key_of(still).attrs["key"] == "1"
    assert devices(still) == []
    assert key_of(anew).attrs == {"key": "2", "iteration": "0"}
    assert devices(anew) == ["200000000001001@lid", "200000000001002@lid"]


def test_baileys_does_not_tell_that_the_server_has_a_message(plays: Plays) -> None:
    theirs, ours = plays.both("send-text-to-lid-group")
    assert told(theirs, "first text", "messages.update") == []
    assert set(texts(told(ours, "first text", "messages.update"), "update", "status")) == {"2"}


def test_baileys_takes_a_delivery_to_our_devices_for_reading(plays: Plays) -> None:
    """Nobody has read anything; our own phone and companion have got their copies."""
    theirs, ours = plays.both("send-text-to-lid-group")
    mine = "message-receipt.update <id of 'first'> by 200000000001001@lid"
    wrong = told(theirs, "first text", mine)
    assert wrong
    assert all(has(event, "receipt", "readTimestamp") for event in wrong)
    assert told(ours, "first text", mine) == []
    for recording in (theirs, ours):
        right = told(recording, "first text", "message-receipt.update <id of 'first'> by 200000000001002@lid")
        assert all(has(event, "receipt", "receiptTimestamp") for event in right)


def test_baileys_hands_out_sender_keys(plays: Plays) -> None:
    """What it tells holds the chain key: whoever sees the event reads the group."""
    theirs, ours = plays.both("receive-group-text")
    for recording, is_held in ((theirs, True), (ours, False)):
        (event,) = told(recording, "first text", "messages.upsert")
        assert has(event, "message", "senderKeyDistributionMessage") == is_held


@pytest.mark.parametrize(
    ("scenario", "step", "event"),
    [
        ("group-member-leaves", "somebody leaves", "group-participants.update"),
        ("group-changed", "subject", "groups.update"),
    ],
)
def test_baileys_loses_the_number_of_who_changed_a_group(plays: Plays, scenario: str, step: str, event: str) -> None:
    theirs, ours = plays.both(scenario)
    (lost,), (kept,) = (told(recording, step, event) for recording in (theirs, ours))
    assert at(lost, "author") == at(kept, "author")
    assert not has(lost, "authorPn")
    assert at(kept, "authorPn").text.endswith("@s.whatsapp.net")
