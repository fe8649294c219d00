"""Messages of a group reach every device of everybody once, receipts go back to who wrote."""

from __future__ import annotations

import pytest

from tests.unit.lab.worlds import Bench, Companion
from waton.jid import Jid
from waton.lab.groups import Group
from waton.lab.phone import Phone
from waton.lab.world import Device
from waton.protocol.binary_node import Node, decode_node
from waton.protocol.participant_hash import participant_hash
from waton.protocol.stanza.group import AddressingMode, Role
from waton.protocol.stanza.message import Enc, IncomingMessage, OutgoingMessage
from waton.protocol.stanza.receipt import Receipt, ReceiptType

SKMSG = Enc("skmsg", b"for all")


class Round:
    """Ada with two companions and Bob with one in a group, Cid with one outside. Phones are offline: queues show."""

    def __init__(self, bench: Bench, mode: AddressingMode, ada: Phone, bob: Phone, cid: Phone) -> None:
        self.bench = bench
        self.ada, self.bob, self.cid = ada, bob, cid
        self.one, self.two = Companion.link(bench, ada), Companion.link(bench, ada)
        self.bobs, self.cids = Companion.link(bench, bob), Companion.link(bench, cid)
        for phone in (ada, bob, cid):
            phone.offline()
        for companion in (self.one, self.two, self.bobs, self.cids):
            companion.login().take()
        self.group: Group = bench.service.groups.create(ada.account, "Tea", [bob.account], mode)

    def wire(self, companion: Companion) -> Jid:
        return self.group.device(companion.device)

    def message(self, *encs: tuple[Jid, Enc], id: str = "M1", **more: object) -> OutgoingMessage:
        return OutgoingMessage(id, self.group.id, encs, device_identity=b"vouched", **more)  # pyright: ignore[reportArgumentType]

    def send(self, sender: Companion, message: OutgoingMessage) -> Node:
        """Send it; the ack, which is all that comes back."""
        sender.endpoint.take()
        sender.post(message.to_node())
        (acked,) = sender.endpoint.take()
        assert acked.tag == "ack"
        return acked

    def waiting(self, phone: Phone) -> list[Node]:
        """What waits in a phone's queue."""
        device = self.bench.service.world.device(phone.account, 0)
        assert device is not None
        return [decode_node(one.stanza) for one in self.bench.service.deliveries.waiting(device, 0)]

    def got(self, where: Companion | Phone) -> list[IncomingMessage]:
        nodes = self.waiting(where) if isinstance(where, Phone) else where.endpoint.take("message")
        return [IncomingMessage.from_node(node) for node in nodes if node.tag == "message"]

    def noted(self, name: str) -> list[str]:
        return [trace.detail for trace in self.bench.traces if trace.name == name]


@pytest.fixture(params=list(AddressingMode))
async def tea(bench: Bench, request: pytest.FixtureRequest) -> Round:
    return Round(bench, request.param, *await bench.phones("Ada", "Bob", "Cid"))


# --- messages


def test_each_device_gets_one_stanza_its_own_ciphertext_first(tea: Round) -> None:
    own = {tea.wire(tea.bobs): Enc("pkmsg", b"key for Bob's"), tea.wire(tea.two): Enc("msg", b"key for mine")}
    acked = tea.send(tea.one, tea.message(*own.items(), bare=SKMSG, type="text"))
    assert acked.attrs == {
        "class": "message",
        "id": "M1",
        "from": tea.group.id,
        "t": str(int(tea.bench.clock.now())),
        "type": "text",
    }
    by_lid = tea.group.addressing is AddressingMode.LID
    for where, enc in (
        (tea.bobs, own[tea.wire(tea.bobs)]),
        (tea.two, own[tea.wire(tea.two)]),
        (tea.bob, None),
        (tea.ada, None),
    ):
        (message,) = tea.got(where)
        assert message.encs == ((SKMSG,) if enc is None else (enc, SKMSG))
        assert (message.sender, message.participant) == (tea.group.id, tea.wire(tea.one))
        assert (message.participant_pn, message.participant_lid) == (
            (tea.ada.pn, None) if by_lid else (None, tea.ada.lid)
        )
        assert (message.addressing_mode, message.notify, message.type) == (tea.group.addressing, "Ada", "text")
        assert message.device_identity == (b"vouched" if enc is not None and enc.type == "pkmsg" else b"")
    assert tea.got(tea.cids) == []


def test_people_are_found_by_either_address(tea: Round) -> None:
    tea.send(tea.one, tea.message((tea.bobs.device.pn, Enc("msg", b"1")), bare=SKMSG))
    tea.send(tea.one, tea.message((tea.bobs.device.lid, Enc("msg", b"2")), id="M2", bare=SKMSG))
    assert [message.encs[0].ciphertext for message in tea.got(tea.bobs)] == [b"1", b"2"]


def test_pairwise_ciphertexts_alone_go_to_whom_they_are_for(tea: Round) -> None:
    tea.send(tea.one, tea.message((tea.wire(tea.bobs), Enc("msg", b"1"))))
    assert len(tea.got(tea.bobs)) == 1
    assert tea.got(tea.two) == []


