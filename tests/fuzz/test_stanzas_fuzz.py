"""Hostile stanzas at a whole client: each that can be answered is answered, or the server's window fills and nothing
comes any more; none ends the connection with a fault of ours, and good ones between them are read."""

from __future__ import annotations

import random

import pytest

from tests.unit.client.service import GROUP, ME, MY_LID, Peer, World, said, text
from tests.unit.client.worlds import settle
from waton.client.events import MessagesUpsert
from waton.jid import Jid
from waton.protocol.binary_node import Node, StanzaError, decode_node, encode_node, get_jid, get_text
from waton.protocol.stanza.message import IncomingMessage

pytestmark = pytest.mark.fuzz

ROUNDS = 1_500
ADA = Jid("200000000000002", "lid")
T = 1_760_000_000
ADDRESSES = [
    *(ADA, ADA.with_device(3), Jid("15550000002", "s.whatsapp.net"), GROUP, ME, MY_LID, ME.with_device(0)),
    *(Jid("status", "broadcast"), Jid("1", "newsletter"), Jid("5", "bot"), Jid("6", "nowhere"), Jid("7", "hosted", 99)),
    *(Jid("", "s.whatsapp.net"), Jid("", "g.us"), Jid("a b", "lid"), Jid("8", "call"), Jid("x\ny", "s.whatsapp.net")),
]


def words(text: str) -> list[str]:
    return text.split()


TEXTS = [
    *words(
        "0 1 -1 99999999999999999999 ID held 1:999@lid @lid \u00b2 \u0661 retry read sender peer pkmsg msg skmsg msmsg"
    ),
    *words("set result error w:gp2 pn lid modify link_code_companion_reg add remove block true"),
    *("", "a b", "x" * 300),
]
ATTRIBUTES = [
    *words(
        "participant recipient offline notify sender_lid sender_pn participant_pn participant_lid recipient_lid v ts"
    ),
    *words(
        "recipient_pn category edit addressing_mode code reason count value error jid lid phone_number key-index hash"
    ),
    *words("device_hash action class call-id call-creator prev_v_id v_id message_id decrypt-fail mediatype dhash name"),
]
TAGS = [
    *words(
        "enc plaintext unavailable retry registration keys list item participants user identity count digest update"
    ),
    *words("add remove device key-index-list devices privacy blocklist token tokens create group participant subject"),
    *words(
        "description body promote ephemeral error meta bot offer terminate accept set delete type skey key id value"
    ),
    *words(
        "signature rmr encrypt enc_p enc_iv link_code_companion_reg modify invite link unlink leave media enc_rekey"
    ),
]
BYTES = [b"", b"\x01", b"\x00\x00\x00\x01", bytes(32), bytes(33), b"\x33" + bytes(80), bytes(64), b"\x05", b"\xff" * 20]
TYPES = {
    "notification": [
        *words("w:gp2 encrypt devices account_sync picture mediaretry privacy_token server_sync"),
        *words("link_code_companion_reg passkey_prologue_request"),
    ],
    "receipt": words("retry read sender played enc_rekey_retry inactive server-error"),
    "message": words("text media reaction"),
    "call": ["", "x"],
}


def value(throw: random.Random) -> str | Jid:
    return throw.choice(ADDRESSES) if throw.random() < 0.45 else throw.choice(TEXTS)


def inside(throw: random.Random, depth: int) -> list[Node] | bytes | str | None:
    kind = throw.random()
    if depth < 3 and kind < 0.75:
        return [child(throw, depth + 1) for _ in range(throw.randint(0, 3))]
    return throw.choice(BYTES) if kind < 0.9 else throw.choice(TEXTS) if kind < 0.95 else None


def child(throw: random.Random, depth: int) -> Node:
    attrs: dict[str, str | Jid | None] = {name: value(throw) for name in throw.sample(ATTRIBUTES, throw.randint(0, 4))}
    return Node(throw.choice(TAGS), attrs, inside(throw, depth))


def stanza(throw: random.Random, number: int) -> Node:
    """As the server might send it: it has an id of its own, and mostly comes from somewhere."""
    tag = throw.choice(list(TYPES))
    attrs: dict[str, str | Jid | None] = {name: value(throw) for name in throw.sample(ATTRIBUTES, throw.randint(0, 6))}
    attrs["id"] = f"{throw.choice(['X', '1:9', 'a b', 'held 1'])}{number}"
    if throw.random() < 0.9:
        attrs["from"] = throw.choice(ADDRESSES)
    if throw.random() < 0.8:
        attrs["t"] = str(T)
    if throw.random() < 0.8:
        attrs["type"] = throw.choice(TYPES[tag])
    return decode_node(encode_node(Node(tag, attrs, inside(throw, 0))))


def can_be_answered(node: Node) -> bool:
    """An ack repeats these addresses."""
    try:
        sender, _, _ = (get_jid(node, name) for name in ("from", "participant", "recipient"))
    except StanzaError:
        return False
    return sender is not None


async def reads(world: World, ada: Peer, number: int) -> None:
    good = IncomingMessage(f"GOOD{number}", ADA, T, "text", (ada.seal(text(f"good {number}")),))
    await world.receive(good.to_node())
    last = [event for event in world.told(MessagesUpsert) if isinstance(event, MessagesUpsert)][-1]
    assert said(last.message) == f"good {number}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(4))
async def test_whatever_comes_is_answered_and_nothing_else_suffers(seed: int) -> None:
    throw = random.Random(seed)
    world = await World.of(retry_delay=0.0)
    ada = world.service.person(ADA)
    ada.meet(world.client)
    world.service.person(ME.with_device(0))
    world.service.group(ADA)
    await world.client.sender.send_text(GROUP, "X1", id="X1")
    for number in range(ROUNDS):
        node = stanza(throw, number)
        await world.client.on_node(world.event(node))  # what it raises would end the connection
        await world.client.lanes.drain()
        await settle()
        id = get_text(node, "id") or ""
        assert world.service.acks(id) or not can_be_answered(node), f"seed {seed}, stanza {number}: {node!r}"
        world.service.sent.clear()
        if number % 300 == 0:
            await reads(world, ada, number)
    await world.client.close()
