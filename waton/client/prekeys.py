"""Prekeys: keep the server stocked with one-time keys, and its signed key young, so that others can open sessions.

Ids grow and are never reused. Private keys are on disk before the server hears of the public ones, so that a bundle
that was handed out can always be answered, whatever crashes in between. Three things follow, all of them here as
decisions and steps; who calls them asks the server in between:

- An upload of which we do not know that it arrived is repeated with the very same keys (`Credentials.prekeys_pending_*`
  say which); making new ones instead would leave keys behind that nobody uses and nobody forgets.
- The server's digest of what it holds is compared with what we hold: it may have nothing, or hand out keys that we
  cannot answer (after a restored backup, say). Then fresh keys are uploaded, once a day at most.
- A signed prekey is replaced every week. The new one is stored first, under the next id, and used from the moment the
  server takes it; a repeated attempt offers the same one. The old one is kept for as long as a message to it may be on
  its way.

Source: Baileys Socket/socket.ts (812 at first, when fewer than 5 are left), whatsmeow prekeys.go (50 at a time later),
whatsapp-rust src/prekeys.rs and src/features/rotate_key.rs (digest, staging; it keeps a signed prekey for 27 days).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from waton._core import x25519_public_key, xeddsa_sign
from waton.client.addresses import Reader
from waton.client.event_pipeline import Step
from waton.client.retry_counters import RETRY_SECONDS, given_key
from waton.errors import PrekeyIdsExhausted
from waton.ports import Entropy, RecordKind
from waton.protocol.binary_node import Node
from waton.protocol.credentials import Credentials, KeyPair
from waton.protocol.stanza.encrypt import KEY_TYPE, Digest, SignedPrekey, keys_hash, rotate_content, upload_content

FIRST_UPLOAD = 812
REFILL = 50
LOW = 5
"""Refill when the server has fewer."""
MAX_ID = 0xFFFFFF
DAY = 86_400
ROTATE_EVERY = 7 * DAY
"""Seconds between two signed prekeys."""
KEEP_ROTATED = 60 * DAY
"""Seconds for which a replaced signed prekey can still be answered.

Guess: the service keeps undelivered messages for 30 days, and a bundle may be used long after it was fetched. How old a
message's signed prekey can be in practice would settle it.
"""
GIVEN_SECONDS = RETRY_SECONDS
"""How long a prekey that was given directly can be answered: as long as the message may be asked for."""
REPAIR_EVERY = DAY
"""Seconds between two uploads because of a digest."""
_REFUSED = (406, 409)
"""The server will never take this signed prekey. Source: whatsapp-rust src/features/rotate_key.rs."""


# --- one-time prekeys -------------------------------------------------------------------------------------------------


def wanted(server_count: int) -> int:
    """How many new prekeys to make for this count."""
    if server_count == 0:
        return FIRST_UPLOAD
    return REFILL if server_count < LOW else 0


def make(step: Step, credentials: Credentials, count: int, entropy: Entropy) -> tuple[Credentials, list[Node]]:
    """Make and store `count` prekeys in this step, as pending.

    Returns:
        the new credentials, and the children of the upload's iq.
    Raises:
        PrekeyIdsExhausted: there are not so many ids left.
    """
    first = credentials.next_prekey_id
    made = _make(step, credentials, count, entropy)
    last = first + count
    is_next = has_pending(credentials) and credentials.prekeys_pending_until == first
    pending_from = credentials.prekeys_pending_from if is_next else first
    updated = credentials.evolve(next_prekey_id=last, prekeys_pending_from=pending_from, prekeys_pending_until=last)
    step.save(RecordKind.CREDENTIALS, "self", updated.to_json())
    step.transition("prekeys", str(first), str(last), made=count)
    return updated, upload_content(updated, made)


def make_one(
    step: Step, credentials: Credentials, entropy: Entropy, now: float
) -> tuple[Credentials, tuple[int, bytes]]:
    """Make and store one prekey to give to somebody directly (in a retry receipt): it is never uploaded.

    A receipt whose ack was not seen is written again, and who answers both of them opens two sessions with this one
    key. So it is not deleted when it is first used, as others are, but forgotten after GIVEN_SECONDS.

    Returns:
        the new credentials, and (id, 32-byte public key).
    Raises:
        PrekeyIdsExhausted: there is no id left.
    """
    until = now + GIVEN_SECONDS
    [one] = _make(step, credentials, 1, entropy, until)
    step.save(RecordKind.RETRY, given_key(one[0]), b"", until=until)
    updated = credentials.evolve(next_prekey_id=one[0] + 1)
    step.save(RecordKind.CREDENTIALS, "self", updated.to_json())
    step.transition("prekeys", str(one[0]), str(one[0] + 1), made=1)
    return updated, one


async def spend(step: Step, id: int) -> None:
    """A one-time prekey has opened a session: it is deleted, unless it was given to somebody directly."""
    if await step.load(RecordKind.RETRY, given_key(id)) is not None:
        step.transition("prekey", "given", "used", id=id)
        return
    step.save(RecordKind.PREKEY, str(id), None)
    step.transition("prekey", "unused", "spent", id=id)


def _make(
    step: Step, credentials: Credentials, count: int, entropy: Entropy, until: float | None = None
) -> list[tuple[int, bytes]]:
    first = credentials.next_prekey_id
    if first + count - 1 > MAX_ID:
        raise PrekeyIdsExhausted
    made: list[tuple[int, bytes]] = []
    for id in range(first, first + count):
        private = entropy.take(32)
        step.save(RecordKind.PREKEY, str(id), private, until=until)
        made.append((id, x25519_public_key(private)))
    return made


@dataclass(frozen=True, slots=True, repr=False)
class Stock:
    """What to do about the server's stock."""

    credentials: Credentials
    content: list[Node] | None
    """The children of iq encrypt set; None: there is nothing to upload. After a good answer: `uploaded`."""
    is_repeated: bool = False
    """The same keys were sent before, and no answer came."""


