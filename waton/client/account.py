"""Account: this device's credentials, how it gets them (pairing), and what it says when it logs in.

Credentials are a value in memory and a record on disk, changed together in a unit of work. What a login asks and in
which order is Baileys': prekey count, prekeys, passive active; then the session is open.

Source: Baileys Socket/socket.ts (order of the start-up queries).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from waton.client import pairing
from waton.client.event_pipeline import Step
from waton.client.events import ConnectionStatus, CredentialsUpdate, OnlineUpdate
from waton.errors import LocalProtocolError, PairingError
from waton.jid import signal_address
from waton.ports import RecordKind
from waton.protocol.binary_node import Node, get_jid
from waton.protocol.credentials import Credentials
from waton.protocol.stanza import iq, stream
from waton.protocol.stanza.encrypt import prekey_count
from waton.protocol.stanza.pairing import PairSuccess

if TYPE_CHECKING:
    from waton.client.client import Client

_ACCOUNT_KINDS = tuple(kind for kind in RecordKind if kind is not RecordKind.SETTING)


class Account:
    """Who one client is."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._credentials: Credentials | None = None
        self._rotation: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self.is_online = False
        """We have said on this connection that somebody is looking."""
        self.code = pairing.CodePairing(client)
        """The pairing code on show, if any."""

    # --- credentials --------------------------------------------------------------------------------------------------

    @property
    def known(self) -> Credentials | None:
        """The credentials; None before load()."""
        return self._credentials

    @property
    def credentials(self) -> Credentials:
        """Raises LocalProtocolError before load()."""
        if self._credentials is None:
            raise LocalProtocolError("the client is not started")
        return self._credentials

    async def load(self) -> None:
        """Read the stored credentials, or make and store new ones. Raises StorageError."""
        stored = await self._client.store.load(RecordKind.CREDENTIALS, "self")
        if stored is None:
            await self._make()
        else:
            self._credentials = Credentials.from_json(stored)

    @asynccontextmanager
    async def changing(self, parent: int | None = None) -> AsyncGenerator[Step]:
        """A unit of work that changes the credentials: one at a time, or ids would be given out twice.

        Whoever reads them to change them does both in here; nobody's lock may be taken in here.
        """
        async with self._lock, self._client.pipeline.step(parent=parent) as step:
            yield step

    def save(self, step: Step, updated: Credentials, *what: str) -> None:
        """Put new credentials into a step, use them from now on, and tell."""
        self.keep(step, updated)
        self._client.pipeline.publish(CredentialsUpdate(what), step.parent)

    def keep(self, step: Step, updated: Credentials) -> None:
        """The same without telling: what only connections are interested in."""
        step.save(RecordKind.CREDENTIALS, "self", updated.to_json())
        self._credentials = updated

    async def _make(self) -> None:
        made = Credentials.generate(self._client.entropy.take)
        async with self._client.pipeline.step() as step:
            self._write_new(step, made)
            step.transition("account", "none", "unpaired")
        self._credentials = made

    @staticmethod
    def _write_new(step: Step, made: Credentials) -> None:
        step.save(RecordKind.CREDENTIALS, "self", made.to_json())
        step.save(RecordKind.SIGNED_PREKEY, str(made.signed_prekey_id), made.signed_prekey.private)

    async def forget(self, why: str) -> None:
        """The server no longer knows this device: drop its keys, so that the next start pairs anew.

        What was received is worked off first, while there are keys to read it with. What else is under way fails.
        """
        client = self._client
        await client.finish_received()
        made = Credentials.generate(client.entropy.take)

        async def forgotten() -> None:
            self._credentials = made
            client.outbox.clear()
            client.groups.clear()

        async with self._lock, client.pipeline.clearing() as step:
            for kind in _ACCOUNT_KINDS:
                for key in await step.unit.keys(kind):
                    step.save(kind, key, None)
            self._write_new(step, made)
            step.transition("account", "paired", "unpaired", why=why)
            step.then(forgotten)

    # --- pairing ------------------------------------------------------------------------------------------------------

    def connecting(self) -> None:
        """A new connection: what an earlier one showed is over."""
        self._rotation = None
        self.is_online = False
        self.code.reset()

    async def show_qrs(self, node: Node, trace: int) -> None:
        """Take a pair-device: show its refs one after the other."""
        await self._client.supervisor.live().send(iq.client_result(node), trace)
        self._rotation = self._client.supervisor.spawn(self._rotate(node))

    async def _rotate(self, node: Node) -> None:
        client = self._client

        def show(qr: pairing.QrShown) -> None:
            client.status.move(ConnectionStatus.QR, qr=qr.text, qr_expires_at=qr.expires_at, qr_left=qr.left)

        rotation = pairing.QrRotation(
            self.credentials, client.config.browser, client.clock, show, lambda: self.code.expires_at
        )
        await rotation.run(node)

    async def pair(self, node: Node, trace: int) -> None:
        """Take a pair-success: verify, store, answer. Raises PairingError."""
        client = self._client
        success = PairSuccess.from_node(node)
        try:
            paired = pairing.accept(self.credentials, success, client.entropy.take(64), self.code.secrets)
        except PairingError as error:
            await client.supervisor.live().send(pairing.refusal(success, error), trace)
            raise
        if self._rotation is not None:
            self._rotation.cancel()
        async with client.pipeline.step(parent=trace) as step:
            step.transition("account", "unpaired", "paired", key_index=paired.identity.key_index)
            owner = paired.credentials.lid or success.jid
            step.save(RecordKind.IDENTITY, signal_address(owner.bare), paired.identity.account_key)
            self.save(step, paired.credentials, "me", "lid", "account", "platform")
        client.supervisor.paired()
        client.status.move(ConnectionStatus.PAIRED)
        await client.supervisor.live().send(paired.reply, trace)

    # --- login --------------------------------------------------------------------------------------------------------

    async def login(self, node: Node, trace: int) -> None:
        """Take a success: say what a client says before it is open."""
        client = self._client
        await self._learn_own_lid(node, trace)
        count = await client.query("encrypt", iq.IqType.GET, [Node("count")])
        await client.keys.stock(prekey_count(count), trace)
        await client.query("passive", iq.IqType.SET, [Node("active")])
        await client.outbox.open()
        client.supervisor.spawn(client.outbox.watch())
        client.supervisor.succeeded()
        client.status.move(ConnectionStatus.OPEN)
        client.background(client.keys.look_after())
        client.background(client.privacy.ask_props())
        client.background(client.settings.ask_blocklist())
        client.background(self._ask_privacy())
        await asyncio.sleep(0)  # these ask before we say that we are there, as Baileys does; the answers can wait
        await self.announce(is_online=client.config.announces)
        await self._say_session()
        client.background(client.missed.open())
        await client.retries.open()

    async def announce(self, *, is_online: bool) -> None:
        """Say whether somebody is looking, if there is a name to say it under. Raises Disconnected."""
        client, name = self._client, self.credentials.push_name or self._client.config.push_name
        if not name:
            return
        self.is_online = is_online
        client.pipeline.publish(OnlineUpdate(is_online))
        if is_online:
            await self._say_session()
        type = "available" if is_online else "unavailable"
        await client.send_node(Node("presence", {"name": name.replace("@", ""), "type": type}))

    async def _ask_privacy(self) -> None:
        await self._client.settings.ask_privacy()

    async def _say_session(self) -> None:
        servers_time = self._client.clock.now() + self._client.supervisor.skew
        await self._client.send_node(stream.unified_session(int(servers_time * 1000)))

    async def _learn_own_lid(self, node: Node, trace: int) -> None:
        lid, me = get_jid(node, "lid"), self.credentials.me
        if lid is None or me is None:
            return
        if lid != self.credentials.lid:
            async with self.changing(trace) as step:
                self.save(step, self.credentials.evolve(lid=lid), "lid")
        await self._client.people.learn_all([(me, lid)], source="success")

    async def keep_routing(self, node: Node, trace: int) -> None:
        """Take an edge_routing: said in the next connection's intro."""
        info = node.child("routing_info")
        if info is not None and isinstance(info.content, bytes):
            async with self.changing(trace) as step:
                self.save(step, self.credentials.evolve(routing_info=info.content), "routing_info")
