"""Pairing: the stanzas of both ways to link a device, by QR and by code, and the text in the QR.

    server                                   client                              phone
    iq set <pair-device><ref>*</>       ->   (QR: ref,noise,identity,secret,kind)  scans
                                        <-   iq result
    iq set <pair-success> device-identity -> checks, signs
                                        <-   iq result <pair-device-sign>
    stream:error 515                    ->   connects again, logs in

By code, before the pair-success (what the keys are for is told by waton.protocol.pairing_code):

                                        <-   iq set <link_code_companion_reg stage=companion_hello>
    iq result <link_code_companion_reg><link_code_pairing_ref>  ->
    notification <link_code_companion_reg stage=primary_hello>  ->             (the code was typed)
                                        <-   iq set <link_code_companion_reg stage=companion_finish>
    iq result                           ->

Source: Baileys Socket/socket.ts, whatsmeow pair.go, qrchan.go, pair-code.go, pair-passkey.go.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from enum import StrEnum

from waton.errors import PairingError, PairingStep
from waton.jid import SERVER, Jid
from waton.protocol.binary_node import (
    Node,
    StanzaError,
    content_bytes,
    get_jid,
    get_text,
    require_child,
    require_jid,
)

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


# --- by code ----------------------------------------------------------------------------------------------------------

LINK_CODE = "link_code_companion_reg"
"""Tag of the element that all stanzas of a pairing by code carry, and type of the notification."""
PASSKEY_TYPES = frozenset({"passkey_prologue_request", "crsc_continuation"})
"""Types of the notifications by which an account asks for a passkey."""


class LinkStage(StrEnum):
    """How far a pairing by code is: the `stage` attribute."""

    COMPANION_HELLO = "companion_hello"
    PRIMARY_HELLO = "primary_hello"
    COMPANION_FINISH = "companion_finish"
    REFRESH_CODE = "refresh_code"
    """The server no longer wants this code to be shown."""


def link_stage(node: Node) -> str:
    """The stage of a stanza of a pairing by code; "" when it says none. Raises StanzaError when it is none."""
    return get_text(require_child(node, LINK_CODE), "stage") or ""


@dataclass(frozen=True, slots=True, repr=False)
class CompanionHello:
    """The companion's request to be linked by code."""

    jid: Jid
    """The account's phone number."""
    wrapped_key: bytes
    """80 bytes, its ephemeral key, hidden by the code."""
    noise_key: bytes
    """32 bytes, public."""
    platform_id: str
    platform_display: str
    """What the phone lists: Browser (System). The service refuses what it does not know."""
    shows_push: bool = True
    """Whether the phone is told at once."""

    def to_node(self, id: str) -> Node:
        content = [
            Node("link_code_pairing_wrapped_companion_ephemeral_pub", None, self.wrapped_key),
            Node("companion_server_auth_key_pub", None, self.noise_key),
            Node("companion_platform_id", None, self.platform_id),
            Node("companion_platform_display", None, self.platform_display),
            Node("link_code_pairing_nonce", None, "0"),
        ]
        attrs: dict[str, str | Jid | None] = {
            "jid": self.jid,
            "stage": LinkStage.COMPANION_HELLO.value,
            "should_show_push_notification": "true" if self.shows_push else "false",
        }
        return _link_request(id, attrs, content)

    @staticmethod
    def from_node(node: Node) -> CompanionHello:
        """Raises StanzaError."""
        link = require_child(node, LINK_CODE)
        return CompanionHello(
            jid=require_jid(link, "jid"),
            wrapped_key=_bytes(link, "link_code_pairing_wrapped_companion_ephemeral_pub", 80),
            noise_key=_bytes(link, "companion_server_auth_key_pub", 32),
            platform_id=_bytes(link, "companion_platform_id").decode("utf-8", "replace"),
            platform_display=_bytes(link, "companion_platform_display").decode("utf-8", "replace"),
            shows_push=get_text(link, "should_show_push_notification") == "true",
        )


