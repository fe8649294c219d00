"""A message that the server has no ciphertext of for this device: the account's own phone has it."""

from waton.parity.stage import Scenario, Stage
from waton.protocol.binary_node import Node
from waton.protocol.stanza.message import IncomingMessage


async def play(stage: Stage) -> None:
    """Ada's phone does not know of the client; then come two kinds that the phone does not give to companions."""
    stage.ada.overlooked.add(stage.device.lid)
    async with stage.step("on the phone only"):
        id = await stage.ada.send_text(stage.owner.lid, "read it there")
        stage.deliver(empty(stage, id, ""))
        await stage.subject.received("read it there")
    for kind in ("view_once_unavailable_fanout", "view_once"):
        async with stage.step(kind):
            id = stage.name(stage.lab.service.world.fresh_id(), kind)
            stage.deliver(empty(stage, id, kind))


def empty(stage: Stage, id: str, kind: str) -> Node:
    """What the server delivers in the place of one of Ada's messages."""
    made = IncomingMessage(
        id=id,
        sender=stage.ada.lid,
        t=stage.lab.service.world.t(),
        type="text",
        encs=(),
        sender_pn=stage.ada.pn,
        addressing_mode="lid",
        notify=stage.ada.name,
        extra=(Node("unavailable", {"type": kind or None}),),
    )
    return made.to_node()


SCENARIO = Scenario("message-from-the-phone-again", "The client asks its phone for what came without content.", play)
