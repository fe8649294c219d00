"""Typed contract of the Rust extension `waton._core`.

What lives in Rust: what would leak a key if it slipped, and what is hot. Everything here is a pure function or a value:
no clock, no dice, no wire, no disk. Randomness is an argument (`entropy`), so a recorded session can be replayed.
Exceptions are those of `waton.errors`; wrong argument lengths are `ValueError`.
"""

from typing import TypeAlias, TypedDict, final, type_check_only

__all__ = [
    "Jid",
    "Node",
    "NoiseHandshake",
    "NoiseTransport",
    "PreKeyBundle",
    "PreKeyMessage",
    "decode_node",
    "deflate_node",
    "encode_node",
    "hkdf_sha256",
    "inflate_node",
    "sender_key_create",
    "sender_key_decrypt",
    "sender_key_describe",
    "sender_key_distribution",
    "sender_key_encrypt",
    "sender_key_message_id",
    "sender_key_process",
    "session_archive",
    "session_base_key",
    "session_decrypt",
    "session_decrypt_prekey",
    "session_describe",
    "session_encrypt",
    "session_initiate",
    "session_is_open",
    "token_tables",
    "x25519",
    "x25519_public_key",
    "xeddsa_sign",
    "xeddsa_verify",
]

# --- JIDs and nodes -------------------------------------------------------------------------------------------------

