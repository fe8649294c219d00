"""A paired device that was away logs in again."""

from waton.parity.stage import Scenario, Stage


async def play(stage: Stage) -> None:
    """Leave, and come back."""
    await stage.subject.leave()
    await stage.settle()
    async with stage.step("start-up"):
        await stage.subject.come_back()


SCENARIO = Scenario("login", "A paired device that was away logs in again.", play)
