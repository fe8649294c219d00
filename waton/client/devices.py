"""Which devices a person has: asked by usync, judged, remembered for a while, kept up to date by the server's notices.

A cache in front of a question. Many users go into one question, at most AT_ONCE of them; a user who is being asked for
is not asked for again, whoever else wants to know; what goes wrong for some (a refused question, an answer that does
not parse) never costs the others their answer.

With a `reader` the lists of last time are known, also after a restart, and each new list is held against them and
against the phone's signature (waton.client.device_list). What has changed then waits in `changes` until its owner has
acted on it and kept it, in one unit of work:

    for change in devices.changes:
        async with client.hold([change.user]), client.pipeline.step() as step:
            ...drop the sessions of change.removed, forget which sender keys they have...
            await devices.settle(step, change)

Until that happened the stored list stays the old one, so that a crash in between finds the same change again.

Source: Baileys Socket/messages-send.ts getUSyncDevices, whatsmeow user.go and notification.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from waton.client import addresses
from waton.client.addresses import Reader
from waton.client.device_list import DeviceChange, KnownDevices, apply_change, compare, hash_of, judge
from waton.client.event_pipeline import Step
from waton.errors import Disconnected, IqError, QueryTimeout, WatonError
from waton.jid import Jid, signal_address
from waton.ports import Clock, RecordKind
from waton.protocol.stanza.devices import DevicesNotification, ListChange, contact_hash
from waton.protocol.stanza.usync import UserResult

REMEMBER_SECONDS: Final = 300.0
AT_ONCE: Final = 100
"""Users in one question."""

Ask = Callable[[Sequence[Jid]], Awaitable[list[UserResult]]]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What is known of the devices of those asked for."""

    found: dict[Jid, UserResult] = field(default_factory=dict[Jid, UserResult])
    """By bare address. Who the server does not know is in neither of the two."""
    failed: Mapping[Jid, WatonError] = field(default_factory=dict[Jid, WatonError])
    """Of whom nothing could be learnt, and why."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    result: UserResult
    until: float


@dataclass(frozen=True, slots=True)
class _Person:
    """What is kept of somebody before an answer is judged."""

    name: str
    """The key of their record."""
    known: KnownDevices | None
    account_key: bytes | None


class DeviceLists:
    """The device lists of one client.

    Args:
        ask: the usync question; raises WatonError.
        clock: time.
        reader: the account's store; without one nothing is judged and nothing kept.
        remember: seconds for which an answer counts.
        at_once: users in one question.
    """

    def __init__(
        self,
        ask: Ask,
        clock: Clock,
        reader: Reader | None = None,
        *,
        remember: float = REMEMBER_SECONDS,
        at_once: int = AT_ONCE,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._reader = reader
        self._remember = remember
        self._at_once = at_once
        self._known: dict[Jid, _Remembered] = {}
        self._asking: dict[Jid, asyncio.Task[Resolved]] = {}
        """Which question will answer for whom."""
        self._tasks: set[asyncio.Task[Resolved]] = set()
        """All that are under way, those that count for nobody any more included."""
        self._changes: dict[str, DeviceChange] = {}

    # --- asking -------------------------------------------------------------------------------------------------------

    async def of(self, users: Iterable[Jid]) -> dict[Jid, UserResult]:
        """The answer for each user (bare address). A user the server does not know is missing from the result.

        Who cannot be told apart from somebody unknown here can be with `resolve`.

        Raises:
            Disconnected, QueryTimeout: there was no answer for somebody; a message to the rest would be lost to them.
            WatonError: nothing at all could be learnt, and why of the first.
        """
        resolved = await self.resolve(users)
        for error in resolved.failed.values():
            if not resolved.found or isinstance(error, Disconnected | QueryTimeout):
                raise error
        return resolved.found

    async def resolve(self, users: Iterable[Jid]) -> Resolved:
        """The answer for each user, and for whom there is none. Raises nothing that the network does."""
        wanted = list(dict.fromkeys(user.bare for user in users))
        now = self._clock.now()
        # Taken out before asking: somebody who is forgotten meanwhile must not be missing from this answer.
        fresh = {user: known.result for user in wanted if (known := self._known.get(user)) and known.until >= now}
        missing = [user for user in wanted if user not in fresh]
        answers = await self._answers(missing)
        found = {user: fresh.get(user) or answers.found.get(user) for user in wanted}
        return Resolved({user: result for user, result in found.items() if result is not None}, answers.failed)

    async def _answers(self, missing: Sequence[Jid]) -> Resolved:
        """Join the questions that are under way, ask the others, and wait for all of them."""
        unasked = [user for user in missing if user not in self._asking]
        for at in range(0, len(unasked), self._at_once):
            self._begin(unasked[at : at + self._at_once])
        under_way = {user: self._asking[user] for user in missing}
        # Shielded: who stops waiting must not stop it for the others.
        answers = {task: await asyncio.shield(task) for task in dict.fromkeys(under_way.values())}
        found = {user: answers[task].found.get(user) for user, task in under_way.items()}
        failed = {user: answers[task].failed.get(user) for user, task in under_way.items()}
        return Resolved(
            {user: result for user, result in found.items() if result is not None},
            {user: error for user, error in failed.items() if error is not None},
        )

    def _begin(self, users: Sequence[Jid]) -> None:
        asking = asyncio.create_task(self._question(users), name="waton-devices")
        self._tasks.add(asking)
        asking.add_done_callback(self._tasks.discard)
        self._asking |= dict.fromkeys(users, asking)

    async def _question(self, users: Sequence[Jid]) -> Resolved:
        try:
            results = await self._ask(users)
            answered = {result.jid.bare: result for result in results if result.error is None}
            changes = await self._judge(answered)
        except WatonError as error:
            self._end(users)
            return Resolved({}, dict.fromkeys(users, error))
        except BaseException:
            self._end(users)
            raise
        # Who was forgotten meanwhile is answered, and not remembered: the answer may be from before the change.
        until = self._clock.now() + self._remember
        for user in self._end(users):
            if user in answered:
                self._known[user] = _Remembered(answered[user], until)
            if user in changes:
                name, change = changes[user]
                self._changes[name] = change
        errors = {result.jid.bare: result.error for result in results if result.error is not None}
        return Resolved(answered, {user: IqError(code, "no devices for this user") for user, code in errors.items()})

    def _end(self, users: Iterable[Jid]) -> list[Jid]:
        """The question is over; those of whom it still was the one that counts."""
        me = asyncio.current_task()
        counting = [user for user in users if self._asking.get(user) is me]
        for user in counting:
            del self._asking[user]
        return counting

    # --- judging ------------------------------------------------------------------------------------------------------

    async def _judge(self, answered: dict[Jid, UserResult]) -> dict[Jid, tuple[str, DeviceChange]]:
        """Leave in each answer the devices that count; by user, the key of their record and what has changed."""
        told = [user for user, result in answered.items() if result.devices]
        if self._reader is None or not told:
            return {}
        people = await self._people(self._reader, told)
        now = self._clock.now()
        changes: dict[Jid, tuple[str, DeviceChange]] = {}
        for user in told:
            person = people[user]
            answered[user], change = judge(answered[user], person.known, person.account_key, now)
            changes[user] = person.name, change
        return changes

    async def _people(self, reader: Reader, users: Iterable[Jid]) -> dict[Jid, _Person]:
        """What is kept of each, with one question to the store for each kind of record."""
        names = await addresses.canonical_many(reader, users)
        lists = await reader.load_many(RecordKind.DEVICE_LIST, map(str, names.values()))
        keys = await reader.load_many(RecordKind.IDENTITY, map(signal_address, names.values()))
        return {
            user: _Person(str(name), self._before(str(name), lists.get(str(name))), keys.get(signal_address(name)))
            for user, name in names.items()
        }

    def _before(self, name: str, record: bytes | None) -> KnownDevices | None:
        """The list that a new one is held against: the one that is kept, else one that waits to be."""
        if record is not None:
            return KnownDevices.from_json(record)
        waiting = self._changes.get(name)
        return None if waiting is None else waiting.after

    # --- what has changed ---------------------------------------------------------------------------------------------

    @property
    def changes(self) -> tuple[DeviceChange, ...]:
        """Lists that were judged and are not kept yet, news or not."""
        return tuple(self._changes.values())

    async def settle(self, step: Step, change: DeviceChange) -> None:
        """Keep a list, in the step that acted on its change. A newer one that came meanwhile stays to be settled."""
        name = str(await addresses.canonical(step, change.user))
        step.save(RecordKind.DEVICE_LIST, name, change.after.to_json())
        for key in [key for key, waiting in self._changes.items() if waiting is change]:
            del self._changes[key]

    async def notified(self, notification: DevicesNotification) -> list[DeviceChange]:
        """Take a notification: bring the list up to date where that can be done, else ask anew when it is needed.

        Returns:
            the changes to act on and to settle; they are in `changes` as well.
        """
        people = [jid for jid in (notification.user, notification.lid) if jid is not None]
        names = frozenset(people) if self._reader is None else await addresses.known_as(self._reader, people)
        made: dict[str, None] = {}
        for change in notification.changes:
            if change.contact_hash is not None and not change.devices:
                self._forget_by_hash(change.contact_hash)
                continue
            name = await self._apply(notification, change, names)
            if name is None:
                for address in names:
                    self.forget(address)
            else:
                made[name] = None
        return [self._changes[name] for name in made if name in self._changes]

    async def _apply(self, notification: DevicesNotification, change: ListChange, names: Iterable[Jid]) -> str | None:
        """The key of the record that changes; None when the list before is not known, or not the server's one after."""
        user, lid = notification.user, notification.lid
        person = await self._person(user, lid)
        if person is None or person.known is None:
            return None
        waiting = self._changes.get(person.name)
        known = person.known if waiting is None else waiting.after
        done = apply_change(user, known, change, person.account_key, self._clock.now())
        if done is None or not _has_hashes(done, change, user, lid):
            return None
        again = done.is_reregistered or (waiting is not None and waiting.is_reregistered)
        self._changes[person.name] = compare(user, person.known, done.after, done.verdict, is_reregistered=again)
        self._refresh(names, done, change)
        return person.name

    async def _person(self, user: Jid, lid: Jid | None) -> _Person | None:
        """What is kept of somebody, under whichever of both addresses."""
        if self._reader is None:
            return None
        asked = [user] if lid is None else [user, lid]
        people = await self._people(self._reader, asked)
        return next((people[jid] for jid in asked if people[jid].known is not None), None)

    def _refresh(self, names: Iterable[Jid], done: DeviceChange, change: ListChange) -> None:
        """Put the new list where the old one is remembered."""
        for name in names:
            remembered = self._known.get(name)
            self._asking.pop(name, None)
            if remembered is not None:
                signed = change.key_index_list or remembered.result.key_index_list
                result = replace(remembered.result, devices=done.after.devices, key_index_list=signed)
                self._known[name] = replace(remembered, result=result)

    # --- forgetting ---------------------------------------------------------------------------------------------------

    def forget(self, user: Jid) -> None:
        """The server told us that this user's devices changed."""
        self._known.pop(user.bare, None)
        self._asking.pop(user.bare, None)

    def _forget_by_hash(self, hash: str) -> None:
        for user in {*self._known, *self._asking}:
            if contact_hash(user.user) == hash:
                self.forget(user)

    def clear(self) -> None:
        """Forget everybody: a new connection may have missed changes."""
        self._known.clear()
        self._asking.clear()


def _has_hashes(done: DeviceChange, change: ListChange, user: Jid, lid: Jid | None) -> bool:
    """The list after the change is the server's, as far as the server says which that is."""
    if change.device_hash is not None and change.device_hash != hash_of(user, done.after):
        return False
    return lid is None or change.device_lid_hash in (None, hash_of(lid, done.after))
