"""Where the lab's world lives: one SQLite file, or memory when nothing need survive.

Everything is written through: what the lab has acknowledged is on disk. A `step` is one transaction; what must happen
after its commit (stanzas to deliver, sockets to close) waits in a queue and runs in order once the outermost step has
committed, so nobody hears of what a crash could undo. Actions may open steps of their own; they never nest in the
stack.

The file holds private keys of the lab's phones: mode 0600.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from waton.errors import StorageError
from waton.lab.schema import STEPS

Value: TypeAlias = "int | str | bytes | None"
_FILE = "lab.db"
_APPLICATION = 0x77_6C_61_62
"""SQLite's application_id: "wlab"."""


class Database:
    """One open lab database; used by one thread."""

    def __init__(self, directory: Path | None) -> None:
        """Open or make `directory`/lab.db. Raises StorageError when it is not a lab's, or in use by another one."""
        self._name = _FILE if directory is not None else "memory"
        path = ":memory:" if directory is None else _private_file(directory)
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=1)
        self._depth = 0
        self._after: deque[Callable[[], None]] = deque()
        self._running = False
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            busy = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
            raise StorageError(self._name, "is in use by another lab" if busy else "is not a lab's database") from error
        except StorageError:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        # One process per lab: two would hand out the same prekey twice.
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        application = self._pragma("application_id")
        if self._pragma("schema_version") and application != _APPLICATION:
            raise StorageError(self._name, "is not a lab's database")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        version = self._pragma("user_version")
        if version > len(STEPS):
            raise StorageError(self._name, f"was written by a newer waton (version {version})")
        self._connection.execute("BEGIN IMMEDIATE")
        for number in range(version, len(STEPS)):
            for statement in STEPS[number].split(";\n"):
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._connection.execute(f"PRAGMA user_version = {number + 1}")
        self._connection.execute("COMMIT")

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._connection.close()

    @contextmanager
    def step(self) -> Generator[None]:
        """One transaction; within another step, part of it. Raising drops its writes and its actions."""
        if self._depth:
            yield
            return
        waiting = len(self._after)
        self._connection.execute("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            while len(self._after) > waiting:
                self._after.pop()
            raise
        else:
            self._connection.execute("COMMIT")
        finally:
            self._depth = 0
        self._run_actions()

    def after(self, action: Callable[[], None]) -> None:
        """Run `action` once the step under way has committed; now, when there is none."""
        self._after.append(action)
        if not self._depth:
            self._run_actions()

    def _run_actions(self) -> None:
        if self._running:
            return
        self._running = True
        try:
            while self._after:
                self._after.popleft()()
        finally:
            self._running = False

    def write(self, sql: str, *values: Value) -> int:
        """Run one statement in a step; returns the number of rows it changed."""
        with self.step():
            return self._connection.execute(sql, values).rowcount

    def insert(self, sql: str, *values: Value) -> int:
        """Run one INSERT in a step; returns its rowid."""
        with self.step():
            return int(self._connection.execute(sql, values).lastrowid or 0)

    def write_many(self, sql: str, rows: Iterable[tuple[Value, ...]]) -> None:
        """Run one statement for each row, in a step."""
        with self.step():
            self._connection.executemany(sql, rows)

    def rows(self, sql: str, *values: Value) -> list[tuple[Value, ...]]:
        """All rows of a question."""
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Value) -> tuple[Value, ...] | None:
        """The first row, None when there is none."""
        return self._connection.execute(sql, values).fetchone()

    def count(self, sql: str, *values: Value) -> int:
        """What a SELECT of one number gives."""
        return int(self._connection.execute(sql, values).fetchone()[0])


def _private_file(directory: Path) -> str:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / _FILE
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    return str(path)
