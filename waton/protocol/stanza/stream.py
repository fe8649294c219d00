"""The stream's own stanzas: success, failure, stream:error, and the small <ib> notices.

Source: Baileys Socket/socket.ts, whatsmeow connectionevents.go.
"""

from __future__ import annotations

from waton.errors import Disconnected, DisconnectReason
from waton.jid import SERVER, Jid
from waton.protocol.binary_node import Node, get_text

_CODES = {
    401: DisconnectReason.LOGGED_OUT,
    403: DisconnectReason.FORBIDDEN,
    405: DisconnectReason.CLIENT_OUTDATED,
    406: DisconnectReason.LOGGED_OUT,
    408: DisconnectReason.LOST,
    409: DisconnectReason.FORBIDDEN,
    411: DisconnectReason.MULTIDEVICE_MISMATCH,
    440: DisconnectReason.REPLACED,
    500: DisconnectReason.BAD_SESSION,
    503: DisconnectReason.UNAVAILABLE,
    515: DisconnectReason.RESTART_REQUIRED,
}


def success(t: int, lid: Jid, *, push_name: str = "") -> Node:
    """The server's welcome after login."""
    attrs: dict[str, str | Jid | None] = {
        "t": str(t),
        "props": "27",
        "location": "lab",
        "lid": lid,
        "display_name": push_name or None,
    }
    return Node("success", attrs)


def failure(reason: int, location: str = "lab") -> Node:
    """The server's refusal of a login."""
    return Node("failure", {"reason": str(reason), "location": location})


def stream_error(code: int | None = None, child: Node | None = None) -> Node:
    """The server's last word before it closes."""
    return Node("stream:error", {"code": None if code is None else str(code)}, None if child is None else [child])


def conflict(kind: str) -> Node:
    """The child of a stream:error: "replaced" by another connection, or "device_removed" from the account."""
    return Node("conflict", {"type": kind})


def disconnected_of(node: Node) -> Disconnected:
    """What a stream:error or failure means.

    A conflict of type device_removed is a logout; any other conflict means replaced. An unknown code is BAD_SESSION and
    keeps its number.
    """
    first = next(iter(node.children()), None)
    text = get_text(node, "reason" if node.tag == "failure" else "code")
    code = int(text) if text and text.isdecimal() and len(text) < 9 else None
    detail = first.tag if first is not None else ""
    if first is not None and first.tag == "conflict":
        removed = get_text(first, "type") == "device_removed"
        return Disconnected(DisconnectReason.LOGGED_OUT if removed else DisconnectReason.REPLACED, code, detail)
    if code is None:
        return Disconnected(DisconnectReason.BAD_SESSION, None, detail)
    return Disconnected(_CODES.get(code, DisconnectReason.BAD_SESSION), code, detail)


def offline_preview(*, messages: int, receipts: int, notifications: int, t: int) -> Node:
    """The server's count of what waits for us."""
    counts: dict[str, str | Jid | None] = {
        "count": str(messages + receipts + notifications),
        "message": str(messages),
        "receipt": str(receipts),
        "notification": str(notifications),
        "appdata": "0",
        "call": "0",
        "t": str(t),
    }
    return Node("ib", {"from": SERVER}, [Node("offline_preview", counts)])


def offline_done(count: int) -> Node:
    """The server's word that the offline queue is empty now."""
    return Node("ib", {"from": SERVER}, [Node("offline", {"count": str(count)})])


def offline_batch(count: int = 100) -> Node:
    """The client's request for queued stanzas."""
    return Node("ib", None, [Node("offline_batch", {"count": str(count)})])


def unified_session(now_ms: int) -> Node:
    """The client's session id: milliseconds since a weekly origin three days off. Source: Baileys."""
    week = 7 * 24 * 3600 * 1000
    return Node("ib", None, [Node("unified_session", {"id": str((now_ms + 3 * 24 * 3600 * 1000) % week)})])
