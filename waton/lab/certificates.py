"""What the lab proves itself with: its Noise root and chain, and a TLS certificate for wss.

Both are the lab's own. Clients are told the Noise root (`Lab.root`) and the TLS certificate (`Lab.ca_pem`); the
production root is never involved. The Noise keys are kept with the world, so a paired client still knows the server
after a restart; the TLS certificate is made anew each time.

Source: facts of the chain as in waton.protocol.noise; what each defect is refused by is tests/lab/test_faults.py.
"""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from waton.lab.database import Database
from waton.lab.faults import Defect
from waton.ports import Entropy
from waton.protocol import proto
from waton.protocol.credentials import KeyPair
from waton.protocol.noise import ROOT_SERIAL, Certificate, issue_certificate

_INTERMEDIATE_SERIAL = 1
_LEAF_SERIAL = 2
_DAY = 86_400
_KEYS = ("root", "intermediate", "static")


@dataclass(frozen=True, slots=True, repr=False)
class Authority:
    """The lab's three Noise keys."""

    root: KeyPair
    intermediate: KeyPair
    static: KeyPair
    """The server's own; the leaf names it."""

    @staticmethod
    def of(database: Database, entropy: Entropy) -> Authority:
        """The keys kept in the database, made the first time."""
        keys: list[KeyPair] = []
        for name in _KEYS:
            row = database.row("SELECT value FROM setting WHERE key = ?", f"noise/{name}")
            private = row[0] if row is not None and isinstance(row[0], bytes) else entropy.take(32)
            if row is None:
                database.write("INSERT INTO setting VALUES (?, ?)", f"noise/{name}", private)
            keys.append(KeyPair.of(private))
        return Authority(*keys)

    def chain(self, now: float, entropy: Entropy, defect: Defect | None = None) -> bytes:
        """A CertChain protobuf around `now` (Unix seconds), sound unless a defect is asked for."""
        valid = (int(now) - _DAY, int(now) + 365 * _DAY)
        if defect is Defect.DATES:
            valid = (int(now) - 30 * _DAY, int(now) - _DAY)
        issuer = ROOT_SERIAL + 7 if defect is Defect.INTERMEDIATE_ISSUER else ROOT_SERIAL
        intermediate = Certificate(_INTERMEDIATE_SERIAL, issuer, self.intermediate.public, *valid)
        leaf = Certificate(_LEAF_SERIAL, _INTERMEDIATE_SERIAL, self.static.public, *valid)
        if defect is Defect.LEAF_ISSUER:
            leaf = replace(leaf, issuer_serial=_INTERMEDIATE_SERIAL + 7)
        if defect is Defect.LEAF_KEY:
            leaf = replace(leaf, key=KeyPair.of(entropy.take(32)).public)
        root = entropy.take(32) if defect is Defect.UNKNOWN_ROOT else self.root.private
        chain = proto.CertChain(
            intermediate=issue_certificate(root, intermediate, entropy.take(64)),
            leaf=issue_certificate(self.intermediate.private, leaf, entropy.take(64)),
        )
        if defect is Defect.INTERMEDIATE_SIGNATURE:
            chain.intermediate.signature = entropy.take(64)
        if defect is Defect.LEAF_SIGNATURE:
            chain.leaf.signature = entropy.take(64)
        return chain.SerializeToString()


def tls_context(host: str, now: float) -> tuple[ssl.SSLContext, str]:
    """A server context with a fresh self-signed certificate, and that certificate as PEM.

    It is good for localhost, 127.0.0.1, `host` and web.whatsapp.com (clients whose URL cannot be changed come through a
    proxy), for 30 days, and its key exists in memory and, for a moment, in a private temporary directory.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "waton lab")])
    addresses = {"127.0.0.1", host} if host[:1].isdigit() or ":" in host else {"127.0.0.1"}
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName("web.whatsapp.com")]
    names += [x509.IPAddress(ip_address(address)) for address in sorted(addresses)]
    today = datetime.fromtimestamp(now, UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as directory:  # the ssl module reads keys from files only
        path = Path(directory) / "lab.pem"
        path.touch(mode=0o600)
        path.write_bytes(secret + pem)
        context.load_cert_chain(path)
    return context, pem.decode()
