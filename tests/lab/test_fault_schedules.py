"""Each kind of fault over real sockets: it happens as told, and what a correct server promises holds all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import ClientConnectorError, ClientSession, ClientWSTimeout

from tests.lab.watching import Watch, told
from tests.lab.wire_client import Closed, WireClient, new_credentials, pair
from waton.errors import WatonError
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid
from waton.lab.schedules import Kind, Rule, Schedule
from waton.lab.server import Lab
from waton.protocol.binary_node import Node, get_text
from waton.protocol.client_payload import Browser, login_payload
from waton.protocol.connection import Connection
from waton.protocol.credentials import Credentials
from waton.protocol.noise import ClientHandshake
from waton.protocol.stanza import iq
from waton.protocol.stanza.message import Enc, OutgoingMessage
from waton.protocol.stanza.receipt import ack
from waton.protocol.trace import Tracer, Way

GONE = (Closed, ConnectionError, aiohttp.ClientError)
"""How a client learns that its connection is over."""


PATIENCE = ClientWSTimeout(ws_close=0.05)  # pyright: ignore[reportCallIssue]  attrs' own constructor
"""Seconds that a client waits for the answer to its closing handshake."""


class Stage:
    """A lab with two paired devices of one account, and what happens on it."""

    def __init__(self, lab: Lab, watch: Watch, mine: Credentials, other: Credentials) -> None:
        self.lab = lab
        self.watch = watch
        self.mine = mine
        self.other = other
        self.stack = AsyncExitStack()

    async def log_in(self, who: Credentials) -> WireClient:
        """A login that has had everything that waited; see `waited` for what that was."""
        client = await self.stack.enter_async_context(WireClient.open(self.lab, who))
        await client.next("success")
        await client.send(iq.request("active", iq.IqType.SET, "passive", [Node("active")]))
        self.waited: list[Node] = []
        while not (node := await client.next()).children() or node.children()[0].tag != "offline":
            self.waited.append(node)
        self.waited = [node for node in self.waited if node.tag not in ("ib", "iq")]
        return client

    def queue(self, id: str, sender: Jid | None = None) -> None:
        """Something to deliver to `mine`."""
        device = self.lab.service.world.locate(self._me)
        assert device is not None
        node = Node("notification", {"id": id, "from": sender or self._me.bare, "type": "test"})
        self.lab.service.deliveries.put(device, node)

    @property
    def _me(self) -> Jid:
        assert self.mine.me is not None
        return self.mine.me

    def message(self, id: str, content: bytes = b"content") -> Node:
        """A message to the other device."""
        assert self.other.lid is not None
        to = self.lab.phones[0].lid
        return OutgoingMessage(id, to, ((self.other.lid, Enc("msg", content)),)).to_node()

    async def settle_all(self, client: WireClient, count: int) -> list[str]:
        """Take so many queued stanzas and acknowledge them; their ids."""
        ids: list[str] = []
        while len(ids) < count:
            node = await client.next()
            if node.tag in ("message", "receipt", "notification"):
                ids.append(str(node.attrs["id"]))
                await client.send(ack(node))
        return ids


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def stage(watch: Watch) -> AsyncGenerator[Stage]:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), sink=watch)
    made = Stage(lab, watch, await pair(lab), await pair(lab))
    for who in (made.mine, made.other):
        await made.settle_all(await made.log_in(who), 0)
        await made.stack.aclose()
        # Nothing of the pairing waits any more: the phone has no keys to greet these devices with.
        lab.service.world.database.write("DELETE FROM queue")
    yield made
    lab.faults.calm()
    await made.stack.aclose()
    await lab.stop()


def ping(id: str) -> Node:
    return iq.request(id, iq.IqType.GET, "w:p", [Node("ping")])


async def answered(client: WireClient, id: str) -> None:
    """The connection is alive: a ping is answered."""
    await client.send(ping(id))
    while (await client.next("iq")).attrs["id"] != id:
        pass


# --- connections that die


@pytest.mark.parametrize("kind", ["drop", "truncate", "corrupt", "close", "half_open", "stream_error", "restart"])
async def test_what_is_lost_on_its_way_out_is_delivered_at_the_next_login(stage: Stage, kind: str) -> None:
    client = await stage.log_in(stage.mine)
    stage.queue("before")
    assert await stage.settle_all(client, 1) == ["before"]
    await answered(client, "the server has the ack")
    stage.lab.faults.schedule(f"{kind}=100%/out/tag:notification/max:1")
    for id in ("first", "second", "third"):
        stage.queue(id)
    assert told(await stage.watch.fault(kind)) == (kind, "out", "notification", "first")
    if kind == "half_open":
        stage.lab.faults.calm()
    assert await tags_until_gone(client) == (["stream:error"] if kind == "stream_error" else [])
    stage.lab.faults.calm()
    again = await log_in_when_back(stage)
    assert [node.attrs["id"] for node in stage.waited] == ["first", "second", "third"]
    assert [node.attrs["offline"] for node in stage.waited] == ["0", "1", "2"]
    await answered(again, "alive")


async def tags_until_gone(client: WireClient) -> list[str]:
    """What still comes before the connection is over."""
    tags: list[str] = []
    try:
        while True:
            tags.append((await client.next()).tag)
    except (*GONE, WatonError):  # a corrupt frame ends it too
        return tags


async def log_in_when_back(stage: Stage) -> WireClient:
    """Log in, as soon as the lab listens again."""
    while True:
        try:
            return await stage.log_in(stage.mine)
        except ClientConnectorError:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", ["drop", "truncate", "corrupt", "close", "half_open", "stream_error", "restart"])
async def test_what_is_lost_on_its_way_in_never_reached_the_server(stage: Stage, kind: str) -> None:
    reader = await stage.log_in(stage.other)
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule(f"{kind}=100%/in/tag:message/max:1")
    await client.send(stage.message("M1"))
    assert told(await stage.watch.fault(kind)) == (kind, "in", "message", "M1")
    if kind == "half_open":
        stage.lab.faults.calm()
    with suppress(*GONE):
        await client.send(stage.message("M2"))
    assert await tags_until_gone(client) == (["stream:error"] if kind == "stream_error" else [])
    assert not [trace for trace in stage.watch.traces if trace.id == "M2"], "it never reached the server"
    stage.lab.faults.calm()
    again = await log_in_when_back(stage)
    for id in ("M1", "M2"):
        await again.send(stage.message(id))
        assert (await again.next("ack")).attrs["id"] == id
    if kind == "restart":
        reader = await stage.log_in(stage.other)
        assert [node.attrs["id"] for node in stage.waited] == ["M1", "M2"]
    else:
        assert await stage.settle_all(reader, 2) == ["M1", "M2"]


async def test_one_way_goes_on_while_the_other_is_lost(stage: Stage) -> None:
    reader = await stage.log_in(stage.other)
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule("drop=100%/out/tag:notification/max:1/600s")
    stage.queue("lost")
    await stage.watch.fault("drop")
    await client.send(stage.message("M1"))
    # The server takes what it is sent; only its ack is lost with the rest.
    assert await stage.settle_all(reader, 1) == ["M1"]
    stage.lab.faults.calm()
    with pytest.raises(GONE):
        await client.next()


async def test_a_corrupt_frame_does_not_decrypt(stage: Stage) -> None:
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule("corrupt=100%/out/tag:notification/max:1/600s")
    stage.queue("flipped")
    with pytest.raises(WatonError) as refused:
        await client.next("notification")
    assert not isinstance(refused.value, Closed)


async def test_a_closed_connection_gets_no_farewell(stage: Stage) -> None:
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule("close=100%/in/tag:iq/max:1")
    await client.send(ping("p"))
    with pytest.raises(Closed):
        await client.next()
    assert client.socket.close_code == 1006


async def test_a_half_open_connection_says_nothing_and_stays_open(stage: Stage) -> None:
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule("half_open=100%/in/tag:iq/max:1")
    await client.send(ping("p1"))
    fault = await stage.watch.fault("half_open")
    traced = len([trace for trace in stage.watch.traces if trace.connection == fault.connection])
    await client.send(ping("p2"))
    stage.queue("unseen")
    device = stage.lab.service.world.locate(stage.mine.me or Jid("", ""))
    assert device is not None
    assert stage.lab.service.deliveries.session(device) is not None
    newer = await stage.log_in(stage.mine)
    assert [node.attrs["id"] for node in stage.waited] == ["unseen"]
    # The server has let go of the old connection, and nothing at all had come out of it.
    with pytest.raises(Closed):
        await client.next()
    assert client.socket.close_code == 1006
    ours = [trace for trace in stage.watch.traces if trace.connection == fault.connection][traced:]
    assert not [trace for trace in ours if trace.way is Way.IN], "p2 never reached the server"
    await answered(newer, "alive")


async def test_a_half_open_connection_ends_when_the_client_hangs_up(stage: Stage) -> None:
    async with ClientSession() as session:
        socket = await session.ws_connect(stage.lab.url, timeout=PATIENCE, autoping=False)
        stage.lab.faults.schedule("half_open=100%/out/tag:server_hello/max:1")
        client = WireClient(socket, handshaking(stage.lab, stage.mine), lambda data: [data])
        client.connection.start(SystemClock().now())
        await client.flush()
        number = (await stage.watch.fault("half_open")).connection
        await socket.close()
        assert socket.close_code == 1006, "the closing handshake is not answered"
        await stage.watch.until(
            lambda trace: (trace.name, trace.connection, "closed" in trace.detail) == ("connection", number, True)
        )
    stage.lab.faults.calm()
    await stage.log_in(stage.mine)


def handshaking(lab: Lab, mine: Credentials) -> Connection:
    assert mine.me is not None
    handshake = ClientHandshake(
        static_private=mine.noise_key.private,
        ephemeral_private=bytes(range(32)),
        payload=login_payload(mine.me, Browser()),
        root=lab.root,
    )
    return Connection(handshake, Tracer(lambda traces: None))


# --- what the server says


@pytest.mark.parametrize("code", ["503", "429", "515", "replaced"])
async def test_a_stream_error_has_the_code_that_was_asked_for(stage: Stage, code: str) -> None:
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule(f"stream_error=100%/{code}/in/tag:iq/max:1")
    await client.send(ping("p"))
    farewell = await client.next()
    assert farewell.tag == "stream:error"
    if code == "replaced":
        assert [child.attrs["type"] for child in farewell.children("conflict")] == ["replaced"]
    else:
        assert farewell.attrs["code"] == code
    await client.closed()


async def test_a_login_is_refused_by_a_failure(stage: Stage) -> None:
    stage.lab.faults.schedule("stream_error=100%/503/in/tag:client_finish/max:1")
    async with WireClient.open(stage.lab, stage.mine) as client:
        refused = await client.next()
        assert (refused.tag, refused.attrs["reason"]) == ("failure", "503")
        await client.closed()
    await stage.log_in(stage.mine)


async def test_a_lost_ack_is_given_when_the_message_comes_again_and_the_message_is_taken_once(stage: Stage) -> None:
    reader = await stage.log_in(stage.other)
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule("lost_ack=100%/max:1")
    await client.send(stage.message("M1"))
    assert told(await stage.watch.fault("lost_ack")) == ("lost_ack", "out", "ack", "M1")
    await client.send(ping("the connection goes on"))
    assert (await client.next()).attrs["id"] == "the connection goes on"
    for content in (b"content", b"encrypted anew"):
        await client.send(stage.message("M1", content))
        assert (await client.next("ack")).attrs["id"] == "M1"
    await client.send(stage.message("M2"))
    assert await stage.settle_all(reader, 2) == ["M1", "M2"]
    assert len(stage.watch.notes("lab.taken_before")) == 2


async def test_what_was_taken_is_known_after_a_restart_from_disk(tmp_path: Path) -> None:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), state=tmp_path)
    stage = Stage(lab, Watch(), await pair(lab), await pair(lab))
    client = await stage.log_in(stage.mine)
    await client.send(stage.message("M1"))
    first = await client.next("ack")
    await stage.stack.aclose()
    await lab.stop()
    stage.lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), state=tmp_path)
    client = await stage.log_in(stage.mine)
    await client.send(stage.message("M1"))
    assert (await client.next("ack")).attrs == first.attrs
    await client.send(stage.message("M2"))
    await client.next("ack")
    await stage.log_in(stage.other)
    assert [node.attrs["id"] for node in stage.waited if node.tag == "message"] == ["M1", "M2"]
    await stage.stack.aclose()
    await stage.lab.stop()


async def test_a_query_is_taken_and_not_answered(stage: Stage) -> None:
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule("lost_answer=100%/max:1")
    await client.send(ping("p1"))
    await client.send(ping("p2"))
    assert (await client.next("iq")).attrs["id"] == "p2"
    assert told(await stage.watch.fault("lost_answer")) == ("lost_answer", "out", "iq", "p1")


async def test_a_queued_stanza_comes_twice_in_a_row(stage: Stage) -> None:
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule("duplicate=every:2")
    for id in ("a", "b", "c"):
        stage.queue(id)
    assert await stage.settle_all(client, 4) == ["a", "b", "b", "c"]
    await answered(client, "alive")
    assert await stage.log_in(stage.mine)
    assert stage.waited == []


async def test_stanzas_of_different_conversations_swap_places(stage: Stage) -> None:
    ada, bob = await stage.lab.add_phone("Ada"), await stage.lab.add_phone("Bob")
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule("reorder=100%/600s")
    # a1 is held; by either address it is Ada's, so that a2 may not pass it and takes its place; b1 swaps with a2.
    stage.queue("a1", ada.pn)
    stage.queue("a2", ada.lid)
    stage.queue("b1", bob.pn)
    stage.queue("b2", bob.lid)
    await client.send(ping("p"))
    assert await stage.settle_all(client, 4) == ["a1", "b1", "a2", "b2"]
    assert [told(fault) for fault in stage.watch.faults()] == [("reorder", "out", "notification", "a2")]


async def test_nothing_passes_the_end_of_the_offline_queue(stage: Stage) -> None:
    ada = await stage.lab.add_phone("Ada")
    stage.queue("waited", ada.pn)
    stage.lab.faults.schedule("reorder=100%/600s")
    client = await stage.log_in(stage.mine)
    assert [node.attrs["id"] for node in stage.waited] == ["waited"]
    await answered(client, "alive")
    assert stage.watch.faults() == []


async def test_a_held_stanza_is_let_go_by_itself(stage: Stage) -> None:
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule("reorder=100%/10ms")
    stage.queue("alone")
    assert await stage.settle_all(client, 1) == ["alone"]
    assert stage.watch.faults() == []


@pytest.mark.parametrize("way", ["in", "out"])
async def test_delayed_stanzas_come_later_and_in_order(stage: Stage, way: str) -> None:
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule(f"delay=0-60ms/{way}/tag:iq,seed=3")
    sent: list[str] = []
    while sum(stage.lab.faults.injected.values()) < 8:
        sent.append(f"p{len(sent)}")
        await client.send(ping(sent[-1]))
        await asyncio.sleep(0)
    assert [(await client.next("iq")).attrs["id"] for _ in sent] == sent


@pytest.mark.parametrize("way", ["in", "out"])
async def test_a_delay_takes_its_time(stage: Stage, way: str) -> None:
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule(f"delay=80ms/{way}")
    began = asyncio.get_running_loop().time()
    await answered(client, "p")
    assert asyncio.get_running_loop().time() - began >= 0.08
    assert [told(fault)[1] for fault in stage.watch.faults("delay")] == [way]


async def test_the_servers_clock_is_off_until_it_is_calm(stage: Stage) -> None:
    stage.lab.faults.schedule("clock_skew=2h")
    now = SystemClock().now()
    async with WireClient.open(stage.lab, stage.mine) as client:
        t = int(get_text(await client.next("success"), "t") or "")
    assert 7190 < t - now < 7300
    stage.lab.faults.calm()
    async with WireClient.open(stage.lab, stage.mine) as client:
        t = int(get_text(await client.next("success"), "t") or "")
    assert abs(t - now) < 100


# --- the lab as a whole


async def test_a_restart_keeps_port_world_and_phones(stage: Stage) -> None:
    url, phones, number = stage.lab.url, list(stage.lab.phones), stage.lab.connections
    client = await stage.log_in(stage.mine)
    stage.queue("unacknowledged")
    restarting = asyncio.create_task(stage.lab.restart(0.3))
    await client.closed()
    assert client.socket.close_code == 1006
    with pytest.raises(ClientConnectorError):
        await stage.log_in(stage.mine)
    stage.queue("meanwhile")
    await restarting
    await stage.log_in(stage.mine)
    assert [node.attrs["id"] for node in stage.waited] == ["unacknowledged", "meanwhile"]
    assert (stage.lab.url, stage.lab.phones, stage.lab.connections) == (url, phones, number + 2)
    assert all(phone.is_online for phone in phones)


async def test_a_restart_brings_tls_back_too(watch: Watch) -> None:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), tls=True, sink=watch)
    mine = await pair(lab)
    await lab.restart(0)
    async with WireClient.open(lab, mine, url=lab.wss_url) as client:
        await client.next("success")
        lab.faults.schedule("half_open=100%/in/max:1")
        await client.send(ping("p"))
        await watch.fault("half_open")
        lab.faults.calm()
        with pytest.raises(GONE):
            await answered(client, "q")
    await lab.stop()


async def test_a_schedule_restarts_the_server_again_and_again(stage: Stage) -> None:
    stage.lab.faults.schedule("restart=every:12/0s/max:3")
    for number in range(40):
        try:
            client = await log_in_when_back(stage)
            await answered(client, f"p{number}")
        except GONE:
            continue
    assert stage.lab.faults.injected[Kind.RESTART] == 3
    assert stage.lab.faults.is_over


async def test_a_connection_that_shows_a_qr_is_left_alone_unless_asked(stage: Stage) -> None:
    stage.lab.faults.schedule("close=100%/tag:iq|stream:error")
    await pair(stage.lab)
    assert stage.watch.faults() == []
    stage.lab.faults.schedule("close=100%/tag:iq|stream:error/max:1,pairing=yes")
    with pytest.raises(GONE):
        await pair(stage.lab)
    assert len(stage.watch.faults("close")) == 1


@pytest.mark.parametrize("kind", ["drop", "truncate", "corrupt", "close", "delay=1ms/", "half_open"])
@pytest.mark.parametrize("tag", ["server_hello", "client_finish"])
async def test_handshakes_are_struck_too(stage: Stage, kind: str, tag: str) -> None:
    name, equals, time = kind.partition("=")
    stage.lab.faults.schedule(f"{name}={time if equals else ''}100%/tag:{tag}/max:1")
    way = "out" if tag == "server_hello" else "in"

    async def attempt() -> None:
        async with WireClient.open(stage.lab, new_credentials()) as client:
            await client.next("iq")

    trying = asyncio.create_task(attempt())
    assert told(await stage.watch.fault(name)) == (name, way, tag, "")
    if name == "half_open":
        stage.lab.faults.calm()
    if name == "delay":
        await trying
    else:
        with pytest.raises((*GONE, WatonError)):
            await trying
    await attempt()


async def test_only_the_devices_of_the_account_that_is_named_are_struck(stage: Stage) -> None:
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule("close=100%/of:Nobody")
    await answered(client, "untouched")
    stage.lab.faults.schedule(f"close=100%/of:{stage.lab.phones[0].name}")
    with pytest.raises(GONE):
        await answered(client, "struck")


async def test_the_lab_is_calm_when_told(stage: Stage) -> None:
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule("lost_answer=100%,clock_skew=1h")
    await client.send(ping("p1"))
    await stage.watch.fault("lost_answer")
    assert stage.lab.service.world.skew == 3600
    stage.lab.faults.calm()
    await answered(client, "p2")
    assert (stage.lab.faults.running, stage.lab.faults.is_over, stage.lab.service.world.skew) == (None, True, 0)


async def test_every_fault_is_traced_with_its_cause_and_counted(stage: Stage) -> None:
    client = await stage.log_in(stage.mine)
    stage.lab.faults.schedule("duplicate=100%/max:2,lost_answer=100%/max:2,delay=1ms/max:3")
    for id in ("a", "b"):
        stage.queue(id)
    await stage.settle_all(client, 4)
    for number in range(3):
        await client.send(ping(f"p{number}"))
    assert (await client.next("iq")).attrs["id"] == "p2"
    faults = stage.watch.faults()
    by_seq = {trace.seq: trace for trace in stage.watch.traces}
    for fault in faults:
        assert fault.connection == stage.lab.connections
        if fault.kind != "delay" or fault.parent is not None:
            assert by_seq[fault.parent or 0].id == fault.id
    assert {Kind(kind): len(stage.watch.faults(kind)) for kind in ("duplicate", "lost_answer", "delay")} == {
        Kind.DUPLICATE: 2,
        Kind.LOST_ANSWER: 2,
        Kind.DELAY: 3,
    }
    assert sum(stage.lab.faults.injected.values()) == len(faults)


async def test_connections_that_are_over_are_forgotten(stage: Stage) -> None:
    stage.lab.faults.profile("lossy")
    for _ in range(5):
        with suppress(*GONE, WatonError):
            async with WireClient.open(stage.lab, stage.mine) as client:
                await answered(client, "p")
    stage.lab.faults.calm()
    await stage.stack.aclose()
    await stage.lab.restart(0)
    assert stage.lab.faults._lines == {}


async def test_one_seed_gives_the_same_faults_on_another_lab() -> None:
    runs = [await run_of_pings(seed) for seed in (11, 11, 12)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert {kind for kind, *_ in runs[0]} == {"close", "truncate", "stream_error", "delay"}


async def run_of_pings(seed: int) -> list[tuple[object, ...]]:
    """Thirty pings, one after the other, over as many connections as it takes; the faults on the way."""
    watch = Watch()
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), sink=watch)
    mine = await pair(lab)
    rules = (
        Rule(Kind.CLOSE, chance=0.06),
        Rule(Kind.TRUNCATE, chance=0.06),
        Rule(Kind.STREAM_ERROR, chance=0.04),
        Rule(Kind.DELAY, chance=0.2, seconds=(0.0, 0.002)),
    )
    lab.faults.schedule(Schedule(seed, rules))
    sent = 0
    while sent < 30:
        try:
            async with WireClient.open(lab, mine) as client:
                await client.next("success")
                while sent < 30:
                    sent += 1
                    await client.send(ping(f"p{sent}"))
                    assert (await client.next("iq")).attrs["id"] == f"p{sent}"
        except GONE:
            continue
    lab.faults.calm()
    await lab.stop()
    return [(*told(fault), fault.connection) for fault in watch.faults()]
