"""waton in groups of the lab's phones: sender keys told to whom they are due, and made anew when somebody leaves."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.events import MessageUndecryptable
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.ports import RecordKind
from waton.protocol import message as content
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.message_secret import Addition, SecretUse, seal
from waton.protocol.stanza.message import Enc, IncomingMessage

pytestmark = pytest.mark.timeout(60)
MODES = ["lid", "pn"]


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield started
    await started.stop()


async def reads(phone: Phone, text: str, *, from_me: bool = False) -> None:
    """The phone's next message is this one."""
    assert (await phone.next_message(from_me=from_me)).text == text


@pytest.mark.parametrize("mode", MODES)
async def test_texts_go_both_ways_in_a_group(lab: Lab, mode: str) -> None:
    owner, ada, bob = [await lab.add_phone(name) for name in ("Owner", "Ada", "Bob")]
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        group = await ada.create_group("Friends", [owner.lid, bob.lid], addressing=mode)
        for number in range(3):
            await ada.send_text(group, f"from Ada {number}")
            heard = await waton.message(f"from Ada {number}")
            assert (heard.key.chat, heard.key.from_me) == (group, False)
            assert heard.key.author == (ada.lid if mode == "lid" else ada.pn)
            await reads(bob, f"from Ada {number}")
            await reads(owner, f"from Ada {number}")
            sent = await waton.client.send_text(group, f"from waton {number}")
            assert sent.is_accepted
            assert sent.server_phash == ""
            assert not sent.skipped
            await reads(ada, f"from waton {number}")
            await reads(bob, f"from waton {number}")
            await reads(owner, f"from waton {number}", from_me=True)
            await owner.send_text(group, f"from the phone {number}")
            own = await waton.message(f"from the phone {number}")
            assert own.key.from_me
            await reads(ada, f"from the phone {number}")
            await reads(bob, f"from the phone {number}")


@pytest.mark.parametrize("mode", MODES)
async def test_who_was_removed_is_told_no_key_and_who_was_added_is(lab: Lab, mode: str) -> None:
    owner, ada, bob = [await lab.add_phone(name) for name in ("Owner", "Ada", "Bob")]
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        group = await ada.create_group("Friends", [owner.lid, bob.lid], addressing=mode)
        await waton.client.send_text(group, "to all")
        await reads(bob, "to all")
        before = await own_key(waton, group)
        await ada.remove_from_group(group, bob.lid)
        await waton.event(lambda event: event if event.type == "group-participants.update" else None)
        await waton.client.send_text(group, "without Bob")
        assert await own_key(waton, group) != before
        await reads(ada, "to all")
        await reads(ada, "without Bob")
        await ada.add_to_group(group, bob.lid)
        await waton.event(lambda event: event if event.type == "group-participants.update" else None)
        await waton.client.send_text(group, "with Bob again")
        await reads(bob, "with Bob again")
        assert not bob.unreadable


async def own_key(waton: WatonPeer, group: Jid) -> bytes | None:
    """The record of who holds our key begins with the key's id."""
    record = await waton.store.load(RecordKind.SENDER_KEY_SENT, str(group))
    return None if record is None else record.partition(b",")[0]


async def test_a_bot_s_answer_in_a_group_is_opened_with_the_question_s_secret(lab: Lab) -> None:
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    bot = Jid("867051314767696", "bot")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        group = await ada.create_group("Friends", [owner.lid])
        asked = await waton.client.send_text(group, "@bot how long is a piece of string?")
        own = await waton.message("@bot how long is a piece of string?")
        secret = own.message.messageContextInfo.messageSecret
        answer = content.text_message("twice as long as half of it").SerializeToString()
        for number, key in enumerate([secret, bytes(32)]):
            addition = Addition(SecretUse.BOT, f"BOT{number}", waton.lid, bot)
            sealed = proto.MessageSecretMessage(encIv=bytes(12), encPayload=seal(key, addition, answer, bytes(12)))
            told = IncomingMessage(
                f"BOT{number}",
                group,
                1_760_000_000,
                "text",
                (Enc("msmsg", sealed.SerializeToString()),),
                participant=bot,
                extra=(Node("meta", {"target_id": asked.id, "target_sender_jid": waton.lid}),),
            )
            deliver(lab, waton, told.to_node())
        assert (await waton.message("twice as long as half of it")).key.id == "BOT0"
        failed = await waton.event(lambda event: event if isinstance(event, MessageUndecryptable) else None)
        assert failed.key.id == "BOT1", "under another secret"


def deliver(lab: Lab, waton: WatonPeer, node: Node) -> None:
    """Hand the client a stanza, as the server."""
    me = waton.client.credentials.me
    device = None if me is None else lab.service.world.locate(me)
    session = None if device is None else lab.service.deliveries.session(device)
    assert session is not None
    session.endpoint.deliver(node, None)
