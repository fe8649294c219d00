"""The real whatsapp-rust against the lab: the one other client that resumes its handshakes (Noise IK)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from tests.requirements import require
from tests.support.whatsapp_rust import RustPeer
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.lab.faults import Fault
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.protocol.credentials import KeyPair
from waton.protocol.noise import Pattern, ServerHandshake
from waton.protocol.trace import Layer, Trace

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]
require("whatsapp-rust")
XX, IK, FALLBACK = "XX", "IK", "XXfallback"


@pytest.fixture
def traces() -> list[Trace]:
    return []


@pytest.fixture
async def lab(traces: list[Trace]) -> AsyncGenerator[Lab]:
    started = await Lab.start(clock=SystemClock(), entropy=SystemEntropy(), sink=traces.extend)
    yield started
    await started.stop()


def handshakes(traces: list[Trace]) -> list[str]:
    """How each connection that opened was opened, oldest first."""
    moves = [json.loads(trace.detail) for trace in traces if (trace.layer, trace.name) == (Layer.STATE, "connection")]
    return [move["noise"] for move in moves if move["after"] == "open"]


async def pair(rust: RustPeer, phone: Phone) -> None:
    await phone.scan(await rust.qr())
    await rust.event("connected")


async def reached(lab: Lab, phone: Phone, text: str) -> None:
    """A text to the companion arrives and is receipted: the transport keys of the handshake are right both ways."""
    writer = await lab.add_phone(f"Writer of {text}")
    id = await writer.send_text(phone.lid, text)
    await writer.next_receipt(id)


async def test_it_resumes_with_the_lab(lab: Lab, traces: list[Trace]) -> None:
    phone = lab.phones[0]
    async with RustPeer.start(lab.url) as rust:
        await pair(rust, phone)
        await rust.reconnect()
        await reached(lab, phone, "resumed")
        await rust.reconnect()
        assert handshakes(traces) == [XX, XX, IK, IK]
        assert not [trace for trace in traces if trace.name == "lab.protocol_error"]


async def test_it_follows_a_lab_that_declines(lab: Lab, traces: list[Trace]) -> None:
    phone = lab.phones[0]
    async with RustPeer.start(lab.url) as rust:
        await pair(rust, phone)
        lab.faults.next(Fault.declined())
        await rust.reconnect()
        await reached(lab, phone, "fallen back")
        await rust.reconnect()
        assert handshakes(traces) == [XX, XX, FALLBACK, IK]


async def test_it_follows_a_lab_that_has_another_key(lab: Lab, traces: list[Trace]) -> None:
    phone = lab.phones[0]
    async with RustPeer.start(lab.url) as rust:
        await pair(rust, phone)
        lab.authority = replace(lab.authority, static=KeyPair.of(bytes(range(32))))
        await rust.reconnect()
        await reached(lab, phone, "another key")
        await rust.reconnect()
        assert handshakes(traces) == [XX, XX, FALLBACK, IK]


async def test_it_verifies_the_resumed_answer(lab: Lab, traces: list[Trace], monkeypatch: pytest.MonkeyPatch) -> None:
    """One bit of the answer's tag: so what it accepts in the tests above, it has decrypted under the same keys."""
    sound = ServerHandshake.receive

    def harmed(self: ServerHandshake, body: bytes, now: float) -> bytes | None:
        answer = sound(self, body, now)
        return answer[:-1] + bytes([answer[-1] ^ 1]) if answer is not None and self.pattern is Pattern.IK else answer

    async with RustPeer.start(lab.url) as rust:
        await pair(rust, lab.phones[0])
        monkeypatch.setattr(ServerHandshake, "receive", harmed)
        await rust.reconnect()
        assert handshakes(traces) == [XX, XX, IK, XX], "the lab's side of the refused one, and then in full"
