"""A client that does not say that somebody is looking: what it gets is delivered, and to an inactive device."""

from waton.parity.stage import Scenario, Settings, Stage


async def play(stage: Stage) -> None:
    """It comes back, and a text arrives."""
    await stage.subject.leave()
    await stage.settle()
    async with stage.step("start-up"):
        await stage.subject.come_back()
    async with stage.step("a text"):
        await stage.ada.send_text(stage.owner.lid, "anybody there?")
        await stage.subject.received("anybody there?")


SCENARIO = Scenario(
    "inactive-receipts", "Nobody looks at the client, and it says so.", play, settings=Settings(announces=False)
)
