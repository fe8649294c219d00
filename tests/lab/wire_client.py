"""The smallest client that can speak to the lab over a real socket: one protocol Connection on an aiohttp WebSocket.

It knows stanzas and nothing of what they mean, so that a test says everything itself. waton.client is not involved.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from waton.jid import Jid
from waton.lab.server import Lab
from waton.protocol import adv
from waton.protocol.binary_node import Node
from waton.protocol.client_payload import Browser, login_payload, registration_payload
from waton.protocol.connection import Connection, HandshakeFinished, NodeReceived
from waton.protocol.credentials import Credentials
from waton.protocol.noise import ClientHandshake
from waton.protocol.stanza import iq, pairing
from waton.protocol.stanza.pairing import PairSuccess, QrText
from waton.protocol.trace import Tracer


class Listening(Protocol):
    """What a client must know of a lab."""

    @property
    def url(self) -> str: ...

    @property
    def root(self) -> bytes: ...

    @property
    def ca_pem(self) -> str | None: ...


class Closed(Exception):
    """The lab closed the socket."""


class WireClient:
    """One connection to the lab."""

    def __init__(
        self, socket: ClientWebSocketResponse, connection: Connection, cut: Callable[[bytes], list[bytes]]
    ) -> None:
        self.socket = socket
        self.connection = connection
        self._cut = cut
        self._nodes: list[Node] = []

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        lab: Listening,
        credentials: Credentials,
        *,
        payload: bytes | None = None,
        url: str | None = None,
        cut: Callable[[bytes], list[bytes]] = lambda data: [data],
    ) -> AsyncGenerator[WireClient]:
        """Connect and finish the handshake.

        Args:
            lab: whom to; its root is trusted.
            credentials: the device's keys.
            payload: what to say of oneself; by default a registration or, when paired, a login.
            url: the lab's plain one by default.
            cut: how to cut what is written into WebSocket messages.
        """
        if payload is None:
            me = credentials.me
            payload = registration_payload(credentials, Browser()) if me is None else login_payload(me, Browser())
        handshake = ClientHandshake(
            static_private=credentials.noise_key.private,
            ephemeral_private=os.urandom(32),
            payload=payload,
            root=lab.root,
        )
        trust = ssl.create_default_context(cadata=lab.ca_pem) if lab.ca_pem is not None else True
        async with ClientSession() as session, session.ws_connect(url or lab.url, ssl=trust) as socket:
            client = cls(socket, Connection(handshake, Tracer(lambda traces: None)), cut)
            client.connection.start(time.time())
            await client.flush()
            while not await client._receive():
                pass
            yield client

    async def flush(self) -> None:
        """Write what the connection wants written."""
        for data in self.connection.data_to_send():
            for piece in self._cut(data):
                await self.socket.send_bytes(piece)

    async def _receive(self) -> bool:
        """Take one WebSocket message; True when it finished the handshake. Raises Closed."""
        message = await self.socket.receive(timeout=10)
        if message.type is not WSMsgType.BINARY:
            raise Closed(message.type.name)
        self.connection.receive(message.data, time.time())
        events = self.connection.events()
        await self.flush()
        self._nodes += [event.node for event in events if isinstance(event, NodeReceived)]
        return any(isinstance(event, HandshakeFinished) for event in events)

    async def send(self, node: Node) -> None:
        self.connection.send(node, time.time())
        await self.flush()

    async def next(self, tag: str | None = None) -> Node:
        """The next stanza (of this tag; others are dropped). Raises Closed."""
        while True:
            while not self._nodes:
                await self._receive()
            node = self._nodes.pop(0)
            if tag is None or node.tag == tag:
                return node

    async def closed(self) -> None:
        """Read on until the lab closes the socket."""
        try:
            while True:
                await self.next()
        except Closed:
            return


def new_credentials() -> Credentials:
    return Credentials.generate(os.urandom)


async def pair(lab: Lab, credentials: Credentials | None = None) -> Credentials:
    """Pair a new device with the lab's default phone; its credentials."""
    mine = new_credentials() if credentials is None else credentials
    async with WireClient.open(lab, mine) as client:
        offer = await client.next("iq")
        await client.send(iq.client_result(offer))
        keys = (mine.noise_key.public, mine.identity_key.public, mine.adv_secret)
        scan = lab.phones[0].scan(QrText(pairing.refs_of(offer)[0], *keys).encode())
        success = await _answer(client, mine, scan)
        assert (await client.next("stream:error")).attrs["code"] == "515"
        await client.closed()
    return success


async def _answer(client: WireClient, mine: Credentials, scan: Coroutine[Any, Any, Jid]) -> Credentials:
    scanning = asyncio.create_task(scan)
    success = PairSuccess.from_node(await client.next("iq"))
    verified = adv.verify_identity(
        success.container, adv_secret=mine.adv_secret, identity=mine.identity_key, entropy=os.urandom(64)
    )
    await client.send(pairing.pair_device_sign(success.id, verified.key_index, verified.reply))
    assert await scanning == success.jid
    return mine.evolve(me=success.jid, lid=success.lid, account=verified.account)
