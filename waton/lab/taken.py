"""Which messages the service has taken from each device, so that one that is sent again is taken once.

A client that does not see the server's ack must send the message again with the same id; the second one is acknowledged
like the first and goes nowhere. What makes two stanzas the same message: device, id, and whom they are for: `to`,
`participant` and the count of a retry, because an answer to a retry receipt has the id of the message it repeats. And
a device that was asked for a message by a retry receipt may send that id again in any form (Baileys repeats a group
message to everybody when a phone asks); but what is byte for byte the same is no answer, it is the message once more.

What must stay true: an id is kept in the step that queues the message. So it survives what the message survives.
Bounded: the newest KEPT of the lab; a client that repeats an older one is believed to have written a new message.

Guess: the service tells a resend from a retry in some such way, since it delivers both kinds rightly; whether it goes
by the same attributes only a capture of its behaviour could settle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import cast

from waton.lab.database import Database
from waton.lab.world import Device
from waton.protocol.binary_node import Node, encode_node, get_jid, get_text, require_text

KEPT = 10_000
"""Ids remembered, of all devices together."""


class Taken:
    """The table of ids."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def when(self, device: Device, node: Node) -> int | None:
        """When this message was taken from this device (Unix seconds, as its ack says); None: it is new."""
        row = self._database.row(
            "SELECT t FROM taken WHERE account = ? AND number = ? AND id = ? AND (target = ? OR stanza = ?)",
            *device.key,
            require_text(node, "id"),
            _target(node),
            _digest(node),
        )
        return None if row is None else cast(int, row[0])

    def keep(self, device: Device, node: Node, t: int) -> None:
        """A message was taken. Call it in the step that queues it."""
        seq = self._database.insert(
            "INSERT INTO taken (account, number, id, target, stanza, t) VALUES (?, ?, ?, ?, ?, ?)",
            *device.key,
            require_text(node, "id"),
            _target(node),
            _digest(node),
            t,
        )
        self._database.write("DELETE FROM taken WHERE seq <= ?", seq - KEPT)

    def reopen(self, device: Device, ids: Iterable[str]) -> None:
        """Somebody asks this device for these messages again: the next other stanza with such an id is a new one."""
        question = "UPDATE taken SET target = 'asked for ' || seq WHERE account = ? AND number = ? AND id = ?"
        for id in ids:
            self._database.write(question, *device.key, id)


def _digest(node: Node) -> bytes:
    return hashlib.sha256(encode_node(node)).digest()


def _target(node: Node) -> str:
    """Whom a message is for, and which answer to a retry it is."""
    encs = [*node.children("enc")]
    participants = node.child("participants")
    for to in () if participants is None else participants.children("to"):
        encs += to.children("enc")
    count = max((get_text(enc, "count") or "" for enc in encs), default="")
    return f"{get_jid(node, 'to')} {get_jid(node, 'participant') or ''} {count}"
