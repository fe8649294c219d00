"""What a message means, beside the real Baileys: its processMessage on the same messages, seeded.

Where we mean to be equal, events and effects are compared as facts: which message was changed, how, by which message.
Where we mean to differ, a test of its own shows what Baileys does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest

from tests.requirements import require
from tests.unit.client.service import World
from waton.client.events import (
    Authority,
    ChatsUpdate,
    GroupMemberTagUpdate,
    MessageAddition,
    MessageEdited,
    MessageKey,
    MessageReaction,
    MessageRefused,
    MessageRevoked,
    MessagesUpsert,
    MessageUndecryptable,
    RefusedReason,
)
from waton.client.message_keys import Me
from waton.client.message_outcome import (
    KeepHistory,
    Known,
    LearnMappings,
    Outcome,
    Received,
    StoreAppStateKeys,
    TakeAnswers,
)
from waton.client.process_message import process_message
from waton.jid import Jid
from waton.parity.generators import node
from waton.parity.oracle import BaileysError, Functions
from waton.protocol import proto
from waton.protocol.binary_node import Node
from waton.protocol.message import device_sent, normalise, text_message
from waton.protocol.message_secret import Addition, SecretUse, seal, unseal

pytestmark = pytest.mark.peer

Facts: TypeAlias = list[tuple[Any, ...]]
Protocol = proto.Message.ProtocolMessage
ME = Me(Jid.parse("4915000000001:2@s.whatsapp.net"), Jid.parse("77000000000001:2@lid"))
GROUP = Jid.parse("120363020000000001@g.us")
EXAMPLES = 400
ANSWERS = [
    proto.Message.EventResponseMessage.GOING,
    proto.Message.EventResponseMessage.NOT_GOING,
    proto.Message.EventResponseMessage.MAYBE,
]
SECRET = bytes(range(32))


@pytest.fixture(scope="module")
def baileys() -> Iterator[Functions]:
    require("baileys")
    with Functions.start() as running:
        yield running


@dataclass
class Sent:
    """One message on its way to both."""

    chat: Jid
    author: Jid
    from_me: bool
    message: proto.Message
    original: proto.Message | None = None
    """What Baileys' application has of the message that this one adds to."""

    @property
    def key(self) -> MessageKey:
        return MessageKey(self.chat.bare, "3EB0OUTSIDE", self.from_me, self.author)

    def to_us(self, known: Known | None = None) -> Outcome:
        return process_message(Received(self.key, self.message, 1_760_000_000), ME, known)

    def to_baileys(self, baileys: Functions) -> dict[str, Any]:
        participant = {"participant": str(self.author)} if self.chat.is_group else {}
        return baileys.ask(
            "means",
            key={"remoteJid": str(self.chat), "fromMe": self.from_me, "id": "3EB0OUTSIDE", **participant},
            message=self.message.SerializeToString(),
            timestamp=1_760_000_000,
            me=str(ME.pn),
            lid=str(ME.lid),
            original=None if self.original is None else self.original.SerializeToString(),
        )


# --- the same facts, of both ------------------------------------------------------------------------------------------


def _target(chat: str, id: str, from_me: bool) -> tuple[str, str, bool]:
    return chat, id, from_me


def _ours(key: MessageKey) -> tuple[str, str, bool]:
    return _target(str(key.chat), key.id, key.from_me)


def _theirs(key: dict[str, Any]) -> tuple[str, str, bool]:
    return _target(key["remoteJid"], key["id"], bool(key.get("fromMe")))


def our_facts(sent: Sent, outcome: Outcome) -> Facts:
    facts: Facts = []
    for event in outcome.events:
        match event:
            case MessageReaction():
                facts.append(("reaction", _ours(event.key), str(event.key.author), event.text, _ours(event.by)))
            case MessageEdited():
                facts.append(("edit", _ours(event.key), event.message.SerializeToString(), event.timestamp))
            case MessageRevoked():
                facts.append(("revoke", _ours(event.key), _ours(event.by)))
            case ChatsUpdate():
                facts.append(
                    ("ephemeral", str(event.chat), event.ephemeral_expiration, event.ephemeral_setting_timestamp)
                )
            case GroupMemberTagUpdate():
                facts.append(("tag", str(event.group), str(event.participant), event.label))
            case MessageAddition() if event.use is SecretUse.EVENT_RESPONSE:
                facts.append(("response", _ours(event.key), _opened(sent, event)))
            case MessagesUpsert():
                facts.append(("shown",))
            case _:
                pass  # a refusal: in Baileys, silence
    for action in outcome.actions:
        match action:
            case StoreAppStateKeys():
                pairs = [(one.keyId.keyId, one.keyData.keyData) for one in action.keys]
                facts.append(("keys", pairs))
            case LearnMappings():
                facts.append(("mappings", [(str(pn), str(lid)) for pn, lid in action.pairs]))
            case TakeAnswers():
                told = [(str(one.key.chat), one.key.id, one.message.SerializeToString()) for one in action.messages]
                facts += [("answer", action.request_id, *one) for one in told]
            case _:
                pass
    return facts


