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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from waton.capture.analysis import Analysis
from waton.inspect.delivery import chat_kind, moves
from waton.inspect.stories import Retry, Story, WritingKind, read_stories
from waton.inspect.timeline import Detail, Kind, Lane, Point, Shape, Span, Timeline, Tone, assemble, rows_of
from waton.protocol.trace import Way

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
_FAULT = {
    "delay": "delay", "clock_skew": "mess", "duplicate": "mess", "reorder": "mess", "lost_ack": "loss",
    "lost_answer": "loss",
}  # fmt: skip
_TEXTS = ("conversation", "extendedTextMessage")
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
    chats = _Chats(names or {}, newest, faults)
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


@dataclass(frozen=True, slots=True)
class _Fault:
    at: float
    kind: str
    id: str
    """Of the stanza that was struck."""
    detail: Detail

    def point(self, lane: str, row: int = 0) -> Point:
        return Point(lane, self.at, _FAULT.get(self.kind, "harm"), f"fault: {self.kind}", self.detail, row)


def _faults(lab: Analysis) -> Iterator[_Fault]:
    rows = cast("Iterator[tuple[float, str, str, int, str, str, float]]", _rows(lab, _STRUCK))
    for at, kind, id, number, way, tag, seconds in rows:
        # The lab's ways are its own: what goes out there comes in here.
        whose = {"in": "ours", "out": "the server’s"}.get(way, way)
        detail = [("stanza", f"{whose}: {tag}"), ("lab’s connection", str(number))]
        if seconds == seconds and seconds:
            detail.append(("seconds", f"{seconds:.3f}"))
        yield _Fault(at, kind, id, tuple(detail))


# --- conversations ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Message:
    """What is drawn of one message, before it has a row."""

    spans: list[Span] = field(default_factory=list[Span])
    points: list[Point] = field(default_factory=list[Point])

    @property
    def start(self) -> float:
        return min(span.start for span in self.spans)

    def end(self, newest: float) -> float:
        times = [newest if span.end is None else span.end for span in self.spans]
        return max([*times, *(point.at for point in self.points)])


class _Chats:
    """The lanes of all conversations."""

    def __init__(self, names: Mapping[str, str], newest: float | None, faults: Iterable[_Fault]) -> None:
        self._names = names
        self._newest = newest or 0.0
        self._labels: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._messages: dict[str, list[_Message]] = {}
        self._faults: dict[str, list[_Fault]] = {}
        for fault in faults:
            if fault.id and fault.kind != "delay":
                self._faults.setdefault(fault.id, []).append(fault)

    def take(self, story: Story) -> None:
        if story.status == "uncommitted":
            return
        label = self._label(story.chat)
        message = _sent(story) if story.way is Way.OUT else _received(story)
        message.points += [fault.point("") for fault in self._faults.get(story.id, ())]
        self._messages.setdefault(label, []).append(message)

    def _label(self, chat: str) -> str:
        known = self._names.get(chat) or self._labels.get(chat)
        if known is None:
            kind = chat_kind(chat) or "other"
            number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
            known = self._labels[chat] = f"{kind} {number}"
        return known

    def drawn(self) -> tuple[list[Lane], list[Span], list[Point]]:
        lanes: list[Lane] = []
        spans: list[Span] = []
        points: list[Point] = []
        for label, messages in self._messages.items():
            key = f"chat {label}"
            messages.sort(key=lambda message: message.start)
            rows = rows_of([(message.start, message.end(self._newest)) for message in messages])
            lanes.append(Lane(key, label, max(rows) + 1))
            for message, row in zip(messages, rows, strict=True):
                spans += [replace(span, lane=key, row=row) for span in message.spans]
                points += [replace(point, lane=key, row=row) for point in message.points]
        return lanes, spans, points


def _sent(story: Story) -> _Message:
    start = story.committed if story.committed is not None else story.first_seen
    detail = _told(story)
    title = f"{_kind(story)} sent: {story.status.replace('_', ' ')}"
    message = _Message([Span("", start, story.acknowledged, "sent", title, detail)])
    acknowledged, delivered = story.acknowledged, story.delivered
    if acknowledged is not None and delivered is not None and delivered > acknowledged:
        message.spans.append(Span("", acknowledged, delivered, "delivering", title, detail))
    message.points += _repeats(story, detail)
    if delivered is not None:
        message.points.append(Point("", delivered, "delivered", f"{_kind(story)} delivered", detail))
    if story.read is not None:
        message.points.append(Point("", story.read, "read", f"{_kind(story)} read", detail))
    if story.status == "error" and acknowledged is not None:
        message.points.append(Point("", acknowledged, "refused", "the server refuses it", detail))
    return message


def _received(story: Story) -> _Message:
    detail = _told(story)
    until = story.acknowledged
    title = f"{_kind(story)} came: {story.status}"
    asked = next((retry.at for retry in story.retries if retry.way is Way.OUT), None)
    if story.status == "undecryptable" or asked is not None:
        spans = [Span("", story.first_seen, story.committed, "unread", title, detail)]
        if story.committed is not None and until is not None:
            spans.append(Span("", story.committed, max(until, story.committed), "received", title, detail))
    else:
        spans = [Span("", story.first_seen, until, "received", title, detail)]
    message = _Message(spans)
    message.points += _repeats(story, detail)
    if story.read is not None:
        message.points.append(Point("", story.read, "read", f"{_kind(story)} read here", detail))
    return message


def _repeats(story: Story, detail: Detail) -> Iterator[Point]:
    ours = story.way is Way.OUT
    for one in story.writings:
        where = (("connection", str(one.connection)), *detail)
        if one.kind is WritingKind.AGAIN:
            yield Point("", one.at, "again", "written again, byte for byte" if ours else "came once more", where)
        elif one.kind is not WritingKind.FIRST:
            yield Point("", one.at, "answer", "encrypted anew for one device", where)
    for retry in story.retries:
        yield Point("", retry.at, "asked", _asked(retry), detail)


def _asked(retry: Retry) -> str:
    why = f" ({retry.reason})" if retry.reason else ""
    whose = "they" if retry.way is Way.IN else "we"
    number = f", request {retry.count}" if retry.count else ""
    return f"{whose} could not read it{why}{number}: {retry.outcome or 'open'}"


def _kind(story: Story) -> str:
    return "text" if story.kind in _TEXTS else story.kind or "message"


def _told(story: Story) -> Detail:
    """What there is to say of a message, without its address and content."""
    detail = [("id", story.id), ("status", story.status.replace("_", " "))]
    detail.append(("written" if story.way is Way.OUT else "came", _times(story)))
    if story.acknowledged is not None:
        start = story.committed if story.way is Way.OUT and story.committed is not None else story.first_seen
        detail.append(("ack" if story.way is Way.OUT else "receipt", f"after {_seconds(story.acknowledged - start)}"))
    if story.round_trip is not None and story.way is Way.OUT:
        detail.append(("round trip", _seconds(story.round_trip)))
    if story.retries:
        detail.append(("retries", "; ".join(_asked(retry) for retry in story.retries[:3])))
    return tuple(detail)


def _times(story: Story) -> str:
    numbers = ", ".join(str(number) for number in sorted(story.connections))
    times = len(story.writings)
    return f"{times} time{'' if times == 1 else 's'}, connection{'' if len(story.connections) == 1 else 's'} {numbers}"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


__all__: Sequence[str] = ["KINDS", "timeline"]
