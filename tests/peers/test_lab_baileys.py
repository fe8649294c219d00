"""The real Baileys against the lab: it pairs by its QR, talks, and comes back."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.requirements import require
from waton.errors import Disconnected
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid
from waton.lab.faults import Defect, Fault, Harm, Moment, Vouching
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.parity.oracle import BaileysError, BaileysPeer
from waton.protocol.stanza.receipt import ReceiptType
from waton.protocol.trace import Layer, Trace, Way

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]
require("baileys")
DELIVERED, READ = 3, 4
"""Baileys' numbers of a message's status."""


@pytest.fixture
async def lab(traces: list[Trace]) -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), sink=traces.extend)
    yield started
    await started.stop()


@pytest.fixture
def traces() -> list[Trace]:
    return []


async def paired(stack: AsyncExitStack, lab: Lab, phone: Phone, name: str) -> BaileysPeer:
    """A Baileys that this phone has linked, open."""
    peer = await stack.enter_async_context(BaileysPeer.start(lab.url, name=name))
    jid = await phone.scan(await peer.qr())
    me = await peer.opened()
    assert (me["id"], me["lid"]) == (str(jid), str(phone.lid.with_device(jid.device)))
    return peer


def kinds(traces: list[Trace], id: str, phone: Phone) -> list[str]:
    """The encryption types in which a phone read message `id`."""
    read = (trace for trace in traces if trace.layer is Layer.MESSAGE and trace.way is Way.IN and trace.id == id)
    return [trace.kind for trace in read if trace.recipient == str(phone.lid)]


async def test_it_pairs_by_its_qr_and_gets_keys_and_history(lab: Lab, traces: list[Trace]) -> None:
    grace = await lab.add_phone("Grace")
    async with BaileysPeer.start(lab.url, name="Bea") as bea, ClientSession() as session:
        answer = await session.post(f"{lab.http_url}/admin/mock-phone/scan-qr", data=await bea.qr())
        assert answer.status == 200
        scanned = await answer.json()
        assert (await bea.event("restart"))["code"] == 515
        assert (await bea.opened())["id"] == scanned["jid"]
        history = await bea.event("history")
        assert history["chats"] == [str(grace.lid)]
        assert history["texts"] == [f"Hello {lab.phones[0].name}, this is Grace."]
        state = await bea.call("state")
        assert [name for name in state["records"] if name.startswith("app-state-sync-key/")]
        assert await bea.call("digest") == ["registration", "type", "identity", "skey", "list", "hash"]
    asked = {trace.xmlns for trace in traces if trace.layer is Layer.NODE and trace.name == "iq" and trace.way == "in"}
    assert {"encrypt", "passive", "abt", "blocklist", "privacy", "w:sync:app:state"} <= asked
    assert lab.service.unanswered == {}


@pytest.mark.parametrize("by", ["lid", "pn"])
async def test_texts_go_both_ways_before_and_after_a_reconnect(lab: Lab, traces: list[Trace], by: str) -> None:
    ada = await lab.add_phone("Ada")
    address = ada.lid if by == "lid" else ada.pn
    async with AsyncExitStack() as stack:
        bea = await paired(stack, lab, lab.phones[0], "Bea")
        first = await bea.send_text(address, "hello Ada")
        taken = await ada.next_message()
        assert (taken.id, taken.text, taken.sender.device) == (first, "hello Ada", 1)
        await bea.status(first, DELIVERED)
        ada.read(taken)
        await bea.status(first, READ)

        answer = await ada.send_text(taken.chat, "hello Bea")
        shown = await bea.message("hello Bea")
        assert (shown["key"]["id"], shown["author"], shown["key"]["fromMe"]) == (answer, "Ada", False)
        await ada.next_receipt(answer, ReceiptType.DELIVERED)
        await bea.read(shown)
        await ada.next_receipt(answer, ReceiptType.READ)

        second = await bea.send_text(address, "and again")
        assert (await ada.next_message()).text == "and again"
        await bea.end()
        await bea.reconnect()
        third = await bea.send_text(address, "back")
        assert (await ada.next_message()).text == "back"
        await ada.send_text(taken.chat, "welcome back")
        await bea.message("welcome back")
        # By phone number, Baileys asks for the LID anew on each socket, and forces a new session when it learns it.
        last = "msg" if by == "lid" else "pkmsg"
        assert [kinds(traces, id, ada) for id in (first, second, third)] == [["pkmsg"], ["msg"], [last]]
        assert not ada.unreadable


async def test_the_phone_of_the_account_sees_what_its_companion_sends(lab: Lab) -> None:
    ada = await lab.add_phone("Ada")
    mine = lab.phones[0]
    async with AsyncExitStack() as stack:
        bea = await paired(stack, lab, mine, "Bea")
        sent = await bea.send_text(ada.lid, "from the companion")
        copy = await mine.next_message(from_me=True)
        assert (copy.id, copy.text, copy.chat) == (sent, "from the companion", ada.lid)
        await mine.send_text(ada.lid, "from the phone")
        shown = await bea.message("from the phone")
        assert (shown["key"]["fromMe"], shown["key"]["remoteJid"]) == (True, str(ada.lid))
        assert [message.text for message in ada.messages] == ["from the companion", "from the phone"]


async def test_two_baileys_talk_and_each_shows_the_others_receipts(lab: Lab) -> None:
    ada = await lab.add_phone("Ada")
    async with AsyncExitStack() as stack:
        bea = await paired(stack, lab, lab.phones[0], "Bea")
        cleo = await paired(stack, lab, ada, "Cleo")
        for round in ("first", "second"):
            sent = await bea.send_text(ada.lid, f"{round} from Bea")
            shown = await cleo.message(f"{round} from Bea")
            await cleo.read(shown)
            await bea.status(sent, READ)
            back = await cleo.send_text(shown["key"]["remoteJid"], f"{round} from Cleo")
            answer = await bea.message(f"{round} from Cleo")
            await bea.read(answer)
            await cleo.status(back, READ)
        assert [message.text for message in ada.messages] == [
            "first from Bea",
            "first from Cleo",
            "second from Bea",
            "second from Cleo",
        ]


async def test_two_companions_of_one_account_see_each_other(lab: Lab) -> None:
    ada = await lab.add_phone("Ada")
    async with AsyncExitStack() as stack:
        bea = await paired(stack, lab, lab.phones[0], "Bea")
        dot = await paired(stack, lab, lab.phones[0], "Dot")
        assert lab.phones[0].companions == [Jid.parse(peer.me["id"]) for peer in (bea, dot)]
        await ada.send_text(lab.phones[0].lid, "to all of you")
        await bea.message("to all of you")
        await dot.message("to all of you")
        assert (await lab.phones[0].next_message()).text == "to all of you"
        await bea.send_text(ada.lid, "from one")
        shown = await dot.message("from one")
        assert shown["key"]["fromMe"]


async def test_what_came_while_it_was_away_is_delivered_in_order(lab: Lab) -> None:
    ada = await lab.add_phone("Ada")
    async with AsyncExitStack() as stack:
        bea = await paired(stack, lab, lab.phones[0], "Bea")
        await bea.end()
        texts = [f"while you were out {number}" for number in range(5)]
        ids = [await ada.send_text(lab.phones[0].lid, text) for text in texts]
        await bea.reconnect()
        shown = [await bea.event("message", lambda event: event["key"]["id"] in ids) for _ in texts]
        assert [(event["text"], event["type"]) for event in shown] == [(text, "append") for text in texts]
        for id in ids:
            await ada.next_receipt(id)
        await bea.end()
        await bea.reconnect()
        assert [event for event in bea.events if event["event"] == "message" and event["key"]["id"] in ids] == []


async def test_a_lab_started_again_from_its_state_knows_it(tmp_path: Path) -> None:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), state=tmp_path)
    port = int(lab.url.split(":")[2].split("/")[0])
    async with AsyncExitStack() as stack:
        await lab.add_phone("Ada")
        bea = await paired(stack, lab, lab.phones[0], "Bea")
        await bea.send_text(lab.phones[1].lid, "before")
        await lab.phones[1].send_text(lab.phones[0].lid, "before too")
        await bea.message("before too")
        await lab.stop()
        await bea.closed()
        again = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), state=tmp_path, port=port)
        try:
            ada = again.phones[1]
            assert [message.text for message in ada.messages] == ["before", "before too"]
            await ada.send_text(again.phones[0].lid, "after")
            await bea.reconnect()
            await bea.message("after")
            await bea.send_text(ada.lid, "after too")
            assert (await ada.next_message()).text == "after too"
            assert not ada.unreadable
        finally:
            await again.stop()


async def test_it_asks_for_numbers_pictures_and_lists(lab: Lab) -> None:
    ada = await lab.add_phone("Ada")
    async with AsyncExitStack() as stack:
        bea = await paired(stack, lab, lab.phones[0], "Bea")
        known = await bea.call("onWhatsApp", numbers=["+" + ada.pn.user, "+19999999999"])
        assert [(one["jid"], one["exists"]) for one in known] == [(str(ada.pn), True)]
        assert (await bea.call("fetchStatus", jid=str(ada.lid)))[0]["status"]["status"]
        with pytest.raises(BaileysError, match="item-not-found"):
            await bea.call("profilePictureUrl", jid=str(ada.lid))
        await bea.call("updateBlockStatus", jid=str(ada.lid), action="block")
        assert await bea.call("fetchBlocklist") == [str(ada.lid)]
        assert await bea.call("groups") == {}
        assert lab.service.unanswered == {}


async def test_its_one_time_prekeys_are_spent_once_each(lab: Lab) -> None:
    async with AsyncExitStack() as stack:
        bea = await paired(stack, lab, lab.phones[0], "Bea")
        device = lab.service.world.locate(Jid.parse(bea.me["id"]))
        assert device is not None
        before = [id for id, _ in lab.service.world.prekeys(device)]
        senders = [await lab.add_phone(f"Sender {number}") for number in range(3)]
        for phone in senders:
            await phone.send_text(lab.phones[0].lid, f"hello from {phone.name}")
            await bea.message(f"hello from {phone.name}")
        assert [id for id, _ in lab.service.world.prekeys(device)] == before[3:]


async def test_it_logs_out(lab: Lab) -> None:
    async with AsyncExitStack() as stack:
        bea = await paired(stack, lab, lab.phones[0], "Bea")
        await bea.call("logout")
        assert await bea.closed() == 401
        await bea.call("connect")
        assert await bea.closed() == 401
        assert lab.phones[0].companions == []


async def test_an_unlinked_one_is_told(lab: Lab) -> None:
    async with AsyncExitStack() as stack:
        bea = await paired(stack, lab, lab.phones[0], "Bea")
        lab.phones[0].remove(Jid.parse(bea.me["id"]))
        assert await bea.closed() == 401


async def test_it_refuses_a_false_seal_and_pairs_at_the_next_attempt(lab: Lab) -> None:
    lab.faults.next(Fault.vouching(Vouching.HMAC))
    async with BaileysPeer.start(lab.url) as bea:
        # Baileys says nothing when the HMAC is wrong; it leaves.
        with pytest.raises(Disconnected):
            await lab.phones[0].scan(await bea.qr())
        assert lab.phones[0].companions == []
        await bea.closed()
        await bea.call("connect")
        await lab.phones[0].scan(await bea.qr())
        await bea.opened()


async def test_a_server_that_dies_at_the_restart_costs_it_nothing(lab: Lab) -> None:
    lab.faults.next(Fault.frame(Harm.CLOSE, Moment.RESTART))
    async with BaileysPeer.start(lab.url) as bea:
        await lab.phones[0].scan(await bea.qr())
        await bea.closed()
        await bea.call("connect")
        await bea.opened()


async def test_it_refuses_an_intermediate_of_another_issuer(lab: Lab) -> None:
    lab.faults.next(Fault.certificate(Defect.INTERMEDIATE_ISSUER))
    async with BaileysPeer.start(lab.url) as bea:
        await bea.closed()
        await bea.call("connect")
        assert await bea.qr()


async def test_it_comes_over_tls_too(tmp_path: Path) -> None:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), tls=True)
    try:
        assert lab.wss_url is not None
        assert lab.ca_pem is not None
        (tmp_path / "ca.pem").write_text(lab.ca_pem)
        async with BaileysPeer.start(lab.wss_url, ca=tmp_path / "ca.pem") as bea:
            await lab.phones[0].scan(await bea.qr())
            await bea.opened()
    finally:
        await lab.stop()


async def test_messages_it_cannot_read_are_sent_again(lab: Lab, traces: list[Trace]) -> None:
    ada = await lab.add_phone("Ada")
    async with AsyncExitStack() as stack:
        bea = await paired(stack, lab, lab.phones[0], "Bea")
        await bea.send_text(ada.lid, "hello")
        await ada.send_text(lab.phones[0].lid, "hello Bea")
        await bea.message("hello Bea")
        await bea.call("forgetSessions")
        id = await ada.send_text(lab.phones[0].lid, "can you read this?")
        shown = await bea.message("can you read this?")
        assert shown["key"]["id"] == id
        retried = [trace.detail for trace in traces if trace.name == "phone.retry"]
        assert [detail for detail in retried if '"resent"' in detail and id in detail]


async def test_messages_its_reader_cannot_read_are_sent_again_by_it(lab: Lab) -> None:
    ada = await lab.add_phone("Ada")
    async with AsyncExitStack() as stack:
        bea = await paired(stack, lab, lab.phones[0], "Bea")
        await bea.send_text(ada.lid, "one")
        await ada.send_text(lab.phones[0].lid, "two")
        await bea.message("two")
        lab.service.world.database.write(
            "DELETE FROM phone_record WHERE account = ? AND kind IN ('session', 'identity')", ada.account.id
        )
        id = await bea.send_text(ada.lid, "three")
        assert [(await ada.next_message()).text for _ in range(2)] == ["one", "three"]
        assert [lost for lost, _ in ada.unreadable] == [id]
