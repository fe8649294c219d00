"""Sender keys as values: what a step gives, what it leaves alone, and when a key of ours is used up."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from waton.errors import DecodeError, DecryptError, DecryptReason, StorageError
from waton.jid import Jid
from waton.protocol.group_cipher import ROTATE_AFTER, GroupCipher, sender_key_name
from waton.utils.padding import pad, unpad

SENDER = Jid("15550001111", "s.whatsapp.net", 3)
DICE = random.Random(1)


def own() -> GroupCipher:
    return GroupCipher().fresh(entropy=DICE.randbytes(68))


def entropy() -> bytes:
    return DICE.randbytes(64)


def test_what_one_member_encrypts_the_others_read() -> None:
    sender = own()
    readers = [GroupCipher().process(sender.distribution()) for _ in range(3)]
    sealed = sender.encrypt(pad(b"hello group", 5), entropy=entropy())
    assert (sealed.key_id, sealed.iteration) == (sender.key_id, 0)
    for reader in readers:
        assert unpad(reader.decrypt(sealed.ciphertext, sender=SENDER).plaintext) == b"hello group"
    again = GroupCipher(sealed.record).encrypt(b"", entropy=entropy())
    assert (again.key_id, again.iteration) == (sender.key_id, 1)


def test_a_step_leaves_its_cipher_alone() -> None:
    sender = own()
    reader = GroupCipher().process(sender.distribution())
    first = sender.encrypt(b"text", entropy=entropy())
    assert reader.decrypt(first.ciphertext, sender=SENDER) == reader.decrypt(first.ciphertext, sender=SENDER)
    assert sender.encrypt(b"text", entropy=entropy()).iteration == 0
    with pytest.raises(AttributeError):
        reader.record = b""  # type: ignore[misc]


def test_without_a_key_of_our_own() -> None:
    for cipher in (GroupCipher(), GroupCipher(b""), GroupCipher().process(own().distribution())):
        assert not cipher.has_own_key
        assert cipher.key_id is None
        assert not cipher.needs_rotation
        for act in (cipher.distribution, lambda cipher=cipher: cipher.encrypt(b"", entropy=bytes(64))):
            with pytest.raises(DecryptError) as refused:
                act()
            assert refused.value.reason is DecryptReason.NO_SESSION


def test_a_fresh_key_takes_over_and_late_messages_are_still_read() -> None:
    sender = own()
    reader = GroupCipher().process(sender.distribution())
    late = sender.encrypt(b"late", entropy=entropy())
    fresh = GroupCipher(late.record).fresh(entropy=DICE.randbytes(68))
    assert fresh.has_own_key
    assert fresh.key_id != sender.key_id
    sealed = fresh.encrypt(b"fresh", entropy=entropy())
    with pytest.raises(DecryptError) as refused:
        reader.decrypt(sealed.ciphertext, sender=SENDER)
    assert (refused.value.reason, refused.value.sender) == (DecryptReason.NO_SENDER_KEY, SENDER)
    told = reader.process(fresh.distribution())
    assert told.decrypt(sealed.ciphertext, sender=SENDER).plaintext == b"fresh"
    assert told.decrypt(late.ciphertext, sender=SENDER).plaintext == b"late"


def test_who_was_not_told_the_fresh_key_reads_nothing_more() -> None:
    sender = own()
    removed = GroupCipher().process(sender.distribution())
    fresh = sender.fresh(entropy=DICE.randbytes(68))
    with pytest.raises(DecryptError) as refused:
        removed.decrypt(fresh.encrypt(b"private", entropy=entropy()).ciphertext, sender=SENDER)
    assert refused.value.reason is DecryptReason.NO_SENDER_KEY


def test_a_thousand_messages_use_a_key_up() -> None:
    cipher = own()
    for number in range(ROTATE_AFTER):
        assert not cipher.needs_rotation, number
        cipher = GroupCipher(cipher.encrypt(b"", entropy=entropy()).record)
    assert cipher.needs_rotation
    assert cipher.encrypt(b"", entropy=entropy()).iteration == ROTATE_AFTER, "due, and still possible"
    assert not cipher.fresh(entropy=DICE.randbytes(68)).needs_rotation


def test_a_reader_s_place_says_nothing_about_rotation() -> None:
    sender = own()
    reader = GroupCipher().process(sender.distribution())
    for _ in range(ROTATE_AFTER):
        sender = GroupCipher(sender.encrypt(b"", entropy=entropy()).record)
    sealed = sender.encrypt(b"", entropy=entropy())
    assert not GroupCipher(reader.decrypt(sealed.ciphertext, sender=SENDER).record).needs_rotation


def test_told_again_nothing_changes() -> None:
    sender = own()
    reader = GroupCipher().process(sender.distribution())
    assert reader.process(sender.distribution()) == reader


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda message: message[:-1] + bytes([message[-1] ^ 1]), DecryptReason.INVALID_SIGNATURE),
        (lambda message: message[:-70] + bytes([message[-70] ^ 1]) + message[-69:], DecryptReason.INVALID_SIGNATURE),
        (lambda message: message, DecryptReason.DUPLICATE),
    ],
)
def test_a_refusal_names_reason_and_sender(spoil: Callable[[bytes], bytes], reason: DecryptReason) -> None:
    sender = own()
    reader = GroupCipher().process(sender.distribution())
    sealed = sender.encrypt(b"text", entropy=entropy())
    read = GroupCipher(reader.decrypt(sealed.ciphertext, sender=SENDER).record)
    with pytest.raises(DecryptError) as refused:
        read.decrypt(spoil(sealed.ciphertext), sender=SENDER)
    assert (refused.value.reason, refused.value.sender) == (reason, SENDER)


def test_what_does_not_parse_says_so() -> None:
    with pytest.raises(DecodeError):
        GroupCipher().process(b"\x33")
    with pytest.raises(DecodeError):
        GroupCipher().decrypt(b"", sender=SENDER)
    with pytest.raises(StorageError):
        _ = GroupCipher(b"\xff").has_own_key


def test_nothing_secret_is_shown() -> None:
    sender = own()
    sealed = sender.encrypt(b"text", entropy=entropy())
    read = GroupCipher().process(sender.distribution()).decrypt(sealed.ciphertext, sender=SENDER)
    for value in (sender, sealed, read):
        assert "b'" not in repr(value)
        assert "0x" in repr(value)


def test_a_record_s_name_is_the_group_and_the_device() -> None:
    group = Jid("120363000000000001", "g.us")
    assert sender_key_name(group, SENDER) == "120363000000000001@g.us::15550001111.3"
    assert sender_key_name(group, Jid("77", "lid", 2)) == "120363000000000001@g.us::77_1.2"
    assert sender_key_name(Jid("status", "broadcast"), SENDER.bare) == "status@broadcast::15550001111.0"
