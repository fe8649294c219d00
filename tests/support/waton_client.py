"""A waton client against a lab, in the test's own event loop, with its events as a list to wait on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from tests.support.memory_store import MemoryStore
from waton.client.backoff import Backoff
from waton.client.client import Client, ClientConfig
from waton.client.events import ConnectionStatus, Event, MessageStatus, MessagesUpdate, MessagesUpsert
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.infra.websocket import WebSocketConnector
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.ports import Connector, Store
from waton.protocol.trace import Trace, Tracer

T = TypeVar("T")
TIMEOUT = 20.0


class WatonPeer:
    """One waton client."""

    def __init__(self, lab: Lab, store: Store, name: str, connector: Connector) -> None:
        self._connector = connector
        self.lab = lab
        self.store = store
        self.name = name
        self.events: list[Event] = []
        self.traces: list[Trace] = []
        self._changed = asyncio.Condition()
        self.client = self._client()

    def _client(self) -> Client:
        config = ClientConfig(
            url=self.lab.url, root=self.lab.root, push_name=self.name, backoff=Backoff(first=0.05, cap=0.2)
        )
        client = Client(
            replace(config, query_timeout=15.0),
            store=self.store,
            connector=self._connector,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            tracer=Tracer(self.traces.extend),
        )
        client.subscribe(self._keep)
        return client

    async def _keep(self, event: Event) -> None:
        async with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    async def pair(self, phone: Phone) -> None:
        """Start, have this phone scan, and wait until open."""
        await self.client.start()
        await self.client.wait_status(ConnectionStatus.QR, TIMEOUT)
        qr = self.client.update.qr
        assert qr is not None
        await phone.scan(qr)
        await self.client.wait_open(TIMEOUT)

    def renew(self) -> None:
        """A new client over the same store, not started."""
        self.client = self._client()

    async def restart(self) -> None:
        """Another process's worth: a new client over the same store."""
        await self.client.close()
        self.renew()
        await self.client.start()
        await self.client.wait_open(TIMEOUT)

    @property
    def me(self) -> Jid:
        """Our PN address, without the device."""
        assert self.client.credentials.me is not None
        return self.client.credentials.me.bare

    @property
    def lid(self) -> Jid:
        """Our LID address, without the device."""
        assert self.client.credentials.lid is not None
        return self.client.credentials.lid.bare

    async def event(self, wanted: Callable[[Event], T | None]) -> T:
        """The first event, come already or still to come, that `wanted` maps to something; taken off the list."""

        def find() -> tuple[int, T] | None:
            for place, event in enumerate(self.events):
                value = wanted(event)
                if value is not None:
                    return place, value
            return None

        async with asyncio.timeout(TIMEOUT), self._changed:
            await self._changed.wait_for(lambda: find() is not None)
            found = find()
            assert found is not None
            del self.events[found[0]]
            return found[1]

    async def message(self, text: str) -> MessagesUpsert:
        """Wait for a received or synchronised message with this text."""
        return await self.event(
            lambda event: event if isinstance(event, MessagesUpsert) and event.text == text else None
        )

    async def status(self, id: str, status: MessageStatus) -> MessagesUpdate:
        """Wait until a message of ours got this far."""
        return await self.event(
            lambda event: (
                event if isinstance(event, MessagesUpdate) and event.key.id == id and event.status is status else None
            )
        )


@asynccontextmanager
async def waton_peer(
    lab: Lab, name: str = "Waton", store: Store | None = None, connector: Connector | None = None
) -> AsyncGenerator[WatonPeer]:
    """A client that is closed afterwards."""
    peer = WatonPeer(lab, store or MemoryStore(), name, connector or WebSocketConnector())
    try:
        yield peer
    finally:
        await peer.client.close()
