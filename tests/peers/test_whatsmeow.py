"""The real whatsmeow (Go) against the lab, and waton beside it: in chats of two and in groups of both addressings.

whatsmeow checks what Baileys does not: the certificate chain, the ref of a pairing code, hashes of device lists. And it
tells our side what it must hold to: its bundles and its opening messages bring their phone's word.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.requirements import require
from tests.support.memory_store import MemoryStore
from tests.support.waton_client import WatonPeer, waton_peer
from tests.support.whatsmeow import WhatsmeowPeer
from waton.client.events import IdentityChanged, MessagesUpsert
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.ports import RecordKind
from waton.protocol.stanza.group import AddressingMode

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]
require("whatsmeow")


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), tls=True)
    yield started
    await started.stop()


async def pair(go: WhatsmeowPeer, phone: Phone) -> None:
    await phone.scan(await go.qr())
    await go.event("connected")


async def told(waton: WatonPeer, text: str) -> None:
    await waton.event(lambda event: event if isinstance(event, MessagesUpsert) and event.text == text else None)


async def test_it_pairs_and_talks_with_a_phone(lab: Lab, tmp_path: Path) -> None:
    phone, ada = lab.phones[0], await lab.add_phone("Ada")
    async with WhatsmeowPeer.start(lab, tmp_path) as go:
        await pair(go, phone)
        id = await ada.send_text(phone.lid, "hello, Go")
        assert (await go.message("hello, Go"))["id"] == id
        await ada.next_receipt(id)
        await go.send_text(ada.pn, "hello, lab")
        assert (await ada.next_message()).text == "hello, lab"
        assert (await phone.next_message(from_me=True)).text == "hello, lab"


async def test_it_finds_what_came_while_it_was_away(lab: Lab, tmp_path: Path) -> None:
    phone, ada = lab.phones[0], await lab.add_phone("Ada")
    async with WhatsmeowPeer.start(lab, tmp_path) as go:
        await pair(go, phone)
        await ada.send_text(phone.lid, "here")
        await go.message("here")
    await ada.send_text(phone.lid, "away")
    async with WhatsmeowPeer.start(lab, tmp_path) as go:
        await go.message("away")


async def heard(group: Jid, text: str, writer: object, waton: WatonPeer, go: WhatsmeowPeer, ada: Phone) -> None:
    """One of them says something, and the others read it."""
    if writer is waton:
        result = await waton.client.send_text(group, text)
        assert (result.error, result.skipped, result.server_phash) == (None, {}, "")
    elif writer is go:
        await go.send_text(group, text)
    else:
        await ada.send_text(group, text)
    if writer is not waton:
        await told(waton, text)
    if writer is not go:
        await go.message(text)
    if writer is not ada:
        assert (await ada.next_message(20)).text == text


@pytest.mark.parametrize("mode", list(AddressingMode))
async def test_a_group_with_waton_in_it(lab: Lab, tmp_path: Path, mode: AddressingMode) -> None:
    owner, gopher, ada = [await lab.add_phone(name) for name in ("Owner", "Gopher", "Ada")]
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        members = [gopher.lid, ada.lid] if mode is AddressingMode.LID else [gopher.pn, ada.pn]
        async with WhatsmeowPeer.start(lab, tmp_path) as go:
            await pair(go, gopher)
            group = await owner.create_group("Tea", members, addressing=mode)
            for number in range(2):
                for writer in (waton, go, ada):
                    await heard(group, f"{number} {type(writer).__name__}", writer, waton, go, ada)
            _lose_sessions(waton)
            for writer in (go, ada, waton):
                await heard(group, f"waton has lost all, {type(writer).__name__}", writer, waton, go, ada)
        WhatsmeowPeer.lose_sessions(tmp_path)
        async with WhatsmeowPeer.start(lab, tmp_path) as go:
            await go.event("connected")
            for writer in (waton, ada, go):
                await heard(group, f"whatsmeow has lost all, {type(writer).__name__}", writer, waton, go, ada)


async def test_a_phone_that_is_new_and_its_device_paired_again(lab: Lab, tmp_path: Path) -> None:
    owner, gopher, ada = [await lab.add_phone(name) for name in ("Owner", "Gopher", "Ada")]
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(owner)
        group = await owner.create_group("Tea", [gopher.lid, ada.lid])
        async with WhatsmeowPeer.start(lab, tmp_path / "before") as go:
            await pair(go, gopher)
            for writer in (waton, go, ada):
                await heard(group, f"before, {type(writer).__name__}", writer, waton, go, ada)
            gopher.register_anew()
            await go.event("logged_out")
        async with WhatsmeowPeer.start(lab, tmp_path / "after") as go:
            await pair(go, gopher)
            for writer in (go, waton, ada, go):
                await heard(group, f"after, {type(writer).__name__}", writer, waton, go, ada)
        [changed] = [event for event in waton.events if isinstance(event, IdentityChanged) and event.new]
        assert changed.jid in (gopher.lid, gopher.pn)


async def test_texts_between_waton_and_it(lab: Lab, tmp_path: Path) -> None:
    owner, gopher = [await lab.add_phone(name) for name in ("Owner", "Gopher")]
    async with waton_peer(lab, "Owner") as waton, WhatsmeowPeer.start(lab, tmp_path) as go:
        await waton.pair(owner)
        await pair(go, gopher)
        for number in range(2):
            await go.send_text(owner.lid, f"from Go {number}")
            await told(waton, f"from Go {number}")
            result = await waton.client.send_text(gopher.lid, f"from waton {number}")
            assert (result.error, result.skipped) == (None, {})
            assert any(device.device for device in result.devices if device.user == gopher.lid.user)
            await go.message(f"from waton {number}")


def _lose_sessions(waton: WatonPeer) -> None:
    store = waton.store
    assert isinstance(store, MemoryStore)
    for place in [place for place in store.records if place[0] in (RecordKind.SESSION, RecordKind.SENDER_KEY)]:
        del store.records[place]
