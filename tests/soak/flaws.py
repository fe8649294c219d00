"""Ways to lose, repeat or mix up messages, put into the product on purpose: what chaos must see, it has to see.

Each is what somebody could write in good faith, and lasts as long as the test that asks for it. One is no flaw: a step
that fails before its commit, and is not acknowledged, costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

import pytest

from waton.client import client, messages_recv
from waton.client.event_pipeline import EventPipeline, Send, Step
from waton.client.lanes import Job, Lanes
from waton.client.outbox import Entry, Outbox
from waton.errors import Disconnected, DisconnectReason

_EVERY = 25
"""A fault strikes each so many-th step of a receiver."""


def write_once(patch: pytest.MonkeyPatch) -> None:
    """What the server has not acknowledged is not written again."""

    async def open(self: Outbox) -> None:
        self._is_open = True

    async def watch(self: Outbox) -> None:
        await asyncio.Event().wait()

    patch.setattr(Outbox, "open", open)
    patch.setattr(Outbox, "watch", watch)


def put_twice(patch: pytest.MonkeyPatch) -> None:
    """What is written again after a reconnect gets an id of its own, as a new message would."""
    write, numbers = Outbox._write, count()

    async def anew(self: Outbox, entry: Entry) -> None:
        if entry.tries and entry.node.tag == "message":
            attrs = {**entry.node.attrs, "id": f"{entry.node.attrs['id']}{next(numbers):02X}"}
            entry = Entry(entry.key, type(entry.node)("message", attrs, entry.node.content))
        await write(self, entry)

    patch.setattr(Outbox, "_write", anew)
