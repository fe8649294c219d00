"""Device news: who looks at somebody's devices is told when one comes or goes, and when the phone has new keys.

Everybody who has asked for an account's devices (by usync) looks at them from then on, on all companions, and so do the
account's own other companions. The lab's phones are told nothing: they look anew before each message.

Each change says the hash of the device list as it is then, by PN and by LID, so that a client notices when it has
missed an earlier one.

Source: whatsmeow notification.go handleDeviceNotification and handleEncryptNotification, Baileys
Socket/messages-recv.ts handleDevicesNotification and Utils/identity-change-handler.ts.
"""

from __future__ import annotations

from collections.abc import Iterator

from waton.jid import Jid
from waton.lab import routing_rules as rules
from waton.lab.deliveries import Deliveries
from waton.lab.world import Account, Device, World
from waton.protocol.binary_node import Node


def announce_device(world: World, deliveries: Deliveries, device: Device, change: str) -> None:
    """Tell that a companion was added ("add") or removed ("remove"); the world has it, or not, already."""
    account = world.account(device.account.id)
    own = [one for one in world.devices(account) if one.number not in (0, device.number)]
    for listener in [*own, *_watching(world, account)]:
        deliveries.put(listener, _devices(world, account, device, change))


def announce_identity(world: World, deliveries: Deliveries, account: Account) -> None:
    """Tell that an account's phone has another identity key now."""
    attrs: dict[str, str | Jid | None] = {
        "from": account.pn,
        "id": world.fresh_id(),
        "type": "encrypt",
        "t": str(world.t()),
        "lid": account.lid,
    }
    for listener in _watching(world, account):
        deliveries.put(listener, Node("notification", attrs, [Node("identity")]))


def _watching(world: World, account: Account) -> Iterator[Device]:
    for watcher in world.watchers(account):
        yield from (device for device in world.devices(watcher) if device.number)


def _devices(world: World, account: Account, device: Device, change: str) -> Node:
    index = str(device.key_index)
    children = [
        Node("device", {"jid": device.pn, "lid": device.lid, "key-index": index}),
        Node("device", {"jid": device.lid, "key-index": index}),
        Node("key-index-list", {"ts": str(account.key_list_t)}, account.key_list),
    ]
    left = world.devices(account)
    hashes: dict[str, str | Jid | None] = {
        "device_hash": rules.hash_of(left, by_lid=False),
        "device_lid_hash": rules.hash_of(left, by_lid=True),
    }
    attrs: dict[str, str | Jid | None] = {
        "from": account.pn,
        "id": world.fresh_id(),
        "type": "devices",
        "t": str(world.t()),
        "lid": account.lid,
    }
    return Node("notification", attrs, [Node(change, hashes, children)])
