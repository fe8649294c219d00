"""Identities: what this client does when somebody comes with another identity key, in a message, a bundle or by notice.

The policy decides (waton.client.identity_change_handler); here its actions become writes, questions and events. A
message under a changed key has been authenticated with that key before anything here is asked; a bundle's signed prekey
has been verified with it. With IdentityPolicy.ASK the messages are held, ciphertexts and all, until `trust` is called.

Source: whatsmeow AutoTrustIdentity and its IdentityChange event, whatsapp-rust src/message.rs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from waton.client import addresses
from waton.client.companions import check_companion
from waton.client.event_pipeline import Step
from waton.client.events import IdentityChanged
from waton.client.identity_change_handler import (
    Debounce,
    IdentityAction,
    IdentityChangeOutcome,
    IdentityPolicy,
    decide_identity,
    handle_identity_change,
    refresh_remembered,
)
from waton.errors import IqError, UntrustedIdentity, UnvouchedCompanion
from waton.jid import Jid, signal_address
from waton.ports import RecordKind
from waton.protocol.binary_node import Node, decode_node, encode_node, get_int, require_text
from waton.protocol.connection import NodeReceived

if TYPE_CHECKING:
    from waton.client.client import Client

_REMEMBERED = "identity_refresh"
"""Name of the setting that holds whose session is to be refreshed after the drain."""
HELD = "held "
"""What the keys of messages begin with that wait for somebody's decision; those of other placeholders never do."""
_HELD_SECONDS = 14 * 86_400
_MOST_REMEMBERED = 1_000


