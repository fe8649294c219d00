"""The function differential against the real Baileys: the whole table, and, one by one, what we call better."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.requirements import require
from waton._core import x25519_public_key
from waton.jid import Jid
from waton.parity import differential
from waton.parity.engine import Found
from waton.parity.evidence import Evidence, Outcome, Row
from waton.parity.functions import devices, load, noise, pairing, signal, usync
from waton.parity.functions.exports import EXPORTS, INTERNALS, is_paired
from waton.parity.functions.nodes import to_ours
from waton.parity.generators import node
from waton.parity.oracle import BaileysError, Functions
from waton.protocol import proto
from waton.protocol.binary_node import Node, encode_node
from waton.protocol.message import kind_of
from waton.protocol.participant_hash import participant_hash
from waton.protocol.stanza.group import GroupMetadata
from waton.protocol.stanza.message import IncomingMessage

pytestmark = pytest.mark.peer

ENC = node("enc", {"type": "msg", "v": "2"}, b"\x33nobody can read this")
GENERICS, CRYPTO = "lib/Utils/generics.js", "lib/Utils/crypto.js"
WABINARY, DECODE = "lib/WABinary/jid-utils.js", "lib/Utils/decode-wa-message.js"


@pytest.fixture(scope="module")
def baileys() -> Iterator[Functions]:
    require("baileys")
    with Functions.start() as running:
        yield running


def device(name: str) -> dict[str, Any]:
    keys = {key: f"{name} {key}".encode().ljust(32, b".") for key in ("identity", "signed", "noise", "secret", "once")}
    return keys | {"entropy": bytes(64), "signed_id": 1, "once_id": 1, "registration": 7}


# --- the whole table ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows(found: Found) -> list[Row]:
    return [row for row in found.rows if row.evidence is Evidence.FUNCTION]


@pytest.mark.timeout(300)
def test_nothing_differs_that_nobody_has_explained(rows: list[Row]) -> None:
    assert [(row.name, row.note, row.fields) for row in rows if row.outcome is Outcome.DIFFERS] == []


def test_every_known_difference_is_still_one(found: Found) -> None:
    assert [line.where for line in found.stale] == []


def test_every_export_has_a_row_and_every_row_its_own_name(rows: list[Row], baileys: Functions) -> None:
    exported = [name for name, kind in baileys.ask("exports").items() if kind in ("function", "class")]
    compared = {row.name.partition(":")[0] for row in rows}
    assert len(exported) == 190
    assert [name for name in exported if not is_paired(name, compared)] == []
    assert [name for name, count in Counter(row.key for row in rows).items() if count > 1] == []


def test_the_table_and_the_exports_agree(baileys: Functions) -> None:
    exported = {name for name, kind in baileys.ask("exports").items() if kind in ("function", "class")}
    assert exported == set(EXPORTS)
    assert not set(INTERNALS) & set(EXPORTS)


def test_what_the_table_calls_compared_has_a_pair(rows: list[Row]) -> None:
    assert [row.name for row in rows if "and there is none" in row.note or "not in the table" in row.note] == []


def test_nothing_is_left_out_or_missing_without_a_word(rows: list[Row]) -> None:
    silent = [row.name for row in rows if row.outcome is not Outcome.EQUAL and not row.note]
    assert silent == []
    assert [row.name for row in rows if row.outcome is Outcome.BETTER and not row.test] == []


def test_the_same_seed_gives_the_same_rows(baileys: Functions) -> None:
    names = {"jidDecode", "encodeBinaryNode", "extractDeviceJids", "buildAckStanza"}
    assert differential.run(baileys, only=names, seed=5, examples=15) == differential.run(
        baileys, only=names, seed=5, examples=15
    )


def test_every_pair_is_of_something_in_baileys(baileys: Functions) -> None:
    for pair in load():
        module, _, name = pair.theirs.partition(":")
        assert baileys.ask("has", module=module, name=name.partition(".")[0]), pair.theirs
        differential.symbol(pair.ours)


# --- where Baileys is wrong or weaker -------------------------------------------------------------------------------


def test_baileys_overlooks_what_follows_a_node(baileys: Functions) -> None:
    body = encode_node(Node("iq", {"id": "1"})) + b"more"
    assert baileys.call("lib/WABinary/decode.js", "decodeBinaryNode", body)["attrs"] == {"id": "1"}


def test_an_error_without_a_child_passes_in_baileys(baileys: Functions) -> None:
    check = "lib/WABinary/generic-utils.js", "assertNodeErrorFree"
    assert baileys.call(*check, node("iq", {"type": "error"})) is None
    with pytest.raises(BaileysError):
        baileys.call(*check, node("iq", {"type": "error"}, [node("error", {"code": "500", "text": "no"})]))


def test_baileys_reads_devices_that_no_address_can_have(baileys: Functions) -> None:
    assert baileys.call(WABINARY, "jidDecode", "1000000:65536@lid")["device"] == 65536
    encoded = baileys.call("lib/WABinary/encode.js", "encodeBinaryNode", node("t", {"a": "1000000:65536@lid"}))
    # As a device it is gone: the address is the phone itself.
    assert baileys.call("lib/WABinary/decode.js", "decodeBinaryNode", encoded)["attrs"]["a"] == "1000000@lid"


def test_baileys_takes_a_number_and_a_lid_of_the_same_digits_for_one_person(baileys: Functions) -> None:
    assert baileys.call(WABINARY, "areJidsSameUser", "1000001@s.whatsapp.net", "1000001@lid") is True
    assert Jid.parse("1000001@s.whatsapp.net").bare != Jid.parse("1000001@lid").bare


@pytest.mark.parametrize("server", ["c.us", "bot"])
def test_baileys_refuses_senders_of_the_old_server_and_bots(baileys: Functions, server: str) -> None:
    def read(sender: str) -> Any:
        stanza = node("message", {"id": "A1", "t": "1800000000", "type": "text", "from": sender})
        return baileys.call(DECODE, "decodeMessageNode", stanza, "1@s.whatsapp.net", "2@lid")

    assert read("1000000@s.whatsapp.net")["author"] == "1000000@s.whatsapp.net"
    with pytest.raises(BaileysError, match="Unknown message type"):
        read(f"1000000@{server}")


@pytest.mark.parametrize(("end", "left"), [(b"\x14" * 20, b""), (b"\x01\x02\x03", b""), (b"ab\0", b"ab\0")])
def test_baileys_takes_any_last_byte_for_padding(baileys: Functions, end: bytes, left: bytes) -> None:
    text = b"text" if left == b"ab\0" else b""
    assert baileys.call(GENERICS, "unpadRandomMax16", text + end) == text + left


@pytest.mark.parametrize("defect", [name for name in noise.DEFECTS if name != "a root that is not zero"])
def test_baileys_trusts_every_certificate_chain(baileys: Functions, defect: str) -> None:
    keys = {"static": b"s" * 32, "ephemeral": b"e" * 32, "server_static": b"S" * 32, "server_ephemeral": b"E" * 32}
    story = keys | {"payload": b"hello", "routing": b"", "defect": defect, "harm": None, "harm_frame": False}
    told = noise.with_baileys(baileys, story | {"questions": [], "answers": [], "cuts": []})
    assert told["the server reads"]["payload"] == b"hello"


def test_baileys_accepts_any_signature(baileys: Functions) -> None:
    public = x25519_public_key(b"k" * 32)
    assert baileys.call(CRYPTO, "Curve.verify", public, b"message", b"signed by nobody".ljust(64, b".")) is True
    assert baileys.call("../curve25519-js/lib/index.js", "verify", public, b"message", b"n" * 64) is False


def test_baileys_calls_a_removed_device_replaced(baileys: Functions) -> None:
    said = node("stream:error", {}, [node("conflict", {"type": "device_removed"})])
    assert baileys.call(GENERICS, "getErrorCodeFromStreamError", said) == {"reason": "conflict", "statusCode": 440}


def word(**changes: object) -> dict[str, Any]:
    made = {"device": device("companion"), "phone": b"p" * 32, "raw_id": 1, "key_index": 2, "dice": b"d" * 64}
    names = {"jid": "4915000000001:3@s.whatsapp.net", "lid": "77000000000001:3@lid", "platform": "android"}
    return made | names | {"id": "A1", "business": "", "is_hosted": False, "wrong": ""} | changes


def test_baileys_signs_a_hosted_device_as_any_other(baileys: Functions) -> None:
    signed = pairing.with_baileys(baileys, word(is_hosted=True))["reply"]["content"][0]["content"][0]["content"]
    assert signed["the device signature"] == "of a device"


def test_baileys_pairs_with_a_wrong_account_signature(baileys: Functions) -> None:
    assert pairing.with_baileys(baileys, word(wrong="signature"))["me"]["jid"] == "4915000000001:3@s.whatsapp.net"
    with pytest.raises(BaileysError):
        pairing.with_baileys(baileys, word(wrong="secret"))


def test_registration_ids_of_baileys_have_eight_bits(baileys: Functions) -> None:
    drawn = {baileys.call(GENERICS, "generateRegistrationId", dice=bytes([value, 0x3F])) for value in range(256)}
    assert drawn == set(range(256))


def test_baileys_opens_a_session_with_an_unsigned_prekey(baileys: Functions) -> None:
    alice = signal.Theirs(baileys, "alice", device("alice"), signal.BOB)
    alice.open(signal.bundle_answer(device("bob"), signal.BOB, with_prekey=False, harm=True), b"d" * 64)
    assert alice.write(b"to whom?")[0] == "pkmsg"


def test_a_forged_message_ends_a_session_of_baileys(baileys: Functions) -> None:
    numbers = {"signed_id": 1, "once_id": 1, "registration": 1}
    story = {"seed": 3, "alice": numbers, "bob": numbers, "with_prekey": False, "steps": [{"text": b"hello"}]}
    theirs = signal.with_an_impostor(story, signal.Theirs(baileys, "bob", signal.bob_of(story), signal.ALICE))
    ours = signal.with_an_impostor(story, signal.Ours(signal.bob_of(story), signal.ALICE))
    assert theirs == [b"hello", b"hello", differential.REFUSED, differential.REFUSED]
    assert ours == [b"hello", b"hello", differential.REFUSED, b"hello"]


def test_one_user_s_error_costs_baileys_the_whole_answer(baileys: Functions) -> None:
    sound = node("user", {"jid": "1000001@s.whatsapp.net"}, [node("devices", {}, [node("device-list", {}, [])])])
    error = node("error", {"code": "500", "text": "no"})
    answer = usync.answer([sound, node("user", {"jid": "1000002@s.whatsapp.net"}, [node("devices", {}, [error])])])
    with pytest.raises(BaileysError):
        baileys.ask("usyncResult", protocols=["devices"], answer=answer)
    assert len(baileys.ask("usyncResult", protocols=["devices"], answer=usync.answer([sound]))["list"]) == 1


def test_baileys_takes_what_follows_a_hosted_device_for_hosted(baileys: Functions) -> None:
    hosted = {"is_hosted": "true"}
    attrs = [{"id": str(number), "key-index": str(number)} for number in (1, 2, 3)]
    listed = [node("device", attrs[0] | hosted), node("device", attrs[1]), node("device", attrs[2] | hosted)]
    user = node("user", {"jid": "1000001@lid"}, [node("devices", {}, [node("device-list", {}, listed)])])
    me = {"me": "1000009:3@s.whatsapp.net", "lid": "1000008:3@lid"}
    found = baileys.ask("usyncDevices", protocols=["devices"], answer=usync.answer([user]), **me)
    assert [(one["device"], one["server"]) for one in found] == [(1, "hosted.lid"), (2, "hosted.lid"), (3, "hosted")]


@pytest.mark.parametrize("name", ["call", "messageHistoryNotice"])
def test_baileys_finds_no_content_in_a_call(baileys: Functions, name: str) -> None:
    message = proto.Message()
    getattr(message, name).SetInParent()
    argument = {"$proto": "Message", "bytes": message.SerializeToString()}
    assert baileys.call("lib/Utils/messages.js", "getContentType", argument) is None
    assert kind_of(message) == name


def test_baileys_does_not_know_a_spoiler(baileys: Functions) -> None:
    message = proto.Message()
    message.spoilerMessage.SetInParent()
    argument = {"$proto": "Message", "bytes": message.SerializeToString()}
    assert baileys.call("lib/Utils/messages.js", "getContentType", argument) is None
    assert kind_of(message) == "spoilerMessage"


def test_baileys_does_not_tell_of_an_inactive_delivery(baileys: Functions) -> None:
    assert baileys.call(GENERICS, "getStatusFromReceiptType", "inactive") is None
    assert baileys.call(GENERICS, "getStatusFromReceiptType", "read-self") == 4
    assert baileys.call(GENERICS, "getStatusFromReceiptType", "played-self") is None
    assert baileys.call(GENERICS, "getStatusFromReceiptType", {"$undefined": True}) == 3


def test_baileys_takes_whom_we_wrote_to_for_ourselves(baileys: Functions) -> None:
    """And remembers it: from then on our own number leads to the other person's LID."""
    attrs = {"id": "A1", "from": "4915000000001:7@s.whatsapp.net", "recipient": "4915000000002@s.whatsapp.net"}
    stanza = node("message", attrs | {"t": "1", "peer_recipient_lid": "77000000000002@lid"}, [ENC])
    found = baileys.call(DECODE, "extractAddressingContext", stanza)
    assert (found["senderAlt"], found.get("recipientAlt")) == ("77000000000002@lid", None)
    baileys.ask("party", party="self", creds=devices.theirs(device("self")))
    baileys.ask("readNode", party="self", node=stanza, me="4915000000001:2@s.whatsapp.net", lid="77000000000001:2@lid")
    assert baileys.ask("lidOf", party="self", pn="4915000000001@s.whatsapp.net") == "77000000000002@lid"
    ours = IncomingMessage.from_node(to_ours(stanza))
    assert (ours.author_alt, ours.recipient_lid) == (None, Jid.parse("77000000000002@lid"))


