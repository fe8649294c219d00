"""Whose message it is: our own addresses, the key of a message, and the key that one message has of another.

A person is a phone number and a LID, on the wire either; a message inside another one is named from its author's side.
Nothing here looks anything up: where two addresses cannot be compared, the answer is that it cannot be told.

Source: Baileys Utils/process-message.ts cleanMessage, WABinary/jid-utils.ts jidNormalizedUser.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from waton.client.events import MessageKey
from waton.jid import Jid, JidServer
from waton.protocol import proto

_HOME: dict[str, JidServer] = {
    JidServer.HOSTED: JidServer.PN,
    JidServer.HOSTED_LID: JidServer.LID,
    JidServer.LEGACY: JidServer.PN,
}


@dataclass(frozen=True, slots=True, repr=False)
class Me:
    """Our own two addresses."""

    pn: Jid | None
    lid: Jid | None = None

    def is_me(self, jid: Jid) -> bool:
        """One of our own addresses, any device."""
        return any(own is not None and own.bare == jid.bare for own in (self.pn, self.lid))

    def beside(self, jid: Jid) -> Jid | None:
        """Our own address of the same kind as this one, without a device; the other one when there is none."""
        own = (self.lid or self.pn) if jid.is_lid else (self.pn or self.lid)
        return None if own is None else own.bare

    def other(self, jid: Jid) -> Jid | None:
        """The one of our own addresses that this one is not, without a device."""
        own = self.pn if jid.is_lid else self.lid
        return None if own is None else own.bare


def at_home(jid: Jid) -> Jid:
    """The same device without the hosted or the legacy server: by PN or LID. Source: Baileys cleanMessage."""
    server = _HOME.get(jid.server)
    return jid if server is None else Jid(jid.user, server, jid.device)


def clean_key(key: MessageKey) -> MessageKey:
    """The key as events have it: the chat without a device, nobody on a hosted server."""
    chat, author = at_home(key.chat.bare), at_home(key.author)
    return key if chat == key.chat and author == key.author else replace(key, chat=chat, author=author)


def same_person(one: tuple[Jid | None, ...], other: tuple[Jid | None, ...]) -> bool | None:
    """Whether two people, each with what addresses we have of them, are one; None when that cannot be told.

    Two addresses of one kind that differ are two people. A phone number and a LID may be anybody's. A group is nobody
    but itself.
    """
    first = {at_home(jid.bare) for jid in one if jid is not None}
    second = {at_home(jid.bare) for jid in other if jid is not None}
    if first & second:
        return True
    is_comparable = {jid.server for jid in first} & {jid.server for jid in second}
    return None if not is_comparable and all(jid.is_user for jid in first | second) else False


def named(inner: proto.MessageKey, by: MessageKey, me: Me) -> MessageKey:
    """The message that another one names, from our side.

    Args:
        inner: the key inside, from the side of who wrote it: fromMe means his own; remoteJid, for him, is us.
        by: the message it is in.
        me: our addresses.
    Source: Baileys cleanMessage, normaliseKey.
    """
    participant = person(inner.participant)
    if by.from_me:
        from_me = inner.fromMe
        author = by.author if from_me else (participant or by.chat)
    else:
        author = participant or person(inner.remoteJid) or by.author
        from_me = not inner.fromMe and me.is_me(author)
        if not from_me and participant is None:
            author = by.author
    alt = by.author_alt.bare if by.author_alt is not None and author.bare == by.author.bare else None
    return MessageKey(
        chat=by.chat,
        id=as_text(inner.id),
        from_me=from_me,
        author=at_home(author.bare),
        author_alt=me.other(author) if from_me else alt,
        chat_alt=by.chat_alt,
        addressing_mode=by.addressing_mode,
    )


def person(text: object) -> Jid | None:
    """An address inside a message, at home; None when it is none, or names nobody."""
    try:
        jid = Jid.parse(as_text(text))
    except ValueError:
        return None
    return at_home(jid) if jid.user else None


def as_text(value: object) -> str:
    """A text field of a protobuf as text: one that is no UTF-8 is bytes when read."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
