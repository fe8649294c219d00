"""Pairing by code, the server's part: it keeps a companion's hello until somebody types a code, and carries the rest.

The server never knows the code. Which companion a code is for it knows by the account: the newest hello for a phone
number is the one that is answered. A hello is good for three minutes, and gone with its connection or with another one.
What it checks is what the real one is known to check: the account, the key that the connection proved, and that the
name to be listed is of the form Browser (System).

Source: whatsmeow pair-code.go, Baileys Socket/socket.ts; waton.protocol.pairing_code for what is inside.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from waton.errors import IqError, LabError, RemoteProtocolError
from waton.jid import Jid
from waton.lab.world import World
from waton.protocol.binary_node import Node
from waton.protocol.pairing_code import CODE_SECONDS
from waton.protocol.stanza import iq
from waton.protocol.stanza.pairing import (
    CompanionFinish,
    CompanionHello,
    LinkStage,
    PrimaryHello,
    link_ref,
    link_stage,
)

if TYPE_CHECKING:
    from waton.lab.pairing import Registration, Wire

_REF_BYTES = 32
_DISPLAY = re.compile(r"[A-Za-z][A-Za-z ]{0,30} \([A-Za-z][A-Za-z ]{0,30}\)")


@dataclass(frozen=True, slots=True, repr=False)
class PendingCode:
    """A companion's hello, waiting for a code to be typed."""

    account: Jid
    """By phone number."""
    wrapped_key: bytes
    """80 bytes."""
    ref: bytes
    expires_at: float
    """Unix seconds."""


class LinkCode:
    """The pairing code of one connection that registers."""

    def __init__(self, world: World, wire: Wire, registration: Registration) -> None:
        self._world = world
        self._wire = wire
        self._registration = registration
        self._pending: PendingCode | None = None
        self._finish: asyncio.Future[CompanionFinish] | None = None

    @property
    def pending(self) -> PendingCode | None:
        """The hello that may be answered now; None when there is none, or its time is over."""
        if self._pending is not None and self._world.clock.now() > self._pending.expires_at:
            self._pending = None
        return self._pending

    def take(self, node: Node, parent: int) -> None:
        """Take an iq of the companion's, and answer it."""
        try:
            content = self._take(node)
        except IqError as error:
            self._wire.send(iq.error(node, error.code, error.text), parent)
        except RemoteProtocolError:
            self._wire.send(iq.error(node, 400, "bad-request"), parent)
        else:
            self._wire.send(iq.result(node, content), parent)

    def _take(self, node: Node) -> list[Node] | None:
        match link_stage(node):
            case LinkStage.COMPANION_HELLO:
                return link_ref(self._remember(CompanionHello.from_node(node)))
            case LinkStage.COMPANION_FINISH:
                self._pass_on(CompanionFinish.from_node(node))
                return None
            case _:
                raise IqError(400, "bad-request")

    def _remember(self, hello: CompanionHello) -> bytes:
        account = self._world.find(hello.jid)
        if account is None:
            raise IqError(404, "item-not-found")
        if hello.noise_key != self._registration.noise or not _DISPLAY.fullmatch(hello.platform_display):
            raise IqError(400, "bad-request")
        ref = self._world.entropy.take(_REF_BYTES)
        self._pending = PendingCode(account.pn, hello.wrapped_key, ref, self._world.clock.now() + CODE_SECONDS)
        self._world.note("lab.code_asked", account=account.id)
        return ref

    def _pass_on(self, finish: CompanionFinish) -> None:
        pending, waiting = self._pending, self._finish
        if pending is None or waiting is None or waiting.done() or finish.ref != pending.ref:
            raise IqError(400, "bad-request")
        if finish.identity_key != self._registration.identity:
            raise IqError(400, "bad-request")
        waiting.set_result(finish)

    async def exchange(self, wrapped_key: bytes, identity: bytes, timeout: float) -> CompanionFinish:
        """Carry a phone's answer to the companion, and the companion's to the phone.

        Args:
            wrapped_key: 80 bytes, the phone's ephemeral key.
            identity: 32 bytes, the account's public identity key.
            timeout: seconds the companion may take.
        Raises:
            LabError: nobody waits for a code here any more, a phone is answering already, or no answer comes.
            Disconnected: the companion left.
        """
        pending = self.pending
        if pending is None or self._finish is not None:
            raise LabError("no companion waits for this code (any more)")
        self._finish = asyncio.get_running_loop().create_future()
        hello = PrimaryHello(pending.ref, wrapped_key, identity)
        self._wire.send(hello.to_node(self._world.fresh_id(), self._world.t()))
        try:
            async with asyncio.timeout(timeout):
                return await self._finish
        except TimeoutError:
            raise LabError("the companion does not answer") from None
        finally:
            self._finish = None

    def fail(self, error: Exception) -> None:
        """The connection is over."""
        self._pending = None
        if self._finish is not None and not self._finish.done():
            self._finish.set_exception(error)
