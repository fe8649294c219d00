"""Retries at work: whoever waits for a message keeps his place, and no request is lost or answered without locks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.client.service import GROUP, ME, World, child, said, text
from tests.unit.client.worlds import settle
from waton.client.events import MessagesUpsert, MessageUndecryptable
from waton.client.prekeys import MAX_ID
from waton.client.retries import Retries
from waton.client.sent_messages import SentMessage
from waton.client.sessions import Bundles
from waton.errors import IqError, QueryTimeout
from waton.jid import Jid
from waton.ports import RecordKind
from waton.protocol import proto
from waton.protocol.binary_node import Node, get_text
from waton.protocol.connection import NodeReceived
from waton.protocol.stanza.message import Enc, IncomingMessage
from waton.protocol.stanza.retry import RetryRequest

ADA, ADA_PN = Jid("200000000000002", "lid"), Jid("15550000002", "s.whatsapp.net")
BOB = Jid("200000000000003", "lid")
PHONE = ME.with_device(0)
T = 1_760_000_000


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Nobody waits: the phone is asked as soon as it may be."""
    monkeypatch.setattr("waton.client.retry_manager.PHONE_SECONDS", 0.0)
    monkeypatch.setattr("waton.client.retries.PHONE_SECONDS", 0.0)
    made = await World.of(retry_delay=0.0)
    for jid in (PHONE, ADA, BOB):
        made.service.person(jid)
    return made


def message(*encs: Enc, id: str = "ID", sender: Jid = ADA, **fields: object) -> Node:
    return IncomingMessage(id, sender, T, "text", encs, **fields).to_node()  # type: ignore[arg-type]


UNREADABLE = Enc("skmsg", b"\x33garbage")


def questions(world: World) -> list[proto.Message]:
    """What our phone was asked, read by it."""
    phone = world.service.peers[PHONE]
    return [phone.read(node) for node in world.service.of("message") if get_text(node, "category") == "peer"]


def asked_ids(question: proto.Message) -> list[str]:
    listed = question.protocolMessage.peerDataOperationRequestMessage.placeholderMessageResendRequest
    return [one.messageKey.id for one in listed]


def answer(*told: tuple[Jid, str, str], participant: Jid | None = None) -> proto.Message:
    """The phone's answer: (chat, id, text) of each."""
    made = proto.Message()
    made.protocolMessage.type = proto.Message.ProtocolMessage.PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE
    response = made.protocolMessage.peerDataOperationRequestResponseMessage
    for chat, id, words in told:
        info = proto.WebMessageInfo(message=text(words), messageTimestamp=T)
        info.key.remoteJid, info.key.id = str(chat), id
        if participant is not None:
            info.key.participant = str(participant)
        result = response.peerDataOperationResult.add()
        result.placeholderMessageResendResponse.webMessageInfoBytes = info.SerializeToString()
    return made


async def phone_says(world: World, told: proto.Message, id: str) -> None:
    phone = world.service.peers[PHONE]
    phone.meet(world.client)
    await world.receive(message(phone.seal(told), id=id, sender=PHONE, category="peer"))


def texts(world: World) -> list[tuple[Jid, str]]:
    told = [event for event in world.told(MessagesUpsert) if isinstance(event, MessagesUpsert)]
    return [(event.key.chat, said(event.message)) for event in told if not event.key.from_me]


# --- what waits to be read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["SAME", "held 200000000000002_1.0 SAME", "with blanks in it", "a/b%20c"])
async def test_messages_of_one_id_in_two_chats_wait_side_by_side(world: World, id: str) -> None:
    for sender in (ADA, BOB):
        await world.receive(message(UNREADABLE, id=id, sender=sender))
    assert len(await world.client.store.keys(RecordKind.PLACEHOLDER)) == 2
    assert sorted(one for question in questions(world) for one in asked_ids(question)) == [id, id]
    await phone_says(world, answer((BOB, id, "from Bob")), "P1")
    assert texts(world) == [(BOB, "from Bob")]
    await phone_says(world, answer((ADA, id, "from Ada")), "P2")
    assert texts(world) == [(BOB, "from Bob"), (ADA, "from Ada")]
    assert await world.client.store.keys(RecordKind.PLACEHOLDER) == []


async def test_two_authors_of_one_id_in_a_group_get_each_their_own(world: World) -> None:
    for author in (ADA, BOB):
        await world.receive(message(UNREADABLE, sender=GROUP, participant=author))
    await phone_says(world, answer((GROUP, "ID", "from Bob"), participant=BOB), "P1")
    told = [event.key.author for event in world.told(MessagesUpsert) if isinstance(event, MessagesUpsert)]
    assert told == [BOB]


