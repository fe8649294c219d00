"""receipt and ack: who has got what.

A receipt goes from reader to author and is routed; an ack says to the server (or from it) "this stanza is done with".

For groups and status lists the server may gather the receipts of many readers in one stanza: <participants> for each
message, a <user> in it for each reader.

Source: Baileys Socket/messages-recv.ts sendReceipt and Utils/stanza-ack.ts, whatsmeow receipt.go, whatsapp-rust
wacore/src/stanza/receipt.rs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from waton.jid import Jid
from waton.protocol.binary_node import Node, get_jid, get_text, require_jid, require_text


class ReceiptType(StrEnum):
    """The type attribute of a receipt; DELIVERED is written by leaving the attribute out."""

    DELIVERED = ""
    INACTIVE = "inactive"
    """Delivered to a device nobody looks at."""
    SENDER = "sender"
    """Our own message, from another of our devices, has arrived here."""
    READ = "read"
    READ_SELF = "read-self"
    PLAYED = "played"
    PLAYED_SELF = "played-self"
    RETRY = "retry"
    SERVER_ERROR = "server-error"
    HIST_SYNC = "hist_sync"
    PEER_MSG = "peer_msg"
    ENC_REKEY_RETRY = "enc_rekey_retry"
    VIEW = "view"


class Nack(IntEnum):
    """The error of a client's ack: what it could not take, and will not take when it comes again.

    Source: Baileys Utils/decode-wa-message.ts NACK_REASONS, from the web client's own list.
    """

    SENDER_REACHOUT_TIMELOCKED = 463
    """Said by the server, of a message to a stranger."""
    PARSING = 487
    """The stanza is not as it should be."""
    UNRECOGNISED_STANZA = 488
    UNRECOGNISED_STANZA_CLASS = 489
    UNRECOGNISED_STANZA_TYPE = 490
    INVALID_PROTOBUF = 491
    """What was decrypted is no message."""
    INVALID_HOSTED_COMPANION_STANZA = 493
    MISSING_MESSAGE_SECRET = 495
    """An addition to a message whose secret we do not have."""
    SIGNAL_ERROR_OLD_COUNTER = 496
    MESSAGE_DELETED_ON_PEER = 499
    UNHANDLED = 500
    UNSUPPORTED_ADMIN_REVOKE = 550
    UNSUPPORTED_LID_GROUP = 551
    DB_OPERATION_FAILED = 552


@dataclass(frozen=True, slots=True)
class Reader:
    """One <user>: somebody who has got, read or played one message."""

    jid: Jid
    t: int | None = None
    """Unix seconds; None when only the stanza has a time."""
    type: str | None = None
    """His own type; None when the stanza's counts."""
    pn: Jid | None = None
    """participant_pn, his other address."""

    def to_node(self) -> Node:
        attrs: dict[str, str | Jid | None] = {
            "jid": self.jid,
            "t": None if self.t is None else str(self.t),
            "type": self.type,
            "participant_pn": self.pn,
        }
        return Node("user", attrs)

    @staticmethod
    def from_node(node: Node) -> Reader:
        """Raises StanzaError."""
        return Reader(
            jid=require_jid(node, "jid"),
            t=_time(node),
            type=get_text(node, "type"),
            pn=get_jid(node, "participant_pn"),
        )


