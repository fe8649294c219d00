"""The attribute reader, one error for everything that is missing, and the XML picture."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from waton.errors import RemoteProtocolError
from waton.jid import Jid
from waton.protocol.binary_node import (
    Node,
    StanzaError,
    content_bytes,
    get_jid,
    get_text,
    require_child,
    require_int,
    require_jid,
    require_text,
    to_xml,
)

PEER = Jid.parse("4915000000001:2@s.whatsapp.net")
NODE = Node("iq", {"id": "7", "from": PEER, "to": "1@lid", "bad": "1:x@lid", "t": "-12"}, [Node("a"), Node("b")])


def missing(act: Callable[[], object]) -> str:
    with pytest.raises(StanzaError) as refused:
        act()
    assert isinstance(refused.value, RemoteProtocolError)
    return refused.value.missing


def test_text_whatever_the_wire_form() -> None:
    assert get_text(NODE, "id") == require_text(NODE, "id") == "7"
    assert get_text(NODE, "from") == "4915000000001:2@s.whatsapp.net"
    assert get_text(NODE, "none") is None
    assert missing(lambda: require_text(NODE, "none")) == "none"


def test_jids_whatever_the_wire_form() -> None:
    assert get_jid(NODE, "from") == require_jid(NODE, "from") == PEER
    assert get_jid(NODE, "to") == Jid.parse("1@lid")
    assert get_jid(NODE, "none") is None
    assert missing(lambda: require_jid(NODE, "none")) == "none"
    assert missing(lambda: get_jid(NODE, "bad")) == "bad"
    assert missing(lambda: get_jid(Node("iq", {"to": ""}), "to")) == "to"


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("-12", -12), ("007", 7), ("99999999999999999999", 10**20 - 1)])
def test_whole_numbers(text: str, number: int) -> None:
    assert require_int(Node("a", {"n": text}), "n") == number


@pytest.mark.parametrize("text", ["", "-", "--5", "5-", "1.5", "1e3", "0x10", " 1", "+1", "9" * 21, "9" * 5000, "²"])
def test_what_is_no_whole_number_is_a_stanza_error(text: str) -> None:
    assert missing(lambda: require_int(Node("a", {"n": text}), "n")) == "n"


def test_a_number_that_is_absent() -> None:
    assert missing(lambda: require_int(NODE, "none")) == "none"


def test_children() -> None:
    assert require_child(NODE, "b").tag == "b"
    assert missing(lambda: require_child(NODE, "c")) == "child <c>"
    assert missing(lambda: require_child(Node("a", None, b"b"), "b")) == "child <b>"


def test_content() -> None:
    assert content_bytes(Node("a", None, b"12"), 2) == b"12"
    assert content_bytes(Node("a", None, "ä")) == "ä".encode()
    assert missing(lambda: content_bytes(Node("a", None, b"12"), 3)) == "content of 3 bytes"
    assert missing(lambda: content_bytes(Node("a"))) == "content"
    assert missing(lambda: content_bytes(NODE)) == "content"


def test_the_error_tells_the_tag_and_no_value() -> None:
    with pytest.raises(StanzaError) as refused:
        require_text(NODE, "none")
    assert str(refused.value) == "a <iq> without a usable none"
    assert refused.value.node == NODE
    assert "4915" not in str(refused.value) + repr(refused.value)


def test_the_xml_picture() -> None:
    node = Node(
        "message",
        {"from": PEER, "notify": 'A "B" & <C>'},
        [
            Node("enc", {"v": "2"}, b"\x00\xff"),
            Node("body", None, b"a < b"),
            Node("t", None, "x & y"),
            Node("e", None, []),
        ],
    )
    assert to_xml(node).splitlines() == [
        '<message from="4915000000001:2@s.whatsapp.net" notify=\'A "B" &amp; &lt;C&gt;\'>',
        '  <enc v="2">00ff</enc>',
        "  <body>a &lt; b</body>",
        "  <t>x &amp; y</t>",
        "  <e></e>",
        "</message>",
    ]
    assert to_xml(Node("a"), indent=2) == "    <a/>"


def test_long_content_is_cut_and_its_length_told() -> None:
    assert to_xml(Node("a", None, b"x" * 300), max_bytes=4) == "<a>xxxx… (300 bytes)</a>"
    assert to_xml(Node("a", None, b"\0" * 5), max_bytes=4) == "<a>00000000… (5 bytes)</a>"
    assert to_xml(Node("a", None, b"")) == "<a></a>"
