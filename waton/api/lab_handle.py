"""The lab behind a thread-safe door: a server with phones, on a thread and event loop of its own.

Everything of the lab itself (its world, its phones) belongs to that thread. What is here hops to it: from a cell, a
widget's callback, another session's thread.
"""

from __future__ import annotations

import atexit
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pandas as pd

from waton.capture.analysis import Analysis
from waton.capture.journal import Journal
from waton.capture.recorder import Recorder
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.infra.loop_thread import LoopThread
from waton.jid import Jid
from waton.lab.faults import TRACE, Fault, Faults
from waton.lab.phone import Phone, PhoneMessage
from waton.lab.phone_groups import GroupCalls
from waton.lab.schedules import Kind, Schedule
from waton.lab.server import Lab
from waton.protocol.binary_node import Node
from waton.protocol.stanza.iq import IqType

T = TypeVar("T")


class PhoneHandle(GroupCalls):
    """One of the lab's phones, a primary device, from any thread. Groups: see GroupCalls."""

    def __init__(self, thread: LoopThread, phone: Phone) -> None:
        self._thread = thread
        self._phone = phone
        self.name: str = phone.name
        """The account's push name."""
        self.pn: Jid = phone.pn
        """The account's phone number."""
        self.lid: Jid = phone.lid
        """The account's LID."""

    def scan_soon(self, qr: str) -> Future[None]:
        """Begin to scan a QR; does not wait. The future says what went wrong, if anything did."""

        async def scan() -> None:
            await self._phone.scan(qr)

        return self._thread.submit(scan())

    async def scan(self, qr: str) -> Jid:
        """Scan a QR and vouch for the device that shows it. Raises PairingError, LabError, Disconnected."""
        return await self._thread.wait(self._phone.scan(qr))

    async def enter_code(self, code: str) -> Jid:
        """Type the pairing code that a device shows. Raises PairingError, LabError, Disconnected."""
        return await self._thread.wait(self._phone.enter_code(code))

    async def send_text(self, to: Jid | str, text: str) -> str:
        """Send a text to an account or a group of this lab; returns the message's id. Raises LabError."""
        return await self._thread.wait(self._phone.send_text(to, text))

    async def ask(self, xmlns: str, type: IqType, content: list[Node], to: Jid) -> Node:
        """Ask the service something, as this phone; its answer. Raises LabError when it is offline, IqError."""
        return await self._thread.wait(self._phone.ask(xmlns, type, content, to))

    async def new_id(self) -> str:
        """A message id of this phone's that was not used yet."""
        return await self._thread.wait(self._phone.new_id())

    async def register_anew(self) -> None:
        """Install the app anew: new keys, no companions. Everybody who looks at the account's devices is told."""

        async def register() -> None:
            self._phone.register_anew()

        await self._thread.wait(register())

    async def lose_sessions(self) -> None:
        """Restore an old backup: the same identity, no session, no sender key. It has to ask again for what comes."""

        async def lose() -> None:
            self._phone.lose_sessions()

        await self._thread.wait(lose())

    async def next_message(self, timeout: float = 10.0) -> PhoneMessage:
        """The next message from somebody else that was not asked for yet. Raises TimeoutError."""
        return await self._thread.wait(self._phone.next_message(timeout))

    @property
    def messages(self) -> list[PhoneMessage]:
        """Everything sent and received on this account, oldest first."""

        async def read() -> list[PhoneMessage]:
            return list(self._phone.messages)

        return self._thread.run(read())

    def reply_with(self, replies: Callable[[str], str | None] | None) -> None:
        """Answer each text it gets with what `replies` returns; None stops that, and so does an answer of None."""

        async def change() -> None:
            self._phone.reply_with = replies

        self._thread.run(change())

    def __repr__(self) -> str:
        return f"<PhoneHandle {self.name}>"


class FaultsHandle:
    """A lab's misbehaviour, from any thread; what it means is told in waton.lab.lines.

    lab.faults.schedule("drop=1%,delay=5-40ms,seed=7");  lab.faults.table();  lab.faults.calm()
    """

    def __init__(self, thread: LoopThread, faults: Faults, table: Callable[[], pd.DataFrame]) -> None:
        self._thread = thread
        self._faults = faults
        self._table = table

    def _do(self, act: Callable[[], T]) -> T:
        async def work() -> T:
            return act()

        return self._thread.run(work())

    def schedule(self, schedule: Schedule | str) -> Schedule:
        """Follow a schedule, or the text of one, from now on. Raises LabError, which names the part that is wrong."""
        return self._do(lambda: self._faults.schedule(schedule))

    def profile(self, name: str, seed: int = 0) -> Schedule:
        """Follow a named mix: slow, flaky, lossy, forgetful, restarts, hostile. Raises LabError."""
        return self._do(lambda: self._faults.profile(name, seed))

    def calm(self) -> None:
        """Behave from now on; connections that have lost something are closed."""
        self._do(self._faults.calm)

    def next(self, fault: Fault, connections: int = 1) -> None:
        """Arm a single fault for so many connections to come."""
        self._do(lambda: self._faults.next(fault, connections))

    @property
    def running(self) -> Schedule | None:
        """The schedule under way; None while the lab behaves."""
        return self._do(lambda: self._faults.running)

    @property
    def is_over(self) -> bool:
        """Nothing will happen any more: there is no schedule, or its bounds are reached."""
        return self._do(lambda: self._faults.is_over)

    @property
    def injected(self) -> Counter[Kind]:
        """How often each kind has happened in this lab."""
        return self._do(lambda: Counter(self._faults.injected))

    def table(self) -> pd.DataFrame:
        """Every fault of a schedule so far: time, connection, kind, way, tag, id, seconds, code, cause, seq, run.

        `cause` is the seq of the trace of the stanza that was struck.
        """
        return self._table()

    def __repr__(self) -> str:
        return f"<FaultsHandle {self._faults.running or 'calm'}>"


