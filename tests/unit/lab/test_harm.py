"""Frames are cut short of their end, or changed in one bit behind their length; farewells say their code."""

from hypothesis import given
from hypothesis import strategies as st

from waton.lab.harm import cut_short, farewell, flipped
from waton.protocol.framing import frame

FRAMES = st.binary(min_size=1, max_size=300).map(frame)
PLACES = st.floats(0, 1, exclude_max=True)


@given(FRAMES, PLACES)
def test_a_part_of_a_frame_is_neither_nothing_nor_all(data: bytes, place: float) -> None:
    part = cut_short(data, place)
    assert 0 < len(part) < len(data)
    assert data.startswith(part)


@given(FRAMES, PLACES)
def test_one_bit_behind_the_length_is_flipped(data: bytes, place: float) -> None:
    harmed = flipped(data, place)
    assert harmed[:3] == data[:3]
    assert sum((one ^ other).bit_count() for one, other in zip(data, harmed, strict=True)) == 1


def test_the_whole_body_can_be_struck() -> None:
    data = frame(bytes(10))
    assert flipped(data, 0.0) == data[:3] + b"\1" + bytes(9)
    assert flipped(data, 0.999) == data[:-1] + b"\1"
    assert len(cut_short(data, 0.999)) == len(data) - 1


def test_a_login_is_failed_and_a_stream_is_ended() -> None:
    assert farewell("503", is_login=True).tag == "failure"
    assert farewell("503", is_login=False).attrs["code"] == "503"
    assert farewell("515", is_login=True).tag == "stream:error"
    assert farewell("replaced", is_login=True).children()[0].attrs["type"] == "replaced"
