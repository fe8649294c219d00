"""Inputs for the function differential: Hypothesis strategies for what both sides can be told.

A node is a dict {"tag", "attrs": {name: text}, "content": None | text | bytes | [node, ...]}, as Baileys has it; JIDs
are text. Keys are 32-byte private keys. What one side is known to treat otherwise is left out here and has strategies
of its own, named after what is special; the predicates that tell them apart are written once, in this module.

Alphabets are spelled out, so that a strategy gives the same inputs on every machine and needs no tables on disk.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Value: TypeAlias = Any

DIGITS = "0123456789"
HEX = "0123456789ABCDEF"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
PROSE = LETTERS + DIGITS + " .,:;-+*/!?()[]'\"\n\tåéßØπЖ中字א‏√😀👩‍👧\u200d\ufe0f"
"""Writing of several alphabets, emoji and joiners included; no @ and no underscore."""
DEVICE_SERVERS = ("s.whatsapp.net", "lid", "hosted", "hosted.lid")
"""Those whose addresses can name a device on the wire (AD_JID)."""
OTHER_SERVERS = ("g.us", "broadcast", "newsletter", "bot", "call", "c.us")
OBJECT_NAMES = (
    "constructor",
    "toString",
    "toLocaleString",
    "valueOf",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "__proto__",
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
)
"""What every JavaScript object has: Baileys finds it in its token table, where nobody put it."""


def is_plain(text: str) -> bool:
    """Text that both encoders write alike: it names no property of JavaScript's objects, and is no address."""
    return text not in OBJECT_NAMES and "@" not in text


# --- simple values --------------------------------------------------------------------------------------------------


def keys() -> SearchStrategy[bytes]:
    """Private keys."""
    return st.binary(min_size=32, max_size=32)


def entropy(size: int) -> SearchStrategy[bytes]:
    """Dice of this many bytes."""
    return st.binary(min_size=size, max_size=size)


def times() -> SearchStrategy[int]:
    """Unix seconds of this century."""
    return st.integers(1_000_000_000, 4_000_000_000)


def prose(max_size: int = 60) -> SearchStrategy[str]:
    """What people write."""
    return st.text(PROSE, max_size=max_size)


def words() -> SearchStrategy[str]:
    """Names of tags and attributes."""
    return st.text(LETTERS, min_size=1, max_size=8).filter(is_plain)


def phones() -> SearchStrategy[str]:
    """Digits of a phone number."""
    return st.text("123456789", min_size=1, max_size=1).flatmap(
        lambda first: st.text(DIGITS, min_size=6, max_size=14).map(lambda rest: first + rest)
    )


def message_ids() -> SearchStrategy[str]:
    """Ids as WhatsApp's clients make them."""
    return st.text(HEX, min_size=16, max_size=32)


# --- addresses ------------------------------------------------------------------------------------------------------


def user_jids(servers: tuple[str, ...] = DEVICE_SERVERS, *, last: int = 98) -> SearchStrategy[str]:
    """Addresses of people, with a device (1 to `last`; 99 is kept for hosted ones) or without."""
    device = st.one_of(st.just(""), st.integers(1, last).map(lambda number: f":{number}"))
    return st.builds("{}{}@{}".format, phones(), device, st.sampled_from(servers))


def bare_jids(servers: tuple[str, ...]) -> SearchStrategy[str]:
    """Addresses without a device."""
    return st.builds("{}@{}".format, phones(), st.sampled_from(servers))


def group_jids() -> SearchStrategy[str]:
    """Addresses of groups, of both shapes."""
    old = st.builds("{}-{}@g.us".format, phones(), st.text(DIGITS, min_size=10, max_size=10))
    return st.one_of(bare_jids(("g.us",)), old)


def jids() -> SearchStrategy[str]:
    """Well-formed addresses of every kind, with no agent and no empty part."""
    return st.one_of(user_jids(), user_jids(), group_jids(), bare_jids(OTHER_SERVERS), st.just("status@broadcast"))


