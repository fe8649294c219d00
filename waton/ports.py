"""What waton asks of the world: clock, dice, wire and disk, as protocols.

The core never touches the world; the drivers (client, lab) get these handed in by `waton.api`. One file per port in
`waton.infra` implements it. Tests hand in their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Unix time in seconds."""
        ...


class Entropy(Protocol):
    """Where randomness comes from."""

    def take(self, count: int) -> bytes:
        """So many fresh random bytes, fit for keys."""
        ...


class Transport(Protocol):
    """A message-preserving duplex wire: one binary WebSocket, or its two ends in memory."""

    async def send(self, data: bytes) -> None:
        """Write one binary message. Raises Disconnected."""
        ...

    async def receive(self) -> bytes:
        """The next binary message. Raises Disconnected when the wire is closed."""
        ...

    async def close(self) -> None:
        """Close; never raises, may be called twice."""
        ...


class Connector(Protocol):
    """Opens a wire to a URL."""

    async def __call__(self, url: str) -> Transport:
        """Raises Disconnected when the server cannot be reached."""
        ...


class RecordKind(StrEnum):
    """The kinds of records an account holds. Each record is bytes under (kind, key)."""

    CREDENTIALS = "credentials"
    """key: "self". Our keys and who we are."""
    SESSION = "session"
    """key: signal address. libsignal's RecordStructure."""
    IDENTITY = "identity"
    """key: signal address. 32-byte identity key, trusted on first use."""
    PREKEY = "prekey"
    """key: decimal id. 32-byte private key of a one-time prekey."""
    SIGNED_PREKEY = "signed_prekey"
    """key: decimal id. 32-byte private key."""
    LID_MAPPING = "lid_mapping"
    """key: PN user or LID user with @server; value: JSON of the other one, what taught it, and when."""
    DEVICE_LIST = "device_list"
    """key: bare JID; value: JSON of what a user's key-index list said: devices, registration, timestamp."""
    SENDER_KEY = "sender_key"
    """key: group JID, two colons, signal address of the sender (ours too). libsignal's SenderKeyRecordStructure."""
    SENDER_KEY_SENT = "sender_key_sent"
    """key: group JID; value: JSON of our present sender key's id and the devices that hold it. A key of group and
    device JID: that device's holding it no longer counts."""
    GROUP = "group"
    """key: group JID; value: its <group> node, encoded, as last seen."""
    APP_STATE_KEY = "app_state_key"
    """key: hex key id; value: AppStateSyncKeyData protobuf."""
    HISTORY_CHUNK = "history_chunk"
    """key: message id; value: HistorySyncNotification protobuf, as it came."""
    SENT_MESSAGE = "sent_message"
    """key: message id; value: what is needed to encrypt it again for a device that could not read it."""
    MISSED = "missed"
    """key: message id; there while devices that it was not made for have yet to get it."""
    OUTBOX = "outbox"
    """key: number of the unit that made it (16 digits) and message id; value: the stanza, until acknowledged."""
    RECEIVED = "received"
    """key: chat, author and message id; there when the message was told. Kept for two weeks."""
    RETRY = "retry"
    """key: direction, chat, author or reader, message id; value: JSON of counters and what they decide by."""
    PLACEHOLDER = "placeholder"
    """key: chat, message id and author; value: JSON of a message we could not read and may ask the phone for. Or,
    behind "held": device and message id; value: the stanza of a message that waits until its author's key is taken."""
    MESSAGE_SECRET = "message_secret"
    """key: chat, message id and author; 32 bytes, for what is encrypted with it later (votes, reactions, bots).
    Kept for half a year."""
    PRIVACY_TOKEN = "privacy_token"
    """key: bare LID (PN when the LID is not known); value: JSON of the trusted-contact token and both timestamps."""
    SETTING = "setting"
    """key: a name; value: text or JSON."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that was committed and not yet handled."""

    id: int
    type: str
    payload: bytes
    """JSON, utf-8."""
    transition: int
    """The unit of work that committed it."""


class Records(Protocol):
    """What reads records: a store, or a unit of work. A record whose time is over is not there."""

    async def load(self, kind: RecordKind, key: str) -> bytes | None: ...

    async def load_many(self, kind: RecordKind, keys: Iterable[str]) -> dict[str, bytes]:
        """Those of the keys that exist."""
        ...

    async def load_prefix(self, kind: RecordKind, prefix: str) -> dict[str, bytes]:
        """All records of a kind whose key begins so, by key, sorted."""
        ...

    async def keys(self, kind: RecordKind, prefix: str = "") -> list[str]:
        """All keys of a kind that begin so, sorted."""
        ...


class UnitOfWork(Records, Protocol):
    """One atomic step: reads see what is sealed and this unit's own writes; writes land together or not at all."""

    @property
    def number(self) -> int:
        """The transition number this unit commits under; grows with every unit."""
        ...

    def save(self, kind: RecordKind, key: str, value: bytes | None, *, until: float | None = None) -> None:
        """Write at commit; None deletes. until: Unix seconds after which the record may be forgotten."""
        ...

    def emit(self, type: str, payload: bytes) -> int:
        """Store an event in the outbox at commit; returns its id there, reserved now."""
        ...

    def transition(self, machine: str, before: str, after: str, detail: Mapping[str, str | int] | None = None) -> None:
        """Name what this unit does: machine `before` -> `after`. Detail holds no secrets."""
        ...

    def seal(self) -> Awaitable[None]:
        """End the unit without waiting: from now on every read sees its writes, and it is in line for the disk.

        Units land in the order in which they were sealed; a crash leaves those before some point, never one without
        those before it. A unit that wrote nothing is through when everything sealed before it is.

        Returns:
            What to await, once: done when the unit is on the disk. Raises StorageError when it never will be; then the
            store takes nothing more until it is opened anew.
        """
        ...

    def drop(self) -> None:
        """End the unit and leave nothing of it."""
        ...


class Store(Records, Protocol):
    """The durable state of one account."""

    def begin(self) -> UnitOfWork:
        """A unit of work that ends with its `seal()`, or is dropped and leaves nothing. Raises StorageError."""
        ...

    def unit(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A unit of work: sealed when the block ends and on the disk when it is left; dropped when the block raises."""
        ...

    async def pending_events(self) -> list[StoredEvent]:
        """Committed and not handled, oldest first."""
        ...

    def mark_handled(self, ids: Iterable[int]) -> None:
        """Take events out of the outbox, with the next commit or soon. What a crash undoes of it is told again."""
        ...

    async def close(self) -> None:
        """Put what is sealed on the disk and let go of the account. May be called twice. Raises StorageError."""
        ...
