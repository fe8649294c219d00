"""No input makes the decoder do anything but decode or raise DecodeError; what was encoded decodes to the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.core.corpus import Maker
from waton._core import Jid, Node, decode_node, deflate_node, encode_node, inflate_node
from waton.errors import DecodeError

pytestmark = pytest.mark.fuzz

FOLDER = Path(__file__).parents[1] / "bench" / "workloads"
BODIES = [(FOLDER / name).read_bytes() for name in ("ack.bin", "receipt.bin", "group_msg_60.bin")]
TOKENS = Maker(0).tokens

plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
words = st.one_of(st.sampled_from(TOKENS), plain, st.text("0123456789-.", max_size=140), st.text("0123456789ABCDEF"))
users = st.one_of(st.text("0123456789", min_size=1, max_size=20), st.text("abcdef-.", min_size=1), st.just(""))
small, large = st.integers(0, 255), st.integers(0, 65_535)
is_ad = st.one_of(st.none(), st.booleans())
jids = st.one_of(
    st.builds(Jid, users, st.sampled_from(["s.whatsapp.net", "lid", "hosted", "hosted.lid"]), small, is_ad=is_ad),
    st.builds(Jid, users, st.sampled_from(["g.us", "bot", "msgr", "broadcast", "other.example"]), large, is_ad=is_ad),
    st.builds(Jid, users, st.just("interop"), large, integrator=large, is_ad=is_ad),
)
tokens = st.sampled_from(TOKENS)
# Text content that is written as text again: everything else is written as bytes.
short = st.one_of(tokens, st.text("0123456789-.", min_size=1, max_size=127))


def nodes(inner: st.SearchStrategy[Node] | None = None) -> st.SearchStrategy[Node]:
    contents: list[st.SearchStrategy[object]] = [st.none(), st.binary(max_size=300), short]
    if inner is not None:
        contents.append(st.lists(inner, max_size=5))
    tag = st.one_of(tokens, plain.filter(bool)).filter(lambda text: "@" not in text)
    names = st.one_of(tokens, plain).filter(lambda text: "@" not in text)
    values = st.one_of(words.filter(lambda text: "@" not in text), jids)
    return st.builds(Node, tag, st.dictionaries(names, values, max_size=6), st.one_of(contents))


trees = st.recursive(nodes(), nodes, max_leaves=12)


def decode_or_refuse(data: bytes) -> Node | None:
    try:
        return decode_node(data, 1 << 20)
    except DecodeError as error:
        refused = error
    assert 0 <= refused.offset <= len(refused.data)
    assert str(refused)
    return None


@given(trees)
def test_what_was_encoded_decodes_to_the_same(node: Node) -> None:
    body = encode_node(node)
    decoded = decode_node(body)
    assert decoded == node
    assert encode_node(decoded) == body
    assert decode_node(deflate_node(body)) == node


@given(jids)
def test_every_jid_is_carried_whole(jid: Jid) -> None:
    decoded = decode_node(encode_node(Node("t", {"a": jid}))).attrs["a"]
    assert isinstance(decoded, Jid)
    assert (decoded, decoded.is_ad) == (jid, jid.is_ad)


@given(st.binary(max_size=400))
@example(b"")
@example(b"\x02")
def test_any_bytes(data: bytes) -> None:
    decode_or_refuse(data)
    decode_or_refuse(b"\0" + data)
    decode_or_refuse(b"\0\xf8\x02\x14" + data)
    decode_or_refuse(b"\2\x78\x9c" + data)


@given(
    st.sampled_from(BODIES), st.lists(st.tuples(st.integers(1, 10_000), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_changed_bytes(body: bytes, changes: list[tuple[int, int]]) -> None:
    changed = bytearray(body)
    for at, value in changes:
        changed[at % len(changed)] = value
    node = decode_or_refuse(bytes(changed))
    if node is not None:
        again = _reencoded(node)
        assert again is None or encode_node(decode_node(again)) == again


@given(st.sampled_from(BODIES), st.integers(0, 10_000), st.integers(0, 10_000), st.binary(max_size=20))
def test_replaced_stretches(body: bytes, start: int, length: int, put: bytes) -> None:
    start %= len(body)
    decode_or_refuse(body[:start] + put + body[start + length % 50 :])


@given(st.sampled_from(BODIES), st.integers(1, 10_000), st.integers(1, 255))
def test_changed_compressed_bytes(body: bytes, at: int, change: int) -> None:
    packed = bytearray(deflate_node(body))
    packed[1 + at % (len(packed) - 1)] ^= change
    try:
        inflated = inflate_node(bytes(packed))
    except DecodeError:
        return
    # Some bits of zlib are only padding.
    assert inflated == body


def _reencoded(node: Node) -> bytes | None:
    """The node's own encoding, if it has one: text that was damaged may ask for a device no form can carry."""
    try:
        return encode_node(node)
    except ValueError:
        return None
