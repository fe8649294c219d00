"""Status: where a client stands, told to whoever waits and to whoever subscribed.

One value at a time (`update`), moved by the client and its supervisor; each move is traced and published.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from waton.client.events import ConnectionStatus, ConnectionUpdate
from waton.errors import Disconnected, DisconnectReason
from waton.protocol.trace import Layer, Way

if TYPE_CHECKING:
    from waton.client.client import Client


class Status:
    """The latest ConnectionUpdate of one client, and those who wait for another."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._changed = asyncio.Event()
        self.update = ConnectionUpdate(ConnectionStatus.IDLE)

    @property
    def now(self) -> ConnectionStatus:
        return self.update.status

    async def wait_for(self, status: ConnectionStatus, timeout: float | None) -> None:
        """Wait until this status. Raises TimeoutError, or why the client closed instead."""
        async with asyncio.timeout(timeout):
            while self.update.status is not status:
                if self.update.status is ConnectionStatus.CLOSED:
                    raise self.update.error or Disconnected(DisconnectReason.LOCAL)
                await self._changed.wait()

    def move(
        self,
        status: ConnectionStatus,
        *,
        qr: str | None = None,
        qr_expires_at: float | None = None,
        qr_left: int = 0,
        error: Exception | None = None,
        retry_at: float | None = None,
    ) -> None:
        """Go to this status, or tell something new about the present one."""
        before = self.update.status
        mine = self._client.known_credentials
        self.update = ConnectionUpdate(
            status,
            qr=qr,
            qr_expires_at=qr_expires_at,
            qr_left=qr_left,
            me=None if mine is None else mine.me,
            lid=None if mine is None else mine.lid,
            error=error,
            retry_at=retry_at,
        )
        if before is not status:
            self._trace(before, status, error)
        self._client.pipeline.publish(self.update)
        self._changed.set()
        self._changed.clear()

    def _trace(self, before: ConnectionStatus, status: ConnectionStatus, error: Exception | None) -> None:
        detail: dict[str, str] = {"before": before.value, "after": status.value}
        if error is not None:
            detail["error"] = f"{type(error).__name__}: {error}"
        if isinstance(error, Disconnected):
            detail["reason"] = error.reason.name.lower()
        client = self._client
        client.tracer.add(
            Layer.STATE,
            Way.LOCAL,
            "client",
            at=client.clock.now(),
            detail=json.dumps(detail),
            connection=client.supervisor.connections,
        )
