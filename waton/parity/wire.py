"""Wire differential: both clients play the same scenario against the same lab; what they said and emitted is compared.

Within a step, the stanzas of the two are matched by what they are (an iq by type, xmlns and child; an ack by what it
acknowledges ...), the best fit first, and each pair is a row with its differing places. What only one of them said is a
row as well, and so is the order of what both say on their own. Events likewise.

What answers the lab (acks, receipts, results) comes when the lab has spoken, so its place in the order says nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from waton.errors import ParityError, WatonError
from waton.parity.canonical import Element, compare
from waton.parity.evidence import Domain, Evidence, Field, Outcome, Row
from waton.parity.known import Differences
from waton.parity.oracle import BaileysError
from waton.parity.scenarios import scenarios
from waton.parity.scenarios.coming import COMING
from waton.parity.stage import Recording, Scenario, Side, StepRecord, play

T = TypeVar("T")
_AT_ONCE = 3
"""Scenarios that are played at the same time: most of a play is waiting, but Baileys needs a core of its own."""
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and how many there are."""


def run(
    differences: Differences,
    *,
    only: Collection[str] | None = None,
    package: Path | None = None,
    recordings: Mapping[str, Recording] | None = None,
    ours: Mapping[str, Recording | Failure] | None = None,
    progress: Progress = lambda name, done, all: None,
) -> list[Row]:
    """Play scenarios to both clients and compare.

    Args:
        differences: the known ones.
        only: names of scenarios; None plays all, and tells of those that are still to be written.
        package: another Baileys than the installed one.
        recordings: Baileys' side, by scenario, where it is known already.
        ours: the same of our side.
        progress: called before each scenario.
    Raises:
        ParityError: Node or Baileys is missing, Baileys does not get through a scenario, or there is none of a name.
    """
    every = scenarios()
    if only is not None and (unknown := set(only) - {scenario.name for scenario in every}):
        names = ", ".join(scenario.name for scenario in every)
        raise ParityError(f"no scenario {', '.join(sorted(unknown))}; there are {names}")
    chosen = [scenario for scenario in every if only is None or scenario.name in only]
    played = _finish(_play_all(chosen, package, recordings or {}, ours or {}, progress))
    rows = [row for scenario in chosen for row in compare_recordings(scenario, *played[scenario.name])]
    if only is None:
        rows += [Row(one.domain, Evidence.WIRE, "scenario", one.name, Outcome.MISSING, note=one.note) for one in COMING]
    return [differences.explain(row) for row in rows]


def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end; on another thread where this one has a running loop already, as a notebook's cell has."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _play_all(
    chosen: Sequence[Scenario],
    package: Path | None,
    recordings: Mapping[str, Recording],
    mine: Mapping[str, Recording | Failure],
    progress: Progress,
) -> dict[str, tuple[Recording | Failure, Recording]]:
    """(ours, Baileys') of each scenario, a few at a time."""
    turn = asyncio.Semaphore(_AT_ONCE)
    done: dict[str, tuple[Recording | Failure, Recording]] = {}

    async def one(scenario: Scenario) -> None:
        async with turn:
            progress(scenario.name, len(done), len(chosen))
            theirs, ours = await play_both(scenario, package, recordings.get(scenario.name), mine.get(scenario.name))
            done[scenario.name] = ours, theirs

    await asyncio.gather(*(one(scenario) for scenario in chosen))
    return done


async def play_both(
    scenario: Scenario,
    package: Path | None = None,
    theirs: Recording | None = None,
    ours: Recording | Failure | None = None,
) -> tuple[Recording, Recording | Failure]:
    """Baileys' recording and ours, played where not given. Raises ParityError: Baileys does not get through."""

    async def their_side() -> Recording:
        return theirs if theirs is not None else await play_baileys(scenario, package)

    async def our_side() -> Recording | Failure:
        return ours if ours is not None else await play_waton(scenario)

    return await asyncio.gather(their_side(), our_side())


async def play_baileys(scenario: Scenario, package: Path | None = None) -> Recording:
    """Raises ParityError when Baileys does not get through: then there is nothing to compare with."""
    try:
        return await play(scenario, Side.BAILEYS, package)
    except (TimeoutError, BaileysError) as error:
        raise ParityError(f"Baileys did not get through {scenario.name}: {error}") from error


@dataclass(frozen=True, slots=True)
class Failure:
    """Our client did not get through a scenario."""

    reason: str


async def play_waton(scenario: Scenario) -> Recording | Failure:
    """Our recording, or why there is none."""
    try:
        return await play(scenario, Side.WATON)
    except (WatonError, TimeoutError, NotImplementedError) as error:
        return Failure(f"{type(error).__name__}: {error}".rstrip(": "))


