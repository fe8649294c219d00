"""The server ends the stream, for reasons that a client has to tell apart."""

from waton.parity.stage import Scenario, Stage
from waton.protocol.binary_node import Node
from waton.protocol.stanza.stream import conflict, stream_error


async def ended(stage: Stage, name: str, farewell: Node) -> None:
    """The server says this and closes; the client is brought back."""
    async with stage.step(name):
        stage.end(farewell)
        await stage.subject.lost()
        await stage.subject.come_back()


async def play(stage: Stage) -> None:
    """A restart, an unavailable service, another login of the same device."""
    await ended(stage, "515", stream_error(515))
    await ended(stage, "503", stream_error(503))
    await ended(stage, "replaced", stream_error(child=conflict("replaced")))


SCENARIO = Scenario("stream-errors", "The server ends the stream with a restart, a fault and a conflict.", play)
