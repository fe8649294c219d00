"""The real Baileys among people who take no messages from strangers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.requirements import require
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import Jid
from waton.lab import privacy
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.parity.oracle import BaileysPeer
from waton.protocol.trace import Trace

pytestmark = pytest.mark.peer
require("baileys")


@dataclass(slots=True)
class Watched:
    """A lab whose traces can be waited for."""

    names: list[str] = field(default_factory=list[str])
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, traces: Sequence[Trace]) -> None:
        self.names += [trace.name for trace in traces]
        self.changed.set()

    async def until(self, name: str, count: int = 1) -> None:
        """Wait until this was noted so many times."""
        async with asyncio.timeout(20):
            while self.names.count(name) < count:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def running(prepare: Callable[[Lab], None] = lambda lab: None) -> AsyncGenerator[tuple[Lab, Watched]]:
    watched = Watched()
    lab = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), sink=watched.take)
    prepare(lab)
    try:
        yield lab, watched
    finally:
        await lab.stop()


async def pair(bea: BaileysPeer, phone: Phone) -> Jid:
    """Have Baileys paired by this phone; its LID address without the device."""
    await phone.scan(await bea.qr())
    me = await bea.opened()
    return Jid.parse(me["lid"]).bare


async def error_of(bea: BaileysPeer, id: str) -> str:
    """The code of a message of Baileys' own that was refused: in an update, or merged into the message's event."""

    def is_it(event: Mapping[str, Any]) -> bool:
        return event["event"] in ("update", "message") and event["key"]["id"] == id and event["status"] == 0

    event = await bea.first("refusal", is_it)
    if event["event"] == "message":
        return str(event["why"][0])
    updates = [one for raw in bea.raw if raw.type == "messages.update" for one in raw.value]
    told = [one["update"]["messageStubParameters"] for one in updates if one["key"]["id"] == id]
    return str(told[-1][0])


async def test_a_stranger_is_refused_until_the_other_one_writes_first() -> None:
    async with running() as (lab, watched):
        owner, theirs = await lab.add_phone("Owner"), await lab.add_phone("Bea")
        owner.restrict()
        async with BaileysPeer.start(lab.url, name="Bea") as bea:
            bea_jid = await pair(bea, theirs)
            refused = await bea.send_text(owner.lid, "let me in")
            assert await error_of(bea, refused) == "463"
            assert not owner.messages

            await owner.send_text(bea_jid, "hello")
            await bea.message("hello")
            for to in (owner.lid, owner.pn):
                await bea.send_text(to, f"hello back, {to.server}")
                assert (await owner.next_message()).text == f"hello back, {to.server}"
            assert watched.names.count("lab.stranger") == 1


async def test_a_stranger_s_new_message_after_a_token_that_came_while_it_was_away() -> None:
    async with running() as (lab, _):
        owner, theirs = await lab.add_phone("Owner"), await lab.add_phone("Bea")
        owner.restrict()
        async with BaileysPeer.start(lab.url, name="Bea") as bea:
            await pair(bea, theirs)
            await bea.end()
            owner.trust(theirs.pn)
            await bea.reconnect()
            await bea.send_text(owner.lid, "I was told")
            assert (await owner.next_message()).text == "I was told"


async def test_baileys_gives_its_own_to_whom_it_writes() -> None:
    async with running() as (lab, watched):
        owner, theirs = await lab.add_phone("Owner"), await lab.add_phone("Bea")
        async with BaileysPeer.start(lab.url, name="Bea") as bea:
            bea_jid = await pair(bea, theirs)
            theirs.restrict(client_tokens=False)
            refused = await owner.send_text(bea_jid, "a stranger")
            assert owner.refused == {refused: 463}

            await bea.send_text(owner.lid, "write to me")
            assert (await owner.next_message()).text == "write to me"
            await watched.until("lab.privacy_token")
            world = lab.service.world
            assert privacy.token_of(world, theirs.account, owner.account) is not None
            await owner.send_text(bea_jid, "gladly")
            await bea.message("gladly")
            assert owner.refused == {refused: 463}


async def test_a_refusal_makes_baileys_give_its_own_and_send_nothing_again() -> None:
    async with running() as (lab, watched):
        owner, theirs = await lab.add_phone("Owner"), await lab.add_phone("Bea")
        owner.restrict()
        async with BaileysPeer.start(lab.url, name="Bea") as bea:
            await pair(bea, theirs)
            refused = await bea.send_text(owner.lid, "let me in")
            assert await error_of(bea, refused) == "463"
            await watched.until("lab.privacy_token")
            assert privacy.token_of(lab.service.world, theirs.account, owner.account) is not None
            assert watched.names.count("lab.stranger") == 1
            assert not owner.messages


async def test_baileys_shows_no_token_when_the_server_wants_none() -> None:
    async with running(lambda lab: lab.service.props.update({"10518": "0"})) as (lab, watched):
        owner, theirs = await lab.add_phone("Owner"), await lab.add_phone("Bea")
        owner.restrict()
        async with BaileysPeer.start(lab.url, name="Bea") as bea:
            bea_jid = await pair(bea, theirs)
            await owner.send_text(bea_jid, "hello")
            await bea.message("hello")
            refused = await bea.send_text(owner.lid, "hello back")
            assert await error_of(bea, refused) == "463"
            assert watched.names.count("lab.stranger") == 1
