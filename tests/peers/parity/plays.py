"""Both clients' side of scenarios, and words to ask what they said in them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field

from waton.parity.canonical import Element
from waton.parity.scenarios import scenarios
from waton.parity.stage import Recording, Scenario
from waton.parity.wire import Failure, name_of, play_baileys, play_waton

_AT_ONCE = 6
"""Most of a play is waiting."""


@dataclass(frozen=True, slots=True)
class Plays:
    """What each client did in each scenario, by its name."""

    theirs: dict[str, Recording] = field(default_factory=dict[str, Recording])
    ours: dict[str, Recording | Failure] = field(default_factory=dict[str, "Recording | Failure"])

    def both(self, name: str) -> tuple[Recording, Recording]:
        """Baileys' side and ours."""
        ours = self.ours[name]
        assert isinstance(ours, Recording), ours.reason
        return self.theirs[name], ours

    async def play_all(self) -> None:
        """Play every scenario to both clients."""
        turn = asyncio.Semaphore(_AT_ONCE)

        async def one(work: Callable[[], Awaitable[None]]) -> None:
            async with turn:
                await work()

        await asyncio.gather(*(one(work) for scenario in scenarios() for work in self._works(scenario)))

    def _works(self, scenario: Scenario) -> Iterator[Callable[[], Awaitable[None]]]:
        async def their_side() -> None:
            self.theirs[scenario.name] = await play_baileys(scenario)

        async def our_side() -> None:
            self.ours[scenario.name] = await play_waton(scenario)

        yield their_side
        yield our_side


def said(recording: Recording, step: str, wanted: Callable[[Element], bool]) -> list[Element]:
    """What a client said in one step of a scenario."""
    (record,) = [one for one in recording.steps if one.name == step]
    return [stanza for stanza in record.stanzas if wanted(stanza)]


def named(name: str) -> Callable[[Element], bool]:
    """Whether a stanza's or an event's name begins so."""
    return lambda element: name_of(element).startswith(name)


def told(recording: Recording, step: str, name: str) -> list[Element]:
    """The events of one step whose names begin so."""
    (record,) = [one for one in recording.steps if one.name == step]
    return [event for event in record.events if name_of(event).startswith(name)]


def count(recording: Recording, step: str, name: str) -> int:
    """How many stanzas of this name there are in one step."""
    return len(said(recording, step, named(name)))


def messages(recording: Recording, step: str) -> list[Element]:
    """The messages a client sent in one step."""
    return said(recording, step, lambda stanza: stanza.tag == "message")


def devices(message: Element) -> list[str]:
    """For whom there is a ciphertext of their own in a message."""
    participants = message.child("participants")
    return [] if participants is None else [to.attrs["jid"] for to in participants.children]


def at(element: Element, *path: str) -> Element:
    """What stands at a path of tags. Raises AssertionError when there is nothing."""
    for tag in path:
        found = element.child(tag)
        assert found is not None, (path, element.to_xml())
        element = found
    return element


def has(element: Element, *path: str) -> bool:
    """Whether something stands at a path of tags."""
    for tag in path:
        found = element.child(tag)
        if found is None:
            return False
        element = found
    return True


def texts(elements: Iterable[Element], *path: str) -> list[str]:
    """The texts at one path of several elements."""
    return [at(element, *path).text for element in elements]
