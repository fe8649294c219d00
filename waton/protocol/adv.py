"""ADV: how a phone vouches for a companion device, and how everyone checks it.

The phone signs the companion's identity key with its own (the account signature) and seals that with an HMAC under the
secret from the QR; the companion checks both and signs back (the device signature). Prefix bytes keep the two kinds of
signature, and hosted accounts, apart. Every check raises; none returns a bool.

Source: Baileys Utils/validate-connection.ts, whatsmeow pair.go (constants and order).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import DecodeError as ProtobufError

from waton._core import xeddsa_sign, xeddsa_verify
from waton.errors import DecodeError, InvalidSignature, PairingError, PairingStep
from waton.protocol import proto
from waton.protocol.credentials import KeyPair

_ACCOUNT_PREFIX = b"\x06\x00"
_DEVICE_PREFIX = b"\x06\x01"
_KEY_INDEX_PREFIX = b"\x06\x02"
_HOSTED_ACCOUNT_PREFIX = b"\x06\x05"
_HOSTED_DEVICE_PREFIX = b"\x06\x06"
_M = TypeVar("_M", proto.ADVSignedDeviceIdentityHMAC, proto.ADVSignedDeviceIdentity, proto.ADVDeviceIdentity)
_E2EE = proto.ADVEncryptionType.Value("E2EE")
_HOSTED = proto.ADVEncryptionType.Value("HOSTED")


@dataclass(frozen=True, slots=True, repr=False)
class VerifiedIdentity:
    """What a verified pair-success gives."""

    key_index: int
    account_key: bytes
    """32 bytes: the phone's identity key."""
    account: bytes
    """ADVSignedDeviceIdentity, complete, with our device signature: goes with every pkmsg we send."""
    reply: bytes
    """The same without the account key: what pair-device-sign carries."""


def verify_identity(container: bytes, *, adv_secret: bytes, identity: KeyPair, entropy: bytes) -> VerifiedIdentity:
    """Check the phone's word for us and sign back.

    Args:
        container: ADVSignedDeviceIdentityHMAC protobuf, the content of <device-identity>.
        adv_secret: 32 bytes, the secret our QR showed.
        identity: our identity key.
        entropy: 64 bytes, for our signature.
    Raises:
        PairingError: FORMAT, HMAC or ACCOUNT_SIGNATURE.
    """
    sealed = _parse(proto.ADVSignedDeviceIdentityHMAC, container)
    prefix = _HOSTED_ACCOUNT_PREFIX if sealed.accountType == _HOSTED else b""
    expected = hmac.digest(adv_secret, prefix + sealed.details, "sha256")
    if not hmac.compare_digest(expected, sealed.hmac):
        raise PairingError(PairingStep.HMAC)
    signed = _parse(proto.ADVSignedDeviceIdentity, sealed.details)
    details = _parse(proto.ADVDeviceIdentity, signed.details)
    if len(signed.accountSignatureKey) != 32 or len(signed.accountSignature) != 64:
        raise PairingError(PairingStep.FORMAT)
    hosted = details.deviceType == _HOSTED
    message = (_HOSTED_ACCOUNT_PREFIX if hosted else _ACCOUNT_PREFIX) + signed.details + identity.public
    try:
        xeddsa_verify(signed.accountSignatureKey, message, signed.accountSignature)
    except InvalidSignature as error:
        raise PairingError(PairingStep.ACCOUNT_SIGNATURE) from error
    signed.deviceSignature = xeddsa_sign(identity.private, _device_message(signed, identity.public, hosted), entropy)
    account = signed.SerializeToString()
    account_key = signed.accountSignatureKey
    signed.ClearField("accountSignatureKey")
    return VerifiedIdentity(details.keyIndex, account_key, account, signed.SerializeToString())


def vouch(
    account: KeyPair,
    *,
    companion_identity: bytes,
    adv_secret: bytes,
    raw_id: int,
    key_index: int,
    timestamp: int,
    entropy: bytes,
) -> tuple[bytes, bytes]:
    """The phone's part: (container for <device-identity>, the signed identity inside it).

    Args:
        account: the phone's identity key.
        companion_identity: 32 bytes, from the QR.
        adv_secret: 32 bytes, from the QR.
        raw_id: the account's registration, constant over its life.
        key_index: this companion's place in the account's key-index list, from 1.
        timestamp: Unix seconds.
        entropy: 64 bytes.
    """
    details = proto.ADVDeviceIdentity(
        rawId=raw_id, timestamp=timestamp, keyIndex=key_index, accountType=_E2EE, deviceType=_E2EE
    ).SerializeToString()
    signature = xeddsa_sign(account.private, _ACCOUNT_PREFIX + details + companion_identity, entropy)
    signed = proto.ADVSignedDeviceIdentity(
        details=details, accountSignatureKey=account.public, accountSignature=signature
    ).SerializeToString()
    seal = hmac.digest(adv_secret, signed, "sha256")
    container = proto.ADVSignedDeviceIdentityHMAC(details=signed, hmac=seal, accountType=_E2EE)
    return container.SerializeToString(), signed


