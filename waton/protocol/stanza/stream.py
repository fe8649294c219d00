"""The stream's own stanzas: success, failure, stream:error, and the small <ib> notices.

Source: Baileys Socket/socket.ts, whatsmeow connectionevents.go.
"""

from __future__ import annotations

from waton.errors import BanReason, Disconnected, DisconnectReason
from waton.jid import SERVER, Jid
from waton.protocol.binary_node import Node, get_text

_CODES = {
    400: DisconnectReason.BAD_REQUEST,
    401: DisconnectReason.LOGGED_OUT,
    402: DisconnectReason.TEMPORARY_BAN,
    403: DisconnectReason.FORBIDDEN,
    405: DisconnectReason.CLIENT_OUTDATED,
    406: DisconnectReason.UNKNOWN_LOGOUT,
    408: DisconnectReason.LOST,
    409: DisconnectReason.REPLACED,
    411: DisconnectReason.MULTIDEVICE_MISMATCH,
    413: DisconnectReason.TOKEN_EXPIRED,
    414: DisconnectReason.TOKEN_INVALID,
    415: DisconnectReason.NOT_FOUND,
    418: DisconnectReason.CLIENT_UNKNOWN,
    428: DisconnectReason.CLOSED,
    429: DisconnectReason.RATE_LIMITED,
    440: DisconnectReason.REPLACED,
    500: DisconnectReason.BAD_SESSION,
    501: DisconnectReason.EXPERIMENTAL,
    503: DisconnectReason.UNAVAILABLE,
    515: DisconnectReason.RESTART_REQUIRED,
    516: DisconnectReason.DEVICE_REMOVED,
}
"""What a number means in either stanza."""
_OF_FAILURE = {409: DisconnectReason.BAD_USER_AGENT}
"""Where a failure means something else by it than a stream:error."""
_LONGEST_WAIT = 10 * 365 * 86_400
"""Seconds; what is longer is taken for this."""


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


def temporary_ban(ban: int, seconds: int) -> Node:
    """The server's refusal for a time, with what it is for (BanReason)."""
    attrs: dict[str, str | Jid | None] = {"reason": "402", "code": str(ban), "expire": str(seconds), "location": "lab"}
    return Node("failure", attrs)


def disconnected_of(node: Node) -> Disconnected:
    """What a stream:error or failure means.

    A conflict of type device_removed is a logout; any other conflict means replaced. In a stream:error an unknown code
    is BAD_SESSION, as in Baileys; in a failure it is REFUSED, since a login that was refused once will be again. The
    number is kept in either case.
    """
    is_failure = node.tag == "failure"
    code = _number(get_text(node, "reason" if is_failure else "code"))
    first = next(iter(node.children()), None)
    detail = first.tag if first is not None else ""
    if first is not None and first.tag == "conflict":
        removed = get_text(first, "type") == "device_removed"
        return Disconnected(DisconnectReason.LOGGED_OUT if removed else DisconnectReason.REPLACED, code, detail)
    unknown = DisconnectReason.REFUSED if is_failure else DisconnectReason.BAD_SESSION
    reason = _CODES.get(code, unknown) if code is not None else unknown
    if is_failure and code is not None:
        reason = _OF_FAILURE.get(code, reason)
    blamed = get_text(first, "id") if first is not None and first.tag == "ack" else None
    return Disconnected(
        reason, code, detail, retry_after=_wait(node), ban=_ban(node) if code == 402 else None, stanza=blamed or ""
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 9 else None


def _wait(node: Node) -> float | None:
    """Seconds: a ban's `expire`, or a `backoff`.

    Guess: that a stream's last stanza says `backoff` as the errors of queries do; a capture of a 429 would settle it.
    """
    told = get_text(node, "expire") or get_text(node, "backoff") or ""
    if not (told.isascii() and told.isdecimal()):
        return None
    return float(min(int(told), _LONGEST_WAIT)) if len(told) < 12 else float(_LONGEST_WAIT)


def _ban(node: Node) -> BanReason | int | None:
    code = _number(get_text(node, "code"))
    return BanReason(code) if code is not None and code in set(BanReason) else code


def edge_routing(info: bytes) -> Node:
    """The server's word on where to connect the next time: said in the intro before the prologue."""
    return Node("ib", {"from": SERVER}, [Node("edge_routing", None, [Node("routing_info", None, info)])])


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


def drained_count(offline: Node) -> int:
    """How many stanzas had waited, by an <offline>; 0 when it does not say."""
    count = get_text(offline, "count") or ""
    return int(count) if count.isdecimal() and len(count) < 10 else 0


def offline_batch(count: int = 100) -> Node:
    """The client's request for queued stanzas."""
    return Node("ib", None, [Node("offline_batch", {"count": str(count)})])


def unified_session(now_ms: int) -> Node:
    """The client's session id: milliseconds since a weekly origin three days off. Source: Baileys."""
    week = 7 * 24 * 3600 * 1000
    return Node("ib", None, [Node("unified_session", {"id": str((now_ms + 3 * 24 * 3600 * 1000) % week)})])
