"""A client killed while receiving, again and again: every text is told, and none twice without its mark."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.lab.server import Lab

pytestmark = pytest.mark.crash
ROUNDS = 8
TEXTS = 12
"""For each round."""


class Victim:
    """The process, and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._changed = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def start(cls, lab: Lab, directory: Path) -> AsyncGenerator[Victim]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.crash.victim_client", lab.url, lab.root.hex(), str(directory)),
            stdout=asyncio.subprocess.PIPE,
        )
        victim = cls(process)
        reader = asyncio.create_task(victim._read())
        try:
            yield victim
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await reader

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._changed:
                self.lines.append(line.decode().rstrip("\n"))
                self._changed.notify_all()

    async def until(self, start: str, count: int = 1) -> str:
        """Wait until that many lines begin so; the first of them."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: sum(line.startswith(start) for line in self.lines) >= count)
            return next(line for line in self.lines if line.startswith(start))


async def test_killed_while_receiving_loses_nothing_and_repeats_nothing_unmarked(tmp_path: Path) -> None:
    dice = random.Random(20261123)
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    phone, sender = await lab.add_phone("Victim"), await lab.add_phone("Ada")
    told: list[str] = []
    expected: list[str] = []
    try:
        async with Victim.start(lab, tmp_path) as victim:
            await phone.scan((await victim.until("qr ")).removeprefix("qr "))
            await victim.until("open")
        for number in range(ROUNDS):
            async with Victim.start(lab, tmp_path) as victim:
                await victim.until("open")
                texts = [f"round {number} text {place}" for place in range(TEXTS)]
                expected += texts
                for text in texts:
                    await sender.send_text(phone.lid, text)
                # Dies while some are under way: after so many were told, and a few milliseconds.
                await victim.until("text", dice.randint(1, TEXTS))
                await asyncio.sleep(dice.uniform(0, 0.01))
                victim.process.kill()
            told += victim.lines
        async with Victim.start(lab, tmp_path) as victim:
            await victim.until("open")
            await sender.send_text(phone.lid, "the last one")
            await victim.until("text 0 the last one")
        told += victim.lines
    finally:
        await lab.stop()

    assert not [line for line in told if line.startswith("undecryptable")]
    first_hand = [line.removeprefix("text 0 ") for line in told if line.startswith("text 0 ")]
    again = [line.removeprefix("text 1 ") for line in told if line.startswith("text 1 ")]
    assert len(first_hand) == len(set(first_hand)), "told twice without the mark"
    assert set(first_hand) | set(again) == {*expected, "the last one"}
