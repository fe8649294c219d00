"""The harness can fail: waton with things wrong, each caught by name, in the domain it belongs to.

Those of one scenario that do not get into each other's way are wrong in the same play. What makes us as bad as Baileys
is caught by the explanation of the difference, which is not needed any more.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.peers.parity.plays import Plays
from tests.support.mutation import mutated_together
from waton.parity.evidence import Domain, Evidence, Outcome, Row
from waton.parity.known import Differences, known_differences
from waton.parity.scenarios import scenarios
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
    stale: str = ""
    """In place of a row that gets worse: a line of the table, about this scenario alone, that is needed no more."""
    play: int = 1
    """Which play of the scenario: two that get into each other's way have different ones."""


MUTATIONS = [
    Mutation(
        "another mode in the question for devices",
        STANZA + "usync",
        '"mode": mode,\n        "sid": sid',
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
        "for receipt in self._receipts(decoded, event):",
        "for receipt in []:",
        "receive-text",
        Domain.MESSAGES_RECV,
        "first text/receipt delivery <id of 'hello'>",
        play=2,
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
        "waton.client.account",
        'await client.query("passive", iq.IqType.SET, [Node("active")])',
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
        "push_name=stanza.notify,\n        verified_name",
        "verified_name",
        "receive-text",
        Domain.MESSAGES_RECV,
        "second text/messages.upsert <id of 'hello again'>",
        "pushName",
    ),
    Mutation(
        "announces itself before it says its session",
        "waton.client.account",
        "if is_online:\n            await self._say_session()\n        type",
        "type",
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
        "ReceiptType.SENDER, recipient=stanza.recipient",
        "ReceiptType.READ_SELF, recipient=stanza.recipient",
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
        'outgoing.sealed.opens else b""',
        'False else b""',
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
        "if any(isinstance(action, KeepHistory) for action in decoded.outcome.actions):",
        "if False:",
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
        "pings in other words",
        "waton.client.keepalive",
        'iq.request(self._next_id(), iq.IqType.GET, "w:p", [Node("ping")])',
        'iq.request(self._next_id(), iq.IqType.GET, "w:p", [Node("pong")])',
        "keepalive",
        Domain.NOISE,
        "quiet/iq get w:p ping",
    ),
    Mutation(
        "a read receipt without its time",
        "waton.client.read_receipts",
        "t = int(now) if type in _TIMED else None",
        "t = None",
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
        "for id in range(first, first + count):",
        "for id in range(first, first + 2 * count, 2):",
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
    Mutation(
        "a sender key that those who have left know",
        "waton.client.groups",
        'return "somebody left" if not holders.devices <= set(devices) else ""',
        'return ""',
        "group-member-leaves",
        Domain.GROUP_SIGNAL,
        "",
        stale="group-member-leaves/next text/message text *#message/enc/by@key",
    ),
    Mutation(
        "a sender key is told to those who have it",
        "waton.client.groups",
        "holders = replace(key.holders, devices=key.holders.devices | told, again=key.holders.again - told)",
        "holders = key.holders",
        "send-text-to-lid-group",
        Domain.GROUP_SIGNAL,
        "second text/message text to GROUP-1@g.us 'second'",
        "participants/to[200000000001002@lid]",
    ),
    Mutation(
        "no addressing mode",
        "waton.client.messages",
        "addressing_mode=metadata.addressing_mode,",
        "addressing_mode=None,",
        "send-text-to-lid-group",
        Domain.GROUP_SIGNAL,
        "first text/message text to GROUP-1@g.us 'first'",
        "message@addressing_mode",
    ),
    Mutation(
        "a hash of other devices",
        "waton.client.messages",
        "return participant_hash(self.devices)",
        "return participant_hash(self.devices[:1])",
        "send-text-to-pn-group",
        Domain.USYNC,
        "second text/iq get usync usync",
    ),
    Mutation(
        "every request is the first",
        STANZA + "retry",
        '"count": str(self.count),\n            "id"',
        '"count": "1",\n            "id"',
        "ask-for-a-message-again",
        Domain.RETRY_MANAGER,
        "nonsense 2/receipt retry <id of nonsense>",
        "retry@count",
    ),
    Mutation(
        "no keys with the second request",
        "waton.client.retry_manager",
        "include_keys=count >= KEYS_FROM or rule.keys_at_once",
        "include_keys=rule.keys_at_once",
        "ask-for-a-message-again",
        Domain.RETRY_MANAGER,
        "nonsense 2/receipt retry <id of nonsense>",
        "receipt/keys/identity",
    ),
    Mutation(
        "what is sent again does not say which request it answers",
        "waton.client.retries",
        "count=resending.count,",
        "count=None,",
        "send-a-message-again",
        Domain.RETRY_MANAGER,
        "a companion asks/message text again 1 to 200000000001002:1@lid 'and me'",
        "enc@count",
    ),
    Mutation(
        "a changed identity is taken before it is authenticated",
        "waton.protocol.signal_repo",
        "    keys = keys or PreKeyLookup(None, None)\n",
        "    keys = keys or PreKeyLookup(None, None)\n    if trusted_identity not in (None, named.identity_key):\n"
        "        raise UntrustedIdentity(sender, trusted_identity, named.identity_key)\n",
        "identity-change-forged",
        Domain.IDENTITY_CHANGE,
        "forged/identity.changed",
    ),
    Mutation(
        "a privacy token is not shown",
        "waton.client.privacy",
        "        lid = await addresses.canonical(step, to)\n        return privacy_tokens.message_token(",
        "        return None\n        lid = await addresses.canonical(step, to)\n"
        "        return privacy_tokens.message_token(",
        "negative-acks",
        Domain.MESSAGES_SEND,
        "no stranger any more/message text to 200000000001002@lid 'thank you'",
    ),
    Mutation(
        "somebody is always looking",
        "waton.client.messages_recv",
        "ReceiptType.DELIVERED if self._client.account.is_online else ReceiptType.INACTIVE",
        "ReceiptType.DELIVERED",
        "inactive-receipts",
        Domain.MESSAGES_RECV,
        "a text/receipt inactive",
        "receipt@type",
    ),
    Mutation(
        "whatever the server names is a device of a contact's",
        "waton.client.device_list",
        "counting = tuple(entry for entry in result.devices if _counts(entry, indexes))",
        "counting = result.devices",
        "device-list-by-key-index",
        Domain.MESSAGES_SEND,
        "",
        stale="device-list-by-key-index/text/",
    ),
    Mutation(
        "a bundle is asked for without the reason",
        "waton.client.sessions",
        "reason = _IDENTITY if all_of_them else None",
        "reason = None",
        "identity-change-notified",
        Domain.MESSAGES_SEND,
        "told/iq get encrypt key",
        "@reason",
    ),
    Mutation(
        "a session with a new phone is put aside because of its first device list",
        "waton.client.people",
        "change.is_reregistered and change.verdict is not Verdict.VERIFIED",
        "change.is_reregistered",
        "identity-change-notified",
        Domain.MESSAGES_SEND,
        "to the new phone/iq get encrypt key",
    ),
    Mutation(
        "the phone is not woken for what it is asked",
        "waton.client.messages",
        "push_priority=PEER_PRIORITY,",
        'push_priority="high",',
        "message-from-the-phone-again",
        Domain.RETRY_MANAGER,
        "on the phone only/message peer",
        "message@push_priority",
    ),
]


def worse(rows: list[Row], mutation: Mutation) -> list[Row]:
    """The rows that say so."""
    return [
        row
        for row in rows
        if mutation.row in row.key
        and row.outcome in (Outcome.DIFFERS, Outcome.MISSING)
        and (not mutation.field or any(mutation.field in path for path in differing(row)))
    ]


def differing(row: Row) -> list[str]:
    """The places in it that nobody has explained."""
    return [field.path for field in row.fields if field.outcome is Outcome.DIFFERS]


@dataclass(frozen=True)
class Spoilt:
    """What came of a play with some things wrong."""

    rows: list[Row]
    known: Differences


class Spoiler:
    """Plays each scenario with its mutations, once, when it is asked for."""

    def __init__(self, plays: Plays) -> None:
        self._plays = plays
        self._done: dict[tuple[str, int], Spoilt] = {}

    def play(self, mutation: Mutation) -> Spoilt:
        """The play in which this is wrong."""
        key = mutation.scenario, mutation.play
        if key not in self._done:
            self._done[key] = play([one for one in MUTATIONS if (one.scenario, one.play) == key], self._plays)
        return self._done[key]


@pytest.fixture(scope="module")
def spoiler(plays: Plays) -> Spoiler:
    return Spoiler(plays)


def play(mutations: list[Mutation], plays: Plays) -> Spoilt:
    """A scenario with these things wrong."""
    modules: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for mutation in mutations:
        modules[mutation.module].append((mutation.old, mutation.new))
    scenario, known = SCENARIOS[mutations[0].scenario], known_differences()
    with ExitStack() as wrong:
        for module, changes in modules.items():
            wrong.enter_context(mutated_together(module, changes))
        ours = asyncio.run(play_waton(scenario))
    rows = [known.explain(row) for row in compare_recordings(scenario, ours, plays.theirs[scenario.name])]
    return Spoilt(rows, known)


def unneeded(known: Differences, mutation: Mutation) -> list[str]:
    """The lines about its scenario that nothing has needed, of those that it names."""
    return [line.where for line in known.stale(Evidence.WIRE) if mutation.stale in line.where]


def test_there_are_enough() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 35
    assert len({mutation.domain for mutation in MUTATIONS}) >= 11


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_it_is_caught(mutation: Mutation, spoiler: Spoiler, plays: Plays) -> None:
    play = spoiler.play(mutation)
    if mutation.stale:
        assert mutation.scenario in mutation.stale
        assert unneeded(play.known, mutation)
        assert not unneeded(sound(mutation.scenario, plays), mutation)
        return
    found = worse(play.rows, mutation)
    assert found, [(row.key, differing(row)) for row in play.rows if row.outcome is Outcome.DIFFERS]
    assert {row.domain for row in found} == {mutation.domain}


def sound(scenario: str, plays: Plays) -> Differences:
    """The table of differences, after it has explained this scenario as it is."""
    known = known_differences()
    for row in compare_recordings(SCENARIOS[scenario], plays.ours[scenario], plays.theirs[scenario]):
        known.explain(row)
    return known
