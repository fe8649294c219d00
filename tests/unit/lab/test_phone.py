"""Phones: they pair companions, welcome them, and talk to each other with real Signal, in one process and no socket."""

import asyncio
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.lab.worlds import Bench, Companion, Newcomer
from waton._core import PreKeyMessage, xeddsa_verify
from waton.errors import Disconnected, LabError, PairingError, PairingStep
from waton.jid import SERVER, Jid
from waton.lab.faults import Fault, Vouching
from waton.lab.phone import Phone
from waton.lab.phone_signal import PREKEYS
from waton.protocol import proto, signal_repo
from waton.protocol.binary_node import Node, decode_node, require_child
from waton.protocol.signal_repo import EncType, LocalIdentity, PreKeyLookup
from waton.protocol.stanza import iq, pairing, usync
from waton.protocol.stanza.message import Enc, IncomingMessage, OutgoingMessage
from waton.protocol.stanza.receipt import Receipt, ReceiptType
from waton.protocol.stanza.retry import RetryRequest
from waton.protocol.trace import Layer, Way
from waton.utils.padding import unpad


@pytest.fixture
async def ada(bench: Bench) -> Phone:
    return (await bench.phones("Ada"))[0]


@pytest.fixture
async def bob(bench: Bench, ada: Phone) -> Phone:
    return (await bench.phones("Bob"))[0]


def read_as(bench: Bench, phone: Phone) -> list[tuple[str, str | None]]:
    """(encryption type, text) of what a phone has read, in order."""
    traces = [
        trace
        for trace in bench.traces
        if trace.layer is Layer.MESSAGE and trace.way is Way.IN and trace.recipient == str(phone.lid)
    ]
    return [(trace.kind, proto.Message.FromString(trace.data).extendedTextMessage.text) for trace in traces]


# --- phone to phone


async def test_two_phones_talk_a_prekey_message_first(bench: Bench, ada: Phone, bob: Phone) -> None:
    await ada.send_text(bob.lid, "one")
    await ada.send_text(bob.lid, "two")
    await bob.send_text(ada.lid, "three")
    await ada.send_text(str(bob.lid), "four")
    assert [message.text for message in bob.messages] == ["one", "two", "three", "four"]
    assert read_as(bench, bob) == [("pkmsg", "one"), ("pkmsg", "two"), ("msg", "four")]
    assert read_as(bench, ada) == [("msg", "three")]
    first = await bob.next_message()
    assert (first.text, first.chat, first.sender, first.from_me) == ("one", ada.lid, ada.lid, False)


async def test_the_same_session_serves_both_addresses(bench: Bench, ada: Phone, bob: Phone) -> None:
    await ada.send_text(bob.pn, "by number")
    await bob.send_text(ada.lid, "by LID")
    await ada.send_text(bob.pn, "by number again")
    assert [message.chat for message in bob.messages] == [ada.pn, ada.lid, ada.pn]
    assert [kind for kind, _ in read_as(bench, bob)] == ["pkmsg", "msg"]


async def test_receipts_come_back(ada: Phone, bob: Phone) -> None:
    id = await ada.send_text(bob.lid, "hello")
    delivered = await ada.next_receipt(id)
    assert (delivered.peer, delivered.ids) == (bob.lid, (id,))
    waiting = asyncio.create_task(ada.next_receipt(id, ReceiptType.READ))
    await asyncio.sleep(0)
    bob.read(await bob.next_message())
    assert (await waiting).type == "read"


async def test_a_phone_answers_by_itself_if_told_how(bench: Bench, ada: Phone, bob: Phone) -> None:
    bob.reply_with = lambda text: None if text == "stop" else f"You said: {text}"
    await ada.send_text(bob.pn, "hello")
    await ada.send_text(bob.pn, "stop")
    answer = await ada.next_message()
    assert (answer.text, answer.chat) == ("You said: hello", bob.pn)
    assert [message.text for message in ada.messages] == ["hello", "stop", "You said: hello"]


