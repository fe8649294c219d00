"""Schedules as text, for the command line and for the log of a failed run.

    part,part,...          a part is a profile's name, a setting, or a rule
    flaky                  the rules of that profile
    seed=7  max=100  until=60s  pairing=yes
    drop=1%/in/max:3       a kind, then words in any order, between slashes

    1%                     chance for each stanza            every:200   or each 200th
    in, out                one way only                      max:3       at most so often
    5-40ms, 2s, -60..60s   the kind's time (ms, s, m, h)     until:30s   not later than this
    tag:message|receipt    these stanzas only                of:Ada      devices of this account only
    503|replaced           the codes of stream_error

A rule says how often, except delay (each stanza) and clock_skew (once, at the first stanza).

What must stay true: an error names the part and the word; `parse(write(schedule)) == schedule`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from waton.errors import LabError
from waton.lab.schedules import CONFLICT, PROFILES, Kind, Rule, Schedule, profile
from waton.protocol.trace import Way

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,12})?"
_TIME = re.compile(rf"(-?{_NUMBER})(?:(?:\.\.|-)(-?{_NUMBER}))?(ms|s|m|h)")
_CHANCE = re.compile(rf"({_NUMBER})%")
_CODES = re.compile(rf"(?:[0-9]{{3}}|{CONFLICT})(?:\|(?:[0-9]{{3}}|{CONFLICT}))*")
_COUNT = re.compile(r"[0-9]{1,9}")
_LONGEST_TEXT = 4000
_WORDS = "a chance (1%), a time (5-40ms), in, out, every:N, max:N, until:TIME, tag:NAME, of:NAME"


def parse(text: str) -> Schedule:
    """Read a schedule. Raises LabError, which names the part that is wrong."""
    if len(text) > _LONGEST_TEXT:
        raise LabError(f"faults: more than {_LONGEST_TEXT} characters")
    schedule = Schedule()
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            schedule = _with_part(schedule, part)
        except LabError as error:
            raise LabError(f"faults, {part!r}: {error.detail.removeprefix('faults').lstrip(',: ')}") from None
    return schedule


def _with_part(schedule: Schedule, part: str) -> Schedule:
    name, equals, value = part.partition("=")
    if not equals:
        if name in set(Kind):
            raise LabError(f"how often? for example {name}=1%")
        return replace(schedule, rules=schedule.rules + profile(name).rules)
    match name:
        case "seed":
            return replace(schedule, seed=_count(value))
        case "max":
            return replace(schedule, limit=_count(value))
        case "until":
            return replace(schedule, until=_time(value)[1])
        case "pairing":
            if value not in ("yes", "no"):
                raise LabError(f"{value!r} is neither yes nor no")
            return replace(schedule, pairing=value == "yes")
        case _ if name in set(Kind):
            return replace(schedule, rules=(*schedule.rules, _rule(Kind(name), value)))
        case _:
            known = ", ".join([*Kind, "seed", "max", "until", "pairing", *PROFILES])
            raise LabError(f"{name!r} is not one of {known}")


def _rule(kind: Kind, value: str) -> Rule:
    told: dict[str, Any] = {}
    for word in value.split("/"):
        name, said = _word(word)
        if name in told:
            raise LabError(f"{word!r} says a second time what was said before")
        told[name] = said
    if "chance" not in told and "every" not in told:
        if kind not in (Kind.DELAY, Kind.CLOCK_SKEW):
            raise LabError("how often? a chance (1%) or every:N is missing")
        if kind is Kind.CLOCK_SKEW:
            told.setdefault("limit", 1)
    return Rule(kind, **told)


def _word(word: str) -> tuple[str, object]:
    """The field of a Rule that a word fills, and with what."""
    name, colon, value = word.partition(":")
    if match := _CHANCE.fullmatch(word):
        return "chance", float(match[1]) / 100
    if _TIME.fullmatch(word):
        return "seconds", _time(word)
    if _CODES.fullmatch(word):
        return "codes", tuple(word.split("|"))
    if word in ("in", "out"):
        return "way", Way(word)
    if colon and value:
        match name:
            case "every":
                return "every", _positive(value)
            case "max":
                return "limit", _positive(value)
            case "until":
                return "until", _time(value)[1]
            case "tag":
                return "tags", frozenset(value.split("|"))
            case "of":
                return "of", value
            case _:
                pass
    raise LabError(f"{word!r} is none of: {_WORDS}")


def _count(text: str) -> int:
    if not _COUNT.fullmatch(text):
        raise LabError(f"{text!r} is no whole number")
    return int(text)


def _positive(text: str) -> int:
    if not (count := _count(text)):
        raise LabError("it counts from 1")
    return count


def _time(text: str) -> tuple[float, float]:
    """Seconds, lower and upper bound."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise LabError(f"{text!r} is no time; for example 40ms, 5-40ms, 2s, -1..1h")
    low, unit = float(match[1]), _UNITS[match[3]]
    high = low if match[2] is None else float(match[2])
    return low * unit, high * unit


# --- the other way ----------------------------------------------------------------------------------------------------


def write(schedule: Schedule) -> str:
    """The text that `parse` reads as this schedule."""
    parts = [f"seed={schedule.seed}"] if schedule.seed else []
    if schedule.limit is not None:
        parts.append(f"max={schedule.limit}")
    if schedule.until is not None:
        parts.append(f"until={schedule.until:.12g}s")
    if schedule.pairing:
        parts.append("pairing=yes")
    return ",".join([*parts, *map(_write_rule, schedule.rules)])


def _write_rule(rule: Rule) -> str:
    words = [f"every:{rule.every}" if rule.every else f"{rule.chance * 100:.12g}%"]
    if rule.seconds is not None:
        low, high = rule.seconds
        words.append(f"{low:.12g}s" if low == high else f"{low:.12g}..{high:.12g}s")
    if rule.way is not None:
        words.append(rule.way.value)
    if rule.tags:
        words.append("tag:" + "|".join(sorted(rule.tags)))
    if rule.of:
        words.append(f"of:{rule.of}")
    if rule.codes:
        words.append("|".join(rule.codes))
    if rule.limit is not None:
        words.append(f"max:{rule.limit}")
    if rule.until is not None:
        words.append(f"until:{rule.until:.12g}s")
    return f"{rule.kind.value}={'/'.join(words)}"
