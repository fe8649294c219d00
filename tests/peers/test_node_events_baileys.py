"""Calls and answers about media, beside the real Baileys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.requirements import require
from waton.client.message_keys import Me
from waton.client.node_events import call_event, media_event
from waton.jid import Jid
from waton.parity.functions.nodes import to_ours
from waton.parity.generators import node
from waton.parity.oracle import Functions

pytestmark = pytest.mark.peer

BEA = "77000000000002@lid"
ME = Me(Jid.parse("4915000000001:2@s.whatsapp.net"), Jid.parse("77000000000001:2@lid"))

CALLS = ["offer", "offer_notice", "preaccept", "transport", "relaylatency", "accept", "reject", "terminate"]


@pytest.fixture(scope="module")
def baileys() -> Iterator[Functions]:
    require("baileys")
    with Functions.start() as running:
        yield running


@pytest.mark.parametrize("reason", [None, "timeout", "hangup"])
@pytest.mark.parametrize(
    "tag",
    [
        "offer",
        "offer_notice",
        "preaccept",
        "transport",
        "relaylatency",
        "accept",
        "reject",
        "terminate",
        "mute_v2",
        "enc_rekey",
    ],
)
def test_a_call_has_the_status_it_has_for_baileys(baileys: Functions, tag: str, reason: str | None) -> None:
    attrs = {"call-id": "C1", "call-creator": BEA} | ({} if reason is None else {"reason": reason})
    about = node(tag, attrs)
    ours = call_event(to_ours(node("call", {"from": BEA, "id": "S1", "t": "7"}, [about])))
    assert ours.status.value == baileys.call("lib/Utils/generics.js", "getCallStatusFromNode", about)


@pytest.mark.parametrize(
    "children",
    [
        [node("encrypt", {}, [node("enc_p", {}, b"sealed"), node("enc_iv", {}, bytes(12))])],
        [node("error", {"code": "2"})],
        [],
    ],
)
@pytest.mark.parametrize(
    "about",
    [
        {"jid": BEA, "from_me": "false"},
        {"jid": BEA, "from_me": "true"},
        {"jid": "120363020000000001@g.us", "from_me": "false", "participant": BEA},
    ],
)
def test_an_answer_about_a_medium_is_read_as_baileys_reads_it(
    baileys: Functions, about: dict[str, str], children: list[object]
) -> None:
    told = node("notification", {"id": "A", "from": BEA}, [node("rmr", about), *children])
    theirs = baileys.call("lib/Utils/messages-media.js", "decodeMediaRetryNode", told)
    ours = media_event(to_ours(told), ME)
    key = theirs["key"]
    assert (str(ours.key.chat), ours.key.id, ours.key.from_me) == (key["remoteJid"], key["id"], key["fromMe"])
    media = theirs.get("media")
    assert (ours.ciphertext, ours.iv) == ((b"", b"") if media is None else (media["ciphertext"], media["iv"]))
    assert (ours.error is None) == (theirs.get("error") is None)
