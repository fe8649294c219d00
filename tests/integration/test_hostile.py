"""Hostile and absurd stanzas at a whole client: each is a typed event or refused by name, and nothing else suffers."""

from __future__ import annotations

import resource
from collections.abc import AsyncGenerator

import pytest

from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.events import Event, GroupsUpsert, MessagesUpsert, MessageUndecryptable
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid, JidServer
from waton.lab.deliveries import Session
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.protocol import message as content
from waton.protocol.binary_node import Node
from waton.protocol.stanza.group import GroupMetadata, GroupParticipant
from waton.protocol.stanza.group_notification import GroupChange, GroupNotification, Kind
from waton.protocol.stanza.message import Enc, IncomingMessage
from waton.protocol.trace import Layer, Way

pytestmark = pytest.mark.timeout(120)
MEGABYTE = 1 << 20


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield started
    await started.stop()


def wire(lab: Lab, waton: WatonPeer) -> Session:
    """The server's end of the client's connection."""
    me = waton.client.credentials.me
    assert me is not None
    device = lab.service.world.locate(me)
    assert device is not None
    session = lab.service.deliveries.session(device)
    assert session is not None
    return session


def sealed(lab: Lab, waton: WatonPeer, phone: Phone, text: str) -> Enc:
    """A text of the phone's, encrypted for the client and not sent."""
    me = waton.client.credentials.me
    device = None if me is None else lab.service.world.locate(me)
    assert device is not None
    with lab.service.world.step():
        enc = phone._signal.encrypt(device, content.text_message(text).SerializeToString())
    assert enc is not None
    return enc


def stanza(phone: Phone, id: str, *encs: Enc) -> Node:
    """A message of the phone's, as the server delivers it."""
    return IncomingMessage(id, phone.lid, 1_760_000_000, "text", encs, sender_pn=phone.pn).to_node()


async def unread(waton: WatonPeer, id: str) -> MessageUndecryptable:
    def wanted(event: Event) -> MessageUndecryptable | None:
        return event if isinstance(event, MessageUndecryptable) and event.key.id == id else None

    return await waton.event(wanted)


async def still_talks(waton: WatonPeer, phone: Phone) -> None:
    """A text still comes, on the same connection."""
    before = max(trace.connection for trace in waton.traces)
    await phone.send_text(waton.lid, "still there?")
    await waton.message("still there?")
    assert max(trace.connection for trace in waton.traces) == before


async def test_one_garbage_ciphertext_beside_a_good_one_costs_nothing(lab: Lab) -> None:
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        good = sealed(lab, waton, ada, "good")
        wire(lab, waton).endpoint.deliver(stanza(ada, "BESIDE", Enc("skmsg", b"\x33garbage"), good), None)
        assert (await waton.message("good")).key.id == "BESIDE"
        wire(lab, waton).endpoint.deliver(stanza(ada, "ALONE", Enc("pkmsg", b"\x33garbage")), None)
        assert (await unread(waton, "ALONE")).reason == "decode"
        wire(lab, waton).endpoint.deliver(stanza(ada, "MANY", *[Enc("msg", b"\x33") for _ in range(5_000)]), None)
        assert (await unread(waton, "MANY")).reason == "decode"
        await still_talks(waton, ada)


async def test_a_counter_a_hundred_thousand_ahead_is_asked_for_again_and_not_followed(lab: Lab) -> None:
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        await ada.send_text(waton.lid, "opens")
        await waton.message("opens")
        await waton.client.send_text(ada.lid, "answers")
        assert (await ada.next_message()).text == "answers"
        enc = sealed(lab, waton, ada, "far away")
        assert enc.type == "msg"
        key, counter = enc.ciphertext[:36], enc.ciphertext[36:38]
        assert counter[0] == 0x10
        far = key + b"\x10" + bytes([0xA0, 0x8D, 0x06]) + enc.ciphertext[38:]
        wire(lab, waton).endpoint.deliver(stanza(ada, "FAR", Enc("msg", far)), None)
        told = await unread(waton, "FAR")
        assert (told.reason, told.will_retry) == ("future_message", True)
        await still_talks(waton, ada)


async def test_ten_megabytes_are_one_message_and_no_ten_copies(lab: Lab) -> None:
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        await still_talks(waton, ada)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await ada.send_text(waton.lid, "x" * (10 * MEGABYTE))
        big = await waton.event(
            lambda event: event if isinstance(event, MessagesUpsert) and len(event.text or "") > MEGABYTE else None
        )
        assert big.text == "x" * (10 * MEGABYTE)
        # Both ends live in this process: the phone's plaintext and ciphertext, the queue's, the wire's, the traces'.
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert grown < 40 * 10
        await still_talks(waton, ada)


async def test_a_group_of_ten_thousand_is_one_event(lab: Lab) -> None:
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        people = tuple(
            GroupParticipant(Jid(str(7_000_000 + n), JidServer.LID), phone_number=Jid(str(4_900_000 + n), JidServer.PN))
            for n in range(10_000)
        )
        group = GroupMetadata(Jid("120363000000000001", JidServer.GROUP), "Crowd", "lid", people, size=len(people))
        told = GroupNotification("CROWD", group.id, 1_760_000_000, (GroupChange(Kind.CREATE, group=group),), ada.lid)
        wire(lab, waton).endpoint.deliver(told.to_node(), None)
        event = await waton.event(lambda event: event if isinstance(event, GroupsUpsert) else None)
        assert event.metadata.participants == people
        await still_talks(waton, ada)


async def test_everything_twice_is_told_once_and_acknowledged_twice(lab: Lab) -> None:
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        endpoint = wire(lab, waton).endpoint
        once = endpoint.deliver

        def twice(node: Node, parent: int | None) -> None:
            once(node, parent)
            if node.tag in ("message", "receipt", "notification", "ack"):
                once(node, parent)

        endpoint.deliver = twice
        group = await ada.create_group("Friends", [owner.lid])
        for number in range(5):
            await ada.send_text(waton.lid, f"to waton {number}")
            await ada.send_text(group, f"to all {number}")
            await waton.message(f"to waton {number}")
            await waton.message(f"to all {number}")
            result = await waton.client.send_text(ada.lid, f"from waton {number}")
            assert result.is_accepted
            assert (await ada.next_message()).text == f"from waton {number}"
        await still_talks(waton, ada)
        texts = [event.text for event in waton.events if isinstance(event, MessagesUpsert) and not event.key.from_me]
        assert texts == [], "all were taken off the list once"
        acks = [
            trace
            for trace in waton.traces
            if trace.layer is Layer.NODE and trace.way is Way.OUT and trace.name == "receipt"
        ]
        assert len(acks) >= 2 * 10
