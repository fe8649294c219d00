"""Routing in groups: one message to every device of everybody in it, receipts back to who wrote.

A message comes in as one ciphertext under a sender key, for all, and pairwise ones (mostly telling that key) for
some devices. Each device gets ONE stanza: its own ciphertext first, if it has one, then the common one. `from` is the
group, `participant` the author's device in the group's addressing; the other address goes along. The author's own
other devices are like everybody else's.

A resend names one device as `participant` and goes to that alone.

The sender says by a hash which devices it thought of; when they are others, the ack says the right hash, and the
message goes out all the same. The hash is over the devices of everybody in the group, the sender's own included (so
compute whatsmeow and whatsapp-rust).

Guess: 403 for a message of somebody who is not in the group, or who is no admin where only admins may write; a capture
of such a nack would settle it.

Source: whatsmeow send.go, receipt.go and message.go parseMessageSource; Baileys Socket/messages-send.ts and
Utils/decode-wa-message.ts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from waton.lab import routing_rules as rules
from waton.lab.deliveries import Session
from waton.lab.groups import Group
from waton.lab.world import Device
from waton.protocol.binary_node import Node
from waton.protocol.stanza.group import AddressingMode
from waton.protocol.stanza.message import Enc, IncomingMessage, OutgoingMessage
from waton.protocol.stanza.receipt import Receipt, ReceiptType, server_ack

if TYPE_CHECKING:
    from waton.lab.service import Service

NACK_NO_SUCH_GROUP = 404
NACK_NOT_ALLOWED = 403
NACK_STALE_ADDRESSING = 421
"""The sender thinks that the group addresses people in the other way. Source: whatsapp-rust's table of nacks."""


# --- messages ---------------------------------------------------------------------------------------------------------


def take_message(service: Service, session: Session, node: Node, message: OutgoingMessage, parent: int | None) -> None:
    """Queue a group message for everybody in it, then acknowledge it."""
    group = service.groups.find(message.to)
    refusal = NACK_NO_SUCH_GROUP if group is None else _refusal(service, group, session, message)
    if group is None or refusal is not None:
        service.world.note("lab.group_refused", parent, id=message.id, error=refusal or 0)
        service.reply(session, server_ack(node, t=service.world.t(), error=refusal), parent)
        return
    if message.participant is not None:
        _send_again(service, session, group, message, parent)
    else:
        _send_to_all(service, session, group, message, parent)
    ours = None if message.phash is None else _hash(service, group)
    attrs = [("phash", ours)] if ours is not None and ours != message.phash else []
    if not attrs:  # a sender that learns of more devices may send the same id to those
        service.taken.keep(session.device, node, service.world.t())
    service.reply(session, server_ack(node, t=service.world.t(), attrs=attrs), parent)


def _refusal(service: Service, group: Group, session: Session, message: OutgoingMessage) -> int | None:
    """Why this device may not write this here, None when it may."""
    member = service.groups.member(group, session.device.account)
    if member is None or (group.announcement and not member.is_admin):
        return NACK_NOT_ALLOWED
    if message.addressing_mode not in (None, group.addressing):
        return NACK_STALE_ADDRESSING
    return None


def _hash(service: Service, group: Group) -> str:
    return rules.hash_of(service.groups.devices(group), by_lid=group.addressing is AddressingMode.LID)


def _send_to_all(
    service: Service, session: Session, group: Group, message: OutgoingMessage, parent: int | None
) -> None:
    pairwise: dict[tuple[int, int], Enc] = {}
    for jid, enc in message.encs:
        device = service.world.locate(jid)
        if device is not None:
            pairwise[device.key] = enc
    common = () if message.bare is None else (message.bare,)
    inside = service.groups.devices(group)
    for device in inside:
        own = pairwise.get(device.key)
        encs = common if own is None else (own, *common)
        # Baileys encrypts for its own device too, in LID groups; that ciphertext is for nobody.
        if device.key != session.device.key and encs:
            service.deliveries.put(device, _incoming(service, session, group, message, encs).to_node(), parent)
    lost = len(message.encs) - sum(device.key in pairwise for device in inside)
    if lost:
        service.world.note("lab.no_such_device", parent, id=message.id, count=lost)


def _send_again(service: Service, session: Session, group: Group, message: OutgoingMessage, parent: int | None) -> None:
    """One device asked for it. Baileys puts a second ciphertext for it under <participants>, which is not needed."""
    device = None if message.participant is None else service.world.locate(message.participant)
    enc = message.bare or next((enc for _, enc in message.encs), None)
    is_inside = device is not None and service.groups.member(group, device.account) is not None
    if device is None or enc is None or not is_inside or device.key == session.device.key:
        service.world.note("lab.no_such_device", parent, id=message.id, count=1)
        return
    service.deliveries.put(device, _incoming(service, session, group, message, (enc,)).to_node(), parent)


def _incoming(
    service: Service, session: Session, group: Group, message: OutgoingMessage, encs: Sequence[Enc]
) -> IncomingMessage:
    author = session.device
    is_lid = group.addressing is AddressingMode.LID
    return IncomingMessage(
        id=message.id,
        sender=group.id,
        t=service.world.t(),
        type=message.type,
        encs=tuple(encs),
        participant=group.device(author),
        participant_pn=author.account.pn if is_lid else None,
        participant_lid=None if is_lid else author.account.lid,
        addressing_mode=group.addressing,
        notify=session.push_name,
        edit=message.edit,
        device_identity=rules.identity_for(message, encs),
        extra=rules.passed_on(message),
    )


# --- receipts ---------------------------------------------------------------------------------------------------------


def pass_on(service: Service, reader: Device, receipt: Receipt, parent: int | None) -> None:
    """Tell who wrote the message, and of reading also the reader's other devices."""
    group = service.groups.find(receipt.peer)
    author = None if receipt.participant is None else service.world.find(receipt.participant)
    if group is None or author is None or receipt.participant is None:
        service.world.note("lab.stray_receipt", parent, id=receipt.ids[0])
        return
    told = Receipt(
        ids=receipt.ids,
        peer=group.id,
        type=receipt.type,
        participant=group.device(reader),
        recipient=receipt.recipient,
        t=service.world.t(),
        content=receipt.content,
    )
    for device in _told(reader, receipt, service.world.devices(author)):
        if receipt.type == ReceiptType.RETRY:
            service.taken.reopen(device, receipt.ids)
        service.deliveries.put(device, told.to_node(incoming=True), parent)
    if receipt.type in rules.SELF_ONLY | rules.TELLS_SELF_TOO and author.id != reader.account.id:
        _tell_self(service, reader, told, receipt, parent)


def _told(reader: Device, receipt: Receipt, authors: Sequence[Device]) -> list[Device]:
    """Which of the author's devices get it."""
    if receipt.type in rules.SELF_ONLY:
        return []
    others = [device for device in authors if device.key != reader.key]
    if receipt.type in rules.TO_DEVICE and receipt.participant is not None:
        return [device for device in others if device.number == receipt.participant.device]
    return others


def _tell_self(service: Service, reader: Device, told: Receipt, receipt: Receipt, parent: int | None) -> None:
    """The reader's other devices learn what was read: `recipient` is who wrote it (whatsmeow's MessageSender)."""
    own = Receipt(told.ids, told.peer, told.type, told.participant, receipt.participant, told.t)
    for device in service.world.devices(reader.account):
        if device.key != reader.key:
            service.deliveries.put(device, own.to_node(incoming=True), parent)
