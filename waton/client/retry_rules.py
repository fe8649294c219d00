"""What follows from each way of not reading a message, and from each code that others send us: two tables.

FAILURES: a message came and gave nothing. Whether its author is asked again, with which code, and whether our own phone
is asked. Nothing is asked for that asking cannot mend; each rule says why it is as it is.

REASONS: somebody could not read one of ours, and says with a code what went wrong. What that says of our session.

`RetryManager` applies them. A kind of failure that no table names counts as UNKNOWN.

Source: whatsapp-rust wacore/src/protocol/retry.rs and src/message.rs for what is told by which code, Baileys
Socket/messages-recv.ts for what it leaves out, whatsmeow retry.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from waton.errors import RetryReason
from waton.protocol.stanza.receipt import Nack

# --- what we could not read ------------------------------------------------------------------------------------------


class Failure(StrEnum):
    """Why a message gave nothing. The first ones are DecryptReason's, in its spelling."""

    NO_SESSION = "no_session"
    NO_SENDER_KEY = "no_sender_key"
    INVALID_KEY = "invalid_key"
    INVALID_KEY_ID = "invalid_key_id"
    INVALID_MESSAGE = "invalid_message"
    INVALID_SIGNATURE = "invalid_signature"
    FUTURE_MESSAGE = "future_message"
    BAD_MAC = "bad_mac"
    DUPLICATE = "duplicate"
    PADDING = "padding"
    UNSUPPORTED = "unsupported"
    DECODE = "decode"
    """The ciphertext is not what its type says."""
    MALFORMED = "malformed"
    """It was decrypted, and is no Message."""
    UNTRUSTED_IDENTITY = "untrusted_identity"
    UNVOUCHED = "unvouched"
    """A companion opened a session with a key for which its phone does not stand."""
    UNKNOWN_COMPANION = "unknown_companion"
    """A device that its owner's list does not name, with a key we do not have."""
    UNAVAILABLE = "unavailable"
    """The server has no ciphertext for this device."""
    WITHHELD = "withheld"
    """Unavailable, and of a kind no companion gets: a view-once, a bot's, a hosted device's."""
    ABSENT = "absent"
    """A message without any content."""
    UNKNOWN = "unknown"

    @staticmethod
    def of(text: str) -> Failure:
        """A DecryptReason or the name of a failure; what nobody has named is UNKNOWN."""
        return Failure(text) if text in set(Failure) else Failure.UNKNOWN

    @staticmethod
    def unavailable(kind: str | None) -> Failure:
        """The failure of an <unavailable>, by its type attribute. Source: Baileys Socket/messages-recv.ts."""
        return Failure.WITHHELD if kind in _WITHHELD else Failure.UNAVAILABLE


_WITHHELD = ("view_once_unavailable_fanout", "bot_unavailable_fanout", "hosted_unavailable_fanout")


class Phone(StrEnum):
    """When our own phone is asked for what we could not read."""

    NEVER = "never"
    LATER = "later"
    """When the author has had PHONE_SECONDS to answer, and once more when our requests are used up."""
    AT_ONCE = "at_once"


@dataclass(frozen=True, slots=True)
class FailureRule:
    """What follows from one way of not reading a message."""

    error: RetryReason
    """The code a request says."""
    why: str
    """The reason for the rule."""
    asks: bool = True
    """Whether the author is asked again."""
    phone: Phone = Phone.LATER
    keys_at_once: bool = False
    """Our keys go along with the first request."""
    blames_session: bool = False
    """Our session with the author may be at fault: renewed from the second request on."""
    nack: int | None = None
    """The negative ack when it is left; None acknowledges it."""


def _left(why: str, phone: Phone = Phone.NEVER, nack: int | None = None) -> FailureRule:
    return FailureRule(RetryReason.UNKNOWN, why, asks=False, phone=phone, nack=nack)


def _asked(error: RetryReason, why: str, *, keys: bool = False, session: bool = True) -> FailureRule:
    return FailureRule(error, why, keys_at_once=keys, blames_session=session)


