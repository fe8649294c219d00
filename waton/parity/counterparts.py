"""What of waton stands for what of Baileys: the tables of the static scan, and nothing else.

Each line is a claim that the scan checks: a symbol that waton does not define, or whose body does nothing yet, makes
the row missing whatever the line says. `lacks` names what the counterpart does not do, and makes the row open. What no
table names falls to the domain of the file it comes from, and is missing: a new Baileys shows up by itself.

MODULES names, domain by domain, the modules that make it up, those included that are still to be written. A domain with
one of them absent or empty has no good row, however well its protobuf messages agree (waton.parity.scan).

"Connection" (sockets, login, keepalive, stream codes) is part of the domain noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from waton.parity.evidence import Domain
from waton.parity.own import Shape


@dataclass(frozen=True, slots=True)
class Counterpart:
    """What of waton stands for one thing of Baileys'."""

    domain: Domain
    symbols: tuple[str, ...] = ()
    """"path/inside/waton.py:Qual.name"; none when waton has nothing like it."""
    lacks: str = ""
    """What the counterpart does not do."""
    unit: int = 0
    """For an option that is a number: how many of Baileys' units make one of ours; 0 when it is not compared."""


@dataclass(frozen=True, slots=True)
class Module:
    """One module of a domain, and the names it must define; without names it is still to be written."""

    path: str
    names: tuple[str, ...] = ()

    @property
    def is_planned(self) -> bool:
        return not self.names


_RECV, _SEND = Domain.MESSAGES_RECV, Domain.MESSAGES_SEND
_SYNC, _RETRY, _GROUP = Domain.APP_STATE_SYNC, Domain.RETRY_MANAGER, Domain.GROUP_SIGNAL
_MEDIA, _GROUPS, _CHATS, _NOISE = Domain.MEDIA, Domain.GROUPS, Domain.CHATS, Domain.NOISE
_PREKEYS, _USYNC, _PAIRING = Domain.PREKEYS, Domain.USYNC, Domain.PAIRING
_BUFFER, _HISTORY, _LID = Domain.EVENT_BUFFER, Domain.HISTORY, Domain.LID_MAPPING
_NEWSLETTER, _BUSINESS, _COMMUNITIES = Domain.NEWSLETTER, Domain.BUSINESS, Domain.COMMUNITIES

_CLIENT = "client/client.py:Client."
_ACCOUNT = "client/account.py:Account."
_CONFIG = "client/client.py:ClientConfig."
_SENDER = "client/messages.py:Sender."
_USYNC_STANZA = "protocol/stanza/usync.py:"
_SIGNAL = "protocol/signal_repo.py:"
_DEVICES = "client/devices.py:DeviceLists"
_BROWSER = "protocol/client_payload.py:Browser."
_PIPELINE = "client/event_pipeline.py:EventPipeline."
_RETRIES = "client/retries.py:Retries."
_RETRY_POLICY = "client/retry_manager.py:RetryManager."
_ASKED, _ANSWERED = "client/retry_counters.py:AskCounters", "client/retry_counters.py:AnswerCounters"
_KEYS = "client/keys.py:Keys."
_PEOPLE = "client/people.py:People."
_SESSIONS = "client/sessions.py:Sessions."
_SETTINGS = "client/account_settings.py:AccountSettings."
_CIPHER = "protocol/group_cipher.py:GroupCipher."
_IDENTITY_CODE = "client/identity_change_handler.py:IdentityChangeCode."
_GROUPS_CLIENT = "client/groups.py:Groups."

