"""Trace: one crossing of one layer, and the only thing that watches the protocol.

Every time bytes become meaning or meaning becomes bytes, and every time state changes, one `Trace` says so and names
its parent: wire -> frame -> node -> message -> state -> event. The recorder, the inspectors, the widgets, the lab and
the parity engine all read this one kind of record; nobody hooks in anywhere else.

A `Tracer` numbers traces; it is pure (time is an argument) and belongs to one side of one connection's owner (a client
session, a lab), so numbers grow over reconnects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from waton._core import Jid, Node


class Layer(StrEnum):
    """Which layer was crossed."""

    WIRE = "wire"
    """One WebSocket message, as bytes."""
    FRAME = "frame"
    """One length-prefixed frame: data is the decrypted plaintext with its flag byte (handshake: the frame itself)."""
    NODE = "node"
    """One stanza; data is its uncompressed encoding."""
    MESSAGE = "message"
    """One decrypted or about-to-be-encrypted Message protobuf; data is the protobuf, unpadded."""
    STATE = "state"
    """One transition of a state machine: name is the machine, detail is {"before", "after", ...}."""
    EVENT = "event"
    """One event handed to the user; name is the event's type, data its JSON."""


class Way(StrEnum):
    """Direction, seen from the side that traces."""

    IN = "in"
    OUT = "out"
    LOCAL = "local"


@dataclass(frozen=True, slots=True, repr=False)
class Trace:
    """One crossing of one layer."""

    seq: int
    """Number, from 1, growing by 1 within one tracer."""
    parent: int | None
    """seq of the crossing that led to this one."""
    at: float
    """Unix time in seconds."""
    layer: Layer
    way: Way
    name: str
    """Tag of a node, kind of a message, machine of a transition, type of an event, step of a handshake frame."""
    id: str = ""
    """The stanza's or message's id."""
    kind: str = ""
    """The stanza's `type` attribute (or a message's encryption type)."""
    xmlns: str = ""
    sender: str = ""
    """`from`, as text."""
    recipient: str = ""
    """`to`, as text."""
    size: int = 0
    """Bytes on this layer."""
    data: bytes = b""
    detail: str = ""
    """JSON object with what has no column; "" for none."""
    transition: int | None = None
    """The unit of work (ports.UnitOfWork.number) this belongs to."""
    connection: int = 0
    """Which connection of the owner: 1, 2, ... ; 0 when none is involved."""

    def __repr__(self) -> str:
        return f"<Trace {self.seq} {self.layer.value} {self.way.value} {self.name} {self.size} bytes>"


TraceSink: TypeAlias = Callable[[Sequence[Trace]], None]
"""Takes traces in order; must not block and must not raise."""


class Tracer:
    """Numbers traces and hands them to the sink at once."""

    __slots__ = ("_next", "_sink")

    def __init__(self, sink: TraceSink, first: int = 1) -> None:
        self._sink = sink
        self._next = first

    def add(
        self,
        layer: Layer,
        way: Way,
        name: str,
        *,
        at: float,
        parent: int | None = None,
        id: str = "",
        kind: str = "",
        xmlns: str = "",
        sender: str = "",
        recipient: str = "",
        size: int = 0,
        data: bytes = b"",
        detail: str = "",
        transition: int | None = None,
        connection: int = 0,
    ) -> int:
        """Record one crossing and return its seq."""
        seq = self._next
        self._next = seq + 1
        trace = Trace(
            seq,
            parent,
            at,
            layer,
            way,
            name,
            id,
            kind,
            xmlns,
            sender,
            recipient,
            size,
            data,
            detail,
            transition,
            connection,
        )
        self._sink((trace,))
        return seq

    def add_node(self, way: Way, node: Node, data: bytes, *, at: float, parent: int | None, connection: int) -> int:
        """Record a stanza with its columns filled from its attributes; data is its uncompressed encoding."""
        attrs = node.attrs
        return self.add(
            Layer.NODE,
            way,
            node.tag,
            at=at,
            parent=parent,
            id=_text(attrs.get("id")),
            kind=_text(attrs.get("type")),
            xmlns=_text(attrs.get("xmlns")),
            sender=_text(attrs.get("from")),
            recipient=_text(attrs.get("to")),
            size=len(data),
            data=data,
            connection=connection,
        )


def _text(value: str | Jid | None) -> str:
    return "" if value is None else str(value)
