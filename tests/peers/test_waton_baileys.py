"""waton and the real Baileys, on the two ends of one conversation, through the lab."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.requirements import require
from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.events import MessageStatus
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.parity.oracle import BaileysPeer
from waton.protocol.trace import Layer, Way

pytestmark = pytest.mark.peer
require("baileys")


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield lab
    await lab.stop()


async def pair(bea: BaileysPeer, phone: Phone) -> Jid:
    """Have Baileys paired by this phone; its LID address without the device."""
    await phone.scan(await bea.qr())
    me = await bea.opened()
    return Jid.parse(me["lid"]).bare


def types_read(peer: WatonPeer) -> list[str]:
    """The types of the ciphertexts that a client has read, in order."""
    return [trace.kind for trace in peer.traces if trace.layer is Layer.MESSAGE and trace.way is Way.IN]


async def exchange(waton: WatonPeer, bea: BaileysPeer, bea_jid: Jid, mark: str) -> None:
    """A text each way, twice, each side showing the other's delivery and read receipts."""
    for turn in ("first", "second"):
        out = f"{mark} {turn} from waton"
        result = await waton.client.send_text(bea_jid, out)
        assert result.is_accepted
        assert not result.skipped
        got = await bea.message(out)
        await waton.status(result.id, MessageStatus.DELIVERED)
        await bea.read(got)
        await waton.status(result.id, MessageStatus.READ)

        back = f"{mark} {turn} from Baileys"
        id = await bea.send_text(waton.lid, back)
        message = await waton.message(back)
        assert message.key.chat.user in (bea_jid.user, Jid.parse(bea.me["id"]).user)
        await bea.status(id, 3)
        await waton.client.mark_read(message)
        await bea.status(id, 4)


async def test_texts_and_receipts_both_ways_before_and_after_both_reconnect(lab: Lab) -> None:
    ours, theirs = await lab.add_phone("Owner"), await lab.add_phone("Bea")
    async with waton_peer(lab, "Owner") as waton, BaileysPeer.start(lab.url, name="Bea") as bea:
        await waton.pair(ours)
        bea_jid = await pair(bea, theirs)
        await exchange(waton, bea, bea_jid, "before:")

        await bea.end()
        await bea.reconnect()
        await waton.restart()
        await exchange(waton, bea, bea_jid, "after:")


async def test_a_prekey_message_first_then_ordinary_ones(lab: Lab) -> None:
    ours, theirs = await lab.add_phone("Owner"), await lab.add_phone("Bea")
    async with waton_peer(lab, "Owner") as waton, BaileysPeer.start(lab.url, name="Bea") as bea:
        await waton.pair(ours)
        await pair(bea, theirs)
        before = len(types_read(waton))
        await bea.send_text(waton.lid, "opening")
        opening = await waton.message("opening")
        await waton.client.send_text(opening.key.chat, "answer")
        await bea.message("answer")
        await bea.send_text(waton.lid, "ordinary")
        await waton.message("ordinary")
        assert types_read(waton)[before:] == ["pkmsg", "msg"]


async def test_one_account_on_a_phone_a_baileys_and_another_waton_all_read(lab: Lab) -> None:
    ours, theirs = await lab.add_phone("Owner"), await lab.add_phone("Bea")
    async with (
        waton_peer(lab, "Owner") as sender,
        waton_peer(lab, "Bea") as other,
        BaileysPeer.start(lab.url, name="Bea") as bea,
    ):
        await sender.pair(ours)
        await other.pair(theirs)
        bea_jid = await pair(bea, theirs)
        result = await sender.client.send_text(bea_jid, "to all three of you")
        assert len([jid for jid in result.devices if jid.user == bea_jid.user]) == 3
        await bea.message("to all three of you")
        await other.message("to all three of you")
        assert (await theirs.next_message(timeout=10)).text == "to all three of you"

        # What one of Bea's devices sends, her others see too.
        await other.client.send_text(sender.lid, "and back")
        await sender.message("and back")
        synced = await bea.message("and back")
        assert synced["key"]["fromMe"]


async def test_messages_wait_for_a_baileys_and_for_a_waton_that_are_away(lab: Lab) -> None:
    ours, theirs = await lab.add_phone("Owner"), await lab.add_phone("Bea")
    async with waton_peer(lab, "Owner") as waton, BaileysPeer.start(lab.url, name="Bea") as bea:
        await waton.pair(ours)
        bea_jid = await pair(bea, theirs)
        await bea.end()
        for number in range(3):
            await waton.client.send_text(bea_jid, f"while you were away {number}")
        await bea.reconnect()
        for number in range(3):
            await bea.message(f"while you were away {number}")

        await waton.client.close()
        for number in range(3):
            await bea.send_text(waton.lid, f"queued {number}")
        await waton.restart()
        for number in range(3):
            await waton.message(f"queued {number}")


async def test_logout_unlinks_the_device_and_the_next_pairing_is_fresh(lab: Lab) -> None:
    phone = await lab.add_phone("Owner")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(phone)
        first = waton.client.credentials
        await waton.client.logout()
        assert not waton.client.credentials.is_paired
        assert waton.client.credentials.identity_key.public != first.identity_key.public
        assert waton.client.credentials.adv_secret != first.adv_secret