def _opened(sent: Sent, event: MessageAddition) -> int:
    addition = Addition(SecretUse.EVENT_RESPONSE, event.key.id, event.key.author, event.by.author)
    response = proto.Message.EventResponseMessage.FromString(unseal(SECRET, addition, event.payload, event.iv))
    return response.response


def baileys_facts(sent: Sent, answer: dict[str, Any]) -> Facts:
    facts: Facts = []
    for name, value in answer["events"]:
        match name:
            case "messages.reaction":
                [one] = value
                author = one["key"].get("participant") or _author(sent, one["key"])
                told = one["reaction"]
                facts.append(("reaction", _theirs(one["key"]), author, told.get("text") or "", _theirs(told["key"])))
            case "messages.update":
                [one] = value
                facts.append(_update(one))
            case "chats.update":
                facts += [_chat(one) for one in value if "ephemeralSettingTimestamp" in one]
                facts += [("shown",) for one in value if "messages" in one]
            case "group.member-tag.update":
                facts.append(("tag", value["groupId"], value["participant"], value["label"]))
            case "messages.upsert":
                facts += [_answer(value["requestId"], one) for one in value["messages"]]
            case _:
                pass
    if any(fact[0] == "response" for fact in facts):
        facts.remove(("shown",))  # Baileys counts an answer to an event as an unread message
    if answer["records"]:
        keys = [item for record in answer["records"] for item in record["app-state-sync-key"].items()]
        facts.append(("keys", [(_unbase64(id), data["keyData"]) for id, data in keys]))
    if answer["mappings"]:
        facts.append(("mappings", [(pair["pn"], pair["lid"]) for pair in answer["mappings"]]))
    return facts


def _author(sent: Sent, key: dict[str, Any]) -> str:
    """Baileys leaves the author of a 1:1 message to its chat."""
    own = ME.beside(sent.author if sent.from_me else _named(sent))
    return str(own) if key.get("fromMe") else str(sent.chat.bare)


def _named(sent: Sent) -> Jid:
    body = normalise(sent.message)
    return Jid.parse(body.reactionMessage.key.remoteJid)


def _update(one: dict[str, Any]) -> tuple[Any, ...]:
    update = one["update"]
    if "eventResponses" in update:
        [response] = update["eventResponses"]
        return "response", _theirs(one["key"]), response["response"]["response"]
    if update.get("messageStubType") is not None:
        return "revoke", _theirs(one["key"]), _theirs(update["key"])
    edited = update["message"]["editedMessage"]["message"]["message"]
    return "edit", _theirs(one["key"]), edited, update["messageTimestamp"]


def _chat(one: dict[str, Any]) -> tuple[Any, ...]:
    return "ephemeral", one["id"], one["ephemeralExpiration"] or 0, one["ephemeralSettingTimestamp"]


def _answer(request_id: str, one: dict[str, Any]) -> tuple[Any, ...]:
    return "answer", request_id, one["key"]["remoteJid"], one["key"]["id"], one["message"]["message"]


def _unbase64(text: str) -> bytes:
    from base64 import b64decode

    return b64decode(text)


# --- messages ---------------------------------------------------------------------------------------------------------


