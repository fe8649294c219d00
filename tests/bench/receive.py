"""The receive path: frames in; decrypted, persisted, acknowledged and told out.

A real Client over a wire in memory, with the real store on disk (`synchronous=FULL`) and, if asked for, the real
recorder. The server's end is a protocol Connection that answers every query with an empty result; the messages are real
1:1 texts of `CHATS` people whose sessions are past their first exchange, each in a Noise frame of its own.

A batch is timed from its first frame handed to the client until its last event reached a subscriber.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from waton._core import PreKeyBundle
from waton.capture.journal import Journal
from waton.capture.recorder import Recorder
from waton.client.client import Client, ClientConfig
from waton.client.events import Event, MessagesUpsert
from waton.errors import Disconnected, DisconnectReason
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.infra.storage_sqlite import SqliteStore
from waton.jid import SERVER, Jid, signal_address
from waton.ports import RecordKind, Transport
from waton.protocol import proto, signal_repo
from waton.protocol.binary_node import Node, get_text
from waton.protocol.connection import Connection, NodeReceived
from waton.protocol.credentials import Credentials, KeyPair
from waton.protocol.noise import ROOT_SERIAL, Certificate, ServerHandshake, issue_certificate
from waton.protocol.signal_repo import EncType, LocalIdentity, PreKeyLookup
from waton.protocol.stanza.message import Enc, IncomingMessage, MessageType
from waton.protocol.trace import Tracer
from waton.utils.padding import pad

CHATS = 5
GOAL = 3000
"""Messages a second, on one core."""
TEXT = "a text as people send them, neither short nor long, with a word or two more than needed"
ME = Jid.parse("15550000001:3@s.whatsapp.net")
MY_LID = Jid.parse("200000000000001:3@lid")


class MemoryWire:
    """ports.Transport: a client's end of a wire in memory."""

    def __init__(self) -> None:
        self.up: asyncio.Queue[bytes] = asyncio.Queue()
        self.down: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.is_draining = False
        """Drop what the client writes."""
        self.written = 0

    async def send(self, data: bytes) -> None:
        self.written += 1
        if not self.is_draining:
            self.up.put_nowait(data)

    async def receive(self) -> bytes:
        data = await self.down.get()
        if data is None:
            raise Disconnected(DisconnectReason.CLOSED, 1006)
        return data

    async def close(self) -> None:
        self.down.put_nowait(None)


class Server:
    """The other end: shakes hands, logs the client in, answers its queries, and seals frames."""

    def __init__(self, wire: MemoryWire) -> None:
        self.wire = wire
        root, middle, static = (KeyPair.of(os.urandom(32)) for _ in range(3))
        valid = (0, int(time.time()) + 1_000_000)
        chain = proto.CertChain(
            intermediate=issue_certificate(
                root.private, Certificate(1, ROOT_SERIAL, middle.public, *valid), os.urandom(64)
            ),
            leaf=issue_certificate(middle.private, Certificate(2, 1, static.public, *valid), os.urandom(64)),
        )
        self.root = root.public
        self.connection = Connection(
            ServerHandshake(
                static_private=static.private, ephemeral_private=os.urandom(32), chain=chain.SerializeToString()
            ),
            Tracer(lambda _: None),
        )
        self.connection.start(time.time())

    async def serve(self) -> None:
        """Until cancelled."""
        is_open = False
        while True:
            self.connection.receive(await self.wire.up.get(), time.time())
            for event in self.connection.events():
                if not isinstance(event, NodeReceived):
                    is_open = True
                    self.connection.send(Node("success", {"t": "1", "lid": MY_LID}), time.time())
                elif is_open and event.node.tag == "iq":
                    self.connection.send(self._answer(event.node), time.time())
            for data in self.connection.data_to_send():
                self.wire.down.put_nowait(data)

    @staticmethod
    def _answer(query: Node) -> Node:
        content = [Node("count", {"value": "800"})] if query.child("count") is not None else None
        return Node("iq", {"from": SERVER, "type": "result", "id": get_text(query, "id")}, content)

    def seal(self, nodes: list[Node]) -> list[bytes]:
        """Each stanza as the WebSocket message that carries it."""
        now = time.time()
        for node in nodes:
            self.connection.send(node, now)
        return self.connection.data_to_send()


