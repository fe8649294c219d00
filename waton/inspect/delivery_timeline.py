"""The timeline of delivery: the connection, its pings, the lab's faults, and every conversation with its messages.

    connection   spans: what the connection was at; strokes: attempts to make one
    keepalive    round trips, and pings that nobody answered
    trouble      what failed inside, besides for want of a connection: a handler, a commit
    faults       what the lab did to the line, when its journal is at hand: both have the same clock
    a chat       spans: from the commit to the server's ack, from the arrival to our receipt; points: what was written
                 again, what could not be read, what was delivered; and the faults that struck just this message

People are named by the caller, or numbered. No address is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from waton.capture.analysis import Analysis
from waton.inspect.chat_lanes import Chats, Fault
from waton.inspect.delivery import moves
from waton.inspect.story_fold import read_stories
from waton.inspect.timeline import Detail, Kind, Lane, Point, Shape, Span, Timeline, Tone, assemble

CONNECTION = Lane("connection", "connection")
KEEPALIVE = Lane("keepalive", "keepalive")
TROUBLE = Lane("trouble", "trouble")
FAULTS = Lane("faults", "faults")
KINDS = (
    Kind("open", "open", Tone.GOOD, Shape.BAR),
    Kind("connecting", "connecting", Tone.QUIET, Shape.BAR, shades=True),
    Kind("pairing", "pairing", Tone.ACCENT, Shape.BAR),
    Kind("closed", "closed", Tone.QUIET, Shape.BAR, shades=True),
    Kind("attempt", "attempt", Tone.BUSY, Shape.TICK),
    Kind("measured", "round trip", Tone.GOOD, Shape.DOT),
    Kind("unanswered", "no answer", Tone.BAD, Shape.CROSS),
    Kind("failed", "failed here", Tone.BAD, Shape.DIAMOND),
    Kind("sent", "sent, until the ack", Tone.OUT, Shape.BAR),
    Kind("delivering", "until delivered", Tone.OUT, Shape.LINE),
    Kind("received", "came, until our receipt", Tone.IN, Shape.BAR),
    Kind("unread", "came, unreadable", Tone.BAD, Shape.BAR),
    Kind("again", "once more", Tone.BUSY, Shape.RING),
    Kind("asked", "could not be read", Tone.BAD, Shape.DIAMOND),
    Kind("answer", "sent anew to one", Tone.ACCENT, Shape.DIAMOND),
    Kind("delivered", "delivered", Tone.GOOD, Shape.DOT),
    Kind("read", "read", Tone.ACCENT, Shape.DOT),
    Kind("refused", "refused", Tone.BAD, Shape.CROSS),
    Kind("harm", "fault: line broken", Tone.BAD, Shape.CROSS),
    Kind("loss", "fault: answer lost", Tone.BUSY, Shape.CROSS),
    Kind("mess", "fault: doubled, swapped", Tone.ACCENT, Shape.CROSS),
    Kind("delay", "fault: late", Tone.QUIET, Shape.TICK),
)
_STATUS = {
    "connecting": "connecting", "reconnecting": "connecting", "qr": "pairing", "paired": "pairing", "open": "open",
    "closed": "closed",
}  # fmt: skip
_PINGS = """
WITH told AS (SELECT *, CASE WHEN json_valid(detail) THEN detail END AS said FROM trace
    WHERE layer = 'state' AND name = 'keepalive')
SELECT epoch(time), coalesce(said ->> '$.by', ''), TRY_CAST(said ->> '$.round_trip_ms' AS DOUBLE),
    TRY_CAST(said ->> '$.skew_ms' AS DOUBLE), connection
FROM told ORDER BY row
"""
_ATTEMPTS = """
SELECT epoch(time), connection FROM trace
WHERE layer = 'state' AND name = 'connection' AND json_valid(detail) AND detail ->> '$.before' = 'idle' ORDER BY row
"""
_FAILURES = """
SELECT * FROM (
    SELECT epoch(time), name, coalesce(CASE WHEN json_valid(detail) THEN detail ->> '$.error' END, '') AS error
    FROM trace
    WHERE layer IN ('state', 'event') AND (name LIKE '%.failed' OR name LIKE '%.slow' OR name LIKE '%.unreadable')
    ORDER BY row
) WHERE error <> 'Disconnected'
"""
_STRUCK = """
WITH told AS (SELECT *, CASE WHEN json_valid(detail) THEN detail END AS said FROM trace
    WHERE layer = 'state' AND name = 'lab.fault')
