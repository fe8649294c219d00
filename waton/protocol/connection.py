"""Connection: one wire of the protocol, either side, without a wire.

Feed it what arrived (`receive`), then take what it understood (`events`) and what it wants sent (`data_to_send`). It
knows frames, the handshake, encryption and node encoding, and traces every crossing; it knows nothing of what stanzas
mean. The client and the lab use the same class with another handshake.

    IDLE --start--> HANDSHAKE --peer's last handshake message--> OPEN --close / any error--> CLOSED

The server's answer to a resumed handshake is such a last message, and so is the hello it answers: stanzas may follow at
once, in the same WebSocket message even.

An error on the way in closes the connection for good: Noise counters cannot be resynchronised.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from waton._core import Node, NoiseTransport, decode_node, encode_node, inflate_node
from waton.errors import LocalProtocolError, RemoteProtocolError, WatonError
from waton.protocol.framing import MAX_FRAME, FrameReader, frame, intro
from waton.protocol.noise import HANDSHAKE_FRAME_LIMIT, ClientHandshake, Pattern, ServerHandshake
from waton.protocol.trace import Layer, Tracer, Way

_COMPRESSED = 2
_TAG = 16
MOST_PLAIN = MAX_FRAME - _TAG
"""Bytes of an encoded stanza that fit into a frame."""


class ConnectionState(StrEnum):
    """Where a connection is; see the module's picture."""

    IDLE = "idle"
    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class HandshakeFinished:
    """Emitted once, when both sides have the transport keys."""

    payload: bytes
    """What the peer sent along: the certificate chain (client side) or the ClientPayload (server side)."""
    remote_static: bytes
    """32 bytes, the peer's Noise key."""
    pattern: Pattern = Pattern.XX
    """Which handshake it was: IK when it was resumed."""


@dataclass(frozen=True, slots=True)
class NodeReceived:
    """Emitted for every stanza."""

    node: Node
    trace: int
    """seq of its node trace, the parent of whatever follows from it."""
    size: int = 0
    """Bytes of its encoding."""


ConnectionEvent: TypeAlias = HandshakeFinished | NodeReceived


