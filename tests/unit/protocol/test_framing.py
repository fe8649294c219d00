"""Frames: the intro byte for byte, every way a stream can be cut, and what is refused before it costs memory."""

from __future__ import annotations

import pytest

from waton.errors import LocalProtocolError, RemoteProtocolError
from waton.protocol.framing import MAX_FRAME, PROLOGUE, FrameReader, frame, intro


def bodies(reader: FrameReader, data: bytes) -> list[bytes]:
    """The bodies that this data completes."""
    return list(reader.feed(data))


BODIES = [b"\x01", b"two bodies", bytes(300), b"\xff" * 70_000, b"z"]
STREAM = b"".join(frame(body) for body in BODIES)
WITH_ROUTE = bytes.fromhex("45440001000003aabbcc57410603") + frame(b"\x01\x02") + frame(b"next")


def test_intro_and_frame_byte_for_byte() -> None:
    # Source: Baileys Utils/noise-handler.ts with routing info aa bb cc and a first frame of 01 02.
    assert (intro(bytes.fromhex("aabbcc")) + frame(b"\x01\x02")).hex() == "45440001000003aabbcc57410603" + "0000020102"
    assert intro() == bytes.fromhex("57410603")


def test_length_is_big_endian_over_three_bytes() -> None:
    assert frame(bytes(0x0102))[:3] == bytes.fromhex("000102")
    assert frame(bytes(0x030201))[:3] == bytes.fromhex("030201")


def test_the_longest_body_and_one_more() -> None:
    longest = frame(bytes(MAX_FRAME))
    assert longest[:3] == b"\xff\xff\xff"
    assert bodies(FrameReader(expect_intro=False), longest) == [bytes(MAX_FRAME)]
    with pytest.raises(LocalProtocolError):
        frame(bytes(MAX_FRAME + 1))


def test_several_frames_in_one_message() -> None:
    reader = FrameReader(expect_intro=False)
    assert bodies(reader, STREAM) == BODIES
    assert reader.buffered == 0


def test_cut_in_two_at_every_byte() -> None:
    stream = b"".join(frame(body) for body in (b"\x01", b"two bodies", bytes(40)))
    for cut in range(len(stream) + 1):
        reader = FrameReader(expect_intro=False)
        assert bodies(reader, stream[:cut]) + bodies(reader, stream[cut:]) == [b"\x01", b"two bodies", bytes(40)]


def test_one_byte_at_a_time() -> None:
    reader = FrameReader(expect_intro=False)
    found = [body for byte in STREAM[:400] for body in bodies(reader, bytes([byte]))]
    assert found == BODIES[:3]


@pytest.mark.parametrize("stream", [PROLOGUE + frame(b"\x01\x02") + frame(b"next"), WITH_ROUTE])
def test_the_intro_cut_at_every_byte(stream: bytes) -> None:
    for cut in range(len(stream) + 1):
        reader = FrameReader(expect_intro=True)
        assert bodies(reader, stream[:cut]) + bodies(reader, stream[cut:]) == [b"\x01\x02", b"next"], cut


@pytest.mark.parametrize("stream", [PROLOGUE + frame(b"\x01\x02"), WITH_ROUTE])
def test_the_intro_one_byte_at_a_time(stream: bytes) -> None:
    reader = FrameReader(expect_intro=True)
    assert next(body for byte in stream for body in bodies(reader, bytes([byte]))) == b"\x01\x02"


def test_routing_info_is_told() -> None:
    reader = FrameReader(expect_intro=True)
    bodies(reader, WITH_ROUTE)
    assert reader.routing_info == bytes.fromhex("aabbcc")
    plain = FrameReader(expect_intro=True)
    bodies(plain, PROLOGUE)
    assert plain.routing_info == b""


def test_an_intro_is_expected_once_only() -> None:
    reader = FrameReader(expect_intro=True)
    assert bodies(reader, PROLOGUE + frame(b"a")) == [b"a"]
    assert bodies(reader, PROLOGUE) == []  # the beginning of a frame of 0x574106 bytes now
    assert reader.buffered == 4


@pytest.mark.parametrize(
    "garbage",
    [
        b"X",
        b"W0",
        b"WA\x06\x02",  # dictionary version 2
        b"WA\x05\x03",
        b"ED\x00\x02\x00\x00\x00",
        b"EX",
        b"ED\x00\x01\x00\x00\x00WA\x06\x04",
        b"ED\x00\x01\x00\x00\x01rWB\x06\x03",
        b"GET / HTTP/1.1\r\n",
        bytes(20),
    ],
)
def test_another_intro_is_refused(garbage: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        bodies(FrameReader(expect_intro=True), garbage)


@pytest.mark.parametrize("stream", [b"\x00\x00\x00", frame(b"a") + b"\x00\x00\x00" + frame(b"b")])
def test_an_empty_frame_is_refused(stream: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="empty"):
        bodies(FrameReader(expect_intro=False), stream)


def test_a_frame_above_the_limit_is_refused_by_its_length_alone() -> None:
    limit = 100
    assert bodies(FrameReader(expect_intro=False, limit=limit), frame(bytes(limit))) == [bytes(limit)]
    reader = FrameReader(expect_intro=False, limit=limit)
    with pytest.raises(RemoteProtocolError, match="101"):
        bodies(reader, (limit + 1).to_bytes(3, "big"))


def test_routing_info_above_the_limit_is_refused_by_its_length_alone() -> None:
    reader = FrameReader(expect_intro=True, limit=100)
    with pytest.raises(RemoteProtocolError, match="routing"):
        bodies(reader, b"ED\x00\x01" + (101).to_bytes(3, "big"))
    assert bodies(FrameReader(expect_intro=True, limit=100), intro(bytes(100)) + frame(b"a")) == [b"a"]


def test_no_more_than_one_unfinished_frame_is_kept() -> None:
    limit = 1_000
    reader = FrameReader(expect_intro=False, limit=limit)
    piece = b"".join(frame(bytes([fill]) * 999) for fill in range(7))
    most = 0
    for start in range(0, len(piece), 700):
        bodies(reader, piece[start : start + 700])
        most = max(most, reader.buffered)
    assert 0 < most < limit + 3
    assert reader.buffered == 0


def test_bodies_before_a_fault_are_not_lost_with_it() -> None:
    reader = FrameReader(expect_intro=False)
    cut = reader.feed(frame(b"sound") + bytes(3))
    assert next(cut) == b"sound"
    with pytest.raises(RemoteProtocolError):
        next(cut)


def test_a_raised_limit_counts_for_what_came_along() -> None:
    reader = FrameReader(expect_intro=False, limit=10)
    cut = reader.feed(frame(b"finish") + frame(bytes(50)))
    assert next(cut) == b"finish"
    reader.limit = 100
    assert next(cut) == bytes(50)
