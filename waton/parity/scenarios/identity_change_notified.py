"""A contact has a new phone, and the server says so."""

from waton.parity.scenarios.send_text import send
from waton.parity.stage import Scenario, Stage


async def play(stage: Stage) -> None:
    """Both have written; Ada's phone is new; then both write again."""
    await send(stage, stage.ada.lid, "before")
    await stage.ada.send_text(stage.owner.lid, "before, too")
    await stage.subject.received("before, too")
    await stage.settle()
    async with stage.step("told"):
        stage.ada.register_anew()
    async with stage.step("to the new phone"):
        await send(stage, stage.ada.lid, "to the new one")
    async with stage.step("from the new phone"):
        await stage.ada.send_text(stage.owner.lid, "from the new one")
        await stage.subject.received("from the new one")


SCENARIO = Scenario("identity-change-notified", "The server says that a contact's phone has new keys.", play)
