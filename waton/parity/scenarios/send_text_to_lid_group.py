"""Texts to a group that addresses people by LID; while they are written, somebody comes in."""

from waton.jid import Jid
from waton.lab.phone import Phone
from waton.parity.stage import Scenario, Stage
from waton.protocol.stanza.group import AddressingMode


async def tell(stage: Stage, group: Jid, text: str, *readers: Phone) -> None:
    """Have the client write to a group, and wait until these have read it."""
    await stage.subject.send_text(group, text)
    for reader in readers:
        await reader.next_message(from_me=reader is stage.owner)


async def play_in(stage: Stage, mode: AddressingMode) -> None:
    """The first text tells the sender key, the second does not, the third tells it to who has come in meanwhile."""
    bob, eve = await stage.lab.add_phone("Bob"), await stage.lab.add_phone("Eve")
    group = await stage.make_group(bob, mode=mode)
    await stage.settle()
    async with stage.step("first text"):
        await tell(stage, group, "first", stage.ada, bob, stage.owner)
    async with stage.step("second text"):
        await tell(stage, group, "second", stage.ada, bob, stage.owner)
    async with stage.step("somebody comes in"):
        await stage.ada.add_to_group(group, eve.lid)
    async with stage.step("third text"):
        await tell(stage, group, "third", stage.ada, bob, stage.owner, eve)


async def play(stage: Stage) -> None:
    """In a group that addresses people by LID."""
    await play_in(stage, AddressingMode.LID)


SCENARIO = Scenario(
    "send-text-to-lid-group",
    "Texts go to a group that addresses people by LID.",
    play,
    with_companion=True,
    with_second=True,
)
