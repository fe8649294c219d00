"""The shape of `journal.db`, and the ways to open it: ours, whole and not too new, or not touched.

A journal is an SQLite file in WAL mode. It is append-only but for one column: `flags`, set when an earlier run is
settled. What must stay true:

- `trace.row` grows in the order of commits, over all runs; "after row n" therefore means "what I have not seen".
- (run, seq) names a trace; a run is the life of one recorder, and seq and parent count within it.
- the narrow columns are in `trace`; bytes are in `payload` under the same row, so that a scan does not read them.

Readers never write: they open the file read-only, and as immutable when it has no write-ahead log, so that looking at a
capture leaves nothing beside it. A new file is built under another name and linked into place when it is complete.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from enum import IntFlag
from pathlib import Path
from typing import Final

from waton.errors import CaptureError

APPLICATION_ID: Final = 0x5741544A
"""`WATJ`; what `file` and this package recognise a journal by."""


class Flags(IntFlag):
    """What became known of a trace after it was written."""

    UNCOMMITTED = 1
    """Its unit of work never committed: the process ended, or the unit failed. What it says did not become true."""


STEPS: Final[Sequence[Sequence[str]]] = (
    (
        "CREATE TABLE run (id INTEGER PRIMARY KEY AUTOINCREMENT, client TEXT NOT NULL, vantage TEXT NOT NULL,"
        " meta TEXT NOT NULL, closed INTEGER NOT NULL DEFAULT 0, settled INTEGER NOT NULL DEFAULT 0)",
        "CREATE TABLE trace (row INTEGER PRIMARY KEY, run INTEGER NOT NULL, seq INTEGER NOT NULL, parent INTEGER,"
        " at REAL NOT NULL, layer TEXT NOT NULL, way TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL,"
        " kind TEXT NOT NULL, xmlns TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL,"
        " size INTEGER NOT NULL, transition_no INTEGER, connection INTEGER NOT NULL,"
        " flags INTEGER NOT NULL DEFAULT 0, detail TEXT NOT NULL, UNIQUE (run, seq))",
        # Few rows have one; settling a run asks for them.
        "CREATE INDEX trace_by_transition ON trace (run, transition_no) WHERE transition_no IS NOT NULL",
        "CREATE TABLE payload (row INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    ),
)
"""Numbered steps; `user_version` says how many a file has had. Only ever appended."""

_TABLES: Final = {"run", "trace", "payload"}


def open_writer(path: Path) -> sqlite3.Connection:
    """Open a journal to append to it, made when it does not exist (directory 0700, file 0600).

    Returns:
        A connection in autocommit mode, usable from any thread, one at a time.
    Raises:
        CaptureError: damaged, of another program, or of a newer waton; it was left as it is.
    """
    with capture_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _create(path)
        with reading(path) as connection:
            version = _version(connection)
        return _connect(path, version)


@contextmanager
def reading(path: Path) -> Generator[sqlite3.Connection]:
    """A read-only connection to a journal, for the length of the block; it may be in use by others meanwhile.

    Raises:
        CaptureError: missing, damaged, of another program, or of a newer waton.
    """
    with capture_errors(path):
        if not path.is_file():
            raise CaptureError(str(path), None, "there is no such file")
        if path.stat().st_size == 0:
            raise CaptureError(str(path), None, "is empty: it was never a whole journal, or somebody emptied it")
        is_alone = not _log_of(path).exists()
        more = "&immutable=1" if is_alone else ""
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro{more}", uri=True, isolation_level=None)) as connection:
            _check(path, connection)
            if is_alone:
                _check_size(path, connection)
            yield connection


@contextmanager
def capture_errors(path: Path) -> Generator[None]:
    """Turn what SQLite and the file system raise into CaptureError."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise CaptureError(str(path), None, f"cannot be read or written: {error}") from error
    except sqlite3.Error as error:
        raise CaptureError(str(path), None, f"is damaged ({error}); it was left as it is") from error
    except OSError as error:
        raise CaptureError(str(path), None, f"cannot be opened: {error.strerror}") from error


def _check(path: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise CaptureError(str(path), None, "is a database of another program, not a waton journal")
    version = _version(connection)
    if version > len(STEPS):
        detail = f"was written by a newer waton; this one knows versions up to {len(STEPS)}"
        raise CaptureError(str(path), version, detail)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables >= _TABLES:
        raise CaptureError(str(path), version, "is damaged (tables are missing); it was left as it is")


def _check_size(path: Path, connection: sqlite3.Connection) -> None:
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    if path.stat().st_size % page:
        raise CaptureError(str(path), None, "is damaged (it ends within a page); it was left as it is")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return version


def _create(path: Path) -> None:
    """Build a whole journal and put it in its place, unless somebody else was quicker."""
    log = _log_of(path)
    if log.exists() and log.stat().st_size > 0:
        # SQLite would replay that log over the new file.
        detail = "is missing, but its write-ahead log is there; put it back, or move the log away"
        raise CaptureError(str(path), None, detail)
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}.new")
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            _migrate(connection, 0)
        os.link(unfinished, path)
    except FileExistsError:
        pass  # another recorder made it meanwhile: use that one
    finally:
        unfinished.unlink()


def _connect(path: Path, version: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=5.0, check_same_thread=False
    )
    try:
        path.chmod(0o600)
        connection.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; a power cut may lose the last commits, never the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA trusted_schema = OFF")
        if version < len(STEPS):
            _migrate(connection, version)
            # The header of the main file must name the version, for that is what a look from outside reads.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, done: int) -> None:
    for number in range(done, len(STEPS)):
        with transaction(connection):
            for statement in STEPS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """All that the block writes, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")