async def test_two_phones_that_answer_each_other_let_others_speak(ada: Phone, bob: Phone) -> None:
    ada.reply_with = bob.reply_with = lambda text: text + "!"
    await ada.send_text(bob.lid, "hello")
    await ada.next_message()
    await ada.next_message()
    ada.reply_with = bob.reply_with = None
    assert "hello!!!" in [message.text for message in ada.messages]


async def test_an_answer_that_raises_is_noted_and_costs_nothing(bench: Bench, ada: Phone, bob: Phone) -> None:
    def broken(text: str) -> str | None:
        raise RuntimeError(text)

    bob.reply_with = broken
    await ada.send_text(bob.lid, "hello")
    await asyncio.sleep(0)
    bob.reply_with = None
    await ada.send_text(bob.lid, "again")
    assert [message.text for message in bob.messages] == ["hello", "again"]
    assert [trace.detail for trace in bench.traces if trace.name == "phone.reply_failed"] == [
        '{"error": "RuntimeError"}'
    ]


async def test_what_comes_while_a_phone_is_away_waits(ada: Phone, bob: Phone) -> None:
    bob.offline()
    ids = [await ada.send_text(bob.lid, text) for text in ("one", "two")]
    assert bob.messages == []
    assert not ada.receipts
    with pytest.raises(LabError, match="offline"):
        await bob.send_text(ada.lid, "no")
    bob.online()
    assert [message.text for message in bob.messages] == ["one", "two"]
    assert [receipt.ids for receipt in ada.receipts] == [(id,) for id in ids]


async def test_nobody_there_is_an_error_and_nothing_is_kept(ada: Phone) -> None:
    with pytest.raises(LabError, match="nobody"):
        await ada.send_text("19999999999@s.whatsapp.net", "hello")
    assert ada.messages == []


async def test_a_message_that_comes_twice_is_shown_once_and_receipted_twice(
    bench: Bench, ada: Phone, bob: Phone
) -> None:
    bob.offline()
    id = await ada.send_text(bob.lid, "once")
    device = bench.service.world.device(bob.account, 0)
    assert device is not None
    (waiting,) = bench.service.deliveries.waiting(device, 0)
    bob.online()
    bench.service.deliveries.put(device, decode_node(waiting.stanza))
    assert [message.text for message in bob.messages] == ["once"]
    assert [receipt.ids for receipt in ada.receipts] == [(id,), (id,)]
    assert not bob.unreadable


async def test_what_was_written_with_a_used_key_is_asked_for_again_and_comes(
    bench: Bench, ada: Phone, bob: Phone
) -> None:
    await ada.send_text(bob.lid, "one")
    await bob.send_text(ada.lid, "two")
    question = "SELECT value FROM phone_record WHERE account = ? AND kind = 'session'"
    (before,) = bench.database.rows(question, ada.account.id)
    await ada.send_text(bob.lid, "three")
    bench.database.write(
        "UPDATE phone_record SET value = ? WHERE account = ? AND kind = 'session'", before[0], ada.account.id
    )
    id = await ada.send_text(bob.lid, "four")
    assert list(bob.unreadable) == [(id, "duplicate")]
    assert [message.text for message in bob.messages] == ["one", "two", "three", "four"]


async def test_a_tampered_message_is_refused_and_the_session_lives_on(bench: Bench, ada: Phone, bob: Phone) -> None:
    await ada.send_text(bob.lid, "one")
    bob.offline()
    id = await ada.send_text(bob.lid, "two")
    device = bench.service.world.device(bob.account, 0)
    assert device is not None
    (waiting,) = bench.service.deliveries.waiting(device, 0)
    node = decode_node(waiting.stanza)
    enc = Enc.from_node(require_child(node, "enc"))
    bad = Enc(enc.type, enc.ciphertext[:-20] + bytes([enc.ciphertext[-20] ^ 1]) + enc.ciphertext[-19:])
    bench.service.deliveries.settle(device, "message", id)
    bench.service.deliveries.put(device, Node(node.tag, node.attrs, [bad.to_node()]))
    bob.online()
    assert [entry[0] for entry in bob.unreadable] == [id]
    # It was acknowledged with an error and asked for again; the original, arriving late, is shown no second time.
    assert [message.text for message in bob.messages] == ["one", "two"]
    assert bench.service.deliveries.waiting(device, 0) == []
    bench.service.deliveries.put(device, node)
    await ada.send_text(bob.lid, "three")
    assert [message.text for message in bob.messages] == ["one", "two", "three"]


