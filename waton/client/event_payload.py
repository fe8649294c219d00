"""Values as JSON and back, told by the types of their fields: how events are stored.

A dataclass becomes an object with a member for each field. A field that has its default is left out, and one that is
absent gets it; members that nobody knows are passed over. So an event may get new fields, with defaults, and what an
older version stored, or a newer one, can still be read.

What it is not: a parser of what comes over the wire. It reads what we have written; damage is an error, not a guess.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Generic, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from google.protobuf.message import Message

from waton.jid import Jid
from waton.protocol.binary_node import Node, decode_node, encode_node

Json: TypeAlias = Any
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Form:
    """How one type is written and read. Reading raises ValueError, TypeError or KeyError."""

    dump: Callable[[Any], Json]
    load: Callable[[Json], Any]


def _same(value: Json) -> Json:
    return value


def _plain(kind: type) -> Form:
    """JSON's own types, held to the letter: True is no number here."""

    def load(value: Json) -> Any:
        if type(value) is not kind:
            raise TypeError(f"not {kind.__name__}")
        return value

    return Form(_same, load)


def _text(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def _bytes(value: Json) -> bytes:
    return b64decode(value, validate=True)


_FORMS: dict[object, Form] = {
    str: _plain(str),
    int: _plain(int),
    bool: _plain(bool),
    bytes: Form(_text, _bytes),
    Jid: Form(str, Jid.parse),
    Node: Form(lambda node: _text(encode_node(node)), lambda value: decode_node(_bytes(value))),
}


def register(kind: type[T], dump: Callable[[T], Json], load: Callable[[Json], T]) -> None:
    """Give a class a form of its own."""
    _FORMS[kind] = Form(dump, load)


def _form(hint: Any) -> Form:
    known = _FORMS.get(hint)
    if known is not None:
        return known
    origin, args = get_origin(hint), get_args(hint)
    if origin is UnionType and args[1:] == (NoneType,):
        return _optional(_form(args[0]))
    if origin is tuple and args[1:] == (Ellipsis,):
        return _several(_form(args[0]))
    if isinstance(hint, type):
        return _of_class(hint)
    raise TypeError(f"no stored form for {hint}")


def _optional(inner: Form) -> Form:
    return Form(
        lambda value: None if value is None else inner.dump(value),
        lambda value: None if value is None else inner.load(value),
    )


def _several(inner: Form) -> Form:
    def load(value: Json) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise TypeError("not a list")
        return tuple(inner.load(one) for one in cast("list[Json]", value))

    return Form(lambda value: [inner.dump(one) for one in value], load)


def _of_class(kind: type[Any]) -> Form:
    if issubclass(kind, Enum):
        return Form(lambda value: value.value, kind)
    if issubclass(kind, Message):
        return Form(lambda value: _text(value.SerializeToString()), lambda value: kind.FromString(_bytes(value)))
    if is_dataclass(kind):
        record = record_of(kind)
        return Form(record.dump, record.load)
    raise TypeError(f"no stored form for {kind}")


@dataclass(frozen=True, slots=True)
class _Member:
    """One field of a dataclass."""

    name: str
    form: Form
    default: Any
    """MISSING when it has none."""

    @staticmethod
    def of(field: Field[Any], hint: Any) -> _Member:
        default = field.default if field.default_factory is MISSING else field.default_factory()
        return _Member(field.name, _form(hint), default)


class Record(Generic[T]):
    """The stored form of one dataclass, worked out once."""

    def __init__(self, kind: type[T], without: tuple[str, ...] = ()) -> None:
        hints = get_type_hints(kind)
        self._kind = kind
        members = [_Member.of(one, hints[one.name]) for one in fields(cast("Any", kind)) if one.name not in without]
        self._required = [(one.name, one.form.dump) for one in members if one.default is MISSING]
        self._others = [(one.name, one.form.dump, one.default) for one in members if one.default is not MISSING]
        self._members = members

    def dump(self, value: T) -> dict[str, Json]:
        """The members of an object, those with defaults left out."""
        told = {name: dump(getattr(value, name)) for name, dump in self._required}
        for name, dump, default in self._others:
            member = getattr(value, name)
            if member != default:
                told[name] = dump(member)
        return told

    def load(self, value: Json, **more: Any) -> T:
        """The value of these members; `more` are fields that are not stored. Raises ValueError, TypeError, KeyError."""
        if not isinstance(value, Mapping):
            raise TypeError("not an object")
        told = cast("Mapping[str, Json]", value)
        members = {
            one.name: one.form.load(told[one.name])
            for one in self._members
            if one.default is MISSING or one.name in told
        }
        return self._kind(**members, **more)


@cache
def record_of(kind: type[T], without: tuple[str, ...] = ()) -> Record[T]:
    """The stored form of a dataclass. without: fields that are not stored.

    Raises:
        TypeError: a field's type has none.
    """
    return Record(kind, without)
