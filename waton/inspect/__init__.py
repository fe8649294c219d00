"""Inspectors: pure functions over captures, answering with DataFrames and values.

    deliveries(analysis), writings(analysis)     what became of each message, and each stanza of it
    retries(analysis)                            what could not be read, and what was done about it
    connections(analysis)                        what the connection was at, and why
    timeline(analysis, lab=...)                  all of it in time, for a widget or a test
    lanes_now(...)                               what waits where at this moment

They ask an `Analysis` of a journal and keep nothing. A session has each of them as a verb of its own.
"""

from waton.inspect.delivery import connections, deliveries, retries, writings
from waton.inspect.delivery_timeline import timeline
from waton.inspect.lanes import lanes_now
from waton.inspect.story_fold import read_stories
from waton.inspect.timeline import Kind, Lane, Point, Shape, Span, Timeline, Tone, assemble

__all__ = [
    "Kind",
    "Lane",
    "Point",
    "Shape",
    "Span",
    "Timeline",
    "Tone",
    "assemble",
    "connections",
    "deliveries",
    "lanes_now",
    "read_stories",
    "retries",
    "timeline",
    "writings",
]