MODULES: Mapping[Domain, tuple[Module, ...]] = {
    Domain.MESSAGES_RECV: (
        Module("client/messages_recv.py", ("Receiver", "decode_incoming_message_node")),
        Module("client/decryption.py", ("Decryption",)),
        Module("client/envelope.py", ("envelope_of", "classify_incoming_node")),
        Module("client/process_message.py", ("process_message",)),
        Module("client/receipt_events.py", ("receipt_events",)),
    ),
    Domain.MESSAGES_SEND: (
        Module("client/messages.py", ("Sender", "SendResult")),
        Module("protocol/message.py", ("text_message", "device_sent", "message_id")),
    ),
    Domain.APP_STATE_SYNC: (Module("protocol/app_state.py"), Module("client/app_state_sync.py")),
    Domain.RETRY_MANAGER: (
        Module("protocol/stanza/retry.py", ("RetryRequest", "retry_reason")),
        Module("client/retry_manager.py", ("RetryManager",)),
        Module("client/retries.py", ("Retries",)),
        Module("client/outbox.py", ("Outbox",)),
    ),
    Domain.GROUP_SIGNAL: (
        Module("protocol/group_cipher.py", ("GroupCipher",)),
        Module("client/groups.py", ("Groups", "KeyHolders")),
        Module("_core.pyi", ("sender_key_encrypt", "sender_key_decrypt", "sender_key_process")),
    ),
    Domain.IDENTITY_CHANGE: (
        Module("client/identity_change_handler.py", ("handle_identity_change", "decide_identity")),
        Module("client/identities.py", ("Identities",)),
    ),
    Domain.MEDIA: (Module("utils/media_utils.py"), Module("client/media.py")),
    Domain.GROUPS: (
        Module("protocol/stanza/group.py", ("GroupMetadata",)),
        Module("client/group_notifications.py", ("group_events",)),
        Module("client/group_verbs.py"),
    ),
    Domain.COMMUNITIES: (Module("client/communities.py"),),
    Domain.NEWSLETTER: (Module("client/newsletter.py"),),
    Domain.BUSINESS: (Module("client/business.py"),),
    Domain.CHATS: (Module("client/chats.py"),),
    Domain.PREKEYS: (
        Module("client/prekeys.py", ("wanted", "make", "stock")),
        Module("client/keys.py", ("Keys",)),
        Module("protocol/stanza/encrypt.py", ("upload_content", "bundles_query", "prekey_count")),
        Module("protocol/signal_repo.py", ("encrypt", "decrypt", "open_session", "bundle_from_node")),
        Module("_core.pyi", ("session_initiate", "session_encrypt", "session_decrypt", "session_decrypt_prekey")),
    ),
    Domain.USYNC: (
        Module("protocol/stanza/usync.py", ("query", "devices_query", "contact_query", "parse_result")),
        Module("protocol/stanza/usync_profiles.py", ("About", "Disappearing", "BotProfile")),
        Module("client/devices.py", ("DeviceLists",)),
        Module("client/people.py", ("People",)),
    ),
    Domain.PAIRING: (
        Module("client/pairing.py", ("QrRotation", "accept")),
        Module("protocol/stanza/pairing.py", ("QrText", "PairSuccess", "pair_device_sign")),
        Module("protocol/adv.py", ("verify_identity",)),
    ),
    Domain.NOISE: (
        Module("protocol/noise.py", ("ClientHandshake", "verify_chain")),
        Module("protocol/framing.py", ("frame", "FrameReader", "intro")),
        Module("protocol/connection.py", ("Connection",)),
        Module("protocol/client_payload.py", ("Browser", "login_payload", "registration_payload")),
        Module("_core.pyi", ("NoiseHandshake", "NoiseTransport")),
    ),
    Domain.BINARY_CODEC: (
        Module("protocol/binary_node.py", ("StanzaError", "to_xml")),
        Module("_core.pyi", ("Node", "Jid", "encode_node", "decode_node", "inflate_node", "token_tables")),
    ),
    Domain.EVENT_BUFFER: (Module("client/event_pipeline.py", ("EventPipeline", "Step")),),
    Domain.HISTORY: (Module("protocol/history.py"),),
    Domain.LID_MAPPING: (Module("client/addresses.py", ("canonical", "alternate_many", "learn_many")),),
}

LAYERS: Mapping[str, Domain] = {
    "socket": _NOISE,
    "chats": _CHATS,
    "groups": _GROUPS,
    "newsletter": _NEWSLETTER,
    "messages-send": _SEND,
    "messages-recv": _RECV,
    "business": _BUSINESS,
    "communities": _COMMUNITIES,
}
"""The domain of a method by the file under Socket/ that offers it, where METHODS does not say."""

