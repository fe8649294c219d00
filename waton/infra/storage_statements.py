"""What runs on the thread that owns `account.db`: every statement there is, as functions over an open connection.

Nothing here knows of the event loop. A function is one hop to the thread and at most one transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from waton.infra.record_cache import Entry, KeyFilter, Place
from waton.ports import RecordKind, StoredEvent

SWEEP_ROWS: Final = 128
"""Expired records that one commit takes along."""
_OPENING_ROWS: Final = 5_000
_KEYS_IN_A_QUESTION: Final = 256


@dataclass(slots=True)
class Changes:
    """What one transaction writes; rows are in the shape of their tables."""

    units: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    records: dict[Place, Entry] = field(default_factory=dict[Place, Entry])
    events: list[tuple[int, str, bytes, int]] = field(default_factory=list[tuple[int, str, bytes, int]])
    transitions: list[tuple[int, str, str, str, str]] = field(default_factory=list[tuple[int, str, str, str, str]])
    handled: list[int] = field(default_factory=list[int])
    """Events to delete."""


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def write(changes: Changes, expired_at: float | None, connection: sqlite3.Connection) -> int:
    """Write it all or nothing; it is on the disk when this returns.

    Args:
        changes: what to write.
        expired_at: forget some records whose time was over then; None forgets none.
        connection: the thread's.
    Returns:
        How many expired records were forgotten, SWEEP_ROWS at most.
    """
    with _transaction(connection):
        connection.executemany("INSERT INTO unit VALUES (?, ?)", changes.units)
        _write_records(connection, changes.records)
        connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?)", changes.events)
        connection.executemany("INSERT INTO transition VALUES (?, ?, ?, ?, ?)", changes.transitions)
        if changes.handled:
            question = "DELETE FROM event WHERE id IN (SELECT value FROM json_each(?))"
            connection.execute(question, (json.dumps(changes.handled),))
        return 0 if expired_at is None else _forget_expired(connection, expired_at, SWEEP_ROWS)


def _write_records(connection: sqlite3.Connection, records: dict[Place, Entry]) -> None:
    kept: list[tuple[str, str, bytes, float | None]] = []
    deleted: list[tuple[str, str]] = []
    for place, (value, until) in records.items():
        if value is None:
            deleted.append((place[0].value, place[1]))
        else:
            kept.append((place[0].value, place[1], value, until))
    connection.executemany("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)", kept)
    connection.executemany("DELETE FROM record WHERE kind = ? AND key = ?", deleted)


def _forget_expired(connection: sqlite3.Connection, at: float, limit: int) -> int:
    expired = "SELECT kind, key FROM record WHERE until <= ? ORDER BY until LIMIT ?"
    done = connection.execute(f"DELETE FROM record WHERE (kind, key) IN ({expired})", (at, limit))
    return done.rowcount


def forget_all_expired(at: float, connection: sqlite3.Connection) -> None:
    """Delete every record whose time is over, in transactions of a bounded size."""
    while True:
        with _transaction(connection):
            done = _forget_expired(connection, at, _OPENING_ROWS)
        if done < _OPENING_ROWS:
            return


def read_records(kind: RecordKind, keys: Sequence[str], connection: sqlite3.Connection) -> dict[str, Entry]:
    """Those of the keys that exist, expired ones too."""
    found: dict[str, Entry] = {}
    for start in range(0, len(keys), _KEYS_IN_A_QUESTION):
        some = keys[start : start + _KEYS_IN_A_QUESTION]
        # Few lengths of question, so that each is parsed once: what is too short is filled up with its last key.
        width = 1 << (len(some) - 1).bit_length()
        filled = [kind.value, *some, *(some[-1] for _ in range(width - len(some)))]
        marks = ", ".join("?" * width)
        question = f"SELECT key, value, until FROM record WHERE kind = ? AND key IN ({marks})"
        found.update(_entries(connection.execute(question, filled)))
    return found


def read_prefix(kind: RecordKind, prefix: str, connection: sqlite3.Connection) -> dict[str, Entry]:
    """All records of a kind whose key begins so, expired ones too."""
    return _read_range(connection, "value", kind, prefix)


def read_keys(kind: RecordKind, prefix: str, connection: sqlite3.Connection) -> dict[str, Entry]:
    """The same without the values: each is empty."""
    return _read_range(connection, "x''", kind, prefix)


def _read_range(connection: sqlite3.Connection, value: str, kind: RecordKind, prefix: str) -> dict[str, Entry]:
    question = f"SELECT key, {value}, until FROM record WHERE kind = ? AND key >= ?"
    end = _end_of(prefix)
    if end is None:
        return _entries(connection.execute(question, (kind.value, prefix)))
    return _entries(connection.execute(f"{question} AND key < ?", (kind.value, prefix, end)))


def _entries(rows: Iterable[tuple[str, bytes, float | None]]) -> dict[str, Entry]:
    return {key: (value, until) for key, value, until in rows}


def _end_of(prefix: str) -> str | None:
    """The first text after all that begin with `prefix`, in the order of code points; None when there is no end."""
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)


def read_filter(connection: sqlite3.Connection) -> KeyFilter:
    """All places there are."""
    (count,) = connection.execute("SELECT count(*) FROM record").fetchone()
    made = KeyFilter(count)
    for kind, key in connection.execute("SELECT kind, key FROM record"):
        made.add(kind, key)
    return made


def read_events(connection: sqlite3.Connection) -> list[StoredEvent]:
    """The outbox, oldest first."""
    rows = connection.execute("SELECT id, type, payload, transition_no FROM event ORDER BY id")
    return [StoredEvent(*row) for row in rows]


def read_units(numbers: Sequence[int], connection: sqlite3.Connection) -> set[int]:
    """Those of the units that are remembered as committed."""
    rows = connection.execute(
        "SELECT number FROM unit WHERE number IN (SELECT value FROM json_each(?))", (json.dumps(numbers),)
    )
    return {number for (number,) in rows}


def last_numbers(connection: sqlite3.Connection) -> tuple[int, int]:
    """The highest unit and the highest event there ever was."""
    (unit,) = connection.execute("SELECT coalesce(max(number), 0) FROM unit").fetchone()
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
    return unit, 0 if row is None else row[0]


def forget_units(through: int, connection: sqlite3.Connection) -> None:
    """Remember no unit up to this one singly."""
    with _transaction(connection):
        connection.execute("DELETE FROM unit WHERE number <= ?", (through,))
        connection.execute("DELETE FROM transition WHERE number <= ?", (through,))
