"""The world: accounts, their devices, and what each device has published. The truth of the lab, kept in its database.

An account is a person: a phone number (PN), a LID, a push name, an identity key. Device 0 is the phone; companions are
1, 2, ... in the order of pairing, and a number is never used again. The account's phone signs the list of companions
that count (the key-index list); the world stores it and hands it out.

Nothing is cached: every question reads the database, so a restarted lab cannot differ from one that ran on.

Source: facts of the service as whatsmeow (store, pair.go, prekeys.go) and Baileys see it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import cast

from waton.errors import LabError
from waton.jid import Jid, JidServer
from waton.lab.database import Database, Value
from waton.ports import Clock, Entropy
from waton.protocol.stanza.encrypt import Bundle, SignedPrekey, Upload
from waton.protocol.trace import Layer, Tracer, Way

PREKEYS_LOW = 5
"""A device with fewer one-time prekeys left is told so."""


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """A person."""

    id: int
    pn: Jid
    lid: Jid
    name: str
    """Push name."""
    raw_id: int
    """The account's registration; part of every ADV signature. Another one when the phone has registered anew."""
    identity: bytes
    """32 bytes: the phone's public identity key, which vouches for companions."""
    key_list: bytes
    """ADVSignedKeyIndexList protobuf."""
    key_list_t: int
    """Unix seconds of its signing."""

    def __repr__(self) -> str:
        return f"<Account {self.id}>"


@dataclass(frozen=True, slots=True, repr=False)
class Device:
    """One device of an account; 0 is the phone."""

    account: Account
    number: int
    identity: bytes
    """32 bytes, public."""
    registration_id: int
    noise: bytes
    """32 bytes: the public Noise key it logs in with; empty for a phone, which needs no socket."""
    signed_identity: bytes
    """ADVSignedDeviceIdentity protobuf, both signatures and the account's key in it; empty for a phone."""
    key_index: int
    signed_prekey: SignedPrekey | None
    welcomed: bool
    """The phone has sent it keys and history."""

    @property
    def pn(self) -> Jid:
        return self.account.pn.with_device(self.number)

    @property
    def lid(self) -> Jid:
        return self.account.lid.with_device(self.number)

    @property
    def key(self) -> tuple[int, int]:
        """(account id, number)."""
        return self.account.id, self.number

    def __repr__(self) -> str:
        return f"<Device {self.number} of {self.account!r}>"


_ACCOUNT = "id, pn, lid, name, raw_id, identity, key_list, key_list_t"
_DEVICE = (
    "number, identity, registration_id, noise, signed_identity, key_index, skey_id, skey, skey_signature, welcomed"
)


