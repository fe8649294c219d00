"""Changed identities: what follows when a contact comes with another identity key, told by the server or by a message.

Two ways lead here, and they know different things:

    notification type=encrypt, <identity>   the server's word, without a key   -> handle_identity_change()
    a message or bundle with another key    the key itself                     -> decide_identity()

A notification makes nobody trust a key. It says that what we remember of the contact is out of date (devices, who
holds our sender keys, their privacy token), and that the session is to be made anew, from a bundle whose key then goes
through decide_identity like any other.

The result codes of the first are Baileys', with its order of checks, so that logs can be compared; `held` is ours. What
is done otherwise: a change that comes out of the offline queue is remembered and refreshed after the drain, where
Baileys forgets it; the debounce begins only with a refresh, and ends when that fails; each change is told, skipped or
not; and device lists and sender-key deliveries are forgotten in every case, for they cost one question and a stale one
costs messages.

decide_identity never does anything on a key that has not proved itself. A key has proved itself when a message
authenticated under it, or when the signed prekey of a bundle verifies with it.

Source: Baileys Utils/identity-change-handler.ts, whatsmeow notification.go and message.go, whatsapp-rust
src/message.rs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Protocol

from waton.errors import WatonError
from waton.jid import Jid
from waton.protocol.binary_node import Node, StanzaError, get_jid, get_text
from waton.protocol.stanza.receipt import Nack

DEBOUNCE_SECONDS = 5.0
"""Changes of one contact within this time are one change. Source: Baileys identityAssertDebounce."""
_MOST_REMEMBERED = 1_024


# --- what the server notifies -----------------------------------------------------------------------------------------


class IdentityChangeCode(StrEnum):
    """What became of a notification, in Baileys' spelling."""

    INVALID_NOTIFICATION = "invalid_notification"
    NO_IDENTITY_NODE = "no_identity_node"
    SKIPPED_COMPANION_DEVICE = "skipped_companion_device"
    SKIPPED_SELF_PRIMARY = "skipped_self_primary"
    """Our own phone's."""
    DEBOUNCED = "debounced"
    SKIPPED_NO_SESSION = "skipped_no_session"
    SKIPPED_OFFLINE = "skipped_offline"
    """It happened while we were away: refreshed after the drain."""
    HELD = "held"
    """Ours: the policy takes no new key by itself, so the session stays until somebody has decided."""
    SESSION_REFRESHED = "session_refreshed"
    SESSION_REFRESH_FAILED = "session_refresh_failed"


class IdentityAction(StrEnum):
    """What the caller does; in this order."""

    ARCHIVE_SESSION = "archive_session"
    """Sessions with the old key are read from, and not written to."""
    STORE_IDENTITY = "store_identity"
    FORGET_DEVICE_LIST = "forget_device_list"
    FORGET_SENDER_KEY_DELIVERY = "forget_sender_key_delivery"
    """Count the contact's devices (or the one device) as lacking our sender keys, in every group."""
    REISSUE_PRIVACY_TOKEN = "reissue_privacy_token"
    REFRESH_AFTER_DRAIN = "refresh_after_drain"
    """Store the address, and give it to refresh_remembered when the offline queue is empty."""
    KEEP_MESSAGE = "keep_message"
    """Keep the ciphertext: it is read when somebody accepts the key."""
    NACK = "nack"
    TELL = "tell"
    """Emit an event."""


@dataclass(frozen=True, slots=True, repr=False)
class IdentityChange:
    """One notification."""

    jid: Jid
    """Whose identity changed, with the device."""
    is_offline: bool
    """It comes out of the offline queue."""
    lid: Jid | None = None
    """The same person's LID, when the server says it."""


@dataclass(frozen=True, slots=True, repr=False)
class IdentityChangeOutcome:
    """What became of it, and what is left to do."""

    code: IdentityChangeCode
    jid: Jid | None = None
    actions: tuple[IdentityAction, ...] = ()
    error: WatonError | None = None
    """Why the refresh failed."""

    def __repr__(self) -> str:
        return f"<IdentityChangeOutcome {self.code.value}>"


