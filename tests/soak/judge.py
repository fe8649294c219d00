"""Judging a chaos run: what each device was told against what it was owed, and fairly to Baileys.

What Baileys itself does with a text that has reached it, and what becomes of its own texts before they reach the
server, is counted in `figures` and left out of the verdicts; tests/soak/test_chaos.py says which and why. Nothing that
a waton or a phone could have mended is left out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.soak.cast import Cast
from tests.soak.ledger import Reader, Text, Verdict, disorder
from waton.lab.faults import TRACE as FAULT
from waton.lab.schedules import GENTLE, QUEUED_ONLY, Kind
from waton.lab.world import World
from waton.protocol.binary_node import decode_node, get_jid, get_text
from waton.protocol.client_payload import parse_payload
from waton.protocol.stanza.message import OutgoingMessage
from waton.protocol.stanza.receipt import ReceiptType
from waton.protocol.trace import Layer, Trace, Way

BOT = "Cal"
_KNOWN = "487"
"""What Baileys says of a prekey message whose key it has spent. Source: Baileys Socket/messages-recv.ts."""
_GIVES_UP = 3
"""Requests for one message after which Baileys sends it no more: it counts each twice and stops at five.
Source: Baileys Socket/messages-recv.ts."""
DEADLY = frozenset(Kind) - GENTLE - QUEUED_ONLY - {Kind.LOST_ACK, Kind.LOST_ANSWER}


@dataclass(frozen=True, slots=True)
class BaileysWire:
    """What passed between the lab and Baileys."""

    acknowledged: frozenset[str]
    """Ids of the messages that it receipted, as one does with what one could read."""
    refused: Mapping[str, str]
    """Errors of its acknowledgements, the last for each message."""
    delivered: tuple[str, ...]
    """Ids of the messages that were written to it, in order, repeats included."""
    asked: Counter[tuple[str, str]]
    """How often it was asked for a message again, by (who asked, id)."""
    made_for: Mapping[str, frozenset[str]]
    """Names of the devices that its stanzas held a ciphertext for, by id; of a group's message there is none."""

    def calls_known(self, id: str) -> bool:
        """It has this message already, it says, and it was indeed delivered more than once."""
        return self.refused.get(id) == _KNOWN and self.delivered.count(id) > 1

    @staticmethod
    def of(traces: Sequence[Trace], world: World, user: str) -> BaileysWire:
        """Read from the lab's traces; user: the phone number Baileys logs in with."""
        logins = {
            trace.connection
            for trace in traces
            if trace.name == "client_payload" and str(parse_payload(trace.data).username) == user
        }
        mine = [trace for trace in traces if trace.connection in logins and trace.layer is Layer.NODE]
        ends = _ends(traces)
        sent = [one for one in mine if one.way is Way.OUT and one.seq < ends.get(one.connection, one.seq + 1)]
        came = [one for one in mine if one.way is Way.IN]
        acks = {one.id: get_text(decode_node(one.data), "error") for one in came if one.name == "ack"}
        requests = [one for one in sent if one.name == "receipt" and one.kind == ReceiptType.RETRY]
        return BaileysWire(
            frozenset(one.id for one in came if one.name == "receipt" and one.kind != ReceiptType.RETRY),
            {id: error for id, error in acks.items() if error is not None},
            tuple(one.id for one in sent if one.name == "message"),
            Counter((_requester(one, world), one.id) for one in requests),
            _made_for([one for one in came if one.name == "message"], world),
        )


def _made_for(messages: Sequence[Trace], world: World) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for trace in messages:
        sent = OutgoingMessage.from_node(decode_node(trace.data))
        if sent.to.is_group or sent.category is not None:
            continue
        wires = [jid for jid, _ in sent.encs] if sent.bare is None else [sent.to]
        names = {device_name(device.account.name, device.number) for device in map(world.locate, wires) if device}
        found[trace.id] = found.get(trace.id, frozenset()) | names
    return found


def device_name(account: str, number: int) -> str:
    """What a device is called among the readers: each account has a phone and at most one other."""
    return f"{account}'s {'companion' if number else 'phone'}"


def _ends(traces: Sequence[Trace]) -> dict[int, int]:
    """Where the first fault that ends a connection is, by connection: what is traced behind it got nowhere.

    What is dropped on its way in says nothing: the other way goes on for a while.
    """
    found: dict[int, int] = {}
    for trace in traces:
        if trace.name == FAULT and trace.kind in DEADLY and not _leaves_the_way_out(trace):
            found.setdefault(trace.connection, trace.seq)
    return found