class World:
    """Accounts, devices and prekeys. Every change is a step of the database."""

    def __init__(self, database: Database, clock: Clock, entropy: Entropy, tracer: Tracer) -> None:
        self.database = database
        self.clock = clock
        self.entropy = entropy
        self.tracer = tracer
        self.skew = 0.0
        """Seconds by which the server's clock is off, in the timestamps of its stanzas; see waton.lab.lines."""
        self._id = 0

    def step(self) -> AbstractContextManager[None]:
        """One transaction; see Database.step."""
        return self.database.step()

    def after(self, action: Callable[[], None]) -> None:
        """Run `action` after the commit; see Database.after."""
        self.database.after(action)

    def t(self) -> int:
        """Unix seconds."""
        return int(self.clock.now() + self.skew)

    def fresh_id(self) -> str:
        """An id for a stanza of the server's own; unique over restarts."""
        self._id += 1
        return f"{self.entropy.take(4).hex()}-{self._id}"

    def note(self, name: str, parent: int | None = None, **detail: str | int) -> None:
        """Trace something that happened to the world. Detail holds no secrets."""
        self.tracer.add(Layer.STATE, Way.LOCAL, name, at=self.clock.now(), parent=parent, detail=json.dumps(detail))

    # --- accounts ---------------------------------------------------------------------------------------------------

    def create_account(self, name: str, pn: Jid, lid: Jid, *, raw_id: int, identity: bytes) -> Account:
        """A new person. Raises LabError when the number or LID is taken."""
        if self.find(pn) is not None or self.find(lid) is not None:
            raise LabError("that phone number or LID is taken")
        id = self.database.insert(
            "INSERT INTO account (pn, lid, name, raw_id, identity) VALUES (?, ?, ?, ?, ?)",
            pn.user,
            lid.user,
            name,
            raw_id,
            identity,
        )
        return self.account(id)

    def account(self, id: int) -> Account:
        """The account of this id. Raises LabError."""
        row = self.database.row(f"SELECT {_ACCOUNT} FROM account WHERE id = ?", id)
        if row is None:
            raise LabError("no such account")
        return _account(row)

    def accounts(self) -> list[Account]:
        """Everybody, oldest first."""
        return [_account(row) for row in self.database.rows(f"SELECT {_ACCOUNT} FROM account ORDER BY id")]

    def find(self, jid: Jid) -> Account | None:
        """Whose address it is, by PN or LID, whatever the device."""
        if not jid.is_user:
            return None
        column = "lid" if jid.is_lid else "pn"
        row = self.database.row(f"SELECT {_ACCOUNT} FROM account WHERE {column} = ?", jid.user)
        return None if row is None else _account(row)

    # --- devices ----------------------------------------------------------------------------------------------------

    def reserve_number(self, account: Account) -> int:
        """The next companion's number; it is used up even if the pairing fails."""
        with self.step():
            row = self.database.row("SELECT next_device FROM account WHERE id = ?", account.id)
            self.database.write("UPDATE account SET next_device = next_device + 1 WHERE id = ?", account.id)
        return cast(int, row[0]) if row is not None else 0

    def add_device(
        self,
        account: Account,
        number: int,
        *,
        identity: bytes,
        registration_id: int,
        noise: bytes = b"",
        signed_identity: bytes = b"",
    ) -> Device:
        """A device that has been vouched for (or the phone itself, 0)."""
        self.database.write(
            "INSERT INTO device (account, number, identity, registration_id, noise, signed_identity, key_index)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            account.id,
            number,
            identity,
            registration_id,
            noise,
            signed_identity,
            number,
        )
        device = self.device(account, number)
        if device is None:
            raise LabError("no such device")
        return device

    def remove_device(self, device: Device) -> None:
        """Forget a companion, its prekeys and its queue."""
        with self.step():
            for table in ("device", "prekey", "queue"):
                self.database.write(f"DELETE FROM {table} WHERE account = ? AND number = ?", *device.key)

    def renew_phone(self, account: Account, *, raw_id: int, identity: bytes, registration_id: int) -> Device:
        """The account's phone has registered anew: other keys, no prekeys yet. Companions are not touched."""
        with self.step():
            self.database.write(
                "UPDATE account SET raw_id = ?, identity = ? WHERE id = ?", raw_id, identity, account.id
            )
            self.database.write(
                "UPDATE device SET identity = ?, registration_id = ?, skey_id = NULL, skey = NULL,"
                " skey_signature = NULL WHERE account = ? AND number = 0",
                identity,
                registration_id,
                account.id,
            )
            self.database.write("DELETE FROM prekey WHERE account = ? AND number = 0", account.id)
        renewed = self.device(self.account(account.id), 0)
        if renewed is None:
            raise LabError("the account has no phone")
        return renewed

    def set_key_list(self, account: Account, signed: bytes, t: int) -> None:
        """The phone's new list of companions that count."""
        self.database.write("UPDATE account SET key_list = ?, key_list_t = ? WHERE id = ?", signed, t, account.id)

    def set_welcomed(self, device: Device) -> None:
        """The phone has sent this companion its keys and history."""
        self.database.write("UPDATE device SET welcomed = 1 WHERE account = ? AND number = ?", *device.key)

    def device(self, account: Account, number: int) -> Device | None:
        """One device, None when there is none of that number (any more)."""
        row = self.database.row(f"SELECT {_DEVICE} FROM device WHERE account = ? AND number = ?", account.id, number)
        return None if row is None else _device(account, row)

    def devices(self, account: Account) -> list[Device]:
        """All devices, the phone first."""
        rows = self.database.rows(f"SELECT {_DEVICE} FROM device WHERE account = ? ORDER BY number", account.id)
        return [_device(account, row) for row in rows]

    def locate(self, jid: Jid) -> Device | None:
        """The device a JID names, by PN or LID."""
        account = self.find(jid)
        return None if account is None else self.device(account, jid.device)

    # --- prekeys ----------------------------------------------------------------------------------------------------

    def publish(self, device: Device, upload: Upload) -> None:
        """Store what a device uploaded. Raises LabError when it is not this device's identity."""
        if upload.identity != device.identity:
            raise LabError("an upload with another identity key")
        with self.step():
            self.set_signed_prekey(device, upload.signed)
            self.database.write(
                "UPDATE device SET registration_id = ? WHERE account = ? AND number = ?",
                upload.registration_id,
                *device.key,
            )
            self.database.write_many(
                "INSERT OR REPLACE INTO prekey VALUES (?, ?, ?, ?)",
                [(*device.key, id, value) for id, value in upload.prekeys],
            )

    def set_signed_prekey(self, device: Device, signed: SignedPrekey) -> None:
        """A device's new signed prekey."""
        self.database.write(
            "UPDATE device SET skey_id = ?, skey = ?, skey_signature = ? WHERE account = ? AND number = ?",
            signed.id,
            signed.value,
            signed.signature,
            *device.key,
        )

    def prekeys(self, device: Device) -> list[tuple[int, bytes]]:
        """The one-time prekeys left, by id."""
        rows = self.database.rows(
            "SELECT id, value FROM prekey WHERE account = ? AND number = ? ORDER BY id", *device.key
        )
        return cast("list[tuple[int, bytes]]", rows)

    def prekey_count(self, device: Device) -> int:
        """How many are left."""
        return self.database.count("SELECT count(*) FROM prekey WHERE account = ? AND number = ?", *device.key)

    def take_bundle(self, device: Device) -> Bundle | None:
        """A bundle with one one-time prekey, which nobody else will get; without one when they are used up.

        Returns:
            None when the device has published nothing yet.
        """
        if device.signed_prekey is None:
            return None
        with self.step():
            row = self.database.row(
                "DELETE FROM prekey WHERE account = ? AND number = ? AND id ="
                " (SELECT min(id) FROM prekey WHERE account = ? AND number = ?) RETURNING id, value",
                *device.key,
                *device.key,
            )
        return Bundle(
            registration_id=device.registration_id,
            identity=device.identity,
            signed=device.signed_prekey,
            prekey=cast("tuple[int, bytes] | None", row),
            device_identity=device.signed_identity,
        )

    # --- profiles and who looks at whom -----------------------------------------------------------------------------

    def profile(self, account: Account, name: str, default: str = "") -> str:
        """A setting of an account: about, privacy, blocklist ..., as text or JSON."""
        row = self.database.row("SELECT value FROM profile WHERE account = ? AND name = ?", account.id, name)
        return default if row is None else cast(str, row[0])

    def set_profile(self, account: Account, name: str, value: str) -> None:
        self.database.write("INSERT OR REPLACE INTO profile VALUES (?, ?, ?)", account.id, name, value)

    def watch(self, accounts: Iterable[Account], by: Account) -> None:
        """`by` has asked for these accounts' devices, and is told from now on when they change."""
        rows: list[tuple[Value, ...]] = [(account.id, by.id) for account in accounts if account.id != by.id]
        self.database.write_many("INSERT OR IGNORE INTO watcher VALUES (?, ?)", rows)

    def watchers(self, account: Account) -> list[Account]:
        """Who has asked for this account's devices."""
        rows = self.database.rows("SELECT by FROM watcher WHERE account = ? ORDER BY by", account.id)
        return [self.account(cast(int, row[0])) for row in rows]


def _account(row: tuple[Value, ...]) -> Account:
    id, pn, lid, name, raw_id, identity, key_list, key_list_t = cast(
        "tuple[int, str, str, str, int, bytes, bytes, int]", row
    )
    return Account(id, Jid(pn, JidServer.PN), Jid(lid, JidServer.LID), name, raw_id, identity, key_list, key_list_t)


def _device(account: Account, row: tuple[Value, ...]) -> Device:
    number, identity, registration, noise, signed_identity, key_index, skey_id, skey, signature, welcomed = cast(
        "tuple[int, bytes, int, bytes, bytes, int, int | None, bytes, bytes, int]", row
    )
    signed = None if skey_id is None else SignedPrekey(skey_id, skey, signature)
    return Device(account, number, identity, registration, noise, signed_identity, key_index, signed, bool(welcomed))
