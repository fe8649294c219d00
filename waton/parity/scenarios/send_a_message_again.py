"""What the client has sent cannot be read: by a phone, by a companion, and by one that asks time and again."""

from contextlib import AsyncExitStack

from waton.jid import Jid
from waton.parity.canonical import Element
from waton.parity.scenarios.send_text import send
from waton.parity.stage import Scenario, Stage
from waton.parity.subjects import Kept
from waton.protocol.binary_node import Node, get_text
from waton.protocol.stanza.receipt import Receipt
from waton.protocol.stanza.retry import RetryRequest

REQUESTS = 4
"""More than Baileys answers."""


def tidy(said: Element) -> Element | None:
    """Without privacy tokens: whether Baileys has given its own when it sends again, and gives it anew, is a race."""
    return None if said.tag == "iq" and said.attrs.get("xmlns") == "privacy" else said


async def play(stage: Stage) -> None:
    """Ada's phone loses its sessions, then her companion does, and that asks again and again without its keys."""
    async with AsyncExitStack() as stack:
        companion = await stage.add_companion(stage.ada, "Ada's other", stack)
        await send(stage, stage.ada.lid, "before")
        await companion.received("before")
        await stage.settle()
        stage.lose(stage.ada)
        async with stage.step("a phone asks"):
            await stage.subject.send_text(stage.ada.lid, "read me")
            await until_read(stage, "read me")
        await companion.forget(Kept.SESSIONS)
        async with stage.step("a companion asks"):
            id = await stage.subject.send_text(stage.ada.lid, "and me")
            await companion.received("and me")
        async with stage.step("time and again"):
            for count in range(1, REQUESTS + 1):
                stage.deliver(request(stage, id, stage.ada.lid.with_device(1), count))
                await stage.until(lambda node: node.tag == "ack" and get_text(node, "type") == "retry")
                await stage.settle()


async def until_read(stage: Stage, text: str) -> None:
    """Wait until Ada's phone has read a text."""
    while (await stage.ada.next_message()).text != text:
        pass


def request(stage: Stage, id: str, asks: Jid, count: int) -> Node:
    """A request of a device for one message, without its keys and without a reason."""
    world = stage.lab.service.world
    device = world.locate(asks)
    registration_id = 0 if device is None else device.registration_id
    asked = RetryRequest(id, asks, count, world.t(), registration_id)
    return Receipt.from_node(asked.to_node()).to_node(incoming=True)


SCENARIO = Scenario(
    "send-a-message-again", "Others cannot read what the client has sent, and ask for it.", play, tidy=tidy
)
