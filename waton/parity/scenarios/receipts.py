"""Read receipts, both ways."""

from waton.parity.scenarios.send_text import DELIVERED
from waton.parity.stage import Scenario, Stage

READ = 4


async def play(stage: Stage) -> None:
    """Ada reads what the client has sent; the client reads what Ada has sent."""
    id = await stage.subject.send_text(stage.ada.lid, "read me")
    await stage.subject.reached(id, DELIVERED)
    got = await stage.ada.next_message()
    await stage.settle()
    async with stage.step("Ada reads"):
        stage.ada.read(got)
        await stage.subject.reached(id, READ)
    await stage.ada.send_text(stage.owner.lid, "and read me")
    await stage.subject.received("and read me")
    await stage.settle()
    async with stage.step("the client reads"):
        await stage.subject.read("and read me")
        await stage.ada.next_receipt(stage.ada.messages[-1].id, "read")


SCENARIO = Scenario("receipts", "Each side reads what the other has sent.", play)