@final
class Jid:
    """One WhatsApp address: user, server and device.

    Immutable and hashable. Two JIDs are equal when user, server, device and integrator are equal; the wire form
    (`is_ad`) does not count. `str()` gives the usual text `user:device@server`, without `:device` for device 0 and
    without `user@` for a server address. `repr()` masks phone numbers.

    Source: Baileys WABinary/jid-utils.ts, whatsmeow types/jid.go.
    """

    def __new__(
        cls, user: str, server: str, device: int = 0, *, integrator: int = 0, is_ad: bool | None = None
    ) -> Jid: ...
    @staticmethod
    def parse(text: str) -> Jid:
        """Read `user[_agent][:device]@server`, `integrator-user[:device]@interop` or a bare `server`.

        An agent that stands for a server (1 lid, 128 hosted, 129 hosted.lid) becomes that server; another one stays
        part of the user.

        Raises:
            ValueError: empty text, or a device or agent that is not a number in range (device 0..65535).
        """
    @property
    def user(self) -> str: ...
    @property
    def server(self) -> str: ...
    @property
    def device(self) -> int: ...
    @property
    def integrator(self) -> int: ...
    @property
    def is_ad(self) -> bool:
        """True when the wire form names the device, device 0 included (AD_JID, FB_JID, INTEROP_JID)."""
    @property
    def bare(self) -> Jid:
        """The same user without a device."""
    def with_device(self, device: int) -> Jid: ...
    @property
    def is_pn(self) -> bool:
        """Server is s.whatsapp.net or c.us."""
    @property
    def is_lid(self) -> bool: ...
    @property
    def is_hosted(self) -> bool:
        """Server is hosted or hosted.lid."""
    @property
    def is_user(self) -> bool:
        """A person's address: PN, LID or hosted, with a user part."""
    @property
    def is_group(self) -> bool: ...
    @property
    def is_broadcast(self) -> bool:
        """Server is broadcast (the status list included)."""
    @property
    def is_newsletter(self) -> bool: ...
    @property
    def is_server(self) -> bool:
        """No user part: the address of the service itself."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __lt__(self, other: Jid, /) -> bool: ...
    def __le__(self, other: Jid, /) -> bool: ...
    def __gt__(self, other: Jid, /) -> bool: ...
    def __ge__(self, other: Jid, /) -> bool: ...
    def __reduce__(self) -> tuple[type[Jid], tuple[str, str, int]] | tuple[object, ...]: ...

_Content: TypeAlias = "bytes | str | list[Node] | None"

@final
class Node:
    """One binary node (stanza): tag, attributes, content.

    attrs maps names to text or `Jid`, in wire order. Attributes given as None are left out, as every client does.
    content is None, bytes, text (a token or packed text on the wire) or a list of nodes. `repr()` shows tag, id, type
    and sizes only; `binary_node.to_xml` shows everything.
    """

    def __new__(cls, tag: str, attrs: dict[str, str | Jid | None] | None = None, content: _Content = None) -> Node: ...
    @property
    def tag(self) -> str: ...
    @property
    def attrs(self) -> dict[str, str | Jid]: ...
    @property
    def content(self) -> _Content: ...
    def child(self, tag: str) -> Node | None:
        """The first child with this tag, or None (also when the content is not a list)."""
    def children(self, tag: str | None = None) -> list[Node]:
        """All children, or those with this tag; empty when the content is not a list."""
    def __eq__(self, other: object, /) -> bool: ...

def encode_node(node: Node) -> bytes:
    """Encode a node, with the leading flag byte 0x00 (not compressed).

    Text attributes are written as Baileys writes them (token, packed nibble or hex, JID with a known server, raw).
    Raises:
        ValueError: a value no wire form can carry (device above 255 in an AD JID, more than 65,535 children, ...).
        TypeError: an attribute that is neither text nor Jid.
    Source: Baileys WABinary/encode.ts; dictionary version 3.
    """

def decode_node(data: bytes, max_inflated: int = ...) -> Node:
    """Decode one node from plaintext that begins with the flag byte.

    Bit 1 (value 2) of the flag says the rest is zlib; inflating stops with an error at max_inflated bytes (default 64
    MiB). Depth is bounded at 128 and declared sizes are checked against what is left.
    Raises:
        DecodeError: offset (of the inflated body, flag byte counted) where reading failed; also for left-over bytes.
    """

def inflate_node(data: bytes, max_inflated: int = ...) -> bytes:
    """The same plaintext, uncompressed, with flag byte 0x00; unchanged if it was not compressed."""

def deflate_node(data: bytes) -> bytes:
    """An encoded node with flag byte 0x00, compressed with zlib, flag byte 0x02.

    Raises ValueError when data is empty or compressed already.
    """

def token_tables() -> tuple[list[str], list[list[str]]]:
    """The single-byte tokens (index 0 is empty) and the four double-byte dictionaries, version 3."""

# --- Noise ----------------------------------------------------------------------------------------------------------

@final
class NoiseHandshake:
    """Noise XX, IK or XXfallback over 25519_AESGCM_SHA256 as WhatsApp runs them, either role, on the snow crate.

    WhatsApp does not hash the empty payload of a first message, otherwise these are the Noise specification's. Messages
    are snow's, at most 65,535 bytes each:

        XX, XXfallback   e(32); e(32) s(48) payload(n+16); s(48) payload(n+16)
        IK               e(32) s(48) payload(n+16); e(32) payload(n+16)

    XXfallback follows a declined IK: the client begins anew with the ephemeral key of its IK hello, of which the server
    has read the first 32 bytes.
    """

    def __new__(
        cls,
        *,
        initiator: bool,
        prologue: bytes,
        static_private: bytes,
        ephemeral_private: bytes,
        pattern: str = "XX",
        remote_static: bytes | None = None,
    ) -> NoiseHandshake:
        """remote_static: 32 bytes, for the initiator of IK alone. Raises ValueError: a wrong length, pattern or use."""
    def write_message(self, payload: bytes = b"") -> bytes:
        """The next message of ours.

        Raises:
            LocalProtocolError: it is not our turn, or the payload is too long.
            HandshakeError: a key of the peer's is of low order; `step` is the message it came in (IK's first: our own).
        """
    def read_message(self, message: bytes) -> bytes:
        """Take the peer's next message, return its payload. Raises HandshakeError(step) if it does not verify."""
    @property
    def remote_static(self) -> bytes | None: ...
    @property
    def handshake_hash(self) -> bytes: ...
    @property
    def is_finished(self) -> bool: ...
    def into_transport(self) -> NoiseTransport:
        """The transport keys. The handshake cannot be used afterwards. Raises LocalProtocolError if not finished."""

@final
class NoiseTransport:
    """AES-256-GCM frames in both directions, each with its own 32-bit counter (4 last bytes of the IV), no AAD."""

    @property
    def sent(self) -> int: ...
    @property
    def received(self) -> int: ...
    def encrypt(self, plaintext: bytes) -> bytes: ...
    def decrypt(self, ciphertext: bytes) -> bytes:
        """Raises RemoteProtocolError when the tag does not verify; the counter does not move then."""

# --- curve and hashes -----------------------------------------------------------------------------------------------

def x25519_public_key(private_key: bytes) -> bytes:
    """32 bytes (not clamped on entry; clamped in use) to the 32-byte Montgomery public key."""

def x25519(private_key: bytes, public_key: bytes) -> bytes:
    """The 32-byte shared secret. Raises RemoteProtocolError for a low-order public key (all-zero result)."""

def xeddsa_sign(private_key: bytes, message: bytes, entropy: bytes) -> bytes:
    """64-byte XEdDSA signature by an X25519 key; entropy is 64 fresh random bytes."""

