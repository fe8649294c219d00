"""Two addresses, one person: what is remembered of a phone number and a LID, and what becomes of the sessions.

Waton keeps the mapping and the sessions in one store and moves them in one step (waton.client.addresses); Baileys has a
mapping store and a repository, which an application calls one after the other. The cases here have no session under the
LID yet: where both names have one, each client keeps its own choice of the two, and nothing on the wire says which.

Source: Baileys Signal/lid-mapping.ts, Signal/libsignal.ts migrateSession.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions import devices
from waton.parity.functions.signal import bundle_answer
from waton.parity.oracle.process import Functions

if TYPE_CHECKING:
    from waton.ports import RecordKind

Value: TypeAlias = Any

MAPPING = "lib/Signal/lid-mapping.js"
REPOSITORY = "lib/Signal/libsignal.js"


class Memory:
    """A unit of work whose writes are there at once."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], bytes] = {}

    async def load(self, kind: RecordKind, key: str) -> bytes | None:
        """A record, or None."""
        return self.records.get((kind.value, key))

    async def load_many(self, kind: RecordKind, keys: Iterable[str]) -> dict[str, bytes]:
        """Those of the records that exist."""
        return {key: self.records[kind.value, key] for key in keys if (kind.value, key) in self.records}

    async def keys(self, kind: RecordKind, prefix: str = "") -> list[str]:
        """The keys of all records of a kind that begin so."""
        return [key for held, key in self.records if held == kind.value and key.startswith(prefix)]

    def save(self, kind: RecordKind, key: str, value: bytes | None, *, until: float | None = None) -> None:
        """Write a record; None deletes."""
        if value is None:
            self.records.pop((kind.value, key), None)
        else:
            self.records[kind.value, key] = value

    def transition(self, machine: str, before: str, after: str, detail: object) -> None:
        """What would be named is not compared."""


# --- what is asked --------------------------------------------------------------------------------------------------


def _people() -> SearchStrategy[Value]:
    """People of whom both addresses become known, some twice, and addresses to look up then."""
    pns = st.sampled_from(("491500001", "491500002", "491500003"))
    lids = st.sampled_from(("7700001", "7700002", "7700003", "7700004"))
    device = st.sampled_from(("", ":1", ":7"))
    pn = st.builds("{}{}@s.whatsapp.net".format, pns, device)
    lid = st.builds("{}{}@lid".format, lids, device)
    return st.fixed_dictionaries(
        {
            "learnt": st.lists(st.tuples(pn, lid), max_size=3, unique_by=(_user, lambda pair: _user(pair[::-1]))),
            "asked": st.lists(st.one_of(pn, lid), min_size=1, max_size=4),
        }
    )


def _user(pair: tuple[str, str]) -> str:
    return pair[0].partition("@")[0].partition(":")[0]


def _their_mapping(baileys: Functions, value: Value) -> Value:
    baileys.ask("party", party="people", creds={})
    for pn, lid in value["learnt"]:
        baileys.ask("learn", party="people", pn=pn, lid=lid, devices={})
    return [_their_other(baileys, jid) for jid in value["asked"]]


def _their_other(baileys: Functions, jid: str) -> str | None:
    if jid.endswith("@lid"):
        found = baileys.ask("pnOf", party="people", lid=jid)
        # It writes the device of a phone number even where it is 0; read, that is the same address.
        return None if found is None else found.replace(":0@", "@")
    return baileys.ask("lidOf", party="people", pn=jid)


def _our_mapping(value: Value) -> Value:
    from waton.client import addresses
    from waton.jid import Jid

    async def play() -> list[str | None]:
        memory = Memory()
        for pn, lid in value["learnt"]:
            await learn(memory, pn, lid)
        found: list[str | None] = []
        for text in value["asked"]:
            jid = Jid.parse(text)
            ask = addresses.phone_number if jid.is_lid else addresses.canonical
            other = await ask(memory, jid)
            found.append(None if other is None or other == jid else str(other))
        return found

    return run(play)


async def learn(memory: Memory, pn: str, lid: str) -> None:
    """Store that these two are one person."""
    from waton.client import addresses
    from waton.client.event_pipeline import Step
    from waton.jid import Jid

    unit: Any = memory
    await addresses.learn(Step(unit, None), Jid.parse(pn), Jid.parse(lid), source="parity")


