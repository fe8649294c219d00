"""What waits where, from loads and an outbox of which everything is known."""

import pandas as pd

from waton.client.lanes import LaneLoad
from waton.client.outbox import Entry
from waton.inspect import lanes_now
from waton.jid import Jid
from waton.protocol.binary_node import Node

ADA, BOB = Jid.parse("77000000000001@lid"), Jid.parse("77000000000002@lid")


def entry(key: str, to: Jid, written: float) -> Entry:
    return Entry(key, Node("message", {"id": key, "to": to}), written_at=written)


async def test_each_stage_says_what_waits_in_which_lane() -> None:
    outbox = [entry("1", ADA, 90.0), entry("2", BOB, 0.0), entry("3", ADA, 95.0)]
    table = lanes_now([LaneLoad("chat:a", 3, 1.5)], [LaneLoad("connection", 0, 0.0)], outbox, 100.0)
    assert list(table["stage"]) == ["receive", "tell", "outbox", "outbox"]
    assert list(table["lane"]) == ["chat:a", "connection", f"message:{ADA}", f"message:{BOB}"]
    assert list(table["waiting"]) == [3, 0, 2, 1]
    assert table["seconds"].to_list() == [1.5, 0.0, 10.0, pd.NA]  # by the oldest; the other is on no connection


def test_nothing_to_do_is_no_row() -> None:
    table = lanes_now([], [], [], 100.0)
    assert list(table.columns) == ["stage", "lane", "waiting", "seconds"]
    assert len(table) == 0
