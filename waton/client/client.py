"""Client: one account's session over as many connections as it takes.

    start -> connecting -> (qr -> paired ->) open -> reconnecting -> ... -> closed

The client decides, the parts act: `Supervisor` keeps it connected, `Account` holds its credentials, pairs and logs in,
`EventPipeline` is the one order of persisting, acknowledging and emitting, `messages` the way out, `messages_recv` the
way in. Everything here runs on one event loop; other threads come in through waton.api's session.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from waton.client import addresses, notifications
from waton.client.account import Account
from waton.client.backoff import Backoff
from waton.client.devices import DeviceLists
from waton.client.event_pipeline import EventPipeline, Step, Subscriber
from waton.client.events import ConnectionStatus, ConnectionUpdate, MessagesUpsert
from waton.client.lanes import Lanes
from waton.client.locks import KeyedLocks
from waton.client.messages import Sender, SendResult
from waton.client.messages_recv import Receiver
from waton.client.status import Status
from waton.client.supervisor import Supervisor
from waton.errors import Disconnected, DisconnectReason, IqError, LocalProtocolError
from waton.jid import SERVER, Jid
from waton.ports import Clock, Connector, Entropy, Store
from waton.protocol.binary_node import Node, StanzaError, get_jid, get_text
from waton.protocol.client_payload import Browser
from waton.protocol.connection import NodeReceived
from waton.protocol.credentials import Credentials
from waton.protocol.noise import PRODUCTION_ROOT
from waton.protocol.stanza import iq, stream, usync
from waton.protocol.stanza.receipt import ack
from waton.protocol.trace import Layer, Tracer, Way

PRODUCTION_URL = "wss://web.whatsapp.com/ws/chat"


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
        self.store = store
        self.connector = connector
        self.clock = clock
        self.entropy = entropy
        self.tracer = tracer
        self.pipeline = EventPipeline(store, tracer, clock)
        self.account = Account(self)
        self.supervisor = Supervisor(self)
        self.status = Status(self)
        self.devices = DeviceLists(self._ask_devices, clock)
        self._locks = KeyedLocks()
        self._lanes = Lanes(self._report)
        self.drained = asyncio.Event()
        """Set when the server has said that the offline queue is empty."""
        prefix = entropy.take(4)
        self._tag = f"{int.from_bytes(prefix[:2], 'big')}.{int.from_bytes(prefix[2:], 'big')}-"
        self._epoch = 0
        self._sender = Sender(self)
        self._receiver = Receiver(self)

    # --- what the parts share ---------------------------------------------------------------------------------------

    @property
    def credentials(self) -> Credentials:
        """Raises LocalProtocolError before start()."""
        return self.account.credentials

    @property
    def known_credentials(self) -> Credentials | None:
        """The credentials; None before start()."""
        return self.account.known

    @property
    def update(self) -> ConnectionUpdate:
        """The latest state of the connection."""
        return self.status.update

    @asynccontextmanager
    async def hold(self, people: Iterable[Jid]) -> AsyncGenerator[None]:
        """Hold these people's locks: whoever reads a session's record and writes it back does so in here.

        A mapping learnt while we waited gives a person another name; then the wait begins anew with both.
        """
        known = tuple(people)
        while True:
            names = await addresses.forms(self.store, known)
            async with self._locks.hold(names):
                if await addresses.forms(self.store, known) <= names:
                    yield
                    return

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
        if self.supervisor.is_started:
            raise LocalProtocolError("the client was started already")
        await self.account.load()
        await self.pipeline.start()
        self.supervisor.start()

    async def close(self) -> None:
        """Disconnect and finish what was received. The pairing stays. May be called twice."""
        if self.supervisor.is_started:
            await self.supervisor.stop()
            if self.status.now is not ConnectionStatus.CLOSED:
                self.status.move(ConnectionStatus.CLOSED, error=Disconnected(DisconnectReason.LOCAL))
            await self._lanes.close(timeout=5.0)
            await self.pipeline.close()

    async def wait_open(self, timeout: float | None = None) -> None:
        """Wait until logged in.

        Raises:
            TimeoutError: not within `timeout` seconds.
            WatonError: why the client closed instead (PairingError, HandshakeError, Disconnected ...).
        """
        await self.status.wait_for(ConnectionStatus.OPEN, timeout)

    async def wait_status(self, status: ConnectionStatus, timeout: float | None = None) -> None:
        """Wait until this status; raises like wait_open."""
        await self.status.wait_for(status, timeout)

    async def reconnect(self) -> None:
        """Drop the connection, if any, and connect again at once; also after the client has given up."""
        await self.supervisor.reconnect()

    async def logout(self) -> None:
        """Unlink this device from the account, forget its keys, and close."""
        me = self.credentials.me
        if me is not None:
            content = [Node("remove-companion-device", {"jid": me, "reason": "user_initiated"})]
            with suppress(Disconnected):  # the server may close before it answers
                await self.query("md", iq.IqType.SET, content)
        await self.supervisor.stop()
        if self.credentials.me is not None:  # unless the server's farewell came first and did it
            await self.account.forget("logout")
        if self.status.now is not ConnectionStatus.CLOSED:
            self.status.move(ConnectionStatus.CLOSED, error=Disconnected(DisconnectReason.LOGGED_OUT))

    def connecting(self) -> None:
        """A connection begins: what only the last one knew is forgotten."""
        self.drained.clear()
        self.devices.clear()
        self.account.connecting()

    # --- the user's verbs ---------------------------------------------------------------------------------------------

    async def query(self, xmlns: str, type: iq.IqType, content: list[Node] | None, *, to: Jid = SERVER) -> Node:
        """Ask the server. Raises IqError, QueryTimeout, Disconnected."""
        return await self.supervisor.live().query(
            iq.request(self.next_id(), type, xmlns, content, to=to), self.config.query_timeout
        )

    async def send_node(self, node: Node) -> None:
        """Send any stanza, as it is. Raises Disconnected."""
        await self.supervisor.live().send(node)

    async def post(self, node: Node) -> Callable[[], Awaitable[Node]]:
        """Send a stanza with an id now; the returned function awaits the ack or iq that repeats it.

        Two steps, so that a lock held while sending need not be held while waiting.
        """
        live, timeout = self.supervisor.live(), self.config.query_timeout
        waiting = await live.post(node)
        return lambda: live.answer(waiting, get_text(node, "id") or "", timeout)

    async def send_text(self, to: Jid, text: str) -> SendResult:
        """Send a text to all devices of a person and to our own others. See Sender.send_text."""
        await self.wait_open(self.config.query_timeout)
        return await self._sender.send_text(to, text)

    async def mark_read(self, message: MessagesUpsert) -> None:
        """Tell the author that a message was read."""
        await self.send_node(self._receiver.read_receipt(message))

    # --- stanzas ------------------------------------------------------------------------------------------------------

    async def on_node(self, event: NodeReceived) -> None:
        """Take a stanza that answers no query; in the order of arrival."""
        node = event.node
        match node.tag:
            case "message" | "receipt" | "notification" | "call":
                await self._to_lane(event)
            case "iq":
                await self._on_iq(event)
            case "ib":
                await self._on_ib(event)
            case "success":
                self.supervisor.spawn(self.account.login(node, event.trace))
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
        send = self.supervisor.live().send
        await self._lanes.submit(lane, lambda: self._handle(event, send))

    async def _handle(self, event: NodeReceived, send: Callable[[Node, int | None], Awaitable[None]]) -> None:
        node = event.node
        match node.tag:
            case "message":
                await self._receiver.on_message(event, send)
            case "receipt":
                await self._receiver.on_receipt(event, send)
            case "notification":
                await notifications.on_notification(self, event)
                await self._acknowledge(event, send)
            case _:
                await self._acknowledge(event, send)

    async def _acknowledge(self, event: NodeReceived, send: Callable[[Node, int | None], Awaitable[None]]) -> None:
        with suppress(Disconnected):  # the server will deliver it again
            await send(ack(event.node), event.trace)

    async def _on_iq(self, event: NodeReceived) -> None:
        node = event.node
        if node.child("pair-device") is not None:
            await self.account.show_qrs(node, event.trace)
        elif node.child("pair-success") is not None:
            await self.account.pair(node, event.trace)
        elif node.child("ping") is not None or get_text(node, "xmlns") == "urn:xmpp:ping":
            await self.supervisor.live().send(iq.client_result(node), event.trace)

    async def _on_ib(self, event: NodeReceived) -> None:
        for child in event.node.children():
            match child.tag:
                case "offline_preview":
                    await self.supervisor.live().send(stream.offline_batch(), event.trace)
                case "offline":
                    self.drained.set()
                case "edge_routing":
                    await self.account.keep_routing(child, event.trace)
                case "downgrade_webclient":
                    raise Disconnected(DisconnectReason.MULTIDEVICE_MISMATCH)
                case _:
                    pass  # recorded in the trace

    async def _ask_devices(self, users: Sequence[Jid]) -> list[usync.UserResult]:
        content = [usync.devices_query(self.next_id(), users)]
        return usync.parse_result(await self.query("usync", iq.IqType.GET, content))

    def _report(self, lane: str, error: Exception) -> None:
        detail = json.dumps({"lane": lane.partition(":")[0], "error": type(error).__name__})
        self.tracer.add(Layer.STATE, Way.LOCAL, "lane.failed", at=self.clock.now(), detail=detail)


__all__ = ["Client", "ClientConfig", "IqError", "Step"]
