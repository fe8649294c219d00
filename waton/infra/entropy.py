"""ports.Entropy: the operating system's random generator. Keys are made from nothing else."""

from __future__ import annotations

import secrets


class SystemEntropy:
    """Cryptographic randomness from the kernel."""

    def take(self, count: int) -> bytes:
        """Fresh random bytes, `count` of them, fit for keys. Raises ValueError: count is negative."""
        return secrets.token_bytes(count)
