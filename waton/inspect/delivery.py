"""Delivery as tables: what became of each message, of each request for one, and of each connection.

Each function asks one journal, a client's, and answers with a DataFrame in the order of the journal; nothing is kept.
What the columns mean is told by each; what a story is, and what it is read from, by waton.inspect.stories. Addresses
stand in the columns as the other frames have them; reprs have none.

    deliveries(analysis)     one row per message
    writings(analysis)       one row per stanza of a message: each writing, each arrival
    retries(analysis)        one row per request for a message that could not be read
    connections(analysis)    one row per change of the connection's status
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, cast

import pandas as pd

from waton.capture.analysis import Analysis
from waton.inspect.stories import Retry, Stories, Story
from waton.inspect.story_fold import read_stories
from waton.inspect.tables import NUMBER, OBJECT, TEXT, TIME, WHOLE, table
from waton.jid import Jid

_DELIVERIES = {
    "id": TEXT, "way": TEXT, "chat": TEXT, "chat_kind": TEXT, "kind": TEXT, "status": TEXT, "told": WHOLE,
    "first_seen": TIME, "committed": TIME, "written": TIME, "writings": WHOLE, "repeats": WHOLE,
    "acknowledged": TIME, "round_trip_ms": NUMBER, "delivered": TIME, "read": TIME,
    "asked": WHOLE, "answered": WHOLE, "reason": TEXT, "duplicates": WHOLE, "connections": OBJECT,
    "run": WHOLE, "seq": WHOLE,
}  # fmt: skip
_WRITINGS = {
    "time": TIME, "id": TEXT, "way": TEXT, "chat": TEXT, "writing": TEXT, "connection": WHOLE, "run": WHOLE,
    "seq": WHOLE,
}  # fmt: skip
_RETRIES = {
    "time": TIME, "id": TEXT, "way": TEXT, "chat": TEXT, "peer": TEXT, "count": WHOLE, "code": WHOLE, "reason": TEXT,
    "outcome": TEXT, "why": TEXT, "written": TIME, "settled": TIME, "took_ms": NUMBER, "connection": WHOLE,
    "run": WHOLE, "seq": WHOLE,
}  # fmt: skip
_CONNECTIONS = {
    "time": TIME, "before": TEXT, "after": TEXT, "reason": TEXT, "error": TEXT, "attempts": WHOLE, "seconds": NUMBER,
    "connection": WHOLE, "run": WHOLE, "seq": WHOLE,
}  # fmt: skip
_MOVES = """
WITH told AS (SELECT *, CASE WHEN json_valid(detail) THEN detail END AS said FROM trace
    WHERE layer = 'state' AND name = 'client'),
ends AS (SELECT run, max(epoch(time)) AS until FROM trace GROUP BY run)
SELECT epoch(time) AS at, coalesce(said ->> '$.before', '') AS before, coalesce(said ->> '$.after', '') AS after,
    coalesce(said ->> '$.reason', '') AS reason, coalesce(said ->> '$.error', '') AS error, connection, run, seq,
    ends.until
