"""Subjects: the two clients a scenario is played to, behind one set of verbs.

A scenario says what a person or an application does ("send this text", "go away", "come back"); a subject does it with
its client's own means. Whatever only one of the two needs, such as making a new socket after Baileys' has ended, is
done here, as a Baileys application would, and is no part of the comparison.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar

from waton.client.backoff import Backoff
from waton.client.client import Client, ClientConfig
from waton.client.events import ConnectionStatus, ConnectionUpdate, Event, MessagesUpdate, MessagesUpsert
from waton.errors import Disconnected, DisconnectReason
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.infra.storage_sqlite import SqliteStore
from waton.infra.websocket import WebSocketConnector
from waton.jid import Jid
from waton.lab.server import Lab
from waton.parity import told
from waton.parity.oracle import BaileysPeer
from waton.ports import RecordKind
from waton.protocol.trace import Trace, Tracer

PATIENCE = 25.0
"""Seconds a client may take for one thing."""
T = TypeVar("T")


class Kept(StrEnum):
    """What a client can lose, as one that was restored from an old backup has."""

    SESSIONS = "sessions"
    SENDER_KEYS = "sender keys"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a scenario wants its client set up; what is not said is each client's default."""

    push_name: str = "Owner"
    keepalive: float | None = None
    """Seconds between pings."""
    announces: bool = True
    """Say after a login that somebody is looking."""


@dataclass(slots=True)
class Told:
    """One event a client emitted, in Baileys' form."""

    type: str
    value: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Subject(Protocol):
    """A client under comparison."""

    @property
    def events(self) -> list[Told]:
        """What it has emitted so far, in order."""
        ...

    async def connect(self) -> None:
        """Connect for the first time."""
        ...

    async def qr(self) -> str: ...

    async def pairing_code(self, phone: Jid) -> str:
        """Ask to be linked by code."""
        ...

    async def opened(self) -> None:
        """Wait until it says it is open."""
        ...

    async def send_text(self, to: Jid, text: str) -> str:
        """Send a text; the message's id."""
        ...

    async def received(self, text: str) -> None:
        """Wait until it has told of a message with this text."""
        ...

    async def read(self, text: str) -> None:
        """Mark a message it has told of as read."""
        ...

    async def reached(self, id: str, status: int) -> None:
        """Wait until it has told that a message of its own got this far (3 delivered, 4 read)."""
        ...

    async def refused(self, code: int) -> None:
        """Wait until it has told that the server has refused a message with this code."""
        ...

    async def leave(self) -> None:
        """Disconnect; the pairing stays."""
        ...

    async def lost(self) -> None:
        """Wait until it has told that its connection ended."""
        ...

    async def come_back(self) -> None:
        """Be connected again, however this client gets there, and wait until open."""
        ...

    async def logout(self) -> None: ...

    async def forget(self, *what: Kept) -> None:
        """Lose all records of these kinds."""
        ...


# --- Baileys ----------------------------------------------------------------------------------------------------------


class BaileysSubject:
    """The real Baileys."""

    def __init__(self, peer: BaileysPeer) -> None:
        self._peer = peer
        self._restarts_itself = False

    @classmethod
    @asynccontextmanager
    async def start(cls, lab: Lab, settings: Settings, package: Path | None = None) -> AsyncGenerator[BaileysSubject]:
        """Connects when it is told to."""
        config: dict[str, Any] = {"pushName": settings.push_name}
        if settings.keepalive is not None:
            config["keepAliveIntervalMs"] = int(settings.keepalive * 1000)
        if not settings.announces:
            config["markOnlineOnConnect"] = False
        name = settings.push_name
        async with BaileysPeer.start(lab.url, name=name, config=config, package=package, connect=False) as peer:
            yield cls(peer)

    @property
    def events(self) -> list[Told]:
        return [Told(type, value) for raw in self._peer.raw for type, value in told.single(raw.type, raw.value)]

    async def connect(self) -> None:
        await self._peer.open()

    async def qr(self) -> str:
        return await self._peer.qr()

    async def pairing_code(self, phone: Jid) -> str:
        return str(await self._peer.call("requestPairingCode", phone=phone.user))

    async def opened(self) -> None:
        await self._peer.opened()
        self._peer.events[:] = [event for event in self._peer.events if event["event"] != "restart"]

    async def send_text(self, to: Jid, text: str) -> str:
        return await self._peer.send_text(to, text)

    async def received(self, text: str) -> None:
        message = await self._peer.message(text)
        self._peer.events.append(message)  # read() wants it, too

    async def read(self, text: str) -> None:
        await self._peer.read(await self._peer.message(text))

    async def reached(self, id: str, status: int) -> None:
        await self._peer.status(id, status)

    async def refused(self, code: int) -> None:
        def wanted(event: Mapping[str, Any]) -> bool:
            # A refusal that overtakes Baileys' own event of the message is merged into that.
            return str(code) in (event.get("why") or [])

        await self._peer.first("refusal", wanted)

    async def leave(self) -> None:
        await self._peer.end()

    async def lost(self) -> None:
        ended = await self._peer.first("close", lambda event: event["event"] in ("close", "restart"))
        self._restarts_itself = ended["event"] == "restart"

    async def come_back(self) -> None:
        if not self._restarts_itself:
            await self._peer.call("connect")
        self._restarts_itself = False
        await self.opened()

    async def logout(self) -> None:
        await self._peer.call("logout")

    async def records(self) -> list[str]:
        """The names of all records it keeps."""
        return list((await self._peer.call("state"))["records"])

    async def forget(self, *what: Kept) -> None:
        lost = await self._peer.forget(*(_PREFIXES[one] for one in what))
        if not lost:
            raise LookupError("Baileys has none of these")


