"""Every exception of waton, on one page.

    WatonError
      LocalProtocolError        you asked for what the protocol forbids in this state
        PrekeyIdsExhausted      there is no id left for a new prekey
      RemoteProtocolError       the peer sent what the protocol forbids
        DecodeError             bytes that are not what they claim to be, with the offset
        HandshakeError          Noise or certificate, with the step that failed
        PairingError            the pairing did not verify, with the step that failed
        InvalidSignature        an XEdDSA signature does not verify
      DecryptError              a Signal message that cannot be read, with the reason
      UntrustedIdentity         a known contact came with another identity key
      IqError                   the server answered an iq with an error
      Disconnected              the connection is gone, with the reason
      QueryTimeout              no answer to an iq in time
      MediaError  AppStateError  StorageError  CaptureError  LabError  ParityError

Fields are public; the sentence is built from them; nothing should match on text. No message here ever holds a key, a
plaintext or a phone number: addresses are shown by `repr(Jid)`, which masks them. Rust raises these classes too, and
builds them with the positional arguments given below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waton._core import Jid, Node


class WatonError(Exception):
    """The root of all errors that waton raises on purpose."""


class LocalProtocolError(WatonError):
    """You asked for what the protocol forbids in this state."""


class PrekeyIdsExhausted(LocalProtocolError):
    """All 24-bit ids of `kind` ("prekey" or "signed prekey") are used up; an id is never used twice."""

    def __init__(self, kind: str = "prekey") -> None:
        self.kind = kind
        super().__init__(kind)

    def __str__(self) -> str:
        return f"there is no id left for a new {self.kind}: pair this device anew"


class RemoteProtocolError(WatonError):
    """The peer sent what the protocol forbids."""


class DecodeError(RemoteProtocolError):
    """Bytes that do not parse.

    Attributes:
        offset: where reading failed, in bytes from the start of `data`.
        data: the whole input, for an inspector to show. Not part of the sentence.
        what: what was being read.
    """

    def __init__(self, offset: int, data: bytes = b"", what: str = "node") -> None:
        self.offset = offset
        self.data = data
        self.what = what
        super().__init__(offset, data, what)

    def __str__(self) -> str:
        return f"cannot decode {self.what}: stopped at byte {self.offset} of {len(self.data)}"

    def __repr__(self) -> str:
        return f"DecodeError(offset={self.offset}, what={self.what!r}, size={len(self.data)})"


class HandshakeStep(StrEnum):
    """Where a Noise handshake can fail, in order."""

    CLIENT_HELLO = "client_hello"
    SERVER_HELLO = "server_hello"
    CERTIFICATE_FORMAT = "certificate_format"
    CERTIFICATE_ROOT = "certificate_root"
    """The intermediate does not name the root (serial 0) as its issuer."""
    INTERMEDIATE_SIGNATURE = "intermediate_signature"
    LEAF_ISSUER = "leaf_issuer"
    LEAF_SIGNATURE = "leaf_signature"
    LEAF_KEY = "leaf_key"
    """The leaf's key is not the static key the server proved in the handshake."""
    CERTIFICATE_DATES = "certificate_dates"
    CLIENT_FINISH = "client_finish"
    CLIENT_PAYLOAD = "client_payload"


class HandshakeError(RemoteProtocolError):
    """The Noise handshake or its certificate chain failed at `step`."""

    def __init__(self, step: str) -> None:
        self.step = HandshakeStep(step)
        super().__init__(step)

    def __str__(self) -> str:
        return f"the Noise handshake failed at {self.step.value}"


class PairingStep(StrEnum):
    """What a pairing checks, in order."""

    REFS = "refs"
    """The server sent no refs, or all of them expired unscanned."""
    FORMAT = "format"
    HMAC = "hmac"
    ACCOUNT_SIGNATURE = "account_signature"
    DEVICE_SIGNATURE = "device_signature"
    CODE_REF = "code_ref"
    """The server gave no ref for a pairing code, or a phone has answered under another ref than ours."""
    CODE_EXPIRED = "code_expired"
    """The phone answered a pairing code when its time was over, or when there was none."""
    CODE_TRIES = "code_tries"
    """The phone answered one pairing code more often than is good."""
    CODE = "code"
    """What was typed on the phone is not the companion's code."""
    PASSKEY = "passkey"
    """The account asks for a passkey; waton has no authenticator to show one."""


class PairingError(RemoteProtocolError):
    """The pairing failed at `step`; nothing of it was stored."""

    def __init__(self, step: str) -> None:
        self.step = PairingStep(step)
        super().__init__(step)

    def __str__(self) -> str:
        if self.step is PairingStep.PASSKEY:
            return "this account asks for a passkey to link a device, and waton has none to show"
        return f"the pairing failed at {self.step.value}"


