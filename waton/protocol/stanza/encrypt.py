"""xmlns=encrypt: publishing our prekeys and fetching other devices' bundles.

Numbers on this wire are big-endian: prekey ids 3 bytes, registration ids 4; keys are 32 bytes with a separate type
byte 05.

Source: Baileys Socket/socket.ts uploadPreKeys, Utils/signal.ts; whatsmeow prekeys.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha1

from waton.errors import RemoteProtocolError
from waton.jid import SERVER, Jid
from waton.protocol.binary_node import Node, content_bytes, require_child, require_int, require_jid
from waton.protocol.credentials import Credentials

KEY_TYPE = b"\x05"


def upload_content(credentials: Credentials, prekeys: Sequence[tuple[int, bytes]]) -> list[Node]:
    """The children of the upload iq. prekeys: (id, 32-byte public key)."""
    signed_id = credentials.signed_prekey_id
    return [
        Node("registration", None, credentials.registration_id.to_bytes(4, "big")),
        Node("type", None, KEY_TYPE),
        Node("identity", None, credentials.identity_key.public),
        Node("list", None, [_key("key", id, public) for id, public in prekeys]),
        _key("skey", signed_id, credentials.signed_prekey.public, credentials.signed_prekey_signature),
    ]


def _key(tag: str, id: int, public: bytes, signature: bytes | None = None) -> Node:
    children = [Node("id", None, id.to_bytes(3, "big")), Node("value", None, public)]
    if signature is not None:
        children.append(Node("signature", None, signature))
    return Node(tag, None, children)


def bundles_query(jids: Sequence[Jid], *, reason: str | None = None) -> list[Node]:
    """The children of a question for bundles, one device each."""
    return [Node("key", None, [Node("user", {"jid": jid, "reason": reason}) for jid in jids])]


def prekey_count(answer: Node) -> int:
    """The number of our one-time prekeys the server still has. Raises StanzaError."""
    return require_int(require_child(answer, "count"), "value")


def rotate_content(id: int, public: bytes, signature: bytes) -> list[Node]:
    """The child of the iq that puts a new signed prekey in the old one's place. Source: Baileys Socket/socket.ts."""
    return [Node("rotate", None, [_key("skey", id, public, signature)])]


def keys_hash(identity: bytes, signed: SignedPrekey, prekeys: Iterable[bytes]) -> bytes:
    """SHA-1 over a device's public keys: 20 bytes, by which client and server notice that they hold different ones.

    Args:
        identity: 32 bytes.
        signed: the signed prekey; value and signature count, not the id.
        prekeys: the one-time prekeys' values, in the server's order.
    Source: whatsapp-rust wacore/src/prekeys.rs compute_key_bundle_digest.
    """
    hashed = sha1(identity + signed.value + signed.signature, usedforsecurity=False)
    for value in prekeys:
        hashed.update(value)
    return hashed.digest()


def check_key_type(content: bytes) -> None:
    """Raises RemoteProtocolError for a key that is not Curve25519."""
    if content != KEY_TYPE:
        raise RemoteProtocolError("a key of an unknown type")


# --- the server's half ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignedPrekey:
    """A device's public signed prekey."""

    id: int
    value: bytes
    """32 bytes."""
    signature: bytes
    """64 bytes, by the device's identity key over 05 and the value."""

    @staticmethod
    def from_node(skey: Node) -> SignedPrekey:
        """Raises StanzaError."""
        id, value = _read_key(skey)
        return SignedPrekey(id, value, content_bytes(require_child(skey, "signature"), 64))


@dataclass(frozen=True, slots=True)
class Digest:
    """What the server says a device has published."""

    registration_id: int
    identity: bytes
    """32 bytes."""
    signed: SignedPrekey
    prekey_ids: tuple[int, ...]
    """One-time prekeys not handed out yet, in the order of the hash."""
    hash: bytes
    """20 bytes; see keys_hash."""

    @staticmethod
    def from_answer(answer: Node) -> Digest:
        """Read the answer to `encrypt get digest`. Raises StanzaError."""
        digest = require_child(answer, "digest")
        listed = digest.child("list")
        return Digest(
            registration_id=int.from_bytes(content_bytes(require_child(digest, "registration"), 4), "big"),
            identity=content_bytes(require_child(digest, "identity"), 32),
            signed=SignedPrekey.from_node(require_child(digest, "skey")),
            prekey_ids=tuple(
                int.from_bytes(content_bytes(id, 3), "big") for id in (listed.children() if listed is not None else ())
            ),
            hash=content_bytes(require_child(digest, "hash"), 20),
        )


