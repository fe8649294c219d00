"""DeviceLists: asked once, remembered for a while, forgotten when told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.unit.client.worlds import StandingClock, settle
from waton.client.devices import REMEMBER_SECONDS, DeviceLists
from waton.errors import QueryTimeout
from waton.jid import Jid
from waton.protocol.stanza.usync import DeviceEntry, UserResult

ADA, BEA = Jid.parse("4915000000001@s.whatsapp.net"), Jid.parse("77000000000002@lid")


class Server:
    """Answers the usync question, and writes down what it was asked."""

    def __init__(self, *known: Jid) -> None:
        self.known = {jid: (DeviceEntry(0),) for jid in known}
        self.asked: list[list[Jid]] = []
        self.fault: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def ask(self, users: Sequence[Jid]) -> list[UserResult]:
        self.asked.append(list(users))
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return [UserResult(user, self.known[user]) for user in users if user in self.known]


@pytest.fixture
def server() -> Server:
    return Server(ADA, BEA)


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
    server.known[ADA] = (DeviceEntry(0), DeviceEntry(5, 1))
    assert (await lists.of([ADA]))[ADA].device_jids() == [ADA, ADA.with_device(5)]
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


async def test_a_change_while_others_are_asked_for_does_not_lose_anybody(server: Server) -> None:
    lists = DeviceLists(server.ask, StandingClock())
    await lists.of([ADA])
    server.gate = asyncio.Event()
    asking = asyncio.create_task(lists.of([ADA, BEA]))
    await settle()
    lists.forget(ADA)
    server.gate.set()
    assert set(await asking) == {ADA, BEA}


async def test_a_failed_question_leaves_nothing_behind(server: Server) -> None:
    lists = DeviceLists(server.ask, StandingClock())
    server.fault = QueryTimeout("1", 60)
    with pytest.raises(QueryTimeout):
        await lists.of([ADA])
    server.fault = None
    assert set(await lists.of([ADA])) == {ADA}
