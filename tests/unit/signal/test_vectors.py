"""The recorded calls of tests/vectors/signal_*.json give what they gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from waton import _core
from waton.errors import DecodeError, DecryptError, InvalidSignature

VECTORS = Path(__file__).parents[2] / "vectors"
NAMES = ["signal_own.json", "signal_official.json"]


def calls(name: str) -> list[Any]:
    return json.loads((VECTORS / name).read_text())["calls"]


CASES = [
    pytest.param(call, id=f"{name.removesuffix('.json')}-{place}-{call['call']}")
    for name in NAMES
    for place, call in enumerate(calls(name))
]


def from_plain(name: str, value: Any) -> Any:
    if name == "bundle":
        return _core.PreKeyBundle(**{field: from_plain(field, part) for field, part in value.items()})
    return bytes.fromhex(value) if isinstance(value, str) else value


def to_plain(value: object) -> object:
    if isinstance(value, tuple):
        return [to_plain(part) for part in value]
    return value.hex() if isinstance(value, bytes) else value


@pytest.mark.parametrize("call", CASES)
def test_the_call_gives_what_it_gave(call: Any) -> None:
    given = {name: from_plain(name, value) for name, value in call["arguments"].items()}
    positional = [given.pop(name) for name in ("record", "bundle", "message", "plaintext") if name in given]
    function = getattr(_core, call["call"])
    if "refused" not in call:
        assert to_plain(function(*positional, **given)) == call["gives"]
        return
    with pytest.raises((DecryptError, DecodeError, InvalidSignature)) as refused:
        function(*positional, **given)
    assert refusal(refused.value) == call["refused"]


def refusal(error: Exception) -> str:
    match error:
        case DecryptError():
            return error.reason.value
        case DecodeError():
            return f"decode at {error.offset}"
        case _:
            return "signature"


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_call_and_refusal_is_there(name: str) -> None:
    recorded = calls(name)
    assert {call["call"] for call in recorded} == {
        "session_initiate",
        "session_encrypt",
        "session_decrypt",
        "session_decrypt_prekey",
    }
    assert {"duplicate", "bad_mac"} <= {call.get("refused") for call in recorded}
