"""The way out: from a text to one ciphertext for each device, to the server's ack.

Order matters. Devices are asked for and missing bundles fetched first (network); then, holding the locks of all
sessions involved, one unit of work opens sessions, turns every ratchet, and stores records, the message itself and its
event; only then the stanza goes out. A crash between commit and wire can lose a send, never reuse a message key. One
device without a bundle, or with a bad one, never fails the others.

Source: Baileys Socket/messages-send.ts relayMessage for shapes; docs/parity/better.md for what is done otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from waton._core import PreKeyBundle, session_is_open
from waton.client import addresses
from waton.client.event_pipeline import Step
from waton.client.events import MessageKey, MessageStatus, MessagesUpdate, MessagesUpsert, UpsertType
from waton.errors import DecryptError, InvalidSignature, LocalProtocolError, RemoteProtocolError, StorageError
from waton.jid import SERVER, Jid, signal_address
from waton.ports import RecordKind
from waton.protocol import message as content
from waton.protocol import proto, signal_repo
from waton.protocol.binary_node import Node, get_jid, get_text, require_child
from waton.protocol.stanza import encrypt, iq
from waton.protocol.stanza.message import Enc, OutgoingMessage
from waton.protocol.trace import Layer, Way
from waton.utils.padding import pad

if TYPE_CHECKING:
    from waton.client.client import Client


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of a send."""

    id: str
    timestamp: int
    """Unix seconds: the server's, from its ack."""
    devices: tuple[Jid, ...]
    """Who got a ciphertext."""
    skipped: dict[Jid, str] = field(default_factory=dict[Jid, str])
    """Devices left out, and why."""
    error: int | None = None
    """The server's negative ack (463 token missing, 479 malformed ...); None when it took the message."""

    @property
    def is_accepted(self) -> bool:
        return self.error is None


@dataclass(frozen=True, slots=True, repr=False)
class _Target:
    """One device to encrypt for."""

    wire: Jid
    """How the stanza names it."""
    plain: bytes
    """The padded plaintext: the message, or for our own devices its wrapper."""


