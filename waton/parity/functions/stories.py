"""Messages that mean something: stories of who wrote what to whom, for the functions that work out what follows.

A story is a dict of plain values: the chat and the author as the stanza names them, whether the author is ours, the
message as it was decrypted, and, where it matters, the original that it adds to or who wrote that. Messages are at
times inside of wrappers.

What only a message's own author may do is done by him here, except in `others_messages`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, composite

from waton.parity import generators
from waton.parity.functions.envelopes import ME, MY_LID, without_device

if TYPE_CHECKING:
    from waton.protocol import proto

Value: TypeAlias = Any

GROUP = "120363020000000001@g.us"
T = 1_760_000_000
"""When every message was written, Unix seconds."""
SECRET = bytes(range(32))
"""Of the event that is answered."""
_BEA, _CEM = "4916000000002", "4916000000009"
_BEA_LID, _CEM_LID = "77000000000002", "77000000000009"
_WRAPPERS = ("ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2", "editedMessage", "documentWithCaptionMessage")


# --- where it comes from ----------------------------------------------------------------------------------------------


@composite
def places(draw: DrawFn) -> Value:
    """A conversation and who wrote: a person by either address, somebody in a group, ourselves on another device."""
    device = draw(st.sampled_from(("", ":1", ":23")))
    person = draw(st.sampled_from((f"{_BEA}{device}@s.whatsapp.net", f"{_BEA_LID}{device}@lid")))
    own = draw(st.sampled_from((ME, MY_LID))).replace(":2", device)
    where = draw(st.sampled_from(("person", "group", "our own in a group", "our own to a person")))
    chat = GROUP if "group" in where else person if where == "person" else without_device(person)
    return {"chat": chat, "author": own if "own" in where else person, "from me": "own" in where}


def _from_phone(place: Value) -> Value:
    """As it is when our own phone says it; a stranger's stays a stranger's."""
    own = without_device(place["author"])
    return place | ({"chat": own, "author": own} if place["from me"] else {})


def _inner_key(draw: DrawFn, place: Value, *, own: bool = False) -> Value:
    """A key as its author writes it: his own message (own), ours, or in a group a third person's."""
    is_own = own or draw(st.booleans())
    is_group = place["chat"] == GROUP
    me = MY_LID if place["author"].endswith("@lid") else ME
    key = {
        "id": draw(generators.message_ids()),
        "fromMe": is_own,
        "remoteJid": place["chat"] if is_group or place["from me"] else without_device(me),
    }
    if is_group and not is_own:
        people = (without_device(MY_LID), f"{_CEM_LID}@lid", f"{_CEM}@s.whatsapp.net")
        key["participant"] = draw(st.sampled_from(people))
    return key


# --- what it says -----------------------------------------------------------------------------------------------------


def _wrapped(draw: DrawFn, message: proto.Message) -> bytes:
    """The same inside of up to three wrappers."""
    from waton.protocol import proto

    for name in draw(st.lists(st.sampled_from(_WRAPPERS), max_size=3, unique=True)):
        outer = proto.Message()
        getattr(outer, name).message.CopyFrom(message)
        message = outer
    return message.SerializeToString()


def _story(draw: DrawFn, place: Value, message: proto.Message) -> Value:
    return place | {"message": _wrapped(draw, message)}


@composite
def reactions(draw: DrawFn) -> Value:
    """Somebody reacts to a message, or takes that back."""
    from waton.protocol import proto

    place = draw(places())
    told = proto.Message.ReactionMessage(
        key=proto.MessageKey(**_inner_key(draw, place)),
        text=draw(st.sampled_from(("👍", "", "x"))),
        senderTimestampMs=draw(st.integers(0, 1 << 41)),
    )
    return _story(draw, place, proto.Message(reactionMessage=told))


def _of_protocol(draw: DrawFn, place: Value, type: str, **fields: Any) -> Value:
    from waton.protocol import proto

    told = proto.Message.ProtocolMessage(type=proto.Message.ProtocolMessage.Type.Value(type), **fields)
    return _story(draw, place, proto.Message(protocolMessage=told))