_ONCE_MORE = "it was authenticated and says just this: the author would send the same bytes again"
FAILURES: Mapping[Failure, FailureRule] = MappingProxyType(
    {
        Failure.NO_SESSION: _asked(
            RetryReason.NO_SESSION, "the author must open one, and our keys save a round", keys=True
        ),
        Failure.NO_SENDER_KEY: _asked(
            RetryReason.NO_SESSION, "the author must tell us its sender key", keys=True, session=False
        ),
        Failure.INVALID_KEY: _asked(RetryReason.INVALID_KEY, "a key in it is none"),
        Failure.INVALID_KEY_ID: _asked(
            RetryReason.INVALID_KEY_ID, "the prekey it names is gone, and only another one helps", keys=True
        ),
        Failure.INVALID_MESSAGE: _asked(RetryReason.INVALID_MESSAGE, "the session is out of step"),
        Failure.INVALID_SIGNATURE: _asked(RetryReason.INVALID_SIGNATURE, "not signed by its sender key", session=False),
        Failure.FUTURE_MESSAGE: _asked(RetryReason.FUTURE_MESSAGE, "too many messages of the chain are missing"),
        Failure.BAD_MAC: _asked(RetryReason.BAD_MAC, "the session is out of step"),
        Failure.DECODE: _asked(
            RetryReason.INVALID_MESSAGE, "it was damaged, or its author's session is", session=False
        ),
        Failure.UNKNOWN_COMPANION: _asked(
            RetryReason.UNKNOWN_COMPANION_NO_PREKEY,
            "a device new to us opens a session with our keys",
            keys=True,
            session=False,
        ),
        Failure.UNVOUCHED: _asked(
            RetryReason.ADV_FAILURE,
            "a resend brings the device identity, and our keys make it open a session",
            keys=True,
            session=False,
        ),
        Failure.UNKNOWN: _asked(RetryReason.UNKNOWN, "asking costs little, not reading costs a message"),
        Failure.DUPLICATE: _asked(
            RetryReason.INVALID_MSG_KEY,
            "its key was used, and not for this message: its author has gone back to an older state of its session",
        ),
        Failure.PADDING: _left(_ONCE_MORE, nack=Nack.INVALID_PROTOBUF),
        Failure.MALFORMED: _left(_ONCE_MORE, nack=Nack.INVALID_PROTOBUF),
        Failure.UNSUPPORTED: _left("it would come encrypted in the same way; the phone may know it", Phone.AT_ONCE),
        Failure.UNTRUSTED_IDENTITY: _left("it can be read as soon as somebody accepts the key"),
        Failure.UNAVAILABLE: _left("nothing was encrypted for us; the phone has it", Phone.AT_ONCE),
        Failure.ABSENT: _left("it has no ciphertext; the phone has it", Phone.AT_ONCE),
        Failure.WITHHELD: _left("the phone gives it to no companion"),
    }
)


# --- what others could not read --------------------------------------------------------------------------------------


class Renew(StrEnum):
    """When a request without keys makes us renew the session."""

    SOON = "soon"
    """At the first request, once an hour: an answer in the same session cannot be read either."""
    LATER = "later"
    """From the second request on, once an hour."""
    ALWAYS = "always"
    """At every request: the session is certainly out of step."""


@dataclass(frozen=True, slots=True)
class ReasonRule:
    """What follows from one code in a request."""

    renew: Renew
    why: str


REASONS: Mapping[RetryReason, ReasonRule] = MappingProxyType(
    {
        RetryReason.UNKNOWN: ReasonRule(Renew.LATER, "nothing is said; Baileys says this whatever happened"),
        RetryReason.NO_SESSION: ReasonRule(Renew.SOON, "they have no session; in a group it may be the sender key"),
        RetryReason.INVALID_KEY: ReasonRule(Renew.SOON, "a key in the session is unusable"),
        RetryReason.INVALID_KEY_ID: ReasonRule(Renew.SOON, "the prekey our session began with is gone"),
        RetryReason.INVALID_MESSAGE: ReasonRule(Renew.ALWAYS, "no key of theirs fits; counts as a MAC failure"),
        RetryReason.INVALID_SIGNATURE: ReasonRule(Renew.LATER, "of a sender key, which goes along anyway"),
        RetryReason.FUTURE_MESSAGE: ReasonRule(Renew.SOON, "our chain is too far ahead of theirs, and stays so"),
        RetryReason.BAD_MAC: ReasonRule(Renew.ALWAYS, "the MAC key differs: out of step"),
        RetryReason.INVALID_SESSION: ReasonRule(Renew.SOON, "their record is damaged"),
        RetryReason.INVALID_MSG_KEY: ReasonRule(Renew.LATER, "one key is missing; the next one may do"),
        RetryReason.BAD_BROADCAST_EPHEMERAL_SETTING: ReasonRule(Renew.LATER, "the session is sound"),
        RetryReason.UNKNOWN_COMPANION_NO_PREKEY: ReasonRule(
            Renew.SOON, "an opening message brings our device identity"
        ),
        RetryReason.ADV_FAILURE: ReasonRule(Renew.SOON, "an opening message brings our device identity"),
        RetryReason.STATUS_REVOKE_DELAY: ReasonRule(Renew.LATER, "the session is sound"),
    }
)
