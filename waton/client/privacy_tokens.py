"""Privacy tokens: which one goes with a message, when we give ours, and what is kept of others'.

To write to somebody who takes no messages from strangers we show a token that they gave us; without a valid one we show
one of our own making, if the server has given us the salt for it. In return we give ours to whom we write, once in each
bucket of time. Everything here is a decision over the stored record, the server's switches and the time; who calls it
sends and saves.

The record is kept under the person's LID (the number, while the LID is unknown; it moves when that is learnt). It has
two halves: what they gave us, and when we gave ours; either may be there alone, and the store forgets it when both are
too old to count. A token is a credential: it is never shown.

What the server answers to a message without a token that it wants (463) is no reason to send again: each attempt counts
as another stranger's, and makes it worse.

Source: whatsmeow tctoken.go and send.go, Baileys Utils/tc-token-utils.ts and Socket/messages-send.ts, whatsapp-rust
src/send/tctoken_lifecycle.rs (the choice between the two tokens) and wacore/src/iq/abprops.rs (codes and defaults).
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Final

from waton.client import addresses
from waton.client.addresses import Reader
from waton.client.event_pipeline import Step
from waton.errors import StorageError
from waton.jid import Jid, JidServer
from waton.ports import RecordKind
from waton.protocol.binary_node import Node
from waton.protocol.stanza.privacy import CS_TOKEN, TC_TOKEN, Buckets, ContactToken, TokenNotification, cs_token

_BOT_NUMBER: Final = re.compile(r"1313555\d{4}|131655500\d{2}")
_ANNOUNCEMENTS: Final = "0"
"""The user of the service's own announcements."""
_PERSONS: Final = frozenset({JidServer.PN, JidServer.LID, JidServer.LEGACY, JidServer.HOSTED, JidServer.HOSTED_LID})


class SendError(IntEnum):
    """The error of a message's ack, where we know what it says. Source: Baileys Utils/decode-wa-message.ts."""

    TOKEN_MISSING = 463
    """The recipient takes no messages from strangers and our token is missing, too old or wrong; or our account may
    start no new chats for a while. Do not send again."""
    MALFORMED = 479
    """The stanza is not as it should be, or names a device that they no longer have: ask for their devices anew."""

    @staticmethod
    def of(code: int | None) -> SendError | None:
        """The error of this code, None for any other."""
        return None if code is None or code not in set(SendError) else SendError(code)


@dataclass(frozen=True, slots=True)
class Switches:
    """What the server wants of clients, as its A/B props say; the defaults are what clients do without being told."""

    on_messages: bool = True
    """10518: show a contact's token with messages."""
    on_pictures: bool = True
    """9666: show it when asking for a profile picture."""
    give_to_lid: bool = False
    """14303: name contacts by LID when giving ours."""
    own_tokens: bool = True
    """24941: show a cstoken where there is no contact's token."""
    received: Buckets = field(default_factory=Buckets)
    """865, 909: how long what others gave us counts."""
    given: Buckets = field(default_factory=Buckets)
    """996, 997: how often we give ours."""

    @staticmethod
    def of(props: Mapping[str, str]) -> Switches:
        """From the server's props, by code; what is absent or odd stays at its default."""
        usual = Switches()
        return Switches(
            on_messages=_switch(props.get("10518"), usual.on_messages),
            on_pictures=_switch(props.get("9666"), usual.on_pictures),
            give_to_lid=_switch(props.get("14303"), usual.give_to_lid),
            own_tokens=_switch(props.get("24941"), usual.own_tokens),
            received=_buckets(props.get("865"), props.get("909")),
            given=_buckets(props.get("996"), props.get("997")),
        )


def _switch(value: str | None, usual: bool) -> bool:
    return usual if value is None else value in ("1", "true")


def _buckets(seconds: str | None, count: str | None) -> Buckets:
    usual = Buckets()
    return Buckets.of(_number(seconds, usual.seconds), _number(count, usual.count))


def _number(value: str | None, usual: int) -> int:
    return int(value) if value is not None and value.isdecimal() and len(value) < 12 else usual


@dataclass(frozen=True, slots=True, repr=False)
class PrivacyToken:
    """What is kept of one contact."""

    token: bytes = b""
    """Theirs; empty when they gave none."""
    t: int = 0
    """Unix seconds of its making; 0 without one."""
    given_t: int = 0
    """Unix seconds of when we last gave ours; 0 for never."""

    def to_json(self) -> bytes:
        """The stored form."""
        values = {"token": b64encode(self.token).decode(), "t": self.t, "given_t": self.given_t}
        return json.dumps(values).encode()

    @staticmethod
    def from_json(data: bytes) -> PrivacyToken:
        """Raises StorageError when the record is damaged."""
        try:
            raw: dict[str, Any] = json.loads(data)
            return PrivacyToken(b64decode(raw["token"], validate=True), int(raw["t"]), int(raw["given_t"]))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise StorageError("privacy_token") from error

    def __repr__(self) -> str:
        return f"<PrivacyToken t={self.t} given_t={self.given_t}>"


NOTHING: Final = PrivacyToken()


# --- who has to do with tokens ----------------------------------------------------------------------------------------


def is_contact(jid: Jid) -> bool:
    """A person who may have a token: no group, list or channel, no bot, not the service's announcements."""
    if jid.server not in _PERSONS or jid.user in ("", _ANNOUNCEMENTS):
        return False
    return not (jid.is_pn and _BOT_NUMBER.fullmatch(jid.user))


