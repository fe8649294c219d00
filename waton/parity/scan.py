"""The static scan: what Baileys declares against what waton declares, one row for each thing.

Nothing is run and nothing of either side is imported. So a good row says that waton has the thing, not that it does the
same; what it does is told by the other two kinds of evidence (differential, wire), and a domain that was only read is
never done (waton.parity.evidence).

One rule keeps tables and schemas from passing for code: a domain of which a module is absent or empty has no good row
here. Its protobuf messages may all be there; as long as nothing uses them the domain is missing.

Rows, by kind: module, method, part, event, option, content-kind, content-modifier, sync-action, identity-outcome,
stanza, proto, tokens, retry-reason, disconnect-reason, nack-code, receipt-type, web-version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from waton.parity import counterparts
from waton.parity.counterparts import Counterpart, Module, domain_of, shape_domain
from waton.parity.evidence import Domain, Evidence, Field, Outcome, Row, judge, worst
from waton.parity.known import Differences, known_differences
from waton.parity.own import Shape, Waton
from waton.parity.typescript import Baileys, read_baileys

FORMAT = 1
NOTHING = "waton has nothing like it yet"
EXTRA = "Baileys has nothing like it"
_WEB_VERSION = "web client"


def scan_parity(waton_root: str | Path, baileys_src: str | Path) -> dict[str, Any]:
    """The scan as JSON has it: format, baileys' versions, domains with status and counts, and every row.

    Args:
        waton_root: the waton package.
        baileys_src: a Baileys source tree, or the installed package.
    Raises:
        ParityError: one of them is not what it should be, or holds nothing where something must be.
    """
    baileys = read_baileys(Path(baileys_src))
    rows = _scanned(Waton(Path(waton_root)), baileys, known_differences())
    return {
        "format": FORMAT,
        "baileys": {"version": baileys.version, "web_version": baileys.web_version},
        "domains": {domain.value: _summary(domain, rows) for domain in Domain},
        "rows": [asdict(row) for row in rows],
    }


def scan_rows(waton_root: str | Path, baileys_src: str | Path, differences: Differences | None = None) -> list[Row]:
    """The rows of the scan, in a fixed order.

    Args:
        waton_root: the waton package.
        baileys_src: a Baileys source tree, or the installed package.
        differences: the table to look differences up in, to be asked afterwards for stale lines; None is a fresh one.
    Raises:
        ParityError: as scan_parity.
    """
    table = known_differences() if differences is None else differences
    return _scanned(Waton(Path(waton_root)), read_baileys(Path(baileys_src)), table)


def dead_modules(waton_root: str | Path) -> dict[Domain, list[str]]:
    """The modules of each domain that should be there and are absent or define nothing; others are not named.

    No good row of such a domain counts, however it was found: see without_dead. Modules that are still to be written
    are not among them: what is found by running something is a fact without them.

    Raises:
        ParityError: there is no waton package at `waton_root`.
    """
    return _dead(Waton(Path(waton_root)), with_planned=False)


def without_dead(rows: Iterable[Row], dead: Mapping[Domain, list[str]]) -> list[Row]:
    """The rows, with the good ones of domains that have dead modules turned missing."""
    return [
        replace(row, outcome=Outcome.MISSING, note=f"nothing uses it yet: {_absent(dead[row.domain])}")
        if row.outcome.is_good and row.domain in dead
        else row
        for row in rows
    ]


def claim(waton: Waton, counterpart: Counterpart) -> tuple[Outcome, str]:
    """What a line of the tables comes to, and why it is not equal."""
    if not counterpart.symbols:
        return Outcome.MISSING, NOTHING
    faults = [why for symbol in counterpart.symbols if (why := waton.why_not(symbol))]
    if faults:
        return Outcome.MISSING, "; ".join(faults)
    return (Outcome.OPEN, counterpart.lacks) if counterpart.lacks else (Outcome.EQUAL, "")


def _summary(domain: Domain, rows: list[Row]) -> dict[str, Any]:
    verdict = judge(domain, rows)
    counts = Counter(row.outcome.value for row in rows if row.domain is domain)
    return {
        "status": verdict.status.value,
        "counts": dict(sorted(counts.items())),
        "lacking": [row.key for row in verdict.lacking],
    }


def _scanned(waton: Waton, baileys: Baileys, differences: Differences) -> list[Row]:
    return without_dead(
        [differences.explain(row) for row in _compared(waton, baileys)], _dead(waton, with_planned=True)
    )


def _dead(waton: Waton, *, with_planned: bool) -> dict[Domain, list[str]]:
    found = {
        domain: [
            module.path
            for module in modules
            if not waton.defines(module.path) and (with_planned or not module.is_planned)
        ]
        for domain, modules in counterparts.MODULES.items()
    }
    return {domain: paths for domain, paths in found.items() if paths}


def _compared(waton: Waton, baileys: Baileys) -> Iterator[Row]:
    yield from _modules(waton)
    yield from _methods(waton, baileys)
    yield from _parts(waton, baileys)
    yield from _events(waton, baileys)
    yield from _options(waton, baileys)
    yield from _contents(waton, baileys)
    yield from _actions(waton, baileys)
    yield from _stanzas(waton, baileys)
    yield from _protos(waton, baileys)
    yield from _tokens(waton, baileys)
    yield from _codes(waton, baileys)
    yield from _web_version(waton, baileys)


def _row(
    kind: str,
    name: str,
    domain: Domain,
    outcome: Outcome,
    *,
    ours: str = "",
    theirs: str = "",
    note: str = "",
    fields: tuple[Field, ...] = (),
) -> Row:
    if outcome is Outcome.MISSING and not note:
        note = NOTHING
    return Row(domain, Evidence.SCAN, kind, name, outcome, ours=ours, theirs=theirs, note=note, fields=fields)


def _claimed(waton: Waton, kind: str, name: str, line: Counterpart, theirs: str) -> Row:
    outcome, note = claim(waton, line)
    return _row(kind, name, line.domain, outcome, ours=", ".join(line.symbols), theirs=theirs, note=note)


# --- what the tables name -------------------------------------------------------------------------------------------


def _absent(paths: list[str]) -> str:
    return ", ".join(f"{path} is absent or empty" for path in paths)


def _modules(waton: Waton) -> Iterator[Row]:
    for domain, modules in counterparts.MODULES.items():
        lacking = [fault for module in modules if (fault := _fault(waton, module))]
        outcome = Outcome.MISSING if lacking else Outcome.EQUAL
        ours = ", ".join(module.path for module in modules)
        yield _row("module", domain.value, domain, outcome, ours=ours, note="; ".join(lacking))


def _fault(waton: Waton, module: Module) -> str:
    """What a module lacks of what it must define; "" when it lacks nothing."""
    defined = waton.defines(module.path)
    if not defined:
        return _absent([module.path])
    lacking = [name for name in module.names if name not in defined]
    return f"{module.path} defines no {', '.join(lacking)}" if lacking else ""


def _methods(waton: Waton, baileys: Baileys) -> Iterator[Row]:
    for name, place in baileys.methods.items():
        yield _claimed(waton, "method", name, method_line(name, place), place)


def method_line(name: str, place: str) -> Counterpart:
    """The line of METHODS for a method, or one without a counterpart. place: "Socket/chats:star"."""
    layer = place.partition(":")[0].rpartition("/")[2]
    return counterparts.METHODS.get(name) or Counterpart(counterparts.LAYERS.get(layer, Domain.CHATS))


def part_line(name: str) -> Counterpart:
    """The line of PARTS for a method of a part, or one without a counterpart."""
    return counterparts.PARTS.get(name) or Counterpart(domain_of(name, counterparts.PART_DOMAINS))


def _parts(waton: Waton, baileys: Baileys) -> Iterator[Row]:
    for name, place in baileys.parts.items():
        yield _claimed(waton, "part", name, part_line(name), place)


def _events(waton: Waton, baileys: Baileys) -> Iterator[Row]:
    for name, place in baileys.events.items():
        ours = waton.events.get(name, "")
        outcome = Outcome.EQUAL if ours else Outcome.MISSING
        domain = domain_of(name, counterparts.EVENT_DOMAINS)
        yield _row("event", name, domain, outcome, ours=ours, theirs=f"{place}:{name}")
    for name, ours in sorted(waton.events.items()):
        if name not in baileys.events:
            domain = domain_of(name, counterparts.EVENT_DOMAINS)
            yield _row("event", name, domain, Outcome.DIFFERS, ours=ours, note=EXTRA)


def _options(waton: Waton, baileys: Baileys) -> Iterator[Row]:
    for name, theirs in baileys.options.items():
        line = counterparts.OPTIONS.get(name) or Counterpart(Domain.NOISE)
        row = _claimed(waton, "option", name, line, theirs)
        differing = _default_differs(waton, line, theirs)
        if row.outcome is Outcome.EQUAL and differing is not None:
            row = replace(row, outcome=Outcome.DIFFERS, fields=(differing,))
        yield row


def _default_differs(waton: Waton, line: Counterpart, theirs: str) -> Field | None:
    """The default of an option that is a number, if ours is another."""
    ours = waton.default(line.symbols[0]) if line.unit else ""
    try:
        is_same = not line.unit or float(ours) * line.unit == float(theirs)
    except ValueError:
        is_same = False
    return None if is_same else Field("default", ours, theirs)


def _contents(waton: Waton, baileys: Baileys) -> Iterator[Row]:
    for kind, names in (("content-kind", baileys.content_kinds), ("content-modifier", baileys.content_modifiers)):
        for name, place in names.items():
            line = counterparts.CONTENT.get(name) or Counterpart(Domain.MESSAGES_SEND)
            yield _claimed(waton, kind, name, line, place)


def _actions(waton: Waton, baileys: Baileys) -> Iterator[Row]:
    named = {f"in {name}": place for name, place in baileys.sync_in.items()}
    named |= {f"out {name}": f"{name} -> {action}" for name, action in baileys.sync_out.items()}
    for name, theirs in named.items():
        line = counterparts.SYNC_ACTIONS.get(name) or Counterpart(Domain.APP_STATE_SYNC)
        yield _claimed(waton, "sync-action", name, line, theirs)
    for name, theirs in baileys.identity_outcomes.items():
        line = counterparts.IDENTITY_OUTCOMES.get(name) or Counterpart(Domain.IDENTITY_CHANGE)
        yield _claimed(waton, "identity-outcome", name, line, theirs)


# --- stanzas --------------------------------------------------------------------------------------------------------


def _stanzas(waton: Waton, baileys: Baileys) -> Iterator[Row]:
    for shape, places in baileys.stanzas.items():
        by_domain: dict[Domain, list[str]] = {}
        for place in places:
            by_domain.setdefault(shape_domain(shape, place), []).append(place)
        for domain, told in by_domain.items():
            name = f"{shape.name} (communities)" if domain is Domain.COMMUNITIES else shape.name
            outcome, ours, note = shape_outcome(waton, shape)
            yield _row("stanza", name, domain, outcome, ours=ours, theirs=", ".join(told), note=note)
    for shape, place in sorted(waton.shapes.items()):
        if not any(theirs.covers(shape) or shape.covers(theirs) for theirs in baileys.stanzas):
            domain = shape_domain(shape, place)
            yield _row("stanza", shape.name, domain, Outcome.DIFFERS, ours=place, note=EXTRA)


def shape_outcome(waton: Waton, shape: Shape) -> tuple[Outcome, str, str]:
    """Whether the client sends this kind of stanza: outcome, where, and what is missing."""
    equal = [place for ours, place in waton.shapes.items() if ours.covers(shape)]
    if equal:
        return Outcome.EQUAL, equal[0], ""
    narrower = sorted(ours.name for ours in waton.shapes if shape.covers(ours))
    if narrower:
        return Outcome.OPEN, ", ".join(narrower), f"Baileys computes a part of it; we send only {', '.join(narrower)}"
    unsent = [place for ours, place in waton.unsent.items() if ours.covers(shape)]
    if unsent:
        return Outcome.OPEN, unsent[0], "the stanza is declared; no part of the client sends it"
    return Outcome.MISSING, "", ""


# --- protobuf and tokens --------------------------------------------------------------------------------------------


def _protos(waton: Waton, baileys: Baileys) -> Iterator[Row]:
    for name, theirs in baileys.schema.items():
        domain = domain_of(name, counterparts.PROTO_DOMAINS)
        ours = waton.schema.get(name)
        if ours is None:
            yield _row("proto", name, domain, Outcome.MISSING, theirs=f"{len(theirs)} fields")
            continue
        fields = tuple(_field_differences(ours, theirs))
        outcome = worst(field.outcome for field in fields)
        told = f"{len(ours)} fields", f"{len(theirs)} fields"
        more = len(set(ours) - set(theirs))
        note = f"waton knows {more} more" if more else ""
        yield _row("proto", name, domain, outcome, ours=told[0], theirs=told[1], note=note, fields=fields)


def _field_differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[Field]:
    for name, told in theirs.items():
        mine = ours.get(name)
        if mine is None:
            yield Field(name, "", told, Outcome.MISSING, "waton's .proto files do not name it")
        elif told and mine != told:
            yield Field(name, mine, told)


def _tokens(waton: Waton, baileys: Baileys) -> Iterator[Row]:
    ours, theirs = waton.tokens.named(), baileys.tokens.named()
    for name in dict.fromkeys([*theirs, *ours]):
        mine, told = ours.get(name, ()), theirs.get(name, ())
        words = [(_at(mine, index), _at(told, index)) for index in range(max(len(mine), len(told)))]
        fields = tuple(Field(str(index), *both) for index, both in enumerate(words) if both[0] != both[1])
        outcome = worst(field.outcome for field in fields)
        counts = f"{len(mine)} tokens", f"{len(told)} tokens"
        yield _row("tokens", name, Domain.BINARY_CODEC, outcome, ours=counts[0], theirs=counts[1], fields=fields)


def _at(words: tuple[str, ...], index: int) -> str:
    return words[index] if index < len(words) else ""


# --- numbers --------------------------------------------------------------------------------------------------------


def _codes(waton: Waton, baileys: Baileys) -> Iterator[Row]:
    reasons = _by_value(waton.members("errors.py:RetryReason"))
    yield from _numbered("retry-reason", Domain.RETRY_MANAGER, reasons, baileys.retry_reasons)
    yield from _numbered("disconnect-reason", Domain.NOISE, disconnect_codes(waton), baileys.disconnect_reasons)
    nacks = _by_value(waton.members("protocol/stanza/receipt.py:Nack"))
    yield from _numbered("nack-code", Domain.MESSAGES_RECV, nacks, baileys.nack_codes)
    types = waton.members("protocol/stanza/receipt.py:ReceiptType")
    written = {str(value): f"protocol/stanza/receipt.py:ReceiptType.{name}" for name, value in types.items()}
    for name, place in baileys.receipt_types.items():
        outcome = Outcome.EQUAL if name in written else Outcome.MISSING
        domain = Domain.MESSAGES_RECV
        yield _row("receipt-type", name, domain, outcome, ours=written.get(name, ""), theirs=place)


def disconnect_codes(waton: Waton) -> dict[int, str]:
    """The codes by which waton tells why a connection ended -> the reason, and the stream's codes that mean it."""
    codes: dict[str, list[str]] = {}
    for code, reason in waton.table("protocol/stanza/stream.py:_CODES").items():
        codes.setdefault(reason, []).append(str(code))
    told = _by_value(waton.members("errors.py:DisconnectReason"))
    return {
        value: f"{name}, of stream code {' and '.join(codes[name])}" if name in codes else name
        for value, name in told.items()
    }


def _by_value(members: Mapping[str, str | int] | Mapping[str, int]) -> dict[int, str]:
    return {value: name for name, value in members.items() if isinstance(value, int)}


def _numbered(kind: str, domain: Domain, ours: Mapping[int, str], theirs: Mapping[str, int]) -> Iterator[Row]:
    for name, number in theirs.items():
        mine = ours.get(number, "")
        outcome = Outcome.EQUAL if mine else Outcome.MISSING
        yield _row(kind, name, domain, outcome, ours=mine, theirs=str(number))
    for number, name in sorted(ours.items()):
        if number not in theirs.values():
            yield _row(kind, name.partition(",")[0], domain, Outcome.DIFFERS, ours=name, note=EXTRA)


def _web_version(waton: Waton, baileys: Baileys) -> Iterator[Row]:
    outcome = Outcome.EQUAL if waton.web_version == baileys.web_version else Outcome.DIFFERS
    versions = waton.web_version, baileys.web_version
    yield _row("web-version", _WEB_VERSION, Domain.NOISE, outcome, ours=versions[0], theirs=versions[1])
