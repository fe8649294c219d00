"""Which name a device's session lives under.

A person has two addresses, a phone number (PN) and a LID, and the wire uses either. A session must live under one name
only, or two ratchets grow apart and messages fail. The name is the LID wherever the mapping is known, as in Baileys; a
session that was opened under the phone number moves when the mapping is learnt, and so does everything else that is
kept by that name: identities, sender keys, the device list, the privacy token.

A mapping is one to one, and both halves are stored, each with what taught it and when. Where a new one contradicts an
old one, the newer is believed and the older half that points elsewhere is dropped, so that no two numbers lead to one
LID; only old news (history) never overrules anything. A pair the wrong way round teaches nothing.

Hosted devices have servers of their own (hosted, hosted.lid) and the numbers of the same person; the mapping is shared,
and their names go from one hosted server to the other.

Source: Baileys Signal/lid-mapping.ts and Signal/libsignal.ts (jidToSignalProtocolAddress); whatsapp-rust
src/client/lid_pn.rs (which sources may overrule).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from waton.client.event_pipeline import Step
from waton.errors import StorageError
from waton.jid import Jid, JidServer, signal_address
from waton.ports import RecordKind

OLD_NEWS: Final = frozenset({"history"})
"""Sources that tell how things were: they teach what is unknown, and overrule nothing."""
_BY_DEVICE: Final = (RecordKind.SESSION, RecordKind.IDENTITY)
_BY_PERSON: Final = (RecordKind.DEVICE_LIST, RecordKind.PRIVACY_TOKEN)
_LID_OF: Final[Mapping[str, JidServer]] = {
    JidServer.PN: JidServer.LID,
    JidServer.LEGACY: JidServer.LID,
    JidServer.HOSTED: JidServer.HOSTED_LID,
}
_PN_OF: Final[Mapping[str, JidServer]] = {JidServer.LID: JidServer.PN, JidServer.HOSTED_LID: JidServer.HOSTED}
_PLAIN: Final[Mapping[str, JidServer]] = {
    JidServer.LEGACY: JidServer.PN,
    JidServer.HOSTED: JidServer.PN,
    JidServer.HOSTED_LID: JidServer.LID,
}


class Reader(Protocol):
    """What can load records: a store, or a step."""

    def load(self, kind: RecordKind, key: str) -> Awaitable[bytes | None]: ...

    def load_many(self, kind: RecordKind, keys: Iterable[str]) -> Awaitable[dict[str, bytes]]: ...


# --- asking -----------------------------------------------------------------------------------------------------------


def person(jid: Jid) -> Jid:
    """A person's address without a device, and not a hosted one; any other address as it is, without a device."""
    server = _PLAIN.get(jid.server)
    return jid.bare if server is None else Jid(jid.user, server)


async def canonical(reader: Reader, jid: Jid) -> Jid:
    """The address a device's session lives under: its LID if known, else the address itself."""
    if jid.server not in _LID_OF:
        return jid
    known = await reader.load(RecordKind.LID_MAPPING, _key(jid))
    return jid if known is None else _other(jid, known)


async def canonical_many(reader: Reader, jids: Iterable[Jid]) -> dict[Jid, Jid]:
    """The canonical address of each, with one question for all."""
    wanted = list(jids)
    numbers = {jid: _key(jid) for jid in wanted if jid.server in _LID_OF}
    known = await reader.load_many(RecordKind.LID_MAPPING, set(numbers.values())) if numbers else {}
    return {
        jid: _other(jid, known[numbers[jid]]) if jid in numbers and numbers[jid] in known else jid for jid in wanted
    }


async def phone_number(reader: Reader, jid: Jid) -> Jid | None:
    """The PN address of a device, when known."""
    return jid if jid.server in _LID_OF else await alternate(reader, jid)


async def alternate(reader: Reader, jid: Jid) -> Jid | None:
    """A device's other address: the LID of a PN, the PN of a LID; None when it is not known, or there is none."""
    if jid.server not in _LID_OF and jid.server not in _PN_OF:
        return None
    known = await reader.load(RecordKind.LID_MAPPING, _key(jid))
    return None if known is None else _other(jid, known)


async def alternate_many(reader: Reader, jids: Iterable[Jid]) -> dict[Jid, Jid]:
    """The other address of each device that has one we know, with one question for all."""
    keys = {jid: _key(jid) for jid in jids if jid.server in _LID_OF or jid.server in _PN_OF}
    known = await reader.load_many(RecordKind.LID_MAPPING, set(keys.values())) if keys else {}
    return {jid: _other(jid, known[key]) for jid, key in keys.items() if key in known}


async def known_as(reader: Reader, jids: Iterable[Jid]) -> frozenset[Jid]:
    """Every address these people are known to have, each without a device."""
    people = list(jids)
    others = await alternate_many(reader, people)
    return frozenset(form for jid in (*people, *others.values()) for form in (jid.bare, person(jid)))


async def forms(reader: Reader, jids: Iterable[Jid]) -> frozenset[str]:
    """The names under which these people's records may live now: each person as addressed and as canonical.

    They are the names of the locks to hold while such records are read and written; see Client.hold.
    """
    people = {person(jid) for jid in jids}
    names = await canonical_many(reader, people)
    return frozenset(str(jid) for jid in people | set(names.values()))


# --- learning ---------------------------------------------------------------------------------------------------------


