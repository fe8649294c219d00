"""Which of the devices that the server names are to be believed, and what has changed since last time.

A person's phone signs the list of its companions (ADV); the server only passes it on. A companion that the list does
not hold gets nothing, however the server came to name it. The one exception is the protocol's own: a key index beyond
the list's newest is a companion linked since, and has to prove itself by the device identity in its bundle. The phone
itself, device 0, needs nobody's word; it is what the identity key stands for.

    verified    signed by the identity key we know of the person's phone
    unverified  we do not know that key yet, so the list is the server's word; it is read again when we do
    unsigned    companions, and no list                         -> the phone alone
    forged      the list does not parse, or somebody else signed it    -> the phone alone
    outdated    older than one we have had                      -> judged by that one

A list of another registration (raw id) that is not older than ours says that the account was registered anew: its
devices are all new, and what was agreed with the old ones is over. If it is signed by a key that it brings itself, the
identity has changed as well; that is for the caller to act on, nothing here trusts the new key.

All of it is pure: results and records in, a judgement out.

Source: whatsapp-rust wacore/src/adv.rs, src/usync.rs and src/client/device_registry.rs (which devices count, raw ids);
whatsmeow notification.go (hashes). Baileys reads neither the list nor the hashes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from waton.errors import DecodeError, InvalidSignature, StorageError
from waton.jid import Jid
from waton.protocol.adv import KeyIndexList, read_key_index_list, verify_key_index_list
from waton.protocol.participant_hash import participant_hash
from waton.protocol.stanza.devices import ChangeKind, ListChange
from waton.protocol.stanza.usync import DeviceEntry, UserResult


class Verdict(StrEnum):
    """How far a device list is to be believed."""

    PHONE_ONLY = "phone_only"
    """There is no companion to vouch for."""
    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    UNSIGNED = "unsigned"
    FORGED = "forged"
    OUTDATED = "outdated"


@dataclass(frozen=True, slots=True)
class KnownDevices:
    """What is kept of a person: the devices that counted, and the list that said so."""

    devices: tuple[DeviceEntry, ...] = ()
    raw_id: int | None = None
    """The account's registration; None before any list was read."""
    t: int = 0
    """Unix seconds of the list's signing."""
    current_index: int = 0
    valid_indexes: frozenset[int] = frozenset()
    at: int = 0
    """Unix seconds of when we learnt it."""

    def to_json(self) -> bytes:
        """The stored form; it names no address, so that it can move from the number to the LID."""
        values = {
            "devices": [[entry.id, entry.key_index, entry.is_hosted] for entry in self.devices],
            "raw_id": self.raw_id,
            "t": self.t,
            "current_index": self.current_index,
            "valid_indexes": sorted(self.valid_indexes),
            "at": self.at,
        }
        return json.dumps(values).encode()

    @staticmethod
    def from_json(data: bytes) -> KnownDevices:
        """Raises StorageError when the record is damaged."""
        try:
            raw: dict[str, Any] = json.loads(data)
            return KnownDevices(
                tuple(DeviceEntry(int(id), index, bool(hosted)) for id, index, hosted in raw["devices"]),
                None if raw["raw_id"] is None else int(raw["raw_id"]),
                int(raw["t"]),
                int(raw["current_index"]),
                frozenset(raw["valid_indexes"]),
                int(raw["at"]),
            )
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise StorageError("device_list") from error

    @property
    def indexes(self) -> KeyIndexList | None:
        """The list that was read last, None when there was none."""
        if self.raw_id is None:
            return None
        return KeyIndexList(self.raw_id, self.t, self.current_index, self.valid_indexes)

    def taking(self, indexes: KeyIndexList | None, devices: Iterable[DeviceEntry], at: float) -> KnownDevices:
        """The same person with these devices, by this list (None leaves the one before)."""
        changed = replace(self, devices=tuple(devices), at=int(at))
        if indexes is None:
            return changed
        return replace(
            changed,
            raw_id=indexes.raw_id,
            t=indexes.timestamp,
            current_index=indexes.current_index,
            valid_indexes=indexes.valid_indexes,
        )


@dataclass(frozen=True, slots=True, repr=False)
class DeviceChange:
    """What a new list means for one person. Told until it is settled (DeviceLists.settle)."""

    user: Jid
    """Whose, without a device, as they were asked for."""
    after: KnownDevices
    """What is to be kept."""
    verdict: Verdict
    is_first: bool
    """Nothing was known of them before: nothing was added or removed either."""
    is_reregistered: bool = False
    """The account was registered anew: treat its identity as changed, the phone's session included."""
    added: tuple[Jid, ...] = ()
    """Devices that were not there before; companions under an old number with a new key index, too."""
    removed: tuple[Jid, ...] = ()
    """Devices that are gone: drop their sessions, and what is remembered of sender keys given to them."""

    @property
    def is_news(self) -> bool:
        """There is something to act on, not only to keep."""
        return bool(self.added or self.removed or self.is_reregistered)

    def __repr__(self) -> str:
        again = " registered anew" if self.is_reregistered else ""
        return f"<DeviceChange {self.verdict.value} +{len(self.added)} -{len(self.removed)}{again}>"


