"""Keys: what this device publishes, kept in order: enough prekeys on the server, the right ones, a young signed one.

waton.client.prekeys decides and makes; here the server is asked in between. Every change of the credentials happens
under the account's lock and in a unit of work of its own, so no id is given out twice, whatever else goes on.

Source: Baileys Socket/socket.ts (count, upload, digest at login), whatsapp-rust src/prekeys.rs (repair).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waton.client import prekeys
from waton.client.prekeys import DigestVerdict, RotationDecision, Stock
from waton.errors import IqError
from waton.protocol.binary_node import Node
from waton.protocol.stanza import iq
from waton.protocol.stanza.encrypt import Bundle, Digest, SignedPrekey

if TYPE_CHECKING:
    from waton.client.client import Client

_NOTHING_THERE = 404


class Keys:
    """The published keys of one client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def stock(self, server_count: int, trace: int | None = None) -> None:
        """Upload prekeys when the server has few left. Raises IqError, QueryTimeout, Disconnected."""
        client = self._client
        async with client.account.changing(trace) as step:
            pending = await prekeys.load_pending(step, client.credentials)
            stock = prekeys.stock(step, client.credentials, server_count, pending, client.entropy)
            client.account.keep(step, stock.credentials)
        if stock.content is not None:
            await self._upload(stock, trace)

    async def upload(self, count: int = prekeys.REFILL) -> None:
        """Upload so many fresh prekeys now, whatever the server has.

        Raises:
            PrekeyIdsExhausted: there are not so many ids left.
            IqError, QueryTimeout, Disconnected: the network; they stay pending, and go out when the server runs low.
        """
        client = self._client
        async with client.account.changing() as step:
            stock = Stock(*prekeys.make(step, client.credentials, count, client.entropy))
            client.account.keep(step, stock.credentials)
        await self._upload(stock, None)

    async def _upload(self, stock: Stock, trace: int | None) -> None:
        client = self._client
        await client.query("encrypt", iq.IqType.SET, stock.content)
        async with client.account.changing(trace) as step:
            client.account.keep(step, prekeys.uploaded(step, client.credentials))

    async def own_bundle(self) -> Bundle:
        """Our own keys for one fresh session, with a one-time prekey that nobody else gets."""
        client = self._client
        async with client.account.changing() as step:
            mine, once = prekeys.make_one(step, client.credentials, client.entropy, client.clock.now())
            client.account.keep(step, mine)
        signed = SignedPrekey(mine.signed_prekey_id, mine.signed_prekey.public, mine.signed_prekey_signature)
        return Bundle(mine.registration_id, mine.identity_key.public, signed, once, mine.account)

    # --- once a login -------------------------------------------------------------------------------------------------

    async def look_after(self) -> None:
        """Compare what the server holds of ours with what we hold, put it right, and replace a signed prekey in time.

        Raises:
            QueryTimeout, Disconnected: the network; the next login looks again.
        """
        digest = await self._digest()
        await self._repair(digest)
        await self._rotate()

    async def _digest(self) -> Digest | None:
        """What the server holds; None when that is nothing. Raises IqError for any other refusal."""
        try:
            return Digest.from_answer(await self._client.query("encrypt", iq.IqType.GET, [Node("digest")]))
        except IqError as error:
            if error.code == _NOTHING_THERE:
                return None
            raise

    async def _repair(self, digest: Digest | None) -> None:
        client, now = self._client, self._client.clock.now()
        stock = None
        async with client.account.changing() as step:
            verdict = await prekeys.check_digest(step, client.credentials, digest)
            if verdict is DigestVerdict.ROTATED and digest is not None:
                rotation = await prekeys.adopt_rotation(step, digest)
                if rotation is not None:
                    client.account.keep(step, prekeys.finish_rotation(step, client.credentials, rotation, now))
            else:
                stock = prekeys.repair(step, client.credentials, verdict, digest, client.entropy, now)
                if stock is not None:
                    client.account.keep(step, stock.credentials)
        if stock is not None:
            await self._upload(stock, None)

    async def _rotate(self) -> None:
        client, now = self._client, self._client.clock.now()
        match prekeys.decide_rotation(client.credentials, now, client.config.rotate_every):
            case RotationDecision.NOTE_TIME:
                async with client.account.changing() as step:
                    client.account.keep(step, prekeys.note_time(step, client.credentials, now))
            case RotationDecision.ROTATE:
                await self.rotate()
            case RotationDecision.KEEP:
                pass

    async def rotate(self) -> None:
        """Replace the signed prekey now. Raises IqError: the server does not take it; QueryTimeout, Disconnected."""
        client = self._client
        async with client.account.changing() as step:
            rotation = await prekeys.begin_rotation(step, client.credentials, client.entropy)
        try:
            await client.query("encrypt", iq.IqType.SET, rotation.content)
        except IqError as error:
            async with client.account.changing() as step:
                prekeys.fail_rotation(step, rotation, error.code)
            raise
        async with client.account.changing() as step:
            updated = prekeys.finish_rotation(step, client.credentials, rotation, client.clock.now())
            client.account.keep(step, updated)