_STALE = (IdentityAction.FORGET_DEVICE_LIST, IdentityAction.FORGET_SENDER_KEY_DELIVERY)
# The privacy token is no part of this: IdentityContext.before_refresh has begun to issue it again.
_RENEWED = (*_STALE, IdentityAction.TELL)
_ACTIONS: dict[IdentityChangeCode, tuple[IdentityAction, ...]] = {
    IdentityChangeCode.INVALID_NOTIFICATION: (),
    IdentityChangeCode.NO_IDENTITY_NODE: (),
    IdentityChangeCode.SKIPPED_SELF_PRIMARY: (*_STALE, IdentityAction.TELL),
    IdentityChangeCode.SKIPPED_COMPANION_DEVICE: (*_STALE, IdentityAction.TELL),
    IdentityChangeCode.DEBOUNCED: (*_STALE, IdentityAction.TELL),
    IdentityChangeCode.SKIPPED_NO_SESSION: (*_STALE, IdentityAction.TELL),
    IdentityChangeCode.HELD: (*_STALE, IdentityAction.TELL),
    IdentityChangeCode.SKIPPED_OFFLINE: (*_STALE, IdentityAction.REFRESH_AFTER_DRAIN, IdentityAction.TELL),
    IdentityChangeCode.SESSION_REFRESHED: _RENEWED,
    # The next message then asks for a bundle by itself.
    IdentityChangeCode.SESSION_REFRESH_FAILED: (IdentityAction.ARCHIVE_SESSION, *_RENEWED),
}


class Debounce:
    """When each contact's session was last refreshed, for the last so many contacts."""

    def __init__(self, seconds: float = DEBOUNCE_SECONDS) -> None:
        self._seconds = seconds
        self._at: OrderedDict[Jid, float] = OrderedDict()

    def is_recent(self, jid: Jid, now: float) -> bool:
        """A refresh began less than so many seconds ago. now: Unix seconds."""
        at = self._at.get(jid)
        return at is not None and at <= now < at + self._seconds

    def begin(self, jid: Jid, now: float) -> None:
        """A refresh begins."""
        self._at[jid] = now
        self._at.move_to_end(jid)
        if len(self._at) > _MOST_REMEMBERED:
            self._at.popitem(last=False)

    def end(self, jid: Jid) -> None:
        """It failed: the next notification counts."""
        self._at.pop(jid, None)


class IdentityContext(Protocol):
    """What the handler asks of the client."""

    @property
    def policy(self) -> IdentityPolicy: ...

    @property
    def debounce(self) -> Debounce: ...

    def now(self) -> float:
        """Unix seconds."""
        ...

    def is_me(self, jid: Jid) -> bool:
        """One of our own account's addresses."""
        ...

    async def has_session(self, jid: Jid) -> bool:
        """A session with this device exists, under either of its addresses."""
        ...

    def before_refresh(self, jid: Jid) -> None:
        """A refresh begins: start to issue the privacy token again, beside it and not after it."""
        ...

    async def refresh(self, jid: Jid) -> None:
        """Open a new session from a fresh bundle. Raises WatonError."""
        ...


def read_identity_change(node: Node) -> IdentityChange | IdentityChangeOutcome:
    """The change a notification tells of, or the outcome of one that tells of none."""
    try:
        jid, lid = get_jid(node, "from"), get_jid(node, "lid")
    except StanzaError:
        return _outcome(IdentityChangeCode.INVALID_NOTIFICATION)
    if jid is None:
        return _outcome(IdentityChangeCode.INVALID_NOTIFICATION)
    if node.child("identity") is None:
        return _outcome(IdentityChangeCode.NO_IDENTITY_NODE, jid)
    if not jid.is_user:
        return _outcome(IdentityChangeCode.INVALID_NOTIFICATION)
    return IdentityChange(jid, is_offline=bool(get_text(node, "offline")), lid=lid)


def decide(
    change: IdentityChange,
    *,
    policy: IdentityPolicy,
    is_me: bool,
    is_debounced: bool,
    has_session: bool,
) -> IdentityChangeOutcome | None:
    """What becomes of a change without a refresh; None when the session is to be refreshed now."""
    for code, applies in (
        (IdentityChangeCode.SKIPPED_COMPANION_DEVICE, change.jid.device != 0),
        (IdentityChangeCode.SKIPPED_SELF_PRIMARY, is_me),
        (IdentityChangeCode.DEBOUNCED, is_debounced),
        (IdentityChangeCode.SKIPPED_NO_SESSION, not has_session),
        (IdentityChangeCode.HELD, policy is not IdentityPolicy.TRUST),
        (IdentityChangeCode.SKIPPED_OFFLINE, change.is_offline),
    ):
        if applies:
            return _outcome(code, change.jid)
    return None


async def handle_identity_change(node: Node, context: IdentityContext) -> IdentityChangeOutcome:
    """Take one <notification type=encrypt> with an <identity>.

    Raises:
        WatonError: whether there is a session could not be found out; nothing was done.
    """
    change = read_identity_change(node)
    if isinstance(change, IdentityChangeOutcome):
        return change
    return await _handle(change, context)


async def refresh_remembered(jids: Iterable[Jid], context: IdentityContext) -> list[IdentityChangeOutcome]:
    """Take the changes that happened while we were away, each contact once. Call it when the offline queue is empty."""
    return [await _handle(IdentityChange(jid, is_offline=False), context) for jid in dict.fromkeys(jids)]


