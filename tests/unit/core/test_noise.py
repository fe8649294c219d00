"""Noise, both roles, against an implementation of its own kind: the same bytes, and nothing damaged gets through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core import noise_oracle
from tests.unit.core.noise_oracle import Client, ResumingClient, ResumingServer, Server, public
from waton._core import NoiseHandshake, NoiseTransport
from waton.errors import HandshakeError, LocalProtocolError, RemoteProtocolError

PROLOGUE = b"WA\x06\x03"
CLIENT_STATIC, CLIENT_EPHEMERAL, SERVER_STATIC, SERVER_EPHEMERAL = (bytes([n]) * 32 for n in (1, 2, 3, 4))
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "noise.json").read_text("utf-8"))

keys = st.binary(min_size=32, max_size=32)


def client(
    static: bytes = CLIENT_STATIC,
    ephemeral: bytes = CLIENT_EPHEMERAL,
    prologue: bytes = PROLOGUE,
    pattern: str = "XX",
    knows: bytes | None = None,
) -> NoiseHandshake:
    return NoiseHandshake(
        initiator=True,
        prologue=prologue,
        static_private=static,
        ephemeral_private=ephemeral,
        pattern=pattern,
        remote_static=knows,
    )


def server(
    static: bytes = SERVER_STATIC,
    ephemeral: bytes = SERVER_EPHEMERAL,
    prologue: bytes = PROLOGUE,
    pattern: str = "XX",
) -> NoiseHandshake:
    return NoiseHandshake(
        initiator=False, prologue=prologue, static_private=static, ephemeral_private=ephemeral, pattern=pattern
    )


def resuming(server_static: bytes = SERVER_STATIC) -> NoiseHandshake:
    return client(pattern="IK", knows=public(server_static))


def shaken() -> tuple[NoiseTransport, NoiseTransport]:
    """Two transports that belong together: the client's, the server's."""
    ours, theirs = client(), server()
    theirs.read_message(ours.write_message())
    ours.read_message(theirs.write_message(b"chain"))
    theirs.read_message(ours.write_message(b"payload"))
    return ours.into_transport(), theirs.into_transport()


def test_the_first_hash_is_the_recorded_one() -> None:
    # After the name and the prologue; from a recorded handshake with the real service (whatsapp-rust's test facts).
    expected = "ffff0c9267310966f1311170c04b38c79504285bf5edf763e5c946492a50a755"
    assert client().handshake_hash.hex() == server().handshake_hash.hex() == expected


@given(keys, keys, keys, keys, st.binary(max_size=300), st.binary(max_size=300))
def test_our_client_and_the_other_server(
    cs: bytes, ce: bytes, ss: bytes, se: bytes, chain: bytes, payload: bytes
) -> None:
    ours, other = client(cs, ce), Server(PROLOGUE, ss, se)
    other.read_hello(ours.write_message())
    assert ours.handshake_hash == other.h
    assert ours.read_message(other.answer(chain)) == chain
    assert ours.remote_static == public(ss)
    assert other.read_finish(ours.write_message(payload)) == (public(cs), payload)
    assert ours.handshake_hash == other.h
    assert_same_keys(ours.into_transport(), *other.transport_keys())


@given(keys, keys, keys, keys, st.binary(max_size=300), st.binary(max_size=300))
def test_our_server_and_the_other_client(
    cs: bytes, ce: bytes, ss: bytes, se: bytes, chain: bytes, payload: bytes
) -> None:
    ours, other = server(ss, se), Client(PROLOGUE, cs, ce)
    assert ours.read_message(other.hello()) == b""
    assert ours.handshake_hash == other.h
    assert other.read_answer(ours.write_message(chain)) == (public(ss), chain)
    assert ours.read_message(other.finish(payload)) == payload
    assert ours.remote_static == public(cs)
    to_server, to_client = other.transport_keys()
    assert_same_keys(ours.into_transport(), to_client, to_server)


def assert_same_keys(ours: NoiseTransport, send: bytes, receive: bytes) -> None:
    """Three frames each way: the counter counts, and starts at 0."""
    for number in range(3):
        iv = bytes(8) + number.to_bytes(4, "big")
        assert ours.encrypt(b"frame") == AESGCM(send).encrypt(iv, b"frame", None)
        assert ours.decrypt(AESGCM(receive).encrypt(iv, b"other", None)) == b"other"
    assert (ours.sent, ours.received) == (3, 3)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=[case["name"] for case in VECTORS["cases"]])
def test_vectors(case: dict[str, str]) -> None:
    pattern = case["pattern"]
    told = {name: bytes.fromhex(value) for name, value in case.items() if name not in ("name", "pattern")}
    resumes = pattern == "IK"
    knows = public(told["server_static"]) if resumes else None
    ours = client(told["client_static"], told["client_ephemeral"], pattern=pattern, knows=knows)
    theirs = server(told["server_static"], told["server_ephemeral"], pattern=pattern)
    first = told["payload"] if resumes else b""
    assert ours.write_message(first) == told["client_hello"]
    assert theirs.read_message(told["client_hello"]) == first
    assert theirs.write_message(told["chain"]) == told["server_hello"]
    assert ours.read_message(told["server_hello"]) == told["chain"]
    if not resumes:
        assert ours.write_message(told["payload"]) == told["client_finish"]
        assert theirs.read_message(told["client_finish"]) == told["payload"]
    assert ours.handshake_hash == theirs.handshake_hash == told["handshake_hash"]
    assert ours.into_transport().encrypt(b"to server") == told["first_to_server"]
    assert theirs.into_transport().encrypt(b"to client") == told["first_to_client"]


@given(keys, keys, keys, keys, st.binary(max_size=300), st.binary(max_size=300))
def test_our_resuming_client_and_the_other_server(
    cs: bytes, ce: bytes, ss: bytes, se: bytes, chain: bytes, payload: bytes
) -> None:
    ours, other = client(cs, ce, pattern="IK", knows=public(ss)), ResumingServer(PROLOGUE, ss, se)
    assert other.read_hello(ours.write_message(payload)) == (public(cs), payload)
    assert ours.handshake_hash == other.h
    assert ours.read_message(other.answer(chain)) == chain
    assert ours.handshake_hash == other.h
    assert_same_keys(ours.into_transport(), *other.transport_keys())


@given(keys, keys, keys, keys, st.binary(max_size=300), st.binary(max_size=300))
def test_our_server_and_the_other_resuming_client(
    cs: bytes, ce: bytes, ss: bytes, se: bytes, chain: bytes, payload: bytes
) -> None:
    ours, other = server(ss, se, pattern="IK"), ResumingClient(PROLOGUE, cs, ce, public(ss))
    assert ours.read_message(other.hello(payload)) == payload
    assert ours.remote_static == public(cs)
    assert other.read_answer(ours.write_message(chain)) == chain
    assert ours.handshake_hash == other.h
    to_server, to_client = other.transport_keys()
    assert_same_keys(ours.into_transport(), to_client, to_server)


@pytest.mark.parametrize("at", [0, 31, 32, 79, 80, -1])
def test_a_damaged_resuming_hello(at: int) -> None:
    hello = bytearray(resuming().write_message(b"payload"))
    hello[at] ^= 1
    with pytest.raises(HandshakeError) as raised:
        server(pattern="IK").read_message(bytes(hello))
    assert raised.value.step == "client_hello"


@pytest.mark.parametrize("at", [0, 31, 32, -1])
def test_a_damaged_answer_to_a_resuming_hello(at: int) -> None:
    ours, theirs = resuming(), server(pattern="IK")
    theirs.read_message(ours.write_message(b"payload"))
    answer = bytearray(theirs.write_message(b"chain"))
    answer[at] ^= 1
    with pytest.raises(HandshakeError) as raised:
        ours.read_message(bytes(answer))
    assert raised.value.step == "server_hello"


def test_a_resuming_hello_is_for_one_server_and_one_prologue() -> None:
    hello = resuming().write_message(b"payload")
    for wrong in (server(bytes([9]) * 32, pattern="IK"), server(prologue=b"WA\x06\x02", pattern="IK")):
        with pytest.raises(HandshakeError):
            wrong.read_message(hello)
    assert server(pattern="IK").read_message(hello) == b"payload"


def test_a_resuming_client_knows_a_server_that_has_only_seen_its_key() -> None:
    """Whoever can answer has the private key: another one, told the client's hello, cannot."""
    ours, thief = resuming(), server(bytes([9]) * 32, pattern="XX")
    ours.write_message(b"payload")
    thief.read_message(public(CLIENT_EPHEMERAL))
    with pytest.raises(HandshakeError):
        ours.read_message(thief.write_message(b"chain"))


