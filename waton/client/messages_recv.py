"""The way in: each message is decrypted exactly once, stored, acknowledged, and only then told.

One incoming <message> is one unit of work. Under the lock of the author's session it loads the records, runs the pure
Signal steps, works out what the message means, and commits ratchet, spent prekey, identity, mapping, event and
transition together; the receipt goes out after the commit. A message that was read before (a redelivery after a crash,
or a resend that crossed the original) is receipted again and not told twice.

What cannot be read is never silent: it becomes a messages.undecryptable event with its reason, is kept in the journal,
and its author is asked again (waton.client.retries), or our own phone.

Source: Baileys Utils/decode-wa-message.ts and Socket/messages-recv.ts for shapes and receipts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from waton.client import addresses, placeholders
from waton.client.decryption import MALFORMED, UNTRUSTED, Reading
from waton.client.envelope import (
    SECRET_SECONDS,
    Envelope,
    IncomingKind,
    classify_incoming_node,
    envelope_of,
    message_place,
    received_key,
)
from waton.client.event_pipeline import Step
from waton.client.events import (
    DecryptFail,
    DurableEvent,
    MessageKey,
    MessageStatus,
    MessagesUpdate,
    MessagesUpsert,
    MessageUndecryptable,
    UpsertType,
)
from waton.client.message_keys import Me
from waton.client.message_outcome import (
    KeepHistory,
    Known,
    LearnMappings,
    Outcome,
    Received,
    StoreAppStateKeys,
    StoreSecret,
)
from waton.client.node_events import verified_name
from waton.client.process_message import process_message, target_of
from waton.client.receipt_events import how_many, message_ids, receipt_events
from waton.client.retry_rules import Failure
from waton.client.sent_messages import SentMessage
from waton.errors import DecodeError, Disconnected, RemoteProtocolError
from waton.jid import SERVER, Jid
from waton.ports import RecordKind
from waton.protocol import message as content
from waton.protocol import proto
from waton.protocol.binary_node import Node, StanzaError
from waton.protocol.connection import NodeReceived
from waton.protocol.signal_repo import EncType
from waton.protocol.stanza.message import IncomingMessage
from waton.protocol.stanza.receipt import Nack, Receipt, ReceiptType, ack
from waton.protocol.trace import Layer, Way

if TYPE_CHECKING:
    from waton.client.client import Client

Send = Callable[[Node, int | None], Awaitable[None]]
RECEIVED_SECONDS = 14 * 86_400
"""How long a message id is remembered as told."""
_MOST_RECEIPTS = 10_000
"""Messages and readers in one receipt; each is an event."""


@dataclass(slots=True, repr=False)
class Decoded:
    """One message stanza after everything was read from it that can be."""

    envelope: Envelope
    reading: Reading
    message: proto.Message | None = None
    """Its content; None when it has none that could be read."""
    failure: str = ""
    """Why there is no content: a retry_rules.Failure; "" when there is, or when all of it was read before."""
    was_told: bool = False
    """This message was told before: it is no news."""
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def events(self) -> tuple[DurableEvent, ...]:
        """What it is to those who subscribe; empty for what was told before."""
        return self.outcome.events


async def decode_incoming_message_node(client: Client, step: Step, node: Node) -> Decoded:
    """Decrypt one <message> in a unit of work, once, and work out what it means.

    Ratchets, sender keys, identities and mappings that follow from it are written to the step. Hold the author's lock.

    Args:
        client: whose keys.
        step: the stanza's unit of work.
        node: the stanza.
    Raises:
        RemoteProtocolError: it is no message that a server may send.
    """
    return await decode_envelope(client, step, envelope_of(IncomingMessage.from_node(node), client.is_me))


async def decode_envelope(client: Client, step: Step, envelope: Envelope) -> Decoded:
    """The same of a stanza that was read already."""
    stanza = envelope.stanza
    await _learn(client, step, envelope)
    reading = await client.decryption.read(step, envelope)
    decoded = Decoded(envelope, reading, _content(stanza, reading))
    decoded.failure = "" if decoded.message is not None else _failure(stanza, reading)
    if decoded.message is not None or _is_repeat(envelope, reading):
        decoded.was_told = await _was_told(step, envelope.key)
        if decoded.message is None and not decoded.was_told:
            decoded.failure = Failure.DUPLICATE
        elif decoded.message is not None and not decoded.was_told:
            decoded.outcome = await _meaning(client, step, envelope, decoded.message)
    return decoded


async def _learn(client: Client, step: Step, envelope: Envelope) -> None:
    author, other = envelope.stanza.author, envelope.stanza.author_alt
    if other is not None and author.is_lid != other.is_lid:
        pn, lid = (other, author) if author.is_lid else (author, other)
        await client.people.learn(step, [(pn, lid)], source="message")


def _content(stanza: IncomingMessage, reading: Reading) -> proto.Message | None:
    """All that the ciphertexts say, in one message; a newsletter has none. Nobody else's word counts unencrypted."""
    if stanza.plaintext is not None and stanza.sender.is_newsletter and not stanza.encs:
        with suppress(DecodeError):
            return content.parse_message(stanza.plaintext)
    contents = reading.contents
    if not contents:
        return None
    whole = contents[0].message
    for more in contents[1:]:
        whole.MergeFrom(more.message)
    return whole


