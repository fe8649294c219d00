"""The lab's database: steps commit or vanish whole, actions wait for the commit, files are private and checked."""

import sqlite3
import stat
from pathlib import Path

import pytest

from waton.errors import StorageError
from waton.lab.database import Database


@pytest.fixture
def database() -> Database:
    return Database(None)


def settings(database: Database) -> dict[object, object]:
    return dict(database.rows("SELECT key, value FROM setting"))  # pyright: ignore[reportArgumentType]


def test_a_step_that_raises_leaves_nothing_and_does_nothing(database: Database) -> None:
    done: list[str] = []

    def broken() -> None:
        with database.step():
            database.write("INSERT INTO setting VALUES ('a', x'01')")
            database.after(lambda: done.append("a"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert settings(database) == {}
    database.after(lambda: done.append("b"))
    assert done == ["b"]


def test_an_inner_step_is_part_of_the_outer_one(database: Database) -> None:
    def broken() -> None:
        with database.step():
            with database.step():
                database.write("INSERT INTO setting VALUES ('a', x'01')")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert settings(database) == {}


def test_actions_run_in_order_after_the_commit_and_never_nested(database: Database) -> None:
    done: list[str] = []

    def first() -> None:
        assert settings(database) == {"a": b"\x01"}
        with database.step():
            database.write("INSERT INTO setting VALUES ('b', x'02')")
            database.after(lambda: done.append("third"))
        done.append("first")

    with database.step():
        database.write("INSERT INTO setting VALUES ('a', x'01')")
        database.after(first)
        database.after(lambda: done.append("second"))
        assert done == []
    assert done == ["first", "second", "third"]


def test_an_action_that_raises_does_not_hold_up_the_later_ones(database: Database) -> None:
    done: list[str] = []

    def bad() -> None:
        raise RuntimeError

    def act() -> None:
        with database.step():
            database.after(bad)
            database.after(lambda: done.append("later"))

    with pytest.raises(RuntimeError):
        act()
    database.after(lambda: done.append("next"))
    assert done == ["later", "next"]


def test_the_file_is_private_and_keeps_what_was_committed(tmp_path: Path) -> None:
    database = Database(tmp_path / "lab")
    database.write("INSERT INTO setting VALUES ('a', x'01')")
    database.close()
    path = tmp_path / "lab" / "lab.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    again = Database(tmp_path / "lab")
    assert settings(again) == {"a": b"\x01"}
    again.close()


def test_two_labs_cannot_share_a_file(tmp_path: Path) -> None:
    first = Database(tmp_path)
    with pytest.raises(StorageError, match="in use"):
        Database(tmp_path)
    first.write("INSERT INTO setting VALUES ('a', x'01')")
    first.close()


def test_a_file_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    foreign = sqlite3.connect(tmp_path / "lab.db")
    foreign.execute("CREATE TABLE theirs (x)")
    foreign.commit()
    foreign.close()
    before = (tmp_path / "lab.db").read_bytes()
    with pytest.raises(StorageError, match="not a lab's"):
        Database(tmp_path)
    assert (tmp_path / "lab.db").read_bytes() == before


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab.db").write_bytes(b"not a database, " * 100)
    with pytest.raises(StorageError, match="not a lab's"):
        Database(tmp_path)


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    Database(tmp_path).close()
    newer = sqlite3.connect(tmp_path / "lab.db")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StorageError, match="newer"):
        Database(tmp_path)
