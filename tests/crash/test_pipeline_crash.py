"""kill -9 anywhere between a frame and its handler: nothing is lost, nothing is kept twice, and only a prefix is there.

The test is the server: it delivers what was not acknowledged, and looks at the file between two lives.
"""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.crash.pipeline_worker import CHATS, MOMENTS, chat_of
from waton.infra.clock import SystemClock
from waton.infra.storage_sqlite import SqliteStore
from waton.ports import RecordKind

ROOT = Path(__file__).parents[2]
MESSAGES = 60
pytestmark = pytest.mark.crash


@dataclass
class Life:
    """What a worker said before it ended."""

    sealed: list[int] = field(default_factory=list[int])
    acked: list[int] = field(default_factory=list[int])
    told: list[tuple[int, bool]] = field(default_factory=list[tuple[int, bool]])
    is_done: bool = False

    def hear(self, line: str) -> None:
        match line.split():
            case ["sealed", number]:
                self.sealed.append(int(number))
            case ["acked", number]:
                self.acked.append(int(number))
            case ["told", number, again]:
                self.told.append((int(number), again == "1"))
            case ["done"]:
                self.is_done = True
            case _:
                raise AssertionError(line)


class Server:
    """Delivers MESSAGES messages to one worker after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left = list(range(1, MESSAGES + 1))
        self.kept: set[int] = set()
        """What was on the disk after the last life."""
        self.lives: list[Life] = []

    def start(self, moment: str = "never", count: int = 0) -> subprocess.Popen[str]:
        worker = (sys.executable, "-m", "tests.crash.pipeline_worker")
        command = [*worker, str(self.path), moment, str(count), *map(str, self.left)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    async def live(self, moment: str = "never", count: int = 0, *, kill_after: int | None = None) -> Life:
        """One life, and a look at what it left."""
        life = Life()
        with self.start(moment, count) as worker:
            assert worker.stdout is not None
            for number, line in enumerate(worker.stdout):
                life.hear(line)
                if number == kill_after:
                    worker.kill()
        assert worker.returncode in (0, -signal.SIGKILL)
        assert life.is_done == (worker.returncode == 0)
        self.left = [number for number in self.left if number not in life.acked]
        self.lives.append(life)
        await self.check(life)
        return life

    async def check(self, life: Life) -> None:
        chains, received, pending = await self._read()
        new = [number for number in life.sealed if number not in self.kept]
        # The last one sealed may not have said so.
        assert received >= self.kept
        arrived = received - self.kept
        unsaid = arrived - set(new)
        assert len(unsaid) <= 1
        assert arrived - unsaid == set(new[: len(arrived - unsaid)]), "a prefix of what was sealed, and no hole"
        assert not unsaid or len(arrived) == len(new) + 1
        assert set(life.acked) <= received, "acknowledged and not kept"
        assert {number for number, _ in life.told} <= received, "told and not kept"
        for place in range(CHATS):
            kept = [number for number in sorted(received) if number % CHATS == place]
            assert chains.get(str(chat_of(place)), []) == kept, "each once, in order, in one piece with the others"
        told = {number for life in self.lives for number, _ in life.told}
        assert received <= told | pending, "kept and never to be told"
        assert pending <= received
        self.kept = received
        check_file(self.path, received)

    async def _read(self) -> tuple[dict[str, list[int]], set[int], set[int]]:
        """Each chat's chain, what was received, and whose event is in the outbox."""
        copy = self.path.parent.with_name("look") / "account.db"
        copy.parent.mkdir()
        for file in self.path.parent.glob("account.db*"):
            shutil.copy(file, copy.parent)
        store = await SqliteStore.open(copy, clock=SystemClock())
        chains = {
            chat: [int(number) for number in chain.split()]
            for chat, chain in (await store.load_prefix(RecordKind.SESSION, "")).items()
        }
        received = {int(number) for number in await store.keys(RecordKind.RECEIVED)}
        pending = [event.payload for event in await store.pending_events()]
        await store.close()
        shutil.rmtree(copy.parent)
        ids = [int(payload.split(b'"key"')[1].split(b'"')[3]) for payload in pending]
        assert len(ids) == len(set(ids))
        return chains, received, set(ids)

    def check_end(self) -> None:
        """After the last life: everything is kept and told, nothing twice without its mark."""
        assert self.left == []
        assert self.kept == set(range(1, MESSAGES + 1))
        told = [event for life in self.lives for event in life.told]
        assert {number for number, _ in told} == self.kept
        first_hand = [number for number, again in told if not again]
        assert len(first_hand) == len(set(first_hand)), "told twice without the mark"
        seen: set[int] = set()
        for place in range(CHATS):
            first = [
                number for number, _ in told if number % CHATS == place and not (number in seen or seen.add(number))
            ]
            assert first == sorted(first), "in the order of the chat"


def check_file(path: Path, received: set[int]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        [(named,)] = connection.execute("SELECT count(*) FROM transition").fetchall()
        orphans = connection.execute(
            "SELECT 1 FROM transition WHERE number NOT IN (SELECT number FROM unit)"
        ).fetchall()
    assert named == len(received)
    assert orphans == []


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("count", [1, 5])
async def test_killed_at_every_step_from_the_seal_to_the_outbox(tmp_path: Path, moment: str, count: int) -> None:
    server = Server(tmp_path / "account" / "account.db")
    life = await server.live(moment, count)
    assert not life.is_done
    match moment, count:
        case "seal", 1:
            assert not server.kept, "sealed is not written"
        case "commit", 1:
            assert server.kept
            assert life.acked == [], "written, and nobody knows"
        case "ack" | "acked", _:
            assert len(life.acked) == (count if moment == "acked" else count - 1)
            assert count > 1 or life.told == []
        case "tell" | "told", _:
            assert len(life.told) <= (count if moment == "told" else count - 1)
        case _:
            pass
    last = await server.live()
    server.check_end()
    if moment in ("tell", "told", "handled") and count == 1:
        assert any(again for _, again in last.told), "what was not handled is told again, marked"


@pytest.mark.parametrize("count", [1, 2, 4, 7, 11, 30])
async def test_killed_before_each_statement_of_a_group(tmp_path: Path, count: int) -> None:
    server = Server(tmp_path / "account" / "account.db")
    assert not (await server.live("statement", count)).is_done
    assert (await server.live()).is_done
    server.check_end()


@pytest.mark.parametrize("seed", range(6))
async def test_killed_within_a_group_commit(tmp_path: Path, seed: int) -> None:
    server = Server(tmp_path / "account" / "account.db")
    assert not (await server.live("opcode", random.Random(seed).randint(1, 6000))).is_done
    assert (await server.live()).is_done
    server.check_end()


async def test_killed_again_and_again_at_any_moment(tmp_path: Path) -> None:
    server = Server(tmp_path / "account" / "account.db")
    dice = random.Random(26)
    for _ in range(12):
        if dice.random() < 0.5:
            await server.live(kill_after=dice.randint(0, 25))
        else:
            await server.live(dice.choice([*MOMENTS, "statement", "opcode"]), dice.randint(1, 12))
    assert (await server.live()).is_done
    server.check_end()
