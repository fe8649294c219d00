"""Where the wire differs on purpose: the real Baileys shown to do what our table of differences says it does."""

from __future__ import annotations

import pytest

from tests.peers.parity.plays import Plays, at, count, devices, has, messages, named, said, texts, told
from tests.requirements import require
from waton.parity.canonical import Element
from waton.parity.scenarios import receive_text, reconnect
from waton.parity.stage import Recording, Side, on_stage
from waton.parity.subjects import BaileysSubject
from waton.parity.wire import name_of

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]
require("baileys")

ADA, ADAS_PN, OWNERS_PN = "200000000001002@lid", "15550001002@s.whatsapp.net", "15550001001@s.whatsapp.net"
TOKENS = "iq set privacy tokens"
BUNDLES = "iq get encrypt key"


def uploads(recording: Recording) -> list[str]:
    """How many keys each upload of the top-up held."""
    sets = said(recording, "low count", named("iq set encrypt"))
    return [keys.attrs["count"] for stanza in sets if (held := stanza.child("list")) and (keys := held.child("keys"))]


def asked_for(stanza: Element) -> dict[str, str]:
    """The devices whose bundles a stanza asks for, each with the reason."""
    return {user.attrs["jid"]: user.attrs.get("reason", "") for user in at(stanza, "key").children}


def test_baileys_announces_a_name_that_is_none(plays: Plays) -> None:
    theirs, ours = plays.both("prekey-top-up")
    nameless = lambda stanza: stanza.tag == "presence" and "name" not in stanza.attrs  # noqa: E731
    assert said(theirs, "low count", nameless) == [Element("presence")]
    assert said(ours, "low count", nameless) == []


def test_baileys_refills_with_five_keys(plays: Plays) -> None:
    """After which the server is at its threshold again as soon as five people have written."""
    theirs, ours = plays.both("prekey-top-up")
    assert uploads(theirs) == ["5"]
    assert uploads(ours) == ["50"]


def test_baileys_leaves_pings_unanswered(plays: Plays) -> None:
    theirs, ours = plays.both("server-ping")
    for step in ("by namespace", "by child"):
        answers = lambda stanza: stanza.tag == "iq" and stanza.attrs["type"] == "result"  # noqa: E731
        assert said(theirs, step, answers) == []
        assert len(said(ours, step, answers)) == 1


def test_baileys_replaces_sessions_that_are_healthy(plays: Plays) -> None:
    theirs, ours = plays.both("send-text")
    for recording in (theirs, ours):
        assert count(recording, "first text", BUNDLES) == 1
        assert count(recording, "second text", BUNDLES) == 0
    (again,) = said(theirs, "by phone number", named(BUNDLES))
    assert set(asked_for(again).values()) == {"identity"}
    assert count(ours, "by phone number", BUNDLES) == 0

    # In a group by phone number: everybody's, our own phone's included, with which it has talked since it was paired.
    theirs, ours = plays.both("send-text-to-pn-group")
    forced = asked_for(said(theirs, "first text", named(BUNDLES))[0])
    assert forced["200000000001001@lid"] == "identity"
    (once,) = said(ours, "first text", named(BUNDLES))
    assert "200000000001001@lid" not in asked_for(once)


async def test_baileys_stays_closed_when_the_connection_is_lost() -> None:
    made: dict[Side, int] = {}
    for side in Side:
        async with on_stage(reconnect.SCENARIO, side) as stage:
            before = stage.lab.connections
            stage.end(None)
            await stage.subject.lost()
            await stage.settle()
            made[side] = stage.lab.connections - before
    assert made == {Side.BAILEYS: 0, Side.WATON: 1}


def test_a_quiet_client_pings(plays: Plays) -> None:
    """The counterpart of the pings: both clients send them."""
    for recording in plays.both("keepalive"):
        assert len(said(recording, "quiet", lambda stanza: stanza.attrs.get("xmlns") == "w:p")) == 1


# --- privacy tokens ---------------------------------------------------------------------------------------------------


