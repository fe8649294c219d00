"""The server delivers a message twice, as it does when it has not seen that it arrived."""

from waton.parity.stage import Scenario, Stage
from waton.protocol.binary_node import Node, get_text


async def play(stage: Stage) -> None:
    """A text arrives; then the very same stanza comes once more."""
    id = await stage.ada.send_text(stage.owner.lid, "only once")
    await stage.subject.received("only once")
    await stage.settle()
    async with stage.step("once more"):
        stage.say(stage.delivered(lambda node: node.tag == "message" and get_text(node, "id") == id))
        await stage.until(lambda node: is_about(node, id))


def is_about(node: Node, id: str) -> bool:
    """The client says something of this message."""
    return node.tag in ("receipt", "ack") and get_text(node, "id") == id


SCENARIO = Scenario("duplicate-delivery", "The same message is delivered twice.", play)
