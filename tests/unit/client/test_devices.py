"""DeviceLists: asked once for everybody who wants to know, remembered, judged, told what changed, kept when settled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.client.worlds import StandingClock, settle, step_of
from tests.unit.protocol.wires import dice
from waton.client import addresses
from waton.client.device_list import KnownDevices, Verdict
from waton.client.devices import REMEMBER_SECONDS, DeviceLists
from waton.errors import Disconnected, DisconnectReason, IqError, QueryTimeout, StorageError
from waton.jid import Jid, signal_address
from waton.ports import RecordKind
from waton.protocol import adv
from waton.protocol.credentials import KeyPair
from waton.protocol.participant_hash import participant_hash
from waton.protocol.stanza.devices import ChangeKind, DevicesNotification, ListChange, contact_hash
from waton.protocol.stanza.usync import DeviceEntry, UserResult

ADA, BEA = Jid.parse("4915000000001@s.whatsapp.net"), Jid.parse("77000000000002@lid")
ADA_LID = Jid.parse("77000000000001@lid")
PHONE = KeyPair.of(dice("phone", 32))
T = 1_750_000_000
ZERO, FOUR, FIVE = DeviceEntry(0), DeviceEntry(4, 2), DeviceEntry(5, 3)


def signed(*valid: int, raw_id: int = 7, t: int = T, by: KeyPair = PHONE) -> bytes:
    return adv.sign_key_index_list(
        by, raw_id=raw_id, timestamp=t, current_index=3, valid_indexes=valid, entropy=dice("list", 64)
    )


class Server:
    """Answers the usync question, and writes down what it was asked."""

    def __init__(self, *known: Jid) -> None:
        self.known = {jid: UserResult(jid, (ZERO,)) for jid in known}
        self.asked: list[list[Jid]] = []
        self.fault: Exception | None = None
        self.faults: dict[Jid, Exception] = {}
        """By somebody in the question."""
        self.gate: asyncio.Event | None = None

    def tell(self, user: Jid, *devices: DeviceEntry, by: bytes = b"") -> None:
        self.known[user] = UserResult(user, devices, by)

    async def ask(self, users: Sequence[Jid]) -> list[UserResult]:
        self.asked.append(list(users))
        if self.gate is not None:
            await self.gate.wait()
        for fault in (self.fault, *(self.faults.get(user) for user in users)):
            if fault is not None:
                raise fault
        return [self.known[user] for user in users if user in self.known]


@pytest.fixture
def server() -> Server:
    return Server(ADA, BEA)


# --- asking


async def test_many_are_asked_at_once_bare_and_each_once(server: Server) -> None:
    lists = DeviceLists(server.ask, StandingClock())
    found = await lists.of([ADA.with_device(3), BEA, ADA])
    assert server.asked == [[ADA, BEA]]
    assert list(found) == [ADA, BEA]
    assert found[ADA].device_jids() == [ADA]


async def test_only_who_is_missing_is_asked_again(server: Server) -> None:
    lists = DeviceLists(server.ask, StandingClock())
    await lists.of([ADA])
    assert set(await lists.of([ADA, BEA])) == {ADA, BEA}
    await lists.of([BEA, ADA])
    assert server.asked == [[ADA], [BEA]]


async def test_an_answer_is_remembered_for_so_long(server: Server) -> None:
    clock = StandingClock()
    lists = DeviceLists(server.ask, clock)
    await lists.of([ADA])
    clock.time += REMEMBER_SECONDS
    await lists.of([ADA])
    assert len(server.asked) == 1
    clock.time += 0.001
    server.tell(ADA, ZERO, FOUR)
    assert (await lists.of([ADA]))[ADA].device_jids() == [ADA, ADA.with_device(4)]
    assert len(server.asked) == 2


async def test_how_long_is_a_choice(server: Server) -> None:
    clock = StandingClock()
    lists = DeviceLists(server.ask, clock, remember=10.0)
    await lists.of([ADA])
    clock.time += 10.5
    await lists.of([ADA])
    assert len(server.asked) == 2


async def test_who_is_unknown_is_missing_and_asked_again(server: Server) -> None:
    stranger = Jid.parse("4915000000009@s.whatsapp.net")
    lists = DeviceLists(server.ask, StandingClock())
    assert list(await lists.of([stranger, ADA])) == [ADA]
    assert await lists.of([stranger]) == {}
    assert server.asked == [[stranger, ADA], [stranger]]


async def test_who_is_no_longer_known_is_missing(server: Server) -> None:
    clock = StandingClock()
    lists = DeviceLists(server.ask, clock)
    await lists.of([ADA])
    clock.time += REMEMBER_SECONDS + 1
    del server.known[ADA]
    assert await lists.of([ADA]) == {}


async def test_what_changed_is_asked_again(server: Server) -> None:
    lists = DeviceLists(server.ask, StandingClock())
    await lists.of([ADA, BEA])
    lists.forget(ADA.with_device(7))
    lists.forget(Jid.parse("4915000000009@s.whatsapp.net"))
    await lists.of([ADA, BEA])
    assert server.asked == [[ADA, BEA], [ADA]]
    lists.clear()
    await lists.of([ADA, BEA])
    assert server.asked[-1] == [ADA, BEA]


# --- many callers, many users


async def test_who_is_asked_for_already_is_not_asked_for_again(server: Server) -> None:
    lists = DeviceLists(server.ask, StandingClock())
    server.gate = asyncio.Event()
    first = asyncio.create_task(lists.of([ADA]))
    await settle()
    others = [asyncio.create_task(lists.of(users)) for users in ([ADA, BEA], [BEA], [ADA])]
    await settle()
    server.gate.set()
    found = await asyncio.gather(first, *others)
    assert server.asked == [[ADA], [BEA]]
    assert [set(answer) for answer in found] == [{ADA}, {ADA, BEA}, {BEA}, {ADA}]


async def test_who_stops_waiting_does_not_stop_it_for_the_others(server: Server) -> None:
    lists = DeviceLists(server.ask, StandingClock())
    server.gate = asyncio.Event()
    impatient, patient = asyncio.create_task(lists.of([ADA])), asyncio.create_task(lists.of([ADA]))
    await settle()
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    server.gate.set()
    assert set(await patient) == {ADA}
    assert server.asked == [[ADA]]


async def test_a_question_holds_so_many_users(server: Server) -> None:
    crowd = [Jid(f"49160{number}", "s.whatsapp.net") for number in range(7)]
    for user in crowd:
        server.tell(user, ZERO)
    lists = DeviceLists(server.ask, StandingClock(), at_once=3)
    assert list(await lists.of(crowd)) == crowd
    assert server.asked == [crowd[:3], crowd[3:6], crowd[6:]]


async def test_a_refused_question_costs_only_those_in_it(server: Server) -> None:
    crowd = [Jid(f"49160{number}", "s.whatsapp.net") for number in range(4)]
    for user in crowd:
        server.tell(user, ZERO)
    server.faults[crowd[1]] = IqError(400, "bad-request")
    lists = DeviceLists(server.ask, StandingClock(), at_once=2)
    resolved = await lists.resolve(crowd)
    assert list(resolved.found) == crowd[2:]
    assert {user: type(error) for user, error in resolved.failed.items()} == dict.fromkeys(crowd[:2], IqError)
    assert list(await lists.of(crowd)) == crowd[2:]
    assert server.asked == [crowd[:2], crowd[2:], crowd[:2]]


@pytest.mark.parametrize("fault", [QueryTimeout("1", 60), Disconnected(DisconnectReason.CLOSED)])
async def test_whom_the_network_kept_from_us_is_not_taken_for_somebody_without_devices(
    server: Server, fault: Exception
) -> None:
    lists = DeviceLists(server.ask, StandingClock())
    await lists.of([BEA])
    server.faults[ADA] = fault
    with pytest.raises(type(fault)):
        await lists.of([ADA, BEA])
    assert list((await lists.resolve([ADA, BEA])).found) == [BEA]
    del server.faults[ADA]
    assert set(await lists.of([ADA, BEA])) == {ADA, BEA}


async def test_an_error_of_one_user_costs_nobody_else(server: Server) -> None:
    server.known[ADA] = UserResult(ADA, error=404)
    lists = DeviceLists(server.ask, StandingClock())
    resolved = await lists.resolve([ADA, BEA])
    assert list(resolved.found) == [BEA]
    [(user, error)] = resolved.failed.items()
    assert user == ADA
    assert isinstance(error, IqError)
    assert error.code == 404
    with pytest.raises(IqError):
        await lists.of([ADA])
    # It is not remembered.
    server.tell(ADA, ZERO)
    assert list(await lists.of([ADA])) == [ADA]


async def test_a_failed_question_leaves_nothing_behind(server: Server) -> None:
    lists = DeviceLists(server.ask, StandingClock())
    server.fault = QueryTimeout("1", 60)
    with pytest.raises(QueryTimeout):
        await lists.of([ADA])
    server.fault = Disconnected(DisconnectReason.CLOSED)
    with pytest.raises(Disconnected):
        await lists.of([ADA])
    server.fault = None
    assert set(await lists.of([ADA])) == {ADA}


async def test_a_fault_of_ours_is_told_and_leaves_nothing_behind(server: Server) -> None:
    lists = DeviceLists(server.ask, StandingClock())
    server.fault = RuntimeError("a fault")
    with pytest.raises(RuntimeError):
        await lists.of([ADA])
    server.fault = None
    assert set(await lists.of([ADA])) == {ADA}


async def test_a_change_while_others_are_asked_for_does_not_lose_anybody(server: Server) -> None:
    lists = DeviceLists(server.ask, StandingClock())
    await lists.of([ADA])
    server.gate = asyncio.Event()
    asking = asyncio.create_task(lists.of([ADA, BEA]))
    await settle()
    lists.forget(ADA)
    server.gate.set()
    assert set(await asking) == {ADA, BEA}


@pytest.mark.parametrize("everybody", [False, True])
async def test_an_answer_from_before_a_change_is_given_and_not_remembered(server: Server, everybody: bool) -> None:
    lists = DeviceLists(server.ask, StandingClock())
    server.gate = asyncio.Event()
    before = asyncio.create_task(lists.of([ADA]))
    await settle()
    if everybody:
        lists.clear()
    else:
        lists.forget(ADA)
    after = asyncio.create_task(lists.of([ADA]))
    await settle()
    assert server.asked == [[ADA], [ADA]]
    server.gate.set()
    assert set(await before) == set(await after) == {ADA}
    await lists.of([ADA])
    assert len(server.asked) == 2


# --- judging and keeping


class Judging:
    """Lists over a store, with Ada's phone known."""

    def __init__(self, *, knows_phone: bool = True) -> None:
        self.server = Server(ADA, BEA)
        self.clock = StandingClock()
        self.store = MemoryStore()
        if knows_phone:
            self.store.records[RecordKind.IDENTITY, signal_address(ADA)] = PHONE.public
        self.lists = self.again()

    def again(self) -> DeviceLists:
        """Another process's worth."""
        self.lists = DeviceLists(self.server.ask, self.clock, self.store)
        return self.lists

    async def settle(self) -> list[KnownDevices]:
        settled = list(self.lists.changes)
        for change in settled:
            async with step_of(self.store) as step:
                await self.lists.settle(step, change)
        return [change.after for change in settled]

    async def devices(self, user: Jid = ADA) -> list[Jid]:
        found = await self.lists.of([user])
        return found[user].device_jids()

    def kept(self, user: Jid = ADA) -> KnownDevices | None:
        record = self.store.records.get((RecordKind.DEVICE_LIST, str(user)))
        return None if record is None else KnownDevices.from_json(record)


