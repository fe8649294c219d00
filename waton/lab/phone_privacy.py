"""A phone's privacy tokens: it keeps what it is given, shows it with messages, and gives its own when it is restricted.

A phone that is not restricted gives no tokens by itself: nobody in the lab would miss them, and every first message
would come with one more notification. It shows no client tokens either, so that a stranger's phone stays a stranger.

Source: whatsmeow tctoken.go and send.go (what a client does after sending).
"""

from __future__ import annotations

import json

from waton.errors import RemoteProtocolError
from waton.jid import Jid
from waton.lab import privacy
from waton.lab.phone_signal import PhoneRecords
from waton.lab.world import Account, World
from waton.ports import RecordKind
from waton.protocol.binary_node import Node, get_text
from waton.protocol.stanza import iq
from waton.protocol.stanza.privacy import NOTIFICATION, TC_TOKEN, XMLNS, Buckets, TokenNotification, trust

_GIVEN = "privacy_given"


class PhonePrivacy:
    """The tokens of one phone. Everything here must run within a step of the database."""

    def __init__(self, world: World, account: Account, records: PhoneRecords) -> None:
        self._world = world
        self._account = account
        self._records = records

    def take(self, notification: Node) -> None:
        """Keep what a notification brings, if it brings a token."""
        if get_text(notification, "type") != NOTIFICATION:
            return
        try:
            told = TokenNotification.from_node(notification)
        except RemoteProtocolError:
            return
        giver = self._world.find(told.owner)
        if giver is not None and told.tokens:
            newest = max(told.tokens, key=lambda token: token.t)
            record = json.dumps({"token": newest.token.hex(), "t": newest.t}).encode()
            self._records.save(RecordKind.PRIVACY_TOKEN, str(giver.lid), record)

    def shown_to(self, recipient: Account | None) -> tuple[Node, ...]:
        """The child for a message to a person."""
        record = None if recipient is None else self._records.load(RecordKind.PRIVACY_TOKEN, str(recipient.lid))
        if record is None:
            return ()
        kept = json.loads(record)
        if Buckets().is_expired(kept["t"], self._world.clock.now()):
            return ()
        return (Node(TC_TOKEN, None, bytes.fromhex(kept["token"])),)

    def giving_to(self, recipient: Account | None) -> Node | None:
        """The iq that gives ours after a message to a person, when it is due."""
        if recipient is None or recipient.id == self._account.id:
            return None
        if not privacy.is_restricted(self._world, self._account):
            return None
        now, place = self._world.t(), str(recipient.lid)
        last = self._records.load(_GIVEN, place)
        if last is not None and Buckets().index(int(last)) >= Buckets().index(now):
            return None
        self._records.save(_GIVEN, place, str(now).encode())
        return self.giving(recipient.lid)

    def giving(self, contact: Jid) -> Node:
        """The iq that gives ours."""
        return iq.request(self._world.fresh_id(), iq.IqType.SET, XMLNS, trust([contact], self._world.t()))
