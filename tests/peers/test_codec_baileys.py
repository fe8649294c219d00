"""Our node codec beside the real Baileys': the same bytes for the same nodes, the same nodes for the same bytes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.requirements import require
from tests.unit.core.corpus import corpus, from_json, node, text_of, to_json
from waton._core import Jid, Node, decode_node, encode_node
from waton.errors import DecodeError
from waton.parity.oracle import BaileysError, Functions

pytestmark = pytest.mark.peer

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "codec.json").read_text("utf-8"))
CORPUS = corpus()
INTEROP_JID = 245


def ask(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Baileys' answers, in order: {"encode": node} -> {"hex"}, {"decode": hex} -> {"node"}, either -> {"error"}."""
    with Functions.start(require("baileys")) as baileys:
        return [answer(baileys, question) for question in questions]


def answer(baileys: Functions, question: dict[str, Any]) -> dict[str, Any]:
    try:
        if "encode" in question:
            encoded = baileys.call("lib/WABinary/encode.js", "encodeBinaryNode", to_baileys(question["encode"]))
            return {"hex": encoded.hex()}
        body = bytes.fromhex(question["decode"])
        return {"node": from_baileys(baileys.call("lib/WABinary/decode.js", "decodeBinaryNode", body))}
    except BaileysError as error:
        return {"error": str(error)}


def to_baileys(value: dict[str, Any]) -> dict[str, Any]:
    """A node of the corpus as Baileys takes it; attributes without a prototype, so that they may have any name."""
    content = value["content"]
    if isinstance(content, list):
        content = [to_baileys(child) for child in content]
    elif content is not None:
        content = bytes.fromhex(content["bytes"]) if "bytes" in content else content["text"]
    return {
        "tag": value["tag"],
        "attrs": {"$null": True, **dict(value["attrs"])},
        "content": {"$undefined": True} if content is None else content,
    }


def from_baileys(node: dict[str, Any]) -> dict[str, Any]:
    content = node.get("content")
    if isinstance(content, list):
        content = [from_baileys(child) for child in content]
    elif content is not None:
        content = {"text": content} if isinstance(content, str) else {"bytes": content.hex()}
    return {"tag": node["tag"], "attrs": list(node["attrs"].items()), "content": content}


def sorted_attrs(value: dict[str, Any]) -> dict[str, Any]:
    """With attributes in one order: JavaScript moves names that are numbers to the front."""
    content = value["content"]
    if isinstance(content, list):
        content = [sorted_attrs(child) for child in content]
    return {"tag": value["tag"], "attrs": sorted(map(list, value["attrs"])), "content": content}


def test_the_same_bytes_for_the_same_nodes() -> None:
    assert len(CORPUS) > 1_500
    answers = ask([{"encode": value} for value in CORPUS])
    for value, answer in zip(CORPUS, answers, strict=True):
        assert encode_node(from_json(value)).hex() == answer.get("hex"), (json.dumps(value)[:300], answer.get("error"))


def test_the_same_nodes_for_the_same_bytes() -> None:
    encoded = [encode_node(from_json(value)) for value in CORPUS]
    answers = ask([{"decode": body.hex()} for body in encoded])
    for body, answer in zip(encoded, answers, strict=True):
        ours = decode_node(body)
        assert sorted_attrs(dict(to_json(ours))) == sorted_attrs(answer["node"])
        assert encode_node(ours) == body