@composite
def edits(draw: DrawFn) -> Value:
    """An author changes a message of his own."""
    from waton.protocol import proto
    from waton.protocol.message import text_message

    place = draw(places())
    key = proto.MessageKey(**_inner_key(draw, place, own=True))
    at = {"timestampMs": draw(st.integers(1, 1 << 41))} if draw(st.booleans()) else {}
    return _of_protocol(draw, place, "MESSAGE_EDIT", key=key, editedMessage=text_message("changed"), **at)


@composite
def revokes(draw: DrawFn) -> Value:
    """An author takes a message of his own back."""
    from waton.protocol import proto

    place = draw(places())
    return _of_protocol(draw, place, "REVOKE", key=proto.MessageKey(**_inner_key(draw, place, own=True)))


@composite
def others_messages(draw: DrawFn) -> Value:
    """A member of a group edits or takes back what a third person wrote."""
    from waton.protocol import proto
    from waton.protocol.message import text_message

    place = {"chat": GROUP, "author": f"{_BEA_LID}:1@lid", "from me": False, "original by": f"{_CEM_LID}@lid"}
    key = proto.MessageKey(id="3EB0HERS", remoteJid=GROUP, participant=f"{_CEM_LID}@lid")
    if draw(st.booleans()):
        return _of_protocol(draw, place, "REVOKE", key=key)
    return _of_protocol(draw, place, "MESSAGE_EDIT", key=key, editedMessage=text_message("what she never said"))


@composite
def settings(draw: DrawFn) -> Value:
    """How long messages stay from now on."""
    seconds = draw(st.sampled_from((0, 86_400, 604_800)))
    return _of_protocol(draw, draw(places()), "EPHEMERAL_SETTING", ephemeralExpiration=seconds)


@composite
def labels(draw: DrawFn, *, empty: bool = False) -> Value:
    """A member's label in a group; empty: it is taken away."""
    from waton.protocol import proto

    place = draw(places().filter(lambda place: place["chat"] == GROUP))
    label = "" if empty else draw(st.sampled_from(("treasurer", "x", "Kassenwart ☕")))
    return _of_protocol(draw, place, "GROUP_MEMBER_LABEL_CHANGE", memberLabel=proto.MemberLabel(label=label))


@composite
def app_state_keys(draw: DrawFn, *, by_companion: bool = False) -> Value:
    """Keys of the app state from our phone or a stranger; by_companion: from another companion of ours."""
    from waton.protocol import proto

    share = proto.Message.AppStateSyncKeyShare()
    for _ in range(draw(st.integers(1, 3))):
        one = share.keys.add()
        one.keyId.keyId = draw(generators.entropy(6))
        one.keyData.keyData = draw(generators.entropy(32))
    place = _from_phone(draw(places()))
    if by_companion:
        companion = ME.replace(":2", ":7")
        place = place | {"chat": companion, "author": companion, "from me": True}
    return _of_protocol(draw, place, "APP_STATE_SYNC_KEY_SHARE", appStateSyncKeyShare=share)


@composite
def mappings(draw: DrawFn) -> Value:
    """Phone numbers and LIDs that are one person, from our phone or a stranger."""
    from waton.protocol import proto

    payload, number = proto.LIDMigrationMappingSyncPayload(), st.integers(1, 1 << 40)
    for _ in range(draw(st.integers(1, 3))):
        one = payload.pnToLidMappings.add(pn=draw(number), assignedLid=draw(number))
        if draw(st.booleans()):
            one.latestLid = draw(number)
    told = proto.LIDMigrationMappingSyncMessage(encodedMappingPayload=payload.SerializeToString())
    place = _from_phone(draw(places()))
    return _of_protocol(draw, place, "LID_MIGRATION_MAPPING_SYNC", lidMigrationMappingSyncMessage=told)


