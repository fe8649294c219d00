"""Canonical stanzas: what a client said, with everything taken out that has to differ between two runs.

A stanza, a client payload or a decrypted message becomes an `Element`, a small tree of text. Ids become what they are
the id of, times `<time>`, keys and signatures their length, a ciphertext the protobuf its reader found inside. What
is left has to be the same for two clients that do the same, so a difference in it is a difference in behaviour.

An id that a client made keeps its shape, and a key's type byte its value: those are rules of the protocol. A sender
key is the number of its appearance, so that a new one is seen to be new.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType
from typing import cast
from xml.sax.saxutils import escape, quoteattr

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError as ProtobufError
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from waton.jid import Jid
from waton.parity.evidence import Field
from waton.protocol import proto
from waton.protocol.binary_node import Node, get_text

_DAY = 86_400
_WEEK_MS = 7 * _DAY * 1000
_QUERY_ID = re.compile(r"\d{1,5}\.\d{1,5}-\d+")
_MESSAGE_ID = re.compile(r"3EB0[0-9A-F]{18}")
_TIMES = {"t", "ts", "timestamp"}
_TIME_FIELDS = {
    "timestamp",
    "messageTimestamp",
    "senderTimestampMs",
    "timestampMs",
    "deviceListTimestamp",
    "ephemeralSettingTimestamp",
}
_RANDOM = {"registration", "eRegid", "rawId", "senderKeyHash", "recipientKeyHash"}
"""What is drawn by dice and would be shown as a number or as few bytes."""
_COMPRESSED = {"initialHistBootstrapInlinePayload", "fileLength"}
"""What has another size each time."""
_BY_CHANCE = {"reporting"}
"""Baileys makes reporting tokens of padded text, so that they are there for 4 of 16 paddings."""
_LITERAL = {"buildHash"}
"""Long bytes that both sides compute from the same input."""
_IDS = {"id", "ID", "stanzaId", "requestId"}
"""Members and fields that name a message."""
_DISTRIBUTION = "axolotlSenderKeyDistributionMessage"


@dataclass(frozen=True, slots=True)
class Element:
    """A piece of something said, as text."""

    tag: str
    attrs: Mapping[str, str] = field(default_factory=dict[str, str])
    children: tuple[Element, ...] = ()
    text: str = ""

    def child(self, tag: str) -> Element | None:
        """The first child with this tag."""
        return next((child for child in self.children if child.tag == tag), None)

    def to_xml(self, level: int = 0) -> str:
        """Indented, two blanks a level."""
        pad = "  " * level
        attrs = "".join(f" {name}={quoteattr(value)}" for name, value in self.attrs.items())
        if not self.children:
            inner = f">{escape(self.text)}</{self.tag}>" if self.text else "/>"
            return f"{pad}<{self.tag}{attrs}{inner}"
        inside = "\n".join(child.to_xml(level + 1) for child in self.children)
        return f"{pad}<{self.tag}{attrs}>\n{inside}\n{pad}</{self.tag}>"


def renamed(element: Element, names: Mapping[str, str]) -> Element:
    """The same with other names in all its texts, for what is invented by dice in each run."""
    if not names:
        return element

    def anew(text: str) -> str:
        for name, other in names.items():
            text = text.replace(name, other)
        return text

    attrs = {name: anew(value) for name, value in element.attrs.items()}
    children = tuple(renamed(child, names) for child in element.children)
    return Element(element.tag, attrs, children, anew(element.text))


# --- differences ------------------------------------------------------------------------------------------------------


def compare(ours: Element, theirs: Element) -> tuple[Field, ...]:
    """Every place in which two elements differ, in the order of Baileys' (`theirs`), ours last."""
    mine, yours = dict(_leaves(ours)), dict(_leaves(theirs))
    paths = [*yours, *(path for path in mine if path not in yours)]
    return tuple(
        Field(path, mine.get(path, ""), yours.get(path, "")) for path in paths if mine.get(path) != yours.get(path)
    )


