"""Pairing by phone code: the real Baileys and the real whatsapp-rust, linked by a code that the lab's phone types."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.requirements import require
from tests.support.waton_client import waton_peer
from tests.support.whatsapp_rust import RustError, RustPeer
from waton.client.events import ConnectionStatus
from waton.errors import LabError, PairingError, PairingStep
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.lab.server import Lab
from waton.parity.oracle import BaileysPeer
from waton.protocol.pairing_code import ALPHABET, parse_code

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]
WRONG = "WWWWWWWW"


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield started
    await started.stop()


async def test_baileys_is_linked_by_its_code_and_talks(lab: Lab) -> None:
    require("baileys")
    owner, ada = lab.phones[0], await lab.add_phone("Ada")
    async with BaileysPeer.start(lab.url, name="Bea") as bea:
        await bea.qr()
        code = await bea.call("requestPairingCode", phone=owner.pn.user)
        assert parse_code(code) == code
        jid = await owner.enter_code(code)
        me = await bea.opened()
        assert (me["id"], me["lid"]) == (str(jid), str(owner.lid.with_device(jid.device)))
        await bea.send_text(ada.lid, "linked by a code")
        assert (await ada.next_message()).text == "linked by a code"
        assert lab.service.unanswered == {}


async def test_baileys_is_linked_by_a_code_of_ones_own_after_a_wrong_one(lab: Lab) -> None:
    require("baileys")
    owner = lab.phones[0]
    async with BaileysPeer.start(lab.url) as bea:
        await bea.qr()
        assert await bea.call("requestPairingCode", phone=owner.pn.user, code="ABCDEFGH") == "ABCDEFGH"
        with pytest.raises(PairingError) as refused:
            await owner.enter_code(WRONG)
        assert refused.value.step is PairingStep.CODE
        assert owner.companions == []
        await owner.enter_code("abcd-efgh")
        await bea.opened()


async def test_whatsapp_rust_is_linked_by_its_code(lab: Lab) -> None:
    """It compares the ref, and waits for the answers that Baileys ignores."""
    require("whatsapp-rust")
    owner, ada = lab.phones[0], await lab.add_phone("Ada")
    async with RustPeer.start(lab.url) as rust:
        await rust.qr()
        code = await rust.call("pairCode", phone=owner.pn.user)
        assert len(code) == 8
        assert set(code) <= set(ALPHABET)
        with pytest.raises(PairingError) as refused:
            await owner.enter_code(WRONG)
        assert refused.value.step is PairingStep.CODE
        jid = await owner.enter_code(code)
        await rust.event("connected")
        assert await rust.call("jid") == str(jid.bare)
        assert owner.companions == [jid]
        id = await ada.send_text(owner.lid, "linked by a code")
        await ada.next_receipt(id)


async def test_whatsapp_rust_hears_that_there_is_no_such_account(lab: Lab) -> None:
    require("whatsapp-rust")
    async with RustPeer.start(lab.url) as rust:
        await rust.qr()
        with pytest.raises(RustError, match=r"404|item-not-found"):
            await rust.call("pairCode", phone="15559999999")


async def test_one_account_is_linked_by_codes_of_all_three(lab: Lab) -> None:
    require("baileys")
    require("whatsapp-rust")
    owner, ada = lab.phones[0], await lab.add_phone("Ada")
    async with (
        waton_peer(lab) as waton,
        BaileysPeer.start(lab.url, name="Bea") as bea,
        RustPeer.start(lab.url) as rust,
    ):
        with pytest.raises(LabError):
            await owner.enter_code(WRONG)
        await waton.client.start()
        await owner.enter_code(await waton.client.request_pairing_code(f"+{owner.pn.user}"))
        await waton.client.wait_status(ConnectionStatus.OPEN, 20)
        await bea.qr()
        await owner.enter_code(await bea.call("requestPairingCode", phone=owner.pn.user))
        await bea.opened()
        await rust.qr()
        await owner.enter_code(await rust.call("pairCode", phone=owner.pn.user))
        await rust.event("connected")
        assert len(owner.companions) == 3
        await ada.send_text(owner.lid, "to all three of you")
        await waton.message("to all three of you")
        await bea.message("to all three of you")
