"""Retries: a phone asks again for what it could not read, and sends again what others could not.

An author who is asked makes a fresh session, from the reader's own keys if they came along, and never for an identity
that is not the reader's. Both sides stop at MAX_COUNT.

Source: Baileys Socket/messages-recv.ts sendRetryRequest and sendMessagesAgain, whatsmeow retry.go.
"""

from __future__ import annotations

from dataclasses import replace

from waton.errors import DecryptReason
from waton.lab.phone_messages import PhoneMessage
from waton.lab.phone_signal import PhoneSignal
from waton.lab.world import Device, World
from waton.protocol import message as content
from waton.protocol.stanza.message import IncomingMessage, OutgoingMessage
from waton.protocol.stanza.retry import MAX_COUNT, RetryRequest, retry_reason


class Retries:
    """One phone's requests and answers."""

    def __init__(self, world: World, device: Device, signal: PhoneSignal) -> None:
        self._world = world
        self._device = device
        self._signal = signal
        self._asked: dict[str, int] = {}

    def request(self, incoming: IncomingMessage, reason: DecryptReason) -> RetryRequest | None:
        """The next request for a message that could not be read; None when it was asked for often enough."""
        count = self._asked.get(incoming.id, 0) + 1
        if count > MAX_COUNT:
            return None
        self._asked[incoming.id] = count
        return RetryRequest(
            id=incoming.id,
            peer=incoming.author,
            count=count,
            t=incoming.t,
            registration_id=self._signal.credentials.registration_id,
            bundle=self._world.take_bundle(self._world.device(self._device.account, 0) or self._device),
            error=retry_reason(reason),
            recipient=incoming.recipient,
        )

    def settled(self, id: str) -> None:
        """The message could be read after all."""
        self._asked.pop(id, None)

    def answer(self, request: RetryRequest, sent: PhoneMessage) -> OutgoingMessage | None:
        """The message again, for the one device that asks, in a fresh session; None when there can be none."""
        device = self._world.locate(request.peer)
        if device is None or request.count > MAX_COUNT or not self._signal.renew(device, request.bundle):
            return None
        message = sent.content
        if device.account.id == self._device.account.id:
            message = content.device_sent(sent.chat, message)
        enc = self._signal.encrypt(device, message.SerializeToString())
        if enc is None:
            return None
        wire = device.lid if sent.chat.is_lid else device.pn
        return OutgoingMessage(id=sent.id, to=sent.chat, encs=((wire, replace(enc, count=request.count)),))
