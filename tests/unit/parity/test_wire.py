"""What two clients said is made comparable, matched and compared; no client is needed for that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from waton.client.events import GroupsUpdate, MessageKey, MessageUndecryptable, UpsertType
from waton.jid import Jid
from waton.parity import canonical, told
from waton.parity.canonical import Context, Element, compare, id_shape, time_text
from waton.parity.evidence import Domain, Outcome
from waton.parity.scenarios import scenarios
from waton.parity.scenarios.coming import COMING
from waton.parity.stage import Recording, Scenario, Side, StepRecord
from waton.parity.wire import Failure, compare_recordings, domain_of, match, name_of
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.stanza.stream import unified_session

AT = 1_800_000_000.0
ADA = Jid.parse("15550001002:1@s.whatsapp.net")


GROUP = Jid.parse("120363000000000001@g.us")
NAMES = {"ABC": "<id of 'hello'>"}
ONE = Element("b", {}, (), "1")


KEY = {"id": "1", "fromMe": True, "remoteJid": "g@g.us", "participant": "b:1@lid"}
OWN = {"id": "1", "fromMe": True, "remoteJid": "g@g.us"}


async def nothing(stage: object) -> None:
    """No story."""


SCENARIO = Scenario("login", "Nothing happens.", nothing)


def form(node: Node, labels: dict[str, str] | None = None, plain: bytes | None = None) -> Element:
    return canonical.stanza(node, AT, Context(labels or {}, lambda id, jid, kind: plain))


# --- canonical forms


@pytest.mark.parametrize(
    ("id", "shape"),
    [
        ("3EB0" + "0123456789ABCDEF01", "<new id: 3EB0 and 18 hex digits>"),
        ("46163.20293-1", "<new id: number.number-counter>"),
        ("3EB0" + "0123456789abcdef01", "<new id: 22 characters, "),
        ("3EB1" + "0123456789ABCDEF01", "<new id: 22 characters, "),
    ],
)
def test_an_id_keeps_the_rule_it_was_made_by(id: str, shape: str) -> None:
    assert id_shape(id).startswith(shape)


def test_times_near_by_are_times_and_others_stay() -> None:
    assert time_text(str(int(AT) + 5), AT) == "<time>"
    assert time_text(str(int(AT) * 1000), AT) == "<time in ms>"
    assert time_text("1700000000", AT) == "1700000000"
    assert time_text("100", AT) == "100"


def test_ids_that_are_known_say_what_of() -> None:
    node = Node("receipt", {"id": "ABC", "to": ADA, "t": str(int(AT))})
    assert form(node, {"ABC": "<id of 'hello'>"}).attrs == {"id": "<id of 'hello'>", "to": str(ADA), "t": "<time>"}


def test_keys_are_their_length_and_type_bytes_their_value() -> None:
    node = Node(
        "iq",
        None,
        [Node("type", None, b"\x05"), Node("identity", None, bytes(32)), Node("registration", None, b"abcd")],
    )
    assert [child.text for child in form(node).children] == ["05", "<32 bytes>", "<4 bytes>"]


def test_a_list_of_keys_is_one_line_that_tells_gaps() -> None:
    def keys(*ids: int) -> Element:
        made = [
            Node("key", None, [Node("id", None, id.to_bytes(3, "big")), Node("value", None, bytes(32))]) for id in ids
        ]
        return form(Node("list", None, made)).children[0]

    assert keys(1, 2, 3).attrs == {"count": "3", "ids": "one after the other"}
    assert keys(1, 3, 4).attrs == {"count": "3", "ids": "otherwise"}


def test_a_ciphertext_is_what_its_reader_found() -> None:
    plain = proto.Message(extendedTextMessage=proto.Message.ExtendedTextMessage(text="hi")).SerializeToString()
    node = Node("message", {"id": "x", "to": ADA}, [Node("enc", {"v": "2", "type": "msg"}, b"ciphertext")])
    assert "<text>hi</text>" in form(node, plain=plain).to_xml()
    assert "<unread/>" in form(node).to_xml()


def sender_key_message(id: int, iteration: int) -> bytes:
    """An skmsg: version, id and iteration, a ciphertext, a signature."""
    return bytes([0x33, 0x08, id, 0x10, iteration, 0x1A, 2]) + b"xx" + bytes(64)


def test_a_sender_key_is_the_number_of_its_appearance() -> None:
    nodes = [
        Node("message", {"to": GROUP}, [Node("enc", {"type": "skmsg", "v": "2"}, sender_key_message(id, 3))])
        for id in (77, 12, 77)
    ]
    keys = canonical.sender_keys_of(nodes)
    assert keys == {77: 1, 12: 2}
    context = Context({}, lambda id, jid, kind: None, keys)
    by = [canonical.stanza(node, AT, context).children[0].children[0] for node in nodes]
    assert [one.attrs for one in by] == [{"key": number, "iteration": "3"} for number in ("1", "2", "1")]


def test_a_sender_key_that_is_told_is_named_like_the_one_that_is_used() -> None:
    plain = proto.Message()
    told = plain.senderKeyDistributionMessage
    told.groupId, told.axolotlSenderKeyDistributionMessage = str(GROUP), bytes([0x33, 0x08, 77, 0x10, 5])
    node = Node("message", {"id": "x", "to": ADA}, [Node("enc", {"type": "msg"}, b"ciphertext")])
    context = Context({}, lambda id, jid, kind: plain.SerializeToString(), {77: 1})
    message = canonical.stanza(node, AT, context).children[0].children[0]
    assert message.attrs == {"key": "1", "iteration": "5"}
    assert "<sender key at iteration 5>" in [child.text for child in message.children[0].children]


def test_what_is_no_sender_key_message_is_of_no_key() -> None:
    node = Node("message", {"to": GROUP}, [Node("enc", {"type": "skmsg"}, b"\x33\xff\xff" + bytes(64))])
    assert form(node).children[0].children[0].attrs == {"key": "unused", "iteration": "0"}


def test_a_message_that_is_sent_again_keeps_its_name() -> None:
    def sent(**enc: str) -> str:
        return form(
            Node("message", {"id": "ABC", "to": ADA}, [Node("enc", {"type": "msg", **enc}, b"x")]), NAMES
        ).attrs["id"]

    assert sent(count="1") == "<id of 'hello'>"
    assert sent().startswith("<new id: ")


def test_an_id_inside_a_message_says_what_of() -> None:
    plain = proto.Message(reactionMessage=proto.Message.ReactionMessage(key=proto.MessageKey(id="ABC")))
    node = Node("message", {"id": "x", "to": ADA}, [Node("enc", {"type": "msg"}, b"x")])
    assert (
        "<id of 'hello'>".replace("<", "&lt;").replace(">", "&gt;")
        in form(node, NAMES, plain.SerializeToString()).to_xml()
    )


def test_what_dice_have_invented_is_called_by_another_name() -> None:
    said = Element("a", {"to": "123@g.us"}, (Element("b", {}, (), "in 123"),))
    assert canonical.renamed(said, {"123": "GROUP-1"}) == Element(
        "a", {"to": "GROUP-1@g.us"}, (Element("b", {}, (), "in GROUP-1"),)
    )
    assert canonical.renamed(said, {}) is said


def test_a_session_id_of_another_origin_is_seen() -> None:
    assert form(unified_session(int(AT * 1000))).children[0].attrs["id"] == "<milliseconds of the week>"
    assert form(unified_session(int(AT * 1000) + 86_400_000)).children[0].attrs["id"].isdecimal()


def test_devices_are_compared_whatever_order_they_come_in() -> None:
    def participants(*devices: int) -> Element:
        made = [Node("to", {"jid": ADA.with_device(device)}) for device in devices]
        return form(Node("participants", None, made))

    assert participants(1, 2) == participants(2, 1)
    paths = [field.path for field in compare(participants(1), participants(1, 2))]
    assert paths == ["participants/to[15550001002:2@s.whatsapp.net]@jid"]


def test_unknown_protobuf_fields_are_seen() -> None:
    data = proto.Message(conversation="hi").SerializeToString() + b"\xfa\x7f\x01x"  # field 2047, one byte
    told_as = canonical.protobuf(proto.Message, data, "message", AT)
    assert told_as.child("unknown") == Element("unknown", {"name": "2047"})


@pytest.mark.parametrize(
    ("ours", "theirs", "paths"),
    [
        (Element("a", {"x": "1"}), Element("a", {"x": "1"}), []),
        (Element("a", {"x": "1"}), Element("a", {"x": "2"}), ["a@x"]),
        (Element("a", {"x": "1", "y": "1"}), Element("a", {"x": "1"}), ["a@y"]),
        (Element("a", {}, (Element("b"),)), Element("a"), ["a", "a/b"]),
        (
            Element("a", {}, (Element("b", {}, (), "1"),) * 2),
            Element("a", {}, (Element("b", {}, (), "1"),)),
            ["a/b(2)"],
        ),
    ],
)
def test_every_place_that_differs_is_named(ours: Element, theirs: Element, paths: list[str]) -> None:
    assert [field.path for field in compare(ours, theirs)] == paths


# --- matching and rows


def iq(xmlns: str, child: str = "", **attrs: str) -> Element:
    return Element("iq", {"type": "get", "xmlns": xmlns, **attrs}, (Element(child),) if child else ())


def test_the_best_fit_is_matched() -> None:
    plain, marked = iq("usync", id="1"), iq("usync", id="2")
    assert match([plain, marked], [marked, plain]) == [(marked, marked), (plain, plain)]
    assert match([plain], [iq("w:p"), plain]) == [(None, iq("w:p")), (plain, plain)]
    assert match([plain, iq("abt")], [plain]) == [(plain, plain), (iq("abt"), None)]


def record(*stanzas: Element, events: tuple[Element, ...] = ()) -> Recording:
    return Recording(Side.WATON, (StepRecord("start-up", stanzas, events),))


def outcomes(ours: Recording | Failure, theirs: Recording) -> dict[str, Outcome]:
    return {row.key: row.outcome for row in compare_recordings(SCENARIO, ours, theirs)}


def test_what_only_one_says_is_a_row() -> None:
    found = outcomes(record(iq("a"), iq("b")), record(iq("a"), iq("c")))
    assert found["wire/stanza/login/start-up/iq get a"] is Outcome.EQUAL
    assert found["wire/stanza/login/start-up/iq get b"] is Outcome.DIFFERS
    assert found["wire/stanza/login/start-up/iq get c"] is Outcome.DIFFERS
    assert found["wire/order/login/start-up"] is Outcome.EQUAL


def test_order_counts_for_what_is_said_and_not_for_answers() -> None:
    said, answers = [iq("a"), iq("b")], [Element("ack", {"id": "1"}), Element("receipt", {"id": "1"})]
    assert outcomes(record(*said), record(*reversed(said)))["wire/order/login/start-up"] is Outcome.DIFFERS
    assert outcomes(record(*answers), record(*reversed(answers)))["wire/order/login/start-up"] is Outcome.EQUAL


def test_the_same_said_twice_is_told_apart() -> None:
    found = outcomes(record(iq("a")), record(iq("a"), iq("a")))
    assert found["wire/stanza/login/start-up/iq get a"] is Outcome.EQUAL
    assert found["wire/stanza/login/start-up/iq get a #2"] is Outcome.DIFFERS


def test_a_client_that_does_not_get_through_is_missing_everywhere() -> None:
    found = outcomes(Failure("TimeoutError"), record(iq("a")))
    assert set(found.values()) == {Outcome.MISSING}
    assert "wire/scenario/login" in found


def test_each_scenario_has_its_own_name_and_those_to_come_have_others() -> None:
    names = [scenario.name for scenario in scenarios()]
    assert len(names) == len(set(names)) >= 13
    coming = [one.name for one in COMING]
    assert len(coming) == len(set(coming))
    assert not set(names) & set(coming)
    assert all(one.note for one in COMING)


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("client payload register", Domain.PAIRING),
        ("client payload login", Domain.NOISE),
        ("iq get encrypt count", Domain.PREKEYS),
        ("iq get usync usync", Domain.USYNC),
        ("receipt retry <id of 'x'> to a@lid", Domain.RETRY_MANAGER),
        ("message text to a@lid 'x'", Domain.MESSAGES_SEND),
        ("message text to GROUP-1@g.us 'x'", Domain.GROUP_SIGNAL),
        ("message text again 2 to a:1@lid 'x'", Domain.RETRY_MANAGER),
        ("message peer to a@s.whatsapp.net", Domain.RETRY_MANAGER),
        ("messages.upsert <id of the lab's notification w:gp2 add> append", Domain.GROUPS),
        ("messages.update <id of the phone's HISTORY_SYNC_NOTIFICATION> 2", Domain.HISTORY),
        ("messages.media-update <id of 'x'>", Domain.MEDIA),
        ("identity.changed a@lid", Domain.IDENTITY_CHANGE),
        ("group-participants.update GROUP-1@g.us", Domain.GROUPS),
        ("send-text-to-pn-group", Domain.GROUP_SIGNAL),
        ("group-message-again", Domain.RETRY_MANAGER),
        ("identity-change-forged", Domain.IDENTITY_CHANGE),
        ("lid-learnt-late", Domain.LID_MAPPING),
        ("device-list-by-key-index", Domain.USYNC),
        ("messages.upsert <id of 'x'> notify", Domain.MESSAGES_RECV),
        ("chats.update a@lid", Domain.CHATS),
    ],
)
def test_a_name_has_a_domain(name: str, domain: Domain) -> None:
    assert domain_of(name) is domain


# --- events


def test_lists_of_baileys_are_taken_apart() -> None:
    value = {"type": "notify", "messages": [{"key": {"id": "1"}, "status": 2}, {"key": {"id": "2"}}]}
    pieces = list(told.single("messages.upsert", value))
    assert [(type, piece["key"]["id"], piece["type"]) for type, piece in pieces] == [
        ("messages.upsert", "1", "notify"),
        ("messages.upsert", "2", "notify"),
    ]
    assert "status" not in pieces[0][1]


def test_a_receipt_that_was_merged_into_its_message_is_told_apart() -> None:
    own = {"key": {"id": "1", "fromMe": True, "remoteJid": "a@lid"}, "status": 3}
    pieces = list(told.single("messages.upsert", {"type": "append", "messages": [own]}))
    assert [piece["update"]["status"] for type, piece in pieces if type == "messages.update"] == [2, 3]


def test_secrets_of_a_connection_are_not_told() -> None:
    ((type, value),) = told.single("connection.update", {"qr": "secret", "me": {"id": "a"}})
    assert type == "connection.update"
    assert "secret" not in str(value)
    assert "me" not in value


def test_events_are_named_by_what_they_tell() -> None:
    value = {"type": "notify", "key": {"id": "ABC"}}
    event = canonical.event("messages.upsert", value, AT, {"ABC": "<id of 'hello'>"})
    assert name_of(event) == "messages.upsert <id of 'hello'> notify"


def test_a_name_says_how_often_and_by_whom_a_message_was_asked_for() -> None:
    enc = Element(
        "enc", {"type": "msg", "count": "2"}, (Element("message", {}, (Element("conversation", {}, (), "hi"),)),)
    )
    again = Element("message", {"type": "text", "to": "GROUP-1@g.us", "participant": "b:1@lid"}, (enc,))
    assert name_of(again) == "message text again 2 to b:1@lid 'hi'"
    peer = Element("message", {"type": "text", "category": "peer", "to": "a@s.whatsapp.net"})
    assert name_of(peer) == "message peer to a@s.whatsapp.net"
    receipt = Element("receipt", {"id": "1", "to": "GROUP-1@g.us", "participant": "b@lid"})
    assert name_of(receipt) == "receipt delivery 1 to GROUP-1@g.us b@lid"


def test_a_receipt_in_a_group_is_named_by_its_reader() -> None:
    value = [{"key": KEY, "receipt": {"userJid": "b@lid", "readTimestamp": int(AT)}}]
    ((type, piece),) = told.single("message-receipt.update", value)
    assert "participant" not in piece["key"]
    assert name_of(canonical.event(type, piece, AT, {})) == "message-receipt.update 1 by b@lid read"


def test_what_was_merged_into_a_message_is_told_apart() -> None:
    receipt = {"userJid": "b@lid", "receiptTimestamp": int(AT)}
    message = {"key": KEY, "userReceipt": [receipt], "participant": "a:2@lid", "broadcast": False}
    whole, read = told.single("messages.upsert", {"type": "append", "requestId": "9", "messages": [message]})
    assert whole == ("messages.upsert", {"type": "append", "requestId": "9", "key": KEY})
    assert read == ("message-receipt.update", {"key": OWN, "receipt": receipt})


def test_a_refusal_that_was_merged_into_its_message_is_told_apart() -> None:
    message = {"key": KEY, "status": 0, "messageStubParameters": ["463"]}
    whole, refused = told.single("messages.upsert", {"type": "append", "messages": [message]})
    assert "messageStubParameters" not in whole[1]
    assert refused == ("messages.update", {"key": OWN, "update": {"status": 0, "messageStubParameters": ["463"]}})


def test_a_message_that_could_not_be_read_is_told_as_a_placeholder() -> None:
    key = MessageKey(GROUP, "1", False, ADA, addressing_mode="pn")
    unread = MessageUndecryptable(key, "no_session", int(AT), upsert=UpsertType.APPEND)
    ((type, value),) = told.as_baileys(unread)
    assert (type, value["type"], value["messageStubType"]) == ("messages.upsert", "append", 2)
    assert value["key"]["participant"] == str(ADA.bare)
    assert list(told.as_baileys(replace(unread, is_resolved=True))) == []


def test_how_long_messages_of_a_group_stay_is_told_as_news_of_the_chat() -> None:
    assert [type for type, _ in told.as_baileys(GroupsUpdate(GROUP, 5, ephemeral=60))] == ["chats.update"]
    both = GroupsUpdate(GROUP, 5, ephemeral=60, subject="Tea")
    assert [type for type, _ in told.as_baileys(both)] == ["groups.update", "chats.update"]


def test_only_a_number_is_told_as_the_number_of_who_changed_a_group() -> None:
    def author(alt: Jid) -> object:
        ((_, value),) = told.as_baileys(GroupsUpdate(GROUP, 5, author_alt=alt, subject="Tea"))
        return value.get("authorPn")

    assert author(ADA.bare) == str(ADA.bare)
    assert author(Jid.parse("7700@lid")) is None


def test_what_passes_through_the_buffer_by_chance_is_not_told() -> None:
    ((_, chat),) = told.single("chats.update", [{"id": "a@lid", "unreadCount": 2, "messages": [{}], "archived": True}])
    assert chat == {"id": "a@lid", "archived": True}
    ((_, history),) = told.single("messaging-history.set", {"chats": [], "lidPnMappings": [{}]})
    assert history == {"chats": []}
    ((_, update),) = told.single("messages.update", [{"key": {"remoteJid": "a:1@lid", "id": "1"}, "update": {}}])
    assert update["key"] == {"remoteJid": "a@lid", "id": "1"}
