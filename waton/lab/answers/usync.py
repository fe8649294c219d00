"""xmlns=usync: many users, several protocols at once.

A user asked for by LID gets no <lid>: Baileys would take it for news and force new sessions.

Source: Baileys WAUSync/*, whatsmeow user.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from waton.jid import Jid, JidServer
from waton.lab.answers.request import Request, Table
from waton.lab.world import Account
from waton.protocol.binary_node import Node
from waton.protocol.stanza.usync import DeviceEntry, Query, UserAsked, devices_node


def usync(request: Request) -> list[Node]:
    """Answer each protocol for each user; a protocol nobody here knows is left out."""
    query = Query.from_node(request.node)
    found: list[Account] = []
    users: list[Node] = []
    for asked in query.users:
        account = _find(request, asked)
        if account is not None:
            found.append(account)
        users.append(_user(request, query, asked, account))
    if "devices" in query.protocols:
        request.world.watch(found, request.account)
    return [query.answer(users)]


def _find(request: Request, asked: UserAsked) -> Account | None:
    jid = asked.jid if asked.jid is not None else Jid(asked.phone, JidServer.PN)
    return request.world.find(jid)


def _user(request: Request, query: Query, asked: UserAsked, account: Account | None) -> Node:
    jid = asked.jid
    if jid is None:
        jid = account.pn if account is not None else Jid(asked.phone, JidServer.PN)
    children: list[Node] = []
    for protocol in query.protocols:
        answer = _PROTOCOLS.get(protocol)
        node = answer(request, asked, account) if answer is not None else None
        if node is not None:
            children.append(node)
    return Node("user", {"jid": jid}, children)


def _devices(request: Request, asked: UserAsked, account: Account | None) -> Node | None:
    if account is None:
        return None
    entries = [
        DeviceEntry(device.number, device.key_index if device.number else None)
        for device in request.world.devices(account)
    ]
    return devices_node(entries, account.key_list, account.key_list_t)


def _lid(request: Request, asked: UserAsked, account: Account | None) -> Node | None:
    is_hidden = account is not None and account.id in request.service.unlisted
    if account is None or is_hidden or (asked.jid is not None and asked.jid.is_lid):
        return None
    return Node("lid", {"val": account.lid})


def _contact(request: Request, asked: UserAsked, account: Account | None) -> Node:
    return Node("contact", {"type": "out" if account is None else "in"}, asked.contact or None)


def _status(request: Request, asked: UserAsked, account: Account | None) -> Node | None:
    if account is None:
        return None
    about = request.world.profile(account, "about", "Hey there! I am in the lab.")
    return Node("status", {"t": str(request.world.t())}, about.encode())


def _disappearing_mode(request: Request, asked: UserAsked, account: Account | None) -> Node | None:
    if account is None:
        return None
    duration = request.world.profile(account, "disappearing_mode", "0")
    return Node("disappearing_mode", {"duration": duration, "t": str(request.world.t())})


_PROTOCOLS: Mapping[str, Callable[[Request, UserAsked, Account | None], Node | None]] = {
    "devices": _devices,
    "lid": _lid,
    "contact": _contact,
    "status": _status,
    "disappearing_mode": _disappearing_mode,
}

TABLE: Table = {("usync", ""): usync}