def has_pending(credentials: Credentials) -> bool:
    """There are prekeys that the server may not have."""
    return credentials.prekeys_pending_from < credentials.prekeys_pending_until


async def load_pending(reader: Reader, credentials: Credentials) -> list[tuple[int, bytes]]:
    """The pending prekeys that nobody has used meanwhile: (id, 32-byte public key)."""
    if not has_pending(credentials):
        return []
    ids = range(credentials.prekeys_pending_from, credentials.prekeys_pending_until)
    held = await reader.load_many(RecordKind.PREKEY, map(str, ids))
    return [(id, x25519_public_key(held[str(id)])) for id in ids if str(id) in held]


def stock(
    step: Step, credentials: Credentials, server_count: int, pending: Sequence[tuple[int, bytes]], entropy: Entropy
) -> Stock:
    """What to upload, when the server says how many it has: what is pending, or new ones when it has few.

    A server that is well stocked while an upload is pending has got that upload: it gets keys from nobody else, and
    only when it has few.

    Args:
        step: where new keys and credentials are stored.
        credentials: ours, as they are now.
        server_count: what the server said.
        pending: from load_pending.
        entropy: dice.
    Raises:
        PrekeyIdsExhausted: there are not enough ids left.
    """
    count = wanted(server_count)
    if count == 0:
        return Stock(uploaded(step, credentials) if has_pending(credentials) else credentials, None)
    if pending:
        return Stock(credentials, upload_content(credentials, pending), True)
    return Stock(*make(step, credentials, count, entropy))


def uploaded(step: Step, credentials: Credentials) -> Credentials:
    """The server has what was pending. Returns the new credentials."""
    until = credentials.prekeys_pending_until
    updated = credentials.evolve(prekeys_pending_from=until, server_has_prekeys=True)
    step.save(RecordKind.CREDENTIALS, "self", updated.to_json())
    step.transition("prekeys", "pending", "uploaded", until=until)
    return updated


# --- the server's digest ----------------------------------------------------------------------------------------------


class DigestVerdict(StrEnum):
    """What the server's digest says of our keys."""

    SAME = "same"
    UNKNOWN = "unknown"
    """The server has nothing of ours: nobody can write to this device first."""
    IDENTITY = "identity"
    """It holds another identity key or registration id."""
    ROTATED = "rotated"
    """It hands out the signed prekey of a rotation whose answer never came: see adopt_rotation."""
    SIGNED_PREKEY = "signed_prekey"
    """It hands out a signed prekey that is not the present one."""
    MISSING = "missing"
    """It hands out one-time prekeys that we do not have."""
    HASH = "hash"
    """All ids are known, and the keys under them are not the same."""


def judge_digest(digest: Digest | None, credentials: Credentials, held: Mapping[int, bytes]) -> DigestVerdict:
    """Compare the server's digest with what we hold.

    Args:
        digest: the server's; None when it answered 404.
        credentials: ours.
        held: the private keys of those of the digest's prekeys that we have, by id.
    """
    if digest is None:
        return DigestVerdict.UNKNOWN
    ours, signed = credentials, digest.signed
    if (digest.identity, digest.registration_id) != (ours.identity_key.public, ours.registration_id):
        return DigestVerdict.IDENTITY
    if (signed.id, signed.value) != (ours.signed_prekey_id, ours.signed_prekey.public):
        return DigestVerdict.SIGNED_PREKEY
    if not set(digest.prekey_ids) <= set(held):
        return DigestVerdict.MISSING
    publics = [x25519_public_key(held[id]) for id in digest.prekey_ids]
    present = SignedPrekey(ours.signed_prekey_id, ours.signed_prekey.public, ours.signed_prekey_signature)
    same = keys_hash(ours.identity_key.public, present, publics) == digest.hash
    return DigestVerdict.SAME if same else DigestVerdict.HASH


async def check_digest(reader: Reader, credentials: Credentials, digest: Digest | None) -> DigestVerdict:
    """judge_digest, with our keys loaded."""
    if digest is None:
        return DigestVerdict.UNKNOWN
    held = await reader.load_many(RecordKind.PREKEY, map(str, digest.prekey_ids))
    verdict = judge_digest(digest, credentials, {int(id): private for id, private in held.items()})
    if verdict is DigestVerdict.SIGNED_PREKEY and digest.signed.id == credentials.signed_prekey_id + 1:
        return verdict if await adopt_rotation(reader, digest) is None else DigestVerdict.ROTATED
    return verdict


