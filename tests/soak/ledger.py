"""The ledger of a chaos run: who said what, what each device was told of it, and how the two differ.

A text is one message of the run; it says itself who wrote it where as which. A reader is one device, with all it was
told in the order it was told. Pure: nothing here knows a lab or a client.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_SHOWN = 12
"""Findings of one kind at one reader that are written out."""


@dataclass(frozen=True, slots=True, order=True)
class Text:
    """One message of the run."""

    seed: int
    chat: str
    sender: str
    number: int
    """From 0, within (chat, sender)."""

    @property
    def id(self) -> str:
        """The message id that its sender plans for it, in the form that web clients use."""
        return "3EB0" + hashlib.sha256(str(self).encode()).hexdigest()[:18].upper()

    def __str__(self) -> str:
        return f"{self.seed}/{self.chat}/{self.sender}/{self.number}"

    @staticmethod
    def parse(body: str | None) -> Text | None:
        """Read what str() writes; None for any other text."""
        parts = (body or "").split("/")
        if len(parts) != 4 or not (parts[0].isdecimal() and parts[3].isdecimal()):
            return None
        return Text(int(parts[0]), parts[1], parts[2], int(parts[3]))


@dataclass(slots=True)
class Reader:
    """One device and what it was told."""

    name: str
    account: str
    told: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(message id, text), in order, repeats included."""
    unread: set[str] = field(default_factory=set[str])
    """Ids of messages that it could not read at first, and asked for again."""

    def take(self, id: str, body: str | None, *, is_repeat: bool = False) -> None:
        """The device was told a text. is_repeat: it says itself that this may be a repeat, after a restart."""
        if Text.parse(body) is None or (is_repeat and self.has(id)):
            return
        self.told.append((id, body or ""))

    def has(self, id: str) -> bool:
        return any(id == known for known, _ in self.told)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How what one reader was told differs from what was said."""

    reader: str
    missing: tuple[str, ...]
    """Texts that were not told."""
    doubled: tuple[str, ...]
    """Texts that were told more than once."""
    changed: tuple[str, ...]
    """Texts that came under another's id, or that nobody said."""
    disordered: tuple[str, ...]
    """Texts that came after a later one of the same sender in the same chat, though they could be read at once."""
    asked: tuple[str, ...] = ()
    """Texts that had to be asked for again."""

    def lines(self) -> list[str]:
        kinds = ("missing", "doubled", "changed", "disordered", "asked")
        found = [(kind, getattr(self, kind)) for kind in kinds]
        return [f"{self.reader}: {len(texts)} {kind}: {_some(texts)}" for kind, texts in found if texts]


def _some(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:_SHOWN])
    return shown if len(texts) <= _SHOWN else f"{shown} ..."


@dataclass(slots=True)
class Ledger:
    """What was said, and by which id."""

    said: dict[str, Text] = field(default_factory=dict[str, Text])
    """By message id."""
    members: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Each chat's accounts."""

    def say(self, id: str, text: Text) -> None:
        """The server has this text, so everybody must get it."""
        self.said[id] = text

    def for_reader(self, reader: Reader) -> dict[str, Text]:
        """What this device must be told, by id: everything in its account's chats, its own texts included."""
        return {id: text for id, text in self.said.items() if reader.account in self.members[text.chat]}

    def judge(self, reader: Reader) -> Verdict:
        """Compare a reader with what it must have been told."""
        wanted = self.for_reader(reader)
        counts = Counter(id for id, _ in reader.told)
        return Verdict(
            reader.name,
            tuple(sorted(str(text) for id, text in wanted.items() if id not in counts)),
            tuple(sorted(str(wanted[id]) for id, count in counts.items() if count > 1 and id in wanted)),
            tuple(body for id, body in reader.told if id not in wanted or str(wanted[id]) != body),
            tuple(disorder(body for id, body in reader.told if id in wanted and id not in reader.unread)),
            tuple(sorted(str(wanted[id]) for id in reader.unread if id in wanted)),
        )


def disorder(bodies: Iterable[str]) -> list[str]:
    """Texts that came after a later one of the same sender in the same chat; a repeat counts where it came first."""
    last: dict[tuple[str, str], int] = {}
    seen: set[Text] = set()
    late: list[str] = []
    for body in bodies:
        text = Text.parse(body)
        if text is None or text in seen:
            continue
        seen.add(text)
        place = (text.chat, text.sender)
        if text.number < last.get(place, -1):
            late.append(body)
        last[place] = max(text.number, last.get(place, -1))
    return late
