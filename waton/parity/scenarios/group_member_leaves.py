"""Somebody leaves a group: what is written afterwards must not be readable with the sender key that he has."""

from waton.parity.scenarios.send_text_to_lid_group import tell
from waton.parity.stage import Scenario, Stage


async def play(stage: Stage) -> None:
    """A text to three people, one of them goes, another text."""
    bob = await stage.lab.add_phone("Bob")
    group = await stage.make_group(bob)
    await tell(stage, group, "to all", stage.ada, bob, stage.owner)
    await stage.settle()
    async with stage.step("somebody leaves"):
        await bob.leave_group(group)
    async with stage.step("next text"):
        await tell(stage, group, "without Bob", stage.ada, stage.owner)


SCENARIO = Scenario("group-member-leaves", "Somebody leaves a group between two texts.", play)
