"""Hostile bytes against a Connection, either side, at every stage: only our own errors, for good, and bounded."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.protocol.wires import (
    KNOWN,
    NOW,
    SOUND_CHAIN,
    Ends,
    client_handshake,
    handshakes,
    nodes,
    server_handshake,
)
from waton.errors import LocalProtocolError, RemoteProtocolError
from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.binary_node import Node, deflate_node, encode_node
from waton.protocol.connection import Connection, ConnectionState
from waton.protocol.framing import PROLOGUE, FrameReader, frame
from waton.protocol.noise import HANDSHAKE_FRAME_LIMIT, KnownServer, Pattern, ServerHandshake

pytestmark = pytest.mark.fuzz

ROUNDS = 400
NODE = Node(
    "message",
    {"id": "A1", "from": Jid.parse("4915000000001@s.whatsapp.net"), "t": "5"},
    [Node("enc", {"v": "2"}, b"x" * 40)],
)
PLAIN = encode_node(NODE)
HAND_SHAKEN = {ConnectionState.HANDSHAKE, ConnectionState.OPEN}


def bite(connection: Connection, data: bytes) -> bool:
    """Feed bytes. True if they were taken; False if refused, and then the connection must be closed for good."""
    try:
        connection.receive(data, NOW)
    except RemoteProtocolError:
        assert connection.state is ConnectionState.CLOSED
        with pytest.raises(LocalProtocolError):
            connection.receive(data, NOW)
        with pytest.raises(LocalProtocolError):
            connection.send(NODE, NOW)
        return False
    assert connection.state in HAND_SHAKEN
    return True


def mutated(dice: random.Random, data: bytes) -> bytes:
    """One to three wounds: a byte changed, a piece cut out, repeated or put in."""
    wounded = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        place = dice.randrange(len(wounded) + 1)
        match dice.randrange(4):
            case 0 if place < len(wounded):
                wounded[place] = dice.randrange(256)
            case 1:
                del wounded[place : place + dice.randint(1, 8)]
            case 2:
                wounded[place:place] = wounded[max(0, place - 8) : place]
            case _:
                wounded[place:place] = dice.randbytes(dice.randint(1, 8))
    return bytes(wounded)


def in_pieces(dice: random.Random, data: bytes) -> list[bytes]:
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(4)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def feed(dice: random.Random, connection: Connection, data: bytes) -> bool:
    return all(bite(connection, piece) for piece in in_pieces(dice, data))


def client_waiting(known: KnownServer | None = None) -> tuple[Ends, Connection, bytes]:
    """A client that has said hello, and the sound answer."""
    ends = Ends(client_handshake(known=known))
    ends.start()
    for data in ends.client.data_to_send():
        ends.server.receive(data, NOW)
    [answer] = ends.server.data_to_send()
    return ends, ends.client, answer


def server_waiting() -> tuple[Ends, Connection, bytes]:
    """A server that has heard nothing, and the sound hello."""
    ends = Ends(routing_info=b"route")
    ends.start()
    [hello] = ends.client.data_to_send()
    return ends, ends.server, hello


def client_resuming() -> tuple[Ends, Connection, bytes]:
    """The same, where the client has resumed."""
    return client_waiting(KNOWN)


def server_half_way() -> tuple[Ends, Connection, bytes]:
    """A server that has said hello, and the sound finish."""
    ends, client, answer = client_waiting()
    client.receive(answer, NOW)
    [finish] = client.data_to_send()
    return ends, ends.server, finish


def client_open() -> tuple[Ends, Connection, bytes]:
    ends = Ends().open()
    ends.server.send(NODE, NOW)
    return ends, ends.client, ends.server.data_to_send()[0]


def server_open() -> tuple[Ends, Connection, bytes]:
    ends = Ends().open()
    ends.client.send(NODE, NOW)
    return ends, ends.server, ends.client.data_to_send()[0]


STAGES: list[Callable[[], tuple[Ends, Connection, bytes]]] = [
    server_waiting,
    client_waiting,
    client_resuming,
    server_half_way,
    client_open,
    server_open,
]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_random_bytes(stage: Callable[[], tuple[Ends, Connection, bytes]]) -> None:
    dice = random.Random(stage.__name__)
    refused = 0
    for _ in range(ROUNDS):
        _, connection, _ = stage()
        body = dice.randbytes(dice.choice([0, 1, 3, 16, 40, 200]))
        framed = (len(body).to_bytes(3, "big") + body) if dice.random() < 0.7 else body
        refused += not feed(dice, connection, (PROLOGUE if stage is server_waiting else b"") + framed)
        assert not nodes(connection.events())
    assert refused > ROUNDS // 2


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_wounded_bytes(stage: Callable[[], tuple[Ends, Connection, bytes]]) -> None:
    dice = random.Random(stage.__name__)
    refused = 0
    for _ in range(ROUNDS):
        _, connection, sound = stage()
        wounded = mutated(dice, sound)
        taken = feed(dice, connection, wounded)
        refused += not taken
        understood = nodes(connection.events())
        assert not understood or (wounded.startswith(sound) and understood == [NODE])
        if stage in (client_waiting, client_resuming) and not taken:
            assert connection.data_to_send() == []
    assert refused > ROUNDS // 2


def test_wounded_resumption_is_declined_or_refused() -> None:
    """A server answers what it cannot read as if it had been asked in full, and opens for nobody."""
    dice = random.Random("resumption")
    declined = 0
    for _ in range(ROUNDS):
        ends = Ends(client_handshake(known=KNOWN))
        ends.start()
        [sound] = ends.client.data_to_send()
        wounded = mutated(dice, sound)
        taken = feed(dice, ends.server, wounded)
        assert not handshakes(ends.server.events()) or wounded.startswith(sound)
        declined += taken and ends.server_noise.pattern is Pattern.XX_FALLBACK
    assert declined


def sealed_after(noise: ServerHandshake, plain: bytes) -> bytes:
    assert noise.transport is not None
    return frame(noise.transport.encrypt(plain))


@pytest.mark.parametrize("start", [PLAIN, deflate_node(PLAIN), b"\x00", b"\x02"], ids=["plain", "packed", "0", "2"])
def test_wounded_stanzas_under_a_sound_seal(start: bytes) -> None:
    dice = random.Random(start)
    refused = 0
    for _ in range(ROUNDS):
        ends = Ends().open()
        plain = mutated(dice, start) if dice.random() < 0.7 else start[:1] + dice.randbytes(dice.randrange(60))
        refused += not feed(dice, ends.client, sealed_after(ends.server_noise, plain))
    assert refused > ROUNDS // 3


def test_a_hostile_chain_under_a_sound_handshake() -> None:
    # The server's own key is sound; what it claims about it is not.
    dice = random.Random("chain")
    for _ in range(ROUNDS):
        chain = mutated(dice, SOUND_CHAIN)
        ends = Ends(client_handshake(), server_handshake(chain))
        ends.start()
        for data in ends.client.data_to_send():
            ends.server.receive(data, NOW)
        for data in ends.server.data_to_send():
            if bite(ends.client, data):
                [done] = handshakes(ends.client.events())
                assert proto.CertChain.FromString(done.payload).leaf == proto.CertChain.FromString(SOUND_CHAIN).leaf
            else:
                assert ends.client.data_to_send() == []


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    ends = Ends().open()
    bomb = deflate_node(encode_node(Node("a", None, bytes(80 << 20))))
    assert len(bomb) < 1 << 20
    assert not bite(ends.client, sealed_after(ends.server_noise, bomb))
    assert ends.client.events() == []


@given(st.lists(st.binary(max_size=300), max_size=12), st.booleans())
def test_a_reader_keeps_at_most_one_unfinished_frame(pieces: list[bytes], expect_intro: bool) -> None:
    limit = 64
    reader = FrameReader(expect_intro=expect_intro, limit=limit)
    for piece in pieces:
        try:
            bodies = list(reader.feed(piece))
        except RemoteProtocolError:
            return
        assert all(0 < len(body) <= limit for body in bodies)
        # Intro: mark 4, length 3, routing info up to the limit, prologue 4.
        assert reader.buffered < limit + 11


@given(st.lists(st.binary(min_size=1, max_size=64), max_size=8), st.data())
def test_any_cut_of_any_frames_gives_them_back(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frame(body) for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = FrameReader(expect_intro=False)
    found = [
        body
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for body in reader.feed(stream[start:end])
    ]
    assert found == bodies
    assert reader.buffered == 0


def test_the_handshake_reads_no_more_than_its_limit() -> None:
    for stage in (client_waiting, server_half_way):
        _, connection, _ = stage()
        assert bite(connection, HANDSHAKE_FRAME_LIMIT.to_bytes(3, "big"))
        _, connection, _ = stage()
        assert not bite(connection, (HANDSHAKE_FRAME_LIMIT + 1).to_bytes(3, "big"))
