"""The plan of an ordeal, drawn from a seed: who writes what in which chat, and the deaths of the one who reads it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.crash.delivery_cast import Chat

VICTIM = "victim"


@dataclass(frozen=True, slots=True)
class Text:
    """One message of the plan."""

    place: int
    chat: str
    author: str
    """VICTIM, or who of the cast writes it."""
    text: str
    id: str = ""
    """Planned for what the victim sends."""


@dataclass(frozen=True, slots=True)
class Death:
    """How a life is to end."""

    moment: str
    """"" for one that is not to die by itself."""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is to happen, by a seed."""

    seed: int
    incoming: tuple[Text, ...]
    outgoing: tuple[Text, ...]
    afterwards: int
    """How many of the outgoing ones are kept for the time after all deaths: the last ones."""
    deaths: tuple[Death, ...]

    @staticmethod
    def draw(seed: int, chats: Mapping[str, Chat], deaths: Sequence[Death], texts: int) -> Plan:
        """A plan with so many texts each way. The chats take turns, in an order that is drawn for each round."""
        dice = random.Random(seed)
        incoming = [
            Text(place, name, dice.choice(chats[name].authors), f"{place} in {name}")
            for place, name in enumerate(_in_turns(dice, list(chats), texts))
        ]
        names = [*_in_turns(dice, list(chats), texts), *chats]
        outgoing = [
            Text(place, name, VICTIM, f"{place} out {name}", _id_of(seed, place)) for place, name in enumerate(names)
        ]
        return Plan(seed, tuple(incoming), tuple(outgoing), len(chats), tuple(deaths))


def _in_turns(dice: random.Random, names: list[str], count: int) -> list[str]:
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += dice.sample(names, len(names))
    return drawn[:count]


def _id_of(seed: int, place: int) -> str:
    return "3EB0" + hashlib.sha256(b"%d %d" % (seed, place)).hexdigest()[:18].upper()
