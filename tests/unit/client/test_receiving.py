"""What comes in is told once, by whoever could write it, and what cannot be read is never passed over in silence."""

from __future__ import annotations

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.client.service import GROUP, ME, MY_LID, Peer, World, said, text
from tests.unit.client.worlds import settle
from waton.client.events import MessagesUpsert, MessageUndecryptable
from waton.jid import STATUS_BROADCAST, Jid, signal_address
from waton.ports import RecordKind
from waton.protocol import proto
from waton.protocol.binary_node import Node, decode_node, encode_node, get_text
from waton.protocol.group_cipher import GroupCipher, sender_key_name
from waton.protocol.stanza.message import Enc, IncomingMessage
from waton.utils.padding import pad

ADA, ADA_PN = Jid("200000000000002", "lid"), Jid("15550000002", "s.whatsapp.net")
T = 1_760_000_000


@pytest.fixture
async def world() -> World:
    made = await World.of()
    made.service.person(ME.with_device(0))
    return made


@pytest.fixture
def ada(world: World) -> Peer:
    """Ada, who has our keys and has not written yet."""
    peer = world.service.person(ADA)
    peer.meet(world.client)
    return peer


def message(*encs: Enc, id: str = "ID", sender: Jid = ADA, **fields: object) -> Node:
    return IncomingMessage(id, sender, T, "text", encs, **fields).to_node()  # type: ignore[arg-type]


def texts(world: World) -> list[str]:
    return [said(event.message) for event in world.told(MessagesUpsert) if isinstance(event, MessagesUpsert)]


def unread(world: World) -> list[tuple[str, str]]:
    """Id and reason of what was told as not readable."""
    told = world.told(MessageUndecryptable)
    return [(event.key.id, event.reason) for event in told if isinstance(event, MessageUndecryptable)]


# --- who may say what -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stanza",
    [
        message(),
        message(sender=GROUP, participant=ADA),
        message(sender=ME.with_device(0), category="peer"),
        message(sender=MY_LID.with_device(0), recipient=ADA),
    ],
)
async def test_what_nobody_has_encrypted_is_nobody_s_word(world: World, stanza: Node) -> None:
    plain = Node("plaintext", None, text("believe me").SerializeToString())
    await world.receive(Node(stanza.tag, {**stanza.attrs}, [plain]))
    assert texts(world) == []
    assert unread(world) == [("ID", "malformed")]
    assert world.service.acks("ID")


async def test_a_newsletter_is_not_encrypted_and_is_read(world: World) -> None:
    stanza = message(sender=Jid("120363000000000009", "newsletter"), server_id="7")
    plain = Node("plaintext", None, text("news").SerializeToString())
    await world.receive(Node(stanza.tag, {**stanza.attrs}, [plain]))
    assert texts(world) == ["news"]


@pytest.mark.parametrize("server", ["nowhere", "bot", "newsletter"])
async def test_a_name_on_another_server_does_not_reach_a_person_s_session(world: World, ada: Peer, server: str) -> None:
    opening = ada.seal(text("mine"))
    await world.receive(message(opening, id="STRANGE", sender=Jid(ADA_PN.user, server)))
    assert texts(world) == [] or server != "nowhere"
    assert await world.client.store.load(RecordKind.SESSION, signal_address(ADA_PN)) is None
    assert world.service.acks("STRANGE"), "it is answered, or the server's window fills"
    assert world.failures() == []


# --- nothing is passed over -------------------------------------------------------------------------------------------


async def test_content_of_a_kind_that_nobody_here_knows_is_told(world: World, ada: Peer) -> None:
    await world.receive(message(ada.seal(b"\xba\x3e\x05hello")))
    [event] = world.told(MessagesUpsert)
    assert isinstance(event, MessagesUpsert)
    assert event.message.SerializeToString() == b"\xba\x3e\x05hello"


async def test_a_sender_key_alone_is_told_to_nobody(world: World, ada: Peer) -> None:
    told = proto.Message()
    told.senderKeyDistributionMessage.groupId = str(GROUP)
    await world.receive(message(ada.seal(told)))
    assert (texts(world), unread(world)) == ([], [])
    assert world.service.acks("ID")


