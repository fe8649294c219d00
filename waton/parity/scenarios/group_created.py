"""A group is made with the account in it, and the account is put into one that there was."""

from waton.parity.stage import Scenario, Stage
from waton.protocol.stanza.group import AddressingMode


async def play(stage: Stage) -> None:
    """Ada makes a group of either addressing."""
    for mode in AddressingMode:
        async with stage.step(f"by {mode}"):
            await stage.make_group(mode=mode)


SCENARIO = Scenario("group-created", "Somebody makes groups and puts the account into them.", play)
