"""What cannot be read in a group: by a phone, by a companion of somebody's, and by the client itself."""

from contextlib import AsyncExitStack

from waton.parity.scenarios.send_text_to_lid_group import tell
from waton.parity.stage import Scenario, Stage
from waton.parity.subjects import Kept


async def play(stage: Stage) -> None:
    """Bob's phone loses its keys, then Ada's companion does, then the client itself."""
    bob = await stage.lab.add_phone("Bob")
    async with AsyncExitStack() as stack:
        companion = await stage.add_companion(stage.ada, "Ada's other", stack)
        group = await stage.make_group(bob)
        await tell(stage, group, "before", stage.ada, bob, stage.owner)
        await companion.received("before")
        await stage.ada.send_text(group, "from Ada")
        await stage.subject.received("from Ada")
        await stage.settle()
        stage.lose(bob)
        async with stage.step("a phone asks"):
            await tell(stage, group, "read me", stage.ada, bob, stage.owner)
        await companion.forget(Kept.SENDER_KEYS)
        async with stage.step("a companion asks"):
            await tell(stage, group, "and me", stage.ada, bob, stage.owner)
            await companion.received("and me")
        await stage.subject.forget(Kept.SENDER_KEYS)
        async with stage.step("the client asks"):
            await stage.ada.send_text(group, "me too")
            await stage.subject.received("me too")


SCENARIO = Scenario("group-message-again", "Messages of a group cannot be read, by others and by the client.", play)
