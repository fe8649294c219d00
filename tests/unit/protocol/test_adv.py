"""ADV: the phone's word for a companion, and every way in which it is not."""

from __future__ import annotations

import hmac
from dataclasses import replace

import pytest

from tests.unit.protocol.wires import STRANGER, dice, flipped
from waton._core import xeddsa_sign, xeddsa_verify
from waton.errors import InvalidSignature, PairingError, PairingStep
from waton.protocol import proto
from waton.protocol.adv import (
    VerifiedIdentity,
    sign_key_index_list,
    verify_companion,
    verify_device_signature,
    verify_identity,
    vouch,
)
from waton.protocol.credentials import KeyPair

PHONE = KeyPair.of(dice("phone identity", 32))
COMPANION = KeyPair.of(dice("companion identity", 32))
SECRET = dice("adv secret", 32)
SIGN_DICE = dice("device signature", 64)
E2EE, HOSTED = 0, 1

CONTAINER, SIGNED = vouch(
    PHONE,
    companion_identity=COMPANION.public,
    adv_secret=SECRET,
    raw_id=1234567,
    key_index=3,
    timestamp=1_760_000_000,
    entropy=dice("account signature", 64),
)


def verify(container: bytes, *, secret: bytes = SECRET, identity: KeyPair = COMPANION) -> VerifiedIdentity:
    return verify_identity(container, adv_secret=secret, identity=identity, entropy=SIGN_DICE)


def refused_at(container: bytes, *, secret: bytes = SECRET, identity: KeyPair = COMPANION) -> PairingStep:
    with pytest.raises(PairingError) as refused:
        verify(container, secret=secret, identity=identity)
    return refused.value.step


def sealed(signed: bytes, *, account_type: int | None = E2EE, prefix: bytes = b"", secret: bytes = SECRET) -> bytes:
    """A container around any signed identity, with an HMAC that holds."""
    made = proto.ADVSignedDeviceIdentityHMAC(details=signed, hmac=hmac.digest(secret, prefix + signed, "sha256"))
    if account_type is not None:
        made.accountType = account_type
    return made.SerializeToString()


def identity_signed(
    prefix: bytes, *, device_type: int = E2EE, companion: bytes = COMPANION.public, signer: KeyPair = PHONE
) -> bytes:
    """ADVSignedDeviceIdentity as a phone would sign it, with any prefix."""
    details = proto.ADVDeviceIdentity(rawId=1, timestamp=2, keyIndex=4, deviceType=device_type).SerializeToString()
    signature = xeddsa_sign(signer.private, prefix + details + companion, dice("signed by hand", 64))
    return proto.ADVSignedDeviceIdentity(
        details=details, accountSignatureKey=PHONE.public, accountSignature=signature
    ).SerializeToString()


def with_signed(**changes: bytes) -> bytes:
    signed = proto.ADVSignedDeviceIdentity.FromString(SIGNED)
    for name, value in changes.items():
        setattr(signed, name, value)
    return sealed(signed.SerializeToString())


# --- sound ------------------------------------------------------------------------------------------------------------


def test_a_sound_word_verifies_and_is_signed_back() -> None:
    verified = verify(CONTAINER)
    assert (verified.key_index, verified.account_key) == (3, PHONE.public)
    account = proto.ADVSignedDeviceIdentity.FromString(verified.account)
    reply = proto.ADVSignedDeviceIdentity.FromString(verified.reply)
    given = proto.ADVSignedDeviceIdentity.FromString(SIGNED)
    assert (account.details, account.accountSignature) == (given.details, given.accountSignature)
    assert account.accountSignatureKey == PHONE.public
    assert not reply.HasField("accountSignatureKey")
    assert reply.deviceSignature == account.deviceSignature
    message = b"\x06\x01" + given.details + COMPANION.public + PHONE.public
    xeddsa_verify(COMPANION.public, message, account.deviceSignature)
    verify_device_signature(verified.reply, companion_identity=COMPANION.public, account_key=PHONE.public)


def test_what_the_phone_signs_byte_for_byte() -> None:
    container = proto.ADVSignedDeviceIdentityHMAC.FromString(CONTAINER)
    assert container.details == SIGNED
    assert container.hmac == hmac.digest(SECRET, SIGNED, "sha256")
    signed = proto.ADVSignedDeviceIdentity.FromString(SIGNED)
    xeddsa_verify(PHONE.public, b"\x06\x00" + signed.details + COMPANION.public, signed.accountSignature)
    details = proto.ADVDeviceIdentity.FromString(signed.details)
    assert (details.rawId, details.keyIndex, details.timestamp) == (1234567, 3, 1_760_000_000)
    assert not signed.HasField("deviceSignature")


# --- refused ----------------------------------------------------------------------------------------------------------


