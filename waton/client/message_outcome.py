"""What goes into the examination of a message and what comes out of it; see waton.client.process_message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from waton.client.events import DurableEvent, MessageKey, UpsertType
from waton.jid import Jid
from waton.protocol import proto

# --- what goes in -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class Received:
    """A message as it was decrypted, and what its stanza says about it."""

    key: MessageKey
    """Worked out from the stanza alone."""
    message: proto.Message
    timestamp: int
    """Unix seconds, the server's."""
    upsert: UpsertType = UpsertType.NOTIFY
    push_name: str = ""
    verified_name: str = ""
    is_peer: bool = False
    """Between our own devices, part of no conversation (category=peer)."""
    request_id: str = ""
    """Our request that the phone answered with this."""


@dataclass(frozen=True, slots=True, repr=False)
class Known:
    """What the caller has looked up about a message; see process_message.target_of for what to look up."""

    original_author: Jid | None = None
    """Who wrote the message that this one changes, by the copy we have; None when we have none."""
    is_admin: bool | None = None
    """Whether the author is an admin of the group; None when we do not know."""
    push_name: str | None = None
    """The author's push name as we know it: the same one is no news."""
    verified_name: str | None = None


# --- what comes out ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class StoreSecret:
    """Keep this message's secret, for what will be added to it."""

    key: MessageKey
    secret: bytes
    """32 bytes."""


@dataclass(frozen=True, slots=True, repr=False)
class StoreAppStateKeys:
    """Keep the keys of the app state that our phone shares."""

    keys: tuple[proto.Message.AppStateSyncKey, ...]


@dataclass(frozen=True, slots=True, repr=False)
class ShareAppStateKeys:
    """One of our own devices asks for keys of the app state."""

    key_ids: tuple[bytes, ...]
    to: Jid


@dataclass(frozen=True, slots=True, repr=False)
class LearnMappings:
    """Our phone says which phone numbers and LIDs are one person."""

    pairs: tuple[tuple[Jid, Jid], ...]
    """(PN, LID)."""
    migrated_at: int | None = None
    """Unix seconds since when the phone keeps chats by LID."""


@dataclass(frozen=True, slots=True, repr=False)
class KeepHistory:
    """Fetch a chunk of history, or unpack it when it is inside."""

    key: MessageKey
    notification: proto.Message.HistorySyncNotification


@dataclass(frozen=True, slots=True, repr=False)
class TakeAnswers:
    """Our phone answers a request of ours with the messages we could not read.

    Each is to be taken like one that was decrypted; the phone's word replaces the stanza's, where we kept none.
    """

    request_id: str
    messages: tuple[Received, ...]
    damaged: int = 0
    """How many of them could not be read."""


@dataclass(frozen=True, slots=True, repr=False)
class TakePeerData:
    """Our phone answers a request of ours with something else."""

    request_id: str
    response: proto.Message.PeerDataOperationRequestResponseMessage


Action: TypeAlias = (
    StoreSecret | StoreAppStateKeys | ShareAppStateKeys | LearnMappings | KeepHistory | TakeAnswers | TakePeerData
)


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """What one message means."""

    events: tuple[DurableEvent, ...] = ()
    actions: tuple[Action, ...] = ()
