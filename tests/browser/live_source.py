"""Sources for the widgets' browser tests; imported by the notebooks' kernels.

They hold what a session would: real nodes in real encoding, numbered by a real Tracer, events of the client's classes.
What is told when is the test's to say.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from waton.client.events import (
    ConnectionStatus,
    ConnectionUpdate,
    Event,
    MessageKey,
    MessageStatus,
    MessagesUpdate,
    MessagesUpsert,
)
from waton.errors import LabError
from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.binary_node import Node, encode_node
from waton.protocol.trace import Layer, Trace, Tracer, Way

ADA = Jid.parse("491510000001@s.whatsapp.net")
ME = Jid.parse("491510000099:4@s.whatsapp.net")
MY_LID = Jid.parse("77000000000099:4@lid")
START = 1_790_000_000.0
QR_TEXT = "https://wa.me/settings/linked_devices#2@" + "Qr5ecretRef0123456789" * 3 + ",bm9pc2U=,aWRlbnRpdHk=,YWR2,1"


class Subscribers:
    """Callbacks, and the way to stop each."""

    def __init__(self) -> None:
        self.callbacks: list[Callable] = []

    def add(self, callback: Callable) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback) if callback in self.callbacks else None

    def tell(self, value: object) -> None:
        for callback in list(self.callbacks):
            callback(value)


def stanza(number: int) -> tuple[Way, Node]:
    """The stanzas of an ordinary day, over and over."""
    server = Jid.parse("s.whatsapp.net")
    id = f"3EB0{number:012X}"
    kinds = [
        (Way.OUT, Node("iq", {"id": f"{number}.7-1", "to": server, "type": "get", "xmlns": "w:p"}, [Node("ping")])),
        (Way.IN, Node("iq", {"from": server, "id": f"{number}.7-1", "type": "result"})),
        (
            Way.OUT,
            Node("iq", {"id": f"{number}.7-2", "to": server, "type": "get", "xmlns": "encrypt"}, [Node("count")]),
        ),
        (
            Way.IN,
            Node(
                "message",
                {"from": ADA, "id": id, "type": "text", "t": "1790000000", "notify": "Ada <Lovelace>"},
                [Node("enc", {"v": "2", "type": "msg"}, bytes(range(120)))],
            ),
        ),
        (Way.OUT, Node("receipt", {"to": ADA, "id": id, "type": "read"})),
        (Way.OUT, Node("ack", {"to": ADA, "id": id, "class": "message"})),
        (Way.IN, Node("presence", {"from": ADA, "type": "unavailable", "last": "1789999999"})),
        (Way.IN, Node("notification", {"from": server, "id": id, "type": "account_sync", "t": "1790000000"})),
    ]
    return kinds[number % len(kinds)]


class Recording:
    """A TraceSource that records what it is told to, with a frame before each node, as a connection does."""

    def __init__(self, kept: int = 50_000) -> None:
        self.traces: deque[Trace] = deque(maxlen=kept)
        self.recorded = 0
        self.subscribers = Subscribers()
        self.tracer = Tracer(self._take)
        self.numbers = itertools.count()

    def _take(self, traces: Sequence[Trace]) -> None:
        self.traces.extend(traces)
        self.recorded += len(traces)
        self.subscribers.tell(traces)

    def cross(self, count: int) -> None:
        """Record this many stanzas."""
        for number in itertools.islice(self.numbers, count):
            way, node = stanza(number)
            data = encode_node(node)
            at = START + number * 0.137
            frame = self.tracer.add(Layer.FRAME, way, "frame", at=at, size=len(data), data=data)
            self.tracer.add_node(way, node, data, at=at, parent=frame, connection=1)

    def flood(self, seconds: float, per_second: int) -> float:
        """Record stanzas at a pace, on a thread of its own as a session does; returns how long it took."""
        took: list[float] = []

        def run() -> None:
            began = time.monotonic()
            beat = threading.Event()
            due = 0
            for step in range(1, int(seconds * 50) + 1):
                self.cross(step * per_second // 50 - due)
                due = step * per_second // 50
                beat.wait(max(0.0, began + step / 50 - time.monotonic()))
            took.append(time.monotonic() - began)

        thread = threading.Thread(target=run, name="flood")
        thread.start()
        thread.join()
        return took[0]

    def tail(self, count: int) -> list[Trace]:
        return list(self.traces)[-count:]

    def on_traces(self, callback: Callable[[Sequence[Trace]], None]) -> Callable[[], None]:
        return self.subscribers.add(callback)

    def payload(self, seq: int) -> bytes:
        return next(trace.data for trace in self.traces if trace.seq == seq)

    def trace_count(self) -> int:
        return self.recorded


class Pairing:
    """A PairingSource whose steps the test takes."""

    def __init__(self, *, can_scan: bool = True) -> None:
        self.connection = ConnectionUpdate(ConnectionStatus.CONNECTING)
        self.can_scan = can_scan
        self.subscribers = Subscribers()
        self.scan = threading.Event()
        """Set when the button was pressed."""
        self.scanned: Future[None] | None = None

    def step(self, status: str, **values: object) -> None:
        self.connection = ConnectionUpdate(ConnectionStatus(status), **values)
        self.subscribers.tell(self.connection)

    def show_qr(self, left: int = 5, seconds: float = 60.0) -> None:
        self.step("qr", qr=f"{QR_TEXT}{left}", qr_left=left, qr_expires_at=time.time() + seconds)

    def pair(self) -> None:
        self.step("paired", me=ME, lid=MY_LID)

    def on_connection(self, callback: Callable[[ConnectionUpdate], None]) -> Callable[[], None]:
        return self.subscribers.add(callback)

    def lab_scan(self) -> Future[None]:
        if not self.can_scan:
            raise LabError("there is no phone")
        self.scan.set()
        self.scanned = Future()
        return self.scanned


class Talk:
    """A ChatSource in which Ada answers when the test says so."""

    def __init__(self) -> None:
        self.subscribers = Subscribers()
        self.messages: list[MessagesUpsert] = []
        self.sent: list[tuple[str, str, Future[str]]] = []
        self.at = int(START)

    def upsert(self, id: str, text: str, *, from_me: bool = False) -> None:
        key = MessageKey(ADA, id, from_me, ME if from_me else ADA)
        event = MessagesUpsert(key, proto.Message(conversation=text), self.at, push_name="" if from_me else "Ada")
        self.messages.append(event)
        self.subscribers.tell(event)

    def receipt(self, id: str, status: str) -> None:
        key = MessageKey(ADA, id, True, ME)
        self.subscribers.tell(MessagesUpdate(key, MessageStatus[status], ADA, self.at))

    def send_text_soon(self, to: str, text: str) -> Future[str]:
        if "@" not in to and not to.isdecimal():
            raise ValueError("that is neither a number nor an address")
        future: Future[str] = Future()
        self.sent.append((to, text, future))
        return future

    def on_event(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        return self.subscribers.add(callback)

    def recent_messages(self, count: int) -> list[MessagesUpsert]:
        return self.messages[-count:]
