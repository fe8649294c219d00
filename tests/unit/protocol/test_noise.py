"""The handshake of both sides against each other, and the certificate chain: sound, and with each defect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from tests.unit.protocol.wires import (
    DEVICE,
    INTERMEDIATE,
    LEAF,
    MIDDLE,
    NOW,
    ROOT,
    SOUND_CHAIN,
    STATIC,
    STRANGER,
    cert_chain,
    client_handshake,
    flipped,
    server_handshake,
)
from waton.errors import HandshakeError, HandshakeStep, LocalProtocolError, RemoteProtocolError, WatonError
from waton.protocol import proto
from waton.protocol.noise import HANDSHAKE_FRAME_LIMIT, PRODUCTION_ROOT, Certificate, verify_chain

Step = HandshakeStep


def verify(
    chain: bytes | proto.CertChain, *, static: bytes = STATIC.public, root: bytes = ROOT.public, now: float = NOW
) -> tuple[Certificate, Certificate]:
    data = chain if isinstance(chain, bytes) else chain.SerializeToString()
    return verify_chain(data, server_static=static, root=root, now=now)


def step_of(act: Callable[[], object]) -> HandshakeStep:
    """The step at which a HandshakeError says that it failed."""
    with pytest.raises(HandshakeError) as refused:
        act()
    return refused.value.step


# --- the chain --------------------------------------------------------------------------------------------------------


def test_a_sound_chain_verifies() -> None:
    assert verify(SOUND_CHAIN) == (LEAF, INTERMEDIATE)


def test_the_production_root_is_the_published_one() -> None:
    # Source: Baileys Defaults/index.ts WA_CERT_DETAILS, whatsmeow handshake.go WACertPubKey.
    assert PRODUCTION_ROOT.hex() == "142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b"
    assert step_of(lambda: verify(SOUND_CHAIN, root=PRODUCTION_ROOT)) is Step.INTERMEDIATE_SIGNATURE


WRONG_LINKS = {
    "another root signed": (cert_chain(root=STRANGER), Step.INTERMEDIATE_SIGNATURE),
    "intermediate names another issuer": (cert_chain(replace(INTERMEDIATE, issuer_serial=1)), Step.CERTIFICATE_ROOT),
    "leaf names another issuer": (cert_chain(leaf=replace(LEAF, issuer_serial=8)), Step.LEAF_ISSUER),
    "leaf names the root as issuer": (cert_chain(leaf=replace(LEAF, issuer_serial=0)), Step.LEAF_ISSUER),
    "a stranger signed the leaf": (cert_chain(issuer=STRANGER), Step.LEAF_SIGNATURE),
    "the root signed the leaf": (cert_chain(issuer=ROOT), Step.LEAF_SIGNATURE),
    "leaf is of another key": (cert_chain(leaf=replace(LEAF, key=STRANGER.public)), Step.LEAF_KEY),
    "leaf key too short": (cert_chain(leaf=replace(LEAF, key=STATIC.public[:31])), Step.CERTIFICATE_FORMAT),
    "intermediate key too long": (
        cert_chain(replace(INTERMEDIATE, key=MIDDLE.public + b"\0")),
        Step.CERTIFICATE_FORMAT,
    ),
    "leaf is over": (cert_chain(leaf=replace(LEAF, not_after=int(NOW) - 1)), Step.CERTIFICATE_DATES),
    "leaf is not yet": (cert_chain(leaf=replace(LEAF, not_before=int(NOW) + 1)), Step.CERTIFICATE_DATES),
    "intermediate is over": (cert_chain(replace(INTERMEDIATE, not_after=int(NOW) - 1)), Step.CERTIFICATE_DATES),
    "intermediate is not yet": (cert_chain(replace(INTERMEDIATE, not_before=int(NOW) + 1)), Step.CERTIFICATE_DATES),
}


@pytest.mark.parametrize("name", WRONG_LINKS)
def test_a_wrong_link_is_refused_at_its_step(name: str) -> None:
    chain, step = WRONG_LINKS[name]
    assert step_of(lambda: verify(chain)) is step


def without(part: str) -> bytes:
    chain = cert_chain()
    chain.ClearField(part)
    return chain.SerializeToString()


def with_leaf(**changes: bytes) -> bytes:
    chain = cert_chain()
    for name, value in changes.items():
        setattr(chain.leaf, name, value)
    return chain.SerializeToString()


@pytest.mark.parametrize(
    "chain",
    [
        b"",
        b"\xff\xff",
        without("leaf"),
        without("intermediate"),
        with_leaf(details=b"\xff\xff"),
        with_leaf(details=b""),
        with_leaf(signature=b""),
        with_leaf(signature=bytes(63)),
        with_leaf(signature=bytes(65)),
    ],
)
def test_what_is_no_chain_is_refused(chain: bytes) -> None:
    assert step_of(lambda: verify(chain)) is Step.CERTIFICATE_FORMAT


def test_the_proved_key_must_be_the_leafs() -> None:
    assert step_of(lambda: verify(SOUND_CHAIN, static=STRANGER.public)) is Step.LEAF_KEY


@pytest.mark.parametrize(("now", "good"), [(-100, True), (-101, False), (100, True), (101, False), (-100.5, False)])
def test_dates_include_their_ends(now: float, good: bool) -> None:
    if good:
        verify(SOUND_CHAIN, now=NOW + now)
    else:
        assert step_of(lambda: verify(SOUND_CHAIN, now=NOW + now)) is Step.CERTIFICATE_DATES


def test_links_of_two_chains_do_not_mix() -> None:
    other = cert_chain(replace(INTERMEDIATE, key=STRANGER.public), issuer=STRANGER)
    mixed = proto.CertChain(leaf=cert_chain().leaf, intermediate=other.intermediate)
    assert step_of(lambda: verify(mixed)) is Step.LEAF_SIGNATURE


def test_every_flipped_bit_of_a_chain_is_refused() -> None:
    steps = {
        step_of(partial(verify, flipped(SOUND_CHAIN, place, bit)))
        for place in range(len(SOUND_CHAIN))
        for bit in range(8)
    }
    assert {Step.CERTIFICATE_FORMAT, Step.INTERMEDIATE_SIGNATURE, Step.LEAF_SIGNATURE} <= steps


# --- the handshake ----------------------------------------------------------------------------------------------------


def test_both_sides_agree_and_learn_of_each_other() -> None:
    client, server = client_handshake(b"who I am"), server_handshake()
    hello = server.receive(client.start(), NOW)
    assert hello is not None
    assert client.transport is None
    finish = client.receive(hello, NOW) or b""
    assert (client.payload, client.remote_static) == (SOUND_CHAIN, STATIC.public)
    assert server.transport is None
    assert server.receive(finish, NOW) is None
    assert (server.payload, server.remote_static) == (b"who I am", DEVICE.public)
    assert client.transport is not None
    assert server.transport is not None
    for number in range(3):
        said = f"up {number}".encode()
        sealed = client.transport.encrypt(said)
        assert said not in sealed
        assert server.transport.decrypt(sealed) == said
        assert client.transport.decrypt(server.transport.encrypt(b"down")) == b"down"


def test_the_directions_have_their_own_keys() -> None:
    client, server = client_handshake(), server_handshake()
    finish = client.receive(server.receive(client.start(), NOW) or b"", NOW) or b""
    server.receive(finish, NOW)
    assert client.transport is not None
    assert server.transport is not None
    sealed = client.transport.encrypt(b"up")
    with pytest.raises(RemoteProtocolError):
        client.transport.decrypt(sealed)
    assert server.transport.decrypt(sealed) == b"up"
    with pytest.raises(RemoteProtocolError):
        server.transport.decrypt(sealed)  # a replay: the counter has moved


def test_every_flipped_byte_of_a_frame_is_refused_and_the_counter_stays() -> None:
    client, server = client_handshake(), server_handshake()
    server.receive(client.receive(server.receive(client.start(), NOW) or b"", NOW) or b"", NOW)
    assert client.transport is not None
    assert server.transport is not None
    sealed = client.transport.encrypt(b"attack at dawn")
    for place in range(len(sealed)):
        with pytest.raises(RemoteProtocolError):
            server.transport.decrypt(flipped(sealed, place))
    assert server.transport.received == 0
    assert server.transport.decrypt(sealed) == b"attack at dawn"


def test_payloads_are_not_readable_on_the_wire() -> None:
    client, server = client_handshake(b"who I am, in secret"), server_handshake()
    hello = server.receive(client.start(), NOW) or b""
    finish = client.receive(hello, NOW) or b""
    assert b"in secret" not in finish
    assert DEVICE.public not in finish
    assert STATIC.public not in hello
    assert LEAF.key not in hello


def hello_with(**changes: bytes) -> proto.HandshakeMessage:
    server = server_handshake()
    made = proto.HandshakeMessage.FromString(server.receive(client_handshake().start(), NOW) or b"")
    for name, value in changes.items():
        setattr(made.serverHello, name, value)
    return made


def answer_to(hello: bytes) -> HandshakeStep:
    client = client_handshake()
    client.start()
    step = step_of(lambda: client.receive(hello, NOW))
    assert client.transport is None
    return step


SERVER_HELLO = hello_with()


@pytest.mark.parametrize(
    "hello",
    [
        b"",
        b"\xff\xff\xff",
        proto.HandshakeMessage(clientHello=proto.HandshakeMessage.ClientHello(ephemeral=bytes(32))).SerializeToString(),
        hello_with(ephemeral=bytes(31)).SerializeToString(),
        hello_with(static=bytes(47)).SerializeToString(),
        hello_with(payload=bytes(15)).SerializeToString(),
        hello_with(payload=bytes(70_000)).SerializeToString(),
    ],
)
def test_a_malformed_server_hello_is_refused(hello: bytes) -> None:
    assert answer_to(hello) is Step.SERVER_HELLO


@pytest.mark.parametrize("part", ["ephemeral", "static", "payload"])
def test_a_tampered_server_hello_is_refused(part: str) -> None:
    sound = getattr(SERVER_HELLO.serverHello, part)
    for place in {0, len(sound) // 2, len(sound) - 1}:
        assert answer_to(hello_with(**{part: flipped(sound, place)}).SerializeToString()) is Step.SERVER_HELLO


def test_a_server_that_has_only_the_chain_is_refused() -> None:
    # The chain is public: whoever has seen it can show it, but cannot prove its leaf's key.
    server = server_handshake(static=STRANGER)
    client = client_handshake()
    hello = server.receive(client.start(), NOW) or b""
    assert step_of(lambda: client.receive(hello, NOW)) is Step.LEAF_KEY
    assert client.transport is None


def test_the_client_trusts_only_its_own_root() -> None:
    client = client_handshake(root=STRANGER.public)
    hello = server_handshake().receive(client.start(), NOW) or b""
    assert step_of(lambda: client.receive(hello, NOW)) is Step.INTERMEDIATE_SIGNATURE


@pytest.mark.parametrize("late", [-101, 101])
def test_the_client_takes_the_time_it_is_given(late: int) -> None:
    client = client_handshake()
    hello = server_handshake().receive(client.start(), NOW) or b""
    assert step_of(lambda: client.receive(hello, NOW + late)) is Step.CERTIFICATE_DATES


@pytest.mark.parametrize(
    "hello",
    [
        b"",
        b"\xff\xff",
        proto.HandshakeMessage(clientHello=proto.HandshakeMessage.ClientHello(ephemeral=bytes(33))).SerializeToString(),
        SERVER_HELLO.SerializeToString(),
    ],
)
def test_a_malformed_client_hello_is_refused(hello: bytes) -> None:
    server = server_handshake()
    assert step_of(lambda: server.receive(hello, NOW)) is Step.CLIENT_HELLO
    assert server.transport is None


def test_a_tampered_client_finish_is_refused() -> None:
    for part in ("static", "payload"):
        client, server = client_handshake(), server_handshake()
        sound = client.receive(server.receive(client.start(), NOW) or b"", NOW) or b""
        finish = proto.HandshakeMessage.FromString(sound)
        setattr(finish.clientFinish, part, flipped(getattr(finish.clientFinish, part), 5))
        body = finish.SerializeToString()
        assert step_of(partial(server.receive, body, NOW)) is Step.CLIENT_FINISH
        assert server.transport is None


@pytest.mark.parametrize("finish", [b"", b"\xff\xff", SERVER_HELLO.SerializeToString()])
def test_a_malformed_client_finish_is_refused(finish: bytes) -> None:
    server = server_handshake()
    server.receive(client_handshake().start(), NOW)
    assert step_of(lambda: server.receive(finish, NOW)) is Step.CLIENT_FINISH


def test_a_client_cannot_answer_before_it_has_spoken() -> None:
    with pytest.raises(LocalProtocolError):
        client_handshake().receive(SERVER_HELLO.SerializeToString(), NOW)


def test_the_largest_chain_fits_the_frame_limit() -> None:
    chain = cert_chain().SerializeToString()
    padded = chain + b"\x9a\x06" + b"\xff\xff\x03" + bytes(65_535)  # an unknown field of 65,535 bytes
    with pytest.raises(WatonError):
        server_handshake(padded).receive(client_handshake().start(), NOW)
    room = 65_535 - 32 - 48 - 16 - len(chain) - 5
    filled = chain + b"\x9a\x06" + bytes([room & 0x7F | 0x80, room >> 7 & 0x7F | 0x80, room >> 14]) + bytes(room)
    hello = server_handshake(filled).receive(client_handshake().start(), NOW)
    assert hello is not None
    assert 65_535 < len(hello) <= HANDSHAKE_FRAME_LIMIT
    client = client_handshake()
    client.start()
    client.receive(hello, NOW)
    assert client.payload == filled
