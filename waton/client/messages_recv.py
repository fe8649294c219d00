"""The way in: each message is decrypted exactly once, stored, acknowledged, and only then told.

One incoming <message> is one unit of work. Under the lock of the author's session it loads the records, runs the pure
Signal step, and commits ratchet, spent prekey, identity, mapping, event and transition together; the receipt goes out
after the commit. A message that was read before (a redelivery after a crash) is receipted again and not told twice.

What cannot be read is never silent: it becomes a messages.undecryptable event with its reason, is kept in the journal,
and is acknowledged with an error, as Baileys does. Asking the author again (retry receipts) is not here yet.

Source: Baileys Utils/decode-wa-message.ts and Socket/messages-recv.ts for shapes and receipts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from waton._core import PreKeyMessage
from waton.client import addresses
from waton.client.event_pipeline import Step
from waton.client.events import (
    MessageKey,
    MessageStatus,
    MessagesUpdate,
    MessagesUpsert,
    MessageUndecryptable,
    UpsertType,
)
from waton.errors import DecodeError, DecryptError, DecryptReason, Disconnected, RemoteProtocolError, UntrustedIdentity
from waton.jid import Jid, signal_address
from waton.ports import RecordKind
from waton.protocol import message as content
from waton.protocol import proto, signal_repo
from waton.protocol.binary_node import Node, StanzaError
from waton.protocol.connection import NodeReceived
from waton.protocol.signal_repo import EncType
from waton.protocol.stanza.message import Enc, IncomingMessage
from waton.protocol.stanza.receipt import Receipt, ReceiptType, ack
from waton.protocol.trace import Layer, Way
from waton.utils.padding import unpad

if TYPE_CHECKING:
    from waton.client.client import Client

Send = Callable[[Node, int | None], Awaitable[None]]
NACK_PARSING = 487
NACK_UNHANDLED = 500
_READABLE = (EncType.PKMSG, EncType.MSG)
_REASONS: dict[type[Exception], str] = {
    DecodeError: "decode",
    UntrustedIdentity: "untrusted_identity",
    NotImplementedError: DecryptReason.UNSUPPORTED.value,
}
_STATUS = {
    ReceiptType.DELIVERED: MessageStatus.DELIVERED,
    ReceiptType.INACTIVE: MessageStatus.DELIVERED,
    ReceiptType.READ: MessageStatus.READ,
    ReceiptType.PLAYED: MessageStatus.PLAYED,
}


@dataclass(frozen=True, slots=True, repr=False)
class _Envelope:
    """Whose message it is, worked out from the stanza's addresses alone."""

    key: MessageKey
    stanza: IncomingMessage
    is_peer: bool
    """From our own phone to this device, not part of any conversation."""


