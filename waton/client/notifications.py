"""Notifications: what the server says has changed, one handler for each type.

What a handler writes and the acknowledgement go together: a handler that answers in its own unit of work says so, all
others are acknowledged afterwards, whatever becomes of them; only what the disk or the connection kept us from taking
is left to come again. A type that has no handler is acknowledged and stays in the journal.

Source: Baileys Socket/messages-recv.ts, whatsmeow notification.go (types and children).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from waton.client import addresses, node_events
from waton.client.events import DurableEvent
from waton.client.group_notifications import GroupOutcome, group_events
from waton.client.message_keys import Me
from waton.errors import Disconnected, PairingError, PairingStep, RemoteProtocolError, StorageError
from waton.jid import Jid
from waton.ports import RecordKind
from waton.protocol.binary_node import Node, StanzaError, decode_node, get_jid, get_text
from waton.protocol.connection import NodeReceived
from waton.protocol.stanza.devices import DevicesNotification
from waton.protocol.stanza.encrypt import prekey_count
from waton.protocol.stanza.group import GroupMetadata
from waton.protocol.stanza.group_notification import GroupNotification
from waton.protocol.stanza.pairing import LINK_CODE, PASSKEY_TYPES
from waton.protocol.stanza.receipt import ack

if TYPE_CHECKING:
    from waton.client.client import Client

Send: TypeAlias = Callable[[Node, "int | None"], Awaitable[None]]
Handler: TypeAlias = Callable[["Client", NodeReceived, Send], Awaitable[bool]]
"""Returns whether it has acknowledged."""


async def on_notification(client: Client, event: NodeReceived, send: Send) -> None:
    """Take one notification, and acknowledge it."""
    handler = _HANDLERS.get(get_text(event.node, "type") or "")
    is_acknowledged = False
    try:
        with suppress(StanzaError):  # it names what it should not; it is acknowledged and stays in the journal
            is_acknowledged = handler is not None and await handler(client, event, send)
    except (StorageError, Disconnected):
        raise  # not taken: the server delivers it again
    except Exception:
        await _acknowledge(event, send)
        raise
    if not is_acknowledged:
        await _acknowledge(event, send)


async def _acknowledge(event: NodeReceived, send: Send) -> None:
    with suppress(Disconnected):  # the server will deliver it again
        await send(ack(event.node), event.trace)


async def _devices(client: Client, event: NodeReceived, send: Send) -> bool:
    """Somebody's devices changed: the list follows where that can be done, else it is asked for when it is needed."""
    try:
        await client.devices.notified(DevicesNotification.from_node(event.node))
    except RemoteProtocolError:
        named = set(filter(None, [_address(event.node, "from"), _address(event.node, "lid")]))
        for address in await addresses.known_as(client.store, named):
            client.devices.forget(address)
    await client.people.settle_devices()
    return False


def _address(node: Node, name: str) -> Jid | None:
    with suppress(StanzaError):  # an odd address names nobody
        return get_jid(node, name)
    return None


async def _encrypt(client: Client, event: NodeReceived, send: Send) -> bool:
    if event.node.child("identity") is not None:
        await client.identities.on_notification(event)
    if event.node.child("count") is not None:
        with suppress(RemoteProtocolError):  # a count that is no number asks for nothing
            await client.keys.stock(prekey_count(event.node), event.trace)
    return False


async def _group(client: Client, event: NodeReceived, send: Send) -> bool:
    """A group has changed: what we remember of it changes with it, or is given up when the change cannot be read."""
    try:
        return await _take_group(client, event, send)
    except StanzaError:
        group = _address(event.node, "from")
        if group is not None and group.is_group:
            async with client.hold([group]), client.pipeline.step(parent=event.trace) as step:
                client.groups.forget(step, group)
        return False


async def _take_group(client: Client, event: NodeReceived, send: Send) -> bool:
    told = GroupNotification.from_node(event.node)
    mine = client.credentials
    async with client.hold([told.group]), client.pipeline.step(send, parent=event.trace, wait=False) as step:
        record = await step.load(RecordKind.GROUP, str(told.group))
        known = None if record is None else GroupMetadata.from_node(decode_node(record))
        outcome = group_events(told, known, Me(mine.me, mine.lid))
        if outcome.metadata is None:
            client.groups.forget(step, told.group)
        else:
            client.groups.keep(step, outcome.metadata)
        for one in outcome.events:
            step.emit(one)
        step.transition("group", "known", "changed", changes=len(told.changes), removed=len(outcome.removed))
        step.acknowledge(ack(event.node))
    _learn(client, outcome)
    return True


def _learn(client: Client, outcome: GroupOutcome) -> None:
    pairs: list[tuple[Jid, Jid]] = list(outcome.pairs)
    if pairs:
        client.background(client.people.learn_all(pairs, source="group"))


async def _link_code(client: Client, event: NodeReceived, send: Send) -> bool:
    await client.account.code.on_notification(event)
    return False


async def _passkey(client: Client, event: NodeReceived, send: Send) -> bool:
    """The account links no device without a passkey: the pairing ends, by its name."""
    if not client.credentials.is_paired:
        await client.supervisor.fail(PairingError(PairingStep.PASSKEY))
    return False


async def _privacy_token(client: Client, event: NodeReceived, send: Send) -> bool:
    with suppress(RemoteProtocolError):  # of nobody, or without a token
        await client.privacy.on_notification(event)
    return False


async def _picture(client: Client, event: NodeReceived, send: Send) -> bool:
    return await _tell(client, event, send, node_events.picture_events(event.node))


async def _account(client: Client, event: NodeReceived, send: Send) -> bool:
    if event.node.child("devices") is not None:
        mine = client.credentials
        for own in filter(None, [mine.me, mine.lid]):
            client.devices.forget(own)
    if event.node.child("privacy") is not None:
        client.settings.forget_privacy()
    told = node_events.blocklist_events(event.node)
    for one in told:
        client.settings.follow(one)
    return await _tell(client, event, send, told)


async def _media(client: Client, event: NodeReceived, send: Send) -> bool:
    mine = client.credentials
    return await _tell(client, event, send, [node_events.media_event(event.node, Me(mine.me, mine.lid))])


async def _tell(client: Client, event: NodeReceived, send: Send, told: Sequence[DurableEvent]) -> bool:
    if not told:
        return False
    async with client.pipeline.step(send, parent=event.trace, wait=False) as step:
        for one in told:
            step.emit(one)
        step.acknowledge(ack(event.node))
    return True


_HANDLERS: Mapping[str, Handler] = {
    "devices": _devices,
    "encrypt": _encrypt,
    "w:gp2": _group,
    "picture": _picture,
    "account_sync": _account,
    "mediaretry": _media,
    "privacy_token": _privacy_token,
    LINK_CODE: _link_code,
    **dict.fromkeys(PASSKEY_TYPES, _passkey),
}
