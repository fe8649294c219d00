"""A real whatsapp-rust client in a process of its own: commands as methods, its events as a list to wait on.

    async with RustPeer.start(lab.url) as rust:
        await phone.scan(await rust.qr())
        await rust.event("connected")

An event is handed out once: waiting for one takes it off the list and leaves the others in place.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.requirements import require

TIMEOUT = 40.0
_LINE_LIMIT = 1 << 24


class RustError(Exception):
    """What whatsapp-rust said when it could not do what it was asked."""


class RustPeer:
    """One whatsapp-rust client."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._next = 0
        self._changed = asyncio.Condition()
        self.events: list[Mapping[str, Any]] = []
        """What has happened and was not waited for yet: {"event", "data"}."""
        self.errors: list[str] = []
        """What it wrote to stderr."""

    @classmethod
    @asynccontextmanager
    async def start(cls, url: str) -> AsyncGenerator[RustPeer]:
        """Start the process, connect it, and end it afterwards."""
        folder = require("whatsapp-rust")
        process = await asyncio.create_subprocess_exec(
            str(require("node")),
            "--experimental-websocket",
            "peer.mjs",
            cwd=folder,
            limit=_LINE_LIMIT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        peer = cls(process)
        readers = [asyncio.create_task(peer._read()), asyncio.create_task(peer._read_errors())]
        try:
            await peer.call("open", url=url)
            yield peer
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            await asyncio.gather(*readers)

    async def _read(self) -> None:
        stdout = self._process.stdout
        while stdout is not None and (line := await stdout.readline()):
            told = json.loads(line)
            if "reply" in told:
                self._settle(told)
                continue
            async with self._changed:
                self.events.append(told)
                self._changed.notify_all()
        for waiting in self._replies.values():
            if not waiting.done():
                waiting.set_exception(RustError("the process ended"))

    def _settle(self, told: Mapping[str, Any]) -> None:
        waiting = self._replies.pop(told["reply"])
        if waiting.done():
            return
        if "error" in told:
            waiting.set_exception(RustError(told["error"]))
        else:
            waiting.set_result(told["value"])

    async def _read_errors(self) -> None:
        stderr = self._process.stderr
        while stderr is not None and (line := await stderr.readline()):
            self.errors.append(line.decode(errors="replace").rstrip())

    async def call(self, command: str, **args: Any) -> Any:
        """Run one command of peer.mjs. Raises RustError, TimeoutError."""
        self._next += 1
        number = self._next
        self._replies[number] = asyncio.get_running_loop().create_future()
        stdin = self._process.stdin
        if stdin is None:
            raise RustError("the process has no pipes")
        stdin.write(json.dumps({"id": number, "do": command, **args}).encode() + b"\n")
        await stdin.drain()
        async with asyncio.timeout(TIMEOUT):
            return await self._replies[number]

    async def event(self, kind: str) -> Mapping[str, Any]:
        """The data of the oldest event of this kind, come already or still to come. Raises TimeoutError."""

        def find() -> Mapping[str, Any] | None:
            return next((event for event in self.events if event["event"] == kind), None)

        try:
            async with asyncio.timeout(TIMEOUT), self._changed:
                while (found := find()) is None:
                    await self._changed.wait()
                self.events.remove(found)
                return found["data"]
        except TimeoutError:
            seen = [event["event"] for event in self.events[-10:]]
            raise TimeoutError(f"no {kind!r} from whatsapp-rust; others: {seen}; stderr: {self.errors[-5:]}") from None

    async def qr(self) -> str:
        """The next QR it shows."""
        return str((await self.event("qr"))["code"])

    async def reconnect(self) -> None:
        """Drop the connection, connect again, and wait until it is open."""
        await self.call("reconnect")
        await self.event("connected")
