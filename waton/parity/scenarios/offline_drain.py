"""What waited while the device was away."""

from waton.parity.canonical import Element
from waton.parity.stage import Scenario, Stage


def tidy(said: Element) -> Element:
    """Without "inactive": whether Baileys has announced itself by then is a race between two of its tasks."""
    if said.tag != "receipt" or said.attrs.get("type") != "inactive":
        return said
    return Element(said.tag, {name: value for name, value in said.attrs.items() if name != "type"}, said.children)


async def play(stage: Stage) -> None:
    """Three texts and a read receipt wait in the queue."""
    id = await stage.subject.send_text(stage.ada.lid, "before I go")
    await stage.subject.reached(id, 3)
    got = await stage.ada.next_message()
    await stage.subject.leave()
    await stage.settle()
    for number in range(3):
        await stage.ada.send_text(stage.owner.lid, f"while you were away {number}")
    stage.ada.read(got)
    async with stage.step("drain"):
        await stage.subject.come_back()
        for number in range(3):
            await stage.subject.received(f"while you were away {number}")
        await stage.subject.reached(id, 4)


SCENARIO = Scenario("offline-drain", "Texts and a receipt have waited, and are delivered in order.", play, tidy=tidy)
