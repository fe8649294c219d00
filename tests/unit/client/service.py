"""A whole client with a service in place of its connection: what it asks is answered here, what it writes is kept.

No wire and no handshake, so a test can stop anything between two awaits, refuse one question, or acknowledge when it
likes. Whoever is written to is a `Peer` with keys of its own, who can read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

from tests.support.memory_store import MemoryStore
from tests.unit.client.worlds import StandingClock, settle
from tests.unit.protocol.wires import Dice
from waton.client.client import Client, ClientConfig
from waton.client.events import Event
from waton.client.stream import Stream
from waton.errors import Disconnected, DisconnectReason, IqError, WatonError
from waton.jid import Jid
from waton.ports import RecordKind, Store, Transport
from waton.protocol import message as content
from waton.protocol import proto, signal_repo
from waton.protocol.adv import verify_identity, vouch
from waton.protocol.binary_node import Node, get_text, require_child, require_jid, require_text
from waton.protocol.connection import NodeReceived
from waton.protocol.credentials import Credentials, KeyPair
from waton.protocol.group_cipher import GroupCipher
from waton.protocol.signal_repo import EncType, LocalIdentity, PreKeyLookup
from waton.protocol.stanza import encrypt, iq, usync
from waton.protocol.stanza.encrypt import Bundle, SignedPrekey
from waton.protocol.stanza.group import GroupMetadata, GroupParticipant
from waton.protocol.stanza.message import Enc, OutgoingMessage
from waton.protocol.stanza.receipt import server_ack
from waton.protocol.trace import Trace, Tracer
from waton.utils.padding import pad, unpad

ME, MY_LID = Jid("15550000001", "s.whatsapp.net", 3), Jid("200000000000001", "lid", 3)
GROUP = Jid("120363000000000001", "g.us")


class Peer:
    """One device of somebody, past nothing yet: it hands out bundles and reads what they were used for."""

    def __init__(self, jid: Jid) -> None:
        self.jid = jid
        self.dice = Dice(str(jid))
        self.keys = Credentials.generate(self.dice.take)
        self.record: bytes | None = None
        self.once: dict[int, KeyPair] = {}
        self.group = GroupCipher()
        self.bundles = 0
        self.word = b""
        """The device identity that goes with its keys."""

    def stands_for(self, companion: Peer) -> bytes:
        """This phone's word for a companion, signed by both."""
        secret = bytes(32)
        container, _ = vouch(
            self.keys.identity_key,
            companion_identity=companion.keys.identity_key.public,
            adv_secret=secret,
            raw_id=1,
            key_index=companion.jid.device,
            timestamp=1_760_000_000,
            entropy=self.dice.take(64),
        )
        mine = companion.keys.identity_key
        return verify_identity(container, adv_secret=secret, identity=mine, entropy=self.dice.take(64)).account

    def bundle(self) -> Bundle:
        """Each with another one-time prekey."""
        self.bundles += 1
        self.once[self.bundles] = KeyPair.of(self.dice.take(32))
        signed = SignedPrekey(
            self.keys.signed_prekey_id, self.keys.signed_prekey.public, self.keys.signed_prekey_signature
        )
        once = (self.bundles, self.once[self.bundles].public)
        return Bundle(self.keys.registration_id, self.keys.identity_key.public, signed, once, self.word)

    def open(self, enc: Enc) -> proto.Message:
        """Read a ciphertext of its session with the client. Raises DecryptError."""
        keys = None
        if enc.type == EncType.PKMSG:
            named = signal_repo.PreKeyMessage.parse(enc.ciphertext)
            once = None if named.prekey_id is None else self.once.get(named.prekey_id)
            keys = PreKeyLookup(self.keys.signed_prekey.private, None if once is None else once.private)
        done = signal_repo.decrypt(
            EncType(enc.type),
            enc.ciphertext,
            record=self.record,
            local=LocalIdentity.of(self.keys),
            keys=keys,
            trusted_identity=None,
            sender=MY_LID,
            entropy=self.dice.take(32),
        )
        self.record = done.record
        message = content.parse_message(unpad(done.plaintext))
        told = message.senderKeyDistributionMessage.axolotlSenderKeyDistributionMessage
        if told:
            self.group = self.group.process(told)
        return message

    def read(self, stanza: Node) -> proto.Message:
        """What this device gets of a message stanza. Raises DecryptError; AssertionError when there is nothing."""
        sent = OutgoingMessage.from_node(stanza)
        mine = [enc for jid, enc in sent.encs if jid == self.jid]
        message = self.open(mine[0]) if mine else None
        if sent.bare is not None and sent.bare.type == EncType.SKMSG:
            done = self.group.decrypt(sent.bare.ciphertext, sender=MY_LID)
            self.group = GroupCipher(done.record)
            return content.parse_message(unpad(done.plaintext))
        if sent.bare is not None and self.jid in (sent.to, sent.participant):
            message = self.open(sent.bare)
        assert message is not None, "nothing for this device"
        return message

    def meet(self, client: Client) -> None:
        """Open a session with the client, from the keys it would publish."""
        mine = client.credentials
        opened = signal_repo.open_session(
            None,
            signal_repo.PreKeyBundle(
                registration_id=mine.registration_id,
                identity_key=mine.identity_key.public,
                signed_prekey_id=mine.signed_prekey_id,
                signed_prekey=mine.signed_prekey.public,
                signed_prekey_signature=mine.signed_prekey_signature,
                prekey_id=None,
                prekey=None,
            ),
            LocalIdentity.of(self.keys),
            entropy=self.dice.take(64),
        )
        self.record = opened

    def seal(self, message: proto.Message | bytes) -> Enc:
        """A ciphertext of its session with the client."""
        plain = message if isinstance(message, bytes) else message.SerializeToString()
        sealed = signal_repo.encrypt(self.record or b"", pad(plain, 4))
        self.record = sealed.record
        return Enc(sealed.type, sealed.ciphertext)


