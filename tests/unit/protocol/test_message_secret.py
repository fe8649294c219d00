"""Additions sealed under a message's secret: known values, tampered bytes, wrong keys."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from waton.errors import DecodeError, DecryptError, DecryptReason
from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.message_secret import Addition, SecretUse, seal, unseal, unseal_bot_message

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "message_secret.json").read_text("utf-8"))
SECRET, IV, PLAIN = (bytes.fromhex(VECTORS[name]) for name in ("secret", "iv", "plaintext"))


def addition(told: dict[str, str]) -> Addition:
    return Addition(SecretUse(told["use"]), told["message_id"], Jid.parse(told["author"]), Jid.parse(told["by"]))


ADDITIONS = [(addition(told), told) for told in VECTORS["additions"]]
VOTE = ADDITIONS[0][0]


def test_the_vectors_cover_every_use() -> None:
    assert {one.use for one, _ in ADDITIONS} == set(SecretUse)


@pytest.mark.parametrize(("one", "told"), ADDITIONS, ids=[told["use"] for _, told in ADDITIONS])
def test_keys_and_sealed_bytes_are_the_known_ones(one: Addition, told: dict[str, str]) -> None:
    assert one.key(SECRET).hex() == told["key"]
    assert seal(SECRET, one, PLAIN, IV).hex() == told["sealed"]
    assert unseal(SECRET, one, bytes.fromhex(told["sealed"]), IV) == PLAIN


@pytest.mark.parametrize("told", VECTORS["observed"], ids=lambda told: told["use"])
def test_it_is_what_baileys_derives_and_seals(told: dict[str, str]) -> None:
    assert addition(told).key(SECRET).hex() == told["key"]
    if "sealed" in told:
        assert unseal(SECRET, addition(told), bytes.fromhex(told["sealed"]), IV).hex() == told["plaintext"]


@pytest.mark.parametrize("place", range(len(PLAIN) + 16))
def test_a_changed_byte_does_not_open(place: int) -> None:
    sealed = bytearray(seal(SECRET, VOTE, PLAIN, IV))
    sealed[place] ^= 1
    with pytest.raises(DecryptError) as refused:
        unseal(SECRET, VOTE, bytes(sealed), IV)
    assert refused.value.reason is DecryptReason.BAD_MAC


@pytest.mark.parametrize(
    "other",
    [
        replace(VOTE, message_id="3EB0"),
        replace(VOTE, author=Jid.parse("77000000000008@lid")),
        replace(VOTE, by=Jid.parse("77000000000002@lid")),
        replace(VOTE, use=SecretUse.EVENT_RESPONSE),
    ],
    ids=["message", "author", "person", "use"],
)
def test_everything_named_is_part_of_the_key(other: Addition) -> None:
    with pytest.raises(DecryptError) as refused:
        unseal(SECRET, other, seal(SECRET, VOTE, PLAIN, IV), IV)
    assert refused.value.reason is DecryptReason.BAD_MAC


def test_another_secret_or_iv_does_not_open() -> None:
    sealed = seal(SECRET, VOTE, PLAIN, IV)
    for secret, iv in ((SECRET[::-1], IV), (SECRET, IV[::-1])):
        with pytest.raises(DecryptError):
            unseal(secret, VOTE, sealed, iv)


def test_the_device_is_no_part_of_an_address() -> None:
    devices = replace(VOTE, author=VOTE.author.with_device(3), by=VOTE.by.with_device(7))
    assert unseal(SECRET, devices, seal(SECRET, VOTE, PLAIN, IV), IV) == PLAIN


@pytest.mark.parametrize(("payload", "iv"), [(b"", IV), (bytes(15), IV), (bytes(32), b""), (bytes(32), bytes(13))])
def test_what_cannot_be_sealed_text_is_refused_by_name(payload: bytes, iv: bytes) -> None:
    with pytest.raises(DecryptError) as refused:
        unseal(SECRET, VOTE, payload, iv)
    assert refused.value.reason is DecryptReason.INVALID_MESSAGE


def test_nothing_but_a_tag_is_an_empty_text() -> None:
    assert unseal(SECRET, VOTE, seal(SECRET, VOTE, b"", IV), IV) == b""


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_secret_of_another_length_is_a_mistake(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        seal(bytes(size), VOTE, PLAIN, IV)
    with pytest.raises(ValueError, match="32 bytes"):
        unseal(bytes(size), VOTE, bytes(32), IV)
    with pytest.raises(ValueError, match="12 bytes"):
        seal(SECRET, VOTE, PLAIN, bytes(size))


# --- bots -------------------------------------------------------------------------------------------------------------

BOT: dict[str, str] = VECTORS["bot"]
ENC = bytes.fromhex(BOT["enc"])


def open_bot(enc: bytes = ENC, secret: bytes = SECRET, other: dict[str, str] | None = None) -> bytes:
    told = BOT | (other or {})
    asked_by, bot = Jid.parse(told["asked_by"]), Jid.parse(told["bot"])
    return unseal_bot_message(secret, enc, message_id=told["message_id"], asked_by=asked_by, bot=bot)


def test_a_bots_answer_opens() -> None:
    assert proto.Message.FromString(open_bot()).conversation == "hello"


@pytest.mark.parametrize("other", [{"message_id": "3EB0"}, {"asked_by": "1@lid"}, {"bot": "1@bot"}])
def test_an_answer_to_somebody_else_does_not_open(other: dict[str, str]) -> None:
    with pytest.raises(DecryptError) as refused:
        open_bot(other=other)
    assert refused.value.reason is DecryptReason.BAD_MAC


def test_a_tampered_answer_or_another_secret_does_not_open() -> None:
    for enc, secret in ((ENC[:-1] + bytes([ENC[-1] ^ 1]), SECRET), (ENC, SECRET[::-1])):
        with pytest.raises(DecryptError) as refused:
            open_bot(enc, secret)
        assert refused.value.reason is DecryptReason.BAD_MAC


@pytest.mark.parametrize("enc", [b"\xff", b"\x12\x7f"])
def test_an_envelope_that_does_not_parse_is_named(enc: bytes) -> None:
    with pytest.raises(DecodeError):
        open_bot(enc)


def test_an_empty_envelope_holds_no_answer() -> None:
    with pytest.raises(DecryptError) as refused:
        open_bot(b"")
    assert refused.value.reason is DecryptReason.INVALID_MESSAGE


def test_no_secret_shows() -> None:
    assert "4915" not in repr(VOTE)
    with pytest.raises(DecryptError) as refused:
        unseal(SECRET, VOTE, bytes(40), IV)
    assert SECRET.hex() not in str(refused.value)
    assert "4915000000002" not in str(refused.value)
