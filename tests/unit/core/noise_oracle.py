"""WhatsApp's Noise a second time (XX, IK, XXfallback), from the protocol's description and on OpenSSL's primitives.

Ours is held against it; it shares nothing with the extension. h and ck begin as the padded name, or as the hash of a
name that is longer; mixHash is SHA-256(h || data); mixKey is HKDF-SHA256(salt ck, ikm the shared secret, no info, 64
bytes) and sets the counter back; AES-256-GCM under k with 8 zero bytes and a 32-bit big-endian counter, associated data
h; an empty payload that is not encrypted is left out.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def name_of(pattern: str) -> bytes:
    """What h and ck begin as."""
    name = f"Noise_{pattern}_25519_AESGCM_SHA256".encode()
    return name.ljust(32, b"\0") if len(name) <= 32 else hashlib.sha256(name).digest()


def hkdf(salt: bytes, key: bytes, length: int, info: bytes = b"") -> bytes:
    """RFC 5869, written out."""
    secret = hmac.digest(salt or bytes(32), key, "sha256")
    out = block = b""
    for number in range(1, -(-length // 32) + 1):
        block = hmac.digest(secret, block + info + bytes([number]), "sha256")
        out += block
    return out[:length]


def public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def agree(private: bytes, other: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(other))


class Side:
    """One side's symmetric state and keys."""

    def __init__(self, prologue: bytes, static: bytes, ephemeral: bytes, pattern: str = "XX") -> None:
        self.h = self.ck = name_of(pattern)
        self.key, self.counter = bytes(32), 0
        self.static, self.ephemeral = static, ephemeral
        self.mix_hash(prologue)

    def mix_hash(self, data: bytes) -> None:
        self.h = hashlib.sha256(self.h + data).digest()

    def mix_key(self, shared: bytes) -> None:
        out = hkdf(self.ck, shared, 64)
        self.ck, self.key, self.counter = out[:32], out[32:], 0

    def iv(self) -> bytes:
        iv = bytes(8) + self.counter.to_bytes(4, "big")
        self.counter += 1
        return iv

    def seal(self, plaintext: bytes) -> bytes:
        sealed = AESGCM(self.key).encrypt(self.iv(), plaintext, self.h)
        self.mix_hash(sealed)
        return sealed

    def open(self, sealed: bytes) -> bytes:
        plaintext = AESGCM(self.key).decrypt(self.iv(), sealed, self.h)
        self.mix_hash(sealed)
        return plaintext

    def transport_keys(self) -> tuple[bytes, bytes]:
        """Client to server, server to client."""
        out = hkdf(self.ck, b"", 64)
        return out[:32], out[32:]


class Client(Side):
    """The opening side."""

    def hello(self) -> bytes:
        self.mix_hash(public(self.ephemeral))
        return public(self.ephemeral)

    def read_answer(self, message: bytes) -> tuple[bytes, bytes]:
        """The server's static key and payload."""
        server_ephemeral = message[:32]
        self.mix_hash(server_ephemeral)
        self.mix_key(agree(self.ephemeral, server_ephemeral))
        server_static = self.open(message[32:80])
        self.mix_key(agree(self.ephemeral, server_static))
        self.server_ephemeral = server_ephemeral
        return server_static, self.open(message[80:])

    def finish(self, payload: bytes) -> bytes:
        sealed = self.seal(public(self.static))
        self.mix_key(agree(self.static, self.server_ephemeral))
        return sealed + self.seal(payload)


class Server(Side):
    """The answering side."""

    def read_hello(self, message: bytes) -> None:
        self.client_ephemeral = message
        self.mix_hash(message)

    def answer(self, payload: bytes) -> bytes:
        self.mix_hash(public(self.ephemeral))
        self.mix_key(agree(self.ephemeral, self.client_ephemeral))
        sealed = self.seal(public(self.static))
        self.mix_key(agree(self.static, self.client_ephemeral))
        return public(self.ephemeral) + sealed + self.seal(payload)

    def read_finish(self, message: bytes) -> tuple[bytes, bytes]:
        """The client's static key and payload."""
        client_static = self.open(message[:48])
        self.mix_key(agree(self.ephemeral, client_static))
        return client_static, self.open(message[48:])


class ResumingClient(Side):
    """The opening side of IK."""

    def __init__(self, prologue: bytes, static: bytes, ephemeral: bytes, server_static: bytes) -> None:
        super().__init__(prologue, static, ephemeral, "IK")
        self.server_static = server_static
        self.mix_hash(server_static)

    def hello(self, payload: bytes) -> bytes:
        self.mix_hash(public(self.ephemeral))
        self.mix_key(agree(self.ephemeral, self.server_static))
        sealed = self.seal(public(self.static))
        self.mix_key(agree(self.static, self.server_static))
        return public(self.ephemeral) + sealed + self.seal(payload)

    def read_answer(self, message: bytes) -> bytes:
        """The server's payload."""
        self.mix_hash(message[:32])
        self.mix_key(agree(self.ephemeral, message[:32]))
        self.mix_key(agree(self.static, message[:32]))
        return self.open(message[32:])


class ResumingServer(Side):
    """The answering side of IK."""

    def __init__(self, prologue: bytes, static: bytes, ephemeral: bytes) -> None:
        super().__init__(prologue, static, ephemeral, "IK")
        self.mix_hash(public(static))

    def read_hello(self, message: bytes) -> tuple[bytes, bytes]:
        """The client's static key and payload."""
        self.client_ephemeral = message[:32]
        self.mix_hash(self.client_ephemeral)
        self.mix_key(agree(self.static, self.client_ephemeral))
        self.client_static = self.open(message[32:80])
        self.mix_key(agree(self.static, self.client_static))
        return self.client_static, self.open(message[80:])

    def answer(self, payload: bytes) -> bytes:
        self.mix_hash(public(self.ephemeral))
        self.mix_key(agree(self.ephemeral, self.client_ephemeral))
        self.mix_key(agree(self.ephemeral, self.client_static))
        return public(self.ephemeral) + self.seal(payload)