def test_baileys_gives_a_list_the_address_of_who_wrote_in_it(baileys: Functions) -> None:
    attrs = {"id": "A1", "from": "status@broadcast", "participant": "77000000000002@lid", "t": "1"}
    stanza = node("message", attrs | {"participant_pn": "4915000000002@s.whatsapp.net"})
    key = baileys.call(DECODE, "decodeMessageNode", stanza, "1@s.whatsapp.net", "2@lid")["fullMessage"]["key"]
    assert (key["remoteJid"], key["remoteJidAlt"]) == ("status@broadcast", "4915000000002@s.whatsapp.net")


def test_baileys_keeps_two_numbers_for_one_lid(baileys: Functions) -> None:
    baileys.ask("party", party="people", creds={})
    lid = "7700001@lid"
    pairs = [{"pn": f"49150000{number}@s.whatsapp.net", "lid": lid} for number in (1, 2)]
    baileys.ask("learnMany", party="people", pairs=pairs)
    assert [baileys.ask("lidOf", party="people", pn=pair["pn"]) for pair in pairs] == [lid, lid]
    assert baileys.ask("pnOf", party="people", lid=lid) == "491500002:0@s.whatsapp.net"


def test_baileys_takes_a_lid_for_a_phone_number(baileys: Functions) -> None:
    baileys.ask("party", party="people", creds={})
    turned = {"pn": "7700001@lid", "lid": "491500001@s.whatsapp.net"}
    baileys.ask("learnMany", party="people", pairs=[turned])
    assert baileys.ask("lidOf", party="people", pn="7700001@s.whatsapp.net") == "491500001@lid"


