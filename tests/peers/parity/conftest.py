"""What the parity tests share: Baileys' side of every scenario, played once, and one whole comparison."""

from __future__ import annotations

import asyncio

import pytest

from tests.requirements import require
from waton.parity.engine import Found, run
from waton.parity.scenarios import scenarios
from waton.parity.stage import Recording, Scenario
from waton.parity.wire import play_baileys

EXAMPLES = 12
"""Inputs for each function; `waton parity run` takes more."""


@pytest.fixture(scope="session")
def recordings() -> dict[str, Recording]:
    """What Baileys does in each scenario, by its name."""
    require("baileys")

    async def record(scenario: Scenario, turn: asyncio.Semaphore) -> tuple[str, Recording]:
        async with turn:
            return scenario.name, await play_baileys(scenario)

    async def record_all() -> dict[str, Recording]:
        turn = asyncio.Semaphore(3)
        return dict(await asyncio.gather(*(record(scenario, turn) for scenario in scenarios())))

    return asyncio.run(record_all())


@pytest.fixture(scope="session")
def found(recordings: dict[str, Recording]) -> Found:
    """All rows there are."""
    return run(examples=EXAMPLES, recordings=recordings)
