"""Notifications: what the server says has changed, one handler for each type.

A handler may ask the server and write; whatever becomes of it, the notification is acknowledged afterwards. A type that
has no handler is acknowledged and stays in the journal.

Source: Baileys Socket/messages-recv.ts, whatsmeow notification.go (types and children).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from waton.client import addresses
from waton.errors import RemoteProtocolError
from waton.protocol.binary_node import StanzaError, get_jid, get_text
from waton.protocol.connection import NodeReceived
from waton.protocol.stanza.encrypt import prekey_count

if TYPE_CHECKING:
    from waton.client.client import Client

Handler: TypeAlias = Callable[["Client", NodeReceived], Awaitable[None]]


async def on_notification(client: Client, event: NodeReceived) -> None:
    """Take one notification."""
    handler = _HANDLERS.get(get_text(event.node, "type") or "")
    if handler is not None:
        await handler(client, event)


async def _devices(client: Client, event: NodeReceived) -> None:
    """Ask anew for this person's devices, whichever address they were asked for by."""
    named = set(filter(None, [get_jid(event.node, "from")]))
    with suppress(StanzaError):  # an odd lid names nobody
        named |= set(filter(None, [get_jid(event.node, "lid")]))
    for address in await addresses.known_as(client.store, named):
        client.devices.forget(address)


async def _encrypt(client: Client, event: NodeReceived) -> None:
    if event.node.child("count") is not None:
        with suppress(RemoteProtocolError):  # a count that is no number asks for nothing
            await client.account.stock_prekeys(prekey_count(event.node), event.trace)


_HANDLERS: Mapping[str, Handler] = {"devices": _devices, "encrypt": _encrypt}
