"""The real Baileys on a bad network: what was acknowledged to it arrives, what was queued comes when all is calm.

Baileys sends the receipt of a message before it tells its application, and what it has not told when a connection dies
it forgets; the same message, delivered again, is a duplicate to it. So where connections die, what the server can
promise is that Baileys has acknowledged everything, not that it has shown it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.lab.watching import Watch
from tests.requirements import require
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.lab.schedules import Kind
from waton.lab.server import Lab
from waton.parity.oracle import BaileysError, BaileysPeer
from waton.protocol.trace import Layer, Way

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]
require("baileys")
TEXTS = 6
IMPATIENT = {"keepAliveIntervalMs": 300, "defaultQueryTimeoutMs": 3000, "connectTimeoutMs": 3000}
"""It still waits five seconds longer than its keepalive before it takes a silent connection for lost."""
LOGGED_OUT = 401

RULES = {
    Kind.DELAY: "delay=1-15ms",
    Kind.DROP: "drop=every:12/50ms",
    Kind.DUPLICATE: "duplicate=50%",
    Kind.REORDER: "reorder=60%/100ms",
    Kind.TRUNCATE: "truncate=every:12",
    Kind.CORRUPT: "corrupt=every:8/in",  # what the other way does to it is told below
    Kind.HALF_OPEN: "half_open=every:12/max:1",
    Kind.LOST_ACK: "lost_ack=every:2",
    Kind.LOST_ANSWER: "lost_answer=every:3/max:2",
    Kind.RESTART: "restart=every:15/50ms/max:3",
    Kind.CLOCK_SKEW: "clock_skew=20%/-1..1h",
    Kind.CLOSE: "close=every:12",
    Kind.STREAM_ERROR: "stream_error=every:12/503|515",
}


CONNECTIONS_LIVE = {
    Kind.DELAY,
    Kind.DUPLICATE,
    Kind.REORDER,
    Kind.LOST_ACK,
    Kind.LOST_ANSWER,
    Kind.CLOCK_SKEW,
}


@pytest.fixture(autouse=True)
def _outlive_rejections(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that dies while Baileys answers offline_preview is a rejection nobody catches: the process ends."""
    monkeypatch.setenv("NODE_OPTIONS", "--unhandled-rejections=warn")


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def lab(watch: Watch) -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), sink=watch)
    yield started
    started.faults.calm()
    await started.stop()


@asynccontextmanager
async def applied(bea: BaileysPeer) -> AsyncGenerator[None]:
    """What an application does: connects again whenever a connection ends."""

    async def connect_again() -> None:
        while True:
            with suppress(TimeoutError):  # nothing has ended for a while
                assert await bea.closed() != LOGGED_OUT
                await bea.call("connect")

    running = asyncio.create_task(connect_again())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def settled(lab: Lab, bea: BaileysPeer) -> None:
    """Linked, and the first history is in; before that, Baileys holds its events back over a reconnect."""
    await lab.phones[0].scan(await bea.qr())
    await bea.opened()
    await bea.end()
    await bea.reconnect()


async def talk(lab: Lab, bea: BaileysPeer, *phones: Phone) -> tuple[dict[str, str], list[str]]:
    """The phones write to Baileys and Baileys to the first of them; the texts by id, and the ids of Baileys' own."""
    written: dict[str, str] = {}
    sent: list[str] = []
    for number in range(TEXTS):
        for phone in phones:
            text = f"in {number} from {phone.name}"
            written[await phone.send_text(lab.phones[0].lid, text)] = text
        with suppress(BaileysError, TimeoutError):
            sent.append(await bea.send_text(phones[0].lid, f"out {number}"))
    return written, sent


def waiting(lab: Lab, bea: BaileysPeer) -> list[str]:
    """The messages it has not acknowledged."""
    device = lab.service.world.locate(Jid.parse(bea.me["id"]))
    assert device is not None
    return [one.tag for one in lab.service.deliveries.waiting(device, 0) if one.tag == "message"]


@pytest.mark.parametrize("kind", Kind)
async def test_what_was_acknowledged_arrives_and_what_was_queued_comes(lab: Lab, watch: Watch, kind: Kind) -> None:
    ada, bob = await lab.add_phone("Ada"), await lab.add_phone("Bob")
    async with BaileysPeer.start(lab.url, name="Bea", config=IMPATIENT) as bea:
        await settled(lab, bea)
        async with applied(bea):
            lab.faults.schedule(f"seed=5,max=6,{RULES[kind]}")
            written, sent = await talk(lab, bea, ada, bob)
            await watch.fault(kind)
            lab.faults.calm()
            await watch.until(lambda _: waiting(lab, bea) == [])
            for text in written.values() if kind in CONNECTIONS_LIVE else ():
                await bea.message(text)
    nodes = [trace for trace in watch.traces if trace.layer is Layer.NODE and trace.connection]
    settled_by_it = {trace.id for trace in nodes if trace.way is Way.IN and trace.name in ("ack", "receipt")}
    assert settled_by_it >= written.keys()
    acked = {trace.id for trace in nodes if trace.way is Way.OUT and trace.name == "ack"}
    got = Counter(message.id for message in ada.messages if not message.from_me)
    assert {id: got[id] for id in sent if id in acked and got[id] != 1} == {}
    assert set(got.values()) <= {1}


async def test_a_corrupt_frame_ends_the_whole_process_of_baileys(
    lab: Lab, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It throws in the WebSocket's handler, where nothing catches it. waton ends the connection and makes another."""
    monkeypatch.delenv("NODE_OPTIONS")
    ada = await lab.add_phone("Ada")
    async with BaileysPeer.start(lab.url, name="Bea", config=IMPATIENT) as bea:
        await settled(lab, bea)
        lab.faults.schedule("corrupt=100%/out/tag:message/max:1")
        await ada.send_text(lab.phones[0].lid, "flipped on its way")
        await watch.fault("corrupt")
        assert await bea._process.wait() != 0
    assert any("unable to authenticate data" in line for line in bea.errors)