def test_a_fallback_uses_the_resuming_hellos_ephemeral_key_and_another_name() -> None:
    hello = resuming().write_message(b"payload")
    ours, theirs = client(pattern="XXfallback"), server(bytes([9]) * 32, pattern="XXfallback")
    assert ours.write_message() == hello[:32]
    theirs.read_message(hello[:32])
    answer = theirs.write_message(b"chain")
    assert ours.read_message(answer) == b"chain"
    assert ours.remote_static == public(bytes([9]) * 32)
    plain = client()
    plain.write_message()
    with pytest.raises(HandshakeError):
        plain.read_message(answer)


def test_a_low_order_server_key_is_not_spoken_to() -> None:
    with pytest.raises(HandshakeError) as raised:
        client(pattern="IK", knows=bytes(32)).write_message(b"payload")
    assert raised.value.step == "client_hello"


@pytest.mark.parametrize(
    ("pattern", "initiator", "knows"),
    [("IK", True, None), ("IK", False, bytes(32)), ("XX", True, bytes(32)), ("XXfallback", False, bytes(32))],
)
def test_only_a_resuming_client_is_told_a_key(pattern: str, initiator: bool, knows: bytes | None) -> None:
    with pytest.raises(ValueError, match="remote_static"):
        NoiseHandshake(
            initiator=initiator,
            prologue=PROLOGUE,
            static_private=CLIENT_STATIC,
            ephemeral_private=CLIENT_EPHEMERAL,
            pattern=pattern,
            remote_static=knows,
        )


