"""One question to answer: who asks, what, and what may be done about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from waton.lab.deliveries import Session
from waton.lab.world import Account, Device, World
from waton.protocol.binary_node import Node

if TYPE_CHECKING:
    from waton.lab.service import Service


@dataclass(frozen=True, slots=True)
class Request:
    """An iq of a logged-in device."""

    service: Service
    session: Session
    node: Node
    """The iq itself."""
    child: Node | None
    """Its first child."""
    parent: int | None
    """The trace it came with."""
    afterwards: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    """What to do once the answer is out."""
    said: dict[str, str] = field(default_factory=dict[str, str])
    """Further attributes of the result itself."""

    @property
    def world(self) -> World:
        return self.service.world

    @property
    def account(self) -> Account:
        return self.session.device.account

    @property
    def device(self) -> Device:
        """As it is now; the session remembers how it was at login."""
        return self.world.device(self.account, self.session.device.number) or self.session.device


Handler: TypeAlias = Callable[[Request], "list[Node] | None"]
"""Gives the content of the result. Raises IqError to answer with an error, RemoteProtocolError if malformed."""

Table: TypeAlias = Mapping[tuple[str, str], Handler]
"""(xmlns, tag of the first child) to handler; "" as tag for all others of that xmlns."""
