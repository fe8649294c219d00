"""A/B props: the question, the answer in both spellings, and what is passed over."""

from __future__ import annotations

import pytest

from waton.protocol.binary_node import Node, StanzaError, decode_node, encode_node
from waton.protocol.stanza.props import props_node, props_query, read_props


def answer(*props: Node) -> Node:
    return Node("iq", {"type": "result"}, [Node("props", {"hash": "h"}, list(props))])


def test_the_question() -> None:
    assert props_query() == [Node("props", {"protocol": "1"})]
    assert props_query("abc") == [Node("props", {"protocol": "1", "hash": "abc"})]


def test_an_answer_reads_back() -> None:
    props = {"10518": "1", "865": "604800", "14303": "0"}
    node = decode_node(encode_node(Node("iq", None, [props_node(props, "h1")])))
    assert read_props(node) == props
    assert node.children()[0].attrs["hash"] == "h1"


def test_both_spellings_are_read_and_what_is_neither_is_passed_over() -> None:
    found = read_props(
        answer(
            Node("prop", {"config_code": "1", "config_value": "a"}),
            Node("prop", {"name": "by_name", "value": "b"}),
            Node("prop", {"config_code": "2"}),
            Node("prop", {"config_value": "c"}),
            Node("other", {"config_code": "3", "config_value": "d"}),
        )
    )
    assert found == {"1": "a", "by_name": "b"}
    assert read_props(answer()) == {}


def test_no_answer() -> None:
    with pytest.raises(StanzaError):
        read_props(Node("iq"))