async def learn(step: Step, pn: Jid, lid: Jid, *, source: str, now: float = 0.0) -> bool:
    """Store that `pn` and `lid` are one person; move what lives under the phone number, all devices of it.

    From here on nobody looks under the phone number, so a device left behind would lose its session. Where both names
    hold a record, the LID's counts and the other stays where it is. Hold both people's locks. A mapping that is known
    costs one load.

    Args:
        step: the unit of work of the stanza that taught us.
        pn: with any device.
        lid: the same person's LID, any device.
        source: which stanza taught us, for the record and the transition; see OLD_NEWS.
        now: Unix seconds, for the record; 0 when nobody cares.
    Returns:
        True when it was news.
    """
    return bool(await learn_many(step, [(pn, lid)], source=source, now=now))


async def learn_many(
    step: Step, pairs: Iterable[tuple[Jid, Jid]], *, source: str, now: float = 0.0
) -> list[tuple[Jid, Jid]]:
    """`learn` for many people (a group's members, a chunk of history), with one look at what is known.

    Args:
        step: as in learn.
        pairs: (PN, LID); of two with the same PN the later one counts.
        source: as in learn.
        now: as in learn.
    Returns:
        those that were news, as plain addresses without a device.
    """
    told = {person(pn): person(lid) for pn, lid in pairs if _is_pair(pn, lid)}
    if not told:
        return []
    known = await step.load_many(RecordKind.LID_MAPPING, map(_key, told))
    news = [(pn, lid) for pn, lid in told.items() if _key(pn) not in known or _user(known[_key(pn)]) != lid.user]
    learnt = [(pn, lid) for pn, lid in news if await _remember(step, pn, lid, source, now)]
    if learnt:
        await _move_all(step, learnt)
    return learnt


async def _remember(step: Step, pn: Jid, lid: Jid, source: str, now: float) -> bool:
    """Store both halves, and drop the halves that say otherwise; False when this source may not overrule them."""
    known = await step.load_many(RecordKind.LID_MAPPING, (_key(pn), _key(lid)))
    if known and source in OLD_NEWS:
        return False
    for half in (pn, lid):
        if _key(half) in known:
            await _drop_other_half(step, half, _other(half, known[_key(half)]))
    step.save(RecordKind.LID_MAPPING, _key(pn), _record(lid, source, now))
    step.save(RecordKind.LID_MAPPING, _key(lid), _record(pn, source, now))
    step.transition("lid_mapping", "other" if known else "unknown", "known", source=source)
    return True


async def _drop_other_half(step: Step, half: Jid, other: Jid) -> None:
    back = await step.load(RecordKind.LID_MAPPING, _key(other))
    if back is not None and _user(back) == half.user:
        step.save(RecordKind.LID_MAPPING, _key(other), None)


# --- moving -----------------------------------------------------------------------------------------------------------


async def _move_all(step: Step, pairs: Sequence[tuple[Jid, Jid]]) -> None:
    spoken_with: dict[str, str] = {}
    for pn, lid in pairs:
        for kind in _BY_PERSON:
            await _move(step, kind, str(pn), str(lid))
        for kind in _BY_DEVICE:
            for old in await _names_of(step, kind, pn):
                spoken_with[pn.user] = lid.user
                await _move(step, kind, old, _under_lid(old, lid.user))
    if spoken_with:
        await _move_sender_keys(step, spoken_with)


async def _names_of(step: Step, kind: RecordKind, pn: Jid) -> list[str]:
    """The records of a person's devices that live under the number, hosted ones included."""
    hosted = Jid(pn.user, JidServer.HOSTED)
    prefixes = [signal_address(jid).removesuffix("0") for jid in (pn, hosted)]
    return [name for prefix in prefixes for name in await step.unit.keys(kind, prefix)]


async def _move_sender_keys(step: Step, lids: Mapping[str, str]) -> None:
    """A sender key comes through a session, so only people with whom there is or was one can have any."""
    for old in await step.unit.keys(RecordKind.SENDER_KEY):
        group, _, name = old.rpartition("::")
        user, _, domain = name.rpartition(".")[0].partition("_")
        if user in lids and domain in ("", "128"):
            await _move(step, RecordKind.SENDER_KEY, old, f"{group}::{_under_lid(name, lids[user])}")


def _under_lid(name: str, lid_user: str) -> str:
    """The signal address under the LID of what has this one under the number."""
    rest, _, device = name.rpartition(".")
    server = JidServer.HOSTED_LID if "_" in rest else JidServer.LID
    return signal_address(Jid(lid_user, server, int(device)))


async def _move(step: Step, kind: RecordKind, old: str, new: str) -> None:
    record = await step.load(kind, old)
    if record is None or await step.load(kind, new) is not None:
        return
    step.save(kind, new, record)
    step.save(kind, old, None)
    step.transition("migration", "pn", "lid", kind=kind.value)


# --- records ----------------------------------------------------------------------------------------------------------


def _is_pair(pn: Jid, lid: Jid) -> bool:
    return pn.server in _LID_OF and lid.server in _PN_OF and bool(pn.user) and bool(lid.user)


def _key(jid: Jid) -> str:
    return str(person(jid))


def _other(jid: Jid, record: bytes) -> Jid:
    """The same device under the other address that the record names."""
    return Jid(_user(record), _LID_OF.get(jid.server) or _PN_OF[jid.server], jid.device)


def _record(jid: Jid, source: str, now: float) -> bytes:
    return json.dumps({"user": jid.user, "source": source, "t": int(now)}).encode()


def _user(record: bytes) -> str:
    """The other user of a mapping; early versions stored nothing but it. Raises StorageError."""
    try:
        if not record.startswith(b"{"):
            return record.decode("ascii")
        values: dict[str, Any] = json.loads(record)
        return str(values["user"])
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError("lid_mapping") from error
