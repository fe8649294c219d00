"""The outside of an incoming message: whose it is, where it belongs, and by which other addresses everybody goes.

Addresses are compared as waton's receiver works them out before it decrypts anything; Baileys' chat and author are
given the form it stores them in (its cleanMessage drops the device).

Source: Baileys Utils/decode-wa-message.ts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions.nodes import to_ours
from waton.parity.generators import node
from waton.parity.oracle.process import Functions

if TYPE_CHECKING:
    from waton.client.envelope import Envelope

Value: TypeAlias = Any

DECODE = "lib/Utils/decode-wa-message.js"
ME, MY_LID = "4915000000001:2@s.whatsapp.net", "77000000000001:2@lid"
_OURS = "waton.client.envelope:envelope_of"


# --- stanzas --------------------------------------------------------------------------------------------------------


def others() -> SearchStrategy[str]:
    """Devices of people who are not us."""
    own = ("4915000000001", "77000000000001")
    return generators.user_jids(("s.whatsapp.net", "lid")).filter(lambda jid: not jid.startswith(own))


def mine() -> SearchStrategy[str]:
    """Devices of ours, this one never."""
    own = [without_device(jid) for jid in (ME, MY_LID)]
    return st.sampled_from([*own, *(jid.replace("@", f":{device}@") for jid in own for device in (1, 3))])


def without_device(jid: str) -> str:
    """The person of an address."""
    user, _, server = jid.partition("@")
    return f"{user.partition(':')[0]}@{server}"


def stanzas(**attrs: SearchStrategy[str]) -> SearchStrategy[Value]:
    """Messages with these attributes beside those that every one has."""
    fixed = {"id": generators.message_ids(), "t": generators.times().map(str), "type": st.just("text")}
    return st.fixed_dictionaries(fixed | attrs, optional={"notify": generators.prose(20)}).map(
        lambda made: node("message", made)
    )


def _conversations() -> SearchStrategy[Value]:
    """Stanzas as the server delivers them: from somebody, from a group, from our own other device."""
    people = generators.bare_jids(("s.whatsapp.net", "lid"))
    broadcast = st.just("status@broadcast")
    return st.one_of(
        stanzas(**{"from": others()}),
        stanzas(**{"from": generators.group_jids(), "participant": st.one_of(others(), mine())}),
        stanzas(**{"from": mine(), "recipient": people}),
        stanzas(**{"from": mine()}),
        stanzas(**{"from": broadcast, "participant": others()}),
        stanzas(**{"from": generators.bare_jids(("newsletter",)), "server_id": st.integers(1, 9999).map(str)}),
    )


def _without(made: SearchStrategy[Value], *names: str) -> SearchStrategy[Value]:
    return made.map(
        lambda stanza: stanza | {"attrs": {name: text for name, text in stanza["attrs"].items() if name not in names}}
    )


# --- whose it is ----------------------------------------------------------------------------------------------------


def _their_envelope(baileys: Functions, value: Value) -> Value:
    made = baileys.call(DECODE, "decodeMessageNode", value, ME, MY_LID)
    full, key = made["fullMessage"], made["fullMessage"]["key"]
    return {
        "chat": without_device(key["remoteJid"]),
        "from me": key["fromMe"],
        "id": key["id"],
        "author": made["author"],
        "t": full["messageTimestamp"],
        "push name": full.get("pushName") or "",
        "number in the newsletter": key.get("server_id"),
    }


def _our_envelope(value: Value) -> Value:
    envelope = _envelope_of(value)
    return {
        "chat": str(envelope.key.chat),
        "from me": envelope.key.from_me,
        "id": envelope.key.id,
        "author": str(envelope.key.author),
        "t": envelope.stanza.t,
        "push name": envelope.stanza.notify,
        "number in the newsletter": envelope.key.server_id,
    }


def _envelope_of(value: Value) -> Envelope:
    from waton.client.envelope import envelope_of
    from waton.client.message_keys import Me
    from waton.jid import Jid
    from waton.protocol.stanza.message import IncomingMessage

    me = Me(Jid.parse(ME), Jid.parse(MY_LID))
    return envelope_of(IncomingMessage.from_node(to_ours(value)), me.is_me)


def _envelope(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int | None = None) -> Pair:
    place = f"{DECODE}:decodeMessageNode"
    return Pair(
        f"decodeMessageNode{name}",
        Domain.MESSAGES_RECV,
        place,
        _OURS,
        inputs,
        _their_envelope,
        _our_envelope,
        examples,
    )


# --- by which other addresses ---------------------------------------------------------------------------------------


def _named_twice() -> SearchStrategy[Value]:
    """Conversations in which the stanza tells the other address: of who wrote, or of whom we wrote to."""
    pn, lid = generators.bare_jids(("s.whatsapp.net",)), generators.bare_jids(("lid",))
    groups = generators.group_jids()
    return st.one_of(
        stanzas(**{"from": lid, "sender_pn": pn, "addressing_mode": st.just("lid")}),
        stanzas(**{"from": pn, "sender_lid": lid, "addressing_mode": st.just("pn")}),
        stanzas(**{"from": groups, "participant": lid, "participant_pn": pn, "addressing_mode": st.just("lid")}),
        stanzas(**{"from": groups, "participant": pn, "participant_lid": lid, "addressing_mode": st.just("pn")}),
        stanzas(**{"from": st.just(MY_LID.replace(":2", ":7")), "recipient": lid, "peer_recipient_pn": pn}),
        stanzas(**{"from": st.just(ME.replace(":2", ":7")), "recipient": pn, "peer_recipient_lid": lid}),
    )


def _lists() -> SearchStrategy[Value]:
    pn, lid = generators.bare_jids(("s.whatsapp.net",)), generators.bare_jids(("lid",))
    return stanzas(**{"from": st.just("status@broadcast"), "participant": lid, "participant_pn": pn})


def _their_others(baileys: Functions, value: Value) -> Value:
    key = baileys.call(DECODE, "decodeMessageNode", value, ME, MY_LID)["fullMessage"]["key"]
    return {"of the chat": key.get("remoteJidAlt"), "of a group's author": key.get("participantAlt")}


def _our_others(value: Value) -> Value:
    key = _envelope_of(value).key
    author = key.author_alt if key.chat.is_group else None
    return {
        "of the chat": None if key.chat_alt is None else str(key.chat_alt),
        "of a group's author": None if author is None else str(author.bare),
    }


def _others(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int | None = None) -> Pair:
    place = f"{DECODE}:decodeMessageNode"
    return Pair(
        f"decodeMessageNode: {name}", Domain.LID_MAPPING, place, _OURS, inputs, _their_others, _our_others, examples
    )


def _their_alternative(baileys: Functions, value: Value) -> Value:
    made = baileys.call(DECODE, "extractAddressingContext", value)
    return {"author": made.get("senderAlt"), "recipient": made.get("recipientAlt")}


def _our_alternative(value: Value) -> Value:
    from waton.protocol.stanza.message import IncomingMessage

    stanza = IncomingMessage.from_node(to_ours(value))
    recipient = stanza.recipient_pn if stanza.author.is_lid else stanza.recipient_lid
    return {
        "author": None if stanza.author_alt is None else str(stanza.author_alt.bare),
        "recipient": None if recipient is None else str(recipient),
    }


def _alternatives(*names: str, group: bool = False) -> SearchStrategy[Value]:
    """Stanzas that name both addresses of the author; names: the attributes for a PN and for a LID author."""
    pn, lid = generators.user_jids(("s.whatsapp.net",)), generators.user_jids(("lid",))
    for_lid, for_pn = names

    def stanza(author: str, other_pn: str, other_lid: str, to_pn: str, to_lid: str) -> Value:
        by_lid = author.endswith("@lid")
        attrs = {"id": "A1", "t": "1800000000", "type": "text", "from": "1000000@g.us" if group else author}
        if group:
            attrs["participant"] = author
        attrs[for_lid if by_lid else for_pn] = without_device(other_pn if by_lid else other_lid)
        attrs["recipient_pn" if by_lid else "recipient_lid"] = to_pn if by_lid else to_lid
        return node("message", attrs)

    return st.builds(stanza, st.one_of(pn, lid), pn, lid, pn, lid)


def _alternative(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int | None = None) -> Pair:
    return Pair(
        f"extractAddressingContext{name}",
        Domain.LID_MAPPING,
        f"{DECODE}:extractAddressingContext",
        "waton.protocol.stanza.message:IncomingMessage.from_node",
        inputs,
        _their_alternative,
        _our_alternative,
        examples,
    )


def pairs() -> list[Pair]:
    """The family's pairs."""
    recipient = stanzas(**{"from": others(), "recipient": generators.bare_jids(("s.whatsapp.net",))})
    group = stanzas(**{"from": generators.group_jids(), "participant": others()})
    old = stanzas(**{"from": generators.bare_jids(("c.us",))})
    bot = stanzas(**{"from": generators.bare_jids(("bot",))})
    return [
        _envelope("", _conversations),
        _envelope(": no id", lambda: _without(_conversations(), "id"), 10),
        _envelope(": no sender", lambda: _without(_conversations(), "from"), 10),
        _envelope(": a recipient, and not from us", lambda: recipient, 10),
        _envelope(": a group, and no participant", lambda: _without(group, "participant"), 10),
        _envelope(": the old server", lambda: old, 10),
        _envelope(": a bot", lambda: bot, 10),
        _others("the other addresses", _named_twice),
        _others("the other address of who wrote a status", _lists, 10),
        _alternative("", lambda: _alternatives("sender_pn", "sender_lid")),
        _alternative(": in a group", lambda: _alternatives("participant_pn", "participant_lid", group=True), 20),
        _alternative(": of a peer's recipient", lambda: _alternatives("peer_recipient_pn", "peer_recipient_lid"), 20),
    ]
