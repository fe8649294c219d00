"""xmlns=w:sync:app:state: every collection is empty, at version 0, and takes no patches yet.

Source: Baileys Socket/chats.ts resyncAppState.
"""

from __future__ import annotations

from waton.lab.answers.request import Request, Table
from waton.protocol.binary_node import Node, require_child, require_text


def sync(request: Request) -> list[Node]:
    """Answer each collection asked for; refuse each patch sent, in its collection."""
    asked = require_child(request.node, "sync").children("collection")
    return [Node("sync", None, [_collection(collection) for collection in asked])]


def _collection(asked: Node) -> Node:
    name = require_text(asked, "name")
    if asked.child("patch") is not None:
        error = Node("error", {"code": "400", "text": "the lab takes no app-state patches"})
        return Node("collection", {"name": name, "type": "error"}, [error])
    return Node("collection", {"name": name, "version": "0", "has_more_patches": "false"})


TABLE: Table = {("w:sync:app:state", ""): sync}
