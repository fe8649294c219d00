"""A lab without sockets: a service in memory, endpoints that write down what they get, companions with real keys."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from waton._core import x25519_public_key
from waton.jid import SERVER, Jid, JidServer
from waton.lab.database import Database
from waton.lab.deliveries import Session
from waton.lab.faults import NO_FAULT, Fault, Faults, Moment
from waton.lab.pairing import Registering, Registration
from waton.lab.phone import Phone
from waton.lab.server import Lab
from waton.lab.service import Service
from waton.lab.world import Device
from waton.protocol import adv, proto
from waton.protocol.binary_node import Node, decode_node, encode_node
from waton.protocol.client_payload import Browser, registration_payload
from waton.protocol.credentials import Credentials
from waton.protocol.stanza import encrypt, iq, pairing
from waton.protocol.stanza.pairing import PairSuccess, QrText
from waton.protocol.trace import Trace

NOW = 1_800_000_000.0


class FixedClock:
    """Time that moves only when told."""

    def __init__(self, now: float = NOW) -> None:
        self.time = now

    def now(self) -> float:
        return self.time


class SeededEntropy:
    """Dice that fall the same way each time; for tests only."""

    def __init__(self, seed: str = "lab") -> None:
        self._seed = seed.encode()
        self._count = 0

    def take(self, count: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(self._seed + self._count.to_bytes(8, "big")).digest(count)


@dataclass(slots=True)
class Recorder:
    """An endpoint and a wire: writes down every stanza, as a client would decode it."""

    nodes: list[Node] = field(default_factory=list)
    fault: Fault = NO_FAULT
    ended: bool = False

    def deliver(self, node: Node, parent: int | None) -> None:
        assert not self.ended, "a stanza after the end"
        self.nodes.append(decode_node(encode_node(node)))

    def end(self, node: Node | None) -> None:
        if node is not None:
            self.deliver(node, None)
        self.ended = True

    def send(self, node: Node, parent: int | None = None, *, moment: Moment | None = None) -> None:
        self.deliver(node, parent)

    def finish(self, node: Node | None, *, moment: Moment | None = None) -> None:
        self.end(node)

    def take(self, tag: str | None = None) -> list[Node]:
        """What came since the last take, of one tag or all; the rest is dropped."""
        nodes, self.nodes = self.nodes, []
        return nodes if tag is None else [node for node in nodes if node.tag == tag]


class Bench:
    """A lab that does not listen: the same Lab, without its sockets."""

    def __init__(self, state: Path | None = None, seed: str = "lab") -> None:
        self.clock = FixedClock()
        self.entropy = SeededEntropy(seed)
        self.traces: list[Trace] = []
        self.database = Database(state)
        self.lab = Lab(self.database, self.clock, self.entropy, self.traces.extend)

    @property
    def service(self) -> Service:
        return self.lab.service

    @property
    def faults(self) -> Faults:
        return self.lab.faults

    async def phones(self, *names: str) -> list[Phone]:
        return [await self.lab.add_phone(name) for name in names]

    def reopen(self) -> list[Phone]:
        """The phones of a database that was used before."""
        for account in self.service.world.accounts():
            phone = Phone(self.service, account)
            self.lab.phones.append(phone)
            phone.online()
        return self.lab.phones


class Companion:
    """A linked device with real keys, that speaks stanzas through an endpoint."""

    def __init__(self, bench: Bench, device: Device, credentials: Credentials) -> None:
        self.bench = bench
        self.device = device
        self.credentials = credentials
        self.prekeys: dict[int, bytes] = {}
        self.endpoint = Recorder()
        self.session: Session | None = None
        self._id = 0

    @staticmethod
    def link(bench: Bench, phone: Phone) -> Companion:
        """Vouched for and stored as a pairing would, without the stanzas of one; the phone has nothing to send it."""
        credentials = Credentials.generate(bench.entropy.take)
        world = bench.service.world
        number = world.reserve_number(phone.account)
        device = world.add_device(
            phone.account,
            number,
            identity=credentials.identity_key.public,
            registration_id=credentials.registration_id,
            noise=credentials.noise_key.public,
            signed_identity=b"signed identity",
        )
        world.set_welcomed(device)
        return Companion(bench, device, credentials)

    def login(self, *, active: bool = True) -> Recorder:
        """A new login; with active, deliveries begin."""
        self.endpoint = Recorder()
        self.session = self.bench.service.deliveries.attach(self.device, self.endpoint)
        if active:
            self.ask("passive", iq.IqType.SET, [Node("active")])
        return self.endpoint

    def logout(self) -> None:
        assert self.session is not None
        self.bench.service.deliveries.detach(self.session)

    def post(self, node: Node) -> None:
        """Send a stanza."""
        assert self.session is not None
        self.bench.service.receive(self.session, decode_node(encode_node(node)), None)

    def ask(self, xmlns: str, type: iq.IqType, content: list[Node], to: Jid = SERVER) -> Node:
        """Send an iq and return its answer, which must be there at once; what came before it stays recorded."""
        self._id += 1
        id = f"q{self._id}"
        self.post(iq.request(id, type, xmlns, content, to=to))
        answers = [node for node in self.endpoint.nodes if node.tag == "iq" and node.attrs.get("id") == id]
        assert len(answers) == 1, answers
        self.endpoint.nodes.remove(answers[0])
        return answers[0]

    def publish(self, count: int = 3, first: int = 1) -> Node:
        """Upload prekeys; returns the answer."""
        made: list[tuple[int, bytes]] = []
        for id in range(first, first + count):
            self.prekeys[id] = self.bench.entropy.take(32)
            made.append((id, x25519_public_key(self.prekeys[id])))
        return self.ask("encrypt", iq.IqType.SET, encrypt.upload_content(self.credentials, made))


class Newcomer:
    """An unpaired client at the pairing desk."""

    def __init__(self, bench: Bench, fault: Fault = NO_FAULT) -> None:
        self.bench = bench
        self.credentials = Credentials.generate(bench.entropy.take)
        self.wire = Recorder(fault=fault)
        payload = proto.ClientPayload.FromString(registration_payload(self.credentials, Browser()))
        registration = Registration.of(payload, self.credentials.noise_key.public)
        service = bench.service
        self.registering = Registering(service.world, service.desk, self.wire, registration)
        self.registering.start()
        self.refs = pairing.refs_of(self.wire.take("iq")[0])

    def qr(self, ref: int = 0) -> str:
        mine = self.credentials
        keys = (mine.noise_key.public, mine.identity_key.public, mine.adv_secret)
        return QrText(self.refs[ref], *keys).encode()

    def success(self) -> PairSuccess:
        """The pair-success that has come."""
        return PairSuccess.from_node(self.wire.take("iq")[0])

    def sign(self, success: PairSuccess) -> Node:
        """The answer of a client that believes the phone."""
        verified = adv.verify_identity(
            success.container,
            adv_secret=self.credentials.adv_secret,
            identity=self.credentials.identity_key,
            entropy=self.bench.entropy.take(64),
        )
        return pairing.pair_device_sign(success.id, verified.key_index, verified.reply)


def pn(digits: str, device: int = 0) -> Jid:
    return Jid(digits, JidServer.PN, device)
