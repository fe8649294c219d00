"""A quiet time: the client pings the server."""

from waton.parity.stage import Scenario, Settings, Stage
from waton.protocol.binary_node import get_text


async def play(stage: Stage) -> None:
    """Nothing happens for a while."""
    async with stage.step("quiet"):
        await stage.until(lambda node: get_text(node, "xmlns") == "w:p")


SCENARIO = Scenario(
    "keepalive",
    "Nothing happens, and the client makes sure that the server is there.",
    play,
    settings=Settings(keepalive=0.6),
    repeats_count=False,
)
