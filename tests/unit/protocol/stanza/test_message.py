"""<message> both ways: every field survives the node, and the order of what is written is Baileys'."""

from __future__ import annotations

import pytest

from waton.jid import Jid
from waton.protocol.binary_node import Node, StanzaError, decode_node, encode_node
from waton.protocol.stanza.message import Enc, IncomingMessage, OutgoingMessage

PEER = Jid.parse("4915000000002@s.whatsapp.net")
PEER_PHONE, PEER_DESKTOP = PEER.with_device(0), PEER.with_device(11)
LID = Jid.parse("77000000000002@lid")
GROUP = Jid.parse("12036302@g.us")
PKMSG = Enc("pkmsg", b"\x33opening")
MSG = Enc("msg", b"\x33turn", count=2, mediatype="image", decrypt_fail="hide")

FULL_OUT = OutgoingMessage(
    id="3EB0A1",
    to=PEER,
    encs=((PEER_PHONE, PKMSG), (PEER_DESKTOP, MSG)),
    type="media",
    device_identity=b"vouched",
    category="peer",
    push_priority="high",
    edit="1",
    phash="2:abcd",
    extra=(Node("meta", {"a": "b"}), Node("tctoken", None, b"t")),
)
FULL_IN = IncomingMessage(
    id="3EB0A2",
    sender=GROUP,
    t=1_760_000_000,
    type="text",
    encs=(PKMSG, Enc("skmsg", b"\x33group")),
    participant=LID.with_device(5),
    recipient=PEER,
    category="peer",
    notify="Ada",
    sender_pn=PEER,
    sender_lid=LID,
    recipient_pn=PEER_DESKTOP,
    recipient_lid=LID.with_device(1),
    addressing_mode="lid",
    offline="1",
    edit="7",
    device_identity=b"vouched",
    extra=(Node("reporting", None, [Node("reporting_tag", None, b"x")]),),
)


def over_the_wire(node: Node) -> Node:
    return decode_node(encode_node(node))


@pytest.mark.parametrize(
    "enc", [PKMSG, MSG, Enc("msg", b"x", version="3"), Enc("msmsg", b"")], ids=lambda enc: enc.type
)
def test_a_ciphertext_survives(enc: Enc) -> None:
    assert Enc.from_node(enc.to_node()) == enc


def test_a_ciphertexts_attributes() -> None:
    assert list(MSG.to_node().attrs.items()) == [
        ("v", "2"),
        ("type", "msg"),
        ("count", "2"),
        ("mediatype", "image"),
        ("decrypt-fail", "hide"),
    ]
    assert PKMSG.to_node().attrs == {"v": "2", "type": "pkmsg"}
    assert PKMSG.to_node().content == b"\x33opening"


def test_outgoing_survives_the_wire() -> None:
    assert OutgoingMessage.from_node(over_the_wire(FULL_OUT.to_node())) == FULL_OUT
    bare = OutgoingMessage("1", PEER, (), bare=MSG)
    assert OutgoingMessage.from_node(over_the_wire(bare.to_node())) == bare


def test_outgoing_is_written_in_baileys_order() -> None:
    node = FULL_OUT.to_node()
    assert list(node.attrs) == ["id", "to", "type", "category", "push_priority", "edit", "phash"]
    assert [child.tag for child in node.children()] == ["participants", "device-identity", "meta", "tctoken"]
    recipients = node.children("participants")[0].children("to")
    assert [(to.attrs["jid"], [enc.attrs["type"] for enc in to.children()]) for to in recipients] == [
        (PEER_PHONE, ["pkmsg"]),
        (PEER_DESKTOP, ["msg"]),
    ]
    short = OutgoingMessage("1", PEER, ((PEER, MSG),)).to_node()
    assert short.attrs == {"id": "1", "to": PEER, "type": "text"}
    assert [child.tag for child in short.children()] == ["participants"]
    assert [child.tag for child in OutgoingMessage("1", PEER, (), bare=MSG).to_node().children()] == ["enc"]


def test_a_reader_without_a_ciphertext_is_passed_over() -> None:
    participants = Node("participants", None, [Node("to", {"jid": PEER}), Node("to", {"jid": LID}, [MSG.to_node()])])
    node = Node("message", {"id": "1", "to": GROUP}, [participants])
    assert OutgoingMessage.from_node(node).encs == ((LID, MSG),)


def test_incoming_survives_the_wire() -> None:
    assert IncomingMessage.from_node(over_the_wire(FULL_IN.to_node())) == FULL_IN
    short = IncomingMessage("1", PEER, 5, "text", (MSG,))
    assert IncomingMessage.from_node(over_the_wire(short.to_node())) == short
    assert short.to_node().attrs == {"from": PEER, "type": "text", "id": "1", "t": "5"}


def test_addresses_stay_addresses_on_the_way_out() -> None:
    attrs = FULL_IN.to_node().attrs
    named = ("from", "participant", "recipient", "sender_pn", "sender_lid", "recipient_pn", "recipient_lid")
    assert all(isinstance(attrs[name], Jid) for name in named)


def test_addresses_as_text_are_read_all_the_same() -> None:
    attrs: dict[str, str | Jid | None] = {name: str(value) for name, value in FULL_IN.to_node().attrs.items()}
    assert IncomingMessage.from_node(Node("message", attrs, FULL_IN.to_node().children())) == FULL_IN


def test_the_author_is_the_participant_of_a_group() -> None:
    assert FULL_IN.author == LID.with_device(5)
    assert IncomingMessage("1", PEER_DESKTOP, 5, "text", ()).author == PEER_DESKTOP


