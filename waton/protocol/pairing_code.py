"""Pairing by code, the cryptography of both sides: a person carries eight characters instead of a QR.

    companion                                server                                  phone
    code: 8 characters, shown to the person  ..................................    typed in there
    companion_hello: our ephemeral key, wrapped with the code  ->   (kept until the code is typed)
                                             <-  a ref
                                                              its ephemeral key, wrapped with the code; its identity key
                                             <-  primary_hello                     <-
    companion_finish: the bundle             ->                                    ->  opens the bundle
                                             then pair-success, as after a QR

Wrapping is AES-256-CTR under PBKDF2 of the code: without the code the key stays hidden, but nothing is authenticated,
and a wrong code unwraps to another key. The bundle (both identity keys and 32 random bytes, AES-256-GCM under the
secret that the ephemeral keys share) is where the phone notices: it does not open. From the shared secrets and the
random bytes both derive the ADV secret that the QR would have carried.

Deriving a key from a code is slow on purpose: callers with an event loop do it on another thread.

Source: whatsmeow pair-code.go, Baileys Socket/socket.ts and messages-recv.ts, whatsapp-rust wacore/src/pair_code.rs
(180 s, at most three answers to one code).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from waton._core import Jid, hkdf_sha256, x25519
from waton.errors import PairingError, PairingStep, RemoteProtocolError
from waton.jid import JidServer
from waton.protocol.credentials import KeyPair

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"
"""Crockford's, without what looks alike: no 0, I, O, U."""
CODE_SECONDS = 180.0
"""How long a code is good."""
MOST_ANSWERS = 3
"""How often a phone may answer one code: each answer is a guess that was checked."""
WRAPPED_KEY = 80
"""Bytes: salt 32, IV 16, encrypted key 32."""
WRAPPED_BUNDLE = 156
"""Bytes: salt 32, nonce 12, three times 32, tag 16."""
_LENGTH = 8
_ROUNDS = 131_072
_BUNDLE_INFO = b"link_code_pairing_key_bundle_encryption_key"
_SECRET_INFO = b"adv_secret"
_PUNCTUATION = " -.()\u00a0\u2011"
_SHORTEST_NUMBER, _LONGEST_NUMBER = 7, 15


# --- what people type -------------------------------------------------------------------------------------------------


def make_code(dice: bytes) -> str:
    """The code of 5 random bytes: 5 bits to a character, the first bits first."""
    if len(dice) != 5:
        raise ValueError(f"a code is made of 5 random bytes, not {len(dice)}")
    number = int.from_bytes(dice, "big")
    return "".join(ALPHABET[number >> 35 - 5 * place & 31] for place in range(_LENGTH))


def parse_code(text: str) -> str:
    """A code as people write it: in small letters, with a dash in the middle. Raises ValueError; it names no code."""
    code = text.strip().upper().replace("-", "").replace(" ", "")
    if len(code) != _LENGTH or any(character not in ALPHABET for character in code):
        raise ValueError(f"a pairing code is {_LENGTH} of the characters {ALPHABET}")
    return code


def parse_phone(text: str) -> Jid:
    """The address of a phone number as people write it: +49 (151) 2345-678.

    Raises:
        ValueError: not the digits of an international number (7 to 15, the country's code first). It names no number.
    """
    digits = text.strip().removeprefix("+").translate({ord(mark): None for mark in _PUNCTUATION})
    if not (digits.isascii() and digits.isdecimal()) or not _SHORTEST_NUMBER <= len(digits) <= _LONGEST_NUMBER:
        raise ValueError(f"a phone number has {_SHORTEST_NUMBER} to {_LONGEST_NUMBER} digits")
    if digits.startswith("0"):
        raise ValueError("a phone number begins with its country's code, without zeros before it")
    return Jid(digits, JidServer.PN)


# --- wrapping ---------------------------------------------------------------------------------------------------------


def wrap(public: bytes, code: str, *, salt: bytes, iv: bytes) -> bytes:
    """An ephemeral public key, hidden by the code.

    Args:
        public: 32 bytes.
        code: as parse_code gives it.
        salt: 32 fresh random bytes.
        iv: 16 fresh random bytes.
    Returns:
        WRAPPED_KEY bytes.
    """
    return salt + iv + _cipher(code, salt, iv, public)


def unwrap(wrapped: bytes, code: str) -> bytes:
    """The key that was wrapped; another 32 bytes when the code is wrong. Raises PairingError(FORMAT)."""
    if len(wrapped) != WRAPPED_KEY:
        raise PairingError(PairingStep.FORMAT)
    salt, iv, hidden = wrapped[:32], wrapped[32:48], wrapped[48:]
    return _cipher(code, salt, iv, hidden)


