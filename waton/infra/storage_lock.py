"""One holder per account: an exclusive lock of the operating system on a file beside the account's.

Two processes that advance one ratchet would both be right and the account would be ruined, so the second is refused.
The kernel drops the lock when its holder ends, however it ends (`kill -9` too), so a lock file that is left behind
locks nobody out; it holds its maker's process id only to name it. The lock belongs to the open file, not to the
process: a second open in the same process is refused as well.

The holder removes the file before it lets go. Therefore a lock counts only while the file it is on is still the one at
the path; otherwise a newcomer tries again.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from waton.errors import StorageError


class AccountLock:
    """A held lock. Made by `take`; held until `release` or the end of the process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, account: Path) -> AccountLock:
        """Lock an account file, which need not exist yet; its directory must.

        Raises:
            StorageError: somebody holds it (the sentence says who, if that is known), or the file system has no locks.
        """
        path = account.with_suffix(".lock")
        while True:
            descriptor = _open(path, account)
            try:
                _lock(descriptor, account)
                if _is_at(path, descriptor):
                    return cls(path, descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # its holder removed it just now

    def release(self) -> None:
        """Remove the file and let go. May be called twice."""
        if self._descriptor is None:
            return
        if _is_at(self._path, self._descriptor):
            with suppress(OSError):  # a directory that became read-only: the file stays, and locks nobody out
                self._path.unlink()
        os.close(self._descriptor)
        self._descriptor = None


def _open(path: Path, account: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StorageError(str(account), f"its lock file cannot be opened: {error.strerror}") from error


def _lock(descriptor: int, account: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageError(str(account), _holder(os.pread(descriptor, 32, 0))) from None
    except OSError as error:
        raise StorageError(str(account), f"it cannot be locked: {error.strerror}") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _is_at(path: Path, descriptor: int) -> bool:
    """True when the open file is the one at the path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder(text: bytes) -> str:
    if not text.isdigit():
        return "another process holds this account"
    if int(text) == os.getpid():
        return f"this process ({os.getpid()}) holds this account already"
    return f"another process (pid {int(text)}) holds this account"
