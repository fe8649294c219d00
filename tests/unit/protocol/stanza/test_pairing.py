"""Pairing: the text in a QR, and the stanzas of both ways."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tests.unit.protocol.wires import dice
from waton.errors import PairingError, PairingStep
from waton.jid import SERVER, Jid
from waton.protocol.binary_node import Node, StanzaError, decode_node, encode_node
from waton.protocol.stanza import iq
from waton.protocol.stanza.pairing import (
    LINK_CODE,
    PASSKEY_TYPES,
    CompanionFinish,
    CompanionHello,
    LinkStage,
    PairSuccess,
    PrimaryHello,
    QrText,
    link_ref,
    link_stage,
    pair_device,
    pair_device_sign,
    pair_error,
    passkey_request,
    ref_of_link,
    refs_of,
)

QR = QrText("2@ref/with+signs==", dice("noise", 32), dice("identity", 32), dice("secret", 32), platform="3")
ME = Jid.parse("4915000000001:4@s.whatsapp.net")
LID = Jid.parse("77000000000001:4@lid")
SUCCESS = PairSuccess("55", b"container", ME, LID, "android", "Ada & Co")


def parts(*, ref: str = "ref", noise: bytes = QR.noise_key, rest: str = ",1") -> str:
    keys = [b64encode(key).decode() for key in (noise, QR.identity_key, QR.adv_secret)]
    return ",".join([ref, *keys]) + rest


def test_the_text_of_a_qr() -> None:
    # Source: Baileys Socket/socket.ts: the URL, then ref, noise, identity, secret and platform between commas.
    head, _, tail = QR.encode().partition("#")
    assert head == "https://wa.me/settings/linked_devices"
    assert tail.split(",") == [
        "2@ref/with+signs==",
        b64encode(QR.noise_key).decode(),
        b64encode(QR.identity_key).decode(),
        b64encode(QR.adv_secret).decode(),
        "3",
    ]


def test_both_forms_of_a_qr_are_read() -> None:
    assert QrText.parse(QR.encode()) == QR
    assert QrText.parse(QR.encode().partition("#")[2]) == QR
    assert QrText.parse(f"  {QR.encode()}\n") == QR
    old = QrText.parse(parts(rest=""))
    assert (old.ref, old.noise_key, old.platform) == ("ref", QR.noise_key, "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "https://wa.me/settings/linked_devices#",
        "a,b,c",
        "a,b,c,d,e,f",
        parts(noise=bytes(31)),
        parts(noise=bytes(33)),
        parts(noise=b""),
        parts(rest=",1,2"),
        parts().replace("=", "*"),
        parts().replace("=", ""),
        parts().replace("=", "ä"),
        parts().replace("=,", "=*,"),
    ],
)
def test_another_text_is_no_qr(text: str) -> None:
    with pytest.raises(PairingError) as refused:
        QrText.parse(text)
    assert refused.value.step is PairingStep.FORMAT


def test_a_qr_shows_nothing_of_itself() -> None:
    told = repr(QR)
    for key in (QR.noise_key, QR.adv_secret):
        assert b64encode(key).decode() not in told
        assert repr(key) not in told


def test_refs_in_their_order() -> None:
    node = decode_node(encode_node(pair_device("1", [b"2@one", b"2@two", b"2@three"])))
    assert refs_of(node) == ["2@one", "2@two", "2@three"]
    assert node.attrs == {"from": SERVER, "type": "set", "id": "1", "xmlns": "md"}


def test_no_refs() -> None:
    with pytest.raises(PairingError) as refused:
        refs_of(pair_device("1", []))
    assert refused.value.step is PairingStep.REFS
    with pytest.raises(StanzaError):
        refs_of(Node("iq"))
    with pytest.raises(StanzaError):
        refs_of(Node("iq", None, [Node("pair-device", None, [Node("ref")])]))


@pytest.mark.parametrize("success", [SUCCESS, PairSuccess("55", b"container", ME, None)], ids=["full", "short"])
def test_a_pair_success_survives(success: PairSuccess) -> None:
    assert PairSuccess.from_node(decode_node(encode_node(success.to_node(5)))) == success


def test_a_pair_success_on_the_wire() -> None:
    node = SUCCESS.to_node(5)
    assert node.attrs == {"from": SERVER, "type": "set", "id": "55", "xmlns": "md", "t": "5"}
    [inside] = node.children()
    assert inside.tag == "pair-success"
    assert [child.tag for child in inside.children()] == ["device-identity", "device", "platform", "biz"]
    assert inside.children("device")[0].attrs == {"jid": ME, "lid": LID}


def test_a_pair_success_without_platform_is_read() -> None:
    children = [Node("device-identity", None, b"container"), Node("device", {"jid": ME})]
    node = Node("iq", {"id": "55"}, [Node("pair-success", None, children)])
    assert PairSuccess.from_node(node) == PairSuccess("55", b"container", ME, None)


@pytest.mark.parametrize("tag", ["pair-success", "device", "device-identity"])
def test_a_pair_success_needs(tag: str) -> None:
    node = SUCCESS.to_node(5)
    kept = [child for child in node.children("pair-success")[0].children() if child.tag != tag]
    content = [] if tag == "pair-success" else [Node("pair-success", None, kept)]
    with pytest.raises(StanzaError) as refused:
        PairSuccess.from_node(Node("iq", node.attrs, content))
    assert refused.value.missing == f"child <{tag}>"


def test_a_pair_success_needs_an_address_and_bytes() -> None:
    identity, device = Node("device-identity", None, b"c"), Node("device", {"jid": ME})
    for children in ([identity, Node("device")], [Node("device-identity"), device]):
        with pytest.raises(StanzaError):
            PairSuccess.from_node(Node("iq", {"id": "1"}, [Node("pair-success", None, children)]))


def test_the_clients_answers() -> None:
    signed = pair_device_sign("55", 3, b"reply")
    assert signed.attrs == {"to": SERVER, "type": "result", "id": "55"}
    assert signed.children("pair-device-sign")[0].children() == [Node("device-identity", {"key-index": "3"}, b"reply")]
    refused = pair_error("55", 401, "hmac-mismatch")
    assert refused.attrs == {"to": SERVER, "type": "error", "id": "55"}
    assert refused.children() == [Node("error", {"code": "401", "text": "hmac-mismatch"})]


# --- by code ----------------------------------------------------------------------------------------------------------

NUMBER = ME.bare
HELLO = CompanionHello(NUMBER, dice("wrapped", 80), QR.noise_key, "1", "Chrome (Mac OS)")
PRIMARY = PrimaryHello(b"a ref", dice("wrapped", 80), dice("phone", 32))
FINISH = CompanionFinish(NUMBER, dice("bundle", 156), QR.identity_key, b"a ref")


def link(node: Node) -> Node:
    found = node.child(LINK_CODE)
    assert found is not None
    return found


def test_a_companion_asks_as_baileys_does() -> None:
    # Source: Baileys Socket/socket.ts requestPairingCode: attributes, children and their order; text is text there.
    node = HELLO.to_node("9")
    assert list(node.attrs.items()) == [("to", SERVER), ("type", "set"), ("id", "9"), ("xmlns", "md")]
    assert link(node).attrs == {"jid": NUMBER, "stage": "companion_hello", "should_show_push_notification": "true"}
    assert [(child.tag, child.content) for child in link(node).children()] == [
        ("link_code_pairing_wrapped_companion_ephemeral_pub", HELLO.wrapped_key),
        ("companion_server_auth_key_pub", HELLO.noise_key),
        ("companion_platform_id", "1"),
        ("companion_platform_display", "Chrome (Mac OS)"),
        ("link_code_pairing_nonce", "0"),
    ]


def test_a_companion_finishes_as_baileys_does() -> None:
    # Source: Baileys Socket/messages-recv.ts.
    node = FINISH.to_node("9")
    assert link(node).attrs == {"jid": NUMBER, "stage": "companion_finish"}
    assert [(child.tag, child.content) for child in link(node).children()] == [
        ("link_code_pairing_wrapped_key_bundle", FINISH.bundle),
        ("companion_identity_public", FINISH.identity_key),
        ("link_code_pairing_ref", b"a ref"),
    ]


def test_a_phone_answers_as_companions_read_it() -> None:
    node = PRIMARY.to_node("9", 5)
    assert node.attrs == {"from": SERVER, "type": LINK_CODE, "id": "9", "t": "5"}
    assert link_stage(node) == LinkStage.PRIMARY_HELLO
    assert {child.tag for child in link(node).children()} == {
        "link_code_pairing_wrapped_primary_ephemeral_pub",
        "primary_identity_pub",
        "link_code_pairing_ref",
    }


def test_the_stanzas_of_a_code_survive_the_wire() -> None:
    for value in (HELLO, FINISH):
        assert type(value).from_node(decode_node(encode_node(value.to_node("9")))) == value
    assert PrimaryHello.from_node(decode_node(encode_node(PRIMARY.to_node("9", 5)))) == PRIMARY
    quiet = CompanionHello(NUMBER, dice("wrapped", 80), QR.noise_key, "9", "Safari (iOS)", shows_push=False)
    assert CompanionHello.from_node(quiet.to_node("1")) == quiet


def copied(node: Node, content: list[Node] | None) -> Node:
    attrs: dict[str, str | Jid | None] = {**node.attrs}
    return Node(node.tag, attrs, content)


def without(node: Node, tag: str) -> Node:
    kept = [child for child in link(node).children() if child.tag != tag]
    return copied(node, [copied(link(node), kept)])


@pytest.mark.parametrize("kind", [HELLO.to_node("9"), FINISH.to_node("9"), PRIMARY.to_node("9", 5)], ids=link_stage)
def test_what_lacks_a_part_is_malformed(kind: Node) -> None:
    reader = {"companion_hello": CompanionHello, "companion_finish": CompanionFinish, "primary_hello": PrimaryHello}
    read = reader[link_stage(kind)].from_node
    for child in link(kind).children():
        if child.tag != "link_code_pairing_nonce":
            with pytest.raises(StanzaError):
                read(without(kind, child.tag))
    with pytest.raises(StanzaError):
        read(copied(kind, None))
    with pytest.raises(StanzaError):
        link_stage(copied(kind, None))


def test_keys_have_their_lengths() -> None:
    for length in (79, 81):
        with pytest.raises(StanzaError):
            PrimaryHello.from_node(PrimaryHello(b"ref", bytes(length), bytes(32)).to_node("1", 5))
        with pytest.raises(StanzaError):
            CompanionHello.from_node(CompanionHello(NUMBER, bytes(length), bytes(32), "1", "x").to_node("1"))
    with pytest.raises(StanzaError):
        PrimaryHello.from_node(PrimaryHello(b"ref", bytes(80), bytes(31)).to_node("1", 5))


def test_the_answer_to_a_request_gives_a_ref() -> None:
    request = HELLO.to_node("9")
    assert ref_of_link(iq.result(request, link_ref(b"a ref"))) == b"a ref"
    for content in (None, [], [Node(LINK_CODE)], link_ref(b"")):
        with pytest.raises(PairingError) as refused:
            ref_of_link(iq.result(request, content))
        assert refused.value.step is PairingStep.CODE_REF


def test_a_request_for_a_passkey_is_known_by_its_type() -> None:
    # Source: whatsmeow notification.go.
    assert passkey_request("9", 5).attrs["type"] in PASSKEY_TYPES
    assert {"passkey_prologue_request", "crsc_continuation"} == PASSKEY_TYPES


def test_nothing_of_a_code_is_shown() -> None:
    for value in (HELLO, PRIMARY, FINISH):
        assert "4915" not in repr(value)
        assert "ref" not in repr(value)
