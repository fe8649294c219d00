"""One stanza in, its meaning out: what each kind of incoming message writes, tells and leaves alone."""

from __future__ import annotations

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.client.worlds import StandingClock
from tests.unit.protocol.wires import Dice
from waton._core import PreKeyBundle
from waton.client.client import Client, ClientConfig
from waton.client.decryption import DECODE, MALFORMED
from waton.client.envelope import IncomingKind, classify_incoming_node, envelope_of, message_place, received_key
from waton.client.events import MessageKey, MessagesUpsert
from waton.client.messages_recv import Decoded, decode_incoming_message_node
from waton.errors import RemoteProtocolError
from waton.jid import Jid, signal_address
from waton.ports import RecordKind
from waton.protocol import proto, signal_repo
from waton.protocol.binary_node import Node
from waton.protocol.credentials import Credentials, KeyPair
from waton.protocol.group_cipher import GroupCipher, sender_key_name
from waton.protocol.signal_repo import LocalIdentity
from waton.protocol.stanza.message import Enc, IncomingMessage
from waton.protocol.trace import Tracer
from waton.utils.padding import pad

ME, MY_LID = Jid("15550000001", "s.whatsapp.net", 3), Jid("200000000000001", "lid", 3)
ADA, ADA_PN = Jid("200000000000002", "lid", 1), Jid("15550000002", "s.whatsapp.net", 1)
GROUP = Jid("120363000000000001", "g.us")
T = 1_760_000_000


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        ("message", IncomingKind.MESSAGE),
        ("receipt", IncomingKind.RECEIPT),
        ("notification", IncomingKind.NOTIFICATION),
        ("call", IncomingKind.CALL),
        ("ack", IncomingKind.ACK),
        ("iq", IncomingKind.IQ),
        ("ib", IncomingKind.IB),
        ("presence", IncomingKind.PRESENCE),
        ("chatstate", IncomingKind.CHATSTATE),
        ("success", IncomingKind.SUCCESS),
        ("failure", IncomingKind.STREAM_END),
        ("stream:error", IncomingKind.STREAM_END),
        ("xmlstreamend", IncomingKind.STREAM_END),
        ("stream", IncomingKind.UNKNOWN),
        ("unknown", IncomingKind.UNKNOWN),
        ("handshake", IncomingKind.UNKNOWN),
    ],
)
def test_every_stanza_has_its_kind(tag: str, kind: IncomingKind) -> None:
    found = classify_incoming_node(Node(tag))
    assert found is kind
    assert found.is_acknowledged == (tag in ("message", "receipt", "notification", "call"))


def is_me(jid: Jid) -> bool:
    return jid.bare in (ME.bare, MY_LID.bare)


def incoming(sender: Jid, **fields: object) -> IncomingMessage:
    return IncomingMessage("ID", sender, T, "text", (), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stanza", "chat", "author", "from_me", "is_peer"),
    [
        (incoming(ADA), ADA.bare, ADA, False, False),
        (incoming(MY_LID.with_device(0), recipient=ADA.bare), ADA.bare, MY_LID.with_device(0), True, False),
        (incoming(ME.with_device(0), category="peer"), ME.bare, ME.with_device(0), True, True),
        (incoming(ME.with_device(7), category="peer"), ME.bare, ME.with_device(7), True, False),
        (incoming(ADA, category="peer"), ADA.bare, ADA, False, False),
        (incoming(GROUP, participant=ADA), GROUP, ADA, False, False),
        (incoming(GROUP, participant=MY_LID.with_device(0)), GROUP, MY_LID.with_device(0), True, False),
    ],
)
def test_whose_message_it_is(stanza: IncomingMessage, chat: Jid, author: Jid, from_me: bool, is_peer: bool) -> None:
    envelope = envelope_of(stanza, is_me)
    key = envelope.key
    assert (key.chat, key.author, key.from_me, envelope.is_peer) == (chat, author, from_me, is_peer)


@pytest.mark.parametrize("stanza", [incoming(GROUP), incoming(ADA, recipient=Jid("3000", "lid"))])
def test_a_message_of_nobody_or_to_somebody_else_is_refused(stanza: IncomingMessage) -> None:
    with pytest.raises(RemoteProtocolError):
        envelope_of(stanza, is_me)


def test_an_id_cannot_pose_as_another_message_s_key() -> None:
    hostile = MessageKey(ADA.bare, f"A {ADA}", False, Jid("9", "lid"))
    assert not received_key(hostile).startswith(message_place(ADA.bare, "A"))


# --- decoding ---------------------------------------------------------------------------------------------------------


