"""Decryption: the ciphertexts of one <message>, each opened once, in the unit of work of its stanza.

A stanza may carry several: a session message with the author's sender key, then the content under that key. Sessions go
first, so that a key told by a stanza opens the same stanza. What opens is kept in the step; what does not open leaves
no trace in any record and is returned with its reason. Nothing here decides what becomes of a failure.

A session is looked for under the author's canonical address; when that fails, under the author's other address, where a
session may have been left behind. Sender keys live under the canonical address alone.

Source: whatsapp-rust src/message.rs (two passes, duplicates are silent), Baileys Utils/decode-wa-message.ts.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from waton._core import PreKeyMessage
from waton.client import addresses, prekeys
from waton.client.envelope import Envelope, message_place
from waton.client.event_pipeline import Step
from waton.errors import DecodeError, DecryptError, DecryptReason, StorageError, UntrustedIdentity, UnvouchedCompanion
from waton.jid import Jid, signal_address
from waton.ports import RecordKind
from waton.protocol import message as content
from waton.protocol import proto, signal_repo
from waton.protocol.binary_node import get_jid, get_text
from waton.protocol.group_cipher import GroupCipher, sender_key_name
from waton.protocol.message_secret import unseal_bot_message
from waton.protocol.signal_repo import EncType
from waton.protocol.stanza.message import Enc, IncomingMessage
from waton.utils.padding import unpad

if TYPE_CHECKING:
    from waton.client.client import Client

DECODE = "decode"
"""Reason of a ciphertext that is not what its type says."""
MALFORMED = "malformed"
"""Reason of a plaintext that is no message."""
UNTRUSTED = "untrusted_identity"
"""Reason of a message under a changed identity that the client's policy does not take."""
UNVOUCHED = "unvouched"
"""Reason of a message by a companion whose key is new to us, and for which its phone does not stand."""
_ORDER: dict[str, int] = {EncType.PKMSG: 0, EncType.MSG: 0, EncType.SKMSG: 1}
_MOST_ENCS = 16
"""Ciphertexts looked at in one stanza; no client sends more than three."""


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """One ciphertext that could be read."""

    type: str
    plain: bytes
    """Unpadded."""
    message: proto.Message


@dataclass(frozen=True, slots=True)
class Unopened:
    """One ciphertext that could not be read."""

    enc: Enc
    reason: str
    """DecryptReason's spelling, or DECODE, MALFORMED, UNTRUSTED or UNVOUCHED."""

    @property
    def is_duplicate(self) -> bool:
        return self.reason == DecryptReason.DUPLICATE


@dataclass(slots=True, repr=False)
class Reading:
    """What came of one stanza's ciphertexts."""

    opened: list[Opened] = field(default_factory=list[Opened])
    unopened: list[Unopened] = field(default_factory=list[Unopened])

    @property
    def contents(self) -> list[Opened]:
        """Those that say something; a sender key alone says nothing."""
        return [one for one in self.opened if content.says_something(one.message)]

    @property
    def failure(self) -> Unopened | None:
        """Why there is no content: the last failure that is no duplicate. None when there is none."""
        failures = [one for one in self.unopened if not one.is_duplicate]
        return failures[-1] if failures and not self.contents else None

    @property
    def is_duplicate(self) -> bool:
        """All that could say something was read before."""
        return not self.contents and self.failure is None and bool(self.unopened)


