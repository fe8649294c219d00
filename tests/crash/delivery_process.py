"""The victim's process, from outside: begin a life, give it more to do, kill it, and hear what all lives have said."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.crash.delivery_cast import Cast
from tests.crash.delivery_plan import Death, Text
from waton.client.events import ConnectionStatus

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds in which something has to happen in a life, on a busy machine."""


class InVain(AssertionError):
    """Something was waited for that did not come."""


class Victim:
    """The process that forks lives, and what they have said."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path, patience: float) -> None:
        self._process = process
        self._directory = directory
        self._patience = patience
        self._changed = asyncio.Condition()
        self._read_until = 0
        self.story: list[dict[str, Any]] = []
        """What all lives have said, in order."""
        self.told: set[str] = set()
        """The ids of what was told at least once."""
        self.accepted: set[str] = set()
        """The ids of what the server has, as lives were told."""
        self.is_open = False
        """The life under way has logged in."""
        self.pid: int | None = None
        """The life under way."""
        self.code: int | None = None
        """How the last one ended."""
        self._lives = 0
        self._is_over = False

    @classmethod
    @asynccontextmanager
    async def start(
        cls, cast: Cast, directory: Path, outgoing: Sequence[Text], patience: float = PATIENCE
    ) -> AsyncGenerator[Victim]:
        """Start the process; no life begins yet. It is gone afterwards.

        Args:
            cast: whose lab it connects to.
            directory: where its account, its plan and its story are.
            outgoing: what it is to send.
            patience: seconds in which anything that is waited for has to come.
        """
        plan = [
            {"place": one.place, "chat": str(cast.chats[one.chat].id), "text": one.text, "id": one.id}
            for one in outgoing
        ]
        (directory / "plan.json").write_text(json.dumps(plan))
        (directory / "story.log").touch()
        with (directory / "stderr.log").open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.crash.delivery_victim"),
                *(cast.lab.url, cast.lab.root.hex(), str(directory)),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )
        victim = cls(process, directory, patience)
        reader = asyncio.create_task(victim._read())
        try:
            yield victim
        finally:
            await victim.kill()
            if process.returncode is None:
                process.kill()
            await process.wait()
            await reader

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._changed:
                self._read_story()
                if line != b"\n":
                    self._note(json.loads(line))
                self._changed.notify_all()
        async with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _read_story(self) -> None:
        with (self._directory / "story.log").open("rb") as story:
            story.seek(self._read_until)
            data = story.read()
        data = data[: data.rfind(b"\n") + 1]  # a line that is being written is left for the next time
        self._read_until += len(data)
        for line in map(json.loads, data.splitlines()):
            self.story.append(line)
            if line["what"] == "told":
                self.told.add(line["id"])
            elif line["what"] == "accepted":
                self.accepted.add(line["id"])
            elif line["what"] == "status" and line["status"] == ConnectionStatus.OPEN:
                self.is_open = True

    def _note(self, news: dict[str, int]) -> None:
        if "born" in news:
            self.pid = news["born"]
            self._lives += 1
        else:
            self.pid, self.code = None, news["code"]

    async def live(self, number: int, death: Death, until: int, flaw: str) -> None:
        """Begin a life."""
        lives, self.is_open = self._lives, False
        self._tell(do="live", life=number, moment=death.moment, count=death.count, until=until, flaw=flaw)
        await self.until("a life begins", lambda: self._lives > lives)

    def send(self, until: int) -> None:
        """Let the present life go on to this place of the plan."""
        self._tell(do="send", until=until)

    async def end(self) -> None:
        """Let the present life close in peace, and wait for it."""
        self._tell(do="end")
        await self.until("the end", lambda: self.pid is None)

    async def kill(self) -> None:
        """Kill the present life, if there is one, and wait until it is over."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            await self.until("a life is over", lambda: self.pid is None)

    def _tell(self, **order: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def until(self, what: str, is_so: Callable[[], bool]) -> None:
        """Wait until something is so. Raises InVain when it does not come in time, or the process has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience), self._changed:
                await self._changed.wait_for(lambda: is_so() or self._is_over)
        if not is_so():
            raise InVain(f"waited in vain: {what}; {self.last_words()}")

    def last_words(self) -> str:
        """What was said last, for people."""
        lines = [json.dumps(line) for line in self.story[-12:]]
        errors = (self._directory / "stderr.log").read_text(errors="replace")[-4000:]
        return "\n  ".join(["the last of the story:", *lines, f"stderr: {errors}"])
