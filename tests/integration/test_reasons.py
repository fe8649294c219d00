"""What a client does when the server ends its connection: restart, wait, wait longer, or stop."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.backoff import Backoff
from waton.client.events import ConnectionStatus, ConnectionUpdate, Event
from waton.errors import BanReason, Disconnected, DisconnectReason
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.lab.server import Lab
from waton.protocol.binary_node import Node
from waton.protocol.stanza import stream

Reason = DisconnectReason
PATIENT = Backoff(first=100.0, cap=100.0, crowded=10.0)


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield lab
    await lab.stop()


@pytest.fixture
async def waton(lab: Lab) -> AsyncGenerator[WatonPeer]:
    """A paired client that is open and waits long before it tries again."""
    async with waton_peer(lab, "Owner") as peer:
        await peer.pair(await lab.add_phone("Owner"))
        peer.client.config = replace(peer.client.config, backoff=PATIENT)
        yield peer


async def ended(waton: WatonPeer, farewell: Node) -> tuple[ConnectionUpdate, float]:
    """Have the lab say this and close; what the client told then, and when."""
    me = waton.client.credentials.me
    assert me is not None
    service = waton.lab.service
    device = service.world.locate(me)
    assert device is not None
    session = service.deliveries.session(device)
    assert session is not None

    def lost(event: Event) -> ConnectionUpdate | None:
        return event if isinstance(event, ConnectionUpdate) and event.error is not None else None

    session.endpoint.end(farewell)
    return await waton.event(lost), waton.lab.clock.now()


def why(update: ConnectionUpdate) -> Disconnected:
    assert isinstance(update.error, Disconnected)
    return update.error


async def test_a_restart_is_done_at_once(waton: WatonPeer) -> None:
    update, _ = await ended(waton, stream.stream_error(515))
    assert (update.status, why(update).reason) == (ConnectionStatus.RECONNECTING, Reason.RESTART_REQUIRED)
    await waton.client.wait_open(10)


async def test_a_second_restart_in_a_row_is_done_at_once_only_after_a_login(waton: WatonPeer) -> None:
    for _ in range(2):
        await ended(waton, stream.stream_error(515))
        await waton.client.wait_open(10)


@pytest.mark.parametrize(
    ("farewell", "reason", "least", "most"),
    [
        (stream.stream_error(500), Reason.BAD_SESSION, 49, 101),
        (stream.stream_error(503), Reason.UNAVAILABLE, 490, 1001),
        (stream.failure(503), Reason.UNAVAILABLE, 490, 1001),
        (stream.stream_error(429), Reason.RATE_LIMITED, 490, 1001),
        (Node("failure", {"reason": "429", "backoff": "7200"}), Reason.RATE_LIMITED, 7190, 7201),
        (Node("failure", {"reason": "500", "backoff": "7200"}), Reason.BAD_SESSION, 7190, 7201),
    ],
)
async def test_a_pause_is_as_long_as_the_server_wants_it(
    waton: WatonPeer, farewell: Node, reason: DisconnectReason, least: float, most: float
) -> None:
    update, now = await ended(waton, farewell)
    assert (update.status, why(update).reason) == (ConnectionStatus.RECONNECTING, reason)
    assert update.retry_at is not None
    assert least < update.retry_at - now < most
    await waton.client.reconnect()  # cuts it short
    await waton.client.wait_open(10)


async def test_a_stanza_that_was_not_acknowledged_is_named(waton: WatonPeer) -> None:
    update, _ = await ended(waton, stream.stream_error(None, Node("ack", {"id": "3EB0AA"})))
    assert (update.status, why(update).stanza) == (ConnectionStatus.RECONNECTING, "3EB0AA")


@pytest.mark.parametrize(
    ("farewell", "reason", "keeps_keys"),
    [
        (stream.stream_error(None, stream.conflict("replaced")), Reason.REPLACED, True),
        (stream.stream_error(409), Reason.REPLACED, True),
        (stream.stream_error(401, stream.conflict("device_removed")), Reason.LOGGED_OUT, False),
        (stream.stream_error(516), Reason.DEVICE_REMOVED, False),
        (stream.failure(401), Reason.LOGGED_OUT, False),
        (stream.failure(403), Reason.FORBIDDEN, True),
        (stream.failure(405), Reason.CLIENT_OUTDATED, True),
        (stream.failure(406), Reason.UNKNOWN_LOGOUT, False),
        (stream.failure(409), Reason.BAD_USER_AGENT, True),
        (stream.failure(418), Reason.CLIENT_UNKNOWN, True),
        (stream.failure(499), Reason.REFUSED, True),
    ],
)
async def test_where_trying_again_does_not_help_it_is_not_tried(
    waton: WatonPeer, farewell: Node, reason: DisconnectReason, keeps_keys: bool
) -> None:
    update, _ = await ended(waton, farewell)
    assert (update.status, why(update).reason) == (ConnectionStatus.CLOSED, reason)
    assert waton.client.credentials.is_paired is keeps_keys


async def test_a_ban_says_what_for_and_how_long(waton: WatonPeer) -> None:
    update, _ = await ended(waton, stream.temporary_ban(101, 3600))
    assert update.status is ConnectionStatus.CLOSED
    assert (why(update).ban, why(update).retry_after) == (BanReason.SENT_TO_TOO_MANY_PEOPLE, 3600.0)
    assert waton.client.credentials.is_paired


async def test_a_send_that_nobody_takes_in_time_says_so_and_leaves_nothing_behind(waton: WatonPeer) -> None:
    await ended(waton, stream.stream_error(503))
    waton.client.config = replace(waton.client.config, query_timeout=0.1)
    someone = await waton.lab.add_phone("Someone")
    with pytest.raises(Disconnected, match="not logged in within"):
        await waton.client.send_text(someone.lid, "to nobody")
    assert not len(waton.client.outbox)