class Author:
    """Ada's device, past its first exchange with ours, and in one group with us."""

    def __init__(self) -> None:
        self.dice = Dice("author")
        self.credentials = Credentials.generate(self.dice.take)
        self.record = b""
        self.group = GroupCipher().fresh(entropy=self.dice.take(68))

    def bundle_of(self, mine: Credentials) -> PreKeyBundle:
        return PreKeyBundle(
            registration_id=mine.registration_id,
            identity_key=mine.identity_key.public,
            signed_prekey_id=mine.signed_prekey_id,
            signed_prekey=mine.signed_prekey.public,
            signed_prekey_signature=mine.signed_prekey_signature,
            prekey_id=1,
            prekey=KeyPair.of(bytes([9]) * 32).public,
        )

    def open(self, mine: Credentials) -> None:
        local = LocalIdentity.of(self.credentials)
        self.record = signal_repo.open_session(None, self.bundle_of(mine), local, entropy=self.dice.take(64))

    def seal(self, message: proto.Message | bytes) -> Enc:
        plain = message if isinstance(message, bytes) else message.SerializeToString()
        sealed = signal_repo.encrypt(self.record, pad(plain, 4))
        self.record = sealed.record
        return Enc(sealed.type, sealed.ciphertext)

    def key_message(self, group: Jid = GROUP) -> proto.Message:
        told = proto.Message()
        told.senderKeyDistributionMessage.groupId = str(group)
        told.senderKeyDistributionMessage.axolotlSenderKeyDistributionMessage = self.group.distribution()
        return told

    def seal_for_group(self, message: proto.Message) -> Enc:
        sealed = self.group.encrypt(pad(message.SerializeToString(), 4), entropy=self.dice.take(64))
        self.group = GroupCipher(sealed.record)
        return Enc("skmsg", sealed.ciphertext)


@pytest.fixture
async def client() -> Client:
    store = MemoryStore()
    mine = Credentials.generate(Dice("mine").take).evolve(me=ME, lid=MY_LID)
    store.records[RecordKind.CREDENTIALS, "self"] = mine.to_json()
    store.records[RecordKind.SIGNED_PREKEY, str(mine.signed_prekey_id)] = mine.signed_prekey.private
    store.records[RecordKind.PREKEY, "1"] = bytes([9]) * 32

    async def nowhere(url: str) -> None:
        raise AssertionError(url)

    made = Client(
        ClientConfig(),
        store=store,
        connector=nowhere,  # type: ignore[arg-type]
        clock=StandingClock(),
        entropy=Dice("client"),
        tracer=Tracer(lambda traces: None),
    )
    await made.account.load()
    return made


@pytest.fixture
def ada(client: Client) -> Author:
    author = Author()
    author.open(client.credentials)
    return author


async def decode(client: Client, stanza: IncomingMessage, *, keep: bool = True) -> Decoded:
    """Decode a stanza in a unit of work of its own; what it wrote is kept."""
    async with client.pipeline.step() as step:
        decoded = await decode_incoming_message_node(client, step, stanza.to_node())
        if decoded.message is not None and keep:
            step.save(RecordKind.RECEIVED, received_key(decoded.envelope.key), str(ADA).encode())
    return decoded


def text(words: str) -> proto.Message:
    return proto.Message(conversation=words)


def from_ada(*encs: Enc, id: str = "ID", **fields: object) -> IncomingMessage:
    return IncomingMessage(id, ADA, T, "text", encs, sender_pn=ADA_PN, notify="Ada", **fields)  # type: ignore[arg-type]


def told(decoded: Decoded) -> list[str | None]:
    return [event.text for event in decoded.events if isinstance(event, MessagesUpsert)]


async def test_a_prekey_message_opens_a_session_spends_the_prekey_and_teaches_the_number(
    client: Client, ada: Author
) -> None:
    decoded = await decode(client, from_ada(ada.seal(text("hello"))))
    assert told(decoded) == ["hello"]
    store = client.store
    assert await store.load(RecordKind.PREKEY, "1") is None
    assert await store.load(RecordKind.IDENTITY, signal_address(ADA)) == ada.credentials.identity_key.public
    assert await store.load(RecordKind.SESSION, signal_address(ADA)) is not None
    assert await store.load(RecordKind.LID_MAPPING, f"{ADA_PN.user}@s.whatsapp.net") is not None


async def test_the_same_ciphertext_again_is_a_duplicate_and_tells_nothing(client: Client, ada: Author) -> None:
    stanza = from_ada(ada.seal(text("hello")))
    await decode(client, stanza)
    again = await decode(client, stanza)
    assert (again.message, again.failure, again.events) == (None, "", ())


async def test_a_resend_under_the_same_id_is_read_and_not_told_again(client: Client, ada: Author) -> None:
    await decode(client, from_ada(ada.seal(text("hello"))))
    again = await decode(client, from_ada(ada.seal(text("hello"))))
    assert again.was_told
    assert again.events == ()