@composite
def answers(draw: DrawFn) -> Value:
    """Our phone answers a question of ours with messages that we could not read."""
    from waton.protocol import proto
    from waton.protocol.message import text_message

    response = proto.Message.PeerDataOperationRequestResponseMessage(stanzaId="3EB0REQUEST")
    for number in range(draw(st.integers(1, 3))):
        info = proto.WebMessageInfo(message=text_message(f"late {number}"), messageTimestamp=5)
        info.key.MergeFrom(proto.MessageKey(remoteJid="77000000000005@lid", id=f"LATE{number}", fromMe=False))
        one = response.peerDataOperationResult.add()
        one.placeholderMessageResendResponse.webMessageInfoBytes = info.SerializeToString()
    place, type = _from_phone(draw(places())), "PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE"
    return _of_protocol(draw, place, type, peerDataOperationRequestResponseMessage=response)


@composite
def histories_of_strangers(draw: DrawFn) -> Value:
    """A history notification that no device of ours has written."""
    from waton.protocol import proto

    place = draw(places().filter(lambda place: not place["from me"]))
    told = proto.Message.HistorySyncNotification(directPath=draw(generators.prose(10)))
    return _of_protocol(draw, place, "HISTORY_SYNC_NOTIFICATION", historySyncNotification=told)


@composite
def event_answers(draw: DrawFn) -> Value:
    """An answer to a third person's event in a group of phone numbers: the only ones that Baileys can open."""
    from waton.jid import Jid
    from waton.protocol import proto
    from waton.protocol.message_secret import Addition, SecretUse, seal

    creator, author = f"{_CEM}@s.whatsapp.net", f"{_BEA}@s.whatsapp.net"
    kinds = proto.Message.EventResponseMessage.EventResponseType.values()
    response = proto.Message.EventResponseMessage(response=draw(st.sampled_from(sorted(set(kinds) - {0}))))
    addition = Addition(SecretUse.EVENT_RESPONSE, "3EB0EVENT", Jid.parse(creator), Jid.parse(author))
    iv = draw(generators.entropy(12))
    told = proto.Message.EncEventResponseMessage(
        eventCreationMessageKey=proto.MessageKey(remoteJid=GROUP, id="3EB0EVENT", participant=creator),
        encPayload=seal(SECRET, addition, response.SerializeToString(), iv),
        encIv=iv,
    )
    original = proto.Message(messageContextInfo=proto.MessageContextInfo(messageSecret=SECRET))
    place = {"chat": GROUP, "author": author, "from me": False, "original": original.SerializeToString()}
    return _story(draw, place, proto.Message(encEventResponseMessage=told))


@composite
def votes(draw: DrawFn) -> Value:
    """A vote in a poll."""
    from waton.protocol import proto

    place = draw(places())
    vote = proto.Message.PollUpdateMessage(pollCreationMessageKey=proto.MessageKey(**_inner_key(draw, place)))
    vote.vote.encPayload, vote.vote.encIv = draw(generators.entropy(20)), draw(generators.entropy(12))
    return _story(draw, place, proto.Message(pollUpdateMessage=vote))


@composite
def contents(draw: DrawFn) -> Value:
    """Something to be shown."""
    from waton.protocol import proto
    from waton.protocol.message import text_message

    pin = proto.Message.PinInChatMessage
    image = proto.Message(imageMessage=proto.Message.ImageMessage(url="x"))
    pinned = proto.Message(pinInChatMessage=pin(type=pin.PIN_FOR_ALL))
    made = (text_message("hello"), proto.Message(conversation="hello"), image, pinned)
    return _story(draw, draw(places()), made[draw(st.integers(0, len(made) - 1))])


@composite
def keys_alone(draw: DrawFn) -> Value:
    """A sender key, and nothing else."""
    from waton.protocol import proto

    told = proto.Message.SenderKeyDistributionMessage(groupId=GROUP)
    return _story(draw, draw(places()), proto.Message(senderKeyDistributionMessage=told))
