"""A chaos run: everybody writes to everybody while the network and the server fail, and afterwards all must be well.

Each sender writes its texts of one chat strictly one after the other, and its chats side by side. A waton whose send
raised sends the same id again until it is taken; that is what ids are for. Baileys is asked again only for a text whose
sending it called a failure and that the server does not have. The phone in the lab's process cannot fail.

The weather changes: every so many texts another schedule begins, drawn from the seed, each with a bounded number of
faults. Half way one waton restarts over its file. In the end the weather is calm, everybody is connected, and the run
waits until nothing is on its way any more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from tests.soak.cast import NAMES, Cast, Waton, gather
from tests.soak.judge import DEADLY, Judge
from tests.soak.ledger import Text
from waton.errors import Disconnected, IqError, QueryTimeout, StorageError, WatonError
from waton.lab.faults import TRACE as FAULT
from waton.lab.schedules import Schedule
from waton.ports import RecordKind
from waton.protocol.binary_node import Node, decode_node
from waton.protocol.stanza.iq import IqType
from waton.protocol.trace import Layer, Trace, Way

_TRAFFIC = frozenset({"message", "receipt", "notification", "ack"})
_STILL = 1.5
"""Seconds without a stanza after which nothing more is to be expected: Baileys asks again sooner."""
_AHEAD = 3
"""How many texts a sender may be ahead of the slowest in a chat, so that all of them go through all weathers."""


@dataclass(frozen=True, slots=True)
class Size:
    """How big a run is. Times are seconds."""

    texts: int
    """Of all four senders in all chats."""
    wave: int
    """Texts after which the weather changes."""
    faults: int
    """In each wave, delays not counted."""
    patience: float
    """For all the talking."""
    drain: float
    """For what is on its way then."""

    @property
    def each(self) -> int:
        """Texts of one sender in one chat: there are two groups, and three others to write to."""
        return self.texts // (len(NAMES) * 5)


SMALL = Size(120, 40, 6, 60.0, 45.0)
BIG = Size(1_000, 120, 12, 300.0, 180.0)


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    seed: int
    weather: list[str] = field(default_factory=list[str])
    """The schedules, oldest first; Schedule.parse reads them."""
    faults: dict[str, int] = field(default_factory=dict[str, int])
    """How often each kind has happened."""
    wrong: list[str] = field(default_factory=list[str])
    """All that must not be."""
    figures: dict[str, int] = field(default_factory=dict[str, int])
    """What Baileys, and only Baileys, did with the texts."""
    excerpts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """What the lab saw of the texts in question."""

    def __str__(self) -> str:
        lines = [f"chaos, seed {self.seed}: WATON_CHAOS_SEED={self.seed} runs it alone"]
        lines += [f"  weather {number}: {text}" for number, text in enumerate(self.weather)]
        lines += [f"  faults: {self.faults}", f"  Baileys' own: {self.figures}"]
        lines += [f"  WRONG {line}" for line in self.wrong]
        for body, traces in self.excerpts.items():
            lines += [f"  of {body}:", *(f"    {line}" for line in traces)]
        return "\n".join(lines)


async def run(seed: int, size: Size, directory: Path) -> Outcome:
    """One run from the seed. Ends by itself; what did not come in time is in `wrong`."""
    async with gather(directory) as cast:
        chaos = Chaos(seed, size, cast)
        await chaos.talk()
        await chaos.drain()
        await chaos.judge()
        return chaos.outcome


class Chaos:
    """One run under way."""

    def __init__(self, seed: int, size: Size, cast: Cast) -> None:
        self.size = size
        self.cast = cast
        self.outcome = Outcome(seed)
        self._sent = 0
        self._next: dict[tuple[str, str], int] = {}
        """The next number of each sender in each chat."""
        self._went_on = asyncio.Condition()
        self._promised: set[str] = set()
        """Ids of texts that Baileys said it had sent."""
        self._calm_since = 0
        """The lab's last trace under bad weather."""

    # --- talking ------------------------------------------------------------------------------------------------------

    async def talk(self) -> None:
        """Send all texts through all weathers."""
        self._change_weather()
        try:
            async with asyncio.timeout(self.size.patience):
                await self._all_write()
        except TimeoutError:
            self.outcome.wrong.append(f"{self._sent} of {self._total} texts were sent in {self.size.patience:g} s")
        self.outcome.faults = {kind.value: count for kind, count in sorted(self.cast.lab.faults.injected.items())}

    async def _all_write(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for chat, sender in product(self.cast.chats, NAMES):
                    if sender in self.cast.chats[chat]:
                        group.create_task(self._write(chat, sender), name=f"{sender} in {chat}")
                group.create_task(self._restart_half_way(self.cast.watons["Ada"]))
        except* WatonError as gone:
            self.outcome.wrong += [f"a client gave up: {error!r}" for error in gone.exceptions]

    @property
    def _total(self) -> int:
        return self.size.each * sum(len(members) for members in self.cast.chats.values())

    def _change_weather(self) -> None:
        number = len(self.outcome.weather)
        schedule = Schedule.random(self.outcome.seed * 1_000 + number, limit=self.size.faults)
        self.cast.lab.faults.calm()
        self.outcome.weather.append(str(self.cast.lab.faults.schedule(schedule)))

    async def _write(self, chat: str, sender: str) -> None:
        send = self._verb(sender)
        for number in range(self.size.each):
            async with self._went_on:
                await self._went_on.wait_for(lambda number=number: number <= self._slowest(chat) + _AHEAD)
            await send(chat, Text(self.outcome.seed, chat, sender, number))
            async with self._went_on:
                self._sent += 1
                self._next[chat, sender] = number + 1
                if self._sent % self.size.wave == 0 and self._sent < self._total:
                    self._change_weather()
                self._went_on.notify_all()

    def _slowest(self, chat: str) -> int:
        return min(self._next.get((chat, sender), 0) for sender in self.cast.chats[chat])

    def _verb(self, sender: str) -> Callable[[str, Text], Awaitable[None]]:
        if sender in self.cast.watons:
            return self._from_waton
        return self._from_bot if sender == "Cal" else self._from_phone

    async def _from_waton(self, chat: str, text: Text) -> None:
        waton, to = self.cast.watons[text.sender], self.cast.address(chat, text.sender)
        while True:
            try:
                result = await waton.peer.client.send_text(to, str(text), id=text.id)
            except (Disconnected, QueryTimeout, IqError, StorageError, TimeoutError):
                await asyncio.sleep(0.05)  # some of these come at once
                continue
            self.cast.ledger.say(text.id, text)
            if not result.is_accepted or result.skipped:
                self.outcome.wrong.append(f"{text}: error {result.error}, skipped {result.skipped}")
            return

    async def _from_bot(self, chat: str, text: Text) -> None:
        to = self.cast.address(chat, "Cal")
        while not await self.cast.bot.say(to, str(text), text.id):
            if self._has_taken(text.id):
                return
            await asyncio.sleep(0.05)
        self._promised.add(text.id)

    def _has_taken(self, id: str) -> bool:
        """The server has this text of Baileys': it has reached the phone of the same account, whatever became of it."""
        phone = self.cast.phones["Cal"]
        return any(id == known for known, _ in phone.unreadable) or any(one.id == id for one in phone.messages)

    async def _from_phone(self, chat: str, text: Text) -> None:
        id = await self.cast.phones["Dot"].send_text(self.cast.address(chat, "Dot"), str(text))
        self.cast.ledger.say(id, text)

    async def _restart_half_way(self, waton: Waton) -> None:
        async with self._went_on:
            await self._went_on.wait_for(lambda: self._sent >= self._total // 2)
        await waton.restart()

    # --- draining -----------------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Calm weather, everybody connected; wait until nothing is on its way."""
        self.cast.lab.faults.calm()
        self._calm_since = self.cast.traces[-1].seq
        try:
            async with asyncio.timeout(self.size.drain):
                for waton in self.cast.watons.values():
                    await waton.peer.client.wait_open()
                await self.cast.bot.wait_open(self.size.drain)
                await self._quiet()
        except TimeoutError:
            self.outcome.wrong.append(f"not quiet after {self.size.drain:g} s")
        except WatonError as gone:
            self.outcome.wrong.append(f"a client gave up: {gone!r}")

    async def _quiet(self) -> None:
        """Wait until nothing waits, and nothing has passed for a while."""
        while True:
            last = next((trace.at for trace in reversed(self.cast.traces) if _is_traffic(trace)), 0.0)
            if self.cast.lab.clock.now() - last > _STILL and not await self._leftovers():
                return
            await asyncio.sleep(0.2)

    async def _leftovers(self) -> list[str]:
        """What waits somewhere."""
        found: list[str] = []
        service = self.cast.lab.service
        for account in service.world.accounts():
            for device in service.world.devices(account):
                counts = service.deliveries.counts(device)
                if counts:
                    found.append(f"queue of {account.name}'s device {device.number}: {counts}")
        for name, waton in self.cast.watons.items():
            client, store = waton.peer.client, waton.peer.store
            found += [f"{name}: {len(client.outbox)} in the outbox"] if len(client.outbox) else []
            for kind, prefix in ((RecordKind.OUTBOX, ""), (RecordKind.RETRY, "in "), (RecordKind.PLACEHOLDER, "")):
                keys = await store.keys(kind, prefix)
                found += [f"{name}: {kind} {keys}"] if keys else []
            pending = await store.pending_events()
            found += [f"{name}: {len(pending)} events were not handed out"] if pending else []
            found += [f"{name}: not read: {waton.unread}"] if waton.unread else []
            found += [] if client.update.status == "open" else [f"{name}: {client.update.status}"]
        return found

    def _unanswered(self) -> list[str]:
        """Queries since the weather is calm that got no answer."""
        queries = [one for one in self.cast.traces if one.seq > self._calm_since and _is_iq(one)]
        answered = {(one.connection, one.id) for one in queries if one.way is Way.OUT}
        open_ = [one for one in queries if one.way is Way.IN and one.kind in (IqType.GET, IqType.SET)]
        return [f"not answered: {_line(one)}" for one in open_ if (one.connection, one.id) not in answered]

    # --- judging ------------------------------------------------------------------------------------------------------

    async def judge(self) -> None:
        """Compare what was said with what was told."""
        wrong, cast = self.outcome.wrong, self.cast
        wrong += await self._leftovers()
        wrong += self._unanswered()
        for name, waton in cast.watons.items():
            failed = [trace for trace in waton.peer.traces if trace.name in _FAILURES and not _is_network(trace)]
            wrong += [f"{name}: {trace.name} {trace.detail}" for trace in failed[:5]]
        judge = Judge(cast, self._promised, self._texts_of_the_bot())
        for verdict in judge.verdicts():
            wrong += verdict.lines()
            for body in [*verdict.missing, *verdict.doubled, *verdict.disordered, *verdict.changed, *verdict.asked][:2]:
                self.outcome.excerpts[body] = self._excerpt(body)
        self.outcome.figures = judge.figures

    def _texts_of_the_bot(self) -> list[Text]:
        chats = [chat for chat, members in self.cast.chats.items() if "Cal" in members]
        return [Text(self.outcome.seed, chat, "Cal", number) for chat in chats for number in range(self.size.each)]

    def _excerpt(self, body: str) -> list[str]:
        """All that is about a text, and what ended the connections it passed."""
        ids = [id for id, text in self.cast.ledger.said.items() if str(text) == body]
        mine = [one for one in self.cast.traces if one.id in ids or any(id in one.detail for id in ids)]
        passed = {trace.connection for trace in mine if trace.connection}
        faults = [
            one for one in self.cast.traces if one.name == FAULT and one.kind in DEADLY and one.connection in passed
        ]
        return [_line(trace) for trace in sorted({one.seq: one for one in (*mine, *faults)}.values(), key=_seq)]


_SHOWN = frozenset({"type", "count", "error", "jid", "offline", "t"})
_FAILURES = frozenset({"lane.failed", "step.failed", "commit.failed", "ack.failed", "handler.failed", "outbox.failed"})


def _is_network(trace: Trace) -> bool:
    """Something beside the conversations could not ask the server; it is asked again when it is needed."""
    return trace.name == "lane.failed" and json.loads(trace.detail)["error"] in ("Disconnected", "QueryTimeout")


def _is_iq(trace: Trace) -> bool:
    return trace.layer is Layer.NODE and trace.name == "iq"


def _is_traffic(trace: Trace) -> bool:
    return trace.layer is Layer.NODE and trace.name in _TRAFFIC


def _seq(trace: Trace) -> int:
    return trace.seq


def _line(trace: Trace) -> str:
    words = [f"{trace.at:.3f}", trace.layer.value, trace.way.value, trace.name, trace.kind, trace.sender]
    more = trace.detail if trace.layer is not Layer.NODE else _shape(decode_node(trace.data))
    return " ".join([*words, trace.recipient, f"#{trace.connection}", more])


def _shape(node: Node) -> str:
    """What a stanza holds, in short: attributes that say what became of it, and its children by name."""
    shown = {name: value for name, value in node.attrs.items() if name in _SHOWN}
    children = node.content if isinstance(node.content, list) else []
    return " ".join(
        [*(f"{name}={value}" for name, value in shown.items()), *(f"<{one.tag} {_shape(one)}>" for one in children)]
    )


__all__ = ["BIG", "SMALL", "Outcome", "Size", "run"]
