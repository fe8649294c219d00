"""Strangers and tokens: what a restricted account refuses, and the tokens that open the door."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from tests.unit.lab.worlds import NOW, Bench, Companion
from waton.jid import Jid
from waton.lab import phone_setup, privacy
from waton.lab.phone import Phone
from waton.protocol import proto
from waton.protocol.binary_node import Node, get_text
from waton.protocol.stanza import iq
from waton.protocol.stanza.message import Enc, OutgoingMessage
from waton.protocol.stanza.privacy import TokenNotification, cs_token, trust
from waton.protocol.stanza.props import props_query, read_props

WEEK = 604_800


@pytest.fixture
async def ada(bench: Bench) -> Phone:
    return (await bench.phones("Ada"))[0]


@pytest.fixture
async def bob(bench: Bench, ada: Phone) -> Phone:
    return (await bench.phones("Bob"))[0]


@pytest.fixture
def companion(bench: Bench, bob: Phone) -> Companion:
    """One of Bob's, logged in."""
    made = Companion.link(bench, bob)
    made.login()
    made.endpoint.take()
    return made


def send(companion: Companion, to: Jid, *children: Node, id: str = "3EB0", count: int | None = None) -> int | None:
    """Send something; the error of its ack."""
    enc = Enc("msg", b"\x33 nobody reads this", count=count)
    companion.post(OutgoingMessage(id, to, ((to, enc),), extra=children).to_node())
    [ack] = [node for node in companion.endpoint.take("ack") if get_text(node, "id") == id]
    assert ack.attrs["from"] == to
    error = get_text(ack, "error")
    return None if error is None else int(error)


def tokens(companion: Companion) -> list[TokenNotification]:
    """The tokens that have come."""
    told = companion.endpoint.take("notification")
    return [TokenNotification.from_node(node) for node in told if node.attrs["type"] == "privacy_token"]


def give(companion: Companion, *contacts: Jid, t: int = int(NOW)) -> None:
    iq.raise_for_error(companion.ask("privacy", iq.IqType.SET, trust(contacts, t)))


def shown(token: TokenNotification) -> Node:
    return Node("tctoken", None, token.tokens[0].token)


def test_everybody_takes_everything_at_first(ada: Phone, companion: Companion) -> None:
    assert send(companion, ada.pn) is None
    assert len(ada.unreadable) == 1


def test_a_stranger_s_message_is_refused_and_goes_nowhere(bench: Bench, ada: Phone, companion: Companion) -> None:
    ada.restrict()
    for to in (ada.pn, ada.lid):
        assert send(companion, to) == 463
        assert send(companion, to, Node("tctoken", None, b"of nobody")) == 463
        assert send(companion, to, Node("cstoken", None, bytes(32))) == 463
    assert not ada.unreadable
    assert [trace.name for trace in bench.traces].count("lab.stranger") == 6
    ada.unrestrict()
    assert send(companion, ada.pn) is None
    assert len(ada.unreadable) == 1


def test_a_token_that_is_no_bytes_is_malformed(ada: Phone, companion: Companion) -> None:
    ada.restrict()
    assert send(companion, ada.pn, Node("tctoken")) == 479


def test_a_token_opens_the_door_for_the_account_it_was_given_to(ada: Phone, bob: Phone, companion: Companion) -> None:
    ada.restrict()
    ada.trust(bob.pn)
    [told] = tokens(companion)
    assert (told.sender, told.sender_lid) == (ada.pn, ada.lid)
    assert told.tokens[0].jid == companion.device.pn
    assert told.tokens[0].t == int(NOW)
    assert send(companion, ada.pn, shown(told), id="A") is None
    assert send(companion, ada.lid, shown(told), id="B") is None
    assert send(companion, ada.pn, Node("tctoken", None, told.tokens[0].token[:-1]), id="C") == 463
    assert send(companion, ada.pn, id="D") == 463


async def test_a_token_is_worth_nothing_to_anybody_else(
    bench: Bench, ada: Phone, bob: Phone, companion: Companion
) -> None:
    ada.restrict()
    ada.trust(bob.pn)
    [told] = tokens(companion)
    (carol,) = await bench.phones("Carol")
    other = Companion.link(bench, carol)
    other.login()
    assert send(other, ada.pn, shown(told)) == 463
    # Nor for writing to somebody else.
    carol.restrict()
    assert send(companion, carol.pn, shown(told)) == 463


def test_a_token_gets_too_old_and_can_be_given_again(
    bench: Bench, ada: Phone, bob: Phone, companion: Companion
) -> None:
    ada.restrict()
    ada.trust(bob.lid)
    [told] = tokens(companion)
    bucket = int(NOW) // WEEK
    bench.clock.time = float((bucket + 4) * WEEK - 1)
    assert send(companion, ada.pn, shown(told), id="A") is None
    bench.clock.time += 1
    assert send(companion, ada.pn, shown(told), id="B") == 463
    ada.trust(bob.lid)
    [again] = tokens(companion)
    assert again.tokens[0].t == (bucket + 4) * WEEK
    assert send(companion, ada.pn, shown(again), id="C") is None


