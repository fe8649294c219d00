"""What a client is asked to do on demand, against the lab: questions about people, keys, receipts, resends, silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from tests.support.memory_store import MemoryStore
from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.events import MessageKey, MessagesUpsert, MessageUndecryptable
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.ports import RecordKind
from waton.protocol import proto
from waton.protocol.message import text_message
from waton.protocol.stanza.receipt import ReceiptType
from waton.protocol.stanza.usync_profiles import About

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield started
    await started.stop()


@pytest.fixture
async def ada(lab: Lab) -> Phone:
    return await lab.add_phone("Ada")


@pytest.fixture
async def waton(lab: Lab, ada: Phone) -> AsyncGenerator[WatonPeer]:
    owner = await lab.add_phone("Owner")
    async with waton_peer(lab, "Owner") as peer:
        await peer.pair(owner)
        yield peer


# --- people


async def test_who_is_on_whatsapp_and_by_which_addresses(waton: WatonPeer, ada: Phone) -> None:
    stranger = "+49 151 999-99999"
    found = {one.asked: one for one in await waton.client.on_whatsapp(f"+{ada.pn.user}", stranger)}
    known, unknown = found[f"+{ada.pn.user}".encode()], found[b"+4915199999999"]
    assert (known.is_registered, known.jid, known.lid) == (True, ada.pn.bare, ada.lid.bare)
    assert unknown.is_registered is False
    # What the answer says of addresses is learnt.
    assert await waton.client.people.lids_of([ada.pn.with_device(3)]) == {ada.pn.with_device(3): ada.lid.with_device(3)}
    with pytest.raises(ValueError, match="digits"):
        await waton.client.on_whatsapp("nobody")


async def test_a_lid_is_asked_for_once(lab: Lab, waton: WatonPeer, ada: Phone) -> None:
    nobody = Jid.parse("4915199999999@s.whatsapp.net")
    for _ in range(2):
        assert await waton.client.people.lids_of([ada.pn, ada.lid, nobody]) == {ada.pn: ada.lid, ada.lid: ada.lid}


async def test_what_people_say_of_themselves(lab: Lab, waton: WatonPeer, ada: Phone) -> None:
    lab.service.world.set_profile(ada.account, "about", "busy")
    lab.service.world.set_profile(ada.account, "disappearing_mode", "86400")
    nobody = Jid.parse("4915199999999@s.whatsapp.net")
    statuses = await waton.client.people.statuses([ada.lid, nobody])
    assert {jid: replace(about, t=0) for jid, about in statuses.items()} == {ada.lid.bare: About("busy")}
    [(jid, disappearing)] = (await waton.client.people.disappearing([ada.lid])).items()
    assert (jid, disappearing.seconds) == (ada.lid.bare, 86_400)


# --- keys


async def test_fresh_prekeys_are_uploaded_on_demand(lab: Lab, waton: WatonPeer) -> None:
    device = lab.service.world.device(lab.phone_for("Owner").account, 1)
    assert device is not None
    before, first = lab.service.world.prekey_count(device), waton.client.credentials.next_prekey_id
    await waton.client.keys.upload(7)
    assert lab.service.world.prekey_count(device) == before + 7
    assert waton.client.credentials.next_prekey_id == first + 7
    assert waton.client.credentials.prekeys_pending_from == first + 7


async def test_the_signed_prekey_is_replaced_on_demand(lab: Lab, waton: WatonPeer, ada: Phone) -> None:
    before = waton.client.credentials.signed_prekey_id
    await waton.client.keys.rotate()
    assert waton.client.credentials.signed_prekey_id == before + 1
    await ada.send_text(waton.lid, "with the new key")
    await waton.message("with the new key")


# --- receipts


async def test_messages_are_marked_as_read_together(waton: WatonPeer, ada: Phone) -> None:
    ids = [await ada.send_text(waton.lid, text) for text in ("one", "two")]
    messages = [await waton.message(text) for text in ("one", "two")]
    await waton.client.mark_read(*messages)
    receipt = await ada.next_receipt(ids[0], ReceiptType.READ)
    assert receipt.ids == tuple(ids)
    await waton.client.send_receipts([messages[1].key], ReceiptType.PLAYED)
    assert (await ada.next_receipt(ids[1], ReceiptType.PLAYED)).t is not None


# --- silence


async def test_a_conversation_that_is_ignored_is_acknowledged_and_not_told(
    lab: Lab, waton: WatonPeer, ada: Phone
) -> None:
    bea = await lab.add_phone("Bea")
    waton.client.config = replace(waton.client.config, ignores=lambda jid: jid == ada.lid.bare)
    await ada.send_text(waton.lid, "not heard")
    await bea.send_text(waton.lid, "heard")
    await waton.message("heard")
    await waton.client.reconnect()
    await waton.client.wait_open(20.0)
    await bea.send_text(waton.lid, "heard again")
    await waton.message("heard again")
    texts = [event.text for event in waton.events if isinstance(event, MessagesUpsert)]
    assert "not heard" not in texts
    # The server did not keep it for later.
    waton.client.config = replace(waton.client.config, ignores=None)
    await waton.client.reconnect()
    await waton.client.wait_open(20.0)
    await ada.send_text(waton.lid, "heard at last")
    await waton.message("heard at last")
    assert "not heard" not in [event.text for event in waton.events if isinstance(event, MessagesUpsert)]


# --- what is kept no more


def lose(waton: WatonPeer, *kinds: RecordKind) -> None:
    store = waton.store
    assert isinstance(store, MemoryStore)
    for kind, key in list(store.records):
        if kind in kinds:
            del store.records[kind, key]


@pytest.mark.parametrize("where", ["person", "group"])
async def test_a_message_that_is_kept_no_more_is_asked_of_the_application(
    lab: Lab, waton: WatonPeer, ada: Phone, where: str
) -> None:
    asked: list[MessageKey] = []
    to = ada.lid if where == "person" else await ada.create_group("Friends", [lab.phone_for("Owner").lid])

    async def find(key: MessageKey) -> proto.Message | None:
        asked.append(key)
        return text_message("from the application") if key.chat == to.bare else None

    waton.client.config = replace(waton.client.config, find_message=find)
    await waton.client.send_text(to, "one")
    assert (await ada.next_message()).text == "one"
    ada.offline()
    sent = await waton.client.send_text(to, "two")
    lose(waton, RecordKind.SENT_MESSAGE)
    ada.lose_sessions()
    ada.online()
    assert (await ada.next_message()).text == "from the application"
    assert {(key.chat, key.id, key.from_me) for key in asked} == {(to.bare, sent.id, True)}


# --- resends on demand


async def resolved(waton: WatonPeer, times: int) -> None:
    """Wait until the phone has answered so often."""
    for _ in range(500):
        if sum(trace.name == "retry" and '"resolved"' in trace.detail for trace in waton.traces) >= times:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError("the phone has not answered")


async def test_our_phone_is_asked_for_a_message_on_demand(lab: Lab, waton: WatonPeer, ada: Phone) -> None:
    await ada.send_text(waton.lid, "hello")
    hello = await waton.message("hello")
    lose(waton, RecordKind.RECEIVED)
    request = await waton.client.request_resend(hello.key)
    again = await waton.message("hello")
    assert (again.key.id, again.key.chat, again.request_id) == (hello.key.id, hello.key.chat, request)
    await waton.event(lambda event: event if isinstance(event, MessageUndecryptable) else None)
    # Now it was told: it is not told again, before what comes after it.
    await waton.client.request_resend(hello.key)
    await ada.send_text(waton.lid, "bye")
    await waton.message("bye")
    await resolved(waton, times=2)
    assert not [event for event in waton.events if isinstance(event, MessagesUpsert)]


async def test_a_message_of_another_chat_does_not_take_its_place(waton: WatonPeer, ada: Phone) -> None:
    await ada.send_text(waton.lid, "hello")
    hello = await waton.message("hello")
    lose(waton, RecordKind.RECEIVED)
    other = replace(hello.key, chat=Jid.parse("77000000000099@lid"), author=Jid.parse("77000000000099@lid"))
    await waton.client.request_resend(other)
    await waton.client.request_resend(hello.key)
    assert (await waton.message("hello")).key.chat == hello.key.chat