async def test_somebody_s_readable_message_takes_nobody_else_s_place(world: World) -> None:
    mallory = world.service.person(Jid("200000000000009", "lid"))
    await world.receive(message(UNREADABLE, sender=GROUP, participant=ADA))
    await world.receive(message(UNREADABLE, sender=mallory.jid))
    mallory.meet(world.client)
    await world.receive(message(mallory.seal(text("mine can be read")), sender=mallory.jid))
    await phone_says(world, answer((GROUP, "ID", "from Ada"), participant=ADA), "P")
    assert (GROUP, "from Ada") in texts(world)


async def test_what_was_asked_for_under_the_number_is_found_under_the_lid(world: World) -> None:
    ada = world.service.peers[ADA]
    await world.receive(message(UNREADABLE, sender=ADA_PN))
    ada.meet(world.client)
    await world.receive(message(ada.seal(text("hello")), sender=ADA, sender_pn=ADA_PN))
    assert texts(world) == [(ADA, "hello")]
    told = [event for event in world.told(MessageUndecryptable) if isinstance(event, MessageUndecryptable)]
    assert [one.is_resolved for one in told] == [False, True]
    assert await world.client.store.keys(RecordKind.PLACEHOLDER) == []
    assert await world.client.store.keys(RecordKind.RETRY, "in ") == []


