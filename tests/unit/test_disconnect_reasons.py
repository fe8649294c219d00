"""Reasons of a disconnect: the table in errors.py, and the page drawn from it.

`python -m tests.unit.test_disconnect_reasons` draws docs/reference/disconnect_reasons.md anew.
"""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from waton.errors import BanReason, Disconnected, DisconnectReason

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "disconnect_reasons.md"
Reason = DisconnectReason
FINAL = {
    Reason.LOCAL,
    Reason.REFUSED,
    Reason.BAD_REQUEST,
    Reason.LOGGED_OUT,
    Reason.TEMPORARY_BAN,
    Reason.FORBIDDEN,
    Reason.CLIENT_OUTDATED,
    Reason.UNKNOWN_LOGOUT,
    Reason.BAD_USER_AGENT,
    Reason.MULTIDEVICE_MISMATCH,
    Reason.TOKEN_EXPIRED,
    Reason.TOKEN_INVALID,
    Reason.NOT_FOUND,
    Reason.CLIENT_UNKNOWN,
    Reason.REPLACED,
    Reason.EXPERIMENTAL,
    Reason.DEVICE_REMOVED,
}


def drawn() -> str:
    """The page."""
    lines = [
        "# Why a connection ended",
        "",
        "`Disconnected.reason` is one of these, and `Disconnected.code` the number the server gave, if it gave one.",
        "From 400 on, a reason's number is the wire's: the `code` of a `stream:error`, the `reason` of a `failure`.",
        "Drawn from `waton/errors.py` by `python -m tests.unit.test_disconnect_reasons`; do not edit.",
        "",
        "| number | reason | what happened | tried again | what you can do |",
        "|---|---|---|---|---|",
    ]
    for reason in sorted(Reason):
        again = "by itself" if reason.is_retryable else "no"
        keys = "no; the keys are dropped" if reason.ends_pairing else again
        lines.append(f"| {int(reason)} | `{reason.name}` | {reason.meaning} | {keys} | {reason.advice} |")
    lines += ["", "## What a temporary ban is for (`Disconnected.ban`)", "", "| number | reason |", "|---|---|"]
    lines += [f"| {int(ban)} | `{ban.name}` |" for ban in BanReason]
    return "\n".join(lines) + "\n"


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text("utf-8") == drawn()


@pytest.mark.parametrize("reason", Reason)
def test_only_what_can_get_better_is_tried_again(reason: DisconnectReason) -> None:
    assert reason.is_retryable is (reason not in FINAL)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_what_happened_and_what_to_do(reason: DisconnectReason) -> None:
    for text in (reason.meaning, reason.advice):
        assert text.endswith(".")
        assert "|" not in text


def test_the_keys_are_dropped_only_when_the_device_is_unlinked() -> None:
    ended = {reason for reason in Reason if reason.ends_pairing}
    assert ended == {Reason.LOGGED_OUT, Reason.UNKNOWN_LOGOUT, Reason.DEVICE_REMOVED}
    assert not any(reason.is_retryable for reason in ended)


def test_numbers_below_400_are_ours() -> None:
    assert {reason for reason in Reason if reason < 400} == {Reason.LOCAL, Reason.PROTOCOL, Reason.REFUSED}


def test_a_disconnect_says_its_reason_and_keeps_its_fields_in_a_copy() -> None:
    error = Disconnected(
        Reason.TEMPORARY_BAN, 402, "ban", retry_after=60.0, ban=BanReason.BLOCKED_BY_USERS, stanza="3E"
    )
    assert str(error) == "disconnected, temporary_ban (code 402): ban"
    for copied in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (copied.reason, copied.code, copied.detail) == (error.reason, error.code, error.detail)
        assert (copied.retry_after, copied.ban, copied.stanza) == (60.0, BanReason.BLOCKED_BY_USERS, "3E")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(drawn(), "utf-8")
