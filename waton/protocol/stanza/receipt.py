"""receipt and ack: who has got what.

A receipt goes from reader to author and is routed; an ack says to the server (or from it) "this stanza is done with".

Source: Baileys Socket/messages-recv.ts sendReceipt and Utils/stanza-ack.ts, whatsmeow receipt.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

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
    """Children other than <list>: a retry's <retry>, <registration>, <keys>."""

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
        }
        children = list(self.content)
        if len(self.ids) > 1:
            children.append(Node("list", None, [Node("item", {"id": id}) for id in self.ids[1:]]))
        return Node("receipt", attrs, children or None)

    @staticmethod
    def from_node(node: Node) -> Receipt:
        """Either direction. Raises StanzaError."""
        listed = node.child("list")
        more = () if listed is None else tuple(require_text(item, "id") for item in listed.children("item"))
        t = get_text(node, "t")
        return Receipt(
            ids=(require_text(node, "id"), *more),
            peer=require_jid(node, "from" if "from" in node.attrs else "to"),
            type=get_text(node, "type") or "",
            participant=get_jid(node, "participant"),
            recipient=get_jid(node, "recipient"),
            t=int(t) if t and t.isdecimal() and len(t) <= 20 else None,
            offline=get_text(node, "offline"),
            content=tuple(child for child in node.children() if child.tag != "list"),
        )


def ack(node: Node, *, error: int | None = None, me: Jid | None = None) -> Node:
    """A client's ack of a stanza the server delivered.

    Args:
        node: the stanza: its tag becomes the class; participant, recipient and type are repeated.
        error: a nack code (Baileys' 487 parsing, 495 missing secret, 500 unhandled ...).
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
