"""usync: what is asked about people, by each protocol, and what the answers say.

Source: Baileys WAUSync/*, Utils/signal.ts extractDeviceJids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions.nodes import to_ours, told, told_by_baileys
from waton.parity.generators import node
from waton.parity.oracle.process import Functions

Value: TypeAlias = Any

QUERY = "lib/WAUSync/USyncQuery.js"
SIGNAL = "lib/Utils/signal.js"
ME = "4915000000001:2@s.whatsapp.net"
MY_LID = "77000000000001"
_PROTOCOLS = ("devices", "lid", "contact")
ALL_PROTOCOLS = (*_PROTOCOLS, "status", "disappearing_mode", "username", "bot")
_NAN = {"$number": "NaN"}
_NOTHING: dict[str, Value] = {"deviceList": []}
"""Of a user without the devices protocol."""


# --- the question ---------------------------------------------------------------------------------------------------


def _their_question(
    baileys: Functions, protocols: list[str], users: list[Value], context: str, mode: str = "query"
) -> Value:
    made = baileys.ask("usyncQuery", protocols=protocols, users=users, context=context, mode=mode)
    return {
        "context": made["context"],
        "mode": made["mode"],
        "query": [told_by_baileys(child) for child in made["query"]],
        "users": [[_content_as_bytes(told_by_baileys(child)) for child in user] for user in made["users"]],
    }


def _our_question(usync: Any) -> Value:
    query, users = usync.child("query"), usync.child("list")
    return {
        "context": usync.attrs["context"],
        "mode": usync.attrs["mode"],
        "query": [told(child) for child in query.children()],
        "users": [[_content_as_bytes(told(child)) for child in user.children()] for user in users.children()],
    }


def _content_as_bytes(value: Value) -> Value:
    """Text that is neither token nor number nor address is on the wire what its bytes are."""
    content = value["content"]
    return value | {"content": content.encode() if isinstance(content, str) else content}


def _ask_devices(baileys: Functions, value: Value) -> Value:
    users = [{"id": jid} for jid in value]
    return _their_question(baileys, ["devices", "lid"], users, "message")


def _our_devices(value: Value) -> Value:
    from waton.jid import Jid
    from waton.protocol.stanza.usync import devices_query

    return _our_question(devices_query("1", [Jid.parse(text) for text in value]))


def _ask_contacts(baileys: Functions, value: Value) -> Value:
    users = [{"phone": f"+{phone}"} for phone in value]
    return _their_question(baileys, ["contact", "lid"], users, "interactive")


def _our_contacts(value: Value) -> Value:
    from waton.protocol.stanza.usync import contact_query

    return _our_question(contact_query("1", value))


def _people() -> SearchStrategy[Value]:
    """Users by address, by number, by name, and what else is said of them; each with the protocols that are asked."""
    jid, lid = generators.bare_jids(("s.whatsapp.net", "lid")), generators.bare_jids(("lid",))
    named = st.fixed_dictionaries(
        {"username": generators.words()}, optional={"usernameKey": st.just("1234"), "lid": lid}
    )
    by_address: dict[str, SearchStrategy[str]] = {"id": jid}
    one: SearchStrategy[Value] = st.one_of(
        st.fixed_dictionaries(by_address, optional={"lid": lid, "personaId": generators.words()}),
        st.fixed_dictionaries({"phone": generators.phones().map(lambda digits: f"+{digits}")}),
        named,
    )
    asked = st.lists(st.sampled_from(ALL_PROTOCOLS), min_size=1, max_size=7, unique=True)
    return st.fixed_dictionaries(
        {
            "users": st.lists(one, max_size=3),
            "protocols": asked,
            "context": st.sampled_from(("interactive", "message", "background", "notification")),
            "mode": st.sampled_from(("query", "delta", "full")),
        }
    )


def _ask_anything(baileys: Functions, value: Value) -> Value:
    return _their_question(baileys, value["protocols"], value["users"], value["context"], value["mode"])


def _our_anything(value: Value) -> Value:
    from waton.jid import Jid
    from waton.protocol.stanza.usync import Protocol, UserAsked, query

    def jid(user: Value, name: str) -> Jid | None:
        return Jid.parse(user[name]) if name in user else None

    users = [
        UserAsked(
            jid(user, "id"),
            user.get("phone", "").encode(),
            user.get("username", ""),
            user.get("usernameKey", ""),
            jid(user, "lid"),
            user.get("personaId", ""),
        )
        for user in value["users"]
    ]
    protocols = [Protocol(name) for name in value["protocols"]]
    return _our_question(query("1", protocols, users, context=value["context"], mode=value["mode"]))


# --- the answer -----------------------------------------------------------------------------------------------------


def _device_nodes(*, hosted: int = 0, zero_index: bool = False) -> SearchStrategy[list[Value]]:
    """The <device>s of one user: numbers all different, with a key index or without; or so many hosted ones."""
    index: SearchStrategy[int | None] = st.one_of(st.none(), st.integers(1, 200))
    if hosted or zero_index:
        index = st.just(0 if zero_index else 1)

    def device(id: int, key_index: int | None) -> Value:
        attrs = {"id": str(id)}
        if key_index is not None:
            attrs["key-index"] = str(key_index)
        return node("device", attrs | ({"is_hosted": "true"} if hosted else {}))

    ids = st.integers(1, 98) if hosted or zero_index else st.integers(0, 98)
    least, most = hosted or int(zero_index), hosted or 4
    return st.lists(
        st.builds(device, ids, index), min_size=least, max_size=most, unique_by=lambda made: made["attrs"]["id"]
    )


def _user(jid: str, devices: list[Value], key_list: bytes | None, lid: str | None, contact: str | None) -> Value:
    listed = [node("device-list", {}, devices)]
    if key_list is not None:
        listed.append(node("key-index-list", {"ts": "1800000000"}, key_list))
    children = [node("devices", {"version": "2"}, listed)]
    if lid is not None:
        children.append(node("lid", {"val": lid}))
    if contact is not None:
        children.append(node("contact", {"type": contact}))
    return node("user", {"jid": jid}, children)


def _users(devices: SearchStrategy[list[Value]]) -> SearchStrategy[Value]:
    return st.builds(
        _user,
        generators.bare_jids(("s.whatsapp.net", "lid")),
        devices,
        st.one_of(st.none(), st.binary(min_size=1, max_size=30)),
        st.one_of(st.none(), generators.bare_jids(("lid",))),
        st.sampled_from((None, "in", "out")),
    )


def answer(users: list[Value]) -> Value:
    """The iq that answers with these <user>s."""
    return node("iq", {"type": "result", "from": "s.whatsapp.net"}, [node("usync", {}, [node("list", {}, users)])])


def _answers(users: SearchStrategy[Value] | None = None, *, least: int = 0) -> SearchStrategy[Value]:
    one = users if users is not None else _users(_device_nodes())
    return st.lists(one, min_size=least, max_size=3).map(answer)


def _their_users(baileys: Functions, value: Value) -> Value:
    found = baileys.ask("usyncResult", protocols=list(_PROTOCOLS), answer=value)
    return [_their_user(user) for user in found["list"]]


def _their_user(user: Value) -> Value:
    devices: Value = user.get("devices") or _NOTHING
    key_list: Value = devices.get("keyIndex") or _NOTHING
    return {
        "jid": user["id"],
        "devices": [
            {
                "id": device["id"],
                "key index": None if device["keyIndex"] == _NAN else device["keyIndex"],
                "is hosted": device["isHosted"],
            }
            for device in devices["deviceList"]
        ],
        "key index list": key_list.get("signedKeyIndex") or b"",
        "lid": user.get("lid"),
        "is registered": user.get("contact"),
    }


def _our_users(value: Value) -> Value:
    from waton.protocol.stanza.usync import parse_result

    return [
        {
            "jid": str(user.jid),
            "devices": [
                {"id": device.id, "key index": device.key_index, "is hosted": device.is_hosted}
                for device in user.devices
            ],
            "key index list": user.key_index_list,
            "lid": None if user.lid is None else str(user.lid),
            "is registered": user.is_registered,
        }
        for user in parse_result(to_ours(value))
    ]


def _result(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int | None = None) -> Pair:
    return Pair(
        f"USyncQuery.parseUSyncQueryResult{name}",
        Domain.USYNC,
        f"{QUERY}:USyncQuery",
        "waton.protocol.stanza.usync:parse_result",
        inputs,
        _their_users,
        _our_users,
        examples,
    )


def _protocol_errors() -> SearchStrategy[Value]:
    """Of two users, one whose devices are not to be had."""

    def with_error(first: Value, jid: str) -> Value:
        refused = node("devices", {}, [node("error", {"code": "500", "text": "no"})])
        return answer([first, node("user", {"jid": jid}, [refused])])

    return st.builds(with_error, _users(_device_nodes()), generators.bare_jids(("s.whatsapp.net",)))


# --- whom to send to ------------------------------------------------------------------------------------------------


def _their_devices(baileys: Functions, value: Value) -> Value:
    made = baileys.ask("usyncDevices", protocols=list(_PROTOCOLS), answer=value, me=ME, lid=MY_LID)
    return sorted(
        f"{device['user']}{':' + str(device['device']) if device['device'] else ''}@{device['server']}"
        for device in made
    )


def _our_device_jids(value: Value) -> Value:
    from waton.protocol.stanza.usync import parse_result

    return sorted(str(jid) for user in parse_result(to_ours(value)) for jid in user.device_jids())


def _devices_pair(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int | None = None) -> Pair:
    return Pair(
        f"extractDeviceJids{name}",
        Domain.USYNC,
        f"{SIGNAL}:extractDeviceJids",
        "waton.protocol.stanza.usync:UserResult.device_jids",
        inputs,
        _their_devices,
        _our_device_jids,
        examples,
    )


def pairs() -> list[Pair]:
    """The family's pairs."""
    place = "waton.protocol.stanza.usync:"
    some = st.lists(generators.bare_jids(("s.whatsapp.net", "lid")), min_size=1, max_size=4, unique=True)
    nameless = _answers(least=1).map(
        lambda value: answer(
            [node("user", {}, user["content"]) for user in value["content"][0]["content"][0]["content"]]
        )
    )
    return [
        Pair(
            "USyncQuery: devices and LIDs",
            Domain.USYNC,
            f"{QUERY}:USyncQuery",
            f"{place}devices_query",
            lambda: some,
            _ask_devices,
            _our_devices,
        ),
        Pair(
            "USyncQuery: whether numbers are registered",
            Domain.USYNC,
            f"{QUERY}:USyncQuery",
            f"{place}contact_query",
            lambda: st.lists(generators.phones(), min_size=1, max_size=4),
            _ask_contacts,
            _our_contacts,
        ),
        Pair(
            "USyncQuery: anything about anybody",
            Domain.USYNC,
            f"{QUERY}:USyncQuery",
            f"{place}query",
            _people,
            _ask_anything,
            _our_anything,
        ),
        _result("", _answers),
        _result(": a user without an address", lambda: nameless, 10),
        _result(": an error of one user", _protocol_errors, 10),
        _devices_pair("", _answers),
        _devices_pair(": a hosted device", lambda: _answers(_users(_device_nodes(hosted=1)), least=1), 20),
        _devices_pair(": two hosted devices", lambda: _answers(_users(_device_nodes(hosted=2)), least=1), 20),
        _devices_pair(": a key index of zero", lambda: _answers(_users(_device_nodes(zero_index=True)), least=1), 20),
    ]
