"""ports.Clock: the system's clock. The only place that reads it for the client and the lab."""

from __future__ import annotations

import time


class SystemClock:
    """Unix time of this machine; it may jump when the machine's clock is set."""

    def now(self) -> float:
        """Unix time in seconds."""
        return time.time()