class Identities:
    """The identity keys of others, for one client. It is the IdentityContext of its handler."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.debounce = Debounce()

    @property
    def policy(self) -> IdentityPolicy:
        return self._client.config.identity_policy

    # --- keys that come -----------------------------------------------------------------------------------------------

    async def meet(self, step: Step, device: Jid, key: str, new: bytes, vouched: bytes | None) -> None:
        """A key of a device of which none was known. Raises UnvouchedCompanion."""
        await self._check(step, device, new, vouched)
        step.save(RecordKind.IDENTITY, key, new)
        step.transition("identity", "unknown", "known")

    async def take(self, step: Step, device: Jid, key: str, error: UntrustedIdentity, vouched: bytes | None) -> None:
        """A message of this device was authenticated under another key than the known one.

        Raises:
            UntrustedIdentity: the policy does not take it; what is to be told is in the step.
            UnvouchedCompanion: its phone does not stand for it.
        """
        await self._check(step, device, error.new, vouched)
        decision = decide_identity(self.policy, error.old, error.new, authenticated=True)
        if decision.may_use:
            await self._changed(step, device, key, error.new)
        if IdentityAction.TELL in decision.actions:
            self._tell(step, device, decision.old, decision.new, decision.verdict.value)
        if not decision.may_use:
            raise error

    async def take_bundle(self, step: Step, device: Jid, key: str, new: bytes, vouched: bytes | None) -> None:
        """The server hands out this key for a device. Raises UntrustedIdentity, UnvouchedCompanion."""
        known = await step.load(RecordKind.IDENTITY, key)
        if known is None:
            await self.meet(step, device, key, new, vouched)
        elif known != new:
            await self.take(step, device, key, UntrustedIdentity(device, known, new), vouched)

    async def _check(self, step: Step, device: Jid, new: bytes, vouched: bytes | None) -> None:
        try:
            await check_companion(step, device, new, vouched)
        except UnvouchedCompanion as error:
            if not (error.is_missing and self._client.config.takes_unvouched):
                raise

    async def _changed(self, step: Step, device: Jid, key: str, new: bytes | None) -> None:
        """new: the key that counts from now on; None for whichever comes next."""
        step.save(RecordKind.IDENTITY, key, new)
        step.transition("identity", "other", "known", device=device.device)
        names = await addresses.known_as(step, [device])
        for name in names:
            self._client.devices.forget(name)
        await self._client.groups.mark_stale(step, [name.with_device(device.device) for name in names])
        if device.device == 0:
            self._client.background(self._client.privacy.give_again(device))

    def _tell(self, step: Step, device: Jid, old: str, new: str, decision: str) -> None:
        step.emit(IdentityChanged(device, old, new, decision, int(self._client.clock.now())))

    # --- messages that are held ---------------------------------------------------------------------------------------

    async def hold(self, step: Step, author: Jid, node: Node) -> None:
        """Keep a message that waits for somebody's decision."""
        if self.policy is IdentityPolicy.ASK:
            until = self._client.clock.now() + _HELD_SECONDS
            place = await self._place(step, author, require_text(node, "id"))
            step.save(RecordKind.PLACEHOLDER, place, encode_node(node), until=until)

    async def release(self, step: Step, author: Jid, id: str) -> None:
        """A message waits for no decision any more: it could be read, or cannot for another reason."""
        if self.policy is not IdentityPolicy.ASK or not author.is_user:
            return
        for address in (author, await addresses.alternate(step, author)):
            place = None if address is None else f"{HELD}{signal_address(address)} {id}"
            if place is not None and await step.load(RecordKind.PLACEHOLDER, place) is not None:
                step.save(RecordKind.PLACEHOLDER, place, None)

    @staticmethod
    async def _place(step: Step, author: Jid, id: str) -> str:
        return f"{HELD}{signal_address(await addresses.canonical(step, author))} {id}"

    async def trust(self, device: Jid, new: bytes | None = None) -> int:
        """Somebody has decided to take a device's new key: read what was held because of it.

        Args:
            device: whose.
            new: the key, 32 bytes; None takes the one that the held messages come with.
        Returns:
            how many messages are read now; each becomes an event as if it had just come.
        """
        client = self._client
        device = await addresses.canonical(client.store, device)
        key = signal_address(device)
        held = await self._held(device)
        async with client.hold([device]), client.pipeline.step() as step:
            await self._changed(step, device, key, new)
            step.transition("identity", "held", "trusted", device=device.device)
        for node in sorted(map(decode_node, held), key=lambda node: get_int(node, "t") or 0):
            # What can still not be read is held again; what can be is released in the unit of work that tells it.
            await client.receiver.on_message(NodeReceived(node, 0), self._say)
        return len(held)

    async def _held(self, device: Jid) -> list[bytes]:
        """The stanzas that wait for a decision about this device, under either of its addresses."""
        store, found = self._client.store, list[bytes]()
        for address in (device, await addresses.alternate(store, device)):
            if address is not None:
                place = f"{HELD}{signal_address(address)} "
                found += (await store.load_prefix(RecordKind.PLACEHOLDER, place)).values()
        return found

    async def _say(self, node: Node, parent: int | None) -> None:
        """Write what a held message is answered with, if there is a connection. Raises Disconnected."""
        await self._client.supervisor.live().send(node, parent)

    # --- the server's notice ------------------------------------------------------------------------------------------

    async def on_notification(self, event: NodeReceived) -> IdentityChangeOutcome:
        """Take a notification of type encrypt that tells of a changed identity."""
        outcome = await handle_identity_change(event.node, self)
        await self._apply(outcome, event.trace)
        return outcome

    async def after_drain(self) -> None:
        """The offline queue is empty: refresh the sessions with those who changed while we were away."""
        client = self._client
        jids = await self._remembered()
        if not jids:
            return
        for outcome in await refresh_remembered(jids, self):
            await self._apply(outcome, None)
        async with client.pipeline.step() as step:
            self._remember(step, [jid for jid in await self._remembered(step) if jid not in jids])

    async def _remembered(self, reader: addresses.Reader | None = None) -> list[Jid]:
        record = await (reader or self._client.store).load(RecordKind.SETTING, _REMEMBERED)
        return [] if record is None else [Jid.parse(text) for text in json.loads(record)]

    @staticmethod
    def _remember(step: Step, jids: Iterable[Jid]) -> None:
        """Write the list that was read in this step. Nothing may be awaited in between, for it has no lock."""
        listed = [str(jid) for jid in dict.fromkeys(jids)][:_MOST_REMEMBERED]
        step.save(RecordKind.SETTING, _REMEMBERED, json.dumps(listed).encode() if listed else None)

    async def _apply(self, outcome: IdentityChangeOutcome, trace: int | None) -> None:
        client, jid = self._client, outcome.jid
        if jid is None:
            return
        async with client.hold([jid]), client.pipeline.step(parent=trace) as step:
            step.transition("identity_change", "notified", outcome.code.value, device=jid.device)
            names = await addresses.known_as(step, [jid])
            for action in outcome.actions:
                match action:
                    case IdentityAction.ARCHIVE_SESSION:
                        await client.sessions.archive(step, jid)
                    case IdentityAction.FORGET_DEVICE_LIST:
                        for name in names:
                            client.devices.forget(name)
                    case IdentityAction.FORGET_SENDER_KEY_DELIVERY:
                        await client.groups.mark_stale(step, [name.with_device(jid.device) for name in names])
                    case IdentityAction.REFRESH_AFTER_DRAIN:
                        self._remember(step, [*await self._remembered(step), jid])
                    case IdentityAction.TELL:
                        self._tell(step, jid, "", "", outcome.code.value)
                    case _:
                        pass  # privacy tokens are issued again in before_refresh; the others are of keys that come

    # --- IdentityContext ----------------------------------------------------------------------------------------------

    def now(self) -> float:
        return self._client.clock.now()

    def is_me(self, jid: Jid) -> bool:
        return self._client.is_me(jid)

    async def has_session(self, jid: Jid) -> bool:
        return not await self._client.sessions.missing([jid])

    def before_refresh(self, jid: Jid) -> None:
        """A refresh begins: give our privacy token again, beside it."""
        self._client.background(self._client.privacy.give_again(jid))

    async def refresh(self, jid: Jid) -> None:
        """Open a new session from a fresh bundle. Raises WatonError."""
        client = self._client
        bundles = await client.sessions.bundles_for([jid], all_of_them=True)
        bundle = bundles.found.get(jid)
        if bundle is None:
            raise IqError(404, bundles.refused.get(jid, "no bundle"))
        async with client.hold([jid]), client.pipeline.step() as step:
            key = signal_address(await addresses.canonical(step, jid))
            record = await step.load(RecordKind.SESSION, key)
            opened = await client.sessions.open(step, jid, key, record, bundle, bundles.vouched.get(jid))
            step.save(RecordKind.SESSION, key, opened)