def verify_device_signature(reply: bytes, *, companion_identity: bytes, account_key: bytes) -> None:
    """The server's and the phone's check of pair-device-sign. Raises PairingError(DEVICE_SIGNATURE or FORMAT)."""
    signed = _parse(proto.ADVSignedDeviceIdentity, reply)
    details = _parse(proto.ADVDeviceIdentity, signed.details)
    signed.accountSignatureKey = account_key
    try:
        xeddsa_verify(
            companion_identity,
            _device_message(signed, companion_identity, details.deviceType == _HOSTED),
            signed.deviceSignature,
        )
    except (InvalidSignature, ValueError) as error:
        raise PairingError(PairingStep.DEVICE_SIGNATURE) from error


def verify_companion(vouched: bytes, *, companion_identity: bytes, account_key: bytes) -> None:
    """Check that a phone vouches for a companion, and the companion for itself: before anything is encrypted for it.

    Args:
        vouched: ADVSignedDeviceIdentity protobuf, the <device-identity> of a bundle or of an opening message.
        companion_identity: 32 bytes, the identity key that the bundle or message comes with.
        account_key: 32 bytes, the identity key of the phone as we know it; the one inside is not looked at.
    Raises:
        InvalidSignature: the phone's or the companion's signature does not verify.
    Source: whatsapp-rust wacore/src/adv.rs. Baileys and whatsmeow pass it on unread.
    """
    try:
        signed = _parse(proto.ADVSignedDeviceIdentity, vouched)
        details = _parse(proto.ADVDeviceIdentity, signed.details)
    except PairingError as error:
        raise InvalidSignature("device identity") from error
    hosted = details.deviceType == _HOSTED
    prefix = _HOSTED_ACCOUNT_PREFIX if hosted else _ACCOUNT_PREFIX
    signed.accountSignatureKey = account_key
    try:
        xeddsa_verify(account_key, prefix + signed.details + companion_identity, signed.accountSignature)
        xeddsa_verify(companion_identity, _device_message(signed, companion_identity, hosted), signed.deviceSignature)
    except (InvalidSignature, ValueError) as error:
        raise InvalidSignature("device identity") from error


def sign_key_index_list(
    account: KeyPair, *, raw_id: int, timestamp: int, current_index: int, valid_indexes: Iterable[int], entropy: bytes
) -> bytes:
    """ADVSignedKeyIndexList: the phone's list of companions that count, for usync. entropy: 64 bytes."""
    details = proto.ADVKeyIndexList(
        rawId=raw_id,
        timestamp=timestamp,
        currentIndex=current_index,
        validIndexes=list(valid_indexes),
        accountType=_E2EE,
    ).SerializeToString()
    signature = xeddsa_sign(account.private, _KEY_INDEX_PREFIX + details, entropy)
    return proto.ADVSignedKeyIndexList(
        details=details, accountSignature=signature, accountSignatureKey=account.public
    ).SerializeToString()


@dataclass(frozen=True, slots=True)
class KeyIndexList:
    """A phone's list of the companions that count, as it stands in its signed form."""

    raw_id: int
    """The account's registration: another one means that the account was registered anew."""
    timestamp: int
    """Unix seconds of the signing."""
    current_index: int
    """The newest companion that the phone knew of."""
    valid_indexes: frozenset[int]
    account_key: bytes = b""
    """32 bytes, the key that the list itself names; empty when it names none."""

    def holds(self, key_index: int | None) -> bool:
        """Whether a companion with this key index counts: it is listed, or was linked after the list was signed.

        Source: whatsapp-rust wacore/src/adv.rs, from the web client.
        """
        return key_index is not None and (key_index in self.valid_indexes or key_index > self.current_index)


def read_key_index_list(signed: bytes) -> KeyIndexList:
    """What an ADVSignedKeyIndexList says, whoever signed it. Raises DecodeError."""
    try:
        outer = proto.ADVSignedKeyIndexList.FromString(signed)
        details = proto.ADVKeyIndexList.FromString(outer.details)
    except ProtobufError as error:
        raise DecodeError(0, signed, "key index list") from error
    if not details.HasField("rawId") or not details.HasField("timestamp"):
        raise DecodeError(0, signed, "key index list")
    return KeyIndexList(
        details.rawId,
        details.timestamp,
        details.currentIndex,
        frozenset(details.validIndexes),
        outer.accountSignatureKey,
    )


def verify_key_index_list(signed: bytes, account_key: bytes) -> KeyIndexList:
    """Check that an account's phone signed a key index list.

    Guess: hosted accounts sign it with the same prefix. A captured list of one would settle it.

    Args:
        signed: ADVSignedKeyIndexList protobuf.
        account_key: 32 bytes, the identity key of the account's phone (device 0).
    Raises:
        DecodeError: it does not parse.
        InvalidSignature: somebody else signed it, or something else.
    """
    found = read_key_index_list(signed)
    outer = proto.ADVSignedKeyIndexList.FromString(signed)
    if len(account_key) != 32 or len(outer.accountSignature) != 64:
        raise InvalidSignature("the key index list")
    try:
        xeddsa_verify(account_key, _KEY_INDEX_PREFIX + outer.details, outer.accountSignature)
    except InvalidSignature as error:
        raise InvalidSignature("the key index list") from error
    return found


def _device_message(signed: proto.ADVSignedDeviceIdentity, companion: bytes, hosted: bool) -> bytes:
    prefix = _HOSTED_DEVICE_PREFIX if hosted else _DEVICE_PREFIX
    return prefix + signed.details + companion + signed.accountSignatureKey


def _parse(kind: type[_M], data: bytes) -> _M:
    try:
        return kind.FromString(data)
    except ProtobufError as error:
        raise PairingError(PairingStep.FORMAT) from error
