"""A client that a script of ours drives in another process: its verbs by name, its events with their data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waton.parity.oracle.pipe_peer import PipePeer


class DrivenPeer(PipePeer):
    """A PipePeer whose commands are {"do": verb, ...} and whose events are {"event", "data"}."""

    async def call(self, command: str, **args: Any) -> Any:
        """Run one command of the script. Raises the peer's own error, TimeoutError."""
        return await self._ask({"do": command, **args})

    async def event(self, kind: str) -> Mapping[str, Any]:
        """The data of the oldest event of this kind, come already or still to come. Raises TimeoutError."""
        return (await self.first(kind, lambda event: event["event"] == kind))["data"]

    async def qr(self) -> str:
        """The next QR it shows."""
        return str((await self.event("qr"))["code"])
