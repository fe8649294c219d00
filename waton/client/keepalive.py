"""Keepalive: pings that keep a quiet connection open, measure it, and notice when it is dead.

A dead connection looks like a quiet one: the network drops what is sent and nothing comes back. So it is asked, at
jittered intervals, and it counts as dead when

    no byte has arrived for `silence` seconds, or
    a ping has had no answer for `PATIENCE` seconds and nothing else has arrived since it was sent.

Whatever arrives is a sign of life; an answer also measures. Its round trip is the time between ping and answer; the
clock's skew is what the server's clock shows more than ours, taking the server's `t` for the middle of the round trip.
`t` counts whole seconds, so it is taken for the middle of its second: the error is half a second and half a round trip.

Source: whatsapp-rust src/keepalive.rs and src/unified_session.rs (midpoint rule), whatsmeow keepalive.go (10 s).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from waton.client.stream import Stream
from waton.errors import Disconnected, DisconnectReason, QueryTimeout
from waton.ports import Clock, Entropy
from waton.protocol.binary_node import Node, get_text
from waton.protocol.stanza import iq
from waton.protocol.trace import Layer, Tracer, Way

PATIENCE = 10.0
"""Seconds an answer to a ping may take."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When to ping, and when to give up. Times are seconds."""

    interval: float
    """Between pings; each is drawn from 80 to 120 % of it."""
    silence: float
    patience: float = PATIENCE

    def pause(self, dice: bytes) -> float:
        """Until the next ping. dice: 2 random bytes."""
        return self.interval * (0.8 + 0.4 * int.from_bytes(dice[:2], "big") / 0xFFFF)

    def wait(self, now: float, last_inbound: float) -> float:
        """How long a ping that is sent now may stay unanswered; the silence may be over sooner than the patience."""
        return max(0.0, min(self.patience, last_inbound + self.silence - now))


def clock_skew(t: str | None, sent: float, received: float) -> float | None:
    """Seconds that the server's clock is ahead of ours.

    Args:
        t: the server's Unix seconds, as the stanza says them.
        sent: our clock when we asked.
        received: our clock when the answer came.
    Returns:
        None when `t` is no time.
    """
    if t is None or not (t.isascii() and t.isdecimal() and 0 < len(t) < 12):
        return None
    return int(t) + 0.5 - (sent + received) / 2


class KeepAlive:
    """The pings of one connection.

    Args:
        stream: the connection.
        rhythm: when to ping.
        clock, entropy: time and dice.
        tracer: gets each measurement as a state trace "keepalive".
        next_id: makes ids for the pings.
        connection: the connection's number, for the traces.
        asked: our clock when the ClientPayload was sent, which `success` answers.
    """

    def __init__(
        self,
        stream: Stream,
        rhythm: Rhythm,
        *,
        clock: Clock,
        entropy: Entropy,
        tracer: Tracer,
        next_id: Callable[[], str],
        connection: int,
        asked: float,
    ) -> None:
        self._stream = stream
        self._rhythm = rhythm
        self._clock = clock
        self._entropy = entropy
        self._tracer = tracer
        self._next_id = next_id
        self._connection = connection
        self._asked = asked
        self.round_trip: float | None = None
        """Seconds, of the newest ping that was answered."""
        self.skew: float | None = None
        """Seconds that the server's clock is ahead of ours, by the newest measurement."""

    def welcomed(self, node: Node) -> None:
        """Take the success of a login: its `t` answers what we said of ourselves in the handshake."""
        self._measured("success", node, self._asked, self._stream.last_inbound, is_ping=False)

    async def run(self) -> None:
        """Ping until the connection is dead. Always raises: Disconnected."""
        while True:
            await asyncio.sleep(self._rhythm.pause(self._entropy.take(2)))
            if self._is_silent():
                raise Disconnected(DisconnectReason.LOST, None, "nothing arrived in time")
            await self._ping()

    async def _ping(self) -> None:
        sent, heard = self._clock.now(), self._stream.heard
        ping = iq.request(self._next_id(), iq.IqType.GET, "w:p", [Node("ping")])
        try:
            answer = await self._stream.ask(ping, self._rhythm.wait(sent, self._stream.last_inbound))
        except QueryTimeout:
            if self._is_silent() or self._stream.heard == heard:
                raise Disconnected(DisconnectReason.LOST, None, "a ping was not answered") from None
            self._trace({"unanswered": 1})
            return
        self._measured("ping", answer, sent, self._stream.last_inbound, is_ping=True)

    def _is_silent(self) -> bool:
        return self._clock.now() - self._stream.last_inbound > self._rhythm.silence

    def _measured(self, what: str, node: Node, sent: float, received: float, *, is_ping: bool) -> None:
        told: dict[str, str | int] = {"by": what}
        if is_ping:
            self.round_trip = max(0.0, received - sent)
            told["round_trip_ms"] = round(self.round_trip * 1000)
        skew = clock_skew(get_text(node, "t"), sent, received)
        if skew is not None:
            self.skew = skew
            told["skew_ms"] = round(skew * 1000)
        self._trace(told)

    def _trace(self, detail: dict[str, str | int]) -> None:
        self._tracer.add(
            Layer.STATE,
            Way.LOCAL,
            "keepalive",
            at=self._clock.now(),
            detail=json.dumps(detail),
            connection=self._connection,
        )
