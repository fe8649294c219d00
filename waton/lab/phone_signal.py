"""A phone's keys and Signal sessions: records in the lab's database, pure steps of signal_repo over them.

Sessions live under the LID address of the other device, whatever address a stanza used. Identities are trusted on first
use, until the service says that the account has registered anew: the lab's phones look there before each message, so
what was known of the old device is forgotten then. Everything here must run within a step of the database, so that a
ratchet and what it produced commit together.
"""

from __future__ import annotations

from collections.abc import Sequence

from waton._core import PreKeyBundle, PreKeyMessage, session_is_open, x25519_public_key
from waton.errors import DecryptError, InvalidSignature, StorageError
from waton.jid import Jid, signal_address
from waton.lab.world import Device, World
from waton.ports import RecordKind
from waton.protocol import signal_repo
from waton.protocol.credentials import Credentials
from waton.protocol.signal_repo import EncType, LocalIdentity, PreKeyLookup
from waton.protocol.stanza.encrypt import Bundle, SignedPrekey, Upload
from waton.protocol.stanza.message import Enc
from waton.utils.padding import pad, unpad

PREKEYS = 100
"""One-time prekeys a phone keeps on offer."""
_REFILL_BELOW = 20


class PhoneRecords:
    """The records of one phone."""

    def __init__(self, world: World, account: int) -> None:
        self._database = world.database
        self._account = account

    def load(self, kind: str, key: str) -> bytes | None:
        row = self._database.row(
            "SELECT value FROM phone_record WHERE account = ? AND kind = ? AND key = ?", self._account, kind, key
        )
        return row[0] if row is not None and isinstance(row[0], bytes) else None

    def save(self, kind: str, key: str, value: bytes | None) -> None:
        """Write a record; None deletes it."""
        if value is None:
            self._database.write(
                "DELETE FROM phone_record WHERE account = ? AND kind = ? AND key = ?", self._account, kind, key
            )
        else:
            self._database.write(
                "INSERT OR REPLACE INTO phone_record VALUES (?, ?, ?, ?)", self._account, kind, key, value
            )

    def lose_sessions(self) -> None:
        """Delete every session and every sender key, one's own included."""
        for kind in (RecordKind.SESSION, RecordKind.SENDER_KEY, RecordKind.SENDER_KEY_SENT):
            self._database.write("DELETE FROM phone_record WHERE account = ? AND kind = ?", self._account, kind)

    def clear(self) -> None:
        """Delete every record."""
        self._database.write("DELETE FROM phone_record WHERE account = ?", self._account)

    def credentials(self) -> Credentials:
        """Raises StorageError."""
        record = self.load(RecordKind.CREDENTIALS, "self")
        if record is None:
            raise StorageError("credentials/self", "is missing")
        return Credentials.from_json(record)


