"""Questions to a journal, answered as DataFrames.

An `Analysis` keeps a copy of the journal's narrow columns in an in-memory DuckDB, which scans them ten to a hundred
times faster than SQLite would, and without getting in the recorder's way. Before each question it fetches what was
recorded since the last one. Bytes stay in the journal and are read only when asked for (`nodes(xml=True)`).

Every method may be called from any thread, while a recorder of this or another process writes. What a recorder has
accepted and not yet written is not seen: `Recorder.flush()` first. Rows come in the order in which they were recorded,
newest last; `run` tells the lives of the recorder apart, and `seq`, `parent` and `cause` count within a run.

In `sql`, the tables are `trace` (everything), `run`, and one view per method: `frames`, `nodes`, `messages`,
`transitions`, `events`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import duckdb
import pandas as pd

from waton.capture.schema import reading
from waton.errors import DecodeError
from waton.protocol.binary_node import Node, decode_node, to_xml
from waton.protocol.trace import Layer, Way

_FETCH: Final = 20_000
_COLUMNS: Final = (
    "row, run, seq, parent, at, layer, way, name, id, kind, xmlns, sender, recipient, size, transition_no, connection,"
    " flags, detail"
)
_TABLES: Final = (
    f"CREATE TYPE layer AS ENUM {tuple(layer.value for layer in Layer)}",
    f"CREATE TYPE way AS ENUM {tuple(way.value for way in Way)}",
    "CREATE TABLE copied (row BIGINT, run BIGINT, seq BIGINT, parent BIGINT, unix DOUBLE, layer layer, way way,"
    " name VARCHAR, id VARCHAR, kind VARCHAR, xmlns VARCHAR, sender VARCHAR, recipient VARCHAR, size BIGINT,"
    " transition BIGINT, connection BIGINT, flags BIGINT, detail VARCHAR)",
    "CREATE TABLE run (id BIGINT, client VARCHAR, vantage VARCHAR, meta VARCHAR, closed BOOLEAN, settled BOOLEAN)",
    "CREATE VIEW trace AS SELECT row, to_timestamp(unix) AS time, layer, way, name, id, kind, xmlns, sender, recipient,"
    " size, transition, flags & 1 = 0 AS committed, detail, seq, parent, run, connection FROM copied",
    "CREATE VIEW frames AS SELECT row, time, way, name, size, seq, parent, run, connection"
    " FROM trace WHERE layer = 'frame'",
    "CREATE VIEW nodes AS SELECT row, time, way, name AS tag, id, kind AS type, xmlns, sender, recipient, size, seq,"
    " parent, run, connection FROM trace WHERE layer = 'node'",
    "CREATE VIEW messages AS SELECT row, time, way, name AS kind, id, kind AS encryption, sender, recipient, size,"
    " transition, committed, detail, seq, parent, run, connection FROM trace WHERE layer = 'message'",
    "CREATE VIEW transitions AS SELECT row, time, name AS machine, coalesce(said ->> '$.before', '') AS before,"
    " coalesce(said ->> '$.after', '') AS after, parent AS cause, transition, committed, detail, seq, run, connection"
    " FROM (SELECT *, CASE WHEN json_valid(detail) THEN detail END AS said FROM trace) WHERE layer = 'state'",
    "CREATE VIEW events AS SELECT row, time, name AS type, id, parent AS cause, size, transition, committed, detail,"
    " seq, run, connection FROM trace WHERE layer = 'event'",
)
_WHOLE_NUMBERS: Final = ("size", "seq", "run", "connection")
_MAYBE_NUMBERS: Final = ("parent", "cause", "transition")
_TEXTS: Final = (
    "name", "tag", "id", "kind", "type", "encryption", "xmlns", "sender", "recipient", "machine", "before", "after",
)  # fmt: skip


class Analysis:
    """Questions to one journal.

    Args:
        path: the journal; it need not be finished.
    Raises:
        CaptureError: missing, damaged, of another program, or of a newer waton.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().resolve()
        with reading(self.path):
            pass
        self._lock = threading.Lock()
        self._mirror: _Mirror | None = None

    # --- questions ---

    def frames(self, *, last: int | None = None) -> pd.DataFrame:
        """Every frame: time, way, name, size (bytes on the wire, without the length), seq, parent, run, connection.

        Args:
            last: only so many, the newest.
        """
        return self._table("frames", last)

    def nodes(self, *, xml: bool = False, last: int | None = None) -> pd.DataFrame:
        """Every stanza: time, way, tag, id, type, xmlns, sender, recipient, size, seq, parent, run, connection.

        Args:
            xml: add the stanza as XML, from its recorded bytes.
            last: only so many, the newest.
        """
        frame = self._table("nodes", last, keep_row=xml)
        if xml:
            frame["xml"] = pd.Series(self._xml([int(row) for row in frame["row"]]), index=frame.index, dtype="str")
            return frame.drop(columns="row")
        return frame

    def messages(self, *, last: int | None = None) -> pd.DataFrame:
        """Every message, decrypted or about to be encrypted: time, way, kind, id, encryption, sender, recipient, ...

        Args:
            last: only so many, the newest.
        """
        return _with_detail(self._table("messages", last))

    def transitions(self, *, last: int | None = None) -> pd.DataFrame:
        """Every state transition: time, machine, before, after, cause, transition, committed, detail, seq, run, ...

        `cause` is the seq of the trace it followed from, `transition` its unit of work in the account, `detail` a dict
        with what else was said.

        Args:
            last: only so many, the newest.
        """
        return _with_detail(self._table("transitions", last), without=("before", "after"))

    def events(self, *, last: int | None = None) -> pd.DataFrame:
        """Every event: time, type, id, cause, size, transition, committed, detail, seq, run, connection.

        Args:
            last: only so many, the newest.
        """
        return _with_detail(self._table("events", last))

    def sql(self, query: str) -> pd.DataFrame:
        """The answer to any one DuckDB query over `trace`, `run` and the views.

        Raises:
            duckdb.Error: the query is wrong.
            CaptureError: the journal cannot be read.
        """
        return _to_pandas(self._fresh().sql(query))

    def stanzas(self, rows: Sequence[int]) -> dict[int, Node]:
        """The stanzas in these journal rows (`trace.row`), from their bytes, save those that cannot be read."""
        found: dict[int, Node] = {}
        for row, data in self._payloads(rows):
            with suppress(DecodeError):
                found[row] = decode_node(data)
        return found

    def close(self) -> None:
        """Forget the copy; the next question makes a new one."""
        with self._lock:
            if self._mirror is not None:
                self._mirror.close()
                self._mirror = None

    # --- how ---

    def _fresh(self) -> duckdb.DuckDBPyConnection:
        """A cursor of its own over an up-to-date copy."""
        with self._lock:
            if self._mirror is None:
                self._mirror = _Mirror()
            with reading(self.path) as journal:
                self._mirror.follow(journal)
            return self._mirror.cursor()

    def _table(self, view: str, last: int | None, *, keep_row: bool = False) -> pd.DataFrame:
        limit = "" if last is None else f" ORDER BY row DESC LIMIT {int(last)}"
        frame = _to_pandas(self._fresh().sql(f"SELECT * FROM (SELECT * FROM {view}{limit}) ORDER BY row"))
        return _typed(frame if keep_row else frame.drop(columns="row"))

    def _xml(self, rows: Sequence[int]) -> list[str]:
        """The XML of the stanzas in these journal rows, in order."""
        found = {row: _to_xml(data) for row, data in self._payloads(rows)}
        return [found.get(row, "") for row in rows]

    def _payloads(self, rows: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        with reading(self.path) as journal:
            for start in range(0, len(rows), _FETCH):
                part = json.dumps(rows[start : start + _FETCH])
                query = "SELECT row, data FROM payload WHERE row IN (SELECT value FROM json_each(?))"
                yield from journal.execute(query, (part,))


class _Mirror:
    """The narrow columns in DuckDB's memory. Not safe for threads by itself; its cursors are."""

    def __init__(self) -> None:
        # Nothing here may reach for the network, not even to fetch an extension that a query names.
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "python_enable_replacements": False,
        }
        self._connection = duckdb.connect(config=config)
        for statement in _TABLES:
            self._connection.execute(statement)
        self._appender = self._connection.appender("copied")
        self._last_row = 0
        self._settled: set[int] = set()

    def follow(self, journal: sqlite3.Connection) -> None:
        """Fetch what the journal has more than the copy."""
        journal.execute("BEGIN")
        cursor = journal.execute(f"SELECT {_COLUMNS} FROM trace WHERE row > ? ORDER BY row", (self._last_row,))
        while rows := cursor.fetchmany(_FETCH):
            self._appender.append_rows(rows)
            self._appender.flush()
            self._last_row = rows[-1][0]
        self._follow_runs(journal)

    def _follow_runs(self, journal: sqlite3.Connection) -> None:
        runs = journal.execute("SELECT id, client, vantage, meta, closed, settled FROM run ORDER BY id").fetchall()
        self._connection.execute("DELETE FROM run")
        if runs:
            self._connection.executemany("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?)", runs)
        for run in {run[0] for run in runs if run[5]} - self._settled:
            self._follow_flags(journal, run)
            self._settled.add(run)

    def _follow_flags(self, journal: sqlite3.Connection, run: int) -> None:
        """A settled run's rows may have been flagged after they were copied."""
        query = "SELECT flags, row FROM trace WHERE run = ? AND transition_no IS NOT NULL AND flags <> 0"
        flags = journal.execute(query, (run,)).fetchall()
        if flags:
            self._connection.executemany("UPDATE copied SET flags = ? WHERE row = ?", flags)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._connection.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        return cursor

    def close(self) -> None:
        self._connection.close()


