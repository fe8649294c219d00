"""What a phone sends a companion that has just been paired: the app-state key, and the first chunk of history.

Both are peer messages, protobufs made here; the phone encrypts and sends them.

Source: Baileys Utils/process-message.ts and Utils/history.ts, whatsmeow message.go (what a companion reads).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

from waton.lab.world import Account
from waton.protocol import proto

_FIRST_MESSAGE_AGE = 3_600
"""Seconds: how old the invented history is."""


def key_share(key_id: bytes, key: bytes, *, raw_id: int, key_indexes: Sequence[int], t: int) -> proto.Message:
    """The app-state sync key. key_id: 6 bytes; key: 32 bytes; t: Unix seconds."""
    message = proto.Message()
    message.protocolMessage.type = proto.Message.ProtocolMessage.Type.Value("APP_STATE_SYNC_KEY_SHARE")
    shared = message.protocolMessage.appStateSyncKeyShare.keys.add()
    shared.keyId.keyId = key_id
    shared.keyData.keyData = key
    shared.keyData.timestamp = t * 1000
    shared.keyData.fingerprint.rawId = raw_id
    shared.keyData.fingerprint.currentIndex = max(key_indexes)
    shared.keyData.fingerprint.deviceIndexes.extend(key_indexes)
    return message


def history(me: Account, contacts: Iterable[Account], t: int, *, nct_salt: bytes) -> proto.Message:
    """INITIAL_BOOTSTRAP, inline: push names, the key of client tokens, and a chat with one message for each contact."""
    contacts = list(contacts)
    sync = proto.HistorySync(
        syncType=proto.HistorySync.HistorySyncType.Value("INITIAL_BOOTSTRAP"),
        chunkOrder=1,
        progress=100,
        nctSalt=nct_salt,
    )
    for account in (me, *contacts):
        sync.pushnames.add(id=str(account.pn), pushname=account.name)
        sync.phoneNumberToLidMappings.add(pnJid=str(account.pn), lidJid=str(account.lid))
    for contact in contacts:
        _chat(sync, me, contact, t - _FIRST_MESSAGE_AGE)
    packed = zlib.compress(sync.SerializeToString())
    message = proto.Message()
    message.protocolMessage.type = proto.Message.ProtocolMessage.Type.Value("HISTORY_SYNC_NOTIFICATION")
    notification = message.protocolMessage.historySyncNotification
    notification.syncType = proto.Message.HistorySyncType.Value("INITIAL_BOOTSTRAP")
    notification.chunkOrder = 1
    notification.progress = 100
    notification.fileLength = len(packed)
    notification.initialHistBootstrapInlinePayload = packed
    return message


def _chat(sync: proto.HistorySync, me: Account, contact: Account, t: int) -> None:
    chat = sync.conversations.add(
        id=str(contact.lid),
        name=contact.name,
        pnJid=str(contact.pn),
        lidJid=str(contact.lid),
        conversationTimestamp=t,
        unreadCount=0,
    )
    entry = chat.messages.add(msgOrderId=1).message
    entry.key.remoteJid = str(contact.lid)
    entry.key.fromMe = False
    entry.key.id = f"LAB{me.id:06d}{contact.id:06d}"
    entry.message.conversation = f"Hello {me.name}, this is {contact.name}."
    entry.messageTimestamp = t
    entry.pushName = contact.name