def places(dice: random.Random) -> Sent:
    """Where and from whom a message comes: a person by either address, a group, ourselves on another device."""
    device = dice.choice(["", ":1", ":23"])
    person = dice.choice(["4916000000002{}@s.whatsapp.net", "77000000000002{}@lid"]).format(device)
    own = dice.choice([f"4915000000001{device}@s.whatsapp.net", f"77000000000001{device}@lid"])
    match dice.randrange(4):
        case 0:
            return Sent(Jid.parse(person), Jid.parse(person), False, proto.Message())
        case 1:
            return Sent(GROUP, Jid.parse(person), False, proto.Message())
        case 2:
            return Sent(GROUP, Jid.parse(own), True, proto.Message())
        case _:
            return Sent(Jid.parse(person).bare, Jid.parse(own), True, proto.Message())


def inner_key(dice: random.Random, sent: Sent) -> proto.MessageKey:
    """A key as the author writes it: his own message, ours, or in a group a third person's."""
    key = proto.MessageKey(id=f"3EB0{dice.randrange(1 << 32):08X}", fromMe=dice.random() < 0.5)
    key.remoteJid = str(sent.chat) if sent.chat.is_group or sent.from_me else str(ME.beside(sent.author))
    if sent.chat.is_group and not key.fromMe:
        key.participant = dice.choice(
            [str(ME.lid and ME.lid.bare), "77000000000009@lid", "4916000000009@s.whatsapp.net"]
        )
    return key


def own_key(dice: random.Random, sent: Sent) -> proto.MessageKey:
    """A key of the author's own message, which is what edits and revokes name."""
    key = inner_key(dice, sent)
    key.fromMe = True
    key.ClearField("participant")
    return key


def reaction(dice: random.Random, sent: Sent) -> proto.Message:
    text = dice.choice(["👍", "", "x"])
    told = proto.Message.ReactionMessage(
        key=inner_key(dice, sent), text=text, senderTimestampMs=dice.randrange(1 << 41)
    )
    return proto.Message(reactionMessage=told)


def edit(dice: random.Random, sent: Sent) -> proto.Message:
    told = Protocol(key=own_key(dice, sent), type=Protocol.MESSAGE_EDIT, editedMessage=text_message("changed"))
    if dice.random() < 0.7:
        told.timestampMs = dice.randrange(1, 1 << 41)
    return proto.Message(protocolMessage=told)


def revoke(dice: random.Random, sent: Sent) -> proto.Message:
    return proto.Message(protocolMessage=Protocol(key=own_key(dice, sent), type=Protocol.REVOKE))


def ephemeral(dice: random.Random, sent: Sent) -> proto.Message:
    seconds = dice.choice([0, 86_400, 604_800])
    return proto.Message(protocolMessage=Protocol(type=Protocol.EPHEMERAL_SETTING, ephemeralExpiration=seconds))


def label(dice: random.Random, sent: Sent) -> proto.Message:
    told = Protocol(type=Protocol.GROUP_MEMBER_LABEL_CHANGE, memberLabel=proto.MemberLabel(label="treasurer"))
    return proto.Message(protocolMessage=told) if sent.chat.is_group else text_message("no group")


def from_phone(sent: Sent, told: Protocol) -> proto.Message:
    """What only our own phone may say; said by our phone, or by a stranger."""
    if sent.from_me:
        sent.chat = sent.author = sent.author.bare
    return proto.Message(protocolMessage=told)


def keys(dice: random.Random, sent: Sent) -> proto.Message:
    share = proto.Message.AppStateSyncKeyShare()
    for _ in range(dice.randrange(1, 4)):
        one = share.keys.add()
        one.keyId.keyId = dice.randbytes(6)
        one.keyData.keyData = dice.randbytes(32)
    return from_phone(sent, Protocol(type=Protocol.APP_STATE_SYNC_KEY_SHARE, appStateSyncKeyShare=share))


def mappings(dice: random.Random, sent: Sent) -> proto.Message:
    payload = proto.LIDMigrationMappingSyncPayload()
    for _ in range(dice.randrange(1, 4)):
        one = payload.pnToLidMappings.add(pn=dice.randrange(1, 1 << 40), assignedLid=dice.randrange(1, 1 << 40))
        if dice.random() < 0.5:
            one.latestLid = dice.randrange(1, 1 << 40)
    told = proto.LIDMigrationMappingSyncMessage(encodedMappingPayload=payload.SerializeToString())
    return from_phone(sent, Protocol(type=Protocol.LID_MIGRATION_MAPPING_SYNC, lidMigrationMappingSyncMessage=told))


