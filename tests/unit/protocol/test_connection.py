"""A client's and a server's Connection back to back: stanzas, traces, states, and what closes one for good."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.protocol.wires import (
    DEVICE,
    LEAF,
    NOW,
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
from waton.errors import DecodeError, HandshakeError, HandshakeStep, LocalProtocolError, RemoteProtocolError
from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.binary_node import Node, deflate_node, encode_node
from waton.protocol.connection import Connection, ConnectionState, NodeReceived
from waton.protocol.framing import frame
from waton.protocol.trace import Layer, Trace, Tracer, Way

PEER = Jid.parse("4915000000001:2@s.whatsapp.net")
PING = Node("iq", {"id": "7.1-1", "type": "get", "xmlns": "w:p", "to": Jid.parse("s.whatsapp.net")}, [Node("ping")])
MESSAGE = Node("message", {"id": "A1", "from": PEER, "type": "text", "t": "5"}, [Node("enc", {"v": "2"}, b"\0\1")])


@pytest.fixture
def ends() -> Ends:
    return Ends().open()


def sealed(ends: Ends, plain: bytes) -> bytes:
    """A frame from the server with this plaintext, whatever it is."""
    assert ends.server_noise.transport is not None
    return frame(ends.server_noise.transport.encrypt(plain))


def of(traces: list[Trace], layer: Layer, way: Way) -> list[Trace]:
    return [trace for trace in traces if trace.layer is layer and trace.way is way]


def states(traces: list[Trace]) -> list[tuple[str, str]]:
    told = [json.loads(trace.detail) for trace in traces if trace.layer is Layer.STATE and trace.name == "connection"]
    return [(step["before"], step["after"]) for step in told]


# --- the handshake ----------------------------------------------------------------------------------------------------


def test_the_handshake_is_told_once_on_each_side() -> None:
    ends = Ends(client_handshake(b"it is me"))
    ends.start()
    ends.pump()
    [at_client], [at_server] = handshakes(ends.client.events()), handshakes(ends.server.events())
    assert (at_client.payload, at_client.remote_static) == (SOUND_CHAIN, STATIC.public)
    assert (at_server.payload, at_server.remote_static) == (b"it is me", DEVICE.public)
    assert ends.client.state is ends.server.state is ConnectionState.OPEN
    assert not ends.client.events()


def test_the_first_bytes_are_the_intro_and_only_they() -> None:
    ends = Ends(routing_info=b"\xaa\xbb\xcc")
    ends.start()
    [hello] = ends.client.data_to_send()
    assert hello.startswith(bytes.fromhex("45440001000003aabbcc57410603"))
    ends.server.receive(hello, NOW)
    assert ends.server.routing_info == b"\xaa\xbb\xcc"
    for data in ends.server.data_to_send():
        assert not data.startswith(b"WA")
        ends.client.receive(data, NOW)
    [finish] = ends.client.data_to_send()
    assert int.from_bytes(finish[:3], "big") == len(finish) - 3
    assert Ends().open().server.routing_info == b""


def test_the_handshake_survives_any_cut_of_the_stream() -> None:
    ends = Ends()
    ends.start()
    for _ in range(2):
        for data in ends.client.data_to_send():
            for byte in data:
                ends.server.receive(bytes([byte]), NOW)
        for data in ends.server.data_to_send():
            for byte in data:
                ends.client.receive(bytes([byte]), NOW)
    assert ends.client.state is ends.server.state is ConnectionState.OPEN


def test_nothing_leaves_the_client_before_the_certificate_verifies() -> None:
    payload = b"the phone number and more"
    for server in (
        server_handshake(static=STRANGER),
        server_handshake(cert_chain(root=STRANGER).SerializeToString()),
        server_handshake(cert_chain(leaf=replace(LEAF, not_after=int(NOW) - 1)).SerializeToString()),
        server_handshake(b""),
    ):
        ends = Ends(client_handshake(payload), server)
        ends.start()
        [hello] = ends.client.data_to_send()
        ends.server.receive(hello, NOW)
        [answer] = ends.server.data_to_send()
        assert ends.client.data_to_send() == []
        with pytest.raises(HandshakeError):
            ends.client.receive(answer, NOW)
        assert ends.client.data_to_send() == []
        assert ends.client.events() == []
        assert ends.client.state is ConnectionState.CLOSED
        assert not any(payload in trace.data for trace in ends.client_traces)


def test_a_first_stanza_may_share_a_message_with_the_finish() -> None:
    ends = Ends()
    ends.start()
    for data in ends.client.data_to_send():
        ends.server.receive(data, NOW)
    for data in ends.server.data_to_send():
        ends.client.receive(data, NOW)
    large = Node("iq", {"id": "1"}, bytes(70_000))
    for node in (PING, large):
        ends.client.send(node, NOW)
    ends.server.receive(b"".join(ends.client.data_to_send()), NOW)
    events = ends.server.events()
    assert handshakes(events[:1])
    assert nodes(events) == [PING, large]


@pytest.mark.parametrize("size", [66_000, 200_000])
def test_the_handshake_bounds_frames_and_the_open_connection_does_not(size: int) -> None:
    ends = Ends()
    ends.start()
    with pytest.raises(RemoteProtocolError, match="limit"):
        ends.client.receive(size.to_bytes(3, "big"), NOW)
    large = Node("iq", {"id": "1"}, bytes(size))
    ends = Ends().open()
    ends.client.send(large, NOW)
    ends.server.send(large, NOW)
    ends.pump()
    assert nodes(ends.client.events()) == nodes(ends.server.events()) == [large]


# --- stanzas ----------------------------------------------------------------------------------------------------------


def test_stanzas_go_both_ways_in_order(ends: Ends) -> None:
    up = [Node("iq", {"id": f"up-{number}"}) for number in range(20)]
    down = [Node("ack", {"id": f"down-{number}"}) for number in range(20)]
    for one, other in zip(up, down, strict=True):
        ends.client.send(one, NOW)
        ends.server.send(other, NOW)
    ends.pump()
    assert nodes(ends.server.events()) == up
    assert nodes(ends.client.events()) == down


def test_stanzas_in_one_message_and_in_pieces(ends: Ends) -> None:
    for node in (PING, MESSAGE, PING):
        ends.server.send(node, NOW)
    stream = b"".join(ends.server.data_to_send())
    for start in range(0, len(stream), 7):
        ends.client.receive(stream[start : start + 7], NOW)
    assert nodes(ends.client.events()) == [PING, MESSAGE, PING]


def test_a_stanza_is_not_readable_on_the_wire(ends: Ends) -> None:
    ends.client.send(Node("iq", {"id": "1"}, b"attack at dawn"), NOW)
    [data] = ends.client.data_to_send()
    assert b"attack" not in data


def test_a_compressed_stanza_is_read_and_kept_both_ways(ends: Ends) -> None:
    plain = encode_node(MESSAGE)
    packed = deflate_node(plain)
    assert packed[0] == 2
    ends.client.receive(sealed(ends, packed), NOW)
    assert nodes(ends.client.events()) == [MESSAGE]
    frame_trace = of(ends.client_traces, Layer.FRAME, Way.IN)[-1]
    node_trace = of(ends.client_traces, Layer.NODE, Way.IN)[-1]
    assert frame_trace.data == packed
    assert (node_trace.data, node_trace.size) == (plain, len(plain))


@pytest.mark.parametrize(
    "bad", [Node("a", {"to": Jid("4915000000001", "s.whatsapp.net", 300)}), Node("b", None, [Node("c")] * 70_000)]
)
def test_what_cannot_be_encoded_leaves_the_connection_as_it_was(ends: Ends, bad: Node) -> None:
    before = len(ends.client_traces)
    with pytest.raises(ValueError):
        ends.client.send(bad, NOW)
    assert ends.client.data_to_send() == []
    assert len(ends.client_traces) == before
    ends.client.send(PING, NOW)
    ends.pump()
    assert nodes(ends.server.events()) == [PING]


# --- traces -----------------------------------------------------------------------------------------------------------


def test_an_incoming_stanza_is_traced_from_wire_to_node(ends: Ends) -> None:
    ends.server.send(MESSAGE, NOW)
    [data] = ends.server.data_to_send()
    ends.client_traces.clear()
    ends.client.receive(data, NOW + 1.5)
    wire, framed, node = ends.client_traces
    assert (wire.layer, wire.way, wire.parent, wire.data, wire.size) == (Layer.WIRE, Way.IN, None, data, len(data))
    assert (framed.layer, framed.way, framed.parent, framed.name) == (Layer.FRAME, Way.IN, wire.seq, "stanza")
    assert (framed.size, framed.data) == (len(data) - 3, b"")
    assert (node.layer, node.way, node.parent, node.name) == (Layer.NODE, Way.IN, framed.seq, "message")
    assert (node.id, node.kind, node.xmlns, node.sender, node.recipient) == ("A1", "text", "", str(PEER), "")
    assert (node.data, node.size) == (encode_node(MESSAGE), len(encode_node(MESSAGE)))
    assert {(trace.at, trace.connection) for trace in ends.client_traces} == {(NOW + 1.5, 3)}
    [event] = ends.client.events()
    assert isinstance(event, NodeReceived)
    assert event.trace == node.seq


def test_an_outgoing_stanza_is_traced_from_node_to_wire(ends: Ends) -> None:
    ends.client_traces.clear()
    seq = ends.client.send(PING, NOW + 2, parent=1)
    [data] = ends.client.data_to_send()
    node, framed, wire = ends.client_traces
    assert (node.seq, node.layer, node.way, node.parent, node.name) == (seq, Layer.NODE, Way.OUT, 1, "iq")
    assert (node.id, node.kind, node.xmlns) == ("7.1-1", "get", "w:p")
    assert (node.sender, node.recipient) == ("", "s.whatsapp.net")
    assert node.data == encode_node(PING)
    assert (framed.layer, framed.way, framed.parent) == (Layer.FRAME, Way.OUT, node.seq)
    assert (wire.layer, wire.way, wire.parent, wire.data) == (Layer.WIRE, Way.OUT, framed.seq, data)
    assert {trace.at for trace in ends.client_traces} == {NOW + 2}


def test_several_stanzas_in_one_message_share_its_trace(ends: Ends) -> None:
    for node in (PING, MESSAGE):
        ends.server.send(node, NOW)
    ends.client_traces.clear()
    ends.client.receive(b"".join(ends.server.data_to_send()), NOW)
    assert [trace.layer for trace in ends.client_traces] == [Layer.WIRE, *[Layer.FRAME, Layer.NODE] * 2]
    assert {trace.parent for trace in of(ends.client_traces, Layer.FRAME, Way.IN)} == {ends.client_traces[0].seq}


def test_the_handshake_is_traced_with_its_causes() -> None:
    ends = Ends().open()
    for traces in (ends.client_traces, ends.server_traces):
        assert [trace.seq for trace in traces] == list(range(1, len(traces) + 1))
        by_seq = {trace.seq: trace for trace in traces}
        for trace in of(traces, Layer.FRAME, Way.IN):
            assert trace.parent is not None
            assert by_seq[trace.parent].layer is Layer.WIRE
        for trace in of(traces, Layer.WIRE, Way.OUT):
            assert trace.parent is not None
            assert by_seq[trace.parent].layer is Layer.FRAME
    hello, finish = of(ends.client_traces, Layer.FRAME, Way.OUT)
    [answer] = of(ends.client_traces, Layer.FRAME, Way.IN)
    assert (hello.parent, finish.parent) == (None, answer.seq)
    assert proto.HandshakeMessage.FromString(hello.data).HasField("clientHello")
    assert proto.HandshakeMessage.FromString(answer.data).HasField("serverHello")
    assert proto.HandshakeMessage.FromString(finish.data).HasField("clientFinish")


def test_states_are_traced() -> None:
    ends = Ends().open()
    ends.client.close(NOW)
    ends.client.close(NOW)
    expected = [("idle", "handshake"), ("handshake", "open"), ("open", "closed")]
    assert states(ends.client_traces) == expected
    assert states(ends.server_traces) == expected[:2]


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plain", "error"),
    [
        (b"", RemoteProtocolError),
        (b"\x00", DecodeError),
        (b"\x00\xff\xff\xff", DecodeError),
        (b"\x02not zlib", DecodeError),
        (encode_node(PING) + b"\x00", DecodeError),
        (encode_node(PING)[:-1], DecodeError),
    ],
)
def test_a_bad_plaintext_closes_for_good(ends: Ends, plain: bytes, error: type[Exception]) -> None:
    sound = sealed(ends, encode_node(MESSAGE))
    with pytest.raises(error):
        ends.client.receive(sound + sealed(ends, plain), NOW)
    assert ends.client.state is ConnectionState.CLOSED
    assert nodes(ends.client.events()) == [MESSAGE]  # understood before the fault
    after = sealed(ends, encode_node(PING))
    with pytest.raises(LocalProtocolError):
        ends.client.receive(after, NOW)
    assert ends.client.events() == []
    with pytest.raises(LocalProtocolError):
        ends.client.send(PING, NOW)
    assert ends.client.data_to_send() == []
    assert states(ends.client_traces)[-1] == ("open", "closed")


@pytest.mark.parametrize("place", [3, 10, -1])
def test_a_flipped_byte_of_a_frame_closes_for_good(ends: Ends, place: int) -> None:
    ends.server.send(MESSAGE, NOW)
    [data] = ends.server.data_to_send()
    with pytest.raises(RemoteProtocolError):
        ends.client.receive(flipped(data, place % len(data)), NOW)
    assert ends.client.state is ConnectionState.CLOSED
    assert ends.client.events() == []


def test_a_frame_left_out_or_twice_or_sent_back_closes(ends: Ends) -> None:
    for node in (PING, MESSAGE):
        ends.server.send(node, NOW)
    first, second = ends.server.data_to_send()
    acts: list[Callable[[Ends], None]] = [
        lambda other: other.client.receive(second, NOW),
        lambda other: other.client.receive(first + first, NOW),
        lambda other: other.server.receive(first, NOW),
    ]
    for act in acts:
        with pytest.raises(RemoteProtocolError):
            act(Ends().open())
    ends.client.receive(first + second, NOW)
    assert nodes(ends.client.events()) == [PING, MESSAGE]


def test_an_empty_frame_closes_and_what_came_before_it_counts(ends: Ends) -> None:
    ends.server.send(MESSAGE, NOW)
    [data] = ends.server.data_to_send()
    with pytest.raises(RemoteProtocolError):
        ends.client.receive(data + bytes(3), NOW)
    assert ends.client.state is ConnectionState.CLOSED
    assert nodes(ends.client.events()) == [MESSAGE]


def test_nothing_can_be_asked_before_the_start() -> None:
    connection = Connection(client_handshake(), Tracer(lambda traces: None))
    with pytest.raises(LocalProtocolError):
        connection.receive(b"", NOW)
    with pytest.raises(LocalProtocolError):
        connection.send(PING, NOW)
    assert connection.data_to_send() == []
    connection.start(NOW)
    with pytest.raises(LocalProtocolError):
        connection.start(NOW)
    with pytest.raises(LocalProtocolError, match="handshake"):
        connection.send(PING, NOW)


def test_nothing_can_be_asked_after_the_end(ends: Ends) -> None:
    ends.client.close(NOW)
    ends.client.close(NOW)
    for act in (lambda: ends.client.receive(b"", NOW), lambda: ends.client.send(PING, NOW)):
        with pytest.raises(LocalProtocolError):
            act()
    ends.server.close(NOW)
    for connection in (ends.client, ends.server):
        with pytest.raises(LocalProtocolError):
            connection.start(NOW)
        assert connection.state is ConnectionState.CLOSED


def test_the_server_refuses_what_is_no_client() -> None:
    ends = Ends()
    ends.start()
    with pytest.raises(RemoteProtocolError):
        ends.server.receive(b"GET / HTTP/1.1\r\n\r\n", NOW)
    assert ends.server.state is ConnectionState.CLOSED
    assert ends.server.data_to_send() == []


def test_a_handshake_error_names_its_step_through_the_connection() -> None:
    ends = Ends()
    ends.start()
    with pytest.raises(HandshakeError) as refused:
        ends.client.receive(frame(b"\xff\xff"), NOW)
    assert refused.value.step is HandshakeStep.SERVER_HELLO