class Receiver:
    """Receives messages and receipts for one client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    # --- messages -----------------------------------------------------------------------------------------------------

    async def on_message(self, event: NodeReceived, send: Send) -> None:
        """Take one <message>."""
        try:
            stanza = IncomingMessage.from_node(event.node)
            envelope = self._envelope(stanza)
        except RemoteProtocolError:
            await self._refuse(event, send, NACK_PARSING)
            return
        async with self._client.hold([stanza.author, *self._alternatives(stanza)]):
            await self._take(envelope, event, send)

    def _envelope(self, stanza: IncomingMessage) -> _Envelope:
        author = stanza.author
        from_me = self._client.is_me(author)
        chat = stanza.sender.bare
        if (chat.is_group or chat.is_broadcast) and stanza.participant is None:
            raise RemoteProtocolError("a message of a group that nobody in it has written")
        if stanza.recipient is not None and not from_me:
            raise RemoteProtocolError("a message to somebody else that is not ours")
        # Keys and history are taken from our own phone only, not from another companion.
        is_peer = stanza.category == "peer" and from_me and author.device == 0
        if from_me and stanza.recipient is not None:
            chat = stanza.recipient.bare
        return _Envelope(MessageKey(chat, stanza.id, from_me, author), stanza, is_peer)

    @staticmethod
    def _alternatives(stanza: IncomingMessage) -> list[Jid]:
        return [jid for jid in (stanza.sender_pn, stanza.sender_lid) if jid is not None]

    async def _take(self, envelope: _Envelope, event: NodeReceived, send: Send) -> None:
        try:
            await self._read_and_commit(envelope, event, send)
        except DecryptError as error:
            if error.reason is DecryptReason.DUPLICATE:
                await self._receipt_again(envelope, event, send)
            else:
                await self._undecryptable(envelope, event, send, error.reason.value)
        except (DecodeError, UntrustedIdentity, NotImplementedError) as error:
            await self._undecryptable(envelope, event, send, _REASONS[type(error)])

    async def _read_and_commit(self, envelope: _Envelope, event: NodeReceived, send: Send) -> None:
        stanza = envelope.stanza
        async with self._client.pipeline.step(send, parent=event.trace) as step:
            await self._learn(step, stanza)
            for enc in stanza.encs:
                plain = await self._decrypt(step, stanza.author, enc)
                message = content.parse_message(plain)
                self._trace(envelope, message, enc.type, plain, event.trace, step.unit.number)
                self._apply(step, envelope, message)
            if not stanza.encs:
                self._without_content(step, envelope)
            for receipt in self._receipts(envelope, step):
                step.acknowledge(receipt)

    async def _learn(self, step: Step, stanza: IncomingMessage) -> None:
        author = stanza.author
        if author.is_lid and stanza.sender_pn is not None:
            await addresses.learn(step, stanza.sender_pn.with_device(author.device), author, source="message")
        elif author.is_pn and stanza.sender_lid is not None:
            await addresses.learn(step, author, stanza.sender_lid, source="message")

    async def _decrypt(self, step: Step, author: Jid, enc: Enc) -> bytes:
        """One Signal step in this unit of work; returns the unpadded plaintext."""
        if enc.type not in _READABLE:
            raise NotImplementedError(f"enc type {enc.type}")
        address = signal_address(await addresses.canonical(step, author))
        record = await step.load(RecordKind.SESSION, address)
        trusted = await step.load(RecordKind.IDENTITY, address)
        try:
            opened = signal_repo.decrypt(
                EncType(enc.type),
                enc.ciphertext,
                record=record,
                local=signal_repo.LocalIdentity.of(self._client.credentials),
                keys=await self._prekeys(step, enc),
                trusted_identity=trusted,
                sender=author,
                entropy=self._client.entropy.take(32),
            )
        except DecryptError as error:
            raise DecryptError(error.reason, author) from error
        step.save(RecordKind.SESSION, address, opened.record)
        self._note_ratchet(step, address, opened, trusted)
        return unpad(opened.plaintext)

    async def _prekeys(self, step: Step, enc: Enc) -> signal_repo.PreKeyLookup | None:
        """The private prekeys a pkmsg names, as far as we have them."""
        if enc.type != EncType.PKMSG:
            return None
        named = PreKeyMessage.parse(enc.ciphertext)
        signed = await step.load(RecordKind.SIGNED_PREKEY, str(named.signed_prekey_id))
        once = None if named.prekey_id is None else await step.load(RecordKind.PREKEY, str(named.prekey_id))
        return signal_repo.PreKeyLookup(signed_prekey_private=signed, prekey_private=once)

    def _note_ratchet(self, step: Step, address: str, opened: signal_repo.Decrypted, trusted: bytes | None) -> None:
        if opened.identity_key is not None and opened.identity_key != trusted:
            step.save(RecordKind.IDENTITY, address, opened.identity_key)
            step.transition("identity", "unknown", "known")
        if opened.spent_prekey_id is not None:
            step.save(RecordKind.PREKEY, str(opened.spent_prekey_id), None)
            step.transition("prekey", "unused", "spent", id=opened.spent_prekey_id)
        step.transition("ratchet", "ready", "advanced")

    # --- what a message means -----------------------------------------------------------------------------------------

    def _apply(self, step: Step, envelope: _Envelope, message: proto.Message) -> None:
        if envelope.is_peer:
            self._apply_peer(step, envelope, message)
            return
        key, stanza = envelope.key, envelope.stanza
        unwrapped = content.Unwrapped(message, "")
        if key.from_me:
            # Only our own devices may speak for us; anybody else's wrapper stays as it came.
            unwrapped = content.unwrap_device_sent(message)
            if unwrapped.destination:
                key = MessageKey(_destination(unwrapped.destination), key.id, True, key.author)
        upsert = UpsertType.NOTIFY if stanza.offline is None else UpsertType.APPEND
        step.emit(MessagesUpsert(key, unwrapped.message, stanza.t, upsert, stanza.notify))
        step.transition("message", "new", "received", id=key.id)

    def _apply_peer(self, step: Step, envelope: _Envelope, message: proto.Message) -> None:
        """Keep what our phone shares; decoding it comes later."""
        protocol = message.protocolMessage
        for key in protocol.appStateSyncKeyShare.keys:
            step.save(RecordKind.APP_STATE_KEY, key.keyId.keyId.hex(), key.keyData.SerializeToString())
            step.transition("app_state_key", "unknown", "shared")
        if protocol.HasField("historySyncNotification"):
            chunk = protocol.historySyncNotification
            step.save(RecordKind.HISTORY_CHUNK, envelope.key.id, chunk.SerializeToString())
            step.transition("history", "none", "kept", chunk=chunk.chunkOrder)

    def _without_content(self, step: Step, envelope: _Envelope) -> None:
        reason = "unavailable" if envelope.stanza.unavailable else "absent"
        step.emit(MessageUndecryptable(envelope.key, reason, envelope.stanza.t))
        step.transition("message", "new", "undecryptable", id=envelope.key.id, reason=reason)

    # --- receipts we send ---------------------------------------------------------------------------------------------

    def _receipts(self, envelope: _Envelope, step: Step | None) -> list[Node]:
        """A receipt instead of an ack for a message that was read; see the source for the kinds."""
        key, stanza = envelope.key, envelope.stanza
        if envelope.is_peer:
            made = [Receipt((key.id,), stanza.sender, ReceiptType.PEER_MSG)]
            if step is not None and any(machine == "history" for machine, _ in step.transitions):
                made.append(Receipt((key.id,), key.author.bare, ReceiptType.HIST_SYNC))
            return [receipt.to_node() for receipt in made]
        if key.from_me:
            recipient = stanza.recipient
            return [Receipt((key.id,), key.author, ReceiptType.SENDER, recipient=recipient).to_node()]
        participant = stanza.participant
        return [Receipt((key.id,), stanza.sender, ReceiptType.DELIVERED, participant=participant).to_node()]

    def read_receipt(self, message: MessagesUpsert) -> Node:
        """The read receipt for a message we got."""
        key = message.key
        participant = key.author if key.chat.is_group else None
        now = int(self._client.clock.now())
        return Receipt((key.id,), key.chat, ReceiptType.READ, participant=participant, t=now).to_node()

    async def _receipt_again(self, envelope: _Envelope, event: NodeReceived, send: Send) -> None:
        async with self._client.pipeline.step(send, parent=event.trace) as step:
            step.transition("message", "received", "duplicate", id=envelope.key.id)
            for receipt in self._receipts(envelope, None):
                step.acknowledge(receipt)

    async def _undecryptable(self, envelope: _Envelope, event: NodeReceived, send: Send, reason: str) -> None:
        async with self._client.pipeline.step(send, parent=event.trace) as step:
            step.emit(MessageUndecryptable(envelope.key, reason, envelope.stanza.t))
            step.transition("message", "new", "undecryptable", id=envelope.key.id, reason=reason)
            step.acknowledge(ack(event.node, error=NACK_UNHANDLED, me=self._client.credentials.me))

    async def _refuse(self, event: NodeReceived, send: Send, error: int) -> None:
        with suppress(StanzaError, Disconnected):  # what names no sender cannot be answered; it stays in the journal
            await send(ack(event.node, error=error, me=self._client.credentials.me), event.trace)

    def _trace(
        self, envelope: _Envelope, message: proto.Message, enc: str, plain: bytes, parent: int, transition: int
    ) -> None:
        self._client.tracer.add(
            Layer.MESSAGE,
            Way.IN,
            content.kind_of(message),
            at=self._client.clock.now(),
            parent=parent,
            id=envelope.key.id,
            kind=enc,
            sender=str(envelope.key.author),
            size=len(plain),
            data=plain,
            transition=transition,
        )

    # --- receipts we get ----------------------------------------------------------------------------------------------

    async def on_receipt(self, event: NodeReceived, send: Send) -> None:
        """Take one <receipt>: a message of ours got further."""
        try:
            receipt = Receipt.from_node(event.node)
        except RemoteProtocolError:
            await self._refuse(event, send, NACK_PARSING)
            return
        async with self._client.pipeline.step(send, parent=event.trace) as step:
            status = _STATUS.get(ReceiptType(receipt.type)) if receipt.type in set(ReceiptType) else None
            for id in receipt.ids:
                if status is not None:
                    await self._note_status(step, receipt, id, status)
            step.acknowledge(ack(event.node))

    async def _note_status(self, step: Step, receipt: Receipt, id: str, status: MessageStatus) -> None:
        sent = await step.load(RecordKind.SENT_MESSAGE, id)
        if sent is None:
            return  # not ours, or from before this store
        chat = Jid.parse(sent.partition(b"\n")[0].decode())
        mine = self._client.credentials
        key = MessageKey(chat, id, True, mine.me or receipt.peer)
        t = receipt.t if receipt.t is not None else int(self._client.clock.now())
        step.emit(MessagesUpdate(key, status, receipt.participant or receipt.peer, t))
        step.transition("message", "sent", status.name.lower(), id=id)


def _destination(text: str) -> Jid:
    """The conversation that a deviceSentMessage names. Raises DecodeError."""
    try:
        return Jid.parse(text).bare
    except ValueError as error:
        raise DecodeError(0, text.encode(), "destination") from error