METHODS: Mapping[str, Counterpart] = {
    "generateMessageTag": Counterpart(_NOISE, (_CLIENT + "next_id",)),
    "query": Counterpart(_NOISE, (_CLIENT + "query",)),
    "waitForMessage": Counterpart(
        _NOISE, ("client/stream.py:Stream.post",), "only the answer to a stanza that it sends itself"
    ),
    "waitForSocketOpen": Counterpart(_NOISE, (_CLIENT + "wait_open",), "waits for the login, not for the bare socket"),
    "sendNode": Counterpart(_NOISE, (_CLIENT + "send_node",)),
    "logout": Counterpart(_PAIRING, (_CLIENT + "logout",)),
    "end": Counterpart(_NOISE, (_CLIENT + "close",)),
    "registerSocketEndHandler": Counterpart(
        _NOISE, (_CLIENT + "subscribe",), "the end is told as a connection.update; nothing can be hung in before it"
    ),
    "onUnexpectedError": Counterpart(_NOISE, (_CLIENT + "report",), "traced, and only of what nobody waits for"),
    "uploadPreKeys": Counterpart(_PREKEYS, (_KEYS + "upload", "client/prekeys.py:make")),
    "uploadPreKeysToServerIfRequired": Counterpart(_PREKEYS, ("client/prekeys.py:wanted", _KEYS + "stock")),
    "digestKeyBundle": Counterpart(_PREKEYS, (_KEYS + "look_after", "client/prekeys.py:judge_digest")),
    "rotateSignedPreKey": Counterpart(_PREKEYS, (_KEYS + "rotate",)),
    "requestPairingCode": Counterpart(_PAIRING, (_CLIENT + "request_pairing_code",)),
    "updateServerTimeOffset": Counterpart(
        _NOISE, ("client/supervisor.py:Supervisor.skew", "client/keepalive.py:clock_skew")
    ),
    "sendUnifiedSession": Counterpart(_NOISE, ("protocol/stanza/stream.py:unified_session", _ACCOUNT + "_say_session")),
    "waitForConnectionUpdate": Counterpart(_NOISE, (_CLIENT + "wait_status", _CLIENT + "subscribe")),
    "executeUSyncQuery": Counterpart(_USYNC, (_PEOPLE + "ask", _USYNC_STANZA + "query", _USYNC_STANZA + "parse_each")),
    "onWhatsApp": Counterpart(_USYNC, (_CLIENT + "on_whatsapp", _PEOPLE + "on_whatsapp")),
    "fetchStatus": Counterpart(_CHATS, (_PEOPLE + "statuses",)),
    "fetchDisappearingDuration": Counterpart(_CHATS, (_PEOPLE + "disappearing",)),
    "fetchBlocklist": Counterpart(_CHATS, (_SETTINGS + "ask_blocklist",)),
    "fetchPrivacySettings": Counterpart(_CHATS, (_SETTINGS + "ask_privacy",)),
    "fetchAccountReachoutTimelock": Counterpart(_SEND),
    "fetchNewChatMessageCap": Counterpart(_SEND),
    "upsertMessage": Counterpart(
        _RECV,
        ("client/process_message.py:process_message",),
        "history is kept as it came; no list of chats is kept",
    ),
    "sendPresenceUpdate": Counterpart(
        _CHATS, (_ACCOUNT + "announce",), "available and unavailable: no composing, recording, paused"
    ),
    "getBusinessProfile": Counterpart(_BUSINESS),
    **dict.fromkeys(
        (
            "appPatch",
            "resyncAppState",
            "chatModify",
            "cleanDirtyBits",
            "addOrEditContact",
            "removeContact",
            "addLabel",
            "addChatLabel",
            "removeChatLabel",
            "addMessageLabel",
            "removeMessageLabel",
            "star",
            "addOrEditQuickReply",
            "removeQuickReply",
            "updateProfileName",
            "updateDisableLinkPreviewsPrivacy",
        ),
        Counterpart(_SYNC),
    ),
    "assertSessions": Counterpart(_SEND, (_SESSIONS + "bundles_for", _SESSIONS + "open")),
    "relayMessage": Counterpart(
        _SEND,
        (_SENDER + "send", _SENDER + "send_peer", _RETRIES + "send_to"),
        "to people, groups and our own phone: not to the status and not to newsletters",
    ),
    "sendReceipt": Counterpart(_RECV, ("protocol/stanza/receipt.py:Receipt", _CLIENT + "send_node")),
    "sendReceipts": Counterpart(_RECV, (_CLIENT + "send_receipts", "client/read_receipts.py:gathered")),
    "readMessages": Counterpart(_RECV, (_CLIENT + "mark_read", _SETTINGS + "tells_reading")),
    **dict.fromkeys(
        ("refreshMediaConn", "getMediaHost", "waUploadToServer", "updateMediaMessage"), Counterpart(_MEDIA)
    ),
    "createParticipantNodes": Counterpart(_SEND, (_SESSIONS + "seal",), "no patch of the message by recipient"),
    "getUSyncDevices": Counterpart(_USYNC, (_DEVICES + ".of", _DEVICES + ".forget")),
    "updateMemberLabel": Counterpart(_GROUPS),
    "issuePrivacyTokens": Counterpart(_SEND, ("client/privacy.py:Privacy.sent", "client/privacy_tokens.py:given")),
    "sendPeerDataOperationMessage": Counterpart(_SEND, (_SENDER + "send_peer",)),
    "sendMessage": Counterpart(
        _SEND, (_SENDER + "send", _SENDER + "send_text"), "texts are made here, every other content by the caller"
    ),
    "groupMetadata": Counterpart(_GROUPS, (_GROUPS_CLIENT + "metadata",)),
    "sendMessageAck": Counterpart(_RECV, ("protocol/stanza/receipt.py:ack",)),
    "sendRetryRequest": Counterpart(_RETRY, (_RETRIES + "ask", _RETRY_POLICY + "ask")),
    "rejectCall": Counterpart(_CHATS),
    "fetchMessageHistory": Counterpart(_HISTORY),
    "requestPlaceholderResend": Counterpart(
        _RETRY, (_CLIENT + "request_resend", _RETRIES + "ask_phone", "client/placeholders.py:resend_request")
    ),
}

