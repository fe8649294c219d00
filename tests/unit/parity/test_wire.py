"""What two clients said is made comparable, matched and compared; no client is needed for that."""

from __future__ import annotations

import pytest

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


ONE = Element("b", {}, (), "1")


async def nothing(stage: object) -> None:
    """No story."""


SCENARIO = Scenario("login", "Nothing happens.", nothing)


def form(node: Node, labels: dict[str, str] | None = None, plain: bytes | None = None) -> Element:
    return canonical.stanza(node, AT, Context(labels or {}, lambda id, jid: plain))


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


def test_what_passes_through_the_buffer_by_chance_is_not_told() -> None:
    ((_, chat),) = told.single("chats.update", [{"id": "a@lid", "unreadCount": 2, "messages": [{}], "archived": True}])
    assert chat == {"id": "a@lid", "archived": True}
    ((_, history),) = told.single("messaging-history.set", {"chats": [], "lidPnMappings": [{}]})
    assert history == {"chats": []}
    ((_, update),) = told.single("messages.update", [{"key": {"remoteJid": "a:1@lid", "id": "1"}, "update": {}}])
    assert update["key"] == {"remoteJid": "a@lid", "id": "1"}
