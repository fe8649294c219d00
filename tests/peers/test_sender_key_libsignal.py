"""Our sender keys against Baileys' own (lib/Signal/Group) and the official libsignal client's, in both directions.

Baileys speaks WhatsApp's wire, and is met on it. The official client's wire is another one (a distribution id in
front); what it is held to here is everything inside: chain, cipher, the curve's signatures, limits, the order of
states, and stored records byte for byte. See group_oracle.mjs for how its messages are rewritten.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.support.sender_key_parties import (
    GroupOracles,
    Oracle,
    Party,
    Sealed,
    Waton,
    running_group_oracles,
)
from tests.support.signal_parties import Refused
from waton._core import sender_key_create, sender_key_describe, sender_key_message_id, sender_key_process, xeddsa_verify
from waton.errors import DecodeError, DecryptError, DecryptReason

pytestmark = pytest.mark.peer

IMPLEMENTATIONS = ["baileys", "official"]


@pytest.fixture(scope="module")
def oracles() -> Iterator[GroupOracles]:
    with running_group_oracles() as running:
        yield running


def told(sender: Party, *readers: Party) -> None:
    """A fresh key, and everybody knows it."""
    sender.create()
    for reader in readers:
        reader.process(sender.distribution())


def refusal(waton: Waton, sealed: Sealed) -> DecryptReason | None:
    """Why ours refuses a message; None when it does not parse. The record stays as it was."""
    before = waton.record
    with pytest.raises((DecryptError, DecodeError)) as refused:
        waton.decrypt(sealed)
    assert waton.record == before
    return refused.value.reason if isinstance(refused.value, DecryptError) else None


def refused_by(reader: Party, sealed: Sealed) -> bool:
    try:
        reader.decrypt(sealed)
    except (DecryptError, DecodeError, Refused):
        return True
    return False


# --- both ways --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
@pytest.mark.parametrize("we_send", [True, False])
def test_any_order_and_never_twice(oracles: GroupOracles, by: str, we_send: bool) -> None:
    ours, theirs = Waton(1), oracles.group_party(by)
    sender, reader = (ours, theirs) if we_send else (theirs, ours)
    told(sender, reader)
    texts = [b"%d" % number * number for number in range(12)]
    sealed = [sender.encrypt(text) for text in texts]
    order = random.Random(7).sample(range(12), 12)
    for number in order:
        assert reader.decrypt(sealed[number]) == texts[number]
    for number in order:
        assert refused_by(reader, sealed[number])
    if not we_send:
        assert {refusal(ours, message) for message in sealed} == {DecryptReason.DUPLICATE}


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
@pytest.mark.parametrize("we_send", [True, False])
def test_a_late_member_reads_from_its_place_on(oracles: GroupOracles, by: str, we_send: bool) -> None:
    ours, theirs = Waton(2), oracles.group_party(by)
    sender, reader = (ours, theirs) if we_send else (theirs, ours)
    sender.create()
    before = [sender.encrypt(b"before") for _ in range(3)]
    reader.process(sender.distribution())
    after = sender.encrypt(b"after")
    assert all(refused_by(reader, sealed) for sealed in before)
    assert reader.decrypt(after) == b"after"


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
@pytest.mark.parametrize("we_send", [True, False])
def test_a_new_key_does_not_end_the_old_one(oracles: GroupOracles, by: str, we_send: bool) -> None:
    ours, theirs = Waton(3), oracles.group_party(by)
    sender, reader = (ours, theirs) if we_send else (theirs, ours)
    told(sender, reader)
    late = sender.encrypt(b"late")
    told(sender, reader)
    assert reader.decrypt(sender.encrypt(b"fresh")) == b"fresh"
    assert reader.decrypt(late) == b"late"


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
def test_five_keys_are_kept(oracles: GroupOracles, by: str) -> None:
    ours, theirs, sender = Waton(4), oracles.group_party(by), Waton(5)
    sealed: list[Sealed] = []
    for _ in range(6):
        told(sender, ours, theirs)
        sealed.append(sender.encrypt(b"text"))
    assert refusal(ours, sealed[0]) is DecryptReason.NO_SENDER_KEY
    assert refused_by(theirs, sealed[0])
    for message in sealed[1:]:
        assert ours.decrypt(message) == theirs.decrypt(message) == b"text"


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
def test_every_changed_byte_of_their_message_is_refused(oracles: GroupOracles, by: str) -> None:
    ours, theirs = Waton(6), oracles.group_party(by)
    told(theirs, ours)
    sealed = theirs.encrypt(b"one text")
    for place in range(len(sealed.message)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(sealed.message)
            changed[place] ^= flip
            refusal(ours, Sealed(bytes(changed), b""))
    assert ours.decrypt(sealed) == b"one text"


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
def test_their_every_changed_byte_of_our_message_is_refused(oracles: GroupOracles, by: str) -> None:
    ours, theirs = Waton(7), oracles.group_party(by)
    told(ours, theirs)
    sealed = ours.encrypt(b"one text")
    # Baileys does not look at the version byte, but its signature covers it.
    for place in range(len(sealed.message)):
        changed = bytearray(sealed.message)
        changed[place] ^= 1
        assert refused_by(theirs, Sealed(bytes(changed), sealed.signing_private)), place
    assert theirs.decrypt(sealed) == b"one text"


@pytest.mark.parametrize("by", IMPLEMENTATIONS)
def test_a_message_under_a_key_nobody_told_is_refused(oracles: GroupOracles, by: str) -> None:
    ours, theirs = Waton(8), oracles.group_party(by)
    assert refusal(ours, _sealed_by(theirs)) is DecryptReason.NO_SENDER_KEY
    stranger = Waton(9)
    assert refused_by(oracles.group_party(by), _sealed_by(stranger))
    assert refusal(Waton(10), _sealed_by(stranger)) is DecryptReason.NO_SENDER_KEY


def _sealed_by(sender: Party) -> Sealed:
    sender.create()
    return sender.encrypt(b"text")


# --- where they differ ------------------------------------------------------------------------------------------------


def test_baileys_skips_every_other_iteration_and_we_none(oracles: GroupOracles) -> None:
    """Its sender keeps a key that nobody will use for each message, and makes its readers keep one too."""
    ours, theirs = Waton(11), oracles.group_party("baileys")
    ours.create()
    theirs.create()
    assert [sender_key_message_id(ours.encrypt(b"x").message)[1] for _ in range(4)] == [0, 1, 2, 3]
    reader = Waton(12)
    reader.process(theirs.distribution())
    sealed = [theirs.encrypt(b"x") for _ in range(4)]
    assert [sender_key_message_id(message.message)[1] for message in sealed] == [0, 2, 4, 6]
    assert [reader.decrypt(message) for message in sealed] == [b"x"] * 4
    assert (theirs.states()[0]["skipped"], sender_key_describe(reader.record)[0]["skipped"]) == (3, 3)
    assert sender_key_describe(ours.record)[0]["skipped"] == 0


def test_told_five_times_again_baileys_forgets_another_key_and_we_do_not(oracles: GroupOracles) -> None:
    sender = Waton(13)
    readers: list[Party] = [Waton(14), oracles.group_party("official"), oracles.group_party("baileys")]
    told(sender, *readers)
    late = sender.encrypt(b"late")
    told(sender, *readers)
    for _ in range(4):
        for reader in readers:
            reader.process(sender.distribution())
    assert [refused_by(reader, late) for reader in readers] == [False, False, True]


def test_told_again_at_its_place_baileys_reads_a_message_twice_and_we_do_not(oracles: GroupOracles) -> None:
    sender = Waton(15)
    readers: list[Party] = [Waton(16), oracles.group_party("official"), oracles.group_party("baileys")]
    told(sender, *readers)
    first = sender.distribution()
    sealed = sender.encrypt(b"once")
    assert [reader.decrypt(sealed) for reader in readers] == [b"once"] * 3
    for _ in range(5):
        for reader in readers:
            reader.process(first)
    assert [refused_by(reader, sealed) for reader in readers] == [True, True, False]


def test_a_chain_begun_anew_under_the_same_signing_key(oracles: GroupOracles) -> None:
    """The official client keeps the chain it knows and reads nothing more. No client is known to make such a key."""
    entropy = random.Random(17).randbytes(68)
    first, second = Waton(17, sender_key_create(b"", entropy=entropy)), Waton(17)
    second.record = sender_key_create(b"", entropy=entropy[:4] + bytes(32) + entropy[36:])
    first.signing_private = second.signing_private = entropy[36:]
    readers: list[Party] = [Waton(18), oracles.group_party("official")]
    for reader in readers:
        reader.process(first.distribution())
        reader.process(second.distribution())
    anew = second.encrypt(b"anew")
    assert [refused_by(reader, anew) for reader in readers] == [False, True]


def test_a_late_message_is_lost_by_baileys_own_storage(oracles: GroupOracles) -> None:
    """It stores skipped keys in a form that it cannot read back: whatever group message comes late is not read."""
    sender = Waton(31)
    readers: list[Party] = [Waton(32), oracles.group_party("baileys")]
    reader = oracles.group_party("repository")
    told(sender, *readers, reader)
    late, now = sender.encrypt(b"late"), sender.encrypt(b"now")
    assert reader.decrypt(now) == b"now"
    with pytest.raises(Refused, match="Expected Buffer instead of: Object"):
        reader.decrypt(late)
    for other in readers:
        assert (other.decrypt(now), other.decrypt(late)) == (b"now", b"late")


@pytest.mark.parametrize(("jump", "baileys_follows"), [(2_000, True), (2_001, False), (2_600, False)])
def test_how_far_each_follows_a_jump(oracles: GroupOracles, jump: int, baileys_follows: bool) -> None:
    sender = Waton(19)
    readers: list[Party] = [Waton(20), oracles.group_party("official"), oracles.group_party("baileys")]
    told(sender, *readers)
    for _ in range(jump):
        sender.encrypt(b"lost")
    last = sender.encrypt(b"last")
    assert [refused_by(reader, last) for reader in readers] == [False, False, not baileys_follows]


def test_the_official_client_and_we_stop_at_the_same_place(oracles: GroupOracles) -> None:
    sender, ours, theirs = Waton(21), Waton(22), oracles.group_party("official")
    told(sender, ours, theirs)
    for _ in range(25_000):
        sender.encrypt(b"lost")
    last, beyond = sender.encrypt(b"last"), sender.encrypt(b"beyond")
    assert refusal(ours, beyond) is DecryptReason.FUTURE_MESSAGE
    assert refused_by(theirs, beyond)
    assert ours.decrypt(last) == theirs.decrypt(last) == b"last"
    assert ours.record == theirs.save()
    assert ours.decrypt(beyond) == theirs.decrypt(beyond) == b"beyond"


def test_a_long_gap_keeps_the_same_keys(oracles: GroupOracles) -> None:
    sender, ours, theirs = Waton(23), Waton(24), oracles.group_party("official")
    told(sender, ours, theirs)
    sealed = [sender.encrypt(b"%d" % number) for number in range(2_102)]
    for number in (1_500, 2_101):
        assert ours.decrypt(sealed[number]) == theirs.decrypt(sealed[number]) == b"%d" % number
    assert sender_key_describe(ours.record)[0]["skipped"] == 2_000
    assert ours.record == theirs.save()
    for number in (0, 99):
        assert refusal(ours, sealed[number]) is DecryptReason.DUPLICATE
        assert refused_by(theirs, sealed[number])
    for number in (100, 1_499, 1_501, 2_100):
        assert ours.decrypt(sealed[number]) == theirs.decrypt(sealed[number]) == b"%d" % number


# --- the official client's wire and records ---------------------------------------------------------------------------


def test_the_official_client_s_own_wire_is_refused_by_name(oracles: GroupOracles) -> None:
    theirs = oracles.group_party("official")
    theirs.create()
    distribution, message = theirs.originals(b"text")
    with pytest.raises(DecodeError) as refused:
        sender_key_process(b"", distribution)
    assert refused.value.offset == 1
    with pytest.raises(DecodeError):
        sender_key_message_id(message)


def test_the_official_client_s_signature_is_the_same_kind(oracles: GroupOracles) -> None:
    """On its own wire, untouched: the last 64 bytes sign all before them."""
    theirs = oracles.group_party("official")
    theirs.create()
    signing_key = theirs.distribution()[-32:]
    _, message = theirs.originals(b"text")
    xeddsa_verify(signing_key, message[:-64], message[-64:])


def test_the_official_client_keeps_the_same_record(oracles: GroupOracles) -> None:
    """Both read the same messages from the same beginnings, and store the same bytes."""
    sender, ours, theirs = Waton(25), Waton(26), oracles.group_party("official")
    for _ in range(3):
        told(sender, ours, theirs)
        sealed = [sender.encrypt(b"%d" % number) for number in range(7)]
        for number in (2, 6, 0, 4):
            assert ours.decrypt(sealed[number]) == theirs.decrypt(sealed[number])
            assert ours.record == theirs.save()
    assert len(sender_key_describe(ours.record)) == 3


def test_the_official_client_rewrites_our_record_without_change(oracles: GroupOracles) -> None:
    ours, theirs = Waton(27), oracles.group_party("official")
    for _ in range(2):
        ours.create()
        ours.encrypt(b"text")
    theirs.load(ours.record)
    assert theirs.save() == ours.record
    assert len(sender_key_describe(ours.record)) == 2


def test_a_sender_moves_between_us_and_the_official_client(oracles: GroupOracles) -> None:
    ours, theirs, reader = Waton(28), oracles.group_party("official"), Waton(29)
    told(ours, reader)
    assert reader.decrypt(ours.encrypt(b"one")) == b"one"
    theirs.load(ours.record)
    assert reader.decrypt(theirs.encrypt(b"two")) == b"two"
    ours.record = theirs.save()
    third = ours.encrypt(b"three")
    assert sender_key_message_id(third.message)[1] == 2
    assert reader.decrypt(third) == b"three"


def test_both_encrypt_one_place_of_a_chain_alike(oracles: GroupOracles) -> None:
    """Everything but the signature, whose dice are each one's own."""
    ours, theirs = Waton(30), oracles.group_party("official")
    ours.create()
    theirs.load(ours.record)
    for size in (0, 1, 15, 16, 17, 1_000):
        text = random.Random(size).randbytes(size)
        assert ours.encrypt(text).message[:-64] == theirs.encrypt(text).message[:-64]
    assert ours.record == theirs.save()


