"""The phone unlinks the device."""

from waton.parity.stage import Scenario, Stage


async def play(stage: Stage) -> None:
    """The owner removes the device from the list on the phone."""
    async with stage.step("unlinked"):
        stage.owner.remove(stage.device.pn)
        await stage.subject.lost()


SCENARIO = Scenario("removed", "The phone unlinks the device.", play)
