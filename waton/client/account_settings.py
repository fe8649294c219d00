"""The settings of our account, as far as this client acts on them: who is blocked, and who may see that we read.

Asked once a login and told anew by notifications; kept in memory only, for the server always knows better.

Source: Baileys Socket/chats.ts fetchBlocklist and fetchPrivacySettings, messages-send.ts readMessages; whatsmeow
privacysettings.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from waton.client.events import BlocklistAction, BlocklistUpdate
from waton.jid import Jid
from waton.protocol.binary_node import Node, get_jid, get_text, require_child
from waton.protocol.stanza import iq

if TYPE_CHECKING:
    from waton.client.client import Client

_ALL = "all"
"""Everybody may see it."""


class AccountSettings:
    """The settings of one account."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._privacy: Mapping[str, str] | None = None
        self.blocked: frozenset[Jid] = frozenset()
        """Whom the owner has blocked, by the addresses of the server's list; empty until it has told."""

    # --- people who are blocked ---------------------------------------------------------------------------------------

    async def ask_blocklist(self) -> None:
        """Ask who is blocked. Raises IqError, QueryTimeout, Disconnected."""
        answer = await self._client.query("blocklist", iq.IqType.GET, None)
        listed = answer.child("list")
        items = () if listed is None else listed.children("item")
        self.blocked = frozenset(jid.bare for item in items if (jid := get_jid(item, "jid")) is not None)

    def follow(self, update: BlocklistUpdate) -> None:
        """Somebody was blocked, or let go, on another of our devices."""
        people = {jid.bare for jid in update.people}
        is_more = update.action is BlocklistAction.ADD
        self.blocked = self.blocked | people if is_more else self.blocked - people

    # --- who may see what ---------------------------------------------------------------------------------------------

    async def ask_privacy(self) -> Mapping[str, str]:
        """Ask who may see what: a value ("all", "contacts", "none" ...) for each name. Raises as a query does."""
        answer = await self._client.query("privacy", iq.IqType.GET, [Node("privacy")])
        named = ((get_text(one, "name"), get_text(one, "value")) for one in require_child(answer, "privacy").children())
        self._privacy = {name: value for name, value in named if name is not None and value is not None}
        return self._privacy

    def forget_privacy(self) -> None:
        """They have changed; they are asked for when they are needed."""
        self._privacy = None

    async def tells_reading(self) -> bool:
        """Whether others may know that we have read their messages. Raises as a query does, when it has to ask."""
        known = self._privacy if self._privacy is not None else await self.ask_privacy()
        return known.get("readreceipts") == _ALL
