"""The lab's database: steps commit or vanish whole, actions wait for the commit, files are private and checked."""

import hashlib
import sqlite3
import stat
from pathlib import Path

import pytest

from waton.errors import StorageError
from waton.lab.database import Database
from waton.lab.schema import STEPS

RELEASED = ("4951fed8f0135cb0",)
"""SHA-256 of the steps that are in files out there, the first 16 hex digits of each."""


@pytest.fixture
def database() -> Database:
    return Database(None)


def settings(database: Database) -> dict[object, object]:
    return {key: value for key, value in database.rows("SELECT key, value FROM setting")}  # noqa: C416


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


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    old = sqlite3.connect(path)
    old.executescript(STEPS[0])
    old.execute("INSERT INTO setting VALUES ('a', x'01')")
    old.execute("INSERT INTO account (id, pn, lid, name, raw_id, identity) VALUES (1, '1', '2', 'Ada', 3, x'04')")
    old.execute("PRAGMA application_id = 0x776C6162")
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    database = Database(tmp_path)
    assert settings(database) == {"a": b"\x01"}
    assert database.count("SELECT count(*) FROM account") == 1
    assert database.count("SELECT count(*) FROM chat_group") == 0
    database.close()
    again = sqlite3.connect(path)
    assert again.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
    again.close()
    Database(tmp_path).close()


def test_a_step_that_was_released_is_what_it_was() -> None:
    # Not a letter of it may change: files that have had it will not have it again.
    assert hashlib.sha256(STEPS[0].strip().encode()).hexdigest()[:16] == RELEASED[0]
