"""Every function and class that Baileys exports, and what becomes of it here.

An export is compared by a pair, or missing (and the row says what would be its counterpart), or left out with the
reason. The same holds for functions that are no exports of the package and yet decide what a client does: the Signal
repository, sender keys, the parsers of groups and catalogues. An export that the table does not know, as a newer
Baileys may have one, is missing too, in the domain of the module it lives in: nothing falls through.

Source: the exports of npm baileys 7.0.0-rc14.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from waton.parity.differential import KIND
from waton.parity.evidence import Domain, Evidence, Outcome, Row


@dataclass(frozen=True, slots=True)
class Export:
    """What becomes of one export. Neither missing nor left out: a pair compares it."""

    domain: Domain
    missing: str = ""
    """What would be its counterpart."""
    left_out: str = ""
    """Why it is not compared."""


def _compared(domain: Domain, names: str) -> dict[str, Export]:
    return {name: Export(domain) for name in names.split()}


def _missing(domain: Domain, what: str, names: str) -> dict[str, Export]:
    return {name: Export(domain, missing=what) for name in names.split()}


def _left_out(domain: Domain, why: str, names: str) -> dict[str, Export]:
    return {name: Export(domain, left_out=why) for name in names.split()}


_JAVASCRIPT = "plumbing of JavaScript, no behaviour of the protocol"
_STANDARD = "a standard algorithm of each platform's own library; what the protocol makes with it is compared"
_STORAGE = "how Baileys keeps its records; what is kept is waton's store's own business"
_WIRE = "a whole client, not a function; the scenarios compare it on the wire"

_BINARY = {
    **_compared(
        Domain.BINARY_CODEC,
        "encodeBinaryNode decodeBinaryNode decodeDecompressedBinaryNode decompressingIfRequired getBinaryNodeChild"
        " getBinaryNodeChildren getAllBinaryNodeChildren getBinaryNodeChildBuffer getBinaryNodeChildString"
        " assertNodeErrorFree jidEncode jidDecode jidNormalizedUser areJidsSameUser getServerFromDomainType"
        " transferDevice isPnUser isLidUser isJidGroup isJidBroadcast isJidStatusBroadcast isJidNewsletter"
        " isHostedPnUser isHostedLidUser isJidMetaAI",
    ),
    **_missing(Domain.BINARY_CODEC, "a predicate for the phone-number addresses of bots", "isJidBot"),
    **_missing(Domain.CHATS, "reading the server's properties", "reduceBinaryNodeToDictionary"),
    **_missing(Domain.NEWSLETTER, "reading the messages of a newsletter", "getBinaryNodeMessages"),
    **_left_out(
        Domain.BINARY_CODEC,
        "int.from_bytes in Python; the stanzas that carry such numbers are compared",
        "getBinaryNodeChildUInt",
    ),
    **_left_out(Domain.BINARY_CODEC, "a picture for people, and each has its own", "binaryNodeToString"),
    **_left_out(Domain.BINARY_CODEC, "WhatsApp's telemetry, of which waton sends none", "encodeWAM BinaryInfo"),
}

_CRYPTO = {
    **_compared(Domain.NOISE, "makeNoiseHandler hkdf generateLoginNode getErrorCodeFromStreamError"),
    **_compared(Domain.PREKEYS, "generateSignalPubKey signedKeyPair"),
    **_left_out(
        Domain.NOISE,
        _STANDARD,
        "aesDecrypt aesDecryptCTR aesDecryptGCM aesDecryptWithIV aesEncrypWithIV aesEncrypt aesEncryptCTR aesEncryptGCM"
        " hmacSign md5 sha256",
    ),
    **_missing(Domain.NOISE, "the code of an HTTP refusal in Disconnected", "getCodeFromWSError"),
    **_left_out(
        Domain.NOISE,
        "asks the internet for the newest version",
        "fetchLatestBaileysVersion fetchLatestWaWebVersion",
    ),
}

_PAIRING = {
    **_compared(
        Domain.PAIRING,
        "generateRegistrationNode getPlatformId getCompanionPlatformId getCompanionWebClientType buildPairingQRData"
        " configureSuccessfulPairing encodeSignedDeviceIdentity initAuthCreds generateRegistrationId"
        " derivePairingCodeKey bytesToCrockford",
    ),
    **_left_out(
        Domain.PAIRING,
        _STORAGE,
        "addTransactionCapability makeCacheableSignalKeyStore useMultiFileAuthState assertMeId createSignalIdentity",
    ),
}

_SESSIONS = {
    **_compared(
        Domain.PREKEYS,
        "parseAndInjectE2ESessions getNextPreKeysNode generateOrGetPreKeys xmppPreKey xmppSignedPreKey",
    ),
    **_left_out(
        Domain.PREKEYS,
        "a step of getNextPreKeysNode, and compared there",
        "getNextPreKeys getPreKeys encodeBigEndian",
    ),
    **_compared(Domain.RETRY_MANAGER, "extractE2ESessionFromRetryReceipt MessageRetryManager"),
    **_compared(Domain.IDENTITY_CHANGE, "handleIdentityChange"),
}

_USYNC = {
    **_compared(
        Domain.USYNC,
        "USyncQuery extractDeviceJids USyncStatusProtocol USyncDisappearingModeProtocol USyncUsernameProtocol",
    ),
    **_left_out(
        Domain.USYNC, "a part of USyncQuery, and compared there", "USyncUser USyncContactProtocol USyncDeviceProtocol"
    ),
}

_SENDING = {
    **_compared(
        Domain.MESSAGES_SEND,
        "generateMessageIDV2 writeRandomPadMax16 encodeWAMessage generateWAMessageContent generateParticipantHashV2",
    ),
    **_missing(
        Domain.MESSAGES_SEND,
        "content other than text, replies and forwards",
        "generateWAMessage generateWAMessageFromContent generateForwardMessageContent"
        " prepareDisappearingMessageSettingContent",
    ),
    **_missing(Domain.MESSAGES_SEND, "link previews", "extractUrlFromText generateLinkPreviewIfRequired getUrlInfo"),
    **_missing(Domain.NEWSLETTER, "sending to newsletters", "encodeNewsletterMessage"),
    **_missing(Domain.COMMUNITIES, "ids of a community's description", "generateMessageID"),
    **_left_out(Domain.MESSAGES_SEND, "a text that need only be unique", "generateMdTagPrefix"),
    **_left_out(
        Domain.MESSAGES_SEND,
        _JAVASCRIPT,
        "delay delayCancellable debouncedTimeout promiseTimeout bindWaitForEvent bindWaitForConnectionUpdate toNumber"
        " trimUndefined unixTimestampSeconds isStringNullOrEmpty hasNonNullishProperty",
    ),
    **_left_out(Domain.MESSAGES_SEND, _WIRE, "default makeWASocket"),
}

_RECEIVING = {
    **_compared(
        Domain.MESSAGES_RECV,
        "decodeMessageNode decryptMessageNode unpadRandomMax16 getContentType getStatusFromReceiptType buildAckStanza",
    ),
    **_compared(Domain.LID_MAPPING, "extractAddressingContext"),
    **_left_out(
        Domain.LID_MAPPING, "the mapping store's answer, compared as LIDMappingStore.getLIDForPN", "getDecryptionJid"
    ),
    **_compared(
        Domain.MESSAGES_RECV,
        "cleanMessage normalizeMessageContent decryptPollVote decryptEventResponse aggregateMessageKeysNotFromMe"
        " getCallStatusFromNode getDevice",
    ),
    **_compared(Domain.CHATS, "getChatId isRealMessage"),
    **_left_out(
        Domain.MESSAGES_RECV,
        "an author is named in the key already; which one it is, is compared as decodeMessageNode and cleanMessage",
        "getKeyAuthor",
    ),
    **_missing(Domain.MEDIA, "looking for a file inside of buttons and templates", "extractMessageContent"),
    **_missing(
        Domain.EVENT_BUFFER,
        "putting receipts, reactions, votes and answers into the message they belong to",
        "updateMessageWithReaction updateMessageWithReceipt updateMessageWithPollUpdate updateMessageWithEventResponse",
    ),
    **_missing(
        Domain.MESSAGES_SEND,
        "polls and events as content: counting who has chosen what",
        "getAggregateVotesInPollMessage getAggregateResponsesInEventMessage",
    ),
    **_missing(Domain.CHATS, "counting what is unread", "shouldIncrementChatUnread"),
}

_STATE = {
    **_missing(
        Domain.APP_STATE_SYNC,
        "waton.protocol.app_state: patches, snapshots and the LT hash",
        "chatModificationToAppPatch decodePatches decodeSyncdMutations decodeSyncdPatch decodeSyncdSnapshot"
        " downloadExternalBlob downloadExternalPatch encodeSyncdPatch ensureLTHashStateVersion extractSyncdPatches"
        " isAppStateSyncIrrecoverable isMissingKeyError makeLtHashGenerator newLTHashState processSyncAction",
    ),
    **_missing(
        Domain.HISTORY,
        "waton.protocol.history: reading the chunks of history",
        "downloadAndProcessHistorySyncNotification downloadHistory getHistoryMsg processHistoryMessage",
    ),
    **_missing(Domain.EVENT_BUFFER, "holding events back and merging them", "makeEventBuffer"),
    **_missing(Domain.BUSINESS, "what is special about business accounts", "isWABusinessPlatform"),
}

_MEDIA = {
    **_missing(
        Domain.MEDIA,
        "waton.client.media: keys, encryption, upload and download of files",
        "getMediaKeys hkdfInfoKey encryptedStream downloadContentFromMessage downloadEncryptedContent"
        " downloadMediaMessage getRawMediaUploadData getUrlFromDirectPath getWAUploadToServer prepareWAMessageMedia"
        " mediaMessageSHA256B64 extensionForMediaMessage encodeBase64EncodedStringForUpload assertMediaContent",
    ),
    **_missing(
        Domain.MEDIA,
        "asking a phone to upload a file again",
        "encryptMediaRetryRequest decryptMediaRetryData decodeMediaRetryNode getStatusCodeForMediaRetry",
    ),
    **_missing(
        Domain.MEDIA,
        "pictures and sounds: thumbnails, durations, waveforms",
        "extractImageThumb generateProfilePicture generateThumbnail getAudioDuration getAudioWaveform",
    ),
    **_left_out(Domain.MEDIA, _JAVASCRIPT, "getHttpStream getStream toBuffer toReadable uploadWithNodeHttp"),
}

EXPORTS: Mapping[str, Export] = {
    **_BINARY,
    **_CRYPTO,
    **_PAIRING,
    **_SESSIONS,
    **_USYNC,
    **_SENDING,
    **_RECEIVING,
    **_STATE,
    **_MEDIA,
}
"""By name; every function and class that the package exports."""

_REPOSITORY = "lib/Signal/libsignal.js:makeLibSignalRepository"

INTERNALS: Mapping[str, tuple[str, Export]] = {
    **{
        f"makeLibSignalRepository.{name}": (_REPOSITORY, Export(Domain.GROUP_SIGNAL))
        for name in (
            "encryptGroupMessage",
            "decryptGroupMessage",
            "processSenderKeyDistributionMessage",
            "getSenderKeyDistributionMessage",
            "hasSenderKey",
        )
    },
    "makeLibSignalRepository.deleteSession": (_REPOSITORY, Export(Domain.IDENTITY_CHANGE)),
    "USyncBotProfileProtocol": (
        "lib/WAUSync/Protocols/UsyncBotProfileProtocol.js:USyncBotProfileProtocol",
        Export(Domain.USYNC),
    ),
    "processMessage": ("lib/Utils/process-message.js:default", Export(Domain.MESSAGES_RECV)),
    "makeOfflineNodeProcessor": (
        "lib/Utils/offline-node-processor.js:makeOfflineNodeProcessor",
        Export(
            Domain.MESSAGES_RECV, left_out="the order in which a client works; the scenarios compare it on the wire"
        ),
    ),
    **{
        name: (f"lib/Utils/reporting-utils.js:{name}", Export(Domain.MESSAGES_SEND))
        for name in ("getMessageReportingToken", "shouldIncludeReportingToken")
    },
    **{
        name: (f"lib/Utils/tc-token-utils.js:{name}", Export(domain))
        for name, domain in (
            ("isTcTokenExpired", Domain.MESSAGES_SEND),
            ("shouldSendNewTcToken", Domain.MESSAGES_SEND),
            ("resolveIssuanceJid", Domain.MESSAGES_SEND),
            ("buildTcTokenFromJid", Domain.MESSAGES_SEND),
            ("storeTcTokensFromIqResult", Domain.MESSAGES_RECV),
        )
    },
    "processContactAction": (
        "lib/Utils/sync-action-utils.js:processContactAction",
        Export(Domain.APP_STATE_SYNC, missing="sync actions of contacts"),
    ),
    "extractGroupMetadata": (
        "lib/Socket/groups.js:extractGroupMetadata",
        Export(Domain.GROUPS),
    ),
    "extractCommunityMetadata": (
        "lib/Socket/communities.js:extractCommunityMetadata",
        Export(Domain.COMMUNITIES, missing="waton.client.communities: reading a community's metadata"),
    ),
    "buildProfilePictureQueryContent": (
        "lib/Socket/chats.js:buildProfilePictureQueryContent",
        Export(Domain.CHATS, missing="waton.client.profile: pictures of people and groups"),
    ),
    "executeWMexQuery": (
        "lib/Socket/mex.js:executeWMexQuery",
        Export(Domain.NEWSLETTER, missing="waton.client.newsletter: questions by GraphQL"),
    ),
    **{
        name: (
            f"lib/Utils/business.js:{name}",
            Export(Domain.BUSINESS, missing="waton.client.business: catalogues and orders"),
        )
        for name in (
            "parseCatalogNode",
            "parseCollectionsNode",
            "parseOrderDetailsNode",
            "parseProductNode",
            "toProductNode",
        )
    },
}
"""What is no export and counts all the same: where it is, and what becomes of it."""

_BY_MODULE = {
    "auth-utils": Domain.PAIRING,
    "browser-utils": Domain.PAIRING,
    "business": Domain.BUSINESS,
    "chat-utils": Domain.APP_STATE_SYNC,
    "companion-reg-client-utils": Domain.PAIRING,
    "crypto": Domain.NOISE,
    "decode-wa-message": Domain.MESSAGES_RECV,
    "event-buffer": Domain.EVENT_BUFFER,
    "history": Domain.HISTORY,
    "identity-change-handler": Domain.IDENTITY_CHANGE,
    "lt-hash": Domain.APP_STATE_SYNC,
    "message-retry-manager": Domain.RETRY_MANAGER,
    "messages-media": Domain.MEDIA,
    "noise-handler": Domain.NOISE,
    "pre-key-manager": Domain.PREKEYS,
    "process-message": Domain.MESSAGES_RECV,
    "signal": Domain.PREKEYS,
    "stanza-ack": Domain.MESSAGES_RECV,
    "sync-action-utils": Domain.APP_STATE_SYNC,
    "validate-connection": Domain.PAIRING,
}


def domain_of(home: str) -> Domain:
    """The domain of a module by its path; messages-send where nothing says better."""
    folder, _, file = home.rpartition("/")
    if folder.startswith("lib/WABinary"):
        return Domain.BINARY_CODEC
    if folder.startswith("lib/WAUSync"):
        return Domain.USYNC
    return _BY_MODULE.get(file.removesuffix(".js"), Domain.MESSAGES_SEND)


def export_rows(exports: Mapping[str, str], homes: Mapping[str, str], paired: Collection[str]) -> list[Row]:
    """A row for each export that no pair compares.

    Args:
        exports: every name the package exports, and whether it is a function, a class or something else.
        homes: the modules of those that are known to be of one.
        paired: what the pairs compare.
    """
    rows: list[Row] = []
    for name, kind in sorted(exports.items()):
        if kind in ("function", "class") and not is_paired(name, paired):
            home = homes.get(name, "lib/index.js")
            known = EXPORTS.get(name)
            rows.append(_row(name, f"{home}:{name}", known or Export(domain_of(home), missing="not in the table")))
    for name, (where, export) in INTERNALS.items():
        if not is_paired(name, paired):
            rows.append(_row(name, where, export))
    return rows


def is_paired(name: str, paired: Collection[str]) -> bool:
    """Whether a pair compares this export, or a method of it."""
    return any(other == name or other.startswith(f"{name}.") for other in paired)


def _row(name: str, theirs: str, export: Export) -> Row:
    outcome = Outcome.LEFT_OUT if export.left_out else Outcome.MISSING
    note = export.left_out or export.missing or "the table says that a pair compares it, and there is none"
    return Row(export.domain, Evidence.FUNCTION, KIND, name, outcome, theirs=theirs, note=note)
