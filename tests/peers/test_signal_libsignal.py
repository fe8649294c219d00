"""Our sessions against libsignal-node (which Baileys uses) and the official libsignal client, in both directions."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.signal_parties import Oracle, Oracles, Party, Refused, Sealed, Waton, running_oracles
from waton._core import PreKeyMessage, session_archive, session_describe
from waton.errors import DecodeError, DecryptError, DecryptReason, InvalidSignature

pytestmark = pytest.mark.peer

IMPLEMENTATIONS = ["official", "node"]


@pytest.fixture(scope="module")
def oracles() -> Iterator[Oracles]:
    with running_oracles() as running:
        yield running


def pair(oracles: Oracles, by: str, seed: int = 1) -> tuple[Waton, Oracle]:
    return Waton(seed), oracles.party(by)


def meet(opener: Party, other: Party, *, with_prekey: bool = True) -> None:
    """Open a session and let both sides speak once, so that nothing is pending."""
    opener.open(other.bundle(with_prekey=with_prekey))
    assert other.decrypt(opener.encrypt(b"hello")) == b"hello"
    assert opener.decrypt(other.encrypt(b"hello yourself")) == b"hello yourself"
    assert other.decrypt(opener.encrypt(b"settled")) == b"settled"


def refusal(waton: Waton, sealed: Sealed) -> DecryptReason | None:
    """Why ours refuses a message; None when it does not parse. The record stays as it was."""
    before = waton.record
    with pytest.raises((DecryptError, DecodeError)) as refused:
        waton.decrypt(sealed)
    assert waton.record == before
    return refused.value.reason if isinstance(refused.value, DecryptError) else None


# --- opening --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_prekey", [True, False])
@pytest.mark.parametrize("by", IMPLEMENTATIONS)
def test_we_open(oracles: Oracles, by: str, with_prekey: bool) -> None:
    ours, theirs = pair(oracles, by)
    ours.open(theirs.bundle(with_prekey=with_prekey))
    first, second = ours.encrypt(b"one"), ours.encrypt(b"")
    assert (first.type, second.type) == ("pkmsg", "pkmsg")
    assert theirs.decrypt(first) == b"one"
    assert theirs.decrypt(second) == b""
    assert theirs.prekeys_left() == []
    answer = theirs.encrypt(b"two")
    assert answer.type == "msg"
    assert ours.decrypt(answer) == b"two"
    third = ours.encrypt(b"three")
    assert third.type == "msg"
    assert theirs.decrypt(third) == b"three"


@pytest.mark.parametrize("with_prekey", [True, False])
@pytest.mark.parametrize("by", IMPLEMENTATIONS)
def test_they_open(oracles: Oracles, by: str, with_prekey: bool) -> None:
    ours, theirs = pair(oracles, by)
    theirs.open(ours.bundle(with_prekey=with_prekey))
    first, second = theirs.encrypt(b"one"), theirs.encrypt(b"two")
    named = PreKeyMessage.parse(first.message)
    assert named.registration_id == theirs.registration_id
    assert named.identity_key == theirs.bundle(with_prekey=False).identity_key
    assert named.prekey_id == (1 if with_prekey else None)
    # Out of order, and the second finds the session that the first has opened.
    assert ours.decrypt(second) == b"two"
    assert ours.prekeys == {}
    assert ours.decrypt(first) == b"one"
    assert ours.opened == 1
    assert theirs.decrypt(ours.encrypt(b"three")) == b"three"
    last = theirs.encrypt(b"four")
    assert last.type == "msg"
    assert ours.decrypt(last) == b"four"


def test_both_open_at_once(oracles: Oracles) -> None:
    """Not with libsignal-node: its failed trial on one session turns that session's ratchet, and is stored."""
    ours, theirs = pair(oracles, "official")
    ours.open(theirs.bundle())
    theirs.open(ours.bundle())
    mine, yours = ours.encrypt(b"mine"), theirs.encrypt(b"yours")
    assert theirs.decrypt(mine) == b"mine"
    assert ours.decrypt(yours) == b"yours"
    for turn in range(6):
        text = b"%d" % turn
        assert theirs.decrypt(ours.encrypt(text)) == text
        assert ours.decrypt(theirs.encrypt(text)) == text
    assert len(session_describe(ours.record)) == 2


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
def test_a_session_opened_anew_leaves_the_old_one_readable(oracles: Oracles, by: str) -> None:
    ours, theirs = pair(oracles, by)
    meet(ours, theirs)
    late = theirs.encrypt(b"late")
    ours.open(theirs.bundle())
    assert ours.decrypt(late) == b"late"
    ours.record = session_archive(ours.record)
    ours.open(theirs.bundle())
    assert theirs.decrypt(ours.encrypt(b"fresh")) == b"fresh"
    assert ours.decrypt(theirs.encrypt(b"indeed")) == b"indeed"


