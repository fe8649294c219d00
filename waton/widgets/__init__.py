"""Widgets for notebooks: pairing, frames, chat, timeline, parity.

Each is an anywidget class with a hand-written ES module and style sheet beside it. Nothing is fetched: the only line a
widget has is its kernel. A widget knows its *source* by protocol (`sources`), so that a session, a capture or a test
can stand behind the same view.

What must stay true: no row, message, address or QR is ever a trait. Traits are saved with the notebook; everything a
view shows goes to it as custom messages and is gone with it, and a view that is drawn again asks again (`hello`).
"""

from waton.widgets.chat import ChatWidget
from waton.widgets.frames import FramesWidget
from waton.widgets.pairing import PairingWidget
from waton.widgets.parity import ParityWidget
from waton.widgets.row_filter import FilterError
from waton.widgets.sources import ChatSource, PairingSource, TraceSource
from waton.widgets.timeline import TimelineWidget

__all__ = [
    "ChatSource",
    "ChatWidget",
    "FilterError",
    "FramesWidget",
    "PairingSource",
    "PairingWidget",
    "ParityWidget",
    "TimelineWidget",
    "TraceSource",
]
