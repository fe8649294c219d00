"""Companions: who says that a device belongs to the person whose number it has.

A companion's identity key is its own. What ties it to a person is a device identity (ADV), signed by the person's phone
and by the companion; it comes with a bundle, with a retry receipt that brings keys, and with a message that opens a
session. A key that is new to us, of a companion whose phone's key we know, has to come with one: the server alone could
give anybody's bundle under a number, and what is encrypted for a ghost is read by whoever made it.

A phone whose key we do not know yet stands for nobody; its companions are taken at the server's word until then, as the
phone itself is.

Source: whatsapp-rust wacore/src/adv.rs for what is signed, wacore/src/protocol/retry.rs for the code that asks for it.
"""

from __future__ import annotations

from waton.client import addresses
from waton.client.event_pipeline import Step
from waton.errors import InvalidSignature, UnvouchedCompanion
from waton.jid import Jid, signal_address
from waton.ports import RecordKind
from waton.protocol.adv import verify_companion


async def check_companion(step: Step, device: Jid, identity: bytes, vouched: bytes | None) -> None:
    """Whether a device's new key may be used.

    Args:
        step: where the phone's key is looked for.
        device: whose key, by whichever address; a phone needs nobody's word.
        identity: 32 bytes, the key.
        vouched: ADVSignedDeviceIdentity protobuf that came with it; None or empty when none came.
    Raises:
        UnvouchedCompanion: none came, or it is not the phone's and the companion's word for this key.
    """
    if device.device == 0:
        return
    phone = signal_address(await addresses.canonical(step, addresses.person(device)))
    account_key = await step.load(RecordKind.IDENTITY, phone)
    if account_key is None:
        return
    if not vouched:
        raise UnvouchedCompanion(device, is_missing=True)
    try:
        verify_companion(vouched, companion_identity=identity, account_key=account_key)
    except InvalidSignature:
        raise UnvouchedCompanion(device, is_missing=False) from None
