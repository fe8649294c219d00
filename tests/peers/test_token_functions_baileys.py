"""Privacy and reporting tokens beside Baileys' own functions, over seeded inputs.

Of reporting tokens Baileys has another idea in three places: it makes them of padded bytes, with the conversation for
the sender of its own messages, and takes nothing out of wrappers. So here it is given unpadded bytes, a key with the
sender in it, and no wrappers; then both formulas are one.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.requirements import require
from tests.support.memory_store import MemoryStore
from tests.unit.client.worlds import step_of
from waton.client import addresses, privacy_tokens
from waton.client.privacy_tokens import PrivacyToken, Switches
from waton.errors import DecodeError, RemoteProtocolError
from waton.jid import Jid
from waton.parity.oracle.process import Functions
from waton.ports import RecordKind
from waton.protocol import proto, reporting_token
from waton.protocol.binary_node import Node
from waton.protocol.stanza.privacy import TokenNotification

pytestmark = pytest.mark.peer
PACKAGE = require("baileys")
TOKENS, REPORTING = "lib/Utils/tc-token-utils.js", "lib/Utils/reporting-utils.js"
WEEK, NOW = 604_800, 1_800_000_000
SWITCHES = Switches()


@pytest.fixture(scope="module")
def baileys() -> Iterator[Functions]:
    with Functions.start() as functions:
        yield functions


# --- buckets


def moments(dice: random.Random) -> Iterator[tuple[int, int]]:
    """(a token's time, now): around every border, and anywhere."""
    for now in (NOW, NOW // WEEK * WEEK, NOW // WEEK * WEEK - 1):
        for bucket in range(-1, 6):
            border = (now // WEEK - bucket) * WEEK
            yield from ((border + step, now) for step in (-1, 0, 1))
        yield 0, now
    yield from ((dice.randrange(NOW - 6 * WEEK, NOW + WEEK), dice.randrange(NOW, NOW + WEEK)) for _ in range(60))


def test_the_same_tokens_have_expired_and_the_same_are_due(baileys: Functions) -> None:
    seen: set[tuple[bool, bool]] = set()
    for t, now in moments(random.Random(463)):
        has_expired = SWITCHES.received.is_expired(t, now)
        assert has_expired is baileys.call(TOKENS, "isTcTokenExpired", t, now=now), (t, now)
        is_due = privacy_tokens.should_give(PrivacyToken(given_t=t), SWITCHES, now)
        assert is_due is baileys.call(TOKENS, "shouldSendNewTcToken", t, now=now), (t, now)
        seen.add((has_expired, is_due))
    assert len(seen) == 3


# --- what is kept, shown and given

PEOPLE = {"4915000000001@s.whatsapp.net": "77000000000001@lid", "4915000000002@s.whatsapp.net": None}
OTHERS = ("0@s.whatsapp.net", "13135550002@s.whatsapp.net", "131655500031@s.whatsapp.net", "5@bot", "5@g.us")


def ask(questions: list[dict[str, Any]]) -> list[Any]:
    """Baileys' answers."""
    lines = "".join(json.dumps(question, default=hexed) + "\n" for question in questions)
    command = [str(require("node")), str(Path(__file__).with_name("tc_tokens.mjs")), str(PACKAGE)]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line, object_hook=revived) for line in done.stdout.splitlines()]


def hexed(value: bytes) -> dict[str, str]:
    return {"$bytes": value.hex()}


def revived(value: dict[str, Any]) -> Any:
    return bytes.fromhex(value["$bytes"]) if set(value) == {"$bytes"} else value


def lids() -> dict[str, str]:
    return {pn: lid for pn, lid in PEOPLE.items() if lid is not None}


def contacts(dice: random.Random) -> str:
    known = [address for pair in PEOPLE.items() for address in pair if address is not None]
    return dice.choice([*known, *known, *OTHERS])


def tokens_node(dice: random.Random) -> dict[str, Any]:
    def token() -> dict[str, Any]:
        attrs: dict[str, Any] = {"jid": "4915000000009:3@s.whatsapp.net"}
        if dice.random() < 0.9:
            attrs["t"] = dice.choice(["0", "soon", *map(str, dice.sample(range(NOW - 9, NOW + 9), 4))])
        attrs["type"] = "trusted_contact" if dice.random() < 0.85 else "other"
        content = dice.randbytes(dice.randrange(1, 40)) if dice.random() < 0.85 else None
        return {"tag": "token", "attrs": attrs, "content": content}

    listed = {"tag": "tokens", "attrs": {}, "content": [token() for _ in range(dice.randrange(4))]}
    return {"tag": "notification", "attrs": {}, "content": [listed] if dice.random() < 0.95 else []}


def kept_before(dice: random.Random) -> dict[str, dict[str, Any]]:
    """Records by the address they are kept under, some halves alone."""
    entries: dict[str, dict[str, Any]] = {}
    for pn, lid in PEOPLE.items():
        entry: dict[str, Any] = {}
        if dice.random() < 0.5:
            entry |= {"token": dice.randbytes(8), "timestamp": str(dice.randrange(NOW - 9, NOW + 9))}
        if dice.random() < 0.5:
            entry["senderTimestamp"] = dice.randrange(NOW - 9, NOW + 9)
        if entry:
            entries[lid or pn] = entry
    return entries


def as_record(entry: dict[str, Any]) -> PrivacyToken:
    given_t = int(entry.get("senderTimestamp") or 0)
    return PrivacyToken(entry.get("token") or b"", int(entry.get("timestamp") or 0), given_t)


async def world_of(entries: dict[str, dict[str, Any]]) -> MemoryStore:
    store = MemoryStore()
    async with step_of(store) as step:
        for pn, lid in lids().items():
            await addresses.learn(step, Jid.parse(pn), Jid.parse(lid), source="message")
        for jid, entry in entries.items():
            await privacy_tokens.save(step, Jid.parse(jid), as_record(entry), SWITCHES)
    return store


def to_node(value: dict[str, Any], **attrs: str) -> Node:
    content = value["content"]
    children = [to_node(child) for child in content] if isinstance(content, list) else content
    return Node(value["tag"], {**value["attrs"], **attrs}, children)


async def ours(question: dict[str, Any]) -> dict[str, PrivacyToken]:
    store = await world_of(question["entries"])
    async with step_of(store) as step:
        try:
            told = TokenNotification.from_node(to_node(question["node"], **{"from": question["jid"]}))
            await privacy_tokens.take_notification(step, told, SWITCHES)
        except RemoteProtocolError:
            pass
    return {
        key: PrivacyToken.from_json(value)
        for (kind, key), value in store.records.items()
        if kind is RecordKind.PRIVACY_TOKEN
    }


def test_the_same_is_kept_of_what_a_notification_brings() -> None:
    dice = random.Random(1)
    questions = [
        {"do": "store", "entries": kept_before(dice), "lids": lids(), "jid": contacts(dice), "node": tokens_node(dice)}
        for _ in range(400)
    ]
    changed = 0
    for question, theirs in zip(questions, ask(questions), strict=True):
        kept = {jid: as_record(entry) for jid, entry in theirs.items()}
        assert asyncio.run(ours(question)) == kept, question
        changed += kept != {jid: as_record(entry) for jid, entry in question["entries"].items()}
    assert 50 < changed < 350


def test_the_same_token_is_shown_with_a_question() -> None:
    dice = random.Random(2)
    questions: list[dict[str, Any]] = []
    for _ in range(200):
        entries = kept_before(dice)
        now = dice.choice([NOW, NOW + 4 * WEEK, dice.randrange(NOW, NOW + 6 * WEEK)])
        questions.append({"do": "attach", "entries": entries, "lids": lids(), "jid": contacts(dice), "now": now})

    async def shown(question: dict[str, Any]) -> Node | None:
        known = await privacy_tokens.load(await world_of(question["entries"]), Jid.parse(question["jid"]))
        return privacy_tokens.query_token(known, SWITCHES, question["now"])

    answers = ask(questions)
    for question, theirs in zip(questions, answers, strict=True):
        expected = None if theirs is None else Node(theirs["tag"], theirs["attrs"], theirs["content"])
        assert asyncio.run(shown(question)) == expected, question
    assert 10 < sum(answer is not None for answer in answers) < 190


def test_ours_is_given_to_the_same_address() -> None:
    questions = [
        {"do": "address", "lids": lids(), "jid": jid, "toLid": to_lid}
        for jid in ("77000000000009@lid", *(one for pair in PEOPLE.items() for one in pair if one is not None))
        for to_lid in (False, True)
    ]

    async def named(question: dict[str, Any]) -> str:
        switches = Switches.of({"14303": str(int(question["toLid"]))})
        return str(await privacy_tokens.give_to(await world_of({}), Jid.parse(question["jid"]), switches))

    answers = ask(questions)
    assert [asyncio.run(named(question)) for question in questions] == answers
    assert len(set(answers)) == 4


# --- reporting tokens

SECRET = bytes(range(32))
ME, CHAT = "77000000000001@lid", "12036302@g.us"
WRAPPERS = {37, 53, 55, 58, 59, 74, 87, 92, 93, 94}


def token_of(plaintext: bytes, id: str) -> bytes | None:
    message = proto.Message()
    message.messageContextInfo.messageSecret = SECRET
    node = reporting_token.reporting_node(message, plaintext, id=id, sender=Jid.parse(ME), chat=Jid.parse(CHAT))
    content = None if node is None else node.children()[0].content
    assert content is None or isinstance(content, bytes)
    return content


def their_token(baileys: Functions, plaintext: bytes, id: str) -> bytes | None:
    message = {"messageContextInfo": {"messageSecret": SECRET}}
    key = {"id": id, "fromMe": False, "participant": ME, "remoteJid": CHAT}
    node = baileys.call(REPORTING, "getMessageReportingToken", plaintext, message, key)
    return None if node is None else node["content"][0]["content"]


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def fields(dice: random.Random, depth: int = 0) -> bytes:
    """Fields of any number and wire type, nested ones among them; no wrappers, and no number above 32 bits."""
    out = b""
    for _ in range(dice.randrange(5)):
        number = dice.choice([*range(1, 31), 49, 60, 64, 66, 88, 100, 5_000])
        if depth == 0 and number in WRAPPERS:
            continue
        if (depth, number) == (1, 14):
            number = 13  # an edit's new message, of which Baileys takes nothing
        kind = dice.choice([0, 1, 2, 2, 2, 2, 5])
        body = {
            0: lambda: varint(dice.getrandbits(31)),
            1: lambda: dice.randbytes(8),
            5: lambda: dice.randbytes(4),
            2: lambda: (lambda inner: varint(len(inner)) + inner)(
                fields(dice, depth + 1) if depth < 3 else dice.randbytes(dice.randrange(9))
            ),
        }[kind]()
        out += varint(number << 3 | kind) + body
    return out


def test_the_same_token_of_any_fields(baileys: Functions) -> None:
    dice = random.Random(3)
    with_token = 0
    for number in range(300):
        plaintext, id = fields(dice), f"3EB0{number:04X}"
        try:
            mine = token_of(plaintext, id)
        except DecodeError:
            mine = None
        assert mine == their_token(baileys, plaintext, id), plaintext.hex()
        with_token += mine is not None
    assert with_token > 100


def test_the_same_token_of_real_messages(baileys: Functions) -> None:
    context = proto.ContextInfo(stanzaId="3EB0", isForwarded=True, forwardingScore=2, participant=ME)
    poll = proto.Message.PollCreationMessage(
        name="lunch?", options=[proto.Message.PollCreationMessage.Option(optionName="yes")], contextInfo=context
    )
    kinds = [
        proto.Message(conversation="hello"),
        proto.Message(extendedTextMessage=proto.Message.ExtendedTextMessage(text="hi", contextInfo=context)),
        proto.Message(imageMessage=proto.Message.ImageMessage(url="u", mimetype="m", caption="c", height=7)),
        proto.Message(videoMessage=proto.Message.VideoMessage(caption="c", seconds=9, gifPlayback=True)),
        proto.Message(audioMessage=proto.Message.AudioMessage(mimetype="m", seconds=3, ptt=True, viewOnce=True)),
        proto.Message(documentMessage=proto.Message.DocumentMessage(fileName="f.pdf", pageCount=3, caption="c")),
        proto.Message(contactMessage=proto.Message.ContactMessage(displayName="Ada", vcard="BEGIN:VCARD")),
        proto.Message(locationMessage=proto.Message.LocationMessage(name="n", address="a", url="u", comment="c")),
        proto.Message(stickerMessage=proto.Message.StickerMessage(url="u", height=5, isAnimated=True)),
        proto.Message(pollCreationMessage=poll),
        proto.Message(pollCreationMessageV3=poll),
        proto.Message(reactionMessage=proto.Message.ReactionMessage(text="+")),
        proto.Message(),
    ]
    for number, message in enumerate(kinds):
        message.messageContextInfo.messageSecret = SECRET
        plaintext, id = message.SerializeToString(), f"3EB1{number:04X}"
        assert token_of(plaintext, id) == their_token(baileys, plaintext, id), number


def test_the_same_kinds_carry_a_token(baileys: Functions) -> None:
    kinds = ("reactionMessage", "encReactionMessage", "encEventResponseMessage", "pollUpdateMessage", "imageMessage")
    for kind in (*kinds, "keepInChatMessage", "protocolMessage"):
        message = proto.Message()
        getattr(message, kind).SetInParent()
        theirs = baileys.call(REPORTING, "shouldIncludeReportingToken", {kind: {}})
        assert reporting_token.is_included(message) is theirs, kind