def _leaves_the_way_out(fault: Trace) -> bool:
    return fault.kind == Kind.DROP and json.loads(fault.detail)["way"] == Way.IN


def _requester(trace: Trace, world: World) -> str:
    node = decode_node(trace.data)
    jid = get_jid(node, "participant") or get_jid(node, "from")
    account = None if jid is None else world.find(jid)
    return "" if account is None else account.name


@dataclass(slots=True)
class Judge:
    """Judges one run, once.

    Args:
        cast: everybody, with all that they were told.
        promised: ids of the texts that Baileys said it had sent.
        of_the_bot: all texts that Baileys was to send.
    """

    cast: Cast
    promised: Collection[str]
    of_the_bot: Sequence[Text]
    figures: dict[str, int] = field(default_factory=dict[str, int])
    """What Baileys, and only Baileys, did with the texts."""

    def verdicts(self) -> list[Verdict]:
        """One for each device."""
        world, user = self.cast.lab.service.world, self.cast.phones[BOT].account.pn.user
        wire = BaileysWire.of(self.cast.traces, world, user)
        readers = self.cast.readers()
        others = [reader for reader in readers if reader is not self.cast.bot.reader]
        self._own_texts(others)
        judged = [self._fair_to_others(reader, self.cast.ledger.judge(reader), wire) for reader in others]
        return [*judged, self._fair_to_baileys(self.cast.ledger.judge(self.cast.bot.reader), wire)]

    def _own_texts(self, others: Sequence[Reader]) -> None:
        """What the server has of Baileys' texts is owed to everybody; the others Baileys lost on the way out."""
        taken = {id for reader in others for id in (*reader.unread, *(known for known, _ in reader.told))}
        for text in self.of_the_bot:
            if text.id in taken:
                self.cast.ledger.say(text.id, text)
        lost = [text for text in self.of_the_bot if text.id in self.promised and text.id not in taken]
        self._count("said to be sent, and never written to the server", len(lost))

    def _fair_to_others(self, reader: Reader, verdict: Verdict, wire: BaileysWire) -> Verdict:
        """Only what Baileys wrote may have had to be asked for again, and only Baileys may not have given it."""
        ids = self._ids()
        asked = [body for body in verdict.asked if _is_own(body)]
        name = device_name(reader.account, "phone" not in reader.name)
        left_out = [
            body
            for body in verdict.missing
            if _is_own(body) and name not in wire.made_for.get(ids[body], frozenset({name}))
        ]
        given_up = [
            body
            for body in verdict.missing
            if _is_own(body) and ids[body] in reader.unread and wire.asked[reader.account, ids[body]] >= _GIVES_UP
        ]
        self._count("could not be read by others at first", len(asked))
        self._count("encrypted for the others of its devices alone", len(left_out))
        self._count("asked for three times, and never given so that it could be read", len(given_up))
        return replace(
            verdict,
            asked=tuple(body for body in verdict.asked if body not in asked),
            missing=tuple(body for body in verdict.missing if body not in given_up + left_out),
        )

    def _fair_to_baileys(self, verdict: Verdict, wire: BaileysWire) -> Verdict:
        ids = self._ids()
        own = {body for body in verdict.missing if _is_own(body)}
        untold = {body for body in verdict.missing if body not in own and ids[body] in wire.acknowledged}
        known = {body for body in verdict.missing if body not in own | untold and wire.calls_known(ids[body])}
        self._count("its own, never told", len(own))
        self._count("acknowledged, and never told", len(untold))
        self._count("called known when delivered again, and never told", len(known))
        self._count("told more than once", len(verdict.doubled))
        self._count("told after a later one", len(verdict.disordered))
        self._count("told as unreadable", self.cast.bot.stubs)
        self._count("connections closed", self.cast.bot.closes)
        said = self.cast.ledger.said
        return Verdict(
            verdict.reader,
            missing=tuple(body for body in verdict.missing if body not in own | untold | known),
            doubled=(),
            changed=tuple(body for body in verdict.changed if not _is_own(body)),
            disordered=tuple(disorder(str(said[id]) for id in wire.delivered if id in said)),
        )

    def _ids(self) -> dict[str, str]:
        return {str(text): id for id, text in self.cast.ledger.said.items()}

    def _count(self, what: str, count: int) -> None:
        self.figures[what] = self.figures.get(what, 0) + count


def _is_own(body: str) -> bool:
    """Baileys wrote it."""
    text = Text.parse(body)
    return text is not None and text.sender == BOT
