"""Receipts for messages that were read or played here: gathered, one for each author in each conversation.

Only messages of others get any. In a group or a list the stanza names the author, for the receipt is his; it lists all
of his messages together, in the order in which they are given.

Source: Baileys Utils/messages.ts aggregateMessageKeysNotFromMe and Socket/messages-send.ts sendReceipt.
"""

from __future__ import annotations

from collections.abc import Iterable

from waton.client.events import MessageKey
from waton.jid import Jid
from waton.protocol.stanza.receipt import Receipt, ReceiptType

_TIMED = (ReceiptType.READ, ReceiptType.READ_SELF)
"""Types that say when."""


def gathered(keys: Iterable[MessageKey], type: str, now: float) -> list[Receipt]:
    """The receipts for these messages, in the order of the first message of each.

    Args:
        keys: messages of any conversations; our own are passed over.
        type: a ReceiptType's spelling.
        now: Unix seconds.
    """
    ids: dict[tuple[Jid, Jid | None], list[str]] = {}
    for key in keys:
        if not key.from_me:
            is_list = key.chat.is_group or key.chat.is_broadcast
            ids.setdefault((key.chat, key.author if is_list else None), []).append(key.id)
    t = int(now) if type in _TIMED else None
    return [
        Receipt(tuple(listed), chat, type, participant=participant, t=t) for (chat, participant), listed in ids.items()
    ]