def _failure(stanza: IncomingMessage, reading: Reading) -> str:
    if reading.failure is not None:
        return reading.failure.reason
    if reading.is_duplicate or reading.opened:
        return ""  # read before, or a sender key alone
    if stanza.plaintext is not None:
        return MALFORMED
    return Failure.ABSENT if stanza.unavailable is None else Failure.unavailable(stanza.unavailable)


def _is_repeat(envelope: Envelope, reading: Reading) -> bool:
    """Its content was read before, say its ciphertexts. To a group, a session's ciphertext alone may have had none."""
    shared = any(one.enc.type == EncType.SKMSG for one in reading.unopened)
    return reading.is_duplicate and (shared or not envelope.chat.is_group)


async def _was_told(step: Step, key: MessageKey) -> bool:
    """Whether this message was told before, under whichever addresses of its chat and its author."""
    others = await addresses.alternate_many(step, (key.chat, key.author))
    chats, authors = [{jid, others.get(jid, jid)} for jid in (key.chat, key.author)]
    places = [received_key(replace(key, chat=chat, author=author)) for chat in chats for author in authors]
    return bool(await step.load_many(RecordKind.RECEIVED, places))


def _telling(id: str) -> str:
    """The lock of whoever tells a message of this id, or asks for it: its author's words and our phone's may cross.

    It is taken with the locks of people held, and nobody who holds it waits for one of those.
    """
    return f"telling:{id}"


def _answered(decoded: Decoded) -> set[str]:
    """The locks of the messages that our phone gives us in this one; its own is held."""
    message = decoded.message
    if message is None or not decoded.envelope.is_peer or not placeholders.is_response(message):
        return set()
    return {_telling(id) for id in placeholders.answered_ids(message) if id != decoded.envelope.key.id}


async def _meaning(client: Client, step: Step, envelope: Envelope, message: proto.Message) -> Outcome:
    stanza, mine = envelope.stanza, client.credentials
    received = Received(
        envelope.key,
        message,
        stanza.t,
        _upsert_of(stanza),
        push_name=stanza.notify,
        verified_name=verified_name(stanza),
        is_peer=envelope.is_peer,
    )
    me = Me(mine.me, mine.lid)
    return process_message(received, me, await _known(client, step, received, me))


def _upsert_of(stanza: IncomingMessage) -> UpsertType:
    return UpsertType.NOTIFY if stanza.offline is None else UpsertType.APPEND


async def _known(client: Client, step: Step, received: Received, me: Me) -> Known:
    key = received.key
    name = client.name_of(key.author)
    target = target_of(received, me)
    if target is None:
        return Known(push_name=name)
    authors = await step.unit.load_prefix(RecordKind.RECEIVED, message_place(target.chat, target.id))
    sent = await step.load(RecordKind.SENT_MESSAGE, target.id)
    original = me.beside(target.author) if sent is not None else None
    if original is None and len(authors) == 1:
        original = Jid.parse(next(iter(authors.values())).decode())
    is_admin = await client.groups.is_admin(key.chat, key.author) if key.chat.is_group else None
    return Known(original, is_admin, name)


