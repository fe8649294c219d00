"""Who looks at somebody's devices is told what changes: companions, the hash of the list, the phone's identity."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.unit.lab.worlds import Bench, Companion, Newcomer
from waton._core import xeddsa_verify
from waton.jid import Jid
from waton.lab.phone import Phone
from waton.lab.phone_signal import PREKEYS
from waton.protocol import proto
from waton.protocol.binary_node import Node, decode_node, require_child
from waton.protocol.participant_hash import participant_hash
from waton.protocol.stanza import encrypt, iq, usync


@pytest.fixture
async def ada(bench: Bench) -> Phone:
    return (await bench.phones("Ada"))[0]


@pytest.fixture
async def bob(bench: Bench, ada: Phone) -> Phone:
    return (await bench.phones("Bob"))[0]


def watching(bench: Bench, who: Phone, whom: Phone) -> Companion:
    """A companion that has asked for somebody's devices."""
    companion = Companion.link(bench, who)
    companion.login()
    companion.ask("usync", iq.IqType.GET, [usync.devices_query("s", [whom.lid])])
    companion.endpoint.take()
    return companion


def hashes(change: Node) -> tuple[str, str]:
    return str(change.attrs["device_hash"]), str(change.attrs["device_lid_hash"])


def hashes_of(phone: Phone, *numbers: int) -> tuple[str, str]:
    return tuple(participant_hash(jid.with_device(number) for number in numbers) for jid in (phone.pn, phone.lid))  # pyright: ignore[reportReturnType]


async def link(bench: Bench, phone: Phone) -> Jid:
    """Pair a companion as it really goes."""
    newcomer = Newcomer(bench)
    scan = asyncio.create_task(phone.scan(newcomer.qr()))
    await asyncio.sleep(0)
    newcomer.registering.on_node(newcomer.sign(newcomer.success()), 1)
    return await scan


async def test_each_change_has_the_hash_of_the_list_as_it_is_then(bench: Bench, ada: Phone, bob: Phone) -> None:
    watcher = watching(bench, bob, ada)
    first, second = await link(bench, ada), await link(bench, ada)
    ada.remove(first)
    added, again, removed = watcher.endpoint.take("notification")
    assert hashes(require_child(added, "add")) == hashes_of(ada, 0, 1)
    assert hashes(require_child(again, "add")) == hashes_of(ada, 0, 1, 2)
    assert hashes(require_child(removed, "remove")) == hashes_of(ada, 0, 2)
    assert second == ada.pn.with_device(2)


async def test_everybody_has_a_signed_list(bench: Bench, ada: Phone, bob: Phone) -> None:
    watcher = watching(bench, bob, ada)
    answer = watcher.ask("usync", iq.IqType.GET, [usync.devices_query("s", [ada.lid, bob.lid])])
    for phone, result in zip((ada, bob), usync.parse_result(answer), strict=True):
        signed = proto.ADVSignedKeyIndexList.FromString(result.key_index_list)
        xeddsa_verify(phone.identity.public, b"\x06\x02" + signed.details, signed.accountSignature)


# --- a phone that registers anew


async def test_registering_anew_makes_everything_new_and_unlinks_everybody(
    bench: Bench, ada: Phone, bob: Phone
) -> None:
    watcher = watching(bench, bob, ada)
    mine = Companion.link(bench, ada)
    mine.login()
    before, keys = (
        ada.account,
        {id for id, _ in bench.service.world.prekeys(bench.service.world.devices(ada.account)[0])},
    )
    registration = ada._signal.credentials.registration_id
    ada.register_anew()

    now, (device,) = ada.account, bench.service.world.devices(ada.account)
    assert now.identity == device.identity == ada.identity.public != before.identity
    assert (now.pn, now.lid, now.name) == (before.pn, before.lid, before.name)
    assert now.raw_id != before.raw_id
    assert device.registration_id == ada._signal.credentials.registration_id != registration
    assert len(bench.service.world.prekeys(device)) == len(keys)
    signed = proto.ADVSignedKeyIndexList.FromString(now.key_list)
    xeddsa_verify(now.identity, b"\x06\x02" + signed.details, signed.accountSignature)
    details = proto.ADVKeyIndexList.FromString(signed.details)
    assert (details.rawId, list(details.validIndexes)) == (now.raw_id, [0])

    farewell = mine.endpoint.take("stream:error")[0]
    assert require_child(farewell, "conflict").attrs["type"] == "device_removed"
    assert ada.companions == []
    removed, identity = watcher.endpoint.take("notification")
    assert (removed.attrs["type"], hashes(require_child(removed, "remove"))) == ("devices", hashes_of(ada, 0))
    assert (identity.attrs["type"], identity.attrs["from"], identity.attrs["lid"]) == ("encrypt", ada.pn, ada.lid)
    assert [child.tag for child in identity.children()] == ["identity"]


