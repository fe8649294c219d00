"""Messages go to the devices they name, receipts to whom they concern, and acks clear the queues."""

import pytest

from tests.unit.lab.worlds import Bench, Companion, pn
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.protocol.binary_node import Node, decode_node
from waton.protocol.participant_hash import participant_hash
from waton.protocol.stanza.message import Enc, IncomingMessage, OutgoingMessage
from waton.protocol.stanza.receipt import Receipt, ReceiptType, ack


class Cast:
    """Ada with two companions, Bob with one; the phones are offline, so that their queues can be looked at."""

    def __init__(self, bench: Bench, ada: Phone, bob: Phone) -> None:
        self.bench = bench
        self.ada, self.bob = ada, bob
        self.ada_one, self.ada_two = Companion.link(bench, ada), Companion.link(bench, ada)
        self.bob_one = Companion.link(bench, bob)
        ada.offline()
        bob.offline()
        for companion in (self.ada_one, self.ada_two, self.bob_one):
            companion.login().take()

    def send(
        self, sender: Companion, to: Jid, *devices: Jid, type: str = "msg", id: str = "M1", phash: str | None = None
    ) -> list[Node]:
        """Send a message with one ciphertext for each device; returns the acks."""
        encs = tuple((device, Enc(type, str(device).encode())) for device in devices)
        message = OutgoingMessage(id, to, encs, device_identity=b"vouched", phash=phash)
        sender.post(message.to_node())
        acks = [node for node in sender.endpoint.nodes if node.tag == "ack"]
        sender.endpoint.take()
        return acks

    def waiting(self, phone: Phone) -> list[Node]:
        """What waits in a phone's queue."""
        device = self.bench.service.world.device(phone.account, 0)
        assert device is not None
        return [decode_node(one.stanza) for one in self.bench.service.deliveries.waiting(device, 0)]


@pytest.fixture
async def roles(bench: Bench) -> Cast:
    return Cast(bench, *await bench.phones("Ada", "Bob"))


# --- messages


def test_each_device_gets_its_own_ciphertext_only(roles: Cast) -> None:
    bob, one = roles.bob.lid, roles.bob.lid.with_device(1)
    (acked,) = roles.send(roles.ada_one, bob, bob, one)
    assert acked.attrs | {"t": ""} == {"class": "message", "id": "M1", "from": bob, "t": "", "type": "text"}
    (at_phone,) = roles.waiting(roles.bob)
    (at_companion,) = roles.bob_one.endpoint.take("message")
    for node, device in ((at_phone, bob), (at_companion, one)):
        message = IncomingMessage.from_node(node)
        assert [enc.ciphertext for enc in message.encs] == [str(device).encode()]
        assert message.sender == roles.ada.lid.with_device(1)
        assert message.sender_pn == roles.ada.pn
        assert (message.addressing_mode, message.notify, message.recipient) == ("lid", "Ada", None)


def test_a_message_by_phone_number_says_the_lid_too(roles: Cast) -> None:
    roles.send(roles.ada_one, roles.bob.pn, roles.bob.pn.with_device(1))
    message = IncomingMessage.from_node(roles.bob_one.endpoint.take("message")[0])
    assert message.sender == roles.ada.pn.with_device(1)
    assert message.sender_lid == roles.ada.lid
    assert (message.sender_pn, message.addressing_mode) == (None, "pn")


def test_our_own_other_devices_learn_whom_it_was_for(roles: Cast) -> None:
    roles.send(roles.ada_one, roles.bob.lid, roles.bob.lid, roles.ada.lid.with_device(2), roles.ada.lid)
    for node in (*roles.ada_two.endpoint.take("message"), *roles.waiting(roles.ada)):
        message = IncomingMessage.from_node(node)
        assert message.sender == roles.ada.lid.with_device(1)
        assert (message.recipient, message.recipient_pn) == (roles.bob.lid, roles.bob.pn)


def test_the_device_identity_goes_with_a_pkmsg_only(roles: Cast) -> None:
    one = roles.bob.lid.with_device(1)
    roles.send(roles.ada_one, roles.bob.lid, one, type="pkmsg")
    roles.send(roles.ada_one, roles.bob.lid, one, type="msg", id="M2")
    first, second = (IncomingMessage.from_node(node) for node in roles.bob_one.endpoint.take("message"))
    assert (first.device_identity, second.device_identity) == (b"vouched", b"")


def test_a_bare_ciphertext_is_for_the_address_itself(roles: Cast) -> None:
    message = OutgoingMessage("M2", roles.ada.pn, (), bare=Enc("msg", b"peer"), category="peer")
    roles.ada_one.post(message.to_node())
    (node,) = roles.waiting(roles.ada)
    taken = IncomingMessage.from_node(node)
    assert (taken.category, taken.recipient, taken.encs[0].ciphertext) == ("peer", None, b"peer")


