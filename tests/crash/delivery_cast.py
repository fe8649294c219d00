"""The cast of the delivery test: four people with phones, a real Baileys, five chats, and who reads what.

Owner (the account of the client under test), Bea with Baileys linked, Ada and Cal. Each of the three is a chat of its
own; Tea is a group by LID (Owner, Ada, Bea), Sea one by phone number (Owner, Cal, Bea). Whoever writes is named:
"Ada", "Bea", "Cal", or BAILEYS; so is whoever reads what the client under test writes, its own phone (OWNER) included.

Baileys writes only when it has taken all that was sent to it, and whoever uses this sees to it that nothing more comes
while it writes. For while it writes it works on a copy of its sessions and puts that in their place at the end
(Socket/messages-send.js relayMessage and Utils/auth-utils.js, one transaction under a lock that reading does not take):
what a message has moved meanwhile is lost, and one of the next messages cannot be read, here or there.

Nothing here knows the client under test: it is linked to Owner's phone by whoever uses this.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.lab.world import Device
from waton.parity.oracle import BaileysPeer
from waton.protocol.stanza.group import AddressingMode
from waton.protocol.trace import TraceSink

BAILEYS = "Baileys"
OWNER = "Owner"
_PATIENCE = 40.0
"""Seconds that Baileys may take."""
_CIPHERTEXT = 2
"""messageStubType of what Baileys could not read."""


@dataclass(frozen=True, slots=True)
class Chat:
    """One conversation of Owner's."""

    name: str
    id: Jid
    """As Owner's devices address it."""
    authors: tuple[str, ...]
    """Who writes to Owner in it."""
    readers: tuple[str, ...]
    """Who reads what a companion of Owner's writes in it."""


@dataclass(frozen=True, slots=True)
class Read:
    """A message as somebody has read it."""

    id: str
    text: str


@dataclass(slots=True)
class Cast:
    """Everybody, and their chats."""

    lab: Lab
    phones: dict[str, Phone]
    """By name."""
    baileys: BaileysPeer | None
    chats: dict[str, Chat]
    """By name."""
    before: dict[str, list[tuple[str, str]]] = field(default_factory=dict[str, list[tuple[str, str]]])
    """What could not be read while everybody got to know each other; see unreadable()."""
    _settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a stanza was acknowledged."""

    @property
    def owner(self) -> Phone:
        return self.phones[OWNER]

    async def say(self, author: str, chat: Chat, text: str) -> str:
        """Have somebody write a text in a chat; its id."""
        to = chat.id if chat.id.is_group else self.owner.lid if chat.id.is_lid else self.owner.pn
        if author == BAILEYS:
            await self._quiet()
            return await self._baileys().send_text(to, text)
        return await self.phones[author].send_text(to, text)

    async def _introduce(self) -> None:
        """Let Baileys learn which phone number is whose LID before anything counts.

        Until it knows, it holds a session of its own under each address, and when it learns of it, it puts one of the
        two in the other's place, whichever is newer (Signal/libsignal.js migrateSession): both sides then have to ask.
        """
        baileys, bea = self._baileys(), self.phones["Bea"]
        for name in (OWNER, "Cal", "Ada"):
            await self.phones[name].send_text(bea.pn, f"{name} here")
            await baileys.message(f"{name} here")
        for chat in (self.chats["Sea"], self.chats["Tea"]):
            for name in chat.readers:
                if name != BAILEYS:
                    await self.phones[name].send_text(chat.id, f"{name} in {chat.name}")
                    await baileys.message(f"{name} in {chat.name}")
            if BAILEYS in chat.authors:
                await self.say(BAILEYS, chat, f"{BAILEYS} in {chat.name}")
        self.before = self.unreadable()

    async def _quiet(self) -> None:
        """Wait until Baileys has acknowledged every message there is for it. Raises TimeoutError."""
        service = self.lab.service
        device = service.world.locate(self.phones["Bea"].companions[0])
        async with asyncio.timeout(_PATIENCE):
            while device is not None and service.deliveries.counts(device).get("message"):
                self._settled.clear()
                await self._settled.wait()

    def _listen(self) -> None:
        deliveries = self.lab.service.deliveries
        settle = deliveries.settle

        def told(device: Device, tag: str, id: str, peer: str = "", kind: str = "") -> bool:
            self._settled.set()
            return settle(device, tag, id, peer, kind)

        deliveries.settle = told

    def _baileys(self) -> BaileysPeer:
        if self.baileys is None:
            raise ValueError("this cast has no Baileys")
        return self.baileys

    def read_by(self, reader: str) -> list[Read]:
        """Every message of Owner's companions that somebody has read, in order."""
        if reader == BAILEYS:
            return list(_of_baileys(self._baileys(), self.owner))
        owner = {self.owner.pn.bare, self.owner.lid.bare}
        phone = self.phones[reader]
        return [
            Read(one.id, one.text or "") for one in phone.messages if one.sender.bare in owner and one.sender.device
        ]

    def unreadable(self) -> dict[str, list[tuple[str, str]]]:
        """What could not be read when it came, by reader: the ids, and why. What is in `before` does not count."""
        found = {name: list(phone.unreadable) for name, phone in self.phones.items()}
        if self.baileys is not None:
            stubs = (one for one in _upserts(self.baileys) if one.get("messageStubType") == _CIPHERTEXT)
            found[BAILEYS] = [(one["key"]["id"], str(one.get("messageStubParameters"))) for one in stubs]
        news = {reader: those[len(self.before.get(reader, [])) :] for reader, those in found.items()}
        return {reader: those for reader, those in news.items() if those}