def test_a_wrong_signature_is_refused_by_both(oracles: Oracles) -> None:
    ours, theirs = pair(oracles, "official")
    bundle = ours.bundle()
    wrong = bytes([bundle.signed_prekey_signature[0] ^ 1]) + bundle.signed_prekey_signature[1:]
    forged = replace(bundle, signed_prekey_signature=wrong)
    with pytest.raises(InvalidSignature):
        ours.open(forged)
    with pytest.raises(Refused):
        theirs.open(forged)


# --- order ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
@pytest.mark.parametrize("we_send", [True, False])
def test_any_order_and_never_twice(oracles: Oracles, by: str, we_send: bool) -> None:
    ours, theirs = pair(oracles, by)
    meet(theirs, ours)
    sender, receiver = (ours, theirs) if we_send else (theirs, ours)
    texts = [b"%d" % number for number in range(12)]
    sealed = [sender.encrypt(text) for text in texts]
    order = random.Random(7).sample(range(12), 12)
    for number in order:
        assert receiver.decrypt(sealed[number]) == texts[number]
    for number in order:
        with pytest.raises((DecryptError, Refused)):
            receiver.decrypt(sealed[number])
    if not we_send:
        assert {refusal(ours, message) for message in sealed} == {DecryptReason.DUPLICATE}


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
def test_late_messages_of_earlier_chains(oracles: Oracles, by: str) -> None:
    ours, theirs = pair(oracles, by)
    meet(ours, theirs)
    late: list[tuple[bytes, Sealed]] = []
    for turn in range(4):
        held = b"held %d" % turn
        late.append((held, theirs.encrypt(held)))
        assert ours.decrypt(theirs.encrypt(b"x")) == b"x"
        assert theirs.decrypt(ours.encrypt(b"y")) == b"y"
    for held, sealed in late:
        assert ours.decrypt(sealed) == held


@pytest.mark.parametrize(("jump", "node_follows"), [(1_999, True), (2_000, False), (2_600, False)])
def test_how_far_each_follows_a_jump(oracles: Oracles, jump: int, node_follows: bool) -> None:
    """Where libsignal-node stops, before 2,000, the official client goes on, and so do we."""
    for by in IMPLEMENTATIONS:
        ours, theirs = pair(oracles, by)
        meet(ours, theirs)
        for _ in range(jump):
            ours.encrypt(b"lost")
        last = ours.encrypt(b"last")
        if by == "node" and not node_follows:
            with pytest.raises(Refused):
                theirs.decrypt(last)
        else:
            assert theirs.decrypt(last) == b"last"


def test_the_official_client_and_we_stop_at_the_same_place(oracles: Oracles) -> None:
    sides: tuple[Party, ...] = (oracles.party("official"), Waton(2))
    for side in sides:
        sender = Waton(3)
        meet(sender, side)
        for _ in range(25_000):
            sender.encrypt(b"lost")
        last, beyond = sender.encrypt(b"last"), sender.encrypt(b"beyond")
        with pytest.raises((DecryptError, Refused)):
            side.decrypt(beyond)
        assert side.decrypt(last) == b"last"
        assert side.decrypt(beyond) == b"beyond"


def test_a_long_gap_keeps_the_same_keys_as_the_official_client(oracles: Oracles) -> None:
    ours, theirs = pair(oracles, "official")
    meet(ours, theirs)
    to_them = [ours.encrypt(b"%d" % number) for number in range(2_101)]
    to_us = [theirs.encrypt(b"%d" % number) for number in range(2_101)]
    assert theirs.decrypt(to_them[2_100]) == b"2100"
    assert ours.decrypt(to_us[2_100]) == b"2100"
    for number in (0, 98, 99):
        with pytest.raises(Refused):
            theirs.decrypt(to_them[number])
        assert refusal(ours, to_us[number]) is DecryptReason.DUPLICATE
    for number in (100, 101, 2_099):
        assert theirs.decrypt(to_them[number]) == b"%d" % number
        assert ours.decrypt(to_us[number]) == b"%d" % number


