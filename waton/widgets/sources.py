"""What widgets ask of whatever stands behind them. A live session has all three; a capture could have the second.

Callbacks may come on any thread and must be quick: a widget only takes note and hops to its own thread. Every `on_...`
returns the way to stop it, which may be called from any thread and more than once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeAlias

from waton.client.events import ConnectionUpdate, Event, MessagesUpsert
from waton.protocol.trace import Trace

Unsubscribe: TypeAlias = Callable[[], None]


class PairingSource(Protocol):
    """A connection that may have to be paired."""

    @property
    def connection(self) -> ConnectionUpdate:
        """The newest update."""
        ...

    @property
    def can_scan(self) -> bool:
        """True when a phone of ours can scan the QR on show (the lab's)."""
        ...

    def on_connection(self, callback: Callable[[ConnectionUpdate], None], /) -> Unsubscribe: ...

    def lab_scan(self) -> Future[None]:
        """Have that phone scan the QR on show; does not wait. Raises LabError when there is none."""
        ...


class TraceSource(Protocol):
    """Something that records."""

    def tail(self, count: int, /) -> Sequence[Trace]:
        """The last `count` traces at most, oldest first."""
        ...

    def on_traces(self, callback: Callable[[Sequence[Trace]], None], /) -> Unsubscribe: ...

    def payload(self, seq: int, /) -> bytes:
        """The bytes of one trace; for a node its uncompressed encoding."""
        ...

    def trace_count(self) -> int:
        """How many traces were recorded, on all layers."""
        ...


class ChatSource(Protocol):
    """Something that sends and receives texts."""

    def send_text_soon(self, to: str, text: str, /) -> Future[str]:
        """Begin to send; does not wait. The future has the message's id, or says what went wrong."""
        ...

    def on_event(self, callback: Callable[[Event], None], /) -> Unsubscribe: ...

    def recent_messages(self, count: int, /) -> Sequence[MessagesUpsert]:
        """The last messages sent and received, oldest first."""
        ...
