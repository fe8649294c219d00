"""Lanes: what waits where at this moment, as a table. A picture of one instant, not of the journal.

A message of others passes two families of lanes, one for working on it and one for handing out its events; what is ours
waits in the outbox for the server's ack. Each is strict within a conversation, so one long row says which conversation
is held up, and where.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from waton.client.lanes import LaneLoad
from waton.client.outbox import Entry
from waton.inspect.tables import NUMBER, TEXT, WHOLE, table

_COLUMNS = {"stage": TEXT, "lane": TEXT, "waiting": WHOLE, "seconds": NUMBER}


def lanes_now(
    receiving: Iterable[LaneLoad], telling: Iterable[LaneLoad], outbox: Iterable[Entry], now: float
) -> pd.DataFrame:
    """What waits where: stage, lane, waiting, seconds; no row is nothing to do.

    stage is "receive" (stanzas being worked on), "tell" (events on their way to the subscribers) or "outbox". waiting
    is how many are behind the one under way; in the outbox, how many are not acknowledged. seconds is how long the one
    under way has been at it; in the outbox, since the oldest was last written, missing when that was on no connection
    that still lives.

    Args:
        receiving: `client.lanes.load()`.
        telling: `client.pipeline.load()`.
        outbox: `client.outbox.waiting()`.
        now: Unix seconds.
    """
    rows = [*_loads("receive", receiving), *_loads("tell", telling), *_written(outbox, now)]
    return table(_COLUMNS, rows)


def _loads(stage: str, loads: Iterable[LaneLoad]) -> Iterator[tuple[object, ...]]:
    return ((stage, load.name, load.waiting, round(load.busy, 6)) for load in loads)


def _written(entries: Iterable[Entry], now: float) -> Iterator[tuple[object, ...]]:
    lanes: dict[str, list[Entry]] = {}
    for entry in entries:
        lanes.setdefault(f"{entry.node.tag}:{entry.node.attrs.get('to', '')}", []).append(entry)
    for name, waiting in lanes.items():
        at = waiting[0].written_at
        yield "outbox", name, len(waiting), round(max(0.0, now - at), 6) if at else None