# --- tampering ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
def test_every_changed_byte_of_their_message_is_refused(oracles: Oracles, by: str) -> None:
    ours, theirs = pair(oracles, by)
    meet(theirs, ours)
    sealed = theirs.encrypt(b"one text")
    for place in range(len(sealed.message)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(sealed.message)
            changed[place] ^= flip
            refusal(ours, Sealed("msg", bytes(changed)))
    assert ours.decrypt(sealed) == b"one text"


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
def test_a_message_for_somebody_else_is_refused(oracles: Oracles, by: str) -> None:
    ours, theirs = pair(oracles, by)
    meet(ours, theirs)
    stranger = Waton(99)
    meet(stranger, oracles.party(by))
    sealed = theirs.encrypt(b"private")
    assert refusal(stranger, sealed) is DecryptReason.BAD_MAC
    assert refusal(Waton(98), sealed) is DecryptReason.NO_SESSION
    assert ours.decrypt(sealed) == b"private"


# --- records --------------------------------------------------------------------------------------------------------


def twins(oracles: Oracles, other: Party) -> tuple[Waton, Oracle]:
    """One device in two bodies, ours and the official client's, with a settled session to `other`."""
    ours = Waton(5)
    theirs = oracles.party("official", identity_private=ours.identity_private)
    meet(ours, other)
    theirs.load(ours.record)
    return ours, theirs


def test_the_official_client_rewrites_our_record_without_change(oracles: Oracles) -> None:
    other = oracles.party("node")
    ours, theirs = twins(oracles, other)
    lost = [other.encrypt(b"%d" % number) for number in range(4)]
    ours.decrypt(lost[3])
    ours.open(other.bundle())
    ours.encrypt(b"pending")
    theirs.load(ours.record)
    assert theirs.save() == ours.record
    ours.open(other.bundle(with_prekey=False))
    theirs.load(ours.record)
    assert theirs.save() == ours.record


def test_a_conversation_moves_between_us_and_the_official_client(oracles: Oracles) -> None:
    other = Waton(6)
    ours, theirs = twins(oracles, other)
    held = [other.encrypt(b"held %d" % number) for number in range(3)]
    assert ours.decrypt(other.encrypt(b"now")) == b"now"
    theirs.load(ours.record)
    assert theirs.decrypt(held[0]) == b"held 0"
    assert other.decrypt(theirs.encrypt(b"from there")) == b"from there"
    assert theirs.decrypt(other.encrypt(b"turned")) == b"turned"
    ours.record = theirs.save()
    assert ours.decrypt(held[2]) == b"held 2"
    assert refusal(ours, held[0]) is DecryptReason.DUPLICATE
    assert other.decrypt(ours.encrypt(b"from here")) == b"from here"
    theirs.load(ours.record)
    assert theirs.decrypt(held[1]) == b"held 1"


def test_an_unanswered_session_moves_too(oracles: Oracles) -> None:
    other = Waton(7)
    theirs = oracles.party("official")
    secrets = theirs.secrets()
    theirs.open(other.bundle())
    theirs.encrypt(b"lost")
    ours = Waton(8, record=theirs.save(), identity_private=bytes.fromhex(str(secrets["identity_private"])))
    sealed = ours.encrypt(b"still opening")
    assert sealed.type == "pkmsg"
    assert PreKeyMessage.parse(sealed.message).prekey_id == 1
    assert other.decrypt(sealed) == b"still opening"
    assert ours.decrypt(other.encrypt(b"opened")) == b"opened"


def test_a_gap_is_remembered_alike(oracles: Oracles) -> None:
    """Which keys fall out first is told by the order of the stored keys, so the order must be the official one."""
    other = Waton(9)
    ours, theirs = twins(oracles, other)
    sealed = [other.encrypt(b"%d" % number) for number in range(2_040)]
    assert ours.decrypt(sealed[1_990]) == b"1990"
    theirs.load(ours.record)
    assert theirs.decrypt(sealed[2_039]) == b"2039"
    ours.record = theirs.save()
    with pytest.raises(Refused):
        theirs.decrypt(sealed[20])
    assert refusal(ours, sealed[20]) is DecryptReason.DUPLICATE
    for number in (50, 1_989, 1_991, 2_038):
        assert theirs.decrypt(sealed[number]) == b"%d" % number
        assert ours.decrypt(sealed[number]) == b"%d" % number


# --- differential fuzzing -------------------------------------------------------------------------------------------


class Mail:
    """Messages under way to one side, and those already read."""

    def __init__(self) -> None:
        self.waiting: list[tuple[bytes, Sealed]] = []
        self.read: list[Sealed] = []


def converse(dice: random.Random, sides: tuple[Party, Party], steps: int) -> None:
    """Send, deliver in any order, lose, repeat and open anew at random; what is new must read, old must not."""
    mail = (Mail(), Mail())
    for step in range(steps):
        place = dice.randrange(2)
        box = mail[place]
        match dice.choices(["send", "deliver", "lose", "repeat", "reopen"], [40, 45, 5, 8, 2])[0]:
            case "send":
                text = b"%d " % step + dice.randbytes(dice.randrange(40))
                mail[1 - place].waiting.append((text, sides[place].encrypt(text)))
            case "deliver" if box.waiting:
                text, sealed = box.waiting.pop(dice.randrange(min(len(box.waiting), 6)))
                assert sides[place].decrypt(sealed) == text
                box.read.append(sealed)
            case "lose" if len(box.waiting) > 1:
                box.waiting.pop(dice.randrange(1, len(box.waiting)))
            case "repeat" if box.read:
                with pytest.raises((DecryptError, Refused)):
                    sides[place].decrypt(dice.choice(box.read[-20:]))
            case "reopen" if not mail[0].waiting and not mail[1].waiting:
                sides[place].open(sides[1 - place].bundle(with_prekey=dice.random() < 0.7))
                text = b"anew %d" % step
                assert sides[1 - place].decrypt(sides[place].encrypt(text)) == text
            case _:
                pass


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("by", IMPLEMENTATIONS)
def test_random_conversations(oracles: Oracles, by: str, seed: int) -> None:
    dice = random.Random(f"{by} {seed}")
    ours, theirs = pair(oracles, by, seed=dice.randrange(1 << 30))
    sides: tuple[Party, Party] = (ours, theirs) if seed % 2 else (theirs, ours)
    meet(*sides, with_prekey=seed % 3 != 0)
    converse(dice, sides, 250)


class Wanderer:
    """One device that is ours or the official client's, whichever the dice say before each step."""

    def __init__(self, dice: random.Random, oracles: Oracles) -> None:
        self.dice = dice
        self.ours = Waton(dice.randrange(1 << 30))
        self.theirs = oracles.party("official", identity_private=self.ours.identity_private)
        self.is_ours = True
        self.moves = 0

    def _body(self) -> Party:
        if self.ours.record and self.dice.random() < 0.3:
            if self.is_ours:
                self.theirs.load(self.ours.record)
            else:
                self.ours.record = self.theirs.save()
            self.is_ours = not self.is_ours
            self.moves += 1
        return self.ours if self.is_ours else self.theirs

    def open(self, bundle: object) -> None:
        self._body().open(bundle)  # pyright: ignore[reportArgumentType]  # Party's own argument, passed on

    def encrypt(self, plaintext: bytes) -> Sealed:
        return self._body().encrypt(plaintext)

    def decrypt(self, sealed: Sealed) -> bytes:
        return self._body().decrypt(sealed)


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("by", [*IMPLEMENTATIONS, "waton"])
def test_random_conversations_of_a_wandering_record(oracles: Oracles, by: str, seed: int) -> None:
    """The record passes to and fro between us and the official client in the middle of everything."""
    dice = random.Random(f"wandering {by} {seed}")
    wanderer = Wanderer(dice, oracles)
    other: Party = Waton(dice.randrange(1 << 30)) if by == "waton" else oracles.party(by)
    wanderer.open(other.bundle())
    assert other.decrypt(wanderer.encrypt(b"hello")) == b"hello"
    assert wanderer.decrypt(other.encrypt(b"hello")) == b"hello"
    mail: list[list[tuple[bytes, Sealed]]] = [[], []]
    sides = (wanderer, other)
    for step in range(200):
        place = dice.randrange(2)
        if mail[place] and dice.random() < 0.5:
            text, sealed = mail[place].pop(dice.randrange(min(len(mail[place]), 5)))
            assert sides[place].decrypt(sealed) == text
        else:
            text = b"%d" % step
            mail[1 - place].append((text, sides[place].encrypt(text)))
    assert wanderer.moves > 20
