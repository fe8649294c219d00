"""What routing between people and in groups have in common: whom receipts are for, and what is not passed on."""

from __future__ import annotations

from collections.abc import Sequence

from waton.jid import Jid
from waton.lab.world import Device
from waton.protocol.binary_node import Node
from waton.protocol.participant_hash import participant_hash
from waton.protocol.stanza.message import Enc, EncType, OutgoingMessage
from waton.protocol.stanza.receipt import ReceiptType

PEER = "peer"
_PRIVATE_CHILDREN = {"tctoken", "cstoken"}
"""Children of a message that are for the server only."""
TO_DEVICE = {ReceiptType.RETRY, ReceiptType.SENDER, ReceiptType.ENC_REKEY_RETRY}
"""Receipts for one device: the one that `to` names, or in a group `participant`."""
TO_PHONE = {ReceiptType.PEER_MSG, ReceiptType.HIST_SYNC, ReceiptType.SERVER_ERROR}
"""Receipts for the phone of the account that `to` names."""
SELF_ONLY = {ReceiptType.READ_SELF, ReceiptType.PLAYED_SELF}
"""Receipts that tell the reader's other devices and nobody else."""
TELLS_SELF_TOO = {ReceiptType.READ, ReceiptType.PLAYED}


def passed_on(message: OutgoingMessage) -> tuple[Node, ...]:
    """The children of a message that go along uninterpreted."""
    return tuple(child for child in message.extra if child.tag not in _PRIVATE_CHILDREN)


def identity_for(message: OutgoingMessage, encs: Sequence[Enc]) -> bytes:
    """The author's device-identity, for who gets a pkmsg and may not know the device yet."""
    return message.device_identity if any(enc.type == EncType.PKMSG for enc in encs) else b""


def hash_of(devices: Sequence[Device], *, by_lid: bool) -> str:
    """The participant hash of a set of devices, in one addressing."""
    return participant_hash(_address(device, by_lid=by_lid) for device in devices)


def _address(device: Device, *, by_lid: bool) -> Jid:
    return device.lid if by_lid else device.pn
