"""Reading waton: symbols that count and symbols that do not, events, stanzas, .proto files, tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.parity.test_typescript import write
from waton.errors import ParityError
from waton.parity.own import Shape, Waton, read_schema, tokens_of

CLIENT = """
from waton.protocol.stanza import build
from waton.protocol.stanza.receipt import Receipt, ReceiptType

LIMIT: int = 3

class Client:
    name: str = "x"

    async def works(self) -> None:
        await self.query("encrypt", iq.IqType.GET, [Node("count")])
        await self.query("usync", iq.IqType.GET, [build.devices(1)])
        _, content = build.upload(self)
        await self.query("encrypt", iq.IqType.SET, content)

    def hollow(self) -> None:
        '''Does something one day.'''
        raise NotImplementedError("not yet")

    def bare(self) -> None:
        '''Says nothing.'''

    def refuses_some(self, to: str) -> None:
        if not to:
            raise NotImplementedError
        self.send(Node("presence", {"type": "available" if to else "unavailable"}))

    def read(self) -> Node:
        return Receipt(("1",), "to", ReceiptType.READ).to_node()

    def ping(self) -> Node:
        return iq.request(self.next_id(), IqType.GET, "w:p", [Node("ping")])

    async def query(self, xmlns: str, type: IqType, content: list[Node]) -> Node:
        return await self.live.query(iq.request(self.next_id(), type, xmlns, content))
"""
BUILD = """
def devices(sid: str) -> Node:
    return _usync(sid)

def _usync(sid: str) -> Node:
    return Node("usync", {"sid": sid}, [])

def upload(client: object) -> tuple[int, list[Node]]:
    return 1, keys(client)

def keys(client: object) -> list[Node]:
    children = [Node("registration"), Node("type")]
    return children

def offline() -> Node:
    return Node("ib", None, [Node("offline_batch")])

def server_says(id: str) -> Node:
    return Node("iq", {"from": "server", "type": "set", "id": id}, [Node("pair-device")])

class Retry:
    def to_node(self) -> Node:
        return Receipt(("1",), "to", type=ReceiptType.RETRY).to_node()

    @staticmethod
    def from_node(node: Node) -> Receipt:
        return Receipt(("1",), "from", "view")
"""
RECEIPT = """
class ReceiptType(StrEnum):
    READ = "read"
    RETRY = "retry"

class IqType(StrEnum):
    GET = "get"
    SET = "set"

class Receipt:
    type: str = ""

    def to_node(self) -> Node:
        attrs: dict[str, str] = {"to": self.peer, "type": self.type or None}
        return Node("receipt", attrs)
"""
EVENTS = """
class ConnectionUpdate:
    type: ClassVar[str] = "connection.update"
    status: str

class NoEvent:
    type: str
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "waton"
    for name, text in {
        "client/client.py": CLIENT,
        "client/events.py": EVENTS,
        "protocol/binary_node.py": "",
        "protocol/stanza/build.py": BUILD,
        "protocol/stanza/receipt.py": RECEIPT,
        "protocol/proto/a.proto": 'edition = "2023"; message A { string user_id = 1; }',
        "errors.py": "_CODES = {401: Reason.OUT, 515: Reason.RESTART}\nOTHER = 1",
        "_core.pyi": "def encode_node(node: Node) -> bytes: ...",
    }.items():
        write(root / name, text)
    return root


@pytest.mark.parametrize(
    ("symbol", "why"),
    [
        ("client/client.py:Client.works", ""),
        ("client/client.py:Client.name", ""),
        ("client/client.py:Client.refuses_some", ""),
        ("client/client.py:LIMIT", ""),
        ("_core.pyi:encode_node", ""),
        ("client/client.py:Client.absent", "client/client.py defines no Client.absent"),
        ("client/client.py:works", "client/client.py defines no works"),
        ("client/client.py:Client.name.inner", "client/client.py defines no Client.name.inner"),
        ("client/groups.py:Groups", "waton has no client/groups.py"),
        ("client/client.py:Client.hollow", "Client.hollow in client/client.py does nothing yet"),
        ("client/client.py:Client.bare", "Client.bare in client/client.py does nothing yet"),
        ("_core.pyi:decode_node", "_core.pyi defines no decode_node"),
    ],
)
def test_a_symbol_counts_when_it_is_defined_and_does_something(root: Path, symbol: str, why: str) -> None:
    assert Waton(root).why_not(symbol) == why


