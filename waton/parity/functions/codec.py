"""The node codec, and the helpers that read nodes.

The ordinary nodes are those that both encoders write alike (waton.parity.generators.nodes). Each region where waton
writes otherwise on purpose (the documentation of rust/src/core/codec.rs lists them) is a pair of its own.

Source: Baileys WABinary/encode.ts, decode.ts and generic-utils.ts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions.nodes import to_ours, told, told_by_baileys, with_sorted_attrs
from waton.parity.generators import node
from waton.parity.oracle.process import Functions

Value: TypeAlias = Any

ENCODE = "lib/WABinary/encode.js"
DECODE = "lib/WABinary/decode.js"
UTILS = "lib/WABinary/generic-utils.js"
_INTEROP_JID = 245
_FORCED = (0, 1, 2, 9, 128, 245, 246, 247, 248, 250, 251, 252, 255)
"""Bytes that mean something to a decoder."""


# --- encoding -------------------------------------------------------------------------------------------------------


def _their_bytes(baileys: Functions, value: Value) -> Value:
    return baileys.call(ENCODE, "encodeBinaryNode", value)


def _our_bytes(value: Value) -> Value:
    from waton.protocol.binary_node import encode_node

    return encode_node(to_ours(value))


def _encoding(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int | None = None) -> Pair:
    return _making(name, inputs, lambda value: value, examples)


def _making(
    name: str, inputs: Callable[[], SearchStrategy[Value]], make: Callable[[Value], Value], examples: int | None = None
) -> Pair:
    """A pair whose inputs are made into nodes on the way, so that a row can show what a large node is made of."""
    return Pair(
        f"encodeBinaryNode{name}",
        Domain.BINARY_CODEC,
        f"{ENCODE}:encodeBinaryNode",
        "waton.protocol.binary_node:encode_node",
        inputs,
        lambda baileys, value: _their_bytes(baileys, make(value)),
        lambda value: _our_bytes(make(value)),
        examples,
    )


def _special(name: str, texts: SearchStrategy[str]) -> Pair:
    """Text of one kind as an attribute."""
    return _encoding(f": {name}", lambda: texts.map(lambda text: node("t", {"a": text})))


def _all_of(what: str) -> Value:
    """Every token, or every character that is packed, alone and beside every other."""
    if what == "tokens":
        return _listing(list(generators.tokens()))
    alphabets = (generators.DIGITS + "-.", generators.HEX)
    return _listing([first + second for alphabet in alphabets for first in alphabet for second in ("", *alphabet)])


def _listing(texts: list[str]) -> Value:
    return node("iq", {}, [node("t", {"a": text}) for text in texts])


def _numbered(names: list[int]) -> Value:
    return node("t", {str(name): "x" for name in names})


def _encodings() -> list[Pair]:
    users, other = generators.phones(), st.sampled_from(("bot", "msgr", "call"))
    unsorted = st.lists(st.integers(0, 99), min_size=2, max_size=4, unique=True).filter(lambda n: n != sorted(n))
    return [
        _encoding("", generators.nodes),
        _making(": every token", lambda: st.just("tokens"), _all_of),
        _making(": every packed character", lambda: st.just("packed"), _all_of),
        _making(
            ": more than 255 children", lambda: st.integers(256, 300), lambda n: node("t", {}, [node("user")] * n), 3
        ),
        _making(": content of a megabyte", lambda: st.just(1 << 20), lambda size: node("t", {}, bytes(size))),
        _special("a name of JavaScript's objects", st.sampled_from(generators.OBJECT_NAMES)),
        _special("an at sign in text", st.builds("{} @ {}".format, users, generators.words())),
        _special("an underscore in a user part", st.builds("{}_b@g.us".format, users)),
        _special("an agent for a server", st.builds("{}_1@s.whatsapp.net".format, users)),
        _special("a second colon in a user part", st.builds("{}:2:3@lid".format, users)),
        _special("an empty device", st.builds("{}:@lid".format, users)),
        _special("a device where none can be", st.builds("{}:5@{}".format, users, other)),
        _special("a device above 255", st.builds("{}:{}@s.whatsapp.net".format, users, st.integers(256, 65535))),
        _encoding(": names of attributes that are numbers", lambda: unsorted.map(_numbered)),
    ]


# --- decoding -------------------------------------------------------------------------------------------------------


def _their_node(baileys: Functions, value: Value) -> Value:
    return told_by_baileys(baileys.call(DECODE, "decodeBinaryNode", value))


def _our_node(value: Value) -> Value:
    from waton.protocol.binary_node import decode_node

    return told(decode_node(value))


def _encoded(*, is_compressed: bool = False) -> SearchStrategy[bytes]:
    from waton.protocol.binary_node import deflate_node

    encoded = generators.nodes().map(_our_bytes)
    return encoded.map(deflate_node) if is_compressed else encoded


def _damaged() -> SearchStrategy[bytes]:
    """Encoded nodes with a few bytes changed that we still accept, and in which we read no more than Baileys can."""
    changes = st.lists(st.tuples(st.integers(1, 1 << 16), st.sampled_from(_FORCED)), min_size=1, max_size=2)
    return st.builds(_change, _encoded(), changes).filter(_is_read_alike)


def _change(body: bytes, changes: list[tuple[int, int]]) -> bytes:
    changed = bytearray(body)
    for place, byte in changes:
        changed[1 + place % (len(changed) - 1)] = byte
    return bytes(changed)


def _is_read_alike(body: bytes) -> bool:
    """Whether we accept it, and it holds none of what our reader keeps and Baileys' has no place for.

    That is: an INTEROP_JID, the domain of an AD_JID that stands for no server, device 0 of one, and an attribute named
    twice.
    """
    from waton.errors import DecodeError

    try:
        text = str(_our_node(body))
    except DecodeError:
        return False
    return _INTEROP_JID not in body and "_" not in text and ":0@" not in text


def _cut_off() -> SearchStrategy[bytes]:
    return st.builds(_beginning, _encoded(), st.integers(1, 1 << 16)).filter(lambda body: len(body) > 1)


def _beginning(body: bytes, size: int) -> bytes:
    return body[: size % len(body)]


def _with_more() -> SearchStrategy[bytes]:
    return _encoded().map(lambda body: body + b"\0")


def _compressed() -> SearchStrategy[bytes]:
    return _encoded(is_compressed=True)


def _sorted_node(baileys: Functions, value: Value) -> Value:
    return with_sorted_attrs(_their_node(baileys, value))


def _our_sorted_node(value: Value) -> Value:
    return with_sorted_attrs(_our_node(value))


def _decodings() -> list[Pair]:
    def pair(
        name: str,
        inputs: Callable[[], SearchStrategy[Value]],
        examples: int | None = None,
        ask: Callable[[Functions, Value], Value] = _their_node,
        answer: Callable[[Value], Value] = _our_node,
        ours: str = "decode_node",
    ) -> Pair:
        where = f"{DECODE}:{name.partition(':')[0]}"
        place = f"waton.protocol.binary_node:{ours}"
        return Pair(name, Domain.BINARY_CODEC, where, place, inputs, ask, answer, examples)

    return [
        pair("decodeBinaryNode", _encoded),
        pair("decodeBinaryNode: compressed", _compressed, 25),
        pair("decodeBinaryNode: damaged and still a node", _damaged, 30, _sorted_node, _our_sorted_node),
        pair("decodeBinaryNode: cut off", _cut_off, 25),
        pair("decodeBinaryNode: bytes left over", _with_more),
        pair("decodeDecompressedBinaryNode", _encoded, 20, _their_inflated_node),
        pair(
            "decompressingIfRequired",
            lambda: st.one_of(_compressed(), _encoded()),
            20,
            lambda baileys, value: baileys.call(DECODE, "decompressingIfRequired", value),
            _inflated,
            "inflate_node",
        ),
    ]


def _their_inflated_node(baileys: Functions, value: bytes) -> Value:
    return told_by_baileys(baileys.ask("decodeDecompressed", body=value[1:]))


def _inflated(value: bytes) -> bytes:
    from waton.protocol.binary_node import inflate_node

    return inflate_node(value)[1:]


# --- reading nodes --------------------------------------------------------------------------------------------------


def _families() -> SearchStrategy[tuple[Value, str]]:
    """A parent whose children share few tags and hold bytes, and a tag to ask for."""
    tags = st.sampled_from(("a", "b", "c"))
    children = st.lists(st.builds(node, tags, st.just(dict[str, str]()), st.binary(max_size=5)), max_size=5)
    parents = st.one_of(children, st.binary(max_size=3)).map(lambda content: node("parent", {}, content))
    return st.tuples(parents, tags)


def _reader(name: str, ours: str, answer: Callable[[Value], Value], arguments: int = 2) -> Pair:
    def ask(baileys: Functions, value: Value) -> Value:
        found = baileys.call(UTILS, name, *value[:arguments])
        if isinstance(found, list):
            return [told_by_baileys(child) for child in cast("list[Any]", found)]
        return told_by_baileys(found)

    return Pair(name, Domain.BINARY_CODEC, f"{UTILS}:{name}", ours, _families, ask, answer)


def _child(value: Value) -> Value:
    found = to_ours(value[0]).child(value[1])
    return None if found is None else told(found)


def _child_bytes(value: Value) -> bytes | None:
    from waton.protocol.binary_node import content_bytes

    found = to_ours(value[0]).child(value[1])
    return None if found is None else content_bytes(found)


def _child_text(value: Value) -> str | None:
    found = _child_bytes(value)
    return None if found is None else found.decode("utf-8", "replace")


def _readers() -> list[Pair]:
    content = "waton.protocol.binary_node:content_bytes"
    return [
        _reader("getBinaryNodeChild", "waton.protocol.binary_node:Node.child", _child),
        _reader(
            "getBinaryNodeChildren",
            "waton.protocol.binary_node:Node.children",
            lambda value: [told(child) for child in to_ours(value[0]).children(value[1])],
        ),
        _reader(
            "getAllBinaryNodeChildren",
            "waton.protocol.binary_node:Node.children",
            lambda value: [told(child) for child in to_ours(value[0]).children()],
            1,
        ),
        _reader("getBinaryNodeChildBuffer", content, _child_bytes),
        _reader("getBinaryNodeChildString", content, _child_text),
    ]


def _errors(name: str, inputs: SearchStrategy[Value]) -> Pair:
    """Whether an answer is an error; what it says is Baileys' sentence, and not compared."""

    def ask(baileys: Functions, value: Value) -> Value:
        baileys.call(UTILS, "assertNodeErrorFree", value)
        return "no error"

    def answer(value: Value) -> Value:
        from waton.errors import IqError
        from waton.parity.differential import REFUSED
        from waton.protocol.stanza.iq import raise_for_error

        try:
            raise_for_error(to_ours(value))
        except IqError:
            return REFUSED
        return "no error"

    return Pair(
        f"assertNodeErrorFree{name}",
        Domain.BINARY_CODEC,
        f"{UTILS}:assertNodeErrorFree",
        "waton.protocol.stanza.iq:raise_for_error",
        lambda: inputs,
        ask,
        answer,
    )


def pairs() -> list[Pair]:
    """The family's pairs."""
    code = st.sampled_from(("400", "404", "500")).map(lambda code: node("error", {"code": code, "text": "no"}))
    result, error = node("iq", {"type": "result"}), node("iq", {"type": "error"})
    answers = st.one_of(st.just(result), code.map(lambda child: error | {"content": [child]}))
    return [
        *_encodings(),
        *_decodings(),
        *_readers(),
        _errors("", answers),
        _errors(": type error and nothing in it", st.just(error)),
    ]