def _cipher(code: str, salt: bytes, iv: bytes, data: bytes) -> bytes:
    key = hashlib.pbkdf2_hmac("sha256", code.encode(), salt, _ROUNDS, 32)
    encryptor = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
    return encryptor.update(data) + encryptor.finalize()


# --- the companion ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class CodeRequest:
    """A code on show, as the companion remembers it until the phone has answered."""

    phone: Jid
    """Whose account we ask to be linked to, by phone number."""
    code: str
    ephemeral: KeyPair
    ref: bytes
    """The server's name for this request."""
    expires_at: float
    """Unix seconds."""

    def check(self, ref: bytes, now: float) -> None:
        """Whether a phone's answer is one to this request. Raises PairingError(CODE_REF or CODE_EXPIRED)."""
        if ref != self.ref:
            raise PairingError(PairingStep.CODE_REF)
        if now > self.expires_at:
            raise PairingError(PairingStep.CODE_EXPIRED)


@dataclass(frozen=True, slots=True, repr=False)
class CodeAnswer:
    """What the companion makes of a phone's answer."""

    bundle: bytes
    """WRAPPED_BUNDLE bytes, for companion_finish."""
    adv_secret: bytes
    """32 bytes: what the phone will seal its word for us with, if it could open the bundle."""


def answer_phone(
    request: CodeRequest, wrapped: bytes, phone_identity: bytes, *, identity: KeyPair, entropy: bytes
) -> CodeAnswer:
    """The companion's part, after `request.check`.

    Args:
        request: what we asked with.
        wrapped: WRAPPED_KEY bytes, the phone's ephemeral key.
        phone_identity: 32 bytes, the account's public identity key.
        identity: our identity key.
        entropy: 76 fresh random bytes: salt, nonce, and what makes the secret ours.
    Raises:
        PairingError: FORMAT, or CODE when a key is of low order, as what a wrong code unwraps may be.
    """
    salt, nonce, ours = entropy[:32], entropy[32:44], entropy[44:76]
    if len(phone_identity) != 32 or len(ours) != 32:
        raise PairingError(PairingStep.FORMAT)
    shared = _agree(request.ephemeral.private, unwrap(wrapped, request.code))
    sealed = AESGCM(_bundle_key(shared, salt)).encrypt(nonce, identity.public + phone_identity + ours, None)
    return CodeAnswer(salt + nonce + sealed, _adv_secret(shared, _agree(identity.private, phone_identity), ours))


# --- the phone --------------------------------------------------------------------------------------------------------


def open_bundle(
    bundle: bytes, *, ephemeral: KeyPair, companion_key: bytes, identity: KeyPair, companion_identity: bytes
) -> bytes:
    """The phone's part: open a companion's bundle and derive the ADV secret, 32 bytes.

    Args:
        bundle: WRAPPED_BUNDLE bytes, of companion_finish.
        ephemeral: the key pair that was wrapped into primary_hello.
        companion_key: 32 bytes, unwrapped of companion_hello.
        identity: the account's identity key.
        companion_identity: 32 bytes, as companion_finish and the registration say it.
    Raises:
        PairingError: CODE when the bundle does not open, which is how a wrong code shows; FORMAT when it is none, or
            was made for other identities.
    """
    if len(bundle) != WRAPPED_BUNDLE:
        raise PairingError(PairingStep.FORMAT)
    salt, nonce, sealed = bundle[:32], bundle[32:44], bundle[44:]
    shared = _agree(ephemeral.private, companion_key)
    try:
        opened = AESGCM(_bundle_key(shared, salt)).decrypt(nonce, sealed, None)
    except InvalidTag as error:
        raise PairingError(PairingStep.CODE) from error
    if opened[:64] != companion_identity + identity.public:
        raise PairingError(PairingStep.FORMAT)
    return _adv_secret(shared, _agree(identity.private, companion_identity), opened[64:])


def _agree(private: bytes, public: bytes) -> bytes:
    try:
        return x25519(private, public)
    except RemoteProtocolError as error:
        raise PairingError(PairingStep.CODE) from error


def _bundle_key(shared: bytes, salt: bytes) -> bytes:
    return hkdf_sha256(shared, 32, info=_BUNDLE_INFO, salt=salt)


def _adv_secret(shared: bytes, identities: bytes, random: bytes) -> bytes:
    return hkdf_sha256(shared + identities + random, 32, info=_SECRET_INFO)
