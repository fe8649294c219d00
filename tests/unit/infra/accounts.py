"""What the tests of the account store share: a clock that tells what it is told, and pictures of a directory."""

import hashlib
from pathlib import Path


class ToldClock:
    """ports.Clock that stands where it is put."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at


def picture(directory: Path) -> dict[str, tuple[str, int]]:
    """Every file of a directory: its content's hash and its mode."""
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode)
        for path in sorted(directory.iterdir())
    }
