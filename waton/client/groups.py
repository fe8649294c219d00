"""Groups: who is in them, our own sender key in each, and who holds it.

Our key for a group is told to each device once, over its own session (SKDM); from then on one ciphertext serves all.
Who was told is stored with the key, in the unit of work whose stanza tells it. A key is made anew when it has served
long enough, and whenever a device that holds it is no longer among the group's: who left must not read on.

Source: whatsapp-rust (a map of devices that hold the key, rotation at removal and by count); Baileys remembers devices
and never rotates.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from waton.client import addresses
from waton.client.event_pipeline import Step
from waton.errors import LocalProtocolError, StorageError
from waton.jid import Jid
from waton.ports import RecordKind
from waton.protocol.binary_node import Node, decode_node, encode_node, require_child
from waton.protocol.group_cipher import GroupCipher, sender_key_name
from waton.protocol.stanza import iq
from waton.protocol.stanza.group import XMLNS, AddressingMode, GroupMetadata

if TYPE_CHECKING:
    from waton.client.client import Client

_HOSTED = 99
"""Device number of a hosted business device, which takes no part in groups' sender keys. Source: Baileys."""


@dataclass(frozen=True, slots=True)
class KeyHolders:
    """Our present sender key in one group, and which devices were told it."""

    key_id: int | None = None
    devices: frozenset[Jid] = frozenset()
    """Whoever may have it: while one of them is no longer among the group's, it is not used."""
    again: frozenset[Jid] = frozenset()
    """Those of them that are told it once more: they could not read with it, or got it out of turn."""

    def to_json(self) -> bytes:
        """The stored form."""
        values: dict[str, object] = {"key_id": self.key_id, "devices": sorted(map(str, self.devices))}
        if self.again:
            values["again"] = sorted(map(str, self.again))
        return json.dumps(values).encode()

    @staticmethod
    def from_json(data: bytes | None) -> KeyHolders:
        """Of the stored form; nobody when there is none. Raises StorageError."""
        if data is None:
            return KeyHolders()
        try:
            values = json.loads(data)
            again = frozenset(map(Jid.parse, values.get("again", ())))
            return KeyHolders(values["key_id"], frozenset(map(Jid.parse, values["devices"])), again)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError("sender_key_sent") from error

    def lacking(self, devices: Iterable[Jid]) -> list[Jid]:
        """Those that have to be told it."""
        return [device for device in devices if device not in self.devices or device in self.again]


@dataclass(frozen=True, slots=True, repr=False)
class OwnKey:
    """Our key in a group as it is to be used now."""

    name: str
    cipher: GroupCipher
    holders: KeyHolders

    def lacking(self, devices: Iterable[Jid]) -> list[Jid]:
        """Those that have to be told it."""
        return self.holders.lacking(devices)