FROM told JOIN ends USING (run) ORDER BY row
"""
_ANSWERED = ("answered", "resolved")


def deliveries(analysis: Analysis, stories: Stories | None = None) -> pd.DataFrame:
    """One row per message that was sent or came.

    id, way ("out" is ours), chat, chat_kind (person, group, broadcast, newsletter), kind (of its content), status (see
    Story.status), told (how often it was committed as new: once), first_seen, committed, written (the first writing, or
    arrival), writings (how many in all), repeats (how many of them the same once more), acknowledged (by the server, or
    by our receipt), round_trip_ms, delivered, read, asked and answered (retries), reason (why it could not be read),
    duplicates (how often it came after it was read), connections (their numbers), and run and seq of its first trace.

    Args:
        analysis: of the client's journal.
        stories: what `read_stories` said of it, when that is at hand.
    """
    read = read_stories(analysis) if stories is None else stories
    return table(_DELIVERIES, (_delivery(story) for story in read.messages))


def _delivery(story: Story) -> tuple[object, ...]:
    first = story.writings[0].at if story.writings else None
    asked = sum(retry.outcome != "left" for retry in story.retries)
    answered = sum(retry.outcome in _ANSWERED for retry in story.retries)
    return (
        story.id, story.way.value, story.chat, chat_kind(story.chat), story.kind, story.status, story.told,
        story.first_seen, story.committed, first, len(story.writings), story.repeats,
        story.acknowledged, _ms(story.round_trip), story.delivered, story.read,
        asked, answered, story.reason, story.duplicates, tuple(sorted(story.connections)),
        story.run, story.seq,
    )  # fmt: skip


def writings(analysis: Analysis, stories: Stories | None = None) -> pd.DataFrame:
    """One row per stanza of a message: time, id, way, chat, writing (see WritingKind), connection, run, seq.

    Args:
        analysis: of the client's journal.
        stories: what `read_stories` said of it, when that is at hand.
    """
    read = read_stories(analysis) if stories is None else stories
    rows = [
        (one.at, story.id, story.way.value, story.chat, one.kind.value, one.connection, one.run, one.seq)
        for story in read.messages
        for one in story.writings
    ]
    return table(_WRITINGS, sorted(rows, key=lambda row: row[-2:]))


def retries(analysis: Analysis, stories: Stories | None = None) -> pd.DataFrame:
    """One row per request for a message that could not be read, ours ("out") and those of others ("in").

    time, id (of the message), way, chat, peer (the device that asks, or is asked), count (which request it was), code
    (the request's `error`), reason, outcome (see Retry.outcome), why (it was refused or left), written (when ours went
    out), settled, took_ms (until then), connection, and run and seq of the stanza it followed from.

    Args:
        analysis: of the client's journal.
        stories: what `read_stories` said of it, when that is at hand.
    """
    read = read_stories(analysis) if stories is None else stories
    return table(_RETRIES, (_retry(retry) for retry in read.retries))


def _retry(retry: Retry) -> tuple[object, ...]:
    took = None if retry.settled is None else retry.settled - retry.at
    return (
        retry.at, retry.id, retry.way.value, retry.chat, retry.peer, retry.count, retry.code, retry.reason,
        retry.outcome, retry.why, retry.written, retry.settled, _ms(took), retry.connection, retry.run, retry.seq,
    )  # fmt: skip


def connections(analysis: Analysis) -> pd.DataFrame:
    """One row per change of the connection's status.

    time, before, after, reason (of a disconnection, as waton.errors.DisconnectReason names it), error (in words),
    attempts (on arriving at open: how many connections were tried since the last time), seconds (how long `after`
    lasted; for the last of a run, until its last trace), connection, run, seq.
    """
    return table(_CONNECTIONS, (_move(move) for move in moves(analysis)))


class Move(NamedTuple):
    """One change of the connection's status."""

    at: float
    """Unix seconds."""
    before: str
    after: str
    reason: str
    error: str
    attempts: int | None
    until: float
    """When the next change came, or the run's last trace."""
    connection: int
    run: int
    seq: int


def moves(analysis: Analysis) -> list[Move]:
    """Every change of the connection's status, in the order of the journal."""
    found: list[Move] = []
    tried = 0
    for row in _moves(analysis):
        at, before, after, reason, error, connection, run, seq, until = row
        if not found or found[-1].run != run:
            tried = 0
        elif found:
            found[-1] = found[-1]._replace(until=at)
        attempts = connection - tried if after == "open" else None
        tried = connection if after == "open" else tried
        found.append(Move(at, before, after, reason, error, attempts, until, connection, run, seq))
    return found


def _moves(analysis: Analysis) -> Iterator[tuple[float, str, str, str, str, int, int, int, float]]:
    frame = analysis.sql(_MOVES)
    yield from cast(
        "Iterable[tuple[float, str, str, str, str, int, int, int, float]]", frame.itertuples(index=False, name=None)
    )


def _move(move: Move) -> tuple[object, ...]:
    return (
        move.at, move.before, move.after, move.reason, move.error, move.attempts, move.until - move.at,
        move.connection, move.run, move.seq,
    )  # fmt: skip


def chat_kind(address: str) -> str:
    """What sort of conversation an address stands for: person, group, broadcast, newsletter, or "" for another."""
    try:
        jid = Jid.parse(address)
    except ValueError:
        return ""
    if jid.is_user:
        return "person"
    kinds = (("group", jid.is_group), ("broadcast", jid.is_broadcast), ("newsletter", jid.is_newsletter))
    return next((name for name, is_so in kinds if is_so), "")


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
