"""Stream: one connection's life, from the open wire to its end.

It owns a Transport and a protocol Connection, writes in the order stanzas were encrypted, matches answers to queries,
and hands every other stanza to its owner in the order of arrival. It does not know what stanzas mean, and it never
reconnects: that is the client's business. When it ends, every pending query fails with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from waton.errors import Disconnected, DisconnectReason, QueryTimeout, RemoteProtocolError, WatonError
from waton.ports import Clock, Transport
from waton.protocol.binary_node import Node, get_text, require_text
from waton.protocol.connection import Connection, ConnectionState, HandshakeFinished, NodeReceived
from waton.protocol.stanza import iq

NodeHandler = Callable[[NodeReceived], Awaitable[None]]


class Stream:
    """One live connection.

    Args:
        transport: an open wire; the stream closes it.
        connection: a fresh protocol connection.
        clock: time for traces and liveness.
        on_node: gets every stanza that is not an answer to a query, one after the other.
    """

    def __init__(self, transport: Transport, connection: Connection, clock: Clock, on_node: NodeHandler) -> None:
        self._transport = transport
        self._connection = connection
        self._clock = clock
        self._on_node = on_node
        self._write_lock = asyncio.Lock()
        self._pending: dict[str, asyncio.Future[Node]] = {}
        self._closed: WatonError | None = None
        self._early: list[NodeReceived] = []
        self.last_inbound = clock.now()
        """When bytes last arrived, Unix seconds."""
        self.heard = 0
        """How often bytes have arrived: what no clock that is set back can hide."""

    @property
    def is_closed(self) -> bool:
        return self._closed is not None

    async def handshake(self, timeout: float) -> HandshakeFinished:
        """Run the Noise handshake. Raises Disconnected, HandshakeError or another RemoteProtocolError."""
        try:
            async with asyncio.timeout(timeout):
                self._connection.start(self._clock.now())
                await self._flush()
                while (finished := await self._receive_handshake()) is None:
                    pass
        except TimeoutError:
            raise Disconnected(DisconnectReason.LOST, None, "no answer to the handshake") from None
        return finished

    async def _receive_handshake(self) -> HandshakeFinished | None:
        await self._read_once()
        await self._flush()
        finished: HandshakeFinished | None = None
        for event in self._connection.events():
            if isinstance(event, HandshakeFinished):
                finished = event
            else:
                self._early.append(event)  # the answer to a resumed handshake may have stanzas right behind it
        return finished

    async def run(self) -> None:
        """Read until the stream ends. Always raises: Disconnected, or the error that ended it."""
        early, self._early = self._early, []
        for event in early:
            await self._dispatch(event)
        while True:
            await self._read_once()
            for event in self._connection.events():
                if isinstance(event, NodeReceived):
                    await self._dispatch(event)

    async def _read_once(self) -> None:
        try:
            data = await self._transport.receive()
        except Disconnected as error:
            # A wire that we closed ourselves ends for our reason, not for its own.
            raise self._closed or error from error
        if self._closed is not None:
            raise self._closed  # what still arrived belongs to a connection that is over
        self.last_inbound = self._clock.now()
        self.heard += 1
        try:
            self._connection.receive(data, self.last_inbound)
        except RemoteProtocolError:
            # What was understood before the fault still counts.
            for event in self._connection.events():
                if isinstance(event, NodeReceived):
                    await self._dispatch(event)
            raise

    async def _dispatch(self, event: NodeReceived) -> None:
        node = event.node
        id = get_text(node, "id")
        waiting = self._pending.get(id) if id is not None and _is_answer(node) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(node)
            return
        await self._on_node(event)

    async def send(self, node: Node, parent: int | None = None) -> None:
        """Write one stanza. Raises Disconnected when the stream has ended."""
        if self._closed is not None:
            raise self._gone()
        async with self._write_lock:
            # A fault on the way in, or close() while we waited, has closed the connection: a lost wire to the sender.
            if self._connection.state is ConnectionState.CLOSED:
                raise self._gone()
            self._connection.send(node, self._clock.now(), parent)
            await self._flush_locked()

    async def query(self, node: Node, timeout: float, parent: int | None = None) -> Node:
        """Send an iq and await its answer.

        Raises:
            IqError: the server said error.
            QueryTimeout: no answer in time.
            Disconnected: the stream ended first.
        """
        return iq.raise_for_error(await self.ask(node, timeout, parent))

    async def ask(self, node: Node, timeout: float, parent: int | None = None) -> Node:
        """Send any stanza with an id and await the iq or ack that repeats it; errors in it are not raised.

        The time counts from now on: a peer that reads nothing holds up the writing, not only the answer.
        """
        id = require_text(node, "id")
        try:
            async with asyncio.timeout(timeout):
                return await (await self.post(node, parent))
        except TimeoutError:
            raise QueryTimeout(id, timeout) from None

    async def post(self, node: Node, parent: int | None = None) -> asyncio.Future[Node]:
        """Send a stanza with an id; the future gets the iq or ack that repeats it."""
        id = require_text(node, "id")
        waiting: asyncio.Future[Node] = asyncio.get_running_loop().create_future()
        self._pending[id] = waiting
        waiting.add_done_callback(lambda _: self._pending.pop(id, None))
        try:
            await self.send(node, parent)
        except BaseException:
            waiting.cancel()
            raise
        return waiting

    async def answer(self, waiting: asyncio.Future[Node], id: str, timeout: float) -> Node:
        """Await a posted stanza's answer. Raises QueryTimeout, Disconnected."""
        try:
            async with asyncio.timeout(timeout):
                return await waiting
        except TimeoutError:
            raise QueryTimeout(id, timeout) from None

    async def close(self, reason: WatonError) -> None:
        """End the stream: pending queries fail with `reason`. May be called twice."""
        if self._closed is None:
            self._closed = reason
            self._connection.close(self._clock.now())
            for waiting in list(self._pending.values()):
                if not waiting.done():
                    waiting.set_exception(self._gone())
        await self._transport.close()

    def _gone(self) -> Disconnected:
        if isinstance(self._closed, Disconnected):
            return Disconnected(self._closed.reason, self._closed.code, self._closed.detail)
        return Disconnected(DisconnectReason.PROTOCOL, None, str(self._closed or ""))

    async def _flush(self) -> None:
        async with self._write_lock:
            await self._flush_locked()

    async def _flush_locked(self) -> None:
        for data in self._connection.data_to_send():
            await self._transport.send(data)


def _is_answer(node: Node) -> bool:
    if node.tag == "iq":
        return get_text(node, "type") in (iq.IqType.RESULT, iq.IqType.ERROR)
    return node.tag == "ack" and get_text(node, "class") in ("message", "receipt", "notification", "call")


async def cancel(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait until it is gone."""
    if task is not None and not task.done():
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
