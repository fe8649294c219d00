"""The Noise handler, step by step: both clients against the same server, with the same keys.

The server is the lab's half of the handshake, with fixed keys, so that its hello to either client is the same. What a
client sends is compared byte by byte; what the server reads of it, and what the client reads of the server's frames,
are in the answer too, so that two equal mistakes would have to be made on both sides of the wire.

Source: Baileys Utils/noise-handler.ts and Socket/socket.ts (how the handler is driven).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions.nodes import to_ours, told, told_by_baileys
from waton.parity.oracle.process import Functions

if TYPE_CHECKING:
    from waton.protocol.noise import Certificate, ServerHandshake

Value: TypeAlias = Any

HANDLER = "lib/Utils/noise-handler.js"
_NOW = 1_800_000_000
_DAY = 86_400
_ROOT, _INTERMEDIATE = b"root" * 8, b"link" * 8
"""Private keys of the chain's two issuers."""
_SERIAL = 7


# --- the server -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Links:
    """What the chain's two links say, before somebody changes them."""

    intermediate: Certificate
    leaf: Certificate
    root_private: bytes = _ROOT
    leaf_issuer_private: bytes = _INTERMEDIATE


Defect: TypeAlias = Callable[[_Links], _Links]


def _sound(links: _Links) -> _Links:
    return links


DEFECTS: dict[str, Defect] = {
    "a root that is not zero": lambda links: replace(links, intermediate=replace(links.intermediate, issuer_serial=3)),
    "an intermediate signed by another root": lambda links: replace(links, root_private=b"evil" * 8),
    "a leaf signed by another key": lambda links: replace(links, leaf_issuer_private=b"evil" * 8),
    "a leaf of another issuer": lambda links: replace(links, leaf=replace(links.leaf, issuer_serial=9)),
    "a leaf that names another key": lambda links: replace(links, leaf=replace(links.leaf, key=b"else" * 8)),
    "a chain that has run out": lambda links: replace(links, leaf=replace(links.leaf, not_after=_NOW - _DAY)),
}
"""Certificate chains that must not be trusted."""


def _public(private: bytes) -> bytes:
    from waton.protocol.credentials import KeyPair

    return KeyPair.of(private).public


def chain(server_private: bytes, defect: Defect = _sound) -> bytes:
    """A CertChain protobuf for the server's key, signed by the test's own root."""
    from waton.protocol import proto
    from waton.protocol.noise import Certificate, issue_certificate

    times = (_NOW - _DAY, _NOW + _DAY)
    links = defect(
        _Links(
            Certificate(_SERIAL, 0, _public(_INTERMEDIATE), *times),
            Certificate(8, _SERIAL, _public(server_private), *times),
        )
    )
    made = proto.CertChain(
        leaf=issue_certificate(links.leaf_issuer_private, links.leaf, bytes(64)),
        intermediate=issue_certificate(links.root_private, links.intermediate, bytes(64)),
    )
    return made.SerializeToString()


def _server(value: Value) -> ServerHandshake:
    from waton.protocol.noise import ServerHandshake

    certificates = chain(value["server_static"], DEFECTS.get(value["defect"], _sound))
    return ServerHandshake(
        static_private=value["server_static"], ephemeral_private=value["server_ephemeral"], chain=certificates
    )


def _hello(server: ServerHandshake, value: Value) -> bytes:
    """What the server answers to the client's hello; one byte of it is changed when the story wants it."""
    from waton.protocol import proto

    asked = proto.HandshakeMessage.ClientHello(ephemeral=_public(value["ephemeral"]))
    hello = server.receive(proto.HandshakeMessage(clientHello=asked).SerializeToString(), _NOW) or b""
    return _harmed(hello, value["harm"])


def _harmed(data: bytes, place: int | None) -> bytes:
    if place is None:
        return data
    changed = bytearray(data)
    changed[-1 - place % 64] ^= 1  # in the payload's ciphertext or its tag
    return bytes(changed)


def _framed(bodies: list[bytes]) -> bytes:
    return b"".join(len(body).to_bytes(3, "big") + body for body in bodies)


def _bodies(stream: bytes, intro: int) -> list[bytes]:
    from waton.protocol.framing import FrameReader

    return list(FrameReader(expect_intro=False).feed(stream[intro:]))


def _cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The stream in pieces."""
    borders = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[start:end] for start, end in pairwise(borders)]


def _replies(server: ServerHandshake, value: Value) -> list[bytes]:
    """The server's stanzas, sealed and cut into pieces; the last frame is harmed when the story wants it."""
    from waton.protocol.binary_node import encode_node

    if server.transport is None:
        return []
    sealed = [server.transport.encrypt(encode_node(to_ours(node))) for node in value["answers"]]
    if sealed and value["harm_frame"]:
        sealed[-1] = _harmed(sealed[-1], 0)
    return _cut(_framed(sealed), value["cuts"])


