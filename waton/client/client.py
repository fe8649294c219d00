"""Client: one account's session over as many connections as it takes.

    start -> connecting -> (qr -> paired ->) open -> reconnecting -> ... -> closed

The client decides, the parts act: `Stream` is one connection, `EventPipeline` the one order of persisting,
acknowledging and emitting, `messages` the way out, `messages_recv` the way in, `pairing` and `prekeys` what their
names say. Everything here runs on one event loop; other threads come in through waton.api's session.

Source: order of the start-up queries as Baileys Socket/socket.ts, reconnecting as whatsmeow does and Baileys does not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from waton.client import addresses, pairing, prekeys
from waton.client.backoff import Backoff
from waton.client.devices import DeviceLists
from waton.client.event_pipeline import EventPipeline, Step, Subscriber
from waton.client.events import ConnectionStatus, ConnectionUpdate, CredentialsUpdate, MessagesUpsert
from waton.client.lanes import Lanes
from waton.client.locks import KeyedLocks
from waton.client.messages import Sender, SendResult
from waton.client.messages_recv import Receiver
from waton.client.stream import Stream
from waton.errors import (
    Disconnected,
    DisconnectReason,
    HandshakeError,
    IqError,
    LocalProtocolError,
    PairingError,
    PairingStep,
    RemoteProtocolError,
    WatonError,
)
from waton.jid import SERVER, Jid, signal_address
from waton.ports import Clock, Connector, Entropy, RecordKind, Store, Transport
from waton.protocol.binary_node import Node, StanzaError, get_jid, get_text
from waton.protocol.client_payload import Browser, login_payload, registration_payload
from waton.protocol.connection import Connection, NodeReceived
from waton.protocol.credentials import Credentials
from waton.protocol.noise import PRODUCTION_ROOT, ClientHandshake
from waton.protocol.stanza import iq, stream, usync
from waton.protocol.stanza.encrypt import prekey_count
from waton.protocol.stanza.pairing import PairSuccess
from waton.protocol.stanza.receipt import ack
from waton.protocol.trace import Layer, Tracer, Way

PRODUCTION_URL = "wss://web.whatsapp.com/ws/chat"
_ACCOUNT_KINDS = tuple(kind for kind in RecordKind if kind is not RecordKind.SETTING)


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """How a client connects and waits. Times are seconds."""

    url: str = PRODUCTION_URL
    root: bytes = PRODUCTION_ROOT
    """32 bytes: the trusted root of the server's Noise certificates."""
    browser: Browser = field(default_factory=Browser)
    push_name: str = ""
    """Said in the payload and in presence; the service learns it from the phone otherwise."""
    connect_timeout: float = 20.0
    query_timeout: float = 60.0
    keepalive: float = 25.0
    """Between pings; each is drawn from 80 to 120 % of it."""
    silence: float = 35.0
    """No byte for this long means that the connection is dead."""
    backoff: Backoff = field(default_factory=Backoff)
    qr_rounds: int = 5
    """How often to ask for fresh refs when all QRs have expired unscanned."""


