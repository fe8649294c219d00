"""Hostile content: whatever a peer puts into a message that parses, its meaning is found and can be stored."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from google.protobuf.message import DecodeError as ProtobufError

from waton.client.events import MessageKey, from_payload, message_of, to_payload
from waton.client.message_keys import Me
from waton.client.message_outcome import Known, Received
from waton.client.process_message import process_message, target_of
from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.message import device_sent, text_message

pytestmark = pytest.mark.fuzz

ME = Me(Jid.parse("4915000000001:2@s.whatsapp.net"), Jid.parse("77000000000001:2@lid"))
GROUP = Jid.parse("120363020000000001@g.us")
AUTHORS = [
    Jid.parse(text) for text in ("77000000000002:5@lid", "77000000000001@lid", "77000000000001:7@lid", "1:99@hosted")
]
ROUNDS = 8_000
Protocol = proto.Message.ProtocolMessage


def originals() -> list[bytes]:
    """One message of every kind that means something."""
    key = proto.MessageKey(id="IN", remoteJid="77000000000001@lid", participant="77000000000003@lid", fromMe=True)
    told = Protocol(key=key, editedMessage=text_message("new"), timestampMs=5, memberLabel=proto.MemberLabel(label="x"))
    told.historySyncNotification.chunkOrder = 3
    told.appStateSyncKeyShare.keys.add().keyId.keyId = b"K"
    told.appStateSyncKeyRequest.keyIds.add().keyId = b"K"
    pairs = proto.LIDMigrationMappingSyncPayload(pnToLidMappings=[proto.LIDMigrationMapping(pn=1, assignedLid=2)])
    told.lidMigrationMappingSyncMessage.encodedMappingPayload = pairs.SerializeToString()
    info = proto.WebMessageInfo(key=key, message=text_message("late"), pushName="Bea")
    answer = told.peerDataOperationRequestResponseMessage.peerDataOperationResult.add()
    answer.placeholderMessageResendResponse.webMessageInfoBytes = info.SerializeToString()
    sealed = {"encPayload": b"payload", "encIv": bytes(12)}
    made = [proto.Message(protocolMessage=Protocol(type=type)) for type in Protocol.Type.values()]
    for message in made:
        message.protocolMessage.MergeFrom(told)
    vote = proto.Message.PollUpdateMessage(pollCreationMessageKey=key, vote=proto.Message.PollEncValue(**sealed))
    made += [
        text_message("hello"),
        proto.Message(reactionMessage=proto.Message.ReactionMessage(key=key, text="x", senderTimestampMs=5)),
        proto.Message(pollUpdateMessage=vote),
        proto.Message(encReactionMessage=proto.Message.EncReactionMessage(targetMessageKey=key, **sealed)),
        proto.Message(encCommentMessage=proto.Message.EncCommentMessage(targetMessageKey=key, **sealed)),
        proto.Message(
            encEventResponseMessage=proto.Message.EncEventResponseMessage(eventCreationMessageKey=key, **sealed)
        ),
    ]
    for kind in proto.Message.SecretEncryptedMessage.SecretEncType.values():
        secret = proto.Message.SecretEncryptedMessage(targetMessageKey=key, secretEncType=kind, encPayload=b"payload")
        made.append(proto.Message(secretEncryptedMessage=secret))
    made += [device_sent(AUTHORS[0], message) for message in made]
    return [message.SerializeToString() for message in made]


def damaged(dice: random.Random, data: bytes) -> bytes:
    """The same with some bytes changed, cut out or doubled."""
    changed = bytearray(data)
    for _ in range(dice.randrange(1, 5)):
        place = dice.randrange(len(changed))
        match dice.randrange(3):
            case 0:
                changed[place] = dice.randrange(256)
            case 1:
                del changed[place : place + dice.randrange(3)]
            case _:
                changed[place:place] = dice.randbytes(dice.randrange(3))
        if not changed:
            break
    return bytes(changed)


def test_whatever_parses_has_a_meaning_that_can_be_stored() -> None:
    dice, made, parsed = random.Random(7), originals(), 0
    for number in range(ROUNDS):
        data = made[number % len(made)]
        try:
            message = proto.Message.FromString(data if number < len(made) else damaged(dice, data))
        except ProtobufError:
            continue
        parsed += 1
        author = dice.choice(AUTHORS)
        key = MessageKey(dice.choice([GROUP, author.bare]), "OUT", ME.is_me(author), author)
        received = Received(key, message, 5, push_name="Bea", is_peer=dice.random() < 0.3)
        target_of(received, ME)
        known = Known(dice.choice([None, *AUTHORS]), dice.choice([None, True, False]))
        for event in process_message(received, ME, known).events:
            assert from_payload(event.type, to_payload(event)) == replace(event, redelivered=True)
            told = message_of(event)
            assert told is None or isinstance(told.id, str)
    assert parsed > ROUNDS // 8