async def test_only_devices_that_are_vouched_for_are_given() -> None:
    world = Judging()
    world.server.tell(ADA, ZERO, FOUR, FIVE, by=signed(0, 2))
    assert await world.devices() == [ADA, ADA.with_device(4)]
    [change] = world.lists.changes
    assert (change.user, change.verdict, change.is_first) == (ADA, Verdict.VERIFIED, True)


async def test_a_list_of_a_forger_leaves_the_phone() -> None:
    world = Judging()
    world.server.tell(ADA, ZERO, FOUR, by=signed(0, 2, by=KeyPair.of(dice("forger", 32))))
    assert await world.devices() == [ADA]


async def test_a_change_waits_until_it_is_settled_and_is_found_again_after_a_crash() -> None:
    world = Judging()
    world.server.tell(ADA, ZERO, FOUR, by=signed(0, 2, 3))
    await world.devices()
    assert world.kept() is None
    [first] = await world.settle()
    assert world.kept() == first
    assert world.lists.changes == ()

    world.server.tell(ADA, ZERO, FIVE, by=signed(0, 3, t=T + 1))
    for _ in range(2):  # the process dies before it has settled
        lists = world.again()
        assert await world.devices() == [ADA, ADA.with_device(5)]
        [change] = lists.changes
        assert (change.added, change.removed) == ((ADA.with_device(5),), (ADA.with_device(4),))
    await world.settle()
    world.again()
    await world.devices()
    [unchanged] = world.lists.changes
    assert not unchanged.is_news


