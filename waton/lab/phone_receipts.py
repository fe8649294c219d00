"""Receipts on a phone: the one it sends for a message, and those that come for its own, to look at and to wait for.

Source: Baileys Socket/messages-recv.ts sendReceipt (which receipt for which message).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from waton.protocol.stanza.message import IncomingMessage
from waton.protocol.stanza.receipt import Receipt, ReceiptType

_REMEMBERED = 1_000


def receipt_for(incoming: IncomingMessage, *, is_own: bool) -> Receipt:
    """The receipt of a message that has been read. is_own: this account has written it, on a companion."""
    ids, sender = (incoming.id,), incoming.sender
    if incoming.category == "peer":
        return Receipt(ids, sender, ReceiptType.PEER_MSG)
    if sender.is_group:
        kind = ReceiptType.SENDER if is_own else ReceiptType.DELIVERED
        return Receipt(ids, sender, kind, participant=incoming.participant)
    if incoming.recipient is not None:
        return Receipt(ids, sender, ReceiptType.SENDER, recipient=incoming.recipient)
    return Receipt(ids, sender)


class ReceiptLog:
    """The receipts that have come for a phone's messages, since the lab started."""

    def __init__(self) -> None:
        self.newest: deque[Receipt] = deque(maxlen=_REMEMBERED)
        self._waiting: list[tuple[Callable[[Receipt], bool], asyncio.Future[Receipt]]] = []

    def take(self, receipt: Receipt) -> None:
        """One has come: keep it, and hand it to who waits for it."""
        self.newest.append(receipt)
        for wanted, waiting in list(self._waiting):
            if waiting.done():
                self._waiting.remove((wanted, waiting))
            elif wanted(receipt):
                waiting.set_result(receipt)

    async def next(self, id: str, type: str, timeout: float) -> Receipt:
        """The first of this type for message `id`, come already or still to come. Raises TimeoutError."""

        def wanted(receipt: Receipt) -> bool:
            return id in receipt.ids and receipt.type == type

        for receipt in self.newest:
            if wanted(receipt):
                return receipt
        waiting: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, waiting))
        async with asyncio.timeout(timeout):
            return await waiting
