"""Sockets: one protocol Connection on one WebSocket, and the phase it is in.

    handshake --registration payload--> registering (shows a QR)
              --login payload---------> online (a session of the service)

The phase takes the stanzas. Everything behind a stanza is synchronous; only reading and writing await. A socket writes
in the order stanzas were encrypted, and says its last stanza before it closes.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from aiohttp import WSMsgType, web

from waton.errors import RemoteProtocolError
from waton.lab.faults import Fault, Harm, Moment
from waton.lab.login import LOGGED_OUT, Online, find_device
from waton.lab.pairing import Registering, Registration
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.client_payload import parse_payload
from waton.protocol.connection import Connection, ConnectionState, HandshakeFinished
from waton.protocol.framing import MAX_FRAME, frame
from waton.protocol.noise import ServerHandshake
from waton.protocol.stanza import stream
from waton.protocol.trace import Layer, Way

if TYPE_CHECKING:
    from waton.lab.server import Lab

_BAD_REQUEST = 400
_FAREWELL_SECONDS = 0.2
"""How long a client that got a last stanza may take to hang up by itself: one that sees the socket close before it has
read that far (Baileys decodes in turns of its event loop) would take it for a lost connection."""


class _Phase(Protocol):
    def on_node(self, node: Node, parent: int) -> None: ...

    def on_closed(self) -> None: ...


class Socket:
    """One client's connection."""

    def __init__(self, lab: Lab, websocket: web.WebSocketResponse, number: int) -> None:
        self._lab = lab
        self._websocket = websocket
        self.fault: Fault = lab.faults.take()
        chain = lab.authority.chain(lab.clock.now(), lab.entropy, self.fault.defect)
        handshake = ServerHandshake(
            static_private=lab.authority.static.private, ephemeral_private=lab.entropy.take(32), chain=chain
        )
        self._connection = Connection(handshake, lab.tracer, number=number)
        self._out: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._phase: _Phase | None = None
        self._finished = False
        self._said_farewell = False
        self._gone = asyncio.Event()

    async def run(self) -> None:
        """Serve the client until either side ends it."""
        writer = asyncio.create_task(self._write(), name="waton-lab-writer")
        try:
            self._connection.start(self._lab.clock.now())
            async for message in self._websocket:
                if message.type is not WSMsgType.BINARY:
                    break
                if not self._finished:
                    self._take(message.data)
        finally:
            self._finished = True
            self._gone.set()
            self._out.put_nowait(None)
            self._connection.close(self._lab.clock.now())
            if self._phase is not None:
                self._phase.on_closed()
            await writer

    async def _write(self) -> None:
        try:
            while (data := await self._out.get()) is not None:
                await self._websocket.send_bytes(data)
        except ConnectionError:
            return  # the client left; the reader sees it too
        if self._said_farewell:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await self._gone.wait()
        await self._websocket.close()

    # --- in ---------------------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        was = self._connection.state
        try:
            self._connection.receive(data, self._lab.clock.now())
        except RemoteProtocolError as error:
            self._take_events()
            self._lab.service.world.note("lab.protocol_error", error=str(error))
            self.finish(None)
            return
        self._flush(Moment.SERVER_HELLO if was is ConnectionState.HANDSHAKE else None)
        self._take_events()

    def _take_events(self) -> None:
        for event in self._connection.events():
            if self._finished:
                return
            if isinstance(event, HandshakeFinished):
                self._enter(event)
            elif self._phase is not None:
                self._phase.on_node(event.node, event.trace)

    def _enter(self, event: HandshakeFinished) -> None:
        self._trace_payload(event.payload)
        try:
            payload = parse_payload(event.payload)
            if payload.HasField("devicePairingData"):
                self._register(payload, event.remote_static)
            else:
                self._log_in(payload, event.remote_static)
        except RemoteProtocolError as error:
            self._lab.service.world.note("lab.refused", error=str(error))
            self.finish(stream.failure(_BAD_REQUEST))

    def _trace_payload(self, payload: bytes) -> None:
        """What the client says about itself; its frame is encrypted, so this is the only place to see it."""
        now, number = self._lab.clock.now(), self._connection.number
        self._lab.tracer.add(
            Layer.FRAME, Way.IN, "client_payload", at=now, size=len(payload), data=payload, connection=number
        )

    def _register(self, payload: proto.ClientPayload, noise: bytes) -> None:
        service = self._lab.service
        registering = Registering(service.world, service.desk, self, Registration.of(payload, noise))
        self._phase = registering
        registering.start()

    def _log_in(self, payload: proto.ClientPayload, noise: bytes) -> None:
        device = find_device(self._lab.service, payload, noise)
        if device is None:
            self.finish(stream.failure(LOGGED_OUT))
            return
        online = Online(self._lab.service, self, device)
        self._phase = online
        online.start(passive=payload.passive)

    # --- out --------------------------------------------------------------------------------------------------------

    def send(self, node: Node, parent: int | None = None, *, moment: Moment | None = None) -> None:
        """Wire: write a stanza; nothing happens when the connection is over."""
        if self._finished or self._connection.state is not ConnectionState.OPEN:
            return
        self._connection.send(node, self._lab.clock.now(), parent)
        self._flush(moment)

    def finish(self, node: Node | None, *, moment: Moment | None = None) -> None:
        """Wire: write a last stanza, if any, and close."""
        if self._finished:
            return
        if node is not None:
            self.send(node, moment=moment)
            self._said_farewell = not self._finished
        self._finished = True
        self._out.put_nowait(None)

    def _flush(self, moment: Moment | None) -> None:
        for data in self._connection.data_to_send():
            if self.fault.harm is not None and self.fault.strikes(moment):
                self._harm(self.fault.harm, data)
            elif not self._finished:
                self._out.put_nowait(data)

    def _harm(self, harm: Harm, data: bytes) -> None:
        body = len(data) - 3
        if harm is Harm.TRUNCATED:
            self._out.put_nowait(data[: 3 + body // 2])
        elif harm is Harm.OVERSIZED:
            self._out.put_nowait(MAX_FRAME.to_bytes(3, "big") + data[3:])
        elif harm is Harm.GARBAGE:
            self._out.put_nowait(frame(self._lab.entropy.take(body)))
        if harm is not Harm.GARBAGE:
            self.finish(None)