class Receiver:
    """Receives messages and receipts for one client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    # --- messages -----------------------------------------------------------------------------------------------------

    async def on_message(self, event: NodeReceived, send: Send) -> None:
        """Take one <message>."""
        client = self._client
        try:
            stanza = IncomingMessage.from_node(event.node)
            envelope = envelope_of(stanza, client.is_me)
        except RemoteProtocolError:
            await self.refuse(event, send, Nack.PARSING)
            return
        people = [jid for jid in (stanza.author, stanza.author_alt) if jid is not None]
        unit = client.pipeline.step(send, parent=event.trace, wait=False)
        async with client.hold(people) as held, unit as step:
            await held.take([_telling(stanza.id)])
            decoded = await decode_envelope(client, step, envelope)
            if decoded.failure != UNTRUSTED:
                await client.identities.release(step, stanza.author, stanza.id)
            if decoded.failure:
                await self._unread(step, decoded, event)
            else:
                await held.take(_answered(decoded))
                await self._read(step, decoded, event)

    async def _read(self, step: Step, decoded: Decoded, event: NodeReceived) -> None:
        envelope, key = decoded.envelope, decoded.envelope.key
        self._trace(decoded, event.trace, step.unit.number)
        if decoded.message is None and decoded.reading.opened and await self._client.retries.resolved(step, envelope):
            step.emit(MessageUndecryptable(key, "", envelope.stanza.t, is_resolved=True))
        if decoded.message is None or decoded.was_told:
            step.transition("message", "received", "duplicate", id=key.id)
        else:
            until = self._client.clock.now() + RECEIVED_SECONDS
            step.save(RecordKind.RECEIVED, received_key(key), str(key.author).encode(), until=until)
            if await self._client.retries.resolved(step, envelope):
                step.emit(MessageUndecryptable(key, "", envelope.stanza.t, is_resolved=True))
            await self._act(step, decoded)
            self._emit(step, decoded.events, max((enc.count or 0 for enc in envelope.stanza.encs), default=0))
            step.transition("message", "new", "received", id=key.id)
        for receipt in self._receipts(decoded, event):
            step.acknowledge(receipt)

    def _emit(self, step: Step, events: Iterable[DurableEvent], retry_count: int = 0) -> None:
        for event in events:
            if not isinstance(event, MessagesUpsert):
                step.emit(event)
                continue
            if event.push_name:
                self._client.remember_name(event.key.author, event.push_name)
            step.emit(replace(event, retry_count=retry_count) if retry_count else event)
            if event.key.from_me:
                step.emit(MessagesUpdate(event.key, MessageStatus.SERVER_ACK, SERVER, event.timestamp))

    async def _unread(self, step: Step, decoded: Decoded, event: NodeReceived) -> None:
        envelope, client = decoded.envelope, self._client
        key, stanza = envelope.key, envelope.stanza
        if await _was_told(step, key):
            # Another copy of what was told, as when an answer crosses the phone's: there is nothing to ask for.
            step.transition("message", "received", "unreadable copy", id=key.id, reason=decoded.failure)
            step.acknowledge(ack(event.node, me=client.credentials.me))
            return
        asked = await client.retries.ask(step, envelope, decoded.failure)
        if decoded.failure == UNTRUSTED:
            await client.identities.hold(step, stanza.author, event.node)
        if asked.is_news:
            hide = any(enc.decrypt_fail == DecryptFail.HIDE for enc in stanza.encs)
            told = MessageUndecryptable(
                key,
                decoded.failure,
                stanza.t,
                retry_count=asked.count,
                will_retry=asked.will_retry,
                unavailable=stanza.unavailable or "",
                decrypt_fail=DecryptFail.HIDE if hide else DecryptFail.SHOW,
                upsert=_upsert_of(stanza),
                push_name=stanza.notify,
            )
            step.emit(told)
        step.transition("message", "new", "undecryptable", id=key.id, reason=decoded.failure)
        step.acknowledge(ack(event.node, error=asked.nack, me=client.credentials.me))

    # --- what follows from a message ----------------------------------------------------------------------------------

    async def _act(self, step: Step, decoded: Decoded) -> None:
        for action in decoded.outcome.actions:
            match action:
                case StoreSecret():
                    self._store_secret(step, action)
                case StoreAppStateKeys():
                    for key in action.keys:
                        step.save(RecordKind.APP_STATE_KEY, key.keyId.keyId.hex(), key.keyData.SerializeToString())
                        step.transition("app_state_key", "unknown", "shared")
                case KeepHistory():
                    chunk = action.notification
                    step.save(RecordKind.HISTORY_CHUNK, action.key.id, chunk.SerializeToString())
                    step.transition("history", "none", "kept", chunk=chunk.chunkOrder)
                    self._client.background(self._client.privacy.take_salt(chunk))
                case LearnMappings():
                    self._client.background(self._client.people.learn_all(action.pairs, source="phone"))
                case _:
                    pass  # the journal has it
        message = decoded.message
        if decoded.envelope.is_peer and message is not None and placeholders.is_response(message):
            for received in await self._client.retries.on_phone_answer(step, decoded.envelope.key.author, message):
                await self._take_from_phone(step, received)

    def _store_secret(self, step: Step, action: StoreSecret) -> None:
        until = self._client.clock.now() + SECRET_SECONDS
        step.save(RecordKind.MESSAGE_SECRET, received_key(action.key), action.secret, until=until)

    async def _take_from_phone(self, step: Step, received: Received) -> None:
        """A message that could not be read, as our phone has it."""
        mine, place = self._client.credentials, received_key(received.key)
        if await _was_told(step, received.key):
            return
        until = self._client.clock.now() + RECEIVED_SECONDS
        step.save(RecordKind.RECEIVED, place, str(received.key.author).encode(), until=until)
        me = Me(mine.me, mine.lid)
        outcome = process_message(received, me, await _known(self._client, step, received, me))
        step.emit(MessageUndecryptable(received.key, "", received.timestamp, is_resolved=True))
        for action in outcome.actions:
            if isinstance(action, StoreSecret):
                self._store_secret(step, action)
        self._emit(step, outcome.events)

    # --- receipts we send ---------------------------------------------------------------------------------------------

    def _receipts(self, decoded: Decoded, event: NodeReceived) -> list[Node]:
        """A receipt instead of an ack for a message that was read; see the source for the kinds."""
        envelope = decoded.envelope
        key, stanza = envelope.key, envelope.stanza
        if key.chat.is_newsletter:
            return [ack(event.node)]
        if envelope.is_peer:
            made = [Receipt((key.id,), stanza.sender, ReceiptType.PEER_MSG)]
            if any(isinstance(action, KeepHistory) for action in decoded.outcome.actions):
                made.append(Receipt((key.id,), key.author.bare, ReceiptType.HIST_SYNC))
            return [receipt.to_node() for receipt in made]
        if key.from_me and not (stanza.sender.is_group or stanza.sender.is_broadcast):
            return [Receipt((key.id,), key.author, ReceiptType.SENDER, recipient=stanza.recipient).to_node()]
        seen = ReceiptType.DELIVERED if self._client.account.is_online else ReceiptType.INACTIVE
        type = ReceiptType.SENDER if key.from_me else seen
        return [Receipt((key.id,), stanza.sender, type, participant=stanza.participant).to_node()]

    async def refuse(self, event: NodeReceived, send: Send, error: int) -> None:
        """Acknowledge with an error what cannot be taken."""
        with suppress(StanzaError, Disconnected):  # what names no sender cannot be answered; it stays in the journal
            await send(ack(event.node, error=error, me=self._client.credentials.me), event.trace)

    def _trace(self, decoded: Decoded, parent: int, transition: int) -> None:
        key = decoded.envelope.key
        for opened in decoded.reading.opened:
            self._client.tracer.add(
                Layer.MESSAGE,
                Way.IN,
                content.kind_of(opened.message),
                at=self._client.clock.now(),
                parent=parent,
                id=key.id,
                kind=opened.type,
                sender=str(key.author),
                size=len(opened.plain),
                data=opened.plain,
                transition=transition,
            )

    # --- receipts we get ----------------------------------------------------------------------------------------------

    async def on_receipt(self, event: NodeReceived, send: Send) -> None:
        """Take one <receipt>: a message of ours got further, or could not be read."""
        try:
            receipt = Receipt.from_node(event.node)
            if how_many(receipt) > _MOST_RECEIPTS:
                raise RemoteProtocolError("more receipts in one than anybody has to give")
            if receipt.type == ReceiptType.RETRY:
                await self._client.retries.on_request(receipt, event, send)
                return
        except RemoteProtocolError:
            await self.refuse(event, send, Nack.PARSING)
            return
        async with self._client.pipeline.step(send, parent=event.trace, wait=False) as step:
            await self._note(step, receipt)
            step.acknowledge(ack(event.node))

    async def _note(self, step: Step, receipt: Receipt) -> None:
        client, mine = self._client, self._client.credentials
        records = await step.load_many(RecordKind.SENT_MESSAGE, message_ids(receipt))
        sent = {id: SentMessage.from_bytes(record) for id, record in records.items()}
        own = mine.me or receipt.peer
        keys = {id: MessageKey(message.chat, id, True, own) for id, message in sent.items() if not message.category}
        for event in receipt_events(receipt, Me(mine.me, mine.lid), keys, int(client.clock.now())):
            id, status = event.key.id, event.status
            message = sent.get(id)
            if message is not None and message.got_to(status) is not message:
                sent[id] = message.got_to(status)
                step.save(RecordKind.SENT_MESSAGE, id, sent[id].to_bytes(), until=message.until)
            step.emit(event)
            step.transition("message", "sent", status.name.lower(), id=id)


__all__ = [
    "Decoded",
    "IncomingKind",
    "Receiver",
    "classify_incoming_node",
    "decode_incoming_message_node",
]
