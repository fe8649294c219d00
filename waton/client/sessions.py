"""Sessions: one ciphertext for each of many devices, each in its own Signal session.

Missing bundles are asked for first (network, no lock held); then, in a unit of work and with the locks of all people
involved, sessions are opened and ratchets turned. One device without a bundle, or with a bad one, never fails the
others: it is left out, with the reason.

Source: Baileys Socket/messages-send.ts assertSessions for the question; docs/parity/better.md for what is done
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from waton._core import PreKeyBundle, session_archive, session_is_open
from waton.client import addresses
from waton.client.event_pipeline import Step
from waton.errors import (
    DecryptError,
    InvalidSignature,
    IqError,
    RemoteProtocolError,
    StorageError,
    UntrustedIdentity,
    UnvouchedCompanion,
)
from waton.jid import Jid, signal_address
from waton.ports import RecordKind
from waton.protocol import signal_repo
from waton.protocol.binary_node import Node, content_bytes, get_jid, get_text, require_child
from waton.protocol.stanza import encrypt, iq
from waton.protocol.stanza.message import Enc

if TYPE_CHECKING:
    from waton.client.client import Client

BUNDLES_AT_ONCE = 200
"""Devices in one question for bundles."""
_NOT_SEALED = (InvalidSignature, DecryptError, StorageError, UntrustedIdentity, UnvouchedCompanion)
"""What costs a device its ciphertext, and nobody else's."""
_IDENTITY = "identity"
"""Why bundles are asked for of devices that there are sessions with. Source: Baileys assertSessions."""


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """One device to encrypt for."""

    wire: Jid
    """How the stanza names it."""
    plain: bytes
    """The padded plaintext."""


@dataclass(slots=True, repr=False)
class Sealed:
    """What came of encrypting for many devices."""

    encs: list[tuple[Jid, Enc]] = field(default_factory=list[tuple[Jid, Enc]])
    skipped: dict[Jid, str] = field(default_factory=dict[Jid, str])
    """Devices left out, and why."""

    @property
    def opens(self) -> bool:
        """True when any of them opens a session: our device identity has to go along."""
        return any(enc.type == signal_repo.EncType.PKMSG for _, enc in self.encs)


@dataclass(frozen=True, slots=True, repr=False)
class Bundles:
    """What the server gave for devices without a session."""

    found: Mapping[Jid, PreKeyBundle] = field(default_factory=dict[Jid, PreKeyBundle])
    vouched: Mapping[Jid, bytes] = field(default_factory=dict[Jid, bytes])
    """The phone's word for a companion, ADVSignedDeviceIdentity, as far as the server passes it on."""
    refused: Mapping[Jid, str] = field(default_factory=dict[Jid, str])


