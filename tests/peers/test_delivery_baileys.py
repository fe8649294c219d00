"""waton and the real Baileys in one group, through everything that makes messages unreadable: all are read in the end.

Members come and go, an account is registered anew and its device paired again, and each side loses its sessions and
sender keys once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from tests.requirements import require
from tests.support.memory_store import MemoryStore
from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.events import GroupParticipantsUpdate, MessagesUpsert
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.parity.oracle import BaileysPeer
from waton.ports import RecordKind
from waton.protocol.stanza.group import AddressingMode

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]
require("baileys")


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield started
    await started.stop()


@dataclass(slots=True)
class Group:
    """Owner with waton linked, Bea with Baileys linked, and Ada with a phone only."""

    lab: Lab
    id: Jid
    mode: AddressingMode
    owner: Phone
    bea: Phone
    ada: Phone
    waton: WatonPeer
    baileys: BaileysPeer
    said: int = 0

    def address(self, phone: Phone) -> Jid:
        return phone.lid if self.mode is AddressingMode.LID else phone.pn

    async def all_are_heard(self, *, without_ada: bool = False) -> None:
        """Everybody says something, twice, and everybody else reads it."""
        for _ in range(2):
            self.said += 1
            await self._heard(f"{self.said} waton", self._from_waton)
            await self._heard(f"{self.said} Baileys", self._from_baileys)
            if not without_ada:
                await self._heard(f"{self.said} Ada", self._from_ada)
        if without_ada:
            assert not [one.text for one in self.ada.messages if one.text and one.text.startswith(f"{self.said} ")]

    async def _heard(self, text: str, say: Callable[[str], Awaitable[None]]) -> None:
        await say(text)
        if "waton" not in text:
            await self.waton.event(_is_text(text))
        if "Baileys" not in text:
            await self.baileys.message(text)
        for phone, companion in ((self.owner, "waton"), (self.bea, "Baileys"), (self.ada, "Ada")):
            if companion != "Ada" or ("Ada" not in text and self._is_member(phone)):
                await _reads(phone, text, from_me=companion in text)

    def _is_member(self, phone: Phone) -> bool:
        groups = self.lab.service.groups
        group = groups.find(self.id)
        return group is not None and groups.member(group, phone.account) is not None

    async def _from_waton(self, text: str) -> None:
        result = await self.waton.client.send_text(self.id, text)
        assert result.is_accepted
        assert not result.skipped

    async def _from_baileys(self, text: str) -> None:
        await self.baileys.send_text(self.id, text)

    async def _from_ada(self, text: str) -> None:
        await self.ada.send_text(self.id, text)


def _is_text(text: str) -> Callable[[object], MessagesUpsert | None]:
    return lambda event: event if isinstance(event, MessagesUpsert) and event.text == text else None


async def _reads(phone: Phone, text: str, *, from_me: bool) -> None:
    """The phone's next message of its own account, or of others, is this one."""
    assert (await phone.next_message(20, from_me=from_me)).text == text


@pytest.mark.parametrize("mode", list(AddressingMode))
async def test_every_later_message_is_read_by_all(lab: Lab, mode: AddressingMode) -> None:
    owner, bea, ada = [await lab.add_phone(name) for name in ("Owner", "Bea", "Ada")]
    async with waton_peer(lab, "Owner") as waton, BaileysPeer.start(lab.url, name="Bea") as baileys:
        await waton.pair(owner)
        await bea.scan(await baileys.qr())
        await baileys.opened()
        members = [bea.lid, ada.lid] if mode is AddressingMode.LID else [bea.pn, ada.pn]
        id = await owner.create_group("Tea", members, addressing=mode)
        group = Group(lab, id, mode, owner, bea, ada, waton, baileys)
        await group.all_are_heard()

        await owner.remove_from_group(id, group.address(ada))
        await waton.event(lambda event: event if isinstance(event, GroupParticipantsUpdate) else None)
        await group.all_are_heard(without_ada=True)
        await owner.add_to_group(id, group.address(ada))
        await waton.event(lambda event: event if isinstance(event, GroupParticipantsUpdate) else None)
        await group.all_are_heard()

        ada.register_anew()
        await group.all_are_heard()

        lose(waton, RecordKind.SESSION, RecordKind.SENDER_KEY)
        await group.all_are_heard()
        assert await baileys.forget("session/", "sender-key/")
        await group.all_are_heard()

        bea.register_anew()
        assert await baileys.closed() == 401
        async with BaileysPeer.start(lab.url, name="Bea") as again:
            await bea.scan(await again.qr())
            await again.opened()
            group.baileys = again
            await group.all_are_heard()
        assert not [entry async for entry in unread(waton)]


def lose(waton: WatonPeer, *kinds: RecordKind) -> None:
    """All of the client's records of these kinds are gone, as after a restored backup."""
    store = waton.store
    assert isinstance(store, MemoryStore)
    for kind, key in list(store.records):
        if kind in kinds:
            del store.records[kind, key]


async def unread(waton: WatonPeer) -> AsyncGenerator[str]:
    for key in await waton.store.keys(RecordKind.RETRY, "in "):
        yield key
