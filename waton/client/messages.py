"""The way out: from a message to one ciphertext for each device, to the server's ack.

Order matters. Devices are asked for and missing bundles fetched first (network); then, holding the locks of all
sessions involved, one unit of work opens sessions, turns every ratchet, and stores records, the message itself, its
event and the finished stanza; only then the stanza goes out. From the commit on a send cannot be lost: the outbox
writes the same stanza until the server has acknowledged it, through restarts as well. An id is sent as new once.

A person's devices each get their own ciphertext, our own others a wrapped copy. A group gets one ciphertext under our
sender key, and the key itself goes along to the devices that lack it.

Source: Baileys Socket/messages-send.ts relayMessage for shapes; whatsmeow send.go for phash and the awaited ack;
docs/parity/better.md for what is done otherwise than Baileys does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from waton.client.envelope import SECRET_SECONDS, received_key
from waton.client.event_pipeline import Step
from waton.client.events import MessageKey, MessageStatus, MessagesUpdate, MessagesUpsert, UpsertType
from waton.client.groups import OwnKey, takes_part
from waton.client.outbox import Entry
from waton.client.placeholders import PEER_CATEGORY, PEER_META, PEER_PRIORITY
from waton.client.privacy_tokens import SendError
from waton.client.sent_messages import SentMessage
from waton.client.sessions import Bundles, Sealed, Target
from waton.errors import Disconnected, DisconnectReason, LocalProtocolError, QueryTimeout
from waton.jid import SERVER, Jid
from waton.ports import RecordKind
from waton.protocol import message as content
from waton.protocol import proto
from waton.protocol.binary_node import Node, get_int, get_text
from waton.protocol.message_labels import Labels, labels_of
from waton.protocol.participant_hash import participant_hash
from waton.protocol.reporting_token import reporting_node
from waton.protocol.signal_repo import EncType
from waton.protocol.stanza.group import AddressingMode, GroupMetadata
from waton.protocol.stanza.message import Enc, OutgoingMessage
from waton.protocol.trace import Layer, Way
from waton.utils.padding import pad

if TYPE_CHECKING:
    from waton.client.client import Client

_REFUSED_EARLIER = 500
"""The error of a message that was refused before; which code it was is not kept."""
ROUNDS = 4
"""How often a send begins anew because a device came to lack something while the others were asked for."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of a send."""

    id: str
    timestamp: int
    """Unix seconds: the server's, from its ack."""
    devices: tuple[Jid, ...]
    """Who can read it."""
    skipped: dict[Jid, str] = field(default_factory=dict[Jid, str])
    """Devices left out, and why."""
    error: int | None = None
    """The server's negative ack (463 token missing, 479 malformed ...); None when it took the message."""
    phash: str = ""
    """The participant hash of the devices it was made for."""
    server_phash: str = ""
    """The server's own, when it knew others: those are asked for and served afterwards. "" means that it agreed."""

    @property
    def is_accepted(self) -> bool:
        return self.error is None

    @property
    def reason(self) -> SendError | None:
        """What the error means, where we know."""
        return SendError.of(self.error)


@dataclass(slots=True, repr=False)
class _Outgoing:
    """One send under way."""

    id: str
    to: Jid
    me: Jid
    """Our own device, as this conversation addresses it."""
    message: proto.Message
    labels: Labels = field(init=False)
    """What its stanza says about it."""
    devices: tuple[Jid, ...] = ()
    """Whom it is made for, our own device included."""
    sealed: Sealed = field(default_factory=Sealed)
    readers: tuple[Jid, ...] = ()
    """Who can read it."""

    def __post_init__(self) -> None:
        self.labels = labels_of(self.message)

    @property
    def phash(self) -> str:
        return participant_hash(self.devices)


class _Again(Exception):
    """Something is missing that has to be asked for without holding a lock."""


