"""A timeline as a picture: one SVG, without script or font, that a saved notebook shows where nothing runs.

It draws what timeline.js draws, at one zoom, in colours that suit a light page and a dark one, for a picture does not
know on which it stands. Every text is escaped: names and titles may come from others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from waton.inspect.timeline import Kind, Lane, Point, Shape, Span, Timeline, Tone

_WIDTH, _GUTTER, _RIGHT, _AXIS, _LEGEND = 960, 128, 12, 22, 20
_ROW, _ALONE, _PAD = 12, 24, 5
"""Pixels, as in timeline.js."""
_INK, _LINE = "#7a828c", "#8884"
"""Of text and lines: in sight on white and on black."""
_TONES = {
    Tone.OUT: "#c9762a", Tone.IN: "#2f9e6e", Tone.GOOD: "#2f9e6e", Tone.BUSY: "#d08a2c", Tone.BAD: "#e0564f",
    Tone.ACCENT: "#3d8fe0", Tone.QUIET: "#8b949e",
}  # fmt: skip
_STEPS = (1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 21600)
_TITLE = 200
"""Characters of one text."""
_LETTER = 6.1
"""Pixels of an average letter at 11 px."""


@dataclass(frozen=True, slots=True, repr=False)
class Picture:
    """An SVG that a notebook shows."""

    svg: str
    summary: str

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<Picture: {self.summary}>"


@dataclass(frozen=True, slots=True)
class _Scale:
    start: float
    end: float
    tops: dict[str, float]
    lanes: dict[str, Lane]
    height: float

    def x(self, at: float) -> float:
        share = (at - self.start) / (self.end - self.start)
        return _GUTTER + share * (_WIDTH - _GUTTER - _RIGHT)

    def y(self, mark: Span | Point) -> float:
        """The middle of a mark's row."""
        top = self.tops[mark.lane]
        return top + _ALONE / 2 if self.is_alone(mark) else top + _PAD + mark.row * _ROW + _ROW / 2

    def is_alone(self, mark: Span | Point) -> bool:
        return self.lanes[mark.lane].rows <= 1


def draw(timeline: Timeline, start: float | None = None, end: float | None = None) -> Picture:
    """The picture of a timeline, or of a part of it.

    Args:
        timeline: what to draw.
        start: Unix seconds; None is its beginning.
        end: Unix seconds; None is its end.
    """
    scale = _scale(timeline, start, end)
    spans = [span for span in timeline.spans if span.start <= scale.end and (span.end or scale.end) >= scale.start]
    points = [point for point in timeline.points if scale.start <= point.at <= scale.end]
    kinds = {kind.name: kind for kind in timeline.kinds}
    legend, below = _legend([kind for kind in timeline.kinds if _occurs(kind, spans, points)], scale.height + 8)
    parts = [
        *_ground(scale),
        *_shades(scale, spans, kinds),
        *_ticks(scale),
        *(part for span in spans for part in _span(scale, span, kinds[span.kind])),
        *_strokes(scale, points, kinds),
        *(_point(scale, point, kinds[point.kind]) for point in points if kinds[point.kind].shape is not Shape.TICK),
        *legend,
    ]
    size = f'viewBox="0 0 {_WIDTH} {below:.0f}" width="100%" style="max-width: {_WIDTH}px"'
    font = 'font-family="system-ui, sans-serif" font-size="11"'
    title = f"{len(spans)} spans and {len(points)} points, {scale.end - scale.start:.1f} s"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} {font}><title>{title}</title>{"".join(parts)}</svg>'
    )
    return Picture(svg, title)


def _occurs(kind: Kind, spans: Iterable[Span], points: Iterable[Point]) -> bool:
    return any(mark.kind == kind.name for marks in (spans, points) for mark in marks)


def _scale(timeline: Timeline, start: float | None, end: float | None) -> _Scale:
    first = timeline.start if start is None else start
    last = timeline.end if end is None else end
    tops: dict[str, float] = {}
    top = float(_AXIS)
    for lane in timeline.lanes:
        tops[lane.key] = top
        top += _ALONE if lane.rows <= 1 else lane.rows * _ROW + 2 * _PAD
    return _Scale(first, max(last, first + 1e-3), tops, {lane.key: lane for lane in timeline.lanes}, top)


def _ground(scale: _Scale) -> Iterator[str]:
    for place, (key, top) in enumerate(scale.tops.items()):
        lane = scale.lanes[key]
        height = _ALONE if lane.rows <= 1 else lane.rows * _ROW + 2 * _PAD
        if place % 2 == 0:
            yield _rect(0, top, _WIDTH, height, 'fill="#8881"')
        yield _text(8, top + 16, lane.label[: int((_GUTTER - 12) / _LETTER)], _INK)


def _shades(scale: _Scale, spans: Iterable[Span], kinds: Mapping[str, Kind]) -> Iterator[str]:
    for span in spans:
        kind = kinds[span.kind]
        if kind.shades:
            left, right = _edges(scale, span)
            look = f'fill="{_TONES[kind.tone]}" opacity="0.14"'
            yield _rect(left, _AXIS, max(right - left, 1), scale.height - _AXIS, look)