SELECT epoch(time), kind, id, connection, coalesce(said ->> '$.way', ''), coalesce(said ->> '$.tag', ''),
    TRY_CAST(said ->> '$.seconds' AS DOUBLE)
FROM told ORDER BY row
"""


def timeline(
    analysis: Analysis,
    *,
    lab: Analysis | None = None,
    names: Mapping[str, str] | None = None,
    since: float | None = None,
    until: float | None = None,
) -> Timeline:
    """The delivery of a client's messages in time.

    Args:
        analysis: of the client's journal.
        lab: of the lab's, for its faults.
        names: what to call a conversation, by its address; those of one name share a lane. Others are numbered.
        since: Unix seconds; None is the beginning of the journal.
        until: Unix seconds; None is its end.
    Raises:
        CaptureError: a journal cannot be read.
    """
    faults = [] if lab is None else list(_faults(lab))
    newest = _newest(analysis)
    chats = Chats(names or {}, newest, faults)
    for story in read_stories(analysis).messages:
        if since is None or story.first_seen >= since or not story.is_settled:
            chats.take(story)
    lanes, spans, points = chats.drawn()
    spans += _connections(analysis)
    points += [*_attempts(analysis), *_pings(analysis), *_failures(analysis)]
    points += [fault.point(FAULTS.key) for fault in faults]
    end = newest if until is None else until
    return assemble([CONNECTION, KEEPALIVE, TROUBLE, FAULTS, *lanes], KINDS, spans, points, since=since, until=end)


def _rows(analysis: Analysis, query: str) -> Iterator[tuple[object, ...]]:
    yield from cast("Iterable[tuple[object, ...]]", analysis.sql(query).itertuples(index=False, name=None))


def _newest(analysis: Analysis) -> float | None:
    (newest,) = next(_rows(analysis, "SELECT max(epoch(time)) FROM trace"))
    return newest if isinstance(newest, float) and newest == newest else None


# --- the connection ---------------------------------------------------------------------------------------------------


def _connections(analysis: Analysis) -> list[Span]:
    found = moves(analysis)
    last = found[-1] if found else None
    spans: list[Span] = []
    for move in found:
        kind = _STATUS.get(move.after)
        if kind is None:
            continue
        detail = [("connection", str(move.connection))] if move.connection else []
        detail += [("after", move.error)] if move.error else []
        detail += [("attempts", str(move.attempts))] if move.attempts else []
        is_present = move is last and move.after != "closed"
        end = None if is_present else move.until
        spans.append(Span(CONNECTION.key, move.at, end, kind, move.after, tuple(detail)))
    return spans


def _attempts(analysis: Analysis) -> Iterator[Point]:
    for at, number in cast("Iterator[tuple[float, int]]", _rows(analysis, _ATTEMPTS)):
        yield Point(CONNECTION.key, at, "attempt", f"connection {number} is tried")


def _pings(analysis: Analysis) -> Iterator[Point]:
    rows = cast("Iterator[tuple[float, str, float, float, int]]", _rows(analysis, _PINGS))
    for at, by, round_trip, skew, number in rows:
        detail: Detail = (("connection", str(number)),)
        if skew == skew:  # a missing one is no number
            detail = (*detail, ("server’s clock", f"{skew:+.0f} ms"))
        if not by:
            yield Point(KEEPALIVE.key, at, "unanswered", "a ping was not answered", detail)
        elif round_trip == round_trip:
            yield Point(KEEPALIVE.key, at, "measured", f"round trip {round_trip:.0f} ms", detail)
        else:
            yield Point(KEEPALIVE.key, at, "measured", f"measured by {by}", detail)


def _failures(analysis: Analysis) -> Iterator[Point]:
    for at, name, error in cast("Iterator[tuple[float, str, str]]", _rows(analysis, _FAILURES)):
        yield Point(TROUBLE.key, at, "failed", f"{name}: {error}" if error else name)


# --- faults -----------------------------------------------------------------------------------------------------------


def _faults(lab: Analysis) -> Iterator[Fault]:
    rows = cast("Iterator[tuple[float, str, str, int, str, str, float]]", _rows(lab, _STRUCK))
    for at, kind, id, number, way, tag, seconds in rows:
        # The lab's ways are its own: what goes out there comes in here.
        whose = {"in": "ours", "out": "the server’s"}.get(way, way)
        detail = [("stanza", f"{whose}: {tag}"), ("lab’s connection", str(number))]
        if seconds == seconds and seconds:
            detail.append(("seconds", f"{seconds:.3f}"))
        yield Fault(at, kind, id, tuple(detail))
