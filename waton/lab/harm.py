"""Harm: what a bad line does to one frame, and what a server says before it hangs up. Pure."""

from __future__ import annotations

from waton.lab.schedules import CONFLICT
from waton.protocol.binary_node import Node
from waton.protocol.stanza import stream

_HEADER = 3
"""Bytes of a frame's length; a flipped bit lies behind them."""
_RESTART_REQUIRED = "515"


def cut_short(frame: bytes, place: float) -> bytes:
    """A part of a frame: at least one byte and never all of it. place: 0 to 1, 1 left out."""
    return frame[: 1 + int(place * (len(frame) - 1))]


def flipped(frame: bytes, place: float) -> bytes:
    """A frame with one bit of its body changed. place: 0 to 1, 1 left out."""
    at = _HEADER + int(place * (len(frame) - _HEADER))
    return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]


def farewell(code: str, *, is_login: bool) -> Node:
    """The server's last word: a stream error, or the failure of a login. code: digits, or "replaced"."""
    if code == CONFLICT:
        return stream.stream_error(child=stream.conflict(CONFLICT))
    if is_login and code != _RESTART_REQUIRED:
        return stream.failure(int(code))
    return stream.stream_error(int(code))
