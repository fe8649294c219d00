"""When to try again: exponential delays with full jitter and a cap. Pure policy; dice come in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """The n-th delay is drawn from [half, whole] of min(cap, first * 2**n)."""

    first: float = 1.0
    """Seconds."""
    cap: float = 60.0
    """Seconds."""

    def delay(self, attempt: int, dice: bytes) -> float:
        """Seconds to wait before attempt number `attempt` (0 is the first retry). dice: 2 random bytes."""
        whole = min(self.cap, self.first * 2.0 ** min(attempt, 32))
        share = int.from_bytes(dice[:2], "big") / 0xFFFF
        return whole * (0.5 + share / 2)
