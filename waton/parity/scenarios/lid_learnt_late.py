"""A contact who is known by phone number only; then a message says which LID that is."""

from waton.parity.scenarios.send_text import send
from waton.parity.stage import Scenario, Stage


async def play(stage: Stage) -> None:
    """Nobody is told Bob's LID; both write by phone number, and by LID when it has come out."""
    bob = await stage.lab.add_phone("Bob")
    stage.lab.service.unlisted.add(bob.account.id)
    async with stage.step("from a number"):
        await bob.send_text(stage.owner.pn, "by number")
        await stage.subject.received("by number")
    async with stage.step("to a number"):
        await send(stage, bob.pn, "to your number")
    stage.lab.service.unlisted.clear()
    async with stage.step("the LID comes"):
        await bob.send_text(stage.owner.pn, "this is my LID")
        await stage.subject.received("this is my LID")
    async with stage.step("from the LID"):
        await bob.send_text(stage.owner.lid, "by LID")
        await stage.subject.received("by LID")
    async with stage.step("to the LID"):
        await send(stage, bob.lid, "to your LID")


SCENARIO = Scenario("lid-learnt-late", "A contact known by number turns out to have a LID.", play)
