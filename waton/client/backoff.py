"""When to try again: exponential delays with jitter and a cap, longer ones where the server is overloaded.

Pure policy: time and dice come in. A `Backoff` says how long one pause is; `Attempts` counts what came before it.

    restart wanted (515)                      at once; a second one in a row waits like any other failure
    rate limited (429), unavailable (503)     15 times as long, and so is the cap
    told how long (retry-after, a backoff)    not less than that
    anything else                             doubles from attempt to attempt

The count begins anew only when a connection has stayed open for a while: a server that lets everybody in and throws
them out again is not helped by being asked every second.

Source: whatsapp-rust src/client.rs (a cap of 900 s, five steps more for 429, the count kept until a connection was
stable), whatsmeow client.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from waton.errors import Disconnected, DisconnectReason

_CROWDED = (DisconnectReason.RATE_LIMITED, DisconnectReason.UNAVAILABLE)
_LONGEST_ORDER = 86_400.0
"""Seconds: a server cannot send us away for longer than this."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The n-th delay is drawn from [half, whole] of min(cap, first * 2**n). All times are seconds."""

    first: float = 1.0
    cap: float = 60.0
    crowded: float = 15.0
    """How many times as long it is, and its cap, when the server says that it has too much to do."""
    steady: float = 60.0
    """A connection that was open for this long was a good one."""

    def delay(self, attempt: int, dice: bytes) -> float:
        """Seconds to wait before attempt number `attempt` (0 is the first retry). dice: 2 random bytes."""
        whole = min(self.cap, self.first * 2.0 ** min(attempt, 32))
        share = int.from_bytes(dice[:2], "big") / 0xFFFF
        return whole * (0.5 + share / 2)

    def after(self, error: Exception, attempt: int, dice: bytes) -> float:
        """Seconds to wait after a connection ended with `error`, by what it says."""
        pause = self.delay(attempt, dice)
        if not isinstance(error, Disconnected):
            return pause
        if error.reason in _CROWDED:
            pause *= self.crowded
        return max(pause, min(error.retry_after or 0.0, _LONGEST_ORDER))


class Attempts:
    """What came before the next attempt to connect."""

    def __init__(self) -> None:
        self._failed = 0
        self._restarts = 0
        self._open_since: float | None = None

    @property
    def failed(self) -> int:
        """Connections that ended, since the last good one."""
        return self._failed

    def opened(self, now: float) -> None:
        """A login is complete. now: Unix seconds."""
        self._open_since = now
        self._restarts = 0

    def paired(self) -> None:
        """A pairing is complete: the restart that follows it is wanted."""
        self._restarts = 0

    def pause(self, backoff: Backoff, error: Exception, now: float, dice: bytes) -> float:
        """A connection ended: seconds until the next attempt. dice: 2 random bytes."""
        since, self._open_since = self._open_since, None
        if since is not None and now - since >= backoff.steady:
            self._failed = 0
        if isinstance(error, Disconnected) and error.reason is DisconnectReason.RESTART_REQUIRED:
            self._restarts += 1
            if self._restarts == 1:
                return 0.0
        pause = backoff.after(error, self._failed, dice)
        self._failed += 1
        return pause
