"""Somebody writes in a contact's name, under another identity key and without being able to authenticate it."""

from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet

from waton._core import PreKeyBundle
from waton.parity.scenarios.send_text import send
from waton.parity.stage import Scenario, Stage
from waton.protocol import signal_repo
from waton.protocol.binary_node import Node
from waton.protocol.credentials import Credentials
from waton.protocol.signal_repo import LocalIdentity
from waton.protocol.stanza.message import Enc, IncomingMessage
from waton.utils.padding import pad

_INSIDE = 4
"""The field of a pkmsg that holds the message itself."""


async def play(stage: Stage) -> None:
    """A sound session; a forged message that begins another one; and the contact writes on."""
    await send(stage, stage.ada.lid, "before")
    await stage.ada.send_text(stage.owner.lid, "before, too")
    await stage.subject.received("before, too")
    await stage.settle()
    async with stage.step("forged"):
        stage.deliver(forged(stage))
        await stage.until(lambda node: node.tag == "ack")
    async with stage.step("the contact writes on"):
        await stage.ada.send_text(stage.owner.lid, "it is me")
        await stage.subject.received("it is me")


def forged(stage: Stage) -> Node:
    """A message that opens a session with real keys of a stranger's, and does not verify."""
    world = stage.lab.service.world
    stranger = Credentials.generate(world.entropy.take)
    bundle = world.take_bundle(stage.device)
    if bundle is None:
        raise LookupError("the client has published no keys")
    once = bundle.prekey
    keys = PreKeyBundle(
        registration_id=bundle.registration_id,
        identity_key=bundle.identity,
        signed_prekey_id=bundle.signed.id,
        signed_prekey=bundle.signed.value,
        signed_prekey_signature=bundle.signed.signature,
        prekey_id=None if once is None else once[0],
        prekey=None if once is None else once[1],
    )
    record = signal_repo.open_session(None, keys, LocalIdentity.of(stranger), entropy=world.entropy.take(64))
    sealed = signal_repo.encrypt(record, pad(b"\x0a\x01x", 1))
    made = IncomingMessage(
        id=stage.name(world.fresh_id(), "the forged message"),
        sender=stage.ada.lid,
        t=world.t(),
        type="text",
        encs=(Enc(sealed.type, spoilt(sealed.ciphertext)),),
        sender_pn=stage.ada.pn,
        addressing_mode="lid",
        notify=stage.ada.name,
    )
    return made.to_node()


def spoilt(ciphertext: bytes) -> bytes:
    """A pkmsg whose MAC, at the end of the message inside, has another last byte."""
    inside = next(one.data for one in UnknownFieldSet(Empty.FromString(ciphertext[1:])) if one.field_number == _INSIDE)
    return ciphertext.replace(inside, inside[:-1] + bytes([inside[-1] ^ 1]))


SCENARIO = Scenario("identity-change-forged", "A message pretends that a contact has another identity key.", play)
