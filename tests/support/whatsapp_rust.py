"""A real whatsapp-rust client in a process of its own: commands as methods, its events as a list to wait on.

async with RustPeer.start(lab.url) as rust:
    await phone.scan(await rust.qr())
    await rust.event("connected")
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tests.requirements import require
from tests.support.driven import DrivenPeer


class RustError(Exception):
    """What whatsapp-rust said when it could not do what it was asked."""


class RustPeer(DrivenPeer):
    """One whatsapp-rust client."""

    WHO = "whatsapp-rust"

    @classmethod
    @asynccontextmanager
    async def start(cls, url: str) -> AsyncGenerator[RustPeer]:
        """Start the process, connect it, and end it afterwards."""
        folder = require("whatsapp-rust")
        peer = cls(await cls.spawn([str(require("node")), "--experimental-websocket", "peer.mjs"], cwd=folder))
        async with peer.running():
            await peer.call("open", url=url)
            yield peer

    def _failure(self, text: str, code: int | None = None) -> Exception:
        return RustError(text)

    async def reconnect(self) -> None:
        """Drop the connection, connect again, and wait until it is open."""
        await self.call("reconnect")
        await self.event("connected")