async def test_a_new_registration_is_told() -> None:
    world = Judging()
    world.server.tell(ADA, ZERO, FOUR, by=signed(0, 2))
    await world.devices()
    await world.settle()
    world.server.tell(ADA, ZERO, FOUR, by=signed(0, 2, raw_id=8, t=T + 1))
    world.lists.clear()
    await world.devices()
    [change] = world.lists.changes
    assert change.is_reregistered
    assert change.removed == (ADA.with_device(4),)


async def test_a_list_is_kept_under_the_lid_whichever_address_was_asked_for() -> None:
    world = Judging()
    async with step_of(world.store) as step:
        await addresses.learn(step, ADA, ADA_LID, source="message")
    for user in (ADA, ADA_LID):
        world.server.tell(user, ZERO, FOUR, by=signed(0, 2))
        assert await world.devices(user) == [user, user.with_device(4)]
        await world.settle()
    assert world.kept(ADA) is None
    kept = world.kept(ADA_LID)
    assert kept is not None
    assert kept.devices == (ZERO, FOUR)


async def test_a_list_that_was_kept_under_the_number_is_found_under_the_lid() -> None:
    world = Judging()
    world.server.tell(ADA, ZERO, FOUR, by=signed(0, 2))
    await world.devices()
    await world.settle()
    async with step_of(world.store) as step:
        await addresses.learn(step, ADA, ADA_LID, source="message")
    world.server.tell(ADA_LID, ZERO)
    assert await world.devices(ADA_LID) == [ADA_LID]
    [change] = world.lists.changes
    assert change.removed == (ADA_LID.with_device(4),)


