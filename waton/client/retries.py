"""Retries, the acting part: asks for what could not be read, and sends again what others could not.

RetryManager decides; here its decisions become records, requests and resends, each in the unit of work that also holds
the counters, so a crash can neither ask too often nor answer twice. Requests and resends leave through the outbox.

A message is sent again to the one device that asks, with the same id, and in a group together with our sender key.

Source: Baileys Socket/messages-send.ts and messages-recv.ts, whatsmeow retry.go for the stanzas.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from waton._core import PreKeyBundle, session_base_key
from waton.client import addresses, placeholders
from waton.client.envelope import Envelope
from waton.client.event_pipeline import Step
from waton.client.events import MessageKey
from waton.client.message_keys import Me
from waton.client.message_outcome import Received
from waton.client.outbox import Entry
from waton.client.retry_counters import (
    RETRY_SECONDS,
    AnswerCounters,
    AskCounters,
    SessionHistory,
    answer_key,
    ask_key,
    session_key,
)
from waton.client.retry_manager import (
    PHONE_SECONDS,
    AnswerDecision,
    Ask,
    FailedMessage,
    Keys,
    Leave,
    PeerSession,
    Refuse,
    Requester,
    Resend,
    RetryManager,
    TryAlternate,
)
from waton.client.retry_rules import Failure
from waton.client.sent_messages import SentMessage
from waton.client.sessions import Bundles, Target
from waton.errors import LocalProtocolError, RemoteProtocolError, StorageError
from waton.jid import Jid, signal_address
from waton.ports import RecordKind
from waton.protocol import message as content
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.connection import NodeReceived
from waton.protocol.group_cipher import GroupCipher
from waton.protocol.message_labels import labels_of
from waton.protocol.stanza.encrypt import Bundle
from waton.protocol.stanza.message import Enc, OutgoingMessage
from waton.protocol.stanza.receipt import Receipt, ack
from waton.protocol.stanza.retry import RetryRequest
from waton.utils.padding import pad

if TYPE_CHECKING:
    from waton.client.client import Client

Send = Callable[[Node, int | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was done about a message that could not be read."""

    count: int
    """Which request it was; 0 when nobody was asked."""
    will_retry: bool
    nack: int | None
    """How to acknowledge it: None plainly, else with this error."""
    phone_in: float | None
    """Seconds until the phone is asked; None when it is not."""
    is_first: bool


@dataclass(frozen=True, slots=True, repr=False)
class _Resending:
    """One message on its way to one device again."""

    sent: SentMessage
    id: str
    device: Jid
    """As the stanza names it."""
    count: int | None
    wrap: bool
    with_sender_key: bool
    to: Jid
    participant: Jid | None
    recipient: Jid | None


