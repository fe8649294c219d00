"""What could not be read is asked for and comes: sessions and sender keys lost on either side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from tests.support.memory_store import MemoryStore
from tests.support.waton_client import WatonPeer, waton_peer
from waton.client import retry_manager
from waton.client.events import MessagesUpsert, MessageUndecryptable
from waton.errors import RetryReason
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.lab.database import Value
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.ports import RecordKind
from waton.protocol.stanza.message import Enc, IncomingMessage
from waton.protocol.stanza.retry import RetryRequest

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield started
    await started.stop()


async def reads(phone: Phone, text: str) -> None:
    """The phone's next message is this one."""
    assert (await phone.next_message()).text == text


def lose(waton: WatonPeer, *kinds: RecordKind) -> None:
    """All of the client's records of these kinds are gone, as after a restored backup."""
    store = waton.store
    assert isinstance(store, MemoryStore)
    for kind, key in list(store.records):
        if kind in kinds:
            del store.records[kind, key]


async def unread(waton: WatonPeer) -> MessageUndecryptable:
    return await waton.event(lambda event: event if isinstance(event, MessageUndecryptable) else None)


async def test_a_session_lost_here_is_made_anew_and_the_message_comes(lab: Lab) -> None:
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        await waton.client.send_text(ada.lid, "hello")
        await reads(ada, "hello")
        await ada.send_text(waton.lid, "one")
        await waton.message("one")
        lose(waton, RecordKind.SESSION)
        await ada.send_text(waton.lid, "two")
        failed = await unread(waton)
        assert (failed.reason, failed.will_retry, failed.retry_count) == ("no_session", True, 1)
        await waton.message("two")
        assert (await unread(waton)).is_resolved
        await ada.send_text(waton.lid, "three")
        await waton.message("three")
        await waton.client.send_text(ada.lid, "four")
        await reads(ada, "four")
        assert await waton.store.keys(RecordKind.RETRY, "in ") == []


async def test_a_sender_key_lost_here_is_told_again(lab: Lab) -> None:
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        group = await ada.create_group("Friends", [owner.lid])
        await ada.send_text(group, "one")
        await waton.message("one")
        lose(waton, RecordKind.SENDER_KEY)
        await ada.send_text(group, "two")
        assert (await unread(waton)).reason == "no_sender_key"
        await waton.message("two")
        await ada.send_text(group, "three")
        await waton.message("three")


@pytest.mark.parametrize("where", ["person", "group"])
async def test_what_a_phone_cannot_read_is_sent_again_to_it_alone(lab: Lab, where: str) -> None:
    owner, ada, bob = [await lab.add_phone(name) for name in ("Owner", "Ada", "Bob")]
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        to = ada.lid if where == "person" else await ada.create_group("Friends", [owner.lid, bob.lid])
        await waton.client.send_text(to, "one")
        await reads(ada, "one")
        forget(lab, ada)
        await waton.client.send_text(to, "two")
        await reads(ada, "two")
        await waton.client.send_text(to, "three")
        await reads(ada, "three")
        if where == "group":
            assert [message.text for message in bob.messages] == ["one", "two", "three"]
        assert [trace.detail for trace in waton.traces if trace.name == "retry"]


