"""abt: A/B props, the server's switches for clients, as codes and values.

Source: Baileys Socket/chats.ts fetchProps, whatsapp-rust wacore/src/iq/props.rs (attribute names).
"""

from __future__ import annotations

from collections.abc import Mapping

from waton.jid import Jid
from waton.protocol.binary_node import Node, get_text, require_child

XMLNS = "abt"


def props_query(hash: str = "") -> list[Node]:
    """The children of the iq that asks. hash: of the last answer; "" for none."""
    return [Node("props", {"protocol": "1", "hash": hash or None})]


def read_props(answer: Node) -> dict[str, str]:
    """The props of an answer, by code (or by name, where the server writes names). Raises StanzaError."""
    found: dict[str, str] = {}
    for prop in require_child(answer, "props").children("prop"):
        code = get_text(prop, "config_code") or get_text(prop, "name")
        value = get_text(prop, "config_value") or get_text(prop, "value")
        if code is not None and value is not None:
            found[code] = value
    return found


def props_node(props: Mapping[str, str], hash: str) -> Node:
    """The server's answer: all props, of which `hash` is the short name."""
    attrs: dict[str, str | Jid | None] = {
        "hash": hash,
        "refresh": "86400",
        "refresh_id": "0",
        "ab_key": "lab",
        "protocol": "1",
    }
    children = [Node("prop", {"config_code": code, "config_value": value}) for code, value in props.items()]
    return Node("props", attrs, children)