_PREFIXES = {Kept.SESSIONS: "session/", Kept.SENDER_KEYS: "sender-key/"}


# --- waton ------------------------------------------------------------------------------------------------------------


class WatonSubject:
    """Ours, with the same parts a session has."""

    def __init__(self, lab: Lab, settings: Settings, store: SqliteStore) -> None:
        config = ClientConfig(
            url=lab.url,
            root=lab.root,
            push_name=settings.push_name,
            backoff=Backoff(first=0.05, cap=0.2),
            query_timeout=15.0,
            announces=settings.announces,
        )
        if settings.keepalive is not None:
            config = replace(config, keepalive=settings.keepalive)
        self._config = config
        self._store = store
        self._changed = asyncio.Condition()
        self._own: list[Event] = []
        self._lost = 0
        self.traces: list[Trace] = []
        self.client = self._make()

    def _make(self) -> Client:
        client = Client(
            self._config,
            store=self._store,
            connector=WebSocketConnector(),
            clock=SystemClock(),
            entropy=SystemEntropy(),
            tracer=Tracer(self.traces.extend),
        )
        client.subscribe(self._keep)
        return client

    async def _keep(self, event: Event) -> None:
        async with self._changed:
            self._own.append(event)
            self._changed.notify_all()

    @classmethod
    @asynccontextmanager
    async def start(cls, lab: Lab, settings: Settings) -> AsyncGenerator[WatonSubject]:
        """Connects when it is told to."""
        with TemporaryDirectory(prefix="waton-parity-") as folder:
            store = await SqliteStore.open(Path(folder) / "account.db", clock=SystemClock())
            subject = cls(lab, settings, store)
            try:
                yield subject
            finally:
                await subject.client.close()
                await store.close()

    @property
    def events(self) -> list[Told]:
        return [Told(type, value) for event in self._own for type, value in told.as_baileys(event)]

    async def _wait(self, wanted: Callable[[Event], T | None]) -> T:
        def find() -> T | None:
            return next((found for event in self._own if (found := wanted(event)) is not None), None)

        async with asyncio.timeout(PATIENCE), self._changed:
            while (found := find()) is None:
                await self._changed.wait()
            return found

    async def connect(self) -> None:
        await self.client.start()

    async def qr(self) -> str:
        await self.client.wait_status(ConnectionStatus.QR, PATIENCE)
        text = self.client.update.qr
        if text is None:
            raise Disconnected(DisconnectReason.LOCAL, None, "no QR")
        return text

    async def pairing_code(self, phone: Jid) -> str:
        return await self.client.request_pairing_code(phone.user)

    async def opened(self) -> None:
        await self.client.wait_open(PATIENCE)

    async def send_text(self, to: Jid, text: str) -> str:
        return (await self.client.send_text(to, text)).id

    async def _message(self, text: str) -> MessagesUpsert:
        return await self._wait(
            lambda event: event if isinstance(event, MessagesUpsert) and event.text == text else None
        )

    async def received(self, text: str) -> None:
        await self._message(text)

    async def read(self, text: str) -> None:
        await self.client.mark_read(await self._message(text))

    async def reached(self, id: str, status: int) -> None:
        def wanted(event: Event) -> bool | None:
            return (isinstance(event, MessagesUpdate) and event.key.id == id and event.status >= status) or None

        await self._wait(wanted)

    async def refused(self, code: int) -> None:
        def wanted(event: Event) -> bool | None:
            return (isinstance(event, MessagesUpdate) and event.error == code) or None

        await self._wait(wanted)

    async def leave(self) -> None:
        await self.client.close()

    async def lost(self) -> None:
        def losses() -> int:
            return sum(isinstance(event, ConnectionUpdate) and event.error is not None for event in self._own)

        async with asyncio.timeout(PATIENCE), self._changed:
            while losses() <= self._lost:
                await self._changed.wait()
        self._lost += 1

    async def come_back(self) -> None:
        if self.client.update.status is ConnectionStatus.CLOSED:
            await self.client.close()
            self.client = self._make()
            await self.client.start()
        await self.client.wait_open(PATIENCE)

    async def logout(self) -> None:
        await self.client.logout()

    async def forget(self, *what: Kept) -> None:
        async with self.client.pipeline.step() as step:
            lost = [(kind, key) for kind in map(_KINDS.__getitem__, what) for key in await step.unit.keys(kind)]
            for kind, key in lost:
                step.save(kind, key, None)
        if not lost:
            raise LookupError("waton has none of these")


_KINDS = {Kept.SESSIONS: RecordKind.SESSION, Kept.SENDER_KEYS: RecordKind.SENDER_KEY}
