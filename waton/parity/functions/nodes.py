"""Nodes on their way to both sides and back: as the dicts the oracle takes, and as what both decoders say alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

from waton.parity.generators import DEVICE_SERVERS

if TYPE_CHECKING:
    from waton._core import Jid, Node

Value: TypeAlias = Any


def to_ours(value: dict[str, Value]) -> Node:
    """The node as ours, all its attributes text."""
    from waton.protocol.binary_node import Node

    content = value.get("content")
    if isinstance(content, list):
        return Node(value["tag"], dict(value["attrs"]), [to_ours(child) for child in cast("list[Any]", content)])
    return Node(value["tag"], dict(value["attrs"]), content)


def told(node: Node) -> dict[str, Value]:
    """A node of ours as Baileys tells one: addresses are text, attributes a list in the wire's order."""
    content = node.content
    return {
        "tag": node.tag,
        "attrs": [[name, text_of(value)] for name, value in node.attrs.items()],
        "content": [told(child) for child in content] if isinstance(content, list) else content,
    }


def told_by_baileys(node: Value) -> Value:
    """One of Baileys' nodes in the same form."""
    if not isinstance(node, dict):
        return node
    made = cast("dict[str, Any]", node)
    content = made.get("content")
    return {
        "tag": made["tag"],
        "attrs": [[name, value] for name, value in made["attrs"].items()],
        "content": [told_by_baileys(child) for child in cast("list[Any]", content)]
        if isinstance(content, list)
        else content,
    }


def with_sorted_attrs(value: Value) -> Value:
    """The same with attributes in one order: JavaScript moves names that are numbers to the front."""
    if not isinstance(value, dict):
        return value
    made = cast("dict[str, Any]", value)
    content = made["content"]
    if isinstance(content, list):
        content = [with_sorted_attrs(child) for child in cast("list[Any]", content)]
    return {"tag": made["tag"], "attrs": sorted(made["attrs"]), "content": content}


def text_of(value: str | Jid) -> str:
    """An attribute as Baileys tells it: no device 0 of an AD_JID, but of the other forms."""
    if isinstance(value, str):
        return value
    if value.is_ad and value.server == "interop":
        return f"{value.integrator}-{value.user}:{value.device}@interop"
    if value.is_ad and value.server not in DEVICE_SERVERS:
        return f"{value.user}:{value.device}@{value.server}"
    return f"@{value}" if value.is_server and value.device == 0 else str(value)
