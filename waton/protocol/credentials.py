"""Credentials: the keys a companion device makes for itself, and what pairing adds to them.

A value, not a store: every change makes a new value, which the caller saves in the unit of work that caused it. The
text form (JSON, keys in base64) is what `account.db` holds under `credentials/self`.

Source: Baileys Utils/auth-utils.ts initAuthCreds for what a device needs.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypedDict, Unpack

from waton._core import Jid, x25519_public_key, xeddsa_sign
from waton.errors import StorageError


@dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """An X25519 key pair, 32 bytes each."""

    private: bytes
    public: bytes

    @staticmethod
    def of(private: bytes) -> KeyPair:
        """The pair of a private key."""
        return KeyPair(private, x25519_public_key(private))

    def __repr__(self) -> str:
        return "<KeyPair>"


class CredentialChanges(TypedDict, total=False):
    """What of Credentials may change after they were made."""

    me: Jid | None
    lid: Jid | None
    account: bytes
    platform: str
    push_name: str
    routing_info: bytes
    signed_prekey: KeyPair
    signed_prekey_id: int
    signed_prekey_signature: bytes
    signed_prekey_at: int
    next_prekey_id: int
    prekeys_pending_from: int
    prekeys_pending_until: int
    digest_repaired_at: int
    nct_salt: bytes
    server_has_prekeys: bool
    server_static: bytes
    server_chain: bytes
    adv_secret: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Who this device is."""

    noise_key: KeyPair
    """Proves the device to the server in the handshake."""
    identity_key: KeyPair
    """Proves the device to other people's devices."""
    signed_prekey: KeyPair
    signed_prekey_id: int
    signed_prekey_signature: bytes
    """64 bytes, XEdDSA by the identity key over 05 and the public signed prekey."""
    registration_id: int
    """14 bits, chosen once."""
    adv_secret: bytes
    """32 bytes, shown to the phone in the QR: the key of the pairing's HMAC."""
    next_prekey_id: int = 1
    """The next one-time prekey id to make; ids are never reused."""
    me: Jid | None = None
    """Our device's address by phone number; None until paired."""
    lid: Jid | None = None
    """Our device's LID address."""
    account: bytes = b""
    """ADVSignedDeviceIdentity protobuf: the phone's signature over our identity, and ours."""
    platform: str = ""
    """What the phone says it runs, e.g. android."""
    push_name: str = ""
    routing_info: bytes = b""
    """From the server's edge_routing; said in the next connection's intro."""
    server_has_prekeys: bool = False
    server_static: bytes = b""
    """32 bytes, the server's Noise key as the last full handshake proved it; empty when none is known."""
    server_chain: bytes = b""
    """CertChain protobuf that names it."""
    prekeys_pending_from: int = 0
    """The first of the one-time prekeys that are made and of which the server has not said that it has them."""
    prekeys_pending_until: int = 0
    """The id after the last of them; the same as prekeys_pending_from when there are none."""
    signed_prekey_at: int = 0
    """Unix seconds of when the server took the present signed prekey; 0 when nobody noted it."""
    digest_repaired_at: int = 0
    """Unix seconds of when prekeys were last uploaded because the server's digest was not ours; 0 for never."""
    nct_salt: bytes = b""
    """The key of client tokens (cstoken), from history or app state; empty when none is known."""

    @staticmethod
    def generate(take: Callable[[int], bytes]) -> Credentials:
        """Fresh credentials of an unpaired device. take(n) gives n random bytes."""
        identity = KeyPair.of(take(32))
        signed = KeyPair.of(take(32))
        return Credentials(
            noise_key=KeyPair.of(take(32)),
            identity_key=identity,
            signed_prekey=signed,
            signed_prekey_id=1,
            signed_prekey_signature=xeddsa_sign(identity.private, b"\x05" + signed.public, take(64)),
            registration_id=(int.from_bytes(take(2), "big") % 16380) + 1,
            adv_secret=take(32),
        )

    @property
    def is_paired(self) -> bool:
        return self.me is not None

    def to_json(self) -> bytes:
        """The stored form. Holds private keys."""
        values: dict[str, str | int | bool | None] = {}
        for field in fields(self):
            values[field.name] = _to_plain(getattr(self, field.name))
        return json.dumps(values).encode()

    @staticmethod
    def from_json(data: bytes) -> Credentials:
        """Raises StorageError when the record is damaged."""
        try:
            raw: dict[str, Any] = json.loads(data)
            known = {name: value for name, value in raw.items() if name in _FROM_PLAIN}
            made: dict[str, Any] = {name: _FROM_PLAIN[name](value) for name, value in known.items()}
            return Credentials(**made)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise StorageError("credentials/self") from error

    def evolve(self, **changes: Unpack[CredentialChanges]) -> Credentials:
        """A copy with the given fields changed; None changes nothing."""
        given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
        return replace(self, **given)

    def __repr__(self) -> str:
        return f"<Credentials {'paired as ' + repr(self.me) if self.me else 'unpaired'}>"


def _to_plain(value: object) -> str | int | bool | None:
    match value:
        case KeyPair():
            return b64encode(value.private).decode()
        case bytes():
            return b64encode(value).decode()
        case Jid():
            return str(value)
        case bool() | int() | str() | None:
            return value
        case _:
            raise TypeError(type(value).__name__)


def _jid(text: str | None) -> Jid | None:
    return None if text is None else Jid.parse(text)


def _pair(text: str) -> KeyPair:
    return KeyPair.of(b64decode(text, validate=True))


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


_FROM_PLAIN: dict[str, Callable[[Any], object]] = {
    "noise_key": _pair,
    "identity_key": _pair,
    "signed_prekey": _pair,
    "signed_prekey_id": int,
    "signed_prekey_signature": _bytes,
    "registration_id": int,
    "adv_secret": _bytes,
    "next_prekey_id": int,
    "me": _jid,
    "lid": _jid,
    "account": _bytes,
    "platform": str,
    "push_name": str,
    "routing_info": _bytes,
    "server_has_prekeys": bool,
    "server_static": _bytes,
    "server_chain": _bytes,
    "prekeys_pending_from": int,
    "prekeys_pending_until": int,
    "signed_prekey_at": int,
    "digest_repaired_at": int,
    "nct_salt": _bytes,
}