def test_a_new_identity_costs_baileys_what_was_on_its_way(baileys: Functions) -> None:
    numbers = {"signed_id": 1, "once_id": 1, "registration": 1}
    story = {"seed": 3, "alice": numbers, "bob": numbers, "with_prekey": False, "steps": [{"text": b"hello"}]}
    theirs = signal.Theirs(baileys, "bob", signal.bob_of(story), signal.ALICE)
    ours = signal.Ours(signal.bob_of(story), signal.ALICE)
    # The third is the first word of the new key, the fourth was still written with the old one.
    assert signal.with_an_impostor(story, theirs, is_forged=False) == [b"hello"] * 3 + [differential.REFUSED]
    assert signal.with_an_impostor(story, ours, is_forged=False) == [b"hello"] * 4


def test_an_upload_that_nobody_answered_costs_baileys_its_keys(baileys: Functions) -> None:
    creds = devices.theirs(device("self")) | {"nextPreKeyId": 1, "firstUnuploadedPreKeyId": 1}
    made = baileys.ask("prekeysNode", creds=creds, count=5)
    # What its socket emits before it asks the server, and an application stores.
    assert made["update"] == {"nextPreKeyId": 6, "firstUnuploadedPreKeyId": 6}
    again = baileys.ask("prekeysNode", creds=creds | made["update"], count=5)
    listed = again["node"]["content"][3]["content"]
    assert [int.from_bytes(key["content"][0]["content"], "big") for key in listed] == [6, 7, 8, 9, 10]


