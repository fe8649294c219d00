"""What is between a client and the server itself: passive, ping, props, media hosts, dirty bits.

Source: Baileys Socket/socket.ts and messages-send.ts, whatsmeow keepalive.go, mediaconn.go, appstate.go.
"""

from __future__ import annotations

import json
from hashlib import sha1

from waton.jid import Jid
from waton.lab.answers.request import Request, Table
from waton.protocol.binary_node import Node
from waton.protocol.stanza.props import props_node


def active(request: Request) -> None:
    """Begin deliveries, and have the phone welcome a new companion."""
    request.afterwards.append(request.session.activate)
    request.afterwards.append(lambda: request.service.greet(request.device))


def passive(request: Request) -> None:
    """Hold deliveries back."""
    request.session.deactivate()


def ping(request: Request) -> None:
    """An empty result, with the server's time."""
    request.said["t"] = str(request.world.t())


def nothing(request: Request) -> None:
    """An empty result is the whole answer."""


def props(request: Request) -> list[Node]:
    """The A/B props, whole; the hash lets a client see that nothing has changed."""
    told = request.service.props
    named = sha1(json.dumps(sorted(told.items())).encode(), usedforsecurity=False).hexdigest()
    return [props_node(told, f"waton-lab-{named[:8]}")]


def media_conn(request: Request) -> list[Node]:
    """Where media would go: this lab's own port, which has no media yet and says 404."""
    attrs: dict[str, str | Jid | None] = {
        "auth": "lab",
        "ttl": "3600",
        "auth_ttl": "3600",
        "max_buckets": "12",
    }
    return [Node("media_conn", attrs, [Node("host", {"hostname": request.service.http_host})])]


def push_settings(request: Request) -> list[Node]:
    """No push settings."""
    return [Node("settings")]


TABLE: Table = {
    ("passive", "active"): active,
    ("passive", "passive"): passive,
    ("w:p", ""): ping,
    ("urn:xmpp:ping", ""): nothing,
    ("abt", ""): props,
    ("w:m", ""): media_conn,
    ("urn:xmpp:whatsapp:dirty", ""): nothing,
    ("urn:xmpp:whatsapp:push", "settings"): push_settings,
    ("urn:xmpp:whatsapp:push", ""): nothing,
    ("w:stats", ""): nothing,
}
