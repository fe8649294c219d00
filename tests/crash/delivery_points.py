"""The moments at which a client can be made to die, by name, without a word about them in the client.

`Fuse` counts how often a moment is passed and, at the n-th passage of the one it was lit for, writes the moment's name
to the log and kills its own process by SIGKILL: nothing is flushed, closed or unlocked. `watch_client` puts the
moments around the methods that matter, `watch_file` at every SQL statement that changes the account.

A life that is lit for a moment it cannot come to would be no test: NEEDS says what somebody must arrange for it first.
"""

from __future__ import annotations

import inspect
import os
import re
import signal
import sqlite3
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from waton.client import prekeys
from waton.client.account import Account
from waton.client.client import Client
from waton.client.event_pipeline import EventPipeline
from waton.client.groups import Groups, OwnKey
from waton.client.handlers import Handlers, Parcel
from waton.client.keys import Keys
from waton.client.outbox import Outbox
from waton.client.retries import Retries
from waton.client.stream import Stream
from waton.infra import storage_statements
from waton.infra.storage_sqlite import SqliteStore, SqliteUnit
from waton.protocol.binary_node import Node, get_text


class Need(StrEnum):
    """What has to be arranged for a life that is to die at a moment."""

    TALK = "talk"
    """Messages, both ways."""
    FIRST_GROUP_MESSAGE = "first group message"
    """A group that this account has not written to."""
    LOW_PREKEYS = "low prekeys"
    """The server has few prekeys left."""
    UNREADABLE = "unreadable"
    """A message that cannot be read at first."""
    UNREADABLE_TWICE = "unreadable twice"
    """One whose resend cannot be read either: only then our own keys go along with the request."""
    UNREAD_BY_PEER = "unread by peer"
    """A message of ours that its reader cannot read, and asks for again."""


_T = Need.TALK
NEEDS: dict[str, Need] = {
    # The order is that in which a short run goes through them.
    "prekeys stored": Need.LOW_PREKEYS,
    "prekeys written": Need.LOW_PREKEYS,
    "prekeys answered": Need.LOW_PREKEYS,
    "group key made": Need.FIRST_GROUP_MESSAGE,
    "sealed": _T,
    "sql commit": _T,
    "committed": _T,
    "durable": _T,
    "acknowledged": _T,
    "handling": _T,
    "told": _T,
    "outbox writing": _T,
    "message written": _T,
    "outbox acked": _T,
    "settled": _T,
    "retry written": Need.UNREADABLE,
    "own bundle made": Need.UNREADABLE_TWICE,
    "retry answered": Need.UNREAD_BY_PEER,
    "outbox opening": _T,
    "sql record outbox": _T,
    "sql record sender_key": _T,
    "sql event": _T,
    "receipt written": _T,
    "handled": _T,
    "sql handled": _T,
    # From here on only whole runs come along.
    "sealing": _T,
    "sql begin": _T,
    "sql unit": _T,
    "sql record session": _T,
    "sql record received": _T,
    "sql record sent_message": _T,
    "sql record credentials": Need.LOW_PREKEYS,
    "sql record prekey": Need.LOW_PREKEYS,
    "sql record retry": Need.UNREADABLE,
    "sql record placeholder": Need.UNREADABLE,
    "sql forget outbox": _T,
    "sql forget prekey": Need.UNREADABLE,
    "sql forget retry": Need.UNREADABLE,
    "sql sweep": _T,
    "sql transition": _T,
    "acknowledging": _T,
    "ack writing": _T,
    "ack written": _T,
    "receipt writing": _T,
    "emitting": _T,
    "finished": _T,
    "telling": _T,
    "handled noted": _T,
    "outbox put": _T,
    "message writing": _T,
    "outbox written": _T,
    "settling": _T,
    "outbox done": _T,
    "retry writing": Need.UNREADABLE,
    "retry answering": Need.UNREAD_BY_PEER,
    "resend written": Need.UNREAD_BY_PEER,
    "logging in": _T,
    "outbox opened": _T,
    "logged in": _T,
}
"""Every moment, and what it needs."""
ONCE = frozenset({"logging in", "logged in", "outbox opening", "outbox opened", "sql sweep"})
"""Those that come once in a life."""


class Fuse:
    """Kills its own process at the count-th passage of one moment.

    Args:
        moment: one of NEEDS; "" is never passed.
        count: from 1.
        dying: called with the moment right before; must have written it down when it returns.
    """

    def __init__(self, moment: str, count: int, dying: Callable[[str], None]) -> None:
        if moment and moment not in NEEDS:
            raise ValueError(f"no such moment: {moment}")
        self._moment = moment
        self._left = count
        self._dying = dying

    def passes(self, moment: str) -> None:
        """A moment has come. Called on the loop's thread and on the file's."""
        if not moment or moment != self._moment:
            return
        self._left -= 1
        if self._left == 0:
            self._dying(moment)
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()  # on another thread the signal may take a moment


