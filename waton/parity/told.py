"""Events in one form: Baileys' lists taken apart into single pieces of news, waton's events put into Baileys' words.

Both give (type, value) with one message, one contact, one key in each value, so that it does not count how many came
out of one flush. What an auth state is made of is each client's own business: of creds.update only the fact is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias, cast

from google.protobuf.message import Message

from waton.client.events import (
    BlocklistUpdate,
    CallStatus,
    CallUpdate,
    ChatsUpdate,
    ConnectionStatus,
    ConnectionUpdate,
    ContactsUpdate,
    CredentialsUpdate,
    Event,
    GroupEvent,
    GroupJoinRequest,
    GroupMemberTagUpdate,
    GroupParticipantsUpdate,
    GroupsUpdate,
    GroupsUpsert,
    IdentityChanged,
    LidMappingUpdate,
    MediaUpdate,
    MessageAddition,
    MessageEdited,
    MessageKey,
    MessageReaction,
    MessageReceiptUpdate,
    MessageRefused,
    MessageResent,
    MessageRevoked,
    MessagesDelete,
    MessageStatus,
    MessagesUpdate,
    MessagesUpsert,
    MessageUndecryptable,
    OfflineDrained,
    OnlineUpdate,
    Presence,
    PresenceUpdate,
)
from waton.errors import Disconnected, DisconnectReason
from waton.jid import Jid
from waton.protocol.stanza.group import GroupMetadata, GroupParticipant, MemberAddMode

Value: TypeAlias = Mapping[str, Any]
Piece: TypeAlias = tuple[str, Value]

# --- Baileys' ---------------------------------------------------------------------------------------------------------


def single(type: str, value: object) -> Iterator[Piece]:
    """The pieces of one event as Baileys emitted it."""
    if type == "creds.update":
        yield type, {}
    elif type == "messages.upsert":
        whole = cast("Mapping[str, Any]", value)
        about = {name: whole[name] for name in ("type", "requestId") if whole.get(name)}
        for message in whole["messages"]:
            yield from _message({**about, **message})
    elif type == "connection.update":
        yield type, _connection(cast("Mapping[str, Any]", value))
    elif type == "messaging-history.set":
        # Its mappings are lost when it happens to pass through Baileys' buffer.
        whole = cast("Mapping[str, Any]", value)
        yield type, {name: member for name, member in whole.items() if name != "lidPnMappings"}
    elif type == "messages.update":
        for update in cast("list[dict[str, Any]]", value):
            yield type, {**update, "key": _of_person(update["key"])}
    elif type == "chats.update":
        for chat in cast("list[dict[str, Any]]", value):
            yield type, {name: member for name, member in chat.items() if name not in _MERGED}
    elif type == "message-receipt.update":
        for receipt in cast("list[dict[str, Any]]", value):
            yield type, _receipt(receipt)
    elif isinstance(value, list):
        for piece in cast("list[Any]", value):
            yield type, piece if isinstance(piece, dict) else {"id": piece}
    else:
        yield type, cast("Mapping[str, Any]", value)


_ERROR, _SERVER_ACK = 0, 2
_MERGED = ("messages", "unreadCount")
"""What adds up when Baileys' buffer merges several updates of a chat, as many as it happens to hold."""
_DEVICE = re.compile(r":\d+@")


def _of_person(key: Mapping[str, Any]) -> Value:
    """A key without the device whose receipt came first, which is up to chance."""
    return {name: _DEVICE.sub("@", member) if name == "remoteJid" else member for name, member in key.items()}


def _receipt(value: Mapping[str, Any]) -> Value:
    """A receipt without the device it came from: which of a reader's is the first is up to chance."""
    return {"key": _named(value["key"]), "receipt": value["receipt"]}


def _named(key: Mapping[str, Any]) -> Value:
    """What names a message in its key."""
    return {name: member for name, member in key.items() if name in ("remoteJid", "fromMe", "id")}


