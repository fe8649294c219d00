"""Storm: a schedule under way. For each stanza that passes it says what becomes of it; it does nothing itself.

The dice of a connection come from a generator seeded with (seed, number of the connection, way), and each rule that
could strike a stanza draws the same number of dice whether it strikes or not. So with one seed, the same stanzas in the
same order one way meet the same fate, whatever passes the other way and however fast. `every` and the limits count over
all connections, in the order of the stanzas.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from waton.lab.schedules import GENTLE, QUEUED_ONLY, Kind, Rule, Schedule
from waton.protocol.binary_node import Node, get_text
from waton.protocol.stanza import iq
from waton.protocol.trace import Way

SERVER_HELLO = "server_hello"
CLIENT_FINISH = "client_finish"
"""The client's last handshake message, with what it says of itself."""
_QUEUED = frozenset({"message", "receipt", "notification", "call"})
_FAREWELLS = frozenset({"stream:error", "failure", SERVER_HELLO})
"""Where a stream error has no place: it would be said twice, or cannot be said yet."""


@dataclass(frozen=True, slots=True)
class Passing:
    """A stanza, or a frame of the handshake, on its way."""

    way: Way
    tag: str
    id: str = ""
    of: str = ""
    """Push name of the account whose device it is; empty before the login."""
    is_message_ack: bool = False
    """The server's word that it has taken a message."""
    is_answer: bool = False
    """The server's answer to an iq."""

    @staticmethod
    def stanza(way: Way, node: Node, of: str = "") -> Passing:
        is_ack = node.tag == "ack" and get_text(node, "class") == "message" and "error" not in node.attrs
        is_answer = node.tag == "iq" and get_text(node, "type") in (iq.IqType.RESULT, iq.IqType.ERROR)
        return Passing(way, node.tag, get_text(node, "id") or "", of, is_ack, is_answer)

    @property
    def is_queued(self) -> bool:
        """It waits in a queue until the client acknowledges it."""
        return self.way is Way.OUT and self.tag in _QUEUED


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens to one stanza."""

    kind: Kind
    seconds: float = 0.0
    """As the rule's."""
    code: str = ""
    """Of a stream error."""
    place: float = 0.0
    """Where in the frame, 0 to 1, a byte is flipped or the frame cut."""


class Storm:
    """A schedule and what it has done so far."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self._dice: dict[tuple[int, Way], Random] = {}
        self._seen = [0] * len(schedule.rules)
        self._struck = [0] * len(schedule.rules)
        self._harm = 0

    def is_over(self, elapsed: float) -> bool:
        """True when nothing will happen any more. elapsed: seconds since it began."""
        schedule = self.schedule
        if schedule.limit is not None and self._harm >= schedule.limit:
            return True
        if schedule.until is not None and elapsed > schedule.until:
            return True
        return all(self._is_spent(place, rule, elapsed) for place, rule in enumerate(schedule.rules))

    def _is_spent(self, place: int, rule: Rule, elapsed: float) -> bool:
        is_used_up = rule.limit is not None and self._struck[place] >= rule.limit
        return is_used_up or (rule.until is not None and elapsed > rule.until)

    def judge(self, connection: int, passing: Passing, elapsed: float) -> list[Strike]:
        """What becomes of a stanza: at most one harm, and before it what only delays it or turns the clock.

        Args:
            connection: its number.
            passing: the stanza.
            elapsed: seconds since the storm began.
        """
        if self.is_over(elapsed):
            return []
        dice = self._dice_of(connection, passing.way)
        gentle: list[Strike] = []
        harm: list[Strike] = []
        for place, rule in enumerate(self.schedule.rules):
            if not can_strike(rule, passing):
                continue
            self._seen[place] += 1
            is_hit, strike = self._draw(rule, self._seen[place], dice)
            into = gentle if rule.kind in GENTLE else harm
            if not is_hit or self._is_spent(place, rule, elapsed) or any(one.kind is rule.kind for one in into):
                continue
            if into is harm and harm:
                continue
            into.append(strike)
            self._struck[place] += 1
            self._harm += rule.kind is not Kind.DELAY
        return gentle + harm

    def _draw(self, rule: Rule, seen: int, dice: Random) -> tuple[bool, Strike]:
        chance, share, place = dice.random(), dice.random(), dice.random()
        is_hit = seen % rule.every == 0 if rule.every else chance < rule.chance
        low, high = rule.seconds or (0.0, 0.0)
        code = rule.codes[int(place * len(rule.codes))] if rule.codes else ""
        return is_hit, Strike(rule.kind, low + (high - low) * share, code, place)

    def _dice_of(self, connection: int, way: Way) -> Random:
        known = self._dice.get((connection, way))
        if known is None:
            seed = f"{self.schedule.seed}/{connection}/{way.value}"
            known = self._dice[connection, way] = Random(seed)
        return known

    def forget(self, connection: int) -> None:
        """A connection is over, its dice are not needed any more."""
        for way in (Way.IN, Way.OUT):
            self._dice.pop((connection, way), None)


def can_strike(rule: Rule, passing: Passing) -> bool:
    """True when this rule is about such a stanza."""
    if rule.way not in (None, passing.way) or (rule.tags and passing.tag not in rule.tags):
        return False
    if rule.of and rule.of != passing.of:
        return False
    match rule.kind:
        case kind if kind in QUEUED_ONLY:
            return passing.is_queued
        case Kind.LOST_ACK:
            return passing.is_message_ack
        case Kind.LOST_ANSWER:
            return passing.is_answer
        case Kind.STREAM_ERROR:
            return passing.tag not in _FAREWELLS
        case _:
            return True
