"""Reconnecting in one round trip, and what happens when the server will not, cannot, or answers badly."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.events import ConnectionStatus
from waton.errors import HandshakeError
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.lab.faults import Defect, Fault, Harm, Moment
from waton.lab.server import Lab
from waton.protocol.binary_node import Node, decode_node
from waton.protocol.credentials import Credentials, KeyPair
from waton.protocol.noise import KnownServer
from waton.protocol.stanza import stream
from waton.protocol.stanza.iq import IqType
from waton.protocol.trace import Layer, Trace, Way

XX, IK, FALLBACK = "XX", "IK", "XXfallback"


@pytest.fixture
def traces() -> list[Trace]:
    """What the lab saw."""
    return []


@pytest.fixture
async def lab(traces: list[Trace]) -> AsyncGenerator[Lab]:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), sink=traces.extend)
    yield lab
    await lab.stop()


def handshakes(traces: list[Trace]) -> list[str]:
    """How each connection that opened was opened, oldest first."""
    opened = [json.loads(trace.detail) for trace in traces if (trace.layer, trace.name) == (Layer.STATE, "connection")]
    return [detail["noise"] for detail in opened if detail["after"] == "open"]


def known(credentials: Credentials) -> tuple[bytes, bytes]:
    return credentials.server_static, credentials.server_chain


async def reopened(waton: WatonPeer) -> None:
    """Reconnect, and wait until that is done."""
    before = waton.client.supervisor.connections
    await waton.client.reconnect()
    await waton.client.wait_open(10)
    assert waton.client.supervisor.connections > before


async def test_a_paired_client_resumes_and_a_restarted_one_does_too(lab: Lab, traces: list[Trace]) -> None:
    phone, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(phone)
        assert handshakes(waton.traces) == [XX, XX], "the registration, and the first login"
        await reopened(waton)
        await waton.restart()
        assert handshakes(waton.traces) == handshakes(traces) == [XX, XX, IK, IK]
        await ada.send_text(waton.lid, "over a resumed connection")
        await waton.message("over a resumed connection")
        await waton.client.send_text(ada.lid, "and back")
        assert (await ada.next_message()).text == "and back"


async def test_an_unpaired_client_keeps_nothing_of_the_server(lab: Lab) -> None:
    async with waton_peer(lab) as waton:
        await waton.client.start()
        await waton.client.wait_status(ConnectionStatus.QR, 10)
        assert known(waton.client.credentials) == (b"", b"")


async def test_a_server_that_declines_costs_a_round_trip(lab: Lab, traces: list[Trace]) -> None:
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(await lab.add_phone("Owner"))
        lab.faults.next(Fault.declined())
        await reopened(waton)
        await reopened(waton)
        assert handshakes(waton.traces)[2:] == handshakes(traces)[2:] == [FALLBACK, IK]


async def test_a_server_with_another_key_is_learnt(lab: Lab) -> None:
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(await lab.add_phone("Owner"))
        before = known(waton.client.credentials)
        assert before[0] == lab.authority.static.public
        lab.authority = replace(lab.authority, static=KeyPair.of(bytes(range(32))))
        await reopened(waton)
        assert waton.client.credentials.server_static == lab.authority.static.public != before[0]
        await reopened(waton)
        assert handshakes(waton.traces)[2:] == [FALLBACK, IK]


@pytest.mark.parametrize(
    "fault",
    [Fault.frame(Harm.GARBAGE, Moment.SERVER_HELLO), *(Fault.certificate(defect) for defect in Defect)],
    ids=str,
)
async def test_a_bad_answer_costs_the_kept_key_and_is_made_good_in_full(lab: Lab, fault: Fault) -> None:
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(await lab.add_phone("Owner"))
        lab.faults.next(fault)
        before = waton.client.supervisor.connections
        await waton.client.reconnect()
        await waton.client.wait_open(10)
        assert waton.client.supervisor.connections == before + 2
        assert handshakes(waton.traces)[2:] == [XX]
        assert known(waton.client.credentials)[0] == lab.authority.static.public
        await reopened(waton)
        assert handshakes(waton.traces)[2:] == [XX, IK]


async def test_a_server_that_is_bad_in_full_too_is_given_up(lab: Lab) -> None:
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(await lab.add_phone("Owner"))
        lab.faults.next(Fault.certificate(Defect.LEAF_SIGNATURE), connections=2)
        await waton.client.reconnect()
        with pytest.raises(HandshakeError):
            await waton.client.wait_status(ConnectionStatus.CONNECTING, 10)
        assert known(waton.client.credentials) == (b"", b"")


@pytest.mark.parametrize("harm", [Harm.CLOSE, Harm.TRUNCATED])
async def test_a_wire_that_broke_in_the_handshake_costs_one_full_handshake_and_not_the_key(
    lab: Lab, harm: Harm
) -> None:
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(await lab.add_phone("Owner"))
        lab.faults.next(Fault.frame(harm, Moment.SERVER_HELLO))
        await reopened(waton)
        assert handshakes(waton.traces)[2:] == [XX]
        await reopened(waton)
        assert handshakes(waton.traces)[2:] == [XX, IK]


async def test_a_chain_that_has_run_out_is_not_resumed_with(lab: Lab) -> None:
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(await lab.add_phone("Owner"))
        mine = waton.client.credentials
        expired = lab.authority.chain(lab.clock.now(), lab.entropy, Defect.DATES)
        async with waton.client.pipeline.step() as step:
            waton.client.account.keep(step, mine.evolve(server_chain=expired))
        await reopened(waton)
        assert handshakes(waton.traces)[2:] == [XX]
        assert KnownServer(*known(waton.client.credentials)).is_good(lab.root, lab.clock.now())
        await reopened(waton)
        assert handshakes(waton.traces)[2:] == [XX, IK]


async def test_resuming_can_be_switched_off(lab: Lab) -> None:
    async with waton_peer(lab, "Owner") as waton:
        waton.client.config = replace(waton.client.config, resume=False)
        await waton.pair(await lab.add_phone("Owner"))
        await reopened(waton)
        assert handshakes(waton.traces) == [XX, XX, XX]


async def test_logging_out_forgets_the_server(lab: Lab) -> None:
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(await lab.add_phone("Owner"))
        assert known(waton.client.credentials)[0]
        await waton.client.logout()
        assert known(waton.client.credentials) == (b"", b"")


async def test_the_route_is_said_on_the_next_connection(lab: Lab, traces: list[Trace]) -> None:
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(await lab.add_phone("Owner"))
        assert not [trace for trace in traces if trace.name == "lab.routed"]
        await reopened(waton)
        [routed] = [json.loads(trace.detail) for trace in traces if trace.name == "lab.routed"]
        assert routed["known"] is True


async def test_a_login_measures_the_servers_clock_and_a_ping_the_way(lab: Lab) -> None:
    async with waton_peer(lab, "Owner") as waton:
        await waton.pair(await lab.add_phone("Owner"))
        first = waton.client.supervisor.keepalive
        assert first is not None
        assert first.skew is not None, "by the success of the login"
        assert first.round_trip is None, "the first ping is still to come"
        waton.client.config = replace(waton.client.config, keepalive=0.05)
        await reopened(waton)
        keepalive = waton.client.supervisor.keepalive
        assert keepalive is not None
        assert keepalive is not first
        while keepalive.round_trip is None:
            await waton.client.query("w:p", IqType.GET, None)
        assert keepalive.skew is not None
        assert abs(keepalive.skew) <= 0.5 + keepalive.round_trip, "one machine, one clock"
        told = [json.loads(trace.detail) for trace in waton.traces if trace.name == "keepalive"]
        assert {"by", "skew_ms"} == set(told[0])
        assert {"by", "round_trip_ms", "skew_ms"} == set(told[-1])


class FastClock:
    """ports.Clock of a server that is an hour ahead."""

    def now(self) -> float:
        return SystemClock().now() + 3600


async def test_what_is_told_by_the_servers_clock_is_told_by_the_servers_clock() -> None:
    lab = await Lab.start(clock=FastClock(), entropy=SystemEntropy())
    try:
        async with waton_peer(lab, "Owner") as waton:
            await waton.pair(lab.phones[0])
            assert abs(waton.client.supervisor.skew - 3600) < 30
            while not (told := unified_sessions(waton.traces)):
                await waton.client.query("w:p", IqType.GET, None)
            said, session = told[0]
            expected = stream.unified_session(int((said.at + 3600) * 1000)).children()[0]
            assert abs(int(str(session.attrs["id"])) - int(str(expected.attrs["id"]))) < 30_000
    finally:
        await lab.stop()


def unified_sessions(traces: list[Trace]) -> list[tuple[Trace, Node]]:
    ibs = [trace for trace in traces if (trace.layer, trace.way, trace.name) == (Layer.NODE, Way.OUT, "ib")]
    told = [(trace, decode_node(trace.data).child("unified_session")) for trace in ibs]
    return [(trace, session) for trace, session in told if session is not None]