# --- comparing --------------------------------------------------------------------------------------------------------


def compare_recordings(scenario: Scenario, ours: Recording | Failure, theirs: Recording) -> list[Row]:
    """All rows of one scenario, before they are looked up among the known differences."""
    if isinstance(ours, Failure):
        played = _played(scenario, theirs, Outcome.MISSING, f"waton does not get through: {ours.reason}")
        mine = tuple(StepRecord(step.name, (), ()) for step in theirs.steps)
        alone = Outcome.MISSING
    else:
        played = _played(scenario, theirs, Outcome.EQUAL, scenario.title)
        mine = ours.steps
        alone = Outcome.DIFFERS
    rows = [played]
    for our_step, their_step in zip(mine, theirs.steps, strict=True):
        step, our_events, their_events = their_step.name, _settled(our_step.events), _settled(their_step.events)
        rows += _compare_said(scenario, step, "stanza", our_step.stanzas, their_step.stanzas, alone)
        rows += _compare_said(scenario, step, "event", our_events, their_events, alone)
        if not isinstance(ours, Failure):
            rows.append(_order(scenario, step, our_step.stanzas, their_step.stanzas))
    return rows


def _played(scenario: Scenario, theirs: Recording, outcome: Outcome, note: str) -> Row:
    """Whether our client got through; both sides hold the steps, in order."""
    steps = "\n".join(step.name for step in theirs.steps)
    ours = steps if outcome.is_good else ""
    domain = domain_of(scenario.name)
    return Row(domain, Evidence.WIRE, "scenario", scenario.name, outcome, ours, steps, note)


def _row(
    scenario: Scenario,
    kind: str,
    place: str,
    outcome: Outcome,
    *,
    ours: Element | None = None,
    theirs: Element | None = None,
    note: str = "",
    fields: tuple[Field, ...] = (),
) -> Row:
    said = theirs or ours
    return Row(
        domain_of(scenario.name if said is None else name_of(said)),
        Evidence.WIRE,
        kind,
        f"{scenario.name}/{place}",
        outcome,
        "" if ours is None else ours.to_xml(),
        "" if theirs is None else theirs.to_xml(),
        note,
        "",
        fields,
    )


def _compare_said(
    scenario: Scenario, step: str, kind: str, ours: Sequence[Element], theirs: Sequence[Element], alone: Outcome
) -> list[Row]:
    """alone: the outcome of what only Baileys has."""
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for mine, yours in match(ours, theirs):
        said = yours if yours is not None else mine
        if said is None:
            continue
        name = name_of(said)
        seen[name] = seen.get(name, 0) + 1
        place = f"{step}/{name}" + (f" #{seen[name]}" if seen[name] > 1 else "")
        if mine is None:
            rows.append(_row(scenario, kind, place, alone, theirs=yours, note="only Baileys does this"))
        elif yours is None:
            rows.append(_row(scenario, kind, place, Outcome.DIFFERS, ours=mine, note="only waton does this"))
        else:
            fields = compare(mine, yours)
            outcome = Outcome.DIFFERS if fields else Outcome.EQUAL
            rows.append(_row(scenario, kind, place, outcome, ours=mine, theirs=yours, fields=fields))
    return rows


def match(ours: Sequence[Element], theirs: Sequence[Element]) -> list[tuple[Element | None, Element | None]]:
    """Pairs of (ours, theirs) that are the same thing, in Baileys' order; then what only we have."""
    left = list(ours)
    found: dict[int, Element] = {}
    for likeness in (_identity, name_of, loose_name):
        for place, yours in enumerate(theirs):
            if place not in found and (best := _closest(left, yours, likeness)) is not None:
                found[place] = left.pop(best)
    pairs: list[tuple[Element | None, Element | None]] = [(found.get(n), yours) for n, yours in enumerate(theirs)]
    return pairs + [(mine, None) for mine in left]


def _identity(element: Element) -> str:
    return element.to_xml()


def _closest(left: Sequence[Element], yours: Element, likeness: Callable[[Element], str]) -> int | None:
    wanted = likeness(yours)
    fits = [place for place, mine in enumerate(left) if likeness(mine) == wanted]
    return min(fits, key=lambda place: len(compare(left[place], yours)), default=None)


def _settled(events: Sequence[Element]) -> list[Element]:
    """Events without those that only say again how far something has got: how many devices said so first is chance."""
    kept: dict[str, Element] = {}
    for event in events:
        name = name_of(event)
        kept.setdefault(name if event.tag in _REPEATS else f"{name}/{len(kept)}", event)
    return list(kept.values())


_REPEATS = ("messages.update", "message-receipt.update", "creds.update", "contacts.update", "chats.update")


