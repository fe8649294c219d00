"""Padding of message plaintexts, which hides their length from the server a little.

Source: Baileys Utils/generics.ts writeRandomPadMax16 and unpadRandomMax16; stricter on the way in than Baileys.
"""

from waton.errors import DecryptError, DecryptReason

MAX_PADDING = 16
"""Bytes."""


def pad(message: bytes, dice: int) -> bytes:
    """The message with 1 to 16 bytes appended, each of that number's value; `dice` is one random byte."""
    count = (dice & 15) + 1
    return message + bytes([count]) * count


def unpad(padded: bytes) -> bytes:
    """The message without its padding. Raises DecryptError(PADDING) unless 1 to 16 equal bytes are there."""
    count = padded[-1] if padded else 0
    if not 1 <= count <= MAX_PADDING or padded[-count:] != bytes([count]) * count:
        raise DecryptError(DecryptReason.PADDING)
    return padded[:-count]
