"""xmlns=md: companions. A device that is linked already is not linked once more, by code or otherwise.

Connections that register are not asked here: waton.lab.link_code. Source: Baileys Socket/socket.ts.
"""

from __future__ import annotations

from waton.errors import IqError
from waton.lab.answers.request import Request, Table
from waton.protocol.binary_node import require_child, require_jid


def remove_companion(request: Request) -> None:
    """Unlink a companion of the asking account: itself (logout), or any when the phone asks."""
    jid = require_jid(require_child(request.node, "remove-companion-device"), "jid")
    device = request.world.locate(jid)
    if device is None or device.account.id != request.account.id or device.number == 0:
        raise IqError(404, "item-not-found")
    if request.device.number not in (0, device.number):
        raise IqError(403, "forbidden")
    request.afterwards.append(lambda: request.service.remove_companion(device))


def link_by_code(request: Request) -> None:
    """Refuse: whoever has logged in has been linked."""
    raise IqError(405, "not-allowed")


TABLE: Table = {
    ("md", "remove-companion-device"): remove_companion,
    ("md", "link_code_companion_reg"): link_by_code,
}