def answers(dice: random.Random, sent: Sent) -> proto.Message:
    response = proto.Message.PeerDataOperationRequestResponseMessage(stanzaId="3EB0REQUEST")
    for number in range(dice.randrange(1, 3)):
        info = proto.WebMessageInfo(message=text_message(f"late {number}"), messageTimestamp=5)
        info.key.MergeFrom(proto.MessageKey(remoteJid="77000000000005@lid", id=f"LATE{number}", fromMe=False))
        one = response.peerDataOperationResult.add()
        one.placeholderMessageResendResponse.webMessageInfoBytes = info.SerializeToString()
    told = Protocol(type=Protocol.PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE)
    told.peerDataOperationRequestResponseMessage.MergeFrom(response)
    return from_phone(sent, told)


def event_response(dice: random.Random, sent: Sent) -> proto.Message:
    """An answer to an event of a third person in a group of phone numbers, the only ones Baileys can open."""
    sent.chat, sent.author, sent.from_me = GROUP, Jid.parse("4916000000002@s.whatsapp.net"), False
    creator = "4916000000009@s.whatsapp.net"
    response = proto.Message.EventResponseMessage(response=dice.choice(ANSWERS), timestampMs=5)
    addition = Addition(SecretUse.EVENT_RESPONSE, "3EB0EVENT", Jid.parse(creator), sent.author)
    iv = dice.randbytes(12)
    told = proto.Message.EncEventResponseMessage(
        eventCreationMessageKey=proto.MessageKey(remoteJid=str(GROUP), id="3EB0EVENT", participant=creator),
        encPayload=seal(SECRET, addition, response.SerializeToString(), iv),
        encIv=iv,
    )
    sent.original = proto.Message(messageContextInfo=proto.MessageContextInfo(messageSecret=SECRET))
    return proto.Message(encEventResponseMessage=told)


def shown(dice: random.Random, sent: Sent) -> proto.Message:
    return dice.choice(
        [
            text_message("hello"),
            proto.Message(conversation="hello"),
            proto.Message(imageMessage=proto.Message.ImageMessage(url="x")),
            proto.Message(
                pinInChatMessage=proto.Message.PinInChatMessage(type=proto.Message.PinInChatMessage.PIN_FOR_ALL)
            ),
        ]
    )


def key_only(dice: random.Random, sent: Sent) -> proto.Message:
    told = proto.Message.SenderKeyDistributionMessage(groupId=str(GROUP))
    return proto.Message(senderKeyDistributionMessage=told)


def wrapped(dice: random.Random, message: proto.Message) -> proto.Message:
    """The same inside of up to three wrappers."""
    names = ["ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2", "editedMessage", "documentWithCaptionMessage"]
    for name in dice.sample(names, dice.randrange(4)):
        outer = proto.Message()
        getattr(outer, name).message.CopyFrom(message)
        message = outer
    return message


KINDS: list[Callable[[random.Random, Sent], proto.Message]] = [
    reaction,
    edit,
    revoke,
    ephemeral,
    label,
    keys,
    mappings,
    answers,
    event_response,
    shown,
    key_only,
]


def generated(seed: int) -> Sent:
    dice = random.Random(seed)
    sent = places(dice)
    message = dice.choice(KINDS)(dice, sent)
    sent.message = wrapped(dice, message) if message.ByteSize() else message
    return sent


# --- equal ------------------------------------------------------------------------------------------------------------


def test_messages_mean_what_they_mean_to_baileys(baileys: Functions) -> None:
    seen: set[str] = set()
    for seed in range(EXAMPLES):
        sent = generated(seed)
        facts = our_facts(sent, sent.to_us())
        assert facts == baileys_facts(sent, sent.to_baileys(baileys)), f"seed {seed}: {sent.message}"
        seen |= {fact[0] for fact in facts} or {"nothing"}
    named = {
        "reaction",
        "edit",
        "revoke",
        "ephemeral",
        "tag",
        "keys",
        "mappings",
        "answer",
        "response",
        "shown",
        "nothing",
    }
    assert seen == named


