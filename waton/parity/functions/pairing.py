"""Pairing: a new device's keys, its answer to the phone's word, and the code that stands in for a QR.

Signatures are drawn with dice; they are checked instead of compared.

Source: Baileys Utils/validate-connection.ts, auth-utils.ts.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions import devices
from waton.parity.functions.nodes import told, told_by_baileys
from waton.parity.functions.payloads import fields
from waton.parity.generators import node
from waton.parity.oracle.process import Functions

Value: TypeAlias = Any

CONNECTION = "lib/Utils/validate-connection.js"
AUTH = "lib/Utils/auth-utils.js"
_NOW = 1_800_000_000


# --- the phone's word -----------------------------------------------------------------------------------------------


def _words(*, is_hosted: bool = False, business: bool = False, wrong: str = "") -> SearchStrategy[Value]:
    return st.fixed_dictionaries(
        {
            "device": generators.credentials(),
            "phone": generators.keys(),
            "raw_id": st.integers(0, (1 << 32) - 1),
            "key_index": st.integers(1, 200),
            "dice": generators.entropy(64),
            "id": generators.message_ids(),
            "jid": generators.user_jids(("s.whatsapp.net",)),
            "lid": generators.user_jids(("lid",)),
            "platform": st.sampled_from(("android", "iphone", "smba")),
            "business": generators.words() if business else st.just(""),
            "is_hosted": st.just(is_hosted),
            "wrong": st.just(wrong),
        }
    )


def _container(value: Value) -> bytes:
    """ADVSignedDeviceIdentityHMAC as the phone makes it, or with one part wrong."""
    from waton._core import xeddsa_sign
    from waton.protocol import proto

    kind = proto.ADVEncryptionType.Value("HOSTED" if value["is_hosted"] else "E2EE")
    details = proto.ADVDeviceIdentity(
        rawId=value["raw_id"], timestamp=_NOW, keyIndex=value["key_index"], accountType=kind, deviceType=kind
    ).SerializeToString()
    companion = devices.key_pair(value["device"]["identity"])["public"]
    message = (b"\x06\x05" if value["is_hosted"] else b"\x06\x00") + details + companion
    signature = xeddsa_sign(value["phone"], message, value["dice"])
    if value["wrong"] == "signature":
        signature = bytes([signature[0] ^ 1]) + signature[1:]
    signed = proto.ADVSignedDeviceIdentity(
        details=details, accountSignatureKey=devices.key_pair(value["phone"])["public"], accountSignature=signature
    ).SerializeToString()
    secret = value["device"]["secret"]
    if value["wrong"] == "secret":
        secret = bytes([secret[0] ^ 1]) + secret[1:]
    seal = hmac.digest(secret, (b"\x06\x05" if value["is_hosted"] else b"") + signed, "sha256")
    made = proto.ADVSignedDeviceIdentityHMAC(details=signed, hmac=seal, accountType=kind)
    return made.SerializeToString()


def _success(value: Value) -> dict[str, Value]:
    children = [
        node("device-identity", {}, _container(value)),
        node("device", {"jid": value["jid"], "lid": value["lid"]}),
        node("platform", {"name": value["platform"]}),
    ]
    if value["business"]:
        children.append(node("biz", {"name": value["business"]}))
    inner = node("pair-success", {}, children)
    return node("iq", {"from": "s.whatsapp.net", "type": "set", "id": value["id"], "xmlns": "md"}, [inner])


def _pairing_outcome(value: Value, reply: Value, me: Value) -> Value:
    """The answer to the server with its identity taken apart, and what is kept."""
    from waton.protocol import proto

    identity = reply["content"][0]["content"][0]
    signed = proto.ADVSignedDeviceIdentity.FromString(identity["content"])
    made = fields(signed)
    signature = made.pop("deviceSignature", b"")
    identity["content"] = made | {"the device signature": _who_signed(value, signed.details, signature)}
    return {"reply": reply, "me": me}


def _who_signed(value: Value, details: bytes, signature: bytes) -> str:
    """Which of the two prefixes the device signature is over; "" when it verifies under neither."""
    from waton._core import xeddsa_verify
    from waton.errors import InvalidSignature

    public = devices.key_pair(value["device"]["identity"])["public"]
    message = details + public + devices.key_pair(value["phone"])["public"]
    for name, prefix in (("of a device", b"\x06\x01"), ("of a hosted device", b"\x06\x06")):
        try:
            xeddsa_verify(public, prefix + message, signature)
        except (InvalidSignature, ValueError):
            continue
        return name
    return ""


def with_baileys(baileys: Functions, value: Value) -> Value:
    """What Baileys makes of the phone's word."""
    answer = baileys.call(CONNECTION, "configureSuccessfulPairing", _success(value), devices.theirs(value["device"]))
    kept = answer["creds"]
    me = {"jid": kept["me"]["id"], "lid": kept["me"]["lid"], "platform": kept["platform"]}
    me |= {"name": kept["me"]["name"]} if kept["me"].get("name") else {}
    reply = told_by_baileys(answer["reply"])
    return _pairing_outcome(value, _at_the_server(reply), me)


