"""The shape of `account.db`, as numbered steps; each runs once, in a transaction of its own.

A file's `user_version` says how many steps it has had. Steps are only ever appended: one that was released is never
edited, for files that have had it will not have it again. A file with more steps than this list is from a newer waton
and is refused before anything is written to it (storage_file.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

APPLICATION_ID: Final = 0x5741544E
"""`WATN`; what `file` and this package recognise an account by."""

STEPS: Final[Sequence[Sequence[str]]] = (
    (
        # One row per ports.RecordKind and key; values may be large (history chunks), keys are short.
        "CREATE TABLE record (kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key))"
        " WITHOUT ROWID",
        # AUTOINCREMENT: handled events are deleted, and their ids must not come back.
        "CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, payload BLOB NOT NULL,"
        " transition_no INTEGER NOT NULL)",
        # Which units of work committed: what a journal's rows are held against after a crash.
        "CREATE TABLE unit (number INTEGER PRIMARY KEY, at REAL NOT NULL)",
        "CREATE TABLE transition (number INTEGER NOT NULL, machine TEXT NOT NULL, before TEXT NOT NULL,"
        " after TEXT NOT NULL, detail TEXT NOT NULL)",
        "CREATE INDEX transition_by_number ON transition (number)",
    ),
    (
        # Unix seconds after which a record is gone for every reader; NULL for never.
        "ALTER TABLE record ADD COLUMN until REAL",
        "CREATE INDEX record_by_until ON record (until) WHERE until IS NOT NULL",
    ),
)


def migrate(connection: sqlite3.Connection, steps: Sequence[Sequence[str]] = STEPS) -> None:
    """Bring an open file up to date.

    Args:
        connection: in autocommit mode (isolation_level None).
        steps: all steps from the first; those the file has had are passed over.
    Raises:
        sqlite3.Error: a step failed; the file is as it was after the step before.
    """
    (done,) = connection.execute("PRAGMA user_version").fetchone()
    for number in range(done, len(steps)):
        _run_step(connection, number + 1, steps[number])


def _run_step(connection: sqlite3.Connection, number: int, statements: Sequence[str]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