async def test_the_answer_of_a_stranger_to_the_identity_is_refused(bench: Bench, ada: Phone, bob: Phone) -> None:
    await ada.send_text(bob.lid, "really Ada")
    # The same address with other keys: what a server in the middle would try.
    carol = (await bench.phones("Carol"))[0]
    bundle = bench.service.world.take_bundle(bench.service.world.devices(bob.account)[0])
    assert bundle is not None
    bob_device = bench.service.world.devices(bob.account)[0]
    enc = carol._signal.encrypt(bob_device, proto.Message(conversation="not Ada").SerializeToString())
    assert enc is not None
    forged = IncomingMessage("FORGED", ada.lid, 1, "text", (enc,))
    bench.service.deliveries.put(bob_device, forged.to_node())
    assert list(bob.unreadable) == [("FORGED", "UntrustedIdentity")]
    await ada.send_text(bob.lid, "still Ada")
    assert [message.text for message in bob.messages] == ["really Ada", "still Ada"]


def lose_sessions(bench: Bench, phone: Phone) -> None:
    """As a phone that was restored from an old backup."""
    bench.database.write(
        "DELETE FROM phone_record WHERE account = ? AND kind IN ('session', 'identity')", phone.account.id
    )


async def test_what_cannot_be_read_is_asked_for_again_and_comes(bench: Bench, ada: Phone, bob: Phone) -> None:
    await ada.send_text(bob.lid, "one")
    await bob.send_text(ada.lid, "two")
    lose_sessions(bench, bob)
    id = await ada.send_text(bob.lid, "three")
    assert list(bob.unreadable) == [(id, "no_session")]
    assert [message.text for message in bob.messages] == ["one", "two", "three"]
    noted = [trace.detail for trace in bench.traces if trace.name == "phone.retry"]
    assert noted == [f'{{"id": "{id}", "count": 1, "outcome": "resent"}}']
    await bob.send_text(ada.lid, "four")
    await ada.send_text(bob.lid, "five")
    assert [message.text for message in ada.messages] == ["one", "two", "three", "four", "five"]
    assert len(bob.unreadable) == 1


def retry_of(bob: Phone, id: str, **changes: object) -> RetryRequest:
    """A request of Bob's phone for a message of Ada's, with its own good keys."""
    bundle = bob._world.take_bundle(bob._world.devices(bob.account)[0])
    request = RetryRequest(id, Jid(bob.lid.user, "lid"), 1, 1, 1, bundle)
    return replace(request, **changes)  # pyright: ignore[reportArgumentType]


async def test_keys_of_another_identity_are_not_encrypted_for(bench: Bench, ada: Phone, bob: Phone) -> None:
    id = await ada.send_text(bob.lid, "for Bob only")
    (carol,) = await bench.phones("Carol")
    good = retry_of(bob, id)
    assert good.bundle is not None
    forged = replace(good, bundle=replace(good.bundle, identity=carol.identity.public))
    for request in (forged, replace(good, id="NEVER"), replace(good, count=6)):
        bob._post(replace(request, peer=ada.lid).to_node())
    outcomes = [trace.detail.partition('"outcome": ')[2] for trace in bench.traces if trace.name == "phone.retry"]
    assert outcomes == ['"refused"}'] * 3
    bob._post(replace(good, peer=ada.lid).to_node())
    assert [trace.detail for trace in bench.traces if trace.name == "phone.retry"][-1].endswith('"resent"}')


async def test_nobody_is_asked_for_ever(bench: Bench, ada: Phone, bob: Phone) -> None:
    ada.offline()
    bob_device = bench.service.world.devices(bob.account)[0]
    for _ in range(7):
        lost = IncomingMessage("LOST", ada.lid, 1, "text", (Enc("msg", b"\x33" + bytes(60)),))
        bench.service.deliveries.put(bob_device, lost.to_node())
    ada_device = bench.service.world.devices(ada.account)[0]
    asked = [decode_node(one.stanza) for one in bench.service.deliveries.waiting(ada_device, 0)]
    assert [RetryRequest.from_receipt(Receipt.from_node(node)).count for node in asked] == [1, 2, 3, 4, 5]


