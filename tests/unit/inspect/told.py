"""Constructed journals: a client says what happened, in few words, and an Analysis is asked about it."""

import json
from collections.abc import Sequence
from pathlib import Path

from waton.capture.analysis import Analysis
from waton.capture.journal import Journal
from waton.protocol.binary_node import Node, encode_node
from waton.protocol.trace import Layer, Trace, Tracer, Way

START = 1_750_000_000.0
ADA, GROUP = "77000000000001@lid", "120363000000000001@g.us"


class Told:
    """One client's journal in the making. Every trace is one second after the one before, unless `at` says else."""

    def __init__(self, folder: Path, name: str = "journal.db") -> None:
        self.journal = Journal.open(folder / name)
        self.analysis = Analysis(self.journal.path)
        self.connection = 1
        self.now = START
        self.begin()

    def begin(self) -> None:
        """A process begins: its traces are counted anew."""
        self.run = self.journal.begin_run("waton", "client")
        self.tracer = Tracer(self._take)

    def _take(self, traces: Sequence[Trace]) -> None:
        self.journal.append(self.run, traces)

    def _tick(self) -> float:
        self.now += 1
        return self.now

    # --- what a client records

    def state(self, machine: str, before: str, after: str, *, parent: int | None = None, **detail: object) -> int:
        told = json.dumps({"before": before, "after": after, **detail})
        return self.tracer.add(
            Layer.STATE, Way.LOCAL, machine, at=self._tick(), parent=parent, detail=told,
            connection=self.connection if machine in ("client", "connection") else 0,
        )  # fmt: skip

    def node(self, way: Way, node: Node, *, parent: int | None = None) -> int:
        return self.tracer.add_node(
            way, node, encode_node(node), at=self._tick(), parent=parent, connection=self.connection
        )

    def composed(self, id: str, to: str = ADA, kind: str = "conversation") -> int:
        return self.tracer.add(Layer.MESSAGE, Way.OUT, kind, at=self._tick(), id=id, recipient=to)

    def opened(self, id: str, parent: int, kind: str = "conversation") -> int:
        return self.tracer.add(Layer.MESSAGE, Way.IN, kind, at=self._tick(), id=id, parent=parent, sender=ADA)

    def sent(self, id: str, to: str = ADA) -> int:
        """Composed, committed, written; returns the seq of the writing."""
        self.composed(id, to)
        self.state("message", "new", "pending", id=id)
        return self.write(id, to)

    def write(self, id: str, to: str = ADA, **attrs: str) -> int:
        return self.node(
            Way.OUT, Node("message", {"id": id, "to": to, "type": "text", **attrs}, [Node("participants")])
        )

    def answer(self, id: str, count: int, to: str = ADA) -> int:
        enc = Node("enc", {"v": "2", "type": "pkmsg", "count": str(count)}, b"again")
        return self.node(Way.OUT, Node("message", {"id": id, "to": to, "type": "text"}, [enc]))

    def acked(self, id: str, to: str = ADA) -> int:
        ack = self.node(Way.IN, Node("ack", {"class": "message", "id": id, "from": to}))
        self.state("message", "pending", "server_ack", parent=ack, id=id)
        return ack

    def got_to(self, id: str, status: str) -> None:
        self.state("message", "sent", status, id=id)

    def arrives(self, id: str, sender: str = ADA) -> int:
        return self.node(Way.IN, Node("message", {"id": id, "from": sender, "type": "text"}, [Node("enc", None, b"x")]))

    def receipt(self, id: str, parent: int, to: str = ADA, **attrs: str) -> int:
        return self.node(Way.OUT, Node("receipt", {"id": id, "to": to, **attrs}), parent=parent)

    def received(self, id: str, sender: str = ADA) -> int:
        """Arrives, is read, committed and receipted; returns the seq of the arrival."""
        arrival = self.arrives(id, sender)
        self.opened(id, arrival)
        self.state("message", "new", "received", parent=arrival, id=id)
        self.receipt(id, arrival, sender)
        return arrival

    def request(self, way: Way, id: str, *, count: int, code: int, peer: str = ADA) -> int:
        """A retry receipt."""
        retry = Node("retry", {"count": str(count), "id": id, "t": "1", "v": "1", "error": str(code)})
        registration = Node("registration", None, b"\0\0\0\1")
        where = "from" if way is Way.IN else "to"
        return self.node(way, Node("receipt", {"id": id, where: peer, "type": "retry"}, [retry, registration]))

    def fault(
        self, kind: str, id: str = "", tag: str = "message", way: str = "in", seconds: float | None = None
    ) -> int:
        """As the lab records it."""
        told = {"kind": kind, "way": way, "tag": tag, **({} if seconds is None else {"seconds": seconds})}
        return self.tracer.add(
            Layer.STATE,
            Way.LOCAL,
            "lab.fault",
            at=self._tick(),
            id=id,
            kind=kind,
            detail=json.dumps(told),
            connection=7,
        )

    def close(self) -> None:
        self.analysis.close()
        self.journal.close()
