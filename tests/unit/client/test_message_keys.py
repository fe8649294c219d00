"""Whose message it is: keys cleaned, keys inside of messages turned to our side, and who is the same person."""

from __future__ import annotations

import pytest

from waton.client.events import MessageKey
from waton.client.message_keys import Me, as_text, at_home, clean_key, named, person, same_person
from waton.jid import Jid
from waton.protocol import proto

ME = Me(Jid.parse("4915000000001:2@s.whatsapp.net"), Jid.parse("77000000000001:2@lid"))
BEA = Jid.parse("77000000000002:5@lid")
BEA_PN = Jid.parse("4915000000002:5@s.whatsapp.net")
CEM = Jid.parse("77000000000003@lid")
GROUP = Jid.parse("120363020000000001@g.us")

IN_CHAT = MessageKey(BEA.bare, "OUT", False, BEA, author_alt=BEA_PN, chat_alt=BEA_PN.bare)
IN_GROUP = MessageKey(GROUP, "OUT", False, BEA, author_alt=BEA_PN, addressing_mode="lid")
OURS = MessageKey(BEA.bare, "OUT", True, Jid.parse("77000000000001:7@lid"))


def inner(*, me: bool = False, remote: str = "", participant: str = "", id: str = "IN") -> proto.MessageKey:
    key = proto.MessageKey(id=id, fromMe=me)
    if remote:
        key.remoteJid = remote
    if participant:
        key.participant = participant
    return key


def told(key: MessageKey) -> tuple[str, bool, str]:
    return str(key.chat), key.from_me, str(key.author)


# --- whose side -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mine", ["4915000000001@s.whatsapp.net", "77000000000001@lid", "77000000000001:2@lid"])
def test_in_a_chat_a_message_that_is_not_his_is_ours(mine: str) -> None:
    key = named(inner(remote=mine), IN_CHAT, ME)
    assert told(key) == ("77000000000002@lid", True, str(Jid.parse(mine).bare))
    assert key.author_alt in (ME.pn and ME.pn.bare, ME.lid and ME.lid.bare)
    assert key.author_alt != key.author


def test_in_a_chat_his_own_message_is_his() -> None:
    key = named(inner(me=True, remote="4915000000001@s.whatsapp.net"), IN_CHAT, ME)
    assert told(key) == ("77000000000002@lid", False, "77000000000002@lid")
    assert (key.author_alt, key.chat_alt) == (BEA_PN.bare, BEA_PN.bare)


@pytest.mark.parametrize("remote", ["", "77000000000003@lid", "%", "77000000000002@lid", "@lid"])
def test_in_a_chat_there_is_no_third_person(remote: str) -> None:
    assert told(named(inner(remote=remote), IN_CHAT, ME)) == ("77000000000002@lid", False, "77000000000002@lid")


def test_the_chat_is_where_the_message_came_and_not_what_it_says() -> None:
    key = named(inner(remote="120363020000000009@g.us", participant=str(CEM)), IN_GROUP, ME)
    assert told(key) == (str(GROUP), False, str(CEM))
    assert (key.author_alt, key.addressing_mode) == (None, "lid")


@pytest.mark.parametrize(("participant", "is_ours"), [("77000000000001@lid", True), ("77000000000003@lid", False)])
def test_in_a_group_the_participant_wrote_it(participant: str, is_ours: bool) -> None:
    key = named(inner(remote=str(GROUP), participant=participant), IN_GROUP, ME)
    assert told(key) == (str(GROUP), is_ours, participant)


def test_in_a_group_his_own_message_needs_no_participant() -> None:
    assert told(named(inner(me=True, remote=str(GROUP)), IN_GROUP, ME)) == (str(GROUP), False, "77000000000002@lid")


def test_what_is_his_is_never_ours_whoever_he_says_he_is() -> None:
    key = named(inner(me=True, participant="77000000000001@lid"), IN_GROUP, ME)
    assert not key.from_me