class PhoneSignal:
    """Encrypts and decrypts for one phone."""

    def __init__(self, world: World, device: Device) -> None:
        self._world = world
        self._device = device
        self.records = PhoneRecords(world, device.account.id)
        self.credentials = self.records.credentials()

    # --- who it is ----------------------------------------------------------------------------------------------------

    def register_anew(self) -> Device:
        """Throw all records away and begin again with new keys; the device as the world knows it then."""
        mine = self.credentials
        fresh = Credentials.generate(self._world.entropy.take)
        self.records.clear()
        self.credentials = fresh.evolve(me=mine.me, lid=mine.lid, push_name=mine.push_name)
        self.records.save(RecordKind.CREDENTIALS, "self", self.credentials.to_json())
        raw_id = int.from_bytes(self._world.entropy.take(4), "big") >> 1
        self._device = self._world.renew_phone(
            self._device.account,
            raw_id=raw_id,
            identity=fresh.identity_key.public,
            registration_id=fresh.registration_id,
        )
        self.stock_prekeys()
        return self._device

    # --- prekeys ----------------------------------------------------------------------------------------------------

    def stock_prekeys(self) -> None:
        """Publish fresh one-time prekeys when few are left."""
        left = self._world.prekey_count(self._device)
        if left >= _REFILL_BELOW:
            return
        made: list[tuple[int, bytes]] = []
        first = self.credentials.next_prekey_id
        for id in range(first, first + PREKEYS - left):
            private = self._world.entropy.take(32)
            self.records.save(RecordKind.PREKEY, str(id), private)
            made.append((id, x25519_public_key(private)))
        self.credentials = self.credentials.evolve(next_prekey_id=first + len(made))
        self.records.save(RecordKind.CREDENTIALS, "self", self.credentials.to_json())
        self._world.publish(self._device, self._upload(made))

    def _upload(self, prekeys: Sequence[tuple[int, bytes]]) -> Upload:
        mine = self.credentials
        signed = SignedPrekey(mine.signed_prekey_id, mine.signed_prekey.public, mine.signed_prekey_signature)
        return Upload(mine.registration_id, mine.identity_key.public, signed, tuple(prekeys))

    # --- the way out ------------------------------------------------------------------------------------------------

    def encrypt(self, device: Device, plain: bytes) -> Enc | None:
        """One ciphertext for one device; None when it has published nothing to open a session with."""
        address = signal_address(device.lid)
        self._forget_former(device.lid)
        record = self.records.load(RecordKind.SESSION, address)
        if record is None or not session_is_open(record):
            bundle = self._world.take_bundle(device)
            if bundle is None:
                return None
            record = self.open(address, record, bundle)
            if record is None:
                return None
        sealed = signal_repo.encrypt(record, pad(plain, self._world.entropy.take(1)[0]))
        self.records.save(RecordKind.SESSION, address, sealed.record)
        return Enc(sealed.type, sealed.ciphertext)

    def renew(self, device: Device, bundle: Bundle | None) -> bool:
        """Put a fresh session in front of the device's old ones.

        Args:
            device: whose session.
            bundle: its own keys, if it sent them; a fresh bundle of the server's otherwise.
        Returns:
            False when there are no keys, or they are not this device's.
        """
        address = signal_address(device.lid)
        keys = bundle if bundle is not None else self._world.take_bundle(device)
        if keys is None or keys.identity != device.identity:
            return False
        opened = self.open(address, self.records.load(RecordKind.SESSION, address), keys)
        if opened is not None:
            self.records.save(RecordKind.SESSION, address, opened)
        return opened is not None

    def open(self, address: str, record: bytes | None, bundle: Bundle) -> bytes | None:
        """A record with a fresh session; None when the bundle does not verify."""
        once = bundle.prekey
        parsed = PreKeyBundle(
            registration_id=bundle.registration_id,
            identity_key=bundle.identity,
            signed_prekey_id=bundle.signed.id,
            signed_prekey=bundle.signed.value,
            signed_prekey_signature=bundle.signed.signature,
            prekey_id=None if once is None else once[0],
            prekey=None if once is None else once[1],
        )
        try:
            opened = signal_repo.open_session(
                record, parsed, LocalIdentity.of(self.credentials), entropy=self._world.entropy.take(64)
            )
        except InvalidSignature:
            self._world.note("phone.bad_bundle", device=bundle.registration_id)
            return None
        self.records.save(RecordKind.IDENTITY, address, bundle.identity)
        return opened

    # --- the way in -------------------------------------------------------------------------------------------------

    def decrypt(self, author: Jid, enc: Enc) -> bytes:
        """The plaintext, unpadded. author: the LID address of the device that encrypted it.

        Raises:
            DecryptError, DecodeError: it cannot be read; nothing has changed then.
            UntrustedIdentity: another identity key than the one first seen.
        """
        if enc.type not in (EncType.PKMSG, EncType.MSG):
            raise DecryptError("unsupported", author)
        address = signal_address(author)
        self._forget_former(author)
        opened = signal_repo.decrypt(
            EncType(enc.type),
            enc.ciphertext,
            record=self.records.load(RecordKind.SESSION, address),
            local=LocalIdentity.of(self.credentials),
            keys=self._keys(enc),
            trusted_identity=self.records.load(RecordKind.IDENTITY, address),
            sender=author,
            entropy=self._world.entropy.take(32),
        )
        plain = unpad(opened.plaintext)
        self.records.save(RecordKind.SESSION, address, opened.record)
        if opened.identity_key is not None:
            self.records.save(RecordKind.IDENTITY, address, opened.identity_key)
        if opened.spent_prekey_id is not None:
            self.records.save(RecordKind.PREKEY, str(opened.spent_prekey_id), None)
            self.stock_prekeys()
        return plain

    def _forget_former(self, address: Jid) -> None:
        """Forget the session of a device that has another identity by now. address: by LID."""
        device = self._world.locate(address)
        known = self.records.load(RecordKind.IDENTITY, signal_address(address))
        if device is not None and known is not None and known != device.identity:
            for kind in (RecordKind.SESSION, RecordKind.IDENTITY):
                self.records.save(kind, signal_address(address), None)
            self._world.note("phone.identity_changed", device=device.number)

    def _keys(self, enc: Enc) -> PreKeyLookup | None:
        if enc.type != EncType.PKMSG:
            return None
        named = PreKeyMessage.parse(enc.ciphertext)
        mine = self.credentials
        signed = mine.signed_prekey.private if named.signed_prekey_id == mine.signed_prekey_id else None
        once = None if named.prekey_id is None else self.records.load(RecordKind.PREKEY, str(named.prekey_id))
        return PreKeyLookup(signed_prekey_private=signed, prekey_private=once)