@dataclass
class Peer:
    """Somebody who writes to us."""

    jid: Jid
    credentials: Credentials = field(default_factory=lambda: Credentials.generate(os.urandom))
    record: bytes = b""
    sent: int = 0

    def meet(self, mine: Credentials, prekey: bytes) -> bytes:
        """Open a session both ways; returns our record of it."""
        once = KeyPair.of(prekey)
        bundle = PreKeyBundle(
            registration_id=mine.registration_id,
            identity_key=mine.identity_key.public,
            signed_prekey_id=mine.signed_prekey_id,
            signed_prekey=mine.signed_prekey.public,
            signed_prekey_signature=mine.signed_prekey_signature,
            prekey_id=1,
            prekey=once.public,
        )
        local = LocalIdentity.of(self.credentials)
        first = signal_repo.encrypt(
            signal_repo.open_session(None, bundle, local, entropy=os.urandom(64)), pad(b"hello", 1)
        )
        ours = signal_repo.decrypt(
            first.type,
            first.ciphertext,
            record=None,
            local=LocalIdentity.of(mine),
            keys=PreKeyLookup(mine.signed_prekey.private, prekey),
            trusted_identity=None,
            sender=self.jid,
            entropy=os.urandom(32),
        )
        back = signal_repo.encrypt(ours.record, pad(b"hello too", 1))
        theirs = signal_repo.decrypt(
            back.type,
            back.ciphertext,
            record=first.record,
            local=local,
            keys=None,
            trusted_identity=None,
            sender=ME,
            entropy=os.urandom(32),
        )
        self.record = theirs.record
        return back.record

    def write(self, text: str) -> Node:
        """The stanza of the next text."""
        plain = pad(proto.Message(conversation=text).SerializeToString(), 7)
        sealed = signal_repo.encrypt(self.record, plain)
        assert sealed.type is EncType.MSG
        self.record = sealed.record
        self.sent += 1
        enc = Enc(sealed.type, sealed.ciphertext)
        id = os.urandom(10).hex().upper()
        return IncomingMessage(id, self.jid, int(time.time()), MessageType.TEXT, (enc,), notify="Ada").to_node()


