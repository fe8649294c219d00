"""Supervisor: one connection after the other, until the client is closed or there is no point in trying again.

It opens the wire, runs the handshake, reads and keeps alive, and decides what the end of a connection means: restart at
once, wait and try again, or stop. What stanzas mean is the client's business.

A paired client resumes: it keeps the server's key and certificate chain from the last full handshake and says
everything in its first message (IK). An attempt that ended in the handshake, for whatever reason, is followed by one
that does not resume; one that failed the cryptography costs the kept key as well.

Source: reconnecting as whatsmeow does and Baileys does not; resuming as whatsapp-rust src/handshake.rs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from waton.client.backoff import Attempts
from waton.client.events import ConnectionStatus
from waton.client.keepalive import KeepAlive, Rhythm
from waton.client.stream import Stream
from waton.errors import (
    Disconnected,
    DisconnectReason,
    HandshakeError,
    HandshakeStep,
    IqError,
    LocalProtocolError,
    PairingError,
    PairingStep,
    QueryTimeout,
    RemoteProtocolError,
    WatonError,
)
from waton.ports import Transport
from waton.protocol.client_payload import login_payload, registration_payload
from waton.protocol.connection import Connection, NodeReceived
from waton.protocol.noise import ClientHandshake, KnownServer, Pattern

if TYPE_CHECKING:
    from waton.client.client import Client


class Supervisor:
    """Keeps one client connected."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._task: asyncio.Task[None] | None = None
        self._stream: Stream | None = None
        self._group: asyncio.TaskGroup | None = None
        self._hurry = asyncio.Event()
        self._attempts = Attempts()
        self._qr_rounds = 0
        self._may_resume = True
        self._is_resuming = False
        self.keepalive: KeepAlive | None = None
        """The pings of the present connection, or of the last one: its round trip and the server's clock."""
        self.connections = 0
        """How many connections there were; the number of the present one in traces."""

    # --- what the client asks -----------------------------------------------------------------------------------------

    @property
    def is_started(self) -> bool:
        return self._task is not None

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._supervise(), name="waton-client")

    async def stop(self) -> None:
        """Disconnect and do not connect again. May be called twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])  # not the task itself: whose wait is cancelled must be told so
            if not task.cancelled():
                task.result()

    async def reconnect(self) -> None:
        """Drop the connection, if any, and connect again at once; also after giving up."""
        status = self._client.status
        if self._task is None or self._task.done():
            status.move(ConnectionStatus.CONNECTING)
            self.start()
        elif self._stream is not None and not self._stream.is_closed:
            if status.now is ConnectionStatus.OPEN:
                status.move(ConnectionStatus.RECONNECTING, retry_at=self._client.clock.now())
            self._hurry.set()
            await self._stream.close(Disconnected(DisconnectReason.RESTART_REQUIRED, None, "asked for"))
        else:
            self._hurry.set()

    def live(self) -> Stream:
        """The connection. Raises Disconnected when there is none."""
        if self._stream is None or self._stream.is_closed:
            raise Disconnected(DisconnectReason.CLOSED, None, "not connected")
        return self._stream

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something as part of the connection: it ends with it, and its error ends the connection."""
        if self._group is None:
            work.close()
            raise LocalProtocolError("no connection to work on")
        return self._group.create_task(work)

    @property
    def skew(self) -> float:
        """Seconds that the server's clock is ahead of ours, by the newest measurement; 0 while there is none."""
        return 0.0 if self.keepalive is None else self.keepalive.skew or 0.0

    async def fail(self, error: WatonError) -> None:
        """End the connection with this error, if there is one."""
        if self._stream is not None:
            await self._stream.close(error)

    def succeeded(self) -> None:
        """The login is complete: if it lasts, the next back-off begins anew."""
        self._attempts.opened(self._client.clock.now())

    def paired(self) -> None:
        """A phone has scanned: the rounds of QRs begin anew, and a restart is to come."""
        self._qr_rounds = 0
        self._attempts.paired()

    # --- connections --------------------------------------------------------------------------------------------------

    async def _supervise(self) -> None:
        while True:
            try:
                await self._connect_once()
            except Exception as error:  # noqa: BLE001  whatever ends a connection is shown to the user, none is lost
                if self._task is not asyncio.current_task():
                    return  # stopped as the connection failed, of which a TaskGroup tells the failure alone
                delay = await self._after(error)
                if delay is None:
                    return
                await self._pause(delay)

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt, unless reconnect() says not to, or has said so already."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        self._hurry.clear()

    async def _connect_once(self) -> None:
        """One connection from the first byte to the last; always raises what ended it."""
        if self._client.status.now in (ConnectionStatus.IDLE, ConnectionStatus.CLOSED):
            self._client.status.move(ConnectionStatus.CONNECTING)
        self.connections += 1
        transport = await self._open_wire()
        connection = Connection(
            self._handshake(),
            self._client.tracer,
            number=self.connections,
            routing_info=self._client.credentials.routing_info,
        )
        opened = Stream(transport, connection, self._client.clock, self._on_node)
        self._client.connecting()
        reason: WatonError = Disconnected(DisconnectReason.LOCAL)
        try:
            self.keepalive = await self._shake_hands(opened)
            self._stream = opened
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(opened.run())
                group.create_task(self.keepalive.run())
        except BaseExceptionGroup as errors:
            reason = _first_error(errors)
            raise reason from errors
        except WatonError as error:
            reason = error
            raise
        finally:
            self._group = None
            await opened.close(reason)

    async def _open_wire(self) -> Transport:
        try:
            async with asyncio.timeout(self._client.config.connect_timeout):
                return await self._client.connector(self._client.config.url)
        except TimeoutError:
            raise Disconnected(DisconnectReason.LOST, None, "the server does not answer") from None

    def _handshake(self) -> ClientHandshake:
        mine = self._client.credentials
        browser, name = self._client.config.browser, self._client.config.push_name
        if mine.me is None:
            payload = registration_payload(mine.evolve(push_name=name), browser)
        else:
            payload = login_payload(mine.me, browser, mine.push_name or name)
        known = self._known_server()
        self._is_resuming = known is not None
        return ClientHandshake(
            static_private=mine.noise_key.private,
            ephemeral_private=self._client.entropy.take(32),
            payload=payload,
            root=self._client.config.root,
            known=known,
        )

    def _known_server(self) -> KnownServer | None:
        """Whom to resume with; None for a full handshake."""
        mine, config = self._client.credentials, self._client.config
        if mine.me is None or not config.resume or not self._may_resume:
            return None
        known = KnownServer(mine.server_static, mine.server_chain)
        return known if known.is_good(config.root, self._client.clock.now()) else None

    async def _shake_hands(self, opened: Stream) -> KeepAlive:
        """Run the handshake, and keep of the server what the next one can resume with."""
        client, began = self._client, self._client.clock.now()
        self._may_resume = False
        try:
            finished = await opened.handshake(client.config.connect_timeout)
        except HandshakeError:
            if self._is_resuming:
                await self._keep_server(b"", b"")
            raise
        self._may_resume = True
        self._hurry.clear()
        if finished.pattern is not Pattern.IK and client.credentials.me is not None:
            await self._keep_server(finished.remote_static, finished.payload)
        return KeepAlive(
            opened,
            Rhythm(client.config.keepalive, client.config.silence),
            clock=client.clock,
            entropy=client.entropy,
            tracer=client.tracer,
            next_id=client.next_id,
            connection=self.connections,
            asked=began if finished.pattern is Pattern.IK else client.clock.now(),
        )

    async def _keep_server(self, static: bytes, chain: bytes) -> None:
        mine = self._client.credentials
        if (mine.server_static, mine.server_chain) == (static, chain):
            return
        async with self._client.account.changing() as step:
            self._client.account.keep(step, self._client.credentials.evolve(server_static=static, server_chain=chain))

    async def _on_node(self, event: NodeReceived) -> None:
        if event.node.tag == "success" and self.keepalive is not None:
            self.keepalive.welcomed(event.node)
        await self._client.on_node(event)

    async def _after(self, error: Exception) -> float | None:
        """What to do after a connection ended: seconds to wait before the next, or None to stop."""
        client = self._client
        if isinstance(error, Disconnected) and error.reason.ends_pairing:
            await client.account.forget("logged_out")
        if not self._is_worth_retrying(error):
            client.status.move(ConnectionStatus.CLOSED, error=error)
            return None
        now, dice = client.clock.now(), client.entropy.take(2)
        # A resumption that failed is made good by a full handshake, which needs no patience.
        delay = 0.0 if self._has_misfired(error) else self._attempts.pause(client.config.backoff, error, now, dice)
        if delay or client.status.now is ConnectionStatus.OPEN:
            client.status.move(ConnectionStatus.RECONNECTING, error=error, retry_at=now + delay)
        return delay

    def _has_misfired(self, error: Exception) -> bool:
        return isinstance(error, HandshakeError) and self._is_resuming

    def _is_worth_retrying(self, error: Exception) -> bool:
        match error:
            case Disconnected():
                return error.reason.is_retryable
            case PairingError(step=PairingStep.REFS):
                self._qr_rounds += 1
                return self._qr_rounds < self._client.config.qr_rounds
            case HandshakeError():
                # A hello that does not decrypt came over a wire that garbles; a bad certificate stays bad.
                return self._is_resuming or error.step is HandshakeStep.SERVER_HELLO
            case PairingError():
                return False
            case RemoteProtocolError() | QueryTimeout() | IqError() | TimeoutError():
                return True
            case _:
                return False


def _first_error(errors: BaseExceptionGroup[BaseException]) -> WatonError:
    """The error that ended a connection's tasks; a bug is raised as it is."""
    found, _ = errors.split(WatonError)
    while found is not None:
        first = found.exceptions[0]
        if isinstance(first, WatonError):
            return first
        found = first
    raise errors
