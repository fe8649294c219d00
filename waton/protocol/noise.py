"""The Noise handshake with its protobuf wrapping, both sides, and the certificate chain.

    client                                                             server
    XX    clientHello{ephemeral}                                   ->
                                                                   <-  serverHello{ephemeral, static, payload = chain}
          clientFinish{static, payload = ClientPayload}            ->

    IK    clientHello{ephemeral, static, payload = ClientPayload}  ->
          resumed:                                                 <-  serverHello{ephemeral, payload = chain}
          or else, as XXfallback:                                  <-  serverHello{ephemeral, static, payload = chain}
          clientFinish as in XX                                    ->

A client that knows the server from an earlier XX (`KnownServer`) says everything in its first message and is answered
at once. A server that has another key by now, or will not, falls back; that costs nothing but the round trip.

The chain has two links: an intermediate signed by the root and a leaf signed by the intermediate. The leaf names the
static key the server has just proved. Every link, signature and date is checked, always: in a resumed handshake too,
and before one is tried. The root is a parameter (`PRODUCTION_ROOT`, or a lab's own). Where Baileys accepts any
signature, this refuses: docs/parity/better.md.

Source: Signal's Noise specification (noiseprotocol.org), Baileys Utils/noise-handler.ts, whatsmeow handshake.go;
whatsapp-rust wacore/noise handshake.rs for IK and XXfallback.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

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


class Pattern(StrEnum):
    """Which handshake, by the specification's name."""

    XX = "XX"
    IK = "IK"
    XX_FALLBACK = "XXfallback"


@dataclass(frozen=True, slots=True, repr=False)
class KnownServer:
    """What a client keeps of a server, so that the next handshake can be IK."""

    static: bytes
    """32 bytes, public; the chain's leaf names it."""
    chain: bytes
    """CertChain protobuf."""

    def is_good(self, root: bytes, now: float) -> bool:
        """True when the chain still verifies under this root at this time (Unix seconds)."""
        try:
            verify_chain(self.chain, server_static=self.static, root=root, now=now)
        except HandshakeError:
            return False
        return True


class ClientHandshake:
    """The client's half: hello, then finish (unless it was resumed), then the transport keys.

    Args:
        static_private: 32 bytes, the device's Noise key.
        ephemeral_private: 32 fresh random bytes.
        payload: ClientPayload protobuf, registration or login.
        root: 32 bytes, the trusted root of certificates.
        known: the server as an earlier handshake left it, if this one may resume; ask `is_good` first.
    """

    expects_intro = False

    def __init__(
        self,
        *,
        static_private: bytes,
        ephemeral_private: bytes,
        payload: bytes,
        root: bytes,
        known: KnownServer | None = None,
    ) -> None:
        self._static, self._ephemeral = static_private, ephemeral_private
        self._known = known
        self._payload = payload
        self._root = root
        self.pattern = Pattern.XX if known is None else Pattern.IK
        """Which handshake this is; XXfallback once the server has declined IK."""
        self._noise = self._begin()
        self.transport: NoiseTransport | None = None
        self.remote_static = b""
        self.payload = b""
        """What the peer sent along: the certificate chain."""

    def _begin(self) -> NoiseHandshake:
        known = self._known if self.pattern is Pattern.IK else None
        return NoiseHandshake(
            initiator=True,
            prologue=PROLOGUE,
            static_private=self._static,
            ephemeral_private=self._ephemeral,
            pattern=self.pattern.value,
            remote_static=None if known is None else known.static,
        )

    def start(self) -> bytes:
        """The client hello's frame body."""
        message = self._noise.write_message(self._payload if self.pattern is Pattern.IK else b"")
        hello = proto.HandshakeMessage.ClientHello(ephemeral=message[:32])
        if self.pattern is Pattern.IK:
            hello.static, hello.payload = message[32:80], message[80:]
        return proto.HandshakeMessage(clientHello=hello).SerializeToString()

    def receive(self, body: bytes, now: float) -> bytes | None:
        """Take the server hello; the client finish's frame body, None when resumed. Raises HandshakeError."""
        hello = _parse_handshake(body, HandshakeStep.SERVER_HELLO).serverHello
        if self.pattern is Pattern.IK and not hello.static:
            self._read(hello, 0, now)
            self.transport = self._noise.into_transport()
            return None
        if self.pattern is Pattern.IK:
            self.pattern = Pattern.XX_FALLBACK
            self._noise = self._begin()
            self._noise.write_message()  # the same ephemeral key, which the server has already
        self._read(hello, 48, now)
        message = self._noise.write_message(self._payload)
        finish = proto.HandshakeMessage.ClientFinish(static=message[:48], payload=message[48:])
        self.transport = self._noise.into_transport()
        return proto.HandshakeMessage(clientFinish=finish).SerializeToString()

    def _read(self, hello: proto.HandshakeMessage.ServerHello, static_size: int, now: float) -> None:
        if len(hello.ephemeral) != 32 or len(hello.static) != static_size or len(hello.payload) < 16:
            raise HandshakeError(HandshakeStep.SERVER_HELLO)
        self.payload = self._noise.read_message(hello.ephemeral + hello.static + hello.payload)
        self.remote_static = self._noise.remote_static or b""
        verify_chain(self.payload, server_static=self.remote_static, root=self._root, now=now)


