"""What the comparison with Baileys brought to light: a contact's new device, and how often a logout is told."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.support.waton_client import waton_peer
from waton.client.events import ConnectionStatus, ConnectionUpdate
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.lab.server import Lab


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield lab
    await lab.stop()


@pytest.mark.parametrize("by", ["lid", "pn"])
async def test_a_device_that_a_contact_has_just_linked_gets_the_next_text(lab: Lab, by: str) -> None:
    ours, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    address = ada.lid if by == "lid" else ada.pn
    async with waton_peer(lab, "Owner") as waton, waton_peer(lab, "Ada") as new:
        await waton.pair(ours)
        first = await waton.client.send_text(address, "to the phone")
        assert [jid.device for jid in first.devices if jid.user == address.user] == [0]
        await new.pair(ada)
        second = await waton.client.send_text(address, "to both")
        assert [jid.device for jid in second.devices if jid.user == address.user] == [0, 1]
        await new.message("to both")


async def test_a_logout_is_told_once(lab: Lab) -> None:
    phone = await lab.add_phone("Owner")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(phone)
        await waton.client.logout()
        await waton.client.close()
        updates = [event for event in waton.events if isinstance(event, ConnectionUpdate)]
        assert [update.status for update in updates].count(ConnectionStatus.CLOSED) == 1
