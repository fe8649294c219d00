"""The lab behind a thread-safe door: a server with phones, on a thread and event loop of its own.

Everything of the lab itself (its world, its phones) belongs to that thread. What is here hops to it: from a cell, a
widget's callback, another session's thread.
"""

from __future__ import annotations

import atexit
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
from waton.lab.phone import Phone, PhoneMessage
from waton.lab.server import Lab

T = TypeVar("T")


class PhoneHandle:
    """One of the lab's phones, a primary device, from any thread."""

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

    async def send_text(self, to: Jid | str, text: str) -> str:
        """Send a text to an account of this lab; returns the message's id. Raises LabError."""
        return await self._thread.wait(self._phone.send_text(to, text))

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
