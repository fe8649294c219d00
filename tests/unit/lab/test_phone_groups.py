"""Phones in groups: sender keys told to who lacks them, made anew when somebody goes, asked for when they are lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.lab.worlds import Bench, Companion
from waton.errors import DecryptError, DecryptReason, IqError, LabError, RetryReason
from waton.jid import Jid
from waton.lab.groups import Group
from waton.lab.phone import Phone
from waton.lab.world import Device
from waton.protocol import proto
from waton.protocol.binary_node import Node, decode_node
from waton.protocol.group_cipher import ROTATE_AFTER, GroupCipher, sender_key_name
from waton.protocol.stanza.group import AddressingMode
from waton.protocol.stanza.message import Enc, IncomingMessage
from waton.protocol.stanza.receipt import ReceiptType
from waton.protocol.stanza.retry import RetryRequest
from waton.protocol.trace import Layer, Way

People = tuple[Phone, Phone, Phone]


@pytest.fixture
async def people(bench: Bench) -> People:
    ada, bob, cid = await bench.phones("Ada", "Bob", "Cid")
    return ada, bob, cid


@pytest.fixture(params=list(AddressingMode))
async def group(people: People, request: pytest.FixtureRequest) -> Jid:
    """A group of the three, made by Ada."""
    ada, bob, cid = people
    return await ada.create_group("Tea", [bob.lid, str(cid.pn)], request.param)


def ways(bench: Bench, phone: Phone) -> list[str]:
    """In which encryptions a phone got what it read, in order."""
    read = (trace for trace in bench.traces if trace.layer is Layer.MESSAGE and trace.way is Way.IN)
    return [trace.kind for trace in read if trace.recipient == str(phone.lid)]


def rotations(bench: Bench) -> list[int]:
    """Of every sender key made: whether there was one before."""
    return [json.loads(trace.detail)["rotated"] for trace in bench.traces if trace.name == "phone.sender_key"]


def texts(phone: Phone) -> list[str | None]:
    return [message.text for message in phone.messages]


def known(bench: Bench, group: Jid) -> Group:
    """The group as the service has it."""
    found = bench.service.groups.find(group)
    assert found is not None
    return found


def device_of(bench: Bench, phone: Phone) -> Device:
    return bench.service.world.devices(phone.account)[0]


# --- writing and reading


async def test_the_key_is_told_once_and_then_one_ciphertext_serves_all(
    bench: Bench, people: People, group: Jid
) -> None:
    ada, bob, cid = people
    for text in ("one", "two", "three"):
        await ada.send_text(group, text)
    assert texts(bob) == texts(cid) == ["one", "two", "three"]
    assert ways(bench, bob) == ways(bench, cid) == ["pkmsg", "skmsg", "skmsg", "skmsg"]
    first = await bob.next_message()
    found = await bob.group_metadata(group)
    assert (first.chat, first.sender, first.from_me) == (group, found.participants[0].jid, False)
    assert rotations(bench) == [0]


async def test_everybody_has_a_key_of_his_own(bench: Bench, people: People, group: Jid) -> None:
    for phone in people:
        await phone.send_text(group, f"from {phone.name}")
    assert [sorted(map(str, texts(phone))) for phone in people] == [["from Ada", "from Bob", "from Cid"]] * 3
    assert not [phone.unreadable for phone in people if phone.unreadable]


async def test_companions_of_everybody_get_it_and_their_messages_are_read(
    bench: Bench, people: People, group: Jid
) -> None:
    ada, bob, _ = people
    mine, theirs = Companion.link(bench, ada), Companion.link(bench, bob)
    for companion in (mine, theirs):
        companion.login()
        companion.publish()
    await ada.send_text(group, "hello")
    for companion in (mine, theirs):
        (node,) = companion.endpoint.take("message")
        assert [enc.type for enc in IncomingMessage.from_node(node).encs] == ["pkmsg", "skmsg"]


async def test_a_receipt_names_its_reader_and_the_group(people: People, group: Jid) -> None:
    ada, bob, _ = people
    id = await ada.send_text(group, "hello")
    delivered = [receipt for receipt in ada.receipts if receipt.ids == (id,)]
    everybody = await ada.group_metadata(group)
    assert [(receipt.peer, receipt.participant) for receipt in delivered] == [
        (group, person.jid) for person in everybody.participants[1:]
    ]
    bob.read(await bob.next_message())
    read = await ada.next_receipt(id, ReceiptType.READ)
    assert (read.peer, read.participant) == (group, everybody.participants[1].jid)


async def test_what_comes_while_a_phone_is_away_waits(people: People, group: Jid) -> None:
    ada, bob, _ = people
    bob.offline()
    for text in ("one", "two"):
        await ada.send_text(group, text)
    assert texts(bob) == []
    with pytest.raises(LabError, match="offline"):
        await bob.send_text(group, "no")
    bob.online()
    assert texts(bob) == ["one", "two"]


async def test_a_phone_outside_may_not_write_and_asks_in_vain(people: People) -> None:
    ada, bob, cid = people
    group = await ada.create_group("Tea", [bob.lid])
    id = await cid.send_text(group, "let me in")
    assert cid.refused == {id: 403}
    with pytest.raises(IqError) as refused:
        await cid.group_metadata(group)
    assert refused.value.code == 403
    with pytest.raises(LabError, match="nobody"):
        await cid.send_text("120363999999999999@g.us", "anybody?")


async def test_a_phone_answers_in_the_group_it_was_asked_in(people: People, group: Jid) -> None:
    ada, bob, cid = people
    bob.reply_with = lambda text: f"You said: {text}"
    await ada.send_text(group, "hello")
    answer = await cid.next_message()
    if answer.text == "hello":
        answer = await cid.next_message()
    assert (answer.text, answer.chat) == ("You said: hello", group)


# --- who must not read on


async def test_who_was_removed_can_read_nothing_more(bench: Bench, people: People, group: Jid) -> None:
    ada, bob, cid = people
    await ada.send_text(group, "with Cid")
    await cid.send_text(group, "me too")
    held = cid._group_keys._load(known(bench, group), ada.lid)
    assert await ada.remove_from_group(group, cid.lid) == {known(bench, group).address(cid.account): 200}
    await ada.send_text(group, "without Cid")
    assert (texts(bob)[-1], texts(cid)[-1]) == ("without Cid", "me too")
    assert rotations(bench) == [0, 0, 1]
    # Had the service sent it to Cid all the same, the key that Cid holds would not open it.
    bob_device = device_of(bench, bob)
    bob.offline()
    await ada.send_text(group, "still without Cid")
    (waiting,) = bench.service.deliveries.waiting(bob_device, 0)
    enc = IncomingMessage.from_node(decode_node(waiting.stanza)).encs[-1]
    with pytest.raises(DecryptError) as refused:
        held.decrypt(enc.ciphertext, sender=ada.lid)
    assert refused.value.reason is DecryptReason.NO_SENDER_KEY
    bob.online()
    assert texts(bob)[-1] == "still without Cid"


async def test_who_comes_back_is_told_the_new_key_only(bench: Bench, people: People, group: Jid) -> None:
    ada, bob, cid = people
    await ada.send_text(group, "one")
    await ada.remove_from_group(group, cid.pn)
    await ada.send_text(group, "two")
    await ada.add_to_group(group, cid.pn)
    await ada.send_text(group, "three")
    assert (texts(bob), texts(cid)) == (["one", "two", "three"], ["one", "three"])
    # Coming is no reason for another key: what was written before cannot be read with its later place.
    assert rotations(bench) == [0, 1]


async def test_an_unlinked_companion_is_a_reason_for_a_new_key(bench: Bench, people: People, group: Jid) -> None:
    ada, bob, _ = people
    companion = Companion.link(bench, bob)
    companion.login()
    companion.publish()
    await ada.send_text(group, "one")
    bob.remove(companion.device.pn)
    await ada.send_text(group, "two")
    assert rotations(bench) == [0, 1]
    assert texts(bob) == ["one", "two"]


async def test_a_key_that_has_served_long_enough_is_made_anew(bench: Bench, people: People, group: Jid) -> None:
    ada, bob, _ = people
    await ada.send_text(group, "one")
    found = known(bench, group)
    cipher = ada._group_keys._load(found, ada.lid)
    for _ in range(ROTATE_AFTER):
        cipher = GroupCipher(cipher.encrypt(b"x", entropy=bytes(64)).record)
    ada._group_keys._save(found, ada.lid, cipher)
    await ada.send_text(group, "two")
    assert rotations(bench) == [0, 1]
    assert texts(bob) == ["one", "two"]


# --- what cannot be read


def lose(bench: Bench, phone: Phone, *kinds: str) -> None:
    marks = ", ".join(f"'{kind}'" for kind in kinds)
    bench.database.write(f"DELETE FROM phone_record WHERE account = ? AND kind IN ({marks})", phone.account.id)


@pytest.mark.parametrize("kinds", [("sender_key",), ("session",), ("sender_key", "session", "identity")])
async def test_what_cannot_be_read_is_asked_for_and_comes_pairwise(
    bench: Bench, people: People, group: Jid, kinds: tuple[str, ...]
) -> None:
    ada, bob, cid = people
    await ada.send_text(group, "one")
    await bob.send_text(group, "two")
    lose(bench, bob, *kinds)
    id = await ada.send_text(group, "three")
    await ada.send_text(group, "four")
    assert texts(bob) == ["one", "two", "three", "four"]
    assert texts(cid) == texts(bob)
    if kinds == ("session",):
        assert not bob.unreadable  # the sender key is all that is needed
    else:
        assert list(bob.unreadable) == [(id, "no_sender_key")]
        assert ways(bench, bob)[-2:] == ["pkmsg", "skmsg"]
        noted = [json.loads(trace.detail) for trace in bench.traces if trace.name == "phone.retry"]
        assert noted == [{"id": id, "count": 1, "outcome": "resent"}]


async def test_a_device_that_was_told_no_key_is_told_when_it_asks(bench: Bench, people: People, group: Jid) -> None:
    ada, bob, _ = people
    late = Companion.link(bench, bob)
    late.login()
    id = await ada.send_text(group, "one")
    (node,) = late.endpoint.take("message")
    heard = IncomingMessage.from_node(node)
    assert [enc.type for enc in heard.encs] == ["skmsg"]  # it had published nothing yet
    late.publish()
    request = RetryRequest.of(heard, count=1, error=RetryReason.NO_SESSION, registration_id=1)
    late.post(request.to_node())
    (node,) = late.endpoint.take("message")
    again = IncomingMessage.from_node(node)
    assert (again.id, [(enc.type, enc.count) for enc in again.encs]) == (id, [("pkmsg", 1)])
    assert (again.sender, again.participant) == (group, heard.participant)
    await ada.send_text(group, "two")
    (node,) = late.endpoint.take("message")
    assert [enc.type for enc in IncomingMessage.from_node(node).encs] == ["skmsg"]


async def test_a_tampered_group_message_is_refused_and_the_key_lives_on(
    bench: Bench, people: People, group: Jid
) -> None:
    ada, bob, _ = people
    await ada.send_text(group, "one")
    bob.offline()
    id = await ada.send_text(group, "two")
    device = device_of(bench, bob)
    (waiting,) = bench.service.deliveries.waiting(device, 0)
    message = decode_node(waiting.stanza)
    (enc,) = IncomingMessage.from_node(message).encs
    for place in (1, len(enc.ciphertext) // 2, len(enc.ciphertext) - 1):
        bad = bytearray(enc.ciphertext)
        bad[place] ^= 1
        forged = Node(message.tag, {**message.attrs, "id": f"BAD{place}"}, [Enc(enc.type, bytes(bad)).to_node()])
        bench.service.deliveries.put(device, forged)
    bob.online()
    assert texts(bob) == ["one", "two"]
    assert {lost for lost, _ in bob.unreadable} >= {f"BAD{len(enc.ciphertext) // 2}", f"BAD{len(enc.ciphertext) - 1}"}
    assert id not in dict(bob.unreadable)
    await ada.send_text(group, "three")
    assert texts(bob)[-1] == "three"


async def test_a_key_of_somebody_else_does_not_open_it(bench: Bench, people: People, group: Jid) -> None:
    ada, bob, cid = people
    await ada.send_text(group, "one")
    await cid.send_text(group, "two")
    bob.offline()
    await ada.send_text(group, "three")
    (waiting,) = bench.service.deliveries.waiting(device_of(bench, bob), 0)
    enc = IncomingMessage.from_node(decode_node(waiting.stanza)).encs[-1]
    with pytest.raises(DecryptError) as refused:
        bob._group_keys.open(known(bench, group), cid.lid, enc)
    assert refused.value.reason is DecryptReason.NO_SENDER_KEY
    bob.online()
    assert texts(bob)[-1] == "three"


async def test_a_retry_of_somebody_outside_is_refused(bench: Bench, people: People, group: Jid) -> None:
    ada, _, cid = people
    id = await ada.send_text(group, "for us")
    await ada.remove_from_group(group, cid.lid)
    bundle = bench.service.world.take_bundle(device_of(bench, cid))
    author = known(bench, group).device(device_of(bench, ada))
    request = RetryRequest(id, group, 1, 1, 1, bundle, participant=author)
    cid._post(request.to_node())
    noted = [json.loads(trace.detail)["outcome"] for trace in bench.traces if trace.name == "phone.retry"]
    assert noted == ["refused"]
    assert texts(cid) == ["for us"]


async def test_a_key_for_a_group_nobody_knows_is_let_be(bench: Bench, people: People, group: Jid) -> None:
    ada, bob, _ = people
    told = proto.Message()
    told.senderKeyDistributionMessage.groupId = "120363999999999999@g.us"
    told.senderKeyDistributionMessage.axolotlSenderKeyDistributionMessage = b"\x33junk"
    bob._group_keys.learn(ada.lid, told)
    name = sender_key_name(Jid.parse(told.senderKeyDistributionMessage.groupId), ada.lid)
    assert bob._signal.records.load("sender_key", name) is None


# --- changes


async def test_a_phone_does_with_groups_what_people_do(people: People) -> None:
    ada, bob, cid = people
    group = await ada.create_group("Tea", [bob.lid])
    await ada.set_group_subject(group, "Coffee")
    await ada.set_group_description(group, "At four")
    await ada.set_group_description(group, "At five")
    await ada.set_group_ephemeral(group, 60)
    await ada.set_group_announcement(group, on=True)
    await ada.set_group_member_add_mode(group, "admin_add")
    await ada.set_group_locked(group, on=True)
    assert await ada.promote_in_group(group, bob.pn) == {bob.lid: 200}
    found = await bob.group_metadata(group)
    assert (found.subject, found.ephemeral, found.announcement, found.locked) == ("Coffee", 60, True, True)
    assert found.description is not None
    assert (found.description.text, found.member_add_mode) == ("At five", "admin_add")
    assert [person.role for person in found.participants] == ["superadmin", "admin"]
    assert await ada.demote_in_group(group, bob.lid) == {bob.lid: 200}
    code = await ada.group_invite(group)
    assert await cid.join_group(code) == (group, True)
    await ada.set_group_approval(group, on=True)
    await cid.leave_group(group)
    assert await cid.join_group(await ada.group_invite(group, renew=True)) == (group, False)
    assert [(one.id, one.size) for one in await bob.groups()] == [(group, 2)]
    assert await cid.groups() == []


async def test_groups_and_keys_survive_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ada, bob, cid = await bench.phones("Ada", "Bob", "Cid")
    group = await ada.create_group("Tea", [bob.lid, cid.lid], "pn")
    await ada.send_text(group, "one")
    cid.offline()
    await ada.send_text(group, "two")
    before = await ada.group_metadata(group)
    bench.database.close()  # as a crash would: nothing is said goodbye to

    again = Bench(tmp_path, seed="other")
    ada, bob, cid = again.reopen()
    assert await ada.group_metadata(group) == before
    assert texts(cid) == ["one", "two"]
    await ada.send_text(group, "three")
    assert texts(bob) == texts(cid) == ["one", "two", "three"]
    assert rotations(again) == []
    again.database.close()
