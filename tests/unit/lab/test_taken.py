"""A message that is sent again is acknowledged again and delivered once; an answer to a retry is another message."""

from __future__ import annotations

import pytest

from tests.unit.lab.worlds import NOW, Bench, Companion
from waton.jid import Jid
from waton.lab import taken
from waton.lab.phone import Phone
from waton.protocol.binary_node import Node
from waton.protocol.stanza.message import Enc, IncomingMessage, OutgoingMessage
from waton.protocol.stanza.receipt import Receipt, ReceiptType, ack


class Pair:
    """Ada's companion writes to Bob's."""

    def __init__(self, bench: Bench, ada: Phone, bob: Phone) -> None:
        self.bench = bench
        self.ada, self.bob = Companion.link(bench, ada), Companion.link(bench, bob)
        self.to = bob.lid.with_device(1)
        for companion in (self.ada, self.bob):
            companion.login().take()

    def send(self, id: str = "M1", content: bytes = b"c", to: Jid | None = None, count: int | None = None) -> Node:
        """Send a message; its ack."""
        enc = Enc("msg", content, count=count)
        if to is None:
            message = OutgoingMessage(id, self.to.bare, ((self.to, enc),))
        else:
            message = OutgoingMessage(id, to, (), bare=enc)
        self.ada.post(message.to_node())
        (acked,) = self.ada.endpoint.take("ack")
        return acked

    def delivered(self) -> list[tuple[str, bytes]]:
        """What has come to Bob since the last look."""
        messages = [IncomingMessage.from_node(node) for node in self.bob.endpoint.take("message")]
        return [(message.id, message.encs[0].ciphertext) for message in messages]

    def ask_again(self, id: str = "M1") -> None:
        author = self.ada.device.account.lid.with_device(1)
        self.bob.post(Receipt((id,), author, ReceiptType.RETRY).to_node())


@pytest.fixture
async def pair(bench: Bench) -> Pair:
    return Pair(bench, *await bench.phones("Ada", "Bob"))


def test_a_message_is_taken_once_and_acknowledged_alike(pair: Pair, bench: Bench) -> None:
    first = pair.send()
    bench.clock.time += 60
    assert pair.send().attrs == first.attrs
    assert pair.send(content=b"encrypted anew").attrs == first.attrs
    assert first.attrs["t"] == str(int(NOW))
    assert pair.delivered() == [("M1", b"c")]


def test_ids_of_two_devices_are_two_messages(pair: Pair) -> None:
    pair.send()
    pair.ada = Companion.link(pair.bench, pair.bench.lab.phones[0])
    pair.ada.login().take()
    pair.send(content=b"d")
    assert pair.delivered() == [("M1", b"c"), ("M1", b"d")]


def test_an_answer_to_a_retry_has_the_id_and_is_delivered(pair: Pair) -> None:
    pair.send()
    pair.send(to=pair.to, content=b"again", count=1)
    pair.send(to=pair.to, content=b"once more", count=2)
    pair.send(to=pair.to, content=b"sent twice", count=2)
    assert pair.delivered() == [("M1", b"c"), ("M1", b"again"), ("M1", b"once more")]


def test_a_device_that_is_asked_may_send_the_id_again_in_any_form(pair: Pair) -> None:
    pair.send()
    pair.ask_again()
    pair.send(content=b"to everybody again")
    pair.send(content=b"not asked for")
    assert pair.delivered() == [("M1", b"c"), ("M1", b"to everybody again")]


def test_the_very_same_stanza_is_no_answer_to_who_asks(pair: Pair) -> None:
    pair.send()
    pair.ask_again()
    pair.send()
    pair.send(content=b"again", count=1)
    pair.ask_again()
    pair.send()
    pair.send(content=b"again", count=1)
    assert pair.delivered() == [("M1", b"c"), ("M1", b"again")]


def test_who_asks_for_a_message_again_has_it_until_he_acknowledges_it(pair: Pair) -> None:
    pair.send()
    (original,) = pair.bob.endpoint.take("message")
    pair.ask_again()
    pair.send(content=b"again", count=1)
    pair.bob.post(ack(original, error=500))
    assert pair.delivered() == [("M1", b"again")]
    pair.bob.login()
    assert pair.delivered() == [("M1", b"again")]


def test_a_refused_message_was_not_taken(pair: Pair) -> None:
    stranger = Jid("15559999999", "s.whatsapp.net")
    refused = OutgoingMessage("M1", stranger, ((stranger, Enc("msg", b"c")),)).to_node()
    for _ in range(2):
        pair.ada.post(refused)
        (acked,) = pair.ada.endpoint.take("ack")
        assert acked.attrs["error"] == "404"


def test_a_sender_that_learns_of_more_devices_may_send_the_id_to_those(pair: Pair) -> None:
    message = OutgoingMessage("M1", pair.to.bare, ((pair.to, Enc("msg", b"c")),), phash="2:ofothers")
    pair.ada.post(message.to_node())
    (acked,) = pair.ada.endpoint.take("ack")
    assert acked.attrs["phash"] != "2:ofothers"
    pair.send(content=b"to the rest")
    assert pair.delivered() == [("M1", b"c"), ("M1", b"to the rest")]


def test_only_the_newest_ids_are_remembered(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taken, "KEPT", 3)
    for number in range(10):
        pair.send(f"M{number}")
    assert pair.bench.database.count("SELECT count(*) FROM taken") == 3
    pair.delivered()
    pair.send("M9")
    assert pair.delivered() == []
    pair.send("M6")
    assert pair.delivered() == [("M6", b"c")]


def test_an_id_is_kept_only_if_the_message_is(pair: Pair) -> None:
    def fail() -> None:
        with pair.bench.service.world.step():
            pair.ada.post(OutgoingMessage("M1", pair.to.bare, ((pair.to, Enc("msg", b"c")),)).to_node())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    pair.ada.endpoint.take()
    pair.send()
    assert pair.delivered() == [("M1", b"c")]
