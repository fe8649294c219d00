"""Phone: a real primary device, living in the lab's process.

It owns an account: its identity key vouches for companions, signs the list of them, and is the far end of every Signal
session with device 0. It speaks to the service in the same stanzas as any client, only without a socket, and each
stanza it takes is one step: ratchet, message and receipt commit together.

What it is not: an app. It knows texts; every other message is kept as the protobuf it is.

Source: facts of pairing and messaging as in waton.protocol.adv and waton.protocol.stanza; Baileys and whatsmeow for
what companions expect of a phone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from waton.errors import DecodeError, DecryptError, DecryptReason, LabError, RemoteProtocolError, UntrustedIdentity
from waton.jid import Jid
from waton.lab import privacy
from waton.lab.deliveries import Session
from waton.lab.groups import Group
from waton.lab.phone_answers import answer
from waton.lab.phone_companions import Companions
from waton.lab.phone_group_keys import GroupKeys
from waton.lab.phone_groups import GroupCalls
from waton.lab.phone_messages import PhoneMessage, PhoneMessages
from waton.lab.phone_privacy import PhonePrivacy
from waton.lab.phone_receipts import ReceiptLog, receipt_for
from waton.lab.phone_retries import Retries
from waton.lab.phone_signal import PhoneSignal
from waton.lab.world import Account, Device
from waton.protocol import message as content
from waton.protocol import proto
from waton.protocol.binary_node import Node, get_text
from waton.protocol.credentials import KeyPair
from waton.protocol.stanza import iq
from waton.protocol.stanza.message import Enc, EncType, IncomingMessage, OutgoingMessage
from waton.protocol.stanza.pairing import QrText
from waton.protocol.stanza.receipt import Receipt, ReceiptType, ack
from waton.protocol.stanza.retry import RetryRequest
from waton.protocol.trace import Layer, Way

if TYPE_CHECKING:
    from waton.lab.service import Service

Replies = Callable[[str], "str | None"]
_NACK_UNREADABLE = 500
_REMEMBERED = 1_000


class Phone(GroupCalls):
    """One phone. Made by Lab.add_phone; all its methods run on the lab's loop. Groups: see GroupCalls."""

    def __init__(self, service: Service, account: Account) -> None:
        device = service.world.device(account, 0)
        if device is None:
            raise LabError("the account has no phone")
        self._service = service
        self._world = service.world
        self._use(device)
        self._session: Session | None = None
        self._log = PhoneMessages(service.world, account.id)
        self._receipts = ReceiptLog()
        self._asked: dict[str, asyncio.Future[Node]] = {}
        self.reply_with: Replies | None = None
        """Called with each text from another person; what it returns is sent back to the chat."""
        self.unreadable: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED)
        """(message id, reason) of the newest messages that could not be read, since the lab started."""
        self.overlooked: set[Jid] = set()
        """Devices, by LID, that this phone does not know of: it encrypts nothing for them."""
        self.refused: dict[str, int] = {}
        """Error codes the service gave messages of this phone, by id."""

    def _use(self, device: Device) -> None:
        """Be this device, with the keys that are stored for it."""
        self._device = device
        self._signal = PhoneSignal(self._world, device)
        self._companions = Companions(self._service, device.account, self._signal)
        self._group_keys = GroupKeys(self._world, self._service.groups, device, self._signal)
        self._retries = Retries(self._world, self._service.groups, device, self._signal, self._group_keys)
        self._privacy = PhonePrivacy(self._world, device.account, self._signal.records)

    # --- who it is --------------------------------------------------------------------------------------------------

    @property
    def account(self) -> Account:
        return self._world.account(self._device.account.id)

    @property
    def name(self) -> str:
        """Push name."""
        return self.account.name

    @property
    def pn(self) -> Jid:
        return self._device.account.pn

    @property
    def lid(self) -> Jid:
        return self._device.account.lid

    @property
    def jid(self) -> Jid:
        """The same as pn."""
        return self.pn

    @property
    def identity(self) -> KeyPair:
        """The account's key."""
        return self._signal.credentials.identity_key

    @property
    def messages(self) -> list[PhoneMessage]:
        """Every message on this phone, oldest first."""
        return self._log.all()

    @property
    def receipts(self) -> deque[Receipt]:
        """The newest receipts for messages of this phone, since the lab started."""
        return self._receipts.newest

    @property
    def companions(self) -> list[Jid]:
        """The account's linked devices, by phone number."""
        return [device.pn for device in self._world.devices(self._device.account) if device.number]

    # --- being there ------------------------------------------------------------------------------------------------

    @property
    def is_online(self) -> bool:
        return self._session is not None

    def online(self) -> None:
        """Connect: take what waits, and welcome companions that were paired meanwhile."""
        if self._session is not None:
            return
        with self._world.step():
            self._signal.stock_prekeys()
            if not self.account.key_list:
                self._companions.sign_list()
        self._session = self._service.deliveries.attach(self._device, self)
        self._world.after(self._session.activate)
        self._service.own(self._device.account, self)

    def offline(self) -> None:
        """Disconnect: what comes waits in the queue."""
        if self._session is not None:
            self._service.deliveries.detach(self._session)
            self._service.own(self._device.account, None)
            self._session = None

    def register_anew(self) -> None:
        """Install the app anew, on this phone or another one: new keys, no companions, messages from a backup.

        Everybody who looks at this account's devices is told. Who has written meanwhile is asked to write again.
        """
        was_online = self.is_online
        self.offline()
        with self._world.step():
            for device in self._world.devices(self._device.account):
                if device.number:
                    self._service.remove_companion(device)
            renewed = self._signal.register_anew()
            self._use(renewed)
            self._companions.sign_list()
            self._service.announce_identity(renewed.account)
        if was_online:
            self.online()

    # --- companions -------------------------------------------------------------------------------------------------

    def lose_sessions(self) -> None:
        """Restore an old backup: the same identity, no session, no sender key. It has to ask again for what comes."""
        with self._world.step():
            self._signal.records.lose_sessions()

    async def scan(self, qr_text: str) -> Jid:
        """Scan a companion's QR and pair it.

        Args:
            qr_text: what the QR says, with or without the URL before '#'.
        Returns:
            the new device's address by phone number. Its first login is still to come.
        Raises:
            PairingError: the text is no QR of a companion, the companion refused, or its signature does not verify.
            LabError: no connection shows this QR.
            Disconnected: the companion left meanwhile.
        """
        qr = QrText.parse(qr_text)
        registering = self._service.desk.find(qr)
        offer = self._companions.offer(qr.adv_secret, registering)
        await registering.present(offer)
        return offer.success.jid

    async def enter_code(self, code: str, timeout: float = 20.0) -> Jid:
        """Type the pairing code that a companion shows, and pair it.

        Args:
            code: eight characters; small letters and a dash in the middle are as good.
            timeout: seconds the companion may take to answer.
        Returns:
            the new device's address by phone number. Its first login is still to come.
        Raises:
            PairingError: CODE when it is not the companion's code; then another may be typed. Else as in scan.
            LabError: no companion waits for a code of this account, or it does not answer.
            Disconnected: the companion left meanwhile.
        """
        typed = code.strip().upper().replace("-", "").replace(" ", "")
        registering, pending = self._service.desk.awaiting_code(self.account)
        offer = await self._companions.offer_by_code(typed, registering, pending, timeout)
        await registering.present(offer)
        return offer.success.jid

    def welcome(self, device: Device) -> None:
        """Owner: send a new companion the app-state key and the first history."""
        for message in self._companions.welcome():
            self._send_peer(device, message)

    def unlink(self, device: Device) -> None:
        """Owner: a companion is gone; sign the list without it."""
        self._companions.sign_list()

    def remove(self, companion: Jid) -> None:
        """Unlink a companion, as from the phone's list of linked devices. Raises LabError when there is none."""
        device = self._world.locate(companion)
        if device is None or device.number == 0 or device.account.id != self._device.account.id:
            raise LabError("no such companion")
        self._service.remove_companion(device)

    # --- strangers --------------------------------------------------------------------------------------------------

    def restrict(self, *, client_tokens: bool = True) -> None:
        """Take no messages from strangers from now on, on no device of the account; see waton.lab.privacy.

        Args:
            client_tokens: who shows a valid token of their own making (cstoken) is no stranger.
        """
        privacy.restrict(self._world, self._device.account, client_tokens=client_tokens)

    def unrestrict(self) -> None:
        """Take everybody's messages again."""
        privacy.unrestrict(self._world, self._device.account)

    def trust(self, contact: Jid) -> None:
        """Give somebody a privacy token, with which they are no stranger. Raises LabError when the phone is offline."""
        self._post(self._privacy.giving(contact))

    # --- the way out ------------------------------------------------------------------------------------------------

    async def send_text(self, to: Jid | str, text: str) -> str:
        """Send a text to every device of a person or of everybody in a group, and to this account's companions.

        Args:
            to: a group, or an address by PN or LID, as Jid or text; it decides the addressing of the stanza.
            text: what to say.
        Returns:
            the message's id. What the service refuses (a group this account is not in) is in `refused` then.
        Raises:
            LabError: the phone is offline, or nobody has that address.
        """
        address = Jid.parse(to) if isinstance(to, str) else to
        return self._send(address.bare, content.text_message(text)).id

    async def send_message(self, to: Jid, message: proto.Message) -> str:
        """Send any message, as send_text does a text; its id. Raises LabError."""
        return self._send(to.bare, message).id

    def read(self, message: PhoneMessage) -> None:
        """Tell the author that a message was read. Raises LabError when the phone is offline."""
        author = message.sender if message.chat.is_group else None
        receipt = Receipt((message.id,), message.chat, ReceiptType.READ, participant=author, t=self._world.t())
        self._post(receipt.to_node())

    def fresh_id(self) -> str:
        """A new message id."""
        return content.message_id(self.pn, self._world.clock.now(), self._world.entropy.take(16))

    async def new_id(self) -> str:
        """A message id of this phone's that was not used yet."""
        return self.fresh_id()

    def _send(self, to: Jid, message: proto.Message) -> PhoneMessage:
        group = self._service.groups.find(to)
        recipient = self._world.find(to)
        if recipient is None and group is None:
            raise LabError("nobody has that address")
        if self._session is None:
            raise LabError("the phone is offline")
        me = self._own_address(to, group)
        sent = PhoneMessage(self.fresh_id(), to, me, True, self._world.t(), message)
        with self._world.step():
            self._log.keep(sent)
            self._trace(Way.OUT, sent.id, message, recipient=to)
            if group is not None:
                stanza = self._group_keys.seal(group, sent.id, message)
            else:
                encs = self._encrypt_for_all(to, recipient, message)
                stanza = OutgoingMessage(sent.id, to, tuple(encs), extra=self._privacy.shown_to(recipient))
            self._post(stanza.to_node())
            giving = self._privacy.giving_to(recipient)
            if giving is not None:
                self._post(giving)
        return sent

    def _own_address(self, to: Jid, group: Group | None) -> Jid:
        if group is not None:
            return group.address(self._device.account)
        return self.lid if to.is_lid else self.pn

    def _encrypt_for_all(self, to: Jid, recipient: Account | None, message: proto.Message) -> list[tuple[Jid, Enc]]:
        mine = self._device.account
        recipient = recipient or mine
        plain = message.SerializeToString()
        copy = content.device_sent(to, message).SerializeToString()
        encs: list[tuple[Jid, Enc]] = []
        for account in (recipient, mine) if recipient.id != mine.id else (mine,):
            for device in self._world.devices(account):
                if device.key == self._device.key or device.lid in self.overlooked:
                    continue
                enc = self._signal.encrypt(device, copy if account.id == mine.id else plain)
                if enc is not None:
                    encs.append((device.lid if to.is_lid else device.pn, enc))
        return encs

    def _send_peer(self, device: Device, message: proto.Message) -> None:
        enc = self._signal.encrypt(device, message.SerializeToString())
        if enc is None:
            raise LabError("the companion has published no prekeys")
        id = self.fresh_id()
        self._trace(Way.OUT, id, message, recipient=device.pn)
        stanza = OutgoingMessage(id=id, to=self.pn, encs=((device.pn, enc),), category="peer", push_priority="high")
        self._post(stanza.to_node())

    def _post(self, node: Node) -> None:
        if self._session is None:
            raise LabError("the phone is offline")
        self._service.receive(self._session, node, None)

    async def ask(self, xmlns: str, type: iq.IqType, content: list[Node], to: Jid) -> Node:
        """Ask the service something; its answer. Raises LabError when offline, IqError."""
        id = self._world.fresh_id()
        self._asked[id] = asyncio.get_running_loop().create_future()
        try:
            self._post(iq.request(id, type, xmlns, content, to=to))
            return iq.raise_for_error(await self._asked[id])
        finally:
            del self._asked[id]

    # --- the way in -------------------------------------------------------------------------------------------------

    async def next_message(self, timeout: float = 10.0, *, from_me: bool = False) -> PhoneMessage:
        """The next message that was not asked for yet: from others, or (from_me) from this account's companions.

        Raises:
            TimeoutError: none came within `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            return await self._log.next(from_me=from_me)

    async def next_receipt(self, id: str, type: str = ReceiptType.DELIVERED, timeout: float = 10.0) -> Receipt:
        """The first receipt of this type for message `id`, come already or still to come. Raises TimeoutError."""
        return await self._receipts.next(id, type, timeout)

    def deliver(self, node: Node, parent: int | None) -> None:
        """Endpoint: take a stanza."""
        if node.tag == "message":
            self._take_message(node, parent)
        elif node.tag == "receipt":
            self._take_receipt(node, parent)
        elif node.tag == "notification":
            with self._world.step():
                self._privacy.take(node)
                self._post(ack(node))
        elif node.tag == "iq":
            answered = self._asked.get(get_text(node, "id") or "")
            if answered is not None and not answered.done():
                answered.set_result(node)
        elif node.tag == "ack":
            error = get_text(node, "error")
            if error is not None and error.isdecimal():
                self.refused[get_text(node, "id") or ""] = int(error)

    def end(self, node: Node | None) -> None:
        """Endpoint: the service ends this login."""
        self._session = None

    def _take_receipt(self, node: Node, parent: int | None) -> None:
        receipt = Receipt.from_node(node)
        with self._world.step():
            self._post(ack(node))
            if receipt.type == ReceiptType.RETRY:
                self._send_again(receipt, parent)
        self._receipts.take(receipt)

    def _send_again(self, receipt: Receipt, parent: int | None) -> None:
        try:
            request = RetryRequest.from_receipt(receipt)
        except RemoteProtocolError as error:
            self._world.note("phone.bad_retry", parent, id=receipt.ids[0], error=type(error).__name__)
            return
        sent = self._log.sent(request.id)
        again = None if sent is None else self._retries.answer(request, sent)
        outcome = "refused" if again is None else "resent"
        self._world.note("phone.retry", parent, id=request.id, count=request.count, outcome=outcome)
        if again is not None:
            self._post(again.to_node())

    def _take_message(self, node: Node, parent: int | None) -> None:
        incoming = IncomingMessage.from_node(node)
        try:
            with self._world.step():
                self._read(incoming, parent)
        except DecryptError as error:
            if error.reason is DecryptReason.DUPLICATE and not self._was_lost(incoming):
                self._post(self._receipt(incoming).to_node())
            else:
                self._ask_again(incoming, error.reason)
                self._give_up(node, incoming, error.reason.value, parent)
        except (RemoteProtocolError, UntrustedIdentity) as error:
            self._give_up(node, incoming, type(error).__name__, parent)

    def _was_lost(self, incoming: IncomingMessage) -> bool:
        """Its key was used for another message: the author has gone back in its session, and this was never read."""
        if incoming.category == "peer" or self._log.has(incoming.id, incoming.author):
            return False
        # A group's ciphertext for one device may have been its author's sender key alone, which is kept nowhere.
        return not incoming.sender.is_group or any(enc.type == EncType.SKMSG for enc in incoming.encs)

    def _ask_again(self, incoming: IncomingMessage, reason: DecryptReason) -> None:
        request = self._retries.request(incoming, reason)
        if request is not None:
            self._post(request.to_node())

    def _give_up(self, node: Node, incoming: IncomingMessage, reason: str, parent: int | None) -> None:
        self.unreadable.append((incoming.id, reason))
        self._world.note("phone.unreadable", parent, id=incoming.id, reason=reason)
        self._post(ack(node, error=_NACK_UNREADABLE))

    def _read(self, incoming: IncomingMessage, parent: int | None) -> None:
        author = self._world.find(incoming.author)
        if author is None:
            raise DecodeError(0, b"", "author")
        from_me = author.id == self._device.account.id
        device = author.lid.with_device(incoming.author.device)
        for enc in incoming.encs:
            message = content.parse_message(self._decrypt(incoming, device, enc))
            self._trace(
                Way.IN, incoming.id, message, parent=parent, kind=enc.type, sender=incoming.author, recipient=self.lid
            )
            self._group_keys.learn(device, message)
            if incoming.category == "peer":
                self._answer_companion(incoming, device, message)
            elif content.kind_of(message):
                self._take_content(incoming, message, from_me=from_me)
        self._retries.settled(incoming.id)
        self._post(self._receipt(incoming).to_node())

    def _answer_companion(self, incoming: IncomingMessage, author: Jid, message: proto.Message) -> None:
        device = self._world.locate(author)
        asked = content.unwrap_device_sent(message).message  # Baileys wraps what it says to its phone
        made = answer(asked, incoming.id, self._log.all())
        if made is not None and device is not None and device.account.id == self._device.account.id:
            self._send_peer(device, made)

    def _decrypt(self, incoming: IncomingMessage, author: Jid, enc: Enc) -> bytes:
        group = self._service.groups.find(incoming.sender)
        if enc.type == EncType.SKMSG and group is not None:
            return self._group_keys.open(group, author, enc)
        return self._signal.decrypt(author, enc)

    def _take_content(self, incoming: IncomingMessage, message: proto.Message, *, from_me: bool) -> None:
        chat = incoming.sender.bare
        if from_me:
            unwrapped = content.unwrap_device_sent(message)
            message = unwrapped.message
            chat = Jid.parse(unwrapped.destination) if unwrapped.destination else incoming.recipient or chat
        if self._log.has(incoming.id, incoming.author):
            return
        kept = PhoneMessage(incoming.id, chat, incoming.author, from_me, incoming.t, message)
        self._log.keep(kept)
        self._log.announce(kept)
        if not from_me and self.reply_with is not None:
            self._world.after(lambda: self._answer_soon(kept))

    def _receipt(self, incoming: IncomingMessage) -> Receipt:
        author = self._world.find(incoming.author)
        return receipt_for(incoming, is_own=author is not None and author.id == self._device.account.id)

    def _answer_soon(self, message: PhoneMessage) -> None:
        # In a turn of the loop's own: two phones that answer each other must not hold it up for ever.
        asyncio.get_running_loop().call_soon(self._answer, message)

    def _answer(self, message: PhoneMessage) -> None:
        if self.reply_with is None or message.text is None or self._session is None:
            return
        try:
            answer = self.reply_with(message.text)
        except Exception as error:  # noqa: BLE001  the user's own function may raise anything; the phone must go on
            self._world.note("phone.reply_failed", error=type(error).__name__)
            return
        if answer:
            self._send(message.chat, content.text_message(answer))

    # --- keeping ----------------------------------------------------------------------------------------------------

    def _trace(
        self,
        way: Way,
        id: str,
        message: proto.Message,
        *,
        parent: int | None = None,
        kind: str = "",
        sender: Jid | None = None,
        recipient: Jid | None = None,
    ) -> None:
        data = message.SerializeToString()
        self._world.tracer.add(
            Layer.MESSAGE,
            way,
            content.kind_of(message),
            at=self._world.clock.now(),
            parent=parent,
            id=id,
            kind=kind,
            sender="" if sender is None else str(sender),
            recipient="" if recipient is None else str(recipient),
            size=len(data),
            data=data,
        )

    def __repr__(self) -> str:
        return f"<Phone {self.name!r} {'online' if self.is_online else 'offline'}>"