class LabHandle:
    """A running lab. Made by `waton.start_lab()`."""

    def __init__(self, directory: Path, *, port: int, tls: bool, forget: Callable[[LabHandle], None]) -> None:
        self.path = directory
        self._forget = forget
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with ExitStack() as undo:
            self._thread = LoopThread(f"waton-lab-{directory.name}")
            undo.callback(self._thread.stop)
            self._recorder = Recorder(Journal.open(directory / "journal.db"), client="lab", vantage="lab")
            undo.callback(self._recorder.close)
            self._analysis = Analysis(directory / "journal.db")
            self._lab = self._thread.run(self._open(port, tls))
            undo.pop_all()
        self.faults = FaultsHandle(self._thread, self._lab.faults, self._fault_table)
        """What goes wrong on request."""
        atexit.register(self.stop)

    async def _open(self, port: int, tls: bool) -> Lab:
        return await Lab.start(
            state=self.path, port=port, tls=tls, clock=SystemClock(), entropy=SystemEntropy(), sink=self._recorder
        )

    @property
    def is_running(self) -> bool:
        return self._thread.is_running

    @property
    def lab(self) -> Lab:
        """The lab itself; only for code that runs on its own loop (`submit`)."""
        return self._lab

    @property
    def url(self) -> str:
        """Where clients connect: ws://127.0.0.1:PORT/ws/chat."""
        return self._lab.url

    @property
    def wss_url(self) -> str | None:
        """The same over TLS, when asked for."""
        return self._lab.wss_url

    @property
    def root(self) -> bytes:
        """32 bytes: the public root of this lab's certificates."""
        return self._lab.root

    @property
    def phones(self) -> list[PhoneHandle]:
        """All phones; the first is the default one, which scans."""

        async def read() -> list[PhoneHandle]:
            return [PhoneHandle(self._thread, phone) for phone in self._lab.phones]

        return self._thread.run(read())

    @property
    def phone(self) -> PhoneHandle:
        """The default phone."""
        return self.phones[0]

    def contact(self, name: str, *, replies: Callable[[str], str | None] | None = None) -> PhoneHandle:
        """The phone of this name, made when it is new; `replies` answers each text it gets (None: no answer)."""

        async def find() -> PhoneHandle:
            phone = next((phone for phone in self._lab.phones if phone.name == name), None)
            if phone is None:
                phone = await self._lab.add_phone(name)
            phone.reply_with = replies
            return PhoneHandle(self._thread, phone)

        return self._thread.run(find())

    def restart(self, pause: float = 0.1) -> None:
        """Drop every connection and be gone for `pause` seconds; ports, world and phones stay. Raises OSError."""
        self._thread.run(self._lab.restart(pause))

    def _fault_table(self) -> pd.DataFrame:
        return self.analysis.sql(
            "SELECT time, connection, kind, detail ->> '$.way' AS way, detail ->> '$.tag' AS tag, id,"
            " CAST(detail ->> '$.seconds' AS DOUBLE) AS seconds, detail ->> '$.code' AS code, parent AS cause, seq, run"
            f" FROM trace WHERE layer = 'state' AND name = '{TRACE}' ORDER BY run, seq"
        )

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """The one door: run a coroutine on the lab's loop, from any thread."""
        return self._thread.submit(work)

    def nodes(self, *, xml: bool = False) -> pd.DataFrame:
        """Every stanza the lab saw, from its own side."""
        return self.analysis.nodes(xml=xml)

    def transitions(self) -> pd.DataFrame:
        """Every state transition of the lab."""
        return self.analysis.transitions()

    @property
    def analysis(self) -> Analysis:
        """Questions to the lab's journal; flushes what is recorded first."""
        if self.is_running:
            self._recorder.flush()
        return self._analysis

    def stop(self) -> None:
        """Close the lab; its world stays on disk. May be called twice."""
        if self._thread.is_running:
            with suppress(RuntimeError):  # the interpreter is ending and the thread is gone already
                self._thread.run(self._lab.stop())
            self._thread.stop()
            self._recorder.close()
            atexit.unregister(self.stop)
        self._forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<LabHandle {self.url}>"
