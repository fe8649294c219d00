"""waton and a contact who takes no messages from strangers: refused by name, let in by a token, its own or a given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.events import CredentialsUpdate
from waton.client.privacy_tokens import SendError, load
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.lab.phone import Phone
from waton.lab.server import Lab

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield started
    await started.stop()


async def paired(lab: Lab, waton: WatonPeer) -> Phone:
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    await waton.pair(owner)
    # The salt comes with the first history.
    await waton.event(
        lambda event: event if isinstance(event, CredentialsUpdate) and "nct_salt" in event.what else None
    )
    return ada


async def token_of(waton: WatonPeer, phone: Phone) -> bytes:
    """Wait until the client keeps a token of this person; it is told by a transition, and by no event."""
    for _ in range(1_000):
        if token := (await load(waton.store, phone.lid)).token:
            return token
        await asyncio.sleep(0.01)
    raise TimeoutError


async def test_a_stranger_shows_a_token_of_its_own(lab: Lab) -> None:
    async with waton_peer(lab, "Owner") as waton:
        ada = await paired(lab, waton)
        ada.restrict()
        result = await waton.client.send_text(ada.lid, "hello, you do not know me")
        assert result.is_accepted
        assert (await ada.next_message()).text == "hello, you do not know me"


async def test_refused_for_want_of_a_token_it_says_so_and_is_not_sent_again(lab: Lab) -> None:
    async with waton_peer(lab, "Owner") as waton:
        ada = await paired(lab, waton)
        ada.restrict(client_tokens=False)
        result = await waton.client.send_text(ada.lid, "let me in", id="WANT")
        assert not result.is_accepted
        assert (result.error, result.reason) == (463, SendError.TOKEN_MISSING)
        again = await waton.client.send_text(ada.lid, "let me in", id="WANT")
        assert not again.is_accepted
        assert not ada.messages

        ada.trust(owner_of(lab).pn)
        assert await token_of(waton, ada)
        assert (await waton.client.send_text(ada.lid, "and now?")).is_accepted
        assert (await ada.next_message()).text == "and now?"


def owner_of(lab: Lab) -> Phone:
    return next(phone for phone in lab.phones if phone.name == "Owner")
