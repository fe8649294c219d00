"""Which devices are to be believed: signed lists, key indexes, registrations, and what a change means."""

from __future__ import annotations

import json

import pytest

from tests.unit.protocol.wires import dice
from waton.client.device_list import (
    DeviceChange,
    KnownDevices,
    Verdict,
    apply_change,
    compare,
    hash_of,
    judge,
)
from waton.errors import DecodeError, InvalidSignature, StorageError
from waton.jid import Jid
from waton.protocol import adv, proto
from waton.protocol.credentials import KeyPair
from waton.protocol.participant_hash import participant_hash
from waton.protocol.stanza.devices import ChangeKind, ListChange
from waton.protocol.stanza.usync import DeviceEntry, UserResult

ADA = Jid.parse("4915000000001@s.whatsapp.net")
LID = Jid.parse("77000000000001@lid")
PHONE, OTHER = KeyPair.of(dice("phone", 32)), KeyPair.of(dice("other phone", 32))
NOW, T = 1_800_000_000.0, 1_799_000_000
ZERO, FOUR, FIVE = DeviceEntry(0), DeviceEntry(4, 2), DeviceEntry(5, 3)


def signed(
    *valid: int, current: int = 3, raw_id: int = 7, t: int = T, by: KeyPair = PHONE, names: KeyPair | None = None
) -> bytes:
    """A key index list; `names` puts another key beside the signature than the signer's."""
    made = adv.sign_key_index_list(
        by, raw_id=raw_id, timestamp=t, current_index=current, valid_indexes=valid, entropy=dice("list", 64)
    )
    if names is None:
        return made
    outer = proto.ADVSignedKeyIndexList.FromString(made)
    outer.accountSignatureKey = names.public
    return outer.SerializeToString()


def known(
    *devices: DeviceEntry, raw_id: int | None = 7, t: int = T, valid: tuple[int, ...] = (0, 2, 3)
) -> KnownDevices:
    return KnownDevices(devices, raw_id, t, max(valid, default=0), frozenset(valid), int(NOW) - 100)


def judged(
    *devices: DeviceEntry,
    by: bytes = b"",
    before: KnownDevices | None = None,
    account_key: bytes | None = PHONE.public,
) -> DeviceChange:
    """The change; the devices left in the answer are those that are kept."""
    result, change = judge(UserResult(ADA, devices, by), before, account_key, NOW)
    assert result.devices == change.after.devices
    assert result.jid == ADA
    return change


# --- the signature


def test_a_list_that_the_phone_signed_is_verified() -> None:
    found = adv.verify_key_index_list(signed(0, 2), PHONE.public)
    assert (found.raw_id, found.timestamp, found.current_index) == (7, T, 3)
    assert found.valid_indexes == {0, 2}
    assert found.account_key == PHONE.public
    assert adv.read_key_index_list(signed(0, 2, by=OTHER)).account_key == OTHER.public


def test_every_changed_byte_and_every_other_key_is_refused() -> None:
    whole = signed(0, 2)
    with pytest.raises(InvalidSignature):
        adv.verify_key_index_list(whole, OTHER.public)
    with pytest.raises(InvalidSignature):
        adv.verify_key_index_list(signed(0, 2, by=OTHER, names=PHONE), PHONE.public)
    with pytest.raises(InvalidSignature):
        adv.verify_key_index_list(whole, b"short")
    outer = proto.ADVSignedKeyIndexList.FromString(whole)
    for place in range(len(outer.details)):
        changed = bytearray(outer.details)
        changed[place] ^= 1
        spoilt = proto.ADVSignedKeyIndexList(details=bytes(changed), accountSignature=outer.accountSignature)
        with pytest.raises((InvalidSignature, DecodeError)):
            adv.verify_key_index_list(spoilt.SerializeToString(), PHONE.public)
    for place in range(64):
        signature = bytearray(outer.accountSignature)
        signature[place] ^= 0x40
        spoilt = proto.ADVSignedKeyIndexList(details=outer.details, accountSignature=bytes(signature))
        with pytest.raises(InvalidSignature):
            adv.verify_key_index_list(spoilt.SerializeToString(), PHONE.public)