def test_ciphertexts_for_nobody_in_it_are_noted_and_cost_nothing(tea: Round) -> None:
    gone = tea.wire(tea.bobs).with_device(9)
    encs = [(jid, Enc("msg", b"x")) for jid in (gone, tea.cids.device.lid, tea.wire(tea.one))]
    assert "error" not in tea.send(tea.one, tea.message(*encs, bare=SKMSG)).attrs
    assert len(tea.got(tea.bobs)) == 1
    assert tea.got(tea.cids) == []
    # Baileys' ciphertext for the device that sends is none of them.
    assert tea.noted("lab.no_such_device") == ['{"id": "M1", "count": 2}']


def test_a_stranger_is_refused(tea: Round) -> None:
    assert tea.send(tea.cids, tea.message(bare=SKMSG)).attrs["error"] == "403"
    nowhere = OutgoingMessage("M2", Jid("120363999999999999", "g.us"), (), bare=SKMSG)
    assert tea.send(tea.one, nowhere).attrs["error"] == "404"
    assert tea.got(tea.bobs) == []


def test_only_admins_write_where_only_admins_may(tea: Round) -> None:
    groups = tea.bench.service.groups
    groups.set_announcement(tea.group, on=True)
    assert tea.send(tea.bobs, tea.message(bare=SKMSG)).attrs["error"] == "403"
    assert "error" not in tea.send(tea.one, tea.message(id="M2", bare=SKMSG)).attrs
    groups.set_role(tea.group, [tea.bob.account], Role.ADMIN)
    assert "error" not in tea.send(tea.bobs, tea.message(id="M3", bare=SKMSG)).attrs


def test_who_thinks_that_people_are_addressed_otherwise_is_told(tea: Round) -> None:
    other = AddressingMode.PN if tea.group.addressing is AddressingMode.LID else AddressingMode.LID
    assert tea.send(tea.one, tea.message(bare=SKMSG, addressing_mode=other)).attrs["error"] == "421"
    assert tea.got(tea.bobs) == []
    assert (
        "error" not in tea.send(tea.one, tea.message(id="M2", bare=SKMSG, addressing_mode=tea.group.addressing)).attrs
    )
    assert len(tea.got(tea.bobs)) == 1


def test_what_is_for_the_server_is_not_passed_on(tea: Round) -> None:
    extra = (Node("tctoken", None, b"t"), Node("reporting", None, [Node("token", None, b"r")]))
    tea.send(tea.one, tea.message(bare=SKMSG, extra=extra))
    assert [child.tag for child in tea.got(tea.bobs)[0].extra] == ["reporting"]


def test_a_message_that_comes_again_is_taken_once(tea: Round) -> None:
    for _ in range(2):
        assert "error" not in tea.send(tea.one, tea.message(bare=SKMSG)).attrs
    assert len(tea.got(tea.bobs)) == 1


# --- resends


def test_a_resend_goes_to_the_one_device_it_names(tea: Round) -> None:
    again = Enc("pkmsg", b"again", count=2)
    # Baileys puts a second ciphertext for the same device beside it.
    twin = (tea.wire(tea.bobs), Enc("pkmsg", b"twin"))
    tea.send(tea.one, tea.message(twin, bare=again, participant=tea.wire(tea.bobs)))
    (message,) = tea.got(tea.bobs)
    assert (message.encs, message.device_identity) == ((again,), b"vouched")
    assert (message.sender, message.participant) == (tea.group.id, tea.wire(tea.one))
    assert tea.got(tea.two) == tea.got(tea.bob) == tea.got(tea.ada) == []


def test_a_resend_to_somebody_outside_goes_nowhere(tea: Round) -> None:
    tea.send(tea.one, tea.message(bare=Enc("msg", b"x", count=1), participant=tea.cids.device.lid))
    assert tea.got(tea.cids) == []
    assert tea.noted("lab.no_such_device") == ['{"id": "M1", "count": 1}']


# --- the hash of who there is


def devices(tea: Round, *companions: Companion) -> list[Jid]:
    phones: list[Device] = [tea.bench.service.world.devices(one.account)[0] for one in (tea.ada, tea.bob)]
    return [tea.group.device(device) for device in (*phones, *(one.device for one in companions))]


def test_a_right_hash_is_not_answered_and_a_wrong_one_is_put_right(tea: Round) -> None:
    right = participant_hash(devices(tea, tea.one, tea.two, tea.bobs))
    assert "phash" not in tea.send(tea.one, tea.message(bare=SKMSG, phash=right)).attrs
    assert "phash" not in tea.send(tea.one, tea.message(id="M2", bare=SKMSG)).attrs
    for id, thought in (("M3", devices(tea, tea.one, tea.two)), ("M4", devices(tea, tea.two, tea.bobs))):
        acked = tea.send(tea.one, tea.message(id=id, bare=SKMSG, phash=participant_hash(thought)))
        assert (acked.attrs["phash"], "error" in acked.attrs) == (right, False)
    assert len(tea.got(tea.bobs)) == 4


