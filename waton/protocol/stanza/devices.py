"""notification type=devices: somebody linked a companion, or unlinked one.

    <notification type=devices from=PN lid=LID>
      <add device_hash= device_lid_hash=>  <device jid= key-index= lid=>  <key-index-list ts=>signed</key-index-list>
      <remove ...>                         the same; the list may be without content, its time still counts
      <update hash=>                       something about the contact of this hash; or <device>s, as above

The hashes are those of the list after the change (waton.protocol.participant_hash), in either addressing. A contact
hash names somebody by three bytes of an MD5, so it may name several people; whoever fits is asked for anew.

Source: whatsmeow notification.go, whatsapp-rust wacore/src/stanza/devices.rs and crypto.rs. Baileys reads the first
device of the first child alone, and none of the hashes.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from enum import StrEnum
from hashlib import md5

from waton.jid import Jid
from waton.protocol.binary_node import Node, get_int, get_jid, get_text, require_jid
from waton.protocol.stanza.usync import DeviceEntry


class ChangeKind(StrEnum):
    """What happened, as the child's tag."""

    ADD = "add"
    REMOVE = "remove"
    UPDATE = "update"


@dataclass(frozen=True, slots=True, repr=False)
class ListChange:
    """One child of the notification."""

    kind: ChangeKind
    devices: tuple[DeviceEntry, ...] = ()
    """Which devices, each once."""
    key_index_list: bytes = b""
    """ADVSignedKeyIndexList protobuf after the change; empty when it does not come along."""
    t: int = 0
    """Unix seconds of the list's signing; 0 when not said."""
    device_hash: str | None = None
    """The participant hash of the devices by PN."""
    device_lid_hash: str | None = None
    contact_hash: str | None = None
    """Of an update: whose; see contact_hash()."""


@dataclass(frozen=True, slots=True, repr=False)
class DevicesNotification:
    """Somebody's devices changed."""

    user: Jid
    """Whose, without a device."""
    lid: Jid | None
    """The same person's LID, when it is said."""
    changes: tuple[ListChange, ...]

    def to_node(self, id: str, t: int) -> Node:
        """The lab's way out. t: Unix seconds."""
        attrs: dict[str, str | Jid | None] = {
            "from": self.user,
            "id": id,
            "type": "devices",
            "t": str(t),
            "lid": self.lid,
        }
        return Node("notification", attrs, [self._child(change) for change in self.changes])

    def _child(self, change: ListChange) -> Node:
        attrs: dict[str, str | Jid | None] = {
            "device_hash": change.device_hash,
            "device_lid_hash": change.device_lid_hash,
            "hash": change.contact_hash,
        }
        children = [self._device(entry) for entry in change.devices]
        if change.key_index_list or change.t:
            children.append(Node("key-index-list", {"ts": str(change.t)}, change.key_index_list or None))
        return Node(change.kind.value, attrs, children)

    def _device(self, entry: DeviceEntry) -> Node:
        attrs: dict[str, str | Jid | None] = {
            "jid": entry.address(self.user),
            "key-index": None if entry.key_index is None else str(entry.key_index),
            "lid": None if self.lid is None else entry.address(self.lid),
        }
        return Node("device", attrs)

    @staticmethod
    def from_node(node: Node) -> DevicesNotification:
        """Children of other tags, and devices of other people, are passed over. Raises StanzaError."""
        user, lid = require_jid(node, "from").bare, get_jid(node, "lid")
        people = {user.user} if lid is None else {user.user, lid.user}
        changes = [_parse_change(child, people) for child in node.children() if child.tag in set(ChangeKind)]
        return DevicesNotification(user, None if lid is None else lid.bare, tuple(changes))


def _parse_change(child: Node, people: set[str]) -> ListChange:
    entries: dict[tuple[int, bool], DeviceEntry] = {}
    for device in child.children("device"):
        jid = require_jid(device, "jid")
        if jid.user in people:
            is_hosted = jid.is_hosted
            entries[jid.device, is_hosted] = DeviceEntry(jid.device, get_int(device, "key-index"), is_hosted)
    listed = child.child("key-index-list")
    signed = b"" if listed is None or not isinstance(listed.content, bytes) else listed.content
    return ListChange(
        ChangeKind(child.tag),
        tuple(entries.values()),
        signed,
        0 if listed is None else get_int(listed, "ts") or 0,
        get_text(child, "device_hash"),
        get_text(child, "device_lid_hash"),
        get_text(child, "hash"),
    )


def contact_hash(user: str) -> str:
    """The hash by which an update names a contact: four characters. user: of the contact's address, PN or LID."""
    return b64encode(md5(f"{user}WA_ADD_NOTIF".encode(), usedforsecurity=False).digest()[:3]).decode()
