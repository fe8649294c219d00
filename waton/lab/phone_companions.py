"""What a phone does for its companions: vouch for them, sign the list of them, and prepare what a new one is sent.

The account's identity key signs three things here: the companion's identity (the account signature), the seal that the
secret of a QR or of a code closes, and the key-index list, which everybody gets by usync.

Source: waton.protocol.adv; Baileys and whatsmeow for what a companion expects.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from waton.lab import phone_setup, privacy
from waton.lab.faults import Vouching
from waton.lab.link_code import PendingCode
from waton.lab.pairing import Offer, Registering
from waton.lab.phone_signal import PhoneSignal
from waton.lab.world import Account
from waton.protocol import adv, pairing_code, proto
from waton.protocol.credentials import KeyPair
from waton.protocol.stanza.pairing import PairSuccess

if TYPE_CHECKING:
    from waton.lab.service import Service

_APP_STATE_KEY = "app_state_key"
_PLATFORM = "android"
_OLD_CHATS = 2
"""How many contacts the invented history shows."""


class Companions:
    """The linked devices of one account, as its phone sees them."""

    def __init__(self, service: Service, account: Account, signal: PhoneSignal) -> None:
        self._service = service
        self._world = service.world
        self._account = account
        self._signal = signal

    @property
    def _identity(self) -> KeyPair:
        return self._signal.credentials.identity_key

    # --- pairing ------------------------------------------------------------------------------------------------------

    async def offer_by_code(self, code: str, registering: Registering, pending: PendingCode, timeout: float) -> Offer:
        """The phone's word for the companion that shows this code, when the code is right.

        Args:
            code: what was typed.
            registering: the companion's connection.
            pending: its hello.
            timeout: seconds the companion may take to answer.
        Raises:
            PairingError: CODE when it is another code than the companion's; FORMAT when its answer is none.
            LabError, Disconnected: the companion does not answer, or left.
        """
        take, mine = self._world.entropy.take, self._identity
        ephemeral = KeyPair.of(take(32))
        companion_key = await asyncio.to_thread(pairing_code.unwrap, pending.wrapped_key, code)
        wrapped = await asyncio.to_thread(pairing_code.wrap, ephemeral.public, code, salt=take(32), iv=take(16))
        finish = await registering.code.exchange(wrapped, mine.public, timeout)
        secret = pairing_code.open_bundle(
            finish.bundle,
            ephemeral=ephemeral,
            companion_key=companion_key,
            identity=mine,
            companion_identity=finish.identity_key,
        )
        return self.offer(secret, registering)

    def offer(self, adv_secret: bytes, registering: Registering) -> Offer:
        """The phone's word for a companion, sealed with the secret of its QR or code. Uses up a device number."""
        number = self._world.reserve_number(self._account)
        companion = registering.registration.identity
        success = PairSuccess(
            id=self._world.fresh_id(),
            container=self._vouch(companion, adv_secret, number, registering.fault.vouched),
            jid=self._account.pn.with_device(number),
            lid=self._account.lid.with_device(number),
            platform=_PLATFORM,
        )

        def accept(signed_identity: bytes) -> None:
            self._accept(registering, number, signed_identity)

        return Offer(success, self._identity.public, accept)

    def _accept(self, registering: Registering, number: int, signed_identity: bytes) -> None:
        registration = registering.registration
        device = self._world.add_device(
            self._account,
            number,
            identity=registration.identity,
            registration_id=registration.registration_id,
            noise=registration.noise,
            signed_identity=signed_identity,
        )
        self.sign_list()
        self._service.announce_devices(device, "add")
        self._world.note("lab.paired", device=number)

    def _vouch(self, companion: bytes, adv_secret: bytes, number: int, wrong: Vouching | None) -> bytes:
        take = self._world.entropy.take
        signer = self._identity
        if wrong is Vouching.ACCOUNT_SIGNATURE:
            signer = KeyPair(take(32), signer.public)
        container, _ = adv.vouch(
            signer,
            companion_identity=companion,
            adv_secret=take(32) if wrong is Vouching.HMAC else adv_secret,
            raw_id=self._account.raw_id,
            key_index=number,
            timestamp=self._world.t(),
            entropy=take(64),
        )
        return container

    def _indexes(self) -> list[int]:
        return [device.key_index for device in self._world.devices(self._account)]

    def sign_list(self) -> None:
        """Sign and publish the list of companions as they are now."""
        t = self._world.t()
        indexes = self._indexes()
        signed = adv.sign_key_index_list(
            self._identity,
            raw_id=self._account.raw_id,
            timestamp=t,
            current_index=max(indexes),
            valid_indexes=indexes,
            entropy=self._world.entropy.take(64),
        )
        self._world.set_key_list(self._account, signed, t)

    # --- the welcome --------------------------------------------------------------------------------------------------

    def welcome(self) -> list[proto.Message]:
        """What a new companion is sent: the app-state key, then the first history."""
        key_id, key = self._app_state_key()
        t = self._world.t()
        contacts = [account for account in self._world.accounts() if account.id != self._account.id]
        share = phone_setup.key_share(key_id, key, raw_id=self._account.raw_id, key_indexes=self._indexes(), t=t)
        salt = privacy.nct_salt(self._world, self._account)
        return [share, phone_setup.history(self._account, contacts[:_OLD_CHATS], t, nct_salt=salt)]

    def _app_state_key(self) -> tuple[bytes, bytes]:
        kept = self._signal.records.load(_APP_STATE_KEY, "current")
        if kept is None:
            # Key ids count epochs in their last four bytes; the first is 1.
            kept = self._world.entropy.take(2) + (1).to_bytes(4, "big") + self._world.entropy.take(32)
            self._signal.records.save(_APP_STATE_KEY, "current", kept)
        return kept[:6], kept[6:]
