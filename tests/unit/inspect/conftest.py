"""A journal to tell stories to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.inspect.told import Told


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    made = Told(tmp_path)
    yield made
    made.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Told]:
    """The other side's journal."""
    made = Told(tmp_path, "lab.db")
    yield made
    made.close()