def _ticks(scale: _Scale) -> Iterator[str]:
    wide = scale.end - scale.start
    step = next((step for step in _STEPS if wide / step <= 10), _STEPS[-1])
    at = math.ceil(scale.start / step) * step
    for _ in range(min(200, int(wide / step) + 1)):
        if at > scale.end:
            return
        x = scale.x(at)
        yield f'<path d="M{x:.1f} {_AXIS}V{scale.height:.0f}" stroke="{_LINE}"/>'
        if _GUTTER + 20 < x < _WIDTH - 24:
            yield _text(x, 14, _clock(at, step), _INK, "middle")
        at += step


def _clock(at: float, step: float) -> str:
    """UTC: a picture does not know where it is looked at."""
    digits = max(0, -math.floor(math.log10(step))) if step < 1 else 0
    moment = datetime.fromtimestamp(round(at, digits), UTC)
    return f"{moment:%H:%M:%S}" + (f".{moment.microsecond:06d}"[: digits + 1] if digits else "")


def _edges(scale: _Scale, span: Span) -> tuple[float, float]:
    left = scale.x(max(span.start, scale.start))
    return left, scale.x(min(scale.end if span.end is None else span.end, scale.end))


def _span(scale: _Scale, span: Span, kind: Kind) -> Iterator[str]:
    left, right = _edges(scale, span)
    wide, y = max(right - left, 2), scale.y(span)
    is_bar, is_alone = kind.shape is Shape.BAR, scale.is_alone(span)
    high = 2 if not is_bar else 14 if is_alone else 8
    look = f'rx="{min(3, wide / 2):.1f}" fill="{_TONES[kind.tone]}" opacity="{0.45 if span.end is None else 0.85}"'
    yield f"<g><title>{_escaped(span.title)}</title>{_rect(left, y - high / 2, wide, high, look)}</g>"
    if is_bar and is_alone and len(span.title) * _LETTER + 10 < wide:
        yield _text(left + 5, y + 4, span.title, "#fff")


def _strokes(scale: _Scale, points: Iterable[Point], kinds: Mapping[str, Kind]) -> Iterator[str]:
    """Upright strokes, of which there may be very many: all of a tone in one path, without notes."""
    paths: dict[Tone, list[str]] = {}
    for point in points:
        kind = kinds[point.kind]
        if kind.shape is Shape.TICK:
            size = _size(scale, point)
            paths.setdefault(kind.tone, []).append(f"M{scale.x(point.at):.1f} {scale.y(point) - size:.1f}v{2 * size}")
    for tone, path in paths.items():
        yield f'<path d="{"".join(path)}" stroke="{_TONES[tone]}" stroke-width="1.5"/>'


def _size(scale: _Scale, point: Point) -> int:
    return 7 if scale.is_alone(point) else 5


def _point(scale: _Scale, point: Point, kind: Kind) -> str:
    shape = _shape(kind, scale.x(point.at), scale.y(point), _size(scale, point))
    return f"<g><title>{_escaped(point.title)}</title>{shape}</g>"


def _shape(kind: Kind, x: float, y: float, size: float) -> str:
    tone = _TONES[kind.tone]
    stroke = f'fill="none" stroke="{tone}" stroke-width="2"'
    arm = size * 0.72
    match kind.shape:
        case Shape.CROSS:
            wide = f"{2 * arm:.1f}"
            return f'<path d="M{x - arm:.1f} {y - arm:.1f}l{wide} {wide}m0 -{wide}l-{wide} {wide}" {stroke}/>'
        case Shape.DIAMOND:
            path = f"M{x:.1f} {y - size:.1f}l{size} {size}l{-size} {size}l{-size} {-size}z"
            return f'<path d="{path}" fill="{tone}"/>'
        case Shape.TICK:
            return f'<path d="M{x:.1f} {y - size:.1f}v{2 * size}" {stroke}/>'
        case Shape.RING:
            look = f'fill="#fff" stroke="{tone}" stroke-width="2"'
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size * 0.65:.1f}" {look}/>'
        case Shape.BAR | Shape.LINE:
            high = 8 if kind.shape is Shape.BAR else 2
            return _rect(x - 7, y - high / 2, 14, high, f'rx="2" fill="{tone}"')
        case Shape.DOT:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size * 0.7:.1f}" fill="{tone}"/>'


def _legend(kinds: Iterable[Kind], top: float) -> tuple[list[str], float]:
    """The legend, and where it ends."""
    parts: list[str] = []
    x, y = 12.0, top + 10
    for kind in kinds:
        wide = 26 + len(kind.label) * _LETTER
        if x + wide > _WIDTH:
            x, y = 12.0, y + _LEGEND
        parts += [_shape(kind, x + 6, y, 5), _text(x + 17, y + 4, kind.label, _INK)]
        x += wide
    return parts, y + _LEGEND / 2 + 2


def _rect(x: float, y: float, wide: float, high: float, look: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" {look}/>'


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{_escaped(text)}</text>'


def _escaped(text: str) -> str:
    """Fit for XML, which has no way to write a control character."""
    return escape("".join(letter if letter.isprintable() else "\ufffd" for letter in text[:_TITLE]))
