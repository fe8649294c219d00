"""Prekeys: keep the server stocked with one-time keys, so that others can open sessions while we are away.

Ids grow and are never reused; private keys are on disk before the server hears of the public ones, so a bundle handed
out can always be answered, whatever crashes in between.

Source: Baileys Socket/socket.ts (812 at first, when fewer than 5 are left), whatsmeow prekeys.go (50 at a time later).
"""

from __future__ import annotations

from waton._core import x25519_public_key
from waton.client.event_pipeline import Step
from waton.ports import Entropy, RecordKind
from waton.protocol.binary_node import Node
from waton.protocol.credentials import Credentials
from waton.protocol.stanza.encrypt import upload_content

FIRST_UPLOAD = 812
REFILL = 50
LOW = 5
"""Refill when the server has fewer."""
MAX_ID = 0xFFFFFF


def wanted(server_count: int) -> int:
    """How many new prekeys to make for this count."""
    if server_count == 0:
        return FIRST_UPLOAD
    return REFILL if server_count < LOW else 0


def make(step: Step, credentials: Credentials, count: int, entropy: Entropy) -> tuple[Credentials, list[Node]]:
    """Make and store `count` prekeys in this step; returns the new credentials and the upload's content."""
    made: list[tuple[int, bytes]] = []
    for id in range(credentials.next_prekey_id, credentials.next_prekey_id + count):
        private = entropy.take(32)
        step.save(RecordKind.PREKEY, str(id), private)
        made.append((id, x25519_public_key(private)))
    last = credentials.next_prekey_id + count
    if last > MAX_ID:
        raise OverflowError("all 24-bit prekey ids are used up")
    updated = credentials.evolve(next_prekey_id=last)
    step.save(RecordKind.CREDENTIALS, "self", updated.to_json())
    step.transition("prekeys", str(credentials.next_prekey_id), str(last), made=count)
    return updated, upload_content(updated, made)