@pytest.mark.parametrize("name", ["NN", "xx", "", "Noise_XX_25519_AESGCM_SHA256"])
def test_there_are_three_handshakes(name: str) -> None:
    with pytest.raises(ValueError, match="handshake"):
        server(pattern=name)


@pytest.mark.parametrize("at", [0, 31, 32, 79, 80, -1])
def test_a_damaged_server_hello(at: int) -> None:
    ours, theirs = client(), server()
    theirs.read_message(ours.write_message())
    answer = bytearray(theirs.write_message(b"chain"))
    answer[at] ^= 1
    with pytest.raises(HandshakeError) as raised:
        ours.read_message(bytes(answer))
    assert raised.value.step == "server_hello"


@pytest.mark.parametrize("at", [0, 47, 48, -1])
def test_a_damaged_client_finish(at: int) -> None:
    ours, theirs = client(), server()
    theirs.read_message(ours.write_message())
    ours.read_message(theirs.write_message(b"chain"))
    finish = bytearray(ours.write_message(b"payload"))
    finish[at] ^= 1
    with pytest.raises(HandshakeError) as raised:
        theirs.read_message(bytes(finish))
    assert raised.value.step == "client_finish"


@pytest.mark.parametrize("length", [0, 31])
def test_a_short_client_hello(length: int) -> None:
    with pytest.raises(HandshakeError) as raised:
        server().read_message(bytes(length))
    assert raised.value.step == "client_hello"


@pytest.mark.parametrize("length", [0, 32, 80, 95, 65_536])
def test_a_server_hello_of_the_wrong_length(length: int) -> None:
    ours = client()
    ours.write_message()
    with pytest.raises(HandshakeError):
        ours.read_message(bytes(length))