def test_baileys_asks_again_and_again_in_rounds(baileys: Functions) -> None:
    def call(*words: object) -> dict[str, Any]:
        return {"now": 1_800_000_000, "call": list(words)}

    used_up = [call("incrementRetryCount", "A1") for _ in range(5)]
    over = [call("hasExceededMaxRetries", "A1"), call("markRetryFailed", "A1")]
    told = baileys.ask("retryManager", max=5, steps=[*used_up, *over, call("hasExceededMaxRetries", "A1")])
    assert told == [1, 2, 3, 4, 5, True, None, False]


def test_baileys_does_not_look_whether_people_have_to_be_let_in(baileys: Functions) -> None:
    mode = node("membership_approval_mode", {}, [node("group_join", {"state": "off"})])
    group = node("group", {"id": "1203630", "subject": "Friends", "s_t": "1", "creation": "1"}, [mode])
    answer = node("iq", {"type": "result"}, [group])
    assert baileys.call("lib/Socket/groups.js", "extractGroupMetadata", answer)["joinApprovalMode"] is True
    assert GroupMetadata.from_node(to_ours(group)).membership_approval is False


def test_the_hash_of_baileys_is_cut_short(baileys: Functions) -> None:
    """Source of the whole one: whatsmeow, as tests/unit/protocol/test_participant_hash.py has it."""
    jids = [Jid.parse(f"4915000000001:{number}@s.whatsapp.net") for number in (1, 2)]
    names = [f"{jid.user}.0:{jid.device}@{jid.server}" for jid in jids]
    theirs = baileys.call(GENERICS, "generateParticipantHashV2", names)
    assert len(theirs) == 8
    assert participant_hash(jids)[:8] == theirs
    assert len(participant_hash(jids)) == 10


