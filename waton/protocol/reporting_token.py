"""Reporting tokens: what lets a reported message be checked, without the service being able to read it.

The sender commits to the parts of a message that a report may show: an HMAC over those fields of the plaintext, under a
key that only the message's readers can make (it comes from the message's secret). The service keeps the token; if a
reader reports the message, it can see that the report was not invented. So the token must be made of the very bytes
that are encrypted, and before padding: a padded plaintext ends in bytes that are no field, and most paddings then give
no token at all or a wrong one.

Which fields count is a table (MESSAGE): of a picture its caption and size, of a poll its question and options. They are
taken as they stand in the plaintext, at each level in the order of their numbers; of a nested message only its listed
fields are left, under a new length. A wrapper (view once, edited, document with caption ...) holds a Message, to which
the same table applies.

Guess: that last rule is whatsapp-rust's reading of the web client's table. whatsmeow and Baileys take nothing out of a
wrapper, which would make its line in the table pointless. A token of the web client for a wrapped message would settle
it.

Source: whatsmeow reportingtoken.go, reportingfields.json and send.go; whatsapp-rust wacore/src/reporting_token.rs.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final, TypeAlias

from waton.errors import DecodeError
from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.message_secret import Addition, SecretUse

VERSION: Final = 2
TOKEN_SIZE: Final = 16
_DEEPEST: Final = 32
"""Levels of nesting that are followed; a wrapper in a wrapper makes four."""
_LARGEST_FIELD: Final = (1 << 29) - 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EXCLUDED: Final = ("reactionMessage", "encReactionMessage", "encEventResponseMessage", "pollUpdateMessage")
"""Kinds that carry no token: what they say is sealed under another message's secret, or shows nothing to report."""

Fields: TypeAlias = "dict[int, Fields | None]"
"""Field numbers to take: whole (None), or of a nested message these fields."""


def _take(*whole: int, context: int | None = None) -> Fields:
    """A table: fields taken whole, and where a ContextInfo stands, of which it is told whether it was forwarded."""
    table: Fields = dict.fromkeys(whole)
    if context is not None:
        table[context] = _CONTEXT_INFO
    return table


_CONTEXT_INFO: Final[Fields] = dict.fromkeys((21, 22))
_POLL_OPTION: Final[Fields] = dict.fromkeys((1, 2))
_POLL: Final[Fields] = {**_take(2, context=5), 3: _POLL_OPTION, 8: _POLL_OPTION}
_VIDEO: Final = _take(2, 6, 7, 13, 20, context=17)
_WRAPPER: Final[Fields] = {}
_PROTOCOL: Final = _take(1, 2, 15)

MESSAGE: Final[Fields] = {
    1: None,  # conversation
    3: _take(2, 3, 8, 11, 25, context=17),  # imageMessage
    4: _take(1, 16, context=17),  # contactMessage
    5: _take(3, 4, 5, 16, context=17),  # locationMessage
    6: _take(1, 30, context=17),  # extendedTextMessage
    7: _take(2, 7, 10, 20, context=17),  # documentMessage
    8: _take(2, 7, 9, 21, context=17),  # audioMessage
    9: _VIDEO,  # videoMessage
    12: _PROTOCOL,  # protocolMessage, an edit's new message in it
    18: _take(6, 16, context=17),  # liveLocationMessage
    26: _take(4, 5, 8, 13, context=17),  # stickerMessage
    28: _take(1, 2, 4, 5, 6, context=7),  # groupInviteMessage
    37: _WRAPPER,  # viewOnceMessage
    49: _POLL,  # pollCreationMessage
    53: _WRAPPER,  # documentWithCaptionMessage
    55: _WRAPPER,  # viewOnceMessageV2
    58: _WRAPPER,  # editedMessage
    59: _WRAPPER,  # viewOnceMessageV2Extension
    60: _POLL,  # pollCreationMessageV2
    64: _POLL,  # pollCreationMessageV3
    66: _VIDEO,  # ptvMessage
    74: _WRAPPER,  # lottieStickerMessage
    87: _WRAPPER,  # statusMentionMessage
    88: {**_take(1, context=3), 2: {1: None}},  # pollResultSnapshotMessage
    92: _WRAPPER,  # groupStatusMentionMessage
    93: _WRAPPER,  # pollCreationMessageV4
    94: _WRAPPER,
}
"""The fields of a Message that a token commits to. Source: whatsmeow reportingfields.json."""
_WRAPPER[1] = MESSAGE
_PROTOCOL[14] = MESSAGE


