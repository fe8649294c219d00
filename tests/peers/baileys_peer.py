"""A real Baileys in a process of its own, for tests: commands as methods, its events as an ordered list to wait on.

    async with BaileysPeer.start(lab.url, name="Bea") as bea:
        qr = await bea.qr()
        ...
        await bea.opened()
        key = await bea.send_text(phone.lid, "hello")

An event is handed out once: waiting for one takes it off the list and leaves the others in place.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.requirements import require

TIMEOUT = 40.0
"""Seconds any one step of Baileys may take; its own patience for the first history is 20."""

Event = Mapping[str, Any]


class BaileysError(Exception):
    """A command that Baileys rejected: its sentence, and the status code if it gave one."""

    def __init__(self, text: str, code: int | None) -> None:
        super().__init__(text)
        self.code = code


class BaileysPeer:
    """One Baileys."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._next = 1
        self._changed = asyncio.Condition()
        self.events: list[Event] = []
        """What has happened and was not waited for yet."""
        self.errors: list[str] = []
        """What it wrote to stderr."""
        self.me: Mapping[str, str] = {}
        """id, lid and name, from the last open."""

    @classmethod
    @asynccontextmanager
    async def start(
        cls, url: str, *, name: str = "", log: str = "silent", ca: Path | None = None
    ) -> AsyncGenerator[BaileysPeer]:
        """Start the process, connect it, and end it afterwards. Skips the test when Baileys is not installed.

        Args:
            url: the lab's, on 127.0.0.1.
            name: push name; with one, Baileys announces presence and sends plain delivery receipts.
            log: pino's level, for what goes to stderr.
            ca: a PEM file to trust, for wss.
        """
        folder = require("baileys")
        environment = {**os.environ, "BAILEYS_LOG": log}
        if ca is not None:
            environment["NODE_EXTRA_CA_CERTS"] = str(ca)
        process = await asyncio.create_subprocess_exec(
            str(require("node")),
            "client.mjs",
            url,
            name,
            cwd=folder,
            env=environment,
            limit=1 << 24,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        peer = cls(process)
        readers = [asyncio.create_task(peer._read()), asyncio.create_task(peer._read_errors())]
        try:
            await peer.call("connect")
            yield peer
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            await asyncio.gather(*readers)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            value = json.loads(line)
            if "reply" in value:
                self._settle(value)
                continue
            async with self._changed:
                self.events.append(value)
                self._changed.notify_all()
        for waiting in self._replies.values():
            if not waiting.done():
                waiting.set_exception(BaileysError("the process ended", None))

    def _settle(self, value: Event) -> None:
        waiting = self._replies.pop(value["reply"])
        if waiting.done():
            return
        if "error" in value:
            waiting.set_exception(BaileysError(value["error"], value.get("code")))
        else:
            waiting.set_result(value["value"])

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.errors.append(line.decode(errors="replace").rstrip())

    async def call(self, command: str, **args: Any) -> Any:
        """Run one command of client.mjs. Raises BaileysError, TimeoutError."""
        number = self._next
        self._next += 1
        self._replies[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "cmd": command, "args": args}).encode() + b"\n")
        await self._process.stdin.drain()
        async with asyncio.timeout(TIMEOUT):
            return await self._replies[number]

    async def event(self, kind: str, wanted: Callable[[Event], bool] = lambda event: True) -> Event:
        """The oldest event of this kind that fits, come already or still to come. Raises TimeoutError."""
        return await self._next_event(kind, lambda event: event["event"] == kind and wanted(event))

    async def _next_event(self, what: str, wanted: Callable[[Event], bool]) -> Event:
        def find() -> Event | None:
            return next((event for event in self.events if wanted(event)), None)

        try:
            async with asyncio.timeout(TIMEOUT), self._changed:
                await self._changed.wait_for(lambda: find() is not None)
                found = find()
                assert found is not None
                self.events.remove(found)
                return found
        except TimeoutError:
            seen = f"others: {self.events[-10:]}; stderr: {self.errors[-5:]}"
            raise TimeoutError(f"no such {what!r} event from Baileys; {seen}") from None

    # --- what tests do with it --------------------------------------------------------------------------------------

    async def qr(self) -> str:
        """The next QR it shows."""
        return str((await self.event("qr"))["qr"])

    async def opened(self) -> Mapping[str, str]:
        """Wait until its connection is open; who it is."""
        self.me = (await self.event("open"))["me"]
        return self.me

    async def closed(self) -> int | None:
        """Wait until a connection ends; Baileys' status code."""
        code = (await self.event("close"))["code"]
        return None if code is None else int(code)

    async def message(self, text: str) -> Event:
        """Wait for a message with this text."""
        return await self.event("message", lambda event: event["text"] == text)

    async def status(self, id: str, at_least: int) -> Event:
        """Wait until a message of its own got this far (3 delivered, 4 read).

        A receipt that overtakes Baileys' own event of the message is merged into that.
        """

        def wanted(event: Event) -> bool:
            is_news = event["event"] in ("update", "message") and event["key"]["id"] == id
            return is_news and (event["status"] or 0) >= at_least

        return await self._next_event("update", wanted)

    async def send_text(self, to: object, text: str) -> str:
        """Send a text; the message's id."""
        return str((await self.call("sendText", to=str(to), text=text))["id"])

    async def read(self, message: Event) -> None:
        """Send the read receipt of a message event."""
        await self.call("readMessages", keys=[message["key"]])

    async def end(self) -> None:
        """Close its connection, keep its credentials."""
        await self.call("end")
        await self.closed()

    async def reconnect(self) -> None:
        """Connect again and wait until open."""
        await self.call("connect")
        await self.opened()