def _leaves(element: Element, path: str = "") -> Iterator[tuple[str, str]]:
    """Every place and what stands there. A child's name tells it from its brothers."""
    prefix = f"{path}/{element.tag}" if path else element.tag
    yield from ((f"{prefix}@{name}", value) for name, value in element.attrs.items())
    if element.text or not (element.attrs or element.children):
        yield prefix, element.text or "there"
    seen: dict[str, int] = {}
    for child in element.children:
        name = _child_name(child)
        seen[name] = seen.get(name, 0) + 1
        again = f"({seen[name]})" if seen[name] > 1 else ""
        for leaf, value in _leaves(child):
            yield f"{prefix}/{name}{again}{leaf[len(child.tag) :]}", value


def _child_name(child: Element) -> str:
    key = next((child.attrs[name] for name in ("jid", "name") if name in child.attrs), "")
    return f"{child.tag}[{key}]" if key else child.tag


# --- stanzas ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Context:
    """What one run knows: what its ids stand for, and what its ciphertexts say."""

    labels: Mapping[str, str]
    """id -> what it is the id of."""
    plaintext: Callable[[str, Jid, str], bytes | None]
    """(message id, device, kind of ciphertext) -> the Message protobuf that device found. A group stands for whoever
    has read what is for all."""
    sender_keys: Mapping[int, int] = field(default_factory=dict[int, int])
    """The id of a sender key -> the number of its appearance."""


def stanza(node: Node, at: float, context: Context) -> Element:
    """The canonical form of a stanza a client sent. at: Unix seconds, when it came."""
    return _Writer(context, at, get_text(node, "id") or "", _is_again(node)).element(node, "", _recipient(node))


def _recipient(node: Node) -> Jid | None:
    """Whom a ciphertext is for that names nobody itself."""
    named = node.attrs.get("participant") or node.attrs.get("to")
    return named if isinstance(named, Jid) else None


def _is_again(node: Node) -> bool:
    """A message that is sent once more: its ciphertext says which request it answers."""
    return node.tag == "message" and any("count" in enc.attrs for enc in node.children("enc"))


def sender_keys_of(nodes: Iterable[Node]) -> dict[int, int]:
    """The sender keys these messages are encrypted with: id -> the number of its appearance, from 1."""
    found: dict[int, int] = {}
    for node in nodes:
        for enc in node.children("enc"):
            if enc.attrs.get("type") == "skmsg" and isinstance(enc.content, bytes):
                found.setdefault(_sender_key(enc.content[1:-_SIGNATURE])[0], len(found) + 1)
    return found


_SIGNATURE = 64
"""Bytes at the end of what is encrypted with a sender key."""


def _sender_key(data: bytes) -> tuple[int, int]:
    """(id, iteration): the first two fields of both messages of sender keys, after the version; 0 what is absent."""
    try:
        told = UnknownFieldSet(Empty.FromString(data))
    except ProtobufError:
        return 0, 0
    numbers = {one.field_number: one.data for one in told if one.field_number in (1, 2)}
    return int(numbers.get(1, 0)), int(numbers.get(2, 0))