class Groups:
    """The groups of one client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._keyed: set[Jid] = set()
        """Groups in which somebody was told a key of ours."""
        self._stale: dict[Jid, set[Jid]] = {}
        """Devices whose holding our key no longer counts, by group: they have other keys of their own now."""

    async def load(self) -> None:
        """Read what an earlier run left."""
        for key in await self._client.store.keys(RecordKind.SENDER_KEY_SENT):
            group, _, device = key.partition(" ")
            self._keyed.add(Jid.parse(group))
            if device:
                self._stale.setdefault(Jid.parse(group), set()).add(Jid.parse(device))

    def clear(self) -> None:
        """The account is forgotten, and its records with it."""
        self._keyed.clear()
        self._stale.clear()

    # --- metadata -----------------------------------------------------------------------------------------------------

    async def metadata(self, group: Jid, *, fresh: bool = False) -> GroupMetadata:
        """What a group is and who is in it: as remembered, or (fresh) as the server says now.

        Raises:
            IqError: no such group, or we are not in it.
            Disconnected, QueryTimeout: the network.
        """
        if not fresh:
            return (await self.snapshot(group))[0]
        content = [Node("query", {"request": "interactive"})]
        answer = await self._client.query(XMLNS, iq.IqType.GET, content, to=group)
        found = GroupMetadata.from_node(require_child(answer, "group"))
        async with self._client.pipeline.step() as step:
            self.keep(step, found)
        return found

    async def snapshot(self, group: Jid) -> tuple[GroupMetadata, bytes]:
        """The same as remembered, and the record that says so. Raises as metadata does."""
        known = await self._client.store.load(RecordKind.GROUP, str(group))
        if known is not None:
            return GroupMetadata.from_node(decode_node(known)), known
        found = await self.metadata(group, fresh=True)
        return found, encode_node(found.to_node())

    async def is_admin(self, group: Jid, author: Jid) -> bool | None:
        """Whether somebody is an admin of a group, as far as we remember it; None when we do not."""
        known = await self._client.store.load(RecordKind.GROUP, str(group))
        if known is None:
            return None
        participant = GroupMetadata.from_node(decode_node(known)).participant(author)
        return participant is not None and participant.is_admin

    def keep(self, step: Step, metadata: GroupMetadata) -> None:
        """Remember a group as it is now."""
        step.save(RecordKind.GROUP, str(metadata.id), encode_node(metadata.to_node()))

    def forget(self, step: Step, group: Jid) -> None:
        """Ask anew the next time."""
        step.save(RecordKind.GROUP, str(group), None)

    def own_address(self, metadata: GroupMetadata) -> Jid:
        """Our own device, as this group addresses it."""
        mine = self._client.credentials
        if metadata.addressing_mode == AddressingMode.LID and mine.lid is not None:
            return mine.lid
        if mine.me is None:
            raise LocalProtocolError("not paired")
        return mine.me

    async def devices(self, metadata: GroupMetadata) -> list[Jid]:
        """Every device of every participant, ours included, in the group's addressing."""
        me = self.own_address(metadata).bare
        users = list(dict.fromkeys([*(one.jid.bare for one in metadata.participants), me]))
        found = await self._client.people.devices_of(users)
        return [device for user in users if user in found for device in found[user].device_jids()]

    # --- our own sender key -------------------------------------------------------------------------------------------

    async def lacking(self, group: Jid, me: Jid, devices: Sequence[Jid]) -> list[Jid]:
        """Those of the devices that will have to be told our key, as it looks without a lock."""
        store = self._client.store
        cipher = _cipher(await store.load(RecordKind.SENDER_KEY, await self.own_name(store, group, me)))
        holders = _holders(await store.load(RecordKind.SENDER_KEY_SENT, str(group)))
        anew = self._why_anew(group, cipher, holders, devices)
        return list(devices) if anew else holders.lacking(devices)

    @staticmethod
    async def own_name(reader: addresses.Reader, group: Jid, me: Jid) -> str:
        """Where our key for a group is: under our canonical address, so that it outlives a change of addressing."""
        return sender_key_name(group, await addresses.canonical(reader, me))

    async def own_cipher(self, step: Step, group: Jid) -> GroupCipher:
        """Our key for a group as it is; without one when there is none. Asks nobody. Hold the group's lock."""
        mine = self._client.credentials
        for me in filter(None, (mine.lid, mine.me)):
            cipher = _cipher(await step.load(RecordKind.SENDER_KEY, await self.own_name(step, group, me)))
            if cipher.has_own_key:
                return cipher
        return GroupCipher()

    async def own_key(self, step: Step, group: Jid, me: Jid, devices: Collection[Jid]) -> OwnKey:
        """Our key for a group of these devices, made anew when it has to be. Hold the group's lock."""
        name = await self.own_name(step, group, me)
        cipher = _cipher(await step.load(RecordKind.SENDER_KEY, name))
        holders = _holders(await step.load(RecordKind.SENDER_KEY_SENT, str(group)))
        why = self._why_anew(group, cipher, holders, devices)
        if why:
            cipher = cipher.fresh(entropy=self._client.entropy.take(68))
            holders = KeyHolders(cipher.key_id)
            step.transition("sender_key", "none" if why == "first" else "known", "fresh", why=why)
        return OwnKey(name, cipher, holders)

    def _why_anew(self, group: Jid, cipher: GroupCipher, holders: KeyHolders, devices: Collection[Jid]) -> str:
        if not cipher.has_own_key:
            return "first"
        if cipher.needs_rotation:
            return "used up"
        if holders.key_id != cipher.key_id:
            return "holders unknown"
        if not holders.devices.isdisjoint(self._stale.get(group, ())):
            return "identity changed"
        return "somebody left" if not holders.devices <= set(devices) else ""

    def told(self, step: Step, group: Jid, key: OwnKey, devices: Iterable[Jid]) -> None:
        """Store that these devices are told our key by the stanza of this step."""
        told = frozenset(devices)
        holders = replace(key.holders, devices=key.holders.devices | told, again=key.holders.again - told)
        if holders != key.holders or not holders.devices:
            step.save(RecordKind.SENDER_KEY_SENT, str(group), holders.to_json())
        self._keyed.add(group)
        if not key.holders.devices:
            self._renewed(step, group)

    def _renewed(self, step: Step, group: Jid) -> None:
        """A key was just made: what was stale before is told anew with it. In memory once that is on the disk."""
        over = frozenset(self._stale.get(group, ()))
        for device in over:
            step.save(RecordKind.SENDER_KEY_SENT, _stale_key(group, device), None)

        async def forget() -> None:
            left = self._stale.pop(group, set[Jid]()) - over
            if left:
                self._stale[group] = left

        if over:
            step.then(forget)

    async def lost(self, step: Step, group: Jid, device: Jid) -> None:
        """A device gets our key out of turn, with a message sent again: it is told it once more with the next one.

        It counts as a holder from now on, for it may read on. Hold its lock and the group's.
        """
        holders = _holders(await step.load(RecordKind.SENDER_KEY_SENT, str(group)))
        other = await addresses.alternate(step, device)
        name = other if other is not None and other in holders.devices else device
        after = replace(holders, devices=holders.devices | {name}, again=holders.again | {name})
        if holders.key_id is not None and after != holders:
            step.save(RecordKind.SENDER_KEY_SENT, str(group), after.to_json())
            step.transition("sender_key", "held", "lost", device=device.device)

    async def rotate(self, step: Step, group: Jid, why: str) -> None:
        """Make our key anew with the next message, and tell it to everybody then."""
        step.save(RecordKind.SENDER_KEY_SENT, str(group), None)
        step.transition("sender_key", "held", "to be renewed", why=why)

    async def mark_stale(self, step: Step, devices: Iterable[Jid]) -> None:
        """These devices have other keys of their own now: where one holds our key it is made anew and told to it.

        Hold their locks: nobody is told a key without. Needs no lock of a group, for the mark is a record of its own,
        taken away with the key that follows.
        """
        changed = {device: json.dumps(str(device)).encode() for device in devices}
        holders = await step.load_many(RecordKind.SENDER_KEY_SENT, map(str, self._keyed))
        for group in self._keyed:
            record = holders.get(str(group), b"")
            for device in [device for device, quoted in changed.items() if quoted in record]:
                step.save(RecordKind.SENDER_KEY_SENT, _stale_key(group, device), b"1")
                self._stale.setdefault(group, set()).add(device)


def _stale_key(group: Jid, device: Jid) -> str:
    return f"{group} {device}"


def _holders(record: bytes | None) -> KeyHolders:
    """Who holds our key; nobody knows when the record is damaged, and then the key is made anew."""
    try:
        return KeyHolders.from_json(record)
    except StorageError:
        return KeyHolders()


def _cipher(record: bytes | None) -> GroupCipher:
    """Our key as it is stored; none when the record is damaged, and then it is made anew."""
    cipher = GroupCipher(record)
    with suppress(StorageError):
        _ = cipher.key_id
        return cipher
    return GroupCipher()


def takes_part(device: Jid) -> bool:
    """Whether a device is told sender keys."""
    return device.device != _HOSTED and not device.is_hosted