# --- random conversations ---------------------------------------------------------------------------------------------


@dataclass
class Room:
    """One sender and its readers, of all implementations, and what is on its way to each."""

    sender: Party
    readers: dict[str, Party]
    dice: random.Random
    told: int = 0
    read: int = 0
    refused: int = 0
    sent: list[tuple[bytes, Sealed]] = field(default_factory=list)

    def tell(self) -> None:
        # A sixth state would push one out, where Baileys differs; that has its own test.
        if self.told < 5:
            self.told += 1
            distribution = self.sender.distribution()
            for reader in self.readers.values():
                reader.process(distribution)

    def rotate(self) -> None:
        if self.told < 5:
            self.sender.create()
            self.tell()

    def send(self) -> None:
        text = self.dice.randbytes(self.dice.choice((0, 5, 16, 100)))
        self.sent.append((text, self.sender.encrypt(text)))

    def deliver(self) -> None:
        """Any message that was sent, read already or not, whole or damaged; to all."""
        if not self.sent:
            return
        text, sealed = self.dice.choice(self.sent[-8:])
        if self.dice.random() < 0.15:
            changed = bytearray(sealed.message)
            changed[self.dice.randrange(len(changed))] ^= 1 << self.dice.randrange(8)
            sealed = Sealed(bytes(changed), sealed.signing_private)
        read = {name: self._read(reader, sealed) for name, reader in self.readers.items()}
        assert set(read.values()) in ({text}, {None}), {name: value == text for name, value in read.items()}
        self.read += None not in read.values()
        self.refused += None in read.values()

    @staticmethod
    def _read(reader: Party, sealed: Sealed) -> bytes | None:
        try:
            return reader.decrypt(sealed)
        except (DecryptError, DecodeError, Refused):
            return None


@pytest.mark.parametrize("seed", range(12))
def test_all_three_read_the_same_of_a_random_conversation(oracles: GroupOracles, seed: int) -> None:
    dice = random.Random(seed)
    by = ("waton", "baileys", "official")[seed % 3]
    parties: dict[str, Party] = {name: oracles.group_party(name) for name in IMPLEMENTATIONS}
    sender: Party = Waton(seed) if by == "waton" else oracles.group_party(by)
    room = Room(sender, {"waton": Waton(100 + seed), **parties}, dice)
    room.rotate()
    for _ in range(60):
        step = dice.choices((room.send, room.deliver, room.tell, room.rotate), (10, 14, 1, 1))[0]
        step()
    ours = room.readers["waton"]
    official = room.readers["official"]
    assert isinstance(ours, Waton)
    assert isinstance(official, Oracle)
    assert ours.record == official.save()
    assert room.read > 5
    assert room.refused > 2