def test_another_secret_fails_at_the_hmac() -> None:
    assert refused_at(CONTAINER, secret=dice("another secret", 32)) is PairingStep.HMAC


def test_a_word_for_another_device_fails_at_the_account_signature() -> None:
    assert refused_at(CONTAINER, identity=STRANGER) is PairingStep.ACCOUNT_SIGNATURE


def test_another_account_key_fails_at_the_account_signature() -> None:
    # The seal holds, because whoever knows the secret can make one: only the signature stands in the way.
    assert refused_at(with_signed(accountSignatureKey=STRANGER.public)) is PairingStep.ACCOUNT_SIGNATURE


def test_a_signature_by_another_key_fails_at_the_account_signature() -> None:
    forged = identity_signed(b"\x06\x00", signer=STRANGER)
    assert refused_at(sealed(forged)) is PairingStep.ACCOUNT_SIGNATURE


@pytest.mark.parametrize("prefix", [b"", b"\x06\x01", b"\x06\x02", b"\x06\x05", b"\x06\x06"])
def test_a_signature_of_another_kind_fails_at_the_account_signature(prefix: bytes) -> None:
    assert refused_at(sealed(identity_signed(prefix))) is PairingStep.ACCOUNT_SIGNATURE


@pytest.mark.parametrize("part", ["details", "accountSignature", "accountSignatureKey"])
def test_every_byte_under_the_account_signature_counts(part: str) -> None:
    sound: bytes = getattr(proto.ADVSignedDeviceIdentity.FromString(SIGNED), part)
    steps = {refused_at(with_signed(**{part: flipped(sound, place)})) for place in range(len(sound))}
    assert PairingStep.ACCOUNT_SIGNATURE in steps
    assert steps <= {PairingStep.ACCOUNT_SIGNATURE, PairingStep.FORMAT}


def test_every_byte_under_the_seal_counts() -> None:
    container = proto.ADVSignedDeviceIdentityHMAC.FromString(CONTAINER)
    for part in ("details", "hmac"):
        sound = getattr(container, part)
        for place in range(len(sound)):
            changed = proto.ADVSignedDeviceIdentityHMAC.FromString(CONTAINER)
            setattr(changed, part, flipped(sound, place))
            assert refused_at(changed.SerializeToString()) is PairingStep.HMAC


def test_no_flipped_bit_of_the_container_changes_what_is_accepted() -> None:
    # The type of account is outside the seal; a bit of it may turn into a value or field that nobody knows.
    expected, accepted = verify(CONTAINER), []
    for place in range(len(CONTAINER)):
        for bit in range(8):
            try:
                found = verify(flipped(CONTAINER, place, bit))
            except PairingError:
                continue
            assert found == expected
            accepted.append(place)
    assert set(accepted) <= {len(CONTAINER) - 2, len(CONTAINER) - 1}


@pytest.mark.parametrize(
    ("container", "step"),
    [
        (b"\xff\xff", PairingStep.FORMAT),
        (b"", PairingStep.HMAC),
        (sealed(b"\xff\xff"), PairingStep.FORMAT),
        (sealed(b""), PairingStep.FORMAT),
        (with_signed(details=b"\xff\xff"), PairingStep.FORMAT),
        (with_signed(accountSignature=bytes(63)), PairingStep.FORMAT),
        (with_signed(accountSignature=b""), PairingStep.FORMAT),
        (with_signed(accountSignatureKey=bytes(31)), PairingStep.FORMAT),
        (with_signed(accountSignatureKey=b"\x05" + PHONE.public), PairingStep.FORMAT),
        (with_signed(accountSignature=bytes(64)), PairingStep.ACCOUNT_SIGNATURE),
    ],
)
def test_what_is_no_word_is_refused(container: bytes, step: PairingStep) -> None:
    assert refused_at(container) is step


# --- hosted accounts --------------------------------------------------------------------------------------------------


def test_a_hosted_account_has_its_own_prefixes() -> None:
    signed = identity_signed(b"\x06\x05", device_type=HOSTED)
    verified = verify(sealed(signed, account_type=HOSTED, prefix=b"\x06\x05"))
    account = proto.ADVSignedDeviceIdentity.FromString(verified.account)
    xeddsa_verify(
        COMPANION.public, b"\x06\x06" + account.details + COMPANION.public + PHONE.public, account.deviceSignature
    )
    verify_device_signature(verified.reply, companion_identity=COMPANION.public, account_key=PHONE.public)


def test_hosted_prefixes_are_not_interchangeable() -> None:
    hosted = identity_signed(b"\x06\x05", device_type=HOSTED)
    assert refused_at(sealed(hosted, account_type=HOSTED)) is PairingStep.HMAC
    assert refused_at(sealed(hosted, account_type=E2EE, prefix=b"\x06\x05")) is PairingStep.HMAC
    usual_signature = identity_signed(b"\x06\x00", device_type=HOSTED)
    assert refused_at(sealed(usual_signature)) is PairingStep.ACCOUNT_SIGNATURE