class Decryption:
    """Opens ciphertexts for one client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, step: Step, envelope: Envelope) -> Reading:
        """Open what can be opened of a message stanza, in its unit of work. Hold the author's lock."""
        reading = Reading()
        for enc in sorted(envelope.stanza.encs[:_MOST_ENCS], key=lambda enc: _ORDER.get(enc.type, 2)):
            try:
                plain = await self._open(step, envelope, enc)
            except DecryptError as error:
                reading.unopened.append(Unopened(enc, error.reason.value))
            except DecodeError:
                reading.unopened.append(Unopened(enc, DECODE))
            except UntrustedIdentity:
                reading.unopened.append(Unopened(enc, UNTRUSTED))
            except UnvouchedCompanion:
                reading.unopened.append(Unopened(enc, UNVOUCHED))
            else:
                await self._take(step, reading, envelope, enc, plain)
        return reading

    async def _take(self, step: Step, reading: Reading, envelope: Envelope, enc: Enc, plain: bytes) -> None:
        try:
            message = content.parse_message(plain)
        except DecodeError:
            reading.unopened.append(Unopened(enc, MALFORMED))
            return
        reading.opened.append(Opened(enc.type, plain, message))
        await self._take_sender_key(step, envelope.chat, envelope.stanza.author, message)

    async def _open(self, step: Step, envelope: Envelope, enc: Enc) -> bytes:
        author = envelope.stanza.author
        # Only people's devices have sessions; a bot's or a newsletter's name would read as somebody's number.
        if enc.type in (EncType.PKMSG, EncType.MSG) and author.is_user:
            return unpad(await self._open_session(step, envelope.stanza, enc))
        if enc.type == EncType.SKMSG and _has_sender_keys(envelope.chat) and author.is_user:
            return unpad(await self._open_group(step, envelope.chat, author, enc))
        if enc.type == EncType.MSMSG:
            return await self._open_bot(step, envelope, enc)
        raise DecryptError(DecryptReason.UNSUPPORTED, author)

    async def _open_bot(self, step: Step, envelope: Envelope, enc: Enc) -> bytes:
        """A bot's answer, sealed with the secret of the message it answers."""
        stanza, mine = envelope.stanza, self._client.credentials
        about = {child.tag: child for child in stanza.extra if child.tag in ("meta", "bot")}
        target = get_text(about["meta"], "target_id") if "meta" in about else None
        asked = get_jid(about["meta"], "target_sender_jid") if "meta" in about else None
        edited = get_text(about["bot"], "edit_target_id") if "bot" in about else None
        secrets = await step.unit.load_prefix(RecordKind.MESSAGE_SECRET, message_place(envelope.chat, target or ""))
        askers = [jid.bare for jid in (asked, mine.lid, mine.me) if jid is not None]
        for secret in secrets.values():
            for asker in askers:
                with suppress(DecryptError):
                    return unseal_bot_message(
                        secret,
                        enc.ciphertext,
                        message_id=edited or stanza.id,
                        asked_by=asker,
                        bot=stanza.author.bare,
                    )
        raise DecryptError(DecryptReason.UNSUPPORTED, stanza.author)

    # --- sessions -----------------------------------------------------------------------------------------------------

    async def _open_session(self, step: Step, stanza: IncomingMessage, enc: Enc) -> bytes:
        author = stanza.author
        key = signal_address(await addresses.canonical(step, author))
        record = await step.load(RecordKind.SESSION, key)
        try:
            return await self._step(step, stanza, key, record, enc)
        except DecryptError as error:
            other = await self._left_behind(step, author, key, error)
            if other is None:
                raise
            plain = await self._step(step, stanza, key, await step.load(RecordKind.SESSION, other), enc)
            step.save(RecordKind.SESSION, other, None)
            step.transition("migration", "other address", "canonical", kind="session")
            return plain

    async def _left_behind(self, step: Step, author: Jid, key: str, error: DecryptError) -> str | None:
        """The name of a session under the author's other address, when trying it makes sense."""
        if error.reason is DecryptReason.DUPLICATE:
            return None
        other = await addresses.phone_number(step, author)
        name = None if other is None else signal_address(other)
        return name if name != key and name and await step.load(RecordKind.SESSION, name) is not None else None

    async def _step(self, step: Step, stanza: IncomingMessage, key: str, record: bytes | None, enc: Enc) -> bytes:
        author = stanza.author
        trusted = await step.load(RecordKind.IDENTITY, key)
        try:
            opened = await self._decrypt(step, author, record, trusted, enc)
        except UntrustedIdentity as error:
            # It is authentic: whoever wrote it holds the new key. Whether we take it is the client's policy.
            await self._client.identities.take(step, author, key, error, stanza.device_identity)
            trusted = error.new
            opened = await self._decrypt(step, author, record, trusted, enc)
        if opened.identity_key is not None and trusted is None:
            await self._client.identities.meet(step, author, key, opened.identity_key, stanza.device_identity)
        step.save(RecordKind.SESSION, key, opened.record)
        if opened.spent_prekey_id is not None:
            await prekeys.spend(step, opened.spent_prekey_id)
        step.transition("ratchet", "ready", "advanced")
        return opened.plaintext

    async def _decrypt(
        self, step: Step, author: Jid, record: bytes | None, trusted: bytes | None, enc: Enc
    ) -> signal_repo.Decrypted:
        try:
            return signal_repo.decrypt(
                EncType(enc.type),
                enc.ciphertext,
                record=record,
                local=signal_repo.LocalIdentity.of(self._client.credentials),
                keys=await self._prekeys(step, enc),
                trusted_identity=trusted,
                sender=author,
                entropy=self._client.entropy.take(32),
            )
        except DecryptError as error:
            raise DecryptError(error.reason, author) from error
        except StorageError:
            if record is None:
                raise
            step.transition("session", "damaged", "none", device=author.device)
            return await self._decrypt(step, author, None, trusted, enc)

    async def _prekeys(self, step: Step, enc: Enc) -> signal_repo.PreKeyLookup | None:
        """The private prekeys a pkmsg names, as far as we have them."""
        if enc.type != EncType.PKMSG:
            return None
        named = PreKeyMessage.parse(enc.ciphertext)
        signed = await step.load(RecordKind.SIGNED_PREKEY, str(named.signed_prekey_id))
        once = None if named.prekey_id is None else await step.load(RecordKind.PREKEY, str(named.prekey_id))
        return signal_repo.PreKeyLookup(signed_prekey_private=signed, prekey_private=once)

    # --- sender keys --------------------------------------------------------------------------------------------------

    async def _open_group(self, step: Step, group: Jid, author: Jid, enc: Enc) -> bytes:
        name = sender_key_name(group, await addresses.canonical(step, author))
        cipher = GroupCipher(await step.load(RecordKind.SENDER_KEY, name))
        try:
            opened = cipher.decrypt(enc.ciphertext, sender=author)
        except StorageError:  # damaged: the author tells us anew
            raise DecryptError(DecryptReason.NO_SENDER_KEY, author) from None
        step.save(RecordKind.SENDER_KEY, name, opened.record)
        step.transition("sender_key", "ready", "advanced")
        return opened.plaintext

    async def _take_sender_key(self, step: Step, chat: Jid, author: Jid, message: proto.Message) -> None:
        told = message.senderKeyDistributionMessage
        distribution = told.axolotlSenderKeyDistributionMessage
        if not distribution or not _has_sender_keys(chat) or told.groupId not in ("", str(chat)):
            return
        name = sender_key_name(chat, await addresses.canonical(step, author))
        cipher = GroupCipher(await step.load(RecordKind.SENDER_KEY, name))
        try:
            known = _process(cipher, distribution).record
        except (DecodeError, DecryptError):
            step.transition("sender_key", "told", "refused")
            return
        step.save(RecordKind.SENDER_KEY, name, known)
        step.transition("sender_key", "unknown" if cipher.record is None else "known", "told")


def _has_sender_keys(chat: Jid) -> bool:
    """Groups, and lists such as the status of our contacts. Source: Baileys Utils/decode-wa-message.ts."""
    return chat.is_group or chat.is_broadcast


def _process(cipher: GroupCipher, distribution: bytes) -> GroupCipher:
    """With this key as well; a damaged record holds nothing that could be kept."""
    try:
        return cipher.process(distribution)
    except StorageError:
        return GroupCipher().process(distribution)
