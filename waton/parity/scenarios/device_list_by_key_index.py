"""The server names a device of a contact's that the contact's phone does not vouch for any more."""

from contextlib import AsyncExitStack

from waton._core import x25519_public_key
from waton.lab.phone import Phone
from waton.parity.scenarios.send_text import send
from waton.parity.stage import Scenario, Stage
from waton.protocol.adv import verify_identity, vouch
from waton.protocol.credentials import Credentials
from waton.protocol.stanza.encrypt import SignedPrekey, Upload

_PREKEYS = 10


async def play(stage: Stage) -> None:
    """Ada unlinks the older of her two companions; the server then lists one of its own under that number."""
    async with AsyncExitStack() as stack:
        await stage.add_companion(stage.ada, "Ada's old", stack)
        await stage.add_companion(stage.ada, "Ada's other", stack)
        stage.ada.remove(stage.ada.pn.with_device(1))
        plant(stage, stage.ada, 1)
        await stage.settle()
        async with stage.step("text"):
            await send(stage, stage.ada.lid, "for your devices only")


def plant(stage: Stage, phone: Phone, number: int) -> None:
    """Add a device to an account, with keys of its own, and a word of its phone's from before it was unlinked."""
    world = stage.lab.service.world
    made = Credentials.generate(world.entropy.take)
    with world.step():
        device = world.add_device(
            phone.account,
            number,
            identity=made.identity_key.public,
            registration_id=made.registration_id,
            signed_identity=_former_word(stage, phone, made, number),
        )
        signed = SignedPrekey(made.signed_prekey_id, made.signed_prekey.public, made.signed_prekey_signature)
        once = tuple((id, x25519_public_key(world.entropy.take(32))) for id in range(1, _PREKEYS))
        world.publish(device, Upload(made.registration_id, made.identity_key.public, signed, once))


def _former_word(stage: Stage, phone: Phone, made: Credentials, number: int) -> bytes:
    take = stage.lab.service.world.entropy.take
    secret = take(32)
    container, _ = vouch(
        phone.identity,
        companion_identity=made.identity_key.public,
        adv_secret=secret,
        raw_id=phone.account.raw_id,
        key_index=number,
        timestamp=stage.lab.service.world.t(),
        entropy=take(64),
    )
    return verify_identity(container, adv_secret=secret, identity=made.identity_key, entropy=take(64)).account


SCENARIO = Scenario("device-list-by-key-index", "The server lists a device that the contact has not linked.", play)
