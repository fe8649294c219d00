"""What is put into the outbox is written until it is acknowledged: in order, the same bytes, through any end."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.client.worlds import StandingClock, settle
from waton.client.client import Client, ClientConfig
from waton.client.event_pipeline import EventPipeline, Step
from waton.client.outbox import Entry, Outbox
from waton.errors import Disconnected, DisconnectReason, LocalProtocolError
from waton.ports import RecordKind
from waton.protocol.binary_node import Node, encode_node, require_text
from waton.protocol.connection import MOST_PLAIN
from waton.protocol.trace import Tracer


class Wire:
    """Where stanzas go; closed, it takes none."""

    def __init__(self) -> None:
        self.is_open = True
        self.written: list[Node] = []
        self.again = asyncio.Event()
        """Something was written for the second time."""

    def live(self) -> Wire:
        if not self.is_open:
            raise Disconnected(DisconnectReason.CLOSED)
        return self

    async def send(self, node: Node) -> None:
        if node in self.live().written:
            self.again.set()
        self.written.append(node)

    @property
    def ids(self) -> list[str]:
        return [require_text(node, "id") for node in self.written]


class Owner:
    """As much of a client as an outbox needs."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.clock = StandingClock()
        self.pipeline = EventPipeline(self.store, Tracer(lambda traces: None), self.clock)
        self.supervisor = Wire()
        self.config = ClientConfig(resend_after=0.02)
        self.settled: list[tuple[str, str]] = []
        self.outbox = Outbox(cast(Client, cast(Any, self)), self._settle)

    async def _settle(self, step: Step, entry: Entry, node: Node) -> None:
        self.settled.append((entry.name[1], str(node.attrs.get("error", ""))))

    async def put(self, node: Node, *, is_resend: bool = False) -> Entry:
        async with self.pipeline.step() as step:
            entry = self.outbox.put(step, node, is_resend=is_resend)
        await self.outbox.write(entry)
        return entry

    def records(self) -> list[bytes]:
        return [value for (kind, _), value in sorted(self.store.records.items()) if kind is RecordKind.OUTBOX]


def message(id: str) -> Node:
    return Node("message", {"id": id, "type": "text"})


def ack_of(id: str, tag: str = "message", **attrs: str) -> Node:
    return Node("ack", {"class": tag, "id": id, **attrs})


async def test_before_the_login_is_complete_nothing_is_written_and_then_all_in_order() -> None:
    owner = Owner()
    for id in ("A", "B", "C"):
        await owner.put(message(id))
    assert owner.supervisor.ids == []
    await owner.outbox.open()
    await owner.put(message("D"))
    assert owner.supervisor.ids == ["A", "B", "C", "D"]


async def test_an_ack_takes_it_out_and_says_so() -> None:
    owner = Owner()
    await owner.outbox.open()
    entry = await owner.put(message("A"))
    assert owner.records() == [encode_node(message("A"))]
    await owner.outbox.on_ack(ack_of("A", error="463"), 1)
    assert (await entry.done).attrs["error"] == "463"
    assert owner.settled == [("A", "463")]
    assert owner.records() == []
    await owner.outbox.on_ack(ack_of("A"), 2)
    assert owner.settled == [("A", "463")], "one that fits nothing is passed over"


async def test_an_ack_of_another_class_or_id_takes_nothing_out() -> None:
    owner = Owner()
    await owner.outbox.open()
    await owner.put(message("A"))
    await owner.outbox.on_ack(ack_of("A", "receipt"), 1)
    await owner.outbox.on_ack(ack_of("B"), 2)
    assert len(owner.outbox) == 1


async def test_what_is_left_is_written_again_at_the_next_login_and_by_the_next_process() -> None:
    owner = Owner()
    await owner.outbox.open()
    await owner.put(message("A"))
    await owner.put(message("B"))
    await owner.outbox.on_ack(ack_of("A"), 1)
    owner.outbox.closed()
    await owner.put(message("C"))
    assert owner.supervisor.ids == ["A", "B"], "no connection, nothing written"
    await owner.outbox.open()
    assert owner.supervisor.ids == ["A", "B", "B", "C"]

    later = Owner(owner.store)
    await later.outbox.load()
    await later.outbox.open()
    assert later.supervisor.written == [message("B"), message("C")], "the same stanzas, to the attribute"


