"""A phone's sender keys: one of its own in each group, and those that others have told it.

What goes to a group is encrypted once. The key for it is told pairwise (SKDM) to each device that does not hold it yet,
in the same stanza. Who holds it is remembered with the identity key it had then; when somebody who holds it is no
longer there (was removed, left, unlinked that device, or has another identity now), the key is made anew and told to
everybody who is. So nobody reads what was written after he had gone.

Keys are kept under the LID of their device, in LID and PN groups alike. All runs within a step of the database.

Source: whatsapp-rust src/send.rs and src/client/sender_keys.rs for who is told and when it is made anew; Baileys
Socket/messages-send.ts for the shape of the SKDM.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from waton.errors import DecodeError
from waton.jid import Jid, signal_address
from waton.lab import routing_rules as rules
from waton.lab.groups import Group, Groups
from waton.lab.phone_signal import PhoneSignal
from waton.lab.world import Device, World
from waton.ports import RecordKind
from waton.protocol import proto
from waton.protocol.group_cipher import GroupCipher, sender_key_name
from waton.protocol.signal_repo import EncType
from waton.protocol.stanza.group import AddressingMode
from waton.protocol.stanza.message import Enc, OutgoingMessage
from waton.utils.padding import pad, unpad


class GroupKeys:
    """The sender keys of one phone."""

    def __init__(self, world: World, groups: Groups, device: Device, signal: PhoneSignal) -> None:
        self._world = world
        self._groups = groups
        self._device = device
        self._signal = signal

    # --- the way out --------------------------------------------------------------------------------------------------

    def seal(self, group: Group, id: str, message: proto.Message) -> OutgoingMessage:
        """The stanza of a message: one ciphertext for all, and our key for those who do not hold it."""
        everybody = self._groups.devices(group)
        others = [device for device in everybody if device.key != self._device.key]
        cipher, holders = self._own_key(group, others)
        told = self._tell(group, cipher, [one for one in others if _address(one) not in holders])
        plain = pad(message.SerializeToString(), self._world.entropy.take(1)[0])
        sealed = cipher.encrypt(plain, entropy=self._world.entropy.take(64))
        self._save(group, self._device.lid, GroupCipher(sealed.record))
        self._remember(group, {**holders, **{_address(device): _identity(device) for device, _ in told}})
        return OutgoingMessage(
            id=id,
            to=group.id,
            encs=tuple((group.device(device), enc) for device, enc in told),
            bare=Enc(EncType.SKMSG, sealed.ciphertext),
            phash=rules.hash_of(everybody, by_lid=group.addressing is AddressingMode.LID),
            addressing_mode=group.addressing,
        )

    def _own_key(self, group: Group, others: Sequence[Device]) -> tuple[GroupCipher, Mapping[str, str]]:
        """Our key as it is to be used now, and who holds it."""
        cipher, holders = self._load(group, self._device.lid), self._holders(group)
        present = {_address(device): _identity(device) for device in others}
        has_left = any(present.get(address) != identity for address, identity in holders.items())
        if cipher.has_own_key and not cipher.needs_rotation and not has_left:
            return cipher, holders
        self._world.note("phone.sender_key", rotated=int(cipher.has_own_key))
        return cipher.fresh(entropy=self._world.entropy.take(68)), {}

    def _tell(self, group: Group, cipher: GroupCipher, devices: Sequence[Device]) -> list[tuple[Device, Enc]]:
        """Our key as it is before the next message, for each of these devices that can be sent to."""
        if not devices:
            return []
        plain = _distribution(group, cipher).SerializeToString()
        encrypted = [(device, self._signal.encrypt(device, plain)) for device in devices]
        return [(device, enc) for device, enc in encrypted if enc is not None]

    def with_key(self, group: Group, device: Device, message: proto.Message) -> proto.Message:
        """A message once more, for one device that could not read it, with our key; the device holds it then."""
        cipher = self._load(group, self._device.lid)
        if not cipher.has_own_key:
            return message
        made = _distribution(group, cipher)
        made.MergeFrom(message)
        self._remember(group, {**self._holders(group), _address(device): _identity(device)})
        return made

    # --- the way in ---------------------------------------------------------------------------------------------------

    def learn(self, author: Jid, message: proto.Message) -> None:
        """Take the key that comes with a message, if one does. author: the LID address of the device that told it.

        Raises DecodeError, or DecryptError when it would take the place of our own.
        """
        told = message.senderKeyDistributionMessage
        if not told.axolotlSenderKeyDistributionMessage or not told.groupId:
            return
        try:
            group = self._groups.find(Jid.parse(told.groupId))
        except ValueError as error:
            raise DecodeError(0, b"", "groupId") from error
        if group is not None:
            cipher = self._load(group, author)
            self._save(group, author, cipher.process(told.axolotlSenderKeyDistributionMessage))

    def open(self, group: Group, author: Jid, enc: Enc) -> bytes:
        """The plaintext of an skmsg, unpadded. Raises DecryptError, DecodeError."""
        opened = self._load(group, author).decrypt(enc.ciphertext, sender=author)
        self._save(group, author, GroupCipher(opened.record))
        return unpad(opened.plaintext)

    # --- records ------------------------------------------------------------------------------------------------------

    def _load(self, group: Group, sender: Jid) -> GroupCipher:
        return GroupCipher(self._signal.records.load(RecordKind.SENDER_KEY, sender_key_name(group.id, sender)))

    def _save(self, group: Group, sender: Jid, cipher: GroupCipher) -> None:
        self._signal.records.save(RecordKind.SENDER_KEY, sender_key_name(group.id, sender), cipher.record)

    def _holders(self, group: Group) -> dict[str, str]:
        """Who holds our key: Signal address to the identity it had when it was told, in hex."""
        kept = self._signal.records.load(RecordKind.SENDER_KEY_SENT, str(group.id))
        found: dict[str, str] = {} if kept is None else json.loads(kept)
        return found

    def _remember(self, group: Group, holders: Mapping[str, str]) -> None:
        self._signal.records.save(RecordKind.SENDER_KEY_SENT, str(group.id), json.dumps(holders).encode())


def _distribution(group: Group, cipher: GroupCipher) -> proto.Message:
    made = proto.Message()
    made.senderKeyDistributionMessage.groupId = str(group.id)
    made.senderKeyDistributionMessage.axolotlSenderKeyDistributionMessage = cipher.distribution()
    return made


def _address(device: Device) -> str:
    return signal_address(device.lid)


def _identity(device: Device) -> str:
    return device.identity.hex()
