"""A contact writes from a new phone, and nobody has said so."""

from waton.parity.scenarios.send_text import send
from waton.parity.stage import Scenario, Stage


async def play(stage: Stage) -> None:
    """The client has never asked for Ada's devices, so the server tells it nothing of her new phone."""
    await stage.ada.send_text(stage.owner.lid, "from the old one")
    await stage.subject.received("from the old one")
    await stage.settle()
    stage.ada.register_anew()
    async with stage.step("first text"):
        await stage.ada.send_text(stage.owner.lid, "from the new one")
        await stage.subject.received("from the new one")
    async with stage.step("second text"):
        await stage.ada.send_text(stage.owner.lid, "and again")
        await stage.subject.received("and again")
    async with stage.step("answer"):
        await send(stage, stage.ada.lid, "to the new one")


SCENARIO = Scenario("identity-change-in-a-message", "A message comes under another identity key.", play)