# --- receipts


def receipt(tea: Round, who: Companion, author: Jid, type: str = "", **fields: object) -> None:
    made = Receipt(("M1",), tea.group.id, type, author, **fields)  # pyright: ignore[reportArgumentType]
    who.post(made.to_node())


def receipts(tea: Round, where: Companion | Phone) -> list[Receipt]:
    nodes = tea.waiting(where) if isinstance(where, Phone) else where.endpoint.take("receipt")
    return [Receipt.from_node(node) for node in nodes if node.tag == "receipt"]


def test_a_delivery_receipt_tells_every_device_of_the_author_who_has_it(tea: Round) -> None:
    receipt(tea, tea.bobs, tea.wire(tea.one))
    for where in (tea.one, tea.two, tea.ada):
        (told,) = receipts(tea, where)
        assert (told.peer, told.participant, told.type) == (tea.group.id, tea.wire(tea.bobs), "")
        assert told.t == int(tea.bench.clock.now())
    assert [node.attrs["class"] for node in tea.bobs.endpoint.nodes if node.tag == "ack"] == ["receipt"]
    assert receipts(tea, tea.bob) == []


def test_a_read_receipt_tells_the_readers_other_devices_whose_message_it_was(tea: Round) -> None:
    receipt(tea, tea.bobs, tea.group.address(tea.ada.account), ReceiptType.READ)
    (own,) = receipts(tea, tea.bob)
    assert (own.peer, own.participant, own.recipient) == (
        tea.group.id,
        tea.wire(tea.bobs),
        tea.group.address(tea.ada.account),
    )
    assert len(receipts(tea, tea.one)) == 1


def test_read_self_tells_nobody_else(tea: Round) -> None:
    receipt(tea, tea.bobs, tea.wire(tea.one), ReceiptType.READ_SELF)
    assert len(receipts(tea, tea.bob)) == 1
    assert receipts(tea, tea.one) == []


def test_a_sender_receipt_goes_to_the_device_that_wrote(tea: Round) -> None:
    receipt(tea, tea.two, tea.wire(tea.one), ReceiptType.SENDER)
    assert [told.participant for told in receipts(tea, tea.one)] == [tea.wire(tea.two)]
    assert receipts(tea, tea.ada) == []


def test_a_retry_goes_to_the_device_it_names_untouched(tea: Round) -> None:
    content = (Node("retry", {"count": "1", "id": "M1", "t": "1", "v": "1"}), Node("registration", None, b"\0\0\0\1"))
    receipt(tea, tea.bobs, tea.wire(tea.two), ReceiptType.RETRY, content=content, recipient=tea.group.id)
    (told,) = receipts(tea, tea.two)
    assert (told.peer, told.participant, told.recipient) == (tea.group.id, tea.wire(tea.bobs), tea.group.id)
    assert told.content == content
    assert receipts(tea, tea.one) == receipts(tea, tea.ada) == []


def test_a_message_asked_for_again_may_come_again_to_all(tea: Round) -> None:
    # Baileys answers a phone by the whole message once more, under the same id.
    tea.send(tea.one, tea.message(bare=SKMSG))
    receipt(tea, tea.bobs, tea.wire(tea.one), ReceiptType.RETRY, content=(Node("retry"),))
    tea.send(tea.one, tea.message(bare=Enc("skmsg", b"anew")))
    assert len(tea.got(tea.bobs)) == 2


def test_a_receipt_that_names_nobody_still_clears_the_queue(tea: Round) -> None:
    tea.send(tea.one, tea.message(bare=SKMSG))
    tea.bobs.endpoint.take()
    tea.bobs.post(Receipt(("M1",), tea.group.id).to_node())
    assert tea.noted("lab.stray_receipt") == ['{"id": "M1"}']
    assert [node.attrs["class"] for node in tea.bobs.endpoint.take("ack")] == ["receipt"]
    assert tea.bobs.login().take("message") == []


def test_what_waits_for_somebody_who_was_away_comes_marked(tea: Round) -> None:
    tea.bobs.logout()
    tea.send(tea.one, tea.message(bare=SKMSG))
    (message,) = [IncomingMessage.from_node(node) for node in tea.bobs.login().take("message")]
    assert (message.offline, message.participant) == ("0", tea.wire(tea.one))


# --- typing


def test_typing_reaches_everybody_else_who_is_there(tea: Round) -> None:
    for one in (tea.one, tea.two, tea.bobs, tea.cids):
        one.post(Node("presence", {"type": "available"}))
        one.endpoint.take()
    tea.one.post(Node("chatstate", {"to": tea.group.id}, [Node("composing")]))
    (typing,) = tea.bobs.endpoint.take("chatstate")
    assert typing.attrs == {"from": tea.group.id, "participant": tea.group.address(tea.ada.account)}
    tea.cids.post(Node("chatstate", {"to": tea.group.id}, [Node("composing")]))
    assert [one.endpoint.take("chatstate") for one in (tea.one, tea.two, tea.bobs, tea.cids)] == [[], [], [], []]