class Sender:
    """Sends messages for one client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def send_text(self, to: Jid, text: str) -> SendResult:
        """Send a text to a person.

        Args:
            to: a phone-number or LID address, without a device.
            text: any text; the empty one is refused.
        Returns:
            what the server said, and which devices it went to.
        Raises:
            NotImplementedError: groups, broadcasts and newsletters are not sendable yet.
            LocalProtocolError: empty text, or nobody to send to.
            Disconnected, QueryTimeout, IqError: the network.
        """
        if not to.is_user:
            raise NotImplementedError("texts go to a person's address; groups and lists are not sendable yet")
        if not text:
            raise LocalProtocolError("an empty text")
        return await self._relay(to.bare, content.text_message(text))

    async def _relay(self, to: Jid, message: proto.Message) -> SendResult:
        client = self._client
        me = self._own_address(to)
        id = content.message_id(client.credentials.me, client.clock.now(), client.entropy.take(16))
        targets = await self._targets(to, me, message)
        if not targets:
            raise LocalProtocolError("the server knows no device to send to")
        bundles, skipped = await self._missing_bundles(targets)
        async with client.hold(target.wire for target in targets):
            async with client.pipeline.step() as step:
                encs, failed = await self._encrypt(step, targets, bundles)
                skipped = failed | skipped
                if not encs:
                    raise LocalProtocolError("no device could be encrypted for")
                self._store(step, id, to, me, message)
                self._trace(id, to, message, step.unit.number)
            stanza = self._stanza(id, to, encs)
            answer = await client.post(stanza.to_node())
        return await self._settle(id, to, me, await answer(), tuple(jid for jid, _ in encs), skipped)

    def _own_address(self, to: Jid) -> Jid:
        mine = self._client.credentials
        own = mine.lid if to.is_lid and mine.lid is not None else mine.me
        if own is None:
            raise LocalProtocolError("not paired")
        return own

    async def _targets(self, to: Jid, me: Jid, message: proto.Message) -> list[_Target]:
        """All devices of the recipient and our own others; our own get the wrapped form."""
        client = self._client
        plain = message.SerializeToString()
        wrapped = content.device_sent(to, message).SerializeToString()
        found = await client.devices.of([to, me])
        for result in found.values():
            if result.lid is not None and result.jid.is_pn:
                async with client.hold([result.jid, result.lid]), client.pipeline.step() as step:
                    await addresses.learn(step, result.jid, result.lid, source="usync")
        targets: list[_Target] = []
        for user in dict.fromkeys([to, me.bare]):
            result = found.get(user)
            for device in result.device_jids() if result is not None else ():
                if client.is_me(device) and device.device == me.device:
                    continue
                body = wrapped if client.is_me(device) else plain
                targets.append(_Target(device, pad(body, client.entropy.take(1)[0])))
        return targets

    async def _missing_bundles(self, targets: list[_Target]) -> tuple[dict[Jid, PreKeyBundle], dict[Jid, str]]:
        """Bundles of the devices we have no session with, and those the server has none for."""
        missing = [target.wire for target in targets if not await self._has_session(target.wire)]
        if not missing:
            return {}, {}
        answer = await self._client.query("encrypt", iq.IqType.GET, encrypt.bundles_query(missing))
        bundles: dict[Jid, PreKeyBundle] = {}
        skipped = dict.fromkeys(missing, "no answer for this device")
        for user in require_child(answer, "list").children("user"):
            jid = get_jid(user, "jid")
            if jid is None or jid not in skipped:
                continue
            try:
                bundles[jid] = signal_repo.bundle_from_node(user)
                del skipped[jid]
            except RemoteProtocolError as error:
                refused = user.child("error")
                skipped[jid] = (get_text(refused, "text") or "refused") if refused is not None else str(error)
        return bundles, skipped

    async def _has_session(self, device: Jid) -> bool:
        address = signal_address(await addresses.canonical(self._client.store, device))
        record = await self._client.store.load(RecordKind.SESSION, address)
        try:
            return record is not None and session_is_open(record)
        except StorageError:
            return True  # damaged: no bundle is spent on it, and the step says so of this device alone

    async def _encrypt(
        self, step: Step, targets: Iterable[_Target], bundles: dict[Jid, PreKeyBundle]
    ) -> tuple[list[tuple[Jid, Enc]], dict[Jid, str]]:
        """A ciphertext for each device that one can be made for; and why not, for the others."""
        encs: list[tuple[Jid, Enc]] = []
        failed: dict[Jid, str] = {}
        for target in targets:
            address = signal_address(await addresses.canonical(step, target.wire))
            try:
                record = await self._session(step, target.wire, address, bundles.get(target.wire))
                sealed = signal_repo.encrypt(record, target.plain)
            except (InvalidSignature, DecryptError, StorageError) as error:
                failed[target.wire] = str(error)
                continue
            step.save(RecordKind.SESSION, address, sealed.record)
            encs.append((target.wire, Enc(sealed.type, sealed.ciphertext)))
        return encs, failed

    async def _session(self, step: Step, device: Jid, address: str, bundle: PreKeyBundle | None) -> bytes:
        """The session's record, opened from the bundle if there is none; empty when there is neither."""
        record = await step.load(RecordKind.SESSION, address)
        if bundle is None or (record is not None and session_is_open(record)):
            return record or b""
        mine = self._client.credentials
        opened = signal_repo.open_session(
            record, bundle, signal_repo.LocalIdentity.of(mine), entropy=self._client.entropy.take(64)
        )
        await self._remember_identity(step, address, bundle.identity_key)
        step.transition("session", "none", "open", device=device.device)
        return opened

    async def _remember_identity(self, step: Step, address: str, key: bytes) -> None:
        # Trust on first use: a changed key is taken (the bundle is the server's word) and named as a transition.
        known = await step.load(RecordKind.IDENTITY, address)
        if known != key:
            step.save(RecordKind.IDENTITY, address, key)
            step.transition("identity", "unknown" if known is None else "other", "known")

    def _store(self, step: Step, id: str, to: Jid, me: Jid, message: proto.Message) -> None:
        step.save(RecordKind.SENT_MESSAGE, id, str(to).encode() + b"\n" + message.SerializeToString())
        now = int(self._client.clock.now())
        step.emit(MessagesUpsert(MessageKey(to, id, True, me), message, now, UpsertType.APPEND))
        step.transition("message", "new", "pending", id=id)

    def _trace(self, id: str, to: Jid, message: proto.Message, transition: int) -> None:
        plain = message.SerializeToString()
        self._client.tracer.add(
            Layer.MESSAGE,
            Way.OUT,
            content.kind_of(message),
            at=self._client.clock.now(),
            id=id,
            recipient=str(to),
            size=len(plain),
            data=plain,
            transition=transition,
        )

    def _stanza(self, id: str, to: Jid, encs: list[tuple[Jid, Enc]]) -> OutgoingMessage:
        opens = any(enc.type == signal_repo.EncType.PKMSG for _, enc in encs)
        identity = self._client.credentials.account if opens else b""
        return OutgoingMessage(id=id, to=to, encs=tuple(encs), device_identity=identity)

    async def _settle(
        self, id: str, to: Jid, me: Jid, answer: Node, devices: tuple[Jid, ...], skipped: dict[Jid, str]
    ) -> SendResult:
        error = get_text(answer, "error")
        code = int(error) if error and error.isdecimal() and len(error) < 9 else None
        t = get_text(answer, "t")
        timestamp = int(t) if t and t.isdecimal() and len(t) <= 20 else int(self._client.clock.now())
        status = MessageStatus.SERVER_ACK if code is None else MessageStatus.ERROR
        async with self._client.pipeline.step() as step:
            step.emit(MessagesUpdate(MessageKey(to, id, True, me), status, SERVER, timestamp))
            step.transition("message", "pending", status.name.lower(), id=id)
        return SendResult(id, timestamp, devices, skipped, code)