class Sender:
    """Sends messages for one client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def send_text(self, to: Jid, text: str, *, id: str | None = None) -> SendResult:
        """Send a text; see send(). The empty one is refused."""
        if not text:
            raise LocalProtocolError("an empty text")
        return await self.send(to, content.text_message(text), id=id)

    async def send(self, to: Jid, message: proto.Message, *, id: str | None = None) -> SendResult:
        """Send a message to a person or a group, and wait until the server has taken it.

        Args:
            to: a person by phone number or LID, or a group; without a device.
            message: what to say. A message secret is added.
            id: the message's id, made when None. One that was sent before is not sent again; what became of it is told.
        Returns:
            what the server said, and which devices it went to.
        Raises:
            NotImplementedError: broadcasts and newsletters are not sendable yet.
            LocalProtocolError: nobody to send to.
            QueryTimeout: not acknowledged in time; it stays in the outbox and is sent until it is.
            Disconnected, IqError: the network, before anything was stored.
        """
        if not (to.is_user or to.is_group):
            raise NotImplementedError("messages go to people and groups; lists and newsletters are not sendable yet")
        made = id or content.message_id(self._client.credentials.me, self._client.clock.now(), self._entropy(16))
        async with self._client.hold_names([f"send:{to.bare}", f"id:{made}"]):
            known = await self._client.store.load(RecordKind.SENT_MESSAGE, made)
            outgoing = None if known is not None else await self._compose(made, to.bare, message)
            entry = self._client.outbox.find("message", made) if outgoing is None else await self._commit(outgoing)
        if outgoing is None:
            return await self._known(made, SentMessage.from_bytes(known or b""), entry)
        return await self._result(outgoing, await self._acknowledged(made, entry))

    def _entropy(self, count: int) -> bytes:
        return self._client.entropy.take(count)

    # --- what to send, to whom ----------------------------------------------------------------------------------------

    async def _compose(self, id: str, to: Jid, message: proto.Message) -> _Outgoing:
        complete = content.ensure_secret(message, self._entropy(32))
        if to.is_group:
            me = self._client.groups.own_address(await self._client.groups.metadata(to))
        else:
            me = self._own_address(to)
        return _Outgoing(id, to, me, complete)

    def own_address(self, sent: SentMessage) -> Jid:
        """Our own device, as the conversation of a message of ours addresses it."""
        return self._own_address(sent.chat, sent.addressing_mode)

    def _own_address(self, to: Jid, addressing_mode: str | None = None) -> Jid:
        mine = self._client.credentials
        by_lid = to.is_lid or addressing_mode == AddressingMode.LID
        own = mine.lid if by_lid and mine.lid is not None else mine.me
        if own is None:
            raise LocalProtocolError("not paired")
        return own

    async def _commit(self, outgoing: _Outgoing) -> Entry | None:
        """Encrypt and store; from here on the message is sent, whatever happens. Returns its place in the outbox."""
        work = self._seal_for_group if outgoing.to.is_group else self._seal_for_person
        for _ in range(ROUNDS):
            try:
                entry = await work(outgoing)
            except _Again:
                continue
            self._client.background(self._client.privacy.sent(outgoing.to, outgoing.message))
            return entry
        raise LocalProtocolError("the recipients' devices change faster than they can be encrypted for")

    # --- a person -----------------------------------------------------------------------------------------------------

    async def _seal_for_person(self, outgoing: _Outgoing) -> Entry:
        client = self._client
        targets = await self._targets(outgoing)
        if not targets:
            raise LocalProtocolError("the server knows no device to send to")
        bundles = await client.sessions.bundles_for([target.wire for target in targets])
        async with client.hold(target.wire for target in targets), client.pipeline.step() as step:
            if await client.sessions.lost(step, [target.wire for target in targets], bundles):
                raise _Again
            outgoing.sealed = await client.sessions.seal(step, targets, bundles)
            is_to_us = client.is_me(outgoing.to)
            if not any(is_to_us or not client.is_me(jid) for jid, _ in outgoing.sealed.encs):
                # Our own copies are no delivery.
                why = "; ".join(sorted(set(outgoing.sealed.skipped.values())))
                raise LocalProtocolError(f"no device could be encrypted for: {why}")
            outgoing.readers = tuple(jid for jid, _ in outgoing.sealed.encs)
            return self._store(step, outgoing, self._stanza(outgoing, await self._beside(step, outgoing)))

    async def _targets(self, outgoing: _Outgoing) -> list[Target]:
        """All devices of the recipient and our own others; our own get the wrapped form."""
        client, to, me = self._client, outgoing.to, outgoing.me
        plain = outgoing.message.SerializeToString()
        wrapped = content.device_sent(to, outgoing.message).SerializeToString()
        resolved = await client.people.resolve([to, me])
        for user, error in resolved.failed.items():
            # Without the recipient it would go to our own devices alone. Whom the network kept from us is not nobody.
            if user == to or isinstance(error, Disconnected | QueryTimeout):
                raise error
        found = resolved.found
        if to.bare not in found or not found[to.bare].device_jids():
            raise LocalProtocolError("the server knows no device to send to")
        pairs = [(one.jid, one.lid) for one in found.values() if one.lid is not None and one.jid.is_pn]
        await client.people.learn_all(pairs, source="usync")
        devices = [jid for user in dict.fromkeys([to, me.bare]) if user in found for jid in found[user].device_jids()]
        outgoing.devices = tuple(devices)
        targets: list[Target] = []
        for device in devices:
            if client.is_this_device(device):
                continue
            body = wrapped if client.is_me(device) else plain
            targets.append(Target(device, pad(body, self._entropy(1)[0])))
        return targets

    # --- a group ------------------------------------------------------------------------------------------------------

    async def _seal_for_group(self, outgoing: _Outgoing) -> Entry:
        client, group = self._client, outgoing.to
        metadata, record = await client.groups.snapshot(group)
        devices = await client.groups.devices(metadata)
        outgoing.devices = tuple(devices)
        others = [jid for jid in devices if takes_part(jid) and not client.is_this_device(jid)]
        guess = await client.groups.lacking(group, outgoing.me, others)
        bundles = await client.sessions.bundles_for(guess)
        async with client.hold([group, *guess]), client.pipeline.step() as step:
            if await step.load(RecordKind.GROUP, str(group)) != record:
                raise _Again  # who left meanwhile must not be told our key
            key = await client.groups.own_key(step, group, outgoing.me, others)
            lacking = key.lacking(others)
            if not set(lacking) <= set(guess) or await client.sessions.lost(step, lacking, bundles):
                raise _Again
            return await self._seal_group(step, outgoing, metadata, key, lacking, others, bundles)

    async def _seal_group(
        self,
        step: Step,
        outgoing: _Outgoing,
        metadata: GroupMetadata,
        key: OwnKey,
        lacking: Sequence[Jid],
        others: Sequence[Jid],
        bundles: Bundles,
    ) -> Entry:
        client = self._client
        told = proto.Message()
        told.senderKeyDistributionMessage.groupId = str(outgoing.to)
        told.senderKeyDistributionMessage.axolotlSenderKeyDistributionMessage = key.cipher.distribution()
        targets = [Target(jid, pad(told.SerializeToString(), self._entropy(1)[0])) for jid in lacking]
        outgoing.sealed = await client.sessions.seal(step, targets, bundles)
        outgoing.readers = tuple(jid for jid in others if jid not in outgoing.sealed.skipped)
        plain = pad(outgoing.message.SerializeToString(), self._entropy(1)[0])
        once = key.cipher.encrypt(plain, entropy=self._entropy(64))
        step.save(RecordKind.SENDER_KEY, key.name, once.record)
        client.groups.told(step, outgoing.to, key, (jid for jid, _ in outgoing.sealed.encs))
        stanza = replace(
            self._stanza(outgoing, await self._beside(step, outgoing)),
            bare=self._labelled(outgoing, Enc(EncType.SKMSG, once.ciphertext)),
            phash=outgoing.phash,
            addressing_mode=metadata.addressing_mode,
            expiration=metadata.ephemeral or None,
        )
        return self._store(step, outgoing, stanza)

    # --- storing ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _labelled(outgoing: _Outgoing, enc: Enc) -> Enc:
        return replace(enc, mediatype=outgoing.labels.mediatype, decrypt_fail=outgoing.labels.decrypt_fail)

    def _stanza(self, outgoing: _Outgoing, beside: Iterable[Node | None]) -> OutgoingMessage:
        # In a group each device's own ciphertext is only a key; the labels are the content's.
        is_key = outgoing.to.is_group
        encs = ((jid, enc if is_key else self._labelled(outgoing, enc)) for jid, enc in outgoing.sealed.encs)
        return OutgoingMessage(
            id=outgoing.id,
            to=outgoing.to,
            encs=tuple(encs),
            type=outgoing.labels.type,
            device_identity=self._client.credentials.account if outgoing.sealed.opens else b"",
            edit=outgoing.labels.edit,
            extra=tuple(node for node in beside if node is not None),
        )

    async def _beside(self, step: Step, outgoing: _Outgoing) -> list[Node | None]:
        """What a message carries besides its ciphertexts, in the order of Baileys."""
        message = outgoing.message
        plain = message.SerializeToString()
        reporting = reporting_node(message, plain, id=outgoing.id, sender=outgoing.me, chat=outgoing.to)
        token = await self._client.privacy.node_for(step, outgoing.to)
        return [reporting, token, outgoing.labels.meta]

    def _store(self, step: Step, outgoing: _Outgoing, stanza: OutgoingMessage) -> Entry:
        now = int(self._client.clock.now())
        sent = SentMessage(
            chat=outgoing.to,
            at=now,
            message=outgoing.message.SerializeToString(),
            type=stanza.type,
            mediatype=outgoing.labels.mediatype,
            decrypt_fail=outgoing.labels.decrypt_fail,
            edit=stanza.edit,
            addressing_mode=stanza.addressing_mode,
            ephemeral=stanza.expiration,
            devices=outgoing.readers,
            phash=outgoing.phash,
        )
        step.save(RecordKind.SENT_MESSAGE, outgoing.id, sent.to_bytes(), until=sent.until)
        key = MessageKey(outgoing.to, outgoing.id, True, outgoing.me)
        secret = content.secret_of(outgoing.message)
        if secret is not None:
            step.save(RecordKind.MESSAGE_SECRET, received_key(key), secret, until=now + SECRET_SECONDS)
        step.emit(MessagesUpsert(key, outgoing.message, now, UpsertType.APPEND))
        step.transition("message", "new", "pending", id=outgoing.id)
        self._trace(outgoing, step.unit.number)
        return self._put(step, stanza)

    def _put(self, step: Step, stanza: OutgoingMessage) -> Entry:
        """Into the outbox, and written when it is on the disk, whether anybody still waits for it or not."""
        if self._client.credentials.me is None:
            raise Disconnected(DisconnectReason.LOGGED_OUT)  # while the stanza was made
        outbox = self._client.outbox
        entry = outbox.put(step, stanza.to_node())
        step.then(lambda: outbox.write(entry))
        return entry

    def _trace(self, outgoing: _Outgoing, transition: int) -> None:
        plain = outgoing.message.SerializeToString()
        self._client.tracer.add(
            Layer.MESSAGE,
            Way.OUT,
            content.kind_of(outgoing.message),
            at=self._client.clock.now(),
            id=outgoing.id,
            recipient=str(outgoing.to),
            size=len(plain),
            data=plain,
            transition=transition,
        )

    # --- our own phone ------------------------------------------------------------------------------------------------

    async def send_peer(self, message: proto.Message, also: Callable[[Step, str], None] | None = None) -> str:
        """Say something to our own phone, as no part of a conversation.

        Args:
            message: what to say.
            also: writes more into the same unit of work; gets the message's id.
        Returns:
            the message's id.
        Raises:
            LocalProtocolError: no session with the phone is to be had.
            Disconnected, QueryTimeout: the network, before anything was stored.
        """
        client, me = self._client, self._client.credentials.me
        if me is None:
            raise LocalProtocolError("not paired")
        phone = me.with_device(0)
        id = content.message_id(me, client.clock.now(), self._entropy(16))
        bundles = await client.sessions.bundles_for([phone])
        async with client.hold([phone]), client.pipeline.step() as step:
            target = Target(phone, pad(message.SerializeToString(), self._entropy(1)[0]))
            sealed = await client.sessions.seal(step, [target], bundles)
            if not sealed.encs:
                raise LocalProtocolError("the phone could not be encrypted for")
            identity = client.credentials.account if sealed.opens else b""
            stanza = OutgoingMessage(
                id=id,
                to=me.bare,
                encs=(),
                bare=sealed.encs[0][1],
                device_identity=identity,
                category=PEER_CATEGORY,
                push_priority=PEER_PRIORITY,
                extra=(PEER_META,),
            )
            now = int(client.clock.now())
            sent = SentMessage(me.bare, now, message.SerializeToString(), category=PEER_CATEGORY, devices=(phone,))
            step.save(RecordKind.SENT_MESSAGE, id, sent.to_bytes(), until=sent.until)
            if also is not None:
                also(step, id)
            self._put(step, stanza)
        return id

    # --- the server's word --------------------------------------------------------------------------------------------

    async def _acknowledged(self, id: str, entry: Entry | None) -> Node:
        timeout = self._client.config.query_timeout
        if entry is None:
            raise QueryTimeout(id, 0)
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(entry.done)
        except TimeoutError:
            raise QueryTimeout(id, timeout) from None

    async def settle(self, step: Step, node: Node, id: str) -> None:
        """The server has acknowledged message `id`, in this unit of work."""
        record = await step.load(RecordKind.SENT_MESSAGE, id)
        if record is None:
            return  # acknowledged after a week
        sent = SentMessage.from_bytes(record)
        error, t = get_int(node, "error"), get_int(node, "t")
        status = MessageStatus.SERVER_ACK if error is None else MessageStatus.ERROR
        step.save(RecordKind.SENT_MESSAGE, id, sent.got_to(status).to_bytes(), until=sent.until)
        if sent.phash and get_text(node, "phash") not in (None, sent.phash):
            self._client.missed.note(step, id, sent.until)
        if sent.category == PEER_CATEGORY:
            return
        key = MessageKey(sent.chat, id, True, self.own_address(sent))
        when = t if t is not None else int(self._client.clock.now())
        step.emit(MessagesUpdate(key, status, SERVER, when, error=error))
        step.transition("message", "pending", status.name.lower(), id=id)

    async def _result(self, outgoing: _Outgoing, answer: Node) -> SendResult:
        theirs = get_text(answer, "phash") or ""
        ours = outgoing.phash
        return SendResult(
            outgoing.id,
            get_int(answer, "t") or int(self._client.clock.now()),
            outgoing.readers,
            outgoing.sealed.skipped,
            get_int(answer, "error"),
            ours,
            theirs if theirs != ours else "",
        )

    async def _known(self, id: str, sent: SentMessage, entry: Entry | None) -> SendResult:
        """What became of an id that was sent before."""
        if entry is not None:
            answer = await self._acknowledged(id, entry)
            return SendResult(id, get_int(answer, "t") or sent.at, sent.devices, error=get_int(answer, "error"))
        if sent.status is MessageStatus.PENDING:
            raise QueryTimeout(id, 0)  # on its way to the disk still
        refused = sent.status is MessageStatus.ERROR
        return SendResult(id, sent.at, sent.devices, error=_REFUSED_EARLIER if refused else None)


__all__ = ["SendResult", "Sender"]
