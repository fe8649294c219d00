"""Dataclasses as JSON: defaults left out, types held to the letter."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

import pytest

from waton.client.event_payload import record_of
from waton.jid import Jid
from waton.protocol.binary_node import Node

ADA = Jid.parse("4915000000001:4@s.whatsapp.net")


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@dataclass(frozen=True)
class Inner:
    text: str
    number: int = 7


@dataclass(frozen=True)
class Outer:
    name: str
    who: Jid
    colour: Colour = Colour.RED
    level: Level | None = None
    blob: bytes = b""
    flag: bool = False
    many: tuple[Inner, ...] = ()
    node: Node | None = None
    fresh: tuple[str, ...] = field(default_factory=tuple)


FULL = Outer(
    "a", ADA, Colour.RED, Level.HIGH, b"\0\xff", True, (Inner("x", 1), Inner("y")), Node("a", {"b": "c"}), ("z",)
)


def test_all_types_come_back() -> None:
    record = record_of(Outer)
    assert record.load(record.dump(FULL)) == FULL


def test_what_has_its_default_is_left_out() -> None:
    assert record_of(Outer).dump(Outer("a", ADA)) == {"name": "a", "who": "4915000000001:4@s.whatsapp.net"}
    assert record_of(Outer).dump(FULL)["many"] == [{"text": "x", "number": 1}, {"text": "y"}]


def test_what_is_not_stored_is_given_when_it_is_read() -> None:
    record = record_of(Inner, ("number",))
    assert record.dump(Inner("x", 1)) == {"text": "x"}
    assert record.load({"text": "x", "number": 5}, number=2) == Inner("x", 2)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "a",
        {},
        {"name": "a"},
        {"name": 7, "who": "1@lid"},
        {"name": "a", "who": 7},
        {"name": "a", "who": "1:x@lid"},
        {"name": "a", "who": "1@lid", "colour": "blue"},
        {"name": "a", "who": "1@lid", "level": 4},
        {"name": "a", "who": "1@lid", "flag": 1},
        {"name": "a", "who": "1@lid", "blob": "%"},
        {"name": "a", "who": "1@lid", "many": {"text": "x"}},
        {"name": "a", "who": "1@lid", "many": [{"text": "x", "number": True}]},
    ],
)
def test_what_is_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError, KeyError)):
        record_of(Outer).load(value)


def test_a_type_without_a_form_is_found_when_the_record_is_made() -> None:
    @dataclass
    class Odd:
        when: complex

    @dataclass
    class Either:
        what: str | int

    for odd in (Odd, Either):
        with pytest.raises(TypeError, match="no stored form"):
            record_of(odd)
