"""Retries: a phone asks again for what it could not read, and sends again what others could not.

An author who is asked makes a fresh session, from the reader's own keys if they came along, and never for an identity
that is not the reader's. In a group the answer goes to the one device that asks, pairwise, and brings our sender key
along; who is not in the group gets none. Both sides stop at MAX_COUNT.

Source: Baileys Socket/messages-recv.ts sendRetryRequest and sendMessagesAgain, whatsmeow retry.go.
"""

from __future__ import annotations

from dataclasses import replace

from waton.errors import DecryptReason
from waton.lab.groups import Groups
from waton.lab.phone_group_keys import GroupKeys
from waton.lab.phone_messages import PhoneMessage
from waton.lab.phone_signal import PhoneSignal
from waton.lab.world import Device, World
from waton.protocol import message as content
from waton.protocol.stanza.message import IncomingMessage, OutgoingMessage
from waton.protocol.stanza.retry import MAX_COUNT, RetryRequest, retry_reason


class Retries:
    """One phone's requests and answers."""

    def __init__(
        self, world: World, groups: Groups, device: Device, signal: PhoneSignal, group_keys: GroupKeys
    ) -> None:
        self._world = world
        self._groups = groups
        self._device = device
        self._signal = signal
        self._group_keys = group_keys
        self._asked: dict[str, int] = {}

    def request(self, incoming: IncomingMessage, reason: DecryptReason) -> RetryRequest | None:
        """The next request for a message that could not be read; None when it was asked for often enough."""
        count = self._asked.get(incoming.id, 0) + 1
        if count > MAX_COUNT:
            return None
        self._asked[incoming.id] = count
        return RetryRequest.of(
            incoming,
            count=count,
            error=retry_reason(reason),
            registration_id=self._signal.credentials.registration_id,
            bundle=self._world.take_bundle(self._world.device(self._device.account, 0) or self._device),
        )

    def settled(self, id: str) -> None:
        """The message could be read after all."""
        self._asked.pop(id, None)

    def answer(self, request: RetryRequest, sent: PhoneMessage) -> OutgoingMessage | None:
        """The message again, for the one device that asks, in a fresh session; None when there can be none."""
        device = self._world.locate(request.requester)
        if device is None or request.count > MAX_COUNT or not self._may_have(device, sent):
            return None
        if not self._signal.renew(device, request.bundle):
            return None
        if sent.chat.is_group:
            return self._answer_in_group(request, device, sent)
        message = sent.content
        if device.account.id == self._device.account.id:
            message = content.device_sent(sent.chat, message)
        enc = self._signal.encrypt(device, message.SerializeToString())
        if enc is None:
            return None
        wire = device.lid if sent.chat.is_lid else device.pn
        return OutgoingMessage(id=sent.id, to=sent.chat, encs=((wire, replace(enc, count=request.count)),))

    def _may_have(self, device: Device, sent: PhoneMessage) -> bool:
        """A group's messages are for who is in it."""
        if not sent.chat.is_group:
            return True
        group = self._groups.find(sent.chat)
        return group is not None and self._groups.member(group, device.account) is not None

    def _answer_in_group(self, request: RetryRequest, device: Device, sent: PhoneMessage) -> OutgoingMessage | None:
        group = self._groups.find(sent.chat)
        if group is None:
            return None
        message = self._group_keys.with_key(group, device, sent.content)
        enc = self._signal.encrypt(device, message.SerializeToString())
        if enc is None:
            return None
        return OutgoingMessage(
            id=sent.id,
            to=group.id,
            encs=(),
            bare=replace(enc, count=request.count),
            participant=group.device(device),
            addressing_mode=group.addressing,
        )