class InvalidSignature(RemoteProtocolError):
    """An XEdDSA signature over `what` does not verify."""

    def __init__(self, what: str = "data") -> None:
        self.what = what
        super().__init__(what)

    def __str__(self) -> str:
        return f"the signature over {self.what} does not verify"


class DecryptReason(StrEnum):
    """Why a Signal message could not be read."""

    NO_SESSION = "no_session"
    NO_SENDER_KEY = "no_sender_key"
    """A group message under a sender key that its sender has not told us (or that fell out)."""
    INVALID_KEY = "invalid_key"
    INVALID_KEY_ID = "invalid_key_id"
    INVALID_MESSAGE = "invalid_message"
    INVALID_SIGNATURE = "invalid_signature"
    FUTURE_MESSAGE = "future_message"
    BAD_MAC = "bad_mac"
    DUPLICATE = "duplicate"
    """The message key was used before: this message was read already."""
    PADDING = "padding"
    UNSUPPORTED = "unsupported"
    """An encryption type this version cannot read."""


class RetryReason(IntEnum):
    """The `error` attribute of a retry receipt.

    Source: whatsapp-rust wacore/src/protocol/retry.rs, Baileys Utils/message-retry-manager.ts.
    """

    UNKNOWN = 0
    NO_SESSION = 1
    """No session with the author, or no sender key of theirs."""
    INVALID_KEY = 2
    INVALID_KEY_ID = 3
    """The prekey that the message names is gone."""
    INVALID_MESSAGE = 4
    INVALID_SIGNATURE = 5
    FUTURE_MESSAGE = 6
    """Further ahead in its chain than a reader will skip."""
    BAD_MAC = 7
    INVALID_SESSION = 8
    INVALID_MSG_KEY = 9
    BAD_BROADCAST_EPHEMERAL_SETTING = 10
    UNKNOWN_COMPANION_NO_PREKEY = 11
    """The author's device is in no list the reader knows."""
    ADV_FAILURE = 12
    """The author's device identity did not verify."""
    STATUS_REVOKE_DELAY = 13


class DecryptError(WatonError):
    """A Signal message that cannot be read: `reason`, and `sender` when it is known."""

    def __init__(self, reason: str, sender: Jid | None = None) -> None:
        self.reason = DecryptReason(reason)
        self.sender = sender
        super().__init__(reason, sender)

    def __str__(self) -> str:
        sender = "" if self.sender is None else f" from {self.sender!r}"
        return f"cannot decrypt a message{sender}: {self.reason.value}"


class UntrustedIdentity(WatonError):
    """`jid` is known with identity key `old`, and came with `new` (32 bytes each; not part of the sentence)."""

    def __init__(self, jid: Jid, old: bytes, new: bytes) -> None:
        self.jid = jid
        self.old = old
        self.new = new
        super().__init__(jid)

    def __str__(self) -> str:
        return f"{self.jid!r} came with another identity key than the one we know"


class UnvouchedCompanion(WatonError):
    """No phone stands for the key that the companion `jid` comes with, though it has to (ADV)."""

    def __init__(self, jid: Jid, *, is_missing: bool) -> None:
        self.jid = jid
        self.is_missing = is_missing
        """No device identity came with the key; False when one came and does not verify."""
        super().__init__(jid)

    def __str__(self) -> str:
        why = "none came" if self.is_missing else "it does not verify"
        return f"device {self.jid.device} has no device identity signed by its phone: {why}"


class IqError(WatonError):
    """The server answered an iq with type=error: `code`, `text` and the whole `node`."""

    def __init__(self, code: int, text: str, node: Node | None = None) -> None:
        self.code = code
        self.text = text
        self.node = node
        super().__init__(code, text)

    @property
    def is_final(self) -> bool:
        """The server will say the same the next time: there is no such thing, or it is not for us."""
        return 400 <= self.code < 500 and self.code not in (408, 429)

    def __str__(self) -> str:
        return f"the server refused the query: {self.code} {self.text}"