@pytest.mark.parametrize("record", [b"\xff", b"not a record"])
async def test_a_damaged_session_is_no_session_and_the_message_is_asked_for(
    world: World, ada: Peer, record: bytes
) -> None:
    await world.receive(message(ada.seal(text("opens")), id="A"))
    store = world.client.store
    assert isinstance(store, MemoryStore)
    store.records[RecordKind.SESSION, signal_address(ADA)] = record
    await world.receive(message(Enc("msg", ada.seal(text("lost")).ciphertext), id="B"))
    assert world.failures() == []
    assert [id for id, _ in unread(world)] == ["B"]
    assert [get_text(node, "type") for node in world.service.of("receipt") if get_text(node, "id") == "B"] == ["retry"]
    ada.meet(world.client)
    await world.receive(message(ada.seal(text("lost")), id="B"))
    assert texts(world) == ["opens", "lost"]


async def test_a_damaged_sender_key_is_no_key_and_the_message_is_asked_for(world: World, ada: Peer) -> None:
    store = world.client.store
    assert isinstance(store, MemoryStore)
    store.records[RecordKind.SENDER_KEY, sender_key_name(GROUP, ADA)] = b"\xff"
    own = GroupCipher().fresh(entropy=ada.dice.take(68))
    sealed = own.encrypt(pad(text("to all").SerializeToString(), 4), entropy=ada.dice.take(64))
    stanza = message(Enc("skmsg", sealed.ciphertext), id="G", sender=GROUP, participant=ADA)
    await world.receive(stanza)
    assert world.failures() == []
    assert unread(world) == [("G", "no_sender_key")]
    told = proto.Message()
    told.senderKeyDistributionMessage.groupId = str(GROUP)
    told.senderKeyDistributionMessage.axolotlSenderKeyDistributionMessage = own.distribution()
    again = message(ada.seal(told), Enc("skmsg", sealed.ciphertext), id="G", sender=GROUP, participant=ADA)
    await world.receive(again)
    assert texts(world) == ["to all"]


async def test_what_cannot_be_read_is_told_once_however_often_it_is_delivered(world: World, ada: Peer) -> None:
    enc = ada.seal(b"\xff\xff\xff")
    ada.meet(world.client)
    for _ in range(3):
        ada.meet(world.client)
        await world.receive(message(ada.seal(b"\xff\xff\xff"), id="BAD"))
    assert unread(world) == [("BAD", "malformed")]
    assert len(world.service.acks("BAD")) == 3
    for _ in range(9):
        await world.receive(message(Enc("msg", enc.ciphertext), id="LOST"))
    told = [event for event in world.told(MessageUndecryptable) if isinstance(event, MessageUndecryptable)]
    assert [(one.key.id, one.will_retry) for one in told[1:]] == [("LOST", True), ("LOST", False)]


# --- one person, two names --------------------------------------------------------------------------------------------


async def test_what_was_told_under_the_number_is_not_told_again_under_the_lid(world: World, ada: Peer) -> None:
    await world.receive(message(ada.seal(text("hello")), sender=ADA_PN))
    assert texts(world) == ["hello"]
    await world.receive(message(ada.seal(text("hello")), sender=ADA, sender_pn=ADA_PN))
    await world.receive(message(ada.seal(text("hello")), sender=ADA_PN))
    assert texts(world) == ["hello"]
    assert len(world.service.acks("ID")) == 3
    await world.receive(message(ada.seal(text("another")), sender=ADA, id="OTHER"))
    assert texts(world) == ["hello", "another"]


async def test_two_people_may_use_one_id(world: World, ada: Peer) -> None:
    bob = world.service.person(Jid("200000000000003", "lid"))
    bob.meet(world.client)
    await world.receive(message(ada.seal(text("from Ada"))))
    await world.receive(message(bob.seal(text("from Bob")), sender=bob.jid))
    assert texts(world) == ["from Ada", "from Bob"]


# --- what is kept, and for how long -----------------------------------------------------------------------------------