PARTS: Mapping[str, Counterpart] = {
    "BaileysEventEmitter.on": Counterpart(_BUFFER, (_PIPELINE + "subscribe",)),
    "BaileysEventEmitter.off": Counterpart(_BUFFER, (_PIPELINE + "subscribe",)),
    "BaileysEventEmitter.removeAllListeners": Counterpart(_BUFFER),
    "BaileysEventEmitter.emit": Counterpart(
        _BUFFER, (_PIPELINE + "publish", "client/event_pipeline.py:Step.emit"), "the client's own events only"
    ),
    "BaileysBufferableEventEmitter.process": Counterpart(
        _BUFFER, (_PIPELINE + "subscribe",), "events come one by one, never several merged"
    ),
    "BaileysBufferableEventEmitter.destroy": Counterpart(_BUFFER, (_PIPELINE + "close",)),
    "SignalRepository.decryptMessage": Counterpart(_PREKEYS, (_SIGNAL + "decrypt",)),
    "SignalRepository.encryptMessage": Counterpart(_PREKEYS, (_SIGNAL + "encrypt",)),
    "SignalRepository.getSessionInfo": Counterpart(_PREKEYS, ("_core.pyi:session_base_key",)),
    "SignalRepository.injectE2ESession": Counterpart(
        _PREKEYS, (_SIGNAL + "bundle_from_node", _SIGNAL + "open_session")
    ),
    "SignalRepository.validateSession": Counterpart(_PREKEYS, ("_core.pyi:session_is_open",)),
    "SignalRepository.deleteSession": Counterpart(_PREKEYS, (_SESSIONS + "archive", "_core.pyi:session_archive")),
    "SignalRepository.encryptGroupMessage": Counterpart(_GROUP, (_CIPHER + "encrypt", _GROUPS_CLIENT + "own_key")),
    "SignalRepository.decryptGroupMessage": Counterpart(
        _GROUP, (_CIPHER + "decrypt", "client/decryption.py:Decryption._open_group")
    ),
    "SignalRepository.processSenderKeyDistributionMessage": Counterpart(
        _GROUP, (_CIPHER + "process", "client/decryption.py:Decryption._take_sender_key")
    ),
    "SignalRepository.getSenderKeyDistributionMessage": Counterpart(_GROUP, (_CIPHER + "distribution",)),
    "SignalRepository.hasSenderKey": Counterpart(_GROUP, (_CIPHER + "has_own_key",)),
    "SignalRepository.jidToSignalProtocolAddress": Counterpart(
        _LID, ("jid.py:signal_address", "client/addresses.py:canonical")
    ),
    "SignalRepository.migrateSession": Counterpart(_LID, ("client/addresses.py:learn",)),
    "LIDMappingStore.storeLIDPNMappings": Counterpart(_LID, ("client/addresses.py:learn_many", _PEOPLE + "learn_all")),
    "LIDMappingStore.getLIDForPN": Counterpart(_LID, ("client/addresses.py:canonical",)),
    "LIDMappingStore.getLIDsForPNs": Counterpart(_LID, ("client/addresses.py:canonical_many", _PEOPLE + "lids_of")),
    "LIDMappingStore.getPNForLID": Counterpart(_LID, ("client/addresses.py:phone_number",)),
    "LIDMappingStore.getPNsForLIDs": Counterpart(_LID, ("client/addresses.py:alternate_many",)),
    "MessageRetryManager.addRecentMessage": Counterpart(
        _RETRY, (_SENDER + "_store", "client/sent_messages.py:SentMessage")
    ),
    "MessageRetryManager.getRecentMessage": Counterpart(_RETRY, (_RETRIES + "_decide", _RETRIES + "_found")),
    "MessageRetryManager.shouldRecreateSession": Counterpart(
        _RETRY, (_RETRY_POLICY + "answer", "client/retry_counters.py:SessionHistory")
    ),
    "MessageRetryManager.parseRetryErrorCode": Counterpart(
        _RETRY, ("protocol/stanza/retry.py:RetryRequest.from_receipt",)
    ),
    "MessageRetryManager.isMacError": Counterpart(_RETRY, ("client/retry_rules.py:REASONS",)),
    "MessageRetryManager.incrementRetryCount": Counterpart(_RETRY, (_RETRY_POLICY + "ask", _ASKED + ".count")),
    "MessageRetryManager.getRetryCount": Counterpart(_RETRY, (_ASKED + ".count",)),
    "MessageRetryManager.hasExceededMaxRetries": Counterpart(_RETRY, (_RETRY_POLICY + "ask",)),
    "MessageRetryManager.markRetrySuccess": Counterpart(_RETRY, (_RETRIES + "resolved",)),
    "MessageRetryManager.markRetryFailed": Counterpart(_RETRY, ("client/retry_manager.py:Leave",)),
    "MessageRetryManager.schedulePhoneRequest": Counterpart(
        _RETRY, ("client/retry_manager.py:PHONE_SECONDS", _RETRIES + "_ask_phone")
    ),
    "MessageRetryManager.cancelPendingPhoneRequest": Counterpart(_RETRY, (_RETRIES + "resolved",)),
    "MessageRetryManager.saveBaseKey": Counterpart(_RETRY, (_ANSWERED + ".remember",)),
    "MessageRetryManager.hasSameBaseKey": Counterpart(_RETRY, (_ANSWERED + ".base_key", _RETRY_POLICY + "answer")),
    "MessageRetryManager.deleteBaseKey": Counterpart(_RETRY, (_ANSWERED + ".base_key", _RETRY_POLICY + "answer")),
    "USyncQuery.withMode": Counterpart(_USYNC, (_USYNC_STANZA + "query", _USYNC_STANZA + "Mode")),
    "USyncQuery.withContext": Counterpart(_USYNC, (_USYNC_STANZA + "query", _USYNC_STANZA + "Context")),
    "USyncQuery.withUser": Counterpart(_USYNC, (_USYNC_STANZA + "query", _USYNC_STANZA + "UserAsked")),
    **{
        f"USyncQuery.with{name}Protocol": Counterpart(
            _USYNC, (_USYNC_STANZA + "query", f"{_USYNC_STANZA}Protocol.{member}", f"{_USYNC_STANZA}UserResult.{field}")
        )
        for name, member, field in (
            ("Device", "DEVICES", "devices"),
            ("LID", "LID", "lid"),
            ("Contact", "CONTACT", "is_registered"),
            ("Status", "STATUS", "about"),
            ("DisappearingMode", "DISAPPEARING_MODE", "disappearing"),
            ("Username", "USERNAME", "username"),
            ("BotProfile", "BOT", "bot"),
        )
    },
    "USyncQuery.parseUSyncQueryResult": Counterpart(
        _USYNC, (_USYNC_STANZA + "parse_result", _USYNC_STANZA + "parse_each")
    ),
}
"""Methods of what a socket is made of."""

