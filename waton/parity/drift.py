"""Drift: what changes in Baileys, and what of it waton does not know.

Two Baileys are read as the scan reads them, and compared thing by thing. Or one thing that moves by itself is held
against ours: a WAProto, a token dictionary, the version of WhatsApp Web. What waton knows already needs nobody; the
rest is work, told before anything fails.

Where a thing stands in Baileys' sources is not part of it: moving a method to another file changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from waton.errors import ParityError
from waton.parity import counterparts
from waton.parity.counterparts import Counterpart
from waton.parity.evidence import Domain, Outcome
from waton.parity.own import Schema, Shape, Tokens, Waton, read_schema, tokens_of
from waton.parity.scan import claim, disconnect_codes, method_line, part_line, shape_outcome
from waton.parity.typescript import Baileys, read_baileys, read_tokens, read_typings, read_waproto

_OURS = Path(__file__).parents[1]
_VERSION = re.compile(r"2\.\d+\.\d+")
_Things: TypeAlias = Mapping[tuple[str, str], str]
"""(kind, name) -> the value, "" for what has none."""


class Turn(StrEnum):
    """What became of a thing."""

    APPEARED = "appeared"
    WENT = "went"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was."""

    kind: str
    """A kind of row of the scan, or proto-field, or token."""
    name: str
    change: Turn
    old: str
    """"" where it appeared."""
    new: str
    """"" where it went."""
    known: bool
    """True when waton has it as it is now; of what went: when waton still has it."""


def drift(old: Path, new: Path, waton_root: Path | None = None) -> list[Change]:
    """What changed between two Baileys, source trees or packages, ordered by kind and name.

    Args:
        old: the earlier one.
        new: the later one.
        waton_root: the waton package that may know it; None is this one.
    Raises:
        ParityError: one of the three is not what it should be.
    """
    before, after = read_baileys(old), read_baileys(new)
    knowing = _Knowing(Waton(waton_root or _OURS), before, after)
    return [
        Change(kind, name, turn, was, now, knowing.has(kind, name, was if turn is Turn.WENT else now))
        for kind, name, turn, was, now in _compare(_things(before), _things(after))
    ]


def against_ours(
    waton_root: Path | None = None,
    *,
    proto: Path | None = None,
    tokens: Path | None = None,
    web_version: str | None = None,
) -> list[Change]:
    """What another WAProto, token dictionary or web version has that ours has not, and the other way round.

    Args:
        waton_root: the waton package; None is this one.
        proto: a .proto file, an index.d.ts of protobufjs, or a folder with either.
        tokens: Baileys' WABinary/constants.ts or .js, or a text with one token a line.
        web_version: "2.3000.N".
    Raises:
        ParityError: one of them cannot be read.
    """
    waton = Waton(waton_root or _OURS)
    ours: dict[tuple[str, str], str] = {}
    theirs: dict[tuple[str, str], str] = {}
    if proto is not None:
        ours |= _fields(waton.schema)
        theirs |= _with_details(_fields(_read_proto(proto)), ours)
    if tokens is not None:
        ours |= _words(waton.tokens)
        theirs |= _words(_read_dictionary(tokens))
    if web_version is not None:
        if not _VERSION.fullmatch(web_version):
            raise ParityError(f"{web_version} is no version of WhatsApp Web: it is written 2.3000.N")
        ours["web-version", "web client"] = waton.web_version
        theirs["web-version", "web client"] = web_version
    return [
        Change(kind, name, turn, was, now, turn is Turn.WENT) for kind, name, turn, was, now in _compare(ours, theirs)
    ]


def _compare(old: _Things, new: _Things) -> Iterator[tuple[str, str, Turn, str, str]]:
    for kind, name in sorted({*old, *new}, key=_place):
        was, now = old.get((kind, name)), new.get((kind, name))
        if was is None:
            yield kind, name, Turn.APPEARED, "", now or ""
        elif now is None:
            yield kind, name, Turn.WENT, was, ""
        elif was != now:
            yield kind, name, Turn.CHANGED, was, now


def _place(thing: tuple[str, str]) -> tuple[str, str, int]:
    """By kind and name, the tokens of a dictionary by their index."""
    kind, name = thing
    words, _, index = name.rpartition(" ")
    return (kind, words, int(index)) if kind == "token" else (kind, name, 0)


# --- things ---------------------------------------------------------------------------------------------------------


