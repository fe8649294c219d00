"""Nodes to try a codec on, made from a seed, and the JSON form in which they are told to other implementations.

The JSON form of a node is {"tag", "attrs": [[name, text], ...], "content": null | {"bytes": hex} | {"text": text} |
[node, ...]}; JIDs are text there.
"""

from __future__ import annotations

import random
from typing import TypedDict

from waton._core import Jid, Node, token_tables

PN_SERVERS = ("s.whatsapp.net", "lid", "hosted", "hosted.lid")
"""Those whose addresses AD_JID carries."""

SERVERS = (*PN_SERVERS, "g.us", "broadcast", "newsletter", "bot", "call", "c.us")

LENGTHS = (1, 2, 3, 4, 7, 8, 63, 64, 126, 127, 128, 129, 254, 255, 256, 257, 1000)


class JsonBytes(TypedDict):
    bytes: str


class JsonText(TypedDict):
    text: str


class JsonNode(TypedDict):
    tag: str
    attrs: list[tuple[str, str]]
    content: list[JsonNode] | JsonBytes | JsonText | None


def node(
    tag: str, attrs: dict[str, str] | None = None, content: list[JsonNode] | bytes | str | None = None
) -> JsonNode:
    told: list[JsonNode] | JsonBytes | JsonText | None
    if isinstance(content, bytes):
        told = {"bytes": content.hex()}
    elif isinstance(content, str):
        told = {"text": content}
    else:
        told = content
    return {"tag": tag, "attrs": list((attrs or {}).items()), "content": told}


def from_json(value: JsonNode) -> Node:
    """Our node, with all attributes as text."""
    content = value["content"]
    if isinstance(content, list):
        return Node(value["tag"], dict(value["attrs"]), [from_json(child) for child in content])
    if content is None:
        return Node(value["tag"], dict(value["attrs"]))
    return Node(
        value["tag"], dict(value["attrs"]), bytes.fromhex(content["bytes"]) if "bytes" in content else content["text"]
    )


def to_json(value: Node) -> JsonNode:
    """A node as Baileys tells it."""
    content = value.content
    attrs = {name: text_of(attr) for name, attr in value.attrs.items()}
    return node(value.tag, attrs, [to_json(child) for child in content] if isinstance(content, list) else content)


def text_of(value: str | Jid) -> str:
    """An attribute as Baileys tells it: no device 0 of an AD_JID, but of the other forms."""
    if isinstance(value, str):
        return value
    if value.is_ad and value.server == "interop":
        return f"{value.integrator}-{value.user}:{value.device}@interop"
    if value.is_ad and value.server not in PN_SERVERS:
        return f"{value.user}:{value.device}@{value.server}"
    return f"@{value}" if value.is_server and value.device == 0 else str(value)


class Maker:
    """Random parts of nodes."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        single, double = token_tables()
        self.tokens = [*single[1:], *(token for dictionary in double for token in dictionary)]

    def of(self, alphabet: str, length: int | None = None) -> str:
        length = self.dice.choice(LENGTHS[:8]) if length is None else length
        return "".join(self.dice.choices(alphabet, k=length))

    def digits(self, length: int | None = None) -> str:
        return self.of("0123456789-.", length)

    def hex(self, length: int | None = None) -> str:
        return self.of("0123456789ABCDEF", length)

    def word(self, length: int | None = None) -> str:
        return self.of("abcdefghijklmnopqrstuvwxyzABCXYZ _/:é√😀", length)

    def jid(self) -> str:
        server = self.dice.choice(SERVERS)
        user = self.dice.choice([self.of("0123456789", 11), self.of("0123456789", 15), self.of("abcdef"), "status", ""])
        devices = ["", ":0", f":{self.dice.randrange(1, 256)}"] if server in (*PN_SERVERS, "c.us") else [""]
        if server in ("g.us", "broadcast"):
            user = self.dice.choice([user, f"{user}-{self.of('0123456789', 10)}"])
        return f"{user}{self.dice.choice(devices)}@{server}"

    def text(self) -> str:
        kinds = [
            self.jid,
            self.jid,
            self.digits,
            self.hex,
            self.word,
            lambda: self.dice.choice(self.tokens),
            lambda: "",
        ]
        return self.dice.choice(kinds)()

    def tag(self) -> str:
        return self.dice.choice([self.dice.choice(self.tokens), self.of("abcdefgh", 5), self.digits(3), self.hex(4)])

    def content(self, depth: int) -> list[JsonNode] | bytes | str | None:
        kind = self.dice.randrange(6)
        if kind < 2 and depth < 5:
            return [self.tree(depth + 1) for _ in range(self.dice.randrange(4))]
        if kind == 2:
            return self.dice.randbytes(self.dice.choice(LENGTHS))
        if kind == 3:
            return self.dice.choice([self.digits(), self.hex(), self.dice.choice(self.tokens), self.word()])
        return None

    def tree(self, depth: int = 0) -> JsonNode:
        names = [
            self.of("abcdefgh", 4) if self.dice.random() < 0.3 else self.dice.choice(self.tokens) for _ in range(4)
        ]
        attrs = {name: self.text() for name in names[: self.dice.randrange(5)] if not name.isdecimal()}
        return node(self.tag(), attrs, self.content(depth))


def corpus(seed: int = 20_26, trees: int = 400) -> list[JsonNode]:
    """Several hundred nodes that Baileys writes rightly: every token, every border of a length, and random trees."""
    maker = Maker(seed)
    nodes = [node("t", {"a": token}) for token in maker.tokens]
    nodes += [node("t", {"a": make(length)}) for make in (maker.digits, maker.hex, maker.word) for length in LENGTHS]
    nodes += [node("t", {"a": text}) for text in ("", "0", "-", ".", "A", "a1", "F0F", "1A-", "é", "\0", "\ufeff")]
    nodes += [node("t", None, maker.dice.randbytes(length)) for length in (0, *LENGTHS, 65_536, (1 << 20) - 1, 1 << 20)]
    nodes += [node("t", {f"a{i}": str(i) for i in range(count)}, b"") for count in (126, 127, 128, 300)]
    nodes += [node("t", None, [node("user")] * count) for count in (0, 1, 255, 256, 300)]
    nodes += [node("t", {"jid": maker.jid()}) for _ in range(150)]
    nodes.append(nested(100))
    return nodes + [maker.tree() for _ in range(trees)]


def nested(depth: int) -> JsonNode:
    """A node within a node, `depth` of them in all."""
    inner = node("leaf")
    for _ in range(depth - 1):
        inner = node("t", None, [inner])
    return inner