async def test_every_device_of_the_contact_is_told_and_nobody_else(
    bench: Bench, ada: Phone, bob: Phone, companion: Companion
) -> None:
    second = Companion.link(bench, bob)
    second.login()
    own = Companion.link(bench, ada)
    own.login()
    ada.restrict()
    ada.trust(bob.lid)
    assert len(tokens(companion)) == len(tokens(second)) == 1
    assert tokens(own) == []
    # The phone was told too: it shows the token.
    await bob.send_text(ada.lid, "hello")
    assert bob.refused == {}


def test_a_companion_gives_tokens_for_its_account(bench: Bench, ada: Phone, bob: Phone, companion: Companion) -> None:
    hers = Companion.link(bench, ada)
    hers.login()
    hers.endpoint.take()
    give(companion, ada.lid, bob.lid, Jid("19999999999", "s.whatsapp.net"))
    assert tokens(companion) == []  # one does not trust oneself
    [told] = tokens(hers)
    assert (told.owner, told.tokens[0].t) == (bob.lid, int(NOW))
    # An older giving than the last changes nothing; a newer one makes the same token younger.
    give(companion, ada.pn, t=int(NOW) - 5)
    assert tokens(hers) == []
    give(companion, ada.pn, t=int(NOW) + 5)
    [again] = tokens(hers)
    assert (again.tokens[0].token, again.tokens[0].t) == (told.tokens[0].token, int(NOW) + 5)


def test_a_client_s_own_token_opens_the_door_if_it_is_taken(
    bench: Bench, ada: Phone, bob: Phone, companion: Companion
) -> None:
    salt = privacy.nct_salt(bench.service.world, bob.account)
    assert salt == privacy.nct_salt(bench.service.world, bob.account)
    assert salt != privacy.nct_salt(bench.service.world, ada.account)
    own = Node("cstoken", None, cs_token(salt, ada.lid))
    ada.restrict()
    assert send(companion, ada.pn, own, id="A") is None
    assert send(companion, ada.pn, Node("cstoken", None, cs_token(salt, bob.lid)), id="B") == 463
    ada.restrict(client_tokens=False)
    assert send(companion, ada.pn, own, id="C") == 463


def test_what_the_recipient_asked_for_needs_no_token(ada: Phone, companion: Companion) -> None:
    ada.restrict()
    assert send(companion, ada.pn, count=1) is None


def test_own_devices_are_no_strangers(bench: Bench, ada: Phone) -> None:
    ada.restrict()
    own = Companion.link(bench, ada)
    own.login()
    own.endpoint.take()
    assert send(own, ada.pn) is None


async def test_a_restricted_phone_that_writes_first_is_answered(bench: Bench, ada: Phone, bob: Phone) -> None:
    ada.restrict(client_tokens=False)
    refused = await bob.send_text(ada.lid, "hello?")
    assert bob.refused == {refused: 463}
    assert not ada.messages
    await ada.send_text(bob.lid, "hello")
    await bob.send_text(ada.lid, "hello!")
    assert [message.text for message in ada.messages] == ["hello", "hello!"]
    assert bob.refused == {refused: 463}
    # The token is given once in a bucket of time, and shown for four of them.
    given = [trace.name for trace in bench.traces].count("lab.privacy_token")
    await ada.send_text(bob.lid, "again")
    assert [trace.name for trace in bench.traces].count("lab.privacy_token") == given
    bench.clock.time += WEEK
    await ada.send_text(bob.lid, "a week later")
    assert [trace.name for trace in bench.traces].count("lab.privacy_token") == given + 1


async def test_a_phone_that_is_not_restricted_gives_nothing_by_itself(bench: Bench, ada: Phone, bob: Phone) -> None:
    await ada.send_text(bob.lid, "hello")
    assert "lab.privacy_token" not in [trace.name for trace in bench.traces]


async def test_restrictions_and_tokens_outlast_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ada, bob = await bench.phones("Ada", "Bob")
    ada.restrict(client_tokens=False)
    await ada.send_text(bob.lid, "hello")
    salt = privacy.nct_salt(bench.service.world, ada.account)
    bench.database.close()
    again = Bench(tmp_path, "another seed")
    ada, bob = again.reopen()
    (carol,) = await again.phones("Carol")
    await bob.send_text(ada.lid, "still known")
    refused = await carol.send_text(ada.lid, "still a stranger")
    assert carol.refused == {refused: 463}
    assert bob.refused == {}
    assert privacy.nct_salt(again.service.world, ada.account) == salt
    again.database.close()


def test_the_props_carry_the_switches(bench: Bench, companion: Companion) -> None:
    answer = companion.ask("abt", iq.IqType.GET, props_query())
    assert read_props(answer) == dict(privacy.PROPS)
    before = answer.children()[0].attrs["hash"]
    bench.service.props["10518"] = "0"
    changed = companion.ask("abt", iq.IqType.GET, props_query())
    assert read_props(changed)["10518"] == "0"
    assert changed.children()[0].attrs["hash"] != before


def test_the_first_history_brings_the_salt(bench: Bench, ada: Phone) -> None:
    message = phone_setup.history(ada.account, [], int(NOW), nct_salt=b"salt")
    packed = message.protocolMessage.historySyncNotification.initialHistBootstrapInlinePayload
    assert proto.HistorySync.FromString(zlib.decompress(packed)).nctSalt == b"salt"
