"""Privacy tokens: which goes along, when we give ours, what is kept of theirs and for how long."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.client.worlds import StandingClock, step_of
from waton.client import addresses, privacy_tokens
from waton.client.privacy_tokens import NOTHING, PrivacyToken, SendError, Switches
from waton.errors import StorageError
from waton.jid import STATUS_BROADCAST, Jid
from waton.ports import RecordKind
from waton.protocol.binary_node import Node
from waton.protocol.stanza.privacy import Buckets, ContactToken, TokenNotification, cs_token

ADA, ADA_LID = Jid.parse("4915000000001@s.whatsapp.net"), Jid.parse("77000000000001@lid")
WEEK = 604_800
NOW = float(10 * WEEK)
OLDEST = 7 * WEEK
"""The oldest time that counts now."""
USUAL = Switches()


# --- the server's switches


def test_without_a_word_of_the_server_the_defaults_count() -> None:
    # Source: Baileys Socket/chats.ts, whatsapp-rust wacore/src/iq/abprops.rs.
    assert Switches.of({}) == USUAL
    assert (USUAL.on_messages, USUAL.on_pictures, USUAL.give_to_lid, USUAL.own_tokens) == (True, True, False, True)
    assert USUAL.received == USUAL.given == Buckets(604_800, 4)


def test_each_switch_has_its_code() -> None:
    assert not Switches.of({"10518": "0"}).on_messages
    assert not Switches.of({"9666": "false"}).on_pictures
    assert Switches.of({"14303": "1"}).give_to_lid
    assert Switches.of({"14303": "true"}).give_to_lid
    assert not Switches.of({"24941": "0"}).own_tokens
    changed = Switches.of({"865": "3600", "909": "3", "996": "60", "997": "2"})
    assert (changed.received, changed.given) == (Buckets(3600, 3), Buckets(60, 2))


@pytest.mark.parametrize("odd", ["", "-1", "a week", "9" * 12, "1.5"])
def test_odd_numbers_leave_the_default(odd: str) -> None:
    assert Switches.of({"865": odd, "997": odd}) == USUAL


def test_numbers_without_sense_are_brought_into_range() -> None:
    assert Switches.of({"865": "0", "909": "0"}).received == Buckets(1, 1)
    assert Switches.of({"865": "99999999999"}).received.seconds == 180 * 86_400


# --- who has to do with tokens


@pytest.mark.parametrize(
    ("text", "is_contact"),
    [
        (str(ADA), True),
        (str(ADA_LID), True),
        ("4915000000001:3@s.whatsapp.net", True),
        ("4915000000001@c.us", True),
        ("4915000000001@hosted", True),
        ("0@s.whatsapp.net", False),
        ("13135550002@s.whatsapp.net", False),
        ("13165550012@s.whatsapp.net", False),
        ("131355500021@s.whatsapp.net", True),
        ("867051314767696@bot", False),
        ("120363@g.us", False),
        ("120363@newsletter", False),
        ("s.whatsapp.net", False),
        (str(STATUS_BROADCAST), False),
    ],
)
def test_who_is_a_contact(text: str, is_contact: bool) -> None:
    # Source: Baileys Utils/tc-token-utils.ts isRegularUser, whatsmeow types/jid.go IsBot.
    jid = Jid.parse(text)
    assert privacy_tokens.is_contact(jid) is is_contact
    assert privacy_tokens.goes_along(jid, is_me=False) is is_contact


def test_some_messages_carry_no_token() -> None:
    assert not privacy_tokens.goes_along(ADA, is_me=True)
    assert not privacy_tokens.goes_along(ADA, is_me=False, is_peer=True)
    assert not privacy_tokens.goes_along(ADA, is_me=False, is_resend=True)


# --- showing

THEIRS = PrivacyToken(b"token", OLDEST)
SALT = b"salt"


def shown(known: PrivacyToken = THEIRS, *, salt: bytes = SALT, lid: Jid | None = ADA_LID, **off: bool) -> Node | None:
    switches = replace(USUAL, **off)
    return privacy_tokens.message_token(known, lid=lid, salt=salt, switches=switches, now=NOW)


OURS = Node("cstoken", None, cs_token(SALT, ADA_LID))


def test_the_contacts_token_comes_before_ours() -> None:
    assert shown() == Node("tctoken", None, b"token")


@pytest.mark.parametrize("known", [NOTHING, PrivacyToken(b"token", OLDEST - 1), PrivacyToken(b"", OLDEST, OLDEST)])
def test_without_a_valid_one_ours_goes_along(known: PrivacyToken) -> None:
    assert shown(known) == OURS
    assert shown(known, salt=b"") is None
    assert shown(known, lid=None) is None
    assert shown(known, lid=ADA) is None


def test_each_of_them_can_be_switched_off_by_itself() -> None:
    assert shown(on_messages=False) == OURS
    assert shown(on_messages=False, own_tokens=False) is None
    assert shown(NOTHING, own_tokens=False) is None
    assert shown(own_tokens=False) == Node("tctoken", None, b"token")


def test_a_question_shows_the_contacts_token_with_its_time() -> None:
    # Source: Baileys Socket/chats.ts, for presence and pictures.
    assert privacy_tokens.query_token(THEIRS, USUAL, NOW) == Node("tctoken", {"t": str(OLDEST)}, b"token")
    assert privacy_tokens.query_token(THEIRS, USUAL, NOW + WEEK) is None
    assert privacy_tokens.query_token(NOTHING, USUAL, NOW) is None


# --- giving


@pytest.mark.parametrize(
    ("given_t", "is_due"),
    [
        (0, True),
        (10 * WEEK - 1, True),
        (10 * WEEK, False),
        (11 * WEEK - 1, False),
        (15 * WEEK, False),  # a clock that went back
    ],
)
def test_we_give_ours_once_in_each_bucket(given_t: int, is_due: bool) -> None:
    known = PrivacyToken(given_t=given_t)
    assert privacy_tokens.should_give(known, USUAL, 10 * WEEK) is is_due
    assert privacy_tokens.should_give(known, USUAL, 11 * WEEK - 1) is is_due


def test_how_often_we_give_is_apart_from_how_long_theirs_counts() -> None:
    switches = replace(USUAL, given=Buckets(3600, 2))
    assert privacy_tokens.should_give(PrivacyToken(given_t=10 * WEEK - 1), switches, NOW)
    assert not privacy_tokens.should_give(PrivacyToken(given_t=10 * WEEK), switches, NOW + 3599)
    assert privacy_tokens.has_valid(THEIRS, switches, NOW)


def test_giving_is_noted_and_never_taken_back() -> None:
    known = privacy_tokens.given(THEIRS, 10 * WEEK)
    assert known == PrivacyToken(b"token", OLDEST, 10 * WEEK)
    assert privacy_tokens.given(known, 9 * WEEK) == known
    assert privacy_tokens.given(NOTHING, 5) == PrivacyToken(given_t=5)


def test_after_a_change_of_identity_ours_is_given_again_with_its_old_time() -> None:
    assert privacy_tokens.give_again_t(PrivacyToken(given_t=OLDEST), USUAL, NOW) == OLDEST
    assert privacy_tokens.give_again_t(PrivacyToken(given_t=OLDEST - 1), USUAL, NOW) is None
    assert privacy_tokens.give_again_t(THEIRS, USUAL, NOW) is None


async def test_whom_to_name_is_the_servers_choice() -> None:
    store = MemoryStore()
    to_lid = replace(USUAL, give_to_lid=True)
    for switches in (USUAL, to_lid):
        assert await privacy_tokens.give_to(store, ADA.with_device(3), switches) == ADA
        assert await privacy_tokens.give_to(store, ADA_LID, switches) == ADA_LID
    async with step_of(store) as step:
        await addresses.learn(step, ADA, ADA_LID, source="message")
    for contact in (ADA, ADA_LID):
        assert await privacy_tokens.give_to(store, contact, USUAL) == ADA
        assert await privacy_tokens.give_to(store, contact, to_lid) == ADA_LID


# --- getting


def test_the_newer_token_is_kept_whatever_comes_first() -> None:
    older, newer = ContactToken(b"older", 100), ContactToken(b"newer", 200)
    for first, second in ((older, newer), (newer, older)):
        known = privacy_tokens.received(privacy_tokens.received(NOTHING, first), second)
        assert known == PrivacyToken(b"newer", 200)
    # Of two of the same time the later told counts, as in Baileys.
    assert privacy_tokens.received(known, ContactToken(b"again", 200)).token == b"again"
    assert privacy_tokens.received(known, ContactToken(b"timeless", 0)) == known
    assert privacy_tokens.received(NOTHING, ContactToken(b"timeless", 0)) == NOTHING
    assert privacy_tokens.received(known, ContactToken(b"", 300)) == known


def test_a_token_does_not_touch_when_ours_was_given_and_the_other_way_round() -> None:
    known = privacy_tokens.received(PrivacyToken(given_t=50), ContactToken(b"t", 100))
    assert known == PrivacyToken(b"t", 100, 50)
    assert privacy_tokens.merged(known, PrivacyToken(given_t=70)) == PrivacyToken(b"t", 100, 70)
    assert privacy_tokens.merged(known, PrivacyToken(b"h", 150, 20)) == PrivacyToken(b"h", 150, 50)


@pytest.mark.parametrize(
    ("known", "left"),
    [
        (NOTHING, None),
        (PrivacyToken(b"t", OLDEST), PrivacyToken(b"t", OLDEST)),
        (PrivacyToken(b"t", OLDEST - 1), None),
        (PrivacyToken(b"t", OLDEST - 1, OLDEST), PrivacyToken(given_t=OLDEST)),
        (PrivacyToken(b"t", OLDEST, OLDEST - 1), PrivacyToken(b"t", OLDEST)),
        (PrivacyToken(b"t", OLDEST - 1, OLDEST - 1), None),
        (PrivacyToken(b"t", OLDEST, OLDEST), PrivacyToken(b"t", OLDEST, OLDEST)),
    ],
)
def test_what_is_left_of_a_record_in_time(known: PrivacyToken, left: PrivacyToken | None) -> None:
    # Source: Baileys Socket/messages-recv.ts pruneExpiredTcTokens.
    assert privacy_tokens.pruned(known, USUAL, NOW) == left
    if known != NOTHING:
        forgotten = privacy_tokens.forgotten_at(known, USUAL)
        assert privacy_tokens.pruned(known, USUAL, forgotten) is None
        assert privacy_tokens.pruned(known, USUAL, forgotten - 1) is not None


# --- records


def test_a_record_reads_back() -> None:
    known = PrivacyToken(b"\x00token", 5, 7)
    assert PrivacyToken.from_json(known.to_json()) == known
    assert json.loads(known.to_json())["t"] == 5
    assert "token\\x" not in repr(known)
    assert "AHRva2Vu" not in repr(known)


@pytest.mark.parametrize("damaged", [b"", b"[]", b"{}", b'{"token": "%", "t": 1, "given_t": 1}', b"\xff", b"7"])
def test_a_damaged_record_is_a_storage_error(damaged: bytes) -> None:
    with pytest.raises(StorageError) as refused:
        PrivacyToken.from_json(damaged)
    assert refused.value.key == "privacy_token"


async def take(store: MemoryStore, sender: Jid, lid: Jid | None, *tokens: ContactToken) -> bool:
    async with step_of(store) as step:
        return await privacy_tokens.take_notification(step, TokenNotification(sender, lid, tokens), USUAL)


async def test_a_notification_is_kept_under_the_lid_until_it_counts_no_more() -> None:
    store = MemoryStore(StandingClock(NOW))
    t = int(NOW)
    assert await take(store, ADA, ADA_LID, ContactToken(b"token", t))
    assert [key for kind, key in store.records if kind is RecordKind.PRIVACY_TOKEN] == [str(ADA_LID)]
    assert store.untils[RecordKind.PRIVACY_TOKEN, str(ADA_LID)] == 14 * WEEK
    assert await privacy_tokens.load(store, ADA_LID.with_device(5)) == PrivacyToken(b"token", t)
    assert store.transitions == [("privacy_token", "none", "received", {})]
    # Told again, or told something older, it is no news.
    assert not await take(store, ADA, ADA_LID, ContactToken(b"token", t))
    assert not await take(store, ADA, ADA_LID, ContactToken(b"older", t - 1))
    assert len(store.transitions) == 1


async def test_a_token_under_the_number_moves_when_the_lid_is_learnt() -> None:
    store = MemoryStore()
    assert await take(store, ADA, None, ContactToken(b"token", 100))
    assert await privacy_tokens.load(store, ADA) == PrivacyToken(b"token", 100)
    assert await privacy_tokens.load(store, ADA_LID) == NOTHING
    async with step_of(store) as step:
        await addresses.learn(step, ADA, ADA_LID, source="message")
    for contact in (ADA, ADA_LID):
        assert await privacy_tokens.load(store, contact) == PrivacyToken(b"token", 100)


async def test_of_several_tokens_the_newest_is_kept() -> None:
    store = MemoryStore()
    tokens = [ContactToken(b"two", 200), ContactToken(b"three", 300), ContactToken(b"one", 100)]
    assert await take(store, ADA, ADA_LID, *tokens)
    assert await privacy_tokens.load(store, ADA_LID) == PrivacyToken(b"three", 300)


async def test_a_token_of_no_contact_is_not_kept() -> None:
    store = MemoryStore()
    assert not await take(store, Jid.parse("0@s.whatsapp.net"), None, ContactToken(b"token", 100))
    assert not await take(store, Jid.parse("13135550002@s.whatsapp.net"), None, ContactToken(b"token", 100))
    assert not await take(store, ADA, ADA_LID)
    assert store.records == {}


# --- what the server answers


@pytest.mark.parametrize(
    ("code", "error"),
    [(463, SendError.TOKEN_MISSING), (479, SendError.MALFORMED), (None, None), (404, None), (0, None)],
)
def test_the_meaning_of_an_error(code: int | None, error: SendError | None) -> None:
    assert SendError.of(code) is error