def is_included(message: proto.Message) -> bool:
    """Whether a message of this kind carries a token, given that it has a secret."""
    return not any(message.HasField(name) for name in _EXCLUDED)


def reporting_node(
    message: proto.Message, plaintext: bytes, *, id: str, sender: Jid, chat: Jid, fields: Fields = MESSAGE
) -> Node | None:
    """The child of the message stanza.

    Args:
        message: what is sent to the conversation, with its messageContextInfo.messageSecret.
        plaintext: its bytes, as they are encrypted, without padding.
        id: the stanza's.
        sender: our own address, LID or PN as the conversation goes; the device does not count.
        chat: the person or the group.
        fields: what to commit to.
    Returns:
        <reporting>, or None for a kind without one, without a secret, or with nothing to commit to.
    Raises:
        DecodeError: plaintext is no protobuf.
        ValueError: the secret is not 32 bytes.
    """
    secret = message.messageContextInfo.messageSecret
    if not secret or not is_included(message):
        return None
    selected = select(plaintext, fields)
    if not selected:
        return None
    made = token(key(secret, id=id, sender=sender, chat=chat), selected)
    return Node("reporting", None, [Node("reporting_token", {"v": str(VERSION)}, made)])


def key(secret: bytes, *, id: str, sender: Jid, chat: Jid) -> bytes:
    """The key of one message's token, 32 bytes. Raises ValueError when the secret is not 32 bytes."""
    return Addition(SecretUse.REPORT_TOKEN, id, sender, chat).key(secret)


def token(key: bytes, selected: bytes) -> bytes:
    """The token, 16 bytes. selected: see `select`."""
    return hmac.digest(key, selected, "sha256")[:TOKEN_SIZE]


def select(plaintext: bytes, fields: Fields = MESSAGE) -> bytes:
    """The bytes of the fields that count, in the order of their numbers; b"" when there are none.

    Args:
        plaintext: protobuf bytes, not padded.
        fields: which to take.
    Raises:
        DecodeError: it does not parse, or nests deeper than any message does.
    """
    return _select(plaintext, 0, len(plaintext), fields, 0)


def _select(data: bytes, at: int, end: int, table: Mapping[int, Fields | None], depth: int) -> bytes:
    if depth > _DEEPEST:
        raise DecodeError(at, data, "message")
    taken: list[tuple[int, bytes]] = []
    while at < end:
        start = at
        tag, at = _varint(data, at, end)
        number, wire_type = tag >> 3, tag & 7
        value, at = _skip(data, at, end, wire_type)
        if not 0 < number <= _LARGEST_FIELD:
            raise DecodeError(start, data, "message")
        if number not in table:
            continue
        within = table[number]
        if within is None or wire_type != _BYTES:
            taken.append((number, data[start:at]))
        elif inner := _select(data, value, at, within, depth + 1):
            taken.append((number, _encode_varint(tag) + _encode_varint(len(inner)) + inner))
    taken.sort(key=lambda field: field[0])
    return b"".join(piece for _, piece in taken)


def _skip(data: bytes, at: int, end: int, wire_type: int) -> tuple[int, int]:
    """Where a field's value begins and ends. Raises DecodeError."""
    if wire_type == _VARINT:
        return at, _varint(data, at, end)[1]
    if wire_type == _BYTES:
        size, at = _varint(data, at, end)
    elif wire_type in (_FIXED64, _FIXED32):
        size = 8 if wire_type == _FIXED64 else 4
    else:
        raise DecodeError(at, data, "message")  # groups are in no Message
    if size > end - at:
        raise DecodeError(at, data, "message")
    return at, at + size


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number and where it ends. Raises DecodeError."""
    value = 0
    for count in range(min(10, end - at)):
        byte = data[at + count]
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            if value >> 64:
                break
            return value, at + count + 1
    raise DecodeError(at, data, "message")


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