PART_DOMAINS: tuple[tuple[str, Domain], ...] = (
    ("SignalRepository.*Group*", _GROUP),
    ("SignalRepository.*SenderKey*", _GROUP),
    ("SignalRepository.*", _PREKEYS),
    ("LIDMappingStore.*", _LID),
    ("MessageRetryManager.*", _RETRY),
    ("USyncQuery.*", _USYNC),
    ("*", _BUFFER),
)

EVENT_DOMAINS: tuple[tuple[str, Domain], ...] = (
    ("connection.update", _NOISE),
    ("creds.update", _PAIRING),
    ("messaging-history.*", _HISTORY),
    ("messages.media-update", _MEDIA),
    ("messages.*", _RECV),
    ("message-receipt.update", _RECV),
    ("message-capping.update", _SEND),
    ("lid-mapping.update", _LID),
    ("chats.lock", _SYNC),
    ("settings.update", _SYNC),
    ("labels.*", _SYNC),
    ("group*", _GROUPS),
    ("newsletter*", _NEWSLETTER),
    ("*", _CHATS),
)

OPTIONS: Mapping[str, Counterpart] = {
    "waWebSocketUrl": Counterpart(_NOISE, (_CONFIG + "url",)),
    "connectTimeoutMs": Counterpart(_NOISE, (_CONFIG + "connect_timeout",), unit=1000),
    "defaultQueryTimeoutMs": Counterpart(_NOISE, (_CONFIG + "query_timeout",), unit=1000),
    "keepAliveIntervalMs": Counterpart(_NOISE, (_CONFIG + "keepalive",), unit=1000),
    "version": Counterpart(_NOISE, (_BROWSER + "version",)),
    "browser": Counterpart(_NOISE, (_BROWSER + "os", _BROWSER + "name")),
    "countryCode": Counterpart(_NOISE, (_BROWSER + "country",)),
    "pushName": Counterpart(_PAIRING, (_CONFIG + "push_name",)),
    "auth": Counterpart(_PAIRING, ("ports.py:Store", "protocol/credentials.py:Credentials")),
    "qrTimeout": Counterpart(
        _PAIRING, ("protocol/stanza/pairing.py:FIRST_QR_SECONDS",), "a constant, 60 s and then 20 s, as by default"
    ),
    "syncFullHistory": Counterpart(
        _PAIRING, ("protocol/client_payload.py:_device_props",), "always asked for; cannot be switched off"
    ),
    "emitOwnEvents": Counterpart(_SEND, (_SENDER + "_store",), "own sends are always told"),
    "patchMessageBeforeSending": Counterpart(_SEND),
    "linkPreviewImageThumbnailWidth": Counterpart(_MEDIA),
    "generateHighQualityLinkPreview": Counterpart(_MEDIA),
    "fetchAgent": Counterpart(_MEDIA),
    "customUploadHosts": Counterpart(_MEDIA),
    "mediaCache": Counterpart(_MEDIA),
    "options": Counterpart(_MEDIA),
    "shouldIgnoreJid": Counterpart(_RECV, (_CONFIG + "ignores", "client/dispatch.py:Dispatch._is_ignored")),
    "retryRequestDelayMs": Counterpart(_RETRY, (_CONFIG + "retry_delay",), unit=1000),
    "maxMsgRetryCount": Counterpart(_RETRY, (_CONFIG + "max_retries",), unit=1),
    "msgRetryCounterCache": Counterpart(_RETRY, ("ports.py:Store", _ASKED)),
    "placeholderResendCache": Counterpart(_RETRY, ("ports.py:Store", "client/placeholders.py:Placeholder")),
    "enableAutoSessionRecreation": Counterpart(_RETRY, (_CONFIG + "recreate_sessions",)),
    "enableRecentMessageCache": Counterpart(_RETRY),
    "getMessage": Counterpart(_RETRY, (_CONFIG + "find_message", _RETRIES + "_found")),
    "userDevicesCache": Counterpart(_USYNC),
    "shouldSyncHistoryMessage": Counterpart(_HISTORY),
    "appStateMacVerification": Counterpart(_SYNC),
    "markOnlineOnConnect": Counterpart(_CHATS, (_CONFIG + "announces", _ACCOUNT + "announce")),
    "fireInitQueries": Counterpart(_CHATS, (_ACCOUNT + "login",), "always asked; cannot be switched off"),
    "callOfferCache": Counterpart(_CHATS),
    "cachedGroupMetadata": Counterpart(_GROUPS),
    "transactionOpts": Counterpart(_PREKEYS),
    "makeSignalRepository": Counterpart(_PREKEYS),
}
"""Fields of SocketConfig. What is not named belongs to the domain noise."""