@pytest.mark.parametrize(
    ("chat", "author"),
    [
        ("4916000000002:99@hosted", "4916000000002:99@hosted"),
        ("77000000000002:99@hosted.lid", "77000000000002:99@hosted.lid"),
        ("4916000000002:4@c.us", "4916000000002:4@c.us"),
        ("120363020000000001@g.us", "77000000000002:99@hosted.lid"),
        ("77000000000002:12@lid", "77000000000002:12@lid"),
    ],
)
def test_the_key_is_cleaned_as_baileys_cleans_it(baileys: Functions, chat: str, author: str) -> None:
    sent = Sent(Jid.parse(chat), Jid.parse(author), False, text_message("hello"))
    cleaned = sent.to_baileys(baileys)["key"]
    [event] = sent.to_us().events
    assert isinstance(event, MessagesUpsert)
    assert str(event.key.chat) == cleaned["remoteJid"]
    assert str(event.key.author.bare) == (cleaned["participant"] or cleaned["remoteJid"])


@pytest.mark.parametrize(
    ("use", "function", "names"),
    [
        (SecretUse.POLL_VOTE, "decryptPollVote", ("pollCreatorJid", "pollMsgId", "pollEncKey", "voterJid")),
        (
            SecretUse.EVENT_RESPONSE,
            "decryptEventResponse",
            ("eventCreatorJid", "eventMsgId", "eventEncKey", "responderJid"),
        ),
    ],
)
def test_what_we_seal_baileys_opens(
    baileys: Functions, use: SecretUse, function: str, names: tuple[str, str, str, str]
) -> None:
    creator, voter = Jid.parse("77000000000009@lid"), Jid.parse("4916000000002@s.whatsapp.net")
    vote = proto.Message.PollVoteMessage(selectedOptions=[bytes(32)])
    response = proto.Message.EventResponseMessage(response=proto.Message.EventResponseMessage.MAYBE)
    plain = (vote if use is SecretUse.POLL_VOTE else response).SerializeToString()
    sealed = seal(SECRET, Addition(use, "3EB0POLL", creator, voter), plain, bytes(12))
    told = {"encPayload": sealed, "encIv": bytes(12)}

    def opened(voter: Jid) -> Any:
        context = dict(zip(names, (str(creator), "3EB0POLL", SECRET, str(voter)), strict=True))
        return baileys.call("lib/Utils/process-message.js", function, told, context)

    assert opened(voter) in ({"selectedOptions": [bytes(32)]}, {"response": 3})
    with pytest.raises(BaileysError):
        opened(creator)


# --- better -----------------------------------------------------------------------------------------------------------


def member(message: proto.Message) -> Sent:
    return Sent(GROUP, Jid.parse("77000000000002:1@lid"), False, message)


@pytest.mark.parametrize("type", [Protocol.MESSAGE_EDIT, Protocol.REVOKE])
def test_baileys_lets_anybody_change_anybodys_message(baileys: Functions, type: Protocol.Type.ValueType) -> None:
    key = proto.MessageKey(remoteJid=str(GROUP), id="3EB0HERS", participant="77000000000009@lid")
    told = Protocol(key=key, type=type)
    if type == Protocol.MESSAGE_EDIT:
        told.editedMessage.CopyFrom(text_message("what she never said"))
    sent = member(proto.Message(protocolMessage=told))
    changed = [value for name, value in sent.to_baileys(baileys)["events"] if name == "messages.update"]
    assert [one["key"]["id"] for [one] in changed] == ["3EB0HERS"]
    [refused] = sent.to_us(Known(original_author=Jid.parse("77000000000009@lid"), is_admin=False)).events
    assert isinstance(refused, MessageRefused)
    assert refused.reason in (RefusedReason.NOT_AUTHOR, RefusedReason.NOT_ADMIN)


def test_baileys_does_not_tell_whose_message_an_admin_took_back(baileys: Functions) -> None:
    key = proto.MessageKey(remoteJid=str(GROUP), id="3EB0HERS", participant="77000000000009@lid")
    sent = member(proto.Message(protocolMessage=Protocol(key=key, type=Protocol.REVOKE)))
    [[_, [told]]] = sent.to_baileys(baileys)["events"]
    assert told["key"]["participant"] == "77000000000002@lid"
    [revoked] = sent.to_us(Known(is_admin=True)).events
    assert isinstance(revoked, MessageRevoked)
    assert (str(revoked.key.author), revoked.authority) == ("77000000000009@lid", Authority.ADMIN)