async def test_who_never_asked_is_told_nothing(bench: Bench, ada: Phone, bob: Phone) -> None:
    stranger = Companion.link(bench, bob)
    stranger.login().take()
    ada.register_anew()
    assert stranger.endpoint.take("notification") == []


async def test_the_bundle_is_of_the_new_identity(bench: Bench, ada: Phone, bob: Phone) -> None:
    watcher = watching(bench, bob, ada)
    ada.register_anew()
    answer = watcher.ask("encrypt", iq.IqType.GET, encrypt.bundles_query([ada.lid], reason="identity"))
    (user,) = require_child(answer, "list").children("user")
    assert require_child(user, "identity").content == ada.identity.public


async def test_phones_talk_on_after_one_has_registered_anew(bench: Bench, ada: Phone, bob: Phone) -> None:
    await ada.send_text(bob.lid, "one")
    await bob.send_text(ada.lid, "two")
    ada.register_anew()
    assert ada.is_online
    await ada.send_text(bob.lid, "three")
    await bob.send_text(ada.lid, "four")
    ada.register_anew()
    await bob.send_text(ada.pn, "five")
    await ada.send_text(bob.pn, "six")
    assert [message.text for message in bob.messages] == ["one", "two", "three", "four", "five", "six"]
    assert [message.text for message in ada.messages] == ["one", "two", "three", "four", "five", "six"]
    assert not bob.unreadable
    assert not ada.unreadable


async def test_what_was_written_to_the_old_keys_is_written_again(bench: Bench, ada: Phone, bob: Phone) -> None:
    await bob.send_text(ada.lid, "one")
    await ada.send_text(bob.lid, "two")
    ada.offline()
    id = await bob.send_text(ada.lid, "three")
    ada.register_anew()
    assert not ada.is_online
    assert bench.service.world.prekey_count(bench.service.world.devices(ada.account)[0]) == PREKEYS
    ada.online()
    assert [lost for lost, _ in ada.unreadable] == [id]
    assert [message.text for message in ada.messages] == ["one", "two", "three"]


async def test_a_group_key_is_made_anew_for_who_has_other_keys(bench: Bench, ada: Phone, bob: Phone) -> None:
    (cid,) = await bench.phones("Cid")
    group = await ada.create_group("Tea", [bob.lid, cid.lid])
    await ada.send_text(group, "one")
    bob.register_anew()
    await ada.send_text(group, "two")
    await bob.send_text(group, "three")
    for phone in (ada, bob, cid):
        assert [message.text for message in phone.messages] == ["one", "two", "three"]
        assert not phone.unreadable
    assert [trace.detail for trace in bench.traces if trace.name == "phone.sender_key"] == [
        '{"rotated": 0}',
        '{"rotated": 1}',
        '{"rotated": 0}',
    ]


async def test_what_the_old_phone_wrote_and_comes_late_is_asked_for(bench: Bench, ada: Phone, bob: Phone) -> None:
    await bob.send_text(ada.lid, "one")
    await ada.send_text(bob.lid, "two")
    device = bench.service.world.devices(bob.account)[0]
    bob.offline()
    id = await ada.send_text(bob.lid, "late")
    (waiting,) = bench.service.deliveries.waiting(device, 0)
    bench.service.deliveries.settle(device, "message", id)
    bob.online()
    ada.register_anew()
    await ada.send_text(bob.lid, "three")
    bench.service.deliveries.put(device, decode_node(waiting.stanza))
    assert [lost for lost, _ in bob.unreadable] == [id]
    assert [message.text for message in bob.messages] == ["one", "two", "three", "late"]
    assert [trace.name for trace in bench.traces if trace.name == "phone.identity_changed"] == [
        "phone.identity_changed"
    ]


async def test_a_restarted_lab_knows_the_new_phone(tmp_path: Path) -> None:
    first = Bench(tmp_path)
    ada, bob = await first.phones("Ada", "Bob")
    await ada.send_text(bob.lid, "one")
    ada.register_anew()
    identity = ada.account.identity
    first.database.close()
    again = Bench(tmp_path, seed="other")
    ada, bob = again.reopen()
    assert ada.account.identity == ada.identity.public == identity
    await ada.send_text(bob.lid, "two")
    assert [message.text for message in bob.messages] == ["one", "two"]
    again.database.close()
