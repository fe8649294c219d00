"""Signal sessions as pure steps over records, for the client and for the lab's phones alike.

A step takes records and dice and gives new records; who calls it loads and commits. Nothing here changes anything in
place, so a step that raises has no effect.

Trust on first use: the first identity key seen of a device is taken. A message that comes with another one is first
authenticated with it, and only then refused as `UntrustedIdentity`, so that a forged prekey message can neither erase a
session nor pretend that a contact has changed phones.

Source: Baileys Signal/libsignal.ts and facts on its weak spots; Signal's X3DH and Double Ratchet (in `waton._core`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from waton._core import (
    PreKeyBundle,
    PreKeyMessage,
    session_decrypt,
    session_decrypt_prekey,
    session_encrypt,
    session_initiate,
)
from waton.errors import DecryptError, DecryptReason, RemoteProtocolError, UntrustedIdentity
from waton.jid import Jid
from waton.protocol.binary_node import Node, content_bytes, require_child
from waton.protocol.credentials import Credentials

_KEY_TYPE = 5


class EncType(StrEnum):
    """The type attribute of an <enc>."""

    PKMSG = "pkmsg"
    MSG = "msg"
    SKMSG = "skmsg"
    MSMSG = "msmsg"


@dataclass(frozen=True, slots=True, repr=False)
class LocalIdentity:
    """Our side of every session."""

    private: bytes
    """32 bytes."""
    public: bytes
    """32 bytes."""
    registration_id: int

    @staticmethod
    def of(credentials: Credentials) -> LocalIdentity:
        """The identity of a device's credentials."""
        identity = credentials.identity_key
        return LocalIdentity(identity.private, identity.public, credentials.registration_id)


@dataclass(frozen=True, slots=True, repr=False)
class PreKeyLookup:
    """The private prekeys that a pkmsg names, None where we do not have them."""

    signed_prekey_private: bytes | None
    prekey_private: bytes | None


@dataclass(frozen=True, slots=True, repr=False)
class Encrypted:
    """One step out."""

    record: bytes
    type: EncType
    ciphertext: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Decrypted:
    """One step in."""

    record: bytes
    plaintext: bytes
    """Still padded."""
    identity_key: bytes | None
    """32 bytes: the identity the message came with, when it was a pkmsg."""
    spent_prekey_id: int | None
    """The one-time prekey to delete, when the message opened a session with one."""


def encrypt(record: bytes, plaintext: bytes) -> Encrypted:
    """Encrypt with the record's current session. Raises DecryptError(NO_SESSION) when it has none."""
    new, type, ciphertext = session_encrypt(record, plaintext)
    return Encrypted(new, EncType(type), ciphertext)


def open_session(record: bytes | None, bundle: PreKeyBundle, local: LocalIdentity, *, entropy: bytes) -> bytes:
    """A record whose current session is fresh. entropy: 64 bytes. Raises InvalidSignature."""
    return session_initiate(
        record or b"",
        bundle,
        identity_private=local.private,
        identity_public=local.public,
        registration_id=local.registration_id,
        entropy=entropy,
    )


def decrypt(
    type: EncType,
    ciphertext: bytes,
    *,
    record: bytes | None,
    local: LocalIdentity,
    keys: PreKeyLookup | None,
    trusted_identity: bytes | None,
    sender: Jid,
    entropy: bytes,
) -> Decrypted:
    """Decrypt one ciphertext.

    Args:
        type: PKMSG or MSG; the others are not sessions.
        ciphertext: the content of <enc>.
        record: the sender's record, None when there is none.
        local: our side.
        keys: what a pkmsg names; see PreKeyMessage.parse.
        trusted_identity: the sender's identity key as first seen, None when new.
        sender: for the error.
        entropy: 32 bytes.
    Raises:
        DecryptError, DecodeError: it cannot be read.
        UntrustedIdentity: it verifies under another identity key than the trusted one.
    """
    if type is EncType.MSG:
        if record is None:
            raise DecryptError(DecryptReason.NO_SESSION, sender)
        new, plaintext = session_decrypt(record, ciphertext, entropy=entropy)
        return Decrypted(new, plaintext, None, None)
    if type is not EncType.PKMSG:
        raise DecryptError(DecryptReason.UNSUPPORTED, sender)
    named = PreKeyMessage.parse(ciphertext)
    keys = keys or PreKeyLookup(None, None)
    new, plaintext, opened = session_decrypt_prekey(
        record or b"",
        ciphertext,
        identity_private=local.private,
        identity_public=local.public,
        registration_id=local.registration_id,
        signed_prekey_private=keys.signed_prekey_private,
        prekey_private=keys.prekey_private,
        entropy=entropy,
    )
    if trusted_identity is not None and trusted_identity != named.identity_key:
        raise UntrustedIdentity(sender, trusted_identity, named.identity_key)
    return Decrypted(new, plaintext, named.identity_key, named.prekey_id if opened else None)


def bundle_from_node(user: Node) -> PreKeyBundle:
    """The bundle in a <user> of an `encrypt get key` answer.

    Raises:
        RemoteProtocolError: (StanzaError) it holds an error, or lacks a part, or a key is of the wrong size or type.
    """
    kind = user.child("type")
    if kind is not None and content_bytes(kind) != bytes([_KEY_TYPE]):
        raise RemoteProtocolError("a public key of an unknown size or type")
    signed = require_child(user, "skey")
    once = user.child("key")
    return PreKeyBundle(
        registration_id=int.from_bytes(content_bytes(require_child(user, "registration"), 4), "big"),
        identity_key=_public_key(require_child(user, "identity")),
        signed_prekey_id=_id(signed),
        signed_prekey=_public_key(require_child(signed, "value")),
        signed_prekey_signature=content_bytes(require_child(signed, "signature"), 64),
        prekey_id=None if once is None else _id(once),
        prekey=None if once is None else _public_key(require_child(once, "value")),
    )


def _id(key: Node) -> int:
    return int.from_bytes(content_bytes(require_child(key, "id"), 3), "big")


def _public_key(node: Node) -> bytes:
    """32 bytes; some answers carry the type byte in front."""
    key = content_bytes(node)
    if len(key) == 33 and key[0] == _KEY_TYPE:
        key = key[1:]
    if len(key) != 32:
        raise RemoteProtocolError("a public key of an unknown size or type")
    return key
