"""What the account store knows without asking the disk: records lately read or written, and which keys there are.

Both live beside the file in one process that holds it alone (storage_lock.py), so they can say what is on the disk as
well as the disk can. `RecordCache` forgets what was not used for longest when its bytes are spent. `KeyFilter` answers
the question of every new message, "was this one told already?", whose answer is nearly always no: a key that it does
not know is not there. It is a Bloom filter: it may take an unknown key for a known one (about 1 in 400 when as full as
it should get), which costs a look at the disk, and never the other way round.

Source: Bloom, "Space/time trade-offs in hash coding with allowable errors" (1970).
"""

from __future__ import annotations

from typing import Final, TypeAlias

from waton.ports import RecordKind

Place: TypeAlias = tuple[RecordKind, str]
"""Where a record lives: its kind and key."""
Entry: TypeAlias = tuple[bytes | None, float | None]
"""What is there: the value, None for nothing; and the Unix time until which it counts, None for always."""

ABSENT: Final[Entry] = (None, None)
CACHE_BYTES: Final = 16 << 20
_ENTRY_BYTES: Final = 250
"""What an entry weighs besides its key and its value: two tuples, a key's and a value's header, a place in a dict."""
_LEAST_KEYS: Final = 1 << 17


class RecordCache:
    """Records by place, the least recently used forgotten first.

    Args:
        limit: bytes that all entries may weigh together. One that weighs more than a sixteenth of it is not kept.
    """

    __slots__ = ("_entries", "_limit", "_weight")

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._entries: dict[Place, Entry] = {}
        self._weight = 0

    def get(self, place: Place) -> Entry | None:
        """What is known to be there; None when nothing is known."""
        entry = self._entries.pop(place, None)
        if entry is not None:
            self._entries[place] = entry
        return entry

    def put(self, place: Place, entry: Entry) -> None:
        """Know this of a place from now on."""
        before = self._entries.pop(place, None)
        if before is not None:
            self._weight -= _weight(place, before)
        weight = _weight(place, entry)
        if weight > self._limit >> 4:
            return
        self._entries[place] = entry
        self._weight += weight
        while self._weight > self._limit:
            oldest = next(iter(self._entries))
            self._weight -= _weight(oldest, self._entries.pop(oldest))

    @property
    def weight(self) -> int:
        """Bytes in use."""
        return self._weight

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<RecordCache {len(self)} records, {self._weight} bytes>"


def _weight(place: Place, entry: Entry) -> int:
    value = entry[0]
    return _ENTRY_BYTES + len(place[1]) + (0 if value is None else len(value))


class KeyFilter:
    """A set of places that may take a stranger for a member, and never a member for a stranger.

    Args:
        room: how many places it should be good for; it is made for at least twice that.
    """

    __slots__ = ("_bits", "_mask", "_room", "_size")

    def __init__(self, room: int = 0) -> None:
        bits = 1 << (max(room * 2, _LEAST_KEYS) * 16 - 1).bit_length()
        self._bits = bytearray(bits >> 3)
        self._mask = bits - 1
        self._room = bits >> 4
        self._size = 0

    @property
    def is_full(self) -> bool:
        """True when it holds so many that it begins to take strangers for members; a larger one is due."""
        return self._size > self._room

    def add(self, kind: str, key: str) -> None:
        """Make a place a member."""
        bits, mask = self._bits, self._mask
        number = hash((kind, key))
        step = (number >> 32) | 1
        is_new = False
        for _ in range(4):
            at = number & mask
            if not bits[at >> 3] & 1 << (at & 7):
                bits[at >> 3] |= 1 << (at & 7)
                is_new = True
            number += step
        self._size += is_new

    def may_hold(self, kind: str, key: str) -> bool:
        """False: the place is surely no member."""
        bits, mask = self._bits, self._mask
        number = hash((kind, key))
        step = (number >> 32) | 1
        for _ in range(4):
            at = number & mask
            if not bits[at >> 3] & 1 << (at & 7):
                return False
            number += step
        return True
