"""Each fault does what its name says, on its own connection, and the next connection is served well."""

from __future__ import annotations

import asyncio

import pytest

from tests.lab.wire_client import Closed, WireClient, new_credentials, pair
from waton.errors import Disconnected, HandshakeError, HandshakeStep, PairingError, RemoteProtocolError, WatonError
from waton.jid import Jid
from waton.lab.faults import Defect, Fault, Harm, Moment, Vouching
from waton.lab.server import Lab
from waton.protocol import adv
from waton.protocol.credentials import Credentials
from waton.protocol.stanza import pairing
from waton.protocol.stanza.pairing import PairSuccess, QrText

REFUSED_AT = {
    Defect.UNKNOWN_ROOT: HandshakeStep.INTERMEDIATE_SIGNATURE,
    Defect.INTERMEDIATE_SIGNATURE: HandshakeStep.INTERMEDIATE_SIGNATURE,
    Defect.LEAF_SIGNATURE: HandshakeStep.LEAF_SIGNATURE,
    Defect.INTERMEDIATE_ISSUER: HandshakeStep.CERTIFICATE_ROOT,
    Defect.LEAF_ISSUER: HandshakeStep.LEAF_ISSUER,
    Defect.LEAF_KEY: HandshakeStep.LEAF_KEY,
    Defect.DATES: HandshakeStep.CERTIFICATE_DATES,
}


def qr(credentials: Credentials, ref: str) -> str:
    return QrText(ref, credentials.noise_key.public, credentials.identity_key.public, credentials.adv_secret).encode()


@pytest.mark.parametrize("defect", Defect)
async def test_a_defective_chain_is_refused_and_the_next_one_is_sound(lab: Lab, defect: Defect) -> None:
    lab.faults.next(Fault.certificate(defect))
    with pytest.raises(HandshakeError) as refused:
        await pair(lab)
    assert refused.value.step is REFUSED_AT[defect]
    await pair(lab)


@pytest.mark.parametrize("wrong", Vouching)
async def test_a_false_word_is_told_from_a_true_one(lab: Lab, wrong: Vouching) -> None:
    lab.faults.next(Fault.vouching(wrong))
    with pytest.raises(PairingError) as refused:
        await pair(lab)
    assert refused.value.step == wrong.value
    assert lab.phones[0].companions == []
    await pair(lab)


@pytest.mark.parametrize("harm", Harm)
async def test_a_harmed_hello_ends_the_handshake(lab: Lab, harm: Harm) -> None:
    lab.faults.next(Fault.frame(harm, Moment.SERVER_HELLO))
    expected: dict[Harm, type[Exception]] = {
        Harm.CLOSE: Closed,
        Harm.TRUNCATED: Closed,
        Harm.OVERSIZED: RemoteProtocolError,
        Harm.GARBAGE: HandshakeError,
    }
    with pytest.raises(expected[harm]):
        await pair(lab)
    await pair(lab)


class Attempt:
    """One pairing by hand, that may break off anywhere."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.mine = new_credentials()
        self.scan: asyncio.Task[Jid] | None = None

    async def run(self) -> None:
        mine = self.mine
        async with WireClient.open(self.lab, mine) as client:
            offer = await client.next("iq")
            self.scan = asyncio.create_task(self.lab.phones[0].scan(qr(mine, pairing.refs_of(offer)[0])))
            # Where the fault ends the pairing, so does it end the scan; not every test asks how.
            self.scan.add_done_callback(lambda scan: scan.cancelled() or scan.exception())
            success = PairSuccess.from_node(await client.next("iq"))
            verified = adv.verify_identity(
                success.container, adv_secret=mine.adv_secret, identity=mine.identity_key, entropy=bytes(64)
            )
            self.mine = mine.evolve(me=success.jid, lid=success.lid)
            await client.send(pairing.pair_device_sign(success.id, verified.key_index, verified.reply))
            await client.next("stream:error")


@pytest.mark.parametrize("harm", Harm)
@pytest.mark.parametrize("moment", [Moment.PAIR_DEVICE, Moment.PAIR_SUCCESS, Moment.RESTART])
async def test_a_pairing_harmed_at_any_moment_can_be_tried_again(lab: Lab, harm: Harm, moment: Moment) -> None:
    lab.faults.next(Fault.frame(harm, moment))
    attempt = Attempt(lab)
    with pytest.raises(RemoteProtocolError if harm is Harm.GARBAGE else Closed):
        await attempt.run()
    if moment is Moment.RESTART:
        # The device was stored before the frame was due: both sides are paired.
        assert attempt.scan is not None
        assert await attempt.scan == attempt.mine.me
        async with WireClient.open(lab, attempt.mine) as client:
            await client.next("success")
        return
    if attempt.scan is not None:
        with pytest.raises(Disconnected):
            await attempt.scan
    assert lab.phones[0].companions == []
    await pair(lab)


@pytest.mark.parametrize("harm", Harm)
async def test_a_harmed_welcome_costs_one_connection(lab: Lab, harm: Harm) -> None:
    mine = await pair(lab)
    lab.faults.next(Fault.frame(harm, Moment.SUCCESS), connections=2)
    for _ in range(2):
        with pytest.raises((Closed, WatonError)):
            async with WireClient.open(lab, mine) as client:
                await client.next("success")
    async with WireClient.open(lab, mine) as client:
        await client.next("success")
    assert len(lab.faults) == 0
