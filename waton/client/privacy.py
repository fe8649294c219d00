"""Privacy tokens, the acting part: shown with messages, given to whom we write, kept when somebody gives us theirs.

What the server wants of clients (A/B props) is asked once a login and kept over restarts, with its hash, so that an
answer of "nothing new" loses nothing. waton.client.privacy_tokens decides.

Source: Baileys Socket/messages-send.ts and Utils/tc-token-utils.ts, whatsmeow tctoken.go.
"""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError as ProtobufError

from waton.client import addresses, privacy_tokens
from waton.client.event_pipeline import Step
from waton.client.privacy_tokens import Switches
from waton.errors import Disconnected, IqError, QueryTimeout
from waton.jid import Jid
from waton.ports import RecordKind
from waton.protocol import message as content
from waton.protocol import proto
from waton.protocol.binary_node import Node, get_text, require_child
from waton.protocol.connection import NodeReceived
from waton.protocol.stanza import iq
from waton.protocol.stanza.privacy import XMLNS, TokenNotification, trust
from waton.protocol.stanza.props import XMLNS as PROPS
from waton.protocol.stanza.props import props_query, read_props

if TYPE_CHECKING:
    from waton.client.client import Client

_MOST_HISTORY = 32 << 20
"""Bytes of an inline history; more is cut, and then does not parse."""
_PROPS = "props"
"""Name of the setting that holds the server's switches and their hash."""


class Privacy:
    """The privacy tokens of one client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._giving: set[Jid] = set()
        self.switches = Switches()
        """What the server wants; the defaults until it has said."""
        self._hash = ""
        """Of the props we have, in the server's words."""

    # --- what the server wants ----------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read the switches of an earlier run."""
        record = await self._client.store.load(RecordKind.SETTING, _PROPS)
        if record is not None:
            kept = json.loads(record)
            self.switches, self._hash = Switches.of(kept["props"]), kept["hash"]

    async def ask_props(self) -> None:
        """Ask for the switches. Raises IqError, QueryTimeout, Disconnected."""
        client = self._client
        answer = await client.query(PROPS, iq.IqType.GET, props_query(self._hash))
        hash = get_text(require_child(answer, "props"), "hash") or ""
        if hash and hash == self._hash:
            return
        props = read_props(answer)
        async with client.pipeline.step() as step:
            step.save(RecordKind.SETTING, _PROPS, json.dumps({"hash": hash, "props": props}).encode())
        self.switches, self._hash = Switches.of(props), hash

    # --- showing and giving -------------------------------------------------------------------------------------------

    async def node_for(self, step: Step, to: Jid) -> Node | None:
        """The child that a message to this person carries, None for none."""
        client = self._client
        if not privacy_tokens.goes_along(to, is_me=client.is_me(to)):
            return None
        known = await privacy_tokens.load(step, to)
        lid = await addresses.canonical(step, to)
        return privacy_tokens.message_token(
            known,
            lid=lid if lid.is_lid else None,
            salt=client.credentials.nct_salt,
            switches=self.switches,
            now=client.clock.now(),
        )

    async def sent(self, to: Jid, message: proto.Message) -> None:
        """A message went out: give this person our token, once in each bucket of time."""
        client = self._client
        is_protocol = content.kind_of(message) == "protocolMessage"
        if is_protocol or not privacy_tokens.goes_along(to, is_me=client.is_me(to)):
            return
        known = await privacy_tokens.load(client.store, to)
        now = client.clock.now()
        if privacy_tokens.should_give(known, self.switches, now):
            await self._give(to, int(now))

    async def give_again(self, contact: Jid) -> None:
        """Their identity changed, and with it what they know of us: give ours again, with its old time."""
        client = self._client
        known = await privacy_tokens.load(client.store, contact)
        t = privacy_tokens.give_again_t(known, self.switches, client.clock.now())
        if t is not None and privacy_tokens.is_contact(contact):
            await self._give(contact, t)

    async def _give(self, contact: Jid, t: int) -> None:
        client, person = self._client, contact.bare
        if person in self._giving:
            return
        self._giving.add(person)
        try:
            named = await privacy_tokens.give_to(client.store, person, self.switches)
            with suppress(IqError, QueryTimeout, Disconnected):  # the next message tries again
                await client.query(XMLNS, iq.IqType.SET, trust([named], t))
                async with client.hold([person]), client.pipeline.step() as step:
                    known = await privacy_tokens.load(step, person)
                    await privacy_tokens.save(step, person, privacy_tokens.given(known, t), self.switches)
        finally:
            self._giving.discard(person)

    # --- the salt -----------------------------------------------------------------------------------------------------

    async def take_salt(self, chunk: proto.Message.HistorySyncNotification) -> None:
        """The first history may bring our account's salt, from which tokens of our own are made."""
        salt = _salt_in(chunk.initialHistBootstrapInlinePayload)
        if not salt or salt == self._client.credentials.nct_salt:
            return
        account = self._client.account
        async with account.changing() as step:
            account.save(step, account.credentials.evolve(nct_salt=salt), "nct_salt")

    # --- getting ------------------------------------------------------------------------------------------------------

    async def on_notification(self, event: NodeReceived) -> None:
        """Somebody gives us theirs. Raises RemoteProtocolError: it is not what it should be."""
        told = TokenNotification.from_node(event.node)
        async with self._client.hold([told.owner]), self._client.pipeline.step(parent=event.trace) as step:
            await privacy_tokens.take_notification(step, told, self.switches)


def _salt_in(payload: bytes) -> bytes:
    """The nctSalt of an inline history, zlib of HistorySync; empty when there is none or it does not parse."""
    try:
        unpacked = zlib.decompressobj().decompress(payload, _MOST_HISTORY) if payload else b""
        return proto.HistorySync.FromString(unpacked).nctSalt
    except (zlib.error, ProtobufError):
        return b""