class Service:
    """In the place of a client's connection."""

    def __init__(self) -> None:
        self.client: Client | None = None
        self.peers: dict[Jid, Peer] = {}
        self.groups: dict[Jid, GroupMetadata] = {}
        self.sent: list[Node] = []
        self.asked: list[Node] = []
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}
        """Done before a question of this namespace is answered."""
        self.faults: dict[str, WatonError] = {}
        """What a question of this namespace comes to instead of an answer."""
        self.acknowledges = True
        self.is_closed = False

    def person(self, jid: Jid) -> Peer:
        """A device that the service knows."""
        peer = self.peers[jid] = Peer(jid)
        return peer

    def group(self, *people: Jid, group: Jid = GROUP) -> None:
        """A group of these people and us."""
        listed = tuple(GroupParticipant(jid.bare) for jid in (MY_LID, *people))
        self.groups[group] = GroupMetadata(group, "Friends", "lid", listed, size=len(listed))

    # --- what a stream does -------------------------------------------------------------------------------------------

    async def send(self, node: Node, parent: int | None = None) -> None:
        if self.is_closed:
            raise Disconnected(DisconnectReason.CLOSED)
        self.sent.append(node)
        if self.acknowledges and node.tag in ("message", "receipt") and self.client is not None:
            self.client.background(self.client.outbox.on_ack(server_ack(node, t=1_760_000_001), 0))

    async def query(self, node: Node, timeout: float, parent: int | None = None) -> Node:
        if self.is_closed:
            raise Disconnected(DisconnectReason.CLOSED)
        self.asked.append(node)
        xmlns = require_text(node, "xmlns")
        if xmlns in self.before:
            await self.before[xmlns]()
        if xmlns in self.faults:
            raise self.faults[xmlns]
        return Node("iq", {"type": "result", "id": get_text(node, "id")}, self._answer(xmlns, node))

    async def close(self, reason: WatonError) -> None:
        self.is_closed = True

    def _answer(self, xmlns: str, node: Node) -> list[Node]:
        if xmlns == "usync":
            asked = usync.Query.from_node(node)
            return [asked.answer([self._devices(user.jid) for user in asked.users if user.jid is not None])]
        if xmlns == "encrypt" and get_text(node, "type") == iq.IqType.GET:
            wanted = encrypt.requested_bundles(node)
            return [Node("list", None, [self._bundle(jid) for jid in wanted])]
        if xmlns == "w:g2":
            group = self.groups.get(require_jid(node, "to"))
            if group is None:
                raise IqError(404, "item-not-found")
            return [group.to_node()]
        return []

    def _devices(self, user: Jid) -> Node:
        entries = [usync.DeviceEntry(jid.device) for jid in self.peers if jid.bare == user.bare]
        return Node("user", {"jid": user}, [usync.devices_node(entries, b"", 0)])

    def _bundle(self, jid: Jid) -> Node:
        peer = self.peers.get(jid)
        return encrypt.bundle_error(jid, 404, "item-not-found") if peer is None else peer.bundle().to_node(jid, 0)

    # --- what came of it ----------------------------------------------------------------------------------------------

    def of(self, tag: str) -> list[Node]:
        """What was written with this tag."""
        return [node for node in self.sent if node.tag == tag]

    def acks(self, id: str) -> list[Node]:
        """Our acks and receipts of a stanza of the server's; a request for it is none."""
        return [
            node
            for node in self.sent
            if node.tag in ("ack", "receipt") and get_text(node, "id") == id and node.child("retry") is None
        ]


