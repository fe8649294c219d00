"""The journal: traces in an SQLite file, in the order in which they were recorded.

A `Journal` is the writing end, for one recorder at a time and for the housekeeping of its runs; the reading verbs open
the file anew each time (0.1 ms), so they serve any thread, go on working after close(), and see what other processes
wrote. Several processes may write one journal; each has its own run.

After a crash the journal may tell more than the account's store knows: a trace that names a unit of work is written
whether or not the unit commits later. `unsettled` lists those numbers, and `settle` takes the store's answer and flags
the rows whose unit never committed. Ask before the next units begin: they may bear the same numbers again.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from waton.capture.schema import Flags, capture_errors, open_writer, reading, transaction
from waton.errors import CaptureError
from waton.protocol.trace import Layer, Trace, Way

_TRACE_COLUMNS: Final = (
    "t.seq, t.parent, t.at, t.layer, t.way, t.name, t.id, t.kind, t.xmlns, t.sender, t.recipient, t.size,"
    " {data}, t.detail, t.transition_no, t.connection"
)
_NARROW: Final = "SELECT t.row, t.run, t.flags, " + _TRACE_COLUMNS.format(data="x''") + " FROM trace t"
_WHOLE: Final = (
    "SELECT t.row, t.run, t.flags, "
    + _TRACE_COLUMNS.format(data="coalesce(p.data, x'')")
    + " FROM trace t LEFT JOIN payload p USING (row)"
)
_REFUSALS: Final = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    ValueError,
    OverflowError,
    TypeError,
    AttributeError,
)
"""What writing a row raises because of a value in it, and not because of the file."""
_INSERT: Final = "INSERT INTO trace VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)"


class RefusedTrace(ValueError):
    """A batch holds a trace that no row can hold, or one whose number was used before. Nothing of it was written."""


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One recorded trace and where it stands."""

    row: int
    """Position in the journal, growing in the order of commits over all runs."""
    run: int
    flags: Flags
    trace: Trace
    """With its data only if it was asked for."""


