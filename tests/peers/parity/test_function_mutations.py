"""The function differential can fail: one function wrong at a time, caught by name, in the domain it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import pytest

from tests.requirements import require
from tests.support.mutation import mutated
from waton.parity import differential
from waton.parity.evidence import Domain, Outcome, Row
from waton.parity.oracle import Functions
from waton.protocol import binary_node
from waton.protocol.binary_node import Node

pytestmark = pytest.mark.peer

STANZA = "waton.protocol.stanza."


@pytest.fixture(scope="module")
def baileys() -> Generator[Functions]:
    with Functions.start(require("baileys")) as running:
        yield running


@dataclass(frozen=True)
class Mutation:
    """One thing wrong, and the row it has to show in."""

    name: str
    module: str
    old: str
    new: str
    domain: Domain
    row: str


MUTATIONS = [
    Mutation(
        "message ids begin otherwise",
        "waton.protocol.message",
        '"3EB0"',
        '"3EB1"',
        Domain.MESSAGES_SEND,
        "generateMessageIDV2",
    ),
    Mutation(
        "keys of another type",
        STANZA + "encrypt",
        'Node("type", None, KEY_TYPE),\n        Node("identity", None, credentials',
        'Node("type", None, b"\\x04"),\n        Node("identity", None, credentials',
        Domain.PREKEYS,
        "getNextPreKeysNode",
    ),
    Mutation(
        "ids of keys the other way round",
        STANZA + "encrypt",
        'Node("id", None, id.to_bytes(3, "big")), Node("value", None, public)',
        'Node("id", None, id.to_bytes(3, "little")), Node("value", None, public)',
        Domain.PREKEYS,
        "xmppPreKey",
    ),
    Mutation(
        "an ack that says more than it should",
        STANZA + "receipt",
        '"class": node.tag,\n        "error"',
        '"class": node.tag,\n        "count": "1",\n        "error"',
        Domain.MESSAGES_RECV,
        "buildAckStanza",
    ),
    Mutation(
        "a reason taken for another",
        STANZA + "stream",
        "403: DisconnectReason.FORBIDDEN",
        "403: DisconnectReason.LOST",
        Domain.NOISE,
        "getErrorCodeFromStreamError",
    ),
    Mutation(
        "LIDs share the names of phone numbers",
        "waton.jid",
        'JidServer.LID: "_1"',
        'JidServer.LID: ""',
        Domain.LID_MAPPING,
        "makeLibSignalRepository.jidToSignalProtocolAddress",
    ),
    Mutation(
        "the QR tells another platform",
        "waton.protocol.client_payload",
        '"Chrome": "1"',
        '"Chrome": "2"',
        Domain.PAIRING,
        "getCompanionWebClientType",
    ),
    Mutation(
        "companions without a key index count",
        STANZA + "usync",
        "return self.id == 0 or bool(self.key_index)",
        "return True",
        Domain.USYNC,
        "extractDeviceJids",
    ),
    Mutation(
        "logs in without asking for what waits",
        "waton.protocol.client_payload",
        "payload.pull = True",
        "payload.pull = False",
        Domain.NOISE,
        "generateLoginNode",
    ),
    Mutation(
        "a text in another field",
        "waton.protocol.message",
        "proto.Message(extendedTextMessage=proto.Message.ExtendedTextMessage(text=text))",
        "proto.Message(conversation=text)",
        Domain.MESSAGES_SEND,
        "generateWAMessageContent: a text",
    ),
    Mutation(
        "the account's signature over other bytes",
        "waton.protocol.adv",
        '_DEVICE_PREFIX = b"\\x06\\x01"',
        '_DEVICE_PREFIX = b"\\x06\\x02"',
        Domain.PAIRING,
        "configureSuccessfulPairing",
    ),
    Mutation(
        "another route in the intro",
        "waton.protocol.framing",
        'len(routing_info).to_bytes(3, "big")',
        'len(routing_info).to_bytes(3, "little")',
        Domain.NOISE,
        "makeNoiseHandler: a route the server gave us",
    ),
    Mutation(
        "a group's key that is told and not taken",
        "waton.protocol.group_cipher",
        "return GroupCipher(sender_key_process(self._bytes, distribution))",
        "return self",
        Domain.GROUP_SIGNAL,
        "makeLibSignalRepository.processSenderKeyDistributionMessage",
    ),
]


def row_of(baileys: Functions, name: str) -> Row:
    (row,) = [row for row in differential.run(baileys, only=[name], examples=20) if row.name == name]
    return row


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_it_is_caught(mutation: Mutation, baileys: Functions) -> None:
    with mutated(mutation.module, mutation.old, mutation.new):
        row = row_of(baileys, mutation.row)
    assert row.outcome is Outcome.DIFFERS
    assert row.fields
    assert row.domain is mutation.domain


def wrong_nibble(encode: Callable[[Node], bytes], node: Node) -> bytes:
    """The encoding with one nibble of the first packed text changed."""
    data = bytearray(encode(node))
    place = data.find(0xFF, 1)  # the tag of packed digits
    if 0 < place < len(data) - 2 and data[place + 1] & 0x7F:
        data[place + 2] ^= 0x10
    return bytes(data)


def test_a_wrong_packed_nibble_is_caught(baileys: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = binary_node.encode_node
    monkeypatch.setattr(binary_node, "encode_node", lambda node: wrong_nibble(encode, node))
    row = row_of(baileys, "encodeBinaryNode")
    assert row.outcome is Outcome.DIFFERS
    assert row.domain is Domain.BINARY_CODEC
    assert "input" in row.note
