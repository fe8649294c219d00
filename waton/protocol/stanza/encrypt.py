"""xmlns=encrypt: publishing our prekeys and fetching other devices' bundles.

Numbers on this wire are big-endian: prekey ids 3 bytes, registration ids 4; keys are 32 bytes with a separate type byte 05.

Source: Baileys Socket/socket.ts uploadPreKeys, Utils/signal.ts; whatsmeow prekeys.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from waton.errors import RemoteProtocolError
from waton.jid import Jid
from waton.protocol.binary_node import Node, require_child, require_int
from waton.protocol.credentials import Credentials

KEY_TYPE = b"\x05"


def upload_content(credentials: Credentials, prekeys: Sequence[tuple[int, bytes]]) -> list[Node]:
    """The children of the upload iq. prekeys: (id, 32-byte public key)."""
    return [
        Node("registration", None, credentials.registration_id.to_bytes(4, "big")),
        Node("type", None, KEY_TYPE),
        Node("identity", None, credentials.identity_key.public),
        Node("list", None, [_key("key", id, public) for id, public in prekeys]),
        _key("skey", credentials.signed_prekey_id, credentials.signed_prekey.public, credentials.signed_prekey_signature),
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


def check_key_type(content: bytes) -> None:
    """Raises RemoteProtocolError for a key that is not Curve25519."""
    if content != KEY_TYPE:
        raise RemoteProtocolError("a key of an unknown type")
