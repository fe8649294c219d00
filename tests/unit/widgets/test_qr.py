"""The QR's path, drawn again module by module, against segno's own matrix."""

import re

import segno
from hypothesis import given
from hypothesis import strategies as st

from waton.widgets.qr import QUIET_ZONE, qr_path


def modules(d: str, size: int) -> list[list[int]]:
    """The path drawn into a grid."""
    grid = [[0] * size for _ in range(size)]
    runs = re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", d)
    assert "".join(f"M{x} {y}h{width}v1h-{back}z" for x, y, width, back in runs) == d
    for x, y, width, back in (map(int, run) for run in runs):
        assert width == back
        grid[y][x : x + width] = [1] * width
    return grid


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=300))
def test_the_path_is_the_code(text: str) -> None:
    path = qr_path(text)
    expected = segno.make_qr(text, error="l", boost_error=False).matrix_iter(border=QUIET_ZONE)
    assert modules(path.d, path.size) == [list(row) for row in expected]


def test_its_repr_holds_nothing() -> None:
    assert "M" not in repr(qr_path("secret")).removeprefix("<waton.widgets.qr.QrPath")