def _at_the_server(reply: Value) -> Value:
    """Baileys writes the server's address with its @; on the wire it is the same."""
    return reply | {"attrs": [[name, text.lstrip("@")] for name, text in reply["attrs"]]}


def _our_pairing(value: Value) -> Value:
    from waton.client.pairing import accept
    from waton.parity.functions.nodes import to_ours
    from waton.protocol.stanza.pairing import PairSuccess

    success = PairSuccess.from_node(to_ours(_success(value)))
    paired = accept(devices.ours(value["device"]), success, value["dice"])
    kept = paired.credentials
    me = {"jid": str(kept.me), "lid": str(kept.lid), "platform": kept.platform}
    return _pairing_outcome(value, _at_the_server(told(paired.reply)), me)


def _words_of_phones() -> list[Pair]:
    def pairing(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int | None = None) -> Pair:
        return Pair(
            f"configureSuccessfulPairing{name}",
            Domain.PAIRING,
            f"{CONNECTION}:configureSuccessfulPairing",
            "waton.client.pairing:accept",
            inputs,
            with_baileys,
            _our_pairing,
            examples,
        )

    def identity(name: str, *, with_key: bool) -> Pair:
        return Pair(
            f"encodeSignedDeviceIdentity{name}",
            Domain.PAIRING,
            f"{CONNECTION}:encodeSignedDeviceIdentity",
            "waton.protocol.adv:verify_identity",
            _words,
            lambda baileys, value: baileys.ask(
                "call",
                module=CONNECTION,
                name="encodeSignedDeviceIdentity",
                args=[{"$proto": "ADVSignedDeviceIdentity", "bytes": _verified(value).account}, with_key],
            ),
            lambda value: _verified(value).account if with_key else _verified(value).reply,
            10,
        )

    return [
        pairing("", _words, 25),
        pairing(": a business account", lambda: _words(business=True)),
        pairing(": a hosted account", lambda: _words(is_hosted=True)),
        pairing(": a wrong secret", lambda: _words(wrong="secret"), 10),
        pairing(": a wrong account signature", lambda: _words(wrong="signature"), 10),
        identity(": with the account's key", with_key=True),
        identity(": without the account's key", with_key=False),
    ]


def _verified(value: Value) -> Any:
    from waton.protocol.adv import verify_identity

    mine = devices.ours(value["device"])
    return verify_identity(
        _container(value), adv_secret=mine.adv_secret, identity=mine.identity_key, entropy=value["dice"]
    )


# --- a new device ---------------------------------------------------------------------------------------------------


def _their_device(baileys: Functions, value: bytes) -> Value:
    made = baileys.call(AUTH, "initAuthCreds", dice=value)
    signed = made["signedPreKey"]
    identity = made["signedIdentityKey"]["public"]
    return {
        "adv secret bytes": len(b64decode(made["advSecretKey"])),
        "signed prekey id": signed["keyId"],
        "signed prekey verifies": _is_signed(identity, signed["keyPair"]["public"], signed["signature"]),
        "next prekey id": made["nextPreKeyId"],
        "is paired": made.get("me") is not None,
        "keys": len({identity, signed["keyPair"]["public"], made["noiseKey"]["public"]}),
    }


def _our_device(value: bytes) -> Value:
    made = _generated(value)
    signed = made.signed_prekey.public
    return {
        "adv secret bytes": len(made.adv_secret),
        "signed prekey id": made.signed_prekey_id,
        "signed prekey verifies": _is_signed(made.identity_key.public, signed, made.signed_prekey_signature),
        "next prekey id": made.next_prekey_id,
        "is paired": made.is_paired,
        "keys": len({made.identity_key.public, signed, made.noise_key.public}),
    }


