"""The service: everything the server does, without sockets. One stanza in, one database step, stanzas out.

A session (a socket's login, or a phone in this process) hands its stanzas to `receive`. What follows is written to the
database in one transaction; answers and deliveries leave after the commit. Nothing here awaits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from waton.errors import RemoteProtocolError
from waton.lab import answers, device_news, presence, routing
from waton.lab.deliveries import Deliveries, Session
from waton.lab.faults import Faults
from waton.lab.groups import Groups
from waton.lab.pairing import Desk
from waton.lab.privacy import PROPS
from waton.lab.taken import Taken
from waton.lab.world import Account, Device, World
from waton.protocol.binary_node import Node, get_text
from waton.protocol.stanza import iq
from waton.protocol.stanza.group import AddressingMode
from waton.protocol.stanza.receipt import server_ack

NACK_MALFORMED = 479
"""Source: Baileys Utils/decode-wa-message.ts."""


class Owner(Protocol):
    """The phone of an account, as the service sees it."""

    def welcome(self, device: Device) -> None:
        """A companion has logged in for the first time and can be sent to."""
        ...

    def unlink(self, device: Device) -> None:
        """A companion was removed: sign the list without it."""
        ...


class Service:
    """The world, the deliveries, the pairing desk, and the phones that own accounts."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world = world
        self.groups = Groups(world)
        self.deliveries = Deliveries(world)
        self.taken = Taken(world.database)
        self.desk = Desk(world)
        self.presence = presence.Presence(self.deliveries)
        self.faults = faults
        self.new_groups = AddressingMode.LID
        """How groups address people that are made by clients, who cannot say it themselves."""
        self.props: dict[str, str] = dict(PROPS)
        """The A/B props that clients are told, by code."""
        self.refusals: deque[int] = deque()
        """Codes with which the next messages of clients are refused, whatever is in them."""
        self.unlisted: set[int] = set()
        """Accounts, by id, of which nobody who asks or writes by phone number is told the LID."""
        self.http_host = ""
        """Where media would be, HOST:PORT; the server knows it once it listens."""
        self.unanswered: dict[tuple[str, str], int] = {}
        """How often an iq nobody here knows was answered with an empty result, by (xmlns, child)."""
        self._owners: dict[int, Owner] = {}

    # --- stanzas in -------------------------------------------------------------------------------------------------

    def receive(self, session: Session, node: Node, parent: int | None) -> None:
        """Take one stanza of a logged-in device. parent: the trace it came with."""
        handler = _HANDLERS.get(node.tag)
        if handler is None:
            self.world.note("lab.ignored", parent, tag=node.tag)
            return
        try:
            with self.world.step():
                handler(self, session, node, parent)
        except RemoteProtocolError as error:
            self.world.note("lab.malformed", parent, tag=node.tag, error=str(error))
            self._refuse(session, node, parent)

    def _refuse(self, session: Session, node: Node, parent: int | None) -> None:
        if node.tag == "iq" and "id" in node.attrs:
            session.endpoint.deliver(iq.error(node, 400, "bad-request"), parent)
        elif node.tag == "message":
            session.endpoint.deliver(server_ack(node, t=self.world.t(), error=NACK_MALFORMED), parent)
        elif node.tag == "receipt":
            session.endpoint.deliver(server_ack(node, t=self.world.t()), parent)

    def reply(self, session: Session, node: Node, parent: int | None) -> None:
        """Send a stanza that is not worth queueing, after the step's commit."""
        self.world.after(lambda: session.endpoint.deliver(node, parent))

    # --- phones and companions --------------------------------------------------------------------------------------

    def own(self, account: Account, owner: Owner | None) -> None:
        """Say which phone owns an account; None while it is offline."""
        if owner is None:
            self._owners.pop(account.id, None)
            return
        self._owners[account.id] = owner
        for device in self.world.devices(account):
            self.greet(device)

    def owner(self, account: Account) -> Owner | None:
        """The account's phone, None while it is offline."""
        return self._owners.get(account.id)

    def greet(self, device: Device) -> None:
        """Have the phone welcome a new companion, once that can be sent to and is there."""
        current = self.world.device(device.account, device.number)
        owner = self._owners.get(device.account.id)
        if current is None or owner is None or current.number == 0 or current.welcomed:
            return
        session = self.deliveries.session(current)
        if session is not None and session.is_active and current.signed_prekey is not None:
            with self.world.step():
                self.world.set_welcomed(current)
                owner.welcome(current)

    def remove_companion(self, device: Device) -> None:
        """Unlink a companion: it is told, and so is everybody who knows its account's devices."""
        with self.world.step():
            self.world.remove_device(device)
            owner = self._owners.get(device.account.id)
            if owner is not None:
                owner.unlink(device)
            self.announce_devices(device, "remove")
            self.world.note("lab.unlinked", device=device.number)
            self.world.after(lambda: self.deliveries.expel(device))

    def announce_devices(self, device: Device, change: str) -> None:
        """Tell everybody who has asked for an account's devices that one was added or removed."""
        device_news.announce_device(self.world, self.deliveries, device, change)

    def announce_identity(self, account: Account) -> None:
        """Tell them that the account's phone has another identity key."""
        device_news.announce_identity(self.world, self.deliveries, account)


Handler = Callable[[Service, Session, Node, "int | None"], None]


def _take_ib(service: Service, session: Session, node: Node, parent: int | None) -> None:
    batch = node.child("offline_batch")
    count = get_text(batch, "count") if batch is not None else None
    if count is not None and count.isdecimal() and 0 < int(count) <= 10_000:
        session.window = int(count)
        service.world.after(session.pump)


def _take_call(service: Service, session: Session, node: Node, parent: int | None) -> None:
    service.reply(session, server_ack(node, t=service.world.t()), parent)


def _take_iq(service: Service, session: Session, node: Node, parent: int | None) -> None:
    if get_text(node, "type") in (iq.IqType.RESULT, iq.IqType.ERROR):
        return  # the answer to a ping of ours
    answers.answer(service, session, node, parent)


_HANDLERS: Mapping[str, Handler] = {
    "iq": _take_iq,
    "message": routing.take_message,
    "receipt": routing.take_receipt,
    "ack": routing.take_ack,
    "presence": presence.take_presence,
    "chatstate": presence.take_chatstate,
    "ib": _take_ib,
    "call": _take_call,
}

__all__ = ["Owner", "Service"]