def test_a_container_without_an_account_type_is_a_usual_one() -> None:
    assert verify(sealed(SIGNED, account_type=None)).key_index == 3


# --- the device signature ---------------------------------------------------------------------------------------------


def device_refused(reply: bytes, *, companion: bytes = COMPANION.public, account: bytes = PHONE.public) -> PairingStep:
    with pytest.raises(PairingError) as refused:
        verify_device_signature(reply, companion_identity=companion, account_key=account)
    return refused.value.step


def test_a_device_signature_of_others_is_refused() -> None:
    reply = verify(CONTAINER).reply
    assert device_refused(reply, companion=STRANGER.public) is PairingStep.DEVICE_SIGNATURE
    assert device_refused(reply, account=STRANGER.public) is PairingStep.DEVICE_SIGNATURE


def test_a_changed_reply_is_refused() -> None:
    reply = proto.ADVSignedDeviceIdentity.FromString(verify(CONTAINER).reply)
    sound = reply.deviceSignature
    for place in range(len(sound)):
        reply.deviceSignature = flipped(sound, place)
        assert device_refused(reply.SerializeToString()) is PairingStep.DEVICE_SIGNATURE
    for other in (b"", sound[:-1], sound + b"\0", reply.accountSignature):
        reply.deviceSignature = other
        assert device_refused(reply.SerializeToString()) is PairingStep.DEVICE_SIGNATURE
    assert device_refused(b"\xff\xff") is PairingStep.FORMAT
    assert device_refused(SIGNED) is PairingStep.DEVICE_SIGNATURE  # not signed back at all


# --- the list of companions -------------------------------------------------------------------------------------------


def test_the_key_index_list_is_signed_by_the_phone() -> None:
    data = sign_key_index_list(
        PHONE, raw_id=9, timestamp=8, current_index=4, valid_indexes=(0, 3, 4), entropy=dice("list", 64)
    )
    signed = proto.ADVSignedKeyIndexList.FromString(data)
    details = proto.ADVKeyIndexList.FromString(signed.details)
    assert (details.rawId, details.timestamp, details.currentIndex) == (9, 8, 4)
    assert list(details.validIndexes) == [0, 3, 4]
    assert signed.accountSignatureKey == PHONE.public
    xeddsa_verify(PHONE.public, b"\x06\x02" + signed.details, signed.accountSignature)
    with pytest.raises(InvalidSignature):
        xeddsa_verify(PHONE.public, b"\x06\x00" + signed.details, signed.accountSignature)


def test_what_was_verified_shows_nothing() -> None:
    verified = verify(CONTAINER)
    assert PHONE.public.hex() not in repr(verified)
    assert repr(PHONE.public) not in repr(replace(verified, key_index=5))


def test_a_companion_its_phone_stands_for_verifies() -> None:
    account = verify(CONTAINER).account
    verify_companion(account, companion_identity=COMPANION.public, account_key=PHONE.public)


@pytest.mark.parametrize("kept", ["accountSignatureKey", "nothing"])
def test_the_key_inside_says_nothing(kept: str) -> None:
    signed = proto.ADVSignedDeviceIdentity.FromString(verify(CONTAINER).account)
    signed.accountSignatureKey = STRANGER.public
    if kept == "nothing":
        signed.ClearField("accountSignatureKey")
    verify_companion(signed.SerializeToString(), companion_identity=COMPANION.public, account_key=PHONE.public)


@pytest.mark.parametrize(
    ("companion", "account"),
    [(STRANGER.public, PHONE.public), (COMPANION.public, STRANGER.public), (PHONE.public, COMPANION.public)],
)
def test_a_companion_of_another_phone_or_with_another_key_does_not(companion: bytes, account: bytes) -> None:
    with pytest.raises(InvalidSignature):
        verify_companion(verify(CONTAINER).account, companion_identity=companion, account_key=account)


def test_no_changed_byte_of_a_companion_s_word_verifies() -> None:
    account = verify(CONTAINER).account
    signed = proto.ADVSignedDeviceIdentity.FromString(account)
    inside = [signed.details, signed.accountSignature, signed.deviceSignature]
    places = [account.index(part) + place for part in inside for place in range(len(part))]
    for place in places:
        with pytest.raises(InvalidSignature):
            verify_companion(flipped(account, place), companion_identity=COMPANION.public, account_key=PHONE.public)


@pytest.mark.parametrize("vouched", [b"", b"\xff\xff", b"\x0a\x02\xff\xff"])
def test_what_is_no_word_at_all_does_not_verify(vouched: bytes) -> None:
    with pytest.raises(InvalidSignature):
        verify_companion(vouched, companion_identity=COMPANION.public, account_key=PHONE.public)