async def test_a_status_is_read_with_its_author_s_sender_key(world: World, ada: Peer) -> None:
    own = GroupCipher().fresh(entropy=ada.dice.take(68))
    told = proto.Message()
    told.senderKeyDistributionMessage.groupId = str(STATUS_BROADCAST)
    told.senderKeyDistributionMessage.axolotlSenderKeyDistributionMessage = own.distribution()
    sealed = own.encrypt(pad(text("on my way").SerializeToString(), 4), entropy=ada.dice.take(64))
    encs = (ada.seal(told), Enc("skmsg", sealed.ciphertext))
    await world.receive(message(*encs, sender=STATUS_BROADCAST, participant=ADA))
    assert texts(world) == ["on my way"]
    assert unread(world) == []


async def test_a_secret_is_kept_for_months_and_not_for_ever(world: World, ada: Peer) -> None:
    with_secret = text("vote!")
    with_secret.messageContextInfo.messageSecret = bytes(32)
    await world.receive(message(ada.seal(with_secret)))
    store = world.client.store
    assert isinstance(store, MemoryStore)
    [place] = [place for place in store.records if place[0] is RecordKind.MESSAGE_SECRET]
    assert 90 * 86_400 < store.untils[place] - world.clock.now() < 400 * 86_400


async def test_a_receipt_for_more_than_anybody_has_sent_is_refused_and_acknowledged(world: World) -> None:
    listed = Node("list", None, [Node("item", {"id": f"ID{number}"}) for number in range(20_000)])
    await world.receive(Node("receipt", {"id": "MANY", "from": ADA, "t": str(T)}, [listed]))
    users = [Node("user", {"jid": Jid(str(7_000_000 + number), "lid")}) for number in range(20_000)]
    gathered = Node("participants", {"message_id": "ID"}, users)
    await world.receive(Node("receipt", {"id": "ALL", "from": GROUP, "t": str(T), "type": "read"}, [gathered]))
    assert world.events == []
    assert [get_text(node, "error") for node in world.service.of("ack")] == ["487", "487"]


async def test_messages_keep_their_order_while_somebody_s_lid_becomes_known(world: World, ada: Peer) -> None:
    under_way = [message(ada.seal(text(f"{number}")), id=f"ID{number}", sender=ADA_PN) for number in range(3)]
    later = [message(ada.seal(text(words)), id=words, sender=ADA, **told) for words, told in
             (("by lid", {}), ("by both", {"sender_pn": ADA_PN}))]  # fmt: skip
    async with world.client.hold([ADA_PN]):
        for stanza in under_way:
            await world.client.on_node(world.event(stanza))
        await settle()
        async with world.client.store.unit() as unit:
            unit.save(RecordKind.LID_MAPPING, str(ADA_PN), ADA.user.encode())
            unit.save(RecordKind.LID_MAPPING, str(ADA), ADA_PN.user.encode())
        for stanza in later:
            await world.client.on_node(world.event(stanza))
        await settle()
    await world.client.lanes.drain()
    await settle()
    assert texts(world) == ["0", "1", "2", "by lid", "by both"]
    assert world.failures() == []


@pytest.mark.parametrize("id", ["1:999@lid", "5@lid", "a b", "", "x" * 4_000, "held 1"])
async def test_whatever_id_its_author_likes_a_message_is_acknowledged(world: World, ada: Peer, id: str) -> None:
    await world.receive(message(ada.seal(text("hello")), id=id, notify="1:999@lid"))
    assert texts(world) == ["hello"]
    [receipt] = world.service.of("receipt")
    assert get_text(decode_node(encode_node(receipt)), "id") == id
    assert world.failures() == []


async def test_a_name_of_a_megabyte_is_told_and_not_kept_in_memory(world: World, ada: Peer) -> None:
    await world.receive(message(ada.seal(text("hello")), notify="x" * (1 << 20)))
    assert texts(world) == ["hello"]
    assert world.client.name_of(ADA) is None
    await world.receive(message(ada.seal(text("again")), id="ID2", notify="Ada"))
    assert world.client.name_of(ADA) == "Ada"
