"""A lab without sockets for each test."""

from collections.abc import Generator

import pytest

from tests.unit.lab.worlds import Bench


@pytest.fixture
def bench() -> Generator[Bench]:
    made = Bench()
    yield made
    made.database.close()