Name = str | Callable[..., str]
"""A moment, or what finds it from the arguments; "" is none."""


def _around(fuse: Fuse, owner: Any, method: str, before: Name = "", after: Name = "") -> None:
    """Pass moments before and after a function or method, which stays what it was otherwise."""
    original = getattr(owner, method)

    def passes(name: Name, args: tuple[Any, ...]) -> None:
        moment = name if isinstance(name, str) else name(*args)
        if moment:
            fuse.passes(moment)

    async def slowly(*args: Any, **named: Any) -> Any:
        passes(before, args)
        result = await original(*args, **named)
        passes(after, args)
        return result

    def quickly(*args: Any, **named: Any) -> Any:
        passes(before, args)
        result = original(*args, **named)
        passes(after, args)
        return result

    setattr(owner, method, slowly if inspect.iscoroutinefunction(original) else quickly)


def watch_client(fuse: Fuse) -> None:
    """Put moments around the client's methods, in this process, for good."""
    _around(fuse, SqliteUnit, "seal", "sealing", "sealed")
    _around(fuse, EventPipeline, "_finish", "durable", "finished")
    _around(fuse, EventPipeline, "_acknowledge", _if_any("acknowledging"), _if_any("acknowledged"))
    _around(fuse, Handlers, "put", _if_durable("emitting"))
    _around(fuse, EventPipeline, "_mark_handled", "handled", "handled noted")
    _around(fuse, Outbox, "put", after="outbox put")
    _around(fuse, Outbox, "write", "outbox writing", "outbox written")
    _around(fuse, Outbox, "on_ack", "outbox acked", "outbox done")
    _around(fuse, Outbox, "open", "outbox opening", "outbox opened")
    _around(fuse, Client, "_settle", "settling", "settled")
    _around(fuse, Stream, "send", _writing("writing"), _writing("written"))
    _around(fuse, Account, "login", "logging in", "logged in")
    _around(fuse, Keys, "_upload", "prekeys stored")
    _around(fuse, prekeys, "uploaded", "prekeys answered")
    _around(fuse, Keys, "own_bundle", after="own bundle made")
    _watch_group_keys(fuse)
    _around(fuse, Retries, "_answer", "retry answering", "retry answered")


def _watch_group_keys(fuse: Fuse) -> None:
    original = Groups.own_key

    async def own_key(self: Groups, *args: Any) -> OwnKey:
        key = await original(self, *args)
        if not key.holders.devices:
            fuse.passes("group key made")
        return key

    Groups.own_key = own_key  # pyright: ignore[reportAttributeAccessIssue]


def _if_any(moment: str) -> Name:
    def name(pipeline: EventPipeline, acks: list[Node], *rest: object) -> str:
        return moment if acks else ""

    return name


def _if_durable(moment: str) -> Name:
    def name(handlers: Handlers, lane: str, parcel: Parcel) -> str:
        return moment if parcel.id is not None else ""

    return name


def _writing(when: str) -> Name:
    def name(stream: Stream, node: Node, *rest: object) -> str:
        kind = _kind_of(node)
        return f"{kind} {when}" if f"{kind} {when}" in NEEDS else ""

    return name


def _kind_of(node: Node) -> str:
    """What a stanza is called in the moments; "" for those that have none."""
    match node.tag:
        case "receipt":
            return "retry" if get_text(node, "type") == "retry" else "receipt"
        case "iq":
            is_upload = get_text(node, "xmlns") == "encrypt" and node.child("list") is not None
            return "prekeys" if is_upload and get_text(node, "type") == "set" else ""
        case "message":
            return "resend" if any("count" in enc.attrs for enc in node.children("enc")) else "message"
        case tag:
            return tag


# --- the file ---------------------------------------------------------------------------------------------------------

_RECORD = re.compile(r"(INSERT OR REPLACE INTO record VALUES \(|DELETE FROM record WHERE kind = )'(\w+)'")
_STATEMENTS = (
    ("BEGIN", "sql begin"),
    ("COMMIT", "sql commit"),
    ("INSERT INTO unit", "sql unit"),
    ("INSERT INTO event", "sql event"),
    ("INSERT INTO transition", "sql transition"),
    ("DELETE FROM event", "sql handled"),
    ("DELETE FROM record WHERE (kind, key) IN", "sql sweep"),
)


def moment_of(statement: str) -> str:
    """The moment before an SQL statement with its values in place; "" for one that changes nothing."""
    if match := _RECORD.match(statement):
        return f"sql {'record' if statement.startswith('INSERT') else 'forget'} {match[2]}"
    return next((moment for start, moment in _STATEMENTS if statement.startswith(start)), "")


async def watch_file(fuse: Fuse, store: SqliteStore) -> None:
    """Pass a moment before every statement of a commit, and after it. Statements are seen with their values."""

    def watch(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(lambda statement: fuse.passes(moment_of(statement)))

    await store._run(watch)
    _around(fuse, storage_statements, "write", after="committed")
