"""Who takes part in a chaos run: four accounts, four senders, seven devices, eight chats.

    Ada    a phone, and waton on SQLite     Bea    a phone, and waton in memory
    Cal    a phone, and the real Baileys    Dot    a phone, which writes itself

Everybody with everybody, some by LID and some by phone number, and two groups of all, one of each addressing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from tests.soak.bot import Bot
from tests.soak.ledger import Ledger, Reader
from tests.support.memory_store import MemoryStore
from tests.support.waton_client import WatonPeer
from waton.client.backoff import Backoff
from waton.client.events import Event, MessagesUpsert, MessageUndecryptable
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.infra.storage_sqlite import SqliteStore
from waton.infra.websocket import WebSocketConnector
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.ports import Store
from waton.protocol.stanza.group import AddressingMode
from waton.protocol.trace import Trace

NAMES = ("Ada", "Bea", "Cal", "Dot")
BY_NUMBER = frozenset({"Ada-Cal", "Bea-Dot"})
"""The chats of two that are addressed by phone number."""
GROUPS = {"lid": AddressingMode.LID, "pn": AddressingMode.PN}


class Waton:
    """One waton client over a store that outlives it, and what it tells."""

    def __init__(self, lab: Lab, reader: Reader, store: Store) -> None:
        self.reader = reader
        self.peer = WatonPeer(lab, store, reader.account, WebSocketConnector())
        self.unread: dict[str, str] = {}
        """Reasons of the messages that could not be read and were not resolved, by id."""
        self._prepare()

    def _prepare(self) -> None:
        client = self.peer.client
        client.config = replace(
            client.config,
            keepalive=0.5,
            silence=2.5,
            query_timeout=5.0,
            connect_timeout=5.0,
            resend_after=3.0,
            backoff=Backoff(first=0.05, cap=0.2, crowded=3.0),
        )
        client.subscribe(self._take)

    def _take(self, event: Event) -> None:
        if isinstance(event, MessagesUpsert):
            self.reader.take(event.key.id, event.text, is_repeat=event.redelivered)
        elif isinstance(event, MessageUndecryptable):
            if event.is_resolved:
                self.unread.pop(event.key.id, None)
            else:
                self.unread[event.key.id] = event.reason
                self.reader.unread.add(event.key.id)

    async def restart(self) -> None:
        """As another process would: everything but the file is new."""
        await self.peer.client.close()
        store = self.peer.store
        if isinstance(store, SqliteStore):
            await store.close()
            self.peer.store = await SqliteStore.open(store.path, clock=SystemClock())
        self.peer.renew()
        self._prepare()
        await self.peer.client.start()

    async def close(self) -> None:
        await self.peer.client.close()
        await self.peer.store.close()


@dataclass(slots=True)
class Cast:
    """Everybody, connected and acquainted."""

    lab: Lab
    traces: list[Trace]
    """The lab's."""
    ledger: Ledger
    phones: dict[str, Phone]
    """By account."""
    watons: dict[str, Waton]
    bot: Bot
    groups: dict[str, Jid]
    """By chat."""

    @property
    def chats(self) -> dict[str, frozenset[str]]:
        """Each chat's accounts."""
        pairs = {"-".join(pair): frozenset(pair) for pair in combinations(NAMES, 2)}
        return {**pairs, **{name: frozenset(NAMES) for name in GROUPS}}

    def address(self, chat: str, sender: str) -> Jid:
        """Where this sender writes to, for a chat."""
        if chat in self.groups:
            return self.groups[chat]
        (other,) = self.chats[chat] - {sender}
        phone = self.phones[other]
        return phone.pn if chat in BY_NUMBER else phone.lid

    def readers(self) -> list[Reader]:
        """Every device, the phones with their present logs."""
        noted: list[Reader] = []
        for name, phone in self.phones.items():
            reader = Reader(f"{name}'s phone", name)
            for message in phone.messages:
                reader.take(message.id, message.text)
            reader.unread = {id for id, _ in phone.unreadable}
            noted.append(reader)
        return [*noted, *(waton.reader for waton in self.watons.values()), self.bot.reader]


@asynccontextmanager
async def gather(directory: Path) -> AsyncGenerator[Cast]:
    """A lab with everybody on it; ends them all afterwards."""
    traces: list[Trace] = []
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), sink=traces.extend)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(lab.stop)
        phones = {name: await lab.add_phone(name) for name in NAMES}
        stores: dict[str, Store] = {
            "Ada": await SqliteStore.open(directory / "account.db", clock=SystemClock()),
            "Bea": MemoryStore(SystemClock()),
        }
        watons: dict[str, Waton] = {}
        for name, store in stores.items():
            watons[name] = Waton(lab, Reader(f"{name}'s waton", name), store)
            stack.push_async_callback(watons[name].close)
            await watons[name].peer.pair(phones[name])
        bot = await stack.enter_async_context(Bot.start(lab, "Cal", phones["Cal"], Reader("Cal's Baileys", "Cal")))
        groups: dict[str, Jid] = {}
        for chat, mode in GROUPS.items():
            members = [phone.lid if mode is AddressingMode.LID else phone.pn for phone in phones.values()]
            groups[chat] = await phones["Dot"].create_group(chat, members[:-1], addressing=mode)
        cast = Cast(lab, traces, Ledger(), phones, watons, bot, groups)
        cast.ledger.members = cast.chats
        yield cast
        lab.faults.calm()
