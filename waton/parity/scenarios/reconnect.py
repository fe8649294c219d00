"""The wire is cut without a word."""

from waton.parity.stage import Scenario, Stage


async def play(stage: Stage) -> None:
    """The server's socket closes; the client is back, and a text arrives."""
    async with stage.step("cut off"):
        stage.end(None)
        await stage.subject.lost()
        await stage.subject.come_back()
    async with stage.step("a text afterwards"):
        await stage.ada.send_text(stage.owner.lid, "still there?")
        await stage.subject.received("still there?")


SCENARIO = Scenario("reconnect", "The connection is lost without a word, and made again.", play)
