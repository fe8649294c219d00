"""Pairing by code, the server's side: what it refuses, over a real socket and without waton's client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from tests.lab.wire_client import WireClient, new_credentials, pair
from waton.errors import Disconnected, IqError, LabError
from waton.jid import Jid
from waton.lab.server import Lab
from waton.protocol.binary_node import Node
from waton.protocol.credentials import Credentials
from waton.protocol.stanza import iq
from waton.protocol.stanza.pairing import (
    LINK_CODE,
    CompanionFinish,
    CompanionHello,
    PrimaryHello,
    ref_of_link,
)


class Companion:
    """A connection that is being paired."""

    def __init__(self, lab: Lab, client: WireClient, credentials: Credentials) -> None:
        self.lab = lab
        self.client = client
        self.credentials = credentials
        self.hello = CompanionHello(
            lab.phones[0].pn, bytes(range(80)), credentials.noise_key.public, "1", "Chrome (Mac OS)"
        )

    async def ask(self, node: Node) -> Node:
        """The answer to an iq. Raises IqError."""
        await self.client.send(node)
        return iq.raise_for_error(await self.client.next("iq"))

    async def refused(self, node: Node) -> int:
        with pytest.raises(IqError) as refused:
            await self.ask(node)
        return refused.value.code


@pytest.fixture
async def companion(lab: Lab) -> AsyncGenerator[Companion]:
    credentials = new_credentials()
    async with WireClient.open(lab, credentials) as client:
        await client.next("iq")
        yield Companion(lab, client, credentials)


async def test_a_hello_gets_a_ref_of_its_own_each_time(companion: Companion) -> None:
    refs = [ref_of_link(await companion.ask(companion.hello.to_node(f"q{number}"))) for number in range(2)]
    assert len(set(refs)) == 2
    assert all(len(ref) == 32 for ref in refs)


async def test_a_hello_for_nobody_or_of_somebody_else_is_refused(companion: Companion) -> None:
    hello = companion.hello
    stranger = Jid.parse("15559999999@s.whatsapp.net")
    assert await companion.refused(replace(hello, jid=stranger).to_node("q1")) == 404
    assert await companion.refused(replace(hello, noise_key=bytes(32)).to_node("q2")) == 400


@pytest.mark.parametrize(
    "display", ["", "Chrome", "Chrome ()", "(Mac OS)", "<b>Chrome</b> (Mac OS)", "Chrome (Mac OS) x"]
)
async def test_a_name_that_no_browser_has_is_refused(companion: Companion, display: str) -> None:
    assert await companion.refused(replace(companion.hello, platform_display=display).to_node("q1")) == 400


@pytest.mark.parametrize("stage", ["", "primary_hello", "refresh_code", "unheard of"])
async def test_another_stage_is_refused(companion: Companion, stage: str) -> None:
    link = Node(LINK_CODE, {"stage": stage or None})
    assert await companion.refused(Node("iq", {"type": "set", "xmlns": "md", "id": "q1"}, [link])) == 400


async def test_a_finish_that_nobody_waits_for_is_refused(companion: Companion) -> None:
    finish = CompanionFinish(companion.hello.jid, bytes(156), companion.credentials.identity_key.public, b"ref")
    assert await companion.refused(finish.to_node("q1")) == 400
    ref = ref_of_link(await companion.ask(companion.hello.to_node("q2")))
    assert await companion.refused(replace(finish, ref=ref).to_node("q3")) == 400


async def test_a_finish_has_the_ref_and_the_identity_of_the_connection(companion: Companion) -> None:
    mine = companion.credentials.identity_key.public
    ref = ref_of_link(await companion.ask(companion.hello.to_node("q1")))
    typing = asyncio.create_task(companion.lab.phones[0].enter_code("ABCDEFGH"))
    asked = PrimaryHello.from_node(await companion.client.next("notification"))
    assert asked.ref == ref
    assert asked.identity_key == companion.lab.phones[0].identity.public
    finish = CompanionFinish(companion.hello.jid, bytes(156), mine, ref)
    assert await companion.refused(replace(finish, ref=b"another").to_node("q2")) == 400
    assert await companion.refused(replace(finish, identity_key=bytes(32)).to_node("q3")) == 400
    await companion.client.socket.close()
    with pytest.raises(Disconnected):
        await typing


async def test_a_code_is_answered_by_one_typing_at_a_time(companion: Companion) -> None:
    await companion.ask(companion.hello.to_node("q1"))
    phone = companion.lab.phones[0]
    typing = asyncio.create_task(phone.enter_code("ABCDEFGH", timeout=0.5))
    await companion.client.next("notification")
    with pytest.raises(LabError):
        await phone.enter_code("ABCDEFGH")
    with pytest.raises(LabError, match="does not answer"):
        await typing


async def test_a_device_that_is_linked_is_not_linked_once_more(lab: Lab) -> None:
    mine = await pair(lab)
    async with WireClient.open(lab, mine) as client:
        await client.next("success")
        hello = CompanionHello(lab.phones[0].pn, bytes(80), mine.noise_key.public, "1", "Chrome (Mac OS)")
        await client.send(hello.to_node("q1"))
        with pytest.raises(IqError) as refused:
            iq.raise_for_error(await client.next("iq"))
        assert refused.value.code == 405
