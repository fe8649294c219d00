"""What the client's parts are handed in these tests: a clock that stands, a wire in memory, a server's end of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tests.unit.protocol.wires import NOW, client_handshake, server_handshake
from waton.client.event_pipeline import EventPipeline, Step
from waton.client.stream import NodeHandler, Stream
from waton.errors import Disconnected, DisconnectReason
from waton.ports import Store
from waton.protocol.binary_node import Node
from waton.protocol.connection import Connection, NodeReceived
from waton.protocol.trace import Trace, Tracer


class StandingClock:
    """ports.Clock: moves only when told."""

    def __init__(self, time: float = NOW) -> None:
        self.time = time

    def now(self) -> float:
        return self.time


@asynccontextmanager
async def step_of(store: Store) -> AsyncGenerator[Step]:
    """One unit of work of a client that there is not."""
    async with EventPipeline(store, Tracer(lambda traces: None), StandingClock()).step() as step:
        yield step


async def settle() -> None:
    """Let everything that can go on go on."""
    for _ in range(50):
        await asyncio.sleep(0)


class MemoryWire:
    """ports.Transport: the client's end of a wire in memory."""

    def __init__(self) -> None:
        self.up: asyncio.Queue[bytes] = asyncio.Queue()
        self.down: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.closes = 0

    async def send(self, data: bytes) -> None:
        if self.closes:
            raise Disconnected(DisconnectReason.CLOSED, 1006)
        self.up.put_nowait(data)

    async def receive(self) -> bytes:
        data = await self.down.get()
        if data is None:
            raise Disconnected(DisconnectReason.CLOSED, 1006)
        return data

    async def close(self) -> None:
        self.closes += 1


class ServerEnd:
    """The other end: a server's Connection that the test works by hand."""

    def __init__(self, wire: MemoryWire) -> None:
        self.wire = wire
        self.noise = server_handshake()
        self.connection = Connection(self.noise, Tracer(lambda traces: None))
        self.connection.start(NOW)

    async def shake_hands(self) -> None:
        for _ in range(2):
            self.connection.receive(await self.wire.up.get(), NOW)
            self.write()
        self.connection.events()

    def write(self) -> None:
        for data in self.connection.data_to_send():
            self.wire.down.put_nowait(data)

    def send(self, *nodes: Node) -> None:
        """Each stanza in a message of its own."""
        for node in nodes:
            self.connection.send(node, NOW)
        self.write()

    async def receive(self) -> Node:
        """The next stanza from the client."""
        self.connection.receive(await self.wire.up.get(), NOW)
        [event] = self.connection.events()
        assert isinstance(event, NodeReceived)
        return event.node


class Live:
    """A stream that has shaken hands and is being read, with both of its ends."""

    def __init__(self, on_node: NodeHandler | None = None) -> None:
        self.wire = MemoryWire()
        self.server = ServerEnd(self.wire)
        self.clock = StandingClock()
        self.received: list[Node] = []
        self.traces: list[Trace] = []
        self.connection = Connection(client_handshake(), Tracer(self.traces.extend))
        self.stream = Stream(self.wire, self.connection, self.clock, on_node or self._keep)

    async def _keep(self, event: NodeReceived) -> None:
        self.received.append(event.node)

    async def open(self) -> None:
        await asyncio.gather(self.stream.handshake(20.0), self.server.shake_hands())


@asynccontextmanager
async def live(on_node: NodeHandler | None = None) -> AsyncGenerator[Live]:
    """A live stream; the reading task ends with the block."""
    made = Live(on_node)
    await made.open()
    reading = asyncio.create_task(made.stream.run())
    try:
        yield made
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
