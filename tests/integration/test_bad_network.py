"""waton's own client on a bad network, kind by kind: what was acknowledged arrives, what was queued comes, all once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.lab.watching import Watch
from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.events import Event, MessageStatus, MessagesUpsert
from waton.errors import QueryTimeout, WatonError
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.lab.phone import Phone
from waton.lab.schedules import Kind, Schedule
from waton.lab.server import Lab

TEXTS = 10
PATIENCE = 30.0

RULES = {
    Kind.DELAY: "delay=1-15ms",
    Kind.DROP: "drop=every:9/50ms",
    Kind.DUPLICATE: "duplicate=50%",
    Kind.REORDER: "reorder=50%/50ms",
    Kind.TRUNCATE: "truncate=every:11",
    Kind.CORRUPT: "corrupt=every:11/50ms",
    Kind.HALF_OPEN: "half_open=every:15/max:2",
    Kind.LOST_ACK: "lost_ack=every:4/max:2",
    Kind.LOST_ANSWER: "lost_answer=100%/max:2",
    Kind.RESTART: "restart=every:15/50ms",
    Kind.CLOCK_SKEW: "clock_skew=20%/-1..1h",
    Kind.CLOSE: "close=every:9",
    Kind.STREAM_ERROR: "stream_error=every:9/503|515|429",
}


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def lab(watch: Watch) -> AsyncGenerator[Lab]:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), sink=watch)
    yield lab
    lab.faults.calm()
    await lab.stop()


class Heard:
    """What others' texts the client has told, and how often each."""

    def __init__(self, peer: WatonPeer) -> None:
        self.texts: Counter[str] = Counter()
        self._changed = asyncio.Event()
        peer.client.subscribe(self._take)

    def _take(self, event: Event) -> None:
        if isinstance(event, MessagesUpsert) and not event.key.from_me and event.text:
            self.texts[event.text] += 1
            self._changed.set()

    async def all_of(self, expected: set[str]) -> None:
        """Wait until all of these have been told. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while not self.texts.keys() >= expected:
                self._changed.clear()
                await self._changed.wait()


def make_impatient(peer: WatonPeer) -> None:
    """Have the client notice within a second or two what takes half a minute by default."""
    config = peer.client.config
    peer.client.config = replace(config, keepalive=0.2, silence=0.8, query_timeout=2.0, connect_timeout=2.0)


async def talk(peer: WatonPeer, *phones: Phone) -> tuple[set[str], list[str]]:
    """The phones write to the client and the client to the first of them, in turn.

    Returns:
        what the phones wrote, and what the client was told of its own texts that the server has them.
    """
    written: set[str] = set()
    taken: list[str] = []
    for number in range(TEXTS):
        for phone in phones:
            text = f"in {number} from {phone.name}"
            await phone.send_text(peer.lid, text)
            written.add(text)
        with suppress(WatonError, TimeoutError):
            await peer.client.wait_open(PATIENCE)
            if (await peer.client.send_text(phones[0].lid, f"out {number}")).is_accepted:
                taken.append(f"out {number}")
    return written, taken


async def hold_to_it(peer: WatonPeer, heard: Heard, written: set[str], taken: list[str], *phones: Phone) -> None:
    """On a good network again: everything comes, everything acknowledged has come, nothing twice, all readable."""
    await peer.client.wait_open(PATIENCE)
    for phone in phones:
        # Queued last, so that nothing from this phone is on its way when it is told.
        text = f"the end, says {phone.name}"
        await phone.send_text(peer.lid, text)
        written.add(text)
    await heard.all_of(written)
    assert (await peer.client.send_text(phones[0].lid, "after all that")).is_accepted
    assert heard.texts == Counter(written)
    got = Counter(message.text for message in phones[0].messages if not message.from_me)
    assert {text: got[text] for text in [*taken, "after all that"] if got[text] != 1} == {}
    assert not any(phone.unreadable for phone in phones)


async def go_through(lab: Lab, watch: Watch, schedule: Schedule, kinds: Sequence[Kind]) -> None:
    ada, bob = await lab.add_phone("Ada"), await lab.add_phone("Bob")
    async with waton_peer(lab, "Waton") as peer:
        make_impatient(peer)
        await peer.pair(lab.phones[0])
        heard = Heard(peer)
        lab.faults.schedule(schedule)
        written, taken = await talk(peer, ada, bob)
        assert all(watch.faults(kind) for kind in kinds), "it happened"
        lab.faults.calm()
        await hold_to_it(peer, heard, written, taken, ada, bob)


@pytest.mark.parametrize("kind", Kind)
async def test_nothing_acknowledged_is_lost_and_everything_queued_arrives(lab: Lab, watch: Watch, kind: Kind) -> None:
    await go_through(lab, watch, Schedule.parse(f"seed=5,max=6,{RULES[kind]}"), [kind])


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_in_a_storm_of_everything(lab: Lab, watch: Watch, seed: int) -> None:
    await go_through(lab, watch, Schedule.random(seed, limit=10), [])
    assert watch.faults()


@pytest.mark.parametrize("place", [1, 2])
async def test_a_login_whose_query_is_not_answered_is_tried_again(lab: Lab, watch: Watch, place: int) -> None:
    ada = await lab.add_phone("Ada")
    async with waton_peer(lab, "Waton") as peer:
        make_impatient(peer)
        await peer.pair(lab.phones[0])
        lab.faults.schedule(f"lost_answer=every:{place}/max:1")
        await peer.client.reconnect()
        await watch.fault("lost_answer")
        await peer.client.wait_open(PATIENCE)
        assert (await peer.client.send_text(ada.lid, "logged in after all")).is_accepted


async def test_a_message_whose_ack_was_lost_is_sent_again_with_its_id(lab: Lab, watch: Watch) -> None:
    ada = await lab.add_phone("Ada")
    async with waton_peer(lab, "Waton") as peer:
        make_impatient(peer)
        await peer.pair(lab.phones[0])
        lab.faults.schedule("lost_ack=100%/max:1")
        with suppress(QueryTimeout):
            await peer.client.send_text(ada.lid, "did you get that?")
        lost = await watch.fault("lost_ack")
        await peer.client.reconnect()
        await watch.until(lambda trace: trace.name == "lab.taken_before" and lost.id in trace.detail)
        await peer.status(lost.id, MessageStatus.SERVER_ACK)
    assert [message.id for message in ada.messages] == [lost.id]


async def test_a_handshake_that_is_garbled_is_tried_again(lab: Lab, watch: Watch) -> None:
    ada = await lab.add_phone("Ada")
    async with waton_peer(lab, "Waton") as peer:
        make_impatient(peer)
        await peer.pair(lab.phones[0])
        lab.faults.schedule("corrupt=100%/50ms/out/tag:server_hello/max:2")  # the resumption, and the one in full
        await peer.client.reconnect()
        await watch.fault("corrupt", 2)
        await peer.client.wait_open(PATIENCE)
        assert (await peer.client.send_text(ada.lid, "the wire was garbled, and is not now")).is_accepted
