"""Another client in a process of its own, driven over its pipes: a line of JSON each way for each thing said.

    -> {"id": 1, ...}                          a command, as its driver writes it
    <- {"reply": 1, "value": ...}              or {"reply": 1, "error": "..."}
    <- anything else                           an event

What a command and an event look like beyond that is the business of the class for one client. An event is handed out
once: waiting for one takes it off the list and leaves the others in place.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

TIMEOUT = 40.0
"""Seconds any one step may take; Baileys' own patience for its first history is 20."""
_LINE_LIMIT = 1 << 24

Event = Mapping[str, Any]


class PipePeer:
    """One process. Drivers say who it is, and how to read what it says.

    Args:
        process: with three pipes.
    """

    WHO = "the peer"

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._next = 1
        self._changed = asyncio.Condition()
        self.events: list[Event] = []
        """What has happened and was not waited for yet."""
        self.errors: list[str] = []
        """What it wrote to stderr."""

    # --- for drivers --------------------------------------------------------------------------------------------------

    def _failure(self, text: str, code: int | None = None) -> Exception:
        """What is raised when it could not do what it was asked."""
        raise NotImplementedError

    def _value(self, told: Any) -> Any:
        """A reply's value as Python has it."""
        return told

    def _take(self, told: Mapping[str, Any]) -> Iterable[Event]:
        """The events in a line that is no reply."""
        return [told]

    # --- the process --------------------------------------------------------------------------------------------------

    @staticmethod
    async def spawn(
        command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        """Start a process to drive. env: all of it; None inherits ours."""
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=env,
            limit=_LINE_LIMIT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Read what the process says until the block ends, then end it."""
        readers = [asyncio.create_task(self._read()), asyncio.create_task(self._read_errors())]
        try:
            yield
        finally:
            if self._process.returncode is None:
                self._process.terminate()
            await self._process.wait()
            await asyncio.gather(*readers)

    async def _read(self) -> None:
        stdout = self._process.stdout
        while stdout is not None and (line := await stdout.readline()):
            told = json.loads(line)
            if "reply" in told:
                self._settle(told)
                continue
            events = [*self._take(told)]
            async with self._changed:
                self.events.extend(events)
                self._changed.notify_all()
        for waiting in self._replies.values():
            if not waiting.done():
                waiting.set_exception(self._failure("the process ended"))

    def _settle(self, told: Mapping[str, Any]) -> None:
        waiting = self._replies.pop(told["reply"])
        if waiting.done():
            return
        if "error" in told:
            waiting.set_exception(self._failure(told["error"], told.get("code")))
        else:
            waiting.set_result(self._value(told["value"]))

    async def _read_errors(self) -> None:
        stderr = self._process.stderr
        while stderr is not None and (line := await stderr.readline()):
            self.errors.append(line.decode(errors="replace").rstrip())

    async def _ask(self, command: Mapping[str, Any]) -> Any:
        """Say a command and wait for its reply. Raises what `_failure` makes, TimeoutError."""
        number = self._next
        self._next += 1
        self._replies[number] = asyncio.get_running_loop().create_future()
        stdin = self._process.stdin
        if stdin is None:
            raise self._failure("the process has no pipes")
        stdin.write(json.dumps({"id": number, **command}).encode() + b"\n")
        await stdin.drain()
        async with asyncio.timeout(TIMEOUT):
            return await self._replies[number]

    # --- events -------------------------------------------------------------------------------------------------------

    async def first(self, what: str, wanted: Callable[[Event], bool]) -> Event:
        """The oldest event that fits, come already or still to come; `what` is for the error. Raises TimeoutError."""

        def find() -> Event | None:
            return next((event for event in self.events if wanted(event)), None)

        try:
            async with asyncio.timeout(TIMEOUT), self._changed:
                while (found := find()) is None:
                    await self._changed.wait()
                self.events.remove(found)
                return found
        except TimeoutError:
            seen = [event["event"] for event in self.events[-10:]]
            raise TimeoutError(f"no {what!r} from {self.WHO}; others: {seen}; stderr: {self.errors[-5:]}") from None
