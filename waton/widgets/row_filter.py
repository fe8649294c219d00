"""The filter box of the frames view: words and key:value, all of which must hold.

    ping                    the word in any column
    tag:iq                  exactly this tag; * stands for anything, a comma for "or": tag:iq,ack  type:*msg
    id:3EB0 from:491        part of an id or an address; peer: is either side
    way:in  way:out         direction
    size:>500  size:<=20    bytes
    -tag:ack  -ping         not
    "12:5@lid"              quotes: a word with blanks or colons in it

Case does not matter. This is for the eye while things happen; questions to a whole capture are SQL's.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from fnmatch import translate
from typing import TypeAlias

from waton.errors import WatonError
from waton.protocol.trace import Way
from waton.widgets.rows import Row

Accepts: TypeAlias = Callable[[Row], bool]


class FilterError(WatonError):
    """A filter that does not read.

    Attributes:
        start: first character of what is wrong, counted from 0.
        end: one after its last character.
        what: what is wrong with it.
    """

    def __init__(self, start: int, end: int, what: str) -> None:
        self.start = start
        self.end = end
        self.what = what
        super().__init__(start, end, what)

    def __str__(self) -> str:
        return self.what


def parse_filter(text: str) -> Accepts:
    """The predicate of a filter; an empty one accepts all. Raises FilterError."""
    terms = [_term(match.group(), *match.span()) for match in _TERM.finditer(text)]
    if not terms:
        return lambda row: True
    if len(terms) == 1:
        return terms[0]
    return lambda row: all(term(row) for term in terms)


_TERM = re.compile(r'(?:[^\s"]|"[^"]*(?:"|$))+')
_PARTS = re.compile(r"(-?)(?:([A-Za-z]+):)?(.*)", re.DOTALL)


def _term(term: str, start: int, end: int) -> Accepts:
    match = _PARTS.fullmatch(term)
    minus, key, value = match.groups() if match else ("", None, term)
    if value.startswith('"'):
        if len(value) < 2 or not value.endswith('"'):
            raise FilterError(start, end, "the quote is not closed")
        value = value[1:-1]
    if not value:
        raise FilterError(start, end, f"{term!r} lacks a value")
    accepts = _word(value) if key is None else _keyed(key.lower(), value.lower(), start, end)
    return (lambda row: not accepts(row)) if minus else accepts


def _word(word: str) -> Accepts:
    sought = word.lower()

    def accepts(row: Row) -> bool:
        columns = (row.name, row.id, row.kind, row.xmlns, row.sender, row.recipient)
        return any(sought in column.lower() for column in columns)

    return accepts


def _keyed(key: str, value: str, start: int, end: int) -> Accepts:
    if key in _EXACT:
        return _exact(_EXACT[key], value)
    if key in _PART:
        return _part(_PART[key], value)
    if key == "way":
        return _way(value, start, end)
    if key == "size":
        return _size(value, start, end)
    keys = ", ".join((*_EXACT, *_PART, "way", "size"))
    raise FilterError(start, end, f"there is no key {key!r}, only {keys}; put a plain word with a colon into quotes")


_EXACT: dict[str, Callable[[Row], str]] = {
    "tag": operator.attrgetter("name"),
    "type": operator.attrgetter("kind"),
    "xmlns": operator.attrgetter("xmlns"),
}
_PART: dict[str, Callable[[Row], tuple[str, ...]]] = {
    "id": lambda row: (row.id,),
    "from": lambda row: (row.sender,),
    "to": lambda row: (row.recipient,),
    "peer": lambda row: (row.sender, row.recipient),
}


def _exact(column: Callable[[Row], str], value: str) -> Accepts:
    pattern = re.compile("|".join(translate(choice) for choice in value.split(",")))
    return lambda row: pattern.match(column(row).lower()) is not None


def _part(columns: Callable[[Row], tuple[str, ...]], value: str) -> Accepts:
    choices = value.split(",")
    return lambda row: any(choice in column.lower() for column in columns(row) for choice in choices)


def _way(value: str, start: int, end: int) -> Accepts:
    try:
        way = Way(value)
    except ValueError as error:
        raise FilterError(start, end, "way is in, out or local") from error
    return lambda row: row.way is way


_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "": operator.eq,
}


def _size(value: str, start: int, end: int) -> Accepts:
    match = re.fullmatch(r"(>=|<=|>|<|)(\d{1,12})", value)
    if match is None:
        raise FilterError(start, end, "size wants a number of bytes, such as size:>500")
    compare, bytes_ = _COMPARISONS[match[1]], int(match[2])
    return lambda row: compare(row.size, bytes_)
