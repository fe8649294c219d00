"""The verdict on an ordeal: what was lost, what happened twice, and what is left open, each with its history.

A complaint is a sentence for people; no complaint is the verdict wanted. Read are: what the victim's handler was told,
the account's file, everybody's messages, and what the server saw pass.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.crash.delivery_cast import Cast
from tests.crash.delivery_ordeal import Ordeal, Watch
from tests.crash.delivery_plan import Text
from waton.protocol.binary_node import Node, decode_node

_SHOWN = 12
"""Complaints that are written out; of more there is a count."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All complaints about one ordeal."""

    complaints: list[str]
    ends: Sequence[str]
    seed: int

    def __str__(self) -> str:
        shown = self.complaints[:_SHOWN]
        more = len(self.complaints) - len(shown)
        lines = [f"seed {self.seed} (WATON_CRASH_SEED={self.seed} repeats it), {len(self.ends)} deaths:"]
        lines += [f"- {complaint}" for complaint in shown]
        lines += [f"and {more} more"] if more else []
        return "\n".join([*lines, "deaths: " + ", ".join(f"{n} {end}" for n, end in enumerate(self.ends))])


def judge(ordeal: Ordeal, account: Path, watch: Watch) -> Verdict:
    """Hold everything against the plan. The victim has ended; account: its closed file."""
    complaints = [
        *_of_faults(ordeal),
        *_of_telling(ordeal),
        *_of_the_file(ordeal, account),
        *_of_reading(ordeal),
        *_of_the_wire(ordeal, watch),
    ]
    return Verdict(complaints, ordeal.ends, ordeal.plan.seed)


def _history(ordeal: Ordeal, id: str) -> str:
    """Where a message occurs in the story, and how those lives ended."""
    lines = [line for line in ordeal.victim.story if line.get("id") == id]
    ends = dict(enumerate(ordeal.ends))
    said = (f"life {line['life']} {line['what']} (ended: {ends.get(line['life'], 'in peace')})" for line in lines)
    one = ordeal.posted.get(id) or next((one for one in ordeal.plan.outgoing if one.id == id), None)
    about = id if one is None else f"{id}, {one.text} by {one.author}"
    return f"message {about}: " + ("; ".join(said) or "nowhere in the story")


# --- what the handler was told ----------------------------------------------------------------------------------------


def _of_telling(ordeal: Ordeal) -> Iterator[str]:
    told = [line for line in ordeal.victim.story if line["what"] == "told"]
    first_hand = Counter(line["id"] for line in told if not line["again"])
    texts = {line["id"]: line["text"] for line in told}
    for id, one in ordeal.posted.items():
        if id not in texts:
            yield f"never told: {_history(ordeal, id)}"
        elif texts[id] != one.text:
            yield f"told {texts[id]!r} instead of {one.text!r}"
        if first_hand[id] > 1:
            yield f"told {first_hand[id]} times as news: {_history(ordeal, id)}"
    yield from (f"told, and nobody wrote it: {id}" for id in texts.keys() - ordeal.posted.keys())
    order = [ordeal.posted[id] for id in dict.fromkeys(line["id"] for line in told) if id in ordeal.posted]
    posted = list(ordeal.posted.values())
    whole = {text for id, one in ordeal.posted.items() if id not in ordeal.broken for text in [one]}
    yield from _in_another_order("told", order, posted, whole)


def _in_another_order(what: str, found: Iterable[Text], planned: Iterable[Text], whole: set[Text]) -> Iterator[str]:
    """Chats whose messages came in another order; only those that were never broken count."""
    came, meant = defaultdict[str, list[Text]](list), defaultdict[str, list[Text]](list)
    for one in found:
        came[one.chat].append(one)
    for one in planned:
        meant[one.chat].append(one)
    for chat, texts in meant.items():
        wanted = [one.text for one in texts if one in whole and one in came[chat]]
        got = [one.text for one in came[chat] if one in whole]
        if wanted != got:
            at = next(place for place, (one, other) in enumerate(zip(wanted, got, strict=True)) if one != other)
            yield f"{what} out of order in {chat}: {got[at : at + 4]} instead of {wanted[at : at + 4]}"


# --- the account's file -----------------------------------------------------------------------------------------------