def test_another_prologue_does_not_verify() -> None:
    ours, theirs = client(), server(prologue=b"WA\x06\x02")
    theirs.read_message(ours.write_message())
    with pytest.raises(HandshakeError):
        ours.read_message(theirs.write_message(b"chain"))


def test_a_low_order_ephemeral_does_not_give_a_known_key() -> None:
    """With a point of low order every shared secret would be known to everybody."""
    ours = server()
    ours.read_message(bytes(32))
    with pytest.raises(HandshakeError) as raised:
        ours.write_message(b"chain")
    assert raised.value.step == "client_hello"
    ours = client()
    ours.write_message()
    with pytest.raises(HandshakeError) as raised:
        ours.read_message(bytes(120))
    assert raised.value.step == "server_hello"


def test_turns_are_kept() -> None:
    ours, theirs = client(), server()
    with pytest.raises(LocalProtocolError):
        ours.read_message(bytes(100))
    with pytest.raises(LocalProtocolError):
        theirs.write_message()
    with pytest.raises(LocalProtocolError):
        ours.into_transport()
    hello = ours.write_message()
    with pytest.raises(LocalProtocolError):
        ours.write_message()
    theirs.read_message(hello)
    assert not theirs.is_finished
    with pytest.raises(LocalProtocolError):
        theirs.write_message(bytes(65_535))


def test_a_handshake_ends_as_a_transport() -> None:
    ours, theirs = client(), server()
    theirs.read_message(ours.write_message())
    ours.read_message(theirs.write_message())
    ours.write_message()
    assert ours.is_finished
    with pytest.raises(LocalProtocolError):
        ours.write_message()
    ours.into_transport()
    for use in (ours.into_transport, ours.write_message, lambda: ours.handshake_hash):
        with pytest.raises(LocalProtocolError):
            use()


@pytest.mark.parametrize("size", [0, 1, 500, 65_536, 65_537, 1 << 20])
def test_frames_of_any_size(size: int) -> None:
    ours, theirs = shaken()
    plaintext = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sealed = ours.encrypt(plaintext)
    assert len(sealed) == size + 16
    assert theirs.decrypt(sealed) == plaintext
    assert ours.decrypt(theirs.encrypt(plaintext)) == plaintext


def test_a_damaged_frame_moves_nothing() -> None:
    ours, theirs = shaken()
    first, second = ours.encrypt(b"one"), ours.encrypt(b"two")
    for wrong in (bytes([first[0] ^ 1]) + first[1:], first[:-1], first[:15], b"", second):
        with pytest.raises(RemoteProtocolError):
            theirs.decrypt(wrong)
        assert theirs.received == 0
    assert theirs.decrypt(first) == b"one"
    assert theirs.decrypt(second) == b"two"
    with pytest.raises(RemoteProtocolError):
        theirs.decrypt(second)


def test_another_connections_frames_do_not_decrypt() -> None:
    ours, _ = shaken()
    other = client(ephemeral=bytes([9]) * 32), server()
    other[1].read_message(other[0].write_message())
    other[0].read_message(other[1].write_message())
    other[1].read_message(other[0].write_message())
    with pytest.raises(RemoteProtocolError):
        other[1].into_transport().decrypt(ours.encrypt(b"one"))


@pytest.mark.parametrize("name", ["static_private", "ephemeral_private", "remote_static"])
def test_keys_are_32_bytes(name: str) -> None:
    keys = {"static_private": bytes(32), "ephemeral_private": bytes(32), "remote_static": bytes(32), name: bytes(31)}
    with pytest.raises(ValueError, match=name):
        NoiseHandshake(initiator=True, prologue=PROLOGUE, pattern="IK", **keys)


def test_nothing_secret_is_shown() -> None:
    ours, _ = shaken()
    for shown in (repr(client()), repr(ours)):
        assert CLIENT_STATIC.hex() not in shown
        assert repr(CLIENT_STATIC)[2:-1] not in shown


def test_the_oracle_is_another_implementation() -> None:
    assert "waton" not in (Path(noise_oracle.__file__).read_text("utf-8"))
