"""xmlns=encrypt: the upload and the bundles, the client's half against the server's."""

from __future__ import annotations

from hashlib import sha1

import pytest

from tests.unit.protocol.wires import Dice, dice
from waton.errors import RemoteProtocolError
from waton.jid import SERVER, Jid
from waton.protocol.binary_node import Node, StanzaError, decode_node, encode_node
from waton.protocol.credentials import Credentials
from waton.protocol.signal_repo import bundle_from_node
from waton.protocol.stanza import encrypt
from waton.protocol.stanza.encrypt import Bundle, SignedPrekey, Upload

MINE = Credentials.generate(Dice("encrypt").take)
PREKEYS = [(1, dice("one", 32)), (0x010203, dice("two", 32)), (0xFFFFFF, dice("three", 32))]
JID = Jid.parse("4915000000001:4@s.whatsapp.net")
SIGNED = SignedPrekey(1, MINE.signed_prekey.public, MINE.signed_prekey_signature)
UPLOAD = Node("iq", {"id": "1"}, encrypt.upload_content(MINE, PREKEYS))


def test_the_upload_byte_for_byte() -> None:
    # Source: Baileys uploadPreKeys: registration 4 bytes, ids 3 bytes, both big-endian; keys without 05.
    registration, kind, identity, listed, signed = UPLOAD.children()
    assert registration == Node("registration", None, MINE.registration_id.to_bytes(4, "big"))
    assert kind == Node("type", None, b"\x05")
    assert identity == Node("identity", None, MINE.identity_key.public)
    assert listed.children()[1] == Node("key", None, [Node("id", None, b"\1\2\3"), Node("value", None, PREKEYS[1][1])])
    assert signed == Node(
        "skey",
        None,
        [
            Node("id", None, b"\0\0\1"),
            Node("value", None, MINE.signed_prekey.public),
            Node("signature", None, MINE.signed_prekey_signature),
        ],
    )


def test_the_upload_as_the_server_reads_it() -> None:
    assert Upload.from_node(decode_node(encode_node(UPLOAD))) == Upload(
        MINE.registration_id, MINE.identity_key.public, SIGNED, tuple(PREKEYS)
    )


def test_no_private_key_is_uploaded() -> None:
    encoded = encode_node(UPLOAD)
    for pair in (MINE.identity_key, MINE.signed_prekey, MINE.noise_key):
        assert pair.private not in encoded


@pytest.mark.parametrize("tag", ["registration", "type", "identity", "list", "skey"])
def test_an_upload_needs(tag: str) -> None:
    kept = [child for child in UPLOAD.children() if child.tag != tag]
    with pytest.raises(StanzaError) as refused:
        Upload.from_node(Node("iq", None, kept))
    assert refused.value.missing == f"child <{tag}>"


@pytest.mark.parametrize(
    ("tag", "content"),
    [
        ("registration", bytes(3)),
        ("identity", bytes(33)),
        ("list", [Node("key", None, [Node("id", None, bytes(2)), Node("value", None, bytes(32))])]),
        ("list", [Node("key", None, [Node("id", None, bytes(3)), Node("value", None, bytes(33))])]),
        ("list", [Node("key", None, [Node("id", None, bytes(3))])]),
        ("skey", [Node("id", None, bytes(3)), Node("value", None, bytes(32))]),
        ("skey", [Node("id", None, bytes(3)), Node("value", None, bytes(32)), Node("signature", None, bytes(63))]),
    ],
)
def test_keys_of_another_length_are_refused(tag: str, content: bytes | list[Node]) -> None:
    children = [Node(tag, None, content) if child.tag == tag else child for child in UPLOAD.children()]
    with pytest.raises(StanzaError):
        Upload.from_node(Node("iq", None, children))


def test_keys_of_another_kind_are_refused() -> None:
    children = [Node("type", None, b"\x06") if child.tag == "type" else child for child in UPLOAD.children()]
    with pytest.raises(RemoteProtocolError, match="unknown type"):
        Upload.from_node(Node("iq", None, children))


@pytest.mark.parametrize("prekey", [PREKEYS[1], None], ids=["with a one-time key", "without"])
def test_a_bundle_as_the_client_reads_it(prekey: tuple[int, bytes] | None) -> None:
    bundle = Bundle(MINE.registration_id, MINE.identity_key.public, SIGNED, prekey, b"vouched")
    user = decode_node(encode_node(bundle.to_node(JID, 5)))
    assert user.attrs == {"jid": JID, "t": "5"}
    expected = ["registration", "type", "identity", *(["key"] if prekey else []), "skey", "device-identity"]
    assert [child.tag for child in user.children()] == expected
    found = bundle_from_node(user)
    assert (found.registration_id, found.identity_key) == (MINE.registration_id, MINE.identity_key.public)
    assert (found.signed_prekey_id, found.prekey_id) == (1, None if prekey is None else prekey[0])


def test_a_bundle_that_is_not_to_be_had() -> None:
    user = encrypt.bundle_error(JID, 406, "not-acceptable")
    assert user == Node("user", {"jid": JID}, [Node("error", {"code": "406", "text": "not-acceptable"})])
    with pytest.raises(RemoteProtocolError):
        bundle_from_node(user)


def test_the_question_for_bundles() -> None:
    other = Jid.parse("77000000000002@lid")
    asked = Node("iq", None, encrypt.bundles_query([JID, other]))
    assert encrypt.requested_bundles(decode_node(encode_node(asked))) == [JID, other]
    assert "reason" not in asked.children()[0].children()[0].attrs
    with_reason = encrypt.bundles_query([JID], reason="identity")
    assert with_reason[0].children()[0].attrs == {"jid": JID, "reason": "identity"}
    for request in (Node("iq"), Node("iq", None, [Node("key", None, [Node("user")])])):
        with pytest.raises(StanzaError):
            encrypt.requested_bundles(request)


def test_the_count() -> None:
    assert encrypt.prekey_count(Node("iq", None, [Node("count", {"value": "812"})])) == 812
    for answer in (Node("iq"), Node("iq", None, [Node("count")]), Node("iq", None, [Node("count", {"value": "few"})])):
        with pytest.raises(StanzaError):
            encrypt.prekey_count(answer)


def test_the_notification_of_the_count() -> None:
    node = encrypt.count_notification("9", 4, 5)
    assert node.attrs == {"from": SERVER, "id": "9", "type": "encrypt", "t": "5"}
    assert encrypt.prekey_count(node) == 4


def test_the_digest_hashes_all_keys_in_order() -> None:
    node = encrypt.digest(MINE.registration_id, MINE.identity_key.public, SIGNED, PREKEYS[:2])
    expected = sha1(
        MINE.identity_key.public + SIGNED.value + SIGNED.signature + PREKEYS[0][1] + PREKEYS[1][1],
        usedforsecurity=False,
    )
    assert node.children("hash")[0].content == expected.digest()
    assert [id.content for id in node.children("list")[0].children()] == [b"\0\0\1", b"\1\2\3"]
    swapped = encrypt.digest(MINE.registration_id, MINE.identity_key.public, SIGNED, PREKEYS[1::-1])
    assert swapped.children("hash") != node.children("hash")
