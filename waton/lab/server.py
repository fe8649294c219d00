"""The lab's sockets: one aiohttp application, one protocol Connection for each WebSocket.

    lab = await Lab.start(clock=..., entropy=...)
    client -> lab.url;  certificates -> lab.root;  await lab.phones[0].scan(qr);  await lab.stop()

A connection is in one of three phases, and its handler of the phase takes the stanzas: handshake, registering (shows a
QR), online (a session of the service). Everything behind a stanza is synchronous; only reading and writing await.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from aiohttp import WSMsgType, web

from waton.errors import LabError, RemoteProtocolError
from waton.jid import Jid, JidServer
from waton.lab import admin
from waton.lab.certificates import Authority, tls_context
from waton.lab.database import Database
from waton.lab.faults import Fault, Faults, Harm, Moment
from waton.lab.login import LOGGED_OUT, Online, find_device
from waton.lab.pairing import Registering, Registration
from waton.lab.phone import Phone
from waton.lab.service import Service
from waton.lab.world import World
from waton.ports import Clock, Entropy, RecordKind
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.client_payload import parse_payload
from waton.protocol.connection import Connection, ConnectionState, HandshakeFinished
from waton.protocol.credentials import Credentials
from waton.protocol.framing import MAX_FRAME, frame
from waton.protocol.noise import ServerHandshake
from waton.protocol.stanza import stream
from waton.protocol.trace import Tracer, TraceSink

DEFAULT_PHONE = "Waton"
"""Push name of the phone a new lab begins with."""
_WS_PATH = "/ws/chat"
_FIRST_PN = 15550001000
_FIRST_LID = 200000000001000
_BAD_REQUEST = 400
_CLOSING_SECONDS = 2.0
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
        try:
            payload = parse_payload(event.payload)
            if payload.HasField("devicePairingData"):
                self._register(payload, event.remote_static)
            else:
                self._log_in(payload, event.remote_static)
        except RemoteProtocolError as error:
            self._lab.service.world.note("lab.refused", error=str(error))
            self.finish(stream.failure(_BAD_REQUEST))

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


class Lab:
    """A running lab. Make it with `await Lab.start(...)`."""

    def __init__(self, database: Database, clock: Clock, entropy: Entropy, sink: TraceSink | None) -> None:
        self.clock = clock
        self.entropy = entropy
        self.tracer = Tracer(sink if sink is not None else _nowhere)
        self.faults = Faults()
        """Misbehaviour to come; see waton.lab.faults."""
        self.phones: list[Phone] = []
        """Every phone; the first is the default one, which scans."""
        self._database = database
        self.authority = Authority.of(database, entropy)
        self.service = Service(World(database, clock, entropy, self.tracer), self.faults)
        self._runner: web.AppRunner | None = None
        self._sockets: dict[Socket, asyncio.Task[None]] = {}
        self._connections = 0
        self._host = ""
        self._port = 0
        self._tls_port: int | None = None
        self.ca_pem: str | None = None
        """The TLS certificate to trust for wss_url; None without tls."""

    @classmethod
    async def start(
        cls,
        *,
        clock: Clock,
        entropy: Entropy,
        state: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        sink: TraceSink | None = None,
    ) -> Lab:
        """Open the world and listen.

        Args:
            clock: time, for stanzas and traces.
            entropy: dice, for keys and ids.
            state: a directory; its lab.db holds the world, so that a lab started there again is the same one. None
            keeps
                it in memory.
            host: loopback unless you say otherwise; whoever reaches it can pair with its phones.
            port: 0 picks a free one.
            tls: listen for wss as well, on a port of its own.
            sink: gets the lab's traces.
        Raises:
            StorageError: lab.db is another program's, damaged, or in use by another lab.
            OSError: the port is taken.
        """
        lab = cls(Database(state), clock, entropy, sink)
        try:
            await lab._open_phones()
            await lab._listen(host, port, tls=tls)
        except BaseException:
            await lab.stop()
            raise
        return lab

    async def _open_phones(self) -> None:
        world = self.service.world
        for account in world.accounts():
            self.phones.append(Phone(self.service, account))
        if not self.phones:
            await self.add_phone(DEFAULT_PHONE)
        for phone in self.phones:
            phone.online()

    async def _listen(self, host: str, port: int, *, tls: bool) -> None:
        application = web.Application()
        application.add_routes(admin.routes(self.service.desk, self.phone_for))
        application.router.add_get(_WS_PATH, self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=_CLOSING_SECONDS)
        await self._runner.setup()
        self._host = host
        self._port = await self._bind(host, port, None)
        self.service.http_host = f"{self._shown_host}:{self._port}"
        if tls:
            context, self.ca_pem = tls_context(host, self.clock.now())
            self._tls_port = await self._bind(host, 0, context)
            self.service.http_host = f"{self._shown_host}:{self._tls_port}"

    async def _bind(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        if self._runner is None:
            raise LabError("the lab is stopped")
        site = web.TCPSite(self._runner, host, port, ssl_context=context)
        before = len(self._runner.addresses)
        await site.start()
        return int(self._runner.addresses[before][1])

    async def stop(self) -> None:
        """Close every connection, then the world. Clients see a closed socket and may reconnect to a later lab."""
        for socket in list(self._sockets):
            socket.finish(None)
        if self._sockets:
            await asyncio.wait(list(self._sockets.values()), timeout=_CLOSING_SECONDS)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        for phone in self.phones:
            phone.offline()
        self._database.close()

    # --- where it is ------------------------------------------------------------------------------------------------

    @property
    def _shown_host(self) -> str:
        return f"[{self._host}]" if ":" in self._host else self._host

    @property
    def url(self) -> str:
        """The WebSocket, plain."""
        return f"ws://{self._shown_host}:{self._port}{_WS_PATH}"

    @property
    def wss_url(self) -> str | None:
        """The WebSocket over TLS; None without tls."""
        return None if self._tls_port is None else f"wss://{self._shown_host}:{self._tls_port}{_WS_PATH}"

    @property
    def http_url(self) -> str:
        """Where admin requests go."""
        return f"http://{self._shown_host}:{self._port}"

    @property
    def root(self) -> bytes:
        """32 bytes: the public root of this lab's Noise certificates."""
        return self.authority.root.public

    # --- phones -----------------------------------------------------------------------------------------------------

    async def add_phone(self, name: str, pn: str | None = None, lid: str | None = None) -> Phone:
        """A new person with a phone.

        Args:
            name: push name.
            pn: digits of a phone number; invented when None.
            lid: digits; invented when None.
        Raises:
            LabError: the number or LID is taken, or holds something else than digits.
        """
        number = len(self.phones)
        digits = (pn or str(_FIRST_PN + number), lid or str(_FIRST_LID + number))
        if not all(part.isascii() and part.isdecimal() for part in digits):
            raise LabError("a phone number and a LID are digits")
        credentials = Credentials.generate(self.entropy.take)
        account_pn, account_lid = Jid(digits[0], JidServer.PN), Jid(digits[1], JidServer.LID)
        world = self.service.world
        with world.step():
            account = world.create_account(
                name,
                account_pn,
                account_lid,
                raw_id=int.from_bytes(self.entropy.take(4), "big") >> 1,
                identity=credentials.identity_key.public,
            )
            world.add_device(
                account, 0, identity=credentials.identity_key.public, registration_id=credentials.registration_id
            )
            paired = credentials.evolve(me=account_pn, lid=account_lid, push_name=name)
            self._database.insert(
                "INSERT INTO phone_record VALUES (?, ?, ?, ?)",
                account.id,
                RecordKind.CREDENTIALS.value,
                "self",
                paired.to_json(),
            )
        phone = Phone(self.service, account)
        self.phones.append(phone)
        phone.online()
        return phone

    def phone_for(self, push_name: str) -> Phone:
        """The phone of this push name, else the default one."""
        return next((phone for phone in self.phones if push_name and phone.name == push_name), self.phones[0])

    # --- sockets ----------------------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(compress=False, max_msg_size=0, timeout=_CLOSING_SECONDS)
        await websocket.prepare(request)
        self._connections += 1
        socket = Socket(self, websocket, self._connections)
        task = asyncio.current_task()
        if task is not None:
            self._sockets[socket] = task
        try:
            await socket.run()
        finally:
            self._sockets.pop(socket, None)
        return websocket

    def __repr__(self) -> str:
        return f"<Lab {self.url} {len(self.phones)} phones>"


