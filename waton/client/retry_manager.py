"""Retries: what to ask for again, and whom to answer. Pure policy: values in, decisions out, and the caller acts.

    could not read    ask(counters, failure, message, session, now)       -> TryAlternate | Ask | Leave
    somebody cannot   answer(request, counters, sent, session, who, now)  -> Resend | Refuse

Each decision carries the counters to store in the same unit of work, before anything is sent. Time is an argument,
dice are not needed. The only thing kept in memory is the guard `should_send`.

What must stay true:

- No message is asked for more than `max_attempts` times, ever. The count does not begin again when it is used up;
  in Baileys it does, and every delivery of the same message restarts the cycle.
- No request is answered twice, and none by a device that is no reader of the message. Whoever asks for an id they were
  never sent gets nothing, however well they guess.
- Nothing is asked for that asking cannot mend (waton.client.retry_rules says what, and why).
- The other address of the author (phone number for LID, LID for phone number) is tried before anybody is troubled.
- A session is made anew at most once an hour, except where the words of the other side or the keys themselves say that
  it can never work.

Source: whatsmeow retry.go, whatsapp-rust src/retry.rs and src/message.rs, Baileys Socket/messages-recv.ts
(sendRetryRequest, sendMessagesAgain) and Utils/message-retry-manager.ts, for the numbers and the order of checks.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from waton.client.retry_counters import (
    RETRY_SECONDS,
    AnswerCounters,
    AskCounters,
    SessionHistory,
    answer_key,
    ask_key,
    session_key,
)
from waton.client.retry_rules import FAILURES, REASONS, Failure, FailureRule, Phone, Renew
from waton.client.sent_messages import SentMessage
from waton.errors import RetryReason
from waton.jid import STATUS_BROADCAST, Jid, JidServer
from waton.protocol.stanza.message import IncomingMessage
from waton.protocol.stanza.receipt import Nack
from waton.protocol.stanza.retry import MAX_COUNT, PEER, RetryRequest

KEYS_FROM = 2
"""The request from which on our keys go along. The first may succeed without, and each costs a prekey."""
STEP_SECONDS = 0.25
"""What each further request waits longer. The first goes out at once, somebody is waiting for it. A later one means
that the last answer did not help, mostly because two renewals crossed; the pause lets the one under way arrive first.
Baileys waits as long after every request (retryRequestDelayMs)."""
PHONE_SECONDS = 3.0
"""How long the author has before the phone is asked as well. Baileys waits 3 s, whatsmeow 5 s."""
PHONE_AGE_SECONDS = 14 * 86_400
"""Older messages are not asked from the phone. Source: whatsapp-rust src/pdo.rs, Baileys Defaults."""
STATUS_SECONDS = 86_400
"""A status is gone after a day. Source: Baileys STATUS_EXPIRY_SECONDS."""
RENEW_SECONDS = 3_600
"""Between two renewals of one session that only a request asks for. Source: whatsmeow recreateSessionTimeout."""
SETTLE_SECONDS = 5.0
"""A first request this soon after a renewal was probably made before it: the renewed session answers it. Ten messages
lost with one session then need one renewal, not ten."""
BASE_KEY_FROM = 2
"""The request from which on the base key of the answer is remembered. Source: whatsapp-rust, Baileys."""
GUARDED_IDS = 4_096
"""Ids that should_send remembers."""
_MOST_ATTEMPTS = 32


# --- what could not be read -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class FailedMessage:
    """What the policy looks at in a message that could not be read."""

    id: str
    chat: Jid
    author: Jid
    t: int
    """Unix seconds, the server's."""
    count: int = 0
    """What its <enc> says it answers; 0 for a first delivery."""
    is_peer: bool = False
    """From our own phone to this device, no message of a conversation."""
    has_alternate: bool = False
    """The author has another address, and reading under that one was not tried."""

    @staticmethod
    def of(stanza: IncomingMessage, chat: Jid, *, is_peer: bool = False, has_alternate: bool = False) -> FailedMessage:
        """Of a stanza; `chat` is the conversation it belongs to."""
        count = max((enc.count or 0 for enc in stanza.encs), default=0)
        return FailedMessage(stanza.id, chat, stanza.author, stanza.t, count, is_peer, has_alternate)


@dataclass(frozen=True, slots=True, repr=False)
class PeerSession:
    """What we know of our session with one device."""

    is_open: bool = False
    registration_id: int = 0
    """The other side's; 0 when the record does not say."""
    base_key: bytes = b""
    """Of the open session; see `session_base_key`."""
    identity: bytes | None = None
    """The identity key we know the device by, 32 bytes."""
    history: SessionHistory = field(default_factory=SessionHistory)