def _outcome(server: ServerHandshake, value: Value, hello: bytes, finish: bytes, sent: list[bytes]) -> Value:
    """What went over the wire, and what the server makes of it."""
    intro = 4 + (7 + len(value["routing"]) if value["routing"] else 0)
    server.receive(_bodies(finish, 0)[0], _NOW)
    transport = server.transport
    read = [] if transport is None else [transport.decrypt(_bodies(frame, 0)[0]) for frame in sent]
    return {
        "hello": {"intro": hello[:intro], "frame": hello[intro:]},
        "finish": finish,
        "sent": sent,
        "the server reads": {"payload": server.payload, "static": server.remote_static, "frames": read},
    }


# --- the two clients ------------------------------------------------------------------------------------------------


def with_baileys(baileys: Functions, value: Value) -> Value:
    """The story told with Baileys as the client."""
    from waton.protocol.binary_node import encode_node

    def play(**more: Value) -> Value:
        pair = {"private": value["ephemeral"], "public": _public(value["ephemeral"])}
        fixed = {"private": value["static"], "public": _public(value["static"])}
        return baileys.ask("noise", ephemeral=pair, fixed=fixed, routingInfo=value["routing"] or None, **more)

    server = _server(value)
    said = {"serverHello": _hello(server, value), "payload": value["payload"]}
    said |= {"sends": [encode_node(to_ours(node)) for node in value["questions"]]}
    done = play(**said)
    outcome = _outcome(server, value, done["hello"], done["finish"], done["sent"])
    heard = play(**said, receives=_replies(server, value))["received"]
    return outcome | {"received": [told_by_baileys(node) for node in heard]}


def _our_client(value: Value) -> Value:
    from waton.protocol.connection import Connection, NodeReceived
    from waton.protocol.noise import ClientHandshake
    from waton.protocol.trace import Tracer

    handshake = ClientHandshake(
        static_private=value["static"],
        ephemeral_private=value["ephemeral"],
        payload=value["payload"],
        root=_public(_ROOT),
    )
    connection = Connection(handshake, Tracer(lambda traces: None), routing_info=value["routing"])
    server = _server(value)
    connection.start(_NOW)
    connection.receive(_framed([_hello(server, value)]), _NOW)
    for node in value["questions"]:
        connection.send(to_ours(node), _NOW)
    hello, finish, *sent = connection.data_to_send()
    outcome = _outcome(server, value, hello, finish, sent)
    for piece in _replies(server, value):
        connection.receive(piece, _NOW)
    heard = [told(event.node) for event in connection.events() if isinstance(event, NodeReceived)]
    return outcome | {"received": heard}


# --- the stories ----------------------------------------------------------------------------------------------------


def _stories(
    *,
    routing: SearchStrategy[bytes] | None = None,
    defect: str = "",
    harm: SearchStrategy[int | None] | None = None,
    harm_frame: bool = False,
) -> SearchStrategy[Value]:
    talk = st.lists(generators.nodes(leaves=2), min_size=1 if harm_frame else 0, max_size=2)
    return st.fixed_dictionaries(
        {
            "static": generators.keys(),
            "ephemeral": generators.keys(),
            "server_static": generators.keys(),
            "server_ephemeral": generators.keys(),
            "payload": st.binary(max_size=80),
            "routing": routing if routing is not None else st.just(b""),
            "defect": st.just(defect),
            "harm": harm if harm is not None else st.none(),
            "harm_frame": st.just(harm_frame),
            "questions": st.lists(generators.nodes(leaves=2), max_size=2),
            "answers": talk,
            "cuts": st.lists(st.integers(0, 1 << 16), max_size=5),
        }
    )


def _pair(name: str, inputs: Callable[[], SearchStrategy[Value]], examples: int | None = None) -> Pair:
    return Pair(
        f"makeNoiseHandler{name}",
        Domain.NOISE,
        f"{HANDLER}:makeNoiseHandler",
        "waton.protocol.noise:ClientHandshake",
        inputs,
        with_baileys,
        _our_client,
        examples,
    )


def pairs() -> list[Pair]:
    """The family's pairs."""
    routes = st.binary(min_size=1, max_size=300)
    return [
        _pair("", _stories, 25),
        _pair(": a route the server gave us", lambda: _stories(routing=routes), 10),
        _pair(": a harmed server hello", lambda: _stories(harm=st.integers(0, 1 << 8)), 10),
        _pair(": a harmed frame", lambda: _stories(harm_frame=True), 10),
        *(_pair(f": {name}", lambda name=name: _stories(defect=name), 3) for name in DEFECTS),
    ]
