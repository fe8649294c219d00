"""Retries, the acting part: asks for what could not be read, and sends again what others could not.

RetryManager decides; here its decisions become records, requests and resends, each in the unit of work that also holds
the counters, so a crash can neither ask too often nor answer twice. Requests and resends leave through the outbox.

A message is sent again to the one device that asks, with the same id, and in a group together with our sender key.

Source: Baileys Socket/messages-send.ts and messages-recv.ts, whatsmeow retry.go for the stanzas.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from waton._core import PreKeyBundle, session_base_key
from waton.client import addresses, placeholders
from waton.client.envelope import Envelope, message_place, received_key
from waton.client.event_pipeline import Step
from waton.client.events import MessageKey, MessagesUpsert
from waton.client.identities import HELD
from waton.client.message_keys import Me
from waton.client.message_outcome import Received
from waton.client.messages import ROUNDS
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
from waton.errors import IqError, PrekeyIdsExhausted, RemoteProtocolError, StorageError
from waton.jid import Jid, signal_address
from waton.ports import RecordKind
from waton.protocol import message as content
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.connection import NodeReceived
from waton.protocol.message_labels import labels_of
from waton.protocol.stanza.encrypt import Bundle
from waton.protocol.stanza.message import Enc, OutgoingMessage
from waton.protocol.stanza.receipt import Receipt, ack
from waton.protocol.stanza.retry import RetryRequest
from waton.utils.padding import pad

if TYPE_CHECKING:
    from waton.client.client import Client

Send = Callable[[Node, int | None], Awaitable[None]]
_ASKED_AT_ONCE = 64
"""Messages in one question to our phone."""


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
    is_news: bool
    """It is the first time, or the first at which nobody is left to be asked."""


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
        self._due: dict[str, None] = {}
        """Where the placeholders are that our phone is to be asked for now."""
        self._is_asking = False

    # --- what we could not read ---------------------------------------------------------------------------------------

    async def ask(self, step: Step, envelope: Envelope, failure: str) -> Asked:
        """Do what the policy says about a message that could not be read, in its unit of work."""
        now = self._client.clock.now()
        author = await addresses.canonical(step, envelope.stanza.author)
        key, record = await self._counters(step, envelope.key.chat, author, envelope.key.id)
        counters = AskCounters() if record is None else AskCounters.from_json(record)
        message = FailedMessage.of(envelope.stanza, envelope.key.chat, is_peer=envelope.is_peer)
        session = await self._session(step, author)
        decision = self.policy.ask(counters, failure, message, session, now)
        if isinstance(decision, TryAlternate):
            raise StorageError("retry", "the other address was tried already")
        is_over = isinstance(decision, Leave) and decision.phone_in is None
        is_news = record is None or (is_over and not counters.is_left)
        noted = replace(decision.counters.sent(), is_left=is_over or counters.is_left)
        step.save(RecordKind.RETRY, key, noted.to_json(), until=now + RETRY_SECONDS)
        if decision.phone_in is not None:
            self._keep_placeholder(step, envelope, failure, decision.phone_in)
        if isinstance(decision, Ask):
            await self._request(step, envelope, author, decision)
            return Asked(decision.count, True, None, decision.phone_in, is_news)
        step.transition("retry", "unread", "left", id=envelope.key.id, why=decision.why.value)
        return self._left(decision, is_news=is_news)

    @staticmethod
    def _left(decision: Leave, *, is_news: bool) -> Asked:
        return Asked(0, decision.phone_in is not None, decision.nack, decision.phone_in, is_news)

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
            bundle=await self._own_bundle() if decision.include_keys else None,
            is_peer=envelope.is_peer,
        )
        entry = client.outbox.put(step, request.to_node())
        step.transition("retry", "unread", "asked", id=envelope.key.id, count=decision.count)
        step.then(lambda: self._write(entry, decision.delay))

    async def _own_bundle(self) -> Bundle | None:
        """Our keys for the author; none when there is no id left, for to ask without them is better than not to ask."""
        with suppress(PrekeyIdsExhausted):
            return await self._client.keys.own_bundle()
        return None

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
        told = envelope.key
        key, record = await self._counters(step, told.chat, told.author, told.id)
        if record is None:
            return False
        step.save(RecordKind.RETRY, key, None)
        for place in await self._places(step, told.chat, told.author, told.id):
            step.save(RecordKind.PLACEHOLDER, place, None)
        step.transition("retry", "asked", "resolved", id=told.id)
        return True

    async def _counters(self, step: Step, chat: Jid, author: Jid, id: str) -> tuple[str, bytes | None]:
        """Where the counters of a message are, whichever addresses it was asked for under, and what they are."""
        chats, authors = await self._names(step, chat), await self._names(step, author)
        keys = [ask_key(one, other, id) for one in chats for other in authors]
        found = await step.load_many(RecordKind.RETRY, keys)
        return next(((key, found[key]) for key in keys if key in found), (keys[0], None))

    async def _places(self, step: Step, chat: Jid, author: Jid, id: str) -> list[str]:
        """Where the placeholder of a message may be."""
        chats, authors = await self._names(step, chat), await self._names(step, author)
        return [f"{message_place(one, id)}{other}" for one in chats for other in authors]

    @staticmethod
    async def _names(step: Step, jid: Jid) -> list[Jid]:
        """Somebody's addresses, the canonical one first."""
        name = await addresses.canonical(step, jid)
        other = await addresses.alternate(step, name)
        return [name] if other is None else [name, other]

    # --- the phone ----------------------------------------------------------------------------------------------------

    def _keep_placeholder(self, step: Step, envelope: Envelope, failure: str, phone_in: float) -> None:
        kept = placeholders.Placeholder.of(envelope.stanza, envelope.key, failure, is_peer=envelope.is_peer)
        place = received_key(envelope.key)
        step.save(RecordKind.PLACEHOLDER, place, kept.to_json(), until=kept.until)

        async def schedule() -> None:
            self._client.background(self._ask_phone([place], phone_in))

        step.then(schedule)

    async def open(self) -> None:
        """A login is complete: what was to be asked from the phone before is asked now."""
        places = await self._client.store.keys(RecordKind.PLACEHOLDER)
        waiting = [place for place in places if not place.startswith(HELD)]
        if waiting:
            self._client.background(self._ask_phone(waiting, PHONE_SECONDS))

    async def _ask_phone(self, places: Iterable[str], seconds: float) -> None:
        """Ask our phone for messages, those that can be read by then left out.

        One question at a time, and in each all that have become due meanwhile: whoever sends us much that cannot be
        read must not make us a nuisance. Guess: a phone takes several keys in one question, as the message allows; a
        capture would settle it.
        """
        await asyncio.sleep(seconds)
        self._due |= dict.fromkeys(places)
        if self._is_asking:
            return
        self._is_asking = True
        try:
            while self._due:
                some = list(islice(self._due, _ASKED_AT_ONCE))
                for place in some:
                    del self._due[place]
                await self._ask_due(some)
        finally:
            self._is_asking = False
            self._due.clear()  # after an error: the next login asks

    async def _ask_due(self, places: Sequence[str]) -> None:
        kept: list[placeholders.Placeholder] = []
        for place in places:
            record = await self._client.store.load(RecordKind.PLACEHOLDER, place)
            one = None if record is None else placeholders.Placeholder.from_json(record)
            if one is not None and one.asked_at is None:
                kept.append(one)
        if kept:
            await self._ask_for(kept)

    async def ask_phone(self, key: MessageKey) -> str:
        """Ask our phone for a message now, whether it waits to be read or was never seen here.

        It comes as an event of its own, unless it was told before; the phone may not have it, and then nothing comes.

        Returns:
            the id of the question, which is the `request_id` of what comes.
        Raises:
            Disconnected: there is no connection.
        """
        client = self._client
        record = await client.store.load(RecordKind.PLACEHOLDER, received_key(key))
        if record is None:
            now = int(client.clock.now())
            return await self._ask_for([placeholders.Placeholder(key, key.chat, now, Failure.ABSENT)])
        return await self._ask_for([placeholders.Placeholder.from_json(record)])

    async def _ask_for(self, kept: Sequence[placeholders.Placeholder]) -> str:
        client = self._client
        names = await addresses.canonical_many(
            client.store, (jid for one in kept for jid in (one.key.chat, one.key.author))
        )
        request = placeholders.resend_request(
            placeholders.phone_key(one.key, chat=names[one.key.chat], author=names[one.key.author]) for one in kept
        )

        def also(step: Step, request_id: str) -> None:
            for one in kept:
                asked = one.asked(client.clock.now(), request_id)
                step.save(RecordKind.PLACEHOLDER, received_key(one.key), asked.to_json(), until=one.until)
                step.transition("retry", "unread", "phone asked", id=one.key.id)

        return await client.send_peer(request, also)

    async def on_phone_answer(self, step: Step, author: Jid, message: proto.Message) -> list[Received]:
        """What our phone gives us of what we could not read: each is to be taken like one that was decrypted."""
        taken: list[Received] = []
        for answer in placeholders.read_response(message, author, is_me=True):
            found = await self._recovered(step, answer)
            if found is None:
                step.transition("retry", "phone asked", "no answer", id=answer.id)
                continue
            step.save(RecordKind.PLACEHOLDER, received_key(found.key), None)
            asked, _ = await self._counters(step, found.key.chat, found.key.author, answer.id)
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

    async def _recovered(self, step: Step, answer: placeholders.PhoneAnswer) -> MessagesUpsert | None:
        """The message that an answer of the phone's is; None when it is none that we have asked for."""
        chats = frozenset[Jid]() if answer.chat is None else await addresses.known_as(step, [answer.chat])
        for chat in sorted(chats):
            waiting = await step.unit.load_prefix(RecordKind.PLACEHOLDER, message_place(chat, answer.id))
            for record in waiting.values():
                kept = placeholders.Placeholder.from_json(record)
                authors = await addresses.known_as(step, [kept.key.author])
                with suppress(RemoteProtocolError):
                    return placeholders.recover(answer, kept, chats=chats, authors=authors)
        return None

    # --- what others could not read -----------------------------------------------------------------------------------

    async def on_request(self, receipt: Receipt, event: NodeReceived, send: Send) -> None:
        """Take a retry receipt: answer it or not, then acknowledge it.

        Raises:
            RemoteProtocolError: it is malformed.
            Disconnected, QueryTimeout, IqError: what the answer needs was not to be had for the moment; not
                acknowledged, the request comes again.
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
        rotates = isinstance(decision, Refuse) and decision.rotate_sender_key and sent is not None
        locks = [device, sent.chat] if rotates and sent is not None else [device]
        async with client.hold(locks), client.pipeline.step(send, parent=event.trace) as step:
            if isinstance(decision, Refuse):
                await self._refuse(step, decision, request, device, sent)
            else:
                step.transition("retry", "requested", "no keys", id=request.id, count=request.count)
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
            is_reader = is_own or await self._is_member(sent.chat, names)
        else:
            is_reader = is_own or bool(names & await addresses.known_as(client.store, [sent.chat]))
        forms = {name.with_device(device.device) for name in names}
        is_known = bool(forms & set(sent.devices)) or await self._is_listed(device, names)
        return Requester(is_own, is_reader, is_known)

    async def _is_member(self, group: Jid, names: frozenset[Jid]) -> bool:
        """Whether this person is in a group; nobody is, as far as we can know, in one that is not ours any more."""
        try:
            metadata = await self._client.groups.metadata(group)
        except IqError as error:
            if not error.is_final:
                raise
            return False
        return any(metadata.participant(name) is not None for name in names)

    async def _is_listed(self, device: Jid, names: frozenset[Jid]) -> bool:
        try:
            found = await self._client.people.devices_of(names)
        except IqError as error:
            if not error.is_final:
                raise
            return False
        return any(jid.device == device.device for result in found.values() for jid in result.device_jids())

    async def _bundles(self, decision: Resend, request: RetryRequest) -> Bundles | None:
        """The keys for a fresh session; None when they cannot be had now."""
        device = request.requester
        if decision.keys is Keys.RECEIPT and request.bundle is not None:
            word = request.bundle.device_identity
            return Bundles({device: _bundle(request.bundle)}, {device: word} if word else {})
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
        return record is not None and AnswerCounters.from_json(record).has_answered(
            request.count, request.at, request.t
        )

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
        is_group = sent.is_group
        resending = _Resending(
            sent, id, device, None, client.is_me(device) and not is_group, is_group,
            sent.chat if is_group else device, device if is_group else None, None,
        )  # fmt: skip
        for _ in range(ROUNDS):
            if await self._sent_to(resending):
                return

    async def _sent_to(self, resending: _Resending) -> bool:
        """False when its session was put aside while we asked for what it lacks."""
        client, id, device, sent = self._client, resending.id, resending.device, resending.sent
        bundles = await client.sessions.bundles_for([device])
        async with client.hold([device, sent.chat] if sent.is_group else [device]), client.pipeline.step() as step:
            if await client.sessions.lost(step, [device], bundles):
                return False
            entry = await self._seal(step, resending, bundles)
            record = await step.load(RecordKind.SENT_MESSAGE, id)
            if entry is not None and record is not None:  # as it is now: receipts have come meanwhile
                also = SentMessage.from_bytes(record).also_to([device])
                step.save(RecordKind.SENT_MESSAGE, id, also.to_bytes(), until=also.until)
            if entry is not None:
                step.then(lambda: client.outbox.write(entry))
        return True

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
        cipher = await self._client.groups.own_cipher(step, sent.chat)
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
        """What we know of our session with a device, by its canonical address; only people's devices have any."""
        if not device.is_user:
            return PeerSession()
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
