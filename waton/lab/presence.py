"""Presence and chat states: who is there, who is typing. Never queued, never acknowledged, gone with the lab.

Source: Baileys Socket/chats.ts sendPresenceUpdate, whatsmeow presence.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from waton.lab.deliveries import Deliveries, Session
from waton.lab.groups import Group
from waton.lab.world import Account
from waton.protocol.binary_node import Node, get_text, require_jid

if TYPE_CHECKING:
    from waton.lab.service import Service


class Presence:
    """Who has subscribed to whom."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        self._subscribed: dict[int, set[tuple[int, int]]] = {}

    def subscribe(self, session: Session, account: Account) -> None:
        """This login wants to know about that account; it is told the current state if somebody is there."""
        self._subscribed.setdefault(account.id, set()).add(session.device.key)
        if self.is_available(account):
            session.endpoint.deliver(_presence(account, available=True), None)

    def is_available(self, account: Account) -> bool:
        """True when one of the account's devices has announced itself."""
        return any(
            session.is_available for session in self._deliveries.sessions() if session.device.account.id == account.id
        )

    def announce(self, account: Account) -> None:
        """Tell the subscribers what the account's state is now."""
        node = _presence(account, available=self.is_available(account))
        self._tell(account, node)

    def _tell(self, account: Account, node: Node) -> None:
        keys = self._subscribed.get(account.id, set())
        for session in self._deliveries.sessions():
            if session.device.key in keys:
                session.endpoint.deliver(node, None)

    def pass_chatstate(self, author: Session, account: Account, node: Node, *, by_lid: bool) -> None:
        """Show an account's available devices that somebody is typing, or stopped."""
        sender = author.device.account.lid if by_lid else author.device.account.pn
        state = Node("chatstate", {"from": sender}, node.content)
        self._show({account.id}, state)

    def pass_chatstate_in_group(self, author: Session, group: Group, members: Iterable[Account], node: Node) -> None:
        """Show the available devices of everybody else in a group that somebody is typing, or stopped."""
        account = author.device.account
        state = Node("chatstate", {"from": group.id, "participant": group.address(account)}, node.content)
        self._show({one.id for one in members} - {account.id}, state)

    def _show(self, accounts: set[int], node: Node) -> None:
        for session in self._deliveries.sessions():
            if session.device.account.id in accounts and session.is_available:
                session.endpoint.deliver(node, None)


def _presence(account: Account, *, available: bool) -> Node:
    return Node("presence", {"from": account.lid, "type": None if available else "unavailable"})


def take_presence(service: Service, session: Session, node: Node, parent: int | None) -> None:
    """Handle available, unavailable and subscribe; a name given is what others see of this login."""
    kind = get_text(node, "type") or "available"
    account = session.device.account
    if kind == "subscribe":
        wanted = service.world.find(require_jid(node, "to"))
        if wanted is not None:
            service.world.after(lambda: service.presence.subscribe(session, wanted))
    elif kind in ("available", "unavailable"):
        session.push_name = get_text(node, "name") or session.push_name
        session.is_available = kind == "available"
        service.world.after(lambda: service.presence.announce(account))


def take_chatstate(service: Service, session: Session, node: Node, parent: int | None) -> None:
    """Pass on composing and paused."""
    to = require_jid(node, "to")
    account, group = service.world.find(to), service.groups.find(to)
    if group is not None and service.groups.member(group, session.device.account) is not None:
        members = [member.account for member in service.groups.members(group)]
        service.world.after(lambda: service.presence.pass_chatstate_in_group(session, group, members, node))
    elif account is not None:
        service.world.after(lambda: service.presence.pass_chatstate(session, account, node, by_lid=to.is_lid))
