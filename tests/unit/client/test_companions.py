"""A companion is somebody's when his phone says so: nothing is encrypted for a ghost, and nothing of a ghost's read."""

from __future__ import annotations

import pytest

from tests.unit.client.service import ME, MY_LID, Peer, World, child, said, text
from waton.client.events import IdentityChanged, MessagesUpsert, MessageUndecryptable
from waton.client.sessions import Sealed, Target
from waton.errors import RetryReason
from waton.jid import Jid, signal_address
from waton.ports import RecordKind
from waton.protocol.binary_node import Node, get_text
from waton.protocol.stanza.message import IncomingMessage
from waton.utils.padding import pad

ADA, BOB = Jid("200000000000002", "lid"), Jid("200000000000003", "lid")
T = 1_760_000_000


@pytest.fixture
async def world() -> World:
    """We know the key of Ada's phone."""
    made = await World.of()
    made.service.person(ME.with_device(0))
    made.service.person(ADA)
    await made.client.sender.send_text(ADA, "hello")
    made.service.sent.clear()
    return made


@pytest.fixture
def companion(world: World) -> Peer:
    """Ada's companion, or somebody's who says so."""
    peer = world.service.person(ADA.with_device(7))
    peer.meet(world.client)
    return peer


def phone(world: World) -> Peer:
    return world.service.peers[ADA]


async def seal(world: World, *devices: Jid) -> Sealed:
    """Encrypt a text for these devices."""
    client = world.client
    bundles = await client.sessions.bundles_for(devices)
    plain = pad(text("for you").SerializeToString(), 1)
    async with client.hold(devices), client.pipeline.step() as step:
        return await client.sessions.seal(step, [Target(device, plain) for device in devices], bundles)


def opening(author: Peer, words: str, id: str = "ID", word: bytes = b"") -> Node:
    encs = (author.seal(text(words)),)
    return IncomingMessage(id, author.jid, T, "text", encs, device_identity=word).to_node()


def texts(world: World) -> list[str]:
    told = world.told(MessagesUpsert)
    return [said(event.message) for event in told if isinstance(event, MessagesUpsert) and not event.key.from_me]


def unread(world: World) -> list[str]:
    told = world.told(MessageUndecryptable)
    return [event.reason for event in told if isinstance(event, MessageUndecryptable) and not event.is_resolved]


async def known(world: World, device: Jid) -> list[bool]:
    """Whether we have its session, and its key."""
    kinds = (RecordKind.SESSION, RecordKind.IDENTITY)
    return [await world.client.store.load(kind, signal_address(device)) is not None for kind in kinds]


# --- the way out ------------------------------------------------------------------------------------------------------


async def test_a_companion_whose_phone_stands_for_it_gets_its_ciphertext(world: World, companion: Peer) -> None:
    companion.record = None
    companion.word = phone(world).stands_for(companion)
    sealed = await seal(world, companion.jid)
    [(_, enc)] = sealed.encs
    assert said(companion.open(enc)) == "for you"


async def test_a_ghost_gets_nothing_and_costs_nobody_else_anything(world: World, companion: Peer) -> None:
    sealed = await seal(world, ADA, companion.jid)
    assert [device for device, _ in sealed.encs] == [ADA]
    assert sealed.skipped == {companion.jid: "device 7 has no device identity signed by its phone: none came"}
    assert await known(world, companion.jid) == [False, False]


@pytest.mark.parametrize("whose", ["another phone's", "another companion's", "its own"])
async def test_nobody_else_s_word_counts(world: World, companion: Peer, whose: str) -> None:
    if whose == "another phone's":
        companion.word = Peer(BOB).stands_for(companion)
    elif whose == "another companion's":
        companion.word = phone(world).stands_for(Peer(ADA.with_device(8)))
    else:
        companion.word = companion.stands_for(companion)
    sealed = await seal(world, companion.jid)
    assert sealed.encs == []
    assert "it does not verify" in sealed.skipped[companion.jid]


