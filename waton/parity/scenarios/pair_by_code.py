"""Pairing by a code that is typed on the phone, and the restart that follows."""

from waton.parity.canonical import Element
from waton.parity.stage import Scenario, Stage


def tidy(said: Element) -> Element | None:
    """Without the ack of the phone's answer: Baileys gives it when it has answered, if the restart is not faster."""
    is_ack = said.tag == "ack" and said.attrs.get("type") == "link_code_companion_reg"
    return None if is_ack else said


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
    tidy=tidy,
)
