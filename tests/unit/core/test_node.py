"""The Node value: attributes, children, equality, what repr shows, copies, memory."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest

from waton._core import Jid, Node, decode_node, encode_node
from waton.errors import DecodeError

PHONE = Jid("15550001111", "s.whatsapp.net", 3)


def test_attributes_keep_their_order_and_lose_none() -> None:
    node = Node("iq", {"to": PHONE, "type": None, "id": "1"})
    assert list(node.attrs.items()) == [("to", PHONE), ("id", "1")]
    assert node.attrs is node.attrs
    assert Node("iq").attrs == {}
    assert Node("iq").content is None


@pytest.mark.parametrize("attrs", [{"id": 1}, {"id": b"1"}, {1: "id"}])
def test_attributes_are_text_or_jids(attrs: dict[str, str]) -> None:
    with pytest.raises(TypeError):
        Node("iq", attrs)


@pytest.mark.parametrize("content", [1, ["ping"], [Node("ping"), None], (Node("ping"),), bytearray(b"1")])
def test_content_is_none_bytes_text_or_nodes(content: bytes) -> None:
    with pytest.raises(TypeError):
        Node("iq", None, content)


def test_what_was_changed_behind_our_back_is_found_when_encoding() -> None:
    node = Node("iq", {"id": "1"}, [])
    node.attrs["id"] = 1  # type: ignore[assignment]  # the error is what is tested
    with pytest.raises(TypeError):
        encode_node(node)
    node = Node("iq", None, [])
    assert isinstance(node.content, list)
    node.content.append("ping")  # type: ignore[arg-type]  # the error is what is tested
    with pytest.raises(TypeError):
        encode_node(node)
    with pytest.raises(TypeError):
        node.children()


def test_children() -> None:
    first, second, third = Node("a"), Node("b"), Node("a", {"id": "3"})
    node = Node("list", None, [first, second, third])
    assert node.child("a") is first
    assert node.child("c") is None
    assert node.children("a") == [first, third]
    assert node.children() == [first, second, third]
    assert node.children() is not node.content
    for childless in (Node("x"), Node("x", None, b"a"), Node("x", None, "a")):
        assert childless.child("a") is None
        assert childless.children() == []


def test_equality_is_deep() -> None:
    def made(tag: str = "iq", id: str = "1", inner: bytes = b"x") -> Node:
        return Node(tag, {"id": id, "to": PHONE}, [Node("a", None, inner)])

    assert made() == made()
    assert all(made() != other for other in (made(tag="x"), made(id="2"), made(inner=b"y"), "iq"))
    assert Node("a", None, b"") != Node("a")
    assert Node("a", None, []) != Node("a")


def test_repr_shows_sizes_and_no_addresses() -> None:
    node = Node("message", {"to": PHONE, "id": "3EB0", "type": "text"}, [Node("enc", {"v": "2"}, b"secret")])
    assert repr(node) == "<Node message id=3EB0 type=text 1 children>"
    assert repr(Node("enc", {"v": "2"}, b"secret")) == "<Node enc 6 bytes>"
    assert repr(Node("iq", {"xmlns": "w:p"}, "secret")) == "<Node iq xmlns=w:p 6 characters>"
    assert repr(Node("item", {"id": PHONE})) == "<Node item>"


def test_copies_are_equal() -> None:
    node = Node("iq", {"to": PHONE}, [Node("a", None, b"x"), Node("b", None, "get")])
    for made in (pickle.loads(pickle.dumps(node)), copy.deepcopy(node)):
        assert made == node
        assert made.content[0] is not node.content[0]


def test_a_node_that_holds_itself_is_collected() -> None:
    class Mark(str):
        __slots__ = ("__weakref__",)

    mark = Mark("here")
    watched = weakref.ref(mark)
    node = Node("a", {"mark": mark}, [])
    assert isinstance(node.content, list)
    node.content.append(node)
    del node, mark
    gc.collect()
    assert watched() is None


def test_a_very_deep_tree_is_freed_and_refused() -> None:
    node = Node("a")
    for _ in range(200_000):
        node = Node("a", None, [node])
    with pytest.raises(ValueError, match="128"):
        encode_node(node)
    del node


def test_decoding_much_leaves_the_collector_as_it_was() -> None:
    body = encode_node(Node("list", None, [Node("user", {"jid": PHONE}) for _ in range(3_000)]))
    assert len(body) > 8_192
    assert gc.isenabled()
    decode_node(body)
    assert gc.isenabled()
    gc.disable()
    try:
        decode_node(body)
        assert not gc.isenabled()
    finally:
        gc.enable()
    with pytest.raises(DecodeError):
        decode_node(body[:-1])
    assert gc.isenabled()
