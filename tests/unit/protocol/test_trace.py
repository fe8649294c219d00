"""Traces: numbers without gaps, columns from a stanza's attributes, nothing secret in a repr."""

from __future__ import annotations

from waton.jid import Jid
from waton.protocol.binary_node import Node, encode_node
from waton.protocol.trace import Layer, Trace, Tracer, Way


def test_numbers_grow_by_one_over_all_layers() -> None:
    kept: list[Trace] = []
    tracer = Tracer(kept.extend)
    node = Node("presence")
    given = [
        tracer.add(Layer.WIRE, Way.IN, "binary", at=1.0),
        tracer.add_node(Way.IN, node, encode_node(node), at=2.0, parent=1, connection=1),
        tracer.add(Layer.EVENT, Way.LOCAL, "messages.upsert", at=3.0, parent=2),
    ]
    assert given == [1, 2, 3] == [trace.seq for trace in kept]
    assert [(trace.parent, trace.at) for trace in kept] == [(None, 1.0), (1, 2.0), (2, 3.0)]


def test_numbering_can_go_on_where_another_stopped() -> None:
    kept: list[Trace] = []
    assert Tracer(kept.extend, first=41).add(Layer.STATE, Way.LOCAL, "client", at=0.0) == 41


def test_every_argument_has_its_column() -> None:
    kept: list[Trace] = []
    Tracer(kept.extend).add(
        Layer.MESSAGE,
        Way.OUT,
        "conversation",
        at=4.0,
        parent=9,
        id="ID",
        kind="msg",
        xmlns="x",
        sender="a@lid",
        recipient="b@lid",
        size=5,
        data=b"bytes",
        detail="{}",
        transition=6,
        connection=7,
    )
    [trace] = kept
    assert trace == Trace(
        seq=1,
        parent=9,
        at=4.0,
        layer=Layer.MESSAGE,
        way=Way.OUT,
        name="conversation",
        id="ID",
        kind="msg",
        xmlns="x",
        sender="a@lid",
        recipient="b@lid",
        size=5,
        data=b"bytes",
        detail="{}",
        transition=6,
        connection=7,
    )


def test_a_stanzas_attributes_fill_the_columns_as_text() -> None:
    kept: list[Trace] = []
    attrs: dict[str, str | Jid | None] = {
        "id": "1",
        "type": "set",
        "xmlns": "md",
        "from": Jid.parse("4915000000001:2@s.whatsapp.net"),
        "to": Jid.parse("77@lid"),
    }
    Tracer(kept.extend).add_node(Way.OUT, Node("iq", attrs), b"1234", at=0.0, parent=None, connection=2)
    [trace] = kept
    assert (trace.layer, trace.name, trace.id, trace.kind, trace.xmlns) == (Layer.NODE, "iq", "1", "set", "md")
    assert (trace.sender, trace.recipient) == ("4915000000001:2@s.whatsapp.net", "77@lid")
    assert (trace.size, trace.data, trace.connection) == (4, b"1234", 2)


def test_a_repr_tells_no_content_and_no_address() -> None:
    kept: list[Trace] = []
    node = Node("message", {"from": Jid.parse("4915000000001@s.whatsapp.net"), "id": "ID"}, b"attack at dawn")
    Tracer(kept.extend).add_node(Way.IN, node, encode_node(node), at=0.0, parent=None, connection=1)
    told = repr(kept)
    assert "message" in told
    assert "4915" not in told
    assert "attack" not in told
