"""The wire: one binary WebSocket, on aiohttp.

The Origin header is the web client's. permessage-deflate is not offered: what passes is ciphertext. Messages are
limited to one frame's size and a little, so that a peer cannot fill the memory.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress

import aiohttp

from waton.errors import Disconnected, DisconnectReason

ORIGIN = "https://web.whatsapp.com"
_LIMIT = (1 << 24) + 1024
CLOSING = 2.0
"""Seconds that the peer may take to say goodbye."""


class WebSocketTransport:
    """ports.Transport over a client WebSocket."""

    def __init__(self, session: aiohttp.ClientSession, opened: aiohttp.ClientWebSocketResponse) -> None:
        self._session = session
        self._socket = opened

    async def send(self, data: bytes) -> None:
        """Write one binary message. Raises Disconnected."""
        try:
            await self._socket.send_bytes(data)
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Disconnected(DisconnectReason.CLOSED, None, type(error).__name__) from error

    async def receive(self) -> bytes:
        """The next binary message; text messages are not part of the protocol. Raises Disconnected."""
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.BINARY:
            return bytes(message.data)
        detail = f"websocket {message.type.name.lower()}"
        raise Disconnected(DisconnectReason.CLOSED, self._socket.close_code, detail)

    async def close(self) -> None:
        """Close; never raises, may be called twice. Whoever still waits to write is told that it is over."""
        wire = self._socket.get_extra_info("socket")
        with suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            async with asyncio.timeout(CLOSING):
                await self._socket.close()
        await self._session.close()
        if wire is not None:
            with suppress(OSError):  # closed already; else a peer that does not read would hold up a writer for minutes
                wire.shutdown(socket.SHUT_RDWR)


class WebSocketConnector:
    """ports.Connector for ws:// and wss:// URLs.

    Args:
        ca_pem: certificates to trust for wss, instead of the system's; a lab's throwaway certificate.
    """

    def __init__(self, ca_pem: str | None = None) -> None:
        self._ca_pem = ca_pem

    async def __call__(self, url: str) -> WebSocketTransport:
        """Raises Disconnected when the server cannot be reached or refuses the upgrade."""
        session = aiohttp.ClientSession()
        try:
            opened = await session.ws_connect(
                url, origin=ORIGIN, max_msg_size=_LIMIT, compress=0, autoping=True, ssl=self._tls()
            )
        except (aiohttp.ClientError, OSError) as error:
            await session.close()
            raise Disconnected(DisconnectReason.CLOSED, None, type(error).__name__) from error
        except BaseException:
            await session.close()
            raise
        return WebSocketTransport(session, opened)

    def _tls(self) -> ssl.SSLContext | bool:
        return True if self._ca_pem is None else ssl.create_default_context(cadata=self._ca_pem)
