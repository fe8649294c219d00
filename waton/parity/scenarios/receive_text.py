"""Texts from another person, and the copy of one that the account's own phone has sent."""

from waton.parity.stage import Scenario, Stage


async def play(stage: Stage) -> None:
    """The message that opens a session, one in an open session, one by phone number, and our own from the phone."""
    async with stage.step("first text"):
        await stage.ada.send_text(stage.owner.lid, "hello")
        await stage.subject.received("hello")
    async with stage.step("second text"):
        await stage.ada.send_text(stage.owner.lid, "hello again")
        await stage.subject.received("hello again")
    async with stage.step("by phone number"):
        await stage.ada.send_text(stage.owner.pn, "hello by number")
        await stage.subject.received("hello by number")
    async with stage.step("from the own phone"):
        await stage.owner.send_text(stage.ada.lid, "from my phone")
        await stage.subject.received("from my phone")


SCENARIO = Scenario("receive-text", "Texts come from another person and from the account's own phone.", play)