class Journal:
    """A journal open for writing. Made by `open`; close() it, for the log to be folded into the file."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = connection
        self._lock = threading.Lock()
        self._own_runs: set[int] = set()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Journal:
        """Open a journal, made when it does not exist: directory 0700, file 0600.

        Raises:
            CaptureError: damaged, of another program or of a newer waton; it was left as it is.
        """
        resolved = Path(path).expanduser().resolve()
        return cls(resolved, open_writer(resolved))

    # --- writing ---

    def begin_run(self, client: str, vantage: str, meta: Mapping[str, Any] | None = None) -> int:
        """Begin the life of one recorder.

        Args:
            client: which program is observed ("waton", "lab", "baileys").
            vantage: from which side ("client", "lab").
            meta: whatever else should be known of the run, fit for JSON.
        Returns:
            The run's id; numbers of traces start again within it.
        """
        text = json.dumps(dict(meta or {}))
        with self._writing() as connection:
            cursor = connection.execute(
                "INSERT INTO run (client, vantage, meta) VALUES (?, ?, ?)", (client, vantage, text)
            )
            run = cursor.lastrowid or 0
        self._own_runs.add(run)
        return run

    def append(self, run: int, traces: Sequence[Trace]) -> None:
        """Write traces in one transaction.

        Raises:
            RefusedTrace: one of them cannot be written; none was.
            CaptureError: the file cannot be written now (a full disk, say); none was.
        """
        with self._writing() as connection:
            (last,) = connection.execute("SELECT coalesce(max(row), 0) FROM trace").fetchone()
            try:
                connection.executemany(_INSERT, _rows(run, last + 1, traces))
                connection.executemany("INSERT INTO payload VALUES (?, ?)", _payloads(last + 1, traces))
            except _REFUSALS as error:
                raise RefusedTrace(type(error).__name__) from error

    def end_run(self, run: int) -> None:
        """Note that a run's recorder was closed in order."""
        with self._writing() as connection:
            connection.execute("UPDATE run SET closed = 1 WHERE id = ?", (run,))

    def unsettled(self) -> list[tuple[int, list[int]]]:
        """Runs, except those begun here, of which nobody said yet what committed: their ids and the units they name."""
        with reading(self.path) as connection:
            runs = [id for (id,) in connection.execute("SELECT id FROM run WHERE NOT settled ORDER BY id")]
            return [(run, _units(connection, run)) for run in runs if run not in self._own_runs]

    def settle(self, run: int, committed: Collection[int]) -> int:
        """Flag the traces of a run whose unit of work is not among the committed ones.

        Returns:
            How many traces were flagged.
        """
        flagged = 0
        with self._writing() as connection:
            for number in sorted(set(_units(connection, run)) - set(committed)):
                cursor = connection.execute(
                    "UPDATE trace SET flags = flags | ? WHERE run = ? AND transition_no = ?",
                    (int(Flags.UNCOMMITTED), run, number),
                )
                flagged += cursor.rowcount
            connection.execute("UPDATE run SET settled = 1 WHERE id = ?", (run,))
        return flagged

    def close(self) -> None:
        """Close the writing end. Reading goes on working. May be called twice."""
        with self._lock, capture_errors(self.path):
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        """One transaction, with the lock and the errors."""
        with self._lock, capture_errors(self.path):
            if self._connection is None:
                raise CaptureError(str(self.path), None, "is closed")
            with transaction(self._connection):
                yield self._connection

    # --- reading ---

    def rows(
        self, *, after: int = 0, limit: int = 1000, run: int | None = None, with_data: bool = False
    ) -> list[JournalRow]:
        """Traces recorded after a row, oldest first.

        Args:
            after: the last row that was seen; 0 for none.
            limit: how many at most.
            run: of this run only.
            with_data: read their bytes too.
        """
        query = (
            f"{_WHOLE if with_data else _NARROW} WHERE t.row > ? AND (? IS NULL OR t.run = ?) ORDER BY t.row LIMIT ?"
        )
        with reading(self.path) as connection:
            return [_journal_row(row) for row in connection.execute(query, (after, run, run, limit))]

    def last(self, run: int, count: int) -> list[Trace]:
        """The last traces of a run, oldest first, with their bytes."""
        # The plus keeps SQLite from the index by run, which would have it sort the whole run.
        query = f"{_WHOLE} WHERE +t.run = ? ORDER BY t.row DESC LIMIT ?"
        with reading(self.path) as connection:
            rows = [_journal_row(row) for row in connection.execute(query, (run, count))]
        return [row.trace for row in reversed(rows)]

    def payload(self, run: int, seq: int) -> bytes:
        """The bytes of a trace; b"" when it has none. Raises CaptureError: there is no such trace."""
        query = "SELECT p.data FROM trace t LEFT JOIN payload p USING (row) WHERE t.run = ? AND t.seq = ?"
        with reading(self.path) as connection:
            row = connection.execute(query, (run, seq)).fetchone()
        if row is None:
            raise CaptureError(str(self.path), None, f"run {run} has no trace {seq}")
        return row[0] or b""

    def __repr__(self) -> str:
        return f"<Journal {self.path.name}{' closed' if self._connection is None else ''}>"


def _rows(run: int, first: int, traces: Sequence[Trace]) -> Iterator[tuple[object, ...]]:
    for row, t in enumerate(traces, first):
        yield (
            row, run, t.seq, t.parent, t.at, t.layer.value, t.way.value, t.name, t.id, t.kind, t.xmlns, t.sender,
            t.recipient, t.size, t.transition, t.connection, t.detail,
        )  # fmt: skip


def _payloads(first: int, traces: Sequence[Trace]) -> Iterator[tuple[int, bytes]]:
    return ((row, trace.data) for row, trace in enumerate(traces, first) if trace.data)


def _units(connection: sqlite3.Connection, run: int) -> list[int]:
    """The units of work that a run's traces name."""
    query = "SELECT DISTINCT transition_no FROM trace WHERE run = ? AND transition_no IS NOT NULL ORDER BY 1"
    return [number for (number,) in connection.execute(query, (run,))]


def _journal_row(columns: tuple[Any, ...]) -> JournalRow:
    row, run, flags, seq, parent, at, layer, way, *rest = columns
    return JournalRow(row, run, Flags(flags), Trace(seq, parent, at, Layer(layer), Way(way), *rest))