def _to_pandas(answer: duckdb.DuckDBPyRelation) -> pd.DataFrame:
    """A DataFrame whose times are UTC.

    DuckDB's own conversion of zoned times uses what pandas 3.1 warns of, so they are handed over without their zone.
    """
    zoned = [place for place, kind in enumerate(answer.types) if str(kind) == "TIMESTAMP WITH TIME ZONE"]
    if not zoned:
        return answer.df()
    columns = [
        f"#{place + 1}{'::TIMESTAMP' if place in zoned else ''} AS {_quoted(name)}"
        for place, name in enumerate(answer.columns)
    ]
    frame = answer.project(", ".join(columns)).df()
    for place in zoned:
        frame.isetitem(place, frame.iloc[:, place].dt.tz_localize("UTC"))
    return frame


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The same dtypes whatever the rows, none of them included."""
    for column in frame.columns:
        if column in _TEXTS:
            frame[column] = frame[column].astype("str")
        elif column in _MAYBE_NUMBERS:
            frame[column] = frame[column].astype("Int64")
        elif column in _WHOLE_NUMBERS:
            frame[column] = frame[column].astype("int64")
    return frame


def _with_detail(frame: pd.DataFrame, without: Sequence[str] = ()) -> pd.DataFrame:
    """Detail as a dict, without what has a column already."""
    details = [
        {key: value for key, value in _read_detail(text).items() if key not in without} for text in frame["detail"]
    ]
    frame["detail"] = pd.Series(details, index=frame.index, dtype="object")
    return frame


def _read_detail(text: str) -> dict[str, Any]:
    """What a trace said in its detail; what is no JSON object is shown as it is."""
    if not text:
        return {}
    try:
        found: object = json.loads(text)
    except ValueError:
        return {"text": text}
    return cast(dict[str, Any], found) if isinstance(found, dict) else {"value": found}


def _to_xml(data: bytes) -> str:
    try:
        return to_xml(decode_node(data))
    except DecodeError as error:
        return f"<!-- {error} -->"
