"""A QR code as one SVG path. The text it carries is a secret until it is scanned; so is the path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import segno

QUIET_ZONE = 4
"""Light modules on each side, as the standard asks for."""


@dataclass(frozen=True, slots=True, repr=False)
class QrPath:
    """What to put into `<svg viewBox="0 0 size size"><path d=...>`; one unit is one module."""

    size: int
    """Width and height, quiet zone included."""
    d: str


def qr_path(text: str) -> QrPath:
    """The QR of a text, with error correction L: fewer, larger modules, which a phone reads sooner from a screen."""
    matrix = segno.make_qr(text, error="l", boost_error=False).matrix
    d = "".join(run for y, row in enumerate(matrix) for run in _dark_runs(row, y))
    return QrPath(len(matrix) + 2 * QUIET_ZONE, d)


def _dark_runs(row: bytearray, y: int) -> Iterator[str]:
    x = 0
    for dark, modules in groupby(row):
        width = len(list(modules))
        if dark:
            yield f"M{x + QUIET_ZONE} {y + QUIET_ZONE}h{width}v1h-{width}z"
        x += width
