"""Stories: what became of each message, as values. waton.inspect.story_fold reads them from a client's journal.

A message leaves many traces: it is composed, committed, written (perhaps several times, over several connections),
acknowledged, delivered, read, and sometimes asked for again. A `Story` is all of it put together, a `Retry` one request
for a message that could not be read.

    out   composed -> committed -> written ... -> the server's ack -> receipts
    in    arrived ... -> committed -> our receipt

What must stay true: nothing is invented, a moment that was not recorded is None; reprs name nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from waton.jid import Jid
from waton.protocol.trace import Way

_RANK = {
    status: rank
    for rank, status in enumerate(
        ("uncommitted", "arrived", "undecryptable", "pending", "error", "server_ack", "received", "delivered", "read",
         "played")
    )
}  # fmt: skip


class WritingKind(StrEnum):
    """What was written, or what came."""

    FIRST = "first"
    AGAIN = "again"
    """What was written before, once more: the ack had not come. On the way in: whatever came after the first."""
    ANSWER = "answer"
    """Encrypted anew for the one device that could not read it."""
    MORE = "more"
    """To a device that the message was not made for at first."""


@dataclass(frozen=True, slots=True)
class Writing:
    """One stanza of a message: written by us, or come from the server."""

    at: float
    """Unix seconds."""
    kind: WritingKind
    connection: int
    run: int
    seq: int
    row: int
    """In the journal."""


@dataclass(slots=True, repr=False)
class Retry:
    """One request for a message that could not be read."""

    id: str
    way: Way
    """IN: somebody could not read one of ours. OUT: we could not read one of theirs."""
    chat: str
    at: float
    run: int
    seq: int
    connection: int = 0
    row: int = 0
    """Of the request's stanza, 0 as long as none was seen."""
    written: float | None = None
    """OUT: when our request went out."""
    count: int = 0
    """Which request for this message it is, from 1; 0 when nobody was asked."""
    code: int | None = None
    """The `error` of the request."""
    reason: str = ""
    """Why it could not be read."""
    peer: str = ""
    """The device that asks, or is asked."""
    outcome: str = ""
    """IN: answered, refused, not encryptable. OUT: asked, left, phone asked, resolved, no answer. "" until decided."""
    why: str = ""
    """Why it was refused or left."""
    settled: float | None = None
    """When that was decided: answered, refused, resolved."""

    def __repr__(self) -> str:
        return f"<Retry {self.id} {self.way.value} {self.count} {self.reason} {self.outcome}>"


@dataclass(slots=True, repr=False)
class Story:
    """One message. Times are Unix seconds, None when not recorded."""

    id: str
    way: Way
    chat: str
    """The other person or the group, as the stanzas name it."""
    first_seen: float
    run: int
    seq: int
    """Of its first trace."""
    kind: str = ""
    """Kind of its content; "" when it could not be read."""
    status: str = ""
    """The furthest it got: uncommitted, pending, error, server_ack, delivered, read, played on the way out; arrived,
    undecryptable, received, read on the way in."""
    committed: float | None = None
    """When it was on the disk."""
    told: int = 0
    """How often it was committed as new. More than once would be a fault of ours."""
    duplicates: int = 0
    """How often it came after it had been read."""
    writings: list[Writing] = field(default_factory=list[Writing])
    acknowledged: float | None = None
    """The server's ack of ours, or our receipt for theirs."""
    round_trip: float | None = None
    """Seconds from the last writing before the ack, or from the arrival to our receipt."""
    delivered: float | None = None
    """When the first device said so."""
    read: float | None = None
    reason: str = ""
    """Why it could not be read at first, here or at their end."""
    retries: list[Retry] = field(default_factory=list[Retry])
    connections: set[int] = field(default_factory=set[int])
    """Numbers of the connections it took, as counted within a run."""

    def reach(self, status: str) -> None:
        """Note a status; what is further stays."""
        if _RANK.get(status, 0) >= _RANK.get(self.status, -1):
            self.status = status

    @property
    def is_settled(self) -> bool:
        """Nothing more has to happen: ours is with the server, theirs is read."""
        return self.status not in ("arrived", "undecryptable", "pending")

    @property
    def repeats(self) -> int:
        """How often it was written, or came, more than once."""
        return sum(one.kind is WritingKind.AGAIN for one in self.writings)

    def __repr__(self) -> str:
        return f"<Story {self.id} {self.way.value} {self.status}, {len(self.writings)} writings>"


@dataclass(frozen=True, slots=True, repr=False)
class Stories:
    """Everything that a journal says of messages."""

    messages: list[Story]
    """In the order in which they first appeared."""
    retries: list[Retry]
    """In the order of the requests; also those for messages that the journal does not know."""


def chat_of(address: str) -> str:
    """The conversation that a stanza's address belongs to; what is no address stays as it is."""
    try:
        return str(Jid.parse(address).bare)
    except ValueError:
        return address
