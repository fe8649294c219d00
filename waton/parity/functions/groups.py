"""Groups: what the service says of one, and the hash of the devices a message was made for.

Source: Baileys Socket/groups.ts extractGroupMetadata, Utils/generics.ts generateParticipantHashV2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions.nodes import to_ours
from waton.parity.generators import node
from waton.parity.oracle.process import Functions

Value: TypeAlias = Any

GROUPS = "lib/Socket/groups.js"
GENERICS = "lib/Utils/generics.js"


# --- metadata -------------------------------------------------------------------------------------------------------


def _participants() -> SearchStrategy[list[Value]]:
    pn, lid = generators.bare_jids(("s.whatsapp.net",)), generators.bare_jids(("lid",))
    role = {"type": st.sampled_from(("admin", "superadmin"))}
    by_lid = st.fixed_dictionaries({"jid": lid}, optional=role | {"phone_number": pn})
    by_pn = st.fixed_dictionaries({"jid": pn}, optional=role | {"lid": lid})
    people = st.one_of(by_lid, by_pn).map(lambda attrs: node("participant", attrs))
    return st.lists(people, max_size=4)


def _settings() -> SearchStrategy[list[Value]]:
    flags = ("announcement", "locked", "parent", "default_sub_group")
    parts: list[SearchStrategy[list[Value]]] = [st.sampled_from(([], [node(tag)])) for tag in flags]
    days = st.sampled_from(("86400", "604800")).map(lambda text: [node("ephemeral", {"expiration": text})])
    add = st.sampled_from(("admin_add", "all_member_add")).map(
        lambda text: [node("member_add_mode", {}, text.encode())]
    )
    approval = [node("membership_approval_mode", {}, [node("group_join", {"state": "on"})])]
    parent = generators.group_jids().map(lambda jid: [node("linked_parent", {"jid": jid})])
    parts += [_perhaps(one) for one in (days, add, st.just(approval), parent, _descriptions())]
    return st.tuples(*parts).map(lambda made: [child for part in made for child in part])


def _perhaps(part: SearchStrategy[list[Value]]) -> SearchStrategy[list[Value]]:
    return st.one_of(st.just(list[Value]()), part)


def _descriptions() -> SearchStrategy[list[Value]]:
    person = generators.bare_jids(("lid",))
    pn = generators.bare_jids(("s.whatsapp.net",))
    attrs = {
        "id": generators.message_ids(),
        "participant": person,
        "participant_pn": pn,
        "t": generators.times().map(str),
    }
    text = generators.prose(30).map(lambda made: [node("body", {}, made.encode())])
    return st.tuples(st.fixed_dictionaries(attrs), text).map(lambda made: [node("description", *made)])


def _groups(
    more: SearchStrategy[list[Value]] | None = None, attrs: Mapping[str, SearchStrategy[str]] | None = None
) -> SearchStrategy[Value]:
    """Answers of the service to a question for a group."""
    person, times = generators.bare_jids(("lid",)), generators.times().map(str)
    fixed = {
        "id": generators.group_jids().map(lambda jid: jid.partition("@")[0]),
        "subject": generators.prose(20),
        "s_t": times,
        "s_o": person,
        "creation": times,
        "creator": person,
    }
    pn = generators.bare_jids(("s.whatsapp.net",))
    optional = {
        "addressing_mode": st.sampled_from(("lid", "pn")),
        "s_o_pn": pn,
        "creator_pn": pn,
        "size": st.integers(1, 1024).map(str),
    }
    told = st.fixed_dictionaries({**fixed, **(attrs or {})}, optional=optional)
    children = st.tuples(_settings() if more is None else more, _participants()).map(lambda made: [*made[0], *made[1]])
    return st.tuples(told, children).map(lambda made: node("iq", {"type": "result"}, [node("group", *made)]))


def _their_group(baileys: Functions, value: Value) -> Value:
    found = baileys.call(GROUPS, "extractGroupMetadata", value)
    return {
        "id": found["id"],
        "by LID": found["addressingMode"] == "lid",
        "subject": [found["subject"], found["subjectOwner"], found.get("subjectOwnerPn"), found["subjectTime"]],
        "made": [found["owner"], found.get("ownerPn"), found["creation"]],
        "description": [found.get(name) for name in ("desc", "descId", "descOwner", "descOwnerPn", "descTime")],
        "size": found["size"],
        "parent": found.get("linkedParent"),
        "flags": [found[name] for name in ("restrict", "announce", "isCommunity", "isCommunityAnnounce")],
        "approval": found["joinApprovalMode"],
        "everybody may add": found["memberAddMode"],
        "disappearing": int(found.get("ephemeralDuration") or 0),
        "people": [
            [one["id"], one.get("phoneNumber"), one.get("lid"), one.get("admin") or ""] for one in found["participants"]
        ],
    }


def _our_group(value: Value) -> Value:
    from waton.protocol.binary_node import require_child
    from waton.protocol.stanza.group import AddressingMode, GroupMetadata, MemberAddMode

    found = GroupMetadata.from_node(require_child(to_ours(value), "group"))
    text = found.description
    return {
        "id": str(found.id),
        "by LID": found.addressing_mode == AddressingMode.LID,
        "subject": [found.subject, _text(found.subject_owner), _text(found.subject_owner_pn), found.subject_t],
        "made": [_text(found.owner), _text(found.owner_pn), found.creation],
        "description": [None] * 5 if text is None else [text.text, text.id, _text(text.by), _text(text.by_pn), text.t],
        "size": found.size,
        "parent": _text(found.linked_parent),
        "flags": [found.locked, found.announcement, found.is_parent, found.is_default_sub_group],
        "approval": found.membership_approval,
        "everybody may add": found.member_add_mode == MemberAddMode.ALL,
        "disappearing": found.ephemeral,
        "people": [[str(one.jid), _text(one.phone_number), _text(one.lid), one.role] for one in found.participants],
    }


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


_NAMES = ("notify", "creator_username", "creator_country_code", "s_o_username")


def _named() -> SearchStrategy[Value]:
    """Groups of which the service tells names: of people, and the group's own for a stranger."""
    return _groups(attrs={name: generators.words() for name in _NAMES})


