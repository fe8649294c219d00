"""Locks by name: one conversation's steps wait for each other, different conversations do not.

Many names are taken in sorted order, so that two takers can never wait for each other in a circle. A name's lock exists
only while somebody holds or awaits it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self


class KeyedLocks:
    """A family of asyncio locks."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        """With how many hold or await each."""

    def hold(self, names: Iterable[str]) -> Held:
        """Hold all the named locks, for `async with`."""
        wanted = frozenset(names)

        async def same() -> frozenset[str]:
            return wanted

        return Held(self, same)

    def hold_by(self, names: Callable[[], Awaitable[frozenset[str]]]) -> Held:
        """The same, where the names may change while somebody waits: then the wait begins anew with the new ones."""
        return Held(self, names)

    async def acquire(self, name: str) -> bool:
        """Take one lock; whether somebody else had it."""
        lock, users = self._locks.get(name) or (asyncio.Lock(), 0)
        self._locks[name] = (lock, users + 1)
        try:
            await lock.acquire()
        except BaseException:
            self._leave(name)
            raise
        return users > 0

    def release(self, name: str) -> None:
        """Give one lock back."""
        self._locks[name][0].release()
        self._leave(name)

    def _leave(self, name: str) -> None:
        lock, users = self._locks[name]
        if users == 1:
            del self._locks[name]
        else:
            self._locks[name] = (lock, users - 1)


class Held:
    """Locks that are held while its block lasts. Made by KeyedLocks."""

    __slots__ = ("_locks", "_names", "_taken")

    def __init__(self, locks: KeyedLocks, names: Callable[[], Awaitable[frozenset[str]]]) -> None:
        self._locks = locks
        self._names = names
        self._taken: list[str] = []

    async def __aenter__(self) -> Self:
        try:
            while True:
                names = await self._names()
                # Where nobody was waited for nothing has run since, and the names are what they were.
                if not await self.take(names) or await self._names() <= names:
                    return self
                self._release()
        except BaseException:
            self._release()
            raise

    async def take(self, names: Iterable[str]) -> bool:
        """Hold these as well until the block ends; whether anybody was waited for.

        In the block, only names that nobody takes who then waits for one of those held.
        """
        waited = False
        for name in sorted(names):
            waited |= await self._locks.acquire(name)
            self._taken.append(name)
        return waited

    def _release(self) -> None:
        while self._taken:
            self._locks.release(self._taken.pop())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._release()