def _message(value: dict[str, Any]) -> Iterator[Piece]:
    """A message, and how far it has got as news of its own.

    Baileys merges a receipt into the event of its message when it overtakes that, which is up to chance. Whether the
    chat is a broadcast, and who wrote to a group, is said by the key already.
    """
    status, receipts = value.pop("status", None), value.pop("userReceipt", [])
    for said_twice in ("broadcast", "participant"):
        value.pop(said_twice, None)
    why = value.pop("messageStubParameters", None) if status == _ERROR else None
    yield "messages.upsert", value
    if why:
        update = {"status": status, "messageStubParameters": why}
        yield "messages.update", {"key": _named(value["key"]), "update": update}
    for receipt in receipts:
        yield "message-receipt.update", _receipt({"key": value["key"], "receipt": receipt})
    if value["key"].get("fromMe") and isinstance(status, int):
        key = _named(value["key"])
        for reached in range(_SERVER_ACK, status + 1):
            update = {"status": reached, "messageTimestamp": value.get("messageTimestamp")}
            yield "messages.update", {"key": key, "update": update}


_CONNECTION_FIELDS = (
    "connection",
    "code",
    "isNewLogin",
    "isOnline",
    "legacy",
    "reachoutTimeLock",
    "receivedPendingNotifications",
)


def _connection(value: Value) -> Value:
    told = {
        name: value[name]
        for name in ("connection", "isNewLogin", "code", "receivedPendingNotifications")
        if name in value
    }
    told |= {name: value[name] for name in ("isOnline", "legacy", "reachoutTimeLock") if name in value}
    if value.get("qr"):
        told["qr"] = "<the text of a QR>"
    return told


# --- ours -------------------------------------------------------------------------------------------------------------


def as_baileys(event: Event) -> Iterator[Piece]:
    """The same news as Baileys would tell it."""
    match event:
        case ConnectionUpdate():
            yield from ((event.type, value) for value in _status(event))
        case OfflineDrained():
            yield event.type, {"receivedPendingNotifications": True}
        case OnlineUpdate():
            yield event.type, {"isOnline": event.is_online}
        case CredentialsUpdate():
            yield event.type, {}
        case MessagesUpsert():
            yield event.type, _upsert(event)
        case MessagesUpdate():
            yield event.type, {"key": _key(event.key), "update": _progress(event)}
        case MessageUndecryptable():
            # That it could be read after all is said by the message itself, in Baileys by that alone.
            if not event.is_resolved:
                yield MessagesUpsert.type, _placeholder(event)
        case MessageEdited() | MessageRevoked() | MessageAddition() | MessageReaction() | MessageReceiptUpdate():
            yield event.type, _of_message(event)
        case MediaUpdate():
            media = _present(ciphertext=event.ciphertext or None, iv=event.iv or None)
            yield event.type, {"key": _key(event.key), "media": media, "error": _present(code=event.error)}
        case MessageRefused() | MessageResent():
            yield event.type, {"key": _key(event.key)}
        case MessagesDelete():
            yield event.type, {"keys": [_key(key) for key in event.keys]}
        case GroupParticipantsUpdate() | GroupsUpsert() | GroupsUpdate() | GroupJoinRequest() | GroupMemberTagUpdate():
            yield from _of_group(event)
        case ChatsUpdate():
            expiration = event.ephemeral_expiration or None
            told = {"ephemeralSettingTimestamp": event.ephemeral_setting_timestamp, "ephemeralExpiration": expiration}
            yield event.type, {"id": str(event.chat), **told}
        case ContactsUpdate():
            picture = None if event.picture is None else "changed" if event.picture else "removed"
            about = {"notify": event.push_name, "verifiedName": event.verified_name, "imgUrl": picture}
            yield event.type, _present(id=event.contact, **about)
        case LidMappingUpdate():
            yield event.type, {"pn": str(event.pn), "lid": str(event.lid)}
        case PresenceUpdate():
            yield event.type, _presence(event)
        case CallUpdate():
            yield event.type, _call(event)
        case BlocklistUpdate():
            yield event.type, {"blocklist": [str(jid) for jid in event.people], "type": event.action.value}
        case IdentityChanged():
            yield event.type, {"id": str(event.jid)}


_CONNECTING: Value = {"connection": "connecting", "receivedPendingNotifications": False}
"""What waits is handed out anew on each connection: OfflineDrained is told later."""


