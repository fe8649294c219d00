"""Somebody calls, and gives up; and a group is called."""

from waton.parity.stage import Scenario, Stage
from waton.protocol.binary_node import Node


async def play(stage: Stage) -> None:
    """Each stanza of a call that nobody takes, and the offer of a group's call."""
    call = {"call-id": "CALL1", "call-creator": stage.ada.lid, "caller_pn": stage.ada.pn}
    async with stage.step("offer"):
        say(stage, Node("offer", {**call}, [Node("audio", {"enc": "opus", "rate": "16000"})]))
    async with stage.step("latency"):
        say(stage, Node("relaylatency", {**call, "latency": "120"}))
    async with stage.step("given up"):
        say(stage, Node("terminate", {**call, "reason": "timeout"}))
    async with stage.step("a group"):
        group = {**call, "call-id": "CALL2", "group-jid": "120363000000000001@g.us", "type": "group"}
        say(stage, Node("offer_notice", {**group, "media": "video"}, [Node("video", {"enc": "vp8"})]))
        say(stage, Node("accept", {**call, "call-id": "CALL2"}))


def say(stage: Stage, about: Node) -> None:
    """Deliver one stanza of a call of Ada's."""
    world = stage.lab.service.world
    attrs = {"from": stage.ada.lid, "id": world.fresh_id(), "t": str(world.t()), "notify": stage.ada.name}
    stage.deliver(Node("call", {**attrs}, [about]))


SCENARIO = Scenario("incoming-call", "Somebody calls and gives up, and a group is called.", play)