def _nowhere(traces: object) -> None:
    """The sink of a lab nobody watches."""


def banner(lab: Lab) -> list[str]:
    """What a person needs to point a client at the lab, line by line."""
    lines = [
        f"The lab listens on {lab.url}",
        f"Noise root        {lab.root.hex()}",
        "Phones            " + ", ".join(f"{phone.name} ({phone.pn})" for phone in lab.phones),
        "",
        f"Baileys           makeWASocket({{ waWebSocketUrl: '{lab.url}', ... }})",
        f'Scan a QR         curl --data-binary "$QR" {lab.http_url}/admin/mock-phone/scan-qr',
    ]
    if lab.wss_url is not None and lab.ca_pem is not None:
        lines += ["", f"Over TLS          {lab.wss_url}, certificate:", lab.ca_pem.rstrip()]
    return lines


async def serve_forever(
    *,
    clock: Clock,
    entropy: Entropy,
    state: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    tls: bool = False,
    sink: TraceSink | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Run a lab until cancelled; `say` gets the banner's lines."""
    lab = await Lab.start(state=state, host=host, port=port, tls=tls, clock=clock, entropy=entropy, sink=sink)
    try:
        for line in banner(lab):
            say(line)
        await asyncio.Event().wait()
    finally:
        with suppress(asyncio.CancelledError):
            await lab.stop()
