"""A real whatsmeow client (Go, inside neonize) in a process of its own: commands as methods, events to wait on.

    async with WhatsmeowPeer.start(lab, tmp_path) as go:
        await phone.scan(await go.qr())
        await go.event("connected")

The lab must speak TLS. whatsmeow dials web.whatsapp.com; its process has a proxy on loopback that leads every
connection to the lab, whatever it asks for, so nothing of it can reach anything else.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.requirements import require
from tests.support.driven import DrivenPeer
from waton.lab.server import Lab

_CHUNK = 1 << 16


class WhatsmeowError(Exception):
    """What whatsmeow said when it could not do what it was asked."""


class WhatsmeowPeer(DrivenPeer):
    """One whatsmeow client."""

    WHO = "whatsmeow"

    @classmethod
    @asynccontextmanager
    async def start(cls, lab: Lab, directory: Path) -> AsyncGenerator[WhatsmeowPeer]:
        """Start the process, connect it, and end it afterwards.

        Args:
            lab: with tls.
            directory: holds its state; started there again it is the same device.
        """
        script = require("whatsmeow")
        trusted = directory / "ca.pem"
        trusted.write_text(lab.ca_pem or "")
        async with _proxy(urlsplit(lab.wss_url or "").port or 0) as url:
            env = {**os.environ, "HTTPS_PROXY": url, "HTTP_PROXY": url, "SSL_CERT_FILE": str(trusted)}
            python = script.parent / ".venv" / "bin" / "python"
            peer = cls(await cls.spawn([str(python), str(script)], cwd=directory, env=env))
            async with peer.running():
                await peer.call("open", root=lab.root.hex(), state=str(directory / "state.db"), name="Lab")
                yield peer

    def _failure(self, text: str, code: int | None = None) -> Exception:
        return WhatsmeowError(text)

    async def message(self, text: str) -> Mapping[str, Any]:
        """Wait for a message with this text: its id, chat, sender, and whether our account wrote it."""
        found = await self.first(text, lambda one: one["event"] == "message" and one["data"]["text"] == text)
        return found["data"]

    async def send_text(self, to: object, text: str) -> str:
        """Send a text and wait for the server's ack; the message's id."""
        return str(await self.call("send", to=str(to), text=text))

    @staticmethod
    def lose_sessions(directory: Path) -> None:
        """As one whose device was restored from an old backup; it must not be running."""
        with closing(sqlite3.connect(directory / "state.db")) as state, state:
            for table in ("whatsmeow_sessions", "whatsmeow_sender_keys"):
                state.execute(f"DELETE FROM {table}")


@asynccontextmanager
async def _proxy(port: int) -> AsyncGenerator[str]:
    """An HTTP proxy on loopback whose every tunnel ends at this port of loopback."""
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            there, back = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