def test_baileys_takes_keys_from_any_of_our_devices(baileys: Functions) -> None:
    share = proto.Message.AppStateSyncKeyShare()
    share.keys.add().keyId.keyId = b"foreign"
    told = Protocol(type=Protocol.APP_STATE_SYNC_KEY_SHARE, appStateSyncKeyShare=share)
    companion = Jid.parse("4915000000001:7@s.whatsapp.net")
    sent = Sent(companion, companion, True, proto.Message(protocolMessage=told))
    assert sent.to_baileys(baileys)["records"]
    assert sent.to_us().actions == ()
    [refused] = sent.to_us().events
    assert isinstance(refused, MessageRefused)
    assert refused.reason is RefusedReason.NOT_OURS


def test_baileys_is_silent_about_votes_and_sealed_reactions(baileys: Functions) -> None:
    key = proto.MessageKey(remoteJid=str(GROUP), id="3EB0POLL", participant="77000000000009@lid")
    vote = proto.Message.PollUpdateMessage(pollCreationMessageKey=key)
    vote.vote.encPayload, vote.vote.encIv = bytes(20), bytes(12)
    sealed = proto.Message.EncReactionMessage(targetMessageKey=key, encPayload=bytes(20), encIv=bytes(12))
    for message in (proto.Message(pollUpdateMessage=vote), proto.Message(encReactionMessage=sealed)):
        sent = member(message)
        assert not [name for name, _ in sent.to_baileys(baileys)["events"] if name != "chats.update"]
        [event] = sent.to_us().events
        assert isinstance(event, MessageAddition)
        assert (event.key.id, str(event.key.author)) == ("3EB0POLL", "77000000000009@lid")


def test_baileys_does_not_tell_that_a_label_was_taken_away(baileys: Functions) -> None:
    told = Protocol(type=Protocol.GROUP_MEMBER_LABEL_CHANGE, memberLabel=proto.MemberLabel(label=""))
    sent = member(proto.Message(protocolMessage=told))
    assert sent.to_baileys(baileys)["events"] == []
    [event] = sent.to_us().events
    assert isinstance(event, GroupMemberTagUpdate)
    assert event.label == ""


def test_baileys_takes_anybodys_wrapper_for_our_own(baileys: Functions) -> None:
    stranger = Jid.parse("77000000000002:1@lid")
    wrapper = device_sent(Jid.parse("77000000000005@lid"), text_message("as if we had written it"))
    attrs = {"id": "3EB0A", "from": str(stranger), "t": "1760000000"}
    stanza = node("message", attrs, [node("plaintext", {}, wrapper.SerializeToString())])
    baileys.ask("party", party="reader", creds={})
    read = baileys.ask("readNode", party="reader", node=stanza, me=str(ME.pn), lid=str(ME.lid))
    assert proto.Message.FromString(read["message"]) == text_message("as if we had written it")
    [event] = Sent(stranger, stranger, False, wrapper).to_us().events
    assert isinstance(event, MessagesUpsert)
    assert event.message == wrapper


async def test_baileys_takes_what_nobody_has_encrypted(baileys: Functions) -> None:
    """Only a newsletter's message may come like this: the server's word is all there is to it."""
    attrs = {"id": "3EB0A", "from": "77000000000002@lid", "t": "1760000000", "type": "text"}
    plain = text_message("believe me").SerializeToString()
    baileys.ask("party", party="reader", creds={})
    stanza = node("message", attrs, [node("plaintext", {}, plain)])
    read = baileys.ask("readNode", party="reader", node=stanza, me=str(ME.pn), lid=str(ME.lid))
    assert proto.Message.FromString(read["message"]) == text_message("believe me")
    world = await World.of()
    await world.receive(Node("message", {**attrs, "from": Jid.parse(attrs["from"])}, [Node("plaintext", None, plain)]))
    assert world.told(MessagesUpsert) == []
    [told] = world.told(MessageUndecryptable)
    assert isinstance(told, MessageUndecryptable)
    assert told.reason == "malformed"


def test_a_history_notification_of_a_stranger_is_dropped_by_both(baileys: Functions) -> None:
    told = Protocol(type=Protocol.HISTORY_SYNC_NOTIFICATION)
    told.historySyncNotification.directPath = "/evil"
    sent = member(proto.Message(protocolMessage=told))
    assert sent.to_baileys(baileys)["events"] == []
    assert not [action for action in sent.to_us().actions if isinstance(action, KeepHistory)]