@dataclass(frozen=True, slots=True)
class _Writer:
    context: Context
    at: float
    message: str
    """The stanza's id."""
    is_again: bool

    def element(self, node: Node, parent: str, device: Jid | None) -> Element:
        attrs = {name: self._attr(node.tag, parent, name, str(value)) for name, value in node.attrs.items()}
        jid = node.attrs.get("jid")
        device = jid if isinstance(jid, Jid) else device
        content = node.content
        if content is None:
            return Element(node.tag, attrs)
        if isinstance(content, list):
            made = [self.element(child, node.tag, device) for child in content if child.tag not in _BY_CHANCE]
            return Element(node.tag, attrs, _arranged(node.tag, made))
        raw = content.encode() if isinstance(content, str) else content
        return self._bytes(node.tag, parent, attrs, raw, device)

    def _attr(self, tag: str, parent: str, name: str, value: str) -> str:
        if name in ("id", "sid") and tag not in ("error", "device"):
            if tag == "unified_session":
                return self._unified(value)
            if tag == "message" and not self.is_again:
                return id_shape(value)  # what it says stands below; how it is named is the client's doing
            return self.context.labels.get(value) or id_shape(value)
        if name in _TIMES:
            return time_text(value, self.at)
        return value

    def _unified(self, value: str) -> str:
        expected = (self.at * 1000 + 3 * _DAY * 1000) % _WEEK_MS
        near = value.isdecimal() and abs(int(value) - expected) < 60_000
        return "<milliseconds of the week>" if near else value

    def _bytes(self, tag: str, parent: str, attrs: Mapping[str, str], raw: bytes, device: Jid | None) -> Element:
        if tag == "enc":
            return Element(tag, attrs, tuple(self._inside(attrs.get("type", ""), raw, device)))
        if tag == "device-identity":
            return Element(tag, attrs, (protobuf(proto.ADVSignedDeviceIdentity, raw, "signed", self.at),))
        return Element(tag, attrs, (), bytes_text(tag, raw))

    def _inside(self, kind: str, raw: bytes, device: Jid | None) -> Iterator[Element]:
        """What its reader finds in a ciphertext, and which sender key it is encrypted with, if it is with one."""
        if kind == "skmsg":
            yield Element("by", self._key(raw[1:-_SIGNATURE]))
        plain = None if device is None else self.context.plaintext(self.message, device, kind)
        if plain is None:
            yield Element("unread")
            return
        inside = protobuf(proto.Message, plain, "message", self.at, self.context.labels)
        told = proto.Message.FromString(plain).senderKeyDistributionMessage.axolotlSenderKeyDistributionMessage
        yield replace(inside, attrs=self._key(told[1:])) if told else inside

    def _key(self, data: bytes) -> Mapping[str, str]:
        id, iteration = _sender_key(data)
        return {"key": str(self.context.sender_keys.get(id, "unused")), "iteration": str(iteration)}


def _arranged(tag: str, children: list[Element]) -> tuple[Element, ...]:
    """Children in an order that says nothing is put in one; a long list of keys becomes one line."""
    if children and all("jid" in child.attrs for child in children):
        return tuple(sorted(children, key=lambda child: child.attrs["jid"]))
    if tag == "list" and len(children) > 1 and all(child.tag == "key" for child in children):
        return _key_list(children)
    return tuple(children)


def _key_list(keys: list[Element]) -> tuple[Element, ...]:
    ids = [int(found.text, 16) for key in keys if (found := key.child("id")) is not None and found.text]
    runs = len(ids) == len(keys) and all(after == before + 1 for before, after in pairwise(ids))
    shapes = {" ".join(f"{part.tag} of {len(part.text)}" for part in key.children) for key in keys}
    attrs = {"count": str(len(keys)), "ids": "one after the other" if runs else "otherwise"}
    return (Element("keys", attrs, (), ", ".join(sorted(shapes))),)


# --- values -----------------------------------------------------------------------------------------------------------


def id_shape(value: str) -> str:
    """How an id looks: which rule it was made by."""
    if _MESSAGE_ID.fullmatch(value):
        return "<new id: 3EB0 and 18 hex digits>"
    if _QUERY_ID.fullmatch(value):
        return "<new id: number.number-counter>"
    return f"<new id: {len(value)} characters, {re.sub('[0-9]+', '9', re.sub('[A-F]+', 'A', value))[:12]}>"


def time_text(value: str, at: float) -> str:
    """A time near `at` is just a time, in seconds or milliseconds; another number stays."""
    if not value.isdecimal() or len(value) > 16:
        return value
    for unit, name in ((1, "<time>"), (1000, "<time in ms>"), (1_000_000, "<time in us>")):
        if abs(int(value) / unit - at) < _DAY:
            return name
    return value


