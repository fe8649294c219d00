"""Outbox: stanzas that the server has yet to acknowledge.

What must not be lost is put here in the unit of work that made it, written after the commit, and forgotten when the
server acknowledges it. Whatever ends before that (the process, the connection, the ack alone) it is written again, byte
for byte the same: no ratchet turns twice, and a reader who got both drops the second as a duplicate.

Order: entries leave in the order in which they were put, also after a restart; those of an earlier connection go first,
before a new login counts as open.

A stanza that the server never acknowledges, though it answers otherwise, is written again after `resend_after` seconds;
when that does not help either, the connection is taken for dead. Receipts are given up after a few times, messages are
not; but one that several connections could not bring to an ack is held against none of the later ones.

Source: whatsmeow request.go retryFrame (the same frame again after a reconnect); Baileys has nothing like it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from waton.client.event_pipeline import Step
from waton.errors import Disconnected, DisconnectReason, LocalProtocolError
from waton.ports import RecordKind
from waton.protocol.binary_node import Node, decode_node, encode_node, get_text, require_text
from waton.protocol.connection import MOST_PLAIN

if TYPE_CHECKING:
    from waton.client.client import Client

_FIRST = "first"
_RECEIPT_TRIES = 5
"""Connections on which a receipt is tried."""
_BLAMED_TRIES = 6
"""Writings, two on each connection, after which something is wrong with the stanza and not with the connection."""

Settle = Callable[[Step, "Entry", Node], Awaitable[None]]


@dataclass(slots=True, repr=False, eq=False)
class Entry:
    """One stanza under way."""

    key: str
    """Where its record is; grows with every entry."""
    node: Node
    done: asyncio.Future[Node] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """The server's ack."""
    tries: int = 0
    written_at: float = 0.0
    """Unix seconds of the last writing, 0 when it was not written on this connection."""
    chased: int = 0
    """How often it was written again on this connection."""

    @property
    def is_first(self) -> bool:
        """The message itself, not a resend of it to somebody who could not read it."""
        return self.key.split("-")[2] == _FIRST

    @property
    def name(self) -> tuple[str, str]:
        """What its ack names: class and id."""
        return self.node.tag, require_text(self.node, "id")


class Outbox:
    """The unacknowledged stanzas of one client.

    Args:
        client: whose they are.
        settle: called in the unit of work that takes a stanza out, with its ack.
    """

    def __init__(self, client: Client, settle: Settle) -> None:
        self._client = client
        self._settle = settle
        self._entries: dict[str, Entry] = {}
        self._order = asyncio.Lock()
        self._is_open = False
        self._count = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._entries)

    async def load(self) -> None:
        """Read what an earlier run left."""
        store = self._client.store
        for key in await store.keys(RecordKind.OUTBOX):
            record = await store.load(RecordKind.OUTBOX, key)
            if record is not None and key not in self._entries:
                self._entries[key] = Entry(key, decode_node(record))

    # --- in -----------------------------------------------------------------------------------------------------------

    def put(self, step: Step, node: Node, *, is_resend: bool = False) -> Entry:
        """Put a stanza into this unit of work; write() it after the commit.

        Raises:
            LocalProtocolError: it does not fit into a frame: kept, it would end every connection.
        """
        encoded = encode_node(node)
        if len(encoded) > MOST_PLAIN:
            raise LocalProtocolError(f"a stanza of {len(encoded)} bytes; {MOST_PLAIN} are the most")
        self._count += 1
        kind = "again" if is_resend else _FIRST
        key = f"{step.unit.number:016d}-{self._count:09d}-{kind}-{require_text(node, 'id')}"
        step.save(RecordKind.OUTBOX, key, encoded)
        return Entry(key, node)

    def find(self, tag: str, id: str) -> Entry | None:
        """The first stanza of this tag and id that is not acknowledged; None when there is none."""
        return next((entry for entry in self._entries.values() if entry.name == (tag, id) and entry.is_first), None)

    def waiting(self) -> tuple[Entry, ...]:
        """What is not acknowledged, in the order in which it was put."""
        return tuple(sorted(self._entries.values(), key=lambda entry: entry.key))

    async def write(self, entry: Entry) -> None:
        """Write a stanza whose unit of work is committed; when there is no open connection, the next one does."""
        self._entries[entry.key] = entry
        async with self._order:
            if self._is_open and not entry.written_at:  # else open() was quicker
                await self._write(entry)

    async def _write(self, entry: Entry) -> None:
        if entry.done.done():
            return
        with suppress(Disconnected):
            entry.tries += 1
            entry.written_at = self._client.clock.now()
            await self._client.supervisor.live().send(entry.node)

    # --- connections --------------------------------------------------------------------------------------------------

    def closed(self) -> None:
        """The connection is over: what is put from now on waits for the next."""
        self._is_open = False
        for entry in self._entries.values():
            entry.written_at, entry.chased = 0.0, 0

    async def open(self) -> None:
        """A login is complete: write what is left, oldest first; from then on write at once."""
        await self._give_up()
        async with self._order:
            for entry in sorted(self._entries.values(), key=lambda entry: entry.key):
                await self._write(entry)
            self._is_open = True

    async def _give_up(self) -> None:
        """Forget receipts that no connection could bring to an ack."""
        over = [one for one in self._entries.values() if one.node.tag == "receipt" and one.tries >= _RECEIPT_TRIES]
        if not over:
            return
        async with self._client.pipeline.step() as step:
            for entry in over:
                step.save(RecordKind.OUTBOX, entry.key, None)
                step.transition("outbox", "pending", "given_up", id=entry.name[1])
        for entry in over:
            self._entries.pop(entry.key, None)

    def clear(self) -> None:
        """The account is forgotten, and its records with it."""
        for entry in self._entries.values():
            if not entry.done.done():
                entry.done.set_exception(Disconnected(DisconnectReason.LOGGED_OUT))
                entry.done.exception()  # seen: perhaps nobody waits for it
        self._entries.clear()

    async def watch(self) -> None:
        """Write again what stays unacknowledged on a live connection. Raises Disconnected when that does not help."""
        patience = self._client.config.resend_after
        while True:
            await asyncio.sleep(patience / 2)
            now = self._client.clock.now()
            for entry in self.waiting():
                # A clock that was set back says nothing of when it was written: once more is better than never.
                if not entry.written_at or 0 <= now - entry.written_at < patience:
                    continue
                if entry.chased:
                    if entry.tries > _BLAMED_TRIES:
                        continue
                    raise Disconnected(DisconnectReason.LOST, None, "a stanza is not acknowledged")
                entry.chased += 1
                async with self._order:
                    await self._write(entry)

    # --- out ----------------------------------------------------------------------------------------------------------

    async def on_ack(self, node: Node, trace: int) -> None:
        """Take an ack: the oldest entry of its class and id is done. One that fits none is no error."""
        name = (get_text(node, "class") or "", get_text(node, "id") or "")
        entry = next((entry for entry in self._entries.values() if entry.tries and entry.name == name), None)
        if entry is None:
            return
        async with self._client.pipeline.step(parent=trace) as step:
            step.save(RecordKind.OUTBOX, entry.key, None)
            await self._settle(step, entry, node)
        self._entries.pop(entry.key, None)
        if not entry.done.done():
            entry.done.set_result(node)
        self._changed.set()

    async def wait_empty(self) -> None:
        """Wait until everything is acknowledged."""
        while self._entries:
            self._changed.clear()
            await self._changed.wait()
