"""Lab: a running server with its phones; one aiohttp application on loopback.

    lab = await Lab.start(clock=..., entropy=...)
    client -> lab.url;  certificates -> lab.root;  await lab.phones[0].scan(qr);  await lab.stop()

Start reads the world from its database, brings the phones online and listens; stop closes every connection and then the
database. Nothing is lost in between: see waton.lab.database.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from waton.errors import LabError
from waton.jid import Jid, JidServer
from waton.lab import admin
from waton.lab.certificates import Authority, tls_context
from waton.lab.database import Database
from waton.lab.faults import Faults
from waton.lab.phone import Phone
from waton.lab.schedules import Schedule
from waton.lab.service import Service
from waton.lab.sockets import Socket
from waton.lab.world import World
from waton.ports import Clock, Entropy, RecordKind
from waton.protocol.credentials import Credentials
from waton.protocol.trace import Tracer, TraceSink

DEFAULT_PHONE = "Waton"
"""Push name of the phone a new lab begins with."""
_WS_PATH = "/ws/chat"
_FIRST_PN = 15550001000
_FIRST_LID = 200000000001000
_CLOSING_SECONDS = 2.0


class Lab:
    """A running lab. Make it with `await Lab.start(...)`."""

    def __init__(self, database: Database, clock: Clock, entropy: Entropy, sink: TraceSink | None) -> None:
        self.clock = clock
        self.entropy = entropy
        self.tracer = Tracer(sink if sink is not None else _nowhere)
        self.faults = Faults(self)
        """Misbehaviour on request; see waton.lab.faults."""
        self.phones: list[Phone] = []
        """Every phone; the first is the default one, which scans."""
        self._database = database
        self.authority = Authority.of(database, entropy)
        self.service = Service(World(database, clock, entropy, self.tracer), self.faults)
        self._runner: web.AppRunner | None = None
        self._listeners: list[asyncio.Server] = []
        self._sockets: dict[Socket, asyncio.Task[None]] = {}
        self._restarting: asyncio.Task[None] | None = None
        self._is_restarting = asyncio.Lock()
        self._connections = 0
        self._host = ""
        self._port = 0
        self._tls_port: int | None = None
        self._tls_context: ssl.SSLContext | None = None
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
            self._tls_context, self.ca_pem = tls_context(host, self.clock.now())
            self._tls_port = await self._bind(host, 0, self._tls_context)
            self.service.http_host = f"{self._shown_host}:{self._tls_port}"

    async def _bind(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        if self._runner is None:
            raise LabError("the lab is stopped")
        if self._runner.server is None:
            raise LabError("the lab is stopped")
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            self._runner.server, host, port, ssl=context, backlog=128, reuse_address=True
        )
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    async def _stop_listening(self) -> None:
        """Close the ports. asyncio would lose hold of a connection that it is accepting just then: those come first."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            for socket in listener.sockets:
                with suppress(NotImplementedError):  # a loop that has no readers
                    loop.remove_reader(socket.fileno())
        for _ in range(2):
            await asyncio.sleep(0)
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def stop(self) -> None:
        """Close every connection, then the world. Clients see a closed socket and may reconnect to a later lab."""
        if self._restarting is not None:
            self._restarting.cancel()
        await self._stop_listening()
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

    # --- restarting -------------------------------------------------------------------------------------------------

    async def restart(self, pause: float = 0.1) -> None:
        """Be gone for a while, as a server that is deployed: the same ports, the same world, the same phones.

        Every connection is dropped without a word, and nobody can connect for `pause` seconds. The phones of this
        process log in anew at once; what they did not acknowledge comes to them again.

        Raises:
            LabError: the lab is stopped.
            OSError: somebody else took the port in the pause.
        """
        async with self._is_restarting:
            await self._restart(pause)

    async def _restart(self, pause: float) -> None:
        if self._runner is None:
            raise LabError("the lab is stopped")
        await self._stop_listening()
        for socket in list(self._sockets):
            socket.cut()
        if self._sockets:
            await asyncio.wait(list(self._sockets.values()), timeout=_CLOSING_SECONDS)
        for phone in self.phones:
            phone.offline()
            phone.online()
        await asyncio.sleep(pause)
        await self._bind(self._host, self._port, None)
        if self._tls_port is not None:
            await self._bind(self._host, self._tls_port, self._tls_context)

    def restart_soon(self, pause: float) -> None:
        """Faults' Server: restart, unless that is under way."""
        if (self._restarting is None or self._restarting.done()) and not self._is_restarting.locked():
            self._restarting = asyncio.create_task(self.restart(pause), name="waton-lab-restart")

    def skew_clock(self, seconds: float) -> None:
        """Faults' Server: have the timestamps of stanzas this far off from now on."""
        self.service.world.skew = seconds

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

    @property
    def connections(self) -> int:
        """How many connections clients have made so far; the next one's traces carry the number after this."""
        return self._connections

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
        socket = Socket(self, websocket, request.transport, self._connections)
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
    if lab.faults.running is not None:
        lines += ["", f"Faults            {lab.faults.running}"]
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
    faults: Schedule | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Run a lab until cancelled, under `faults` if there are any; `say` gets the banner's lines."""
    lab = await Lab.start(state=state, host=host, port=port, tls=tls, clock=clock, entropy=entropy, sink=sink)
    if faults is not None:
        lab.faults.schedule(faults)
    try:
        for line in banner(lab):
            say(line)
        await asyncio.Event().wait()
    finally:
        with suppress(asyncio.CancelledError):
            await lab.stop()
