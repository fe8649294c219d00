"""A bot on the real Baileys, written as its users must: it connects again whenever Baileys has closed.

What it is told it notes in a reader. What Baileys acknowledges without ever telling it, or tells twice, nobody can mend
from outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.soak.ledger import Reader
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.parity.oracle import BaileysError, BaileysPeer
from waton.parity.oracle.peer import RawEvent

IMPATIENT: Mapping[str, Any] = {
    "keepAliveIntervalMs": 1_000,
    "defaultQueryTimeoutMs": 3_000,
    "connectTimeoutMs": 5_000,
    "retryRequestDelayMs": 20,
}
"""Milliseconds; Baileys' own are 30, 60 and 20 seconds and 250 ms, and it closes 5 s after a ping without an answer."""
_PAUSE = 0.2
"""Seconds before it connects again."""
_PATIENCE = 30.0
"""Seconds that a text waits for a connection."""
_HANGING = 10.0
"""Seconds after which a promise of Baileys' is taken for broken: made on a dead connection it may never end."""
_POLLS = 600


class Bot:
    """One Baileys that is kept connected."""

    def __init__(self, peer: BaileysPeer, reader: Reader) -> None:
        self.peer = peer
        self.reader = reader
        self.closes = 0
        """How often Baileys has closed."""
        self.stubs = 0
        """How often it told of a message that it could not read."""
        self._open = asyncio.Event()
        self._closed = asyncio.Event()
        peer.listeners.append(self._take)

    @classmethod
    @asynccontextmanager
    async def start(cls, lab: Lab, name: str, phone: Phone, reader: Reader) -> AsyncGenerator[Bot]:
        """Start Baileys, pair it with this phone, and keep it connected until the block ends."""
        async with BaileysPeer.start(lab.url, name=name, config=IMPATIENT) as peer:
            bot = cls(peer, reader)
            await phone.scan(await peer.qr())
            await peer.opened()
            await bot._settle()
            keeper = asyncio.create_task(bot._keep_connected())
            try:
                yield bot
            finally:
                keeper.cancel()
                with suppress(asyncio.CancelledError):
                    await keeper

    async def _settle(self) -> None:
        """Wait for the end of its first synchronisation: interrupted before, it holds all events back for 20 s."""
        await self.peer.event("history")
        for _ in range(_POLLS):
            if (await self.peer.call("state"))["accountSyncCounter"]:
                return
            await asyncio.sleep(0.05)
        raise TimeoutError("Baileys has not finished its first synchronisation")

    def _take(self, raw: RawEvent) -> None:
        if raw.type == "connection.update":
            self._take_connection(raw.value)
        elif raw.type == "messages.upsert":
            for message in raw.value["messages"]:
                body = _text(message.get("message"))
                self.stubs += message.get("messageStubType") is not None
                self.reader.take(message["key"]["id"], body)

    def _take_connection(self, value: Mapping[str, Any]) -> None:
        if value.get("connection") == "open":
            self._open.set()
        elif value.get("connection") == "close":
            self.closes += 1
            self._open.clear()
            if not value.get("restarts"):  # then it is connecting again already
                self._closed.set()

    async def _keep_connected(self) -> None:
        while True:
            await self._closed.wait()
            await asyncio.sleep(_PAUSE)
            self._closed.clear()
            await self.peer.call("connect")

    async def wait_open(self, patience: float) -> None:
        """Wait until it is connected. Raises TimeoutError."""
        async with asyncio.timeout(patience):
            await self._open.wait()

    async def say(self, to: Jid, body: str, id: str) -> bool:
        """Send a text; whether Baileys says that it has done so."""
        try:
            await self.wait_open(_PATIENCE)
            async with asyncio.timeout(_HANGING):
                await self.peer.send_text(to, body, id=id)
        except (BaileysError, TimeoutError):
            return False
        return True


def _text(content: Mapping[str, Any] | None) -> str | None:
    """The text of a text message, an own copy's included."""
    if not content:
        return None
    wrapped: Mapping[str, Any] | None = content.get("deviceSentMessage")
    if wrapped is not None:
        return _text(wrapped.get("message"))
    extended: Mapping[str, Any] | None = content.get("extendedTextMessage")
    return content.get("conversation") if extended is None else extended.get("text")