CONTENT: Mapping[str, Counterpart] = {
    "text": Counterpart(_SEND, ("protocol/message.py:text_message", _SENDER + "send_text")),
    **dict.fromkeys(("image", "video", "audio", "sticker", "document", "ptv", "album"), Counterpart(_MEDIA)),
    "product": Counterpart(_BUSINESS),
    "groupInvite": Counterpart(_GROUPS),
    "mediaUploadTimeoutMs": Counterpart(_MEDIA),
    "albumParentKey": Counterpart(_MEDIA),
    "useCachedGroupMetadata": Counterpart(_GROUPS),
}
"""Kinds of content that can be sent, and what modifies them. What is not named belongs to messages-send."""

SYNC_ACTIONS: Mapping[str, Counterpart] = {}
"""SyncActionValue fields that waton understands ("in muteAction") and modifications it writes ("out mute")."""

IDENTITY_OUTCOMES: Mapping[str, Counterpart] = {
    name: Counterpart(
        Domain.IDENTITY_CHANGE,
        (_IDENTITY_CODE + name.upper(), "client/identity_change_handler.py:handle_identity_change"),
    )
    for name in (
        "no_identity_node",
        "invalid_notification",
        "skipped_companion_device",
        "skipped_self_primary",
        "debounced",
        "skipped_offline",
        "skipped_no_session",
        "session_refreshed",
        "session_refresh_failed",
    )
}
"""What becomes of an identity change."""

