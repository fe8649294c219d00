"""Stage: one lab with its people, one client under comparison on it, and what both were seen to do.

The lab is the same for both clients down to its phone numbers, so that addresses need no translation: Owner, whose
phone the client pairs with; Ada, to whom it talks. A scenario divides its play into steps; each step's stanzas and
events belong to it. A step ends when nothing has crossed the wire and nothing was emitted for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.lab.world import Device
from waton.parity import canonical
from waton.parity.canonical import Context, Element
from waton.parity.subjects import PATIENCE, BaileysSubject, Settings, Subject, WatonSubject
from waton.ports import RecordKind
from waton.protocol import message as content
from waton.protocol import proto
from waton.protocol.binary_node import Node, decode_node, get_text
from waton.protocol.stanza.group import AddressingMode
from waton.protocol.trace import Layer, Trace, Way

PATIENT = 0.75
"""The same where the client has yet to acknowledge something."""
RESTLESS = 5.0
"""Seconds after which a step is over all the same."""
_TICK = 0.02


class Side(StrEnum):
    """Which client is on the stage."""

    WATON = "waton"
    BAILEYS = "baileys"


QUIET = {Side.WATON: 0.12, Side.BAILEYS: 0.25}
"""Seconds without news after which a step is over. Baileys has a process and timers of its own."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What a client did in one step of a scenario."""

    name: str
    stanzas: tuple[Element, ...]
    events: tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """What one client did in a scenario."""

    side: Side
    steps: tuple[StepRecord, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A story to play to both clients."""

    name: str
    title: str
    """What happens, in one sentence."""
    play: Callable[[Stage], Awaitable[None]]
    is_paired: bool = True
    """The client is paired and at rest when the story begins."""
    settings: Settings = field(default_factory=Settings)
    with_companion: bool = False
    """Ada has a second device."""
    with_second: bool = False
    """The owner has another device besides the client."""
    repeats_count: bool = True
    """False where how often the same thing is said is up to chance."""
    tidy: Callable[[Element], Element | None] = lambda said: said
    """Takes out of a stanza or an event what is up to chance in this scenario; None for all. Its docstring says why."""


@dataclass(slots=True)
class _Mark:
    name: str
    traces: int
    events: int
    began: float
    traces_end: int = 0
    events_end: int = 0


class Stage:
    """What a scenario works with."""

    def __init__(self, lab: Lab, traces: list[Trace], owner: Phone, ada: Phone, side: Side) -> None:
        self.lab = lab
        self.side = side
        self.owner = owner
        self.ada = ada
        self._traces = traces
        self._subject: Subject | None = None
        self._extras: list[WatonSubject] = []
        self._others: set[int] = set()
        self._marks: list[_Mark] = []
        self._names: dict[str, str] = {}
        self._invented: dict[str, str] = {}

    @property
    def subject(self) -> Subject:
        """The client under comparison."""
        if self._subject is None:
            raise LookupError("nobody is on the stage")
        return self._subject

    def put(self, subject: Subject) -> None:
        """Put a client on the stage."""
        self._subject = subject

    @property
    def device(self) -> Device:
        """The client's device, as the lab knows it: the last one its owner has linked."""
        return self.lab.service.world.devices(self.owner.account)[-1]

    async def pair(self) -> None:
        """Have the owner's phone scan the client's QR, and wait until it is open."""
        await self.subject.connect()
        await self.owner.scan(await self.subject.qr())
        await self.subject.opened()

    def end(self, farewell: Node | None) -> None:
        """End the client's stream, with a last stanza or without."""
        session = self.lab.service.deliveries.session(self.device)
        if session is not None:
            session.endpoint.end(farewell)

    def say(self, node: Node) -> None:
        """Send the client a stanza at once."""
        session = self.lab.service.deliveries.session(self.device)
        if session is not None:
            session.endpoint.deliver(node, None)

    def deliver(self, node: Node) -> None:
        """Queue a stanza for the client; it stays there until the client has acknowledged it."""
        service = self.lab.service
        with service.world.step():
            service.deliveries.put(self.device, node)

    def name(self, id: str, what: str) -> str:
        """Say what an id is the id of that no trace tells of; the id."""
        self._names[id] = f"<id of {what}>"
        return id

    async def make_group(
        self, *members: Phone, mode: AddressingMode = AddressingMode.LID, with_owner: bool = True
    ) -> Jid:
        """Have Ada make a group with these; in what is compared it is called by its number."""
        everybody = (self.owner, *members) if with_owner else members
        made = await self.ada.create_group("Friends", [one.lid for one in everybody], mode)
        self._invented[made.user] = f"GROUP-{sum(name.startswith('GROUP') for name in self._invented.values()) + 1}"
        return made

    def rename(self, text: str, name: str) -> None:
        """Say what something that is invented by dice is called in what is compared."""
        self._invented[text] = name

    def lose(self, phone: Phone) -> None:
        """Somebody's phone loses its sessions and sender keys, as one that was restored from an old backup."""
        world = self.lab.service.world
        with world.step():
            for kind in (RecordKind.SESSION, RecordKind.SENDER_KEY, RecordKind.SENDER_KEY_SENT):
                sql = "DELETE FROM phone_record WHERE account = ? AND kind = ?"
                world.database.write(sql, phone.account.id, kind.value)

    def refuse(self, code: int) -> None:
        """Have the next message of a client's refused with this code."""
        self.lab.service.refusals.append(code)

    def delivered(self, wanted: Callable[[Node], bool]) -> Node:
        """The last such stanza that the lab has sent the client. Raises LookupError."""
        sent = [trace for trace in self._traces if trace.layer is Layer.NODE and trace.way is Way.OUT]
        for trace in reversed(sent):
            if trace.connection not in self._others and wanted(node := decode_node(trace.data)):
                return node
        raise LookupError("the lab has sent no such stanza")

    async def until(self, wanted: Callable[[Node], bool]) -> None:
        """Wait until the client sends such a stanza, from now on. Raises TimeoutError."""
        seen = len(self._traces)
        for _ in range(int(PATIENCE / _TICK)):
            if any(wanted(decode_node(trace.data)) for trace in self._traces[seen:] if self._is_stanza(trace)):
                return
            await asyncio.sleep(_TICK)
        raise TimeoutError("the client sends no such stanza")

    async def settle(self) -> None:
        """Wait until nothing happens any more, longer while the client has yet to answer; at most RESTLESS seconds."""
        seen, calm = self._news(), 0
        for _ in range(int(RESTLESS / _TICK)):
            await asyncio.sleep(_TICK)
            news = self._news()
            calm = calm + 1 if news == seen else 0
            seen = news
            if calm * _TICK >= (PATIENT if self._is_owed() else QUIET[self.side]):
                return

    def _is_owed(self) -> bool:
        """The client is there and has yet to acknowledge something."""
        deliveries = self.lab.service.deliveries
        return deliveries.session(self.device) is not None and bool(deliveries.counts(self.device))

    def _news(self) -> tuple[int, int]:
        return len(self._traces), len(self.subject.events)

    @asynccontextmanager
    async def step(self, name: str) -> AsyncGenerator[None]:
        """A part of the story; what the client does in it is compared on its own."""
        mark = _Mark(name, len(self._traces), len(self.subject.events), self.lab.clock.now())
        yield
        await self.settle()
        mark.traces_end, mark.events_end = len(self._traces), len(self.subject.events)
        self._marks.append(mark)

    async def add_companion(self, phone: Phone, name: str, stack: AsyncExitStack) -> WatonSubject:
        """Another device of somebody's, a waton client that is no part of the comparison."""
        before = self.lab.connections
        made = await stack.enter_async_context(WatonSubject.start(self.lab, Settings(push_name=name)))
        await made.connect()
        await phone.scan(await made.qr())
        await made.opened()
        self._others |= set(range(before + 1, self.lab.connections + 1))
        self._extras.append(made)
        return made

    # --- what was seen ------------------------------------------------------------------------------------------------

    def record(self, scenario: Scenario) -> Recording:
        """What the client did, step by step."""
        context = Context(self._labels(), self._plaintexts().get, self._sender_keys())
        invented = self._invented
        steps: list[StepRecord] = []
        for mark in self._marks:
            traces = self._traces[mark.traces : mark.traces_end]
            said = [canonical.renamed(self._form(trace, context), invented) for trace in traces if self._is_said(trace)]
            stanzas = [tidied for one in said if (tidied := scenario.tidy(one)) is not None]
            told = self.subject.events[mark.events : mark.events_end]
            heard = [canonical.event(one.type, one.value, mark.began, context.labels) for one in told]
            known = [canonical.renamed(one, invented) for one in heard]
            events = [tidied for one in known if (tidied := scenario.tidy(one)) is not None]
            if not scenario.repeats_count:
                stanzas, events = _once(stanzas), _once(events)
            stanzas = _once(stanzas, lambda form: form == Element("presence"))  # how often Baileys says that is chance
            steps.append(StepRecord(mark.name, tuple(stanzas), tuple(events)))
        return Recording(self.side, tuple(steps))

    def _is_its(self, trace: Trace) -> bool:
        """Something the client itself has sent."""
        return trace.way is Way.IN and trace.connection != 0 and trace.connection not in self._others

    def _is_stanza(self, trace: Trace) -> bool:
        return self._is_its(trace) and trace.layer is Layer.NODE

    def _is_said(self, trace: Trace) -> bool:
        """A stanza or a payload of the client's own."""
        return self._is_stanza(trace) or (self._is_its(trace) and trace.name == "client_payload")

    @staticmethod
    def _form(trace: Trace, context: Context) -> Element:
        if trace.layer is Layer.NODE:
            return canonical.stanza(decode_node(trace.data), trace.at, context)
        return canonical.protobuf(proto.ClientPayload, trace.data, "client_payload", trace.at)

    def _sender_keys(self) -> dict[int, int]:
        return canonical.sender_keys_of(decode_node(trace.data) for trace in self._traces if self._is_stanza(trace))

    def _labels(self) -> dict[str, str]:
        """What the ids of this run stand for, by what the lab and the other devices saw."""
        labels = dict(self._names)
        for trace in self._traces:
            if trace.layer is Layer.MESSAGE and trace.id:
                if labels.get(trace.id, _NAMELESS) == _NAMELESS:  # a sender key alone says nothing of its message
                    labels[trace.id] = f"<id of {_message_name(trace.data)}>"
            elif trace.layer is Layer.NODE and trace.way is Way.OUT and trace.id and _is_own(trace):
                labels.setdefault(trace.id, f"<id of the lab's {_node_name(decode_node(trace.data))}>")
        return labels

    def _plaintexts(self) -> Plaintexts:
        found = Plaintexts(self.lab)
        for trace in self._traces:
            if trace.layer is Layer.MESSAGE and trace.way is Way.IN:
                found.add(trace, Jid.parse(trace.recipient))
        for extra in self._extras:
            me = extra.client.credentials.me
            for trace in extra.traces:
                if trace.layer is Layer.MESSAGE and trace.way is Way.IN and me is not None:
                    found.add(trace, me)
        return found


class Plaintexts:
    """What each device found inside each ciphertext."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._found: dict[tuple[str, str, tuple[int, int] | None], bytes] = {}

    def add(self, trace: Trace, reader: Jid) -> None:
        """A ciphertext that this device has read."""
        device = self._lab.service.world.locate(reader)
        if device is not None:
            self._found[trace.id, trace.kind, device.key] = trace.data
            self._found[trace.id, trace.kind, None] = trace.data

    def get(self, id: str, reader: Jid, kind: str) -> bytes | None:
        """The Message protobuf, None when that device has read no such ciphertext. A group stands for anybody in it."""
        device = self._lab.service.world.locate(reader)
        if device is None and not reader.is_group:
            return None
        return self._found.get((id, kind, None if device is None else device.key))


def _is_own(trace: Trace) -> bool:
    """A stanza whose id the lab has made, not repeated."""
    return trace.name in ("notification", "call") or (trace.name == "iq" and trace.kind in ("get", "set"))


def _once(forms: list[Element], which: Callable[[Element], bool] = lambda form: True) -> list[Element]:
    """Without what was said before, of those that `which` names."""
    kept: list[Element] = []
    for form in forms:
        if form not in kept or not which(form):
            kept.append(form)
    return kept


_NAMELESS = "<id of an empty message>"


def _message_name(data: bytes) -> str:
    """A message in a few words: its text, or its kind."""
    message = content.unwrap_device_sent(proto.Message.FromString(data)).message
    if message.HasField("extendedTextMessage"):
        return f"'{message.extendedTextMessage.text}'"
    if message.HasField("protocolMessage"):
        kind = proto.Message.ProtocolMessage.Type.Name(message.protocolMessage.type)
        return f"the phone's {kind}"
    return content.kind_of(message) or "an empty message"


def _node_name(node: Node) -> str:
    first = next(iter(node.children()), None)
    parts = [node.tag, get_text(node, "type") or "", "" if first is None else first.tag]
    return " ".join(part for part in parts if part)


@asynccontextmanager
async def on_stage(scenario: Scenario, side: Side, package: Path | None = None) -> AsyncGenerator[Stage]:
    """A stage for this scenario with this client on it.

    Args:
        scenario: says who else is there.
        side: which client.
        package: another Baileys than the installed one.
    """
    traces: list[Trace] = []
    async with AsyncExitStack() as stack:
        lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), sink=traces.extend)
        stack.push_async_callback(lab.stop)
        stage = Stage(lab, traces, await lab.add_phone("Owner"), await lab.add_phone("Ada"), side)
        if scenario.with_companion:
            await stage.add_companion(stage.ada, "Ada's other", stack)
        if scenario.with_second:
            await stage.add_companion(stage.owner, "Owner's other", stack)
        if side is Side.BAILEYS:
            subject: Subject = await stack.enter_async_context(BaileysSubject.start(lab, scenario.settings, package))
        else:
            subject = await stack.enter_async_context(WatonSubject.start(lab, scenario.settings))
        stage.put(subject)
        if scenario.is_paired:
            await stage.pair()
            await stage.settle()
        yield stage


async def play(scenario: Scenario, side: Side, package: Path | None = None) -> Recording:
    """Play a scenario to one client. Raises whatever stops it: TimeoutError, BaileysError, a WatonError."""
    async with on_stage(scenario, side, package) as stage:
        await scenario.play(stage)
        return stage.record(scenario)