@pytest.mark.parametrize(
    "odd",
    [
        b"\xff",
        b"not a list",
        proto.ADVSignedKeyIndexList(details=b"\xff").SerializeToString(),
        proto.ADVSignedKeyIndexList(details=proto.ADVKeyIndexList(rawId=1).SerializeToString()).SerializeToString(),
        proto.ADVSignedKeyIndexList(details=proto.ADVKeyIndexList(timestamp=1).SerializeToString()).SerializeToString(),
    ],
)
def test_bytes_that_are_no_list(odd: bytes) -> None:
    with pytest.raises(DecodeError):
        adv.read_key_index_list(odd)
    assert judged(ZERO, FOUR, by=odd).verdict is Verdict.FORGED


# --- which devices count


@pytest.mark.parametrize(
    ("valid", "current", "key_index", "counts"),
    [
        # Source: whatsapp-rust wacore/src/adv.rs filter cases.
        ((), 10, 3, False),
        ((7,), 10, 5, False),
        ((7,), 10, 7, True),
        ((7,), 10, 20, True),
        ((7,), 10, None, False),
        ((3, 7), 5, 4, False),
        ((0,), 0, 0, False),  # key indexes of companions count from 1
    ],
)
def test_a_companion_counts_by_its_key_index(
    valid: tuple[int, ...], current: int, key_index: int | None, counts: bool
) -> None:
    companion = DeviceEntry(5, key_index)
    change = judged(ZERO, companion, by=signed(*valid, current=current))
    assert change.after.devices == ((ZERO, companion) if counts else (ZERO,))
    assert change.verdict is Verdict.VERIFIED


def test_companions_without_a_list_get_nothing() -> None:
    change = judged(ZERO, FOUR, DeviceEntry(99, 9, is_hosted=True))
    assert change.verdict is Verdict.UNSIGNED
    assert change.after.devices == (ZERO,)


def test_a_phone_alone_needs_nobody_s_word() -> None:
    assert judged(ZERO).verdict is Verdict.PHONE_ONLY
    assert judged(ZERO, by=signed(0)).verdict is Verdict.VERIFIED


def test_a_list_of_somebody_else_vouches_for_nobody() -> None:
    change = judged(ZERO, FOUR, by=signed(0, 2, by=OTHER))
    assert (change.verdict, change.after.devices) == (Verdict.FORGED, (ZERO,))
    assert not change.is_reregistered


def test_while_the_phone_s_key_is_unknown_the_list_is_the_servers_word() -> None:
    change = judged(ZERO, FOUR, FIVE, by=signed(0, 2), account_key=None)
    assert (change.verdict, change.after.devices) == (Verdict.UNVERIFIED, (ZERO, FOUR))


def test_hosted_devices_are_judged_as_others_and_have_a_server_of_their_own() -> None:
    hosted = DeviceEntry(99, 2, is_hosted=True)
    change = judged(ZERO, hosted, by=signed(0, 2), before=known(ZERO))
    assert change.after.devices == (ZERO, hosted)
    assert [str(jid) for jid in change.added] == ["4915000000001:99@hosted"]


# --- what has changed


def test_the_first_list_is_no_news() -> None:
    change = judged(ZERO, FOUR, by=signed(0, 2))
    assert change.is_first
    assert not change.is_news
    assert (change.added, change.removed) == ((), ())
    assert change.after == KnownDevices((ZERO, FOUR), 7, T, 3, frozenset({0, 2}), int(NOW))


def test_added_and_removed() -> None:
    change = judged(ZERO, FIVE, by=signed(0, 3), before=known(ZERO, FOUR))
    assert not change.is_first
    assert change.is_news
    assert change.added == (ADA.with_device(5),)
    assert change.removed == (ADA.with_device(4),)
    assert not judged(ZERO, FOUR, by=signed(0, 2), before=known(ZERO, FOUR)).is_news


def test_an_old_number_with_a_new_key_index_is_another_device() -> None:
    change = judged(ZERO, DeviceEntry(4, 9), by=signed(0, 9), before=known(ZERO, FOUR))
    assert change.added == change.removed == (ADA.with_device(4),)


