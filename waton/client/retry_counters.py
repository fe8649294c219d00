"""What is remembered of retries, and under which key: one small record for each message and device.

Three kinds live under RecordKind.RETRY. `AskCounters`: a message we could not read, and how often we asked for it.
`AnswerCounters`: a device that could not read one of ours, and which of its requests were answered. `SessionHistory`:
when the session with a device was last made anew, whichever direction asked for it. And a mark for each prekey that
went along with a request (prekeys.py).

They are stored in the unit of work that decides, so a crash can neither start a count again nor answer twice. They are
not deleted when the count is used up: a message that is delivered again must find that it was asked for often enough.
All are bounded, and forgotten after RETRY_SECONDS.

Keys hold addresses as the caller gives them: give the canonical ones (waton.client.addresses), so that a request under
a phone number and one under the LID are counted together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import quote

from waton.client.event_payload import record_of
from waton.errors import StorageError
from waton.jid import Jid

RETRY_SECONDS = 14 * 86_400
"""How long a record is kept: as long as a message may be asked from the phone."""
T = TypeVar("T")


def ask_key(chat: Jid, author: Jid, id: str) -> str:
    """The key of AskCounters: a message of `chat` that the device `author` wrote."""
    return _key("in", str(chat.bare), str(author), id)


def answer_key(chat: Jid, reader: Jid, id: str) -> str:
    """The key of AnswerCounters: a message of ours in `chat` that the device `reader` asks for."""
    return _key("out", str(chat.bare), str(reader), id)


def session_key(device: Jid) -> str:
    """The key of a device's SessionHistory."""
    return _key("session", str(device))


def given_key(id: int) -> str:
    """The key of a mark without content: the prekey `id` went along with a request of ours."""
    return _key("given", str(id))


def _key(*parts: str) -> str:
    # An id is any text its author likes: escaped, it cannot pose as another message's key.
    return " ".join(quote(part, safe="@:.", errors="surrogatepass") for part in parts)


@dataclass(frozen=True, slots=True)
class AskCounters:
    """One message that we could not read."""

    count: int = 0
    """Requests made so far, or the number of the last one if the author's answer told of more."""
    errors: tuple[int, ...] = ()
    """The `error` of each request, oldest first."""
    phone_asks: int = 0
    """How often our phone was to be asked for it."""
    ask_at: int | None = None
    """Unix seconds at which the last request is due; None once it was sent. A restart sends what is due."""
    phone_at: int | None = None
    """The same for the phone."""
    is_left: bool = False
    """Nobody is left to be asked, and that was told."""

    def sent(self) -> AskCounters:
        """The request went out."""
        return replace(self, ask_at=None)

    def phone_asked(self) -> AskCounters:
        """The phone was asked, or need not be any more."""
        return replace(self, phone_at=None)

    def to_json(self) -> bytes:
        """The stored form."""
        return _dump(AskCounters, self)

    @staticmethod
    def from_json(data: bytes) -> AskCounters:
        """Raises StorageError when the record is damaged."""
        return _load(AskCounters, data)


@dataclass(frozen=True, slots=True, repr=False)
class AnswerCounters:
    """One device that could not read one message of ours."""

    answered: tuple[int, ...] = ()
    """The counts of the requests that were answered."""
    base_key: bytes = b""
    """The base key of the session the last answer went out in, 32 bytes; empty when none is remembered."""
    has_rotated: bool = False
    """Our sender key was renewed because of this device and this message."""
    answered_at: tuple[int, ...] = ()
    """When the server took each request that was answered, Unix seconds; 0 when it did not say."""
    answered_for: tuple[int, ...] = ()
    """When the server took the message that each of them was for: the first one, or an answer. Unix seconds."""

    def has_answered(self, count: int, at: int | None, t: int) -> bool:
        """This very request was answered. Another may have its count: Baileys counts from 1 at each connection."""
        return (count, at or 0, t) in zip(self.answered, self.answered_at, self.answered_for, strict=False)

    def remember(self, base_key: bytes) -> AnswerCounters:
        """The answer went out in the session with this base key."""
        return replace(self, base_key=base_key)

    def to_json(self) -> bytes:
        """The stored form."""
        return _dump(AnswerCounters, self)

    @staticmethod
    def from_json(data: bytes) -> AnswerCounters:
        """Raises StorageError when the record is damaged."""
        return _load(AnswerCounters, data)


@dataclass(frozen=True, slots=True)
class SessionHistory:
    """When a session with one device was made anew because messages could not be read."""

    renewed_at: int | None = None
    """Unix seconds; None when it never was."""
    renewals: int = 0

    def renewed(self, now: float) -> SessionHistory:
        """One renewal more, at `now`."""
        return SessionHistory(int(now), self.renewals + 1)

    def is_older_than(self, seconds: float, now: float) -> bool:
        """True when the last renewal was longer ago, or lies in the future because the clock was set back."""
        return self.renewed_at is None or not self.renewed_at <= now <= self.renewed_at + seconds

    def to_json(self) -> bytes:
        """The stored form."""
        return _dump(SessionHistory, self)

    @staticmethod
    def from_json(data: bytes) -> SessionHistory:
        """Raises StorageError when the record is damaged."""
        return _load(SessionHistory, data)


def _dump(kind: type[T], value: T) -> bytes:
    return json.dumps(record_of(kind).dump(value), separators=(",", ":")).encode()


def _load(kind: type[T], data: bytes) -> T:
    try:
        return record_of(kind).load(json.loads(data))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StorageError(f"retry, {kind.__name__}") from error
