"""A connection that has died without a word is noticed, left, and replaced; a quiet one is kept by its pings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.events import ConnectionStatus, ConnectionUpdate, Event
from waton.errors import Disconnected, DisconnectReason
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.infra.websocket import WebSocketConnector, WebSocketTransport
from waton.lab.server import Lab
from waton.protocol.trace import Layer, Way


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield lab
    await lab.stop()


class DeafTransport:
    """A wire that can be made to deliver nothing more, as a network that drops packets does."""

    def __init__(self, inner: WebSocketTransport, deaf: asyncio.Event) -> None:
        self._inner = inner
        self._deaf = deaf

    async def send(self, data: bytes) -> None:
        await self._inner.send(data)

    async def receive(self) -> bytes:
        data = await self._inner.receive()
        if self._deaf.is_set():
            await asyncio.Event().wait()
        return data

    async def close(self) -> None:
        await self._inner.close()


def impatient(waton: WatonPeer) -> None:
    waton.client.config = replace(waton.client.config, keepalive=0.05, silence=1.0)


async def test_a_deaf_connection_is_replaced(lab: Lab) -> None:
    phone, contact = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    deaf = asyncio.Event()

    class Switched:
        async def __call__(self, url: str) -> DeafTransport:
            deaf.clear()
            return DeafTransport(await WebSocketConnector()(url), deaf)

    async with waton_peer(lab, "Owner", connector=Switched()) as waton:
        impatient(waton)
        await waton.pair(phone)
        lost: list[Exception | None] = []

        def look(event: Event) -> None:
            if isinstance(event, ConnectionUpdate) and event.status is ConnectionStatus.RECONNECTING:
                lost.append(event.error)

        waton.client.subscribe(look)
        deaf.set()
        await waton.client.wait_status(ConnectionStatus.RECONNECTING, 10)
        await waton.client.wait_open(10)
        await contact.send_text(waton.lid, "heard again")
        await waton.message("heard again")
        assert isinstance(lost[0], Disconnected)
        assert lost[0].reason is DisconnectReason.LOST


async def test_pings_keep_a_quiet_connection(lab: Lab) -> None:
    phone = await lab.add_phone("Owner")
    async with waton_peer(lab, "Owner") as waton:
        impatient(waton)
        await waton.pair(phone)
        connection = max(trace.connection for trace in waton.traces)

        def pings() -> int:
            return sum(
                trace.layer is Layer.NODE and trace.way is Way.OUT and trace.xmlns == "w:p"
                for trace in waton.traces
                if trace.connection == connection
            )

        async with asyncio.timeout(20):
            while pings() < 42:  # noqa: ASYNC110  pings are no events, they are only in the traces
                await asyncio.sleep(0.05)
        assert max(trace.connection for trace in waton.traces) == connection, (
            "more than twice the silence, and still open"
        )
