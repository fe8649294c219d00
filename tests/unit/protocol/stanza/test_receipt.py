"""receipt and ack: both directions, lists, and which attributes an ack repeats."""

from __future__ import annotations

import pytest

from waton.jid import SERVER, Jid
from waton.protocol.binary_node import Node, StanzaError, decode_node, encode_node
from waton.protocol.stanza.receipt import Reader, Readers, Receipt, ReceiptType, ack, server_ack

PEER = Jid.parse("4915000000002:3@s.whatsapp.net")
GROUP = Jid.parse("12036302@g.us")
AUTHOR = Jid.parse("77000000000002:1@lid")
ME = Jid.parse("4915000000001:4@s.whatsapp.net")

FULL = Receipt(
    ids=("A", "B", "C"),
    peer=GROUP,
    type=ReceiptType.READ,
    participant=AUTHOR,
    recipient=PEER,
    t=1_760_000_000,
    offline="2",
    content=(Node("retry", {"count": "1"}), Node("registration", None, bytes(4))),
)


@pytest.mark.parametrize("incoming", [False, True])
@pytest.mark.parametrize("receipt", [FULL, Receipt(("A",), PEER)], ids=["full", "short"])
def test_a_receipt_survives_either_way(receipt: Receipt, incoming: bool) -> None:
    node = receipt.to_node(incoming=incoming)
    assert ("from" in node.attrs, "to" in node.attrs) == (incoming, not incoming)
    assert Receipt.from_node(decode_node(encode_node(node))) == receipt


def test_the_first_id_is_an_attribute_and_the_rest_a_list() -> None:
    node = FULL.to_node()
    assert node.attrs["id"] == "A"
    assert [child.tag for child in node.children()] == ["retry", "registration", "list"]
    assert [item.attrs for item in node.children("list")[0].children()] == [{"id": "B"}, {"id": "C"}]


def test_delivered_is_written_by_leaving_the_type_out() -> None:
    assert Receipt(("A",), PEER).to_node() == Node("receipt", {"id": "A", "to": PEER})
    assert Receipt(("A",), PEER, ReceiptType.READ).to_node().attrs["type"] == "read"
    assert Receipt.from_node(Node("receipt", {"id": "A", "from": PEER})).type == ReceiptType.DELIVERED


def test_a_type_that_nobody_knows_is_kept() -> None:
    assert Receipt.from_node(Node("receipt", {"id": "A", "from": PEER, "type": "seen-in-a-dream"})).type == (
        "seen-in-a-dream"
    )


@pytest.mark.parametrize(("t", "expected"), [("5", 5), ("noon", None), ("", None), ("-1", None), ("9" * 5000, None)])
def test_a_time_that_is_none_is_no_reason_to_refuse(t: str, expected: int | None) -> None:
    assert Receipt.from_node(Node("receipt", {"id": "A", "from": PEER, "t": t})).t == expected


@pytest.mark.parametrize(
    "node",
    [
        Node("receipt", {"from": PEER}),
        Node("receipt", {"id": "A"}),
        Node("receipt", {"id": "A", "from": "1:x@lid"}),
        Node("receipt", {"id": "A", "from": PEER, "participant": ""}),
        Node("receipt", {"id": "A", "from": PEER}, [Node("list", None, [Node("item")])]),
    ],
)
def test_a_malformed_receipt(node: Node) -> None:
    with pytest.raises(StanzaError):
        Receipt.from_node(node)


# Source: Baileys Utils/stanza-ack.ts. The attributes of the stanza besides id 1; those of its ack besides id and to.
ACKS = [
    ("message", {"from": PEER, "type": "text"}, {"class": "message", "type": "text", "from": ME}),
    (
        "message",
        {"from": GROUP, "participant": AUTHOR, "type": "text", "t": "5", "notify": "Ada"},
        {"class": "message", "participant": AUTHOR, "type": "text", "from": ME},
    ),
    (
        "message",
        {"from": ME, "recipient": PEER, "type": "media"},
        {"class": "message", "recipient": PEER, "type": "media", "from": ME},
    ),
    ("receipt", {"from": PEER}, {"class": "receipt"}),
    (
        "receipt",
        {"from": GROUP, "type": "read", "participant": AUTHOR},
        {"class": "receipt", "participant": AUTHOR, "type": "read"},
    ),
    (
        "receipt",
        {"from": PEER, "type": "retry", "recipient": ME},
        {"class": "receipt", "recipient": ME, "type": "retry"},
    ),
    ("notification", {"from": SERVER, "type": "encrypt"}, {"class": "notification", "type": "encrypt"}),
    (
        "notification",
        {"from": GROUP, "type": "w:gp2", "participant": AUTHOR},
        {"class": "notification", "participant": AUTHOR, "type": "w:gp2"},
    ),
    ("call", {"from": PEER}, {"class": "call"}),
]