def judge(
    result: UserResult, known: KnownDevices | None, account_key: bytes | None, now: float
) -> tuple[UserResult, DeviceChange]:
    """What to believe of an answer of usync.

    Args:
        result: with at least one device.
        known: what is kept of the person, None when nothing is.
        account_key: the identity key of their phone, 32 bytes; None when it is not known.
        now: Unix seconds.
    Returns:
        the answer with the devices that count, and what has changed.
    """
    before = known or KnownDevices()
    verdict, indexes, is_new = _read(result.key_index_list, before, account_key)
    if verdict is Verdict.UNSIGNED and all(entry.id == 0 for entry in result.devices):
        verdict = Verdict.PHONE_ONLY
    counting = tuple(entry for entry in result.devices if _counts(entry, indexes))
    after = before.taking(indexes, counting, now)
    return replace(result, devices=counting), compare(result.jid, known, after, verdict, is_reregistered=is_new)


def apply_change(
    user: Jid, known: KnownDevices, change: ListChange, account_key: bytes | None, now: float
) -> DeviceChange | None:
    """What a notification makes of a list that is known.

    Returns:
        what has changed; None when only a question can tell.
    """
    if change.kind is ChangeKind.UPDATE:
        return None
    if change.t and change.t < known.t:
        return compare(user, known, known, Verdict.OUTDATED)
    verdict, indexes, is_new = _read(change.key_index_list, known, account_key)
    named = {(entry.id, entry.is_hosted) for entry in change.devices if entry.id}
    if change.kind is ChangeKind.ADD:
        if verdict in (Verdict.UNSIGNED, Verdict.FORGED):
            return None
        kept = known.devices if not is_new else [entry for entry in known.devices if entry.id == 0]
        kept = [entry for entry in kept if (entry.id, entry.is_hosted) not in named]
        devices = [*kept, *(entry for entry in change.devices if entry.id)]
    else:
        if verdict is Verdict.FORGED or is_new:
            return None
        devices = [entry for entry in known.devices if (entry.id, entry.is_hosted) not in named]
    by = indexes if indexes is not None else known.indexes
    counting = tuple(entry for entry in devices if _counts(entry, by))
    after = known.taking(indexes, counting, now)
    if indexes is None and change.t:
        gone = {entry.key_index for entry in known.devices if entry not in devices}
        after = replace(after, t=change.t, valid_indexes=frozenset(after.valid_indexes - gone))
    return compare(user, known, after, verdict, is_reregistered=is_new)


def compare(
    user: Jid, before: KnownDevices | None, after: KnownDevices, verdict: Verdict, *, is_reregistered: bool = False
) -> DeviceChange:
    """What the step from one list to another means. After a new registration every companion is another one."""
    user = user.bare
    if before is None:
        return DeviceChange(user, after, verdict, is_first=True)
    kept = {entry for entry in before.devices if entry in after.devices and not (is_reregistered and entry.id)}
    return DeviceChange(
        user,
        after,
        verdict,
        is_first=False,
        is_reregistered=is_reregistered,
        added=_addresses(user, set(after.devices) - kept),
        removed=_addresses(user, set(before.devices) - kept),
    )


def hash_of(user: Jid, known: KnownDevices) -> str:
    """The participant hash of a person's devices, by this address (PN or LID)."""
    return participant_hash(entry.address(user) for entry in known.devices)


def _read(signed: bytes, known: KnownDevices, account_key: bytes | None) -> tuple[Verdict, KeyIndexList | None, bool]:
    """How a list is to be believed, by which list devices are judged, and whether it is of another registration."""
    if not signed:
        return Verdict.UNSIGNED, None, False
    try:
        indexes = read_key_index_list(signed)
        is_other = known.raw_id is not None and indexes.raw_id != known.raw_id
        is_new = is_other and indexes.timestamp >= known.t
        if is_other and not is_new:
            return Verdict.FORGED, None, False  # an old registration's list, said again
        is_verified = account_key is not None and _verify(signed, account_key, indexes, is_new=is_new)
    except (DecodeError, InvalidSignature):
        return Verdict.FORGED, None, False
    if not is_other and indexes.timestamp < known.t:
        return Verdict.OUTDATED, known.indexes, False
    return (Verdict.VERIFIED if is_verified else Verdict.UNVERIFIED), indexes, is_new


def _verify(signed: bytes, account_key: bytes, indexes: KeyIndexList, *, is_new: bool) -> bool:
    """Whether by the known key; a new registration may come with a key of its own, which then must have signed it."""
    try:
        verify_key_index_list(signed, account_key)
    except InvalidSignature:
        if not is_new:
            raise
        verify_key_index_list(signed, indexes.account_key)
        return False
    return True


def _counts(entry: DeviceEntry, indexes: KeyIndexList | None) -> bool:
    return entry.id == 0 or (entry.counts and indexes is not None and indexes.holds(entry.key_index))


def _addresses(user: Jid, entries: Iterable[DeviceEntry]) -> tuple[Jid, ...]:
    return tuple(sorted(entry.address(user) for entry in entries))
