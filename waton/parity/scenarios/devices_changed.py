"""A contact links another device; the next text has to reach it, too."""

from contextlib import AsyncExitStack

from waton.parity.scenarios.send_text import send
from waton.parity.stage import Scenario, Stage


async def play(stage: Stage) -> None:
    """Ada links a device between two texts."""
    await send(stage, stage.ada.lid, "to your phone")
    await stage.settle()
    async with AsyncExitStack() as stack:
        async with stage.step("told"):
            await stage.add_companion(stage.ada, "Ada's new", stack)
        async with stage.step("next text"):
            await send(stage, stage.ada.lid, "to both of you")


SCENARIO = Scenario("devices-changed", "A contact links another device between two texts.", play)