async def test_a_malformed_retry_is_noted(bench: Bench, ada: Phone, bob: Phone) -> None:
    bob._post(Receipt(ids=("X",), peer=ada.lid, type=ReceiptType.RETRY).to_node())
    assert [trace.name for trace in bench.traces if trace.name == "phone.bad_retry"] == ["phone.bad_retry"]


async def test_prekeys_are_stocked_again_and_spent_ones_forgotten(bench: Bench, ada: Phone) -> None:
    world = bench.service.world
    device = world.devices(ada.account)[0]
    assert world.prekey_count(device) == PREKEYS
    for number in range(PREKEYS - 15):
        assert world.take_bundle(device) is not None, number
    (bob,) = await bench.phones("Bob")
    await bob.send_text(ada.lid, "hello")
    assert world.prekey_count(device) == PREKEYS
    ids = [id for id, _ in world.prekeys(device)]
    assert len(set(ids)) == PREKEYS
    assert max(ids) > PREKEYS
    spent = PREKEYS - 15 + 1
    assert ada._signal.records.load("prekey", str(spent)) is None
    assert ada._signal.records.load("prekey", str(spent + 1)) is not None


async def test_phones_go_on_where_they_stopped_after_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ada, bob = await bench.phones("Ada", "Bob")
    await ada.send_text(bob.lid, "one")
    await bob.send_text(ada.lid, "two")
    bob.offline()
    await ada.send_text(bob.lid, "three")
    bench.database.close()  # as a crash would: nothing is said goodbye to

    again = Bench(tmp_path, seed="other")
    ada, bob = again.reopen()
    assert [message.text for message in bob.messages] == ["one", "two", "three"]
    await bob.send_text(ada.lid, "four")
    assert [message.text for message in ada.messages] == ["one", "two", "three", "four"]
    assert [kind for kind, _ in read_as(again, ada)] == ["msg"]
    assert not ada.unreadable
    assert not bob.unreadable
    again.database.close()


# --- pairing


async def test_a_scan_pairs_and_signs_the_list_of_companions(bench: Bench, ada: Phone) -> None:
    newcomer = Newcomer(bench)
    scan = asyncio.create_task(ada.scan(newcomer.qr(ref=5)))
    await asyncio.sleep(0)
    success = newcomer.success()
    assert (success.jid, success.lid) == (ada.pn.with_device(1), ada.lid.with_device(1))
    newcomer.registering.on_node(newcomer.sign(success), 1)
    assert await scan == success.jid
    assert newcomer.wire.take("stream:error")[0].attrs["code"] == "515"
    assert newcomer.wire.ended
    device = bench.service.world.locate(success.jid)
    assert device is not None
    assert (device.identity, device.noise) == (
        newcomer.credentials.identity_key.public,
        newcomer.credentials.noise_key.public,
    )
    stored = proto.ADVSignedDeviceIdentity.FromString(device.signed_identity)
    assert (stored.accountSignatureKey, len(stored.deviceSignature)) == (ada.identity.public, 64)
    signed = proto.ADVSignedKeyIndexList.FromString(ada.account.key_list)
    details = proto.ADVKeyIndexList.FromString(signed.details)
    assert (list(details.validIndexes), details.currentIndex, details.rawId) == ([0, 1], 1, ada.account.raw_id)
    xeddsa_verify(ada.identity.public, b"\x06\x02" + signed.details, signed.accountSignature)


