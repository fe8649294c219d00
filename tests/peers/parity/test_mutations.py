"""The harness can fail: waton with one thing wrong at a time, each caught by name, in the domain it belongs to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from tests.support.mutation import mutated
from waton.parity.evidence import Domain, Outcome, Row
from waton.parity.known import known_differences
from waton.parity.scenarios import scenarios
from waton.parity.stage import Recording
from waton.parity.wire import compare_recordings, play_waton

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

SCENARIOS = {scenario.name: scenario for scenario in scenarios()}
STANZA = "waton.protocol.stanza."


@dataclass(frozen=True)
class Mutation:
    """One thing wrong, and where it has to show."""

    name: str
    module: str
    old: str
    new: str
    scenario: str
    domain: Domain
    row: str
    """A part of the key of the row that has to get worse."""
    field: str = ""
    """A part of the path that has to differ in it."""


MUTATIONS = [
    Mutation(
        "another mode in the question for devices",
        STANZA + "usync",
        '"mode": "query",\n        "sid": sid',
        '"mode": "full",\n        "sid": sid',
        "send-text",
        Domain.USYNC,
        "first text/iq get usync",
        "usync@mode",
    ),
    Mutation(
        "version and lid swapped in the question for devices",
        STANZA + "usync",
        'Node("devices", {"version": "2"})',
        'Node("devices", {"version": "1"})',
        "send-text",
        Domain.USYNC,
        "first text/iq get usync",
        "devices@version",
    ),
    Mutation(
        "no receipt for a message",
        "waton.client.messages_recv",
        "for receipt in self._receipts(envelope, step):",
        "for receipt in []:",
        "receive-text",
        Domain.MESSAGES_RECV,
        "first text/receipt delivery <id of 'hello'>",
    ),
    Mutation(
        "a companion is dropped",
        STANZA + "usync",
        "for entry in self.devices if entry.counts]",
        "for entry in self.devices if entry.id == 0]",
        "send-text",
        Domain.MESSAGES_SEND,
        "first text/message text",
        "to[200000000001002:1@lid]",
    ),
    Mutation(
        "a start-up question is left out",
        "waton.client.client",
        'await self.query("passive", iq.IqType.SET, [Node("active")])',
        "pass",
        "login",
        Domain.MESSAGES_RECV,
        "start-up/iq set passive active",
    ),
    Mutation(
        "another rule for message ids",
        "waton.protocol.message",
        '"3EB0"',
        '"3EB1"',
        "send-text",
        Domain.MESSAGES_SEND,
        "first text/message text",
        "message@id",
    ),
    Mutation(
        "an event without the author's name",
        "waton.client.messages_recv",
        "unwrapped.message, stanza.t, upsert, stanza.notify",
        "unwrapped.message, stanza.t, upsert",
        "receive-text",
        Domain.MESSAGES_RECV,
        "first text/messages.upsert <id of 'hello'>",
        "pushName",
    ),
    Mutation(
        "announces itself before it says its session",
        "waton.client.client",
        "await self.send_node(stream.unified_session(int(self._clock.now() * 1000)))\n        if self._name:",
        'await self.send_node(Node("presence", {"name": self._name, "type": "available"}))\n'
        "        await self.send_node(stream.unified_session(int(self._clock.now() * 1000)))\n        if False:",
        "login",
        Domain.NOISE,
        "order/login/start-up",
        "place",
    ),
    Mutation(
        "a session id of another origin",
        STANZA + "stream",
        "+ 3 * 24 * 3600 * 1000",
        "+ 4 * 24 * 3600 * 1000",
        "login",
        Domain.NOISE,
        "start-up/ib unified_session",
        "unified_session@id",
    ),
    Mutation(
        "asks for ten queued stanzas at a time",
        STANZA + "stream",
        'Node("offline_batch", {"count": str(count)})',
        'Node("offline_batch", {"count": "10"})',
        "offline-drain",
        Domain.MESSAGES_RECV,
        "drain/ib offline_batch",
        "count",
    ),
    Mutation(
        "another receipt for the own phone's message",
        "waton.client.messages_recv",
        "ReceiptType.SENDER, recipient=recipient",
        "ReceiptType.READ_SELF, recipient=recipient",
        "receive-text",
        Domain.MESSAGES_RECV,
        "from the own phone/receipt sender",
        "receipt@type",
    ),
    Mutation(
        "acks of another class",
        STANZA + "receipt",
        '"to": require_jid(node, "from"),\n        "class": node.tag,',
        '"to": require_jid(node, "from"),\n        "class": "message",',
        "receipts",
        Domain.MESSAGES_RECV,
        "Ada reads/ack receipt read",
        "ack@class",
    ),
    Mutation(
        "opens a session without the phone's word for it",
        "waton.client.messages",
        "any(enc.type == signal_repo.EncType.PKMSG for _, enc in encs)",
        "False",
        "send-text",
        Domain.MESSAGES_SEND,
        "first text/message text",
        "device-identity",
    ),
    Mutation(
        "own devices get the message as others do",
        "waton.client.messages",
        "body = wrapped if client.is_me(device) else plain",
        "body = plain",
        "send-text",
        Domain.MESSAGES_SEND,
        "first text/message text",
        "deviceSentMessage",
    ),
    Mutation(
        "logs in as active",
        "waton.protocol.client_payload",
        "payload.passive = True",
        "payload.passive = False",
        "login",
        Domain.NOISE,
        "start-up/client payload login",
        "passive",
    ),
    Mutation(
        "registers as another platform",
        "waton.protocol.client_payload",
        "name = self.name.upper()",
        'name = "FIREFOX"',
        "pair",
        Domain.PAIRING,
        "register/client payload register",
        "platformType",
    ),
    Mutation(
        "no receipt for a history chunk",
        "waton.client.messages_recv",
        'machine == "history"',
        'machine == "nothing"',
        "pair",
        Domain.HISTORY,
        "first start-up/receipt hist_sync",
    ),
    Mutation(
        "the phone's keys are receipted as an ordinary message",
        "waton.client.messages_recv",
        "made = [Receipt((key.id,), stanza.sender, ReceiptType.PEER_MSG)]",
        "made = [Receipt((key.id,), stanza.sender)]",
        "pair",
        Domain.APP_STATE_SYNC,
        "receipt peer_msg <id of the phone's APP_STATE_SYNC_KEY_SHARE>",
        "receipt@type",
    ),
    Mutation(
        "pings with another namespace",
        "waton.client.keepalive",
        'iq.request(self._next_id(), iq.IqType.GET, "w:p", [Node("ping")])',
        'iq.request(self._next_id(), iq.IqType.GET, "w:p")',
        "keepalive",
        Domain.NOISE,
        "quiet/iq get w:p ping",
    ),
    Mutation(
        "a read receipt without its time",
        "waton.client.messages_recv",
        "ReceiptType.READ, participant=participant, t=now",
        "ReceiptType.READ, participant=participant",
        "receipts",
        Domain.MESSAGES_RECV,
        "the client reads/receipt read",
        "receipt@t",
    ),
    Mutation(
        "another reason for logging out",
        "waton.client.client",
        '"reason": "user_initiated"',
        '"reason": "unknown"',
        "logout",
        Domain.PAIRING,
        "logout/iq set md remove-companion-device",
        "reason",
    ),
    Mutation(
        "an unavailable service is taken for a session gone bad",
        STANZA + "stream",
        "503: DisconnectReason.UNAVAILABLE",
        "503: DisconnectReason.LOST",
        "stream-errors",
        Domain.NOISE,
        "503/connection.update close",
        "code",
    ),
    Mutation(
        "pairing is answered with another key index",
        STANZA + "pairing",
        '{"key-index": str(key_index)}',
        '{"key-index": str(key_index + 1)}',
        "pair",
        Domain.PAIRING,
        "first start-up/iq result pair-device-sign",
        "key-index",
    ),
    Mutation(
        "keys are published twice",
        "waton.client.prekeys",
        "range(credentials.next_prekey_id, credentials.next_prekey_id + count)",
        "range(1, 2 * count + 1, 2)",
        "prekey-top-up",
        Domain.PREKEYS,
        "low count/iq set encrypt registration",
        "keys@ids",
    ),
    Mutation(
        "a removed device is told as lost",
        STANZA + "stream",
        "DisconnectReason.LOGGED_OUT if removed",
        "DisconnectReason.CLOSED if removed",
        "removed",
        Domain.NOISE,
        "unlinked/connection.update close #2",
    ),
]


def worse(rows: list[Row], mutation: Mutation) -> list[Row]:
    """The rows that say so."""
    return [
        row
        for row in rows
        if mutation.row in row.key
        and row.outcome is Outcome.DIFFERS
        and (not mutation.field or any(mutation.field in path for path in differing(row)))
    ]


def differing(row: Row) -> list[str]:
    """The places in it that nobody has explained."""
    return [field.path for field in row.fields if field.outcome is Outcome.DIFFERS]


def compared(name: str, recordings: dict[str, Recording]) -> list[Row]:
    """The rows of a scenario, explained."""
    scenario, known = SCENARIOS[name], known_differences()
    ours = asyncio.run(play_waton(scenario))
    return [known.explain(row) for row in compare_recordings(scenario, ours, recordings[name])]


def test_there_are_enough() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 25
    assert len({mutation.domain for mutation in MUTATIONS}) >= 8


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_it_is_caught(mutation: Mutation, recordings: dict[str, Recording]) -> None:
    with mutated(mutation.module, mutation.old, mutation.new):
        rows = compared(mutation.scenario, recordings)
    found = worse(rows, mutation)
    assert found, [(row.key, differing(row)) for row in rows if row.outcome is Outcome.DIFFERS]
    assert {row.domain for row in found} == {mutation.domain}