def run(play: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
    """Play it to the end: nothing in it waits. A loop of its own, so that it also works in a running one's thread."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(play())
    finally:
        loop.close()


# --- many at once ---------------------------------------------------------------------------------------------------


def _crowds(*, is_odd: bool = False) -> SearchStrategy[Value]:
    """Pairs that are told together, two with one number or one LID at times (is_odd), and addresses to look up."""
    pns = st.sampled_from(("491500001", "491500002", "491500003"))
    lids = st.sampled_from(("7700001", "7700002", "7700003"))
    device = st.sampled_from(("", ":1", ":7"))
    pn = st.builds("{}{}@s.whatsapp.net".format, pns, device)
    lid = st.builds("{}{}@lid".format, lids, device)
    told = st.lists(st.tuples(pn, lid), max_size=3, unique_by=(_user, lambda pair: _user((pair[1], pair[0]))))
    if is_odd:
        told = st.just([("491500001@s.whatsapp.net", "7700001@lid"), ("491500002@s.whatsapp.net", "7700001@lid")])
    asked = st.lists(st.one_of(pn, lid), min_size=1, max_size=4, unique=True)
    return st.fixed_dictionaries({"told": told, "asked": st.just(["491500001@s.whatsapp.net"]) if is_odd else asked})


def _turned() -> SearchStrategy[Value]:
    """A pair the wrong way round."""
    pair = ("7700001@lid", "491500001@s.whatsapp.net")
    return st.just({"told": [pair], "asked": ["491500001@s.whatsapp.net", "7700001@lid", "491500001@lid"]})


def _their_crowd(baileys: Functions, value: Value) -> Value:
    baileys.ask("party", party="people", creds={})
    baileys.ask("learnMany", party="people", pairs=[{"pn": pn, "lid": lid} for pn, lid in value["told"]])
    by_lid = [jid for jid in value["asked"] if jid.endswith("@lid")]
    by_pn = [jid for jid in value["asked"] if jid not in by_lid]
    lids: list[Value] = baileys.ask("lidsOf", party="people", pns=by_pn) or []
    pns: list[Value] = baileys.ask("pnsOf", party="people", lids=by_lid) or []
    found: dict[str, str] = {one["pn"]: one["lid"] for one in lids}
    found |= {one["lid"]: one["pn"].replace(":0@", "@") for one in pns}
    return dict(sorted(found.items()))


def _our_crowd(value: Value) -> Value:
    from waton.client import addresses
    from waton.client.event_pipeline import Step
    from waton.jid import Jid

    async def play() -> dict[str, str]:
        memory = Memory()
        unit: Any = memory
        told = [(Jid.parse(pn), Jid.parse(lid)) for pn, lid in value["told"]]
        await addresses.learn_many(Step(unit, None), told, source="parity")
        found = await addresses.alternate_many(memory, map(Jid.parse, value["asked"]))
        return dict(sorted((str(jid), str(other)) for jid, other in found.items()))

    return run(play)


# --- what becomes of the sessions -----------------------------------------------------------------------------------


def _moves() -> SearchStrategy[Value]:
    return st.fixed_dictionaries(
        {
            "device": generators.credentials(),
            "pn": generators.phones(),
            "lid": generators.phones(),
            "devices": st.lists(st.integers(0, 98), max_size=4, unique=True),
            "others": st.lists(st.integers(0, 98), max_size=2, unique=True),
        }
    ).filter(lambda value: value["pn"] not in (value["lid"], _OTHER))


_OTHER = "4999"


def _held(value: Value) -> list[str]:
    """The addresses with which there is a session: the person's devices, and somebody else's."""
    return [
        f"{user}{':' + str(device) if device else ''}@s.whatsapp.net"
        for user, numbers in ((value["pn"], value["devices"]), (_OTHER, value["others"]))
        for device in numbers
    ]


def _their_move(baileys: Functions, value: Value) -> Value:
    baileys.ask("party", party="people", creds=devices.theirs(value["device"]))
    for jid in _held(value):
        answer = bundle_answer(value["device"] | {"once": b"", "once_id": 0}, jid, with_prekey=False)
        baileys.ask("inject", party="people", answer=answer, dice=value["device"]["entropy"])
    listed = {value["pn"]: [str(device) for device in value["devices"]]}
    pn, lid = f"{value['pn']}@s.whatsapp.net", f"{value['lid']}@lid"
    baileys.ask("learn", party="people", pn=pn, lid=lid, devices=listed)
    return sorted(baileys.ask("sessions", party="people"))


def _our_move(value: Value) -> Value:
    from waton.jid import Jid, signal_address
    from waton.ports import RecordKind

    async def play() -> list[str]:
        memory = Memory()
        for text in _held(value):
            memory.save(RecordKind.SESSION, signal_address(Jid.parse(text)), b"record")
        await learn(memory, f"{value['pn']}@s.whatsapp.net", f"{value['lid']}@lid")
        return sorted(await memory.keys(RecordKind.SESSION))

    return run(play)


def pairs() -> list[Pair]:
    """The family's pairs."""
    place = "waton.client.addresses:"

    def mapping(name: str, ours: str) -> Pair:
        where = f"{MAPPING}:LIDMappingStore"
        return Pair(name, Domain.LID_MAPPING, where, f"{place}{ours}", _people, _their_mapping, _our_mapping, 25)

    def crowd(name: str, ours: str, inputs: SearchStrategy[Value], examples: int = 20) -> Pair:
        where = f"{MAPPING}:LIDMappingStore"
        return Pair(
            name, Domain.LID_MAPPING, where, f"{place}{ours}", lambda: inputs, _their_crowd, _our_crowd, examples
        )

    return [
        mapping("LIDMappingStore.getLIDForPN", "canonical"),
        mapping("LIDMappingStore.getPNForLID", "phone_number"),
        crowd("LIDMappingStore.getLIDsForPNs", "alternate_many", _crowds()),
        crowd("LIDMappingStore.storeLIDPNMappings", "learn_many", _crowds()),
        crowd("LIDMappingStore.storeLIDPNMappings: two numbers of one LID", "learn_many", _crowds(is_odd=True), 2),
        crowd("LIDMappingStore.storeLIDPNMappings: the wrong way round", "learn_many", _turned(), 2),
        Pair(
            "makeLibSignalRepository.migrateSession",
            Domain.LID_MAPPING,
            f"{REPOSITORY}:makeLibSignalRepository",
            f"{place}learn",
            _moves,
            _their_move,
            _our_move,
            15,
        ),
    ]
