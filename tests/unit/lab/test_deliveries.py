"""Queues: in order, marked when they waited, again until acknowledged, never more in flight than the window."""

import pytest

from tests.unit.lab.worlds import Bench, Companion
from waton.lab.phone import Phone
from waton.protocol.binary_node import Node, require_child
from waton.protocol.stanza import iq, stream
from waton.protocol.stanza.receipt import ack


@pytest.fixture
async def ada(bench: Bench) -> Phone:
    return (await bench.phones("Ada"))[0]


@pytest.fixture
def companion(bench: Bench, ada: Phone) -> Companion:
    return Companion.link(bench, ada)


def queue(bench: Bench, companion: Companion, *ids: str) -> None:
    for id in ids:
        node = Node("notification", {"id": id, "from": companion.device.account.pn, "type": "test"})
        bench.service.deliveries.put(companion.device, node)


def told(nodes: list[Node]) -> list[str]:
    """ids of notifications, names of ib children, in order."""
    return [str(node.attrs["id"]) if node.tag == "notification" else node.children()[0].tag for node in nodes]


def test_a_login_gets_preview_queue_and_end_in_order(bench: Bench, companion: Companion) -> None:
    queue(bench, companion, "a", "b")
    nodes = companion.login().take()
    assert told(nodes) == ["offline_preview", "a", "b", "offline"]
    preview = require_child(nodes[0], "offline_preview")
    assert (preview.attrs["count"], preview.attrs["notification"], preview.attrs["message"]) == ("2", "2", "0")
    assert [node.attrs["offline"] for node in nodes[1:3]] == ["0", "1"]
    assert require_child(nodes[3], "offline").attrs["count"] == "2"


def test_an_empty_queue_says_so(companion: Companion) -> None:
    nodes = companion.login().take()
    assert told(nodes) == ["offline_preview", "offline"]
    assert [node.children()[0].attrs["count"] for node in nodes] == ["0", "0"]


def test_nothing_comes_before_the_client_is_active(bench: Bench, companion: Companion) -> None:
    queue(bench, companion, "a")
    assert companion.login(active=False).take() == []
    queue(bench, companion, "b")
    assert companion.endpoint.take() == []


def test_what_comes_live_is_not_marked(bench: Bench, companion: Companion) -> None:
    companion.login().take()
    queue(bench, companion, "a")
    (live,) = companion.endpoint.take()
    assert "offline" not in live.attrs


def test_what_was_not_acknowledged_comes_again(bench: Bench, companion: Companion) -> None:
    queue(bench, companion, "a", "b", "c")
    nodes = companion.login().take("notification")
    companion.post(ack(nodes[1]))
    assert told(companion.login().take("notification")) == ["a", "c"]


def test_the_window_bounds_what_is_in_flight(bench: Bench, companion: Companion) -> None:
    queue(bench, companion, *(f"n{number}" for number in range(5)))
    assert companion.login(active=False) is companion.endpoint
    companion.post(stream.offline_batch(2))
    companion.ask("passive", iq.IqType.SET, [Node("active")])
    first = companion.endpoint.take()
    assert told(first) == ["offline_preview", "n0", "n1"]
    queue(bench, companion, "live")
    assert companion.endpoint.take() == []
    companion.post(ack(first[1]))
    second = companion.endpoint.take()
    assert told(second) == ["n2"]
    companion.post(stream.offline_batch(100))
    # The rest, the end, and only then what came meanwhile.
    assert told(companion.endpoint.take()) == ["n3", "n4", "offline", "live"]


def test_an_acknowledgement_does_not_mean_what_has_not_come_yet(bench: Bench, companion: Companion) -> None:
    queue(bench, companion, "a", "b", "c")
    companion.login(active=False)
    companion.post(stream.offline_batch(1))
    companion.ask("passive", iq.IqType.SET, [Node("active")])
    (first,) = companion.endpoint.take("notification")
    queue(bench, companion, "a")  # as an answer to a retry, it has the id of what it answers
    companion.post(ack(first))
    (second,) = companion.endpoint.take("notification")
    companion.post(ack(first))
    companion.post(ack(second))
    assert told(companion.endpoint.take()) == ["c", "offline", "a"]


def test_a_second_login_replaces_the_first(bench: Bench, companion: Companion) -> None:
    older = companion.login()
    older.take()
    newer = companion.login()
    (farewell,) = older.take()
    assert require_child(farewell, "conflict").attrs["type"] == "replaced"
    assert older.ended
    queue(bench, companion, "a")
    assert "a" in told(newer.take())


def test_the_end_of_a_replaced_login_changes_nothing(bench: Bench, companion: Companion) -> None:
    companion.login()
    older = companion.session
    companion.login().take()
    assert older is not None
    bench.service.deliveries.detach(older)
    queue(bench, companion, "a")
    assert told(companion.endpoint.take()) == ["a"]


def test_what_a_failed_step_queued_is_not_sent(bench: Bench, companion: Companion) -> None:
    companion.login().take()

    def broken() -> None:
        with bench.service.world.step():
            queue(bench, companion, "a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert companion.endpoint.take() == []
    queue(bench, companion, "b")
    assert told(companion.endpoint.take()) == ["b"]