def _order(scenario: Scenario, step: str, ours: Sequence[Element], theirs: Sequence[Element]) -> Row:
    """Whether both say what both say in the same order. Each side holds that, then what only it says, by name."""
    mine, yours = _spoken(ours), _spoken(theirs)
    our_order = [name for name in mine if name in yours]
    their_order = [name for name in yours if name in mine]
    fields = tuple(
        Field(f"place {place}", our_name, their_name)
        for place, (our_name, their_name) in enumerate(zip(our_order, their_order, strict=True), 1)
        if our_name != their_name
    )
    return Row(
        domain_of(scenario.name),
        Evidence.WIRE,
        "order",
        f"{scenario.name}/{step}",
        Outcome.DIFFERS if fields else Outcome.EQUAL,
        "\n".join([*our_order, *sorted(set(mine) - set(yours))]),
        "\n".join([*their_order, *sorted(set(yours) - set(mine))]),
        "",
        "",
        fields,
    )


def _spoken(stanzas: Iterable[Element]) -> list[str]:
    """What a client says on its own. What answers the lab comes when the lab speaks, and that is chance."""
    names = (name_of(one) for one in stanzas)
    return [name for name in dict.fromkeys(names) if not name.startswith(_ANSWERS)]


_ANSWERS = ("ack ", "receipt ", "ib offline_batch", "iq result ")


# --- names ------------------------------------------------------------------------------------------------------------


def name_of(said: Element) -> str:
    """What a stanza or an event is, in a few words."""
    attrs = said.attrs
    first = said.children[0].tag if said.children else ""
    match said.tag:
        case "client_payload":
            parts = ["client payload", "register" if said.child("devicePairingData") is not None else "login"]
        case "iq":
            answers = attrs.get("id", "") if attrs.get("type") in ("result", "error") else ""
            parts = ["iq", attrs.get("type", ""), attrs.get("xmlns", ""), first, answers]
        case "message":
            kind = attrs.get("category") or attrs.get("type", "")
            parts = ["message", kind, _again(said), "to", _reader(said), _spoken_text(said)]
        case "receipt":
            parts = ["receipt", attrs.get("type", "delivery"), attrs.get("id", ""), "to", *_addressed(said)]
        case "ack":
            kind = attrs.get("type", "")
            parts = ["ack", attrs.get("class", ""), kind, attrs.get("id", ""), "to", *_addressed(said)]
        case _ if "." in said.tag or said.tag == "call":
            parts = [said.tag, *_event_words(said)]
        case _:
            parts = [said.tag, attrs.get("type", ""), first]
    return " ".join(part for part in parts if part)


def _addressed(said: Element) -> list[str]:
    """Whom it is for: in a group, the member as well."""
    return [said.attrs.get("to", "nobody"), said.attrs.get("participant", "")]


def _again(message: Element) -> str:
    """How often its reader has asked for it."""
    return next((f"again {enc.attrs['count']}" for enc in message.children if "count" in enc.attrs), "")


def _reader(message: Element) -> str:
    """The device it is for alone, else the conversation."""
    return message.attrs.get("participant") or message.attrs.get("to", "nobody")


def loose_name(said: Element) -> str:
    """The same without what two clients may well say differently of one thing."""
    attrs = said.attrs
    if said.tag in ("receipt", "ack"):
        return f"{said.tag} {attrs.get('id', '')} {attrs.get('participant', '')}"
    if said.tag == "message":
        return f"message {_spoken_text(said)}"
    if said.tag in ("iq", "presence"):
        return f"{said.tag} {attrs.get('xmlns', '')} {said.children[0].tag if said.children else ''}"
    if said.tag == "messages.upsert":
        return f"{said.tag} {_text_at(said, 'key', 'id')}"
    return name_of(said)


def _event_words(event: Element) -> list[str]:
    if event.tag == "connection.update":
        kinds = ("connection", "code", "qr", "isNewLogin", "isOnline", "receivedPendingNotifications")
        for kind in kinds:
            found = event.child(kind)
            if found is not None:
                return [found.text if kind in ("connection", "code") else kind]
    if event.tag == "message-receipt.update":
        kinds = [kind for kind in ("receipt", "read", "played") if _text_at(event, "receipt", f"{kind}Timestamp")]
        return [_text_at(event, "key", "id"), "by", _text_at(event, "receipt", "userJid"), *kinds]
    for path in (("key", "id"), ("id",), ("lid",), ("syncType",), ("setting",)):
        text = _text_at(event, *path)
        if text:
            return [text, _text_at(event, "type"), _text_at(event, "update", "status")]
    return []


