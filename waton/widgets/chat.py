"""The chat pane: a recipient, a box, and the messages with their ticks.

A text of ours is shown at once and gets its id when it is encrypted and handed over; the event that tells of it may
come before that or after. Ticks come from receipts (`messages.update`) and never go back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import ClassVar

from waton.client.events import (
    Event,
    MessageStatus,
    MessagesUpdate,
    MessagesUpsert,
    MessageUndecryptable,
)
from waton.protocol import proto
from waton.widgets.base import LiveWidget, front_end, said, text_of
from waton.widgets.sources import ChatSource

_KEPT = 200
"""Messages a pane holds. Older ones are in the journal."""
_TEXT = 4_000
"""Characters of a message that are shown."""


@dataclass(slots=True, repr=False)
class Line:
    """One message of the pane."""

    key: int
    """Its place, counted up; what the view updates it by."""
    chat: str
    author: str
    text: str
    at: float
    from_me: bool
    id: str = ""
    """Empty until the message is on its way."""
    status: MessageStatus = MessageStatus.PENDING
    problem: str = ""
    """Why it was not sent, or could not be read."""

    def to_wire(self) -> dict[str, object]:
        cut = self.text if len(self.text) <= _TEXT else f"{self.text[:_TEXT]}… ({len(self.text):,} characters)"
        return {
            "key": self.key,
            "chat": self.chat,
            "author": self.author,
            "text": cut,
            "at": self.at,
            "from_me": self.from_me,
            "status": self.status.name.lower(),
            "problem": self.problem,
        }


class ChatWidget(LiveWidget):
    """Send texts and see what comes.

    Args:
        source: a session.
        to: what the recipient's field starts with: a number or an address.
    """

    _esm, _css = front_end("chat")
    title: ClassVar[str] = "Chat"

    def __init__(self, source: ChatSource, *, to: str = "") -> None:
        self._source = source
        self._to = to
        self._lines: dict[int, Line] = {}
        self._next = 1
        self._early: dict[str, MessageStatus] = {}
        """Receipts for messages whose id we do not know yet."""
        super().__init__()
        self.follow(source.on_event(self._noted))
        self.post(self._begin)

    def summary(self) -> str:
        return f"{len(self._lines)} messages; the pane is live in a notebook"

    def receive(self, message: Mapping[str, object]) -> None:
        match text_of(message, "type"):
            case "hello":
                lines = [line.to_wire() for line in self._lines.values()]
                self.push(
                    {"type": "messages", "view": text_of(message, "view"), "to": self._to, "all": True, "lines": lines}
                )
            case "send":
                self._send_text(text_of(message, "to"), text_of(message, "text"))
            case _:
                pass  # bye: the pane keeps no account of who watches

    # --- what we send ------------------------------------------------------------------------------------------------

    def _send_text(self, to: str, text: str) -> None:
        self._to = to
        line = self._add(to, "", text, time.time(), from_me=True)
        try:
            future = self._source.send_text_soon(to, text)
        except Exception as error:  # noqa: BLE001 -- shown at the message, where the sender looks
            self._failed(line, said(error))
            return
        future.add_done_callback(lambda done: self.post(lambda: self._sent(line, done)))

    def _sent(self, line: Line, done: Future[str]) -> None:
        if done.cancelled():
            self._failed(line, "cancelled")
        elif (error := done.exception()) is not None:
            self._failed(line, said(error))
        else:
            self._name(line, done.result())
            self._show(line)

    def _failed(self, line: Line, problem: str) -> None:
        line.status = MessageStatus.ERROR
        line.problem = problem
        self._show(line)

    def _name(self, line: Line, id: str) -> None:
        """A line of ours has got its id, and the receipts that were waiting for it."""
        line.id = id
        line.status = max(line.status, self._early.pop(id, MessageStatus.PENDING))

    # --- what happens ------------------------------------------------------------------------------------------------

    def _noted(self, event: Event) -> None:
        """Called by the source, on its thread."""
        if isinstance(event, MessagesUpsert | MessagesUpdate | MessageUndecryptable):
            self.post(lambda: self._take(event))

    def _begin(self) -> None:
        for message in self._source.recent_messages(_KEPT):
            self._take(message)

    def _take(self, event: Event) -> None:
        match event:
            case MessagesUpsert():
                self._upsert(event)
            case MessagesUpdate():
                self._update(event)
            case MessageUndecryptable() if self._find(event.key.id, event.key.from_me) is None:
                line = self._add(str(event.key.chat), str(event.key.author.bare), "", event.timestamp, from_me=False)
                line.id, line.problem = event.key.id, event.reason
                self._show(line)
            case _:
                pass

    def _upsert(self, event: MessagesUpsert) -> None:
        key, text = event.key, _text(event)
        line = self._find(key.id, key.from_me)
        if line is None and key.from_me:
            line = self._first(lambda line: line.from_me and not line.id and not line.problem and line.text == text)
        if line is None:
            author = event.push_name or str(key.author.bare)
            line = self._add(str(key.chat), author, text, event.timestamp, from_me=key.from_me)
        line.chat, line.text, line.problem = str(key.chat), text, ""
        self._name(line, key.id)
        self._show(line)

    def _update(self, event: MessagesUpdate) -> None:
        line = self._find(event.key.id, from_me=True)
        if line is None:
            self._early[event.key.id] = max(event.status, self._early.get(event.key.id, MessageStatus.PENDING))
            if len(self._early) > _KEPT:
                del self._early[next(iter(self._early))]
            return
        if event.status is MessageStatus.ERROR:
            self._failed(line, "the server refused it")
            return
        line.status = max(line.status, event.status)
        self._show(line)

    # --- lines -------------------------------------------------------------------------------------------------------

    def _add(self, chat: str, author: str, text: str, at: float, *, from_me: bool) -> Line:
        line = Line(self._next, chat, author, text, at, from_me)
        self._next += 1
        self._lines[line.key] = line
        while len(self._lines) > _KEPT:
            del self._lines[next(iter(self._lines))]
        self._show(line)
        return line

    def _find(self, id: str, from_me: bool) -> Line | None:
        return self._first(lambda line: line.id == id and line.from_me is from_me)

    def _first(self, matching: Callable[[Line], bool]) -> Line | None:
        return next((line for line in self._lines.values() if matching(line)), None)

    def _show(self, line: Line) -> None:
        self.push({"type": "messages", "all": False, "lines": [line.to_wire()]})


def _text(event: MessagesUpsert) -> str:
    """What to show of a message: its text, or which kind it is."""
    return event.text if event.text is not None else f"[{_kind(event.message)}]"


def _kind(message: proto.Message) -> str:
    kinds = [field.name for field, _ in message.ListFields() if field.name != "messageContextInfo"]
    return kinds[0].removesuffix("Message") if kinds else "empty message"
