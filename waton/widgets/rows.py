"""One row of the frames view: a trace without its bytes, and what is told of it when someone asks for more."""

from __future__ import annotations

import json
from typing import NamedTuple, TypeAlias

from waton.errors import DecodeError
from waton.protocol.binary_node import decode_node, to_xml
from waton.protocol.trace import Layer, Trace, Way

_CELL = 160
"""Characters of one cell. A peer chooses ids and addresses, also their length."""
_DETAIL = 200_000
"""Characters of one detail. A message to the front end should stay well under 1 MB."""
_HEX_BYTES = 4096

WireRow: TypeAlias = "list[str | int | float]"
"""seq, at, way, name, id, kind, xmlns, peer, size: what rows.js draws, in this order."""


class Row(NamedTuple):
    """The columns of a trace. A NamedTuple: thousands are made each second."""

    seq: int
    at: float
    layer: Layer
    way: Way
    name: str
    id: str
    kind: str
    xmlns: str
    sender: str
    recipient: str
    size: int
    parent: int | None
    detail: str

    def to_wire(self) -> WireRow:
        peer = self.recipient if self.way is Way.OUT else self.sender
        return [
            self.seq,
            round(self.at, 6),
            self.way.value,
            self.name[:_CELL],
            self.id[:_CELL],
            self.kind[:_CELL],
            self.xmlns[:_CELL],
            (peer or self.recipient or self.sender)[:_CELL],
            self.size,
        ]


def row_of(trace: Trace) -> Row:
    """The row of a trace; lets go of the trace's bytes."""
    return Row(
        trace.seq,
        trace.at,
        trace.layer,
        trace.way,
        trace.name,
        trace.id,
        trace.kind,
        trace.xmlns,
        trace.sender,
        trace.recipient,
        trace.size,
        trace.parent,
        trace.detail,
    )


def detail_text(row: Row, data: bytes) -> str:
    """What is behind a row: a node's XML, a transition's values, otherwise the bytes."""
    parts: list[str] = []
    if row.layer is Layer.NODE:
        parts.append(_xml(data))
    elif data:
        parts.append(hex_dump(data))
    if row.detail:
        parts.append(_json(row.detail))
    text = "\n\n".join(parts) or "nothing more was recorded"
    return text if len(text) <= _DETAIL else f"{text[:_DETAIL]}\n… cut here, {len(text) - _DETAIL:,} characters follow"


def hex_dump(data: bytes) -> str:
    """Offset, 16 bytes, and the printable ones, line by line."""
    lines = [f"{at:06x}  {_hex_line(data[at : at + 16])}" for at in range(0, min(len(data), _HEX_BYTES), 16)]
    if len(data) > _HEX_BYTES:
        lines.append(f"… {len(data) - _HEX_BYTES:,} more bytes")
    return "\n".join(lines)


def _hex_line(part: bytes) -> str:
    printable = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in part)
    return f"{part[:8].hex(' '):<23}  {part[8:].hex(' '):<23}  {printable}"


def _xml(data: bytes) -> str:
    try:
        return to_xml(decode_node(data), max_bytes=_HEX_BYTES)
    except DecodeError as error:
        return f"{error}\n\n{hex_dump(data)}"


def _json(detail: str) -> str:
    try:
        return json.dumps(json.loads(detail), indent=2, ensure_ascii=False)
    except ValueError:
        return detail