def test_what_a_companion_loses_its_list_for_is_told_as_removed() -> None:
    assert judged(ZERO, FOUR, before=known(ZERO, FOUR)).removed == (ADA.with_device(4),)
    kept = judged(ZERO, FOUR, before=known(ZERO, FOUR)).after
    assert (kept.raw_id, kept.t, kept.valid_indexes) == (7, T, {0, 2, 3})


# --- older lists, other registrations


def test_an_older_list_does_not_bring_a_removed_companion_back() -> None:
    before = known(ZERO, valid=(0, 3), t=T)
    change = judged(ZERO, FOUR, by=signed(0, 2, t=T - 1), before=before)
    assert (change.verdict, change.after.devices) == (Verdict.OUTDATED, (ZERO,))
    assert (change.after.t, change.after.valid_indexes) == (T, {0, 3})


@pytest.mark.parametrize("account_key", [None, PHONE.public])
def test_a_newer_list_of_another_registration_makes_everything_new(account_key: bytes | None) -> None:
    before = known(ZERO, FOUR, FIVE)
    change = judged(ZERO, FOUR, by=signed(0, 2, raw_id=8, t=T), before=before, account_key=account_key)
    assert change.is_reregistered
    assert change.after.raw_id == 8
    assert change.added == (ADA.with_device(4),)
    assert change.removed == (ADA.with_device(4), ADA.with_device(5))


def test_a_new_registration_may_bring_its_own_key_but_has_to_use_it() -> None:
    before = known(ZERO, FOUR)
    change = judged(ZERO, FOUR, by=signed(0, 2, raw_id=8, t=T + 1, by=OTHER), before=before)
    assert (change.is_reregistered, change.verdict) == (True, Verdict.UNVERIFIED), "by a key that nobody has accepted"
    forged = judged(ZERO, FOUR, by=signed(0, 2, raw_id=8, t=T + 1, by=OTHER, names=PHONE), before=before)
    assert (forged.verdict, forged.is_reregistered, forged.after.raw_id) == (Verdict.FORGED, False, 7)


@pytest.mark.parametrize("account_key", [None, PHONE.public])
def test_the_list_of_an_old_registration_is_not_taken_for_a_new_one(account_key: bytes | None) -> None:
    before = known(ZERO, FOUR, raw_id=8)
    change = judged(ZERO, FOUR, by=signed(0, 2, raw_id=7, t=T - 1), before=before, account_key=account_key)
    assert (change.verdict, change.is_reregistered) == (Verdict.FORGED, False)


# --- the server's notices


def applied(change: ListChange, before: KnownDevices, account_key: bytes | None = PHONE.public) -> DeviceChange | None:
    return apply_change(ADA, before, change, account_key, NOW)


def test_a_companion_is_added_by_a_list_that_holds_it() -> None:
    change = applied(ListChange(ChangeKind.ADD, (FIVE,), signed(0, 2, 3, t=T + 1)), known(ZERO, FOUR))
    assert change is not None
    assert change.verdict is Verdict.VERIFIED
    assert change.after.devices == (ZERO, FOUR, FIVE)
    assert change.added == (ADA.with_device(5),)
    assert change.after.t == T + 1


def test_the_list_that_comes_along_is_for_all_companions() -> None:
    change = applied(ListChange(ChangeKind.ADD, (FIVE,), signed(0, 3, t=T + 1)), known(ZERO, FOUR))
    assert change is not None
    assert change.after.devices == (ZERO, FIVE)
    assert change.removed == (ADA.with_device(4),)


def test_a_companion_that_the_list_does_not_hold_is_not_added() -> None:
    change = applied(ListChange(ChangeKind.ADD, (FIVE,), signed(0, 2, t=T + 1)), known(ZERO, FOUR))
    assert change is not None
    assert change.after.devices == (ZERO, FOUR)


@pytest.mark.parametrize("by", [b"", b"\xff", signed(0, 2, 3, by=OTHER, t=T + 1)])
def test_without_a_list_to_believe_nobody_is_added_and_the_server_is_asked(by: bytes) -> None:
    assert applied(ListChange(ChangeKind.ADD, (FIVE,), by), known(ZERO, FOUR)) is None


