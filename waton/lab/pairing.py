"""Pairing, the server's part: offers refs, matches a scan to the connection that shows the ref, checks the answer.

A connection may be linked by code instead (waton.lab.link_code); from the phone's word on, both ways are the same.

The server knows neither the QR's secret nor the phone's key; it carries the phone's word to the companion and, before
it stores the device, checks that the companion has signed back. The phone (`Offer.accept`) does the storing, in the
same step, because only it can sign the new key-index list.

Refs stay good while their connection is open; clients stop showing them by themselves (60 s, then 20 s each).

Source: Baileys Socket/socket.ts, whatsmeow pair.go.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from waton._core import xeddsa_verify
from waton.errors import (
    Disconnected,
    DisconnectReason,
    LabError,
    PairingError,
    PairingStep,
    RemoteProtocolError,
)
from waton.lab.faults import Fault, Moment
from waton.lab.link_code import LinkCode, PendingCode
from waton.lab.world import Account, World
from waton.protocol import proto
from waton.protocol.adv import verify_device_signature
from waton.protocol.binary_node import Node, content_bytes, get_text, require_child
from waton.protocol.stanza import pairing, stream
from waton.protocol.stanza.pairing import PairSuccess, QrText

REFS = 6
_RESTART = 515


class Wire(Protocol):
    """What a phase of a connection may do to its socket."""

    @property
    def fault(self) -> Fault: ...

    def send(self, node: Node, parent: int | None = None, *, moment: Moment | None = None) -> None:
        """Write a stanza."""
        ...

    def finish(self, node: Node | None, *, moment: Moment | None = None) -> None:
        """Write a last stanza, if any, and close."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Registration:
    """What an unpaired client says about itself, verified."""

    registration_id: int
    identity: bytes
    """32 bytes, public."""
    noise: bytes
    """32 bytes, public: the key it proved in the handshake."""
    push_name: str
    """Chooses the phone in automatic tests; usually empty."""

    @staticmethod
    def of(payload: proto.ClientPayload, noise: bytes) -> Registration:
        """Check a registration payload.

        Raises:
            RemoteProtocolError: lengths or key type are wrong, or the signed prekey's signature does not verify.
        """
        data = payload.devicePairingData
        if len(data.eIdent) != 32 or len(data.eSkeyVal) != 32 or len(data.eSkeySig) != 64 or len(data.eRegid) != 4:
            raise RemoteProtocolError("the registration payload is malformed")
        if data.eKeytype != b"\x05":
            raise RemoteProtocolError("the registration names an unknown key type")
        xeddsa_verify(data.eIdent, b"\x05" + data.eSkeyVal, data.eSkeySig)
        return Registration(int.from_bytes(data.eRegid, "big"), data.eIdent, noise, payload.pushName)


@dataclass(frozen=True, slots=True, repr=False)
class Offer:
    """A phone's word for a companion, on its way."""

    success: PairSuccess
    account_key: bytes
    """32 bytes: the phone's identity, against which the companion's signature is checked."""
    accept: Callable[[bytes], None]
    """Store the device; called in a step, with its complete ADVSignedDeviceIdentity protobuf."""