class ServerHandshake:
    """The server's half, the lab's.

    Args:
        static_private: 32 bytes, the server's Noise key, named by the chain's leaf.
        ephemeral_private: 32 fresh random bytes.
        chain: CertChain protobuf.
        declines: fall back even when the client's IK hello could be read.
    """

    expects_intro = True

    def __init__(
        self, *, static_private: bytes, ephemeral_private: bytes, chain: bytes, declines: bool = False
    ) -> None:
        self._static, self._ephemeral = static_private, ephemeral_private
        self._chain = chain
        self._declines = declines
        self._noise: NoiseHandshake | None = None
        self.pattern = Pattern.XX
        """Which handshake this is; known once the client has said hello."""
        self.transport: NoiseTransport | None = None
        self.remote_static = b""
        self.payload = b""
        """What the client sent along: its ClientPayload protobuf."""

    def start(self) -> None:
        """The server speaks second."""

    def receive(self, body: bytes, now: float) -> bytes | None:
        """Take the client's hello (returns our hello's frame body) or finish (returns None). Raises HandshakeError."""
        if self._noise is not None:
            self._finish(self._noise, body)
            return None
        hello = _parse_handshake(body, HandshakeStep.CLIENT_HELLO).clientHello
        resumes = bool(hello.static or hello.payload)
        if len(hello.ephemeral) != 32 or (resumes and (len(hello.static) != 48 or len(hello.payload) < 16)):
            raise HandshakeError(HandshakeStep.CLIENT_HELLO)
        answer = self._resume(hello) if resumes and not self._declines else None
        return answer or self._answer(Pattern.XX_FALLBACK if resumes else Pattern.XX, hello.ephemeral)

    def _begin(self, pattern: Pattern) -> NoiseHandshake:
        self.pattern = pattern
        return NoiseHandshake(
            initiator=False,
            prologue=PROLOGUE,
            static_private=self._static,
            ephemeral_private=self._ephemeral,
            pattern=pattern.value,
        )

    def _resume(self, hello: proto.HandshakeMessage.ClientHello) -> bytes | None:
        """The answer to an IK hello; None when it was meant for another key."""
        noise = self._begin(Pattern.IK)
        try:
            payload = noise.read_message(hello.ephemeral + hello.static + hello.payload)
        except HandshakeError:
            return None
        message = noise.write_message(self._chain)
        self._noise = noise
        self._open(noise, payload)
        answer = proto.HandshakeMessage.ServerHello(ephemeral=message[:32], payload=message[32:])
        return proto.HandshakeMessage(serverHello=answer).SerializeToString()

    def _answer(self, pattern: Pattern, ephemeral: bytes) -> bytes:
        self._noise = self._begin(pattern)
        self._noise.read_message(ephemeral)
        message = self._noise.write_message(self._chain)
        answer = proto.HandshakeMessage.ServerHello(ephemeral=message[:32], static=message[32:80], payload=message[80:])
        return proto.HandshakeMessage(serverHello=answer).SerializeToString()

    def _finish(self, noise: NoiseHandshake, body: bytes) -> None:
        finish = _parse_handshake(body, HandshakeStep.CLIENT_FINISH).clientFinish
        if len(finish.static) != 48 or len(finish.payload) < 16:
            raise HandshakeError(HandshakeStep.CLIENT_FINISH)
        self._open(noise, noise.read_message(finish.static + finish.payload))

    def _open(self, noise: NoiseHandshake, payload: bytes) -> None:
        self.payload = payload
        self.remote_static = noise.remote_static or b""
        self.transport = noise.into_transport()
