"""Routing: messages to every device they name, receipts back to the author, and what acknowledges what.

A message comes in with one ciphertext for each device and leaves as one stanza per device, with that device's
ciphertext only. `from` is the author's device, in the addressing (PN or LID) the sender used; the other address goes
along as sender_lid or sender_pn. The author's other devices get theirs with `recipient`, the conversation. The
sender's ack goes out after everything is in the queues; it says the hash of the devices there are when the sender
thought of others. What goes to a group is in routing_groups.py.

Guess: whether the hash of a 1:1 message covers the sender's own device. whatsapp-rust writes it without, whatsmeow
compares with one that has it; both are taken, and the answer has it. A real ack with a phash would settle it.

Source: Baileys Utils/decode-wa-message.ts and Socket/messages-recv.ts, whatsmeow message.go and receipt.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from waton.jid import Jid
from waton.lab import privacy, routing_groups
from waton.lab import routing_rules as rules
from waton.lab.deliveries import Session
from waton.lab.world import Account, Device
from waton.protocol.binary_node import Node, get_jid, get_text, require_text
from waton.protocol.stanza.message import Enc, IncomingMessage, OutgoingMessage
from waton.protocol.stanza.receipt import Receipt, ReceiptType, server_ack

if TYPE_CHECKING:
    from waton.lab.service import Service

NACK_NO_SUCH_USER = 404
"""Guess: which code the service uses for a conversation it does not know. A capture of such a nack would settle it."""


# --- messages -------------------------------------------------------------------------------------------------------


def take_message(service: Service, session: Session, node: Node, parent: int | None) -> None:
    """Queue a message for each of its devices, then acknowledge it."""
    message = OutgoingMessage.from_node(node)
    if _is_taken(service, session, node, parent):
        return
    if service.refusals and session.device.number:
        service.reply(session, server_ack(node, t=service.world.t(), error=service.refusals.popleft()), parent)
        return
    if message.to.is_group:
        routing_groups.take_message(service, session, node, message, parent)
        return
    t = service.world.t()
    recipient = service.world.find(message.to)
    if recipient is None:
        service.world.note("lab.no_such_user", parent, id=message.id)
        service.reply(session, server_ack(node, t=t, error=NACK_NO_SUCH_USER), parent)
        return
    if privacy.refuses(service.world, session.device.account, recipient, message):
        service.world.note("lab.stranger", parent, id=message.id)
        service.reply(session, server_ack(node, t=t, error=privacy.TOKEN_MISSING), parent)
        return
    chat = None if message.recipient is None else service.world.find(message.recipient)
    skipped = 0
    for jid, enc in _ciphertexts(message):
        device = service.world.locate(jid)
        if device is None or device.key == session.device.key:
            skipped += 1
            continue
        incoming = _incoming(message, enc, session, device, chat or recipient, t)
        if service.unlisted & {session.device.account.id, recipient.id}:
            incoming = replace(incoming, sender_lid=None, recipient_lid=None)
        service.deliveries.put(device, _with_priority(incoming.to_node(), message), parent)
    if skipped:
        service.world.note("lab.no_such_device", parent, id=message.id, count=skipped)
    ours = None if message.phash is None else _hash(service, session.device, recipient, message)
    attrs = [("phash", ours)] if ours is not None and ours != message.phash else []
    if not attrs:  # a sender that learns of more devices may send the same id to those
        service.taken.keep(session.device, node, t)
    service.reply(session, server_ack(node, t=t, attrs=attrs), parent)


def _is_taken(service: Service, session: Session, node: Node, parent: int | None) -> bool:
    """True for a message that comes again because its ack was not seen: it is acknowledged again and goes nowhere."""
    t = service.taken.when(session.device, node)
    if t is None:
        return False
    service.world.note("lab.taken_before", parent, id=require_text(node, "id"))
    service.reply(session, server_ack(node, t=t), parent)
    return True


def _ciphertexts(message: OutgoingMessage) -> Iterator[tuple[Jid, Enc]]:
    """Each device's ciphertext. A bare one is for `to`; Baileys adds a second for the same device to a resend."""
    for jid, enc in message.encs:
        if message.bare is None or jid != message.to:
            yield jid, enc
    if message.bare is not None:
        yield message.to, message.bare


def _hash(service: Service, author: Device, recipient: Account, message: OutgoingMessage) -> str | None:
    """The hash of the devices there are; the sender's own if it comes to the same without its own device."""
    accounts = {account.id: account for account in (recipient, author.account)}
    devices = [device for account in accounts.values() for device in service.world.devices(account)]
    others = [device for device in devices if device.key != author.key]
    if rules.hash_of(others, by_lid=message.to.is_lid) == message.phash:
        return message.phash
    return rules.hash_of(devices, by_lid=message.to.is_lid)


