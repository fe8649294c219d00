"""A client that sends and receives until it dies, again and again: one process that forks a child for each life.

    python -m tests.crash.delivery_victim URL ROOT_HEX DIRECTORY

The first process imports everything once, and does nothing but fork and wait: no thread, no loop. DIRECTORY holds
plan.json (what to send: id, chat and text of each), account.db, and story.log, to which every life appends what matters
as one line of JSON in one write, so that what was said before a death is there. Orders come as lines of JSON on
stdin; a line on stdout says that there is something new in the story, or that a life began or ended.

    {"do": "live", "life": N, "until": M, "moment": NAME, "count": N, "flaw": NAME}
                                     live; send what the plan has before place M; die at the n-th passage of the moment
    {"do": "send", "until": M}       go on to place M
    {"do": "end"}                    close, and end this life in peace

What a life does not send it leaves to the outbox: it goes through the plan from the first message of which it was not
told that the server has it. A send that an earlier life has begun is asked for again by its id.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.crash import delivery_flaws
from tests.crash.delivery_points import Fuse, watch_client, watch_file
from waton.client.backoff import Backoff
from waton.client.client import Client, ClientConfig
from waton.client.events import (
    ConnectionStatus,
    ConnectionUpdate,
    Event,
    MessagesUpsert,
    MessageUndecryptable,
)
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.infra.storage_sqlite import SqliteStore
from waton.infra.websocket import WebSocketConnector
from waton.jid import Jid
from waton.protocol.binary_node import Node
from waton.protocol.stanza import iq
from waton.protocol.trace import Layer, Trace, Tracer

STDIN, STDOUT = 0, 1
_FAULTS = {"lane.failed", "step.failed", "handler.failed", "handler.slow", "ack.failed", "commit.failed"}
"""Traces of what must not happen, whatever dies."""
_WORKING_SECONDS = 0.01
"""What a handler takes at most for its work."""


class Story:
    """Appends to story.log."""

    def __init__(self, directory: Path, life: int) -> None:
        self._file = os.open(directory / "story.log", os.O_WRONLY | os.O_APPEND)
        self._life = life

    def say(self, what: str, **details: object) -> None:
        """One line; it is in the file when this returns, and whoever waits is woken."""
        line = json.dumps({"life": self._life, "what": what, **details}) + "\n"
        os.write(self._file, line.encode())
        os.write(STDOUT, b"\n")


class Life:
    """One run of the client, from the fork to its death."""

    def __init__(self, url: str, root: bytes, directory: Path, order: dict[str, Any]) -> None:
        self._url, self._root, self._directory = url, root, directory
        self._until = int(order["until"])
        self._story = Story(directory, order["life"])
        self._fuse = Fuse(order["moment"], order["count"], lambda moment: self._story.say("death", moment=moment))
        self._dice = random.Random(order["life"])
        self._ended = asyncio.Event()
        self._queues: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self._plan: list[dict[str, Any]] = json.loads((directory / "plan.json").read_text())
        self._place = 0

    async def live(self) -> None:
        """Until the end."""
        watch_client(self._fuse)
        asyncio.get_running_loop().add_reader(STDIN, self._obey)
        clock = SystemClock()
        store = await SqliteStore.open(self._directory / "account.db", clock=clock)
        await watch_file(self._fuse, store)
        client = Client(
            ClientConfig(
                url=self._url,
                root=self._root,
                push_name="Victim",
                backoff=Backoff(first=0.05, cap=0.2),
                query_timeout=20.0,
            ),
            store=store,
            connector=WebSocketConnector(),
            clock=clock,
            entropy=SystemEntropy(),
            tracer=Tracer(self._note_faults),
        )
        client.subscribe(self._handle)
        await client.start()
        await self._send_and_wait(client)
        await client.outbox.wait_empty()
        await client.query("w:p", iq.IqType.GET, [Node("ping")])  # all that was written before has been taken
        await client.close()
        await store.close()
        self._story.say("ended")

    async def _send_and_wait(self, client: Client) -> None:
        told = self._accepted()
        self._plan = [one for one in self._plan if one["id"] not in told]
        async with asyncio.TaskGroup() as group:
            for chat in {one["chat"] for one in self._plan}:
                self._queues[chat] = asyncio.Queue()
            workers = [group.create_task(self._work(client, queue)) for queue in self._queues.values()]
            self._hand_out()
            await self._ended.wait()
            for worker in workers:
                worker.cancel()

    def _accepted(self) -> set[str]:
        """What earlier lives were told that the server has."""
        with (self._directory / "story.log").open() as lines:
            return {line["id"] for line in map(json.loads, lines) if line["what"] == "accepted"}

    def _hand_out(self) -> None:
        while self._place < len(self._plan) and self._plan[self._place]["place"] < self._until:
            one = self._plan[self._place]
            self._queues[one["chat"]].put_nowait(one)
            self._place += 1

    async def _work(self, client: Client, queue: asyncio.Queue[dict[str, Any]]) -> None:
        """One chat's messages, one after the other."""
        while True:
            one = await queue.get()
            result = await client.send_text(Jid.parse(one["chat"]), one["text"], id=one["id"])
            if result.is_accepted and not result.skipped and not result.server_phash:
                self._story.say("accepted", id=one["id"])
            else:
                self._story.say("fault", name="send", error=result.error, devices=len(result.skipped))

    async def _handle(self, event: Event) -> None:
        match event:
            case ConnectionUpdate(status=ConnectionStatus.QR):
                self._story.say("qr", text=event.qr)
            case ConnectionUpdate():
                self._story.say("status", status=event.status, error=repr(event.error) if event.error else "")
            case MessagesUpsert() if not event.key.from_me:
                self._fuse.passes("telling")
                await asyncio.sleep(self._dice.uniform(0, _WORKING_SECONDS))
                self._fuse.passes("handling")
                self._story.say("told", id=event.key.id, text=event.text, again=event.redelivered)
                self._fuse.passes("told")
            case MessageUndecryptable():
                self._story.say(
                    "undecryptable", id=event.key.id, reason=event.reason, resolved=event.is_resolved,
                    again=event.redelivered,
                )  # fmt: skip
            case _:
                pass

    def _note_faults(self, traces: Sequence[Trace]) -> None:
        for trace in traces:
            if trace.name in _FAULTS and trace.layer is not Layer.NODE:
                self._story.say("fault", name=trace.name, detail=trace.detail)
                traceback.print_exc()  # the trace has its kind only; this runs where it was caught

    def _obey(self) -> None:
        data = os.read(STDIN, 1 << 16)
        if not data:
            os._exit(1)  # nobody is there to tell us anything any more
        for order in map(json.loads, data.splitlines()):
            if order["do"] == "send":
                self._until = order["until"]
                self._hand_out()
            else:
                self._ended.set()


def live(url: str, root: bytes, directory: Path, order: dict[str, Any]) -> None:
    """Be the child: live, and end the process here."""
    code = 1
    try:
        delivery_flaws.apply(order["flaw"])
        asyncio.run(Life(url, root, directory, order).live())
        code = 0
    except BaseException:  # noqa: BLE001  the one who waits for this process sees the code, and stderr
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main(url: str, root: str, directory: str) -> None:
    """Fork a life for each order to live, and say when it began and how it ended."""
    while data := os.read(STDIN, 1 << 16):
        for order in map(json.loads, data.splitlines()):
            if order["do"] != "live":
                continue  # the life it was meant for has died
            child = os.fork()
            if child == 0:
                live(url, bytes.fromhex(root), Path(directory), order)
            os.write(STDOUT, json.dumps({"born": child}).encode() + b"\n")
            _, status = os.waitpid(child, 0)
            os.write(STDOUT, json.dumps({"died": child, "code": os.waitstatus_to_exitcode(status)}).encode() + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
