"""The server does not take what the client sends: it is a stranger there, or the stanza is wrong."""

from waton.parity.scenarios.send_text import send
from waton.parity.stage import Scenario, Stage

STRANGER, MALFORMED, RESTRICTED = 463, 479, 429


async def play(stage: Stage) -> None:
    """Ada takes no messages from strangers, until she gives us a token; then two are refused for other reasons."""
    bob = await stage.lab.add_phone("Bob")
    await send(stage, bob.lid, "hello")
    await stage.settle()
    stage.ada.restrict(client_tokens=False)
    async with stage.step("a stranger"):
        stage.name(await stage.subject.send_text(stage.ada.lid, "let me in"), "'let me in'")
        await stage.subject.refused(STRANGER)
    async with stage.step("no stranger any more"):
        stage.ada.trust(stage.owner.pn)
        await stage.settle()
        stage.name(await stage.subject.send_text(stage.ada.lid, "thank you"), "'thank you'")
    for name, code in (("malformed", MALFORMED), ("too many", RESTRICTED)):
        async with stage.step(name):
            stage.refuse(code)
            stage.name(await stage.subject.send_text(bob.lid, name), f"'{name}'")
            await stage.subject.refused(code)


SCENARIO = Scenario("negative-acks", "The server refuses what the client sends.", play)
