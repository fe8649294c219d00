"""The server makes sure that the client is there."""

from waton.jid import SERVER
from waton.parity.stage import Scenario, Stage
from waton.protocol.binary_node import Node


async def play(stage: Stage) -> None:
    """The server asks in each of the two forms there are."""
    world = stage.lab.service.world
    async with stage.step("by namespace"):
        stage.say(Node("iq", {"from": SERVER, "type": "get", "xmlns": "urn:xmpp:ping", "id": world.fresh_id()}))
    async with stage.step("by child"):
        attrs = {"from": SERVER, "type": "get", "xmlns": "w:p", "id": world.fresh_id()}
        stage.say(Node("iq", {**attrs}, [Node("ping")]))


SCENARIO = Scenario("server-ping", "The server pings the client.", play)
