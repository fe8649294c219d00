"""The fold: a client's journal, read once in its order, into the stories of its messages.

Each trace names its message by its id, or follows from one that does. What is read is what was recorded and nothing
else, so a journal that begins or ends in the middle tells a part of a story. Ids are taken for unique among what we
send, and among what comes within one conversation. Stanzas are decoded only where the columns do not tell: requests for
a retry, and messages that were written more than once.

What must stay true: traces of earlier runs count, for a message outlives its process.

Source: what waton.client records (outbox, messages, messages_recv, retries).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, cast

from waton.capture.analysis import Analysis
from waton.errors import RemoteProtocolError, RetryReason
from waton.inspect.stories import Retry, Stories, Story, Writing, WritingKind, chat_of
from waton.protocol.binary_node import Node
from waton.protocol.stanza.receipt import Receipt, ReceiptType
from waton.protocol.stanza.retry import RetryRequest
from waton.protocol.trace import Layer, Way

_QUERY = """
WITH told AS (SELECT *, CASE WHEN layer = 'state' AND json_valid(detail) THEN detail END AS said FROM trace)
SELECT row, run, seq, coalesce(parent, 0) AS parent, epoch(time) AS at, CAST(layer AS VARCHAR) AS layer,
    CAST(way AS VARCHAR) AS way, name, CASE WHEN id = '' THEN coalesce(said ->> '$.id', '') ELSE id END AS id, kind,
    sender, recipient, committed, connection, coalesce(said ->> '$.before', '') AS before,
    coalesce(said ->> '$.after', '') AS after, coalesce(TRY_CAST(said ->> '$.count' AS BIGINT), 0) AS number,
    coalesce(said ->> '$.reason', said ->> '$.why', '') AS why
FROM told
WHERE layer = 'message'
    OR (layer = 'node' AND name IN ('message', 'ack', 'receipt'))
    OR (layer = 'state' AND name IN ('message', 'retry'))
