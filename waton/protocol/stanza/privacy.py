"""Privacy tokens on the wire: who may write to whom without being a stranger.

Two tokens go with a message to a person, and the service reads them, not the recipient:

    tctoken    the recipient gave it to us (trusted contact): bytes made by the service, good for four weeks or so
    cstoken    nobody gave us anything: an HMAC over the recipient's LID, under a salt that the service gave our account

A tctoken is given by an iq that names whom we trust; the service makes it and tells that person's devices in a
notification. What the iq's result may say of it is not for us to show (whatsapp-rust, of the web client; Baileys keeps
it). Its age counts in buckets: weeks since 1970, cut at the same moment for everybody.

Source: whatsmeow tctoken.go, cstoken.go and notification.go; Baileys Utils/tc-token-utils.ts; whatsapp-rust
wacore/src/iq/tctoken.rs (shapes, and the vector of cs_token).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from waton.errors import RemoteProtocolError
from waton.jid import Jid
from waton.protocol.binary_node import (
    Node,
    StanzaError,
    get_jid,
    get_text,
    require_child,
    require_int,
    require_jid,
    require_text,
)

XMLNS: Final = "privacy"
NOTIFICATION: Final = "privacy_token"
TRUSTED_CONTACT: Final = "trusted_contact"
TC_TOKEN, CS_TOKEN = "tctoken", "cstoken"
BUCKET_SECONDS: Final = 7 * 86_400
BUCKETS: Final = 4
LONGEST_BUCKET: Final = 180 * 86_400
"""Seconds; a longer setting counts as this. Source: whatsapp-rust."""
MAX_TOKEN: Final = 1_024
"""Bytes; a longer token is none."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """How old a token may be: the bucket it was made in is one of the last so many."""

    seconds: int = BUCKET_SECONDS
    count: int = BUCKETS

    def index(self, t: float) -> int:
        """The bucket of a moment. t: Unix seconds."""
        return int(t) // self.seconds

    def cutoff(self, now: float) -> int:
        """Unix seconds: what is older has expired."""
        return (self.index(now) - (self.count - 1)) * self.seconds

    def is_expired(self, t: float, now: float) -> bool:
        """Whether something made at `t` counts no more; 0 was never made."""
        return t <= 0 or t < self.cutoff(now)

    def expires_at(self, t: float) -> int:
        """Unix seconds: the first moment at which something made at `t` counts no more."""
        return (self.index(t) + self.count) * self.seconds

    @staticmethod
    def of(seconds: int, count: int) -> Buckets:
        """From settings of the server; what makes no sense is brought into range."""
        return Buckets(min(max(seconds, 1), LONGEST_BUCKET), max(count, 1))


@dataclass(frozen=True, slots=True, repr=False)
class ContactToken:
    """A tctoken as it comes."""

    token: bytes
    t: int
    """Unix seconds of its making."""
    jid: Jid | None = None
    """What its `jid` says: in a notification our own device."""


def read_tokens(parent: Node) -> list[ContactToken]:
    """The usable tokens under <tokens>; those of other types, empty ones and those without a time are passed over.

    Raises:
        StanzaError: there is no <tokens>.
    """
    found = [_read_token(child) for child in require_child(parent, "tokens").children("token")]
    return [token for token in found if token is not None]


def _read_token(node: Node) -> ContactToken | None:
    content = node.content
    if get_text(node, "type") != TRUSTED_CONTACT or not isinstance(content, bytes):
        return None
    try:
        t, jid = require_int(node, "t"), get_jid(node, "jid")
    except StanzaError:
        return None
    if t <= 0 or not 0 < len(content) <= MAX_TOKEN:
        return None
    return ContactToken(content, t, jid)


@dataclass(frozen=True, slots=True, repr=False)
class TokenNotification:
    """notification type=privacy_token: somebody trusts us."""

    sender: Jid
    sender_lid: Jid | None
    tokens: tuple[ContactToken, ...]

    @property
    def owner(self) -> Jid:
        """Who gave them, without a device: by LID if the notification says it."""
        return (self.sender_lid or self.sender).bare

    def to_node(self, id: str, t: int) -> Node:
        """The lab's way out. t: Unix seconds."""
        attrs: dict[str, str | Jid | None] = {
            "from": self.sender,
            "id": id,
            "type": NOTIFICATION,
            "t": str(t),
            "sender_lid": self.sender_lid,
        }
        tokens = [
            Node("token", {"jid": token.jid, "t": str(token.t), "type": TRUSTED_CONTACT}, token.token)
            for token in self.tokens
        ]
        return Node("notification", attrs, [Node("tokens", None, tokens)])

    @staticmethod
    def from_node(node: Node) -> TokenNotification:
        """Raises StanzaError; RemoteProtocolError when it comes from nobody who could give a token."""
        sender, lid = require_jid(node, "from"), get_jid(node, "sender_lid")
        if lid is not None and not lid.is_lid:
            lid = None
        if lid is None and not sender.is_user:
            raise RemoteProtocolError("a privacy token of nobody")
        return TokenNotification(sender, lid, tuple(read_tokens(node)))


def trust(jids: Iterable[Jid], t: int) -> list[Node]:
    """The children of the iq (privacy, set) that gives tokens. jids: to whom; t: Unix seconds of the giving."""
    tokens = [Node("token", {"jid": jid.bare, "t": str(t), "type": TRUSTED_CONTACT}) for jid in jids]
    return [Node("tokens", None, tokens)]


def trusted(request: Node) -> list[tuple[Jid, int]]:
    """The server's way in: whom an iq trusts, since when. Raises StanzaError."""
    named = require_child(request, "tokens").children("token")
    return [
        (require_jid(token, "jid").bare, require_int(token, "t"))
        for token in named
        if require_text(token, "type") == TRUSTED_CONTACT
    ]


def cs_token(salt: bytes, lid: Jid) -> bytes:
    """The token of somebody whom nobody trusts yet: 32 bytes.

    Args:
        salt: our account's.
        lid: the recipient's LID.
    """
    return hmac.digest(salt, str(lid.bare).encode(), "sha256")