class Connection:
    """One connection, sans-IO.

    Args:
        handshake: our half of it; decides which side we are.
        tracer: where crossings are recorded.
        number: which connection of the owner this is, from 1.
        routing_info: what the server's edge_routing told us earlier; client side only.
    """

    def __init__(
        self,
        handshake: ClientHandshake | ServerHandshake,
        tracer: Tracer,
        *,
        number: int = 1,
        routing_info: bytes = b"",
    ) -> None:
        self._handshake = handshake
        self._tracer = tracer
        self.number = number
        self._intro = b"" if handshake.expects_intro else intro(routing_info)
        self._reader = FrameReader(expect_intro=handshake.expects_intro, limit=HANDSHAKE_FRAME_LIMIT)
        self._transport: NoiseTransport | None = None
        self._out: list[bytes] = []
        self._events: list[ConnectionEvent] = []
        self.state = ConnectionState.IDLE

    @property
    def routing_info(self) -> bytes:
        """What the client said before its prologue (server side)."""
        return self._reader.routing_info

    def start(self, now: float) -> None:
        """Begin; call once, before anything else. The client's hello is then in data_to_send()."""
        if self.state is not ConnectionState.IDLE:
            raise LocalProtocolError("this connection was started already")
        self._move(ConnectionState.HANDSHAKE, now, None)
        hello = self._handshake.start()
        if hello is not None:
            self._send_handshake("client_hello", hello, now, None)

    def receive(self, data: bytes, now: float) -> None:
        """Take one WebSocket message. Then drain events() and data_to_send().

        Raises:
            RemoteProtocolError: (DecodeError, HandshakeError and the rest below it) what came is not the protocol; the
                connection is closed. Events understood before it remain in events().
            LocalProtocolError: the connection is not started, or closed.
        """
        if self.state in (ConnectionState.IDLE, ConnectionState.CLOSED):
            raise LocalProtocolError(f"the connection is {self.state.value}")
        wire = self._trace(Layer.WIRE, Way.IN, "binary", now, None, data)
        try:
            for body in self._reader.feed(data):
                self._take_body(body, now, wire)
        except WatonError:
            self.close(now)
            raise

    def send(self, node: Node, now: float, parent: int | None = None) -> int:
        """Encode, encrypt and queue a stanza; returns the seq of its node trace.

        Raises:
            LocalProtocolError: the handshake is not finished, or the connection is closed, or it is too long.
            ValueError, TypeError: the node cannot be encoded.
        """
        if self._transport is None or self.state is not ConnectionState.OPEN:
            raise LocalProtocolError(f"cannot send a stanza: the connection is {self.state.value}")
        plain = encode_node(node)
        if len(plain) > MOST_PLAIN:  # before a counter moves that the peer could not follow
            raise LocalProtocolError(f"a stanza of {len(plain)} bytes; {MOST_PLAIN} are the most")
        seq = self._tracer.add_node(Way.OUT, node, plain, at=now, parent=parent, connection=self.number)
        body = self._transport.encrypt(plain)
        self._queue(body, "stanza", now, seq, b"")
        return seq

    def data_to_send(self) -> list[bytes]:
        """What to write, one WebSocket message each, in order. Call after start(), receive() and send()."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[ConnectionEvent]:
        """What was understood since the last call, in order."""
        events, self._events = self._events, []
        return events

    def close(self, now: float) -> None:
        """No more in or out; may be called twice."""
        if self.state is not ConnectionState.CLOSED:
            self._move(ConnectionState.CLOSED, now, None)

    def _take_body(self, body: bytes, now: float, wire: int) -> None:
        if self._transport is None:
            self._take_handshake(body, now, wire)
        else:
            self._take_stanza(self._transport, body, now, wire)

    def _take_handshake(self, body: bytes, now: float, wire: int) -> None:
        seq = self._trace(Layer.FRAME, Way.IN, "handshake", now, wire, body)
        answer = self._handshake.receive(body, now)
        if answer is not None:
            self._send_handshake("handshake", answer, now, seq)
        if self._handshake.transport is not None:
            self._transport = self._handshake.transport
            self._reader.limit = MAX_FRAME
            shaken = self._handshake
            self._move(ConnectionState.OPEN, now, seq, noise=shaken.pattern.value)
            self._events.append(HandshakeFinished(shaken.payload, shaken.remote_static, shaken.pattern))

    def _take_stanza(self, transport: NoiseTransport, body: bytes, now: float, wire: int) -> None:
        plain = transport.decrypt(body)
        if not plain:
            raise RemoteProtocolError("a frame without a flag byte")
        compressed = bool(plain[0] & _COMPRESSED)
        # An uncompressed frame's plaintext is the node's encoding, kept once, with the node.
        seq = self._trace(Layer.FRAME, Way.IN, "stanza", now, wire, plain if compressed else b"", size=len(body))
        node = decode_node(plain)
        encoding = inflate_node(plain) if compressed else plain
        trace = self._tracer.add_node(Way.IN, node, encoding, at=now, parent=seq, connection=self.number)
        self._events.append(NodeReceived(node, trace, len(encoding)))

    def _send_handshake(self, name: str, body: bytes, now: float, parent: int | None) -> None:
        self._queue(body, name, now, parent, body)

    def _queue(self, body: bytes, name: str, now: float, parent: int | None, data: bytes) -> None:
        seq = self._trace(Layer.FRAME, Way.OUT, name, now, parent, data, size=len(body))
        message = self._intro + frame(body)
        self._intro = b""
        self._trace(Layer.WIRE, Way.OUT, "binary", now, seq, message)
        self._out.append(message)

    def _move(self, state: ConnectionState, now: float, parent: int | None, **more: str) -> None:
        detail = json.dumps({"before": self.state.value, "after": state.value, **more})
        self._tracer.add(
            Layer.STATE, Way.LOCAL, "connection", at=now, parent=parent, detail=detail, connection=self.number
        )
        self.state = state

    def _trace(
        self, layer: Layer, way: Way, name: str, now: float, parent: int | None, data: bytes, size: int | None = None
    ) -> int:
        return self._tracer.add(
            layer,
            way,
            name,
            at=now,
            parent=parent,
            size=len(data) if size is None else size,
            data=data,
            connection=self.number,
        )
