"""Opening `account.db`: ours, whole and not too new, or not touched.

A file is looked at through read-only connections before anything may write to it, so that a damaged file, another
program's or a newer waton's stays byte for byte what it was. A new file is built under another name and renamed when it
is complete, so an account file is never half made: one of no bytes was emptied by somebody, and is refused.

The caller holds the account's lock (storage_lock.py). SQLite's exclusive locking mode is a second bar for programs
that do not know of that lock, and for the case that somebody deletes the lock file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from waton.errors import StorageError
from waton.infra.migrations import APPLICATION_ID, STEPS, migrate

_NEVER_LEFT_EMPTY: Final = "is empty: it was never a whole account, or somebody emptied it; move it away to start anew"


def open_account(path: Path) -> sqlite3.Connection:
    """Open an account file, made when it does not exist.

    Returns:
        A connection for any one thread, in autocommit mode: WAL, every commit on the disk when it returns, deleted
        content overwritten.
    Raises:
        StorageError: not ours, damaged, too new, or held by another program.
    """
    with _storage_errors(path):
        if path.exists():
            _examine(path)
        else:
            _create(path)
        return _connect(path)


@contextmanager
def _storage_errors(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            raise StorageError(str(path), "another program has this file open") from error
        raise StorageError(str(path), f"cannot be opened: {error}") from error
    except sqlite3.Error as error:
        raise StorageError(str(path), f"is damaged ({error}); it was left as it is") from error
    except OSError as error:
        raise StorageError(str(path), f"cannot be opened: {error.strerror}") from error


def _examine(path: Path) -> None:
    """Raises StorageError or sqlite3.Error unless the file is an account we can use. Writes nothing."""
    size = path.stat().st_size
    if size == 0:
        raise StorageError(str(path), _NEVER_LEFT_EMPTY)
    if _has_content(_beside(path, "-wal")):
        _examine_with_log(path)
        return
    with closing(_read_only(path, "&immutable=1")) as connection:
        _check_kind(path, connection)
        _check_size(path, size, connection)
        _check_whole(path, connection)


def _examine_with_log(path: Path) -> None:
    """The same after a crash: the newest pages are in the log only, and the file by itself may look cut short."""
    index = _beside(path, "-shm")
    had_index = index.exists()
    try:
        with closing(_read_only(path, "")) as connection:
            _check_kind(path, connection)
            _check_whole(path, connection)
    finally:
        if not had_index:
            index.unlink(missing_ok=True)


def _read_only(path: Path, more: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=ro{more}", uri=True, isolation_level=None)


def _check_kind(path: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        # SQLite takes what a file is too short for as zeros.
        _check_size(path, path.stat().st_size, connection)
        raise StorageError(str(path), "is a database of another program, not a waton account; it was left as it is")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(STEPS):
        detail = f"was written by a newer waton (version {version}, this one knows {len(STEPS)}); it was left as it is"
        raise StorageError(str(path), detail)


def _check_size(path: Path, size: int, connection: sqlite3.Connection) -> None:
    """Of a file that has no log."""
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    if size % page:
        raise StorageError(str(path), "is damaged (it ends within a page); it was left as it is")


def _check_whole(path: Path, connection: sqlite3.Connection) -> None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StorageError(str(path), f"is damaged ({verdict}); it was left as it is")


def _create(path: Path) -> None:
    if _has_content(_beside(path, "-wal")):
        # SQLite would replay that log over the new file.
        raise StorageError(
            str(path), "is missing, but its write-ahead log is there; put the file back, or move the log"
        )
    unfinished = _beside(path, ".new")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(connection)
    unfinished.rename(path)
    _sync_directory(path.parent)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=0.5, check_same_thread=False
    )
    try:
        path.chmod(0o600)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # Used keys are deleted so that nobody can read them later: overwrite them, do not just unlink them.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        migrate(connection)
        # The header of the main file must name the version, for that is what a look from outside reads.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except BaseException:
        connection.close()
        raise
    return connection


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