async def test_a_wire_that_is_lost_while_writing_is_no_error() -> None:
    owner = Owner()
    await owner.outbox.open()
    owner.supervisor.is_open = False
    await owner.put(message("A"))
    owner.outbox.closed()
    owner.supervisor.is_open = True
    await owner.outbox.open()
    assert owner.supervisor.ids == ["A"]


async def test_the_message_and_its_resend_are_acknowledged_one_by_one_oldest_first() -> None:
    owner = Owner()
    await owner.outbox.open()
    first = await owner.put(message("A"))
    again = await owner.put(message("A"), is_resend=True)
    assert owner.outbox.find("message", "A") is first
    await owner.outbox.on_ack(ack_of("A"), 1)
    assert first.done.done()
    assert not again.done.done()
    assert not again.is_first
    assert owner.outbox.find("message", "A") is None, "a resend is not the message"


async def test_what_stays_unacknowledged_is_written_once_more_and_then_the_connection_counts_as_dead() -> None:
    owner = Owner()
    await owner.outbox.open()
    await owner.put(message("A"))
    watching = asyncio.create_task(owner.outbox.watch())
    while len(owner.supervisor.written) < 2:
        owner.clock.time += 1
        await asyncio.sleep(0.005)
    while not watching.done():
        owner.clock.time += 1
        await asyncio.wait([watching], timeout=0.005)
    with pytest.raises(Disconnected) as gone:
        await watching
    assert gone.value.reason is DisconnectReason.LOST
    assert owner.supervisor.ids == ["A", "A"]


async def test_a_receipt_is_given_up_after_five_connections_and_a_message_never() -> None:
    owner = Owner()
    await owner.put(message("A"))
    await owner.put(Node("receipt", {"id": "R", "type": "retry"}))
    for _ in range(8):
        await owner.outbox.open()
        owner.outbox.closed()
    assert owner.supervisor.ids.count("A") == 8
    assert owner.supervisor.ids.count("R") == 5
    assert owner.records() == [encode_node(message("A"))]


async def test_a_step_that_fails_puts_nothing_in() -> None:
    owner = Owner()
    await owner.outbox.open()

    async def fail() -> None:
        async with owner.pipeline.step() as step:
            owner.outbox.put(step, message("A"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert len(owner.outbox) == 0
    assert owner.records() == []


async def test_who_waits_is_told_when_the_account_is_forgotten() -> None:
    owner = Owner()
    await owner.outbox.open()
    entry = await owner.put(message("A"))
    owner.outbox.clear()
    await settle()
    with pytest.raises(Disconnected):
        await entry.done
    assert len(owner.outbox) == 0


async def watched(owner: Owner, connections: int) -> int:
    """How many of so many connections are taken for dead within a hundred looks."""
    dead = 0
    for _ in range(connections):
        await owner.outbox.open()
        watching = asyncio.create_task(owner.outbox.watch())
        for _ in range(100):
            owner.clock.time += 1
            await asyncio.wait([watching], timeout=0.0005)
            if watching.done():
                break
        if watching.done():
            dead += 1
            with pytest.raises(Disconnected):
                await watching
        else:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        owner.outbox.closed()
    return dead


async def test_a_stanza_that_the_server_never_acknowledges_does_not_end_every_connection() -> None:
    owner = Owner()
    owner.config = ClientConfig(resend_after=0.002)
    await owner.put(message("A"))
    assert await watched(owner, 3) == 3
    assert await watched(owner, 2) == 0
    assert owner.records() == [encode_node(message("A"))], "and it is still tried"
    await owner.put(message("B"))
    assert await watched(owner, 1) == 1, "another one is another matter"


async def test_a_clock_that_is_set_back_does_not_keep_it_from_being_written_again() -> None:
    owner = Owner()
    await owner.outbox.open()
    await owner.put(message("A"))
    owner.clock.time -= 3_600
    watching = asyncio.create_task(owner.outbox.watch())
    async with asyncio.timeout(5):
        await owner.supervisor.again.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert owner.supervisor.ids == ["A", "A"]


async def test_what_fits_into_no_frame_is_not_kept() -> None:
    owner = Owner()
    with pytest.raises(LocalProtocolError):
        await owner.put(Node("message", {"id": "BIG"}, bytes(MOST_PLAIN)))
    assert owner.records() == []