@dataclass(frozen=True, slots=True)
class Readers:
    """One <participants>: the readers of one message."""

    id: str
    """message_id, or the older key; the stanza's id where it has neither."""
    readers: tuple[Reader, ...]

    def to_node(self) -> Node:
        return Node("participants", {"message_id": self.id}, [reader.to_node() for reader in self.readers])

    @staticmethod
    def from_node(node: Node, id: str) -> Readers:
        """id: the stanza's. Raises StanzaError."""
        named = get_text(node, "message_id") or get_text(node, "key") or id
        return Readers(named, tuple(Reader.from_node(user) for user in node.children("user")))


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt, for one or more messages of one conversation."""

    ids: tuple[str, ...]
    peer: Jid
    """`to` on the way out, `from` on the way in."""
    type: str = ReceiptType.DELIVERED
    participant: Jid | None = None
    recipient: Jid | None = None
    t: int | None = None
    """Unix seconds."""
    offline: str | None = None
    content: tuple[Node, ...] = ()
    """Children other than <list> and <participants>: a retry's <retry>, <registration>, <keys>."""
    category: str | None = None
    """"peer" when it is about a message between our own devices."""
    participant_pn: Jid | None = None
    """The reader's other address, in LID groups."""
    readers: tuple[Readers, ...] = ()
    """Of many at once; `participant` is None then."""

    def to_node(self, *, incoming: bool = False) -> Node:
        """The stanza; incoming=True writes `from` instead of `to`, as a server delivers it."""
        attrs: dict[str, str | Jid | None] = {
            "id": self.ids[0],
            "from" if incoming else "to": self.peer,
            "type": self.type or None,
            "participant": self.participant,
            "recipient": self.recipient,
            "t": None if self.t is None else str(self.t),
            "offline": self.offline,
            "category": self.category,
            "participant_pn": self.participant_pn,
        }
        children = [*self.content, *(several.to_node() for several in self.readers)]
        if len(self.ids) > 1:
            children.append(Node("list", None, [Node("item", {"id": id}) for id in self.ids[1:]]))
        return Node("receipt", attrs, children or None)

    @staticmethod
    def from_node(node: Node) -> Receipt:
        """Either direction. Raises StanzaError."""
        id, listed = require_text(node, "id"), node.child("list")
        more = () if listed is None else tuple(_listed_id(item) for item in listed.children("item"))
        return Receipt(
            ids=(id, *more),
            peer=require_jid(node, "from" if "from" in node.attrs else "to"),
            type=get_text(node, "type") or "",
            participant=get_jid(node, "participant"),
            recipient=get_jid(node, "recipient"),
            t=_time(node),
            offline=get_text(node, "offline"),
            content=tuple(child for child in node.children() if child.tag not in ("list", "participants")),
            category=get_text(node, "category"),
            participant_pn=get_jid(node, "participant_pn"),
            readers=tuple(Readers.from_node(several, id) for several in node.children("participants")),
        )


def _listed_id(item: Node) -> str:
    """A further message; a newsletter's is known by its number there. Raises StanzaError."""
    return get_text(item, "server_id") or require_text(item, "id")


def _time(node: Node) -> int | None:
    """The t attribute; None when it is no time, which is no reason to refuse."""
    t = get_text(node, "t")
    return int(t) if t and t.isdecimal() and len(t) <= 20 else None


def ack(node: Node, *, error: int | None = None, me: Jid | None = None) -> Node:
    """A client's ack of a stanza the server delivered.

    Args:
        node: the stanza: its tag becomes the class; participant, recipient and type are repeated.
        error: why it is not taken, a Nack.
        me: our own address, named as `from` for class message only.
    """
    attrs: dict[str, str | Jid | None] = {
        "id": require_text(node, "id"),
        "to": require_jid(node, "from"),
        "class": node.tag,
        "error": None if error is None else str(error),
        "participant": get_jid(node, "participant"),
        "recipient": get_jid(node, "recipient"),
        "type": get_text(node, "type"),
        "from": me if node.tag == "message" else None,
    }
    return Node("ack", attrs)


def server_ack(node: Node, *, t: int, error: int | None = None, attrs: Sequence[tuple[str, str]] = ()) -> Node:
    """The server's ack of a stanza a client sent: class is its tag, `from` where it was addressed to."""
    made: dict[str, str | Jid | None] = {
        "class": node.tag,
        "id": get_text(node, "id"),
        "from": get_jid(node, "to"),
        "t": str(t),
        "participant": get_jid(node, "participant"),
        "recipient": get_jid(node, "recipient"),
        "type": get_text(node, "type"),
        "error": None if error is None else str(error),
    }
    made.update(attrs)
    return Node("ack", made)