class ReceivePath:
    """A logged-in client with open sessions, and a way to time batches."""

    def __init__(self, directory: Path, *, records: bool) -> None:
        self._directory = directory
        self._records = records
        self.wire = MemoryWire()
        self.server = Server(self.wire)
        self.peers = [Peer(Jid.parse(f"30000000000000{number}@lid")) for number in range(CHATS)]
        self.got = 0
        self.order: dict[Jid, list[str]] = {}
        self._wanted = 0
        self._reached = asyncio.Event()

    async def open(self) -> None:
        """Make the account, connect, log in."""
        clock = SystemClock()
        self.store = await SqliteStore.open(self._directory / "account.db", clock=clock)
        await self._make_account()
        self.recorder = None
        if self._records:
            journal = Journal.open(self._directory / "journal.db")
            self.recorder = Recorder(journal, client="waton", vantage="client")
        self.client = Client(
            ClientConfig(root=self.server.root),
            store=self.store,
            connector=self._connect,
            clock=clock,
            entropy=SystemEntropy(),
            tracer=Tracer(self.recorder or (lambda _: None)),
        )
        self.client.subscribe(self._take)
        self._serving = asyncio.create_task(self.server.serve())
        await self.client.start()
        await self.client.wait_open(10)
        await asyncio.sleep(0.05)
        self._serving.cancel()
        self.wire.is_draining = True

    async def _connect(self, url: str) -> Transport:
        return self.wire

    async def _make_account(self) -> None:
        mine = Credentials.generate(os.urandom)
        mine = replace(mine, me=ME, lid=MY_LID, account=b"\x0a\x00", next_prekey_id=1000)
        async with self.store.unit() as unit:
            unit.save(RecordKind.CREDENTIALS, "self", mine.to_json())
            for peer in self.peers:
                address = signal_address(peer.jid)
                unit.save(RecordKind.SESSION, address, peer.meet(mine, os.urandom(32)))
                unit.save(RecordKind.IDENTITY, address, peer.credentials.identity_key.public)

    def _take(self, event: Event) -> None:
        if isinstance(event, MessagesUpsert):
            assert event.text == TEXT
            self.order.setdefault(event.key.chat, []).append(event.key.id)
            self.got += 1
            if self.got == self._wanted:
                self._reached.set()
        elif event.type == "messages.undecryptable":
            raise AssertionError(event)

    async def batch(self, count: int) -> tuple[float, float]:
        """Receive so many messages. Returns seconds by the wall and seconds of processor time (all threads)."""
        nodes = [self.peers[number % CHATS].write(TEXT) for number in range(count)]
        frames = self.server.seal(nodes)
        written, self._wanted = self.wire.written, self.got + count
        self.order.clear()
        self._reached.clear()
        wall, processor = time.perf_counter(), time.process_time()
        for frame in frames:
            self.wire.down.put_nowait(frame)
        async with asyncio.timeout(120):
            await self._reached.wait()
        took = time.perf_counter() - wall, time.process_time() - processor
        self._check(nodes, self.wire.written - written)
        return took

    def _check(self, nodes: list[Node], written: int) -> None:
        """A figure counts only when everything was told in order and acknowledged."""
        for peer in self.peers:
            assert self.order[peer.jid] == [get_text(node, "id") for node in nodes if node.attrs["from"] == peer.jid]
        assert written >= len(nodes)

    async def close(self) -> None:
        await self.client.close()
        await self.store.close()
        if self.recorder is not None:
            self.recorder.close()


class Receiving:
    """The receive path as a benchmark beside others: opened at the first batch, in an event loop of its own."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._path: ReceivePath | None = None
        self._processor: list[float] = []

    def batch(self, count: int) -> float:
        """Seconds by the wall for so many messages."""
        if self._path is None:
            self._directory = tempfile.TemporaryDirectory(prefix="waton-bench-")
            self._path = ReceivePath(Path(self._directory.name), records=False)
            self._runner.run(self._path.open())
        wall, processor = self._runner.run(self._path.batch(count))
        self._processor.append(processor / count)
        return wall

    def summary(self) -> str:
        """What one core does, when it was measured."""
        if not self._processor:
            return ""
        rate = 1 / statistics.median(self._processor)
        return f"; receiving takes {1e6 / rate:.0f} us of processor time a message: {rate:.0f}/s (goal {GOAL}/s)"

    def close(self) -> None:
        if self._path is not None:
            self._runner.run(self._path.close())
        if self._directory is not None:
            self._directory.cleanup()
        self._runner.close()


async def measure(count: int, batches: int, *, records: bool) -> list[tuple[float, float]]:
    """Seconds by the wall and of processor time for one message, a pair for each batch."""
    with tempfile.TemporaryDirectory(prefix="waton-bench-") as directory:
        path = ReceivePath(Path(directory), records=records)
        await path.open()
        try:
            await path.batch(count // 4)
            taken = [await path.batch(count) for _ in range(batches)]
        finally:
            await path.close()
    return [(wall / count, processor / count) for wall, processor in taken]


if __name__ == "__main__":
    for recording in (False, True):
        for wall, processor in asyncio.run(measure(int(sys.argv[1]), 5, records=recording)):
            print(f"recording {recording}: {1 / wall:.0f}/s by the wall, {1 / processor:.0f}/s of one core")