@pytest.mark.parametrize(
    ("wrong", "step"),
    [(Vouching.HMAC, PairingStep.HMAC), (Vouching.ACCOUNT_SIGNATURE, PairingStep.ACCOUNT_SIGNATURE)],
)
async def test_a_false_word_fails_the_check_it_should(
    bench: Bench, ada: Phone, wrong: Vouching, step: PairingStep
) -> None:
    newcomer = Newcomer(bench, Fault.vouching(wrong))
    scan = asyncio.create_task(ada.scan(newcomer.qr()))
    await asyncio.sleep(0)
    success = newcomer.success()
    with pytest.raises(PairingError) as refused:
        newcomer.sign(success)
    assert refused.value.step is step
    newcomer.registering.on_node(pairing.pair_error(success.id, 401, f"{step.value.partition('_')[0]}-mismatch"), 1)
    with pytest.raises(PairingError):
        await scan
    assert ada.companions == []


async def test_a_companion_that_leaves_before_it_signs_is_not_stored(bench: Bench, ada: Phone) -> None:
    newcomer = Newcomer(bench)
    scan = asyncio.create_task(ada.scan(newcomer.qr()))
    await asyncio.sleep(0)
    newcomer.registering.on_closed()
    with pytest.raises(Disconnected):
        await scan
    assert ada.companions == []


async def test_stanzas_that_are_no_answer_do_not_matter(bench: Bench, ada: Phone) -> None:
    newcomer = Newcomer(bench)
    newcomer.registering.on_node(Node("iq", {"id": "x", "type": "result", "to": SERVER}), 1)
    scan = asyncio.create_task(ada.scan(newcomer.qr()))
    await asyncio.sleep(0)
    success = newcomer.success()
    newcomer.registering.on_node(Node("presence"), 1)
    newcomer.registering.on_node(newcomer.sign(success), 1)
    assert await scan == success.jid


# --- companions


def read(companion: Companion, node: Node, record: bytes | None) -> tuple[proto.Message, bytes]:
    """A companion's own reading of a message stanza: (content, new record)."""
    (enc,) = IncomingMessage.from_node(node).encs
    named = PreKeyMessage.parse(enc.ciphertext)
    private = companion.prekeys.get(named.prekey_id or 0)
    opened = signal_repo.decrypt(
        EncType(enc.type),
        enc.ciphertext,
        record=record,
        local=LocalIdentity.of(companion.credentials),
        keys=PreKeyLookup(companion.credentials.signed_prekey.private, private),
        trusted_identity=None,
        sender=IncomingMessage.from_node(node).sender,
        entropy=companion.bench.entropy.take(32),
    )
    return proto.Message.FromString(unpad(opened.plaintext)), opened.record


async def test_a_new_companion_is_welcomed_once_it_can_be_sent_to(bench: Bench, ada: Phone, bob: Phone) -> None:
    newcomer = Newcomer(bench)
    scan = asyncio.create_task(ada.scan(newcomer.qr()))
    await asyncio.sleep(0)
    newcomer.registering.on_node(newcomer.sign(newcomer.success()), 1)
    device = bench.service.world.locate(await scan)
    assert device is not None
    companion = Companion(bench, device, newcomer.credentials)
    assert companion.login().take("message") == []
    companion.publish()
    share, history = companion.endpoint.take("message")
    first, record = read(companion, share, None)
    (key,) = first.protocolMessage.appStateSyncKeyShare.keys
    assert (len(key.keyId.keyId), len(key.keyData.keyData)) == (6, 32)
    assert list(key.keyData.fingerprint.deviceIndexes) == [0, 1]
    second, _ = read(companion, history, record)
    packed = second.protocolMessage.historySyncNotification.initialHistBootstrapInlinePayload
    sync = proto.HistorySync.FromString(zlib.decompress(packed))
    assert [(name.id, name.pushname) for name in sync.pushnames] == [(str(ada.pn), "Ada"), (str(bob.pn), "Bob")]
    assert [chat.id for chat in sync.conversations] == [str(bob.lid)]
    for node in (share, history):
        attrs = node.attrs
        assert (attrs["from"], attrs["category"], attrs["push_priority"]) == (ada.pn, "peer", "high")
    # Not again at the next login; what was not acknowledged comes again as it was.
    assert [node.attrs["id"] for node in companion.login().take("message")] == [share.attrs["id"], history.attrs["id"]]


