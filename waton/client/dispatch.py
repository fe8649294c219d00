"""Dispatch: each incoming stanza to the part that takes it, in a lane of its conversation where order matters.

Messages, receipts, notifications and calls are delivered again until we say that we have them; each goes behind the
earlier ones of its conversation, and different conversations go side by side. Everything else is taken at once.

Source: Baileys Socket/socket.ts and Socket/messages-recv.ts (which stanzas there are and who takes them).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from waton.client import addresses, node_events, notifications
from waton.client.envelope import IncomingKind, classify_incoming_node
from waton.client.events import OfflineDrained
from waton.client.lanes import OVERHEAD
from waton.errors import Disconnected, DisconnectReason, RemoteProtocolError
from waton.jid import SERVER
from waton.protocol.binary_node import Node, StanzaError, get_jid, get_text
from waton.protocol.connection import NodeReceived
from waton.protocol.stanza import iq, stream
from waton.protocol.stanza.receipt import ReceiptType, ack

if TYPE_CHECKING:
    from waton.client.client import Client

Send: TypeAlias = Callable[[Node, "int | None"], Awaitable[None]]


class Dispatch:
    """Hands out the stanzas of one client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def on_node(self, event: NodeReceived) -> None:
        """Take a stanza that answers no query; in the order of arrival."""
        node = event.node
        match classify_incoming_node(node):
            case IncomingKind.MESSAGE | IncomingKind.RECEIPT | IncomingKind.NOTIFICATION | IncomingKind.CALL:
                await self._to_lane(event)
            case IncomingKind.ACK:
                settle = self._client.outbox.on_ack
                await self._client.lanes.submit("ack", lambda: settle(node, event.trace), OVERHEAD + event.size)
            case IncomingKind.IQ:
                await self._on_iq(event)
            case IncomingKind.IB:
                await self._on_ib(event)
            case IncomingKind.SUCCESS:
                self._client.supervisor.spawn(self._client.account.login(node, event.trace))
            case IncomingKind.STREAM_END if node.tag == "xmlstreamend":
                raise Disconnected(DisconnectReason.CLOSED, None, "end of stream")
            case IncomingKind.STREAM_END:
                raise stream.disconnected_of(node)
            case IncomingKind.PRESENCE | IncomingKind.CHATSTATE:
                self._on_presence(event)
            case _:
                pass  # recorded in the trace; nothing is dropped

    def _on_presence(self, event: NodeReceived) -> None:
        with suppress(StanzaError):  # of nobody
            told = node_events.presence_event(event.node)
            if told is not None and not self._is_ignored(event.node):
                self._client.pipeline.publish(told, event.trace)

    async def _to_lane(self, event: NodeReceived) -> None:
        send = self._client.supervisor.live().send
        lane = await self._lane_of(event.node)
        await self._client.lanes.submit(lane, lambda: self._handle(event, send), OVERHEAD + event.size)

    async def _lane_of(self, node: Node) -> str:
        """What a stanza keeps its order within: its conversation, by the LID where that is known or told."""
        kind = get_text(node, "type")
        try:
            sender, recipient = get_jid(node, "from"), get_jid(node, "recipient")
            told = get_jid(node, "sender_lid") if recipient is None else get_jid(node, "recipient_lid")
        except StanzaError:
            return node.tag  # its handler refuses it; one odd stanza must not end the connection
        if node.tag == "receipt" and kind == ReceiptType.RETRY:
            return f"retry:{sender}:{get_text(node, 'participant')}"
        if node.tag == "notification" and kind != "w:gp2":
            return f"notification:{sender.bare if sender else ''}"
        chat = told or recipient or sender
        if chat is None:
            return node.tag
        kind = "receipt" if node.tag == "receipt" else "chat"
        name = await addresses.canonical(self._client.store, chat)
        other = await addresses.alternate(self._client.store, name) or recipient or sender or name
        lane, before = f"{kind}:{name.bare}", f"{kind}:{other.bare}"
        # What came while only the number was known has to be through before there is another lane for the same person.
        return before if self._client.lanes.is_busy(before) and not self._client.lanes.is_busy(lane) else lane

    async def _handle(self, event: NodeReceived, send: Send) -> None:
        node = event.node
        if self._is_ignored(node):
            await self._acknowledge(event, send)
            return
        match node.tag:
            case "message":
                await self._client.receiver.on_message(event, send)
            case "receipt":
                await self._client.receiver.on_receipt(event, send)
            case "notification":
                await notifications.on_notification(self._client, event, send)
            case _:
                await self._on_call(event, send)

    def _is_ignored(self, node: Node) -> bool:
        """Of a conversation that whoever uses this client wants to hear nothing of; see ClientConfig.ignores."""
        ignores = self._client.config.ignores
        is_retry = node.tag == "receipt" and get_text(node, "type") == ReceiptType.RETRY
        if ignores is None or is_retry or node.tag == "notification":
            return False
        try:
            sender, recipient = get_jid(node, "from"), get_jid(node, "recipient")
        except StanzaError:
            return False  # its handler refuses it
        is_own = sender is not None and self._client.is_me(sender)
        chat = recipient if is_own and recipient is not None else sender
        try:
            return chat is not None and chat != SERVER and ignores(chat.bare)
        except Exception as error:  # noqa: BLE001  the user's own function may raise anything; the stanza is told then
            self._client.report("ignores", error)
            return False

    async def _on_call(self, event: NodeReceived, send: Send) -> None:
        try:
            told = node_events.call_event(event.node)
        except RemoteProtocolError:
            await self._acknowledge(event, send)
            return
        async with self._client.pipeline.step(send, parent=event.trace, wait=False) as step:
            step.emit(told)
            step.acknowledge(ack(event.node))

    async def _acknowledge(self, event: NodeReceived, send: Send) -> None:
        with suppress(Disconnected):  # the server will deliver it again
            await send(ack(event.node), event.trace)

    async def _on_iq(self, event: NodeReceived) -> None:
        node = event.node
        if node.child("pair-device") is not None:
            await self._client.account.show_qrs(node, event.trace)
        elif node.child("pair-success") is not None:
            await self._client.account.pair(node, event.trace)
        elif node.child("ping") is not None or get_text(node, "xmlns") == "urn:xmpp:ping":
            await self._client.supervisor.live().send(iq.client_result(node), event.trace)

    async def _on_ib(self, event: NodeReceived) -> None:
        for child in event.node.children():
            match child.tag:
                case "offline_preview":
                    await self._client.supervisor.live().send(stream.offline_batch(), event.trace)
                case "offline":
                    self._client.drained.set()
                    self._client.pipeline.publish(OfflineDrained(stream.drained_count(child)), event.trace)
                    self._client.background(self._client.identities.after_drain())
                case "edge_routing":
                    await self._client.account.keep_routing(child, event.trace)
                case "downgrade_webclient":
                    raise Disconnected(DisconnectReason.MULTIDEVICE_MISMATCH)
                case _:
                    pass  # recorded in the trace