def _status(event: ConnectionUpdate) -> Iterator[Value]:
    match event.status:
        case ConnectionStatus.CONNECTING:
            yield _CONNECTING
        case ConnectionStatus.OPEN:
            yield {"connection": "open"}
        case ConnectionStatus.QR:
            yield {"qr": "<the text of a QR>"}
        case ConnectionStatus.PAIRED:
            yield {"isNewLogin": True}
        case ConnectionStatus.RECONNECTING:
            # A close and the next attempt in one: Baileys leaves the second to the application.
            yield {"connection": "close", "code": _code(event.error)}
            yield _CONNECTING
        case ConnectionStatus.CLOSED:
            yield {"connection": "close", "code": _code(event.error)}
        case ConnectionStatus.IDLE:
            return


def _code(error: Exception | None) -> int | None:
    if not isinstance(error, Disconnected):
        return None
    # A code we have no reason for keeps its number; a WebSocket's own close code is none of the protocol's.
    is_unknown = error.reason in (DisconnectReason.BAD_SESSION, DisconnectReason.REFUSED) and error.code is not None
    return error.code if is_unknown else int(error.reason)


def _key(key: MessageKey) -> dict[str, Any]:
    return {"remoteJid": str(key.chat), "fromMe": key.from_me, "id": key.id}


def _whole_key(key: MessageKey) -> dict[str, Any]:
    """A key with all that the stanza told of it."""
    told = _key(key)
    if key.addressing_mode is None:
        return told  # it came in no stanza
    several = key.chat.is_group or key.chat.is_broadcast
    people = {"participant": key.author.bare, "participantAlt": key.author_alt} if several else {}
    alt = people.get("participantAlt")
    if alt is not None:
        people["participantAlt"] = alt.bare
    if key.is_view_once:
        told["isViewOnce"] = True
    return {**told, **_present(remoteJidAlt=key.chat_alt, addressingMode=key.addressing_mode, **people)}


def _upsert(event: MessagesUpsert) -> Value:
    return {
        "type": event.upsert.value,
        "requestId": event.request_id,
        "key": _whole_key(event.key),
        "message": fields(event.message),
        "messageTimestamp": event.timestamp,
        "pushName": event.push_name,
        "verifiedBizName": event.verified_name,
        "retryCount": event.retry_count or None,
    }


_CIPHERTEXT_STUB = 2


def _placeholder(event: MessageUndecryptable) -> Value:
    return {
        "type": event.upsert.value,
        "key": _whole_key(event.key),
        "messageTimestamp": event.timestamp,
        "pushName": event.push_name,
        "messageStubType": _CIPHERTEXT_STUB,
        "messageStubParameters": [event.reason],
    }


def _progress(event: MessagesUpdate) -> Value:
    if event.error is not None:
        return {"status": int(event.status), "messageStubParameters": [str(event.error)]}
    return {"status": int(event.status), "messageTimestamp": event.timestamp}


_REVOKE_STUB = 1


def _of_message(
    event: MessageEdited | MessageRevoked | MessageAddition | MessageReaction | MessageReceiptUpdate,
) -> Value:
    key = _key(event.key)
    match event:
        case MessageEdited():
            message = {"editedMessage": {"message": fields(event.message)}}
            update = {"message": message, "messageTimestamp": event.timestamp}
            return {"key": _whole_key(event.key), "update": update}
        case MessageRevoked():
            update = {"message": None, "messageStubType": _REVOKE_STUB, "key": _whole_key(event.by)}
            return {"key": _whole_key(event.key), "update": update}
        case MessageReaction():
            told = _present(key=_whole_key(event.by), text=event.text, senderTimestampMs=event.sent_at_ms)
            return {"key": key, "reaction": told}
        case MessageReceiptUpdate():
            when = "receiptTimestamp" if event.status is MessageStatus.DELIVERED else "readTimestamp"
            return {"key": key, "receipt": {"userJid": str(event.reader.bare), when: event.timestamp}}
        case MessageAddition():
            return {"key": key, "update": {event.use.value: _key(event.by)}}


