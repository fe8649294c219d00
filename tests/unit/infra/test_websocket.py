"""The wire's end: whoever still writes is told, though the peer reads nothing and says no goodbye."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from waton.errors import Disconnected
from waton.infra import websocket
from waton.infra.websocket import WebSocketConnector, WebSocketTransport


@asynccontextmanager
async def deaf_peer() -> AsyncGenerator[WebSocketTransport]:
    """A wire whose other end has stopped reading."""
    over = asyncio.Event()

    async def answer(request: web.Request) -> web.WebSocketResponse:
        opened = web.WebSocketResponse(max_msg_size=0)
        await opened.prepare(request)
        assert isinstance(request.transport, asyncio.ReadTransport)
        request.transport.pause_reading()
        await over.wait()
        return opened

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield await WebSocketConnector()(f"ws://{host}:{port}/")
    finally:
        over.set()
        await runner.cleanup()


async def test_closing_lets_go_who_waits_to_write_to_a_peer_that_reads_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "CLOSING", 0.05)
    async with deaf_peer() as wire:

        async def write() -> None:
            while True:
                await wire.send(bytes(1 << 20))

        writing = asyncio.create_task(write())
        done, _ = await asyncio.wait([writing], timeout=0.5)
        assert not done, "the peer takes nothing more"
        async with asyncio.timeout(5):
            await wire.close()
            with pytest.raises(Disconnected):
                await writing
        await wire.close()
