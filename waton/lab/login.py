"""Login: a paired device proves its Noise key and becomes a session.

Source: whatsmeow connectionevents.go for the reasons of failure, Baileys Socket/socket.ts for the edge routing.
"""

from __future__ import annotations

from waton.jid import Jid, JidServer
from waton.lab.deliveries import Session
from waton.lab.faults import Moment
from waton.lab.pairing import Wire
from waton.lab.service import Service
from waton.lab.world import Device
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.stanza import stream

LOGGED_OUT = 401
ROUTING_INFO = b"\x08\x0d\x08\x0c"
"""What every client is told to say in the intro of its next connection; of the size that the service's own has."""


class Online:
    """One logged-in connection; the Endpoint of its session."""

    def __init__(self, service: Service, wire: Wire, device: Device) -> None:
        self._service = service
        self._wire = wire
        self._session: Session | None = None
        self._device = device

    def start(self, *, passive: bool) -> None:
        """Welcome the client. A client that does not log in as passive gets its deliveries at once."""
        account = self._device.account
        self._session = self._service.deliveries.attach(self._device, self)
        welcome = stream.success(self._service.world.t(), self._device.lid, push_name=account.name)
        self._wire.send(welcome, moment=Moment.SUCCESS)
        self._wire.send(stream.edge_routing(ROUTING_INFO))
        if not passive:
            self._service.world.after(self._session.activate)
            self._service.greet(self._device)

    def on_node(self, node: Node, parent: int) -> None:
        """Take a stanza of the client."""
        if self._session is not None:
            self._service.receive(self._session, node, parent)

    def on_closed(self) -> None:
        """The socket is gone."""
        if self._session is None:
            return
        self._service.deliveries.detach(self._session)
        if self._session.is_available:
            self._session.is_available = False
            self._service.presence.announce(self._device.account)

    def deliver(self, node: Node, parent: int | None) -> None:
        """Endpoint: write a stanza."""
        self._wire.send(node, parent)

    def end(self, node: Node | None) -> None:
        """Endpoint: write a last stanza and close."""
        self._wire.finish(node)


def find_device(service: Service, payload: proto.ClientPayload, noise: bytes) -> Device | None:
    """The device that logs in; None when there is none of that address, or its Noise key is another."""
    account = service.world.find(Jid(str(payload.username), JidServer.PN))
    device = None if account is None else service.world.device(account, payload.device)
    # A phone has no Noise key, so nobody can log in as one.
    return device if device is not None and device.noise == noise else None