def test_declared_values(root: Path) -> None:
    waton = Waton(root)
    assert waton.events == {"connection.update": "client/events.py:ConnectionUpdate"}
    assert waton.default("client/client.py:LIMIT") == "3"
    assert waton.table("errors.py:_CODES") == {401: "OUT", 515: "RESTART"}
    assert waton.members("protocol/stanza/receipt.py:IqType") == {"GET": "get", "SET": "set"}
    assert waton.schema == {"A": {"userId": "string = 1"}}
    assert waton.defines("protocol/binary_node.py") == ()


def test_stanzas_are_followed_through_functions_and_those_nobody_sends_are_apart(root: Path) -> None:
    waton = Waton(root)
    assert {shape.name: place for shape, place in waton.shapes.items()} == {
        "iq get encrypt count": "client/client.py:Client.works",
        "iq get usync usync": "client/client.py:Client.works",
        "iq set encrypt registration": "client/client.py:Client.works",
        "iq get w:p ping": "client/client.py:Client.ping",
        "presence available": "client/client.py:Client.refuses_some",
        "presence unavailable": "client/client.py:Client.refuses_some",
        "receipt read": "client/client.py:Client.read",
    }
    assert {shape.name for shape in waton.unsent} == {"ib offline_batch", "receipt retry"}


def test_a_shape_covers_what_it_computes() -> None:
    assert Shape("receipt", "*").covers(Shape("receipt", "read"))
    assert Shape("receipt", "*").covers(Shape("receipt"))
    assert not Shape("receipt", "read").covers(Shape("receipt", "*"))
    assert not Shape("iq", "get", "encrypt", "count").covers(Shape("iq", "get", "encrypt", "digest"))


def test_proto_files_of_every_syntax() -> None:
    text = """
    syntax = "proto2"; /* message No {} */ import "x.proto"; option java_package = "p";
    message A {
      option deprecated = true;
      reserved 4, 5; reserved "old_name";
      optional .waproto.B.Inner first_one = 1 [deprecated = true]; // last
      repeated uint32 numbers = 2 [packed=true];
      map<uint32, B> by_number = 3;
      oneof choice { string text = 6; bytes raw = 7; }
      message Empty {}
      enum Kind { option allow_alias = true; ZERO_VALUE = 0; MINUS = -1; }
    }
    """
    assert read_schema([text, "message B { message Inner { bool on = 1; } }"]) == {
        "A": {
            "firstOne": "Inner = 1",
            "numbers": "repeated uint32 = 2",
            "byNumber": "map<uint32,B> = 3",
            "text": "string = 6",
            "raw": "bytes = 7",
        },
        "A.Empty": {},
        "A.Kind": {"ZERO_VALUE": "= 0", "MINUS": "= -1"},
        "B": {},
        "B.Inner": {"on": "bool = 1"},
    }


def test_tokens_come_from_the_source_beside_the_package_and_else_from_the_build(root: Path) -> None:
    built = Waton(root).tokens
    assert [len(words) for words in built.named().values()] == [236, 256, 256, 256, 256]
    lines = [*built.single, *(word for words in built.double for word in words)]
    lines[300] = "changed"
    write(root.parent / "rust" / "src" / "core" / "tokens.txt", "\n".join(lines) + "\n")
    source = Waton(root).tokens
    assert source.double[0][64] == "changed"
    assert source.single == built.single
    assert tokens_of(lines) == source


def test_a_folder_that_is_no_waton_is_an_error(tmp_path: Path, root: Path) -> None:
    with pytest.raises(ParityError, match=r"client/client\.py"):
        Waton(tmp_path / "absent")
    (root / "protocol" / "binary_node.py").unlink()
    with pytest.raises(ParityError, match=r"protocol/binary_node\.py"):
        Waton(root)


def test_a_waton_without_protobuf_is_an_error(root: Path) -> None:
    (root / "protocol" / "proto" / "a.proto").unlink()
    with pytest.raises(ParityError, match=r"no \.proto file"):
        _ = Waton(root).schema


def test_a_module_that_is_no_python_is_an_error(root: Path) -> None:
    write(root / "client" / "events.py", "class :")
    with pytest.raises(ParityError, match=r"events\.py is no Python"):
        _ = Waton(root).events
