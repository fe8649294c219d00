"""Texts to a group that addresses people by phone number."""

from waton.parity.scenarios.send_text_to_lid_group import play_in
from waton.parity.stage import Scenario, Stage
from waton.protocol.stanza.group import AddressingMode


async def play(stage: Stage) -> None:
    """The same as in a group that addresses people by LID."""
    await play_in(stage, AddressingMode.PN)


SCENARIO = Scenario(
    "send-text-to-pn-group",
    "Texts go to a group that addresses people by phone number.",
    play,
    with_companion=True,
    with_second=True,
)
