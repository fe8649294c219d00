"""A contact comes with another identity key: taken, held for a decision, or refused, and told in every case."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from tests.support.waton_client import WatonPeer, waton_peer
from waton.client.events import IdentityChanged, MessageUndecryptable
from waton.client.identity_change_handler import IdentityPolicy, fingerprint
from waton.errors import LocalProtocolError
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.jid import signal_address
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.ports import RecordKind

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def lab() -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy())
    yield started
    await started.stop()


def with_policy(waton: WatonPeer, policy: IdentityPolicy) -> None:
    waton.client.config = replace(waton.client.config, identity_policy=policy)


async def changed(waton: WatonPeer, decision: str) -> IdentityChanged:
    def wanted(event: object) -> IdentityChanged | None:
        # The server's notice is told as well, and knows no key.
        is_wanted = isinstance(event, IdentityChanged) and event.decision == decision and event.new
        return event if isinstance(event, IdentityChanged) and is_wanted else None

    return await waton.event(wanted)


async def unread(waton: WatonPeer) -> MessageUndecryptable:
    return await waton.event(lambda event: event if isinstance(event, MessageUndecryptable) else None)


async def acquainted(lab: Lab, waton: WatonPeer) -> tuple[Phone, bytes]:
    """A contact with whom texts went both ways, and the identity key she is known by."""
    owner, ada = await lab.add_phone("Owner"), await lab.add_phone("Ada")
    await waton.pair(owner)
    await waton.client.send_text(ada.lid, "hello")
    assert (await ada.next_message()).text == "hello"
    await ada.send_text(waton.lid, "hello yourself")
    await waton.message("hello yourself")
    return ada, ada.identity.public


async def test_by_default_a_new_key_is_taken_and_told(lab: Lab) -> None:
    async with waton_peer(lab, "Owner") as waton:
        ada, old = await acquainted(lab, waton)
        ada.register_anew()
        await ada.send_text(waton.lid, "it is me, on another phone")
        told = await changed(waton, "accepted")
        assert (told.old, told.new) == (fingerprint(old), fingerprint(ada.identity.public))
        await waton.message("it is me, on another phone")
        await waton.client.send_text(ada.lid, "good")
        assert (await ada.next_message()).text == "good"


async def test_asked_the_message_is_held_until_somebody_has_decided(lab: Lab) -> None:
    async with waton_peer(lab, "Owner") as waton:
        ada, old = await acquainted(lab, waton)
        with_policy(waton, IdentityPolicy.ASK)
        ada.register_anew()
        await ada.send_text(waton.lid, "is it me?")
        told = await changed(waton, "held")
        assert (told.old, told.new) == (fingerprint(old), fingerprint(ada.identity.public))
        failed = await unread(waton)
        assert failed.reason == "untrusted_identity"
        with pytest.raises(LocalProtocolError, match="another identity key"):
            await waton.client.send_text(ada.lid, "who are you?")  # nothing is encrypted for what nobody has accepted
        assert not ada.messages[-1].from_me or ada.messages[-1].text == "is it me?"

        assert await waton.client.trust(ada.lid, ada.identity.public) == 1
        await waton.message("is it me?")
        assert (await unread(waton)).is_resolved
        await waton.client.send_text(ada.lid, "so it is")
        assert (await ada.next_message()).text == "so it is"


async def test_refused_nothing_is_read_and_the_known_key_stays(lab: Lab) -> None:
    async with waton_peer(lab, "Owner") as waton:
        ada, old = await acquainted(lab, waton)
        with_policy(waton, IdentityPolicy.REFUSE)
        ada.register_anew()
        await ada.send_text(waton.lid, "let me in")
        await changed(waton, "refused")
        assert not (await unread(waton)).will_retry
        assert await waton.store.load(RecordKind.IDENTITY, signal_address(ada.lid)) == old
        assert await waton.client.trust(ada.lid) == 0, "nothing was held"
