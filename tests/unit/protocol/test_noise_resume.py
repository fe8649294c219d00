"""The resumed handshake: one message each way, the chain checked all the same, and XXfallback when it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from tests.unit.protocol.test_noise import WRONG_LINKS, step_of
from tests.unit.protocol.wires import (
    DEVICE,
    INTERMEDIATE,
    KNOWN,
    LEAF,
    NOW,
    ROOT,
    SOUND_CHAIN,
    STATIC,
    STRANGER,
    Ends,
    cert_chain,
    client_handshake,
    flipped,
    handshakes,
    nodes,
    server_handshake,
)
from waton.errors import HandshakeError, HandshakeStep, RemoteProtocolError
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.noise import ClientHandshake, KnownServer, Pattern, ServerHandshake

Step = HandshakeStep
OTHER_LEAF = replace(LEAF, key=STRANGER.public)
OTHER_CHAIN = cert_chain(leaf=OTHER_LEAF)
"""Sound, and names the stranger as the server."""


def resuming(payload: bytes = b"who I am", known: KnownServer = KNOWN) -> ClientHandshake:
    return client_handshake(payload, known=known)


def message(body: bytes | None) -> proto.HandshakeMessage:
    assert body is not None
    return proto.HandshakeMessage.FromString(body)


def agree(client: ClientHandshake, server: ServerHandshake) -> None:
    """Both have transports, and they belong together."""
    assert client.transport is not None
    assert server.transport is not None
    assert server.transport.decrypt(client.transport.encrypt(b"up")) == b"up"
    assert client.transport.decrypt(server.transport.encrypt(b"down")) == b"down"


# --- resumed ----------------------------------------------------------------------------------------------------------


def test_one_message_each_way_says_everything() -> None:
    client, server = resuming(), server_handshake()
    hello = server.receive(client.start(), NOW)
    assert (server.payload, server.remote_static) == (b"who I am", DEVICE.public)
    assert hello is not None
    assert client.receive(hello, NOW) is None
    assert (client.payload, client.remote_static) == (SOUND_CHAIN, STATIC.public)
    assert client.pattern is server.pattern is Pattern.IK
    agree(client, server)


def test_the_wire_holds_what_the_protocol_says() -> None:
    client, server = resuming(), server_handshake()
    hello = message(client.start()).clientHello
    assert (len(hello.ephemeral), len(hello.static), len(hello.payload)) == (32, 48, len(b"who I am") + 16)
    answer = message(server.receive(proto.HandshakeMessage(clientHello=hello).SerializeToString(), NOW))
    assert (len(answer.serverHello.ephemeral), len(answer.serverHello.static)) == (32, 0)
    assert len(answer.serverHello.payload) == len(SOUND_CHAIN) + 16


def test_nothing_of_a_resumed_handshake_is_readable_on_the_wire() -> None:
    client, server = resuming(b"who I am, in secret"), server_handshake()
    hello = client.start()
    answer = server.receive(hello, NOW) or b""
    for secret in (b"in secret", DEVICE.public, STATIC.public):
        assert secret not in hello
        assert secret not in answer


@pytest.mark.parametrize("name", WRONG_LINKS)
def test_the_chain_is_checked_in_a_resumed_handshake_too(name: str) -> None:
    chain, step = WRONG_LINKS[name]
    client, server = resuming(), server_handshake(chain.SerializeToString())
    answer = server.receive(client.start(), NOW) or b""
    assert step_of(lambda: client.receive(answer, NOW)) is step
    assert client.transport is None


def test_a_tampered_answer_is_refused() -> None:
    sound = message(server_handshake().receive(resuming().start(), NOW))
    for part in ("ephemeral", "payload"):
        data = getattr(sound.serverHello, part)
        for place in {0, len(data) // 2, len(data) - 1}:
            changed = proto.HandshakeMessage()
            changed.CopyFrom(sound)
            setattr(changed.serverHello, part, flipped(data, place))
            client = resuming()
            client.start()
            assert step_of(partial(client.receive, changed.SerializeToString(), NOW)) is Step.SERVER_HELLO
            assert client.transport is None


def test_an_answer_to_another_hello_is_refused() -> None:
    other = ClientHandshake(
        static_private=DEVICE.private, ephemeral_private=bytes([7]) * 32, payload=b"", root=ROOT.public, known=KNOWN
    )
    answer = server_handshake().receive(other.start(), NOW) or b""
    client = resuming()
    client.start()
    assert step_of(lambda: client.receive(answer, NOW)) is Step.SERVER_HELLO


def test_a_client_that_did_not_resume_takes_no_short_answer() -> None:
    answer = server_handshake().receive(resuming().start(), NOW) or b""
    client = client_handshake()
    client.start()
    assert step_of(lambda: client.receive(answer, NOW)) is Step.SERVER_HELLO


@pytest.mark.parametrize(
    ("static", "payload"),
    [(48, 0), (0, 16), (47, 16), (49, 16), (48, 15)],
)
def test_a_hello_that_resumes_by_half_is_malformed(static: int, payload: int) -> None:
    hello = proto.HandshakeMessage.ClientHello(ephemeral=DEVICE.public, static=bytes(static), payload=bytes(payload))
    server = server_handshake()
    body = proto.HandshakeMessage(clientHello=hello).SerializeToString()
    assert step_of(lambda: server.receive(body, NOW)) is Step.CLIENT_HELLO


# --- fallen back ------------------------------------------------------------------------------------------------------


def finish(client: ClientHandshake, server: ServerHandshake, hello: bytes) -> None:
    answer = server.receive(hello, NOW)
    assert message(answer).serverHello.static
    assert server.transport is None
    last = client.receive(answer or b"", NOW)
    assert message(last).clientFinish.static
    assert server.receive(last or b"", NOW) is None
    assert (server.payload, server.remote_static) == (b"who I am", DEVICE.public)
    assert client.pattern is server.pattern is Pattern.XX_FALLBACK
    agree(client, server)


def test_a_server_that_declines_falls_back() -> None:
    client = resuming()
    finish(client, server_handshake(declines=True), client.start())
    assert client.remote_static == STATIC.public


def test_a_server_with_another_key_falls_back_and_the_client_learns_it() -> None:
    client = resuming()
    finish(client, server_handshake(OTHER_CHAIN.SerializeToString(), STRANGER), client.start())
    assert (client.remote_static, client.payload) == (STRANGER.public, OTHER_CHAIN.SerializeToString())


@pytest.mark.parametrize("part", ["static", "payload"])
def test_a_hello_that_was_tampered_with_costs_a_round_trip_and_no_more(part: str) -> None:
    client = resuming()
    hello = message(client.start())
    setattr(hello.clientHello, part, flipped(getattr(hello.clientHello, part), 20))
    finish(client, server_handshake(), hello.SerializeToString())


def test_a_tampered_ephemeral_key_ends_the_handshake() -> None:
    client, server = resuming(), server_handshake()
    hello = message(client.start())
    hello.clientHello.ephemeral = flipped(hello.clientHello.ephemeral, 3)
    answer = server.receive(hello.SerializeToString(), NOW) or b""
    assert server.pattern is Pattern.XX_FALLBACK
    assert step_of(lambda: client.receive(answer, NOW)) is Step.SERVER_HELLO


def test_a_fallback_is_no_way_around_the_chain() -> None:
    client = resuming()
    answer = server_handshake(SOUND_CHAIN, STRANGER).receive(client.start(), NOW) or b""
    assert step_of(lambda: client.receive(answer, NOW)) is Step.LEAF_KEY
    client = resuming()
    forged = cert_chain(leaf=OTHER_LEAF, issuer=STRANGER)
    answer = server_handshake(forged.SerializeToString(), STRANGER).receive(client.start(), NOW) or b""
    assert step_of(lambda: client.receive(answer, NOW)) is Step.LEAF_SIGNATURE


def test_an_answer_of_plain_xx_is_not_taken_for_a_fallback() -> None:
    answer = server_handshake().receive(client_handshake().start(), NOW) or b""  # the same two ephemeral keys
    client = resuming()
    client.start()
    assert step_of(lambda: client.receive(answer, NOW)) is Step.SERVER_HELLO


# --- who is known -----------------------------------------------------------------------------------------------------


def test_a_known_server_is_good_while_its_chain_verifies() -> None:
    assert KNOWN.is_good(ROOT.public, NOW)
    assert not KNOWN.is_good(STRANGER.public, NOW)
    assert not KNOWN.is_good(ROOT.public, LEAF.not_after + 1)
    assert not KNOWN.is_good(ROOT.public, INTERMEDIATE.not_before - 1)
    assert not KnownServer(STRANGER.public, SOUND_CHAIN).is_good(ROOT.public, NOW)
    for damaged in (b"", b"\xff\xff", flipped(SOUND_CHAIN, len(SOUND_CHAIN) - 1), SOUND_CHAIN[:-1]):
        assert not KnownServer(STATIC.public, damaged).is_good(ROOT.public, NOW)
    assert not KnownServer(b"", b"").is_good(ROOT.public, NOW)


def test_a_low_order_key_is_not_spoken_to() -> None:
    with pytest.raises(HandshakeError):
        resuming(known=KnownServer(bytes(32), SOUND_CHAIN)).start()


# --- connections ------------------------------------------------------------------------------------------------------


def test_a_stanza_may_come_with_the_answer_in_one_message() -> None:
    ends = Ends(client_noise=resuming())
    ends.start()
    for data in ends.client.data_to_send():
        ends.server.receive(data, NOW)
    assert handshakes(ends.server.events())
    ends.server.send(Node("success", {"t": "5"}), NOW)
    ends.client.receive(b"".join(ends.server.data_to_send()), NOW)
    events = ends.client.events()
    assert [event.pattern for event in handshakes(events)] == [Pattern.IK]
    assert nodes(events) == [Node("success", {"t": "5"})]
    ends.client.send(Node("iq", {"id": "1"}), NOW)
    for data in ends.client.data_to_send():
        ends.server.receive(data, NOW)
    assert nodes(ends.server.events()) == [Node("iq", {"id": "1"})]


@pytest.mark.parametrize(
    ("client", "declines", "pattern"),
    [
        (client_handshake, False, Pattern.XX),
        (resuming, False, Pattern.IK),
        (resuming, True, Pattern.XX_FALLBACK),
    ],
)
def test_the_trace_says_which_handshake_it_was(
    client: Callable[[], ClientHandshake], declines: bool, pattern: Pattern
) -> None:
    ends = Ends(client_noise=client(), server_noise=server_handshake(declines=declines)).open()
    for traces in (ends.client_traces, ends.server_traces):
        [opened] = [trace for trace in traces if trace.name == "connection" and '"after": "open"' in trace.detail]
        assert f'"noise": "{pattern.value}"' in opened.detail


def test_a_resumed_frame_that_is_harmed_ends_the_connection() -> None:
    ends = Ends(client_noise=resuming()).open()
    ends.server.send(Node("success"), NOW)
    [data] = ends.server.data_to_send()
    with pytest.raises(RemoteProtocolError):
        ends.client.receive(flipped(data, len(data) - 1), NOW)
