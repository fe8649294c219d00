"""Pairing, the client's part: show refs as QRs until a phone has scanned one, then check its word and sign back.

Nothing is stored before every check has passed; a failed pairing leaves the credentials as they were, so the next
attempt starts clean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from waton.errors import PairingError, PairingStep
from waton.ports import Clock
from waton.protocol.adv import VerifiedIdentity, verify_identity
from waton.protocol.binary_node import Node
from waton.protocol.client_payload import Browser
from waton.protocol.credentials import Credentials
from waton.protocol.stanza import pairing
from waton.protocol.stanza.pairing import FIRST_QR_SECONDS, NEXT_QR_SECONDS, PairSuccess, QrText, refs_of


@dataclass(frozen=True, slots=True, repr=False)
class QrShown:
    """One QR on show."""

    text: str
    expires_at: float
    """Unix seconds."""
    left: int
    """Refs after this one."""


class QrRotation:
    """Shows one ref after the other: 60 s the first, 20 s each later one."""

    def __init__(
        self, credentials: Credentials, browser: Browser, clock: Clock, show: Callable[[QrShown], None]
    ) -> None:
        self._credentials = credentials
        self._browser = browser
        self._clock = clock
        self._show = show

    async def run(self, node: Node) -> None:
        """Show all refs of a pair-device. Raises PairingError(REFS) when none is left."""
        refs = refs_of(node)
        for number, ref in enumerate(refs):
            seconds = NEXT_QR_SECONDS if number else FIRST_QR_SECONDS
            text = self._text(ref)
            self._show(QrShown(text, self._clock.now() + seconds, len(refs) - number - 1))
            await asyncio.sleep(seconds)
        raise PairingError(PairingStep.REFS)

    def _text(self, ref: str) -> str:
        mine = self._credentials
        keys = (mine.noise_key.public, mine.identity_key.public, mine.adv_secret)
        return QrText(ref, *keys, platform=self._browser.qr_platform).encode()


@dataclass(frozen=True, slots=True, repr=False)
class Paired:
    """A pairing that verified: what to store and what to answer."""

    credentials: Credentials
    identity: VerifiedIdentity
    reply: Node


def accept(credentials: Credentials, success: PairSuccess, entropy: bytes) -> Paired:
    """Check a pair-success and make the answer. entropy: 64 bytes. Raises PairingError."""
    identity = verify_identity(
        success.container, adv_secret=credentials.adv_secret, identity=credentials.identity_key, entropy=entropy
    )
    updated = credentials.evolve(me=success.jid, lid=success.lid, account=identity.account, platform=success.platform)
    return Paired(updated, identity, pairing.pair_device_sign(success.id, identity.key_index, identity.reply))


def refusal(success: PairSuccess, error: PairingError) -> Node:
    """What we tell the server when a pair-success does not verify."""
    if error.step is PairingStep.HMAC:
        return pairing.pair_error(success.id, 401, "hmac-mismatch")
    if error.step is PairingStep.ACCOUNT_SIGNATURE:
        return pairing.pair_error(success.id, 401, "signature-mismatch")
    return pairing.pair_error(success.id, 500, "internal-error")
