"""What is encrypted under the secret of another message: votes, answers to events, reactions, edits, bots' answers.

A message may carry a secret (messageContextInfo.messageSecret, 32 bytes). Whoever got the message has it, so later
additions to it can be sealed for exactly those people: the key is derived from the secret, from whose message it was,
who adds, and what for. It hides additions from the server and from who joined later; it is no proof of who wrote them
(every reader of the message can make the key), that is the Signal session's or the sender key's work.

Everybody writes addresses without a device. Which of a person's two addresses went into the key is up to who sealed it:
who cannot open it tries the other one.

An addition is AES-256-GCM: ciphertext and 16-byte tag, 12-byte IV, and for votes, answers and bots the message id and
the adding person as additional data.

Source: whatsmeow msgsecret.go, whatsapp-rust wacore/src/{secret_enc_addon,bot_message}.rs, Baileys
Utils/process-message.ts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError as ProtobufError

from waton._core import hkdf_sha256
from waton.errors import DecodeError, DecryptError, DecryptReason
from waton.jid import Jid
from waton.protocol import proto

SECRET_SIZE = 32
IV_SIZE = 12
_KEY_SIZE = 32


class SecretUse(StrEnum):
    """What an addition is; the text goes into its key."""

    POLL_VOTE = "Poll Vote"
    POLL_EDIT = "Poll Edit"
    POLL_ADD_OPTION = "Poll Add Option"
    """Source: whatsapp-rust, from the web client's list; whatsmeow names the use and derives Poll Edit's key for it."""
    REACTION = "Enc Reaction"
    COMMENT = "Enc Comment"
    EVENT_RESPONSE = "Event Response"
    EVENT_EDIT = "Event Edit"
    MESSAGE_EDIT = "Message Edit"
    REPORT_TOKEN = "Report Token"
    BOT = "Bot Message"


_BOUND = frozenset({SecretUse.POLL_VOTE, SecretUse.EVENT_RESPONSE, SecretUse.BOT})
"""Their additional data is the message id and who adds; of the others it is empty."""


@dataclass(frozen=True, slots=True)
class Addition:
    """What the key of an addition depends on, beside the secret."""

    use: SecretUse
    message_id: str
    """The message that has the secret; for a bot the answer itself, or the first one when it is an edit of it."""
    author: Jid
    """Who wrote that message; for a bot, whom it answers."""
    by: Jid
    """Who adds; the bot."""

    def key(self, secret: bytes) -> bytes:
        """The AES key, 32 bytes. Raises ValueError when the secret is not 32 bytes."""
        if len(secret) != SECRET_SIZE:
            raise ValueError(f"a message secret is {SECRET_SIZE} bytes")
        use = self.use.value
        if self.use is SecretUse.BOT:
            secret, use = hkdf_sha256(secret, _KEY_SIZE, use.encode()), ""
        info = f"{self.message_id}{self.author.bare}{self.by.bare}{use}"
        return hkdf_sha256(secret, _KEY_SIZE, info.encode())

    @property
    def additional_data(self) -> bytes:
        return f"{self.message_id}\0{self.by.bare}".encode() if self.use in _BOUND else b""


def seal(secret: bytes, addition: Addition, plaintext: bytes, iv: bytes) -> bytes:
    """Encrypt an addition: ciphertext and tag.

    Args:
        secret: the message's, 32 bytes.
        addition: what, to which message, by whom.
        plaintext: the protobuf of the use (PollVoteMessage, EventResponseMessage, ReactionMessage, Message ...).
        iv: 12 fresh random bytes; one IV used twice under one secret gives both plaintexts away.
    Raises:
        ValueError: secret or IV of another length.
    """
    if len(iv) != IV_SIZE:
        raise ValueError(f"an IV is {IV_SIZE} bytes")
    return AESGCM(addition.key(secret)).encrypt(iv, plaintext, addition.additional_data)


def unseal(secret: bytes, addition: Addition, payload: bytes, iv: bytes) -> bytes:
    """Decrypt an addition.

    Raises:
        DecryptError: invalid_message, an IV or payload of impossible length; bad_mac, another secret, message, author,
            person or use, or a changed byte.
        ValueError: the secret is not 32 bytes.
    """
    if len(iv) != IV_SIZE or len(payload) < 16:
        raise DecryptError(DecryptReason.INVALID_MESSAGE, addition.by)
    try:
        return AESGCM(addition.key(secret)).decrypt(iv, payload, addition.additional_data)
    except InvalidTag as error:
        raise DecryptError(DecryptReason.BAD_MAC, addition.by) from error


def unseal_bot_message(secret: bytes, enc: bytes, *, message_id: str, asked_by: Jid, bot: Jid) -> bytes:
    """Decrypt an enc of type msmsg: a bot's answer, the bytes of a Message without padding.

    Args:
        secret: of the message the bot was asked by (the stanza's <meta target_id>).
        enc: the content of the <enc>, a MessageSecretMessage.
        message_id: the answer's id, or in its later parts <bot edit_target_id>.
        asked_by: who asked (<meta target_sender_jid>, else our own address: LID for a bot on @bot, else PN).
        bot: who answers.
    Raises:
        DecodeError: the envelope does not parse.
        DecryptError: as unseal.
    """
    try:
        envelope = proto.MessageSecretMessage.FromString(enc)
    except ProtobufError as error:
        raise DecodeError(0, enc, "bot message") from error
    addition = Addition(SecretUse.BOT, message_id, asked_by, bot)
    return unseal(secret, addition, envelope.encPayload, envelope.encIv)
