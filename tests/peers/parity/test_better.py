"""Where the wire differs on purpose: the real Baileys shown to do what our table of differences says it does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.requirements import require
from waton.parity.canonical import Element
from waton.parity.scenarios import keepalive, prekey_top_up, reconnect, send_text, server_ping
from waton.parity.stage import Recording, Scenario, Side, on_stage, play
from waton.parity.wire import name_of

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]
require("baileys")


def said(recording: Recording, step: str, wanted: Callable[[Element], bool]) -> list[Element]:
    """What a client said in one step of a scenario."""
    (record,) = [one for one in recording.steps if one.name == step]
    return [stanza for stanza in record.stanzas if wanted(stanza)]


async def both(scenario: Scenario, recordings: dict[str, Recording]) -> tuple[Recording, Recording]:
    """What Baileys does in a scenario, and what waton does."""
    return recordings[scenario.name], await play(scenario, Side.WATON)


def uploads(recording: Recording) -> list[str]:
    """How many keys each upload of the top-up held."""
    sets = said(recording, "low count", lambda stanza: name_of(stanza).startswith("iq set encrypt"))
    return [keys.attrs["count"] for stanza in sets if (held := stanza.child("list")) and (keys := held.child("keys"))]


async def test_baileys_announces_a_name_that_is_none(recordings: dict[str, Recording]) -> None:
    theirs, ours = await both(prekey_top_up.SCENARIO, recordings)
    nameless = lambda stanza: stanza.tag == "presence" and "name" not in stanza.attrs  # noqa: E731
    assert said(theirs, "low count", nameless) == [Element("presence")]
    assert said(ours, "low count", nameless) == []


async def test_baileys_refills_with_five_keys(recordings: dict[str, Recording]) -> None:
    """After which the server is at its threshold again as soon as five people have written."""
    theirs, ours = await both(prekey_top_up.SCENARIO, recordings)
    assert uploads(theirs) == ["5"]
    assert uploads(ours) == ["50"]


async def test_baileys_leaves_pings_unanswered(recordings: dict[str, Recording]) -> None:
    theirs, ours = await both(server_ping.SCENARIO, recordings)
    for step in ("by namespace", "by child"):
        answers = lambda stanza: stanza.tag == "iq" and stanza.attrs["type"] == "result"  # noqa: E731
        assert said(theirs, step, answers) == []
        assert len(said(ours, step, answers)) == 1


async def test_baileys_replaces_sessions_that_are_healthy(recordings: dict[str, Recording]) -> None:
    theirs, ours = await both(send_text.SCENARIO, recordings)
    bundles = lambda stanza: name_of(stanza) == "iq get encrypt key"  # noqa: E731
    for recording in (theirs, ours):
        assert len(said(recording, "first text", bundles)) == 1
        assert said(recording, "second text", bundles) == []
    (again,) = said(theirs, "by phone number", bundles)
    asked = again.child("key")
    assert asked is not None
    assert {user.attrs["reason"] for user in asked.children} == {"identity"}
    assert said(ours, "by phone number", bundles) == []


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


async def test_a_quiet_client_pings(recordings: dict[str, Recording]) -> None:
    """The counterpart of the pings: both clients send them."""
    for recording in await both(keepalive.SCENARIO, recordings):
        assert len(said(recording, "quiet", lambda stanza: stanza.attrs.get("xmlns") == "w:p")) == 1
