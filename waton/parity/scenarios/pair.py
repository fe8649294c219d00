"""Pairing by QR, the restart that follows, and the first start-up with what the phone sends then."""

from waton.parity.stage import Scenario, Stage


async def play(stage: Stage) -> None:
    """Show a QR, have it scanned, come up."""
    async with stage.step("register"):
        await stage.subject.connect()
        qr = await stage.subject.qr()
    async with stage.step("first start-up"):
        await stage.owner.scan(qr)
        await stage.subject.opened()


SCENARIO = Scenario(
    "pair", "A new device shows its QR, is scanned, and starts up for the first time.", play, is_paired=False
)