def _their_names(baileys: Functions, value: Value) -> Value:
    found = baileys.call(GROUPS, "extractGroupMetadata", value)
    told = ("notify", "ownerUsername", "owner_country_code", "subjectOwnerUsername")
    return {name: found.get(theirs) for name, theirs in zip(_NAMES, told, strict=True)}


def _our_names(value: Value) -> Value:
    """What of it is kept: the metadata written out again has it."""
    from waton.protocol.binary_node import require_child
    from waton.protocol.stanza.group import GroupMetadata

    kept = GroupMetadata.from_node(require_child(to_ours(value), "group")).to_node()
    return {name: kept.attrs.get(name) for name in _NAMES}


def _refusals() -> SearchStrategy[Value]:
    error = node("error", {"code": "404", "text": "item-not-found"})
    made = (node("iq", {"type": "error"}, [error]), node("iq", {"type": "result"}, []), _nameless())
    return st.sampled_from(made)


def _nameless() -> Value:
    return node("iq", {"type": "result"}, [node("group", {"subject": "Friends"})])


def _group(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int | None = None) -> Pair:
    return Pair(
        f"extractGroupMetadata{name}",
        Domain.GROUPS,
        f"{GROUPS}:extractGroupMetadata",
        "waton.protocol.stanza.group:GroupMetadata.from_node",
        inputs,
        _their_group,
        _our_group,
        examples,
    )


# --- the hash of devices --------------------------------------------------------------------------------------------


def _device_lists() -> SearchStrategy[list[str]]:
    people = generators.user_jids(("s.whatsapp.net", "lid"), last=255)
    return st.lists(people, min_size=1, max_size=6, unique=True)


def _their_hash(baileys: Functions, value: list[str]) -> Value:
    """Of the names that go into it, which Baileys leaves to its caller."""
    from waton.jid import Jid

    jids = [Jid.parse(text) for text in value]
    names = [f"{jid.user}.0:{jid.device}@{jid.server}" for jid in jids]
    return baileys.call(GENERICS, "generateParticipantHashV2", names)


def _our_hash(value: list[str]) -> str:
    from waton.jid import Jid
    from waton.protocol.participant_hash import participant_hash

    return participant_hash(map(Jid.parse, value))


def _hash(name: str, ask: Callable[[Functions, Value], Value], answer: Callable[[Value], Value], examples: int) -> Pair:
    return Pair(
        f"generateParticipantHashV2{name}",
        Domain.MESSAGES_SEND,
        f"{GENERICS}:generateParticipantHashV2",
        "waton.protocol.participant_hash:participant_hash",
        _device_lists,
        ask,
        answer,
        examples,
    )


def pairs() -> list[Pair]:
    """The family's pairs."""
    off = [node("membership_approval_mode", {}, [node("group_join", {"state": "off"})])]
    return [
        _group("", _groups),
        _group(": an answer without a group", _refusals, 5),
        _group(": nobody has to be let in", lambda: _groups(st.just(off)), 10),
        Pair(
            "extractGroupMetadata: names",
            Domain.GROUPS,
            f"{GROUPS}:extractGroupMetadata",
            "waton.protocol.stanza.group:GroupMetadata.from_node",
            _named,
            _their_names,
            _our_names,
            10,
        ),
        # As far as both write it: Baileys cuts after six characters.
        _hash("", _their_hash, lambda value: _our_hash(value)[:8], 25),
        _hash(
            ": its length",
            lambda baileys, value: len(_their_hash(baileys, value)),
            lambda value: len(_our_hash(value)),
            5,
        ),
    ]
