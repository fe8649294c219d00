"""Our descriptors against the inventory of the schema: neither more nor less may be there."""

import copy
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor

from waton.protocol import proto

VECTORS = Path(__file__).parents[2] / "vectors"
FOLDER = Path(proto.__file__).parent
INVENTORY = json.loads((VECTORS / "waproto_inventory.json").read_text("utf-8"))

Schema = dict[str, dict[str, dict[str, object]]]
SCALARS = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_") and name not in {"TYPE_MESSAGE", "TYPE_ENUM", "TYPE_GROUP"}
}


def files() -> Iterator[FileDescriptor]:
    for path in sorted(FOLDER.glob("*.proto")):
        yield descriptor_pool.Default().FindFileByName(f"waton/protocol/proto/{path.name}")


def messages(scope: FileDescriptor | Descriptor) -> Iterator[Descriptor]:
    nested = scope.message_types_by_name if isinstance(scope, FileDescriptor) else scope.nested_types_by_name
    for message in nested.values():
        if not message.GetOptions().map_entry:
            yield message
            yield from messages(message)


def every_message() -> list[Descriptor]:
    return list(chain.from_iterable(map(messages, files())))


def every_enum() -> list[EnumDescriptor]:
    top = chain.from_iterable(file.enum_types_by_name.values() for file in files())
    nested = chain.from_iterable(message.enum_types for message in every_message())
    return [*top, *nested]


def short(full_name: str) -> str:
    return full_name.removeprefix("waproto.")


def type_of(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return short(field.message_type.full_name)
    return short(field.enum_type.full_name) if field.enum_type is not None else SCALARS[field.type]


def row(field: FieldDescriptor) -> list[object]:
    """As in the inventory: number, type, label."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name
        return [field.number, type_of(entry["value"]), f"map<{type_of(entry['key'])}>"]
    if field.is_repeated:
        return [field.number, type_of(field), "packed" if field.is_packed else "repeated"]
    oneof = field.containing_oneof
    return [field.number, type_of(field), f"oneof {oneof.name}" if oneof else "optional"]


def our_schema() -> Schema:
    return {
        "messages": {short(m.full_name): {f.name: row(f) for f in m.fields} for m in every_message()},
        "enums": {short(e.full_name): {v.name: v.number for v in e.values} for e in every_enum()},
    }


def recorded_schema() -> Schema:
    """The baseline with the additions put in."""
    whole: Schema = copy.deepcopy(INVENTORY["baseline"])
    for part, additions in INVENTORY["added"].items():
        for name, rows in additions.items():
            known = whole[part].setdefault(name, {})
            assert known.keys().isdisjoint(rows), name
            known.update(rows)
    return whole


def counts(schema: Schema) -> tuple[int, int, int, int]:
    fields, values = (sum(map(len, schema[part].values())) for part in ("messages", "enums"))
    return len(schema["messages"]), fields, len(schema["enums"]), values


@pytest.mark.parametrize("part", ["messages", "enums"])
def test_schema_is_the_inventory(part: str) -> None:
    ours, recorded = our_schema()[part], recorded_schema()[part]
    assert ours.keys() == recorded.keys()
    assert {name: ours[name] for name in ours if ours[name] != recorded[name]} == {}


def test_inventory_holds_the_whole_schema() -> None:
    assert counts(INVENTORY["baseline"]) == (498, 2424, 174, 1173)
    assert counts(our_schema()) == (597, 2920, 204, 1427)


def test_every_single_field_has_presence() -> None:
    singles = [field for message in every_message() for field in message.fields if not field.is_repeated]
    assert [field.full_name for field in singles if not field.has_presence] == []


def test_only_enums_that_do_not_start_at_zero_are_closed() -> None:
    assert {e.full_name for e in every_enum() if e.is_closed} == {
        e.full_name for e in every_enum() if e.values[0].number
    }


def test_every_top_level_name_is_exported() -> None:
    top = chain.from_iterable((*file.message_types_by_name, *file.enum_types_by_name) for file in files())
    assert sorted(top) == sorted(proto.__all__)
    for name in proto.__all__:
        assert getattr(proto, name).DESCRIPTOR.full_name == f"waproto.{name}"


def test_handshake_numbers_that_the_lab_and_its_clients_speak() -> None:
    numbers = {
        proto.HandshakeMessage: {"clientHello": 2, "serverHello": 3, "clientFinish": 4},
        proto.HandshakeMessage.ClientHello: {"ephemeral": 1, "static": 2, "payload": 3},
        proto.HandshakeMessage.ClientFinish: {"static": 1, "payload": 2},
        proto.CertChain: {"leaf": 1, "intermediate": 2},
        proto.CertChain.NoiseCertificate.Details: {
            "serial": 1,
            "issuerSerial": 2,
            "key": 3,
            "notBefore": 4,
            "notAfter": 5,
        },
        proto.ClientPayload: {"username": 1, "passive": 3, "devicePairingData": 19, "pull": 33, "lidDbMigrated": 41},
    }
    for message, expected in numbers.items():
        fields = message.DESCRIPTOR.fields_by_name
        assert {name: fields[name].number for name in expected} == expected