class Sessions:
    """The Signal sessions of one client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    # --- bundles ------------------------------------------------------------------------------------------------------

    async def missing(self, devices: Sequence[Jid], reader: addresses.Reader | None = None) -> list[Jid]:
        """Those of the devices with which no session is open, as `reader` (else the store) has it."""
        source = reader or self._client.store
        names = await addresses.canonical_many(source, devices)
        keys = {device: signal_address(names[device]) for device in devices}
        records = await source.load_many(RecordKind.SESSION, keys.values())
        return [device for device in devices if not _is_usable(records.get(keys[device]))]

    async def lost(self, step: Step, devices: Sequence[Jid], bundles: Bundles) -> list[Jid]:
        """Those whose session was put aside after the bundles were asked for, and who were not among those asked for.

        Hold their locks. Sealing would leave them out, though they only have to be asked for.
        """
        missing = await self.missing(devices, step)
        return [device for device in missing if device not in bundles.found and device not in bundles.refused]

    async def bundles_for(self, devices: Sequence[Jid], *, all_of_them: bool = False) -> Bundles:
        """Ask for the bundles of those without a session. Raises Disconnected, QueryTimeout, IqError.

        Args:
            devices: whose.
            all_of_them: ask for all, as one does when their keys may have changed; the server is told so.
        """
        wanted = list(devices) if all_of_them else await self.missing(devices)
        reason = _IDENTITY if all_of_them else None
        found: dict[Jid, PreKeyBundle] = {}
        vouched: dict[Jid, bytes] = {}
        refused = dict.fromkeys(wanted, "no answer for this device")
        for at in range(0, len(wanted), BUNDLES_AT_ONCE):
            await self._ask(wanted[at : at + BUNDLES_AT_ONCE], reason, found, vouched, refused)
        return Bundles(found, vouched, refused)

    async def _ask(
        self,
        wanted: Sequence[Jid],
        reason: str | None,
        found: dict[Jid, PreKeyBundle],
        vouched: dict[Jid, bytes],
        refused: dict[Jid, str],
    ) -> None:
        # A bundle is for an identity, and that is known by the canonical address, whatever the conversation says.
        names = await addresses.canonical_many(self._client.store, wanted)
        wires = {name: wire for wire, name in names.items()}
        try:
            answer = await self._client.query(
                "encrypt", iq.IqType.GET, encrypt.bundles_query(list(wires), reason=reason)
            )
        except IqError as error:
            refused.update(dict.fromkeys(wanted, f"the server refused: {error.code} {error.text}"))
            return
        for user in require_child(answer, "list").children("user"):
            named = get_jid(user, "jid")
            jid = None if named is None else wires.get(named)
            if jid is None or jid not in refused:
                continue
            try:
                found[jid] = signal_repo.bundle_from_node(user)
                word = user.child("device-identity")
                if word is not None:
                    vouched[jid] = content_bytes(word)
                del refused[jid]
            except RemoteProtocolError as error:
                refused[jid] = _why(user) or str(error)

    # --- sealing ------------------------------------------------------------------------------------------------------

    async def seal(self, step: Step, targets: Iterable[Target], bundles: Bundles) -> Sealed:
        """A ciphertext for each device that one can be made for. Hold the locks of all of them."""
        wanted = list(targets)
        sealed = Sealed(skipped=dict(bundles.refused))
        names = await addresses.canonical_many(step, [target.wire for target in wanted])
        keys = {wire: signal_address(name) for wire, name in names.items()}
        records = await step.load_many(RecordKind.SESSION, keys.values())
        for target in wanted:
            key = keys[target.wire]
            try:
                record = records.get(key)
                bundle = bundles.found.get(target.wire)
                if bundle is not None and not _is_usable(record):
                    record = await self.open(step, target.wire, key, record, bundle, bundles.vouched.get(target.wire))
                done = signal_repo.encrypt(record or b"", target.plain)
            except _NOT_SEALED as error:
                sealed.skipped.setdefault(target.wire, str(error))
                continue
            records[key] = done.record
            step.save(RecordKind.SESSION, key, done.record)
            sealed.encs.append((target.wire, Enc(done.type, done.ciphertext)))
            sealed.skipped.pop(target.wire, None)
        return sealed

    async def open(
        self, step: Step, device: Jid, key: str, record: bytes | None, bundle: PreKeyBundle, vouched: bytes | None
    ) -> bytes:
        """A record with a fresh session from this bundle; saved by the caller.

        Raises:
            InvalidSignature: the signed prekey is not signed by the bundle's identity key.
            UnvouchedCompanion: the key is new, and the phone does not stand for it by `vouched`.
            UntrustedIdentity: that key is another than the known one, and the client's policy does not take it.
        """
        local = signal_repo.LocalIdentity.of(self._client.credentials)
        entropy = self._client.entropy.take(64)
        try:
            opened = signal_repo.open_session(record, bundle, local, entropy=entropy)
        except StorageError:  # damaged: nothing in it can be kept
            opened = signal_repo.open_session(None, bundle, local, entropy=entropy)
        await self._client.identities.take_bundle(step, device, key, bundle.identity_key, vouched)
        step.transition("session", "none", "open", device=device.device)
        return opened

    async def archive(self, step: Step, device: Jid) -> None:
        """Put the open session aside: what we send next opens another, and what still comes in it can be read."""
        key = signal_address(await addresses.canonical(step, device))
        record = await step.load(RecordKind.SESSION, key)
        if record is None:
            return
        try:
            step.save(RecordKind.SESSION, key, session_archive(record))
        except StorageError:
            step.save(RecordKind.SESSION, key, None)  # damaged: nothing can be read with it
        step.transition("session", "open", "archived", device=device.device)


def _is_usable(record: bytes | None) -> bool:
    try:
        return record is not None and session_is_open(record)
    except StorageError:
        return False  # damaged: another one is opened in its place


def _why(user: Node) -> str | None:
    refused = user.child("error")
    return None if refused is None else get_text(refused, "text") or "refused"


__all__ = ["Bundles", "Sealed", "Sessions", "Target"]
