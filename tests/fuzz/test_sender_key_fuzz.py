"""No message, distribution or record makes a sender key do anything but read its text or give a named error."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sender_key_parties import Waton
from waton import _core
from waton.errors import DecodeError, DecryptError, DecryptReason, StorageError

pytestmark = pytest.mark.fuzz

SENDER, READER = Waton(1), Waton(2)
SENDER.create()
DISTRIBUTION = SENDER.distribution()
READER.process(DISTRIBUTION)
MESSAGES = [SENDER.encrypt(b"text").message for _ in range(3)]
SKIPPING = _core.sender_key_decrypt(READER.record, MESSAGES[1])[0]
RECORDS = [SENDER.record, READER.record, SKIPPING]
T = TypeVar("T")
LARGEST = 5 * 2_000 * 48
"""Bytes: no record need ever be larger."""


@st.composite
def mangled(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """Bytes like one of these, cut, stretched and changed."""
    changed = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(changed) - 1))
        match draw(st.integers(0, 2)):
            case 0:
                changed[place] = draw(st.integers(0, 255))
            case 1:
                changed[place:place] = draw(st.binary(max_size=6))
            case _:
                del changed[place : place + draw(st.integers(1, 6))]
        if not changed:
            break
    return bytes(changed)


def fields(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """A message of version 3 with these parts in any order, some twice, and 64 bytes behind."""
    return st.lists(st.one_of(*parts), max_size=6).map(lambda given: b"\x33" + b"".join(given) + bytes(64))


varint = st.integers(0, 2**64 - 1).map(
    lambda value: bytes((value >> shift) & 0x7F | 0x80 for shift in range(0, 63, 7)) + bytes([value >> 63])
)
short = st.binary(max_size=40).map(lambda body: bytes([len(body)]) + body)
shaped = fields(
    *(st.builds(lambda rest, tag=tag: bytes([tag]) + rest, varint) for tag in (0x08, 0x10, 0x18, 0x7D)),
    *(st.builds(lambda rest, tag=tag: bytes([tag]) + rest, short) for tag in (0x0A, 0x1A, 0x22, 0x7A)),
)


def outcome(act: Callable[[], T]) -> T | DecodeError | DecryptError:
    try:
        return act()
    except (DecodeError, DecryptError) as error:
        return error


@given(st.one_of(st.binary(max_size=200), mangled(MESSAGES), shaped), st.sampled_from(RECORDS))
def test_any_message_gives_a_named_error_or_its_text(message: bytes, record: bytes) -> None:
    given = outcome(lambda: _core.sender_key_decrypt(record, message))
    match given:
        case DecodeError():
            assert 0 <= given.offset <= len(message)
        case DecryptError():
            assert given.reason in {
                DecryptReason.INVALID_SIGNATURE,
                DecryptReason.NO_SENDER_KEY,
                DecryptReason.DUPLICATE,
            }
        case after, text:
            assert message in MESSAGES
            assert text == b"text"
            assert after != record


@given(st.one_of(st.binary(max_size=200), mangled([DISTRIBUTION]), shaped), st.sampled_from(RECORDS))
def test_any_distribution_gives_a_named_error_or_a_record(distribution: bytes, record: bytes) -> None:
    given = outcome(lambda: _core.sender_key_process(record, distribution))
    match given:
        case DecodeError():
            assert 0 <= given.offset <= len(distribution)
        case DecryptError():
            assert given.reason is DecryptReason.INVALID_KEY
            assert record == SENDER.record
        case after:
            assert 1 <= len(_core.sender_key_describe(after)) <= 2
            assert _core.sender_key_process(after, distribution) == after, "told again, nothing changes"


@given(st.lists(mangled([DISTRIBUTION]), max_size=12))
def test_any_number_of_distributions_leaves_five_states(distributions: list[bytes]) -> None:
    record = b""
    for distribution in distributions:
        with suppress(DecodeError):
            record = _core.sender_key_process(record, distribution)
    assert len(_core.sender_key_describe(record)) <= 5
    assert len(record) < LARGEST


@given(st.one_of(st.binary(max_size=200), mangled(RECORDS)), st.sampled_from(MESSAGES))
def test_any_record_gives_a_named_error_or_an_answer(record: bytes, message: bytes) -> None:
    for act in (
        lambda: _core.sender_key_describe(record),
        lambda: _core.sender_key_distribution(record),
        lambda: _core.sender_key_process(record, DISTRIBUTION),
        lambda: _core.sender_key_encrypt(record, b"text", entropy=bytes(64)),
        lambda: _core.sender_key_create(record, entropy=bytes(68)),
    ):
        with suppress(StorageError, DecryptError):
            act()
    with suppress(StorageError, DecryptError):
        after, _ = _core.sender_key_decrypt(record, message)
        assert len(after) < len(record) + LARGEST