def gated(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> tuple[asyncio.Event, asyncio.Event]:
    """Have the next call of a method wait: set when it was reached, and to be set when it may go on."""
    method, reached, may_go = getattr(owner, name), asyncio.Event(), asyncio.Event()

    async def wait(*args: object) -> object:
        if not reached.is_set():
            reached.set()
            await may_go.wait()
        return await method(*args)

    monkeypatch.setattr(owner, name, wait)
    return reached, may_go


async def test_the_phone_s_answer_and_another_copy_that_cannot_be_read_do_not_cross(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_session = Enc("msg", world.service.peers[ADA].keys.identity_key.public)
    await world.receive(message(no_session))
    assert await world.client.store.keys(RecordKind.RETRY, "in ")
    reached, may_go = gated(monkeypatch, world.client.keys, "own_bundle")
    await world.client.on_node(world.event(message(no_session)))
    await reached.wait()
    phone = world.service.peers[PHONE]
    phone.meet(world.client)
    told = phone.seal(answer((ADA, "ID", "from the phone")))
    await world.client.on_node(world.event(message(told, id="P", sender=PHONE, category="peer")))
    await settle()
    may_go.set()
    await world.client.lanes.drain()
    await settle()
    assert texts(world) == [(ADA, "from the phone")]
    assert await world.client.store.keys(RecordKind.RETRY, "in ") == []
    assert await world.client.store.keys(RecordKind.PLACEHOLDER) == []


async def test_what_the_phone_and_the_author_give_at_once_is_told_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.receive(message(UNREADABLE))
    reached, may_go = gated(monkeypatch, world.client.retries, "resolved")
    ada, phone = world.service.peers[ADA], world.service.peers[PHONE]
    ada.meet(world.client)
    await world.client.on_node(world.event(message(ada.seal(text("hello")))))
    await reached.wait()
    phone.meet(world.client)
    told = phone.seal(answer((ADA, "ID", "hello")))
    await world.client.on_node(world.event(message(told, id="P", sender=PHONE, category="peer")))
    await settle()
    may_go.set()
    await world.client.lanes.drain()
    await settle()
    assert texts(world) == [(ADA, "hello")]
    assert await world.client.store.keys(RecordKind.RETRY, "in ") == []


async def test_an_answer_that_names_itself_holds_nothing_up(world: World) -> None:
    await world.receive(message(UNREADABLE))
    async with asyncio.timeout(5.0):
        await phone_says(world, answer((ADA, "P", "itself"), (ADA, "ID", "hello")), "P")
    assert texts(world) == [(ADA, "hello")]


async def test_much_that_cannot_be_read_is_few_questions(world: World) -> None:
    for number in range(300):
        await world.client.on_node(NodeReceived(message(UNREADABLE, id=f"ID{number}"), 1))
    await world.client.lanes.drain()
    for _ in range(2_000):
        await asyncio.sleep(0)
    asked = [asked_ids(question) for question in questions(world)]
    assert sorted(id for some in asked for id in some) == sorted(f"ID{number}" for number in range(300))
    assert len(asked) < 30
    assert all(len(some) <= 64 for some in asked)


async def test_after_a_login_the_phone_is_asked_once_for_each_that_it_was_not_asked_for(world: World) -> None:
    world.service.faults["encrypt"] = QueryTimeout("q", 1)  # no session with the phone is to be had
    for number in range(3):
        await world.receive(message(UNREADABLE, id=f"with blanks {number}"))
    assert questions(world) == []
    del world.service.faults["encrypt"]
    retries = world.client.retries
    await asyncio.gather(retries.open(), retries.open())
    for _ in range(500):
        await asyncio.sleep(0)
    await retries.open()
    for _ in range(500):
        await asyncio.sleep(0)
    assert [asked_ids(question) for question in questions(world)] == [[f"with blanks {number}" for number in range(3)]]


async def test_without_an_id_for_a_prekey_it_is_asked_without_keys(world: World) -> None:
    account = world.client.account
    async with account.changing() as step:
        account.keep(step, account.credentials.evolve(next_prekey_id=MAX_ID + 1))
    await world.receive(message(Enc("msg", b"\x33garbage"), id="A"))
    ada = world.service.peers[ADA]
    ada.meet(world.client)
    ada.seal(text("opens"))
    await world.receive(message(Enc("skmsg", UNREADABLE.ciphertext), id="B", sender=GROUP, participant=ADA))
    assert world.failures() == []
    requests = [node for node in world.service.of("receipt") if get_text(node, "type") == "retry"]
    assert [get_text(node, "id") for node in requests] == ["A", "B"]
    assert [node.child("keys") for node in requests] == [None, None]


# --- what others could not read ---------------------------------------------------------------------------------------


def request(id: str, peer: Jid, *, participant: Jid | None = None, count: int = 1) -> Node:
    made = RetryRequest(id, peer, count, T, 1, participant=participant).to_node()
    attrs: dict[str, str | Jid | None] = {}
    for name, value in made.attrs.items():
        attrs["from" if name == "to" else name] = value
    return Node("receipt", attrs, made.content)


async def in_group(world: World) -> str:
    """A message of ours to Ada and Bob, and its id."""
    world.service.group(ADA, BOB)
    sent = await world.client.sender.send_text(GROUP, "to all")
    return sent.id


async def test_a_request_in_a_group_that_is_not_ours_any_more_is_acknowledged(world: World) -> None:
    id = await in_group(world)
    world.service.groups.clear()
    async with world.client.pipeline.step() as step:
        world.client.groups.forget(step, GROUP)
    await world.receive(request(id, GROUP, participant=ADA))
    assert world.failures() == []
    assert len(world.service.of("ack")) == 1
    assert len(world.service.of("message")) == 1, "nothing is sent again"


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_a_request_that_the_server_has_no_time_for_now_is_left_to_come_again(world: World, code: int) -> None:
    id = await in_group(world)
    async with world.client.pipeline.step() as step:
        world.client.groups.forget(step, GROUP)
    world.service.faults["w:g2"] = IqError(code, "not now")
    await world.receive(request(id, GROUP, participant=ADA))
    assert world.service.of("ack") == []
    del world.service.faults["w:g2"]
    await world.receive(request(id, GROUP, participant=ADA))
    assert len(world.service.of("ack")) == 1
    assert len(world.service.of("message")) == 2


async def test_a_device_that_the_server_does_not_know_is_refused_and_acknowledged(world: World) -> None:
    id = await in_group(world)
    world.service.faults["usync"] = IqError(404, "nobody")
    world.client.devices.clear()
    await world.receive(request(id, GROUP, participant=ADA.with_device(7)))
    assert world.failures() == []
    assert len(world.service.of("ack")) == 1


@pytest.mark.parametrize("server", ["nowhere", "bot", "g.us"])
async def test_a_request_of_nobody_s_device_is_acknowledged(world: World, server: str) -> None:
    id = await in_group(world)
    await world.receive(request(id, Jid("15550000002", server)))
    assert world.failures() == []
    assert len(world.service.of("ack")) == 1
    assert len(world.service.of("message")) == 1


async def test_nothing_is_asked_while_locks_are_held(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    id = await in_group(world)
    asked_before = len(world.service.asked)
    original = Retries._answer

    async def answered_late(self: Retries, *args: Any) -> None:
        async with world.client.pipeline.step() as step:  # a notification, while keys were asked for
            world.client.groups.forget(step, GROUP)
        await original(self, *args)

    monkeypatch.setattr(Retries, "_answer", answered_late)
    await world.receive(request(id, GROUP, participant=ADA))
    assert world.failures() == []
    assert [get_text(node, "xmlns") for node in world.service.asked[asked_before:]] in ([], ["encrypt"])
    again = world.service.of("message")[-1]
    message = world.service.peers[ADA].read(again)
    assert said(message) == "to all"
    assert message.senderKeyDistributionMessage.axolotlSenderKeyDistributionMessage


async def test_a_stranger_s_request_renews_our_key_under_the_group_s_lock(world: World) -> None:
    id = await in_group(world)
    store = world.client.store
    stranger = world.service.person(Jid("200000000000009", "lid"))
    async with world.client.hold([GROUP]):
        await world.client.on_node(NodeReceived(request(id, GROUP, participant=stranger.jid), 1))
        for _ in range(200):
            await asyncio.sleep(0)
        assert await store.load(RecordKind.SENDER_KEY_SENT, str(GROUP)) is not None
    await world.client.lanes.drain()
    assert await store.load(RecordKind.SENDER_KEY_SENT, str(GROUP)) is None


async def test_what_is_sent_to_one_more_device_does_not_take_back_how_far_it_got(world: World) -> None:
    sent = await world.client.sender.send_text(ADA, "hello")
    other = world.service.person(ADA.with_device(0))  # under its own address again: a device without a session
    store = world.client.store
    assert isinstance(store, MemoryStore)
    for place in [place for place in store.records if place[0] is RecordKind.SESSION]:
        del store.records[place]

    async def read_meanwhile() -> None:
        attrs = {"id": sent.id, "from": ADA, "type": "read", "t": str(T)}
        await world.client.receiver.on_receipt(NodeReceived(Node("receipt", attrs), 1), world.service.send)

    world.service.before["encrypt"] = read_meanwhile
    await world.client.retries.send_to(sent.id, other.jid)
    record = await store.load(RecordKind.SENT_MESSAGE, sent.id)
    assert record is not None
    assert b'"status":4' in record, "it was read"


async def test_a_session_that_was_put_aside_meanwhile_costs_nobody_a_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await world.client.sender.send_text(ADA, "hello")
    ada = world.service.peers[ADA]
    store, waiting = world.client.store, asyncio.Event()

    async def put_aside() -> None:
        world.service.before.clear()
        waiting.set()
        async with world.client.hold([ADA]), world.client.pipeline.step() as step:
            await world.client.sessions.archive(step, ADA)

    bundles_for = world.client.sessions.bundles_for

    async def none_missing(devices: Sequence[Jid], **more: bool) -> Bundles:
        bundles = await bundles_for(devices, **more)
        if not waiting.is_set():
            await put_aside()
        return bundles

    monkeypatch.setattr(world.client.sessions, "bundles_for", none_missing)
    await world.client.retries.send_to(sent.id, ADA)
    assert await store.load(RecordKind.SENT_MESSAGE, sent.id) is not None
    [_, again] = world.service.of("message")
    ada.record = None
    assert said(ada.read(again)) == "hello"


async def test_who_got_our_key_with_a_resend_costs_it_when_he_is_gone(world: World) -> None:
    id = await in_group(world)
    store = world.client.store
    await world.receive(request(id, GROUP, participant=BOB))
    before = await store.load(RecordKind.SENDER_KEY_SENT, str(GROUP))
    assert before is not None
    async with world.client.pipeline.step() as step:
        world.client.groups.forget(step, GROUP)
    world.service.group(ADA)
    await world.client.sender.send_text(GROUP, "without Bob")
    after = await store.load(RecordKind.SENDER_KEY_SENT, str(GROUP))
    assert after is not None
    assert after.partition(b",")[0] != before.partition(b",")[0]
    assert child(world.service.of("message")[-1], "enc")


@pytest.mark.parametrize("word", [b"", b"\x0a\x01x", b"not the phone's word", None])
async def test_keys_of_a_companion_are_taken_by_its_phone_s_word_alone(world: World, word: bytes | None) -> None:
    """None: the phone's own."""
    sent = await world.client.sender.send_text(ADA, "hello")
    companion = world.service.person(ADA.with_device(7))
    store = world.client.store
    record = await store.load(RecordKind.SENT_MESSAGE, sent.id)
    assert record is not None
    async with store.unit() as unit:
        also = SentMessage.from_bytes(record).also_to([companion.jid])
        unit.save(RecordKind.SENT_MESSAGE, sent.id, also.to_bytes())
    companion.word = world.service.peers[ADA].stands_for(companion) if word is None else word
    keys = companion.bundle()
    asked = RetryRequest(sent.id, companion.jid, 2, T, keys.registration_id, keys).to_node()
    attrs: dict[str, str | Jid | None] = {
        ("from" if name == "to" else name): value for name, value in asked.attrs.items()
    }
    await world.receive(Node("receipt", attrs, asked.content))
    assert len(world.service.of("ack")) == 1
    assert len(world.service.of("message")) == (2 if word is None else 1)