def repair(
    step: Step, credentials: Credentials, verdict: DigestVerdict, digest: Digest | None, entropy: Entropy, now: float
) -> Stock | None:
    """An upload that puts right what `check_digest` found; None when there is nothing to put right, or not yet again.

    Ids that the server has seen are passed over: a device that was put back to an older state would give them out a
    second time.

    Raises:
        PrekeyIdsExhausted: there are not enough ids left.
    """
    if verdict in (DigestVerdict.SAME, DigestVerdict.ROTATED):
        return None
    if 0 <= now - credentials.digest_repaired_at < REPAIR_EVERY and verdict is not DigestVerdict.UNKNOWN:
        return None
    seen = max(digest.prekey_ids, default=0) if digest is not None else 0
    ready = credentials.evolve(next_prekey_id=max(credentials.next_prekey_id, seen + 1), digest_repaired_at=int(now))
    step.transition("digest", verdict.value, "repairing")
    count = FIRST_UPLOAD if verdict is DigestVerdict.UNKNOWN else REFILL
    return Stock(*make(step, ready, count, entropy))


# --- the signed prekey ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class Rotation:
    """A signed prekey that the server does not have yet."""

    id: int
    pair: KeyPair
    signature: bytes

    @property
    def content(self) -> list[Node]:
        """The children of iq encrypt set."""
        return rotate_content(self.id, self.pair.public, self.signature)


class RotationDecision(StrEnum):
    """Whether to replace the signed prekey now."""

    KEEP = "keep"
    ROTATE = "rotate"
    NOTE_TIME = "note_time"
    """Nobody knows how old it is: from now on somebody does."""


def decide_rotation(credentials: Credentials, now: float, every: float = ROTATE_EVERY) -> RotationDecision:
    """Whether the signed prekey is due. A time that lies ahead (a clock that went back) is not known either."""
    since = credentials.signed_prekey_at
    if since <= 0 or since > now:
        return RotationDecision.NOTE_TIME
    return RotationDecision.ROTATE if now - since >= every else RotationDecision.KEEP


def note_time(step: Step, credentials: Credentials, now: float) -> Credentials:
    """Begin to count the signed prekey's age."""
    updated = credentials.evolve(signed_prekey_at=int(now))
    step.save(RecordKind.CREDENTIALS, "self", updated.to_json())
    return updated


async def begin_rotation(step: Step, credentials: Credentials, entropy: Entropy) -> Rotation:
    """Store the next signed prekey; or the one again that an earlier attempt left.

    Raises:
        PrekeyIdsExhausted: the present one has the last id.
    """
    id = credentials.signed_prekey_id + 1
    if id > MAX_ID:
        raise PrekeyIdsExhausted("signed prekey")
    private = await step.load(RecordKind.SIGNED_PREKEY, str(id))
    if private is None:
        private = entropy.take(32)
        step.save(RecordKind.SIGNED_PREKEY, str(id), private)
        step.transition("signed_prekey", "none", "staged", id=id)
    pair = KeyPair.of(private)
    signature = xeddsa_sign(credentials.identity_key.private, KEY_TYPE + pair.public, entropy.take(64))
    return Rotation(id, pair, signature)


def finish_rotation(step: Step, credentials: Credentials, rotation: Rotation, now: float) -> Credentials:
    """The server has taken it: it is the present one, and the one before it will be forgotten in time."""
    old = credentials.signed_prekey_id
    updated = credentials.evolve(
        signed_prekey=rotation.pair,
        signed_prekey_id=rotation.id,
        signed_prekey_signature=rotation.signature,
        signed_prekey_at=int(now),
    )
    step.save(RecordKind.CREDENTIALS, "self", updated.to_json())
    step.save(RecordKind.SIGNED_PREKEY, str(old), credentials.signed_prekey.private, until=now + KEEP_ROTATED)
    step.transition("signed_prekey", str(old), str(rotation.id))
    return updated


async def adopt_rotation(reader: Reader, digest: Digest) -> Rotation | None:
    """The staged signed prekey that the server's digest names (verdict ROTATED), to be finished."""
    private = await reader.load(RecordKind.SIGNED_PREKEY, str(digest.signed.id))
    if private is None or x25519_public_key(private) != digest.signed.value:
        return None
    return Rotation(digest.signed.id, KeyPair.of(private), digest.signed.signature)


def fail_rotation(step: Step, rotation: Rotation, code: int) -> None:
    """The server answered with an error: one that is final drops the new key, any other leaves it for the next attempt.

    Without any answer do nothing: the server may have taken it, and the next attempt offers the same key.
    """
    if code in _REFUSED:
        step.save(RecordKind.SIGNED_PREKEY, str(rotation.id), None)
        step.transition("signed_prekey", "staged", "refused", id=rotation.id)