def goes_along(to: Jid, *, is_me: bool, is_peer: bool = False, is_resend: bool = False) -> bool:
    """Whether a message carries a token at all.

    Args:
        to: the conversation.
        is_me: it is our own account.
        is_peer: a message of category peer; the server refuses a token on those (479).
        is_resend: the answer to a retry receipt.
    """
    return is_contact(to) and not (is_me or is_peer or is_resend)


# --- showing ----------------------------------------------------------------------------------------------------------


def has_valid(known: PrivacyToken, switches: Switches, now: float) -> bool:
    """The contact's token counts at this moment. now: Unix seconds."""
    return bool(known.token) and not switches.received.is_expired(known.t, now)


def message_token(known: PrivacyToken, *, lid: Jid | None, salt: bytes, switches: Switches, now: float) -> Node | None:
    """The child for a message that carries a token (see goes_along): the contact's, else our own, else none.

    Args:
        known: the record; NOTHING when there is none.
        lid: the contact's, None while unknown: then there is no cstoken.
        salt: our account's, from Credentials.nct_salt.
        switches: the server's.
        now: Unix seconds.
    """
    if switches.on_messages and has_valid(known, switches, now):
        return Node(TC_TOKEN, None, known.token)
    if switches.own_tokens and salt and lid is not None and lid.is_lid:
        return Node(CS_TOKEN, None, cs_token(salt, lid))
    return None


def query_token(known: PrivacyToken, switches: Switches, now: float) -> Node | None:
    """The child for a question about a contact (presence; profile picture, unless switches.on_pictures is off)."""
    return Node(TC_TOKEN, {"t": str(known.t)}, known.token) if has_valid(known, switches, now) else None


# --- giving -----------------------------------------------------------------------------------------------------------


def should_give(known: PrivacyToken, switches: Switches, now: float) -> bool:
    """Whether to give ours after a message that goes_along, unless it was a protocol message: once in each bucket."""
    return switches.given.index(now) > switches.given.index(known.given_t)


def given(known: PrivacyToken, t: int) -> PrivacyToken:
    """The record after the server took ours. t: the time that was named. An earlier one takes nothing back."""
    return replace(known, given_t=max(known.given_t, t))


def give_again_t(known: PrivacyToken, switches: Switches, now: float) -> int | None:
    """The time to name when a contact's identity changed and ours must be given again; None when none is out."""
    return None if switches.given.is_expired(known.given_t, now) else known.given_t


async def give_to(reader: Reader, contact: Jid, switches: Switches) -> Jid:
    """The address to name when giving ours: LID or number, as the server wants it, where both are known."""
    if switches.give_to_lid:
        return await addresses.canonical(reader, contact.bare)
    return await addresses.phone_number(reader, contact.bare) or contact.bare


# --- getting ----------------------------------------------------------------------------------------------------------


def merged(known: PrivacyToken, other: PrivacyToken) -> PrivacyToken:
    """What is kept of a contact after more was told (by a notification, by history): the newer token, the later giving.

    A token without a time would have expired at once: it is passed over. Of two of the same time the later told counts.
    """
    takes = bool(other.token) and other.t > 0 and other.t >= known.t
    token, t = (other.token, other.t) if takes else (known.token, known.t)
    return PrivacyToken(token, t, max(known.given_t, other.given_t))


def received(known: PrivacyToken, token: ContactToken) -> PrivacyToken:
    """What is kept after the contact gave a token."""
    return merged(known, PrivacyToken(token.token, token.t))


def pruned(known: PrivacyToken, switches: Switches, now: float) -> PrivacyToken | None:
    """The record without what counts no more; None when nothing is left."""
    keeps_token, keeps_giving = has_valid(known, switches, now), not switches.given.is_expired(known.given_t, now)
    if not keeps_token and not keeps_giving:
        return None
    return PrivacyToken(*((known.token, known.t) if keeps_token else (b"", 0)), known.given_t if keeps_giving else 0)


def forgotten_at(known: PrivacyToken, switches: Switches) -> float:
    """Unix seconds from which nothing of the record counts: the store may forget it then."""
    times = [switches.received.expires_at(known.t) if known.token else 0]
    times.append(switches.given.expires_at(known.given_t) if known.given_t else 0)
    return float(max(times))


# --- records ----------------------------------------------------------------------------------------------------------


async def load(reader: Reader, contact: Jid) -> PrivacyToken:
    """What is kept of a contact; NOTHING when nothing is. Raises StorageError."""
    record = await reader.load(RecordKind.PRIVACY_TOKEN, await _place(reader, contact))
    return NOTHING if record is None else PrivacyToken.from_json(record)


async def save(step: Step, contact: Jid, token: PrivacyToken, switches: Switches) -> None:
    """Keep this of a contact, for as long as it counts."""
    until = forgotten_at(token, switches)
    step.save(RecordKind.PRIVACY_TOKEN, await _place(step, contact), token.to_json(), until=until)


async def _place(reader: Reader, contact: Jid) -> str:
    return str(await addresses.canonical(reader, contact.bare))


async def take_notification(step: Step, notification: TokenNotification, switches: Switches) -> bool:
    """Keep what a notification brings; True when it was news. Hold the owner's lock."""
    owner = notification.owner
    if not is_contact(owner):
        return False
    known = token = await load(step, owner)
    for one in notification.tokens:
        token = received(token, one)
    if token == known:
        return False
    await save(step, owner, token, switches)
    step.transition("privacy_token", "known" if known.token else "none", "received")
    return True
