"""One holder per account: an exclusive lock of the operating system on a file beside the account's.

Two processes that advance one ratchet would both be right and the account would be ruined, so the second is refused.
The kernel drops the lock when its holder ends, however it ends (`kill -9` too), so there is no stale lock to clean up;
the file itself stays, and holds the holder's process id only to name it. The lock belongs to the open file, not to the
process: a second open in the same process is refused as well.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from waton.errors import StorageError


class AccountLock:
    """A held lock. Made by `take`; held until `release` or the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, account: Path) -> AccountLock:
        """Lock an account file, which need not exist yet; its directory must.

        Raises:
            StorageError: somebody holds it (the sentence says who, if that is known), or the file system has no locks.
        """
        path = account.with_suffix(".lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StorageError(str(account), f"its lock file cannot be opened: {error.strerror}") from error
        try:
            _lock(descriptor, account)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        """Let go. May be called twice."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def _lock(descriptor: int, account: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageError(str(account), _holder(os.pread(descriptor, 32, 0))) from None
    except OSError as error:
        raise StorageError(str(account), f"it cannot be locked: {error.strerror}") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _holder(text: bytes) -> str:
    if not text.isdigit():
        return "another process holds this account"
    if int(text) == os.getpid():
        return f"this process ({os.getpid()}) holds this account already"
    return f"another process (pid {int(text)}) holds this account"
