"""The system's clock and dice."""

import time

import pytest

from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy


def test_the_clock_is_the_systems() -> None:
    before = time.time()
    assert before <= SystemClock().now() <= time.time()


def test_entropy_gives_what_was_asked_and_never_the_same_twice() -> None:
    entropy = SystemEntropy()
    assert [len(entropy.take(count)) for count in (0, 1, 32, 1000)] == [0, 1, 32, 1000]
    assert len({entropy.take(16) for _ in range(1000)}) == 1000


def test_entropy_refuses_a_negative_count() -> None:
    with pytest.raises(ValueError):
        SystemEntropy().take(-1)
