"""The device logs out by itself."""

from waton.parity.stage import Scenario, Stage


async def play(stage: Stage) -> None:
    """The application asks for it."""
    async with stage.step("logout"):
        await stage.subject.logout()
        await stage.subject.lost()


SCENARIO = Scenario("logout", "The device unlinks itself from the account.", play)