def mutated(dice: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(dice.randrange(1, 3)):
        changed[dice.randrange(1, len(changed))] = dice.choice(
            [0, 1, 2, 245, 246, 247, 248, 250, 251, 252, 255, 128, 9]
        )
    return bytes(changed)


def has_own_reading(body: bytes) -> bool:
    """Where our reader says more than Baileys', or JavaScript cannot hold what was read."""
    told = json.dumps(to_json(decode_node(body)))
    return INTEROP_JID in body or "_" in told or ":0@" in told


def test_damaged_bytes_that_we_accept_read_alike() -> None:
    dice = random.Random(7)
    small = [body for body in (encode_node(from_json(value)) for value in CORPUS) if 8 < len(body) < 200]
    accepted: list[bytes] = []
    for body in (mutated(dice, dice.choice(small)) for _ in range(6_000)):
        try:
            decode_node(body)
        except DecodeError:
            continue
        if not has_own_reading(body):
            accepted.append(body)
    assert len(accepted) > 300
    for body, answer in zip(accepted, ask([{"decode": body.hex()} for body in accepted]), strict=True):
        assert "node" in answer, (body.hex(), answer)
        assert sorted_attrs(dict(to_json(decode_node(body)))) == sorted_attrs(answer["node"]), body.hex()


@pytest.mark.parametrize("case", VECTORS["cases"], ids=[case["name"] for case in VECTORS["cases"]])
def test_vectors_are_what_baileys_writes(case: dict[str, Any], baileys_vectors: dict[str, str]) -> None:
    assert baileys_vectors[case["name"]] == case["hex"]


@pytest.fixture(scope="module")
def baileys_vectors() -> dict[str, str]:
    cases = VECTORS["cases"]
    answers = ask([{"encode": case["node"]} for case in cases])
    return {case["name"]: answer["hex"] for case, answer in zip(cases, answers, strict=True)}


# Where we differ on purpose: the text, what Baileys makes of it (read back), what we make of it (read back).
# Each is told in the documentation of rust/src/core/codec.rs.
DIFFERENCES = [
    ("constructor", "", "constructor"),
    ("toString", "", "toString"),
    ("__proto__", "", "__proto__"),
    ("hasOwnProperty", "", "hasOwnProperty"),
    ("a_b@g.us", "a@g.us", "a_b@g.us"),
    ("123_1@s.whatsapp.net", "123@s.whatsapp.net", "123@lid"),
    ("1:2:3@lid", "1:2@lid", "1:2:3@lid"),
    ("123:@lid", "123@lid", "123:@lid"),
    ("123:5@bot", "123:5@s.whatsapp.net", "123:5@bot"),
    ("123:4@msgr", "123:4@s.whatsapp.net", "123:4@msgr"),
    ("9-123:3@interop", "9-123:3@s.whatsapp.net", "9-123:3@interop"),
    ("123_7:5@s.whatsapp.net", "123:5@s.whatsapp.net", "123_7:5@s.whatsapp.net"),
]


def test_where_we_differ_baileys_still_does_what_we_say() -> None:
    encoded = ask([{"encode": node("t", {"a": text})} for text, _, _ in DIFFERENCES])
    decoded = ask([{"decode": answer["hex"]} for answer in encoded])
    for (text, theirs, ours), answer in zip(DIFFERENCES, decoded, strict=True):
        assert dict(answer["node"]["attrs"])["a"] == theirs, text
        assert text_of(decode_node(encode_node(from_json(node("t", {"a": text})))).attrs["a"]) == ours, text


@pytest.mark.parametrize("text", ["tea @ five", "me@example.org", "@"])
def test_text_with_an_at_sign_stays_text(text: str) -> None:
    value = node("t", {"a": text})
    assert encode_node(from_json(value)).endswith(bytes([0xFC, len(text)]) + text.encode())
    assert ask([{"encode": value}])[0]["hex"] != encode_node(from_json(value)).hex()


def test_a_device_that_wraps_in_baileys_is_refused() -> None:
    value = node("t", {"a": "123:300@s.whatsapp.net"})
    answer = ask([{"decode": ask([{"encode": value}])[0]["hex"]}])[0]
    assert dict(answer["node"]["attrs"])["a"] == "123:44@s.whatsapp.net"
    assert decode_node(encode_node(from_json(value))).attrs["a"] == "123:300@s.whatsapp.net", "text, and no address"
    with pytest.raises(ValueError, match="255"):
        encode_node(Node("t", {"a": Jid("123", "s.whatsapp.net", 300)}))