async def test_who_has_no_devices_at_all_is_neither_judged_nor_kept() -> None:
    world = Judging()
    world.server.known[ADA] = UserResult(ADA)
    assert await world.devices() == []
    assert world.lists.changes == ()


async def test_a_damaged_record_is_that_question_s_failure() -> None:
    world = Judging()
    world.store.records[RecordKind.DEVICE_LIST, str(ADA)] = b"{"
    with pytest.raises(StorageError):
        await world.devices()
    assert await world.devices(BEA) == [BEA]


async def test_an_answer_from_before_a_change_tells_no_change() -> None:
    world = Judging()
    world.server.gate = asyncio.Event()
    asking = asyncio.create_task(world.lists.of([ADA]))
    await settle()
    world.lists.forget(ADA)
    world.server.gate.set()
    await asking
    assert world.lists.changes == ()


# --- the server's notices


def notice(kind: ChangeKind, *devices: DeviceEntry, by: bytes = b"", **more: object) -> DevicesNotification:
    change = ListChange(kind, devices, by, **more)  # type: ignore[arg-type]
    return DevicesNotification(ADA, ADA_LID, (change,))


def hash_after(*entries: DeviceEntry, user: Jid = ADA) -> str:
    return participant_hash(user.with_device(entry.id) for entry in entries)


async def told(world: Judging) -> None:
    """Ada's list is known and kept: phone and companion 4."""
    world.server.tell(ADA, ZERO, FOUR, by=signed(0, 2))
    await world.devices()
    await world.settle()
    world.server.asked.clear()


async def test_a_notice_with_the_right_hashes_spares_a_question() -> None:
    world = Judging()
    await told(world)
    after = notice(
        ChangeKind.ADD,
        FIVE,
        by=signed(0, 2, 3, t=T + 1),
        device_hash=hash_after(ZERO, FOUR, FIVE),
        device_lid_hash=hash_after(ZERO, FOUR, FIVE, user=ADA_LID),
    )
    [change] = await world.lists.notified(after)
    assert change.added == (ADA.with_device(5),)
    assert world.lists.changes == (change,)
    assert await world.devices() == [ADA, ADA.with_device(4), ADA.with_device(5)]
    assert world.server.asked == []
    await world.settle()
    kept = world.kept()
    assert kept is not None
    assert kept.devices == (ZERO, FOUR, FIVE)