ORDER BY row
"""


def read_stories(analysis: Analysis) -> Stories:
    """What a client's journal says of messages.

    Args:
        analysis: of the client's journal. A server's tells other stories.
    Raises:
        CaptureError: the journal cannot be read.
    """
    fold = _Fold()
    for row in _rows(analysis):
        fold.take(row)
    _look_at_repeats(analysis, fold.stories)
    _look_at_requests(analysis, fold.retries)
    for story in fold.stories:
        story.reason = story.reason or next((retry.reason for retry in story.retries if retry.reason), "")
    return Stories(fold.stories, fold.retries)


# --- the fold ---------------------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    row: int
    run: int
    seq: int
    parent: int
    at: float
    layer: str
    way: str
    name: str
    id: str
    kind: str
    sender: str
    recipient: str
    committed: bool
    connection: int
    before: str
    after: str
    number: int
    why: str

    @property
    def cause(self) -> tuple[int, int]:
        return self.run, self.parent


def _rows(analysis: Analysis) -> Iterator[_Row]:
    frame = analysis.sql(_QUERY)
    for values in cast("Iterable[tuple[object, ...]]", frame.itertuples(index=False, name=None)):
        yield _Row._make(values)  # the columns are the fields, in their order


class _Fold:
    """Takes rows in the order of the journal."""

    def __init__(self) -> None:
        self.stories: list[Story] = []
        self.retries: list[Retry] = []
        self._out: dict[str, Story] = {}
        self._in: dict[tuple[str, str], Story] = {}
        self._latest_in: dict[str, Story] = {}
        """By id alone, for what names no conversation."""
        self._arrivals: dict[tuple[int, int], tuple[Story, float]] = {}
        """With the time, by run and seq of the stanza that came."""
        self._requests: dict[tuple[int, int], Retry] = {}

    def take(self, row: _Row) -> None:
        match row.layer, row.way, row.name:
            case Layer.MESSAGE, Way.OUT, _:
                self._composed(row)
            case Layer.MESSAGE, Way.IN, _:
                self._opened(row)
            case Layer.NODE, Way.OUT, "message":
                self._written(row)
            case Layer.NODE, Way.IN, "message":
                self._arrived(row)
            case Layer.NODE, Way.IN, "ack":
                self._acknowledged(row)
            case Layer.NODE, Way.IN, "receipt" if row.kind == ReceiptType.RETRY:
                self._asked_of_us(row)
            case Layer.NODE, Way.OUT, "receipt" if row.kind == ReceiptType.RETRY:
                self._request_written(row)
            case Layer.NODE, Way.OUT, "ack" | "receipt":
                self._receipted(row)
            case Layer.STATE, _, "message":
                self._moved(row)
            case Layer.STATE, _, "retry":
                self._retried(row)
            case _:
                pass

    def _new(self, row: _Row, way: Way, address: str) -> Story:
        story = Story(row.id, way, chat_of(address), row.at, row.run, row.seq)
        self.stories.append(story)
        if way is Way.OUT:
            self._out[row.id] = story
        else:
            self._in[row.id, story.chat] = self._latest_in[row.id] = story
        return story

    # --- the way out

    def _composed(self, row: _Row) -> None:
        story = self._out.get(row.id) or self._new(row, Way.OUT, row.recipient)
        story.kind = row.name
        story.reach("pending" if row.committed else "uncommitted")

    def _written(self, row: _Row) -> None:
        story = self._out.get(row.id) or self._new(row, Way.OUT, row.recipient)
        story.reach("pending")
        self._add_writing(story, row)

    @staticmethod
    def _add_writing(story: Story, row: _Row) -> None:
        kind = WritingKind.AGAIN if story.writings else WritingKind.FIRST
        story.writings.append(Writing(row.at, kind, row.connection, row.run, row.seq, row.row))
        story.connections.add(row.connection)

    def _acknowledged(self, row: _Row) -> None:
        story = self._out.get(row.id)
        if story is None:
            return
        story.connections.add(row.connection)
        if story.acknowledged is None:
            story.acknowledged = row.at
            last = story.writings[-1] if story.writings else None
            if last is not None and last.run == row.run:
                story.round_trip = row.at - last.at

    # --- the way in

    def _arrived(self, row: _Row) -> None:
        story = self._in.get((row.id, chat_of(row.sender))) or self._new(row, Way.IN, row.sender)
        story.reach("arrived")
        self._arrivals[row.run, row.seq] = story, row.at
        self._add_writing(story, row)

    def _opened(self, row: _Row) -> None:
        story = self._incoming(row)
        if story is not None and row.name:
            story.kind = row.name

    def _receipted(self, row: _Row) -> None:
        """Our receipt or ack of what came; one of a message that was read before counts as well."""
        story, arrived = self._arrivals.get(row.cause, (None, 0.0))
        if story is None:
            if row.kind in (ReceiptType.READ, ReceiptType.PLAYED):
                self._seen_by_us(row)
            return
        # The ack of what could not be read yet gives way to the receipt of what could.
        is_first = story.acknowledged is None
        if is_first or (story.committed is not None and (story.acknowledged or 0.0) < story.committed):
            story.acknowledged, story.round_trip = row.at, row.at - arrived

    def _seen_by_us(self, row: _Row) -> None:
        story = self._latest_in.get(row.id)
        if story is not None and story.read is None:
            story.read = row.at
            story.reach("read")

    # --- states

    def _moved(self, row: _Row) -> None:
        match row.before, row.after:
            case "new", "pending":
                self._committed(self._out.get(row.id), row, "pending")
            case "new", "received":
                self._committed(self._incoming(row), row, "received")
            case "received", "duplicate":
                if (story := self._incoming(row)) is not None:
                    story.duplicates += 1
            case "new", "undecryptable":
                self._unread(row)
            case (("pending" | "sent"), status):
                self._got_to(row, status)
            case _:
                pass

    def _incoming(self, row: _Row) -> Story | None:
        story, _ = self._arrivals.get(row.cause, (None, 0.0))
        return story or self._latest_in.get(row.id)

    @staticmethod
    def _committed(story: Story | None, row: _Row, status: str) -> None:
        if story is None:
            return
        story.told += 1
        story.reach(status)
        if story.committed is None:
            story.committed = row.at

    def _unread(self, row: _Row) -> None:
        story = self._incoming(row)
        if story is None:
            return
        story.reach("undecryptable")
        story.reason = story.reason or row.why
        for retry in story.retries:
            if (retry.run, retry.seq) == row.cause and not retry.reason:
                retry.reason = row.why

    def _got_to(self, row: _Row, status: str) -> None:
        story = self._out.get(row.id) or self._latest_in.get(row.id)
        if story is None:
            return
        story.reach(status)
        if status == "delivered" and story.delivered is None:
            story.delivered = row.at
        if status in ("read", "played") and story.read is None:
            story.read = row.at

    # --- retries

    def _asked_of_us(self, row: _Row) -> None:
        story = self._out.get(row.id)
        retry = Retry(row.id, Way.IN, "", row.at, row.run, row.seq, row.connection, row.row)
        self._requests[row.run, row.seq] = retry
        self.retries.append(retry)
        if story is not None:
            retry.chat = story.chat
            story.retries.append(retry)
            story.connections.add(row.connection)

    def _request_written(self, row: _Row) -> None:
        story = self._latest_in.get(row.id)
        for retry in () if story is None else story.retries:
            if retry.way is Way.OUT and retry.written is None and retry.count:
                retry.written, retry.row, retry.connection = row.at, row.row, row.connection
                return

    def _retried(self, row: _Row) -> None:
        if row.before == "requested":
            retry = self._requests.get(row.cause)
            if retry is not None:
                retry.outcome, retry.settled, retry.why = row.after, row.at, row.why
                retry.count = row.number or retry.count
            return
        story = self._incoming(row) if row.before == "unread" else self._latest_in.get(row.id)
        if story is None:
            return
        if row.before == "unread":
            # The seq is its cause's: by that the reason finds it, which is told right after.
            retry = Retry(row.id, Way.OUT, story.chat, row.at, row.run, row.parent, row.connection)
            retry.count, retry.outcome, retry.why = row.number, row.after, row.why
            story.retries.append(retry)
            self.retries.append(retry)
            return
        self._resolved(story, row)

    @staticmethod
    def _resolved(story: Story, row: _Row) -> None:
        """The newest request of this sort is the one that was answered."""
        for retry in reversed(story.retries):
            if retry.way is Way.OUT and retry.outcome == row.before:
                retry.outcome, retry.settled = row.after, row.at
                return


# --- what the columns do not tell -------------------------------------------------------------------------------------


def _look_at_repeats(analysis: Analysis, stories: Iterable[Story]) -> None:
    """Tell a stanza that was written again from one that was made anew."""
    several = [story for story in stories if story.way is Way.OUT and len(story.writings) > 1]
    nodes = analysis.stanzas([one.row for story in several for one in story.writings])
    for story in several:
        seen: list[Node] = []
        for place, one in enumerate(story.writings):
            node = nodes.get(one.row)
            if node is None or node in seen or not place:
                kind = one.kind
            else:
                kind = WritingKind.ANSWER if _has_count(node) else WritingKind.MORE
            if node is not None:
                seen.append(node)
            story.writings[place] = Writing(one.at, kind, one.connection, one.run, one.seq, one.row)


def _has_count(node: Node) -> bool:
    """An answer carries the number of the request in its ciphertext."""
    return any("count" in enc.attrs for enc in node.children("enc"))


def _look_at_requests(analysis: Analysis, retries: Iterable[Retry]) -> None:
    """Take from the requests themselves who asks whom, and why."""
    by_row = {retry.row: retry for retry in retries if retry.row}
    for row, node in analysis.stanzas(list(by_row)).items():
        retry = by_row[row]
        try:
            request = RetryRequest.from_receipt(Receipt.from_node(node))
        except RemoteProtocolError:
            continue  # malformed; it is in the journal as it came
        retry.code, retry.count, retry.peer = request.error, request.count, str(request.requester)
        if not retry.reason:
            is_known = request.error in set(RetryReason)
            retry.reason = RetryReason(request.error).name.lower() if is_known else f"code {request.error}"
