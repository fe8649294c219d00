"""Settings of an account: blocklist, privacy, about, disappearing mode, picture. Kept, and given back as they were set.

Source: Baileys Socket/chats.ts, whatsmeow privacysettings.go.
"""

from __future__ import annotations

import json

from waton.errors import IqError
from waton.jid import Jid
from waton.lab.answers.request import Request, Table
from waton.lab.privacy import give
from waton.protocol.binary_node import Node, content_bytes, get_text, require_child, require_jid, require_text
from waton.protocol.stanza.privacy import trusted

_PRIVACY = {
    "last": "all",
    "online": "all",
    "profile": "all",
    "status": "all",
    "readreceipts": "all",
    "groupadd": "all",
    "calladd": "all",
    "messages": "all",
    "defense": "off",
    "stickers": "contacts",
}


def blocklist(request: Request) -> list[Node]:
    """Get the list, or block or unblock one address and get the list."""
    blocked: list[str] = json.loads(request.world.profile(request.account, "blocklist", "[]"))
    item = request.node.child("item")
    if item is not None:
        jid = str(require_jid(item, "jid").bare)
        blocked = [one for one in blocked if one != jid]
        if require_text(item, "action") == "block":
            blocked.append(jid)
        request.world.set_profile(request.account, "blocklist", json.dumps(blocked))
    return [Node("list", {"addressing_mode": "lid", "dhash": str(len(blocked))}, [_item(one) for one in blocked])]


def _item(jid: str) -> Node:
    return Node("item", {"jid": Jid.parse(jid)})


def privacy(request: Request) -> list[Node]:
    """Get all categories, or set some and get those."""
    kept: dict[str, str] = {**_PRIVACY, **json.loads(request.world.profile(request.account, "privacy", "{}"))}
    wanted = require_child(request.node, "privacy").children("category")
    for category in wanted:
        kept[require_text(category, "name")] = require_text(category, "value")
    if wanted:
        request.world.set_profile(request.account, "privacy", json.dumps(kept))
    names = [require_text(category, "name") for category in wanted] or list(kept)
    return [Node("privacy", None, [Node("category", {"name": name, "value": kept[name]}) for name in names])]


def privacy_tokens(request: Request) -> None:
    """Give tokens to the contacts that are named; what they are is told to the contacts' devices alone."""
    for jid, t in trusted(request.node):
        give(request.service, request.account, jid, t, request.parent)


def disappearing_mode(request: Request) -> None:
    """Set the default timer of new chats, in seconds."""
    child = require_child(request.node, "disappearing_mode")
    request.world.set_profile(request.account, "disappearing_mode", get_text(child, "duration") or "0")


def about(request: Request) -> None:
    """Set the about text."""
    text = content_bytes(require_child(request.node, "status")).decode("utf-8", "replace")
    request.world.set_profile(request.account, "about", text)


def picture(request: Request) -> None:
    """Refuse: nobody in the lab has a picture, and none can be set."""
    if get_text(request.node, "type") == "get":
        raise IqError(404, "item-not-found")
    raise IqError(501, "feature-not-implemented")


TABLE: Table = {
    ("blocklist", ""): blocklist,
    ("privacy", "privacy"): privacy,
    ("privacy", "tokens"): privacy_tokens,
    ("disappearing_mode", ""): disappearing_mode,
    ("status", "status"): about,
    ("w:profile:picture", ""): picture,
}
