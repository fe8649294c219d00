"""A device's credentials for both sides, from the same private keys."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from waton.protocol.credentials import Credentials

Value: TypeAlias = Any


class Dice:
    """The oracle's dice, for our side: from the beginning, and over again."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        places = range(self._place, self._place + count)
        self._place += count
        return bytes(self._data[place % len(self._data)] for place in places)


def key_pair(private: bytes) -> dict[str, bytes]:
    """Both halves, as Baileys holds them."""
    from waton.protocol.credentials import KeyPair

    pair = KeyPair.of(private)
    return {"private": pair.private, "public": pair.public}


def signature(value: Value) -> bytes:
    """The identity's signature over 05 and the public signed prekey."""
    from waton._core import xeddsa_sign

    message = b"\x05" + key_pair(value["signed"])["public"]
    return xeddsa_sign(value["identity"], message, value["entropy"])


def ours(value: Value) -> Credentials:
    """The device that `generators.credentials` describes, as ours."""
    from waton.protocol.credentials import Credentials, KeyPair

    return Credentials(
        noise_key=KeyPair.of(value["noise"]),
        identity_key=KeyPair.of(value["identity"]),
        signed_prekey=KeyPair.of(value["signed"]),
        signed_prekey_id=value["signed_id"],
        signed_prekey_signature=signature(value),
        registration_id=value["registration"],
        adv_secret=value["secret"],
    )


def theirs(value: Value) -> dict[str, Value]:
    """The same device, as Baileys' credentials."""
    return {
        "noiseKey": key_pair(value["noise"]),
        "signedIdentityKey": key_pair(value["identity"]),
        "signedPreKey": {
            "keyPair": key_pair(value["signed"]),
            "signature": signature(value),
            "keyId": value["signed_id"],
        },
        "registrationId": value["registration"],
        "advSecretKey": b64encode(value["secret"]).decode(),
        "nextPreKeyId": 1,
        "firstUnuploadedPreKeyId": 1,
        "signalIdentities": [],
    }
