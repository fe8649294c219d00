"""Pairing by code: what people type, wrapped keys, the bundle, and the secret that both sides end up with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.protocol.wires import NOW, dice, flipped
from waton.errors import PairingError, PairingStep
from waton.jid import Jid
from waton.protocol.credentials import KeyPair
from waton.protocol.pairing_code import (
    ALPHABET,
    WRAPPED_BUNDLE,
    WRAPPED_KEY,
    CodeRequest,
    answer_phone,
    make_code,
    open_bundle,
    parse_code,
    parse_phone,
    unwrap,
    wrap,
)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "pairing_code.json").read_text("utf-8"))
NUMBER = Jid.parse("4915123456789@s.whatsapp.net")


def told(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name])


COMPANION, COMPANION_ID = KeyPair.of(told("companion_ephemeral")), KeyPair.of(told("companion_identity"))
PHONE, PHONE_ID = KeyPair.of(told("phone_ephemeral")), KeyPair.of(told("phone_identity"))
CODE = VECTORS["code"]
REQUEST = CodeRequest(NUMBER, CODE, COMPANION, b"ref", NOW + 180)
STRANGER = KeyPair.of(dice("stranger", 32))


# --- what people type -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dice_bytes", "code"), VECTORS["codes"])
def test_codes_of_another_implementation(dice_bytes: str, code: str) -> None:
    assert make_code(bytes.fromhex(dice_bytes)) == code


@given(st.binary(min_size=5, max_size=5))
def test_a_code_holds_all_its_dice(dice_bytes: bytes) -> None:
    code = make_code(dice_bytes)
    number = 0
    for character in code:
        number = number * 32 + ALPHABET.index(character)
    assert number.to_bytes(5, "big") == dice_bytes
    assert parse_code(code) == code


@pytest.mark.parametrize("count", [0, 4, 6])
def test_a_code_is_made_of_five_bytes(count: int) -> None:
    with pytest.raises(ValueError, match="5 random bytes"):
        make_code(bytes(count))


@pytest.mark.parametrize("text", ["ABCDEFGH", "abcdefgh", "abcd-efgh", "ABCD EFGH", " ABCD-EFGH\n"])
def test_a_code_is_read_as_people_write_it(text: str) -> None:
    assert parse_code(text) == "ABCDEFGH"


@pytest.mark.parametrize(
    "text", ["", "HGFEDCB", "HGFEDCBA1", "ABCDEFG0", "ABCDEFGI", "ABCDEFGO", "ABCDEFGU", "ÄBCDEFGH"]
)
def test_what_is_no_code_is_not_named(text: str) -> None:
    with pytest.raises(ValueError, match="pairing code") as refused:
        parse_code(text)
    assert not text or text not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["4915123456789", "+4915123456789", "+49 (151) 234-567.89", "  49\u00a0151 234567\u201189 "]
)
def test_a_number_is_read_as_people_write_it(text: str) -> None:
    assert parse_phone(text) == NUMBER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "123456",
        "1234567890123456",
        "015123456789",
        "004915123456789",
        "49151x2345678",
        "٤٩١٥١٢٣٤٥٦٧٨٩",
        "++4915123456789",
        "4915123456789@s.whatsapp.net",
    ],
)
def test_what_is_no_international_number_is_not_named(text: str) -> None:
    with pytest.raises(ValueError, match="phone number") as refused:
        parse_phone(text)
    assert not text or text not in str(refused.value)


# --- wrapping ---------------------------------------------------------------------------------------------------------


def test_keys_are_wrapped_as_another_implementation_wraps_them() -> None:
    companion, phone = told("wrapped_companion_key"), told("wrapped_phone_key")
    assert len(companion) == WRAPPED_KEY
    assert wrap(COMPANION.public, CODE, salt=companion[:32], iv=companion[32:48]) == companion
    assert unwrap(companion, CODE) == COMPANION.public
    assert unwrap(phone, CODE) == PHONE.public


def test_a_wrong_code_unwraps_to_another_key() -> None:
    wrapped = told("wrapped_companion_key")
    assert unwrap(wrapped, "ABCDEFGJ") != COMPANION.public
    for place in (0, 31, 32, 47, 48, 79):
        assert unwrap(flipped(wrapped, place), CODE) != COMPANION.public


@pytest.mark.parametrize("length", [0, 79, 81])
def test_a_wrapped_key_has_its_length(length: int) -> None:
    with pytest.raises(PairingError) as refused:
        unwrap(bytes(length), CODE)
    assert refused.value.step is PairingStep.FORMAT


# --- the bundle -------------------------------------------------------------------------------------------------------


def opened(bundle: bytes, **other: KeyPair) -> bytes:
    keys = {
        "ephemeral": PHONE,
        "identity": PHONE_ID,
        "companion": COMPANION,
        "companion_identity": COMPANION_ID,
        **other,
    }
    return open_bundle(
        bundle,
        ephemeral=keys["ephemeral"],
        companion_key=keys["companion"].public,
        identity=keys["identity"],
        companion_identity=keys["companion_identity"].public,
    )


def step_of(bundle: bytes, **other: KeyPair) -> PairingStep:
    with pytest.raises(PairingError) as refused:
        opened(bundle, **other)
    return refused.value.step


def test_both_sides_do_as_another_implementation_does() -> None:
    answer = answer_phone(
        REQUEST, told("wrapped_phone_key"), PHONE_ID.public, identity=COMPANION_ID, entropy=told("entropy")
    )
    assert (answer.bundle, answer.adv_secret) == (told("bundle"), told("adv_secret"))
    assert len(answer.bundle) == WRAPPED_BUNDLE
    assert opened(told("bundle")) == told("adv_secret")


def test_a_changed_byte_or_another_key_opens_no_bundle() -> None:
    bundle = told("bundle")
    for place in range(len(bundle)):
        assert step_of(flipped(bundle, place)) is PairingStep.CODE
    assert step_of(bundle, ephemeral=STRANGER) is PairingStep.CODE
    assert step_of(bundle, companion=STRANGER) is PairingStep.CODE


@pytest.mark.parametrize("who", ["identity", "companion_identity"])
def test_a_bundle_for_other_identities_is_refused(who: str) -> None:
    assert step_of(told("bundle"), **{who: STRANGER}) is PairingStep.FORMAT


@pytest.mark.parametrize("length", [0, 155, 157])
def test_a_bundle_has_its_length(length: int) -> None:
    assert step_of(bytes(length)) is PairingStep.FORMAT


def test_a_phone_that_typed_another_code_cannot_open_the_answer() -> None:
    typed = "ABCDEFGJ"
    wrapped = wrap(PHONE.public, typed, salt=dice("salt", 32), iv=dice("iv", 16))
    answer = answer_phone(REQUEST, wrapped, PHONE_ID.public, identity=COMPANION_ID, entropy=dice("entropy", 76))
    companion_key = unwrap(told("wrapped_companion_key"), typed)
    with pytest.raises(PairingError) as refused:
        open_bundle(
            answer.bundle,
            ephemeral=PHONE,
            companion_key=companion_key,
            identity=PHONE_ID,
            companion_identity=COMPANION_ID.public,
        )
    assert refused.value.step is PairingStep.CODE


def test_keys_of_low_order_are_refused() -> None:
    low = wrap(bytes(32), CODE, salt=dice("salt", 32), iv=dice("iv", 16))
    for wrapped, identity in ((low, PHONE_ID.public), (told("wrapped_phone_key"), bytes(32))):
        with pytest.raises(PairingError) as refused:
            answer_phone(REQUEST, wrapped, identity, identity=COMPANION_ID, entropy=bytes(76))
        assert refused.value.step is PairingStep.CODE


@pytest.mark.parametrize(
    ("wrapped", "identity", "entropy"),
    [(bytes(79), bytes(32), 76), (bytes(80), bytes(31), 76), (bytes(80), bytes(32), 75)],
)
def test_what_has_another_length_is_malformed(wrapped: bytes, identity: bytes, entropy: int) -> None:
    with pytest.raises(PairingError) as refused:
        answer_phone(REQUEST, wrapped, identity, identity=COMPANION_ID, entropy=bytes(entropy))
    assert refused.value.step is PairingStep.FORMAT


# --- the request ------------------------------------------------------------------------------------------------------


def test_a_request_takes_its_own_ref_in_its_own_time() -> None:
    REQUEST.check(b"ref", NOW)
    REQUEST.check(b"ref", NOW + 180)
    for ref, now, step in (
        (b"other", NOW, PairingStep.CODE_REF),
        (b"", NOW, PairingStep.CODE_REF),
        (b"ref", NOW + 180.5, PairingStep.CODE_EXPIRED),
    ):
        with pytest.raises(PairingError) as refused:
            REQUEST.check(ref, now)
        assert refused.value.step is step


def test_nothing_secret_is_shown() -> None:
    answer = answer_phone(
        REQUEST, told("wrapped_phone_key"), PHONE_ID.public, identity=COMPANION_ID, entropy=told("entropy")
    )
    for value in (REQUEST, answer):
        assert CODE not in repr(value)
        assert "4915" not in repr(value)
        assert repr(told("adv_secret"))[2:-1] not in repr(value)
