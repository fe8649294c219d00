"""What the parity tests share: both sides of every scenario, played once, and one whole comparison made of them."""

from __future__ import annotations

import asyncio

import pytest

from tests.peers.parity.plays import Plays
from tests.requirements import require
from waton.parity.engine import Found, run
from waton.parity.stage import Recording

EXAMPLES = 12
"""Inputs for each function; `waton parity run` takes more."""


@pytest.fixture(scope="session")
def plays() -> Plays:
    """What both clients do in every scenario."""
    require("baileys")
    made = Plays()
    asyncio.run(made.play_all())
    return made


@pytest.fixture(scope="session")
def recordings(plays: Plays) -> dict[str, Recording]:
    """What Baileys does in each scenario, by its name."""
    return plays.theirs


@pytest.fixture(scope="session")
def found(plays: Plays) -> Found:
    """All rows there are."""
    return run(examples=EXAMPLES, recordings=plays.theirs, ours=plays.ours)
