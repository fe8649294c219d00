"""Our encoding against protobufjs as Baileys uses it, and what must survive a trip through our parser."""

import json
from pathlib import Path

import pytest
from google.protobuf import json_format, unknown_fields
from google.protobuf.message import DecodeError, Message

from waton.protocol import proto

CASES = json.loads((Path(__file__).parents[2] / "vectors" / "waproto_encodings.json").read_text("utf-8"))["cases"]


def message_class(path: str) -> type[Message]:
    found: object = proto
    for name in path.split("."):
        found = getattr(found, name)
    assert isinstance(found, type)
    assert issubclass(found, Message)
    return found


def varint(number: int) -> bytes:
    groups = []
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def tagged(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_we_write_is_what_baileys_writes(case: dict[str, str]) -> None:
    message = json_format.ParseDict(case["value"], message_class(case["type"])())
    assert message.SerializeToString(deterministic=True).hex() == case["hex"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_baileys_writes_is_what_we_read(case: dict[str, str]) -> None:
    cls = message_class(case["type"])
    read = cls.FromString(bytes.fromhex(case["hex"]))
    assert read == json_format.ParseDict(case["value"], cls())
    assert len(unknown_fields.UnknownFieldSet(read)) == 0


def test_vectors_are_varied() -> None:
    assert len(CASES) >= 20
    assert len({case["type"] for case in CASES}) >= 15


UNKNOWN = varint(536870911 << 3) + b"\x2a" + tagged(100_000, b"later") + varint(99_999 << 3 | 5) + b"\1\2\3\4"


def test_unknown_fields_survive() -> None:
    raw = tagged(1, b"hi") + UNKNOWN
    message = proto.Message.FromString(raw)
    assert message.SerializeToString() == raw
    found = [(f.field_number, f.wire_type, f.data) for f in unknown_fields.UnknownFieldSet(message)]
    assert found == [(536870911, 0, 42), (100_000, 2, b"later"), (99_999, 5, 0x04030201)]


def test_unknown_fields_survive_in_nested_repeated_and_mapped_messages() -> None:
    numbers = proto.Message.DESCRIPTOR.fields_by_name
    quoted = tagged(3, tagged(1, b"q") + UNKNOWN)
    context = tagged(17, b"") + UNKNOWN
    inner = tagged(numbers["extendedTextMessage"].number, tagged(1, b"t") + tagged(17, quoted) + UNKNOWN)
    conversation = tagged(1, b"1@lid") + tagged(2, tagged(1, tagged(2, inner + context)) + UNKNOWN) + UNKNOWN
    history = tagged(2, conversation) + tagged(2, UNKNOWN) + UNKNOWN
    assert proto.HistorySync.FromString(history).SerializeToString() == history
    config = tagged(1, b"\x08\x05" + tagged(2, b"\x08\x01" + UNKNOWN)) + UNKNOWN
    assert proto.Config.FromString(config).SerializeToString() == config


def test_zero_and_empty_are_told_from_absent() -> None:
    absent, present = proto.ClientPayload(), proto.ClientPayload.FromString(b"\x18\x00\x3a\x00")
    assert not absent.HasField("passive")
    assert not absent.HasField("pushName")
    assert present.HasField("passive")
    assert present.HasField("pushName")
    assert present.SerializeToString() == b"\x18\x00\x3a\x00"
    assert absent.SerializeToString() == b""


def test_packed_and_unpacked_are_both_read() -> None:
    packed, unpacked = b"\x22\x03\x01\x02\x03", b"\x20\x01\x20\x02\x20\x03"
    assert proto.ADVKeyIndexList.FromString(packed) == proto.ADVKeyIndexList.FromString(unpacked)
    assert proto.ADVKeyIndexList(validIndexes=[1, 2, 3]).SerializeToString() == packed


def test_unnamed_number_of_an_open_enum_stays_in_its_field() -> None:
    message = proto.Message.ProtocolMessage.FromString(b"\x10\xe7\x07")
    assert message.HasField("type")
    assert message.type == 999
    assert message.SerializeToString() == b"\x10\xe7\x07"


def test_unnamed_number_of_a_closed_enum_is_an_unknown_field() -> None:
    message = proto.Message.OrderMessage.FromString(b"\x20\x63")
    assert not message.HasField("status")
    assert [field.data for field in unknown_fields.UnknownFieldSet(message)] == [0x63]
    assert message.SerializeToString() == b"\x20\x63"


def test_invalid_utf8_costs_one_field_and_not_the_message() -> None:
    raw = tagged(1, b"ok") + tagged(6, tagged(1, b"cut \xed\xa0\xbd") + tagged(2, b"\xff"))
    message = proto.Message.FromString(raw)
    assert message.conversation == "ok"
    cut: object = message.extendedTextMessage.text
    assert cut == b"cut \xed\xa0\xbd"
    assert message.SerializeToString() == raw


@pytest.mark.parametrize(
    "raw", [b"\x0a", b"\x0a\x05ab", b"\xff" * 11, b"\x0b"], ids=["length", "short", "varint", "group"]
)
def test_broken_bytes_are_an_error(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        proto.Message.FromString(raw)