# --- nodes ----------------------------------------------------------------------------------------------------------


@cache
def tokens() -> tuple[str, ...]:
    """Every token of the dictionaries."""
    from waton._core import token_tables

    single, double = token_tables()
    return tuple(token for table in (single[1:], *double) for token in table)


def token_texts() -> SearchStrategy[str]:
    """One token of the dictionaries."""
    table = tokens()
    return st.integers(0, len(table) - 1).map(table.__getitem__)


def node_texts() -> SearchStrategy[str]:
    """Attribute values that both encoders write alike: tokens, digits, hex, addresses, words, nothing."""
    lengths = st.sampled_from((1, 2, 3, 7, 8, 126, 127, 128, 129, 254, 255, 256, 257))
    return st.one_of(
        token_texts(),
        st.text(DIGITS + "-.", max_size=20),
        st.text(HEX, max_size=20),
        lengths.flatmap(lambda length: st.text("13579-.", min_size=length, max_size=length)),
        lengths.flatmap(lambda length: st.text("ABC123", min_size=length, max_size=length)),
        lengths.map(lambda length: "x" * length),
        prose().filter(is_plain),
        st.sampled_from(("s.whatsapp.net", "@s.whatsapp.net", "@g.us", "status@broadcast")),
        jids(),
        user_jids(last=255),
    )


def attrs(max_size: int = 4) -> SearchStrategy[dict[str, str]]:
    """Attributes, whose names are no numbers: JavaScript would move those to the front."""
    names = st.one_of(words(), token_texts().filter(lambda name: not name.isdecimal() and is_plain(name)))
    return st.dictionaries(names, node_texts(), max_size=max_size)


def contents() -> SearchStrategy[Value]:
    """What a node holds when it holds no nodes."""
    sizes = st.sampled_from((0, 1, 2, 63, 127, 128, 255, 256, 300))
    return st.one_of(
        st.none(),
        st.binary(max_size=40),
        sizes.flatmap(lambda size: st.binary(min_size=size, max_size=size)),
        node_texts(),
    )


def node(tag: str, attributes: dict[str, str] | None = None, content: Value = None) -> dict[str, Value]:
    """One node; content None leaves it out."""
    made: dict[str, Value] = {"tag": tag, "attrs": attributes or {}}
    return made if content is None else made | {"content": content}


def nodes(*, leaves: int = 8) -> SearchStrategy[dict[str, Value]]:
    """Nodes that both encoders write alike, up to some depth and about so many leaves."""
    tags = st.one_of(words(), token_texts().filter(is_plain))
    return st.recursive(
        st.builds(node, tags, attrs(), contents()),
        lambda inner: st.builds(node, tags, attrs(), st.lists(inner, max_size=4)),
        max_leaves=leaves,
    )


# --- what clients say of themselves -----------------------------------------------------------------------------------

BROWSER_NAMES = ("Chrome", "Edge", "Firefox", "IE", "Opera", "Safari", "Waton", "firefox", "iPad")
"""Neither Desktop nor Android nor "unknown": those are told otherwise."""


def browsers(names: tuple[str, ...] = BROWSER_NAMES) -> SearchStrategy[dict[str, Value]]:
    """What a client shows itself as."""
    return st.fixed_dictionaries(
        {
            "os": st.sampled_from(("Mac OS", "Windows", "Ubuntu", "Waton 7")),
            "name": st.sampled_from(names),
            "version": st.tuples(st.integers(0, 9), st.integers(0, 9999), st.integers(0, 2_000_000_000)),
            "country": st.sampled_from(("US", "DE", "IN")),
        }
    )


def credentials() -> SearchStrategy[dict[str, Value]]:
    """A device's keys and numbers."""
    return st.fixed_dictionaries(
        {
            "identity": keys(),
            "signed": keys(),
            "noise": keys(),
            "secret": keys(),
            "signed_id": st.integers(1, 0xFFFFFF),
            "registration": st.integers(1, 16380),
            "entropy": entropy(64),
        }
    )
