"""Conversations in time: the bars and points of each message, in rows of their conversation's lane.

A bar lasts from the commit to the server's ack, or from the arrival to our receipt; what could not be read has a bar of
its own until it could. Points are what happened to it meanwhile, the lab's faults included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from waton.inspect.delivery import chat_kind
from waton.inspect.stories import Retry, Story, WritingKind
from waton.inspect.timeline import Detail, Lane, Point, Span, rows_of
from waton.protocol.trace import Way

_FAULT = {
    "delay": "delay", "clock_skew": "mess", "duplicate": "mess", "reorder": "mess", "lost_ack": "loss",
    "lost_answer": "loss",
}  # fmt: skip
_TEXTS = ("conversation", "extendedTextMessage")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that the lab did to the line."""

    at: float
    """Unix seconds."""
    kind: str
    id: str
    """Of the stanza that was struck."""
    detail: Detail

    def point(self, lane: str, row: int = 0) -> Point:
        return Point(lane, self.at, _FAULT.get(self.kind, "harm"), f"fault: {self.kind}", self.detail, row)


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


class Chats:
    """The lanes of all conversations."""

    def __init__(self, names: Mapping[str, str], newest: float | None, faults: Iterable[Fault]) -> None:
        self._names = names
        self._newest = newest or 0.0
        self._labels: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._messages: dict[str, list[_Message]] = {}
        self._faults: dict[str, list[Fault]] = {}
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
