"""The smaller notifications: pictures, blocked people, a timer, a medium, a privacy token, and unknown ones."""

from collections.abc import Sequence

from waton.jid import Jid
from waton.parity.stage import Scenario, Stage
from waton.protocol.binary_node import Node

_TOKEN = bytes(range(16))


async def play(stage: Stage) -> None:
    """One after the other, as the server words them."""
    ada, me = stage.ada, stage.owner.pn
    item = Node("item", {"jid": ada.lid, "action": "block"})
    freed = Node("item", {"jid": ada.lid, "action": "unblock"})
    timer = Node("disappearing_mode", {"duration": "86400", "t": str(stage.lab.service.world.t())})
    token = Node("token", {"jid": me, "type": "trusted_contact", "t": str(stage.lab.service.world.t())}, _TOKEN)
    about = Node("rmr", {"jid": ada.lid, "from_me": "false"})
    sealed = Node("encrypt", None, [Node("enc_p", None, bytes(24)), Node("enc_iv", None, bytes(12))])
    told: dict[str, tuple[str, Jid, Sequence[Node]]] = {
        "a picture": ("picture", ada.lid, [Node("set", {"id": "1700000001", "jid": ada.lid})]),
        "no picture": ("picture", ada.lid, [Node("delete", {"jid": ada.lid})]),
        "blocked": ("account_sync", me, [Node("blocklist", {"dhash": "1"}, [item])]),
        "not blocked": ("account_sync", me, [Node("blocklist", {"dhash": "2"}, [freed])]),
        "a timer": ("account_sync", me, [timer]),
        "a token": ("privacy_token", ada.lid, [Node("tokens", None, [token])]),
        "a medium": ("mediaretry", me, [about, sealed]),
        "no medium": ("mediaretry", me, [about, Node("error", {"code": "2"})]),
        "business": ("business", ada.lid, [Node("remove", {"jid": ada.lid})]),
        "of tomorrow": ("of-tomorrow", ada.lid, [Node("news")]),
    }
    for name, (type, sender, children) in told.items():
        async with stage.step(name):
            stage.deliver(notification(stage, type, sender, children))


def notification(stage: Stage, type: str, sender: Jid, children: Sequence[Node]) -> Node:
    """A notification of the server's."""
    world = stage.lab.service.world
    return Node(
        "notification", {"from": sender, "type": type, "id": world.fresh_id(), "t": str(world.t())}, list(children)
    )


SCENARIO = Scenario("notifications-of-each-type", "Notifications of many types come, one after the other.", play)
