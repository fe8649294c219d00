"""The oracle answers for what waton has no counterpart for yet, too: app state, the event buffer, message building."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from tests.requirements import require
from waton.parity.oracle import BaileysError, Functions

pytestmark = pytest.mark.peer

KEY = {"keyId": bytes(6), "keyData": bytes(range(32))}
EMPTY: dict[str, Any] = {"version": 0, "hash": bytes(128), "indexValueMap": {}}
MUTE = {
    "type": "regular_high",
    "index": ["mute", "200000000001002@lid"],
    "syncAction": {"timestamp": 1_800_000_000, "muteAction": {"muted": True}},
    "apiVersion": 2,
    "operation": 0,
}


@pytest.fixture(scope="module")
def baileys() -> Iterator[Functions]:
    with Functions.start(require("baileys")) as running:
        yield running


def test_an_app_state_patch_is_made_and_read_again(baileys: Functions) -> None:
    made = baileys.ask("encodePatch", mutation=MUTE, state=EMPTY, dice=bytes(16), **KEY)
    assert made["state"]["version"] == 1
    read = baileys.ask(
        "decodePatch",
        collection="regular_high",
        patch=made["patch"],
        version=1,
        state=EMPTY,
        keyData=KEY["keyData"],
        validate=True,
    )
    assert read["hash"] == made["state"]["hash"]
    (mutation,) = read["mutations"]
    assert mutation["index"] == MUTE["index"]


@pytest.mark.parametrize("harm", ["patch", "key"])
def test_a_harmed_patch_or_another_key_is_refused(baileys: Functions, harm: str) -> None:
    made = baileys.ask("encodePatch", mutation=MUTE, state=EMPTY, dice=bytes(16), **KEY)
    patch, key = bytearray(made["patch"]), bytes(32) if harm == "key" else KEY["keyData"]
    if harm == "patch":
        patch[-60] ^= 1
    with pytest.raises(BaileysError):
        baileys.ask(
            "decodePatch",
            collection="regular_high",
            patch=bytes(patch),
            version=1,
            state=EMPTY,
            keyData=key,
            validate=True,
        )


def test_the_lt_hash_of_one_value(baileys: Functions) -> None:
    """What the value is worth in the sum, as published: HKDF over the value's MAC."""
    table = baileys.call(
        "lib/Utils/lt-hash.js", "LT_HASH_ANTI_TAMPERING.subtractThenAdd", bytes(128), [], [b"\x01" * 32]
    )
    assert table[:16].hex() == "480731be8120f60bc4ec932b3d4a3996"
    assert sha256(table).hexdigest() == "dc2d8c15cc5a828c30a5684a025451f9093133c96e4fc35977f6a8905bc72ba2"


def test_events_are_held_back_and_merged(baileys: Functions) -> None:
    steps = [
        {"emit": ["chats.update", [{"id": "a@lid", "unreadCount": 1}]]},
        {"buffer": True},
        {"emit": ["chats.update", [{"id": "a@lid", "unreadCount": 1}]]},
        {"emit": ["chats.update", [{"id": "a@lid", "unreadCount": 1}]]},
        {"emit": ["presence.update", {"id": "a@lid"}]},
        {"flush": True},
    ]
    alone, passed, merged = baileys.ask("eventBuffer", steps=steps)
    assert alone == {"chats.update": [{"id": "a@lid", "unreadCount": 1}]}
    assert passed == {"presence.update": {"id": "a@lid"}}
    assert merged == {"chats.update": [{"id": "a@lid", "unreadCount": 2}]}


def test_messages_are_built(baileys: Functions) -> None:
    made = baileys.call("lib/Utils/messages.js", "generateWAMessageContent", {"text": "hi"}, {}, dice=bytes(32))
    assert made["extendedTextMessage"]["text"] == "hi"


def test_a_call_that_baileys_throws_out_is_its_error(baileys: Functions) -> None:
    with pytest.raises(BaileysError, match="has no nothing"):
        baileys.call("lib/Utils/generics.js", "nothing")
    with pytest.raises(BaileysError, match="no command"):
        baileys.ask("nothing")
    assert baileys.call("lib/Utils/generics.js", "encodeBigEndian", 5, 3) == b"\x00\x00\x05"