@dataclass(frozen=True, slots=True)
class Upload:
    """What a device publishes: its identity, its signed prekey, and one-time prekeys."""

    registration_id: int
    identity: bytes
    """32 bytes."""
    signed: SignedPrekey
    prekeys: tuple[tuple[int, bytes], ...]
    """(id, 32 bytes)."""

    @staticmethod
    def from_node(request: Node) -> Upload:
        """Raises StanzaError, or RemoteProtocolError for another kind of key."""
        check_key_type(content_bytes(require_child(request, "type")))
        listed = require_child(request, "list")
        return Upload(
            registration_id=int.from_bytes(content_bytes(require_child(request, "registration"), 4), "big"),
            identity=content_bytes(require_child(request, "identity"), 32),
            signed=SignedPrekey.from_node(require_child(request, "skey")),
            prekeys=tuple(_read_key(key) for key in listed.children("key")),
        )


@dataclass(frozen=True, slots=True)
class Bundle:
    """What the server hands out of one device."""

    registration_id: int
    identity: bytes
    signed: SignedPrekey
    prekey: tuple[int, bytes] | None
    """The one-time prekey, when any was left."""
    device_identity: bytes = b""
    """ADVSignedDeviceIdentity protobuf of a companion."""

    def to_node(self, jid: Jid, t: int) -> Node:
        """The <user> of the answer. t: Unix seconds."""
        registration = Node("registration", None, self.registration_id.to_bytes(4, "big"))
        return Node("user", {"jid": jid, "t": str(t)}, [registration, *self.key_nodes()])

    def key_nodes(self) -> list[Node]:
        """Its keys: what a bundle and a retry's <keys> have in common."""
        children = [Node("type", None, KEY_TYPE), Node("identity", None, self.identity)]
        if self.prekey is not None:
            children.append(_key("key", *self.prekey))
        children.append(_key("skey", self.signed.id, self.signed.value, self.signed.signature))
        if self.device_identity:
            children.append(Node("device-identity", None, self.device_identity))
        return children

    @staticmethod
    def from_keys(keys: Node, registration_id: int) -> Bundle:
        """Read a retry's <keys>. Raises StanzaError, or RemoteProtocolError for another kind of key."""
        check_key_type(content_bytes(require_child(keys, "type")))
        once = keys.child("key")
        vouched = keys.child("device-identity")
        return Bundle(
            registration_id=registration_id,
            identity=content_bytes(require_child(keys, "identity"), 32),
            signed=SignedPrekey.from_node(require_child(keys, "skey")),
            prekey=None if once is None else _read_key(once),
            device_identity=b"" if vouched is None else content_bytes(vouched),
        )


def bundle_error(jid: Jid, code: int, text: str) -> Node:
    """The <user> of a device whose bundle is not to be had."""
    return Node("user", {"jid": jid}, [Node("error", {"code": str(code), "text": text})])


def requested_bundles(request: Node) -> list[Jid]:
    """The devices a question for bundles names. Raises StanzaError."""
    return [require_jid(user, "jid") for user in require_child(request, "key").children("user")]


def digest(registration_id: int, identity: bytes, signed: SignedPrekey, prekeys: Sequence[tuple[int, bytes]]) -> Node:
    """The server's picture of what a device has published, with a SHA-1 over all keys in order."""
    children = [
        Node("registration", None, registration_id.to_bytes(4, "big")),
        Node("type", None, KEY_TYPE),
        Node("identity", None, identity),
        _key("skey", signed.id, signed.value, signed.signature),
        Node("list", None, [Node("id", None, id.to_bytes(3, "big")) for id, _ in prekeys]),
        Node("hash", None, keys_hash(identity, signed, [value for _, value in prekeys])),
    ]
    return Node("digest", None, children)


def count_notification(id: str, left: int, t: int) -> Node:
    """The server's word that a device's one-time prekeys run low."""
    attrs: dict[str, str | Jid | None] = {"from": SERVER, "id": id, "type": "encrypt", "t": str(t)}
    return Node("notification", attrs, [Node("count", {"value": str(left)})])


def _read_key(node: Node) -> tuple[int, bytes]:
    id = int.from_bytes(content_bytes(require_child(node, "id"), 3), "big")
    return id, content_bytes(require_child(node, "value"), 32)
