"""Keepalive: when it pings, what it measures, and what it takes for death."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

import pytest

from tests.unit.client.worlds import Live, live, settle
from tests.unit.protocol.wires import NOW, Dice
from waton.client.keepalive import KeepAlive, Rhythm, clock_skew
from waton.errors import Disconnected, DisconnectReason
from waton.jid import SERVER, Jid
from waton.protocol.binary_node import Node
from waton.protocol.stanza import iq
from waton.protocol.trace import Layer, Trace, Tracer

LOWEST, HIGHEST = b"\x00\x00", b"\xff\xff"
BUSY = Node("message", {"id": "1", "from": Jid.parse("4915000000002@s.whatsapp.net"), "t": "5"})


@dataclass
class Pinging:
    """A keepalive on a live stream, whose clock stands unless it is moved."""

    world: Live
    rhythm: Rhythm = field(default_factory=lambda: Rhythm(0.0, 35.0))
    asked: float = NOW

    def __post_init__(self) -> None:
        self.traces: list[Trace] = []
        self.keepalive = KeepAlive(
            self.world.stream,
            self.rhythm,
            clock=self.world.clock,
            entropy=Dice("keepalive"),
            tracer=Tracer(self.traces.extend),
            next_id=lambda: "p1",
            connection=7,
            asked=self.asked,
        )

    async def ping(self) -> asyncio.Task[None]:
        """One ping under way, and seen by the server."""
        pinging = asyncio.create_task(self.keepalive._ping())
        assert await self.world.server.receive() == iq.request("p1", iq.IqType.GET, "w:p", [Node("ping")])
        return pinging

    def told(self) -> list[dict[str, object]]:
        assert {(trace.layer, trace.name, trace.connection) for trace in self.traces} <= {(Layer.STATE, "keepalive", 7)}
        return [json.loads(trace.detail) for trace in self.traces]


def pong(t: str | None = None) -> Node:
    return Node("iq", {"from": SERVER, "type": "result", "id": "p1", "t": t})


# --- the rhythm -------------------------------------------------------------------------------------------------------


def test_pauses_lie_around_the_interval() -> None:
    rhythm = Rhythm(25.0, 35.0)
    assert rhythm.pause(LOWEST) == 20.0
    assert rhythm.pause(HIGHEST) == pytest.approx(30.0)
    assert len({rhythm.pause(bytes([high, 0])) for high in range(16)}) == 16


@pytest.mark.parametrize(
    ("heard_ago", "waits"), [(0.0, 10.0), (24.0, 10.0), (25.0, 10.0), (30.0, 5.0), (35.0, 0.0), (99.0, 0.0)]
)
def test_a_ping_waits_for_its_patience_or_until_the_silence_is_over(heard_ago: float, waits: float) -> None:
    assert Rhythm(25.0, 35.0).wait(NOW, NOW - heard_ago) == waits


@pytest.mark.parametrize(
    ("t", "sent", "received", "skew"),
    [
        ("1000", 1000.0, 1001.0, 0.0),
        ("1000", 1000.4, 1000.6, 0.0),
        ("1005", 1000.0, 1001.0, 5.0),
        ("995", 1000.0, 1001.0, -5.0),
        ("1000", 1000.0, 1010.0, -4.5),
        ("0", 0.0, 1.0, 0.0),
    ],
)
def test_the_servers_second_is_taken_for_the_middle_of_the_round_trip(
    t: str, sent: float, received: float, skew: float
) -> None:
    assert clock_skew(t, sent, received) == pytest.approx(skew)


@pytest.mark.parametrize("t", [None, "", "-5", "1.5", "now", "²", "9" * 12, "9" * 5000])
def test_what_is_no_time_measures_nothing(t: str | None) -> None:
    assert clock_skew(t, NOW, NOW) is None


# --- measuring --------------------------------------------------------------------------------------------------------


async def test_an_answer_measures_round_trip_and_clock() -> None:
    async with live() as world:
        pinging = Pinging(world)
        task = await pinging.ping()
        world.clock.time += 0.250
        world.server.send(pong(str(int(NOW) + 60)))
        await task
        assert pinging.keepalive.round_trip == pytest.approx(0.25)
        assert pinging.keepalive.skew == pytest.approx(60.375)
        assert pinging.told() == [{"by": "ping", "round_trip_ms": 250, "skew_ms": 60375}]


async def test_an_answer_without_a_time_measures_the_round_trip_alone() -> None:
    async with live() as world:
        pinging = Pinging(world)
        task = await pinging.ping()
        world.clock.time += 1.0
        world.server.send(pong())
        await task
        assert (pinging.keepalive.round_trip, pinging.keepalive.skew) == (1.0, None)
        assert pinging.told() == [{"by": "ping", "round_trip_ms": 1000}]


async def test_an_error_is_an_answer() -> None:
    async with live() as world:
        pinging = Pinging(world)
        task = await pinging.ping()
        world.server.send(iq.error(iq.request("p1", iq.IqType.GET, "w:p"), 501, "feature-not-implemented"))
        await task
        assert pinging.keepalive.round_trip == 0.0


async def test_a_clock_that_was_set_back_makes_no_negative_round_trip() -> None:
    async with live() as world:
        pinging = Pinging(world)
        task = await pinging.ping()
        world.clock.time -= 3600
        world.server.send(pong())
        await task
        assert pinging.keepalive.round_trip == 0.0


async def test_the_welcome_measures_the_clock_too() -> None:
    async with live() as world:
        pinging = Pinging(world, asked=NOW - 2.0)
        pinging.keepalive.welcomed(Node("success", {"t": str(int(NOW) - 1)}))
        assert (pinging.keepalive.round_trip, pinging.keepalive.skew) == (None, 0.5)
        pinging.keepalive.welcomed(Node("success"))
        assert pinging.told() == [{"by": "success", "skew_ms": 500}, {"by": "success"}]


# --- dying ------------------------------------------------------------------------------------------------------------


async def lost(keepalive: KeepAlive) -> Disconnected:
    with pytest.raises(Disconnected) as gone:
        await keepalive.run()
    assert gone.value.reason is DisconnectReason.LOST
    return gone.value


async def test_silence_ends_the_connection_without_another_ping() -> None:
    async with live() as world:
        world.clock.time += 35.1
        assert "nothing arrived" in (await lost(Pinging(world).keepalive)).detail
        assert world.wire.up.empty()


async def test_a_ping_without_an_answer_ends_the_connection() -> None:
    async with live() as world:
        assert "ping" in (await lost(Pinging(world, Rhythm(0.0, 35.0, patience=0.0)).keepalive)).detail
        assert not world.wire.up.empty()


async def test_whatever_arrives_after_a_ping_is_life() -> None:
    async with live() as world:
        pinging = Pinging(world, Rhythm(0.0, 35.0, patience=0.05))
        task = await pinging.ping()
        world.clock.time += 1.0
        world.server.send(BUSY)
        await task
        assert pinging.told() == [{"unanswered": 1}]
        assert pinging.keepalive.round_trip is None


async def test_what_arrived_before_the_ping_is_none() -> None:
    async with live() as world:
        world.clock.time += 1.0
        world.server.send(BUSY)
        await settle()
        assert world.received == [BUSY]
        await lost(Pinging(world, Rhythm(0.0, 35.0, patience=0.0)).keepalive)


async def test_it_pings_on_until_then() -> None:
    async with live() as world:
        keepalive = Pinging(world).keepalive
        running = asyncio.create_task(lost(keepalive))
        for _ in range(5):
            await world.server.receive()
            world.clock.time += 30.0
            world.server.send(pong())
        await world.server.receive()
        assert keepalive.round_trip == 30.0
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_stream_that_has_ended_ends_it_with_its_own_reason() -> None:
    async with live() as world:
        await world.stream.close(Disconnected(DisconnectReason.REPLACED, 440))
        with pytest.raises(Disconnected) as gone:
            await Pinging(world).keepalive.run()
        assert gone.value.reason is DisconnectReason.REPLACED


async def test_a_clock_that_was_set_back_does_not_hide_a_dead_connection() -> None:
    async with live() as world:
        world.server.send(BUSY)
        await settle()
        world.clock.time -= 3600
        assert "ping" in (await lost(Pinging(world, Rhythm(0.0, 35.0, patience=0.01)).keepalive)).detail


async def test_a_peer_that_reads_nothing_is_as_dead_as_one_that_says_nothing() -> None:
    async with live() as world:
        reads = asyncio.Event()

        async def stalls(data: bytes) -> None:
            await reads.wait()

        world.wire.send = stalls
        writing = asyncio.create_task(world.stream.send(BUSY))
        await settle()
        async with asyncio.timeout(5):
            assert "ping" in (await lost(Pinging(world, Rhythm(0.0, 35.0, patience=0.01)).keepalive)).detail
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
