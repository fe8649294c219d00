"""The node codec from Python: vectors, faults with their offsets, compression, and the tables."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from tests.unit.core.corpus import JsonNode, from_json, text_of
from waton._core import Jid, Node, decode_node, deflate_node, encode_node, inflate_node, token_tables
from waton.errors import DecodeError, RemoteProtocolError

FOLDER = Path(__file__).parents[2]
VECTORS = json.loads((FOLDER / "vectors" / "codec.json").read_text("utf-8"))["cases"]
WORKLOADS = sorted((FOLDER / "bench" / "workloads").glob("*.bin"))


@pytest.mark.parametrize("case", VECTORS, ids=[case["name"] for case in VECTORS])
def test_vectors(case: dict[str, str]) -> None:
    body = bytes.fromhex(case["hex"])
    node: JsonNode = case["node"]  # type: ignore[assignment]  # the file's shape
    assert encode_node(from_json(node)) == body
    assert encode_node(decode_node(body)) == body


@pytest.mark.parametrize("path", WORKLOADS, ids=[path.stem for path in WORKLOADS])
def test_workloads_come_out_as_they_went_in(path: Path) -> None:
    body = path.read_bytes()
    node = decode_node(body)
    assert encode_node(node) == body
    packed = deflate_node(body)
    assert (packed[0], decode_node(packed), inflate_node(packed)) == (2, node, body)


def test_what_comes_out_is_whole_python_values() -> None:
    node = decode_node(bytes.fromhex("00f8061311f70005ff85123456789f08fb053eb0abcdeff801f8061d51450453fc03010203"))
    assert (node.tag, list(node.attrs)) == ("message", ["to", "id"])
    assert node.attrs == {"to": Jid("123456789", "s.whatsapp.net", 5), "id": "3EB0ABCDEF"}
    assert isinstance(node.content, list)
    (enc,) = node.content
    assert (enc.tag, enc.attrs, enc.content) == ("enc", {"v": "2", "type": "pkmsg"}, b"\1\2\3")


JIDS = ["1@s.whatsapp.net", "1:0@s.whatsapp.net", "1:255@lid", "1:99@hosted", "1:99@hosted.lid", "1-2@g.us", "1@msgr"]
JIDS += ["1:0@msgr", "1:65535@msgr", "9-1:300@interop", "9-1@interop", "1@interop", "1:5@bot", "1_7:5@s.whatsapp.net"]


@pytest.mark.parametrize("text", [*JIDS, "@s.whatsapp.net", "@g.us"])
def test_a_jid_is_the_same_as_text_and_as_value(text: str) -> None:
    jid = Jid.parse(text)
    body = encode_node(Node("t", {"a": jid}))
    assert encode_node(Node("t", {"a": text})) == body
    decoded = decode_node(body).attrs["a"]
    assert isinstance(decoded, Jid)
    assert (decoded, decoded.is_ad, text_of(decoded)) == (jid, jid.is_ad, text_of(jid))
    assert encode_node(decode_node(body)) == body


def test_a_jid_in_the_place_of_text_is_text() -> None:
    node = Node("1:0@lid", {"g.us": "x", "@g.us": "y"}, "1:0@lid")
    decoded = decode_node(encode_node(node))
    assert decoded == node
    assert (type(decoded.tag), type(decoded.content)) == (str, str)


@pytest.mark.parametrize(
    "text",
    ["constructor", "__proto__", "tea @ five", "me@example.org", "@", "1:2:3@lid", "1:@lid", "1:256@lid", "1:999@c.us"],
)
def test_text_that_only_looks_like_something(text: str) -> None:
    assert decode_node(encode_node(Node("t", {"a": text}))).attrs["a"] == text


def test_what_no_form_carries() -> None:
    for refused in (Jid("1", "lid", 256), "\ud800"):
        with pytest.raises(ValueError):
            encode_node(Node("t", {"a": refused}))
    with pytest.raises(ValueError, match="65,535"):
        encode_node(Node("t", None, [Node("a")] * 65_536))
    with pytest.raises(ValueError, match="tag"):
        encode_node(Node(""))
    many = Node("t", {str(number): "1" for number in range(32_767)}, [Node("a")] * 65_535)
    with pytest.raises(ValueError, match="65,535"):
        encode_node(many)
    del many.attrs["0"]
    assert decode_node(encode_node(many)) == many


@pytest.mark.parametrize(
    ("body", "offset"),
    [
        ("00", 1),
        ("0014", 1),
        ("0000", 1),
        ("00f801fc00", 3),
        ("00f80114ff", 4),
        ("00f801f0", 3),
        ("00f801fc0261", 5),
        ("00f801fc01ff", 3),
        ("00f801ff011c", 4),
        ("00f80214feffffffff", 9),
        ("00f80214f9fffff80114", 4),
    ],
)
def test_faults(body: str, offset: int) -> None:
    data = bytes.fromhex(body)
    with pytest.raises(DecodeError) as raised:
        decode_node(data)
    assert (raised.value.offset, raised.value.data, raised.value.what) == (offset, data, "node")
    assert isinstance(raised.value, RemoteProtocolError)


def test_every_beginning_of_a_body_is_refused() -> None:
    body = (FOLDER / "bench" / "workloads" / "receipt.bin").read_bytes()
    for length in range(len(body)):
        with pytest.raises(DecodeError):
            decode_node(body[:length])
    with pytest.raises(DecodeError) as raised:
        decode_node(body + b"\0")
    assert raised.value.offset == len(body)


def test_depth() -> None:
    def nested(depth: int) -> bytes:
        return b"\0" + b"\xf8\x02\x14\xf8\x01" * (depth - 1) + b"\xf8\x01\x14"

    assert encode_node(decode_node(nested(128))) == nested(128)
    for depth in (129, 1_000_000):
        with pytest.raises(DecodeError) as raised:
            decode_node(nested(depth))
        assert raised.value.offset == 1 + 5 * 128


def test_compression_is_taken_whole_or_not_at_all() -> None:
    body = encode_node(Node("t", None, bytes(5_000)))
    packed = deflate_node(body)
    assert zlib.decompress(packed[1:]) == body[1:]
    assert inflate_node(body) is body
    for wrong in (packed[:-1], packed[:1], packed + b"x", packed[:1] + b"y" + packed[2:], b""):
        for read in (decode_node, inflate_node):
            with pytest.raises(DecodeError):
                read(wrong)
    for wrong in (b"", packed):
        with pytest.raises(ValueError, match="node"):
            deflate_node(wrong)


def test_a_fault_behind_compression_counts_in_the_inflated_body() -> None:
    body = encode_node(Node("t", None, bytes(5_000))) + b"\0"
    with pytest.raises(DecodeError) as raised:
        decode_node(deflate_node(body))
    assert (raised.value.offset, raised.value.data) == (len(body) - 1, body)


def test_a_bomb_stops_at_the_limit() -> None:
    bomb = b"\2" + zlib.compress(bytes(8 << 20), 9)
    assert len(bomb) < 10_000
    for limit in (0, 1, 1_000, (8 << 20) - 1):
        with pytest.raises(DecodeError, match="longer than allowed"):
            inflate_node(bomb, limit)
    assert len(inflate_node(bomb, 8 << 20)) == (8 << 20) + 1
    # One byte past the default limit.
    with pytest.raises(DecodeError, match="longer than allowed"):
        decode_node(b"\2" + zlib.compress(bytes((64 << 20) + 1), 1))


def test_tables() -> None:
    single, double = token_tables()
    assert (len(single), [len(dictionary) for dictionary in double]) == (236, [256] * 4)
    assert single[0] == ""
    tokens = [*single[1:], *(token for dictionary in double for token in dictionary)]
    assert len(set(tokens)) == len(tokens) == 1_259
    assert "" not in tokens