async def test_what_our_phone_has_given_us_is_not_asked_for_any_more(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ada is gone when she is asked; when she comes back, her answer is no news."""
    monkeypatch.setattr(retry_manager, "PHONE_SECONDS", 0.1)
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        await ada.send_text(waton.lid, "one")
        await waton.message("one")
        lose(waton, RecordKind.SESSION)
        await ada.send_text(waton.lid, "two")
        ada.offline()
        assert not (await unread(waton)).is_resolved
        await waton.message("two")
        assert (await unread(waton)).is_resolved
        assert await waton.store.keys(RecordKind.RETRY, "in ") == []
        ada.online()
        await told(waton, "message", "duplicate")
        await ada.send_text(waton.lid, "three")
        await waton.message("three")
        assert not [event for event in waton.events if isinstance(event, MessagesUpsert)]
        assert await waton.store.keys(RecordKind.RETRY, "in ") == []


@pytest.mark.parametrize("where", ["person", "group"])
async def test_what_was_written_with_a_used_key_is_asked_for(lab: Lab, where: str) -> None:
    """Ada's sessions go back to an older state, as after a backup, or in Baileys after two writes that crossed."""
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        to = waton.lid if where == "person" else await ada.create_group("Friends", [owner.lid])
        await ada.send_text(to, "one")
        await waton.message("one")
        await waton.client.send_text(ada.lid if where == "person" else to, "both have answered now")
        await reads(ada, "both have answered now")
        await ada.send_text(to, "two")
        await waton.message("two")
        before = records_of(lab, ada)
        await ada.send_text(to, "three")
        await waton.message("three")
        restore(lab, ada, before)
        await ada.send_text(to, "four")
        failed = await unread(waton)
        assert (failed.reason, failed.will_retry) == ("duplicate", True)
        await waton.message("four")
        assert (await unread(waton)).is_resolved
        await ada.send_text(to, "five")
        await waton.message("five")
        assert await waton.store.keys(RecordKind.RETRY, "in ") == []


def records_of(lab: Lab, phone: Phone) -> list[tuple[Value, ...]]:
    """The phone's sessions and sender keys as they are now."""
    return lab.service.world.database.rows(
        "SELECT account, kind, key, value FROM phone_record WHERE account = ? AND kind IN ('session', 'sender_key')",
        phone.account.id,
    )


def restore(lab: Lab, phone: Phone, records: list[tuple[Value, ...]]) -> None:
    """The phone's sessions and sender keys are what they were."""
    forget(lab, phone)
    with lab.service.world.step():
        for record in records:
            lab.service.world.database.insert("INSERT INTO phone_record VALUES (?, ?, ?, ?)", *record)


async def test_an_unreadable_copy_of_what_was_read_is_no_news(lab: Lab) -> None:
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        id = await ada.send_text(waton.lid, "one")
        await waton.message("one")
        device = lab.service.world.locate(waton.lid.with_device(1))
        assert device is not None
        copy = IncomingMessage(id, ada.lid, 1, "text", (Enc("msg", b"nothing that anybody can read"),))
        lab.service.deliveries.put(device, copy.to_node())
        await told(waton, "message", "unreadable copy")
        await ada.send_text(waton.lid, "two")
        await waton.message("two")
        assert not [event for event in waton.events if isinstance(event, MessageUndecryptable)]
        assert await waton.store.keys(RecordKind.RETRY, "in ") == []


async def test_a_request_that_cannot_be_answered_now_is_answered_when_it_comes_again(lab: Lab) -> None:
    """The server does not say which keys Ada has; her request must not count as taken."""
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        sent = await waton.client.send_text(ada.lid, "one")
        await reads(ada, "one")
        lose(waton, RecordKind.SESSION)
        waton.client.config = replace(waton.client.config, query_timeout=0.3)
        lab.faults.schedule("lost_answer=100%/max:1")
        ask_without_keys(lab, ada, waton, sent.id)
        await told(waton, "lane.failed", "QueryTimeout")
        assert not [trace for trace in waton.traces if trace.name == "retry"]
        await waton.client.reconnect()
        await told(waton, "retry", "answered")


def ask_without_keys(lab: Lab, phone: Phone, waton: WatonPeer, id: str) -> None:
    """The phone says that it could not read a message of this client's."""
    me = waton.client.credentials.lid
    device = lab.service.world.device(phone.account, 0)
    assert me is not None
    assert device is not None
    session = lab.service.deliveries.session(device)
    assert session is not None
    request = RetryRequest(id, me, 1, 1, device.registration_id, error=RetryReason.NO_SESSION)
    lab.service.receive(session, request.to_node(), None)


async def told(waton: WatonPeer, name: str, word: str) -> None:
    """Wait until the client traces a state of this name and with this word in its detail."""
    for _ in range(500):
        if [trace for trace in waton.traces if trace.name == name and word in trace.detail]:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(f"no {name} that says {word}")


def forget(lab: Lab, phone: Phone) -> None:
    """The phone's sessions and sender keys are gone."""
    with lab.service.world.step():
        lab.service.world.database.write(
            "DELETE FROM phone_record WHERE account = ? AND kind IN ('session', 'sender_key')", phone.account.id
        )