class Registering:
    """One connection that shows a QR."""

    def __init__(self, world: World, desk: Desk, wire: Wire, registration: Registration) -> None:
        self._world = world
        self._desk = desk
        self._wire = wire
        self.registration = registration
        self.refs: list[str] = []
        self.code = LinkCode(world, wire, registration)
        """The pairing code it shows, if any."""
        self._offer: Offer | None = None
        self._outcome: asyncio.Future[None] | None = None

    @property
    def fault(self) -> Fault:
        """What the connection was asked to do wrong."""
        return self._wire.fault

    def start(self) -> None:
        """Offer refs."""
        self.refs = [f"2@{b64encode(self._world.entropy.take(48)).decode()}" for _ in range(REFS)]
        self._desk.open(self)
        offer = pairing.pair_device(self._world.fresh_id(), [ref.encode() for ref in self.refs])
        self._wire.send(offer, moment=Moment.PAIR_DEVICE)

    async def present(self, offer: Offer) -> None:
        """Send a phone's word and wait for the companion's answer.

        Raises:
            PairingError: the companion refused it, or its signature does not verify.
            Disconnected: the connection ended first.
            LabError: it is being paired already.
        """
        if self._offer is not None:
            raise LabError("another phone is pairing this device already")
        self._offer = offer
        self._outcome = asyncio.get_running_loop().create_future()
        word = offer.success.to_node(self._world.t())
        if self.fault.passkey:
            word = pairing.passkey_request(self._world.fresh_id(), self._world.t())
        self._wire.send(word, moment=Moment.PAIR_SUCCESS)
        await self._outcome

    def on_node(self, node: Node, parent: int) -> None:
        """Take a stanza of the client: what it says to be linked by code, or its answer to the pair-success."""
        if node.tag == "iq" and node.child(pairing.LINK_CODE) is not None:
            self.code.take(node, parent)
            return
        offer = self._offer
        if offer is None or node.tag != "iq" or get_text(node, "id") != offer.success.id:
            return
        try:
            self._settle(offer, node)
        except RemoteProtocolError as error:
            self._fail(error)
            self._wire.finish(stream.stream_error(_code(error)))

    def _settle(self, offer: Offer, node: Node) -> None:
        refused = node.child("error")
        if refused is not None:
            text = get_text(refused, "text") or ""
            step = PairingStep.ACCOUNT_SIGNATURE if text.startswith("signature") else PairingStep.HMAC
            raise PairingError(step if get_text(refused, "code") == "401" else PairingStep.FORMAT)
        reply = content_bytes(require_child(require_child(node, "pair-device-sign"), "device-identity"))
        verify_device_signature(reply, companion_identity=self.registration.identity, account_key=offer.account_key)
        complete = proto.ADVSignedDeviceIdentity.FromString(reply)
        complete.accountSignatureKey = offer.account_key
        with self._world.step():
            offer.accept(complete.SerializeToString())
            self._world.after(self._restart)

    def _restart(self) -> None:
        self._desk.close(self)
        self._wire.finish(stream.stream_error(_RESTART), moment=Moment.RESTART)
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(None)

    def on_closed(self) -> None:
        """The socket is gone."""
        self._fail(Disconnected(DisconnectReason.CLOSED, None, "the companion left before it was paired"))

    def _fail(self, error: Exception) -> None:
        self._desk.close(self)
        self.code.fail(error)
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(error)
            self._outcome.exception()  # seen: whoever scanned may be gone, and then nobody asks for it


def _code(error: RemoteProtocolError) -> int:
    return 401 if isinstance(error, PairingError) else 400


class Desk:
    """The refs on show, and whose they are."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open: dict[str, Registering] = {}

    def open(self, registering: Registering) -> None:
        for ref in registering.refs:
            self._open[ref] = registering

    def close(self, registering: Registering) -> None:
        for ref in registering.refs:
            self._open.pop(ref, None)

    def find(self, qr: QrText) -> Registering:
        """The connection that shows this QR.

        Raises:
            LabError: the ref is unknown (its connection is gone), or the QR's keys are not that connection's.
        """
        found = self._open.get(qr.ref)
        if found is None:
            raise LabError("no connection shows this QR (any more)")
        if qr.noise_key != found.registration.noise or qr.identity_key != found.registration.identity:
            raise LabError("the QR names other keys than the connection that was given its ref")
        return found

    def awaiting_code(self, account: Account) -> tuple[Registering, PendingCode]:
        """The connection that waits for this account's phone to type a code; the newest hello when there are several.

        Raises:
            LabError: there is none (any more).
        """
        waiting = [(one, one.code.pending) for one in dict.fromkeys(self._open.values())]
        found = [(one, code) for one, code in waiting if code is not None and code.account == account.pn]
        if not found:
            raise LabError("no companion waits for a code of this account (any more)")
        return max(found, key=lambda one: one[1].expires_at)


__all__ = ["Desk", "Offer", "Registering", "Registration", "Wire"]