async def test_a_changed_byte_is_named_and_changes_nothing(client: Client, ada: Author) -> None:
    await decode(client, from_ada(ada.seal(text("opens"))))
    store = client.store
    assert isinstance(store, MemoryStore)
    before = dict(store.records)
    enc = ada.seal(text("hello"))
    assert enc.type == "pkmsg"
    for place in (len(enc.ciphertext) - 20, len(enc.ciphertext) // 2):
        wounded = bytearray(enc.ciphertext)
        wounded[place] ^= 1
        decoded = await decode(client, from_ada(Enc(enc.type, bytes(wounded)), id="WOUNDED"))
        assert decoded.failure in ("bad_mac", DECODE, "invalid_key_id", "invalid_key")
        assert store.records == before
    assert told(await decode(client, from_ada(enc, id="SOUND"))) == ["hello"]


async def test_without_the_key_nothing_can_be_read(client: Client, ada: Author) -> None:
    store = client.store
    assert isinstance(store, MemoryStore)
    store.records[RecordKind.PREKEY, "1"] = bytes([8]) * 32
    assert (await decode(client, from_ada(ada.seal(text("hello"))))).failure == "bad_mac"
    del store.records[RecordKind.PREKEY, "1"]
    assert (await decode(client, from_ada(ada.seal(text("hello"))))).failure == "invalid_key_id"


async def test_what_decrypts_and_is_no_message_is_malformed(client: Client, ada: Author) -> None:
    assert (await decode(client, from_ada(ada.seal(b"\xff\xff\xff")))).failure == MALFORMED


async def test_a_stanza_s_own_sender_key_opens_it_whatever_the_order(client: Client, ada: Author) -> None:
    key, content = ada.seal(ada.key_message()), ada.seal_for_group(text("to all"))
    stanza = IncomingMessage("G", GROUP, T, "text", (content, key), participant=ADA, participant_pn=ADA_PN)
    assert told(await decode(client, stanza)) == ["to all"]
    assert await client.store.load(RecordKind.SENDER_KEY, sender_key_name(GROUP, ADA)) is not None


async def test_a_sender_key_for_another_group_is_not_taken(client: Client, ada: Author) -> None:
    key = ada.seal(ada.key_message(Jid("120363000000000009", "g.us")))
    stanza = IncomingMessage("G", GROUP, T, "text", (key, ada.seal_for_group(text("x"))), participant=ADA)
    assert (await decode(client, stanza)).failure == "no_sender_key"


async def test_a_sender_key_alone_is_no_failure_and_tells_nothing(client: Client, ada: Author) -> None:
    decoded = await decode(client, IncomingMessage("G", GROUP, T, "text", (ada.seal(ada.key_message()),), ADA))
    assert (decoded.failure, decoded.events) == ("", ())


async def test_content_counts_though_something_beside_it_failed(client: Client, ada: Author) -> None:
    decoded = await decode(client, from_ada(Enc("msg", b"\x33garbage"), ada.seal(text("hello"))))
    assert told(decoded) == ["hello"]


@pytest.mark.parametrize(
    ("child", "failure"),
    [
        (None, "absent"),
        (Node("unavailable", {"type": "view_once"}), "unavailable"),
        (Node("unavailable", {"type": "view_once_unavailable_fanout"}), "withheld"),
    ],
)
async def test_a_stanza_without_a_ciphertext_says_why(client: Client, child: Node | None, failure: str) -> None:
    node = from_ada().to_node()
    whole = Node(node.tag, {**node.attrs}, [] if child is None else [child])
    async with client.pipeline.step() as step:
        decoded = await decode_incoming_message_node(client, step, whole)
    assert decoded.failure == failure


async def test_a_newsletter_s_plaintext_is_told(client: Client) -> None:
    channel = Jid("120363000000000777", "newsletter")
    node = Node(
        "message",
        {"id": "N", "from": channel, "t": str(T), "type": "text", "server_id": "77"},
        [Node("plaintext", None, text("news").SerializeToString())],
    )
    async with client.pipeline.step() as step:
        decoded = await decode_incoming_message_node(client, step, node)
    assert told(decoded) == ["news"]
    assert decoded.envelope.key.server_id == "77"


async def test_a_session_left_under_the_number_is_found_and_moved(client: Client, ada: Author) -> None:
    await decode(client, from_ada(ada.seal(text("opens"))))
    store = client.store
    assert isinstance(store, MemoryStore)
    # The other name holds the session that the next message is for, as after a mapping that was learnt too late.
    store.records[RecordKind.SESSION, signal_address(ADA_PN)] = store.records.pop(
        (RecordKind.SESSION, signal_address(ADA))
    )
    store.records.pop((RecordKind.PREKEY, "1"), None)
    assert told(await decode(client, from_ada(ada.seal(text("found")), id="NEXT"))) == ["found"]
    assert (RecordKind.SESSION, signal_address(ADA_PN)) not in store.records
    assert (RecordKind.SESSION, signal_address(ADA)) in store.records
