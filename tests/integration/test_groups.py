"""waton in groups of the lab's phones: sender keys told to whom they are due, and made anew when somebody leaves."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.support.waton_client import WatonPeer, waton_peer
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.ports import RecordKind

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
