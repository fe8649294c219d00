"""Sender keys as pure steps over records, for the client and for the lab's phones alike.

A record holds the sender keys of one device in one group: those it has told us, or our own. A `GroupCipher` is that
record as a value; each step gives a new record and the caller commits it, so a step that raises has no effect. What is
encrypted here is padded by the caller, and unpadded there again (`waton.utils.padding`), as with sessions.

What must stay true: an iteration of ours is used once, so the new record is stored before its message is sent. A key
of ours is made anew when somebody who was told it must not read on (a member or device that left, an identity that
changed): the caller knows when, and calls `fresh`. Known here is only that a key has been used often enough.

Source: Baileys Signal/Group and Signal/libsignal.ts; whatsapp-rust src/send.rs for the rotation by count, which Baileys
does not have.
"""

from __future__ import annotations

from dataclasses import dataclass

from waton._core import (
    sender_key_create,
    sender_key_decrypt,
    sender_key_describe,
    sender_key_distribution,
    sender_key_encrypt,
    sender_key_message_id,
    sender_key_process,
)
from waton.errors import DecryptError
from waton.jid import Jid, signal_address

ROTATE_AFTER = 1_000
"""Messages under one key of ours, after which a fresh one is due."""


def sender_key_name(group: Jid, sender: Jid) -> str:
    """The name of a record: `group::user[_domain].device`. Raises ValueError for an address that has no session."""
    return f"{group}::{signal_address(sender)}"


@dataclass(frozen=True, slots=True, repr=False)
class GroupEncrypted:
    """One step out."""

    record: bytes
    ciphertext: bytes
    """The content of <enc type="skmsg">."""
    key_id: int
    iteration: int


@dataclass(frozen=True, slots=True, repr=False)
class GroupDecrypted:
    """One step in."""

    record: bytes
    plaintext: bytes
    """Still padded."""


@dataclass(frozen=True, slots=True, repr=False)
class GroupCipher:
    """The sender keys of one device in one group. Steps raise StorageError when the record does not parse."""

    record: bytes | None = None
    """As stored; None when there is none."""

    @property
    def key_id(self) -> int | None:
        """The id of our newest own key, None when there is none."""
        own = self._own()
        return None if own is None else own[0]

    @property
    def has_own_key(self) -> bool:
        """Whether we can encrypt."""
        return self._own() is not None

    @property
    def needs_rotation(self) -> bool:
        """Whether our own key has sealed ROTATE_AFTER messages: call `fresh` before the next. False without a key."""
        own = self._own()
        return own is not None and own[1] >= ROTATE_AFTER

    def fresh(self, *, entropy: bytes) -> GroupCipher:
        """With a new key of our own, which no member has been told yet. entropy: 68 bytes."""
        return GroupCipher(sender_key_create(self._bytes, entropy=entropy))

    def distribution(self) -> bytes:
        """Our own key from its present place on: axolotlSenderKeyDistributionMessage, for a member over its session.

        Raises DecryptError(NO_SESSION) without a key of our own.
        """
        return sender_key_distribution(self._bytes)

    def process(self, distribution: bytes) -> GroupCipher:
        """With the key its sender has told us; told again, it neither doubles nor moves back. Raises DecodeError."""
        return GroupCipher(sender_key_process(self._bytes, distribution))

    def encrypt(self, plaintext: bytes, *, entropy: bytes) -> GroupEncrypted:
        """Encrypt, under our newest own key, a plaintext that is padded already. entropy: 64 bytes.

        Raises DecryptError(NO_SESSION) without a key of our own. Rotation by count is not enforced: `needs_rotation`.
        """
        record, ciphertext = sender_key_encrypt(self._bytes, plaintext, entropy=entropy)
        return GroupEncrypted(record, ciphertext, *sender_key_message_id(ciphertext))

    def decrypt(self, message: bytes, *, sender: Jid) -> GroupDecrypted:
        """Decrypt the content of an <enc type="skmsg">; `sender` is for the error.

        Raises:
            DecryptError: NO_SENDER_KEY, INVALID_SIGNATURE, DUPLICATE, FUTURE_MESSAGE or INVALID_MESSAGE, as
                sender_key_decrypt says.
            DecodeError: the message does not parse.
        """
        try:
            return GroupDecrypted(*sender_key_decrypt(self._bytes, message))
        except DecryptError as error:
            raise DecryptError(error.reason, sender) from None

    @property
    def _bytes(self) -> bytes:
        return self.record or b""

    def _own(self) -> tuple[int, int] | None:
        """Id and next iteration of our newest own key."""
        states = sender_key_describe(self._bytes)
        return next(((state["id"], state["iteration"]) for state in states if state["is_ours"]), None)