class World:
    """A paired client that has logged in, and its service."""

    def __init__(self, store: Store, config: ClientConfig) -> None:
        self.clock = StandingClock()
        self.service = Service()
        self.events: list[Event] = []
        self.traces: list[Trace] = []
        self.client = Client(
            config,
            store=store,
            connector=_nowhere,
            clock=self.clock,
            entropy=Dice("client"),
            tracer=Tracer(self.traces.extend),
        )
        self.client.subscribe(self.events.append)

    @staticmethod
    async def of(store: Store | None = None, **config: object) -> World:
        """Everything loaded and open, as after a login."""
        kept = store or MemoryStore()
        if await kept.load(RecordKind.CREDENTIALS, "self") is None:
            mine = Credentials.generate(Dice("mine").take).evolve(me=ME, lid=MY_LID)
            async with kept.unit() as unit:
                unit.save(RecordKind.CREDENTIALS, "self", mine.to_json())
                unit.save(RecordKind.SIGNED_PREKEY, str(mine.signed_prekey_id), mine.signed_prekey.private)
        world = World(kept, replace(ClientConfig(query_timeout=5.0), **cast(Any, config)))
        client = world.client
        await client.account.load()
        await client.groups.load()
        await client.outbox.load()
        await client.pipeline.start()
        world.service.client = client
        client.supervisor._stream = cast(Stream, world.service)
        await client.outbox.open()
        return world

    async def receive(self, node: Node) -> None:
        """Take a stanza of the server's, and all that follows from it."""
        await self.client.on_node(self.event(node))
        await self.client.lanes.drain()
        await settle()

    @staticmethod
    def event(node: Node) -> NodeReceived:
        """A stanza as it comes from the wire."""
        return NodeReceived(node, 1)

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def failures(self) -> list[str]:
        """What went wrong where nobody waits for it."""
        return [trace.detail for trace in self.traces if trace.name == "lane.failed"]


async def _nowhere(url: str) -> Transport:
    raise AssertionError(url)


def text(words: str) -> proto.Message:
    return proto.Message(conversation=words)


def child(node: Node, *path: str) -> Node:
    for tag in path:
        node = require_child(node, tag)
    return node


def said(message: proto.Message) -> str:
    """The text of a text message, inside a wrapper for our own devices as well."""
    inner = message.deviceSentMessage.message if message.HasField("deviceSentMessage") else message
    return inner.conversation or inner.extendedTextMessage.text