SHAPE_DOMAINS: tuple[tuple[str, Domain], ...] = (
    ("receipt retry", _RETRY),
    ("receipt server-error", _MEDIA),
    ("receipt*", _RECV),
    ("ack*", _RECV),
    ("message*", _SEND),
    ("iq * encrypt*", _PREKEYS),
    ("iq * usync*", _USYNC),
    ("iq * md *", _PAIRING),
    ("iq result*", _PAIRING),
    ("iq error*", _PAIRING),
    ("iq * w:g2*", _GROUPS),
    ("iq * w:mex*", _NEWSLETTER),
    ("iq * newsletter*", _NEWSLETTER),
    ("iq * w:biz*", _BUSINESS),
    ("iq * fb:*", _BUSINESS),
    ("iq * w:sync:app:state*", _SYNC),
    ("iq * urn:xmpp:whatsapp:dirty*", _SYNC),
    ("iq * w:m *", _MEDIA),
    ("iq * w:p *", _NOISE),
    ("iq * passive*", _NOISE),
    ("iq w:stats*", _NOISE),
    ("ib*", _NOISE),
    ("*", _CHATS),
)

PROTO_DOMAINS: tuple[tuple[str, Domain], ...] = (
    ("Message.AppStateSync*", _SYNC),
    ("Message.AppStateFatal*", _SYNC),
    ("Message.HistorySync*", _HISTORY),
    ("Message.FullHistorySync*", _HISTORY),
    ("Message.InitialSecurity*", _HISTORY),
    ("Message.SenderKeyDistribution*", _GROUP),
    ("Message.ImageMessage*", _MEDIA),
    ("Message.VideoMessage*", _MEDIA),
    ("Message.AudioMessage*", _MEDIA),
    ("Message.DocumentMessage*", _MEDIA),
    ("Message.Sticker*", _MEDIA),
    ("Message.AlbumMessage*", _MEDIA),
    ("Message.Newsletter*", _NEWSLETTER),
    ("Message.GroupInvite*", _GROUPS),
    ("Message.Product*", _BUSINESS),
    ("Message.Order*", _BUSINESS),
    ("Message.Invoice*", _BUSINESS),
    ("Message.*Payment*", _BUSINESS),
    ("Message.PeerDataOperation*", _RETRY),
    ("HistorySync*", _HISTORY),
    ("Conversation*", _HISTORY),
    ("PastParticipant*", _HISTORY),
    ("Pushname*", _HISTORY),
    ("GroupHistory*", _HISTORY),
    ("GlobalSettings*", _HISTORY),
    ("WallpaperSettings*", _HISTORY),
    ("AutoDownloadSettings*", _HISTORY),
    ("NotificationSettings*", _HISTORY),
    ("AvatarUserSettings*", _HISTORY),
    ("Sync*", _SYNC),
    ("Patch*", _SYNC),
    ("CollectionName*", _SYNC),
    ("ExternalBlobReference*", _SYNC),
    ("MutationProps*", _SYNC),
    ("KeyId*", _SYNC),
    ("ExitCode*", _SYNC),
    ("RecentEmojiWeight*", _SYNC),
    ("ChatLockSettings*", _SYNC),
    ("ClientPayload*", _NOISE),
    ("HandshakeMessage*", _NOISE),
    ("CertChain*", _NOISE),
    ("NoiseCertificate*", _NOISE),
    ("WebFeatures*", _NOISE),
    ("ADV*", _PAIRING),
    ("*Pairing*", _PAIRING),
    ("DeviceProps*", _PAIRING),
    ("CompanionCommitment*", _PAIRING),
    ("CompanionEphemeralIdentity*", _PAIRING),
    ("PrimaryEphemeralIdentity*", _PAIRING),
    ("ProloguePayload*", _PAIRING),
    ("SenderKey*", _GROUP),
    ("Session*Structure*", _PREKEYS),
    ("RecordStructure*", _PREKEYS),
    ("PreKey*", _PREKEYS),
    ("SignedPreKey*", _PREKEYS),
    ("SignalMessage*", _PREKEYS),
    ("IdentityKeyPair*", _PREKEYS),
    ("KeyExchangeMessage*", _PREKEYS),
    ("DeviceConsistencyCode*", Domain.IDENTITY_CHANGE),
    ("ServerErrorReceipt*", _MEDIA),
    ("Media*", _MEDIA),
    ("ProcessedVideo*", _MEDIA),
    ("StickerMetadata*", _MEDIA),
    ("Biz*", _BUSINESS),
    ("VerifiedName*", _BUSINESS),
    ("LocalizedName*", _BUSINESS),
    ("Payment*", _BUSINESS),
    ("Money*", _BUSINESS),
    ("LIDMigration*", _LID),
    ("PhoneNumberToLID*", _LID),
    ("GroupParticipant*", _GROUPS),
    ("MemberLabel*", _GROUPS),
    ("DeviceListMetadata*", _USYNC),
    ("WebMessageInfo*", _RECV),
    ("UserReceipt*", _RECV),
    ("Reaction*", _RECV),
    ("PollUpdate*", _RECV),
    ("NotificationMessageInfo*", _RECV),
    ("CallLogRecord*", _CHATS),
    ("PrivacySystemMessage*", _CHATS),
    ("*", _SEND),
)


def domain_of(name: str, table: tuple[tuple[str, Domain], ...]) -> Domain:
    """The domain of the first pattern that fits; the last pattern of each table fits everything."""
    return next(domain for pattern, domain in table if fnmatchcase(name, pattern))


def shape_domain(shape: Shape, place: str) -> Domain:
    """A stanza's domain: communities and groups say the same words in different files."""
    if shape.xmlns == "w:g2" and place.startswith("Socket/communities"):
        return _COMMUNITIES
    return domain_of(shape.name, SHAPE_DOMAINS)
