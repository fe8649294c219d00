"""A file that is not an account we can use is refused in clear words, and stays byte for byte what it was."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.infra.accounts import ToldClock, picture
from waton.errors import StorageError
from waton.infra.migrations import APPLICATION_ID
from waton.infra.storage_file import open_account
from waton.infra.storage_sqlite import SqliteStore
from waton.ports import RecordKind


@pytest.fixture
async def account(tmp_path: Path) -> Path:
    """A closed account with some hundred records."""
    path = tmp_path / "account" / "account.db"
    store = await SqliteStore.open(path, clock=ToldClock())
    async with store.unit() as unit:
        for number in range(300):
            unit.save(RecordKind.SESSION, f"{number:03}", bytes([number % 256]) * 500)
    await store.close()
    return path


def change(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def write_sqlite(path: Path, *statements: str) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def bump_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "random bytes": (lambda path: path.write_bytes(random.Random(1).randbytes(20_000)), "not a database"),
    "a few random bytes": (lambda path: path.write_bytes(random.Random(1).randbytes(10)), "not a database"),
    "text": (lambda path: path.write_text('{"noiseKey": 1}\n' * 500), "not a database"),
    "emptied": (lambda path: path.write_bytes(b""), "is empty"),
    "cut to half": (lambda path: os.truncate(path, path.stat().st_size // 2), "is damaged"),
    "cut within a page": (lambda path: os.truncate(path, path.stat().st_size - 100), "is damaged"),
    "cut within the header": (lambda path: os.truncate(path, 60), "is damaged|cannot be opened"),
    "header overwritten": (lambda path: change(path, 0, bytes(100)), "not a database"),
    "first page overwritten after its header": (lambda path: change(path, 100, b"\xff" * 3000), "is damaged"),
    "pages overwritten": (lambda path: change(path, 4096 * 5, random.Random(2).randbytes(4096 * 3)), "is damaged"),
    "another program's database": (
        lambda path: write_sqlite(path, "CREATE TABLE cookies (x)", "PRAGMA user_version = 1"),
        "another program",
    ),
    "another program's database with a log": (
        lambda path: write_sqlite(path, "PRAGMA journal_mode = WAL", "CREATE TABLE cookies (x)"),
        "another program",
    ),
    "an empty database": (lambda path: write_sqlite(path, "PRAGMA user_version = 1"), "another program"),
    "a newer waton's": (bump_version, "newer waton .version 99"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_bad_file_is_refused_and_left_as_it_is(account: Path, damage: str) -> None:
    make, sentence = DAMAGES[damage]
    make(account)
    before = picture(account.parent)
    for _ in range(2):
        with pytest.raises(StorageError, match=sentence) as caught:
            await SqliteStore.open(account, clock=ToldClock())
        assert caught.value.key == str(account)
        assert picture(account.parent) == before


async def test_a_directory_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "account.db").mkdir()
    with pytest.raises(StorageError, match="cannot be opened"):
        await SqliteStore.open(tmp_path / "account.db", clock=ToldClock())
    assert os.listdir(tmp_path) == ["account.db"]


async def test_a_place_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="directory cannot be made"):
        await SqliteStore.open(tmp_path / "file" / "account.db", clock=ToldClock())


def copied_alive(account: Path, place: Path, *statements: str) -> Path:
    """The account as a killed process leaves it: its last changes in the write-ahead log only."""
    with closing(sqlite3.connect(account, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        for statement in statements:
            connection.execute(statement)
        place.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(f"{account}{suffix}", place / f"account.db{suffix}")
    return place / "account.db"


def copy_first_page(source: Path, target: Path) -> None:
    change(target, 0, source.read_bytes()[:4096])


async def test_a_log_left_by_a_crash_is_read(account: Path, tmp_path: Path) -> None:
    crashed = copied_alive(account, tmp_path / "crashed", "UPDATE record SET value = x'01' WHERE key = '007'")
    store = await SqliteStore.open(crashed, clock=ToldClock())
    assert await store.load(RecordKind.SESSION, "007") == b"\x01"
    await store.close()


async def test_a_log_that_makes_the_file_newer_is_left_as_it_is(account: Path, tmp_path: Path) -> None:
    crashed = copied_alive(account, tmp_path / "crashed", "PRAGMA user_version = 99")
    before = picture(crashed.parent)
    assert len(before) == 2
    with pytest.raises(StorageError, match="newer waton"):
        await SqliteStore.open(crashed, clock=ToldClock())
    assert picture(crashed.parent) == before


async def test_damage_beside_a_log_is_found_and_left_as_it_is(account: Path, tmp_path: Path) -> None:
    crashed = copied_alive(account, tmp_path / "crashed", "UPDATE record SET value = x'01' WHERE key = '007'")
    change(crashed, 4096 * 5, random.Random(2).randbytes(4096 * 30))
    before = picture(crashed.parent)
    with pytest.raises(StorageError, match="is damaged"):
        await SqliteStore.open(crashed, clock=ToldClock())
    assert picture(crashed.parent) == before


async def test_a_checkpoint_that_was_cut_short_is_no_damage(account: Path, tmp_path: Path) -> None:
    """Killed after the first page was copied back: its header promises pages that only the log has."""
    statement = "INSERT INTO record (kind, key, value) SELECT 'setting', key, zeroblob(3000) FROM record"
    crashed = copied_alive(account, tmp_path / "crashed", statement)
    with closing(sqlite3.connect(account, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy_first_page(account, crashed)
    store = await SqliteStore.open(crashed, clock=ToldClock())
    assert len(await store.keys(RecordKind.SETTING)) == 300
    await store.close()


async def test_a_missing_file_with_its_log_still_there_is_refused(account: Path, tmp_path: Path) -> None:
    """SQLite would replay the old log over a new file."""
    crashed = copied_alive(account, tmp_path / "crashed", "UPDATE record SET value = x'01'")
    crashed.unlink()
    before = picture(crashed.parent)
    with pytest.raises(StorageError, match="is missing, but its write-ahead log is there"):
        await SqliteStore.open(crashed, clock=ToldClock())
    assert picture(crashed.parent) == before


def test_a_creation_that_was_cut_short_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "account.db.new").write_bytes(b"half")
    with closing(open_account(tmp_path / "account.db")) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert [path.name for path in tmp_path.iterdir()] == ["account.db"]
