"""The contract of the session functions as Python sees it."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.signal_parties import SIGNED_PREKEY_ID, Sealed, Waton
from waton import _core
from waton.errors import DecodeError, DecryptError, DecryptReason, InvalidSignature, StorageError


def met(*, with_prekey: bool = True) -> tuple[Waton, Waton]:
    """Two devices whose session is settled."""
    alice, bob = Waton(1), Waton(2)
    alice.open(bob.bundle(with_prekey=with_prekey))
    assert bob.decrypt(alice.encrypt(b"hello")) == b"hello"
    assert alice.decrypt(bob.encrypt(b"hello")) == b"hello"
    return alice, bob


def reason_of(act: Callable[[], object]) -> DecryptReason:
    with pytest.raises(DecryptError) as refused:
        act()
    return refused.value.reason


# --- steps ------------------------------------------------------------------------------------------------------------


def test_the_same_dice_give_the_same_records_and_messages() -> None:
    (alice, bob), (again, other) = met(), met()
    assert (alice.record, bob.record) == (again.record, other.record)
    assert alice.encrypt(b"text") == again.encrypt(b"text")
    again.dice.randbytes(1)
    alice.open(bob.bundle())
    again.open(other.bundle())
    assert alice.record != again.record


def test_a_step_changes_only_the_record_it_gives() -> None:
    alice, bob = met()
    before = alice.record
    first, _, one = _core.session_encrypt(before, b"one")
    second, _, two = _core.session_encrypt(before, b"one")
    assert (first, one) == (second, two)
    assert first != before
    assert bob.decrypt(Sealed("msg", one)) == b"one"


def test_a_plaintext_of_any_size_passes() -> None:
    alice, bob = met()
    for size in (0, 1, 15, 16, 17, 1_000, 300_000):
        text = random.Random(size).randbytes(size)
        sealed = alice.encrypt(text)
        assert text not in sealed.message or size < 2
        assert bob.decrypt(sealed) == text


def test_a_wrong_identity_key_does_not_read_a_pkmsg() -> None:
    alice, bob = Waton(1), Waton(2)
    alice.open(bob.bundle())
    sealed = alice.encrypt(b"for bob")
    bob.identity_private = bytes(range(32))
    assert reason_of(lambda: bob.decrypt(sealed)) is DecryptReason.BAD_MAC


def test_prekeys_that_are_gone_are_named() -> None:
    alice, bob = Waton(1), Waton(2)
    alice.open(bob.bundle())
    first, second = alice.encrypt(b"one"), alice.encrypt(b"two")
    kept = bob.prekeys.copy()
    bob.prekeys.clear()
    assert reason_of(lambda: bob.decrypt(first)) is DecryptReason.INVALID_KEY_ID
    bob.prekeys.update(kept)
    assert bob.decrypt(first) == b"one"
    assert bob.prekeys == {}
    assert bob.decrypt(second) == b"two"
    assert bob.opened == 1


def test_no_session_is_said_so() -> None:
    alice, bob = met()
    sealed = bob.encrypt(b"text")
    assert reason_of(lambda: _core.session_encrypt(b"", b"text")) is DecryptReason.NO_SESSION
    assert reason_of(lambda: Waton(3).decrypt(sealed)) is DecryptReason.NO_SESSION
    archived = _core.session_archive(alice.record)
    assert reason_of(lambda: _core.session_encrypt(archived, b"text")) is DecryptReason.NO_SESSION
    alice.record = archived
    assert alice.decrypt(sealed) == b"text"


def test_a_signed_prekey_of_somebody_else_is_refused() -> None:
    alice, bob, mallory = Waton(1), Waton(2), Waton(3)
    honest, forged = bob.bundle(), mallory.bundle()
    bundle = _core.PreKeyBundle(
        registration_id=1,
        identity_key=honest.identity_key,
        signed_prekey_id=SIGNED_PREKEY_ID,
        signed_prekey=forged.signed_prekey,
        signed_prekey_signature=forged.signed_prekey_signature,
    )
    with pytest.raises(InvalidSignature) as refused:
        _core.session_initiate(
            b"",
            bundle,
            identity_private=alice.identity_private,
            identity_public=alice.identity_public,
            registration_id=1,
            entropy=bytes(64),
        )
    assert refused.value.what == "signed prekey"


# --- looking ----------------------------------------------------------------------------------------------------------


def test_what_a_record_tells() -> None:
    alice, bob = Waton(1), Waton(2)
    assert not _core.session_is_open(b"")
    assert _core.session_base_key(b"") is None
    assert _core.session_describe(b"") == []
    alice.open(bob.bundle())
    (fresh,) = _core.session_describe(alice.record)
    assert fresh["pending_prekey"]
    assert fresh["sending"] is not None
    assert fresh["sending"]["counter"] == 0
    sealed = [alice.encrypt(b"%d" % number) for number in range(4)]
    assert _core.session_base_key(alice.record) == (
        _core.PreKeyMessage.parse(sealed[0].message).base_key,
        bob.registration_id,
    )
    bob.decrypt(sealed[3])
    (there,) = _core.session_describe(bob.record)
    assert there["receiving"] == [{"ratchet_key": there["receiving"][0]["ratchet_key"], "counter": 4, "skipped": 3}]
    assert (there["version"], there["base_key"]) == (3, fresh["base_key"])
    assert (there["local_registration_id"], there["remote_registration_id"]) == (
        bob.registration_id,
        alice.registration_id,
    )
    alice.decrypt(bob.encrypt(b"answer"))
    (settled,) = _core.session_describe(alice.record)
    assert not settled["pending_prekey"]
    assert settled["previous_counter"] == 3
    assert settled["sending"] != fresh["sending"]


def test_a_description_holds_no_key() -> None:
    alice, _ = met()
    shown = str(_core.session_describe(alice.record))
    longest = max(len(word) for word in shown.replace("'", " ").split())
    assert longest < 32


def test_archiving_closes_and_opening_anew_keeps_the_old_session() -> None:
    alice, bob = met()
    archived = _core.session_archive(alice.record)
    assert not _core.session_is_open(archived)
    assert _core.session_base_key(archived) is None
    assert len(_core.session_describe(archived)) == 1
    assert _core.session_archive(archived) == archived
    alice.record = archived
    alice.open(bob.bundle())
    assert _core.session_is_open(alice.record)
    assert len(_core.session_describe(alice.record)) == 2


# --- wrong input ------------------------------------------------------------------------------------------------------


def test_wrong_lengths_are_the_caller_s_mistake() -> None:
    alice, bob = met()
    sealed = bob.encrypt(b"text")
    with pytest.raises(ValueError, match="entropy must be 32 bytes, not 31"):
        _core.session_decrypt(alice.record, sealed.message, entropy=bytes(31))
    with pytest.raises(ValueError, match="identity_key must be 32 bytes, not 33"):
        _core.PreKeyBundle(
            registration_id=1,
            identity_key=bytes(33),
            signed_prekey_id=1,
            signed_prekey=bytes(32),
            signed_prekey_signature=bytes(64),
        )
    with pytest.raises(ValueError, match="go together"):
        _core.PreKeyBundle(
            registration_id=1,
            identity_key=bytes(32),
            signed_prekey_id=1,
            signed_prekey=bytes(32),
            signed_prekey_signature=bytes(64),
            prekey_id=5,
        )


def test_a_damaged_record_is_a_storage_error() -> None:
    alice, bob = met()
    sealed = bob.encrypt(b"text")
    for damaged in (b"\xff", alice.record[:-3], b"\x0a\x02\x08\x03"):
        with pytest.raises(StorageError) as refused:
            _core.session_decrypt(damaged, sealed.message, entropy=bytes(32))
        assert refused.value.key == "session"
        with pytest.raises(StorageError):
            _core.session_encrypt(damaged, b"text")


def test_a_decode_error_carries_the_message() -> None:
    alice, _ = met()
    with pytest.raises(DecodeError) as refused:
        alice.decrypt(Sealed("msg", b"\x33\x0a\x05ab"))
    assert (refused.value.what, refused.value.data) == ("signal message", b"\x33\x0a\x05ab")
    with pytest.raises(DecodeError):
        _core.PreKeyMessage.parse(b"")


ALICE, BOB = met()
ORDINARY = BOB.encrypt(b"text").message
OPENING = Waton(3)
OPENING.open(ALICE.bundle())
PREKEY_MESSAGE = OPENING.encrypt(b"text").message


@st.composite
def mangled(draw: st.DrawFn, original: bytes) -> bytes:
    """Bytes like these, cut, stretched and changed."""
    changed = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(changed) - 1))
        match draw(st.integers(0, 2)):
            case 0:
                changed[place] = draw(st.integers(0, 255))
            case 1:
                changed[place:place] = draw(st.binary(max_size=6))
            case _:
                del changed[place : place + draw(st.integers(1, 6))]
        if not changed:
            break
    return bytes(changed)


@pytest.mark.fuzz
@given(st.one_of(st.binary(max_size=200), mangled(ORDINARY), mangled(PREKEY_MESSAGE)))
def test_any_message_gives_a_named_error_or_its_text(message: bytes) -> None:
    for type in ("msg", "pkmsg"):
        device = Waton(1, record=ALICE.record)
        device.prekeys.update(ALICE.prekeys)
        try:
            assert device.decrypt(Sealed(type, message)) == b"text"
        except (DecryptError, DecodeError):
            assert device.record == ALICE.record


@pytest.mark.fuzz
@given(st.one_of(st.binary(max_size=300), mangled(ALICE.record), mangled(BOB.record)))
def test_any_record_gives_a_named_error_or_a_record(record: bytes) -> None:
    steps: list[Callable[[], object]] = [
        lambda: _core.session_encrypt(record, b"text"),
        lambda: _core.session_decrypt(record, ORDINARY, entropy=bytes(32)),
        lambda: _core.session_archive(record),
        lambda: _core.session_describe(record),
        lambda: _core.session_base_key(record),
        lambda: _core.session_is_open(record),
    ]
    for step in steps:
        with suppress(DecryptError, StorageError):  # what a damaged record may give; anything else fails the test
            step()