def bytes_text(name: str, raw: bytes) -> str:
    """Few bytes as hex, text as text, anything long by its length."""
    if name in _COMPRESSED:
        return "<bytes>"
    if name == _DISTRIBUTION:
        return f"<sender key at iteration {_sender_key(raw[1:])[1]}>"
    if name in _RANDOM or (len(raw) > 4 and not _is_text(raw) and name not in _LITERAL):
        return f"<{len(raw)} bytes>"
    return raw.decode() if _is_text(raw) else raw.hex()


def _is_text(raw: bytes) -> bool:
    return len(raw) > 4 and all(32 <= byte < 127 for byte in raw)


_NESTED: Mapping[str, type[Message]] = {"deviceProps": proto.DeviceProps, "details": proto.ADVDeviceIdentity}
"""Bytes fields that hold another protobuf."""


def protobuf(
    kind: type[Message], data: bytes, tag: str, at: float, labels: Mapping[str, str] = MappingProxyType({})
) -> Element:
    """A protobuf as an element, one child for each field that is there."""
    try:
        return message_element(kind.FromString(data), tag, at, labels)
    except ProtobufError:
        return Element(tag, {}, (), f"<{len(data)} bytes that do not parse>")


def message_element(message: Message, tag: str, at: float, labels: Mapping[str, str]) -> Element:
    """The same of a message that is parsed already."""
    children: list[Element] = []
    for descriptor, value in message.ListFields():
        values: Sequence[object] = value if descriptor.is_repeated else [value]
        children += [_field(descriptor, one, at, labels) for one in values]
    unknown = sorted({one.field_number for one in UnknownFieldSet(message)})
    children += [Element("unknown", {"name": str(number)}) for number in unknown]
    return Element(tag, {}, tuple(children))


def _field(descriptor: FieldDescriptor, value: object, at: float, labels: Mapping[str, str]) -> Element:
    name = descriptor.name
    if isinstance(value, Message):
        return message_element(value, name, at, labels)
    if isinstance(value, bytes):
        nested = _NESTED.get(name)
        return Element(name, {}, (), bytes_text(name, value)) if nested is None else protobuf(nested, value, name, at)
    if isinstance(value, bool):
        return Element(name, {}, (), "true" if value else "false")
    if descriptor.enum_type is not None and isinstance(value, int):
        known = descriptor.enum_type.values_by_number.get(value)
        return Element(name, {}, (), known.name if known is not None else str(value))
    if name in _IDS and str(value) in labels:
        return Element(name, {}, (), labels[str(value)])
    return Element(name, {}, (), _number(name, value, at))


def _number(name: str, value: object, at: float) -> str:
    """A number or text of a field, unless it is another one each time."""
    if name in _RANDOM | _COMPRESSED:
        return "<random>"
    return time_text(str(value), at) if name in _TIME_FIELDS else str(value)


# --- events -----------------------------------------------------------------------------------------------------------


def event(type: str, value: Mapping[str, object], at: float, labels: Mapping[str, str]) -> Element:
    """The canonical form of one piece of news (see waton.parity.told). at: Unix seconds, about when it came."""
    return _value(type, value, at, labels)


def _value(name: str, value: object, at: float, labels: Mapping[str, str]) -> Element:
    if isinstance(value, Mapping):
        members = cast("Mapping[str, object]", value)
        told = [(key, member) for key, member in sorted(members.items()) if member not in (None, "", [], {})]
        children: list[Element] = []
        for key, member in told:
            several = cast("list[object]", member) if isinstance(member, list) else [member]
            children += [_value(key, one, at, labels) for one in several]
        return Element(name, {}, tuple(children))
    if isinstance(value, bytes):
        return Element(name, {}, (), bytes_text(name, value))
    if isinstance(value, bool):
        return Element(name, {}, (), "true" if value else "false")
    text = str(value)
    if text in labels:
        return Element(name, {}, (), labels[text])
    if name in _RANDOM | _COMPRESSED:
        return Element(name, {}, (), "<random>")
    return Element(name, {}, (), time_text(text, at) if isinstance(value, int | float) else text)
