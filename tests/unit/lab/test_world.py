"""Accounts and devices: addresses are unique, numbers are never used again, prekeys are handed out once."""

from pathlib import Path

import pytest

from tests.unit.lab.worlds import Bench, Companion, pn
from waton.errors import LabError


async def test_an_address_belongs_to_one_account(bench: Bench) -> None:
    (ada,) = await bench.phones("Ada")
    with pytest.raises(LabError, match="taken"):
        await bench.lab.add_phone("Bob", pn=ada.pn.user)
    with pytest.raises(LabError, match="taken"):
        await bench.lab.add_phone("Bob", lid=ada.lid.user)
    with pytest.raises(LabError, match="digits"):
        await bench.lab.add_phone("Bob", pn="+1555")
    assert [account.name for account in bench.service.world.accounts()] == ["Ada"]


async def test_an_account_is_found_by_either_address_and_any_device(bench: Bench) -> None:
    ada, bob = await bench.phones("Ada", "Bob")
    world = bench.service.world
    for jid in (bob.pn, bob.lid, bob.pn.with_device(7), bob.lid.with_device(7)):
        found = world.find(jid)
        assert found is not None
        assert found.id == bob.account.id
    # A LID is no phone number, even with the same digits.
    assert world.find(pn(bob.lid.user)) is None
    assert world.find(pn("19999999999")) is None
    assert ada.account.id != bob.account.id


async def test_device_numbers_are_never_used_again(bench: Bench) -> None:
    (ada,) = await bench.phones("Ada")
    world = bench.service.world
    first, second = Companion.link(bench, ada), Companion.link(bench, ada)
    assert [first.device.number, second.device.number] == [1, 2]
    bench.service.remove_companion(second.device)
    assert [device.number for device in world.devices(ada.account)] == [0, 1]
    assert Companion.link(bench, ada).device.number == 3
    assert world.locate(second.device.pn) is None


async def test_each_one_time_prekey_is_handed_out_once(bench: Bench) -> None:
    (ada,) = await bench.phones("Ada")
    companion = Companion.link(bench, ada)
    world = bench.service.world
    assert world.take_bundle(companion.device) is None
    companion.login()
    companion.publish(count=3)
    device = world.locate(companion.device.lid)
    assert device is not None
    bundles = [world.take_bundle(device) for _ in range(4)]
    assert [bundle.prekey[0] if bundle and bundle.prekey else None for bundle in bundles] == [1, 2, 3, None]
    last = bundles[3]
    assert last is not None
    assert last.signed.value == companion.credentials.signed_prekey.public
    assert last.device_identity == b"signed identity"
    assert world.prekey_count(device) == 0


async def test_the_world_outlives_the_lab(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ada, bob = await bench.phones("Ada", "Bob")
    companion = Companion.link(bench, ada)
    companion.login()
    companion.publish()
    before = (bench.service.world.accounts(), bench.service.world.devices(ada.account), bench.lab.root)
    bench.database.close()

    again = Bench(tmp_path, seed="other")
    phones = again.reopen()
    assert (again.service.world.accounts(), again.service.world.devices(phones[0].account), again.lab.root) == before
    assert [phone.name for phone in phones] == ["Ada", "Bob"]
    assert phones[1].identity.private == bob.identity.private
    assert again.service.world.prekey_count(companion.device) == 3
    again.database.close()
