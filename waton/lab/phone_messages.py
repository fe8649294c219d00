"""A phone's messages: kept in the lab's database, handed out one by one to whoever waits for the next.

Source: none; this is the lab's own memory of what its phones wrote and read.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

from waton.jid import Jid
from waton.lab.world import World
from waton.protocol import proto

_UNASKED = 1_000
"""News that wait to be asked for."""


@dataclass(frozen=True, slots=True, repr=False)
class PhoneMessage:
    """A message on a phone."""

    id: str
    chat: Jid
    """The other person, without a device."""
    sender: Jid
    """The device that wrote it, as its stanza named it."""
    from_me: bool
    """Written by this account, here or on a companion."""
    t: int
    """Unix seconds."""
    content: proto.Message

    @property
    def text(self) -> str | None:
        """The text of a text message, None for other kinds."""
        if self.content.HasField("conversation"):
            return self.content.conversation
        if self.content.HasField("extendedTextMessage"):
            return self.content.extendedTextMessage.text
        return None

    def __repr__(self) -> str:
        return f"<PhoneMessage {self.id} {'out' if self.from_me else 'in'}>"


class PhoneMessages:
    """The messages of one phone."""

    def __init__(self, world: World, account: int) -> None:
        self._world = world
        self._account = account
        self._news = {from_me: asyncio.Queue[PhoneMessage](_UNASKED) for from_me in (True, False)}

    def keep(self, message: PhoneMessage) -> None:
        """Store a message, in the step under way."""
        self._world.database.insert(
            "INSERT INTO phone_message (account, id, chat, sender, from_me, t, message) VALUES (?, ?, ?, ?, ?, ?, ?)",
            self._account,
            message.id,
            str(message.chat),
            str(message.sender),
            int(message.from_me),
            message.t,
            message.content.SerializeToString(),
        )

    def announce(self, message: PhoneMessage) -> None:
        """Hand a received message to whoever waits, after the commit."""

        def act() -> None:
            news = self._news[message.from_me]
            if news.full():
                news.get_nowait()  # nobody asked for it in a thousand messages; it stays in all()
            news.put_nowait(message)

        self._world.after(act)

    async def next(self, *, from_me: bool) -> PhoneMessage:
        """The next received message that was not handed out yet."""
        return await self._news[from_me].get()

    def has(self, id: str, sender: Jid) -> bool:
        """True when this message is kept already: the original and its resend may both arrive."""
        return bool(
            self._world.database.count(
                "SELECT count(*) FROM phone_message WHERE account = ? AND id = ? AND sender = ?",
                self._account,
                id,
                str(sender),
            )
        )

    def sent(self, id: str) -> PhoneMessage | None:
        """A message this phone wrote, by id."""
        row = self._world.database.row(
            "SELECT id, chat, sender, from_me, t, message FROM phone_message"
            " WHERE account = ? AND id = ? AND from_me = 1 ORDER BY seq LIMIT 1",
            self._account,
            id,
        )
        return None if row is None else _message(*cast("tuple[str, str, str, int, int, bytes]", row))

    def all(self) -> list[PhoneMessage]:
        """Every message, oldest first."""
        rows = self._world.database.rows(
            "SELECT id, chat, sender, from_me, t, message FROM phone_message WHERE account = ? ORDER BY seq",
            self._account,
        )
        return [_message(*cast("tuple[str, str, str, int, int, bytes]", row)) for row in rows]


def _message(id: str, chat: str, sender: str, from_me: int, t: int, data: bytes) -> PhoneMessage:
    return PhoneMessage(id, Jid.parse(chat), Jid.parse(sender), bool(from_me), t, proto.Message.FromString(data))
