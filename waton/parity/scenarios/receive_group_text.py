"""Texts in a group, with the sender key and without; from others and from our own phone; in both addressings."""

from waton.parity.stage import Scenario, Stage
from waton.protocol.stanza.group import AddressingMode


async def play(stage: Stage) -> None:
    """Ada writes twice, our own phone once; then Ada writes in a group that addresses people by phone number."""
    group = await stage.make_group()
    by_number = await stage.make_group(mode=AddressingMode.PN)
    await stage.settle()
    async with stage.step("first text"):
        await stage.ada.send_text(group, "hello all")
        await stage.subject.received("hello all")
    async with stage.step("second text"):
        await stage.ada.send_text(group, "hello again")
        await stage.subject.received("hello again")
    async with stage.step("from the own phone"):
        await stage.owner.send_text(group, "from my phone")
        await stage.subject.received("from my phone")
    async with stage.step("by phone number"):
        await stage.ada.send_text(by_number, "hello by number")
        await stage.subject.received("hello by number")


SCENARIO = Scenario("receive-group-text", "Texts come in groups, from others and from the account's own phone.", play)