class DisconnectReason(IntEnum):
    """Why a connection ended. From 400 on the number is the wire's, and Baileys' statusCode where that has one.

    What each means, whether it is tried again and what a person can do: `meaning`, `is_retryable`, `advice`; the whole
    table is docs/reference/disconnect_reasons.md. Source: Baileys Types/index.ts, whatsmeow types/events/events.go
    (ConnectFailureReason), whatsapp-rust src/client/node_io.rs (409, 429 and 516 of stream:error).
    """

    LOCAL = 0
    PROTOCOL = 1
    REFUSED = 2
    BAD_REQUEST = 400
    LOGGED_OUT = 401
    TEMPORARY_BAN = 402
    FORBIDDEN = 403
    CLIENT_OUTDATED = 405
    UNKNOWN_LOGOUT = 406
    LOST = 408
    BAD_USER_AGENT = 409
    MULTIDEVICE_MISMATCH = 411
    TOKEN_EXPIRED = 413
    TOKEN_INVALID = 414
    NOT_FOUND = 415
    CLIENT_UNKNOWN = 418
    CLOSED = 428
    RATE_LIMITED = 429
    REPLACED = 440
    BAD_SESSION = 500
    EXPERIMENTAL = 501
    UNAVAILABLE = 503
    RESTART_REQUIRED = 515
    DEVICE_REMOVED = 516

    @property
    def is_retryable(self) -> bool:
        """True when connecting again with the same credentials can help."""
        return _ADVICE[self].is_retryable

    @property
    def ends_pairing(self) -> bool:
        """True when the server no longer knows this device: its keys are of no more use."""
        return self in (DisconnectReason.LOGGED_OUT, DisconnectReason.UNKNOWN_LOGOUT, DisconnectReason.DEVICE_REMOVED)

    @property
    def meaning(self) -> str:
        """What happened."""
        return _ADVICE[self].meaning

    @property
    def advice(self) -> str:
        """What a person can do."""
        return _ADVICE[self].advice


@dataclass(frozen=True, slots=True)
class _Advice:
    is_retryable: bool
    meaning: str
    advice: str


_PAIR_ANEW = "Pair again; this device's keys have been dropped."
_BY_ITSELF = "Nothing: waton connects again by itself."
_ADVICE: Mapping[DisconnectReason, _Advice] = {
    DisconnectReason.LOCAL: _Advice(False, "We closed it ourselves.", "Connect again whenever you like."),
    DisconnectReason.PROTOCOL: _Advice(
        True,
        "What arrived could not be understood or did not verify.",
        "If it does not pass, the journal holds the bytes: look at the last frame.",
    ),
    DisconnectReason.REFUSED: _Advice(
        False, "The login was refused with a number nobody knows, or with none.", "Look at the failure stanza."
    ),
    DisconnectReason.BAD_REQUEST: _Advice(
        False, "The server could not make sense of the login.", "Look at the client payload in the journal."
    ),
    DisconnectReason.LOGGED_OUT: _Advice(False, "This device was logged out, or unlinked from its phone.", _PAIR_ANEW),
    DisconnectReason.TEMPORARY_BAN: _Advice(
        False,
        "The account is banned for a time; `ban` says what for and `retry_after` for how many seconds.",
        "Wait until it is over, then connect again, and send less.",
    ),
    DisconnectReason.FORBIDDEN: _Advice(
        False,
        "The phone is gone or the account is locked; seen with bans and with a change of phones.",
        "Look at the phone. If the account works there, log out here and pair again.",
    ),
    DisconnectReason.CLIENT_OUTDATED: _Advice(
        False, "The server no longer takes this version of the web client.", "Set a newer `Browser.version`."
    ),
    DisconnectReason.UNKNOWN_LOGOUT: _Advice(
        False, "The account was banned, or logged out for a reason not told.", "Look at the phone, then pair again."
    ),
    DisconnectReason.LOST: _Advice(True, "Nothing arrived in time.", _BY_ITSELF),
    DisconnectReason.BAD_USER_AGENT: _Advice(
        False, "The server does not take what the client says it is.", "Choose another `Browser`."
    ),
    DisconnectReason.MULTIDEVICE_MISMATCH: _Advice(
        False, "The phone's app knows nothing of linked devices.", "Update the app on the phone, then pair again."
    ),
    DisconnectReason.TOKEN_EXPIRED: _Advice(
        False, "A Messenger authentication token has run out.", "None of waton's logins has one: report it."
    ),
    DisconnectReason.TOKEN_INVALID: _Advice(
        False, "A Messenger authentication token was not accepted.", "None of waton's logins has one: report it."
    ),
    DisconnectReason.NOT_FOUND: _Advice(
        False, "The server knows no such account or device.", "Check the credentials; log out and pair again."
    ),
    DisconnectReason.CLIENT_UNKNOWN: _Advice(
        False, "The server does not know this kind of client.", "Choose another `Browser`, or a newer version."
    ),
    DisconnectReason.CLOSED: _Advice(True, "The peer or the network closed the stream.", _BY_ITSELF),
    DisconnectReason.RATE_LIMITED: _Advice(
        True,
        "Too much was asked or sent; the pauses before the next attempts are long.",
        "Send and connect less often.",
    ),
    DisconnectReason.REPLACED: _Advice(
        False,
        "Another connection of the same device took over.",
        "Run one client for each pairing; `reconnect()` takes the connection back.",
    ),
    DisconnectReason.BAD_SESSION: _Advice(
        True, "The server failed, or said something that is not in this table.", _BY_ITSELF
    ),
    DisconnectReason.EXPERIMENTAL: _Advice(
        False, "The login uses something the server has not switched on.", "Look at the client payload in the journal."
    ),
    DisconnectReason.UNAVAILABLE: _Advice(
        True, "The service is not there for the moment; the pauses before the next attempts are long.", _BY_ITSELF
    ),
    DisconnectReason.RESTART_REQUIRED: _Advice(
        True, "The server wants a fresh connection, as it does after a pairing.", _BY_ITSELF
    ),
    DisconnectReason.DEVICE_REMOVED: _Advice(False, "This device was unlinked from its phone.", _PAIR_ANEW),
}


