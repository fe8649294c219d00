"""Two cycles of the same story: connect, send, wait for the receipt; then lose the connection, and all of it again.

Against the lab by default. Against the real service only when somebody says so, with an account that is paired already:

    WATON_RUN_LIVE_RELIABILITY=1  WATON_LIVE_ACCOUNT=/path/to/account  WATON_LIVE_TO=15550001234  pytest -k live

The account is a directory with the account.db of `waton.connect("whatsapp", path=...)`; WATON_LIVE_TO is whom to write
to, our own number when it is not set. Unofficial use of the service, at your own risk.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import waton
from waton.api import Session
from waton.client.events import ConnectionStatus, ConnectionUpdate, Event, MessageStatus, MessagesUpdate

IS_LIVE = os.environ.get("WATON_RUN_LIVE_RELIABILITY") == "1"
SECONDS = 90.0 if IS_LIVE else 20.0
pytestmark = pytest.mark.timeout(600 if IS_LIVE else 90)


class Watch:
    """What a session has told, to wait on from the test's own loop."""

    def __init__(self, session: Session) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Condition()
        self.statuses: dict[str, MessageStatus] = {}
        self.connections: list[ConnectionStatus] = []
        self._stop = session.on_event(self._hear)

    def _hear(self, event: Event) -> None:
        asyncio.run_coroutine_threadsafe(self._keep(event), self._loop)

    async def _keep(self, event: Event) -> None:
        async with self._changed:
            if isinstance(event, MessagesUpdate):
                self.statuses[event.key.id] = max(event.status, self.statuses.get(event.key.id, event.status))
            elif isinstance(event, ConnectionUpdate):
                self.connections.append(event.status)
            self._changed.notify_all()

    async def delivered(self, id: str) -> MessageStatus:
        """Wait until a message of ours has reached a device of the reader's."""
        async with asyncio.timeout(SECONDS), self._changed:
            await self._changed.wait_for(
                lambda: self.statuses.get(id, MessageStatus.PENDING) >= MessageStatus.DELIVERED
            )
        return self.statuses[id]

    async def opened_again(self) -> None:
        """Wait until the connection was lost and is open again; forgets what it has seen."""
        async with asyncio.timeout(SECONDS), self._changed:
            await self._changed.wait_for(
                lambda: (
                    ConnectionStatus.RECONNECTING in self.connections and self.connections[-1] is ConnectionStatus.OPEN
                )
            )
            self.connections.clear()

    def close(self) -> None:
        self._stop()


@asynccontextmanager
async def connected(tmp_path: Path) -> AsyncGenerator[tuple[Session, str]]:
    """An open session, and whom to write to."""
    if IS_LIVE:
        account = Path(os.environ["WATON_LIVE_ACCOUNT"])
        assert (account / "account.db").exists(), "WATON_LIVE_ACCOUNT names no paired account"
        async with waton.connect("whatsapp", path=account) as session:
            await session.wait_open(SECONDS)
            assert session.me is not None
            yield session, os.environ.get("WATON_LIVE_TO") or session.me.user
        return
    with waton.start_lab(path=tmp_path / "lab") as lab:
        async with waton.connect(lab, path=tmp_path / "account") as session:
            await session.scan_with_lab()
            await session.wait_open(SECONDS)
            yield session, str(lab.contact("Ada").lid)


async def test_send_receipt_reconnect_and_again(tmp_path: Path) -> None:
    async with connected(tmp_path) as (session, to):
        watch = Watch(session)
        try:
            first = await session.send_text(to, "waton reliability check, first cycle")
            assert first.is_accepted
            assert first.devices
            assert await watch.delivered(first.id) >= MessageStatus.DELIVERED

            watch.connections.clear()
            await session.reconnect()
            await watch.opened_again()

            second = await session.send_text(to, "waton reliability check, second cycle")
            assert second.is_accepted
            assert second.id != first.id
            assert await watch.delivered(second.id) >= MessageStatus.DELIVERED
        finally:
            watch.close()