async def test_a_phone_that_was_away_welcomes_when_it_is_back(bench: Bench, ada: Phone) -> None:
    newcomer = Newcomer(bench)
    scan = asyncio.create_task(ada.scan(newcomer.qr()))
    await asyncio.sleep(0)
    newcomer.registering.on_node(newcomer.sign(newcomer.success()), 1)
    device = bench.service.world.locate(await scan)
    assert device is not None
    ada.offline()
    companion = Companion(bench, device, newcomer.credentials)
    companion.login()
    companion.publish()
    assert companion.endpoint.take("message") == []
    ada.online()
    assert len(companion.endpoint.take("message")) == 2


async def test_who_asked_for_the_devices_is_told_of_a_new_one(bench: Bench, ada: Phone, bob: Phone) -> None:
    watcher, other = Companion.link(bench, bob), Companion.link(bench, (await bench.phones("Carol"))[0])
    for companion in (watcher, other):
        companion.login()
    watcher.ask("usync", iq.IqType.GET, [usync.devices_query("s", [ada.lid])])
    newcomer = Newcomer(bench)
    scan = asyncio.create_task(ada.scan(newcomer.qr()))
    await asyncio.sleep(0)
    newcomer.registering.on_node(newcomer.sign(newcomer.success()), 1)
    await scan
    (told,) = watcher.endpoint.take("notification")
    added = require_child(told, "add")
    assert (told.attrs["type"], told.attrs["from"]) == ("devices", ada.pn)
    assert [device.attrs["jid"] for device in added.children("device")] == [
        ada.pn.with_device(1),
        ada.lid.with_device(1),
    ]
    assert require_child(added, "key-index-list").content == ada.account.key_list
    assert other.endpoint.take("notification") == []


async def test_a_companion_gets_what_its_phone_sends_and_the_phone_what_it_sends(
    bench: Bench, ada: Phone, bob: Phone
) -> None:
    companion = Companion.link(bench, ada)
    companion.login()
    companion.publish()
    await ada.send_text(bob.lid, "from the phone")
    (node,) = companion.endpoint.take("message")
    copy, _ = read(companion, node, None)
    assert copy.deviceSentMessage.destinationJid == str(bob.lid)
    assert copy.deviceSentMessage.message.extendedTextMessage.text == "from the phone"
    assert IncomingMessage.from_node(node).recipient == bob.lid
    await bob.send_text(ada.lid, "to both")
    (node,) = companion.endpoint.take("message")
    assert read(companion, node, None)[0].extendedTextMessage.text == "to both"
    assert [message.text for message in ada.messages] == ["from the phone", "to both"]


async def test_a_device_without_prekeys_is_left_out(bench: Bench, ada: Phone, bob: Phone) -> None:
    silent = Companion.link(bench, bob)
    silent.login()
    await ada.send_text(bob.lid, "hello")
    assert silent.endpoint.take("message") == []
    assert [message.text for message in bob.messages] == ["hello"]


async def test_unlinking_signs_a_new_list(bench: Bench, ada: Phone) -> None:
    companion = Companion.link(bench, ada)
    ada.remove(companion.device.pn)
    details = proto.ADVKeyIndexList.FromString(proto.ADVSignedKeyIndexList.FromString(ada.account.key_list).details)
    assert list(details.validIndexes) == [0]
    with pytest.raises(LabError):
        ada.remove(Jid(ada.pn.user, ada.pn.server))


async def test_a_refused_send_is_remembered(bench: Bench, ada: Phone) -> None:
    ghost = OutgoingMessage("GHOST", Jid("19999999999", "s.whatsapp.net"), ())
    ada._post(ghost.to_node())
    assert ada.refused == {"GHOST": 404}


def test_no_secret_shows(bench: Bench) -> None:
    async def look() -> str:
        ada, bob = await bench.phones("Ada", "Bob")
        await ada.send_text(bob.lid, "a secret text")
        account = ada.account
        return " ".join(
            map(repr, (ada, account, bench.service.world.devices(account), bob.messages, bench.lab.authority))
        )

    shown = asyncio.run(look())
    assert "secret text" not in shown
    assert "1555" not in shown
    assert "\\x" not in shown
