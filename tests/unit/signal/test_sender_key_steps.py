"""The contract of the sender-key functions as Python sees it."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.support.sender_key_parties import Sealed, Waton
from waton import _core
from waton.errors import DecodeError, DecryptError, DecryptReason, InvalidSignature, StorageError


def told(seed: int = 1) -> tuple[Waton, Waton]:
    """A sender and a reader who knows its key."""
    sender, reader = Waton(seed), Waton(seed + 1)
    sender.create()
    reader.process(sender.distribution())
    return sender, reader


def reason_of(act: Callable[[], object]) -> DecryptReason:
    with pytest.raises(DecryptError) as refused:
        act()
    return refused.value.reason


# --- steps ------------------------------------------------------------------------------------------------------------


def test_the_same_dice_give_the_same_records_and_messages() -> None:
    (sender, reader), (again, other) = told(), told()
    assert (sender.record, reader.record) == (again.record, other.record)
    assert sender.encrypt(b"text") == again.encrypt(b"text")
    again.dice.randbytes(1)
    assert sender.encrypt(b"text") != again.encrypt(b"text")


def test_a_step_changes_only_the_record_it_gives() -> None:
    sender, reader = told()
    before = sender.record
    one = _core.sender_key_encrypt(before, b"one", entropy=bytes(64))
    assert one == _core.sender_key_encrypt(before, b"one", entropy=bytes(64))
    assert one[0] != before == sender.record
    assert reader.decrypt(Sealed(one[1], b"")) == b"one"


def test_a_plaintext_of_any_size_passes() -> None:
    sender, reader = told()
    for size in (0, 1, 15, 16, 17, 1_000, 300_000):
        text = random.Random(size).randbytes(size)
        sealed = sender.encrypt(text)
        assert text not in sealed.message or size < 2
        assert reader.decrypt(sealed) == text


def test_the_id_has_31_bits_and_comes_from_the_dice() -> None:
    record = _core.sender_key_create(b"", entropy=b"\xff\x00\x00\x07" + bytes(64))
    assert [state["id"] for state in _core.sender_key_describe(record)] == [0x7F000007]
    assert _core.sender_key_distribution(record)[1:6] == b"\x08\x87\x80\x80\xf8"


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_changed_byte_is_refused() -> None:
    sender, reader = told()
    sealed = sender.encrypt(b"text")
    before = reader.record
    for place in (-1, -64, -65, -80, 7):
        changed = bytearray(sealed.message)
        changed[place] ^= 1
        with pytest.raises((DecryptError, DecodeError)):
            reader.decrypt(Sealed(bytes(changed), b""))
    assert reader.record == before
    changed = bytearray(sealed.message)
    changed[-1] ^= 1
    assert reason_of(lambda: reader.decrypt(Sealed(bytes(changed), b""))) is DecryptReason.INVALID_SIGNATURE
    assert reader.decrypt(sealed) == b"text"


def test_another_s_key_does_not_read_it() -> None:
    sender, reader = told()
    stranger, knows_stranger = told(7)
    sealed = sender.encrypt(b"text")
    assert reason_of(lambda: knows_stranger.decrypt(sealed)) is DecryptReason.NO_SENDER_KEY
    assert reason_of(lambda: Waton(9).decrypt(sealed)) is DecryptReason.NO_SENDER_KEY
    # The same id under another signing key, as a forger would make it.
    entropy = random.Random(1).randbytes(68)
    forger = Waton(3, _core.sender_key_create(b"", entropy=entropy[:36] + bytes(32)))
    forged = forger.encrypt(b"forged")
    assert _core.sender_key_message_id(forged.message) == _core.sender_key_message_id(sealed.message)
    assert reason_of(lambda: reader.decrypt(forged)) is DecryptReason.INVALID_SIGNATURE
    assert reader.decrypt(sealed) == b"text"
    assert knows_stranger.decrypt(stranger.encrypt(b"other")) == b"other"


def test_a_bad_signature_is_a_decrypt_error_and_not_the_other() -> None:
    """Sessions raise InvalidSignature for a bundle; here the reason must become that of a retry."""
    sender, reader = told()
    sealed = sender.encrypt(b"text")
    with pytest.raises(DecryptError) as refused:
        reader.decrypt(Sealed(sealed.message[:-1] + bytes([sealed.message[-1] ^ 1]), b""))
    assert not isinstance(refused.value, InvalidSignature)


def test_read_before_is_a_duplicate() -> None:
    sender, reader = told()
    sealed = sender.encrypt(b"text")
    reader.decrypt(sealed)
    assert reason_of(lambda: reader.decrypt(sealed)) is DecryptReason.DUPLICATE


def test_too_far_ahead_is_a_future_message() -> None:
    sender, reader = told()
    for _ in range(25_001):
        sender.record, _ = _core.sender_key_encrypt(sender.record, b"", entropy=bytes(64))
    beyond = sender.encrypt(b"beyond")
    assert reason_of(lambda: reader.decrypt(beyond)) is DecryptReason.FUTURE_MESSAGE
    assert len(reader.record) < 100
    # Told its place, the reader goes on from there.
    reader.process(sender.distribution())
    assert reader.decrypt(sender.encrypt(b"told")) == b"told"


def test_without_a_key_of_our_own_nothing_is_sealed_or_told() -> None:
    _, reader = told()
    for device in (reader, Waton(5)):
        assert reason_of(lambda device=device: device.encrypt(b"text")) is DecryptReason.NO_SESSION
        assert reason_of(device.distribution) is DecryptReason.NO_SESSION


def test_a_distribution_does_not_replace_our_own_key() -> None:
    sender, _ = told()
    entropy = random.Random(1).randbytes(68)
    forger = _core.sender_key_create(b"", entropy=entropy[:36] + bytes(32))
    forged = _core.sender_key_distribution(forger)
    assert reason_of(lambda: sender.process(forged)) is DecryptReason.INVALID_KEY


# --- looking ----------------------------------------------------------------------------------------------------------


def test_what_a_record_tells() -> None:
    sender, reader = told()
    assert _core.sender_key_describe(b"") == []
    sealed = [sender.encrypt(b"text") for _ in range(4)]
    reader.decrypt(sealed[3])
    (ours,), (theirs,) = _core.sender_key_describe(sender.record), _core.sender_key_describe(reader.record)
    assert ours == {**theirs, "skipped": 0, "is_ours": True}
    assert (theirs["iteration"], theirs["skipped"], theirs["is_ours"]) == (4, 3, False)
    assert _core.sender_key_message_id(sealed[2].message) == (ours["id"], 2)
    assert len(ours["signing_key"]) == 8
    assert ours["signing_key"] not in sender.distribution().hex()


def test_a_new_key_stands_in_front() -> None:
    sender, reader = told()
    (old,) = _core.sender_key_describe(sender.record)
    sender.create()
    new, before = _core.sender_key_describe(sender.record)
    assert before == old
    assert _core.sender_key_message_id(sender.encrypt(b"text").message) == (new["id"], 0)
    reader.process(sender.distribution())
    assert [state["id"] for state in _core.sender_key_describe(reader.record)] == [new["id"], old["id"]]


# --- wrong input ------------------------------------------------------------------------------------------------------


def test_wrong_lengths_are_the_caller_s_mistake() -> None:
    with pytest.raises(ValueError, match="entropy must be 68 bytes, not 67"):
        _core.sender_key_create(b"", entropy=bytes(67))
    with pytest.raises(ValueError, match="entropy must be 64 bytes, not 0"):
        _core.sender_key_encrypt(b"", b"", entropy=b"")


def test_a_damaged_record_is_a_storage_error() -> None:
    sender, reader = told()
    sealed = sender.encrypt(b"text")
    for damaged in (b"\xff", reader.record[:-3], b"\x0a\x02\x08\x03"):
        for act in (
            lambda record=damaged: _core.sender_key_describe(record),
            lambda record=damaged: _core.sender_key_distribution(record),
            lambda record=damaged: _core.sender_key_encrypt(record, b"", entropy=bytes(64)),
        ):
            with pytest.raises(StorageError) as refused:
                act()
            assert refused.value.key == "sender key"
    with pytest.raises(StorageError):
        _core.sender_key_decrypt(reader.record[:-3], sealed.message)


def test_a_decode_error_carries_what_was_read() -> None:
    with pytest.raises(DecodeError) as refused:
        _core.sender_key_decrypt(b"", b"\x33\x0a\x05ab")
    assert (refused.value.what, refused.value.data) == ("sender key message", b"\x33\x0a\x05ab")
    with pytest.raises(DecodeError) as refused:
        _core.sender_key_process(b"", b"\x33\x08\x01\x1a\x01a")
    assert (refused.value.what, refused.value.offset) == ("sender key distribution", 3)
    for wrong in (b"", b"\x23" + bytes(80), bytes(80), b"\x33" + bytes(10)):
        with pytest.raises(DecodeError):
            _core.sender_key_message_id(wrong)
        with pytest.raises(DecodeError):
            _core.sender_key_process(b"", wrong)
