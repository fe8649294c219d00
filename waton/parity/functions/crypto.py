"""Curve25519, HKDF, padding and message ids: what the protocol derives, signs and rolls dice for.

Signatures are drawn with dice, so their bytes say nothing; what counts is that each side accepts the other's. Baileys'
own check accepts every signature of 64 bytes (its library returns false and nobody looks), so the library itself is
asked as well.

Source: Baileys Utils/crypto.ts and generics.ts.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.oracle.process import Functions

Value: TypeAlias = Any

CRYPTO = "lib/Utils/crypto.js"
GENERICS = "lib/Utils/generics.js"
_CURVE_LIBRARY = "../curve25519-js/lib/index.js"
"""Beside Baileys: what its `Curve` is made of."""
_BASE_POINT = b"\x09" + bytes(31)
LOW_ORDER = (
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
)
"""Public keys with which every private key shares the same secret, nothing. Source: RFC 7748 and cr.yp.to/ecdh.html."""


# --- key agreement --------------------------------------------------------------------------------------------------


def _shared_key(name: str, inputs: SearchStrategy[tuple[bytes, bytes]]) -> Pair:
    def answer(value: Value) -> Value:
        from waton._core import x25519

        return x25519(*value)

    return Pair(
        f"Curve.sharedKey{name}",
        Domain.NOISE,
        f"{CRYPTO}:Curve.sharedKey",
        "waton._core:x25519",
        lambda: inputs,
        lambda baileys, value: baileys.call(CRYPTO, "Curve.sharedKey", *value),
        answer,
    )


def _public_key(value: bytes) -> bytes:
    from waton.protocol.credentials import KeyPair

    return KeyPair.of(value).public


def _agreement() -> list[Pair]:
    points = st.binary(min_size=32, max_size=32)
    return [
        _shared_key("", st.tuples(generators.keys(), points)),
        _shared_key(": keys of low order", st.tuples(generators.keys(), st.sampled_from(LOW_ORDER))),
        Pair(
            "Curve.sharedKey: the public key of a private one",
            Domain.NOISE,
            f"{CRYPTO}:Curve.sharedKey",
            "waton.protocol.credentials:KeyPair.of",
            generators.keys,
            lambda baileys, value: baileys.call(CRYPTO, "Curve.sharedKey", value, _BASE_POINT),
            _public_key,
        ),
        Pair(
            "Curve.generateKeyPair",
            Domain.NOISE,
            f"{CRYPTO}:Curve.generateKeyPair",
            "waton.protocol.credentials:KeyPair.of",
            generators.keys,
            lambda baileys, value: baileys.call(CRYPTO, "Curve.generateKeyPair", dice=value)["public"],
            _public_key,
        ),
        Pair(
            "generateSignalPubKey",
            Domain.PREKEYS,
            f"{CRYPTO}:generateSignalPubKey",
            "waton.protocol.stanza.encrypt:KEY_TYPE",
            lambda: points,
            lambda baileys, value: baileys.call(CRYPTO, "generateSignalPubKey", value),
            _typed_key,
        ),
    ]


def _typed_key(value: bytes) -> bytes:
    from waton.protocol.stanza.encrypt import KEY_TYPE

    return KEY_TYPE + value


# --- signatures -----------------------------------------------------------------------------------------------------


def _signed() -> SearchStrategy[Value]:
    return st.fixed_dictionaries(
        {"private": generators.keys(), "message": st.binary(min_size=1, max_size=80), "dice": generators.entropy(64)}
    )


def _is_accepted(public: bytes, message: bytes, signature: bytes) -> bool:
    from waton._core import xeddsa_verify
    from waton.errors import InvalidSignature

    try:
        xeddsa_verify(public, message, signature)
    except InvalidSignature:
        return False
    return True


def _sign(value: Value) -> bytes:
    from waton._core import xeddsa_sign

    return xeddsa_sign(value["private"], value["message"], value["dice"])


def _their_signature(baileys: Functions, value: Value) -> Value:
    signature = baileys.call(CRYPTO, "Curve.sign", value["private"], value["message"])
    return {"we accept": _is_accepted(_public_key(value["private"]), value["message"], signature)}


def _verify_ours(baileys: Functions, value: Value) -> Value:
    public, signature = _public_key(value["private"]), _sign(value)
    return {
        "Baileys accepts": baileys.call(CRYPTO, "Curve.verify", public, value["message"], signature),
        "its library accepts": baileys.call(_CURVE_LIBRARY, "verify", public, value["message"], signature),
    }


def _verify_forged(baileys: Functions, value: Value) -> Value:
    public = _public_key(value["private"])
    return baileys.call(CRYPTO, "Curve.verify", public, value["message"], value["dice"])


def _signatures() -> list[Pair]:
    where, sign, verify = f"{CRYPTO}:Curve.", "waton._core:xeddsa_sign", "waton._core:xeddsa_verify"
    return [
        Pair(
            "Curve.sign",
            Domain.PREKEYS,
            f"{where}sign",
            verify,
            _signed,
            _their_signature,
            lambda value: {"we accept": _is_accepted(_public_key(value["private"]), value["message"], _sign(value))},
            20,
        ),
        Pair(
            "Curve.verify",
            Domain.PREKEYS,
            f"{where}verify",
            sign,
            _signed,
            _verify_ours,
            lambda value: {"Baileys accepts": True, "its library accepts": True},
            20,
        ),
        Pair(
            "Curve.verify: a signature by nobody",
            Domain.PREKEYS,
            f"{where}verify",
            verify,
            _signed,
            _verify_forged,
            lambda value: _is_accepted(_public_key(value["private"]), value["message"], value["dice"]),
        ),
    ]


# --- the rest -------------------------------------------------------------------------------------------------------


def _hkdf() -> SearchStrategy[Value]:
    return st.fixed_dictionaries(
        {
            "key": st.binary(max_size=70),
            "length": st.one_of(st.sampled_from((1, 32, 64, 80, 112, 160, 8160)), st.integers(1, 300)),
            "info": generators.prose(40),
            "salt": st.one_of(st.just(b""), st.binary(max_size=70)),
        }
    )


def _their_hkdf(baileys: Functions, value: Value) -> Value:
    options = {"info": value["info"]} | ({"salt": value["salt"]} if value["salt"] else {})
    return baileys.call(CRYPTO, "hkdf", value["key"], value["length"], options)


def _our_hkdf(value: Value) -> bytes:
    from waton._core import hkdf_sha256

    return hkdf_sha256(value["key"], value["length"], value["info"].encode(), value["salt"])


def _padded() -> SearchStrategy[tuple[bytes, int]]:
    return st.tuples(st.binary(max_size=40), st.integers(0, 255))


def _pad(value: Value) -> bytes:
    from waton.utils.padding import pad

    return pad(*value)


def _unpad(value: bytes) -> bytes:
    from waton.utils.padding import unpad

    return unpad(value)


def _unpadding(name: str, inputs: SearchStrategy[bytes]) -> Pair:
    return Pair(
        f"unpadRandomMax16{name}",
        Domain.MESSAGES_RECV,
        f"{GENERICS}:unpadRandomMax16",
        "waton.utils.padding:unpad",
        lambda: inputs,
        lambda baileys, value: baileys.call(GENERICS, "unpadRandomMax16", value),
        _unpad,
    )


def _ending(body: bytes, count: int) -> bytes:
    return body + bytes([count]) * count


def _ending_unequally(body: bytes, count: int, other: int) -> bytes:
    """Before the count stands a byte that is not the count."""
    return body + bytes([other if other != count else 0, count])


def _padding() -> list[Pair]:
    body = st.binary(min_size=20, max_size=40)
    unequal = st.builds(_ending_unequally, body, st.integers(2, 16), st.integers(0, 255))
    return [
        Pair(
            "writeRandomPadMax16",
            Domain.MESSAGES_SEND,
            f"{GENERICS}:writeRandomPadMax16",
            "waton.utils.padding:pad",
            _padded,
            lambda baileys, value: baileys.call(GENERICS, "writeRandomPadMax16", value[0], dice=bytes([value[1]])),
            _pad,
        ),
        _unpadding("", st.builds(_ending, st.binary(max_size=40), st.integers(1, 16))),
        _unpadding(": nothing at all", st.just(b"")),
        _unpadding(": more than there is", st.integers(50, 255).map(lambda count: b"text" + bytes([count]))),
        _unpadding(": more than 16 bytes", st.builds(_ending, body, st.integers(17, 20))),
        _unpadding(": bytes that are not equal", unequal),
        _unpadding(": no bytes", body.map(lambda text: text + b"\0")),
    ]


def _ids() -> SearchStrategy[Value]:
    mine = st.one_of(
        st.none(), generators.user_jids(), st.text("123456789", min_size=20, max_size=24).map("{}@lid".format)
    )
    return st.fixed_dictionaries({"me": mine, "now": generators.times(), "dice": generators.entropy(16)})


def _our_id(value: Value) -> str:
    from waton.jid import Jid
    from waton.protocol.message import message_id

    me = None if value["me"] is None else Jid.parse(value["me"])
    return message_id(me, value["now"], value["dice"])


def pairs() -> list[Pair]:
    """The family's pairs."""
    return [
        *_agreement(),
        *_signatures(),
        Pair("hkdf", Domain.NOISE, f"{CRYPTO}:hkdf", "waton._core:hkdf_sha256", _hkdf, _their_hkdf, _our_hkdf),
        *_padding(),
        Pair(
            "generateMessageIDV2",
            Domain.MESSAGES_SEND,
            f"{GENERICS}:generateMessageIDV2",
            "waton.protocol.message:message_id",
            _ids,
            lambda baileys, value: baileys.call(
                GENERICS, "generateMessageIDV2", value["me"], now=value["now"], dice=value["dice"]
            ),
            _our_id,
        ),
    ]
