"""Messages that wait for somebody's decision, and changes told while we were away: none gets lost on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.client.service import ME, Peer, World, said, text
from tests.unit.client.worlds import settle
from waton.client.events import MessagesUpsert
from waton.client.identity_change_handler import IdentityPolicy
from waton.jid import Jid
from waton.ports import RecordKind
from waton.protocol.binary_node import Node
from waton.protocol.stanza.message import IncomingMessage

ADA, ADA_PN = Jid("200000000000002", "lid"), Jid("15550000002", "s.whatsapp.net")
T = 1_760_000_000


@pytest.fixture
async def world() -> World:
    made = await World.of(identity_policy=IdentityPolicy.ASK)
    made.service.person(ME.with_device(0))
    return made


def message(author: Peer, words: str, id: str, *, sender: Jid = ADA, t: int = T, **fields: object) -> Node:
    stanza = IncomingMessage(id, sender, t, "text", (author.seal(text(words)),), **fields)  # type: ignore[arg-type]
    return stanza.to_node()


async def stranger(world: World, words: str = "hello", *, sender: Jid = ADA) -> Peer:
    """Somebody who comes as Ada after Ada was known, with other keys."""
    ada = world.service.person(ADA)
    ada.meet(world.client)
    await world.receive(message(ada, "it is me", "KNOWN", sender=sender))
    other = Peer(Jid("999", "lid"))
    other.meet(world.client)
    await world.receive(message(other, words, "HELD", sender=sender))
    return other


def texts(world: World) -> list[str]:
    return [said(event.message) for event in world.told(MessagesUpsert) if isinstance(event, MessagesUpsert)]


async def held(world: World) -> list[str]:
    return await world.client.store.keys(RecordKind.PLACEHOLDER, "held ")


async def test_accepting_one_key_does_not_throw_away_what_came_under_another(world: World) -> None:
    other = await stranger(world)
    assert len(await held(world)) == 1
    await world.client.trust(ADA, bytes(32))
    await settle()
    assert texts(world) == ["it is me"]
    assert len(await held(world)) == 1, "it waits on"
    await world.client.trust(ADA, other.keys.identity_key.public)
    await settle()
    assert texts(world) == ["it is me", "hello"]
    assert await held(world) == []


async def test_what_came_under_the_number_is_found_under_the_lid_and_the_other_way_round(world: World) -> None:
    await stranger(world, sender=ADA_PN)
    async with world.client.hold([ADA, ADA_PN]), world.client.pipeline.step() as step:
        await world.client.people.learn(step, [(ADA_PN, ADA)], source="usync")
    assert await world.client.trust(ADA_PN) == 1
    await settle()
    assert texts(world) == ["it is me", "hello"]
    assert await held(world) == []


async def test_a_held_message_of_a_known_number_is_held_under_its_lid(world: World) -> None:
    async with world.client.hold([ADA, ADA_PN]), world.client.pipeline.step() as step:
        await world.client.people.learn(step, [(ADA_PN, ADA)], source="usync")
    await stranger(world, sender=ADA_PN)
    assert await world.client.trust(ADA) == 1
    await settle()
    assert texts(world) == ["it is me", "hello"]


async def test_what_is_held_is_read_in_the_order_of_its_sending(world: World) -> None:
    other = await stranger(world, "one")
    await world.receive(message(other, "three", "A", t=T + 2))
    await world.receive(message(other, "two", "Z", t=T + 1))
    assert await world.client.trust(ADA) == 3
    await settle()
    assert texts(world) == ["it is me", "one", "two", "three"]


async def test_a_crash_while_held_messages_are_read_loses_none(world: World) -> None:
    other = await stranger(world, "one")
    await world.receive(message(other, "two", "B", t=T + 1))
    store = world.client.store
    assert isinstance(store, MemoryStore)
    store.is_slow = True
    trusting = asyncio.create_task(world.client.trust(ADA, other.keys.identity_key.public))
    await settle()
    store.land(1)  # the key is accepted; what follows is not on the disk
    before = {unit.number: dict(unit.writes) for unit, _ in store.line}
    await settle()
    assert not any(
        value is None and place[0] is RecordKind.PLACEHOLDER and "held " in place[1]
        for writes in before.values()
        for place, value in writes.items()
        if not any(kind is RecordKind.RECEIVED for kind, _ in writes)
    ), "what is taken away is told in the same unit of work"
    store.is_slow = False
    store.land()
    await trusting
    await settle()
    assert texts(world) == ["it is me", "one", "two"]


async def test_taking_whichever_key_comes_makes_our_sender_keys_anew_as_well(world: World) -> None:
    await stranger(world)
    group = Jid("120363000000000001", "g.us")
    world.service.group(ADA, group=group)
    await world.client.sender.send_text(group, "before")
    await world.client.trust(ADA)
    marks = await world.client.store.keys(RecordKind.SENDER_KEY_SENT, f"{group} ")
    assert marks == [f"{group} {ADA}"]


# --- while we were away -----------------------------------------------------------------------------------------------


def notice(jid: Jid, id: str) -> Node:
    attrs: dict[str, str | Jid | None] = {"from": jid, "id": id, "type": "encrypt", "t": str(T), "offline": "0"}
    return Node("notification", attrs, [Node("identity")])


async def test_many_changes_told_at_once_are_all_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await World.of()
    people = [Jid(str(200_000_000_000_100 + number), "lid") for number in range(20)]
    for jid in people:
        peer = world.service.person(jid)
        peer.meet(world.client)
        await world.receive(message(peer, "hello", f"M{jid.user}", sender=jid))
    identities = world.client.identities
    original = identities._remembered

    async def slowly(*reader: Any) -> list[Jid]:
        found = await original(*reader)
        if not reader:
            await asyncio.sleep(0)  # the disk's answer, which others may overtake
        return found

    monkeypatch.setattr(identities, "_remembered", slowly)
    for jid in people:
        await world.client.on_node(world.event(notice(jid, f"N{jid.user}")))
    await world.client.lanes.drain()
    assert set(await original()) == set(people)
    await identities.after_drain()
    assert await original() == []
    assert all(peer.bundles == 1 for peer in world.service.peers.values()), "each session was refreshed once"


async def test_a_change_that_is_told_while_the_others_are_refreshed_is_not_forgotten() -> None:
    world = await World.of()
    first, second = (Jid(str(200_000_000_000_100 + number), "lid") for number in range(2))
    for jid in (first, second):
        peer = world.service.person(jid)
        peer.meet(world.client)
        await world.receive(message(peer, "hello", f"M{jid.user}", sender=jid))
    await world.receive(notice(first, "N1"))

    async def another() -> None:
        world.service.before.clear()
        await world.receive(notice(second, "N2"))

    world.service.before["encrypt"] = another
    await world.client.identities.after_drain()
    record = await world.client.store.load(RecordKind.SETTING, "identity_refresh")
    assert record is not None
    assert second.user.encode() in record