class Retries:
    """Both directions, for one client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        config = client.config
        self.policy = RetryManager(config.max_retries, delay=config.retry_delay, recreates=config.recreate_sessions)

    # --- what we could not read ---------------------------------------------------------------------------------------

    async def ask(self, step: Step, envelope: Envelope, failure: str) -> Asked:
        """Do what the policy says about a message that could not be read, in its unit of work."""
        now = self._client.clock.now()
        author = await addresses.canonical(step, envelope.stanza.author)
        key = ask_key(await addresses.canonical(step, envelope.key.chat), author, envelope.key.id)
        record = await step.load(RecordKind.RETRY, key)
        counters = AskCounters() if record is None else AskCounters.from_json(record)
        message = FailedMessage.of(envelope.stanza, envelope.key.chat, is_peer=envelope.is_peer)
        session = await self._session(step, author)
        decision = self.policy.ask(counters, failure, message, session, now)
        if isinstance(decision, TryAlternate):
            raise StorageError("retry", "the other address was tried already")
        step.save(RecordKind.RETRY, key, decision.counters.sent().to_json(), until=now + RETRY_SECONDS)
        if decision.phone_in is not None:
            self._keep_placeholder(step, envelope, failure, decision.phone_in)
        if isinstance(decision, Ask):
            await self._request(step, envelope, author, decision)
            return Asked(decision.count, True, None, decision.phone_in, record is None)
        step.transition("retry", "unread", "left", id=envelope.key.id, why=decision.why.value)
        return self._left(decision, is_first=record is None)

    @staticmethod
    def _left(decision: Leave, *, is_first: bool) -> Asked:
        return Asked(0, decision.phone_in is not None, decision.nack, decision.phone_in, is_first)

    async def _request(self, step: Step, envelope: Envelope, author: Jid, decision: Ask) -> None:
        client = self._client
        if decision.renew_session:
            await self._client.sessions.archive(step, author)
            if decision.history is not None:
                self._save_history(step, author, decision.history)
        request = RetryRequest.of(
            envelope.stanza,
            count=decision.count,
            error=decision.error,
            registration_id=client.credentials.registration_id,
            bundle=await client.keys.own_bundle() if decision.include_keys else None,
            is_peer=envelope.is_peer,
        )
        entry = client.outbox.put(step, request.to_node())
        step.transition("retry", "unread", "asked", id=envelope.key.id, count=decision.count)
        step.then(lambda: self._write(entry, decision.delay))

    async def _write(self, entry: Entry, delay: float) -> None:
        if delay <= 0:
            await self._client.outbox.write(entry)
            return

        async def later() -> None:
            await asyncio.sleep(delay)
            await self._client.outbox.write(entry)

        self._client.background(later())

    async def resolved(self, step: Step, envelope: Envelope) -> bool:
        """The message could be read after all. Returns whether it had been asked for."""
        key = await self._asked_under(step, envelope.key.chat, envelope.stanza.author, envelope.key.id)
        if await step.load(RecordKind.RETRY, key) is None:
            return False
        step.save(RecordKind.RETRY, key, None)
        step.save(RecordKind.PLACEHOLDER, envelope.key.id, None)
        step.transition("retry", "asked", "resolved", id=envelope.key.id)
        return True

    @staticmethod
    async def _asked_under(step: Step, chat: Jid, author: Jid, id: str) -> str:
        return ask_key(await addresses.canonical(step, chat), await addresses.canonical(step, author), id)

    # --- the phone ----------------------------------------------------------------------------------------------------

    def _keep_placeholder(self, step: Step, envelope: Envelope, failure: str, phone_in: float) -> None:
        key = envelope.key
        kept = placeholders.Placeholder.of(envelope.stanza, key, failure, is_peer=envelope.is_peer)
        step.save(RecordKind.PLACEHOLDER, key.id, kept.to_json(), until=kept.until)

        async def schedule() -> None:
            self._client.background(self._ask_phone(key.id, phone_in))

        step.then(schedule)

    async def open(self) -> None:
        """A login is complete: what was to be asked from the phone before is asked now."""
        for place, record in (await self._client.store.load_prefix(RecordKind.PLACEHOLDER, "")).items():
            if " " in place:
                continue  # held for somebody's decision
            if placeholders.Placeholder.from_json(record).asked_at is None:
                self._client.background(self._ask_phone(place, PHONE_SECONDS))

    async def _ask_phone(self, id: str, seconds: float) -> None:
        """Ask our phone for a message, unless it could be read by then."""
        await asyncio.sleep(seconds)
        record = await self._client.store.load(RecordKind.PLACEHOLDER, id)
        if record is not None:
            await self._ask_for(placeholders.Placeholder.from_json(record))

    async def ask_phone(self, key: MessageKey) -> str:
        """Ask our phone for a message now, whether it waits to be read or was never seen here.

        It comes as an event of its own, unless it was told before; the phone may not have it, and then nothing comes.

        Returns:
            the id of the question, which is the `request_id` of what comes.
        Raises:
            LocalProtocolError: a message of another chat waits under this id.
            Disconnected: there is no connection.
        """
        client = self._client
        record = await client.store.load(RecordKind.PLACEHOLDER, key.id)
        if record is None:
            now = int(client.clock.now())
            return await self._ask_for(placeholders.Placeholder(key, key.chat, now, Failure.ABSENT))
        kept = placeholders.Placeholder.from_json(record)
        if kept.key.chat != key.chat:
            raise LocalProtocolError("a message of another chat waits under this id")
        return await self._ask_for(kept)

    async def _ask_for(self, kept: placeholders.Placeholder) -> str:
        client, id = self._client, kept.key.id
        chat = await addresses.canonical(client.store, kept.key.chat)
        author = await addresses.canonical(client.store, kept.key.author)
        request = placeholders.resend_request([placeholders.phone_key(kept.key, chat=chat, author=author)])

        def also(step: Step, request_id: str) -> None:
            asked = kept.asked(client.clock.now(), request_id)
            step.save(RecordKind.PLACEHOLDER, id, asked.to_json(), until=kept.until)
            step.transition("retry", "unread", "phone asked", id=id)

        return await client.send_peer(request, also)

    async def on_phone_answer(self, step: Step, author: Jid, message: proto.Message) -> list[Received]:
        """What our phone gives us of what we could not read: each is to be taken like one that was decrypted."""
        taken: list[Received] = []
        for answer in placeholders.read_response(message, author, is_me=True):
            record = await step.load(RecordKind.PLACEHOLDER, answer.id)
            kept = None if record is None else placeholders.Placeholder.from_json(record)
            chats = frozenset[Jid]() if kept is None else await addresses.known_as(step, [kept.key.chat])
            authors = frozenset[Jid]() if kept is None else await addresses.known_as(step, [kept.key.author])
            try:
                found = placeholders.recover(answer, kept, chats=chats, authors=authors)
            except RemoteProtocolError:
                step.transition("retry", "phone asked", "no answer", id=answer.id)
                continue
            step.save(RecordKind.PLACEHOLDER, answer.id, None)
            if kept is not None:
                asked = await self._asked_under(step, kept.key.chat, kept.key.author, answer.id)
                step.save(RecordKind.RETRY, asked, None)
            step.transition("retry", "phone asked", "resolved", id=answer.id)
            taken.append(
                Received(
                    found.key,
                    found.message,
                    found.timestamp,
                    found.upsert,
                    push_name=found.push_name,
                    request_id=found.request_id,
                )
            )
        return taken

    # --- what others could not read -----------------------------------------------------------------------------------

    async def on_request(self, receipt: Receipt, event: NodeReceived, send: Send) -> None:
        """Take a retry receipt: answer it or not, then acknowledge it.

        Raises:
            RemoteProtocolError: it is malformed.
            Disconnected, QueryTimeout: what the answer needs was not to be had; not acknowledged, it comes again.
        """
        client = self._client
        request = RetryRequest.from_receipt(receipt)
        device = await addresses.canonical(client.store, request.requester)
        decision, sent = await self._decide(request, device)
        if isinstance(decision, Resend) and sent is not None:
            bundles = await self._bundles(decision, request)
            if bundles is not None:
                await self._answer(decision, request, device, sent, bundles, event, send)
                return
        async with client.hold([device]), client.pipeline.step(send, parent=event.trace) as step:
            if isinstance(decision, Refuse):
                await self._refuse(step, decision, request, device, sent)
            step.acknowledge(ack(event.node))

    async def _decide(self, request: RetryRequest, device: Jid) -> tuple[AnswerDecision, SentMessage | None]:
        store, now = self._client.store, self._client.clock.now()
        record = await store.load(RecordKind.SENT_MESSAGE, request.id)
        sent = await self._found(request) if record is None else SentMessage.from_bytes(record)
        counters = await self._answered(request.id, device, sent)
        requester = Requester(False, False, False) if sent is None else await self._who(sent, request.requester)
        session = await self._session(store, device)
        return self.policy.answer(request, counters, sent, session, requester, now), sent

    async def _found(self, request: RetryRequest) -> SentMessage | None:
        """A message that is not kept any more, as whoever uses this client has it."""
        client, find = self._client, self._client.config.find_message
        chat = (request.recipient or request.peer).bare
        me = Me(client.credentials.me, client.credentials.lid).beside(chat)
        found = None if find is None or me is None else await find(MessageKey(chat, request.id, True, me))
        if found is None:
            return None
        labels = labels_of(found)
        return SentMessage(
            chat=chat,
            at=int(client.clock.now()),
            message=found.SerializeToString(),
            type=labels.type,
            mediatype=labels.mediatype,
            decrypt_fail=labels.decrypt_fail,
            edit=labels.edit,
        )

    async def _answered(self, id: str, device: Jid, sent: SentMessage | None) -> AnswerCounters:
        if sent is None:
            return AnswerCounters()
        record = await self._client.store.load(RecordKind.RETRY, answer_key(sent.chat, device, id))
        return AnswerCounters() if record is None else AnswerCounters.from_json(record)

    async def _who(self, sent: SentMessage, device: Jid) -> Requester:
        """Who asks, seen from the conversation; both addresses of a person count."""
        client = self._client
        names = await addresses.known_as(client.store, [device])
        is_own = any(client.is_me(name) for name in names)
        if sent.is_group:
            metadata = await client.groups.metadata(sent.chat)
            is_reader = is_own or any(metadata.participant(name) is not None for name in names)
        else:
            is_reader = is_own or bool(names & await addresses.known_as(client.store, [sent.chat]))
        forms = {name.with_device(device.device) for name in names}
        is_known = bool(forms & set(sent.devices)) or await self._is_listed(device, names)
        return Requester(is_own, is_reader, is_known)

    async def _is_listed(self, device: Jid, names: frozenset[Jid]) -> bool:
        found = await self._client.people.devices_of(names)
        return any(jid.device == device.device for result in found.values() for jid in result.device_jids())

    async def _bundles(self, decision: Resend, request: RetryRequest) -> Bundles | None:
        """The keys for a fresh session; None when they cannot be had now."""
        device = request.requester
        if decision.keys is Keys.RECEIPT and request.bundle is not None:
            return Bundles({device: _bundle(request.bundle)})
        if decision.keys is not Keys.SERVER:
            return Bundles()
        bundles = await self._client.sessions.bundles_for([device], all_of_them=True)
        return bundles if device in bundles.found else None

    async def _answer(
        self,
        decision: Resend,
        request: RetryRequest,
        device: Jid,
        sent: SentMessage,
        bundles: Bundles,
        event: NodeReceived,
        send: Send,
    ) -> None:
        client, now = self._client, self._client.clock.now()
        locks = [device, sent.chat] if decision.with_sender_key else [device]
        async with client.hold(locks), client.pipeline.step(send, parent=event.trace) as step:
            key = answer_key(sent.chat, device, request.id)
            step.acknowledge(ack(event.node))
            if await self._is_answered(step, key, request):
                return  # by another copy of this receipt, while we asked for keys
            if decision.drop_session:
                await self._client.sessions.archive(step, device)
            if decision.history is not None:
                self._save_history(step, device, decision.history)
            resending = _Resending(
                sent, request.id, request.requester, decision.count, decision.wrap, decision.with_sender_key,
                decision.to, decision.participant, decision.recipient,
            )  # fmt: skip
            entry = await self._seal(step, resending, bundles)
            counters = decision.counters
            if decision.remember_base_key:
                counters = counters.remember((await self._session(step, device)).base_key)
            step.save(RecordKind.RETRY, key, counters.to_json(), until=now + RETRY_SECONDS)
            outcome = "answered" if entry is not None else "not encryptable"
            step.transition("retry", "requested", outcome, id=request.id, count=request.count)
            if entry is not None:
                step.then(lambda: client.outbox.write(entry))

    @staticmethod
    async def _is_answered(step: Step, key: str, request: RetryRequest) -> bool:
        record = await step.load(RecordKind.RETRY, key)
        return record is not None and AnswerCounters.from_json(record).has_answered(request.count, request.at)

    async def _refuse(
        self, step: Step, decision: Refuse, request: RetryRequest, device: Jid, sent: SentMessage | None
    ) -> None:
        step.transition("retry", "requested", "refused", id=request.id, why=decision.why.value)
        if sent is None:
            return
        until = self._client.clock.now() + RETRY_SECONDS
        key = answer_key(sent.chat, device, request.id)
        step.save(RecordKind.RETRY, key, decision.counters.to_json(), until=until)
        if decision.rotate_sender_key:
            await self._client.groups.rotate(step, sent.chat, "asked for by a stranger")
        if decision.refresh_devices:
            for name in await addresses.known_as(step, [request.requester]):
                self._client.devices.forget(name)

    # --- sending again ------------------------------------------------------------------------------------------------

    async def send_to(self, id: str, device: Jid) -> None:
        """Send a message of ours to a device that it was not made for. Raises Disconnected, QueryTimeout, IqError."""
        client = self._client
        record = await client.store.load(RecordKind.SENT_MESSAGE, id)
        if record is None:
            return
        sent = SentMessage.from_bytes(record)
        bundles = await client.sessions.bundles_for([device])
        is_group = sent.is_group
        resending = _Resending(
            sent, id, device, None, client.is_me(device) and not is_group, is_group,
            sent.chat if is_group else device, device if is_group else None, None,
        )  # fmt: skip
        async with client.hold([device, sent.chat] if is_group else [device]), client.pipeline.step() as step:
            entry = await self._seal(step, resending, bundles)
            if entry is not None:
                step.save(RecordKind.SENT_MESSAGE, id, sent.also_to([device]).to_bytes(), until=sent.until)
        if entry is not None:
            await client.outbox.write(entry)

    async def _seal(self, step: Step, resending: _Resending, bundles: Bundles) -> Entry | None:
        client, sent = self._client, resending.sent
        message = sent.content()
        if resending.with_sender_key:
            await self._with_sender_key(step, sent, message)
            await client.groups.lost(step, sent.chat, resending.device)
        if resending.wrap:
            message = content.device_sent(sent.chat, message)
        target = Target(resending.device, pad(message.SerializeToString(), client.entropy.take(1)[0]))
        sealed = await client.sessions.seal(step, [target], bundles)
        if not sealed.encs:
            return None
        enc = replace(
            sealed.encs[0][1], count=resending.count, mediatype=sent.mediatype, decrypt_fail=sent.decrypt_fail
        )
        return client.outbox.put(step, self._stanza(resending, enc).to_node(), is_resend=True)

    async def _with_sender_key(self, step: Step, sent: SentMessage, message: proto.Message) -> None:
        groups = self._client.groups
        me = groups.own_address(await groups.metadata(sent.chat))
        cipher = GroupCipher(await step.load(RecordKind.SENDER_KEY, await groups.own_name(step, sent.chat, me)))
        if cipher.has_own_key:
            told = message.senderKeyDistributionMessage
            told.groupId = str(sent.chat)
            told.axolotlSenderKeyDistributionMessage = cipher.distribution()

    def _stanza(self, resending: _Resending, enc: Enc) -> OutgoingMessage:
        sent = resending.sent
        return OutgoingMessage(
            id=resending.id,
            to=resending.to,
            encs=(),
            type=sent.type,
            bare=enc,
            device_identity=self._client.credentials.account if enc.type == "pkmsg" else b"",
            category=sent.category,
            edit=sent.edit,
            participant=resending.participant if sent.is_group else None,
            recipient=resending.recipient,
            addressing_mode=sent.addressing_mode,
            device_fanout=None if sent.is_group else "false",
        )

    # --- sessions -----------------------------------------------------------------------------------------------------

    async def _session(self, reader: addresses.Reader, device: Jid) -> PeerSession:
        """What we know of our session with a device, by its canonical address."""
        name = signal_address(device)
        record = await reader.load(RecordKind.SESSION, name)
        history = await reader.load(RecordKind.RETRY, session_key(device))
        try:
            base = None if record is None else session_base_key(record)
        except StorageError:
            base = None
        return PeerSession(
            is_open=base is not None,
            registration_id=0 if base is None else base[1],
            base_key=b"" if base is None else base[0],
            identity=await reader.load(RecordKind.IDENTITY, name),
            history=SessionHistory() if history is None else SessionHistory.from_json(history),
        )

    def _save_history(self, step: Step, device: Jid, history: SessionHistory) -> None:
        until = self._client.clock.now() + RETRY_SECONDS
        step.save(RecordKind.RETRY, session_key(device), history.to_json(), until=until)


def _bundle(bundle: Bundle) -> PreKeyBundle:
    once = bundle.prekey
    return PreKeyBundle(
        registration_id=bundle.registration_id,
        identity_key=bundle.identity,
        signed_prekey_id=bundle.signed.id,
        signed_prekey=bundle.signed.value,
        signed_prekey_signature=bundle.signed.signature,
        prekey_id=None if once is None else once[0],
        prekey=None if once is None else once[1],
    )


__all__ = ["Asked", "Retries"]