def _text_at(element: Element, *path: str) -> str:
    for part in path:
        found = element.child(part)
        if found is None:
            return ""
        element = found
    return element.text


def _spoken_text(element: Element) -> str:
    """The first text anywhere in a message."""
    if element.tag in ("text", "conversation"):
        return f"'{element.text}'"
    return next((found for child in element.children if (found := _spoken_text(child))), "")


# --- domains ----------------------------------------------------------------------------------------------------------

_DOMAINS: tuple[tuple[str, Domain], ...] = (
    ("client payload register*", Domain.PAIRING),
    ("client payload*", Domain.NOISE),
    ("iq * encrypt key*", Domain.MESSAGES_SEND),
    ("iq * encrypt*", Domain.PREKEYS),
    ("iq * usync*", Domain.USYNC),
    ("iq * w:sync:app:state*", Domain.APP_STATE_SYNC),
    ("iq * w:g2*", Domain.GROUPS),
    ("iq * md*", Domain.PAIRING),
    ("iq result*pair*", Domain.PAIRING),
    ("iq * privacy tokens*", Domain.MESSAGES_SEND),
    ("iq * passive*", Domain.MESSAGES_RECV),
    ("iq * w:p*", Domain.NOISE),
    ("iq result*", Domain.NOISE),
    ("iq *", Domain.CHATS),
    ("ib offline_batch", Domain.MESSAGES_RECV),
    ("ib *", Domain.NOISE),
    ("message * again *", Domain.RETRY_MANAGER),
    ("message peer *", Domain.RETRY_MANAGER),
    ("message * to GROUP-*", Domain.GROUP_SIGNAL),
    ("message *", Domain.MESSAGES_SEND),
    ("receipt retry *", Domain.RETRY_MANAGER),
    ("receipt *HISTORY_SYNC*", Domain.HISTORY),
    ("receipt *APP_STATE*", Domain.APP_STATE_SYNC),
    ("receipt *", Domain.MESSAGES_RECV),
    ("ack notification devices*", Domain.USYNC),
    ("ack notification encrypt*", Domain.PREKEYS),
    ("ack *", Domain.MESSAGES_RECV),
    ("presence*", Domain.CHATS),
    ("connection.update*", Domain.NOISE),
    ("creds.update*", Domain.PAIRING),
    ("messaging-history*", Domain.HISTORY),
    ("messages.up* <id of the lab's notification w:gp2*", Domain.GROUPS),
    ("messages.up* CALL*", Domain.CHATS),
    ("messages.up* *<id of the phone's HISTORY*", Domain.HISTORY),
    ("messages.up* *<id of the phone's APP_STATE*", Domain.APP_STATE_SYNC),
    ("messages.media-update*", Domain.MEDIA),
    ("messages.*", Domain.MESSAGES_RECV),
    ("message-receipt*", Domain.MESSAGES_RECV),
    ("lid-mapping*", Domain.LID_MAPPING),
    ("contacts.*", Domain.CHATS),
    ("chats.*", Domain.CHATS),
    ("settings.*", Domain.CHATS),
    ("call*", Domain.CHATS),
    ("blocklist.*", Domain.CHATS),
    ("group*.*", Domain.GROUPS),
    ("identity.*", Domain.IDENTITY_CHANGE),
    # scenarios and the order of what is said in them
    ("pair", Domain.PAIRING),
    ("logout", Domain.PAIRING),
    ("removed", Domain.PAIRING),
    ("login", Domain.NOISE),
    ("reconnect", Domain.NOISE),
    ("keepalive", Domain.NOISE),
    ("stream-errors", Domain.NOISE),
    ("send-text", Domain.MESSAGES_SEND),
    ("devices-changed", Domain.USYNC),
    ("prekey-top-up", Domain.PREKEYS),
    ("*-group-text", Domain.GROUP_SIGNAL),
    ("send-text-to-*-group", Domain.GROUP_SIGNAL),
    ("group-member-leaves", Domain.GROUP_SIGNAL),
    ("group-created", Domain.GROUPS),
    ("group-changed", Domain.GROUPS),
    ("*again", Domain.RETRY_MANAGER),
    ("identity-change-*", Domain.IDENTITY_CHANGE),
    ("negative-acks", Domain.MESSAGES_SEND),
    ("incoming-call", Domain.CHATS),
    ("lid-*", Domain.LID_MAPPING),
    ("device-list-*", Domain.USYNC),
    ("*", Domain.MESSAGES_RECV),
)
"""Which domain a name belongs to; the first pattern that fits."""


def domain_of(name: str) -> Domain:
    """The domain of a row: by the name of what was said; of a scenario and its orders by the scenario's name."""
    return next(domain for pattern, domain in _DOMAINS if fnmatchcase(name, pattern))
