"""The function differential can fail: one function wrong at a time, caught by name, in the domain it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import pytest

from tests.requirements import require
from tests.support.mutation import mutated
from waton.parity import differential
from waton.parity.evidence import Domain, Outcome, Row
from waton.parity.oracle import Functions
from waton.protocol import binary_node
from waton.protocol.binary_node import Node

pytestmark = pytest.mark.peer

CLIENT, PROTOCOL, STANZA = "waton.client.", "waton.protocol.", "waton.protocol.stanza."


@pytest.fixture(scope="module")
def baileys() -> Generator[Functions]:
    with Functions.start(require("baileys")) as running:
        yield running


@dataclass(frozen=True)
class Mutation:
    """One thing wrong, and the row it has to show in."""

    name: str
    module: str
    old: str
    new: str
    domain: Domain
    row: str


MUTATIONS = [
    Mutation(
        "message ids begin otherwise",
        "waton.protocol.message",
        '"3EB0"',
        '"3EB1"',
        Domain.MESSAGES_SEND,
        "generateMessageIDV2",
    ),
    Mutation(
        "keys of another type",
        STANZA + "encrypt",
        'Node("type", None, KEY_TYPE),\n        Node("identity", None, credentials',
        'Node("type", None, b"\\x04"),\n        Node("identity", None, credentials',
        Domain.PREKEYS,
        "getNextPreKeysNode",
    ),
    Mutation(
        "ids of keys the other way round",
        STANZA + "encrypt",
        'Node("id", None, id.to_bytes(3, "big")), Node("value", None, public)',
        'Node("id", None, id.to_bytes(3, "little")), Node("value", None, public)',
        Domain.PREKEYS,
        "xmppPreKey",
    ),
    Mutation(
        "an ack that says more than it should",
        STANZA + "receipt",
        '"class": node.tag,\n        "error"',
        '"class": node.tag,\n        "count": "1",\n        "error"',
        Domain.MESSAGES_RECV,
        "buildAckStanza",
    ),
    Mutation(
        "a reason taken for another",
        STANZA + "stream",
        "403: DisconnectReason.FORBIDDEN",
        "403: DisconnectReason.LOST",
        Domain.NOISE,
        "getErrorCodeFromStreamError",
    ),
    Mutation(
        "LIDs share the names of phone numbers",
        "waton.jid",
        'JidServer.LID: "_1"',
        'JidServer.LID: ""',
        Domain.LID_MAPPING,
        "makeLibSignalRepository.jidToSignalProtocolAddress",
    ),
    Mutation(
        "the QR tells another platform",
        "waton.protocol.client_payload",
        '"Chrome": "1"',
        '"Chrome": "2"',
        Domain.PAIRING,
        "getCompanionWebClientType",
    ),
    Mutation(
        "companions without a key index count",
        STANZA + "usync",
        "return self.id == 0 or bool(self.key_index)",
        "return True",
        Domain.USYNC,
        "extractDeviceJids",
    ),
    Mutation(
        "logs in without asking for what waits",
        "waton.protocol.client_payload",
        "payload.pull = True",
        "payload.pull = False",
        Domain.NOISE,
        "generateLoginNode",
    ),
    Mutation(
        "a text in another field",
        "waton.protocol.message",
        "proto.Message(extendedTextMessage=proto.Message.ExtendedTextMessage(text=text))",
        "proto.Message(conversation=text)",
        Domain.MESSAGES_SEND,
        "generateWAMessageContent: a text",
    ),
    Mutation(
        "the account's signature over other bytes",
        "waton.protocol.adv",
        '_DEVICE_PREFIX = b"\\x06\\x01"',
        '_DEVICE_PREFIX = b"\\x06\\x02"',
        Domain.PAIRING,
        "configureSuccessfulPairing",
    ),
    Mutation(
        "another route in the intro",
        "waton.protocol.framing",
        'len(routing_info).to_bytes(3, "big")',
        'len(routing_info).to_bytes(3, "little")',
        Domain.NOISE,
        "makeNoiseHandler: a route the server gave us",
    ),
    Mutation(
        "a group's key that is told and not taken",
        "waton.protocol.group_cipher",
        "return GroupCipher(sender_key_process(self._bytes, distribution))",
        "return self",
        Domain.GROUP_SIGNAL,
        "makeLibSignalRepository.processSenderKeyDistributionMessage",
    ),
    Mutation(
        "the other address of another chat",
        CLIENT + "envelope",
        "chat_alt = stanza.recipient_pn if chat.is_lid else stanza.recipient_lid",
        "chat_alt = stanza.recipient_lid if chat.is_lid else stanza.recipient_pn",
        Domain.LID_MAPPING,
        "decodeMessageNode: the other addresses",
    ),
    Mutation(
        "our own message in our own chat",
        CLIENT + "envelope",
        "chat = stanza.recipient.bare",
        "chat = stanza.sender.bare",
        Domain.MESSAGES_RECV,
        "decodeMessageNode",
    ),
    Mutation(
        "a group's author by one address alone",
        STANZA + "message",
        "(self.participant_pn or self.sender_pn)",
        "self.sender_pn",
        Domain.LID_MAPPING,
        "extractAddressingContext: in a group",
    ),
    Mutation(
        "a reaction to whom it was not meant",
        CLIENT + "message_keys",
        "from_me = not inner.fromMe and me.is_me(author)",
        "from_me = me.is_me(author)",
        Domain.MESSAGES_RECV,
        "processMessage: a reaction",
    ),
    Mutation(
        "an edit at another time",
        CLIENT + "process_message",
        "told.timestampMs // 1000 if",
        "told.timestampMs if",
        Domain.MESSAGES_RECV,
        "processMessage: an edit",
    ),
    Mutation(
        "old LIDs before new ones",
        CLIENT + "process_message",
        "Jid(str(one.latestLid or one.assignedLid), JidServer.LID)",
        "Jid(str(one.assignedLid or one.latestLid), JidServer.LID)",
        Domain.MESSAGES_RECV,
        "processMessage: addresses that are one person's",
    ),
    Mutation(
        "anybody may tell us keys",
        CLIENT + "process_message",
        "is_allowed = case.key.from_me if own.any_device else case.is_from_phone",
        "is_allowed = True",
        Domain.MESSAGES_RECV,
        "processMessage: keys of the app state",
    ),
    Mutation(
        "a sender key alone is shown",
        CLIENT + "process_message",
        "if carries_key and not content.says_something(case.body) else",
        "if not content.says_something(case.body) and False else",
        Domain.MESSAGES_RECV,
        "processMessage: a sender key alone",
    ),
    Mutation(
        "a list is a chat",
        CLIENT + "process_message",
        "chat = key.author.bare if is_list else key.chat",
        "chat = key.chat",
        Domain.CHATS,
        "getChatId",
    ),
    Mutation(
        "hosted devices stay hosted",
        CLIENT + "message_keys",
        "return jid if server is None else Jid(jid.user, server, jid.device)",
        "return jid",
        Domain.MESSAGES_RECV,
        "cleanMessage",
    ),
    Mutation(
        "four wrappers are looked through",
        PROTOCOL + "message",
        "MAX_WRAPPERS = 5",
        "MAX_WRAPPERS = 4",
        Domain.MESSAGES_RECV,
        "normalizeMessageContent",
    ),
    Mutation(
        "votes under another key",
        PROTOCOL + "message_secret",
        "{self.author.bare}{self.by.bare}{use}",
        "{self.by.bare}{self.author.bare}{use}",
        Domain.MESSAGES_RECV,
        "decryptPollVote",
    ),
    Mutation(
        "answers to events bound to nothing",
        PROTOCOL + "message_secret",
        'if self.use in _BOUND else b""',
        'if self.use is SecretUse.POLL_VOTE else b""',
        Domain.MESSAGES_RECV,
        "decryptEventResponse",
    ),
    Mutation(
        "a phone's ids are too long",
        PROTOCOL + "message",
        "3A.{18}",
        "3A.{19}",
        Domain.MESSAGES_RECV,
        "getDevice",
    ),
    Mutation(
        "one request too many",
        CLIENT + "retry_manager",
        "counters.count >= self.max_attempts",
        "counters.count > self.max_attempts",
        Domain.RETRY_MANAGER,
        "MessageRetryManager.hasExceededMaxRetries",
    ),
    Mutation(
        "a session is renewed too soon",
        CLIENT + "retry_manager",
        "RENEW_SECONDS = 3_600",
        "RENEW_SECONDS = 3_599",
        Domain.RETRY_MANAGER,
        "MessageRetryManager.shouldRecreateSession",
    ),
    Mutation(
        "a session that did not help is kept",
        CLIENT + "retry_manager",
        "counters.base_key == session.base_key:",
        'counters.base_key == b"":',
        Domain.RETRY_MANAGER,
        "MessageRetryManager.hasSameBaseKey",
    ),
    Mutation(
        "a code is read as another",
        STANZA + "retry",
        "RetryReason(self.error) if self.error in set(RetryReason) else RetryReason.UNKNOWN",
        "RetryReason.UNKNOWN",
        Domain.RETRY_MANAGER,
        "MessageRetryManager.parseRetryErrorCode",
    ),
    Mutation(
        "a MAC failure is waited out",
        CLIENT + "retry_manager",
        "if rule is Renew.ALWAYS:",
        "if rule is None:",
        Domain.RETRY_MANAGER,
        "MessageRetryManager.isMacError",
    ),
    Mutation(
        "a companion's identity counts as a phone's",
        CLIENT + "identity_change_handler",
        "(IdentityChangeCode.SKIPPED_COMPANION_DEVICE, change.jid.device != 0)",
        "(IdentityChangeCode.SKIPPED_COMPANION_DEVICE, False)",
        Domain.IDENTITY_CHANGE,
        "handleIdentityChange",
    ),
    Mutation(
        "nothing is debounced",
        CLIENT + "identity_change_handler",
        "return at is not None and at <= now < at + self._seconds",
        "return False",
        Domain.IDENTITY_CHANGE,
        "handleIdentityChange: twice",
    ),
    Mutation(
        "a token expires a bucket late",
        STANZA + "privacy",
        "return t <= 0 or t < self.cutoff(now)",
        "return t <= 0 or t < self.cutoff(now) - self.seconds",
        Domain.MESSAGES_SEND,
        "isTcTokenExpired",
    ),
    Mutation(
        "a token is due in its own bucket",
        CLIENT + "privacy_tokens",
        "switches.given.index(now) > switches.given.index(known.given_t)",
        "switches.given.index(now) >= switches.given.index(known.given_t)",
        Domain.MESSAGES_SEND,
        "shouldSendNewTcToken",
    ),
    Mutation(
        "an older token takes the place of a newer",
        CLIENT + "privacy_tokens",
        "other.t > 0 and other.t >= known.t",
        "other.t > 0",
        Domain.MESSAGES_RECV,
        "storeTcTokensFromIqResult",
    ),
    Mutation(
        "a token without its time",
        CLIENT + "privacy_tokens",
        'Node(TC_TOKEN, {"t": str(known.t)}, known.token)',
        "Node(TC_TOKEN, None, known.token)",
        Domain.MESSAGES_SEND,
        "buildTcTokenFromJid",
    ),
    Mutation(
        "ours is given by LID",
        CLIENT + "privacy_tokens",
        "if switches.give_to_lid:",
        "if not switches.give_to_lid:",
        Domain.MESSAGES_SEND,
        "resolveIssuanceJid",
    ),
    Mutation(
        "a token of fields in another order",
        PROTOCOL + "reporting_token",
        "taken.sort(key=lambda field: field[0])",
        "taken.sort(key=lambda field: -field[0])",
        Domain.MESSAGES_SEND,
        "getMessageReportingToken",
    ),
    Mutation(
        "reactions can be reported",
        PROTOCOL + "reporting_token",
        "return not any(message.HasField(name) for name in _EXCLUDED)",
        "return True",
        Domain.MESSAGES_SEND,
        "shouldIncludeReportingToken",
    ),
    Mutation(
        "everybody may change a group",
        STANZA + "group",
        'locked=node.child("locked") is not None',
        "locked=False",
        Domain.GROUPS,
        "extractGroupMetadata",
    ),
    Mutation(
        "devices hashed under another name",
        PROTOCOL + "participant_hash",
        "{jid.user}.0:{jid.device}",
        "{jid.user}:{jid.device}",
        Domain.MESSAGES_SEND,
        "generateParticipantHashV2",
    ),
    Mutation(
        "a name's number under another name",
        STANZA + "usync",
        '"pin": self.username_key or None',
        '"key": self.username_key or None',
        Domain.USYNC,
        "USyncQuery: anything about anybody",
    ),
    Mutation(
        "an about text that is kept back looks like none",
        STANZA + "usync_profiles",
        "_NOT_FOR_US = 401",
        "_NOT_FOR_US = 403",
        Domain.USYNC,
        "USyncStatusProtocol",
    ),
    Mutation(
        "messages disappear at another time",
        STANZA + "usync_profiles",
        'get_int(node, "duration") or 0, get_int(node, "t") or 0',
        'get_int(node, "t") or 0, get_int(node, "duration") or 0',
        Domain.USYNC,
        "USyncDisappearingModeProtocol",
    ),
    Mutation(
        "a bot's questions without their emoji",
        STANZA + "usync_profiles",
        "f\"{_said(one, 'emoji')} {_said(one, 'text')}\"",
        "f\"{_said(one, 'text')}\"",
        Domain.USYNC,
        "USyncBotProfileProtocol",
    ),
    Mutation(
        "a name is nobody's",
        STANZA + "usync",
        "text_of(username) or None",
        "None",
        Domain.USYNC,
        "USyncUsernameProtocol",
    ),
    Mutation(
        "of many people one is learnt",
        CLIENT + "addresses",
        "learnt = [(pn, lid) for pn, lid in news if",
        "learnt = [(pn, lid) for pn, lid in news[:1] if",
        Domain.LID_MAPPING,
        "LIDMappingStore.storeLIDPNMappings",
    ),
    Mutation(
        "a person's other address without the device",
        CLIENT + "addresses",
        "return Jid(_user(record), _LID_OF.get(jid.server) or _PN_OF[jid.server], jid.device)",
        "return Jid(_user(record), _LID_OF.get(jid.server) or _PN_OF[jid.server])",
        Domain.LID_MAPPING,
        "LIDMappingStore.getLIDsForPNs",
    ),
    Mutation(
        "prekeys begin one later",
        CLIENT + "prekeys",
        "for id in range(first, first + count):\n        private",
        "for id in range(first + 1, first + count + 1):\n        private",
        Domain.PREKEYS,
        "generateOrGetPreKeys",
    ),
    Mutation(
        "receipts for our own messages",
        CLIENT + "read_receipts",
        "if not key.from_me:",
        "if key.id:",
        Domain.MESSAGES_RECV,
        "aggregateMessageKeysNotFromMe",
    ),
    Mutation(
        "a call that is over rings",
        CLIENT + "node_events",
        '"reject": CallStatus.REJECT',
        '"reject": CallStatus.RINGING',
        Domain.MESSAGES_RECV,
        "getCallStatusFromNode",
    ),
    Mutation(
        "what was played was read",
        CLIENT + "receipt_events",
        "ReceiptType.PLAYED: MessageStatus.PLAYED",
        "ReceiptType.PLAYED: MessageStatus.READ",
        Domain.MESSAGES_RECV,
        "getStatusFromReceiptType",
    ),
    Mutation(
        "a new identity is never taken",
        CLIENT + "identity_change_handler",
        "return self.verdict in (IdentityVerdict.KNOWN, IdentityVerdict.FIRST, IdentityVerdict.ACCEPTED)",
        "return self.verdict in (IdentityVerdict.KNOWN, IdentityVerdict.FIRST)",
        Domain.IDENTITY_CHANGE,
        "makeLibSignalRepository.decryptMessage: a contact with another identity key",
    ),
]


def row_of(baileys: Functions, name: str) -> Row:
    (row,) = [row for row in differential.run(baileys, only=[name], examples=20) if row.name == name]
    return row


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_it_is_caught(mutation: Mutation, baileys: Functions) -> None:
    with mutated(mutation.module, mutation.old, mutation.new):
        row = row_of(baileys, mutation.row)
    assert row.outcome is Outcome.DIFFERS
    assert row.fields
    assert row.domain is mutation.domain


def wrong_nibble(encode: Callable[[Node], bytes], node: Node) -> bytes:
    """The encoding with one nibble of the first packed text changed."""
    data = bytearray(encode(node))
    place = data.find(0xFF, 1)  # the tag of packed digits
    if 0 < place < len(data) - 2 and data[place + 1] & 0x7F:
        data[place + 2] ^= 0x10
    return bytes(data)


def test_a_wrong_packed_nibble_is_caught(baileys: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = binary_node.encode_node
    monkeypatch.setattr(binary_node, "encode_node", lambda node: wrong_nibble(encode, node))
    row = row_of(baileys, "encodeBinaryNode")
    assert row.outcome is Outcome.DIFFERS
    assert row.domain is Domain.BINARY_CODEC
    assert "input" in row.note