def _of_the_file(ordeal: Ordeal, account: Path) -> Iterator[str]:
    with closing(sqlite3.connect(account)) as connection:
        moves = connection.execute("SELECT before, after, detail FROM transition WHERE machine = 'message'").fetchall()
        records = connection.execute("SELECT kind, key FROM record").fetchall()
        (events,) = connection.execute("SELECT count(*) FROM event").fetchone()
        (check,) = connection.execute("PRAGMA integrity_check").fetchone()
    counts = Counter((before, after, json.loads(detail)["id"]) for before, after, detail in moves)
    for id in ordeal.posted:
        yield from _once(ordeal, counts, ("new", "received", id))
    for one in ordeal.plan.outgoing:
        yield from _once(ordeal, counts, ("new", "pending", one.id))
        yield from _once(ordeal, counts, ("pending", "server_ack", one.id))
    received = {key.split(" ")[1] for kind, key in records if kind == "received"}
    yield from (f"not remembered as received: {id}" for id in ordeal.posted.keys() - received)
    yield from (f"still in the outbox: {key}" for kind, key in records if kind == "outbox")
    yield from (f"still asked for: {key}" for kind, key in records if kind == "retry" and key.startswith("in "))
    yield from (f"still a placeholder: {key}" for kind, key in records if kind == "placeholder")
    if events:
        yield f"{events} events are not handled"
    if check != "ok":
        yield f"the file is damaged: {check}"


def _once(ordeal: Ordeal, counts: Counter[tuple[str, str, str]], move: tuple[str, str, str]) -> Iterator[str]:
    before, after, id = move
    if counts[move] != 1:
        yield f"{before} -> {after} {counts[move]} times; {_history(ordeal, id)}"


# --- what others read -------------------------------------------------------------------------------------------------


def _of_reading(ordeal: Ordeal) -> Iterator[str]:
    cast, plan = ordeal.cast, ordeal.plan
    whole = {one for one in plan.outgoing if one.id not in ordeal.broken}
    by_id = {one.id: one for one in plan.outgoing}
    for reader in sorted({reader for chat in cast.chats.values() for reader in chat.readers}):
        mine = [one for one in plan.outgoing if reader in cast.chats[one.chat].readers]
        read = [one for one in cast.read_by(reader) if one.id in by_id]
        counts = Counter(one.id for one in read)
        texts = {one.id: one.text for one in read}
        for one in mine:
            if counts[one.id] != 1 or texts[one.id] != one.text:
                yield f"{reader} read {one.text!r} {counts[one.id]} times; {_history(ordeal, one.id)}"
        yield from (f"{reader} read what was not for him: {id}" for id in counts.keys() - {one.id for one in mine})
        yield from _in_another_order(f"read by {reader}", (by_id[one.id] for one in read), mine, whole)
    yield from _of_ciphertexts(cast, ordeal)


def _of_ciphertexts(cast: Cast, ordeal: Ordeal) -> Iterator[str]:
    """What could not be read when it came, and was not broken by us."""
    for reader, found in cast.unreadable().items():
        yield from (
            f"{reader} could not read ({reason}) {_history(ordeal, id)}"
            for id, reason in found
            if id not in ordeal.broken
        )
    story = [line for line in ordeal.victim.story if line["what"] == "undecryptable"]
    resolved = {line["id"] for line in story if line["resolved"]}
    for line in story:
        if not line["resolved"] and line["id"] not in ordeal.broken:
            yield f"the victim could not read ({line['reason']}) {_history(ordeal, line['id'])}"
    lost = {line["id"] for line in story if not line["resolved"]} - resolved
    yield from (f"never resolved: {_history(ordeal, id)}" for id in lost)


# --- what the server saw ----------------------------------------------------------------------------------------------


def _of_the_wire(ordeal: Ordeal, watch: Watch) -> Iterator[str]:
    planned = {one.id for one in ordeal.plan.outgoing}
    forms = defaultdict[str, set[bytes]](set)
    for trace in watch.messages:
        if trace.id in planned and not _is_resend(decode_node(trace.data)):
            forms[trace.id].add(trace.data)
    for id, seen in forms.items():
        if len(seen) > 1:
            yield f"sent in {len(seen)} forms, so a ratchet turned twice: {_history(ordeal, id)}"
    yield from (f"asked for again, and not broken: {id}" for id in set(watch.retries) - ordeal.broken)
    device = ordeal.device
    waiting = 0 if device is None else ordeal.cast.lab.service.deliveries.counts(device).get("message", 0)
    if waiting:
        yield f"{waiting} messages are not acknowledged to the server"


def _is_resend(node: Node) -> bool:
    return any("count" in enc.attrs for enc in node.children("enc"))


def _of_faults(ordeal: Ordeal) -> Iterator[str]:
    for line in ordeal.victim.story:
        if line["what"] == "fault":
            yield f"fault: {line}"
    if ordeal.stop:
        yield ordeal.stop
    elif ordeal.victim.code != 0:
        yield f"the last life ended with {ordeal.victim.code}; {ordeal.victim.last_words()}"
