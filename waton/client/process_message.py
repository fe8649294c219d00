"""What a decrypted message means: the events it is, and what it asks of us.

One message in, a tuple of events and a tuple of actions out. Nothing is stored, sent or looked up here: what only a
store knows (who wrote the message that this one changes, who is an admin) comes in as an argument, and what changes
our state (keys, mappings, secrets) goes out as an action for the caller, to be done in the same unit of work.

Who wrote it is settled before: `key.author` is the device whose session or sender key opened it. Everything inside is
that person's word only, told from his side:

* Our own device's wrapper is taken off only when one of our own devices wrote it, and it must name the chat that the
  server named.
* What a message says about another one names it from its author's side; it is turned to ours.
* An edit is for the author of the original, a revoke for him or an admin of the group. Where that cannot be known here
  the event says so (Authority); where it is known to be wrong the message is refused, and nothing is changed.
* Keys, mappings, history and answers to our requests are taken from our own phone alone.

What is no such thing is a message to be shown: messages.upsert, with wrappers as they came. Kinds we do not know are
shown too.

Source: Baileys Utils/process-message.ts (cleanMessage, processMessage) and Utils/decode-wa-message.ts, whatsmeow
message.go; docs/parity/better.md for what is done otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from google.protobuf.message import DecodeError as ProtobufError

from waton.client.events import (
    Authority,
    ChatsUpdate,
    ContactsUpdate,
    GroupMemberTagUpdate,
    MessageAddition,
    MessageEdited,
    MessageKey,
    MessageReaction,
    MessageRefused,
    MessageRevoked,
    MessagesUpsert,
    RefusedReason,
)
from waton.client.message_keys import Me, as_text, clean_key, named, person, same_person
from waton.client.message_outcome import (
    KeepHistory,
    Known,
    LearnMappings,
    Outcome,
    Received,
    ShareAppStateKeys,
    StoreAppStateKeys,
    StoreSecret,
    TakeAnswers,
    TakePeerData,
)
from waton.jid import STATUS_BROADCAST, Jid, JidServer
from waton.protocol import message as content
from waton.protocol import proto
from waton.protocol.message_secret import SecretUse

_Protocol = proto.Message.ProtocolMessage
_Sealed = proto.Message.SecretEncryptedMessage
_NO_NAME = ("", "-")
"""What a push name is when there is none. Source: whatsmeow."""


# --- the message ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class _Case:
    """One message under examination: unwrapped, its content, and everything known about it."""

    received: Received
    body: proto.Message
    """The content inside of all wrappers."""
    me: Me
    known: Known

    @property
    def key(self) -> MessageKey:
        return self.received.key

    @property
    def is_from_phone(self) -> bool:
        return self.key.from_me and self.key.author.device == 0

    def refused(self, reason: RefusedReason, what: str, target_id: str = "") -> Outcome:
        return Outcome((MessageRefused(self.key, reason, what, self.received.timestamp, target_id),))


def process_message(received: Received, me: Me, known: Known | None = None) -> Outcome:
    """What a message means.

    Args:
        received: the message, decrypted once.
        me: our own addresses.
        known: what the store knows about it.
    Returns:
        events in the order of their emission, and what else is to be done in the same unit of work. Both are empty for
        a message that only carries a sender key.
    """
    received = _clean(received)
    known = known or Known()
    unwrapped = _unwrap_own(received, me)
    if unwrapped is None:
        return _Case(received, received.message, me, known).refused(RefusedReason.DESTINATION, "deviceSentMessage")
    case = _Case(unwrapped, content.normalise(unwrapped.message), me, known)
    meaning = _meaning(case)
    return Outcome(_contact(case) + meaning.events, _secret(case) + meaning.actions)


def target_of(received: Received, me: Me) -> MessageKey | None:
    """The message that this one edits or takes back, from our side: whose author is to be looked up.

    None when it is a message of its own.
    """
    received = _clean(received)
    unwrapped = _unwrap_own(received, me)
    if unwrapped is None:
        return None
    body = content.normalise(unwrapped.message)
    if body.HasField("protocolMessage") and _type_of(body.protocolMessage) in (
        _Protocol.REVOKE,
        _Protocol.MESSAGE_EDIT,
    ):
        return named(body.protocolMessage.key, unwrapped.key, me)
    if body.HasField("secretEncryptedMessage") and body.secretEncryptedMessage.secretEncType in _EDITS:
        return named(body.secretEncryptedMessage.targetMessageKey, unwrapped.key, me)
    return None


def _clean(received: Received) -> Received:
    key = clean_key(received.key)
    return received if key is received.key else replace(received, key=key)


def _unwrap_own(received: Received, me: Me) -> Received | None:
    """Without the wrapper for our own devices, when one of them wrote it; None when it names another chat."""
    key = received.key
    if not key.from_me or not received.message.HasField("deviceSentMessage"):
        return received
    unwrapped = content.unwrap_device_sent(received.message)
    destination = person(unwrapped.destination)
    if destination is None:
        return None if unwrapped.destination else replace(received, message=unwrapped.message)
    chat = destination.bare
    if me.is_me(key.chat):
        # The server named no recipient: only the wrapper says where it went.
        return replace(received, key=replace(key, chat=chat), message=unwrapped.message)
    if same_person((key.chat, key.chat_alt), (chat,)) is False:
        return None
    return replace(received, message=unwrapped.message)


def _contact(case: _Case) -> tuple[ContactsUpdate, ...]:
    received, known, key = case.received, case.known, case.key
    if key.from_me or key.chat.is_newsletter:
        return ()
    push = received.push_name if received.push_name not in (*_NO_NAME, known.push_name) else None
    verified = received.verified_name if received.verified_name not in ("", known.verified_name) else None
    if push is None and verified is None:
        return ()
    alt = None if key.author_alt is None else key.author_alt.bare
    return (ContactsUpdate(key.author.bare, alt, push, verified),)


def _secret(case: _Case) -> tuple[StoreSecret, ...]:
    secret = content.secret_of(case.received.message)
    return () if secret is None else (StoreSecret(case.key, secret),)


def _meaning(case: _Case) -> Outcome:
    present = {field.name for field, _ in case.body.ListFields()}
    for kind, handler in _KINDS.items():
        if kind in present:
            return handler(case)
    carries_key = any(place.HasField("senderKeyDistributionMessage") for place in (case.received.message, case.body))
    return Outcome() if carries_key and not content.says_something(case.body) else _shown(case)


def _shown(case: _Case) -> Outcome:
    received = case.received
    shown = MessagesUpsert(
        received.key,
        received.message,
        received.timestamp,
        received.upsert,
        received.push_name,
        verified_name=received.verified_name,
        request_id=received.request_id,
    )
    return Outcome((shown,))


# --- what changes another message -------------------------------------------------------------------------------------


def _authority(case: _Case, target: MessageKey, *, admins_may: bool) -> Authority | None:
    """By what right the author of this message changes that one; None when by none."""
    by, original = case.key, case.known.original_author
    addresses = (by.author, by.author_alt)
    if original is not None:
        is_author = case.me.is_me(original) if by.from_me else same_person((original,), addresses)
        if is_author is not None:
            return Authority.AUTHOR if is_author else _admin(case, admins_may=admins_may)
    if target.from_me == by.from_me and same_person((target.author, target.author_alt), addresses) is not False:
        return Authority.UNCONFIRMED_AUTHOR
    return _admin(case, admins_may=admins_may)


def _admin(case: _Case, *, admins_may: bool) -> Authority | None:
    if not (admins_may and case.key.chat.is_group) or case.known.is_admin is False:
        return None
    return Authority.ADMIN if case.known.is_admin else Authority.UNCONFIRMED_ADMIN


def _with_author(case: _Case, target: MessageKey) -> MessageKey:
    """The key with the author that our own copy of the message has."""
    original = case.known.original_author
    if original is None or original.bare == target.author:
        return target
    return replace(target, author=original.bare, author_alt=None, from_me=case.me.is_me(original))


def _edit(case: _Case) -> Outcome:
    told = case.body.protocolMessage
    target = named(told.key, case.key, case.me)
    if not target.id or not told.HasField("editedMessage"):
        return case.refused(RefusedReason.MALFORMED, "MESSAGE_EDIT", target.id)
    authority = _authority(case, target, admins_may=False)
    if authority is None:
        return case.refused(RefusedReason.NOT_AUTHOR, "MESSAGE_EDIT", target.id)
    at = told.timestampMs // 1000 if told.timestampMs > 0 else case.received.timestamp
    return Outcome((MessageEdited(_with_author(case, target), told.editedMessage, case.key, at, authority),))


def _revoke(case: _Case) -> Outcome:
    target = named(case.body.protocolMessage.key, case.key, case.me)
    if not target.id:
        return case.refused(RefusedReason.MALFORMED, "REVOKE")
    authority = _authority(case, target, admins_may=True)
    if authority is None:
        reason = RefusedReason.NOT_ADMIN if case.key.chat.is_group else RefusedReason.NOT_AUTHOR
        return case.refused(reason, "REVOKE", target.id)
    return Outcome((MessageRevoked(_with_author(case, target), case.key, case.received.timestamp, authority),))


def _reaction(case: _Case) -> Outcome:
    told = case.body.reactionMessage
    target = named(told.key, case.key, case.me)
    if not target.id:
        return case.refused(RefusedReason.MALFORMED, "reactionMessage")
    at = told.senderTimestampMs if told.HasField("senderTimestampMs") else None
    return Outcome((MessageReaction(target, as_text(told.text), case.key, case.received.timestamp, at),))


_EDITS = {
    _Sealed.EVENT_EDIT: SecretUse.EVENT_EDIT,
    _Sealed.MESSAGE_EDIT: SecretUse.MESSAGE_EDIT,
    _Sealed.POLL_EDIT: SecretUse.POLL_EDIT,
}
"""Additions that are for the author of the message alone."""


def _vote(case: _Case) -> Outcome:
    told = case.body.pollUpdateMessage
    if not told.HasField("vote"):
        return _shown(case)
    at = told.senderTimestampMs if told.HasField("senderTimestampMs") else None
    return _addition(case, SecretUse.POLL_VOTE, told.pollCreationMessageKey, told.vote, sent_at_ms=at)


def _event_response(case: _Case) -> Outcome:
    told = case.body.encEventResponseMessage
    return _addition(case, SecretUse.EVENT_RESPONSE, told.eventCreationMessageKey, told)


def _sealed_reaction(case: _Case) -> Outcome:
    told = case.body.encReactionMessage
    return _addition(case, SecretUse.REACTION, told.targetMessageKey, told)


def _sealed_comment(case: _Case) -> Outcome:
    told = case.body.encCommentMessage
    return _addition(case, SecretUse.COMMENT, told.targetMessageKey, told)


def _sealed_edit(case: _Case) -> Outcome:
    told = case.body.secretEncryptedMessage
    if told.secretEncType == _Sealed.POLL_ADD_OPTION:
        return _addition(case, SecretUse.POLL_ADD_OPTION, told.targetMessageKey, told)
    use = _EDITS.get(told.secretEncType)
    if use is None:
        return _shown(case)
    target = named(told.targetMessageKey, case.key, case.me)
    authority = _authority(case, target, admins_may=False)
    if authority is None:
        return case.refused(RefusedReason.NOT_AUTHOR, use.value, target.id)
    return _addition(case, use, told.targetMessageKey, told, authority=authority)


_SealedPart: TypeAlias = (
    proto.Message.PollEncValue
    | proto.Message.EncEventResponseMessage
    | proto.Message.EncReactionMessage
    | proto.Message.EncCommentMessage
    | proto.Message.SecretEncryptedMessage
)


def _addition(
    case: _Case,
    use: SecretUse,
    inner: proto.MessageKey,
    sealed: _SealedPart,
    *,
    sent_at_ms: int | None = None,
    authority: Authority | None = None,
) -> Outcome:
    target = named(inner, case.key, case.me)
    if not target.id or not sealed.encPayload:
        return case.refused(RefusedReason.MALFORMED, use.value, target.id)
    made = MessageAddition(
        key=_with_author(case, target),
        by=case.key,
        use=use,
        payload=sealed.encPayload,
        iv=sealed.encIv,
        timestamp=case.received.timestamp,
        sent_at_ms=sent_at_ms,
        authority=authority,
    )
    return Outcome((made,))


# --- protocol messages ------------------------------------------------------------------------------------------------


def _type_of(told: proto.Message.ProtocolMessage) -> int | None:
    """The type; None when absent, which would read as REVOKE."""
    return told.type if told.HasField("type") else None


def _protocol(case: _Case) -> Outcome:
    type = _type_of(case.body.protocolMessage)
    handler = _TYPES.get(type) if type is not None else None
    if handler is not None:
        return handler(case)
    own = _FROM_US.get(type) if type is not None else None
    if own is not None:
        is_allowed = case.key.from_me if own.any_device else case.is_from_phone
        return own.handler(case) if is_allowed else case.refused(RefusedReason.NOT_OURS, _name_of(type))
    # Our own devices' talk among themselves is shown nowhere; it stays in the journal.
    return Outcome() if case.received.is_peer else _shown(case)


def _name_of(type: int | None) -> str:
    try:
        return _Protocol.Type.Name(_Protocol.Type.ValueType(type or 0))
    except ValueError:
        return str(type)


def _ephemeral(case: _Case) -> Outcome:
    at, key = case.received.timestamp, case.key
    is_list = key.chat.is_broadcast and key.chat != STATUS_BROADCAST and not key.from_me
    chat = key.author.bare if is_list else key.chat
    return Outcome((ChatsUpdate(chat, case.body.protocolMessage.ephemeralExpiration, at, key),))


def _member_label(case: _Case) -> Outcome:
    key, label = case.key, as_text(case.body.protocolMessage.memberLabel.label)
    if not key.chat.is_group:
        return _shown(case)
    alt = None if key.author_alt is None else key.author_alt.bare
    return Outcome((GroupMemberTagUpdate(key.chat, key.author.bare, label, case.received.timestamp, alt),))


def _history(case: _Case) -> Outcome:
    told = case.body.protocolMessage
    if not told.HasField("historySyncNotification"):
        return case.refused(RefusedReason.MALFORMED, "HISTORY_SYNC_NOTIFICATION")
    return Outcome(actions=(KeepHistory(case.key, told.historySyncNotification),))


def _app_state_keys(case: _Case) -> Outcome:
    keys = tuple(case.body.protocolMessage.appStateSyncKeyShare.keys)
    return Outcome(actions=(StoreAppStateKeys(keys),) if keys else ())


def _app_state_request(case: _Case) -> Outcome:
    ids = tuple(one.keyId for one in case.body.protocolMessage.appStateSyncKeyRequest.keyIds)
    return Outcome(actions=(ShareAppStateKeys(ids, case.key.author),) if ids else ())


def _mappings(case: _Case) -> Outcome:
    payload = case.body.protocolMessage.lidMigrationMappingSyncMessage.encodedMappingPayload
    try:
        told = proto.LIDMigrationMappingSyncPayload.FromString(payload)
    except ProtobufError:
        return case.refused(RefusedReason.MALFORMED, "LID_MIGRATION_MAPPING_SYNC")
    pairs = tuple(
        (Jid(str(one.pn), JidServer.PN), Jid(str(one.latestLid or one.assignedLid), JidServer.LID))
        for one in told.pnToLidMappings
        if one.pn and (one.latestLid or one.assignedLid)
    )
    return Outcome(actions=(LearnMappings(pairs, told.chatDbMigrationTimestamp or None),))


def _peer_data(case: _Case) -> Outcome:
    response = case.body.protocolMessage.peerDataOperationRequestResponseMessage
    request_id = as_text(response.stanzaId)
    answers = [
        one.placeholderMessageResendResponse.webMessageInfoBytes
        for one in response.peerDataOperationResult
        if one.placeholderMessageResendResponse.webMessageInfoBytes
    ]
    if not answers:
        return Outcome(actions=(TakePeerData(request_id, response),))
    read = [_from_phone(one, case.me, request_id) for one in answers]
    found = tuple(one for one in read if one is not None)
    return Outcome(actions=(TakeAnswers(request_id, found, len(read) - len(found)),))


def _from_phone(data: bytes, me: Me, request_id: str) -> Received | None:
    try:
        return from_web_message(proto.WebMessageInfo.FromString(data), me, request_id=request_id)
    except ProtobufError:
        return None


def from_web_message(info: proto.WebMessageInfo, me: Me, *, request_id: str = "") -> Received | None:
    """A message as our phone keeps it, in the form of one that was decrypted; None when it names no chat or author.

    Source: whatsmeow ParseWebMessage.
    """
    chat = person(info.key.remoteJid)
    id = as_text(info.key.id)
    if chat is None or not id:
        return None
    own = me.beside(chat)
    author = own if info.key.fromMe else person(info.key.participant or info.participant)
    if author is None and chat.is_user:
        author = chat
    if author is None:
        return None
    key = clean_key(MessageKey(chat.bare, id, info.key.fromMe, author))
    return Received(
        key,
        info.message,
        info.messageTimestamp,
        push_name=as_text(info.pushName),
        verified_name=as_text(info.verifiedBizName),
        request_id=request_id,
    )


Handler: TypeAlias = Callable[[_Case], Outcome]


@dataclass(frozen=True, slots=True)
class _FromUs:
    """What only our own devices may say."""

    handler: Handler
    any_device: bool = False
    """False: our phone alone."""


"""In this order: what stands beside one of these is not shown. Source: Baileys processMessage."""
_KINDS: Mapping[str, Handler] = {
    "protocolMessage": _protocol,
    "reactionMessage": _reaction,
    "pollUpdateMessage": _vote,
    "encEventResponseMessage": _event_response,
    "encReactionMessage": _sealed_reaction,
    "encCommentMessage": _sealed_comment,
    "secretEncryptedMessage": _sealed_edit,
}
_TYPES: Mapping[Any, Handler] = {
    _Protocol.REVOKE: _revoke,
    _Protocol.MESSAGE_EDIT: _edit,
    _Protocol.EPHEMERAL_SETTING: _ephemeral,
    _Protocol.GROUP_MEMBER_LABEL_CHANGE: _member_label,
}
_FROM_US: Mapping[Any, _FromUs] = {
    _Protocol.HISTORY_SYNC_NOTIFICATION: _FromUs(_history),
    _Protocol.APP_STATE_SYNC_KEY_SHARE: _FromUs(_app_state_keys),
    _Protocol.APP_STATE_SYNC_KEY_REQUEST: _FromUs(_app_state_request, any_device=True),
    _Protocol.LID_MIGRATION_MAPPING_SYNC: _FromUs(_mappings),
    _Protocol.PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE: _FromUs(_peer_data),
}
