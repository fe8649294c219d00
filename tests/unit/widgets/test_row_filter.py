"""The filter box: what passes, and what an unreadable filter says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waton.protocol.trace import Layer, Way
from waton.widgets.row_filter import FilterError, parse_filter
from waton.widgets.rows import Row


def row(
    name: str, way: Way = Way.IN, id: str = "", kind: str = "", xmlns: str = "", peer: str = "", size: int = 0
) -> Row:
    sender, recipient = (peer, "") if way is Way.IN else ("", peer)
    return Row(1, 0.0, Layer.NODE, way, name, id, kind, xmlns, sender, recipient, size, None, "")


PING = row("iq", Way.OUT, "7-1", "get", "w:p", "s.whatsapp.net", 23)
COUNT = row("iq", Way.OUT, "7-2", "get", "encrypt", "s.whatsapp.net", 25)
TEXT = row("message", Way.IN, "3EB0AA", "text", "", "491510000001@s.whatsapp.net", 184)
ACK = row("ack", Way.OUT, "3EB0AA", "", "", "491510000001:5@lid", 28)
ROWS = [PING, COUNT, TEXT, ACK]


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("", ROWS),
        ("   ", ROWS),
        ("tag:iq", [PING, COUNT]),
        ("tag:i", []),
        ("tag:I*", [PING, COUNT]),
        ("tag:ack,message", [TEXT, ACK]),
        ("-tag:ack way:out", [PING, COUNT]),
        ("tag:iq xmlns:encrypt", [COUNT]),
        ("xmlns:w:p", [PING]),
        ("type:get size:>24", [COUNT]),
        ("size:<=25", [PING, COUNT]),
        ("size:184", [TEXT]),
        ("3eb0aa", [TEXT, ACK]),
        ("id:eb0 -ack", [TEXT]),
        ("from:4915", [TEXT]),
        ("to:4915", [ACK]),
        ("peer:4915", [TEXT, ACK]),
        ('"1:5@lid"', [ACK]),
        ("PEER:S.WHATSAPP.NET way:OUT", [PING, COUNT]),
    ],
)
def test_what_passes(text: str, passed: list[Row]) -> None:
    assert [one for one in ROWS if parse_filter(text)(one)] == passed


@pytest.mark.parametrize(
    ("text", "start", "end", "what"),
    [
        ("tag:iq tga:iq", 7, 13, "there is no key 'tga'"),
        ("size:big", 0, 8, "size wants a number"),
        ("way:up", 0, 6, "way is in, out or local"),
        ("ok tag:", 3, 7, "'tag:' lacks a value"),
        ("-", 0, 1, "'-' lacks a value"),
        ('tag:iq "open', 7, 12, "the quote is not closed"),
        ('""', 0, 2, "lacks a value"),
    ],
)
def test_what_does_not_read_is_said_with_its_place(text: str, start: int, end: int, what: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    assert (caught.value.start, caught.value.end) == (start, end)
    assert what in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_reads_or_says_where_not(text: str) -> None:
    try:
        accepts = parse_filter(text)
    except FilterError as error:
        start, end = error.start, error.end
    else:
        assert all(isinstance(accepts(one), bool) for one in ROWS)
        return
    assert 0 <= start < end <= len(text)