def link_ref(ref: bytes) -> list[Node]:
    """Content of the server's answer to a companion_hello."""
    return [Node(LINK_CODE, None, [Node("link_code_pairing_ref", None, ref)])]


def ref_of_link(answer: Node) -> bytes:
    """The ref in the server's answer to a companion_hello. Raises PairingError(CODE_REF) when there is none."""
    try:
        ref = _bytes(require_child(answer, LINK_CODE), "link_code_pairing_ref")
    except StanzaError as error:
        raise PairingError(PairingStep.CODE_REF) from error
    if not ref:
        raise PairingError(PairingStep.CODE_REF)
    return ref


@dataclass(frozen=True, slots=True, repr=False)
class PrimaryHello:
    """The phone's answer, carried by the server: somebody has typed a code."""

    ref: bytes
    wrapped_key: bytes
    """80 bytes, the phone's ephemeral key, hidden by the code that was typed."""
    identity_key: bytes
    """32 bytes, public: the account's."""

    def to_node(self, id: str, t: int) -> Node:
        content = [
            Node("link_code_pairing_wrapped_primary_ephemeral_pub", None, self.wrapped_key),
            Node("primary_identity_pub", None, self.identity_key),
            Node("link_code_pairing_ref", None, self.ref),
        ]
        link = Node(LINK_CODE, {"stage": LinkStage.PRIMARY_HELLO.value}, content)
        return Node("notification", {"from": SERVER, "type": LINK_CODE, "id": id, "t": str(t)}, [link])

    @staticmethod
    def from_node(node: Node) -> PrimaryHello:
        """Raises StanzaError. The stage is not looked at, as no client does."""
        link = require_child(node, LINK_CODE)
        return PrimaryHello(
            ref=_bytes(link, "link_code_pairing_ref"),
            wrapped_key=_bytes(link, "link_code_pairing_wrapped_primary_ephemeral_pub", 80),
            identity_key=_bytes(link, "primary_identity_pub", 32),
        )


@dataclass(frozen=True, slots=True, repr=False)
class CompanionFinish:
    """The companion's last word before the pair-success."""

    jid: Jid
    bundle: bytes
    """156 bytes."""
    identity_key: bytes
    """32 bytes, public."""
    ref: bytes

    def to_node(self, id: str) -> Node:
        content = [
            Node("link_code_pairing_wrapped_key_bundle", None, self.bundle),
            Node("companion_identity_public", None, self.identity_key),
            Node("link_code_pairing_ref", None, self.ref),
        ]
        return _link_request(id, {"jid": self.jid, "stage": LinkStage.COMPANION_FINISH.value}, content)

    @staticmethod
    def from_node(node: Node) -> CompanionFinish:
        """Raises StanzaError."""
        link = require_child(node, LINK_CODE)
        return CompanionFinish(
            jid=require_jid(link, "jid"),
            bundle=_bytes(link, "link_code_pairing_wrapped_key_bundle"),
            identity_key=_bytes(link, "companion_identity_public", 32),
            ref=_bytes(link, "link_code_pairing_ref"),
        )


def passkey_request(id: str, t: int) -> Node:
    """The server's word that this account links no device without a passkey."""
    options = Node("passkey_request_options", None, b"{}")
    attrs: dict[str, str | Jid | None] = {
        "from": SERVER,
        "type": "passkey_prologue_request",
        "id": id,
        "t": str(t),
    }
    return Node("notification", attrs, [options])


def _link_request(id: str, attrs: dict[str, str | Jid | None], content: list[Node]) -> Node:
    link = Node(LINK_CODE, attrs, content)
    return Node("iq", {"to": SERVER, "type": "set", "id": id, "xmlns": "md"}, [link])


def _bytes(node: Node, tag: str, length: int | None = None) -> bytes:
    return content_bytes(require_child(node, tag), length)