def test_baileys_gives_its_token_anew_with_every_message(plays: Plays) -> None:
    """It is written down inside of a transaction that is over by then; so it is not given again after a new phone."""
    theirs, ours = plays.both("send-text")
    steps = ("first text", "second text", "by phone number")
    assert [count(theirs, step, TOKENS) for step in steps] == [1, 1, 1]
    assert [count(ours, step, TOKENS) for step in steps] == [1, 0, 0]
    theirs, ours = plays.both("identity-change-notified")
    assert (count(theirs, "told", TOKENS), count(ours, "told", TOKENS)) == (0, 1)


async def test_baileys_is_a_stranger_where_a_client_token_would_do() -> None:
    """Ada takes messages from those alone who know a token, of hers or of their own making."""
    refused: dict[Side, bool] = {}
    for side in Side:
        async with on_stage(receive_text.SCENARIO, side) as stage:
            stage.ada.restrict()
            await stage.subject.send_text(stage.ada.lid, "may I?")
            await stage.settle()
            refused[side] = not stage.ada.messages
    assert refused == {Side.BAILEYS: True, Side.WATON: False}


# --- addresses and devices --------------------------------------------------------------------------------------------


def test_baileys_writes_to_a_device_that_only_the_server_knows(plays: Plays) -> None:
    planted = "200000000001002:1@lid"
    theirs, ours = plays.both("device-list-by-key-index")
    sent = [devices(messages(recording, "text")[0]) for recording in (theirs, ours)]
    assert planted in sent[0]
    assert planted not in sent[1]
    assert "200000000001002:2@lid" in sent[0]
    assert "200000000001002:2@lid" in sent[1]


def test_baileys_asks_for_the_same_lid_time_and_again(plays: Plays) -> None:
    theirs, ours = plays.both("lid-learnt-late")
    questions = [count(recording, "from a number", "iq get usync") for recording in (theirs, ours)]
    answers = [count(recording, "to a number", "iq get usync") for recording in (theirs, ours)]
    assert (questions, answers) == ([4, 0], [6, 1])


async def test_baileys_keeps_the_mappings_it_learns_to_itself(plays: Plays) -> None:
    theirs, ours = plays.both("receive-text")
    assert told(theirs, "first text", "lid-mapping") == []
    assert [name_of(event) for event in told(ours, "first text", "lid-mapping")] == [f"lid-mapping.update {ADA}"]
    async with on_stage(receive_text.SCENARIO, Side.BAILEYS) as stage:
        bob = await stage.lab.add_phone("Bob")
        await bob.send_text(stage.owner.lid, "hello")
        await stage.subject.received("hello")
        assert isinstance(stage.subject, BaileysSubject)
        assert f"lid-mapping/{bob.pn.user}" in await stage.subject.records()
        assert not [event for event in stage.subject.events if event.type == "lid-mapping.update"]


def test_baileys_takes_our_number_for_the_other_address_of_a_chat(plays: Plays) -> None:
    alt = [
        texts(told(recording, "from the own phone", "messages.upsert"), "key", "remoteJidAlt")
        for recording in plays.both("receive-text")
    ]
    assert alt == [[OWNERS_PN], [ADAS_PN]]


# --- what comes twice, and changes ------------------------------------------------------------------------------------


def test_baileys_refuses_what_it_has_read_before(plays: Plays) -> None:
    """487 says that it could not be parsed."""
    theirs, ours = plays.both("duplicate-delivery")
    (refusal,) = said(theirs, "once more", lambda stanza: True)
    assert (refusal.tag, refusal.attrs["error"]) == ("ack", "487")
    (receipt,) = said(ours, "once more", lambda stanza: True)
    assert (receipt.tag, receipt.attrs.get("type")) == ("receipt", None)


@pytest.mark.parametrize(("step", "shows"), [("edit by another", "message"), ("revoke by another", "messageStubType")])
def test_baileys_lets_anybody_change_what_another_wrote(plays: Plays, step: str, shows: str) -> None:
    theirs, ours = plays.both("receive-changes")
    (changed,) = told(theirs, step, "messages.update <id of 'what Ada wrote'>")
    assert has(changed, "update", shows)
    assert told(ours, step, "messages.update") == []
    assert len(told(ours, step, "messages.refused")) == 1
