"""What comes goes where it belongs, and nothing that comes can stop the rest from being read."""

from __future__ import annotations

import asyncio

from tests.unit.client.service import World, text
from waton.client.events import MessagesUpsert, PresenceUpdate
from waton.jid import Jid
from waton.protocol.binary_node import Node
from waton.protocol.stanza.message import Enc, IncomingMessage

ADA, BEA = Jid("200000000000002", "lid"), Jid("200000000000003", "lid")
T = 1_760_000_000


def broken(jid: Jid) -> bool:
    raise RuntimeError(jid.user)


async def test_a_rule_for_what_to_ignore_that_raises_ignores_nothing_and_ends_nothing() -> None:
    world = await World.of(ignores=broken)
    ada = world.service.person(ADA)
    ada.meet(world.client)
    await world.receive(Node("presence", {"from": ADA, "type": "available"}))
    await world.receive(IncomingMessage("ID", ADA, T, "text", (ada.seal(text("hello")),)).to_node())
    assert len(world.told(PresenceUpdate)) == 1
    [told] = world.told(MessagesUpsert)
    assert isinstance(told, MessagesUpsert)
    assert told.text == "hello"
    assert world.service.acks("ID")
    assert all(ADA.user not in failure for failure in world.failures())
    assert len(world.failures()) == 2


async def test_reading_goes_on_behind_thousands_of_messages_that_wait_for_one_answer() -> None:
    """The answer comes behind them all."""
    world = await World.of()
    ada = world.service.person(ADA)
    ada.meet(world.client)
    async with world.client.hold([ADA]):
        for number in range(3_000):
            enc = Enc("msg", b"\x33never read")
            stanza = IncomingMessage(f"ID{number}", ADA, T, "text", (enc,)).to_node()
            await asyncio.wait_for(world.client.on_node(world.event(stanza)), 5.0)
    await world.client.lanes.close(timeout=0.0)
