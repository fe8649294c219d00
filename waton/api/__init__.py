"""The one room that wires rooms together: what people call.

    async with waton.connect("lab") as session: ...      a client, on a thread and event loop of its own
    lab = waton.start_lab()                              a server with phones, on another thread

Both are found again by name or path: asking twice gives the same one while it lives.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from waton.api.lab_handle import LabHandle, PhoneHandle
from waton.api.places import home, place
from waton.api.session import Session, SyncSession
from waton.client.client import ClientConfig

_sessions: dict[Path, Session] = {}
_labs: dict[Path, LabHandle] = {}
_registry = threading.RLock()


def connect(
    target: str | LabHandle = "lab",
    *,
    account: str = "default",
    path: str | os.PathLike[str] | None = None,
    push_name: str = "",
    config: ClientConfig | None = None,
    auto_scan: bool | None = None,
) -> Session:
    """A session for an account; the same one while it lives, however often you ask.

    Use it as `async with waton.connect(...) as session`, as `session = await waton.connect(...)`, or in blocking code
    as `with waton.connect(...) as session`. It begins to connect on entering; a paired account logs in, an unpaired
    one shows QRs (`session.connection.qr`, or the pairing widget).

    Args:
        target: "lab" for the embedded lab (started when needed), a LabHandle, "whatsapp" for the real service
            (unofficial use, at your own risk), or a ws:// or wss:// URL of a server whose certificates chain up to the
            root in `config`.
        account: a name; it chooses the directory.
        path: the directory itself, instead of a name.
        push_name: what others see as our name.
        config: everything else; its url and root are replaced by the target's.
        auto_scan: have the lab's phone scan each QR by itself. None: when the environment says `WATON_SCAN=auto`, as
            runs without a browser do.
    Raises:
        LocalProtocolError: the account is already connected to another target.
    """
    directory = place("accounts", account, path)
    with _registry:
        known = _sessions.get(directory)
        if known is not None and not known.is_over:
            known.check_target(target)
            return known
        scans = os.environ.get("WATON_SCAN") == "auto" if auto_scan is None else auto_scan
        made = Session(
            directory, target, push_name, config, auto_scan=scans, start_lab=start_lab, forget=_forget_session
        )
        _sessions[directory] = made
        return made


def start_lab(
    name: str = "default", *, path: str | os.PathLike[str] | None = None, port: int = 0, tls: bool = False
) -> LabHandle:
    """The lab of this name, running on a thread of its own; the same one while it lives.

    Its world (accounts, phones, paired devices) is kept in its directory, so a restarted kernel finds the same lab.

    Args:
        name: chooses the directory.
        path: the directory itself, instead of a name.
        port: 0 picks a free one. Loopback only.
        tls: also listen for wss, with a throwaway certificate.
    """
    directory = place("labs", name, path)
    with _registry:
        known = _labs.get(directory)
        if known is not None and known.is_running:
            return known
        made = LabHandle(directory, port=port, tls=tls, forget=_forget_lab)
        _labs[directory] = made
        return made


def _forget_session(session: Session) -> None:
    with _registry:
        if _sessions.get(session.path) is session:
            del _sessions[session.path]


def _forget_lab(handle: LabHandle) -> None:
    with _registry:
        if _labs.get(handle.path) is handle:
            del _labs[handle.path]


def enable_nested() -> None:
    """Let blocking calls like `asyncio.run` work inside a running event loop, in this process, from now on.

    Uses nest-asyncio, which patches asyncio and is no longer maintained (archived in 2024; on Python 3.14 it breaks
    `asyncio.current_task`). Nothing in waton needs it: `await` works in cells, and `session.sync` blocks on the
    session's own loop. It is here for code of yours that insists, and never applied unless you call this.
    """
    import nest_asyncio  # pyright: ignore[reportMissingTypeStubs]  it has none

    nest_asyncio.apply()  # pyright: ignore[reportUnknownMemberType]


__all__ = [
    "LabHandle",
    "PhoneHandle",
    "Session",
    "SyncSession",
    "connect",
    "enable_nested",
    "home",
    "start_lab",
]
