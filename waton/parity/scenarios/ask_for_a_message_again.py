"""A message that cannot be read: the client asks its author for it again."""

from waton.parity.scenarios.send_text import send
from waton.parity.stage import Scenario, Stage
from waton.parity.subjects import Kept
from waton.protocol.binary_node import Node
from waton.protocol.stanza.message import Enc, IncomingMessage

_NONSENSE = bytes.fromhex("33") + bytes(60)
"""Begins like a message in a session."""


async def play(stage: Stage) -> None:
    """The client loses its sessions; then something comes twice that nobody can read and nobody has written."""
    await send(stage, stage.ada.lid, "hello")
    await stage.ada.send_text(stage.owner.lid, "before")
    await stage.subject.received("before")
    await stage.settle()
    await stage.subject.forget(Kept.SESSIONS)
    async with stage.step("a session is lost"):
        await stage.ada.send_text(stage.owner.lid, "read me")
        await stage.subject.received("read me")
    async with stage.step("what comes next"):
        await stage.ada.send_text(stage.owner.lid, "and me")
        await stage.subject.received("and me")
    id = stage.name(stage.lab.service.world.fresh_id(), "nonsense")
    for count in (1, 2):
        async with stage.step(f"nonsense {count}"):
            stage.deliver(nonsense(stage, id))
            await stage.until(lambda node: node.tag == "receipt" and node.child("retry") is not None)


def nonsense(stage: Stage, id: str) -> Node:
    """A message of Ada's that is none."""
    made = IncomingMessage(
        id=id,
        sender=stage.ada.lid,
        t=stage.lab.service.world.t(),
        type="text",
        encs=(Enc("msg", _NONSENSE),),
        sender_pn=stage.ada.pn,
        addressing_mode="lid",
        notify=stage.ada.name,
    )
    return made.to_node()


SCENARIO = Scenario("ask-for-a-message-again", "The client cannot read a message and asks for it again.", play)
