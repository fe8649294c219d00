"""A hostile, broken or dying server while a client pairs: the named error, and a next attempt that works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest

from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.events import ConnectionStatus, ConnectionUpdate, Event
from waton.errors import (
    Disconnected,
    HandshakeError,
    HandshakeStep,
    PairingError,
    PairingStep,
    RemoteProtocolError,
    WatonError,
)
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.lab.faults import Defect, Fault, Harm, Moment, Vouching
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.protocol.trace import Layer


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield lab
    await lab.stop()


class Attempt:
    """Pairs a client whatever happens: scans every QR, connects again whenever the client has given up."""

    def __init__(self, peer: WatonPeer, phone: Phone) -> None:
        self._peer = peer
        self._phone = phone
        self._updates: asyncio.Queue[ConnectionUpdate] = asyncio.Queue()
        self.errors: list[Exception] = []
        self.gave_up = 0

    def _look(self, event: Event) -> None:
        if isinstance(event, ConnectionUpdate):
            self._updates.put_nowait(event)

    async def run(self) -> None:
        client = self._peer.client
        client.subscribe(self._look)
        await client.start()
        async with asyncio.timeout(20):
            while (update := await self._updates.get()).status is not ConnectionStatus.OPEN:
                if update.error is not None:
                    self.errors.append(update.error)
                if update.status is ConnectionStatus.QR and update.qr is not None:
                    await self._scan(update.qr)
                if update.status is ConnectionStatus.CLOSED:
                    self.gave_up += 1
                    await client.reconnect()

    async def _scan(self, qr: str) -> None:
        with suppress(WatonError):  # the connection went away while the phone was at it; another QR follows
            await self._phone.scan(qr)


async def attempt(lab: Lab, fault: Fault) -> tuple[WatonPeer, Attempt]:
    """Pair under this fault on the first connection; the client is open when this returns."""
    phone = await lab.add_phone("Owner")
    lab.faults.next(fault)
    async with waton_peer(lab, "Owner") as peer:
        made = Attempt(peer, phone)
        await made.run()
        assert len(lab.faults) == 0
        # It works: a text goes to the phone and is read there.
        result = await peer.client.send_text(phone.lid.bare, "after all that")
        assert result.is_accepted
        assert (await phone.next_message(timeout=5, from_me=True)).text == "after all that"
        return peer, made


CERTIFICATES = {
    Defect.UNKNOWN_ROOT: HandshakeStep.INTERMEDIATE_SIGNATURE,
    Defect.INTERMEDIATE_SIGNATURE: HandshakeStep.INTERMEDIATE_SIGNATURE,
    Defect.LEAF_SIGNATURE: HandshakeStep.LEAF_SIGNATURE,
    Defect.INTERMEDIATE_ISSUER: HandshakeStep.CERTIFICATE_ROOT,
    Defect.LEAF_ISSUER: HandshakeStep.LEAF_ISSUER,
    Defect.LEAF_KEY: HandshakeStep.LEAF_KEY,
    Defect.DATES: HandshakeStep.CERTIFICATE_DATES,
}


@pytest.mark.parametrize("defect", Defect)
async def test_each_certificate_defect_is_refused_by_name(lab: Lab, defect: Defect) -> None:
    peer, made = await attempt(lab, Fault.certificate(defect))
    first = made.errors[0]
    assert isinstance(first, HandshakeError)
    assert first.step is CERTIFICATES[defect]
    assert made.gave_up == 1, "a bad certificate is not retried on its own"
    # Nothing of ours went to a server that did not prove itself: no payload, so no second frame.
    sent = [
        trace for trace in peer.traces if trace.layer is Layer.FRAME and trace.way == "out" and trace.connection == 1
    ]
    assert [trace.name for trace in sent] == ["client_hello"]


@pytest.mark.parametrize(
    ("wrong", "step"),
    [(Vouching.HMAC, PairingStep.HMAC), (Vouching.ACCOUNT_SIGNATURE, PairingStep.ACCOUNT_SIGNATURE)],
)
async def test_a_phone_that_vouches_wrongly_is_refused_and_told(lab: Lab, wrong: Vouching, step: PairingStep) -> None:
    peer, made = await attempt(lab, Fault.vouching(wrong))
    first = made.errors[0]
    assert isinstance(first, PairingError)
    assert first.step is step
    refusals = [
        trace for trace in peer.traces if trace.layer is Layer.NODE and trace.way == "out" and trace.kind == "error"
    ]
    assert len(refusals) == 1


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("harm", Harm)
async def test_a_harmed_frame_ends_the_connection_by_name_and_the_next_one_works(
    lab: Lab, harm: Harm, moment: Moment
) -> None:
    _, made = await attempt(lab, Fault.frame(harm, moment))
    if moment is Moment.SUCCESS:
        # The first connection, the one with the fault, is the one that pairs: it never gets that far.
        assert made.errors == []
        return
    first = made.errors[0]
    if harm is Harm.GARBAGE:
        assert isinstance(first, HandshakeError if moment is Moment.SERVER_HELLO else RemoteProtocolError)
    elif harm is Harm.OVERSIZED and moment is Moment.SERVER_HELLO:
        assert isinstance(first, RemoteProtocolError)
    else:
        assert isinstance(first, Disconnected)


@pytest.mark.parametrize("harm", Harm)
async def test_a_harmed_welcome_is_retried(lab: Lab, harm: Harm) -> None:
    phone = await lab.add_phone("Owner")
    async with waton_peer(lab, "Owner") as peer:
        await peer.pair(phone)
        lab.faults.next(Fault.frame(harm, Moment.SUCCESS))
        await peer.restart()
        result = await peer.client.send_text(phone.lid.bare, "still here")
        assert result.is_accepted


async def test_a_server_that_dies_between_scan_and_signature_leads_to_a_fresh_pairing(lab: Lab) -> None:
    """The client has stored the pairing, the server never heard of it: login is refused and the next pairing works."""
    phone = await lab.add_phone("Owner")
    async with waton_peer(lab, "Owner") as peer:
        await peer.pair(phone)
        me = peer.client.credentials.me
        assert me is not None
        await peer.client.close()
        device = lab.service.world.locate(me)
        assert device is not None
        lab.service.remove_companion(device)
        peer.renew()
        made = Attempt(peer, phone)
        await made.run()
        assert isinstance(made.errors[0], Disconnected)
        assert peer.client.credentials.is_paired
