"""Prekeys: how many, which ids, what is sent again, what the server says it holds, and signed prekeys that follow."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha1

import pytest

from tests.support.memory_store import MemoryStore
from tests.unit.client.worlds import StandingClock, step_of
from tests.unit.protocol.wires import Dice, dice
from waton._core import x25519_public_key, xeddsa_verify
from waton.client import prekeys
from waton.client.prekeys import DigestVerdict, RotationDecision
from waton.errors import PrekeyIdsExhausted
from waton.ports import RecordKind
from waton.protocol.binary_node import Node, StanzaError, require_child
from waton.protocol.credentials import Credentials, KeyPair
from waton.protocol.stanza import encrypt
from waton.protocol.stanza.encrypt import Digest, SignedPrekey, Upload

FRESH = Credentials.generate(Dice("prekeys").take)
NOW = 1_800_000_000.0


def published(content: list[Node] | None) -> Upload:
    assert content is not None
    return Upload.from_node(Node("iq", None, content))


def ids_of(content: list[Node] | None) -> list[int]:
    return [id for id, _ in published(content).prekeys]


async def make(
    store: MemoryStore, credentials: Credentials, count: int, throws: Dice
) -> tuple[Credentials, list[Node]]:
    async with step_of(store) as step:
        return prekeys.make(step, credentials, count, throws)


async def stock(store: MemoryStore, credentials: Credentials, left: int, throws: Dice) -> prekeys.Stock:
    async with step_of(store) as step:
        pending = await prekeys.load_pending(step, credentials)
        return prekeys.stock(step, credentials, left, pending, throws)


async def uploaded(store: MemoryStore, credentials: Credentials) -> Credentials:
    async with step_of(store) as step:
        return prekeys.uploaded(step, credentials)


def stored(store: MemoryStore) -> Credentials:
    return Credentials.from_json(store.records[RecordKind.CREDENTIALS, "self"])


# --- making them


@pytest.mark.parametrize(("left", "made"), [(0, 812), (1, 50), (4, 50), (5, 0), (812, 0)])
def test_how_many_are_wanted(left: int, made: int) -> None:
    assert prekeys.wanted(left) == made


async def test_what_is_uploaded_is_stored_with_its_private_half() -> None:
    store = MemoryStore()
    updated, content = await make(store, FRESH, 5, Dice("throws"))
    upload = published(content)
    assert [id for id, _ in upload.prekeys] == [1, 2, 3, 4, 5]
    for id, public in upload.prekeys:
        assert x25519_public_key(store.records[RecordKind.PREKEY, str(id)]) == public
    assert len({public for _, public in upload.prekeys}) == 5
    assert stored(store) == updated
    assert store.transitions == [("prekeys", "1", "6", {"made": 5})]


async def test_ids_are_never_used_twice() -> None:
    store, credentials, seen = MemoryStore(), FRESH, list[int]()
    throws = Dice("throws")
    for count in (3, 2, 4):
        credentials, content = await make(store, credentials, count, throws)
        seen += ids_of(content)
    assert seen == list(range(1, 10))
    assert credentials.next_prekey_id == 10


async def make_and_fail(store: MemoryStore) -> None:
    async with step_of(store) as step:
        prekeys.make(step, FRESH, 5, Dice("throws"))
        raise RuntimeError


async def test_a_step_that_fails_has_made_none() -> None:
    store = MemoryStore()
    with pytest.raises(RuntimeError):
        await make_and_fail(store)
    assert store.records == {}


async def test_ids_end_at_24_bits_and_do_not_begin_anew() -> None:
    store, throws = MemoryStore(), Dice("throws")
    last, content = await make(store, FRESH.evolve(next_prekey_id=prekeys.MAX_ID), 1, throws)
    assert ids_of(content) == [0xFFFFFF]
    before = dict(store.records)
    with pytest.raises(PrekeyIdsExhausted) as refused:
        await make(store, last, 1, throws)
    assert str(refused.value) == "there is no id left for a new prekey: pair this device anew"
    with pytest.raises(PrekeyIdsExhausted):
        await make(store, FRESH.evolve(next_prekey_id=prekeys.MAX_ID), 2, throws)
    assert store.records == before


async def test_one_that_is_given_away_directly_is_not_uploaded_as_well() -> None:
    store, throws = MemoryStore(), Dice("throws")
    credentials, _ = await make(store, FRESH, 3, throws)
    async with step_of(store) as step:
        credentials, (id, public) = prekeys.make_one(step, credentials, throws, NOW)
    assert id == 4
    assert x25519_public_key(store.records[RecordKind.PREKEY, "4"]) == public
    assert stored(store) == credentials
    assert credentials.next_prekey_id == 5
    again = await stock(store, credentials, 0, throws)
    assert ids_of(again.content) == [1, 2, 3]
    # Nor by what is made after it.
    credentials, content = await make(store, credentials, 2, throws)
    assert ids_of(content) == [5, 6]
    assert ids_of((await stock(store, credentials, 0, throws)).content) == [5, 6]


async def test_only_what_was_given_away_directly_can_open_a_second_session() -> None:
    store, throws = MemoryStore(StandingClock(NOW)), Dice("throws")
    credentials, _ = await make(store, FRESH, 3, throws)
    async with step_of(store) as step:
        prekeys.make_one(step, credentials, throws, NOW)
    for _ in range(2):
        async with step_of(store) as step:
            await prekeys.spend(step, 2)
            await prekeys.spend(step, 4)
    assert await store.keys(RecordKind.PREKEY) == ["1", "3", "4"]


async def test_what_was_given_away_is_forgotten_in_time_used_or_not() -> None:
    clock = StandingClock(NOW)
    store, throws = MemoryStore(clock), Dice("throws")
    async with step_of(store) as step:
        prekeys.make_one(step, FRESH, throws, NOW)
    clock.time += prekeys.GIVEN_SECONDS - 1
    assert await store.keys(RecordKind.PREKEY) == ["1"]
    clock.time += 1
    assert await store.keys(RecordKind.PREKEY) == []
    assert await store.keys(RecordKind.RETRY) == []


# --- sending them again


async def test_an_upload_without_an_answer_is_repeated_with_the_same_keys() -> None:
    store, throws = MemoryStore(), Dice("throws")
    first = await stock(store, FRESH, 0, throws)
    assert not first.is_repeated
    assert ids_of(first.content) == list(range(1, 813))
    # The process died, or no answer came: what is stored says what to do.
    again = await stock(store, stored(store), 0, throws)
    assert again.is_repeated
    assert again.content == first.content
    credentials = await uploaded(store, again.credentials)
    assert not prekeys.has_pending(credentials)
    assert credentials.server_has_prekeys
    assert stored(store) == credentials
    assert (await stock(store, credentials, 812, throws)).content is None
    later = await stock(store, credentials, 4, throws)
    assert not later.is_repeated
    assert ids_of(later.content) == list(range(813, 863))


async def test_a_key_that_was_used_meanwhile_is_not_offered_again() -> None:
    store, throws = MemoryStore(), Dice("throws")
    credentials, _ = await make(store, FRESH, 4, throws)
    del store.records[RecordKind.PREKEY, "2"]
    again = await stock(store, credentials, 0, throws)
    assert ids_of(again.content) == [1, 3, 4]


async def test_when_all_pending_ones_were_used_new_ones_are_made() -> None:
    store, throws = MemoryStore(), Dice("throws")
    credentials, _ = await make(store, FRESH, 2, throws)
    for id in "12":
        del store.records[RecordKind.PREKEY, id]
    fresh = await stock(store, credentials, 3, throws)
    assert not fresh.is_repeated
    assert ids_of(fresh.content) == list(range(3, 53))


async def test_a_server_that_is_well_stocked_has_got_what_was_pending() -> None:
    store, throws = MemoryStore(), Dice("throws")
    first = await stock(store, FRESH, 0, throws)
    found = await stock(store, first.credentials, 812, throws)
    assert found.content is None
    assert not prekeys.has_pending(found.credentials)
    assert stored(store) == found.credentials


async def test_credentials_of_an_older_version_have_nothing_pending() -> None:
    assert not prekeys.has_pending(FRESH)
    assert await prekeys.load_pending(MemoryStore(), FRESH) == []


# --- the server's digest


def digest_of(store: MemoryStore, credentials: Credentials, *ids: int) -> Digest:
    """What an honest server would say."""
    signed = SignedPrekey(
        credentials.signed_prekey_id, credentials.signed_prekey.public, credentials.signed_prekey_signature
    )
    held = [(id, x25519_public_key(store.records[RecordKind.PREKEY, str(id)])) for id in ids]
    node = encrypt.digest(credentials.registration_id, credentials.identity_key.public, signed, held)
    return Digest.from_answer(Node("iq", {"type": "result"}, [node]))


async def check(store: MemoryStore, credentials: Credentials, digest: Digest | None) -> DigestVerdict:
    return await prekeys.check_digest(store, credentials, digest)


async def test_a_digest_of_the_same_keys_in_any_order_is_the_same() -> None:
    store = MemoryStore()
    credentials, _ = await make(store, FRESH, 5, Dice("throws"))
    for ids in ((1, 2, 3, 4, 5), (5, 2), ()):
        assert await check(store, credentials, digest_of(store, credentials, *ids)) is DigestVerdict.SAME


async def test_the_hash_is_over_the_keys_in_the_servers_order() -> None:
    # Source: whatsapp-rust wacore/src/prekeys.rs: identity, signed prekey, its signature, prekeys.
    store = MemoryStore()
    credentials, _ = await make(store, FRESH, 2, Dice("throws"))
    publics = [x25519_public_key(store.records[RecordKind.PREKEY, id]) for id in "21"]
    signed = credentials.signed_prekey.public + credentials.signed_prekey_signature
    expected = sha1(credentials.identity_key.public + signed + b"".join(publics)).digest()
    assert digest_of(store, credentials, 2, 1).hash == expected
    assert digest_of(store, credentials, 1, 2).hash != expected


async def test_what_a_digest_can_say_is_wrong() -> None:
    store = MemoryStore()
    credentials, _ = await make(store, FRESH, 3, Dice("throws"))
    honest = digest_of(store, credentials, 1, 2, 3)
    stranger = Credentials.generate(Dice("stranger").take)
    assert await check(store, credentials, None) is DigestVerdict.UNKNOWN
    theirs = credentials.evolve(signed_prekey=stranger.signed_prekey)
    assert await check(store, theirs, honest) is DigestVerdict.SIGNED_PREKEY
    assert await check(store, credentials.evolve(signed_prekey_id=7), honest) is DigestVerdict.SIGNED_PREKEY
    resigned = credentials.evolve(signed_prekey_signature=bytes(64))
    assert await check(store, resigned, honest) is DigestVerdict.HASH
    assert await check(store, stranger, honest) is DigestVerdict.IDENTITY
    store.records[RecordKind.PREKEY, "3"] = dice("another key", 32)
    assert await check(store, credentials, honest) is DigestVerdict.HASH
    del store.records[RecordKind.PREKEY, "2"]
    assert await check(store, credentials, honest) is DigestVerdict.MISSING


async def repair(
    store: MemoryStore, credentials: Credentials, verdict: DigestVerdict, digest: Digest | None, now: float = NOW
) -> prekeys.Stock | None:
    async with step_of(store) as step:
        return prekeys.repair(step, credentials, verdict, digest, Dice("repair"), now)


@pytest.mark.parametrize("verdict", [DigestVerdict.SAME, DigestVerdict.ROTATED])
async def test_nothing_to_repair(verdict: DigestVerdict) -> None:
    store = MemoryStore()
    assert await repair(store, FRESH, verdict, None) is None
    assert store.records == {}


async def test_a_server_that_knows_nothing_gets_everything_at_once_and_each_time() -> None:
    store = MemoryStore()
    first = await repair(store, FRESH, DigestVerdict.UNKNOWN, None)
    assert first is not None
    assert len(ids_of(first.content)) == 812
    again = await repair(store, first.credentials, DigestVerdict.UNKNOWN, None, NOW + 1)
    assert again is not None


async def test_other_faults_are_repaired_once_a_day() -> None:
    store = MemoryStore()
    credentials, _ = await make(store, FRESH, 3, Dice("throws"))
    wrong = digest_of(store, credentials, 1)
    first = await repair(store, credentials, DigestVerdict.MISSING, wrong)
    assert first is not None
    assert ids_of(first.content) == list(range(4, 54))
    assert first.credentials.digest_repaired_at == int(NOW)
    for later in (0, 86_399):
        assert await repair(store, first.credentials, DigestVerdict.MISSING, wrong, NOW + later) is None
    assert await repair(store, first.credentials, DigestVerdict.MISSING, wrong, NOW + 86_400) is not None
    # A clock that went back is no reason to wait for years.
    assert await repair(store, first.credentials, DigestVerdict.MISSING, wrong, NOW - 10) is not None


async def test_a_device_put_back_to_an_older_state_gives_no_id_out_twice() -> None:
    store = MemoryStore()
    ahead, _ = await make(store, FRESH, 30, Dice("throws"))
    digest = digest_of(store, ahead, 7, 30)
    restored = MemoryStore()
    verdict = await check(restored, FRESH, digest)
    assert verdict is DigestVerdict.MISSING
    made = await repair(restored, FRESH, verdict, digest)
    assert made is not None
    assert ids_of(made.content) == list(range(31, 81))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda parts: [part for part in parts if part.tag != "hash"],
        lambda parts: [part for part in parts if part.tag != "skey"],
        lambda parts: [Node("hash", None, b"short") if part.tag == "hash" else part for part in parts],
        lambda parts: [Node("list", None, [Node("id", None, b"12")]) if part.tag == "list" else part for part in parts],
    ],
)
def test_a_malformed_digest_is_refused(spoil: Callable[[list[Node]], list[Node]]) -> None:
    signed = SignedPrekey(1, bytes(32), bytes(64))
    whole = encrypt.digest(5, bytes(32), signed, [(1, bytes(32))])
    assert Digest.from_answer(Node("iq", None, [whole])).prekey_ids == (1,)
    with pytest.raises(StanzaError):
        Digest.from_answer(Node("iq", None, [Node("digest", None, spoil(whole.children()))]))
    with pytest.raises(StanzaError):
        Digest.from_answer(Node("iq"))


# --- the signed prekey


@pytest.mark.parametrize(
    ("since", "decision"),
    [
        (0, RotationDecision.NOTE_TIME),
        (int(NOW) + 1, RotationDecision.NOTE_TIME),
        (int(NOW), RotationDecision.KEEP),
        (int(NOW) - 7 * 86_400 + 1, RotationDecision.KEEP),
        (int(NOW) - 7 * 86_400, RotationDecision.ROTATE),
    ],
)
def test_when_to_rotate(since: int, decision: RotationDecision) -> None:
    assert prekeys.decide_rotation(FRESH.evolve(signed_prekey_at=since), NOW) is decision


def test_how_often_is_a_choice() -> None:
    hour_old = FRESH.evolve(signed_prekey_at=int(NOW) - 3600)
    assert prekeys.decide_rotation(hour_old, NOW, every=3600) is RotationDecision.ROTATE
    assert prekeys.decide_rotation(hour_old, NOW, every=3601) is RotationDecision.KEEP


async def test_the_age_begins_to_count() -> None:
    store = MemoryStore()
    async with step_of(store) as step:
        noted = prekeys.note_time(step, FRESH, NOW + 0.7)
    assert noted.signed_prekey_at == int(NOW)
    assert stored(store) == noted


async def begin(store: MemoryStore, credentials: Credentials, seed: str = "rotation") -> prekeys.Rotation:
    async with step_of(store) as step:
        return await prekeys.begin_rotation(step, credentials, Dice(seed))


async def test_the_next_signed_prekey_is_stored_before_the_server_hears_of_it() -> None:
    store = MemoryStore()
    rotation = await begin(store, FRESH)
    assert rotation.id == 2
    [rotate] = rotation.content
    told = SignedPrekey.from_node(require_child(rotate, "skey"))
    assert (rotate.tag, told.id) == ("rotate", 2)
    assert x25519_public_key(store.records[RecordKind.SIGNED_PREKEY, "2"]) == told.value
    xeddsa_verify(FRESH.identity_key.public, b"\x05" + told.value, told.signature)
    # Until the server has taken it, the present one is the present one.
    assert (RecordKind.CREDENTIALS, "self") not in store.records


async def test_an_attempt_without_an_answer_is_repeated_with_the_same_key() -> None:
    store = MemoryStore()
    first = await begin(store, FRESH)
    again = await begin(store, FRESH, "other dice")
    assert (again.id, again.pair) == (first.id, first.pair)
    xeddsa_verify(FRESH.identity_key.public, b"\x05" + again.pair.public, again.signature)


async def test_the_old_one_can_still_be_answered_and_is_forgotten_in_time() -> None:
    store = MemoryStore(StandingClock(NOW))
    store.records[RecordKind.SIGNED_PREKEY, "1"] = FRESH.signed_prekey.private
    rotation = await begin(store, FRESH)
    async with step_of(store) as step:
        updated = prekeys.finish_rotation(step, FRESH, rotation, NOW)
    assert stored(store) == updated
    assert (updated.signed_prekey_id, updated.signed_prekey) == (2, rotation.pair)
    assert (updated.signed_prekey_signature, updated.signed_prekey_at) == (rotation.signature, int(NOW))
    assert store.records[RecordKind.SIGNED_PREKEY, "1"] == FRESH.signed_prekey.private
    assert store.untils[RecordKind.SIGNED_PREKEY, "1"] == NOW + prekeys.KEEP_ROTATED
    assert store.records[RecordKind.SIGNED_PREKEY, "2"] == updated.signed_prekey.private
    assert (RecordKind.SIGNED_PREKEY, "2") not in store.untils
    assert prekeys.decide_rotation(updated, NOW) is RotationDecision.KEEP
    assert (await begin(store, updated)).id == 3


@pytest.mark.parametrize(("code", "is_kept"), [(406, False), (409, False), (429, True), (500, True), (503, True)])
async def test_a_final_refusal_drops_the_new_key_and_any_other_keeps_it(code: int, is_kept: bool) -> None:
    store = MemoryStore()
    first = await begin(store, FRESH)
    async with step_of(store) as step:
        prekeys.fail_rotation(step, first, code)
    assert ((RecordKind.SIGNED_PREKEY, "2") in store.records) is is_kept
    again = await begin(store, FRESH, "other dice")
    assert (again.pair == first.pair) is is_kept


async def test_a_rotation_whose_answer_was_lost_is_seen_in_the_digest_and_finished() -> None:
    store = MemoryStore()
    rotation = await begin(store, FRESH)
    signed = SignedPrekey(rotation.id, rotation.pair.public, rotation.signature)
    node = encrypt.digest(FRESH.registration_id, FRESH.identity_key.public, signed, [])
    digest = Digest.from_answer(Node("iq", None, [node]))
    assert await check(store, FRESH, digest) is DigestVerdict.ROTATED
    adopted = await prekeys.adopt_rotation(store, digest)
    assert adopted is not None
    async with step_of(store) as step:
        updated = prekeys.finish_rotation(step, FRESH, adopted, NOW)
    assert await check(store, updated, digest) is DigestVerdict.SAME
    # A key of that id that we did not stage is a foreign one.
    store.records[RecordKind.SIGNED_PREKEY, "2"] = dice("another", 32)
    assert await check(store, FRESH, digest) is DigestVerdict.SIGNED_PREKEY
    assert await prekeys.adopt_rotation(store, digest) is None
    assert await prekeys.adopt_rotation(MemoryStore(), digest) is None


async def test_signed_ids_end_at_24_bits_too() -> None:
    store = MemoryStore()
    assert (await begin(store, FRESH.evolve(signed_prekey_id=0xFFFFFE))).id == 0xFFFFFF
    with pytest.raises(PrekeyIdsExhausted, match="signed prekey"):
        await begin(store, FRESH.evolve(signed_prekey_id=0xFFFFFF))


async def test_no_key_is_shown() -> None:
    store = MemoryStore()
    shown = repr(await begin(store, FRESH)) + repr(await stock(store, FRESH, 4, Dice("throws")))
    pair = KeyPair.of(store.records[RecordKind.SIGNED_PREKEY, "2"])
    assert pair.private.hex() not in shown
    assert repr(pair.private) not in shown