def test_what_is_for_the_server_is_not_passed_on(roles: Cast) -> None:
    one = roles.bob.lid.with_device(1)
    extra = (Node("tctoken", None, b"t"), Node("reporting", None, [Node("token", None, b"r")]))
    message = OutgoingMessage("M3", roles.bob.lid, ((one, Enc("msg", b"c")),), extra=extra)
    roles.ada_one.post(message.to_node())
    (node,) = roles.bob_one.endpoint.take("message")
    assert [child.tag for child in node.children()] == ["enc", "reporting"]


def test_nobody_there_is_a_negative_ack(roles: Cast) -> None:
    stranger = pn("19999999999")
    (acked,) = roles.send(roles.ada_one, stranger, stranger)
    assert acked.attrs["error"] == "404"


def test_unknown_devices_and_the_sender_itself_are_skipped(roles: Cast) -> None:
    one, gone = roles.bob.lid.with_device(1), roles.bob.lid.with_device(9)
    (acked,) = roles.send(roles.ada_one, roles.bob.lid, one, gone, roles.ada.lid.with_device(1))
    assert "error" not in acked.attrs
    assert len(roles.bob_one.endpoint.take("message")) == 1
    noted = [trace.detail for trace in roles.bench.traces if trace.name == "lab.no_such_device"]
    assert noted == ['{"id": "M1", "count": 2}']


def test_a_malformed_message_is_acked_with_479(roles: Cast) -> None:
    roles.ada_one.post(Node("message", {"id": "M4", "to": roles.bob.lid, "type": "text"}, [Node("enc", {"v": "2"})]))
    (acked,) = roles.ada_one.endpoint.take("ack")
    assert acked.attrs["error"] == "479"


# --- receipts


def receipt(companion: Companion, to: Jid, type: str = "", **fields: object) -> None:
    companion.post(Receipt(ids=("M1",), peer=to, type=type, **fields).to_node())  # pyright: ignore[reportArgumentType]


def test_a_delivery_receipt_reaches_every_device_of_the_author(roles: Cast) -> None:
    receipt(roles.bob_one, roles.ada.lid.with_device(1))
    told = [*roles.ada_one.endpoint.take("receipt"), *roles.ada_two.endpoint.take("receipt"), *roles.waiting(roles.ada)]
    assert [Receipt.from_node(node).peer for node in told] == [roles.bob.lid.with_device(1)] * 3
    assert all("type" not in node.attrs and node.attrs["t"] == str(int(roles.bench.clock.now())) for node in told)
    (acked,) = roles.bob_one.endpoint.take("ack")
    assert (acked.attrs["class"], acked.attrs["id"]) == ("receipt", "M1")


def test_a_read_receipt_tells_the_readers_other_devices_too(roles: Cast) -> None:
    receipt(roles.bob_one, roles.ada.lid, ReceiptType.READ)
    (own,) = (Receipt.from_node(node) for node in roles.waiting(roles.bob))
    assert (own.peer, own.recipient, own.type) == (roles.bob.lid.with_device(1), roles.ada.lid, "read")
    assert len(roles.ada_one.endpoint.take("receipt")) == 1


def test_read_self_tells_nobody_else(roles: Cast) -> None:
    receipt(roles.bob_one, roles.ada.lid, ReceiptType.READ_SELF)
    assert len(roles.waiting(roles.bob)) == 1
    assert roles.ada_one.endpoint.take("receipt") == []


def test_a_retry_goes_to_the_device_it_names_untouched(roles: Cast) -> None:
    content = (Node("retry", {"count": "1", "id": "M1", "t": "1", "v": "1"}), Node("registration", None, b"\0\0\0\1"))
    receipt(roles.bob_one, roles.ada.lid.with_device(2), ReceiptType.RETRY, content=content)
    (node,) = roles.ada_two.endpoint.take("receipt")
    assert [child.tag for child in node.children()] == ["retry", "registration"]
    assert node.children()[0].attrs == content[0].attrs
    assert roles.ada_one.endpoint.take("receipt") == []
    assert roles.waiting(roles.ada) == []


def test_receipts_for_the_phone_go_to_the_phone(roles: Cast) -> None:
    receipt(roles.ada_one, roles.ada.pn, ReceiptType.HIST_SYNC)
    assert [node.attrs["type"] for node in roles.waiting(roles.ada)] == ["hist_sync"]
    assert roles.ada_two.endpoint.take("receipt") == []


def test_many_ids_travel_together(roles: Cast) -> None:
    roles.bob_one.post(Receipt(ids=("M1", "M2", "M3"), peer=roles.ada.lid).to_node())
    assert Receipt.from_node(roles.ada_one.endpoint.take("receipt")[0]).ids == ("M1", "M2", "M3")


def test_a_receipt_without_to_still_clears_the_queue(roles: Cast) -> None:
    roles.send(roles.ada_one, roles.bob.lid, roles.bob.lid.with_device(1))
    roles.bob_one.post(Node("receipt", {"id": "M1", "type": "sender"}))
    assert [node.attrs["class"] for node in roles.bob_one.endpoint.take("ack")] == ["receipt"]
    assert roles.bob_one.login().take("message") == []


