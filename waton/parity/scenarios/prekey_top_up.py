"""The server says that it is running out of one-time prekeys."""

from waton.parity.stage import Scenario, Stage
from waton.protocol.stanza.encrypt import count_notification


async def play(stage: Stage) -> None:
    """The server has three left."""
    world = stage.lab.service.world
    async with stage.step("low count"):
        stage.deliver(count_notification(world.fresh_id(), 3, world.t()))
        await stage.until(lambda node: node.tag == "iq" and node.child("list") is not None)


SCENARIO = Scenario("prekey-top-up", "The server runs out of the device's one-time prekeys.", play)