def _upserts(baileys: BaileysPeer) -> Iterable[Any]:
    for event in baileys.raw:
        if event.type == "messages.upsert":
            yield from event.value["messages"]


def _of_baileys(baileys: BaileysPeer, owner: Phone) -> Iterable[Read]:
    mine = {owner.pn.user, owner.lid.user}
    for one in _upserts(baileys):
        author = one["key"].get("participant") or one["key"]["remoteJid"]
        content = one.get("message") or {}
        text = content.get("conversation") or (content.get("extendedTextMessage") or {}).get("text")
        if Jid.parse(author).user in mine and text is not None:
            yield Read(one["key"]["id"], text)


@asynccontextmanager
async def cast(*, with_baileys: bool = True, sink: TraceSink | None = None) -> AsyncGenerator[Cast]:
    """A lab with everybody in it, Baileys paired and the groups made.

    Args:
        with_baileys: False leaves Baileys out; Bea has her phone only then.
        sink: gets the lab's traces.
    """
    async with AsyncExitStack() as stack:
        lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), sink=sink)
        stack.push_async_callback(lab.stop)
        phones = {name: await lab.add_phone(name) for name in (OWNER, "Ada", "Bea", "Cal")}
        baileys = None
        if with_baileys:
            baileys = await stack.enter_async_context(BaileysPeer.start(lab.url, name="Bea"))
            await phones["Bea"].scan(await baileys.qr())
            await baileys.opened()
        everybody = Cast(lab, phones, baileys, await _chats(phones, (BAILEYS,) if with_baileys else ()))
        if with_baileys:
            everybody._listen()
            await everybody._introduce()
        yield everybody


async def _chats(phones: dict[str, Phone], linked: tuple[str, ...]) -> dict[str, Chat]:
    """linked: what is linked to Bea's phone."""
    owner, ada, bea, cal = (phones[name] for name in (OWNER, "Ada", "Bea", "Cal"))
    tea = await owner.create_group("Tea", [ada.lid, bea.lid], AddressingMode.LID)
    sea = await owner.create_group("Sea", [cal.pn, bea.pn], AddressingMode.PN)
    beas = ("Bea", *linked)
    chats = (
        Chat("Ada", ada.lid, ("Ada",), ("Ada", OWNER)),
        Chat("Bea", bea.lid, beas, (*beas, OWNER)),
        Chat("Cal", cal.pn, ("Cal",), ("Cal", OWNER)),
        Chat("Tea", tea, ("Ada", *beas), ("Ada", *beas, OWNER)),
        Chat("Sea", sea, ("Cal", *beas), ("Cal", *beas, OWNER)),
    )
    return {chat.name: chat for chat in chats}