def xeddsa_verify(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Raises InvalidSignature. public_key 32 bytes (no 05 prefix), signature 64 bytes."""

def hkdf_sha256(key: bytes, length: int, info: bytes = b"", salt: bytes = b"") -> bytes:
    """RFC 5869 extract and expand; an empty salt means 32 zero bytes. length at most 8160."""

# --- Signal 1:1 -----------------------------------------------------------------------------------------------------

@final
class PreKeyBundle:
    """What a device publishes so that others can open a session with it. All keys are 32 bytes, without 05."""

    def __new__(
        cls,
        *,
        registration_id: int,
        identity_key: bytes,
        signed_prekey_id: int,
        signed_prekey: bytes,
        signed_prekey_signature: bytes,
        prekey_id: int | None = None,
        prekey: bytes | None = None,
    ) -> PreKeyBundle: ...
    @property
    def registration_id(self) -> int: ...
    @property
    def identity_key(self) -> bytes: ...
    @property
    def prekey_id(self) -> int | None: ...
    @property
    def signed_prekey_id(self) -> int: ...

@final
class PreKeyMessage:
    """The outside of a pkmsg, parsed without any key. Keys are 32 bytes, without 05."""

    @staticmethod
    def parse(message: bytes) -> PreKeyMessage:
        """Raises DecodeError."""
    @property
    def registration_id(self) -> int: ...
    @property
    def prekey_id(self) -> int | None: ...
    @property
    def signed_prekey_id(self) -> int: ...
    @property
    def base_key(self) -> bytes: ...
    @property
    def identity_key(self) -> bytes: ...

@type_check_only
class ChainInfo(TypedDict):
    ratchet_key: str
    """First 8 hex characters of SHA-256 of the public ratchet key."""
    counter: int
    skipped: int

@type_check_only
class SessionInfo(TypedDict):
    version: int
    remote_registration_id: int
    local_registration_id: int
    base_key: str
    """First 8 hex characters of SHA-256 of the base key."""
    remote_identity: str
    previous_counter: int
    sending: ChainInfo | None
    receiving: list[ChainInfo]
    pending_prekey: bool
    """No answer yet: messages still go out as pkmsg."""

def session_initiate(
    record: bytes,
    bundle: PreKeyBundle,
    *,
    identity_private: bytes,
    identity_public: bytes,
    registration_id: int,
    entropy: bytes,
) -> bytes:
    """X3DH as the opening side: a new record whose current session is fresh; the old current one is archived.

    Args:
        record: the stored record, b"" if there is none.
        bundle: what the other device published.
        identity_private: ours, 32 bytes.
        identity_public: ours, 32 bytes, without 05.
        registration_id: ours.
        entropy: 64 bytes: base key and first ratchet key.
    Raises:
        InvalidSignature: the signed prekey is not signed by the identity key.
        StorageError: the record does not parse.
    Source: Signal X3DH and Double Ratchet specifications; libsignal RecordStructure for the layout.
    """

def session_encrypt(record: bytes, plaintext: bytes) -> tuple[bytes, str, bytes]:
    """One ratchet step: (new record, "pkmsg" or "msg", message).

    Raises:
        DecryptError: no_session, when no current session of version 3 is there.
        StorageError: the record does not parse.
    """

def session_decrypt(record: bytes, message: bytes, *, entropy: bytes) -> tuple[bytes, bytes]:
    """Decrypt a msg: (new record, plaintext). entropy: 32 bytes, used if the ratchet turns.

    The current session is tried first, then archived ones, most recent first; the one that reads the message becomes
    the current one. Trial decryption never changes a session that does not verify.

    Limits are the official client's: 5 receiver chains in a session, 2,000 skipped message keys in a chain (the oldest
    fall out), 40 archived sessions, and a message may be 25,000 ahead of its chain (libsignal-node, which Baileys uses,
    takes fewer than 2,000). All trials for one message together follow chains for 100,000 steps at most.

    Raises:
        DecryptError: duplicate (read before, or its key fell out), bad_mac (of no session here), no_session (none at
            all), future_message (too far ahead), invalid_key (of low order), invalid_message (verifies, but malformed).
        DecodeError: the message does not parse.
        StorageError: the record does not parse.
    Source: Signal's Double Ratchet; limits observed in tests/peers/test_signal_libsignal.py.
    """

def session_decrypt_prekey(
    record: bytes,
    message: bytes,
    *,
    identity_private: bytes,
    identity_public: bytes,
    registration_id: int,
    signed_prekey_private: bytes | None,
    prekey_private: bytes | None,
    entropy: bytes,
) -> tuple[bytes, bytes, bool]:
    """Decrypt a pkmsg: (new record, plaintext, opened).

    opened is True when a new session was made (the one-time prekey is spent then), False when the record already had
    the session of this base key; in that case neither prekey is needed. entropy: 32 bytes.
    Raises:
        DecryptError: invalid_key_id if a needed prekey is None; invalid_key if the session of this base key has another
            identity than the message names; otherwise as session_decrypt.
    """

def session_is_open(record: bytes) -> bool:
    """True if the record holds a current session, usable for encryption."""

def session_base_key(record: bytes) -> tuple[bytes, int] | None:
    """The current session's base key (32 bytes, Alice's) and remote registration id, or None."""

def session_archive(record: bytes) -> bytes:
    """The record with its current session moved to the archive."""

def session_describe(record: bytes) -> list[SessionInfo]:
    """All sessions, current first; counters and fingerprints, never a secret."""

# --- Signal in groups -------------------------------------------------------------------------------------------------

@type_check_only
class SenderKeyInfo(TypedDict):
    id: int
    iteration: int
    """The next one: of the state's own message if it is ours, of a message that is not yet read otherwise."""
    skipped: int
    signing_key: str
    """First 8 hex characters of SHA-256 of the public signing key."""
    is_ours: bool
    """We have the private signing key."""

