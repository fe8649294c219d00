"""Pairing by QR: the stanzas, and the text in the QR.

    server                                   client                              phone
    iq set <pair-device><ref>*</>       ->   (QR: ref,noise,identity,secret,kind)  scans
                                        <-   iq result
    iq set <pair-success> device-identity -> checks, signs
                                        <-   iq result <pair-device-sign>
    stream:error 515                    ->   connects again, logs in

Source: Baileys Socket/socket.ts, whatsmeow pair.go, qrchan.go.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass

from waton.errors import PairingError, PairingStep
from waton.jid import SERVER, Jid
from waton.protocol.binary_node import Node, content_bytes, get_jid, get_text, require_child, require_jid

QR_PREFIX = "https://wa.me/settings/linked_devices#"
FIRST_QR_SECONDS = 60.0
NEXT_QR_SECONDS = 20.0


@dataclass(frozen=True, slots=True, repr=False)
class QrText:
    """What a QR says. It holds a secret: never log it, never save it."""

    ref: str
    noise_key: bytes
    """32 bytes, public."""
    identity_key: bytes
    """32 bytes, public."""
    adv_secret: bytes
    """32 bytes."""
    platform: str = "1"

    def encode(self) -> str:
        parts = [self.ref, *(b64encode(key).decode() for key in (self.noise_key, self.identity_key, self.adv_secret))]
        return QR_PREFIX + ",".join([*parts, self.platform])

    @staticmethod
    def parse(text: str) -> QrText:
        """With or without the URL before '#', with or without the platform. Raises PairingError(FORMAT)."""
        parts = text.strip().rpartition("#")[2].split(",")
        if len(parts) not in (4, 5):
            raise PairingError(PairingStep.FORMAT)
        try:
            keys = [b64decode(part, validate=True) for part in parts[1:4]]
        except ValueError as error:
            raise PairingError(PairingStep.FORMAT) from error
        if any(len(key) != 32 for key in keys):
            raise PairingError(PairingStep.FORMAT)
        return QrText(parts[0], *keys, platform=parts[4] if len(parts) == 5 else "")


def pair_device(id: str, refs: list[bytes]) -> Node:
    """The server's offer of refs, each good for one QR."""
    content = [Node("ref", None, ref) for ref in refs]
    return Node("iq", {"from": SERVER, "type": "set", "id": id, "xmlns": "md"}, [Node("pair-device", None, content)])


def refs_of(node: Node) -> list[str]:
    """The refs in a pair-device. Raises PairingError(REFS) when there are none."""
    refs = [content_bytes(ref).decode("utf-8", "replace") for ref in require_child(node, "pair-device").children("ref")]
    if not refs:
        raise PairingError(PairingStep.REFS)
    return refs


@dataclass(frozen=True, slots=True, repr=False)
class PairSuccess:
    """The server's word that a phone has scanned us."""

    id: str
    container: bytes
    """ADVSignedDeviceIdentityHMAC protobuf."""
    jid: Jid
    lid: Jid | None
    platform: str = ""
    business_name: str = ""

    def to_node(self, t: int) -> Node:
        children = [
            Node("device-identity", None, self.container),
            Node("device", {"jid": self.jid, "lid": self.lid}),
            Node("platform", {"name": self.platform}),
        ]
        if self.business_name:
            children.append(Node("biz", {"name": self.business_name}))
        attrs: dict[str, str | Jid | None] = {
            "from": SERVER,
            "type": "set",
            "id": self.id,
            "xmlns": "md",
            "t": str(t),
        }
        return Node("iq", attrs, [Node("pair-success", None, children)])

    @staticmethod
    def from_node(node: Node) -> PairSuccess:
        """Raises StanzaError."""
        success = require_child(node, "pair-success")
        device = require_child(success, "device")
        platform = success.child("platform")
        business = success.child("biz")
        return PairSuccess(
            id=get_text(node, "id") or "",
            container=content_bytes(require_child(success, "device-identity")),
            jid=require_jid(device, "jid"),
            lid=get_jid(device, "lid"),
            platform=(get_text(platform, "name") or "") if platform is not None else "",
            business_name=(get_text(business, "name") or "") if business is not None else "",
        )


def pair_device_sign(id: str, key_index: int, reply: bytes) -> Node:
    """The client's answer to a pair-success that verified."""
    identity = Node("device-identity", {"key-index": str(key_index)}, reply)
    return Node("iq", {"to": SERVER, "type": "result", "id": id}, [Node("pair-device-sign", None, [identity])])


def pair_error(id: str, code: int, text: str) -> Node:
    """The client's answer to a pair-success that did not verify. Source: whatsmeow pair.go (401, 500)."""
    error = Node("error", {"code": str(code), "text": text})
    return Node("iq", {"to": SERVER, "type": "error", "id": id}, [error])