def test_an_added_companion_of_a_new_registration_replaces_all_others() -> None:
    # The new list has an index that an old companion had: another one has it now.
    change = applied(ListChange(ChangeKind.ADD, (FIVE,), signed(0, 2, 3, raw_id=9, t=T + 1)), known(ZERO, FOUR))
    assert change is not None
    assert change.is_reregistered
    assert change.after.devices == (ZERO, FIVE)
    assert change.removed == (ADA.with_device(4),)


@pytest.mark.parametrize("by", [b"", signed(0, 3, t=T + 1)])
def test_a_companion_is_removed_with_a_list_or_with_its_time_alone(by: bytes) -> None:
    change = applied(ListChange(ChangeKind.REMOVE, (FOUR,), by, t=T + 1), known(ZERO, FOUR, FIVE))
    assert change is not None
    assert change.after.devices == (ZERO, FIVE)
    assert change.removed == (ADA.with_device(4),)
    assert change.after.t == T + 1


def test_a_companion_removed_without_a_list_does_not_come_back_with_an_older_one() -> None:
    change = applied(ListChange(ChangeKind.REMOVE, (FOUR,), t=T + 1), known(ZERO, FOUR, FIVE))
    assert change is not None
    later = judged(ZERO, FOUR, FIVE, by=signed(0, 2, 3), before=change.after)
    assert (later.verdict, later.after.devices) == (Verdict.OUTDATED, (ZERO, FIVE))


def test_the_phone_is_never_removed_and_a_removal_of_a_forger_asks_the_server() -> None:
    change = applied(ListChange(ChangeKind.REMOVE, (ZERO,), t=T + 1), known(ZERO, FOUR))
    assert change is not None
    assert change.after.devices == (ZERO, FOUR)
    forged = ListChange(ChangeKind.REMOVE, (FOUR,), signed(0, by=OTHER, t=T + 1), t=T + 1)
    assert applied(forged, known(ZERO, FOUR)) is None


def test_an_old_notice_changes_nothing() -> None:
    before = known(ZERO, FOUR)
    for kind in (ChangeKind.ADD, ChangeKind.REMOVE):
        change = applied(ListChange(kind, (FOUR,), signed(0, 2, t=T - 1), t=T - 1), before)
        assert change is not None
        assert (change.verdict, change.after, change.is_news) == (Verdict.OUTDATED, before, False)


def test_of_an_update_only_a_question_can_tell() -> None:
    assert applied(ListChange(ChangeKind.UPDATE, (FOUR,)), known(ZERO, FOUR)) is None


def test_hashes_are_of_the_devices_by_that_address() -> None:
    after = known(ZERO, FOUR, DeviceEntry(99, 3, is_hosted=True))
    assert hash_of(ADA, after) == participant_hash([ADA, ADA.with_device(4), Jid(ADA.user, "hosted", 99)])
    assert hash_of(LID, after) == participant_hash([LID, LID.with_device(4), Jid(LID.user, "hosted.lid", 99)])


# --- records


def test_a_record_reads_back_and_names_nobody() -> None:
    before = known(ZERO, FOUR, DeviceEntry(99, None, is_hosted=True))
    stored = before.to_json()
    assert KnownDevices.from_json(stored) == before
    assert json.loads(stored)["raw_id"] == 7
    assert ADA.user.encode() not in stored
    assert KnownDevices.from_json(KnownDevices().to_json()) == KnownDevices()
    assert KnownDevices().indexes is None


@pytest.mark.parametrize("damaged", [b"", b"{}", b"[]", b"\xff", b'{"devices": [[1]]}', b'{"devices": 5}'])
def test_a_damaged_record_is_a_storage_error(damaged: bytes) -> None:
    with pytest.raises(StorageError) as refused:
        KnownDevices.from_json(damaged)
    assert refused.value.key == "device_list"


def test_no_number_is_shown() -> None:
    change = compare(ADA, known(ZERO), known(ZERO, FOUR), Verdict.VERIFIED, is_reregistered=True)
    assert repr(change) == "<DeviceChange verified +1 -0 registered anew>"
