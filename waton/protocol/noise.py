"""The Noise handshake with its protobuf wrapping, both sides, and the certificate chain.

    client                                          server
    clientHello{ephemeral}                    ->
                                              <-    serverHello{ephemeral, static, payload = certificate chain}
    clientFinish{static, payload = ClientPayload} ->

The chain has two links: an intermediate signed by the root and a leaf signed by the intermediate. The leaf names the
static key the server has just proved. Every link, signature and date is checked, always; the root is a parameter
(`PRODUCTION_ROOT`, or a lab's own). Where Baileys accepts any signature, this refuses: docs/parity/better.md.

Source: Signal's Noise specification (noiseprotocol.org), Baileys Utils/noise-handler.ts, whatsmeow handshake.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError as ProtobufError

from waton._core import NoiseHandshake, NoiseTransport, xeddsa_sign, xeddsa_verify
from waton.errors import HandshakeError, HandshakeStep, InvalidSignature
from waton.protocol import proto
from waton.protocol.framing import PROLOGUE

PRODUCTION_ROOT = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")
"""Public key of the root that signs the real service's intermediates."""
ROOT_SERIAL = 0
HANDSHAKE_FRAME_LIMIT = 65_535 + 64
"""A handshake message is at most a Noise message, plus its protobuf tags."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One verified link of the chain."""

    serial: int
    issuer_serial: int
    key: bytes
    """32 bytes, public."""
    not_before: int
    """Unix seconds."""
    not_after: int
    """Unix seconds."""


def verify_chain(chain: bytes, *, server_static: bytes, root: bytes, now: float) -> tuple[Certificate, Certificate]:
    """Check the whole certificate chain.

    Args:
        chain: CertChain protobuf, the decrypted payload of the server's hello.
        server_static: 32 bytes, the key proved by the handshake.
        root: 32 bytes, the trusted root's public key.
        now: Unix seconds.
    Returns:
        (leaf, intermediate).
    Raises:
        HandshakeError: step names the first check that failed.
    Source: whatsmeow handshake.go verifyServerCert (the same checks), Baileys for the constants.
    """
    parsed = _parse_chain(chain)
    intermediate = _certificate(parsed.intermediate)
    leaf = _certificate(parsed.leaf)
    if intermediate.issuer_serial != ROOT_SERIAL:
        raise HandshakeError(HandshakeStep.CERTIFICATE_ROOT)
    _check_signature(root, parsed.intermediate, HandshakeStep.INTERMEDIATE_SIGNATURE)
    if leaf.issuer_serial != intermediate.serial:
        raise HandshakeError(HandshakeStep.LEAF_ISSUER)
    _check_signature(intermediate.key, parsed.leaf, HandshakeStep.LEAF_SIGNATURE)
    if leaf.key != server_static:
        raise HandshakeError(HandshakeStep.LEAF_KEY)
    for certificate in (intermediate, leaf):
        if not certificate.not_before <= now <= certificate.not_after:
            raise HandshakeError(HandshakeStep.CERTIFICATE_DATES)
    return leaf, intermediate


def issue_certificate(
    issuer_private: bytes, certificate: Certificate, entropy: bytes
) -> proto.CertChain.NoiseCertificate:
    """Sign one link: what a lab's root does for its intermediate, and that for the leaf. entropy: 64 bytes."""
    details = proto.CertChain.NoiseCertificate.Details(
        serial=certificate.serial,
        issuerSerial=certificate.issuer_serial,
        key=certificate.key,
        notBefore=certificate.not_before,
        notAfter=certificate.not_after,
    ).SerializeToString()
    signature = xeddsa_sign(issuer_private, details, entropy)
    return proto.CertChain.NoiseCertificate(details=details, signature=signature)


def _parse_chain(chain: bytes) -> proto.CertChain:
    try:
        parsed = proto.CertChain.FromString(chain)
    except ProtobufError as error:
        raise HandshakeError(HandshakeStep.CERTIFICATE_FORMAT) from error
    if not parsed.HasField("leaf") or not parsed.HasField("intermediate"):
        raise HandshakeError(HandshakeStep.CERTIFICATE_FORMAT)
    return parsed


def _certificate(certificate: proto.CertChain.NoiseCertificate) -> Certificate:
    try:
        details = proto.CertChain.NoiseCertificate.Details.FromString(certificate.details)
    except ProtobufError as error:
        raise HandshakeError(HandshakeStep.CERTIFICATE_FORMAT) from error
    if len(details.key) != 32 or len(certificate.signature) != 64:
        raise HandshakeError(HandshakeStep.CERTIFICATE_FORMAT)
    return Certificate(details.serial, details.issuerSerial, details.key, details.notBefore, details.notAfter)


