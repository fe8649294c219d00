"""The inputs of the function differential are what they promise to be, and reach the corners."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.jid import Jid
from waton.parity import generators
from waton.parity.functions.nodes import text_of, to_ours, told, with_sorted_attrs
from waton.protocol.binary_node import decode_node, encode_node

few = settings(max_examples=60, database=None, deadline=None, derandomize=True)


@few
@given(generators.nodes())
def test_ordinary_nodes_come_back_as_they_were(value: dict[str, Any]) -> None:
    node = to_ours(value)
    assert encode_node(decode_node(encode_node(node))) == encode_node(node)


@few
@given(generators.nodes())
def test_ordinary_nodes_hold_nothing_that_baileys_writes_otherwise(value: dict[str, Any]) -> None:
    for text in texts(value):
        assert text not in generators.OBJECT_NAMES
        if "@" in text:
            user, _, server = text.partition("@")
            assert "_" not in user
            assert server in (*generators.DEVICE_SERVERS, *generators.OTHER_SERVERS)
    assert not any(name.isdecimal() for name in names(value))


def texts(value: dict[str, Any]) -> list[str]:
    content = value.get("content")
    inner = [text for child in content for text in texts(child)] if isinstance(content, list) else []
    return [value["tag"], *value["attrs"].values(), *([content] if isinstance(content, str) else []), *inner]


def names(value: dict[str, Any]) -> list[str]:
    content = value.get("content")
    inner = [name for child in content for name in names(child)] if isinstance(content, list) else []
    return [*value["attrs"], *inner]


@few
@given(generators.jids())
def test_addresses_are_read_and_written_back(text: str) -> None:
    assert str(Jid.parse(text)) == text


@few
@given(generators.user_jids())
def test_people_have_no_device_that_is_kept_for_hosted_accounts(text: str) -> None:
    assert Jid.parse(text).is_user
    assert Jid.parse(text).device < 99


@few
@given(generators.browsers(), generators.credentials())
def test_clients_have_keys_of_the_right_size(browser: dict[str, Any], device: dict[str, Any]) -> None:
    assert len(browser["version"]) == 3
    assert [len(device[name]) for name in ("identity", "signed", "noise", "secret", "entropy")] == [32, 32, 32, 32, 64]
    assert 0 < device["registration"] < 1 << 14


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        (generators.node_texts, lambda text: len(text) > 127 and not set(text) - set(generators.DIGITS + "-.")),
        (generators.node_texts, lambda text: "@" in text and Jid.parse(text).device > 98),
        (generators.node_texts, lambda text: text == ""),
        (generators.node_texts, lambda text: len(text) == 256),
        (generators.nodes, lambda value: isinstance(value.get("content"), list) and len(value["content"]) > 1),
        (generators.contents, lambda value: isinstance(value, bytes) and len(value) > 255),
        (generators.jids, lambda text: "-" in text),
        (generators.jids, lambda text: text.endswith("@hosted.lid")),
    ],
)
def test_corners_are_reached(strategy: Callable[[], SearchStrategy[Any]], wanted: Callable[[Any], bool]) -> None:
    limits = settings(max_examples=3_000, database=None, deadline=None, phases=(Phase.generate,))
    assert wanted(find(strategy(), wanted, settings=limits, random=Random(1)))


def test_every_token_can_come() -> None:
    assert len(generators.tokens()) == len(set(generators.tokens())) > 1_200
    last = generators.tokens()[-1]
    assert find(generators.token_texts(), lambda text: text == last, settings=settings(few, max_examples=5_000)) == last


@pytest.mark.parametrize(
    ("jid", "text"),
    [
        (Jid("1", "lid", 0, is_ad=True), "1@lid"),
        (Jid("1", "lid", 3), "1:3@lid"),
        (Jid("1", "msgr", 0, is_ad=True), "1:0@msgr"),
        (Jid("1", "interop", 3, integrator=9, is_ad=True), "9-1:3@interop"),
        (Jid("", "g.us"), "@g.us"),
    ],
)
def test_an_address_is_told_as_baileys_tells_it(jid: Jid, text: str) -> None:
    assert text_of(jid) == text


def test_attributes_in_one_order() -> None:
    node = to_ours(generators.node("t", {"b": "1", "a": "2"}, [generators.node("u", {"d": "1", "c": "2"})]))
    assert told(node)["attrs"] == [["b", "1"], ["a", "2"]]
    made = with_sorted_attrs(told(node))
    assert made["attrs"] == [["a", "2"], ["b", "1"]]
    assert made["content"][0]["attrs"] == [["c", "2"], ["d", "1"]]


@few
@given(st.lists(st.binary(max_size=3)))
def test_nodes_take_lists_of_nodes_only_as_they_are(bodies: list[bytes]) -> None:
    value = generators.node("t", {}, [generators.node("u", {}, body) for body in bodies])
    assert [child["content"] for child in told(to_ours(value))["content"]] == bodies
