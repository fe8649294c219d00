"""Every exception of waton, on one page.

    WatonError
      LocalProtocolError        you asked for what the protocol forbids in this state
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

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waton._core import Jid, Node


class WatonError(Exception):
    """The root of all errors that waton raises on purpose."""


class LocalProtocolError(WatonError):
    """You asked for what the protocol forbids in this state."""


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


class PairingError(RemoteProtocolError):
    """The pairing failed at `step`; nothing of it was stored."""

    def __init__(self, step: str) -> None:
        self.step = PairingStep(step)
        super().__init__(step)

    def __str__(self) -> str:
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
    """The `error` attribute of a retry receipt. Source: whatsapp-rust wacore/src/protocol/retry.rs."""

    UNKNOWN = 0
    NO_SESSION = 1
    INVALID_KEY = 2
    INVALID_KEY_ID = 3
    INVALID_MESSAGE = 4
    INVALID_SIGNATURE = 5
    FUTURE_MESSAGE = 6
    BAD_MAC = 7
    INVALID_SESSION = 8
    INVALID_MSG_KEY = 9


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


class IqError(WatonError):
    """The server answered an iq with type=error: `code`, `text` and the whole `node`."""

    def __init__(self, code: int, text: str, node: Node | None = None) -> None:
        self.code = code
        self.text = text
        self.node = node
        super().__init__(code, text)

    def __str__(self) -> str:
        return f"the server refused the query: {self.code} {self.text}"


class DisconnectReason(IntEnum):
    """Why a connection ended. The numbers are Baileys' statusCode values, so that logs can be compared."""

    CLOSED = 428
    """The peer or the network closed the stream."""
    LOST = 408
    """Nothing arrived in time."""
    LOGGED_OUT = 401
    FORBIDDEN = 403
    CLIENT_OUTDATED = 405
    REPLACED = 440
    """Another connection of the same device took over."""
    BAD_SESSION = 500
    UNAVAILABLE = 503
    RESTART_REQUIRED = 515
    MULTIDEVICE_MISMATCH = 411
    PROTOCOL = 400
    """What arrived could not be understood or did not verify."""
    LOCAL = 0
    """We closed it ourselves."""

    @property
    def is_retryable(self) -> bool:
        """True when connecting again with the same credentials can help."""
        return self in _RETRYABLE


_RETRYABLE = frozenset(
    {
        DisconnectReason.CLOSED,
        DisconnectReason.LOST,
        DisconnectReason.BAD_SESSION,
        DisconnectReason.UNAVAILABLE,
        DisconnectReason.RESTART_REQUIRED,
        DisconnectReason.PROTOCOL,
    }
)


class Disconnected(WatonError):
    """The connection is gone: `reason`, the wire's own `code` if it gave one, and `detail`."""

    def __init__(self, reason: DisconnectReason, code: int | None = None, detail: str = "") -> None:
        self.reason = reason
        self.code = code
        self.detail = detail
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