def test_our_own_devices_see_it_from_our_side() -> None:
    assert told(named(inner(me=True, remote=str(BEA.bare)), OURS, ME)) == (str(BEA.bare), True, "77000000000001@lid")
    assert told(named(inner(remote=str(BEA.bare)), OURS, ME)) == (str(BEA.bare), False, str(BEA.bare))
    assert told(named(inner(me=True, participant=str(CEM)), OURS, ME)) == (str(BEA.bare), True, "77000000000001@lid")


def test_text_that_is_no_text_breaks_nothing() -> None:
    broken = proto.MessageKey.FromString(b"\x0a\x02\xff\xfe\x1a\x02\xff\xfe\x22\x01\xff")
    key = named(broken, IN_GROUP, ME)
    assert isinstance(key.id, str)
    assert told(key) == (str(GROUP), False, "77000000000002@lid")


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("away", "home"),
    [
        ("1:99@hosted", "1:99@s.whatsapp.net"),
        ("1:99@hosted.lid", "1:99@lid"),
        ("1@c.us", "1@s.whatsapp.net"),
        ("1:3@lid", "1:3@lid"),
        ("120363020000000001@g.us", "120363020000000001@g.us"),
    ],
)
def test_nobody_stays_on_a_hosted_server(away: str, home: str) -> None:
    assert at_home(Jid.parse(away)) == Jid.parse(home)
    assert person(away) == Jid.parse(home)


def test_a_clean_key_stays_the_same_object() -> None:
    assert clean_key(IN_CHAT) is IN_CHAT
    hosted = MessageKey(Jid.parse("1:99@hosted"), "A", False, Jid.parse("1:99@hosted"))
    assert told(clean_key(hosted)) == ("1@s.whatsapp.net", False, "1:99@s.whatsapp.net")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("1@lid",), ("1:5@lid",), True),
        (("1@lid",), ("2@lid",), False),
        (("1@lid",), ("9@s.whatsapp.net",), None),
        (("1@lid", "9@s.whatsapp.net"), ("9:2@s.whatsapp.net",), True),
        (("1@lid", "9@s.whatsapp.net"), ("8@s.whatsapp.net",), False),
        (("1@hosted.lid",), ("1@lid",), True),
        ((None,), ("1@lid",), None),
        (("1@g.us",), ("1@lid",), False),
        (("1@g.us",), ("1@g.us",), True),
        (("status@broadcast",), ("1@s.whatsapp.net",), False),
        ((), (), None),
    ],
)
def test_two_addresses_of_one_kind_that_differ_are_two_people(
    one: tuple[str | None, ...], other: tuple[str | None, ...], expected: bool | None
) -> None:
    first, second = (tuple(None if jid is None else Jid.parse(jid) for jid in side) for side in (one, other))
    assert same_person(first, second) is expected
    assert same_person(second, first) is expected


def test_our_own_addresses() -> None:
    assert ME.is_me(Jid.parse("77000000000001:9@lid"))
    assert not ME.is_me(BEA)
    assert str(ME.beside(BEA)) == "77000000000001@lid"
    assert str(ME.beside(BEA_PN)) == str(ME.beside(GROUP)) == "4915000000001@s.whatsapp.net"
    assert Me(ME.pn).beside(BEA) == ME.beside(BEA_PN)
    assert Me(None, ME.lid).beside(BEA_PN) == ME.beside(BEA)
    assert Me(None).beside(BEA) is None
    assert not Me(None).is_me(BEA)


@pytest.mark.parametrize("text", ["", "@lid", "lid", "1:x@lid", "1:70000@lid", b"\xff"])
def test_what_names_nobody_is_nobody(text: str | bytes) -> None:
    assert person(text) is None


def test_bytes_are_shown_as_text() -> None:
    assert as_text(b"a\xff") == "a\N{REPLACEMENT CHARACTER}"
    assert as_text("a") == "a"
