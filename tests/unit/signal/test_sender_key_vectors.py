"""The recorded calls of tests/vectors/sender_key.json give what they gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.signal.test_vectors import refusal, to_plain
from waton import _core
from waton.errors import DecodeError, DecryptError

CALLS: list[Any] = json.loads((Path(__file__).parents[2] / "vectors" / "sender_key.json").read_text())["calls"]
POSITIONAL = ("record", "distribution", "message", "plaintext")


@pytest.mark.parametrize("call", [pytest.param(call, id=f"{at}-{call['call']}") for at, call in enumerate(CALLS)])
def test_the_call_gives_what_it_gave(call: Any) -> None:
    given = {name: bytes.fromhex(value) for name, value in call["arguments"].items()}
    positional = [given.pop(name) for name in POSITIONAL if name in given]
    function = getattr(_core, call["call"])
    if "refused" not in call:
        assert to_plain(function(*positional, **given)) == call["gives"]
        return
    with pytest.raises((DecryptError, DecodeError)) as refused:
        function(*positional, **given)
    assert refusal(refused.value) == call["refused"]


def test_every_kind_of_call_sender_and_refusal_is_there() -> None:
    assert {call["call"] for call in CALLS} == {
        "sender_key_create",
        "sender_key_distribution",
        "sender_key_process",
        "sender_key_encrypt",
        "sender_key_decrypt",
    }
    read = [call["story"] for call in CALLS if call["call"] == "sender_key_decrypt" and "gives" in call]
    for sender in ("waton", "Baileys", "the official client"):
        assert sum(sender in story for story in read) > 4
    assert {"duplicate", "invalid_signature", "no_sender_key", "no_session"} <= {call.get("refused") for call in CALLS}
