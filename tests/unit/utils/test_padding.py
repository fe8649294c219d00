"""Padding goes on with any dice, and comes off only when it is whole."""

from __future__ import annotations

import pytest

from waton.errors import DecryptError, DecryptReason
from waton.utils.padding import pad, unpad


@pytest.mark.parametrize("dice", range(256))
def test_padding_comes_off_again(dice: int) -> None:
    padded = pad(b"text", dice)
    added = padded[4:]
    assert 1 <= len(added) <= 16
    assert set(added) == {len(added)}
    assert unpad(padded) == b"text"


@pytest.mark.parametrize("padded", [b"", b"text\x00", b"text\x11" * 17, b"text\x01\x02", b"\x03\x03", b"\x02\x03\x03"])
def test_wrong_padding_is_refused(padded: bytes) -> None:
    with pytest.raises(DecryptError) as refused:
        unpad(padded)
    assert refused.value.reason is DecryptReason.PADDING
