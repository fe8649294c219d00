"""Client: one account's session over as many connections as it takes.

    start -> connecting -> (qr -> paired ->) open -> reconnecting -> ... -> closed

The client decides, the parts act: `Supervisor` keeps it connected, `Account` holds its credentials, pairs and logs in,
`EventPipeline` is the one order of persisting, acknowledging and emitting, `messages` the way out, `messages_recv` the
way in. Everything here runs on one event loop; other threads come in through waton.api's session.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from waton.client import addresses, read_receipts
from waton.client.account import Account
from waton.client.account_settings import AccountSettings
from waton.client.backoff import Backoff
from waton.client.decryption import Decryption
from waton.client.devices import DeviceLists
from waton.client.dispatch import Dispatch
from waton.client.event_pipeline import EventPipeline, Step
from waton.client.events import ConnectionStatus, ConnectionUpdate, MessageKey, MessagesUpsert
from waton.client.groups import Groups
from waton.client.handlers import Subscriber
from waton.client.identities import Identities
from waton.client.identity_change_handler import IdentityPolicy
from waton.client.keys import Keys
from waton.client.lanes import Lanes
from waton.client.locks import Held, KeyedLocks
from waton.client.messages import Sender, SendResult
from waton.client.messages_recv import Receiver
from waton.client.missed import Missed
from waton.client.outbox import Entry, Outbox
from waton.client.people import People
from waton.client.prekeys import ROTATE_EVERY
from waton.client.privacy import Privacy
from waton.client.retries import Retries
from waton.client.sessions import Sessions
from waton.client.status import Status
from waton.client.supervisor import Supervisor
from waton.errors import Disconnected, DisconnectReason, IqError, LocalProtocolError, StorageError
from waton.jid import SERVER, Jid
from waton.ports import Clock, Connector, Entropy, Store
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.client_payload import Browser
from waton.protocol.connection import NodeReceived
from waton.protocol.credentials import Credentials
from waton.protocol.noise import PRODUCTION_ROOT
from waton.protocol.stanza import iq
from waton.protocol.stanza.receipt import ReceiptType
from waton.protocol.stanza.usync import UserResult
from waton.protocol.trace import Layer, Tracer, Way

PRODUCTION_URL = "wss://web.whatsapp.com/ws/chat"
_MOST_NAMES = 10_000
_LONGEST_NAME = 256
_CLOSING_PATIENCE = 5.0
"""Seconds that subscribers get to finish when the client closes."""


FindMessage: TypeAlias = Callable[[MessageKey], Awaitable[proto.Message | None]]


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """How a client connects and waits. Times are seconds."""

    url: str = PRODUCTION_URL
    root: bytes = PRODUCTION_ROOT
    """32 bytes: the trusted root of the server's Noise certificates."""
    browser: Browser = field(default_factory=Browser)
    push_name: str = ""
    """Said in the payload and in presence; the service learns it from the phone otherwise."""
    announces: bool = True
    """Say after each login that somebody is looking; else messages are receipted as delivered to an inactive device."""
    connect_timeout: float = 20.0
    query_timeout: float = 60.0
    keepalive: float = 25.0
    """Between pings; each is drawn from 80 to 120 % of it."""
    silence: float = 35.0
    """No byte for this long means that the connection is dead."""
    backoff: Backoff = field(default_factory=Backoff)
    qr_rounds: int = 5
    """How often to ask for fresh refs when all QRs have expired unscanned."""
    resume: bool = True
    """Shake hands in one round trip with a server that is known from before; False always does it in full."""
    resend_after: float = 20.0
    """What is not acknowledged for so long is written again; after twice as long the connection is dead."""
    max_retries: int = 5
    """How often one message is asked for again, and given again to one device."""
    retry_delay: float = 0.25
    """Seconds that each further request for one message waits longer than the one before it."""
    recreate_sessions: bool = True
    """Make a session anew, once an hour at most, when messages in it cannot be read; False only where keys say so."""
    find_message: FindMessage | None = None
    """Asked for a message of ours that somebody cannot read and that is older than what is kept (seven days). It gets
    the key, and must look for chat and id together: whoever asks knows the id."""
    ignores: Callable[[Jid], bool] | None = None
    """Conversations, by the address on the wire, whose messages, receipts, calls and presences are passed over. They
    are acknowledged; sender keys in them are lost. What tells of keys, devices and groups is always taken."""
    identity_policy: IdentityPolicy = IdentityPolicy.TRUST
    """What to do when somebody comes with another identity key. Told by an event in any case."""
    takes_unvouched: bool = False
    """Believe the server where a companion comes without its phone's word (device-identity), as other clients do. What
    does not verify is never believed."""
    rotate_every: float = ROTATE_EVERY
    """How old a signed prekey gets."""
    handler_timeout: float | None = 30.0
    """How long a subscriber may hold up its conversation; None for ever."""


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
        self.pipeline = EventPipeline(
            store, tracer, clock, handler_timeout=config.handler_timeout, on_failure=self._store_failed
        )
        self.account = Account(self)
        self.keys = Keys(self)
        self.supervisor = Supervisor(self)
        self.status = Status(self)
        self.people = People(self)
        self._locks = KeyedLocks()
        self.lanes = Lanes(self.report)
        self.drained = asyncio.Event()
        """Set when the server has said that the offline queue is empty."""
        prefix = entropy.take(4)
        self._tag = f"{int.from_bytes(prefix[:2], 'big')}.{int.from_bytes(prefix[2:], 'big')}-"
        self._epoch = 0
        self._names: dict[Jid, str] = {}
        self.privacy = Privacy(self)
        self.settings = AccountSettings(self)
        self.sessions = Sessions(self)
        self.identities = Identities(self)
        self.groups = Groups(self)
        self.decryption = Decryption(self)
        self.retries = Retries(self)
        self.missed = Missed(self)
        self.outbox = Outbox(self, self._settle)
        self.sender = Sender(self)
        self.receiver = Receiver(self)
        self._dispatch = Dispatch(self)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False

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
    def devices(self) -> DeviceLists:
        """Everybody's devices, as far as they are known."""
        return self.people.devices

    @property
    def update(self) -> ConnectionUpdate:
        """The latest state of the connection."""
        return self.status.update

    def hold(self, people: Iterable[Jid]) -> Held:
        """Hold these people's (and groups') locks: whoever reads a record of theirs and writes it back does so in here.

        A mapping learnt while we waited gives a person another name; then the wait begins anew with both.
        """
        known = tuple(people)
        return self._locks.hold_by(lambda: addresses.forms(self.store, known))

    def hold_names(self, names: Iterable[str]) -> Held:
        """Hold locks that are no person's."""
        return self._locks.hold(names)

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside everything else; it ends with the client at the latest, and its error is only traced."""
        if self._is_closing:
            work.close()
            return
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # it was never begun if the client was closed at once

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  what runs beside must not take anything else with it
            self.report("background", error)

    def name_of(self, person: Jid) -> str | None:
        """The latest push name that this run has seen of somebody."""
        return self._names.get(person.bare)

    def remember_name(self, person: Jid, name: str) -> None:
        """A message came with this push name; one that no client lets its owner write is not kept."""
        if len(name) > _LONGEST_NAME:
            return
        if len(self._names) >= _MOST_NAMES:
            self._names.clear()
        self._names[person.bare] = name

    def is_me(self, jid: Jid) -> bool:
        """One of our own account's addresses, any device."""
        mine = self.credentials
        return any(own is not None and own.bare == jid.bare for own in (mine.me, mine.lid))

    def is_this_device(self, jid: Jid) -> bool:
        """This very device, by either of its addresses."""
        me = self.credentials.me
        return self.is_me(jid) and me is not None and jid.device == me.device

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
        await self.groups.load()
        await self.outbox.load()
        await self.privacy.load()
        await self.pipeline.start()
        self.supervisor.start()

    async def close(self) -> None:
        """Disconnect and finish what was received. The pairing stays. May be called twice."""
        self._is_closing = True
        if self.status.now is not ConnectionStatus.IDLE or self.supervisor.is_started:
            await self.supervisor.stop()
            if self.status.now is not ConnectionStatus.CLOSED:
                self.status.move(ConnectionStatus.CLOSED, error=Disconnected(DisconnectReason.LOCAL))
            await self.finish_received()
            await self.pipeline.close(_CLOSING_PATIENCE)
            await self._end_tasks()  # what the last steps have begun

    async def finish_received(self) -> None:
        """Work off what was received, and end what runs beside."""
        await self.lanes.close(timeout=5.0)
        await self._end_tasks()

    async def _end_tasks(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _store_failed(self, error: StorageError) -> None:
        """Nothing is committed any more, so nothing may be taken from the server any more."""
        task = asyncio.ensure_future(self.supervisor.fail(error))
        self._failing = task

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

    async def request_pairing_code(self, phone: str, code: str | None = None) -> str:
        """Ask to be linked by a code, beside the QRs: the person types it on their phone within three minutes.

        Args:
            phone: the account's international phone number, as people write it.
            code: eight of 123456789ABCDEFGHJKLMNPQRSTVWXYZ; invented when None.
        Returns:
            the code. What comes of it shows in the status: PAIRED and OPEN, or an update with an error.
        Raises:
            ValueError: the number or the code cannot be one.
            LocalProtocolError: this device is paired already.
            IqError: the service refuses, for example because too many codes were asked for (429).
            PairingError: its answer names no ref.
            TimeoutError, QueryTimeout, Disconnected: there is no connection to ask on.
        """
        return await self.account.code.request(phone, code)

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
        self.outbox.closed()
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

    async def send(self, to: Jid, message: proto.Message, *, id: str | None = None) -> SendResult:
        """Send a message to a person or a group, and wait until the server has taken it. See Sender.send."""
        await self._until_open()
        return await self.sender.send(to, message, id=id)

    async def send_text(self, to: Jid, text: str, *, id: str | None = None) -> SendResult:
        """Send a text to a person or a group. See Sender.send."""
        await self._until_open()
        return await self.sender.send_text(to, text, id=id)

    async def _until_open(self) -> None:
        """Give a connection that is being made the time of one query; what waits here is not in the outbox yet."""
        timeout = self.config.query_timeout
        try:
            await self.wait_open(timeout)
        except TimeoutError:
            raise Disconnected(DisconnectReason.CLOSED, None, f"not logged in within {timeout:g} s") from None

    async def send_peer(self, message: proto.Message, also: Callable[[Step, str], None] | None = None) -> str:
        """Say something to our own phone. See Sender.send_peer."""
        return await self.sender.send_peer(message, also)

    async def trust(self, device: Jid, new: bytes | None = None) -> int:
        """Take a device's new identity key, and read what was held because of it. See Identities.trust."""
        return await self.identities.trust(device, new)

    async def _settle(self, step: Step, entry: Entry, node: Node) -> None:
        """The server has acknowledged a stanza of the outbox."""
        if entry.node.tag == "message" and entry.is_first:
            await self.sender.settle(step, node, entry.name[1])

    async def mark_read(self, *messages: MessagesUpsert) -> None:
        """Tell the authors that messages were read, or our own devices alone where the owner keeps that to himself.

        Args:
            messages: of any conversations; those of one author in one conversation go together.
        Raises:
            Disconnected: there is no connection.
            IqError, QueryTimeout: what the owner wants told could not be asked.
        """
        tells_authors = await self.settings.tells_reading()
        type = ReceiptType.READ if tells_authors else ReceiptType.READ_SELF
        await self.send_receipts([message.key for message in messages], type)

    async def send_receipts(self, keys: Iterable[MessageKey], type: ReceiptType) -> None:
        """Say of messages of others that they were read, played ...; see read_receipts. Raises Disconnected."""
        for receipt in read_receipts.gathered(keys, type, self.clock.now()):
            await self.send_node(receipt.to_node())

    async def request_resend(self, key: MessageKey) -> str:
        """Ask our phone for a message that could not be read, now. See Retries.ask_phone."""
        return await self.retries.ask_phone(key)

    async def on_whatsapp(self, *phones: str) -> list[UserResult]:
        """Who of these phone numbers is on WhatsApp, and by which addresses. See People.on_whatsapp."""
        return await self.people.on_whatsapp(phones)

    async def on_node(self, event: NodeReceived) -> None:
        """Take a stanza that answers no query; in the order of arrival. See Dispatch."""
        await self._dispatch.on_node(event)

    def report(self, lane: str, error: Exception) -> None:
        """Trace what went wrong where nobody waits for it."""
        detail = json.dumps({"lane": lane.partition(":")[0], "error": type(error).__name__})
        self.tracer.add(Layer.STATE, Way.LOCAL, "lane.failed", at=self.clock.now(), detail=detail)


__all__ = ["Client", "ClientConfig", "IqError", "Step"]