# --- acks


def test_an_ack_clears_the_receipt_it_names_and_no_other(roles: Cast) -> None:
    receipt(roles.bob_one, roles.ada.lid)
    receipt(roles.bob_one, roles.ada.lid, ReceiptType.READ)
    _delivered, read = roles.ada_one.endpoint.take("receipt")
    roles.ada_one.post(ack(read))
    (left,) = roles.ada_one.login().take("receipt")
    assert "type" not in left.attrs


def test_a_nack_clears_the_queue_and_is_noted(roles: Cast) -> None:
    roles.send(roles.ada_one, roles.bob.lid, roles.bob.lid.with_device(1))
    (message,) = roles.bob_one.endpoint.take("message")
    roles.bob_one.post(ack(message, error=500, me=roles.bob_one.device.pn))
    assert roles.bob_one.login().take("message") == []
    assert [trace.detail for trace in roles.bench.traces if trace.name == "lab.nack"] == [
        '{"id": "M1", "error": "500"}'
    ]


def test_an_ack_of_nothing_is_noted(roles: Cast) -> None:
    roles.ada_one.post(Node("ack", {"id": "never", "class": "receipt", "to": roles.bob.lid}))
    assert [trace.name for trace in roles.bench.traces if trace.name == "lab.stray_ack"] == ["lab.stray_ack"]


# --- presence


def test_presence_and_typing_reach_those_who_are_there(roles: Cast) -> None:
    bob = roles.bob_one
    bob.post(Node("presence", {"type": "subscribe", "to": roles.ada.lid}))
    assert bob.endpoint.take("presence") == []
    roles.ada_one.post(Node("presence", {"type": "available", "name": "Ada L."}))
    (there,) = bob.endpoint.take("presence")
    assert (there.attrs["from"], "type" in there.attrs) == (roles.ada.lid, False)
    roles.send(roles.ada_one, roles.bob.lid, roles.bob.lid.with_device(1))
    assert roles.bob_one.endpoint.take("message")[0].attrs["notify"] == "Ada L."
    assert roles.ada.name == "Ada"
    roles.ada_one.post(Node("chatstate", {"to": roles.bob.lid}, [Node("composing")]))
    assert bob.endpoint.take("chatstate") == []
    bob.post(Node("presence", {"type": "available"}))
    roles.ada_one.post(Node("chatstate", {"to": roles.bob.lid}, [Node("composing")]))
    (typing,) = bob.endpoint.take("chatstate")
    assert (typing.attrs["from"], typing.children()[0].tag) == (roles.ada.lid, "composing")
    roles.ada_one.post(Node("presence", {"type": "unavailable"}))
    assert bob.endpoint.take("presence")[0].attrs["type"] == "unavailable"


# --- the hash of who there is


@pytest.mark.parametrize("by_lid", [True, False])
def test_a_wrong_hash_is_put_right(roles: Cast, by_lid: bool) -> None:
    world = roles.bench.service.world
    there = [device for phone in (roles.ada, roles.bob) for device in world.devices(phone.account)]
    jids = [device.lid if by_lid else device.pn for device in there]
    to = roles.bob.lid if by_lid else roles.bob.pn
    without_us = [jid for jid in jids if jid.device != 1 or jid.user == to.user]
    right = participant_hash(jids)
    for number, thought in enumerate((jids, without_us)):
        (acked,) = roles.send(roles.ada_one, to, jids[-1], id=f"R{number}", phash=participant_hash(thought))
        assert "phash" not in acked.attrs
    (acked,) = roles.send(roles.ada_one, to, jids[-1], id="W", phash=participant_hash(jids[:2]))
    assert acked.attrs["phash"] == right
    assert len(roles.bob_one.endpoint.take("message")) == 3


def test_a_resend_with_a_second_ciphertext_comes_once(roles: Cast) -> None:
    one = roles.bob.lid.with_device(1)
    again = OutgoingMessage("M1", one, ((one, Enc("msg", b"twin")),), bare=Enc("msg", b"again", count=1))
    roles.ada_one.post(again.to_node())
    (message,) = (IncomingMessage.from_node(node) for node in roles.bob_one.endpoint.take("message"))
    assert [enc.ciphertext for enc in message.encs] == [b"again"]


def test_a_resend_to_our_own_device_says_whom_the_message_was_for(roles: Cast) -> None:
    to = roles.ada.lid.with_device(2)
    again = OutgoingMessage("M1", to, (), bare=Enc("msg", b"again", count=1), recipient=roles.bob.lid)
    roles.ada_one.post(again.to_node())
    (message,) = (IncomingMessage.from_node(node) for node in roles.ada_two.endpoint.take("message"))
    assert (message.recipient, message.recipient_pn) == (roles.bob.lid, roles.bob.pn)
