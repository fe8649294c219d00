"""Binary nodes: the stanza tree, its attribute reader and its XML picture.

`Node`, `encode_node` and `decode_node` are made in Rust (`waton._core`) and re-exported here. This module adds what a
reader of stanzas needs: typed attribute access that raises one named error, and XML, printed for people.

The XML picture is for eyes and diffs, not for parsing back bit by bit: bytes are shown as text when they are printable
ASCII, else as hex.

Source: whatsmeow binary/xml.go for the idea of the picture, binary/attrs.go for the reader.
"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from waton._core import Jid, Node, decode_node, deflate_node, encode_node, inflate_node
from waton.errors import RemoteProtocolError

__all__ = [
    "Jid",
    "Node",
    "StanzaError",
    "content_bytes",
    "decode_node",
    "deflate_node",
    "encode_node",
    "get_int",
    "get_jid",
    "get_text",
    "inflate_node",
    "require_child",
    "require_int",
    "require_jid",
    "require_text",
    "to_xml",
]


class StanzaError(RemoteProtocolError):
    """A stanza lacks what its tag promises.

    Attributes:
        node: the stanza.
        missing: the attribute or child that is absent or of the wrong type.
    """

    def __init__(self, node: Node, missing: str) -> None:
        self.node = node
        self.missing = missing
        super().__init__(node.tag, missing)

    def __str__(self) -> str:
        return f"a <{self.node.tag}> without a usable {self.missing}"


def get_text(node: Node, name: str) -> str | None:
    """An attribute as text, whatever its wire form; None when absent."""
    value = node.attrs.get(name)
    return None if value is None else str(value)


def require_text(node: Node, name: str) -> str:
    """An attribute as text. Raises StanzaError when absent."""
    value = get_text(node, name)
    if value is None:
        raise StanzaError(node, name)
    return value


def require_int(node: Node, name: str) -> int:
    """An attribute as a whole number. Raises StanzaError when absent or not one."""
    value = get_text(node, name)
    if value is None or not value.removeprefix("-").isdecimal() or len(value) > 20:
        raise StanzaError(node, name)
    return int(value)


def get_int(node: Node, name: str) -> int | None:
    """An attribute as a whole number; None when absent. Raises StanzaError when it is not one."""
    return require_int(node, name) if name in node.attrs else None


def get_jid(node: Node, name: str) -> Jid | None:
    """An attribute as a Jid; text that reads as one is accepted. None when absent. Raises StanzaError."""
    value = node.attrs.get(name)
    if value is None or isinstance(value, Jid):
        return value
    try:
        return Jid.parse(value)
    except ValueError as error:
        raise StanzaError(node, name) from error


def require_jid(node: Node, name: str) -> Jid:
    """An attribute as a Jid. Raises StanzaError when absent or not one."""
    value = get_jid(node, name)
    if value is None:
        raise StanzaError(node, name)
    return value


def require_child(node: Node, tag: str) -> Node:
    """The first child with this tag. Raises StanzaError."""
    child = node.child(tag)
    if child is None:
        raise StanzaError(node, f"child <{tag}>")
    return child


def content_bytes(node: Node, length: int | None = None) -> bytes:
    """The content as bytes (text is encoded as UTF-8); `length`, when given, must match. Raises StanzaError."""
    content = node.content
    if isinstance(content, str):
        content = content.encode()
    if not isinstance(content, bytes) or (length is not None and len(content) != length):
        raise StanzaError(node, "content" if length is None else f"content of {length} bytes")
    return content


def to_xml(node: Node, *, indent: int = 0, max_bytes: int = 256) -> str:
    """The stanza as indented XML.

    Args:
        node: what to show; everything in it is shown, addresses and content included.
        indent: levels to start at, two blanks each.
        max_bytes: longer binary content is cut, and its length given.
    """
    lines: list[str] = []
    _write_xml(node, indent, max_bytes, lines)
    return "\n".join(lines)


def _write_xml(node: Node, level: int, max_bytes: int, lines: list[str]) -> None:
    pad = "  " * level
    attrs = "".join(f" {name}={quoteattr(str(value))}" for name, value in node.attrs.items())
    content = node.content
    if isinstance(content, list):
        if not content:
            lines.append(f"{pad}<{node.tag}{attrs}></{node.tag}>")
            return
        lines.append(f"{pad}<{node.tag}{attrs}>")
        for child in content:
            _write_xml(child, level + 1, max_bytes, lines)
        lines.append(f"{pad}</{node.tag}>")
    elif content is None:
        lines.append(f"{pad}<{node.tag}{attrs}/>")
    else:
        lines.append(f"{pad}<{node.tag}{attrs}>{_content_text(content, max_bytes)}</{node.tag}>")


def _content_text(content: bytes | str, max_bytes: int) -> str:
    if isinstance(content, str):
        return escape(content)
    shown = content[:max_bytes]
    rest = f"… ({len(content)} bytes)" if len(content) > max_bytes else ""
    if shown and all(32 <= byte < 127 for byte in shown):
        return escape(shown.decode("ascii")) + rest
    return shown.hex() + rest
