"""Credentials: what a device makes for itself, its stored form, and what never shows."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.protocol.wires import Dice, dice
from waton._core import x25519_public_key, xeddsa_verify
from waton.errors import StorageError
from waton.jid import Jid
from waton.protocol.credentials import Credentials, KeyPair

FRESH = Credentials.generate(Dice("credentials").take)
PAIRED = FRESH.evolve(
    me=Jid.parse("4915000000001:4@s.whatsapp.net"),
    lid=Jid.parse("77000000000001:4@lid"),
    account=b"vouched",
    platform="android",
    push_name="Ada",
    routing_info=b"\x01\x02",
    next_prekey_id=813,
    server_has_prekeys=True,
    server_static=dice("server", 32),
    server_chain=b"\x0a\x01\x00",
)


def test_fresh_credentials_come_from_the_dice_alone() -> None:
    assert Credentials.generate(Dice("credentials").take) == FRESH
    other = Credentials.generate(Dice("other").take)
    for name in ("noise_key", "identity_key", "signed_prekey", "adv_secret", "signed_prekey_signature"):
        assert getattr(other, name) != getattr(FRESH, name)


def test_every_key_has_its_own_dice() -> None:
    keys = [FRESH.noise_key.private, FRESH.identity_key.private, FRESH.signed_prekey.private, FRESH.adv_secret]
    assert len(set(keys)) == 4
    assert {len(key) for key in keys} == {32}
    for pair in (FRESH.noise_key, FRESH.identity_key, FRESH.signed_prekey):
        assert pair.public == x25519_public_key(pair.private)


def test_the_signed_prekey_is_signed_by_the_identity() -> None:
    signed = b"\x05" + FRESH.signed_prekey.public
    xeddsa_verify(FRESH.identity_key.public, signed, FRESH.signed_prekey_signature)


@pytest.mark.parametrize(
    ("dice_bytes", "id"), [(b"\0\0", 1), (b"\x3f\xfb", 16380), (b"\x3f\xfc", 1), (b"\xff\xff", 16)]
)
def test_registration_ids_are_from_1_to_16380(dice_bytes: bytes, id: int) -> None:
    made = Credentials.generate(lambda count: dice_bytes if count == 2 else dice("x", count))
    assert made.registration_id == id


def test_fresh_credentials_are_unpaired() -> None:
    assert not FRESH.is_paired
    assert (FRESH.me, FRESH.lid, FRESH.account, FRESH.next_prekey_id) == (None, None, b"", 1)
    assert PAIRED.is_paired


def test_evolve_changes_what_it_is_told_and_nothing_else() -> None:
    assert FRESH.evolve() == FRESH
    changed = PAIRED.evolve(push_name="Bea")
    assert changed.push_name == "Bea"
    assert changed.evolve(push_name="Ada") == PAIRED
    assert PAIRED.evolve(server_has_prekeys=False).server_has_prekeys is False
    assert PAIRED.evolve(account=b"").account == b""


@pytest.mark.parametrize("credentials", [FRESH, PAIRED], ids=["fresh", "paired"])
def test_the_stored_form_reads_back_equal(credentials: Credentials) -> None:
    stored = credentials.to_json()
    assert Credentials.from_json(stored) == credentials
    assert Credentials.from_json(stored).to_json() == stored


def test_the_stored_form_is_json_with_keys_in_base64() -> None:
    values = json.loads(PAIRED.to_json())
    assert values["noise_key"] == b64encode(PAIRED.noise_key.private).decode()
    assert values["me"] == "4915000000001:4@s.whatsapp.net"
    assert json.loads(FRESH.to_json())["me"] is None


def test_fields_of_a_later_version_are_passed_over() -> None:
    values = json.loads(PAIRED.to_json()) | {"of_a_later_version": [1, 2]}
    assert Credentials.from_json(json.dumps(values).encode()) == PAIRED


def changed(**values: object) -> bytes:
    return json.dumps(json.loads(PAIRED.to_json()) | values).encode()


def lacking(name: str) -> bytes:
    values: dict[str, Any] = json.loads(PAIRED.to_json())
    del values[name]
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"null",
        b'"text"',
        b"{}",
        PAIRED.to_json()[:-5],
        lacking("noise_key"),
        lacking("registration_id"),
        changed(noise_key="not base64!"),
        changed(noise_key=b64encode(bytes(31)).decode()),
        changed(noise_key=None),
        changed(identity_key=5),
        changed(registration_id="many"),
        changed(registration_id=float("inf")),
        changed(registration_id=None),
        changed(me="4915000000001:x@s.whatsapp.net"),
        changed(me=""),
        changed(me=12),
        changed(account=[1]),
        changed(adv_secret="%%%%"),
    ],
)
def test_a_damaged_record_is_a_storage_error(stored: bytes) -> None:
    with pytest.raises(StorageError) as refused:
        Credentials.from_json(stored)
    assert refused.value.key == "credentials/self"
    assert b64encode(PAIRED.noise_key.private).decode() not in str(refused.value)


@pytest.mark.parametrize("show", [repr, str, lambda value: f"{value!r:>5}"])
def test_no_key_and_no_number_is_shown(show: Callable[[object], str]) -> None:
    told = show(PAIRED) + show(PAIRED.noise_key)
    for secret in (
        PAIRED.noise_key.private,
        PAIRED.identity_key.private,
        PAIRED.signed_prekey.private,
        PAIRED.adv_secret,
    ):
        for form in (secret.hex(), b64encode(secret).decode(), repr(secret)):
            assert form not in told
    assert "4915000000001" not in told
    assert "paired" in told


def test_a_key_pair_needs_32_bytes() -> None:
    for length in (0, 31, 33):
        with pytest.raises(ValueError):
            KeyPair.of(bytes(length))