def sender_key_create(record: bytes, *, entropy: bytes) -> bytes:
    """A new record with a fresh state of our own in front; the fifth and older ones before it fall out.

    Args:
        record: the stored record of one sender in one group, b"" if there is none.
        entropy: 68 bytes: 4 of id (big-endian, 31 bits count), 32 of chain key, 32 of private signing key.
    Raises:
        StorageError: the record does not parse.
    Source: Baileys Signal/Group/keyhelper.ts; the layout as observed from the official client's SenderKeyRecord.
    """

def sender_key_distribution(record: bytes) -> bytes:
    """The distribution of our newest own state at its present place: who gets it reads what we encrypt from now on.

    0x33 || protobuf{1 id, 2 iteration, 3 chain key (32), 4 signing key (33)}. WhatsApp's form, without the distribution
    id that newer official clients write; theirs is a DecodeError here, and ours an error there.
    Raises:
        DecryptError: no_session, when no state is ours.
        StorageError: the record does not parse.
    """

def sender_key_process(record: bytes, distribution: bytes) -> bytes:
    """Take a sender's distribution: a new record with its state in front, five at most.

    A state that we have already, at an earlier or later place of the same chain, only comes to the front: it keeps its
    place and its skipped keys. That is told by following the chain from the earlier place to the later, 25,000 steps at
    most; when they are farther apart, the later place counts. The same id with another chain or signing key replaces.

    Raises:
        DecodeError: the distribution does not parse.
        DecryptError: invalid_key, when it would replace a state of our own.
        StorageError: the record does not parse.
    Source: Baileys Signal/Group/group-session-builder.ts, which appends every time; the official client keeps the known
        state whatever chain it is told under the same signing key.
    """

def sender_key_encrypt(record: bytes, plaintext: bytes, *, entropy: bytes) -> tuple[bytes, bytes]:
    """Encrypt with our newest own state: (new record, message). One message is one iteration. entropy: 64 bytes.

    The message is 0x33 || protobuf{1 id, 2 iteration, 3 ciphertext} || 64-byte XEdDSA signature; the plaintext is not
    padded here.
    Raises:
        DecryptError: no_session, when no state is ours.
        StorageError: the record does not parse.
    """

def sender_key_decrypt(record: bytes, message: bytes) -> tuple[bytes, bytes]:
    """Decrypt an skmsg with the state that it names: (new record, plaintext).

    2,000 skipped message keys are kept in a state (the oldest fall out), and a message may be 25,000 ahead of its state
    (Baileys takes 2,000). The signature is checked before anything else is done.
    Raises:
        DecryptError: no_sender_key (no state of this id), invalid_signature (another key's, or changed), duplicate
            (read before, or its key fell out), future_message (too far ahead), invalid_message (signed, malformed).
        DecodeError: the message does not parse.
        StorageError: the record does not parse.
    Source: Baileys Signal/Group/group_cipher.ts; limits observed in tests/peers/test_sender_key_libsignal.py.
    """

def sender_key_message_id(message: bytes) -> tuple[int, int]:
    """The id and iteration that an skmsg names, without any key and unauthenticated. Raises DecodeError."""

def sender_key_describe(record: bytes) -> list[SenderKeyInfo]:
    """All states, newest first; counters and fingerprints, never a secret. Raises StorageError."""