class Why(StrEnum):
    """Why a message is left, or a request refused."""

    RULE = "rule"
    """FAILURES says that asking cannot help."""
    NEWSLETTER = "newsletter"
    """It is not encrypted; its server answers no requests."""
    BOT = "bot"
    """Bots answer no requests."""
    EXPIRED = "expired"
    """A status of more than a day ago."""
    EXHAUSTED = "exhausted"
    """Asked for, or asked of us, as often as is allowed."""
    UNKNOWN_MESSAGE = "unknown_message"
    """We sent no such message, or too long ago."""
    NO_READER = "no_reader"
    """Whoever asks is no reader of the conversation."""
    UNKNOWN_DEVICE = "unknown_device"
    """The device is in no list we have of its owner."""
    ANSWERED = "answered"
    """This very request was answered."""


@dataclass(frozen=True, slots=True)
class TryAlternate:
    """Read it once more, under the author's other address; come back with has_alternate=False if that fails too."""

    counters: AskCounters


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the author for it."""

    counters: AskCounters
    """Store them, until RETRY_SECONDS from now."""
    count: int
    error: RetryReason
    include_keys: bool
    delay: float
    """Seconds to wait before the request goes out."""
    renew_session: bool = False
    """Archive our session with the author's device first: what we send next opens a fresh one."""
    history: SessionHistory | None = None
    """To store under session_key(author), when the session is renewed."""
    phone_in: float | None = None
    """Seconds until our phone is to be asked, unless it was read by then; None: not now."""
    category: str | None = None
    """The receipt's."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Do not ask the author."""

    counters: AskCounters
    why: Why
    nack: int | None = None
    """How to acknowledge it: None plainly, else with this error."""
    phone_in: float | None = None
    """As in Ask."""


AskDecision: TypeAlias = TryAlternate | Ask | Leave


# --- what others could not read -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks for a message of ours, seen from the conversation the message was sent in (not from the receipt).

    A person has two addresses: look for both, or a member of a group is taken for a stranger.
    """

    is_own: bool
    """Another device of our own account."""
    is_reader: bool
    """The person it was sent to, a member of the group as it is now, or ourselves."""
    is_known: bool
    """The device is in its owner's list, or the message went to it."""


class Keys(StrEnum):
    """Where the session for an answer comes from."""

    SESSION = "session"
    """The one that is open."""
    RECEIPT = "receipt"
    """A fresh one, from the keys in the request."""
    SERVER = "server"
    """A fresh one, from a bundle the server is asked for."""