def _incoming(
    message: OutgoingMessage, enc: Enc, session: Session, device: Device, recipient: Account, t: int
) -> IncomingMessage:
    author = session.device
    by_lid = message.to.is_lid
    is_peer = message.category == rules.PEER
    is_own = device.account.id == author.account.id
    goes_along = is_own and not is_peer
    return IncomingMessage(
        id=message.id,
        sender=author.lid if by_lid else author.pn,
        t=t,
        type=message.type,
        encs=(enc,),
        recipient=(message.recipient or message.to).bare if goes_along else None,
        category=message.category,
        notify=session.push_name,
        sender_pn=author.account.pn if by_lid else None,
        sender_lid=None if by_lid else author.account.lid,
        recipient_pn=recipient.pn if goes_along and by_lid else None,
        recipient_lid=recipient.lid if goes_along and not by_lid else None,
        addressing_mode="lid" if by_lid else "pn",
        edit=message.edit,
        device_identity=rules.identity_for(message, (enc,)),
        extra=rules.passed_on(message),
    )


def _with_priority(node: Node, message: OutgoingMessage) -> Node:
    if message.push_priority is None:
        return node
    return Node(node.tag, {**node.attrs, "push_priority": message.push_priority}, node.content)


# --- receipts -------------------------------------------------------------------------------------------------------


def take_receipt(service: Service, session: Session, node: Node, parent: int | None) -> None:
    """Take the messages off the reader's queue, pass the receipt on, acknowledge it."""
    ids = [require_text(node, "id")]
    if "to" in node.attrs:
        receipt = Receipt.from_node(node)
        ids = list(receipt.ids)
        if receipt.peer.is_group:
            routing_groups.pass_on(service, session.device, receipt, parent)
        else:
            _pass_on(service, session.device, receipt, parent)
    # Without `to` (Baileys writes such "sender" receipts) nobody can be told, but the message has arrived all the same.
    # Who asks for it again acknowledges it besides (Baileys, whatsmeow), and that must not count for the answer.
    for id in ids if get_text(node, "type") != ReceiptType.RETRY else ():
        service.deliveries.settle(session.device, "message", id)
    service.reply(session, server_ack(node, t=service.world.t()), parent)


def _pass_on(service: Service, reader: Device, receipt: Receipt, parent: int | None) -> None:
    account = service.world.find(receipt.peer)
    if account is None:
        return
    t = service.world.t()
    sender = reader.lid if receipt.peer.is_lid else reader.pn
    told = Receipt(
        ids=receipt.ids,
        peer=sender,
        type=receipt.type,
        participant=receipt.participant,
        recipient=receipt.recipient,
        t=t,
        content=receipt.content,
    )
    for device in _told(service, reader, account, receipt):
        if receipt.type == ReceiptType.RETRY:
            service.taken.reopen(device, receipt.ids)
        service.deliveries.put(device, told.to_node(incoming=True), parent)
    if receipt.type in rules.SELF_ONLY | rules.TELLS_SELF_TOO and account.id != reader.account.id:
        own = Receipt(ids=receipt.ids, peer=sender, type=receipt.type, recipient=receipt.peer.bare, t=t)
        for device in service.world.devices(reader.account):
            if device.key != reader.key:
                service.deliveries.put(device, own.to_node(incoming=True), parent)


def _told(service: Service, reader: Device, account: Account, receipt: Receipt) -> list[Device]:
    """Who gets the receipt."""
    if receipt.type in rules.SELF_ONLY:
        return []
    if receipt.type in rules.TO_PHONE:
        number = 0
    elif receipt.type in rules.TO_DEVICE:
        number = receipt.peer.device
    else:
        return [device for device in service.world.devices(account) if device.key != reader.key]
    device = service.world.device(account, number)
    return [] if device is None or device.key == reader.key else [device]


# --- acks -----------------------------------------------------------------------------------------------------------


def take_ack(service: Service, session: Session, node: Node, parent: int | None) -> None:
    """Take the stanza that is acknowledged off the device's queue."""
    peer = get_jid(node, "to")
    found = service.deliveries.settle(
        session.device,
        get_text(node, "class") or "",
        require_text(node, "id"),
        "" if peer is None else str(peer),
        get_text(node, "type") or "",
    )
    error = get_text(node, "error")
    if error is not None:
        service.world.note("lab.nack", parent, id=require_text(node, "id"), error=error)
    elif not found and get_text(node, "class") != "message":
        service.world.note("lab.stray_ack", parent, id=require_text(node, "id"))