def _things(baileys: Baileys) -> dict[tuple[str, str], str]:
    """Everything that the scan reads, with its value where it has one."""
    named: dict[str, Mapping[str, str]] = {
        "method": dict.fromkeys(baileys.methods, ""),
        "part": dict.fromkeys(baileys.parts, ""),
        "event": dict.fromkeys(baileys.events, ""),
        "option": baileys.options,
        "content-kind": dict.fromkeys(baileys.content_kinds, ""),
        "content-modifier": dict.fromkeys(baileys.content_modifiers, ""),
        "sync-action": {f"in {name}": "" for name in baileys.sync_in}
        | {f"out {name}": action for name, action in baileys.sync_out.items()},
        "identity-outcome": dict.fromkeys(baileys.identity_outcomes, ""),
        "stanza": {shape.name: "" for shape in baileys.stanzas},
        "retry-reason": _numbers(baileys.retry_reasons),
        "disconnect-reason": _numbers(baileys.disconnect_reasons),
        "nack-code": _numbers(baileys.nack_codes),
        "receipt-type": dict.fromkeys(baileys.receipt_types, ""),
        "web-version": {"web client": baileys.web_version},
    }
    things = {(kind, name): value for kind, values in named.items() for name, value in values.items()}
    return things | _fields(baileys.schema) | _words(baileys.tokens)


def _numbers(values: Mapping[str, int]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def _fields(schema: Schema) -> dict[tuple[str, str], str]:
    """Each message and enum, and each field and value."""
    found: dict[tuple[str, str], str] = {("proto", name): "" for name in schema}
    for name, fields in schema.items():
        found |= {("proto-field", f"{name}.{field}"): told for field, told in fields.items()}
    return found


def _with_details(theirs: _Things, ours: _Things) -> dict[tuple[str, str], str]:
    """Where they give a field's name alone, it counts as ours."""
    return {thing: told or ours.get(thing, "") for thing, told in theirs.items()}


def _words(tokens: Tokens) -> dict[tuple[str, str], str]:
    return {
        ("token", f"{name} {index}"): word for name, words in tokens.named().items() for index, word in enumerate(words)
    }


def _read_proto(path: Path) -> Schema:
    if path.is_dir():
        return read_waproto(path)
    try:
        is_typings = path.name.endswith(".d.ts")
        schema = read_typings(path.read_bytes()) if is_typings else read_schema([path.read_text("utf-8")])
    except (OSError, UnicodeDecodeError) as error:
        raise ParityError(f"no WAProto at {path}") from error
    if not schema:
        raise ParityError(f"no protobuf message in {path}")
    return schema


def _read_dictionary(path: Path) -> Tokens:
    if path.suffix in (".ts", ".js"):
        return read_tokens(path)
    try:
        return tokens_of(path.read_text("utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise ParityError(f"no token dictionaries at {path}") from error


# --- what waton knows -----------------------------------------------------------------------------------------------


class _Knowing:
    """Whether waton has a thing."""

    def __init__(self, waton: Waton, before: Baileys, after: Baileys) -> None:
        self._waton = waton
        self._places = {**before.methods, **after.methods}
        self._shapes: dict[str, Shape] = {shape.name: shape for shape in (*before.stanzas, *after.stanzas)}
        self._things: dict[tuple[str, str], str] = _fields(waton.schema) | _words(waton.tokens)
        self._things["web-version", "web client"] = waton.web_version
        self._numbers = {
            "retry-reason": set(waton.members("errors.py:RetryReason").values()),
            "disconnect-reason": set(disconnect_codes(waton)),
            "nack-code": set(waton.members("protocol/stanza/receipt.py:Nack").values()),
        }

    def has(self, kind: str, name: str, value: str) -> bool:
        """True when waton has it with this value; a counterpart that lacks something is one."""
        if kind in ("proto", "proto-field", "token", "web-version"):
            ours = self._things.get((kind, name))
            return ours is not None and (not value or ours == value)
        if kind in self._numbers:
            return int(value) in self._numbers[kind]
        if kind == "event":
            return name in self._waton.events
        if kind == "receipt-type":
            return name in self._waton.members("protocol/stanza/receipt.py:ReceiptType").values()
        if kind == "stanza":
            return shape_outcome(self._waton, self._shapes[name])[0] is not Outcome.MISSING
        return claim(self._waton, self._line(kind, name))[0] is not Outcome.MISSING

    def _line(self, kind: str, name: str) -> Counterpart:
        if kind == "method":
            return method_line(name, self._places[name])
        if kind == "part":
            return part_line(name)
        tables = {
            "option": counterparts.OPTIONS,
            "content-kind": counterparts.CONTENT,
            "content-modifier": counterparts.CONTENT,
            "sync-action": counterparts.SYNC_ACTIONS,
            "identity-outcome": counterparts.IDENTITY_OUTCOMES,
        }
        return tables[kind].get(name) or Counterpart(Domain.NOISE)
