"""A lab on loopback for each test."""

from collections.abc import AsyncGenerator

import pytest

from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.lab.server import Lab


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield started
    await started.stop()