def test_the_offline_mark_is_all_that_the_queue_adds() -> None:
    message = IncomingMessage("1", PEER, 5, "text", (MSG,))
    assert message.queued("3").offline == "3"
    assert message.offline is None
    attrs = dict(message.queued("3").to_node().attrs)
    assert attrs.pop("offline") == "3"
    assert attrs == message.to_node().attrs


def test_an_unavailable_message_has_no_ciphertext() -> None:
    node = Node("message", {"from": PEER, "id": "1", "t": "5"}, [Node("unavailable", {"type": "view_once"})])
    message = IncomingMessage.from_node(node)
    assert (message.unavailable, message.encs, message.type, message.extra) == ("view_once", (), "", ())
    assert IncomingMessage.from_node(FULL_IN.to_node()).unavailable is None
    silent = Node("message", {"from": PEER, "id": "1", "t": "5"}, [Node("unavailable")])
    assert IncomingMessage.from_node(silent).unavailable == "", "it does not say why"


def test_a_newsletter_s_message_has_its_content_and_its_number_there() -> None:
    attrs = {"from": PEER, "id": "1", "t": "5", "server_id": "77"}
    message = IncomingMessage.from_node(Node("message", {**attrs}, [Node("plaintext", None, b"bytes")]))
    assert (message.plaintext, message.server_id) == (b"bytes", "77")


def test_the_author_s_other_address_comes_with_his_device() -> None:
    lid, pn = Jid("2000", "lid", 4), Jid("49150", "s.whatsapp.net")
    group = Jid("1203", "g.us")
    message = IncomingMessage("1", group, 5, "text", (), participant=lid, participant_pn=pn)
    assert message.author_alt == pn.with_device(4)
    assert IncomingMessage("1", lid, 5, "text", (), sender_pn=pn).author_alt == pn.with_device(4)
    assert IncomingMessage("1", pn, 5, "text", (), sender_lid=lid.bare).author_alt == lid.with_device(0)
    assert IncomingMessage("1", pn, 5, "text", ()).author_alt is None


def test_the_other_address_of_whom_our_other_device_wrote_to() -> None:
    attrs = {"from": "49150:2@s.whatsapp.net", "recipient": "49151@s.whatsapp.net", "id": "1", "t": "5"}
    message = IncomingMessage.from_node(Node("message", {**attrs, "peer_recipient_lid": "2000@lid"}))
    assert (message.recipient_lid, message.recipient_pn, message.author_alt) == (Jid("2000", "lid"), None, None)
    named = {**attrs, "peer_recipient_pn": "49152@s.whatsapp.net", "recipient_pn": "49151@s.whatsapp.net"}
    assert IncomingMessage.from_node(Node("message", {**named})).recipient_pn == Jid("49151", "s.whatsapp.net")


def test_what_a_group_message_and_a_resend_carry_comes_back() -> None:
    group, device = Jid("1203", "g.us"), Jid("2000", "lid", 4)
    sent = OutgoingMessage(
        id="1",
        to=group,
        encs=((device, Enc("msg", b"key")),),
        bare=Enc("skmsg", b"content"),
        phash="2:47DEQpj8",
        addressing_mode="lid",
        expiration=86_400,
    )
    assert OutgoingMessage.from_node(sent.to_node()) == sent
    again = OutgoingMessage(
        id="1", to=group, encs=(), bare=Enc("pkmsg", b"x", count=2), participant=device, device_fanout="false"
    )
    assert OutgoingMessage.from_node(again.to_node()) == again


def lacking(node: Node, name: str) -> Node:
    return Node(node.tag, {key: value for key, value in node.attrs.items() if key != name}, node.content)


def replaced(node: Node, name: str, value: str) -> Node:
    return Node(node.tag, {**node.attrs, name: value}, node.content)


@pytest.mark.parametrize("name", ["id", "from", "t"])
def test_an_incoming_message_needs(name: str) -> None:
    with pytest.raises(StanzaError) as refused:
        IncomingMessage.from_node(lacking(FULL_IN.to_node(), name))
    assert refused.value.missing == name


@pytest.mark.parametrize("name", ["id", "to"])
def test_an_outgoing_message_needs(name: str) -> None:
    with pytest.raises(StanzaError) as refused:
        OutgoingMessage.from_node(lacking(FULL_OUT.to_node(), name))
    assert refused.value.missing == name


@pytest.mark.parametrize(("name", "value"), [("t", "noon"), ("participant", "1:x@lid"), ("sender_pn", "")])
def test_an_incoming_attribute_of_the_wrong_type(name: str, value: str) -> None:
    with pytest.raises(StanzaError) as refused:
        IncomingMessage.from_node(replaced(FULL_IN.to_node(), name, value))
    assert refused.value.missing == name


@pytest.mark.parametrize(
    "enc",
    [
        Node("enc", {"v": "2"}, b"x"),
        Node("enc", {"v": "2", "type": "msg"}),
        Node("enc", {"v": "2", "type": "msg"}, [Node("x")]),
        Node("enc", {"v": "2", "type": "msg", "count": "two"}, b"x"),
    ],
)
def test_a_malformed_ciphertext(enc: Node) -> None:
    with pytest.raises(StanzaError):
        IncomingMessage.from_node(Node("message", {"from": PEER, "id": "1", "t": "5"}, [enc]))
    with pytest.raises(StanzaError):
        OutgoingMessage.from_node(Node("message", {"to": PEER, "id": "1"}, [enc]))


def test_reprs_show_no_content() -> None:
    assert "opening" not in repr(PKMSG) + repr(FULL_OUT) + repr(FULL_IN)
    assert "4915" not in repr(FULL_OUT) + repr(FULL_IN)
