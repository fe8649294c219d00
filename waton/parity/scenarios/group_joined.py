"""The account comes into a group that there was, and is taken out of it."""

from waton.parity.stage import Scenario, Stage


async def play(stage: Stage) -> None:
    """Ada adds the owner to her group, and removes him again."""
    bob = await stage.lab.add_phone("Bob")
    group = await stage.make_group(bob, with_owner=False)
    async with stage.step("put in"):
        await stage.ada.add_to_group(group, stage.owner.lid)
    async with stage.step("taken out"):
        await stage.ada.remove_from_group(group, stage.owner.lid)


SCENARIO = Scenario("group-joined", "The account is put into a group, and taken out of it.", play)