async def test_a_companion_of_a_phone_that_is_not_known_is_taken_at_the_server_s_word(world: World) -> None:
    stranger = world.service.person(BOB.with_device(4))
    assert (await seal(world, stranger.jid)).encs


async def test_a_phone_and_its_companion_that_are_met_at_once_are_held_to_it(world: World) -> None:
    world.service.person(BOB)
    world.service.person(BOB.with_device(4))
    sealed = await seal(world, BOB, BOB.with_device(4))
    assert [device for device, _ in sealed.encs] == [BOB]


async def test_a_hosted_device_is_its_phone_s_companion_too(world: World) -> None:
    hosted = world.service.person(Jid(ADA.user, "hosted.lid", 99))
    assert (await seal(world, hosted.jid)).encs == []
    hosted.word = phone(world).stands_for(hosted)
    assert (await seal(world, hosted.jid)).encs


async def test_who_says_so_takes_a_companion_without_a_word_but_none_with_a_false_one(world: World) -> None:
    lenient = await World.of(world.client.store, takes_unvouched=True)
    for peer in (phone(world), Peer(ADA.with_device(7)), Peer(ADA.with_device(8))):
        lenient.service.peers[peer.jid] = peer
    lenient.service.peers[ADA.with_device(8)].word = b"false"
    sealed = await seal(lenient, ADA.with_device(7), ADA.with_device(8))
    assert [device.device for device, _ in sealed.encs] == [7]


# --- the way in -------------------------------------------------------------------------------------------------------


async def test_what_a_ghost_opens_with_is_not_read_and_its_word_is_asked_for(world: World, companion: Peer) -> None:
    await world.receive(opening(companion, "it is me, Ada"))
    assert (texts(world), unread(world)) == ([], ["unvouched"])
    assert await known(world, companion.jid) == [False, False]
    [asked] = [node for node in world.service.of("receipt") if node.child("retry") is not None]
    assert get_text(child(asked, "retry"), "error") == str(RetryReason.ADV_FAILURE.value)
    assert asked.child("keys") is not None


async def test_the_resend_that_brings_the_word_is_read(world: World, companion: Peer) -> None:
    await world.receive(opening(companion, "it is me"))
    await world.receive(opening(companion, "it is me", word=phone(world).stands_for(companion)))
    assert texts(world) == ["it is me"]
    assert await known(world, companion.jid) == [True, True]
    await world.receive(opening(companion, "and on", "NEXT"))
    assert texts(world) == ["it is me", "and on"], "the key is known now"


@pytest.mark.parametrize("word", [b"\xff\xff", b"not one"])
async def test_a_false_word_is_not_read_either(world: World, companion: Peer, word: bytes) -> None:
    await world.receive(opening(companion, "it is me", word=word))
    assert (texts(world), unread(world)) == ([], ["unvouched"])


async def test_a_companion_that_comes_with_another_key_needs_a_word_for_it(world: World, companion: Peer) -> None:
    await world.receive(opening(companion, "one", "ONE", phone(world).stands_for(companion)))
    other = Peer(Jid("999", "lid", 7))
    other.jid = companion.jid
    other.meet(world.client)
    await world.receive(opening(other, "two", "TWO"))
    assert (texts(world), unread(world)) == (["one"], ["unvouched"])
    assert world.told(IdentityChanged) == []
    await world.receive(opening(other, "two", "TWO", phone(world).stands_for(other)))
    assert texts(world) == ["one", "two"]
    assert len(world.told(IdentityChanged)) == 1


async def test_our_own_companions_are_held_to_our_own_phone(world: World) -> None:
    mine = Peer(MY_LID.with_device(9))
    async with world.client.pipeline.step() as step:
        step.save(RecordKind.IDENTITY, signal_address(MY_LID.bare), Peer(MY_LID.bare).keys.identity_key.public)
    mine.meet(world.client)
    stanza = IncomingMessage("MINE", mine.jid, T, "text", (mine.seal(text("hi")),), recipient=ADA).to_node()
    await world.receive(stanza)
    assert unread(world) == ["unvouched"]
