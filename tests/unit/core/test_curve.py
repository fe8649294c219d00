"""X25519, XEdDSA and HKDF against published vectors and signatures that other implementations made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from waton._core import hkdf_sha256, x25519, x25519_public_key, xeddsa_sign, xeddsa_verify
from waton.errors import InvalidSignature, RemoteProtocolError

FOLDER = Path(__file__).parents[2] / "vectors"
CURVE = json.loads((FOLDER / "curve.json").read_text("utf-8"))
SIGNATURES = json.loads((FOLDER / "xeddsa.json").read_text("utf-8"))["cases"]
ORDER = 2**252 + 27742317777372353535851937790883648493

keys = st.binary(min_size=32, max_size=32)
hexed = bytes.fromhex


def parts(case: dict[str, str]) -> tuple[bytes, bytes, bytes]:
    """Public key, message, signature."""
    return hexed(case["public"]), hexed(case["message"]), hexed(case["signature"])


@pytest.mark.parametrize("case", CURVE["x25519"], ids=[case["name"] for case in CURVE["x25519"]])
def test_x25519_vectors(case: dict[str, str]) -> None:
    assert x25519(hexed(case["private"]), hexed(case["public"])).hex() == case["shared"]


def test_public_key_vectors() -> None:
    for case in CURVE["public_keys"]:
        assert x25519_public_key(hexed(case["private"])).hex() == case["public"]


@pytest.mark.parametrize("point", CURVE["low_order"])
def test_points_of_low_order_are_refused(point: str) -> None:
    with pytest.raises(RemoteProtocolError):
        x25519(bytes([7]) * 32, hexed(point))


@given(keys, keys)
def test_x25519_is_openssls(private: bytes, other: bytes) -> None:
    theirs = X25519PrivateKey.from_private_bytes(private)
    assert x25519_public_key(private) == theirs.public_key().public_bytes_raw()
    public = x25519_public_key(other)
    assert x25519(private, public) == theirs.exchange(X25519PublicKey.from_public_bytes(public))


@given(keys, keys)
def test_any_32_bytes_are_a_public_key(private: bytes, public: bytes) -> None:
    """On the curve or on its twist, with the top bit set or not; OpenSSL refuses the same ones."""
    try:
        shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        with pytest.raises(RemoteProtocolError):
            x25519(private, public)
        return
    assert x25519(private, public) == shared


@pytest.mark.parametrize("case", CURVE["hkdf"], ids=[case["name"] for case in CURVE["hkdf"]])
def test_hkdf_vectors(case: dict[str, str]) -> None:
    out = hkdf_sha256(hexed(case["key"]), len(case["out"]) // 2, hexed(case["info"]), hexed(case["salt"]))
    assert out.hex() == case["out"]


@given(st.binary(max_size=100), st.integers(1, 300), st.binary(max_size=100), st.binary(max_size=100))
def test_hkdf_is_openssls(key: bytes, length: int, info: bytes, salt: bytes) -> None:
    theirs = HKDF(hashes.SHA256(), length, salt or None, info).derive(key)
    assert hkdf_sha256(key, length, info=info, salt=salt) == theirs


def test_hkdf_has_an_end() -> None:
    assert len(hkdf_sha256(b"key", 8160)) == 8160
    with pytest.raises(ValueError, match="8160"):
        hkdf_sha256(b"key", 8161)
    assert hkdf_sha256(b"key", 0) == b""


@pytest.mark.parametrize("case", SIGNATURES, ids=[case["name"] for case in SIGNATURES])
def test_signatures_of_others_verify(case: dict[str, str]) -> None:
    assert x25519_public_key(hexed(case["private"])).hex() == case["public"]
    xeddsa_verify(*parts(case))


def test_the_vectors_have_both_signs() -> None:
    assert {hexed(case["signature"])[63] >> 7 for case in SIGNATURES} == {0, 1}


@pytest.mark.parametrize("case", SIGNATURES, ids=[case["name"] for case in SIGNATURES])
def test_one_flipped_bit_does_not_verify(case: dict[str, str]) -> None:
    public, message, signature = parts(case)
    for at in range(0, 512, 7):
        wrong = bytearray(signature)
        wrong[at // 8] ^= 1 << at % 8
        with pytest.raises(InvalidSignature):
            xeddsa_verify(public, message, bytes(wrong))
    with pytest.raises(InvalidSignature):
        xeddsa_verify(public, message + b"\0", signature)
    with pytest.raises(InvalidSignature):
        xeddsa_verify(x25519_public_key(bytes(32)), message, signature)


def test_a_response_that_is_not_reduced_does_not_verify() -> None:
    public, message, signature = parts(SIGNATURES[0])
    sign = signature[63] & 0x80
    response = int.from_bytes(signature[32:63] + bytes([signature[63] & 0x7F]), "little") + ORDER
    raised = bytearray(response.to_bytes(32, "little"))
    raised[31] |= sign
    with pytest.raises(InvalidSignature):
        xeddsa_verify(public, message, signature[:32] + bytes(raised))


@pytest.mark.parametrize("point", CURVE["low_order"])
def test_a_key_of_low_order_signs_nothing(point: str) -> None:
    identity = bytes([1]) + bytes(31)
    for signature in (bytes(64), identity + bytes(32), identity + bytes(31) + b"\x80"):
        with pytest.raises(InvalidSignature):
            xeddsa_verify(hexed(point), b"anything", signature)


@given(keys, st.binary(max_size=200), st.binary(min_size=64, max_size=64))
def test_we_verify_what_we_sign(private: bytes, message: bytes, entropy: bytes) -> None:
    signature = xeddsa_sign(private, message, entropy)
    xeddsa_verify(x25519_public_key(private), message, signature)
    assert signature == xeddsa_sign(private, message, entropy)


def test_the_nonce_is_of_key_message_and_entropy() -> None:
    """Two signatures with one nonce would give the private key away."""
    key, entropy = bytes([5]) * 32, bytes(64)
    made = {xeddsa_sign(key, b"one", entropy)[:32], xeddsa_sign(key, b"two", entropy)[:32]}
    made |= {xeddsa_sign(bytes(32), b"one", entropy)[:32], xeddsa_sign(key, b"one", bytes([1]) * 64)[:32]}
    assert len(made) == 4


def test_lengths_are_checked() -> None:
    key = bytes(32)
    for call in (
        lambda: x25519_public_key(bytes(31)),
        lambda: x25519(key, bytes(33)),
        lambda: x25519(bytes(33), key),
        lambda: xeddsa_sign(key, b"", bytes(63)),
        lambda: xeddsa_sign(bytes(31), b"", bytes(64)),
        lambda: xeddsa_verify(key, b"", bytes(63)),
        lambda: xeddsa_verify(bytes(33), b"", bytes(64)),
    ):
        with pytest.raises(ValueError, match="must be"):
            call()