async def _handle(change: IdentityChange, context: IdentityContext) -> IdentityChangeOutcome:
    jid, now = change.jid, context.now()
    is_me, is_debounced = context.is_me(jid), context.debounce.is_recent(jid, now)
    # The store is asked only about those that nothing else rules out.
    is_open = not (jid.device != 0 or is_me or is_debounced)
    has_session = is_open and await context.has_session(jid)
    skipped = decide(change, policy=context.policy, is_me=is_me, is_debounced=is_debounced, has_session=has_session)
    if skipped is not None:
        return skipped
    context.debounce.begin(jid, now)
    context.before_refresh(jid)
    try:
        await context.refresh(jid)
    except WatonError as error:
        context.debounce.end(jid)
        return _outcome(IdentityChangeCode.SESSION_REFRESH_FAILED, jid, error)
    return _outcome(IdentityChangeCode.SESSION_REFRESHED, jid)


def _outcome(
    code: IdentityChangeCode, jid: Jid | None = None, error: WatonError | None = None
) -> IdentityChangeOutcome:
    return IdentityChangeOutcome(code, jid, _ACTIONS[code], error)


# --- what a key itself tells ------------------------------------------------------------------------------------------


class IdentityPolicy(StrEnum):
    """What to do with a changed identity key."""

    TRUST = "trust"
    """Take it, and tell."""
    ASK = "ask"
    """Hold what came with it until somebody decides; to accept is to decide again with TRUST."""
    REFUSE = "refuse"
    """Stay with the old one."""


class IdentityVerdict(StrEnum):
    """What is made of a key."""

    KNOWN = "known"
    FIRST = "first"
    """The first one of this device: trusted, as every first one."""
    ACCEPTED = "accepted"
    HELD = "held"
    REFUSED = "refused"
    IGNORED = "ignored"
    """It has not proved itself: as if it had not come."""


@dataclass(frozen=True, slots=True)
class IdentityDecision:
    """What follows from a key."""

    verdict: IdentityVerdict
    actions: tuple[IdentityAction, ...] = ()
    old: str = ""
    """For the event: the fingerprint of the key known so far; empty when there is none, or nothing to tell."""
    new: str = ""
    nack: int | None = None
    """How to acknowledge the message that came with it: None plainly, else with this error."""

    @property
    def may_use(self) -> bool:
        """Messages may be read and sessions opened with the key."""
        return self.verdict in (IdentityVerdict.KNOWN, IdentityVerdict.FIRST, IdentityVerdict.ACCEPTED)


_ACCEPT = (
    IdentityAction.ARCHIVE_SESSION,
    IdentityAction.STORE_IDENTITY,
    IdentityAction.FORGET_DEVICE_LIST,
    IdentityAction.FORGET_SENDER_KEY_DELIVERY,
    IdentityAction.REISSUE_PRIVACY_TOKEN,
    IdentityAction.TELL,
)


def decide_identity(
    policy: IdentityPolicy, known: bytes | None, new: bytes, *, authenticated: bool
) -> IdentityDecision:
    """What follows when a device comes with an identity key.

    Args:
        policy: the account's.
        known: the key the device is known by, 32 bytes; None for a device never seen.
        new: the key that came, 32 bytes.
        authenticated: the key has proved itself, see the head of this module.
    """
    if known == new:
        return IdentityDecision(IdentityVerdict.KNOWN)
    if not authenticated:
        return IdentityDecision(IdentityVerdict.IGNORED)
    if known is None:
        return IdentityDecision(IdentityVerdict.FIRST, (IdentityAction.STORE_IDENTITY,))
    old, fresh = fingerprint(known), fingerprint(new)
    match policy:
        case IdentityPolicy.TRUST:
            return IdentityDecision(IdentityVerdict.ACCEPTED, _ACCEPT, old, fresh)
        case IdentityPolicy.ASK:
            held = (IdentityAction.KEEP_MESSAGE, IdentityAction.TELL)
            return IdentityDecision(IdentityVerdict.HELD, held, old, fresh)
        case IdentityPolicy.REFUSE:
            refused = (IdentityAction.NACK, IdentityAction.TELL)
            return IdentityDecision(IdentityVerdict.REFUSED, refused, old, fresh, Nack.UNHANDLED)


def fingerprint(key: bytes) -> str:
    """A public identity key for people to compare: the first 16 bytes of its SHA-256, in eight groups of hex.

    It names one key. The security code in a phone's contact view is another thing: it is made of both sides' keys.
    """
    digest = sha256(key).hexdigest()
    return " ".join(digest[at : at + 4] for at in range(0, 32, 4))
