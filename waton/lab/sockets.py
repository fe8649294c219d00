"""Sockets: one protocol Connection on one WebSocket, and the phase it is in.

    handshake --registration payload--> registering (shows a QR)
              --login payload---------> online (a session of the service)

The phase takes the stanzas. Everything behind a stanza is synchronous; only reading and writing await. A socket writes
in the order stanzas were encrypted, and says its last stanza before it closes. Every stanza passes the connection's
line, which is perfect unless a schedule of faults says otherwise (waton.lab.lines).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from aiohttp import WSMsgType, web

from waton.errors import RemoteProtocolError
from waton.lab.faults import Fault, Harm, Moment
from waton.lab.lines import Line
from waton.lab.login import LOGGED_OUT, ROUTING_INFO, Online, find_device
from waton.lab.pairing import Registering, Registration
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.client_payload import parse_payload
from waton.protocol.connection import Connection, ConnectionEvent, ConnectionState, HandshakeFinished
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


class _Silence(asyncio.Protocol):
    """Takes what comes and says nothing, until the client hangs up."""

    def __init__(self, lost: Callable[[Exception | None], None]) -> None:
        self._lost = lost

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(exc)


class Socket:
    """One client's connection."""

    def __init__(
        self, lab: Lab, websocket: web.WebSocketResponse, transport: asyncio.Transport | None, number: int
    ) -> None:
        self._lab = lab
        self._websocket = websocket
        self._transport = transport
        self.owner = ""
        """Push name of the account that has logged in; empty before."""
        self._line = Line(self, lab.faults, lab.service.world, number)
        self.fault: Fault = lab.faults.take()
        chain = lab.authority.chain(lab.clock.now(), lab.entropy, self.fault.defect)
        handshake = ServerHandshake(
            static_private=lab.authority.static.private,
            ephemeral_private=lab.entropy.take(32),
            chain=chain,
            declines=self.fault.declines,
        )
        self._connection = Connection(handshake, lab.tracer, number=number)
        self._out: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
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
            self._line.close()
            self._out.put_nowait(None)
            self._connection.close(self._lab.clock.now())
            if self._phase is not None:
                self._phase.on_closed()
            await writer

    async def _write(self) -> None:
        try:
            while (item := await self._out.get()) is not None:
                due, data = item
                if due > asyncio.get_running_loop().time():
                    await self._wait_until(due)
                await self._websocket.send_bytes(data)
        except ConnectionError:
            return  # the client left; the reader sees it too
        if self._said_farewell:
            await self._wait_until(asyncio.get_running_loop().time() + _FAREWELL_SECONDS)
        await self._websocket.close()

    async def _wait_until(self, due: float) -> None:
        """Wait until `due` on the loop's clock, or until the client is gone."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await self._gone.wait()

    # --- in ---------------------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        if self._line.is_deaf:
            return  # lost on its way: it leaves no trace here
        was = self._connection.state
        try:
            self._connection.receive(data, self._lab.clock.now())
        except RemoteProtocolError as error:
            self._take_events()
            self._lab.service.world.note("lab.protocol_error", error=str(error))
            self.finish(None)
            return
        for answer in self._connection.data_to_send():
            self._line.hello(answer, Moment.SERVER_HELLO if was is ConnectionState.HANDSHAKE else None)
        self._take_events()

    def _take_events(self) -> None:
        for event in self._connection.events():
            if not self._finished:
                self._line.arrive(event)

    def take(self, event: ConnectionEvent) -> None:
        """End of the line: a stanza, or the end of the handshake, has arrived."""
        if self._finished:
            return
        if isinstance(event, HandshakeFinished):
            self._enter(event)
        elif self._phase is not None:
            self._phase.on_node(event.node, event.trace)

    def _enter(self, event: HandshakeFinished) -> None:
        self._trace_payload(event.payload)
        if self._connection.routing_info:
            routed = self._connection.routing_info == ROUTING_INFO
            self._lab.service.world.note("lab.routed", known=routed, connection=self._connection.number)
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
        self.owner = device.account.name
        online.start(passive=payload.passive)

    # --- out --------------------------------------------------------------------------------------------------------

    def send(self, node: Node, parent: int | None = None, *, moment: Moment | None = None) -> None:
        """Wire: write a stanza; nothing happens when the connection is over."""
        if not self._finished and self._connection.state is ConnectionState.OPEN:
            self._line.leave(node, parent, moment)

    def finish(self, node: Node | None, *, moment: Moment | None = None) -> None:
        """Wire, and end of the line: write a last stanza, if any, and close."""
        if self._finished:
            return
        if node is not None:
            self.send(node, moment=moment)
            self._said_farewell = not self._finished
        if self._line.is_mute:
            self.cut()  # a closing handshake would not get through either
            return
        self._finished = True
        self._out.put_nowait(None)

    @property
    def is_pairing(self) -> bool:
        """End of the line: this connection shows a QR."""
        return isinstance(self._phase, Registering)

    def encode(self, node: Node, parent: int | None) -> tuple[int, list[bytes]]:
        """End of the line: a stanza's trace and frames."""
        trace = self._connection.send(node, self._lab.clock.now(), parent)
        return trace, self._connection.data_to_send()

    def put(self, data: bytes, due: float, moment: Moment | None) -> None:
        """End of the line: write a frame, not before `due` on the loop's clock."""
        if self.fault.harm is not None and self.fault.strikes(moment):
            self._harm(self.fault.harm, data, due)
        elif not self._finished:
            self._out.put_nowait((due, data))

    def cut(self) -> None:
        """End of the line: close without a word; what was still to be written is lost."""
        self._finished = True
        if self._transport is not None:
            self._transport.abort()

    def hush(self) -> None:
        """End of the line: keep the socket open and let nothing pass, not even the WebSocket's own pings."""
        if self._transport is not None and not self._transport.is_closing():
            lost = self._transport.get_protocol().connection_lost
            self._transport.set_protocol(_Silence(lost))
            self._transport.resume_reading()  # or the end would not be seen, had a full buffer stopped the reading

    def _harm(self, harm: Harm, data: bytes, due: float) -> None:
        body = len(data) - 3
        if harm is Harm.TRUNCATED:
            self._out.put_nowait((due, data[: 3 + body // 2]))
        elif harm is Harm.OVERSIZED:
            self._out.put_nowait((due, MAX_FRAME.to_bytes(3, "big") + data[3:]))
        elif harm is Harm.GARBAGE:
            self._out.put_nowait((due, frame(self._lab.entropy.take(body))))
        if harm is not Harm.GARBAGE:
            self.finish(None)
