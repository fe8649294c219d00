"""Backoff: bounds, growth, cap."""

from __future__ import annotations

import pytest

from waton.client.backoff import Backoff

LOWEST, HIGHEST = b"\x00\x00", b"\xff\xff"


@pytest.mark.parametrize(("attempt", "whole"), [(0, 1.0), (1, 2.0), (2, 4.0), (5, 32.0), (6, 60.0), (7, 60.0)])
def test_a_delay_lies_between_half_and_whole(attempt: int, whole: float) -> None:
    backoff = Backoff(first=1.0, cap=60.0)
    assert backoff.delay(attempt, LOWEST) == whole / 2
    assert backoff.delay(attempt, HIGHEST) == whole
    middle = backoff.delay(attempt, b"\x80\x00")
    assert whole / 2 < middle < whole


def test_the_dice_decide() -> None:
    delays = [Backoff().delay(3, bytes([high, 0])) for high in range(0, 256, 16)]
    assert delays == sorted(set(delays))


def test_a_year_of_failures_does_not_overflow() -> None:
    assert Backoff(first=0.5, cap=9.0).delay(10**9, HIGHEST) == 9.0


def test_the_first_delay_respects_the_cap() -> None:
    assert Backoff(first=5.0, cap=2.0).delay(0, HIGHEST) == 2.0