@pytest.mark.parametrize("by_lid", [False, True])
async def test_a_notice_with_another_hash_asks_anew(by_lid: bool) -> None:
    world = Judging()
    await told(world)
    wrong = "2:AAAAAAAA"
    hashes = {"device_lid_hash": wrong} if by_lid else {"device_hash": wrong}
    after = notice(ChangeKind.ADD, FIVE, by=signed(0, 2, 3, t=T + 1), **hashes)
    assert await world.lists.notified(after) == []
    assert world.lists.changes == ()
    world.server.tell(ADA, ZERO, FIVE, by=signed(0, 3, t=T + 1))
    assert await world.devices() == [ADA, ADA.with_device(5)]
    [change] = world.lists.changes
    assert (change.added, change.removed) == ((ADA.with_device(5),), (ADA.with_device(4),))


async def test_a_removed_companion_gets_nothing_from_then_on() -> None:
    world = Judging()
    await told(world)
    [change] = await world.lists.notified(notice(ChangeKind.REMOVE, FOUR, t=T + 1, device_hash=hash_after(ZERO)))
    assert change.removed == (ADA.with_device(4),)
    assert await world.devices() == [ADA]
    assert world.server.asked == []


async def test_two_notices_before_anybody_has_settled_are_told_together() -> None:
    world = Judging()
    await told(world)
    await world.lists.notified(notice(ChangeKind.ADD, FIVE, by=signed(0, 2, 3, t=T + 1)))
    [change] = await world.lists.notified(notice(ChangeKind.REMOVE, FOUR, t=T + 2))
    assert (change.added, change.removed) == ((ADA.with_device(5),), (ADA.with_device(4),))
    assert world.lists.changes == (change,)


async def test_one_notice_with_two_changes_takes_both() -> None:
    world = Judging()
    await told(world)
    add = ListChange(ChangeKind.ADD, (FIVE,), signed(0, 2, 3, t=T + 1))
    remove = ListChange(ChangeKind.REMOVE, (FOUR,), t=T + 2)
    [change] = await world.lists.notified(DevicesNotification(ADA, None, (add, remove)))
    assert change.after.devices == (ZERO, FIVE)


async def test_a_companion_removed_before_the_first_list_was_settled_is_told_too() -> None:
    world = Judging()
    world.server.tell(ADA, ZERO, FOUR, by=signed(0, 2))
    await world.devices()
    [change] = await world.lists.notified(notice(ChangeKind.REMOVE, FOUR, t=T + 1))
    assert change.removed == (ADA.with_device(4),)


async def test_a_notice_of_somebody_unknown_is_no_list() -> None:
    world = Judging()
    world.server.tell(ADA, ZERO, FOUR, by=signed(0, 2))
    assert await world.lists.notified(notice(ChangeKind.ADD, FOUR, by=signed(0, 2))) == []
    assert world.lists.changes == ()
    assert await world.devices() == [ADA, ADA.with_device(4)]
    assert len(world.server.asked) == 1


async def test_an_update_asks_anew_under_both_addresses() -> None:
    world = Judging()
    await told(world)
    world.server.tell(ADA_LID, ZERO)
    await world.devices(ADA_LID)
    assert await world.lists.notified(notice(ChangeKind.UPDATE, FOUR)) == []
    world.server.asked.clear()
    await world.lists.of([ADA, ADA_LID])
    assert world.server.asked == [[ADA, ADA_LID]]


async def test_an_update_by_hash_asks_anew_for_whom_it_names() -> None:
    world = Judging()
    await told(world)
    await world.devices(BEA)
    world.server.asked.clear()
    update = ListChange(ChangeKind.UPDATE, contact_hash=contact_hash(BEA.user))
    await world.lists.notified(DevicesNotification(ADA, None, (update,)))
    await world.lists.of([ADA, BEA])
    assert world.server.asked == [[BEA]]


async def test_an_answer_that_was_under_way_does_not_undo_a_notice() -> None:
    world = Judging()
    await told(world)
    world.lists.forget(ADA)
    world.server.gate = asyncio.Event()
    asking = asyncio.create_task(world.lists.of([ADA]))
    await settle()
    [change] = await world.lists.notified(notice(ChangeKind.REMOVE, FOUR, t=T + 1))
    world.server.gate.set()
    await asking
    assert world.lists.changes == (change,)
    world.server.tell(ADA, ZERO, by=signed(0, t=T + 1))
    assert await world.devices() == [ADA]


async def test_without_a_store_a_notice_makes_the_next_one_ask(server: Server) -> None:
    lists = DeviceLists(server.ask, StandingClock())
    await lists.of([ADA, BEA])
    assert await lists.notified(notice(ChangeKind.REMOVE, FOUR)) == []
    await lists.of([ADA, BEA])
    assert server.asked == [[ADA, BEA], [ADA]]