@dataclass(frozen=True, slots=True)
class Resend:
    """Send the message again, to this one device, with the same id."""

    counters: AnswerCounters
    """Store them; where remember_base_key is set, with `remember` for the base key of the session made for it."""
    count: int
    """For the <enc>."""
    keys: Keys
    drop_session: bool
    """Archive (or delete) the open session first, so that the bundle opens another one."""
    remember_base_key: bool
    history: SessionHistory | None
    """To store under session_key(device), when the session is renewed."""
    with_sender_key: bool
    """Put our sender key distribution inside, and count the device as lacking it until the next send."""
    wrap: bool
    """Wrap it as a deviceSentMessage: the device is our own."""
    to: Jid
    """As the request came: `to`, `participant` and `recipient` of the stanza."""
    participant: Jid | None
    recipient: Jid | None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Send nothing; acknowledge the receipt."""

    counters: AnswerCounters
    why: Why
    rotate_sender_key: bool = False
    """Somebody asks who should not have our sender key: make a new one for the group."""
    refresh_devices: bool = False
    """Ask for the device list of its owner; a new device is answered when it asks again."""


AnswerDecision: TypeAlias = Resend | Refuse


# --- the policy -----------------------------------------------------------------------------------------------------


class RetryManager:
    """The policy for one account.

    Args:
        max_attempts: requests for one message, and answers to one device for one message; 1 to 32.
        delay: seconds that each further request for one message waits longer than the one before it.
        recreates: whether a session that is open is made anew because messages in it cannot be read. Where the keys
            themselves say that it cannot work, it is in any case.
    """

    def __init__(self, max_attempts: int = MAX_COUNT, *, delay: float = STEP_SECONDS, recreates: bool = True) -> None:
        if not 1 <= max_attempts <= _MOST_ATTEMPTS:
            raise ValueError(f"max_attempts must be from 1 to {_MOST_ATTEMPTS}")
        if not 0 <= delay < float("inf"):
            raise ValueError("delay must be seconds from 0 on")
        self.max_attempts = max_attempts
        self._delay = delay
        self._recreates = recreates
        self._seen: OrderedDict[str, None] = OrderedDict()

    def should_send(self, message_id: str) -> bool:
        """True the first time for an id, False afterwards; the last GUARDED_IDS ids are remembered."""
        if message_id in self._seen:
            self._seen.move_to_end(message_id)
            return False
        self._seen[message_id] = None
        if len(self._seen) > GUARDED_IDS:
            self._seen.popitem(last=False)
        return True

    # --- asking -----------------------------------------------------------------------------------------------------

    def ask(
        self, counters: AskCounters, failure: str, message: FailedMessage, session: PeerSession, now: float
    ) -> AskDecision:
        """What to do about a message that could not be read.

        Args:
            counters: of this message (ask_key); new ones when there are none.
            failure: a Failure or DecryptReason; another text counts as UNKNOWN.
            message: the message.
            session: ours with the device that wrote it.
            now: Unix seconds.
        """
        rule = FAILURES[Failure.of(failure)]
        why = _not_askable(message, now) or (None if rule.asks else Why.RULE)
        if why is not None:
            return self._leave(counters, why, rule, message, now)
        if message.has_alternate and rule is not FAILURES[Failure.DUPLICATE]:
            return TryAlternate(counters)
        if counters.count >= self.max_attempts:
            return self._leave(counters, Why.EXHAUSTED, rule, message, now)
        return self._ask(counters, rule, message, session, now)

    def _ask(
        self, counters: AskCounters, rule: FailureRule, message: FailedMessage, session: PeerSession, now: float
    ) -> Ask:
        count = 1 + (counters.count or min(max(message.count, 0), self.max_attempts - 1))
        renews = (
            self._recreates
            and rule.blames_session
            and session.is_open
            and count >= KEYS_FROM
            and session.history.is_older_than(RENEW_SECONDS, now)
        )
        delay = self._delay * (count - 1)
        phone_in = PHONE_SECONDS if counters.phone_asks == 0 and _phone_may_have(message, now) else None
        noted = replace(counters, count=count, errors=(*counters.errors, int(rule.error)), ask_at=int(now + delay))
        return Ask(
            counters=_with_phone(noted, phone_in, now),
            count=count,
            error=rule.error,
            include_keys=count >= KEYS_FROM or rule.keys_at_once,
            delay=delay,
            renew_session=renews,
            history=session.history.renewed(now) if renews else None,
            phone_in=phone_in,
            category=PEER if message.is_peer else None,
        )

    def _leave(self, counters: AskCounters, why: Why, rule: FailureRule, message: FailedMessage, now: float) -> Leave:
        """Leave it to the phone, or be done with it."""
        is_phones = why is Why.BOT or (why is Why.RULE and rule.phone is Phone.AT_ONCE)
        most = 2 if why is Why.EXHAUSTED else int(is_phones)
        phone_in = 0.0 if counters.phone_asks < most and _phone_may_have(message, now) else None
        nack = {Why.RULE: rule.nack, Why.EXHAUSTED: Nack.UNHANDLED}.get(why)
        return Leave(_with_phone(counters, phone_in, now), why, nack, phone_in)

    # --- answering --------------------------------------------------------------------------------------------------

    def answer(
        self,
        request: RetryRequest,
        counters: AnswerCounters,
        sent: SentMessage | None,
        session: PeerSession,
        requester: Requester,
        now: float,
    ) -> AnswerDecision:
        """Whether a message of ours is sent again to the device that asks, and in which session.

        Args:
            request: what it says.
            counters: of this message and this device (answer_key); new ones when there are none.
            sent: the message, None when we have none of this id.
            session: ours with the device.
            requester: who it is, by `sent`'s conversation.
            now: Unix seconds.
        """
        if sent is None:
            return Refuse(counters, Why.UNKNOWN_MESSAGE)
        refusal = self._refuse(request, counters, sent, requester, now)
        if refusal is not None:
            return refusal
        keys = self._keys(request, counters, sent, session, requester, now)
        renews = keys is not Keys.SESSION
        return Resend(
            counters=replace(
                counters,
                answered=(*counters.answered, request.count),
                answered_at=(*counters.answered_at, request.at or 0),
                answered_for=(*counters.answered_for, request.t),
                base_key=b"" if renews or request.count < BASE_KEY_FROM else session.base_key,
            ),
            count=request.count,
            keys=keys,
            drop_session=renews and session.is_open,
            remember_base_key=renews and request.count >= BASE_KEY_FROM,
            history=session.history.renewed(now) if renews else None,
            with_sender_key=sent.is_group,
            wrap=requester.is_own and not sent.is_group and sent.category != PEER,
            to=request.peer,
            participant=request.participant,
            recipient=request.recipient,
        )

    def _refuse(
        self,
        request: RetryRequest,
        counters: AnswerCounters,
        sent: SentMessage,
        requester: Requester,
        now: float,
    ) -> Refuse | None:
        if not (requester.is_reader and requester.is_known):
            why = Why.UNKNOWN_DEVICE if requester.is_reader else Why.NO_READER
            rotates = sent.is_group and not counters.has_rotated
            noted = replace(counters, has_rotated=counters.has_rotated or rotates)
            return Refuse(noted, why, rotates, refresh_devices=requester.is_reader)
        if counters.has_answered(request.count, request.at, request.t):
            return Refuse(counters, Why.ANSWERED)
        if not 1 <= request.count <= self.max_attempts or len(counters.answered) >= self.max_attempts:
            return Refuse(counters, Why.EXHAUSTED)
        if sent.chat == STATUS_BROADCAST and now - sent.at > STATUS_SECONDS:
            return Refuse(counters, Why.EXPIRED)
        return None

    def _keys(
        self,
        request: RetryRequest,
        counters: AnswerCounters,
        sent: SentMessage,
        session: PeerSession,
        requester: Requester,
        now: float,
    ) -> Keys:
        """The session to answer in; the order of the questions is whatsapp-rust's (update_local_signal_session)."""
        registrations = {session.registration_id, request.registration_id}
        is_other_device = 0 not in registrations and len(registrations) == 2
        if request.bundle is not None:
            # A receipt's keys are taken at its word only if they change nothing we hold on to: another identity, or
            # another registration of one of our own devices, is asked of the server, and goes through the identity
            # policy there.
            is_other_identity = session.identity is not None and session.identity != request.bundle.identity
            return Keys.SERVER if is_other_identity or (requester.is_own and is_other_device) else Keys.RECEIPT
        if not session.is_open or is_other_device:
            return Keys.SERVER
        if request.count > BASE_KEY_FROM and counters.base_key and counters.base_key == session.base_key:
            return Keys.SERVER  # the last answer went out in this very session, and could not be read
        renews = self._recreates and _renews(request, counters, sent, session, now)
        return Keys.SERVER if renews else Keys.SESSION