def _generated(dice: bytes) -> Any:
    from waton.protocol.credentials import Credentials

    return Credentials.generate(devices.Dice(dice).take)


def _is_signed(identity: bytes, key: bytes, signature: bytes) -> bool:
    from waton._core import xeddsa_verify
    from waton.errors import InvalidSignature

    try:
        xeddsa_verify(identity, b"\x05" + key, signature)
    except InvalidSignature:
        return False
    return True


def _their_signed_pair(baileys: Functions, value: Value) -> Value:
    identity = devices.key_pair(value["identity"])
    made = cast(
        "dict[str, Any]",
        baileys.call("lib/Utils/crypto.js", "signedKeyPair", identity, value["signed_id"], dice=value["signed"]),
    )
    public = made["keyPair"]["public"]
    return {"id": made["keyId"], "key": public, "verifies": _is_signed(identity["public"], public, made["signature"])}


def _our_signed_pair(value: Value) -> Value:
    mine = devices.ours(value)
    public = mine.signed_prekey.public
    is_signed = _is_signed(mine.identity_key.public, public, mine.signed_prekey_signature)
    return {"id": mine.signed_prekey_id, "key": public, "verifies": is_signed}


def _new_devices() -> list[Pair]:
    credentials = "waton.protocol.credentials:Credentials"
    return [
        Pair(
            "initAuthCreds",
            Domain.PAIRING,
            f"{AUTH}:initAuthCreds",
            f"{credentials}.generate",
            lambda: st.binary(min_size=258, max_size=258),
            _their_device,
            _our_device,
            15,
        ),
        Pair(
            "signedKeyPair",
            Domain.PREKEYS,
            "lib/Utils/crypto.js:signedKeyPair",
            credentials,
            generators.credentials,
            _their_signed_pair,
            _our_signed_pair,
            20,
        ),
        Pair(
            "generateRegistrationId: the largest",
            Domain.PAIRING,
            "lib/Utils/generics.js:generateRegistrationId",
            f"{credentials}.generate",
            lambda: st.just(None),
            lambda baileys, value: max(
                baileys.call("lib/Utils/generics.js", "generateRegistrationId", dice=bytes([first, 0x3F]))
                for first in range(0, 256, 15)
            ),
            lambda value: max(
                _generated(bytes(160) + second.to_bytes(2, "big") + bytes(64)).registration_id
                for second in range(16_300, 16_400)
            ),
        ),
    ]


def _their_wrapped_key(baileys: Functions, value: Value) -> Value:
    """The key alone; what is done with it in Baileys is inside of a socket, so AES-CTR is OpenSSL's."""
    key = baileys.call("lib/Utils/crypto.js", "derivePairingCodeKey", value["code"], value["salt"])
    encryptor = Cipher(algorithms.AES(key), modes.CTR(value["iv"])).encryptor()
    return value["salt"] + value["iv"] + encryptor.update(value["public"])


def _our_wrapped_key(value: Value) -> Value:
    from waton.protocol.pairing_code import wrap

    return wrap(value["public"], value["code"], salt=value["salt"], iv=value["iv"])


def _our_code(value: Value) -> Value:
    from waton.protocol.pairing_code import make_code

    return make_code(value)


def _codes() -> list[Pair]:
    code = "waton.protocol.pairing_code"
    return [
        Pair(
            "bytesToCrockford",
            Domain.PAIRING,
            "lib/Utils/generics.js:bytesToCrockford",
            f"{code}:make_code",
            lambda: st.binary(min_size=5, max_size=5),
            lambda baileys, value: baileys.call("lib/Utils/generics.js", "bytesToCrockford", value),
            _our_code,
        ),
        Pair(
            "derivePairingCodeKey",
            Domain.PAIRING,
            "lib/Utils/crypto.js:derivePairingCodeKey",
            f"{code}:wrap",
            lambda: st.fixed_dictionaries(
                {
                    "code": st.text("123456789ABCDEFGHJKLMNPQRSTVWXYZ", min_size=8, max_size=8),
                    "salt": generators.entropy(32),
                    "iv": generators.entropy(16),
                    "public": generators.entropy(32),
                }
            ),
            _their_wrapped_key,
            _our_wrapped_key,
            5,
        ),
    ]


def pairs() -> list[Pair]:
    """The family's pairs."""
    return [*_words_of_phones(), *_new_devices(), *_codes()]
