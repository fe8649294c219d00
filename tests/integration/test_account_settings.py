"""What our account's owner has set, and what this client says of itself: against the lab."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.client import Client
from waton.client.events import BlocklistUpdate, ConnectionStatus, MessagesUpdate, OfflineDrained, OnlineUpdate
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.protocol.binary_node import Node
from waton.protocol.stanza.receipt import ReceiptType

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield started
    await started.stop()


def deliver(lab: Lab, owner: Phone, node: Node) -> None:
    """Queue a stanza for the owner's companion."""
    with lab.service.world.step():
        lab.service.deliveries.put(lab.service.world.devices(owner.account)[-1], node)


def notification(lab: Lab, owner: Phone, *children: Node) -> Node:
    attrs = {"from": owner.pn, "type": "account_sync", "id": lab.service.world.fresh_id(), "t": "1800000000"}
    return Node("notification", {**attrs}, list(children))


async def read_one(waton: WatonPeer, ada: Phone, text: str, kind: ReceiptType) -> None:
    """Ada writes, the client marks it as read, and Ada is told so or not."""
    id = await ada.send_text(waton.lid, text)
    await waton.client.mark_read(await waton.message(text))
    if kind is ReceiptType.READ:
        assert (await ada.next_receipt(id, ReceiptType.READ)).ids == (id,)


async def test_reading_is_told_as_far_as_the_owner_wants_it(lab: Lab) -> None:
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        await read_one(waton, ada, "one", ReceiptType.READ)
        lab.service.world.set_profile(owner.account, "privacy", json.dumps({"readreceipts": "none"}))
        deliver(lab, owner, notification(lab, owner, Node("privacy")))
        deliver(lab, owner, notification(lab, owner, Node("blocklist", None, [Node("item", {"jid": ada.lid})])))
        await waton.event(lambda event: event if isinstance(event, BlocklistUpdate) else None)
        assert not await waton.client.settings.tells_reading()
        await read_one(waton, ada, "two", ReceiptType.READ_SELF)
        id = await ada.send_text(waton.lid, "three")
        await ada.next_receipt(id, ReceiptType.DELIVERED)
        assert [receipt.type for receipt in ada.receipts].count(ReceiptType.READ) == 1


async def test_the_blocklist_is_asked_for_and_followed(lab: Lab) -> None:
    owner, ada, bob = [await lab.add_phone(name) for name in ("Owner", "Ada", "Bob")]
    lab.service.world.set_profile(owner.account, "blocklist", json.dumps([str(ada.lid)]))
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        await waton.client.settings.ask_blocklist()
        assert waton.client.settings.blocked == {ada.lid}
        items = [Node("item", {"jid": bob.lid, "action": "block"}), Node("item", {"jid": ada.lid, "action": "unblock"})]
        deliver(lab, owner, notification(lab, owner, Node("blocklist", {"dhash": "1"}, items)))
        for _ in range(2):
            await waton.event(lambda event: event if isinstance(event, BlocklistUpdate) else None)
        assert waton.client.settings.blocked == {bob.lid}


async def test_the_end_of_the_queue_is_told_and_whether_somebody_looks(lab: Lab) -> None:
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        assert (await waton.event(lambda event: event if isinstance(event, OnlineUpdate) else None)).is_online
        await waton.client.close()
        for number in range(3):
            await ada.send_text(owner.lid, f"while you were away {number}")
        waton.renew()
        waton.events.clear()
        await waton.client.start()
        assert (await waton.event(lambda event: event if isinstance(event, OfflineDrained) else None)).count == 3


async def test_who_does_not_look_says_so_with_each_receipt(lab: Lab) -> None:
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        await waton.client.close()
        old = waton.client
        waton.client = Client(
            replace(old.config, announces=False),
            store=waton.store,
            connector=old.connector,
            clock=old.clock,
            entropy=old.entropy,
            tracer=old.tracer,
        )
        await waton.client.start()
        await waton.client.wait_status(ConnectionStatus.OPEN, 20)
        id = await ada.send_text(owner.lid, "anybody?")
        assert (await ada.next_receipt(id, ReceiptType.INACTIVE)).ids == (id,)


async def test_a_refusal_is_told_with_its_code(lab: Lab) -> None:
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        lab.service.refusals.append(479)
        result = await waton.client.send_text(ada.lid, "no")
        told = await waton.event(lambda event: event if isinstance(event, MessagesUpdate) else None)
        assert (result.error, told.error, told.key.id) == (479, 479, result.id)
        assert (await waton.client.send_text(ada.lid, "yes")).is_accepted
