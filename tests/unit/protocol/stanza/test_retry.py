"""retry and enc_rekey_retry receipts: there and back, and what a hostile one may hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waton.errors import DecryptReason, RemoteProtocolError, RetryReason
from waton.jid import Jid
from waton.protocol.binary_node import Node, StanzaError, decode_node, encode_node
from waton.protocol.stanza.encrypt import Bundle, SignedPrekey
from waton.protocol.stanza.message import Enc, IncomingMessage
from waton.protocol.stanza.receipt import Receipt
from waton.protocol.stanza.retry import RekeyRequest, RetryRequest, retry_reason

NOW = 1_755_000_000
ADA = Jid.parse("4915000000001:3@s.whatsapp.net")
BEA = Jid.parse("77000000000002@lid")
GROUP = Jid.parse("120363000000000001@g.us")
KEYS = Bundle(7, b"i" * 32, SignedPrekey(1, b"s" * 32, b"g" * 64), (2, b"p" * 32), b"vouched")
REQUEST = RetryRequest("3EB01", ADA, 2, NOW, 7, KEYS, RetryReason.BAD_MAC, GROUP, BEA, "peer")


def over_the_wire(node: Node) -> Receipt:
    return Receipt.from_node(decode_node(encode_node(node)))


@pytest.mark.parametrize("bundle", [None, KEYS, replace(KEYS, prekey=None, device_identity=b"")])
@pytest.mark.parametrize("category", [None, "peer"])
def test_a_request_goes_over_the_wire_and_back(bundle: Bundle | None, category: str | None) -> None:
    request = replace(REQUEST, bundle=bundle, category=category)
    assert RetryRequest.from_receipt(over_the_wire(request.to_node())) == request


def test_the_attributes_are_in_baileys_order() -> None:
    retry = REQUEST.to_node().child("retry")
    assert retry is not None
    assert retry.attrs == {"count": "2", "id": "3EB01", "t": str(NOW), "v": "1", "error": "7"}
    assert list(retry.attrs) == ["count", "id", "t", "v", "error"]
    assert [child.tag for child in REQUEST.to_node().children()] == ["retry", "registration", "keys"]


def test_a_request_is_addressed_as_the_message_was() -> None:
    stanza = IncomingMessage("3EB01", GROUP, NOW, "text", (Enc("skmsg", b""),), participant=ADA, recipient=BEA)
    request = RetryRequest.of(stanza, count=1, error=RetryReason.NO_SESSION, registration_id=7)
    assert (request.peer, request.participant, request.recipient, request.category) == (GROUP, ADA, BEA, None)
    assert (request.id, request.t, request.count, request.reason) == ("3EB01", NOW, 1, RetryReason.NO_SESSION)
    peer = RetryRequest.of(stanza, count=1, error=RetryReason.BAD_MAC, registration_id=7, is_peer=True)
    assert peer.to_node().attrs["category"] == "peer"


def test_who_asks_is_the_participant_in_a_group() -> None:
    assert replace(REQUEST, peer=GROUP, participant=ADA).requester == ADA
    assert replace(REQUEST, participant=None).requester == ADA


@pytest.mark.parametrize(
    ("error", "reason"), [("0", 0), ("4", 4), ("13", 13), ("14", 0), ("-1", 0), ("x", 0), ("9" * 9_999, 0), (None, 0)]
)
def test_a_code_without_a_name_is_unknown(error: str | None, reason: int) -> None:
    node = Node(
        "receipt",
        {"id": "1", "from": ADA, "type": "retry"},
        [
            Node("retry", {"count": "1", "id": "1", "t": "1", "error": error}),
            Node("registration", None, bytes(4)),
        ],
    )
    request = RetryRequest.from_receipt(Receipt.from_node(node))
    assert (request.reason, request.version) == (reason, "1")


def test_a_version_we_do_not_know_is_kept() -> None:
    request = replace(REQUEST, version="9")
    assert RetryRequest.from_receipt(over_the_wire(request.to_node())).version == "9"


def test_the_code_for_a_missing_sender_key_is_that_of_a_missing_session() -> None:
    assert retry_reason(DecryptReason.NO_SENDER_KEY) is RetryReason.NO_SESSION
    assert retry_reason(DecryptReason.BAD_MAC) is RetryReason.BAD_MAC
    assert retry_reason(DecryptReason.PADDING) is RetryReason.UNKNOWN


def test_a_call_is_asked_for_by_its_own_kind_of_receipt() -> None:
    request = RekeyRequest("CALL1", ADA, "0A1B", BEA, 2, 7)
    node = request.to_node()
    assert node.attrs["type"] == "enc_rekey_retry"
    assert RekeyRequest.from_receipt(over_the_wire(node)) == request
    with pytest.raises(StanzaError):
        RekeyRequest.from_receipt(over_the_wire(REQUEST.to_node()))
    with pytest.raises(StanzaError):
        RetryRequest.from_receipt(over_the_wire(node))


NODES = st.recursive(
    st.builds(
        Node,
        st.sampled_from(
            ["retry", "registration", "keys", "identity", "skey", "type", "key", "id", "value", "enc_rekey"]
        ),
        st.dictionaries(
            st.sampled_from(["count", "id", "t", "v", "error", "call-id", "call-creator"]), st.text(max_size=4)
        ),
        st.none() | st.binary(max_size=33),
    ),
    lambda inner: st.builds(Node, st.sampled_from(["keys", "skey", "key"]), st.none(), st.lists(inner, max_size=5)),
    max_leaves=12,
)


@given(st.lists(NODES, max_size=5).map(tuple))
def test_any_content_is_a_request_or_a_protocol_error(children: tuple[Node, ...]) -> None:
    for kind in (RetryRequest, RekeyRequest):
        try:
            kind.from_receipt(Receipt(("1",), ADA, content=children))
        except RemoteProtocolError:
            continue