@pytest.mark.parametrize(("tag", "given", "expected"), ACKS)
def test_an_ack_repeats_what_the_stanza_says(
    tag: str, given: dict[str, str | Jid | None], expected: dict[str, str | Jid]
) -> None:
    made = ack(Node(tag, {"id": "1", **given}, [Node("enc", None, b"x")]), me=ME)
    assert made.tag == "ack"
    assert made.attrs == {"id": "1", "to": given["from"], **expected}
    assert made.content is None


def test_a_nack_names_its_code() -> None:
    made = ack(Node("message", {"id": "1", "from": PEER}), error=487, me=ME)
    assert made.attrs == {"id": "1", "to": PEER, "class": "message", "error": "487", "from": ME}
    assert "error" not in ack(Node("message", {"id": "1", "from": PEER})).attrs


@pytest.mark.parametrize("attrs", [{"id": "1"}, {"from": PEER}])
def test_what_cannot_be_acknowledged(attrs: dict[str, str | Jid | None]) -> None:
    with pytest.raises(StanzaError):
        ack(Node("message", attrs))


def test_the_servers_ack_comes_from_where_the_stanza_went() -> None:
    sent = Node("message", {"id": "1", "to": GROUP, "type": "text", "participant": AUTHOR})
    assert server_ack(sent, t=5).attrs == {
        "class": "message",
        "id": "1",
        "from": GROUP,
        "t": "5",
        "participant": AUTHOR,
        "type": "text",
    }
    refused = server_ack(sent, t=5, error=479, attrs=[("phash", "2:x")])
    assert (refused.attrs["error"], refused.attrs["phash"]) == ("479", "2:x")


# --- gathered receipts ------------------------------------------------------------------------------------------------

GATHERED = Receipt(
    ids=("S1",),
    peer=GROUP,
    type=ReceiptType.READ,
    t=5,
    readers=(
        Readers("A", (Reader(AUTHOR, 6, pn=PEER.bare), Reader(PEER, type="played"))),
        Readers("B", (Reader(AUTHOR, 7),)),
    ),
)


def test_gathered_receipts_survive() -> None:
    node = GATHERED.to_node(incoming=True)
    assert [child.tag for child in node.children()] == ["participants", "participants"]
    assert Receipt.from_node(decode_node(encode_node(node))) == GATHERED


@pytest.mark.parametrize(
    ("attrs", "id"),
    [({"message_id": "A", "key": "B"}, "A"), ({"key": "B"}, "B"), ({}, "S1")],
    ids=["message_id", "key", "neither"],
)
def test_gathered_readers_name_their_message(attrs: dict[str, str | Jid | None], id: str) -> None:
    participants = Node("participants", attrs, [Node("user", {"jid": AUTHOR, "t": "9"}), Node("other")])
    receipt = Receipt.from_node(Node("receipt", {"id": "S1", "from": GROUP}, [participants]))
    assert receipt.readers == (Readers(id, (Reader(AUTHOR, 9),)),)
    assert receipt.content == ()


def test_a_reader_without_an_address_is_refused() -> None:
    participants = Node("participants", {"key": "A"}, [Node("user", {"t": "9"})])
    with pytest.raises(StanzaError):
        Receipt.from_node(Node("receipt", {"id": "S1", "from": GROUP}, [participants]))


def test_a_time_of_a_reader_that_is_none_is_no_reason_to_refuse() -> None:
    assert Reader.from_node(Node("user", {"jid": AUTHOR, "t": "noon"})).t is None


def test_what_was_seen_in_a_newsletter_is_known_by_its_number() -> None:
    listed = Node("list", None, [Node("item", {"server_id": "12"}), Node("item", {"id": "B"})])
    receipt = Receipt.from_node(Node("receipt", {"id": "S1", "from": GROUP, "type": "view"}, [listed]))
    assert receipt.ids == ("S1", "12", "B")


def test_the_readers_other_address_is_kept() -> None:
    receipt = Receipt(("A",), GROUP, participant=AUTHOR, participant_pn=PEER)
    assert Receipt.from_node(receipt.to_node()) == receipt
