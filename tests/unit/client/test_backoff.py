"""Backoff: bounds, growth, cap, what the server says, and what the next attempt remembers."""

from __future__ import annotations

import pytest

from waton.client.backoff import Attempts, Backoff
from waton.errors import Disconnected, DisconnectReason, RemoteProtocolError

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


Reason = DisconnectReason
PATIENT = Backoff(steady=60.0)


@pytest.mark.parametrize("reason", [Reason.RATE_LIMITED, Reason.UNAVAILABLE])
def test_an_overloaded_server_is_left_alone_for_longer(reason: DisconnectReason) -> None:
    backoff = Backoff()
    waits = [backoff.after(Disconnected(reason), attempt, HIGHEST) for attempt in range(8)]
    assert waits == [15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 900.0, 900.0]
    assert backoff.after(Disconnected(reason), 0, LOWEST) == 7.5


@pytest.mark.parametrize("error", [Disconnected(Reason.CLOSED), Disconnected(Reason.LOST), RemoteProtocolError("x")])
def test_other_ends_wait_the_usual_time(error: Exception) -> None:
    assert [Backoff().after(error, attempt, HIGHEST) for attempt in range(3)] == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("told", "waits"), [(None, 1.0), (0.0, 1.0), (0.5, 1.0), (120.0, 120.0), (86_400.0, 86_400.0), (1e9, 86_400.0)]
)
def test_what_the_server_asks_for_is_the_least(told: float | None, waits: float) -> None:
    assert Backoff().after(Disconnected(Reason.CLOSED, retry_after=told), 0, HIGHEST) == waits


def test_failures_in_a_row_wait_longer_and_longer() -> None:
    attempts = Attempts()
    assert [attempts.pause(PATIENT, Disconnected(Reason.CLOSED), now, HIGHEST) for now in range(4)] == [
        1.0,
        2.0,
        4.0,
        8.0,
    ]
    assert attempts.failed == 4


def test_only_a_connection_that_stayed_open_is_forgiven_what_went_before() -> None:
    attempts = Attempts()
    for now in (0.0, 100.0, 200.0):
        attempts.pause(PATIENT, Disconnected(Reason.CLOSED), now, HIGHEST)
    attempts.opened(300.0)
    assert attempts.pause(PATIENT, Disconnected(Reason.CLOSED), 359.0, HIGHEST) == 8.0
    attempts.opened(400.0)
    assert attempts.pause(PATIENT, Disconnected(Reason.CLOSED), 460.0, HIGHEST) == 1.0
    # One that was never open does not live on the last one's time.
    assert attempts.pause(PATIENT, Disconnected(Reason.CLOSED), 900.0, HIGHEST) == 2.0


def test_a_restart_waits_for_nothing_and_costs_nothing() -> None:
    attempts = Attempts()
    assert attempts.pause(PATIENT, Disconnected(Reason.RESTART_REQUIRED, 515), 0.0, HIGHEST) == 0.0
    assert attempts.failed == 0


def test_a_server_that_only_ever_restarts_is_not_asked_without_a_pause() -> None:
    attempts = Attempts()
    restart = Disconnected(Reason.RESTART_REQUIRED, 515)
    assert [attempts.pause(PATIENT, restart, float(now), HIGHEST) for now in range(4)] == [0.0, 1.0, 2.0, 4.0]
    attempts.opened(10.0)
    assert attempts.pause(PATIENT, restart, 11.0, HIGHEST) == 0.0


def test_the_restart_after_a_pairing_is_wanted() -> None:
    attempts = Attempts()
    restart = Disconnected(Reason.RESTART_REQUIRED, 515)
    attempts.pause(PATIENT, restart, 0.0, HIGHEST)
    attempts.paired()
    assert attempts.pause(PATIENT, restart, 1.0, HIGHEST) == 0.0