def _of_group(event: GroupEvent) -> Iterator[Piece]:
    match event:
        case GroupParticipantsUpdate():
            yield event.type, _by(event, participants=_people(event.participants), action=event.action.value)
        case GroupsUpsert():
            yield event.type, {**_metadata(event.metadata), **_by(event)}
        case GroupsUpdate():
            settings = _settings(event)
            if event.ephemeral is None or any(one is not None for one in settings.values()):
                yield event.type, _by(event, **settings)
            if event.ephemeral is not None:
                # How long messages stay is the chat's business there.
                timer = {"ephemeralSettingTimestamp": event.timestamp, "ephemeralExpiration": event.ephemeral or None}
                yield ChatsUpdate.type, {"id": str(event.group), **timer}
        case GroupJoinRequest():
            told = {"participant": event.participant, "action": event.action.value, "method": event.method or None}
            yield event.type, _by(event, **told)
        case GroupMemberTagUpdate():
            person = {"participant": str(event.participant), "label": event.label}
            yield event.type, {"groupId": str(event.group), **person, "messageTimestamp": event.timestamp}


def _people(participants: Iterable[GroupParticipant]) -> list[Value]:
    return [
        _present(id=one.jid, phoneNumber=one.phone_number, lid=one.lid, admin=one.role if one.is_admin else None)
        for one in participants
    ]


def _metadata(group: GroupMetadata) -> Value:
    about = group.description
    told = {} if about is None else {"desc": about.text, "descId": about.id, "descOwner": about.by}
    return _present(
        id=group.id,
        addressingMode=group.addressing_mode,
        subject=group.subject,
        subjectOwner=group.subject_owner,
        subjectOwnerPn=group.subject_owner_pn,
        subjectTime=group.subject_t,
        size=group.size,
        creation=group.creation,
        owner=group.owner,
        ownerPn=group.owner_pn,
        linkedParent=group.linked_parent,
        restrict=group.locked,
        announce=group.announcement,
        isCommunity=group.is_parent,
        isCommunityAnnounce=group.is_default_sub_group,
        joinApprovalMode=group.membership_approval,
        memberAddMode=group.member_add_mode == MemberAddMode.ALL,
        participants=_people(group.participants),
        ephemeralDuration=group.ephemeral or None,
        **told,
    )


def _settings(event: GroupsUpdate) -> dict[str, Any]:
    return {
        "subject": event.subject,
        "desc": event.description,
        "announce": event.announcement,
        "restrict": event.locked,
        "inviteCode": event.invite_code,
        "memberAddMode": None if event.member_add_mode is None else event.member_add_mode == "all_member_add",
        "joinApprovalMode": event.membership_approval,
    }


def _by(event: GroupParticipantsUpdate | GroupsUpsert | GroupsUpdate | GroupJoinRequest, **told: Any) -> Value:
    number = None if event.author_alt is None or event.author_alt.is_lid else event.author_alt
    return _present(id=event.group, author=event.author, authorPn=number, **told)


def _call(event: CallUpdate) -> Value:
    told = _present(chatId=event.chat, id=event.id, status=event.status.value, callerPn=event.caller_pn)
    # A moment as JSON; what Baileys repeats of the offer with everything that follows, its receiver has to remember.
    about = {"offline": event.is_offline, "date": {"$date": event.timestamp * 1000}, "latencyMs": event.latency_ms}
    if event.status is CallStatus.OFFER:
        about |= _present(isVideo=event.is_video, isGroup=event.group is not None, groupJid=event.group)
    return {**told, "from": str(event.caller), **about}


def _presence(event: PresenceUpdate) -> Value:
    doing = Presence.AVAILABLE if event.presence is Presence.PAUSED else event.presence
    told = _present(lastKnownPresence=doing.value, lastSeen=event.last_seen, groupOnlineCount=event.online_count)
    return {"id": str(event.chat), "presences": {str(event.participant): told}}


def _present(**told: Any) -> dict[str, Any]:
    """Those that are there, addresses as text."""
    return {name: str(one) if isinstance(one, Jid) else one for name, one in told.items() if one is not None}


def fields(message: Message) -> dict[str, Any]:
    """What is set in a protobuf, as Baileys' objects hold it."""
    told: dict[str, Any] = {}
    for descriptor, value in message.ListFields():
        told[descriptor.name] = [_plain(one) for one in value] if descriptor.is_repeated else _plain(value)
    return told


def _plain(value: object) -> object:
    return fields(value) if isinstance(value, Message) else str(value) if isinstance(value, Jid) else value