class BanReason(IntEnum):
    """What a temporary ban is for: the `code` beside reason 402. Source: whatsmeow types/events/events.go."""

    SENT_TO_TOO_MANY_PEOPLE = 101
    """Who do not have the sender in their address books."""
    BLOCKED_BY_USERS = 102
    CREATED_TOO_MANY_GROUPS = 103
    """With people who do not have the creator in their address books."""
    SENT_TOO_MANY_SAME_MESSAGE = 104
    BROADCAST_LIST = 106
    """Too many messages to broadcast lists."""


class Disconnected(WatonError):
    """The connection is gone.

    Attributes:
        reason: why.
        code: the wire's own number, if it gave one.
        detail: what else there is to say, for people; often the tag of the stream error's child.
        retry_after: seconds that the server wants to be left alone; None when it did not say.
        ban: what a temporary ban is for, a number that nobody has named included.
        stanza: id of the stanza that the server blames: it waits for its ack.
    """

    def __init__(
        self,
        reason: DisconnectReason,
        code: int | None = None,
        detail: str = "",
        *,
        retry_after: float | None = None,
        ban: BanReason | int | None = None,
        stanza: str = "",
    ) -> None:
        self.reason = reason
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.ban = ban
        self.stanza = stanza
        super().__init__(reason, code, detail)

    def __str__(self) -> str:
        code = "" if self.code is None else f" (code {self.code})"
        detail = f": {self.detail}" if self.detail else ""
        return f"disconnected, {self.reason.name.lower()}{code}{detail}"


class QueryTimeout(WatonError):
    """No answer to iq `id` within `seconds`."""

    def __init__(self, id: str, seconds: float) -> None:
        self.id = id
        self.seconds = seconds
        super().__init__(id, seconds)

    def __str__(self) -> str:
        return f"no answer to query {self.id} within {self.seconds:g} s"


class MediaError(WatonError):
    """A media file failed the check named by `which`."""

    def __init__(self, which: str) -> None:
        self.which = which
        super().__init__(which)

    def __str__(self) -> str:
        return f"the media file failed at {self.which}"


class AppStateError(WatonError):
    """App-state `collection` at `version` failed the check named by `which`."""

    def __init__(self, collection: str, version: int, which: str) -> None:
        self.collection = collection
        self.version = version
        self.which = which
        super().__init__(collection, version, which)

    def __str__(self) -> str:
        return f"app state {self.collection} version {self.version} failed at {self.which}"


class StorageError(WatonError):
    """A store cannot be used, or a record in it does not parse: `key` says which, `detail` why."""

    def __init__(self, key: str, detail: str = "does not parse") -> None:
        self.key = key
        self.detail = detail
        super().__init__(key, detail)

    def __str__(self) -> str:
        return f"storage, {self.key}: {self.detail}"


class CaptureError(WatonError):
    """A capture at `path` cannot be read: its `version`, if it has one, and `detail`."""

    def __init__(self, path: str, version: int | None = None, detail: str = "not a waton capture") -> None:
        self.path = path
        self.version = version
        self.detail = detail
        super().__init__(path, version, detail)

    def __str__(self) -> str:
        version = "" if self.version is None else f" (version {self.version})"
        return f"capture {self.path}{version}: {self.detail}"


class LabError(WatonError):
    """The lab was asked for what it cannot do: `detail`."""

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)

    def __str__(self) -> str:
        return f"lab: {self.detail}"


class ParityError(WatonError):
    """A comparison that cannot be made: Node, Baileys or a source tree is missing, or is not what it should be."""
