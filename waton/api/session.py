"""A session: one account's client, recorder and questions, behind a thread-safe door.

The client lives on a thread and event loop of its own, so that a cell that blocks never starves keepalives,
acknowledgements or recording. Everything here may be called from any thread and any event loop: coroutine methods hop
to the own loop and are awaited where you are; the `.sync` twins block, and need no nested event loop for it.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pandas as pd

from waton import inspect
from waton.api.lab_handle import LabHandle
from waton.capture.analysis import Analysis
from waton.capture.journal import Journal
from waton.capture.recorder import Recorder
from waton.client.client import PRODUCTION_URL, Client, ClientConfig
from waton.client.events import ConnectionStatus, ConnectionUpdate, Event, MessageKey, MessagesUpsert
from waton.client.messages import SendResult
from waton.errors import LabError, LocalProtocolError
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.infra.loop_thread import LoopThread
from waton.infra.storage_sqlite import SqliteStore
from waton.infra.websocket import WebSocketConnector
from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.message import message_id
from waton.protocol.noise import PRODUCTION_ROOT
from waton.protocol.stanza.receipt import ReceiptType
from waton.protocol.stanza.usync import UserResult
from waton.protocol.trace import Trace, Tracer

if TYPE_CHECKING:
    from waton.widgets import ChatWidget, FramesWidget, PairingWidget, TimelineWidget

T = TypeVar("T")
_INBOX = 500
"""How many received and sent messages a session keeps in memory for `recent_messages`."""


class Session:
    """One account's client, recorder and questions, behind a thread-safe door.

    Made by `connect()`. Attributes that change (`connection`) are values, safe to read from anywhere.
    """

    def __init__(
        self,
        directory: Path,
        target: str | LabHandle,
        push_name: str,
        config: ClientConfig | None,
        *,
        auto_scan: bool,
        start_lab: Callable[[], LabHandle],
        forget: Callable[[Session], None],
    ) -> None:
        self.path = directory
        self._start_lab = start_lab
        self._forget = forget
        self.target = target
        self._push_name = push_name
        self._config = config
        self._auto_scan = auto_scan
        self._thread: LoopThread | None = None
        self._client: Client | None = None
        self._store: SqliteStore | None = None
        self._recorder: Recorder | None = None
        self._analysis: Analysis | None = None
        self._lab: LabHandle | None = target if isinstance(target, LabHandle) else None
        self._lock = threading.RLock()
        self._users = 0
        self._began = 0.0
        self.is_over = False
        """Closed for good; connect() makes a new session."""
        self._inbox: list[MessagesUpsert] = []
        self.sync = SyncSession(self)
        """The same verbs, blocking."""

    # --- life ---------------------------------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Start, if not started: open the files, begin to connect. Returns before the login; see wait_open()."""
        await asyncio.to_thread(self.open_sync)
        return self

    def open_sync(self) -> Self:
        """The blocking form of open()."""
        with self._lock:
            if self.is_over:
                raise LocalProtocolError("this session is closed; connect() makes a new one")
            if self._thread is None:
                self._start()
        return self

    def _start(self) -> None:
        thread = LoopThread(f"waton-{self.path.name}")
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            config = self._target_config()
            thread.run(self._open_files(config))
        except BaseException:
            with suppress(Exception):  # the first error is the one to show
                self._close_on(thread)
            thread.stop()
            raise
        self._thread = thread
        # Nothing is left half written when the program (or the kernel) ends. Registered after the recorder's own, and
        # therefore run before it.
        atexit.register(self.close_sync)

    def _target_config(self) -> ClientConfig:
        config = self._config or ClientConfig()
        if self.target == "lab":
            self._lab = self._start_lab()
        if self._lab is not None:
            url, root = self._lab.url, self._lab.root
        elif self.target == "whatsapp":
            url, root = PRODUCTION_URL, PRODUCTION_ROOT
        else:
            url, root = str(self.target), config.root
        return _with(config, url=url, root=root, push_name=self._push_name or config.push_name)

    async def _open_files(self, config: ClientConfig) -> None:
        clock, entropy = SystemClock(), SystemEntropy()
        self._began = clock.now()
        self._store = await SqliteStore.open(self.path / "account.db", clock=clock)
        journal = Journal.open(self.path / "journal.db")
        await journal_recovery(journal, self._store)
        self._recorder = Recorder(journal, client="waton", vantage="client")
        self._analysis = Analysis(self.path / "journal.db")
        self._client = Client(
            config,
            store=self._store,
            connector=WebSocketConnector(),
            clock=clock,
            entropy=entropy,
            tracer=Tracer(self._recorder),
        )
        self._client.subscribe(self._keep)
        await self._client.start()

    async def close(self) -> None:
        """Disconnect and close the files. The pairing stays. May be called twice."""
        await asyncio.to_thread(self.close_sync)

    def close_sync(self) -> None:
        """The blocking form of close()."""
        with self._lock:
            thread, self._thread = self._thread, None
            try:
                if thread is not None:
                    atexit.unregister(self.close_sync)
                    self._close_on(thread)
            finally:
                if thread is not None:
                    thread.stop()
                self.is_over = True
                self._forget(self)

    def _close_on(self, thread: LoopThread) -> None:
        # Undone from the last to the first, all of them whatever one says: the client, then the recorder (the client
        # still has something to say), then the store, which is what is locked.
        with ExitStack() as closing:
            if self._store is not None:
                store = self._store
                closing.callback(lambda: thread.run(store.close()))
            if self._recorder is not None:
                closing.callback(self._recorder.close)
            if self._client is not None:
                client = self._client
                closing.callback(lambda: thread.run(client.close()))

    async def __aenter__(self) -> Self:
        await self.open()
        self._users += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._users -= 1
        if self._users == 0:
            await self.close()

    def __enter__(self) -> Self:
        self.open_sync()
        self._users += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._users -= 1
        if self._users == 0:
            self.close_sync()

    def __await__(self) -> Generator[Any, None, Self]:
        return self.open().__await__()

    def check_target(self, target: str | LabHandle) -> None:
        """Raises LocalProtocolError when this session goes to another target."""
        if target != self.target and not (target == "lab" and self._lab is not None):
            raise LocalProtocolError("this account is connected to another target; close that session first")

    @property
    def client(self) -> Client:
        """The client itself; its coroutines run on `thread.loop` only."""
        if self._client is None or self._thread is None:
            raise LocalProtocolError("the session is not open")
        return self._client

    @property
    def thread(self) -> LoopThread:
        if self._thread is None:
            raise LocalProtocolError("the session is not open")
        return self._thread

    @property
    def recorder(self) -> Recorder:
        if self._recorder is None:
            raise LocalProtocolError("the session is not open")
        return self._recorder

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """The one door: run a coroutine on the session's loop, from any thread."""
        return self.thread.submit(work)

    async def _hop(self, work: Coroutine[Any, Any, T]) -> T:
        return await self.thread.wait(work)

    # --- the protocol's verbs -----------------------------------------------------------------------------------------

    @property
    def connection(self) -> ConnectionUpdate:
        """The latest state of the connection."""
        return self._client.update if self._client is not None else ConnectionUpdate(ConnectionStatus.IDLE)

    @property
    def me(self) -> Jid | None:
        """Our device's address by phone number, None until paired."""
        return None if self._client is None else self._client.credentials.me

    @property
    def lid(self) -> Jid | None:
        """Our device's LID address, None until paired."""
        return None if self._client is None else self._client.credentials.lid

    async def wait_open(self, timeout: float | None = None) -> None:
        """Wait until logged in. Raises TimeoutError, or the error that closed the client."""
        await self._hop(self.client.wait_open(timeout))

    async def wait_qr(self, timeout: float | None = 30.0) -> str:
        """The text of the QR on show; waits for one.

        Raises:
            LocalProtocolError: this account is paired already.
            TimeoutError: none within `timeout` seconds.
            WatonError: what closed the client instead.
        """
        if self.me is not None:
            raise LocalProtocolError("this account is paired; logout() unlinks it")
        await self._hop(self.client.wait_status(ConnectionStatus.QR, timeout))
        return self.connection.qr or ""

    async def send_text(self, to: Jid | str, text: str, *, id: str | None = None) -> SendResult:
        """Send a text to a person or a group, and wait until the server has taken it; see Client.send_text.

        Args:
            to: "15550001234@s.whatsapp.net", "...@lid", "...@g.us", or digits for a phone number.
            text: what to say.
            id: from new_id(), for whoever tries again: what was sent under it already is not sent again.
        """
        return await self._hop(self.client.send_text(address(to), text, id=id))

    def new_id(self) -> str:
        """An id for a message to come; see send_text."""
        client = self.client
        return message_id(client.credentials.me, client.clock.now(), client.entropy.take(16))

    async def send(self, to: Jid | str, message: proto.Message, *, id: str | None = None) -> SendResult:
        """Send any message, as send_text does a text."""
        return await self._hop(self.client.send(address(to), message, id=id))

    async def mark_read(self, *messages: MessagesUpsert) -> None:
        """Tell the authors that messages were read. See Client.mark_read."""
        await self._hop(self.client.mark_read(*messages))

    async def send_receipts(self, messages: Iterable[MessagesUpsert], type: ReceiptType) -> None:
        """Say of messages of others that they were read, played ... See Client.send_receipts."""
        await self._hop(self.client.send_receipts([message.key for message in messages], type))

    async def request_resend(self, key: MessageKey) -> str:
        """Ask our phone for a message that could not be read; the question's id. See Client.request_resend."""
        return await self._hop(self.client.request_resend(key))

    async def trust(self, device: Jid, new: bytes | None = None) -> int:
        """Take a device's new identity key, and read what was held because of it. See Client.trust."""
        return await self._hop(self.client.trust(device, new))

    async def on_whatsapp(self, *phones: str) -> list[UserResult]:
        """Who of these phone numbers is on WhatsApp, and by which addresses. See Client.on_whatsapp."""
        return await self._hop(self.client.on_whatsapp(*phones))

    async def send_node(self, node: Node) -> None:
        """Send any stanza as it is."""
        await self._hop(self.client.send_node(node))

    def expect_message(
        self, matching: Callable[[MessagesUpsert], bool] | None = None, timeout: float = 30.0
    ) -> Expected:
        """Listen from now on for the next message from somebody else (or the next that matches); await the result.

        Call it before the send whose answer you expect. Awaiting raises TimeoutError.
        """
        return Expected(self, matching or _is_incoming, timeout)

    async def next_message(
        self, matching: Callable[[MessagesUpsert], bool] | None = None, timeout: float = 30.0
    ) -> MessagesUpsert:
        """The next message from somebody else (or the next that matches). Raises TimeoutError."""
        return await self.expect_message(matching, timeout)

    async def request_pairing_code(self, phone: str, code: str | None = None) -> str:
        """Ask to be linked by a code that the person types on their phone. See Client.request_pairing_code."""
        return await self._hop(self.client.request_pairing_code(phone, code))

    async def reconnect(self) -> None:
        """Drop the connection and connect again at once."""
        await self._hop(self.client.reconnect())

    async def logout(self) -> None:
        """Unlink this device and forget its keys. The session stays, unpaired and closed."""
        await self._hop(self.client.logout())

    # --- sources for widgets ------------------------------------------------------------------------------------------

    def on_event(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call back with every event, on the session's thread; returns the way to stop that."""
        return self.client.subscribe(callback)

    def on_connection(self, callback: Callable[[ConnectionUpdate], None]) -> Callable[[], None]:
        """Call back with every change of the connection, on the session's thread."""

        def only_connection(event: Event) -> None:
            if isinstance(event, ConnectionUpdate):
                callback(event)

        return self.on_event(only_connection)

    def on_traces(self, callback: Callable[[Sequence[Trace]], None]) -> Callable[[], None]:
        """Call back with every batch of traces; must be quick."""
        return self.recorder.subscribe(callback)

    def tail(self, count: int) -> list[Trace]:
        """The last traces, oldest first."""
        return self.recorder.tail(count)

    def trace_count(self) -> int:
        """How many traces this run has recorded."""
        return self.recorder.accepted

    def payload(self, seq: int) -> bytes:
        """The bytes of a trace of this run."""
        return self.recorder.payload(seq)

    def recent_messages(self, count: int) -> list[MessagesUpsert]:
        """The last messages sent and received since the session began, oldest first."""
        return self._inbox[-count:]

    def send_text_soon(self, to: str, text: str) -> Future[str]:
        """Send from a callback that must not wait; the future has the message id."""

        async def send() -> str:
            return (await self.client.send_text(address(to), text)).id

        return self.submit(send())

    @property
    def can_scan(self) -> bool:
        """True when the target is a lab in this process, whose phone can scan the QR."""
        return self._lab is not None

    def lab_scan(self) -> Future[None]:
        """Have the lab's default phone scan the QR on show."""
        qr = self.connection.qr
        if self._lab is None:
            raise LabError("this session's target is not a lab in this process")
        if qr is None:
            raise LabError("there is no QR on show")
        return self._lab.phone.scan_soon(qr)

    async def scan_with_lab(self, timeout: float = 30.0) -> None:
        """Wait for a QR and have the lab's phone scan it; nothing to do for an account that is paired."""
        if self.me is not None:
            return
        await self.wait_qr(timeout)
        await asyncio.wrap_future(self.lab_scan())

    def _keep(self, event: Event) -> None:
        if isinstance(event, ConnectionUpdate) and event.qr is not None and self._auto_scan and self.can_scan:
            self.lab_scan()
        if isinstance(event, MessagesUpsert):
            self._inbox.append(event)
            del self._inbox[:-_INBOX]

    # --- questions ----------------------------------------------------------------------------------------------------

    @property
    def analysis(self) -> Analysis:
        """Questions to the journal; flushes what is recorded first."""
        if self._analysis is None:
            raise LocalProtocolError("the session is not open")
        if self._recorder is not None and not self.is_over:
            self._recorder.flush()
        return self._analysis

    def frames(self) -> pd.DataFrame:
        """Every frame, newest last."""
        return self.analysis.frames()

    def nodes(self, *, xml: bool = False) -> pd.DataFrame:
        """Every stanza, newest last; xml=True adds its XML."""
        return self.analysis.nodes(xml=xml)

    def messages(self) -> pd.DataFrame:
        """Every decrypted or sent message."""
        return self.analysis.messages()

    def transitions(self) -> pd.DataFrame:
        """Every state transition, with its cause."""
        return self.analysis.transitions()

    def events(self) -> pd.DataFrame:
        """Every event."""
        return self.analysis.events()

    def deliveries(self) -> pd.DataFrame:
        """What became of each message, sent or received; the columns are told by waton.inspect.deliveries."""
        return inspect.deliveries(self.analysis)

    def writings(self) -> pd.DataFrame:
        """Every stanza of a message: each writing, each arrival; see waton.inspect.writings."""
        return inspect.writings(self.analysis)

    def retries(self) -> pd.DataFrame:
        """What could not be read, here or by others, and what was done about it; see waton.inspect.retries."""
        return inspect.retries(self.analysis)

    def connections(self) -> pd.DataFrame:
        """What the connection was at, why, and after how many attempts; see waton.inspect.connections."""
        return inspect.connections(self.analysis)

    def lanes(self) -> pd.DataFrame:
        """What waits where at this moment; no row is nothing to do. See waton.inspect.lanes_now."""

        async def look() -> pd.DataFrame:
            client = self.client
            waiting = client.outbox.waiting()
            return inspect.lanes_now(client.lanes.load(), client.pipeline.load(), waiting, client.clock.now())

        return self.thread.run(look())

    def timeline(
        self, lab: LabHandle | None = None, *, names: Mapping[str, str] | None = None, since: float | None = None
    ) -> inspect.Timeline:
        """The delivery of messages in time, as a value.

        Args:
            lab: whose faults are shown; None is the lab in this process that the session is connected to, if it is.
            names: what to call a conversation, by its address. The lab's phones have their own names; others are
                numbered.
            since: Unix seconds; None is the beginning of this session.
        """
        lab = lab or self._lab
        names = {**_names_in(lab), **(names or {})}
        faults = None if lab is None else lab.analysis
        return inspect.timeline(self.analysis, lab=faults, names=names, since=self._began if since is None else since)

    # --- widgets ------------------------------------------------------------------------------------------------------

    def pairing_widget(self) -> PairingWidget:
        """The QR, the time left, the state of the connection."""
        from waton.widgets import PairingWidget  # widgets need a front end; code without one never loads them

        return PairingWidget(self)

    def frames_widget(self) -> FramesWidget:
        """Every stanza, live."""
        from waton.widgets import FramesWidget

        return FramesWidget(self)

    def chat_widget(self, to: str = "") -> ChatWidget:
        """A small chat pane."""
        from waton.widgets import ChatWidget

        return ChatWidget(self, to=to)

    def timeline_widget(
        self, lab: LabHandle | None = None, *, names: Mapping[str, str] | None = None, since: float | None = None
    ) -> TimelineWidget:
        """The delivery of messages in time, live; the arguments are timeline()'s."""
        from waton.widgets import TimelineWidget

        return TimelineWidget(lambda: self.timeline(lab, names=names, since=since), self.on_traces)

    def __repr__(self) -> str:
        return f"<Session {self.path.name} {self.connection.status.value}>"


class Expected:
    """A message that is listened for; await it. Made by Session.expect_message."""

    def __init__(self, session: Session, matching: Callable[[MessagesUpsert], bool], timeout: float) -> None:
        self._matching = matching
        self._timeout = timeout
        self._arrived: Future[MessagesUpsert] = Future()
        self._unsubscribe = session.on_event(self._look)

    def _look(self, event: Event) -> None:
        if isinstance(event, MessagesUpsert) and self._matching(event) and not self._arrived.done():
            self._arrived.set_result(event)
            self._unsubscribe()

    async def _wait(self) -> MessagesUpsert:
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.wrap_future(self._arrived)
        finally:
            self._unsubscribe()

    def __await__(self) -> Generator[Any, None, MessagesUpsert]:
        return self._wait().__await__()


class SyncSession:
    """A session's verbs, blocking: for scripts, and for cells that insist. Runs on the session's own loop."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def wait_open(self, timeout: float | None = 60.0) -> None:
        """See Session.wait_open."""
        self._session.thread.run(self._session.client.wait_open(timeout))

    def send_text(self, to: Jid | str, text: str, timeout: float | None = 90.0) -> SendResult:
        """See Session.send_text."""
        return self._session.thread.run(self._session.client.send_text(address(to), text), timeout)

    def mark_read(self, message: MessagesUpsert) -> None:
        """See Session.mark_read."""
        self._session.thread.run(self._session.client.mark_read(message), 30.0)

    def logout(self) -> None:
        """See Session.logout."""
        self._session.thread.run(self._session.client.logout(), 90.0)

    def close(self) -> None:
        """See Session.close."""
        self._session.close_sync()


def address(to: Jid | str) -> Jid:
    """A person's address from what people write: a Jid, its text, or a phone number.

    Raises:
        ValueError: neither.
    """
    if isinstance(to, Jid):
        return to
    text = to.strip()
    if "@" in text:
        return Jid.parse(text)
    digits = "".join(character for character in text if character.isdigit())
    if not digits:
        raise ValueError("neither an address nor a phone number")
    return Jid(digits, "s.whatsapp.net")


def _names_in(lab: LabHandle | None) -> dict[str, str]:
    """What the lab's phones are called, by both of their addresses."""
    if lab is None or not lab.is_running:
        return {}
    return {str(address): phone.name for phone in lab.phones for address in (phone.pn, phone.lid)}


def _is_incoming(event: MessagesUpsert) -> bool:
    return not event.key.from_me


def _with(config: ClientConfig, **changes: Any) -> ClientConfig:
    return replace(config, **changes)


async def journal_recovery(journal: Journal, store: SqliteStore) -> None:
    """Mark what an earlier run recorded of units of work that never committed."""
    for run, number in journal.unsettled():
        committed = await store.committed(number)
        journal.settle(run, committed)