class Client:
    """A WhatsApp-Web client for one account.

    Args:
        config: where to and how.
        store: the account's durable state.
        connector: opens the wire.
        clock, entropy: time and dice.
        tracer: where every crossing is recorded.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        store: Store,
        connector: Connector,
        clock: Clock,
        entropy: Entropy,
        tracer: Tracer,
    ) -> None:
        self.config = config
        self._store = store
        self._connector = connector
        self._clock = clock
        self._entropy = entropy
        self._tracer = tracer
        self.pipeline = EventPipeline(store, tracer, clock)
        self._locks = KeyedLocks()
        self._lanes = Lanes(self._report)
        self._devices = DeviceLists(self._ask_devices, clock)
        self._credentials: Credentials | None = None
        self._stream: Stream | None = None
        self._group: asyncio.TaskGroup | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._rotation: asyncio.Task[None] | None = None
        self._connections = 0
        self._attempt = 0
        self._qr_rounds = 0
        self._changed = asyncio.Event()
        self._hurry = asyncio.Event()
        self.drained = asyncio.Event()
        """Set when the server has said that the offline queue is empty."""
        self.update = ConnectionUpdate(ConnectionStatus.IDLE)
        """The latest state of the connection."""
        prefix = entropy.take(4)
        self._tag = f"{int.from_bytes(prefix[:2], 'big')}.{int.from_bytes(prefix[2:], 'big')}-"
        self._epoch = 0
        self._sender = Sender(self)
        self._receiver = Receiver(self)

    # --- what the parts share ---------------------------------------------------------------------------------------

    @property
    def credentials(self) -> Credentials:
        """Raises LocalProtocolError before start()."""
        if self._credentials is None:
            raise LocalProtocolError("the client is not started")
        return self._credentials

    @property
    def store(self) -> Store:
        return self._store

    @property
    def tracer(self) -> Tracer:
        return self._tracer

    @property
    def entropy(self) -> Entropy:
        return self._entropy

    @property
    def clock(self) -> Clock:
        return self._clock

    @asynccontextmanager
    async def hold(self, people: Iterable[Jid]) -> AsyncGenerator[None]:
        """Hold these people's locks: whoever reads a session's record and writes it back does so in here.

        A mapping learnt while we waited gives a person another name; then the wait begins anew with both.
        """
        known = tuple(people)
        while True:
            names = await addresses.forms(self._store, known)
            async with self._locks.hold(names):
                if await addresses.forms(self._store, known) <= names:
                    yield
                    return

    @property
    def devices(self) -> DeviceLists:
        return self._devices

    def is_me(self, jid: Jid) -> bool:
        """One of our own account's addresses, any device."""
        mine = self.credentials
        return any(own is not None and own.bare == jid.bare for own in (mine.me, mine.lid))

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with every event, on the client's loop; returns the way to stop that."""
        return self.pipeline.subscribe(subscriber)

    def next_id(self) -> str:
        """An iq id: two random 16-bit numbers and a counter, as Baileys writes it."""
        self._epoch += 1
        return f"{self._tag}{self._epoch}"

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load or make the credentials and begin to connect. Returns at once; see wait_open()."""
        if self._supervisor is not None:
            raise LocalProtocolError("the client was started already")
        stored = await self._store.load(RecordKind.CREDENTIALS, "self")
        if stored is None:
            await self._make_credentials()
        else:
            self._credentials = Credentials.from_json(stored)
        await self.pipeline.start()
        self._supervisor = asyncio.create_task(self._supervise(), name="waton-client")

    async def close(self) -> None:
        """Disconnect and finish what was received. The pairing stays. May be called twice."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
            if self.update.status is not ConnectionStatus.CLOSED:
                self._move(ConnectionStatus.CLOSED, error=Disconnected(DisconnectReason.LOCAL))
            await self._lanes.close(timeout=5.0)
            await self.pipeline.close()

    async def wait_open(self, timeout: float | None = None) -> None:
        """Wait until logged in.

        Raises:
            TimeoutError: not within `timeout` seconds.
            WatonError: why the client closed instead (PairingError, HandshakeError, Disconnected ...).
        """
        await self._wait_for(ConnectionStatus.OPEN, timeout)

    async def wait_status(self, status: ConnectionStatus, timeout: float | None = None) -> None:
        """Wait until this status; raises like wait_open."""
        await self._wait_for(status, timeout)

    async def _wait_for(self, status: ConnectionStatus, timeout: float | None) -> None:
        async with asyncio.timeout(timeout):
            while self.update.status is not status:
                if self.update.status is ConnectionStatus.CLOSED:
                    raise self.update.error or Disconnected(DisconnectReason.LOCAL)
                await self._changed.wait()

    async def reconnect(self) -> None:
        """Drop the connection, if any, and connect again at once; also after the client has given up."""
        if self._supervisor is None or self._supervisor.done():
            self._move(ConnectionStatus.CONNECTING)
            self._supervisor = asyncio.create_task(self._supervise(), name="waton-client")
        elif self._stream is not None and not self._stream.is_closed:
            if self.update.status is ConnectionStatus.OPEN:
                self._move(ConnectionStatus.RECONNECTING, retry_at=self._clock.now())
            await self._stream.close(Disconnected(DisconnectReason.RESTART_REQUIRED, None, "asked for"))
        else:
            self._hurry.set()

    async def logout(self) -> None:
        """Unlink this device from the account, forget its keys, and close."""
        me = self.credentials.me
        if me is not None:
            content = [Node("remove-companion-device", {"jid": me, "reason": "user_initiated"})]
            request = iq.request(self.next_id(), iq.IqType.SET, "md", content)
            with suppress(Disconnected):  # the server may close before it answers
                await self._live().query(request, self.config.query_timeout)
        if self._supervisor is not None:
            self._supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervisor
        if self.credentials.me is not None:  # unless the server's farewell came first and did it
            await self._forget_account("logout")
        if self.update.status is not ConnectionStatus.CLOSED:
            self._move(ConnectionStatus.CLOSED, error=Disconnected(DisconnectReason.LOGGED_OUT))

    # --- the user's verbs ---------------------------------------------------------------------------------------------

    async def query(self, xmlns: str, type: iq.IqType, content: list[Node] | None, *, to: Jid = SERVER) -> Node:
        """Ask the server. Raises IqError, QueryTimeout, Disconnected."""
        return await self._live().query(
            iq.request(self.next_id(), type, xmlns, content, to=to), self.config.query_timeout
        )

    async def send_node(self, node: Node) -> None:
        """Send any stanza, as it is. Raises Disconnected."""
        await self._live().send(node)

    async def post(self, node: Node) -> Callable[[], Awaitable[Node]]:
        """Send a stanza with an id now; the returned function awaits the ack or iq that repeats it.

        Two steps, so that a lock held while sending need not be held while waiting.
        """
        live, timeout = self._live(), self.config.query_timeout
        waiting = await live.post(node)
        return lambda: live.answer(waiting, get_text(node, "id") or "", timeout)

    async def send_text(self, to: Jid, text: str) -> SendResult:
        """Send a text to all devices of a person and to our own others. See Sender.send_text."""
        await self.wait_open(self.config.query_timeout)
        return await self._sender.send_text(to, text)

    async def mark_read(self, message: MessagesUpsert) -> None:
        """Tell the author that a message was read."""
        await self.send_node(self._receiver.read_receipt(message))

    def _live(self) -> Stream:
        if self._stream is None or self._stream.is_closed:
            raise Disconnected(DisconnectReason.CLOSED, None, "not connected")
        return self._stream

    # --- connections --------------------------------------------------------------------------------------------------

    async def _supervise(self) -> None:
        while True:
            try:
                await self._connect_once()
            except Exception as error:  # noqa: BLE001  whatever ends a connection is shown to the user, none is lost
                delay = await self._after(error)
                if delay is None:
                    return
                await self._pause(delay)

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt, unless reconnect() says not to."""
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    async def _connect_once(self) -> None:
        """One connection from the first byte to the last; always raises what ended it."""
        if self.update.status in (ConnectionStatus.IDLE, ConnectionStatus.CLOSED):
            self._move(ConnectionStatus.CONNECTING)
        self._connections += 1
        transport = await self._open_wire()
        connection = Connection(
            self._handshake(),
            self._tracer,
            number=self._connections,
            routing_info=self.credentials.routing_info,
        )
        opened = Stream(transport, connection, self._clock, self._on_node)
        self.drained.clear()
        self._devices.clear()
        reason: WatonError = Disconnected(DisconnectReason.LOCAL)
        try:
            await opened.handshake(self.config.connect_timeout)
            self._stream = opened
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(opened.run())
                group.create_task(self._keep_alive(opened))
        except BaseExceptionGroup as errors:
            reason = _first_error(errors)
            raise reason from errors
        except WatonError as error:
            reason = error
            raise
        finally:
            self._group = None
            self._rotation = None
            await opened.close(reason)

    async def _open_wire(self) -> Transport:
        try:
            async with asyncio.timeout(self.config.connect_timeout):
                return await self._connector(self.config.url)
        except TimeoutError:
            raise Disconnected(DisconnectReason.LOST, None, "the server does not answer") from None

    def _handshake(self) -> ClientHandshake:
        mine = self.credentials
        browser, name = self.config.browser, self.config.push_name
        if mine.me is None:
            payload = registration_payload(mine.evolve(push_name=name), browser)
        else:
            payload = login_payload(mine.me, browser, mine.push_name or name)
        return ClientHandshake(
            static_private=mine.noise_key.private,
            ephemeral_private=self._entropy.take(32),
            payload=payload,
            root=self.config.root,
        )

    async def _after(self, error: Exception) -> float | None:
        """What to do after a connection ended: seconds to wait before the next, or None to stop."""
        if isinstance(error, Disconnected) and error.reason is DisconnectReason.RESTART_REQUIRED:
            if self.update.status is ConnectionStatus.OPEN:
                self._move(ConnectionStatus.RECONNECTING, error=error, retry_at=self._clock.now())
            return 0.0
        if isinstance(error, Disconnected) and error.reason is DisconnectReason.LOGGED_OUT:
            await self._forget_account("logged_out")
        if not self._is_worth_retrying(error):
            self._move(ConnectionStatus.CLOSED, error=error)
            return None
        delay = self.config.backoff.delay(self._attempt, self._entropy.take(2))
        self._attempt += 1
        self._move(ConnectionStatus.RECONNECTING, error=error, retry_at=self._clock.now() + delay)
        return delay

    def _is_worth_retrying(self, error: Exception) -> bool:
        match error:
            case Disconnected():
                return error.reason.is_retryable
            case PairingError(step=PairingStep.REFS):
                self._qr_rounds += 1
                return self._qr_rounds < self.config.qr_rounds
            case PairingError() | HandshakeError():
                return False
            case RemoteProtocolError() | TimeoutError():
                return True
            case _:
                return False

    async def _keep_alive(self, stream: Stream) -> None:
        while True:
            share = int.from_bytes(self._entropy.take(2), "big") / 0xFFFF
            await asyncio.sleep(self.config.keepalive * (0.8 + 0.4 * share))
            if self._clock.now() - stream.last_inbound > self.config.silence:
                raise Disconnected(DisconnectReason.LOST, None, "nothing arrived in time")
            ping = iq.request(self.next_id(), iq.IqType.GET, "w:p", [Node("ping")])
            await stream.send(ping)

    # --- stanzas ------------------------------------------------------------------------------------------------------

    async def _on_node(self, event: NodeReceived) -> None:
        node = event.node
        match node.tag:
            case "message" | "receipt" | "notification" | "call":
                await self._to_lane(event)
            case "iq":
                await self._on_iq(event)
            case "ib":
                await self._on_ib(event)
            case "success":
                self._spawn(self._login(node, event.trace))
            case "failure" | "stream:error":
                raise stream.disconnected_of(node)
            case "xmlstreamend":
                raise Disconnected(DisconnectReason.CLOSED, None, "end of stream")
            case _:
                pass  # recorded in the trace; nothing is dropped

    async def _to_lane(self, event: NodeReceived) -> None:
        node = event.node
        try:
            sender = get_jid(node, "from")
        except StanzaError:
            sender = None  # its handler refuses it; one odd stanza must not end the connection
        lane = f"{node.tag}:{sender.bare if sender else ''}"
        send = self._live().send
        await self._lanes.submit(lane, lambda: self._handle(event, send))

    async def _handle(self, event: NodeReceived, send: Callable[[Node, int | None], Awaitable[None]]) -> None:
        node = event.node
        match node.tag:
            case "message":
                await self._receiver.on_message(event, send)
            case "receipt":
                await self._receiver.on_receipt(event, send)
            case "notification":
                await self._on_notification(event)
                await self._acknowledge(event, send)
            case _:
                await self._acknowledge(event, send)

    async def _acknowledge(self, event: NodeReceived, send: Callable[[Node, int | None], Awaitable[None]]) -> None:
        with suppress(Disconnected):  # the server will deliver it again
            await send(ack(event.node), event.trace)

    async def _on_iq(self, event: NodeReceived) -> None:
        node = event.node
        if node.child("pair-device") is not None:
            await self._live().send(iq.client_result(node), event.trace)
            self._rotation = self._spawn(self._show_qrs(node))
        elif node.child("pair-success") is not None:
            await self._pair(node, event.trace)
        elif node.child("ping") is not None or get_text(node, "xmlns") == "urn:xmpp:ping":
            await self._live().send(iq.client_result(node), event.trace)

    async def _on_ib(self, event: NodeReceived) -> None:
        for child in event.node.children():
            match child.tag:
                case "offline_preview":
                    await self._live().send(stream.offline_batch(), event.trace)
                case "offline":
                    self.drained.set()
                case "edge_routing":
                    await self._keep_routing(child, event.trace)
                case "downgrade_webclient":
                    raise Disconnected(DisconnectReason.MULTIDEVICE_MISMATCH)
                case _:
                    pass  # recorded in the trace

    async def _keep_routing(self, node: Node, trace: int) -> None:
        info = node.child("routing_info")
        if info is not None and isinstance(info.content, bytes):
            async with self.pipeline.step(parent=trace) as step:
                self.save_credentials(step, self.credentials.evolve(routing_info=info.content), "routing_info")

    async def _on_notification(self, event: NodeReceived) -> None:
        node = event.node
        sender = get_jid(node, "from")
        kind = get_text(node, "type")
        if kind == "devices" and sender is not None:
            await self._forget_devices(node, sender)
        elif kind == "encrypt" and node.child("count") is not None:
            with suppress(RemoteProtocolError):  # a count that is no number asks for nothing
                await self._stock_prekeys(prekey_count(node), event.trace)

    async def _forget_devices(self, node: Node, sender: Jid) -> None:
        """Ask anew for this person's devices, whichever address they were asked for by."""
        named = {sender}
        with suppress(StanzaError):  # an odd lid names nobody
            named |= {lid for lid in (get_jid(node, "lid"),) if lid is not None}
        for address in await addresses.known_as(self._store, named):
            self._devices.forget(address)

    # --- pairing and login --------------------------------------------------------------------------------------------

    async def _show_qrs(self, node: Node) -> None:
        def show(qr: pairing.QrShown) -> None:
            self._move(ConnectionStatus.QR, qr=qr.text, qr_expires_at=qr.expires_at, qr_left=qr.left)

        await pairing.QrRotation(self.credentials, self.config.browser, self._clock, show).run(node)

    async def _pair(self, node: Node, trace: int) -> None:
        success = PairSuccess.from_node(node)
        try:
            paired = pairing.accept(self.credentials, success, self._entropy.take(64))
        except PairingError as error:
            await self._live().send(pairing.refusal(success, error), trace)
            raise
        if self._rotation is not None:
            self._rotation.cancel()
        async with self.pipeline.step(parent=trace) as step:
            step.transition("account", "unpaired", "paired", key_index=paired.identity.key_index)
            owner = paired.credentials.lid or success.jid
            step.save(RecordKind.IDENTITY, signal_address(owner.bare), paired.identity.account_key)
            self.save_credentials(step, paired.credentials, "me", "lid", "account", "platform")
        self._qr_rounds = 0
        self._move(ConnectionStatus.PAIRED)
        await self._live().send(paired.reply, trace)

    async def _login(self, node: Node, trace: int) -> None:
        lid = get_jid(node, "lid")
        mine = self.credentials
        if lid is not None and mine.me is not None:
            async with self.hold([mine.me, lid]), self.pipeline.step(parent=trace) as step:
                if lid != mine.lid:
                    self.save_credentials(step, self.credentials.evolve(lid=lid), "lid")
                await addresses.learn(step, mine.me, lid, source="success")
        count = await self.query("encrypt", iq.IqType.GET, [Node("count")])
        await self._stock_prekeys(prekey_count(count), trace)
        await self.query("passive", iq.IqType.SET, [Node("active")])
        self._attempt = 0
        self._move(ConnectionStatus.OPEN)
        await self.send_node(stream.unified_session(int(self._clock.now() * 1000)))
        if self._name:
            await self.send_node(Node("presence", {"name": self._name.replace("@", ""), "type": "available"}))

    @property
    def _name(self) -> str:
        return self.credentials.push_name or self.config.push_name

    async def _stock_prekeys(self, server_count: int, trace: int) -> None:
        count = prekeys.wanted(server_count)
        if count == 0:
            return
        async with self.pipeline.step(parent=trace) as step:
            updated, content = prekeys.make(step, self.credentials, count, self._entropy)
            self._credentials = updated
        await self.query("encrypt", iq.IqType.SET, content)

    async def _ask_devices(self, users: Sequence[Jid]) -> list[usync.UserResult]:
        content = [usync.devices_query(self.next_id(), users)]
        return usync.parse_result(await self.query("usync", iq.IqType.GET, content))

    # --- credentials --------------------------------------------------------------------------------------------------

    def save_credentials(self, step: Step, updated: Credentials, *what: str) -> None:
        """Put new credentials into a step, and use them from now on."""
        step.save(RecordKind.CREDENTIALS, "self", updated.to_json())
        self._credentials = updated
        self.pipeline.publish(CredentialsUpdate(what), step.parent)

    async def _make_credentials(self) -> None:
        made = Credentials.generate(self._entropy.take)
        async with self.pipeline.step() as step:
            step.save(RecordKind.CREDENTIALS, "self", made.to_json())
            key = made.signed_prekey.private
            step.save(RecordKind.SIGNED_PREKEY, str(made.signed_prekey_id), key)
            step.transition("account", "none", "unpaired")
        self._credentials = made

    async def _forget_account(self, why: str) -> None:
        """The server no longer knows this device: drop its keys, so that the next start pairs anew."""
        async with self.pipeline.step() as step:
            for kind in _ACCOUNT_KINDS:
                for key in await step.unit.keys(kind):
                    step.save(kind, key, None)
            step.transition("account", "paired", "unpaired", why=why)
        await self._make_credentials()

    # --- status -------------------------------------------------------------------------------------------------------

    def _move(
        self,
        status: ConnectionStatus,
        *,
        qr: str | None = None,
        qr_expires_at: float | None = None,
        qr_left: int = 0,
        error: Exception | None = None,
        retry_at: float | None = None,
    ) -> None:
        before = self.update.status
        mine = self._credentials
        self.update = ConnectionUpdate(
            status,
            qr=qr,
            qr_expires_at=qr_expires_at,
            qr_left=qr_left,
            me=None if mine is None else mine.me,
            lid=None if mine is None else mine.lid,
            error=error,
            retry_at=retry_at,
        )
        if before is not status:
            detail: dict[str, str] = {"before": before.value, "after": status.value}
            if error is not None:
                detail["error"] = f"{type(error).__name__}: {error}"
            self._tracer.add(
                Layer.STATE,
                Way.LOCAL,
                "client",
                at=self._clock.now(),
                detail=json.dumps(detail),
                connection=self._connections,
            )
        self.pipeline.publish(self.update)
        self._changed.set()
        self._changed.clear()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        if self._group is None:
            work.close()
            raise LocalProtocolError("no connection to work on")
        return self._group.create_task(work)

    def _report(self, lane: str, error: Exception) -> None:
        detail = json.dumps({"lane": lane.partition(":")[0], "error": type(error).__name__})
        self._tracer.add(Layer.STATE, Way.LOCAL, "lane.failed", at=self._clock.now(), detail=detail)


def _first_error(errors: BaseExceptionGroup[BaseException]) -> WatonError:
    """The error that ended a connection's tasks; a bug is raised as it is."""
    found, _ = errors.split(WatonError)
    while found is not None:
        first = found.exceptions[0]
        if isinstance(first, WatonError):
            return first
        found = first
    raise errors


__all__ = ["Client", "ClientConfig", "IqError"]
