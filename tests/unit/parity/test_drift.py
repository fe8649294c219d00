"""Drift: what appeared, went or changed, and what of it waton has."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.requirements import require
from tests.unit.parity.test_typescript import TYPES, VALUES, WAPROTO, write, write_source
from waton.errors import ParityError
from waton.parity.drift import Change, Turn, against_ours, drift
from waton.parity.own import Waton

WATON = Path(__file__).parents[3] / "waton"


def plain(name: str) -> str:
    return {**VALUES, **TYPES}[name].replace("«", "").replace("»", "")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write_source(tmp_path / "old")


def changes(found: list[Change]) -> dict[str, tuple[str, str, str, bool]]:
    return {f"{one.kind}/{one.name}": (one.change.value, one.old, one.new, one.known) for one in found}


def test_nothing_changes_between_a_baileys_and_itself(old: Path) -> None:
    assert drift(old, old) == []


def test_methods_events_options_and_stanzas(old: Path, tmp_path: Path) -> None:
    new = write_source(
        tmp_path / "new",
        {
            "Socket/chats": plain("Socket/chats")
            .replace("leave: async", "sendNode: async")
            .replace("'leave'", "'exit'"),
            "Types/Events": plain("Types/Events").replace("call:", "'creds.update': string; 'chats.new':"),
            "Types/Socket": plain("Types/Socket").replace("logger?", "pushName?: string; unheardOf?"),
            "Defaults/index": plain("Defaults/index").replace("20000", "25000").replace("77", "78"),
        },
    )
    found = changes(drift(old, new))
    assert found == {
        "event/call": ("went", "", "", True),
        "event/chats.new": ("appeared", "", "", False),
        "event/creds.update": ("appeared", "", "", True),
        "method/leave": ("went", "", "", False),
        "method/sendNode": ("appeared", "", "", True),
        "option/connectTimeoutMs": ("changed", "20000", "25000", True),
        "option/logger": ("went", "", "", False),
        "option/pushName": ("appeared", "", "", True),
        "option/unheardOf": ("appeared", "", "", False),
        "option/version": ("changed", "[2, 3000, 77]", "[2, 3000, 78]", True),
        "stanza/iq set w:g2 exit": ("appeared", "", "", False),
        "stanza/iq set w:g2 leave": ("went", "", "", False),
        "web-version/web client": ("changed", "2.3000.77", "2.3000.78", False),
    }


def test_protobuf_tokens_and_numbers(old: Path, tmp_path: Path) -> None:
    word = Waton(WATON).tokens.double[0][1]
    new = write_source(
        tmp_path / "new",
        {
            "WABinary/constants": plain("WABinary/constants").replace("'b'", f"'{word}'").replace("'c'", "'d'"),
            "Types/index": plain("Types/index").replace("loggedOut = 401", "loggedOut = 403, moved = 301"),
        },
    )
    proto = WAPROTO.replace("bool muted = 1;", "bool muted = 1; int64 muteEndTimestamp = 2; string unheardOf = 9;")
    write(new / "WAProto" / "WAProto.proto", proto)
    assert changes(drift(old, new)) == {
        "disconnect-reason/loggedOut": ("changed", "401", "403", True),
        "disconnect-reason/moved": ("appeared", "", "301", False),
        "proto-field/SyncActionValue.MuteAction.muteEndTimestamp": ("appeared", "", "int64 = 2", True),
        "proto-field/SyncActionValue.MuteAction.unheardOf": ("appeared", "", "string = 9", False),
        "token/double-byte 0 1": ("changed", "b", word, True),
        "token/double-byte 1 0": ("changed", "c", "d", False),
    }
    # The other way round: what went is known when waton has it as it was.
    back = changes(drift(new, old))
    assert back["disconnect-reason/moved"] == ("went", "301", "", False)
    assert back["proto-field/SyncActionValue.MuteAction.muteEndTimestamp"] == ("went", "int64 = 2", "", True)


def test_a_method_that_only_moves_is_no_change(old: Path, tmp_path: Path) -> None:
    moved = plain("Socket/chats").replace("export const makeChatsSocket", "export const makeOtherSocket")
    new = write_source(tmp_path / "new", {"Socket/chats": "export {}", "Socket/other": moved})
    assert drift(old, new) == []


def test_another_waproto_against_ours(tmp_path: Path) -> None:
    write(
        tmp_path / "new.proto",
        "message Pushname { string id = 1; bytes pushname = 2; string extra = 3; } message New {}",
    )
    found = against_ours(WATON, proto=tmp_path / "new.proto")
    told = changes([one for one in found if "Pushname" in one.name or one.change is not Turn.WENT])
    assert told == {
        "proto/New": ("appeared", "", "", False),
        "proto-field/Pushname.extra": ("appeared", "", "string = 3", False),
        "proto-field/Pushname.pushname": ("changed", "string = 2", "bytes = 2", False),
    }
    assert ("proto", "Message", Turn.WENT, True) in {(one.kind, one.name, one.change, one.known) for one in found}


def test_typings_that_only_name_a_field_do_not_contradict_ours(tmp_path: Path) -> None:
    fields = "id?: (string|null); pushname?: (string|null); more?: (string|null);"
    write(tmp_path / "index.d.ts", f"export namespace proto {{ interface IPushname {{ {fields} }} }}")
    found = against_ours(WATON, proto=tmp_path / "index.d.ts")
    assert [one.name for one in found if one.change is not Turn.WENT] == ["Pushname.more"]
    assert changes(against_ours(WATON, proto=tmp_path)) == changes(found)


def test_another_token_dictionary_against_ours(tmp_path: Path) -> None:
    tokens = Waton(WATON).tokens
    lines = [*tokens.single, *(word for words in tokens.double for word in words)]
    write(tmp_path / "tokens.txt", "\n".join(lines))
    assert against_ours(WATON, tokens=tmp_path / "tokens.txt") == []
    lines[10], lines[236 + 256 + 9] = "x", "y"
    write(tmp_path / "tokens.txt", "\n".join(lines))
    found = against_ours(WATON, tokens=tmp_path / "tokens.txt")
    assert [(one.name, one.old, one.new, one.known) for one in found] == [
        ("double-byte 1 9", tokens.double[1][9], "y", False),
        ("single-byte 10", tokens.single[10], "x", False),
    ]


def test_tokens_are_in_the_order_of_their_index(tmp_path: Path) -> None:
    write(tmp_path / "constants.ts", "export const SINGLE_BYTE_TOKENS = []; export const DOUBLE_BYTE_TOKENS = []")
    found = against_ours(WATON, tokens=tmp_path / "constants.ts")
    assert [one.name for one in found if one.name.startswith("single")] == [f"single-byte {i}" for i in range(236)]


def test_another_web_version_against_ours() -> None:
    ours = Waton(WATON).web_version
    assert against_ours(WATON, web_version=ours) == []
    assert changes(against_ours(web_version="2.3000.1")) == {
        "web-version/web client": ("changed", ours, "2.3000.1", False)
    }


@pytest.mark.parametrize("wrong", ["", "2.3000", "latest"])
def test_what_cannot_be_read_is_an_error(tmp_path: Path, old: Path, wrong: str) -> None:
    with pytest.raises(ParityError):
        against_ours(WATON, web_version=wrong)
    write(tmp_path / "nothing.proto", wrong)
    with pytest.raises(ParityError):
        against_ours(WATON, proto=tmp_path / "nothing.proto")
    for path in (tmp_path / "absent.proto", tmp_path / "absent.d.ts", tmp_path / "absent"):
        with pytest.raises(ParityError):
            against_ours(WATON, proto=path)
    for path in (tmp_path / "absent.js", tmp_path / "absent.txt"):
        with pytest.raises(ParityError):
            against_ours(WATON, tokens=path)
    with pytest.raises(ParityError):
        drift(old, tmp_path / "absent")


@pytest.mark.peer
def test_the_pinned_baileys_against_itself_and_its_parts_against_ours() -> None:
    package = require("baileys")
    assert drift(package, package) == []
    assert [one for one in against_ours(proto=package / "WAProto") if one.change is not Turn.WENT] == []
    assert against_ours(tokens=package / "lib" / "WABinary" / "constants.js") == []
