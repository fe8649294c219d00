"""Texts to a person with two devices, from an account with two companions."""

from waton.jid import Jid
from waton.parity.stage import Scenario, Stage

DELIVERED = 3


async def send(stage: Stage, to: Jid, text: str) -> None:
    """Send a text and wait until it has arrived."""
    id = await stage.subject.send_text(to, text)
    await stage.subject.reached(id, DELIVERED)


async def play(stage: Stage) -> None:
    """The text that opens the sessions, one in an open session, one by phone number."""
    async with stage.step("first text"):
        await send(stage, stage.ada.lid, "first")
    async with stage.step("second text"):
        await send(stage, stage.ada.lid, "second")
    async with stage.step("by phone number"):
        await send(stage, stage.ada.pn, "by number")


SCENARIO = Scenario(
    "send-text",
    "Texts go to a person with two devices and to the account's other devices.",
    play,
    with_companion=True,
    with_second=True,
)
