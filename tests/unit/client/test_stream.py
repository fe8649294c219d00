"""Stream: questions and answers over a wire in memory, the order of stanzas, and the end that fails what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.unit.client.worlds import Live, live, settle
from tests.unit.protocol.wires import NOW, STRANGER, server_handshake
from waton.client.stream import cancel
from waton.errors import (
    Disconnected,
    DisconnectReason,
    HandshakeError,
    HandshakeStep,
    IqError,
    QueryTimeout,
    RemoteProtocolError,
)
from waton.jid import SERVER, Jid
from waton.protocol.binary_node import Node, StanzaError
from waton.protocol.connection import NodeReceived
from waton.protocol.stanza import iq
from waton.protocol.stanza.receipt import server_ack

PEER = Jid.parse("4915000000002@s.whatsapp.net")


def question(id: str = "q1") -> Node:
    return iq.request(id, iq.IqType.GET, "w:p", [Node("ping")])


def message(id: str) -> Node:
    return Node("message", {"id": id, "from": PEER, "t": "5"})


async def started(work: Awaitable[Node]) -> asyncio.Task[Node]:
    task = asyncio.ensure_future(work)
    assert isinstance(task, asyncio.Task)
    await settle()
    return task


# --- questions --------------------------------------------------------------------------------------------------------


async def test_a_question_gets_the_answer_with_its_id() -> None:
    async with live() as world:
        one = await started(world.stream.query(question("1"), 20))
        two = await started(world.stream.query(question("2"), 20))
        asked = [await world.server.receive(), await world.server.receive()]
        assert asked == [question("1"), question("2")]
        world.server.send(iq.result(asked[1], [Node("second")]), iq.result(asked[0], [Node("first")]))
        assert (await one).child("first") is not None
        assert (await two).child("second") is not None
        assert world.received == []
        assert world.stream._pending == {}


async def test_an_error_is_raised_by_query_and_given_by_ask() -> None:
    async with live() as world:
        asking = await started(world.stream.query(question(), 20))
        world.server.send(iq.error(await world.server.receive(), 404, "item-not-found"))
        with pytest.raises(IqError) as refused:
            await asking
        assert (refused.value.code, refused.value.text) == (404, "item-not-found")
        asking = await started(world.stream.ask(question("q2"), 20))
        world.server.send(iq.error(await world.server.receive(), 404, "item-not-found"))
        assert (await asking).attrs["type"] == "error"


async def test_a_question_without_an_answer_times_out_and_is_forgotten() -> None:
    async with live() as world:
        with pytest.raises(QueryTimeout) as late:
            await world.stream.query(question(), 0)
        assert (late.value.id, late.value.seconds) == ("q1", 0)
        assert world.stream._pending == {}
        answer = iq.result(await world.server.receive())
        world.server.send(answer)
        await settle()
        assert world.received == [answer]  # nobody waits for it any more; it is not lost
        assert not world.stream.is_closed


async def test_a_cancelled_question_is_forgotten() -> None:
    async with live() as world:
        asking = await started(world.stream.query(question(), 20))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert world.stream._pending == {}


async def test_only_an_answer_answers() -> None:
    async with live() as world:
        asking = await started(world.stream.query(question("1"), 20))
        others = [
            Node("iq", {"id": "1", "type": "get", "from": SERVER}),
            Node("iq", {"id": "1", "type": "set", "from": SERVER}),
            Node("iq", {"id": "1", "from": SERVER}),
            message("1"),
            Node("receipt", {"id": "1", "from": PEER}),
            Node("ack", {"id": "1", "class": "presence"}),
            Node("iq", {"id": "2", "type": "result", "from": SERVER}),
            Node("iq", {"type": "result", "from": SERVER}),
        ]
        world.server.send(*others)
        await settle()
        assert not asking.done()
        assert world.received == others
        world.server.send(iq.result(question("1")))
        await asking


@pytest.mark.parametrize("tag", ["message", "receipt", "notification", "call"])
async def test_an_ack_answers_the_stanza_with_its_id(tag: str) -> None:
    sent = Node(tag, {"id": "A1", "to": PEER})
    async with live() as world:
        asking = await started(world.stream.ask(sent, 20))
        other = server_ack(Node(tag, {"id": "A2", "to": PEER}), t=5)
        world.server.send(other, server_ack(await world.server.receive(), t=5, error=479))
        answer = await asking
        assert (answer.tag, answer.attrs["id"], answer.attrs["error"]) == ("ack", "A1", "479")
        assert world.received == [other]


async def test_an_answer_that_overtakes_the_wait_is_kept() -> None:
    async with live() as world:
        waiting = await world.stream.post(question())
        world.server.send(iq.result(await world.server.receive()))
        await settle()
        assert (await world.stream.answer(waiting, "q1", 20)).attrs["id"] == "q1"


async def test_a_question_needs_an_id() -> None:
    async with live() as world:
        with pytest.raises(StanzaError):
            await world.stream.query(Node("iq", {"type": "get"}), 20)
        assert world.wire.up.empty()


# --- stanzas ----------------------------------------------------------------------------------------------------------


async def test_stanzas_reach_the_owner_one_after_the_other() -> None:
    log: list[str] = []
    gate = asyncio.Event()

    async def slow(event: NodeReceived) -> None:
        log.append(f"{event.node.attrs['id']} begins")
        await gate.wait()
        log.append(f"{event.node.attrs['id']} ends")

    async with live(slow) as world:
        world.server.send(message("1"), message("2"))
        await settle()
        assert log == ["1 begins"]
        gate.set()
        await settle()
    assert log == ["1 begins", "1 ends", "2 begins", "2 ends"]


async def test_stanzas_are_written_in_the_order_they_were_encrypted() -> None:
    async with live() as world:
        await asyncio.gather(*(world.stream.send(Node("iq", {"id": str(number)})) for number in range(20)))
        assert [(await world.server.receive()).attrs["id"] for _ in range(20)] == [str(number) for number in range(20)]


async def test_a_slow_wire_does_not_mix_the_order() -> None:
    async with live() as world:
        gate, write = asyncio.Event(), world.wire.send

        async def slow(data: bytes) -> None:
            await gate.wait()
            await write(data)

        world.wire.send = slow  # type: ignore[method-assign]  # the same wire, slower
        sending = [asyncio.create_task(world.stream.send(Node("iq", {"id": str(number)}))) for number in range(5)]
        await settle()
        gate.set()
        await asyncio.gather(*sending)
        assert [(await world.server.receive()).attrs["id"] for _ in range(5)] == ["0", "1", "2", "3", "4"]


async def test_a_first_stanza_may_come_before_run() -> None:
    world = Live()
    await world.open()
    world.server.send(message("early"))
    reading = asyncio.create_task(world.stream.run())
    await settle()
    assert world.received == [message("early")]
    await cancel(reading)


async def test_inbound_bytes_count_as_life() -> None:
    async with live() as world:
        assert world.stream.last_inbound == NOW
        world.clock.time += 9
        await world.stream.send(question())
        assert world.stream.last_inbound == NOW
        world.server.send(message("1"))
        await settle()
        assert world.stream.last_inbound == NOW + 9


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_closing_fails_what_waits_with_the_reason() -> None:
    async with live() as world:
        waiting = [await started(world.stream.query(question(str(number)), 20)) for number in range(3)]
        await world.stream.close(Disconnected(DisconnectReason.REPLACED, 440, "conflict"))
        for asking in waiting:
            with pytest.raises(Disconnected) as gone:
                await asking
            assert (gone.value.reason, gone.value.code, gone.value.detail) == (
                DisconnectReason.REPLACED,
                440,
                "conflict",
            )
        assert world.stream._pending == {}
        assert world.stream.is_closed


@pytest.mark.parametrize("act", ["send", "post", "query"])
async def test_nothing_can_be_sent_after_the_end(act: str) -> None:
    async with live() as world:
        await world.stream.close(Disconnected(DisconnectReason.LOCAL))
        acts: dict[str, Callable[[], Awaitable[object]]] = {
            "send": lambda: world.stream.send(question()),
            "post": lambda: world.stream.post(question()),
            "query": lambda: world.stream.query(question(), 20),
        }
        with pytest.raises(Disconnected) as gone:
            await acts[act]()
        assert gone.value.reason is DisconnectReason.LOCAL
        await settle()
        assert world.stream._pending == {}
        assert world.wire.up.empty()


async def test_who_waited_to_write_when_it_ended_hears_so() -> None:
    async with live() as world:
        gate = asyncio.Event()

        async def stuck(data: bytes) -> None:
            await gate.wait()

        world.wire.send = stuck  # type: ignore[method-assign]  # the same wire, stuck
        sending = [asyncio.create_task(world.stream.send(question(str(number)))) for number in range(2)]
        await settle()
        await world.stream.close(Disconnected(DisconnectReason.LOST))
        gate.set()
        await sending[0]
        with pytest.raises(Disconnected) as gone:
            await sending[1]
        assert gone.value.reason is DisconnectReason.LOST


async def test_the_first_reason_stays() -> None:
    async with live() as world:
        await world.stream.close(Disconnected(DisconnectReason.LOST))
        await world.stream.close(Disconnected(DisconnectReason.LOCAL))
        with pytest.raises(Disconnected) as gone:
            await world.stream.send(question())
        assert gone.value.reason is DisconnectReason.LOST
        assert world.wire.closes == 2


async def test_another_error_becomes_a_disconnect_that_says_so() -> None:
    async with live() as world:
        asking = await started(world.stream.query(question(), 20))
        await world.stream.close(RemoteProtocolError("an empty frame"))
        with pytest.raises(Disconnected) as gone:
            await asking
        assert (gone.value.reason, gone.value.detail) == (DisconnectReason.PROTOCOL, "an empty frame")


async def test_a_closed_wire_ends_the_reading() -> None:
    world = Live()
    await world.open()
    world.wire.down.put_nowait(None)
    with pytest.raises(Disconnected) as gone:
        await world.stream.run()
    assert (gone.value.reason, gone.value.code) == (DisconnectReason.CLOSED, 1006)


async def test_a_bad_frame_ends_the_reading_and_what_came_before_it_counts() -> None:
    world = Live()
    await world.open()
    world.server.connection.send(message("1"), NOW)
    [sound] = world.server.connection.data_to_send()
    world.wire.down.put_nowait(sound + b"\x00\x00\x03bad")
    with pytest.raises(RemoteProtocolError):
        await world.stream.run()
    assert world.received == [message("1")]


async def test_between_a_bad_frame_and_the_end_a_send_says_disconnected() -> None:
    # Work of earlier stanzas goes on in lanes; to it, a wire that failed a moment ago is a lost wire.
    world = Live()
    await world.open()
    world.wire.down.put_nowait(b"\x00\x00\x03bad")
    with pytest.raises(RemoteProtocolError):
        await world.stream.run()
    assert not world.stream.is_closed
    with pytest.raises(Disconnected) as gone:
        await world.stream.send(question())
    assert gone.value.reason is DisconnectReason.PROTOCOL


async def test_an_owners_error_ends_the_reading() -> None:
    async def refuse(event: NodeReceived) -> None:
        raise Disconnected(DisconnectReason.RESTART_REQUIRED, 515)

    world = Live(refuse)
    await world.open()
    world.server.send(Node("stream:error", {"code": "515"}))
    with pytest.raises(Disconnected) as gone:
        await world.stream.run()
    assert gone.value.reason is DisconnectReason.RESTART_REQUIRED


# --- the handshake ----------------------------------------------------------------------------------------------------


async def test_a_server_that_says_nothing() -> None:
    world = Live()
    with pytest.raises(Disconnected) as gone:
        await world.stream.handshake(0)
    assert gone.value.reason is DisconnectReason.LOST


async def test_a_server_that_cannot_prove_its_key_hears_only_the_hello() -> None:
    world = Live()
    world.server.noise = server_handshake(static=STRANGER)
    world.server.connection._handshake = world.server.noise
    shaking = asyncio.create_task(world.stream.handshake(20))
    world.server.connection.receive(await world.wire.up.get(), NOW)
    world.server.write()
    with pytest.raises(HandshakeError) as refused:
        await shaking
    assert refused.value.step is HandshakeStep.LEAF_KEY
    assert world.wire.up.empty()


async def test_a_wire_that_closes_in_the_handshake() -> None:
    world = Live()
    world.wire.down.put_nowait(None)
    with pytest.raises(Disconnected) as gone:
        await world.stream.handshake(20)
    assert gone.value.reason is DisconnectReason.CLOSED


async def test_cancel_waits_until_the_task_is_gone() -> None:
    log: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("gone")

    task = asyncio.create_task(work())
    await settle()
    await cancel(task)
    assert log == ["gone"]
    await cancel(task)
    await cancel(None)


@pytest.mark.parametrize("is_late_data", [True, False])
async def test_a_stream_that_we_closed_ends_for_our_reason_whatever_the_wire_does(is_late_data: bool) -> None:
    made = Live()
    await made.open()
    reading = asyncio.create_task(made.stream.run())
    await settle()
    await made.stream.close(Disconnected(DisconnectReason.RESTART_REQUIRED))
    if is_late_data:
        made.server.send(question())
    else:
        made.wire.down.put_nowait(None)
    with pytest.raises(Disconnected) as gone:
        await reading
    assert gone.value.reason is DisconnectReason.RESTART_REQUIRED
    assert made.received == []
