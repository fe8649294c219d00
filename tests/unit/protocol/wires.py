"""Both ends of a connection in memory, and certificate chains with any link replaced. Everything from fixed dice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.connection import Connection, ConnectionEvent, HandshakeFinished, NodeReceived
from waton.protocol.credentials import KeyPair
from waton.protocol.noise import Certificate, ClientHandshake, KnownServer, ServerHandshake, issue_certificate
from waton.protocol.trace import Trace, Tracer

NOW = 1_760_000_000.0


def dice(label: str, count: int) -> bytes:
    """The same bytes for the same label, always."""
    return hashlib.shake_256(label.encode()).digest(count)


class Dice:
    """ports.Entropy that falls the same way each time."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._throws = 0

    def take(self, count: int) -> bytes:
        self._throws += 1
        return dice(f"{self._seed} {self._throws}", count)


ROOT = KeyPair.of(dice("root", 32))
MIDDLE = KeyPair.of(dice("intermediate", 32))
STATIC = KeyPair.of(dice("server static", 32))
DEVICE = KeyPair.of(dice("device static", 32))
STRANGER = KeyPair.of(dice("stranger", 32))

INTERMEDIATE = Certificate(7, 0, MIDDLE.public, int(NOW) - 500, int(NOW) + 500)
LEAF = Certificate(70, 7, STATIC.public, int(NOW) - 100, int(NOW) + 100)


def cert_chain(
    intermediate: Certificate = INTERMEDIATE,
    leaf: Certificate = LEAF,
    *,
    root: KeyPair = ROOT,
    issuer: KeyPair = MIDDLE,
) -> proto.CertChain:
    """A chain: sound, unless told otherwise."""
    return proto.CertChain(
        leaf=issue_certificate(issuer.private, leaf, dice("leaf signature", 64)),
        intermediate=issue_certificate(root.private, intermediate, dice("intermediate signature", 64)),
    )


SOUND_CHAIN = cert_chain().SerializeToString()
KNOWN = KnownServer(STATIC.public, SOUND_CHAIN)
"""The server as a client keeps it after an XX."""


def client_handshake(
    payload: bytes = b"client payload", root: bytes = ROOT.public, known: KnownServer | None = None
) -> ClientHandshake:
    ephemeral = dice("client ephemeral", 32)
    return ClientHandshake(
        static_private=DEVICE.private, ephemeral_private=ephemeral, payload=payload, root=root, known=known
    )


def server_handshake(
    chain: bytes = SOUND_CHAIN, static: KeyPair = STATIC, *, declines: bool = False
) -> ServerHandshake:
    ephemeral = dice("server ephemeral", 32)
    return ServerHandshake(static_private=static.private, ephemeral_private=ephemeral, chain=chain, declines=declines)


@dataclass
class Ends:
    """A client's and a server's Connection, with what each of them traced."""

    client_noise: ClientHandshake = field(default_factory=client_handshake)
    server_noise: ServerHandshake = field(default_factory=server_handshake)
    routing_info: bytes = b""

    def __post_init__(self) -> None:
        self.client_traces: list[Trace] = []
        self.server_traces: list[Trace] = []
        self.client = Connection(
            self.client_noise, Tracer(self.client_traces.extend), number=3, routing_info=self.routing_info
        )
        self.server = Connection(self.server_noise, Tracer(self.server_traces.extend), number=9)

    def start(self) -> None:
        self.client.start(NOW)
        self.server.start(NOW)

    def pump(self) -> None:
        """Carry bytes both ways until both are silent."""
        busy = True
        while busy:
            up = self.client.data_to_send()
            for data in up:
                self.server.receive(data, NOW)
            down = self.server.data_to_send()
            for data in down:
                self.client.receive(data, NOW)
            busy = bool(up or down)

    def open(self) -> Ends:
        """Shake hands, and forget the events of that."""
        self.start()
        self.pump()
        assert handshakes(self.client.events())
        assert handshakes(self.server.events())
        return self


def handshakes(events: list[ConnectionEvent]) -> list[HandshakeFinished]:
    return [event for event in events if isinstance(event, HandshakeFinished)]


def nodes(events: list[ConnectionEvent]) -> list[Node]:
    return [event.node for event in events if isinstance(event, NodeReceived)]


def flipped(data: bytes, place: int, bit: int = 0) -> bytes:
    """The same bytes with one bit turned."""
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed)