def test_baileys_finds_no_username(baileys: Functions) -> None:
    """A name on the wire is bytes, unless it happens to be a word of the codec's dictionary."""
    user = Node("user", {"jid": "1@lid"}, [Node("username", None, b"ada.lovelace")])
    read = baileys.call("lib/WABinary/decode.js", "decodeBinaryNode", encode_node(user))
    found = baileys.ask("usyncResult", protocols=["username"], answer=usync.answer([read]))
    assert found["list"] == [{"id": "1@lid"}]


def test_baileys_reads_no_bot_s_profile(baileys: Functions) -> None:
    bot = node("bot", {}, [node("profile", {"persona_id": "7"}, [node("name", {}, b"Clip")])])
    user = node("user", {"jid": "867051314767696@bot"}, [bot])
    with pytest.raises(BaileysError, match="undefined"):
        baileys.ask("usyncResult", protocols=["bot"], answer=usync.answer([user]))
    # It reads the user around it, which it is never given.
    assert baileys.ask("usyncParse", protocol="bot", node=user)["name"] == "Clip"


# --- the oracle's own manners ---------------------------------------------------------------------------------------


def test_dice_make_key_pairs_too_and_are_put_away(baileys: Functions) -> None:
    private = b"k" * 32
    pair = baileys.call(CRYPTO, "Curve.generateKeyPair", dice=private)
    assert pair["public"] == devices.key_pair(private)["public"]
    assert (
        baileys.call(CRYPTO, "Curve.generateKeyPair")["public"]
        != baileys.call(CRYPTO, "Curve.generateKeyPair")["public"]
    )


def test_rows_are_json(rows: list[Row]) -> None:
    assert all(json.dumps([row.note, *(field.ours for field in row.fields)]) for row in rows)
