"""Traces for the tests of the capture room."""

import hashlib
from pathlib import Path

from waton.protocol.trace import Layer, Trace, Way


def trace(seq: int, layer: Layer = Layer.FRAME, **columns: object) -> Trace:
    """A trace whose every column tells its seq."""
    given: dict[str, object] = {
        "seq": seq,
        "parent": seq - 1 or None,
        "at": 1_700_000_000 + seq / 8,
        "layer": layer,
        "way": Way.LOCAL if layer in (Layer.STATE, Layer.EVENT) else (Way.IN, Way.OUT)[seq % 2],
        "name": f"name {seq}",
        "id": f"id {seq}",
        "kind": f"kind {seq}",
        "xmlns": f"xmlns {seq}",
        "sender": f"sender {seq}",
        "recipient": f"recipient {seq}",
        "size": seq * 10,
        "data": b"data %d" % seq,
        "connection": 1,
    }
    return Trace(**{**given, **columns})  # pyright: ignore[reportArgumentType]  the tests say what they mean


def picture(directory: Path) -> dict[str, tuple[str, int]]:
    """Every file of a directory: its content's hash and its mode."""
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode)
        for path in sorted(directory.iterdir())
    }