def _not_askable(message: FailedMessage, now: float) -> Why | None:
    """Why nobody is asked for such a message, whatever was wrong with it."""
    if message.chat.is_newsletter:
        return Why.NEWSLETTER
    if message.author.server == JidServer.BOT:
        return Why.BOT
    if message.chat == STATUS_BROADCAST and now - message.t > STATUS_SECONDS:
        return Why.EXPIRED
    return None


def _phone_may_have(message: FailedMessage, now: float) -> bool:
    # A peer message is no message of a chat: the phone keeps no copy, and is asked as its author.
    return not message.is_peer and not message.chat.is_newsletter and now - message.t <= PHONE_AGE_SECONDS


def _with_phone(counters: AskCounters, phone_in: float | None, now: float) -> AskCounters:
    if phone_in is None:
        return counters
    return replace(counters, phone_asks=counters.phone_asks + 1, phone_at=int(now + phone_in))


def _renews(
    request: RetryRequest, counters: AnswerCounters, sent: SentMessage, session: PeerSession, now: float
) -> bool:
    if not counters.answered and not session.history.is_older_than(SETTLE_SECONDS, now):
        return False
    rule = REASONS[request.reason].renew
    if rule is Renew.ALWAYS:
        return True
    if rule is Renew.SOON and sent.is_group and request.reason is RetryReason.NO_SESSION:
        rule = Renew.LATER  # the sender key is missing, and goes along
    is_due = rule is Renew.SOON or request.count >= KEYS_FROM
    return is_due and session.history.is_older_than(RENEW_SECONDS, now)


__all__ = [
    "FAILURES",
    "REASONS",
    "RETRY_SECONDS",
    "AnswerCounters",
    "AnswerDecision",
    "Ask",
    "AskCounters",
    "AskDecision",
    "FailedMessage",
    "Failure",
    "Keys",
    "Leave",
    "PeerSession",
    "Refuse",
    "Requester",
    "Resend",
    "RetryManager",
    "SessionHistory",
    "TryAlternate",
    "Why",
    "answer_key",
    "ask_key",
    "session_key",
]
