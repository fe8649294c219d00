"""Pairing by a code that is typed on the phone, and the restart that follows."""

from waton.parity.stage import Scenario, Stage


async def play(stage: Stage) -> None:
    """Ask for a code, have it typed, come up."""
    async with stage.step("register"):
        await stage.subject.connect()
        await stage.subject.qr()
    async with stage.step("ask for a code"):
        code = await stage.subject.pairing_code(stage.owner.pn)
    async with stage.step("first start-up"):
        await stage.owner.enter_code(code)
        await stage.subject.opened()


SCENARIO = Scenario(
    "pair-by-code",
    "A new device shows a code, it is typed on the phone, and the device starts up.",
    play,
    is_paired=False,
)