def _check_signature(key: bytes, certificate: proto.CertChain.NoiseCertificate, step: HandshakeStep) -> None:
    try:
        xeddsa_verify(key, certificate.details, certificate.signature)
    except InvalidSignature as error:
        raise HandshakeError(step) from error


def _parse_handshake(body: bytes, step: HandshakeStep) -> proto.HandshakeMessage:
    try:
        return proto.HandshakeMessage.FromString(body)
    except ProtobufError as error:
        raise HandshakeError(step) from error


class ClientHandshake:
    """The client's half: hello, then finish, then the transport keys.

    Args:
        static_private: 32 bytes, the device's Noise key.
        ephemeral_private: 32 fresh random bytes.
        payload: ClientPayload protobuf, registration or login.
        root: 32 bytes, the trusted root of certificates.
    """

    expects_intro = False

    def __init__(self, *, static_private: bytes, ephemeral_private: bytes, payload: bytes, root: bytes) -> None:
        self._noise = NoiseHandshake(
            initiator=True, prologue=PROLOGUE, static_private=static_private, ephemeral_private=ephemeral_private
        )
        self._payload = payload
        self._root = root
        self.transport: NoiseTransport | None = None
        self.remote_static = b""
        self.payload = b""
        """What the peer sent along: the certificate chain."""

    def start(self) -> bytes:
        """The client hello's frame body."""
        hello = proto.HandshakeMessage.ClientHello(ephemeral=self._noise.write_message())
        return proto.HandshakeMessage(clientHello=hello).SerializeToString()

    def receive(self, body: bytes, now: float) -> bytes:
        """Take the server hello, return the client finish's frame body. Raises HandshakeError."""
        hello = _parse_handshake(body, HandshakeStep.SERVER_HELLO).serverHello
        if len(hello.ephemeral) != 32 or len(hello.static) != 48 or len(hello.payload) < 16:
            raise HandshakeError(HandshakeStep.SERVER_HELLO)
        self.payload = self._noise.read_message(hello.ephemeral + hello.static + hello.payload)
        self.remote_static = self._noise.remote_static or b""
        verify_chain(self.payload, server_static=self.remote_static, root=self._root, now=now)
        message = self._noise.write_message(self._payload)
        finish = proto.HandshakeMessage.ClientFinish(static=message[:48], payload=message[48:])
        self.transport = self._noise.into_transport()
        return proto.HandshakeMessage(clientFinish=finish).SerializeToString()


class ServerHandshake:
    """The server's half, the lab's.

    Args:
        static_private: 32 bytes, the server's Noise key, named by the chain's leaf.
        ephemeral_private: 32 fresh random bytes.
        chain: CertChain protobuf.
    """

    expects_intro = True

    def __init__(self, *, static_private: bytes, ephemeral_private: bytes, chain: bytes) -> None:
        self._noise = NoiseHandshake(
            initiator=False, prologue=PROLOGUE, static_private=static_private, ephemeral_private=ephemeral_private
        )
        self._chain = chain
        self._said_hello = False
        self.transport: NoiseTransport | None = None
        self.remote_static = b""
        self.payload = b""
        """What the client sent along: its ClientPayload protobuf."""

    def start(self) -> None:
        """The server speaks second."""

    def receive(self, body: bytes, now: float) -> bytes | None:
        """Take the client's hello (returns our hello's frame body) or finish (returns None). Raises HandshakeError."""
        if self._said_hello:
            self._finish(body)
            return None
        self._said_hello = True
        hello = _parse_handshake(body, HandshakeStep.CLIENT_HELLO).clientHello
        if len(hello.ephemeral) != 32:
            raise HandshakeError(HandshakeStep.CLIENT_HELLO)
        self._noise.read_message(hello.ephemeral)
        message = self._noise.write_message(self._chain)
        answer = proto.HandshakeMessage.ServerHello(ephemeral=message[:32], static=message[32:80], payload=message[80:])
        return proto.HandshakeMessage(serverHello=answer).SerializeToString()

    def _finish(self, body: bytes) -> None:
        finish = _parse_handshake(body, HandshakeStep.CLIENT_FINISH).clientFinish
        if len(finish.static) != 48 or len(finish.payload) < 16:
            raise HandshakeError(HandshakeStep.CLIENT_FINISH)
        self.payload = self._noise.read_message(finish.static + finish.payload)
        self.remote_static = self._noise.remote_static or b""
        self.transport = self._noise.into_transport()
