"""Group news: everybody in a group is told what has changed, on every device.

The device that asked is told as well: whatsmeow gives each `create` a key by which it knows its own again. Who comes in
gets the whole group instead of the news about himself.

Source: whatsmeow group.go (parseGroupCreate, parseGroupChange), Baileys Socket/messages-recv.ts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from waton.lab.groups import Group
from waton.lab.world import Account
from waton.protocol.stanza.group import AddressingMode
from waton.protocol.stanza.group_notification import GroupChange, GroupNotification

if TYPE_CHECKING:
    from waton.lab.answers.request import Request


def tell(request: Request, group: Group, change: GroupChange, accounts: Iterable[Account] | None = None) -> None:
    """Queue the news, in the step under way.

    Args:
        request: whose change it was.
        group: as it is after the change.
        change: what it was.
        accounts: whom to tell; None for everybody who is in the group.
    """
    service, author = request.service, request.account
    told = [member.account for member in service.groups.members(group)] if accounts is None else accounts
    is_lid = group.addressing is AddressingMode.LID
    news = GroupNotification(
        id=service.world.fresh_id(),
        group=group.id,
        t=service.world.t(),
        changes=(change,),
        participant=group.address(author),
        participant_pn=author.pn if is_lid else None,
        participant_lid=None if is_lid else author.lid,
        addressing_mode=group.addressing,
        notify=request.session.push_name,
    ).to_node()
    for account in told:
        for device in service.world.devices(account):
            service.deliveries.put(device, news, request.parent)
