"""Which name a device's session lives under.

A person has two addresses, a phone number (PN) and a LID, and the wire uses either. A session must live under one name
only, or two ratchets grow apart and messages fail. The name is the LID wherever the mapping is known, as in Baileys; a
session that was opened under the phone number moves when the mapping is learnt.

Source: Baileys Signal/lid-mapping.ts and Signal/libsignal.ts (jidToSignalProtocolAddress); facts on migration.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from waton.client.event_pipeline import Step
from waton.jid import Jid, JidServer, signal_address
from waton.ports import RecordKind

_MOVED = (RecordKind.SESSION, RecordKind.IDENTITY)


class Reader(Protocol):
    """What can load a record: a store, or a step."""

    async def load(self, kind: RecordKind, key: str) -> bytes | None: ...


async def canonical(reader: Reader, jid: Jid) -> Jid:
    """The address a device's session lives under: its LID if known, else the address itself."""
    if not jid.is_pn:
        return jid
    lid_user = await reader.load(RecordKind.LID_MAPPING, _key(jid))
    return jid if lid_user is None else Jid(lid_user.decode(), JidServer.LID, jid.device)


async def phone_number(reader: Reader, jid: Jid) -> Jid | None:
    """The PN address of a LID device, when known."""
    if jid.is_pn:
        return jid
    pn_user = await reader.load(RecordKind.LID_MAPPING, _key(jid))
    return None if pn_user is None else Jid(pn_user.decode(), JidServer.PN, jid.device)


async def known_as(reader: Reader, jids: Iterable[Jid]) -> frozenset[Jid]:
    """Every address these people are known to have, each without a device."""
    found: set[Jid] = set()
    for jid in jids:
        others = (await canonical(reader, jid), await phone_number(reader, jid))
        found |= {address.bare for address in (jid, *others) if address is not None}
    return frozenset(found)


async def forms(reader: Reader, jids: Iterable[Jid]) -> frozenset[str]:
    """The names under which these people's records may live now: each address as it is and as it is canonical.

    They are the names of the locks to hold while such records are read and written; see Client.hold.
    """
    names: set[str] = set()
    for jid in jids:
        names |= {str(jid.bare), str((await canonical(reader, jid)).bare)}
    return frozenset(names)


async def learn(step: Step, pn: Jid, lid: Jid, *, source: str) -> None:
    """Store that `pn` and `lid` are one person; move what lives under the phone number, all devices of it.

    From here on nobody looks under the phone number, so a device left behind would lose its session. Where both names
    hold a record, the LID's counts and the other stays where it is. Hold both people's locks.

    Args:
        step: the unit of work of the stanza that taught us.
        pn: with any device.
        lid: the same person's LID, any device.
        source: which stanza taught us, for the transition.
    """
    if not (pn.is_pn and lid.is_lid):
        return
    known = await step.load(RecordKind.LID_MAPPING, _key(pn))
    if known == lid.user.encode():
        return
    step.save(RecordKind.LID_MAPPING, _key(pn), lid.user.encode())
    step.save(RecordKind.LID_MAPPING, _key(lid), pn.user.encode())
    step.transition("lid_mapping", "unknown" if known is None else "other", "known", source=source)
    for kind in _MOVED:
        for old in await step.unit.keys(kind):
            user, _, device = old.rpartition(".")
            if user == pn.user:
                new = signal_address(Jid(lid.user, JidServer.LID, int(device)))
                await _move(step, kind, old, new)


async def _move(step: Step, kind: RecordKind, old: str, new: str) -> None:
    record = await step.load(kind, old)
    if record is None or await step.load(kind, new) is not None:
        return
    step.save(kind, new, record)
    step.save(kind, old, None)
    step.transition("migration", "pn", "lid", kind=kind.value)


def _key(jid: Jid) -> str:
    return f"{jid.user}@{jid.server}"
