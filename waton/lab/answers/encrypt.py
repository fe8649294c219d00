"""xmlns=encrypt: the prekey store. Source: Baileys Socket/socket.ts, whatsmeow prekeys.go."""

from __future__ import annotations

from waton._core import xeddsa_verify
from waton.errors import InvalidSignature, IqError, LabError
from waton.jid import Jid
from waton.lab.answers.request import Request, Table
from waton.lab.world import PREKEYS_LOW, Device
from waton.protocol.binary_node import Node, require_child
from waton.protocol.stanza import encrypt
from waton.protocol.stanza.encrypt import SignedPrekey, Upload

_NOT_FOUND = (404, "item-not-found")
_NOT_ACCEPTABLE = (406, "not-acceptable")


def count(request: Request) -> list[Node]:
    """How many one-time prekeys the asking device has left."""
    return [Node("count", {"value": str(request.world.prekey_count(request.device))})]


def upload(request: Request) -> None:
    """Store identity, signed prekey and one-time prekeys; refuse a foreign identity or a bad signature."""
    published = Upload.from_node(request.node)
    _check(request.device, published.signed)
    try:
        request.world.publish(request.device, published)
    except LabError as error:
        raise IqError(*_NOT_ACCEPTABLE) from error
    request.world.note("lab.prekeys", request.parent, device=request.device.number, added=len(published.prekeys))
    request.afterwards.append(lambda: request.service.greet(request.device))


def rotate(request: Request) -> None:
    """Store a new signed prekey."""
    signed = SignedPrekey.from_node(require_child(require_child(request.node, "rotate"), "skey"))
    _check(request.device, signed)
    request.world.set_signed_prekey(request.device, signed)


def _check(device: Device, signed: SignedPrekey) -> None:
    try:
        xeddsa_verify(device.identity, encrypt.KEY_TYPE + signed.value, signed.signature)
    except InvalidSignature as error:
        raise IqError(*_NOT_ACCEPTABLE) from error


def digest(request: Request) -> list[Node]:
    """What the asking device has published; 404 when nothing yet."""
    device = request.device
    if device.signed_prekey is None:
        raise IqError(*_NOT_FOUND)
    prekeys = request.world.prekeys(device)
    return [encrypt.digest(device.registration_id, device.identity, device.signed_prekey, prekeys)]


def bundles(request: Request) -> list[Node]:
    """A bundle for each device named; each one-time prekey is handed out once. 404 for a device without one."""
    t = request.world.t()
    users = [_bundle(request, jid, t) for jid in encrypt.requested_bundles(request.node)]
    return [Node("list", None, users)]


def _bundle(request: Request, jid: Jid, t: int) -> Node:
    device = request.world.locate(jid)
    bundle = None if device is None else request.world.take_bundle(device)
    if device is None or bundle is None:
        return encrypt.bundle_error(jid, *_NOT_FOUND)
    left = request.world.prekey_count(device)
    if left < PREKEYS_LOW and bundle.prekey is not None and device.number:
        _tell_low(request, device, left, t)
    return bundle.to_node(jid, t)


def _tell_low(request: Request, device: Device, left: int, t: int) -> None:
    # Only the newest count is true, so an older one still in the queue is taken back.
    deliveries = request.service.deliveries
    deliveries.withdraw(device, "notification", "encrypt")
    deliveries.put(device, encrypt.count_notification(request.world.fresh_id(), left, t), request.parent)


TABLE: Table = {
    ("encrypt", "count"): count,
    ("encrypt", "digest"): digest,
    ("encrypt", "key"): bundles,
    ("encrypt", "rotate"): rotate,
    ("encrypt", "registration"): upload,
    ("encrypt", ""): upload,
}
