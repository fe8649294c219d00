"""People: which addresses and devices are one person's, and what follows when that changes.

A mapping or a device list is learnt from many places; what is new about it is acted on here, in one unit of work with
the record that keeps it: sessions move to the LID, those with devices that are gone are put aside, and sender keys that
such devices hold are made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from waton.client import addresses
from waton.client.device_list import DeviceChange, Verdict
from waton.client.devices import DeviceLists, Resolved
from waton.client.event_pipeline import Step
from waton.client.events import LidMappingUpdate
from waton.client.message_keys import at_home
from waton.jid import Jid
from waton.protocol.pairing_code import parse_phone
from waton.protocol.stanza import iq, usync
from waton.protocol.stanza.usync import Context, Mode, Protocol, UserAsked
from waton.protocol.stanza.usync_profiles import About, Disappearing

if TYPE_CHECKING:
    from waton.client.client import Client

_AT_ONCE = 200
"""People in one unit of work."""


class People:
    """The people one client knows."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.devices = DeviceLists(self._ask_devices, client.clock, client.store)

    async def learn_all(self, pairs: Sequence[tuple[Jid, Jid]], *, source: str) -> None:
        """Store that each of these (phone number, LID) are one person; see addresses.learn."""
        client = self._client
        known = await addresses.canonical_many(client.store, [pn for pn, _ in pairs])
        news = [(pn, lid) for pn, lid in pairs if known[pn].bare != lid.bare]
        for at in range(0, len(news), _AT_ONCE):
            some = news[at : at + _AT_ONCE]
            async with client.hold([jid for pair in some for jid in pair]), client.pipeline.step() as step:
                await self.learn(step, some, source=source)

    async def learn(self, step: Step, pairs: Iterable[tuple[Jid, Jid]], *, source: str) -> None:
        """The same in this unit of work, told by events. Hold the locks of all of them."""
        now = self._client.clock.now()
        for pn, lid in await addresses.learn_many(step, pairs, source=source, now=now):
            step.emit(LidMappingUpdate(pn, lid))

    async def devices_of(self, users: Iterable[Jid]) -> dict[Jid, usync.UserResult]:
        """Everybody's devices, and what has changed about them acted on. See DeviceLists.of."""
        found = await self.devices.of(users)
        await self.settle_devices()
        return found

    async def resolve(self, users: Iterable[Jid]) -> Resolved:
        """The same, with those of whom nothing could be learnt, and why. See DeviceLists.resolve."""
        resolved = await self.devices.resolve(users)
        await self.settle_devices()
        return resolved

    async def settle_devices(self) -> None:
        """Act on what has changed in device lists: put sessions with devices that are gone aside."""
        changes = self.devices.changes
        for at in range(0, len(changes), _AT_ONCE):
            some = changes[at : at + _AT_ONCE]
            async with self._client.hold([change.user for change in some]), self._client.pipeline.step() as step:
                waiting = set(map(id, self.devices.changes))
                for change in some:
                    if id(change) in waiting:  # else somebody else has done it while we waited for the locks
                        await self._settle_device_change(step, change)

    async def _settle_device_change(self, step: Step, change: DeviceChange) -> None:
        # A list signed by the key we know is from the phone that we have our session with, new as that may be.
        is_phone_gone = change.is_reregistered and change.verdict is not Verdict.VERIFIED
        gone = [*change.removed, change.user.with_device(0)] if is_phone_gone else change.removed
        for device in gone:
            await self._client.sessions.archive(step, device)
        if change.is_news and not change.is_first:
            names = await addresses.known_as(step, [change.user])
            stale = [name.with_device(device.device) for name in names for device in gone]
            await self._client.groups.mark_stale(step, stale)
            added, removed = len(change.added), len(change.removed)
            step.transition("devices", "known", "changed", added=added, removed=removed)
        await self.devices.settle(step, change)

    async def _ask_devices(self, users: Sequence[Jid]) -> list[usync.UserResult]:
        content = [usync.devices_query(self._client.next_id(), users)]
        return usync.parse_each(await self._client.query("usync", iq.IqType.GET, content))

    # --- what else is known of people ---------------------------------------------------------------------------------

    async def ask(
        self,
        protocols: Sequence[Protocol],
        users: Sequence[UserAsked],
        *,
        context: str = Context.INTERACTIVE,
        mode: str = Mode.QUERY,
    ) -> list[usync.UserResult]:
        """Ask the server about people, by any protocols; LIDs that it tells are learnt.

        Returns:
            those it says something about. One whose answer does not parse has an `error`.
        Raises:
            IqError, QueryTimeout, Disconnected: the network.
        """
        found: list[usync.UserResult] = []
        for at in range(0, len(users), _AT_ONCE):
            some = users[at : at + _AT_ONCE]
            asked = usync.query(self._client.next_id(), protocols, some, context=context, mode=mode)
            found += usync.parse_each(await self._client.query("usync", iq.IqType.GET, [asked]))
        pairs = [(one.jid, one.lid) for one in found if one.lid is not None and one.jid.is_pn]
        await self.learn_all(pairs, source="usync")
        return found

    async def on_whatsapp(self, phones: Iterable[str]) -> list[usync.UserResult]:
        """Who of these is on WhatsApp: see `is_registered`, `jid`, `lid`, and `asked` for the number as it was asked.

        Args:
            phones: international numbers, as people write them.
        Raises:
            ValueError: one of them can be no phone number; it names none.
            IqError, QueryTimeout, Disconnected: the network.
        """
        users = [UserAsked(None, f"+{parse_phone(phone).user}".encode()) for phone in phones]
        return await self.ask((Protocol.CONTACT, Protocol.LID), users)

    async def statuses(self, people: Iterable[Jid]) -> dict[Jid, About]:
        """What people write under their name, of those who say anything. Raises as `ask`."""
        found = await self.ask((Protocol.STATUS,), [UserAsked(jid.bare) for jid in people])
        return {one.jid: one.about for one in found if one.about is not None}

    async def disappearing(self, people: Iterable[Jid]) -> dict[Jid, Disappearing]:
        """How long messages stay in chats that people begin. Raises as `ask`."""
        found = await self.ask((Protocol.DISAPPEARING_MODE,), [UserAsked(jid.bare) for jid in people])
        return {one.jid: one.disappearing for one in found if one.disappearing is not None}

    async def lids_of(self, people: Iterable[Jid]) -> dict[Jid, Jid]:
        """The LID of each device, known or asked for; who has none is missing. Raises as `ask`."""
        wanted = list(people)
        known = await addresses.canonical_many(self._client.store, wanted)
        unknown = dict.fromkeys(at_home(jid.bare) for jid, name in known.items() if name.is_user and not name.is_lid)
        if unknown:
            await self.ask((Protocol.LID,), [UserAsked(jid) for jid in unknown], context=Context.BACKGROUND)
            known = await addresses.canonical_many(self._client.store, wanted)
        return {jid: name for jid, name in known.items() if name.is_lid}
