"""Devices that talk Signal to each other in tests: ours over `waton._core`, and those of the Node oracles.

Every party has the same verbs, so that one story can be told with any two of them. Randomness is seeded: a story that
fails can be told again. Keys in bundles are 33 bytes as the oracles have them, 32 inside waton.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests import requirements
from waton._core import (
    PreKeyBundle,
    PreKeyMessage,
    session_decrypt,
    session_decrypt_prekey,
    session_encrypt,
    session_initiate,
    x25519_public_key,
    xeddsa_sign,
)

SIGNED_PREKEY_ID = 11


@dataclass(frozen=True, slots=True)
class Sealed:
    """One message on its way."""

    type: str
    message: bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a device publishes; keys of 32 bytes."""

    registration_id: int
    identity_key: bytes
    signed_prekey_id: int
    signed_prekey: bytes
    signed_prekey_signature: bytes
    prekey_id: int | None = None
    prekey: bytes | None = None

    def for_waton(self) -> PreKeyBundle:
        return PreKeyBundle(
            registration_id=self.registration_id,
            identity_key=self.identity_key,
            signed_prekey_id=self.signed_prekey_id,
            signed_prekey=self.signed_prekey,
            signed_prekey_signature=self.signed_prekey_signature,
            prekey_id=self.prekey_id,
            prekey=self.prekey,
        )


class Party(Protocol):
    """One device in a conversation with one other."""

    def bundle(self, *, with_prekey: bool = True) -> Bundle: ...
    def open(self, bundle: Bundle) -> None: ...
    def encrypt(self, plaintext: bytes) -> Sealed: ...
    def decrypt(self, sealed: Sealed) -> bytes: ...


@dataclass(slots=True)
class Waton:
    """A device of ours. `record` is the whole state towards the other device."""

    seed: int
    record: bytes = b""
    identity_private: bytes = b""
    dice: random.Random = field(init=False)
    registration_id: int = field(init=False)
    signed_prekey: bytes = field(init=False)
    prekeys: dict[int, bytes] = field(init=False)
    opened: int = 0
    """Sessions that a pkmsg has opened here."""

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.identity_private = self.identity_private or self.dice.randbytes(32)
        self.registration_id = self.dice.randrange(1, 16381)
        self.signed_prekey = self.dice.randbytes(32)
        self.prekeys = {}

    @property
    def identity_public(self) -> bytes:
        return x25519_public_key(self.identity_private)

    def bundle(self, *, with_prekey: bool = True) -> Bundle:
        public = x25519_public_key(self.signed_prekey)
        signature = xeddsa_sign(self.identity_private, b"\x05" + public, self.dice.randbytes(64))
        made = Bundle(self.registration_id, self.identity_public, SIGNED_PREKEY_ID, public, signature)
        if not with_prekey:
            return made
        id, once = len(self.prekeys) + 1, self.dice.randbytes(32)
        self.prekeys[id] = once
        return Bundle(
            made.registration_id, made.identity_key, SIGNED_PREKEY_ID, public, signature, id, x25519_public_key(once)
        )

    def open(self, bundle: Bundle) -> None:
        self.record = session_initiate(
            self.record,
            bundle.for_waton(),
            identity_private=self.identity_private,
            identity_public=self.identity_public,
            registration_id=self.registration_id,
            entropy=self.dice.randbytes(64),
        )

    def encrypt(self, plaintext: bytes) -> Sealed:
        self.record, type, message = session_encrypt(self.record, plaintext)
        return Sealed(type, message)

    def decrypt(self, sealed: Sealed) -> bytes:
        entropy = self.dice.randbytes(32)
        if sealed.type == "msg":
            self.record, plaintext = session_decrypt(self.record, sealed.message, entropy=entropy)
            return plaintext
        named = PreKeyMessage.parse(sealed.message)
        self.record, plaintext, opened = session_decrypt_prekey(
            self.record,
            sealed.message,
            identity_private=self.identity_private,
            identity_public=self.identity_public,
            registration_id=self.registration_id,
            signed_prekey_private=self.signed_prekey if named.signed_prekey_id == SIGNED_PREKEY_ID else None,
            prekey_private=None if named.prekey_id is None else self.prekeys.get(named.prekey_id),
            entropy=entropy,
        )
        self.opened += opened
        if opened and named.prekey_id is not None:
            del self.prekeys[named.prekey_id]
        return plaintext


class Refused(Exception):
    """An oracle's error, in its own words."""


@dataclass(slots=True)
class Oracles:
    """The Node process that runs the other implementations."""

    process: subprocess.Popen[str]
    made: int = 0

    def ask(self, request: dict[str, object]) -> dict[str, object]:
        """Raises Refused."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    def party(self, by: str, *, identity_private: bytes | None = None) -> Oracle:
        """A new device run by "official" or "node"."""
        self.made += 1
        name = f"party{self.made}"
        request: dict[str, object] = {"do": "new", "party": name, "by": by, "registration_id": 1000 + self.made}
        if identity_private is not None:
            request["identity_private"] = identity_private.hex()
        self.ask(request)
        return Oracle(self, name, 1000 + self.made)


@dataclass(slots=True)
class Oracle:
    """A device of another implementation, in a conversation with one other."""

    oracles: Oracles
    name: str
    registration_id: int

    def _ask(self, do: str, **arguments: object) -> dict[str, object]:
        return self.oracles.ask({"do": do, "party": self.name, "peer": "peer", **arguments})

    def bundle(self, *, with_prekey: bool = True) -> Bundle:
        told = self._ask("bundle", with_prekey=with_prekey)

        def key(name: str) -> bytes:
            return bytes.fromhex(str(told[name]))[1:]

        prekey_id = told.get("prekey_id")
        assert prekey_id is None or isinstance(prekey_id, int)
        return Bundle(
            self.registration_id,
            key("identity_key"),
            SIGNED_PREKEY_ID,
            key("signed_prekey"),
            bytes.fromhex(str(told["signed_prekey_signature"])),
            prekey_id,
            None if prekey_id is None else key("prekey"),
        )

    def open(self, bundle: Bundle) -> None:
        told: dict[str, object] = {
            "registration_id": bundle.registration_id,
            "identity_key": "05" + bundle.identity_key.hex(),
            "signed_prekey_id": bundle.signed_prekey_id,
            "signed_prekey": "05" + bundle.signed_prekey.hex(),
            "signed_prekey_signature": bundle.signed_prekey_signature.hex(),
        }
        if bundle.prekey is not None:
            told |= {"prekey_id": bundle.prekey_id, "prekey": "05" + bundle.prekey.hex()}
        self._ask("open", bundle=told)

    def encrypt(self, plaintext: bytes) -> Sealed:
        said = self._ask("encrypt", plaintext=plaintext.hex())
        return Sealed(str(said["type"]), bytes.fromhex(str(said["message"])))

    def decrypt(self, sealed: Sealed) -> bytes:
        said = self._ask("decrypt", type=sealed.type, message=sealed.message.hex())
        return bytes.fromhex(str(said["plaintext"]))

    def prekeys_left(self) -> list[int]:
        ids = self._ask("prekeys_left")["ids"]
        assert isinstance(ids, list)
        return ids

    def save(self) -> bytes:
        """The stored record (official only)."""
        return bytes.fromhex(str(self._ask("save")["record"]))

    def load(self, record: bytes) -> None:
        """Take this record as the stored one (official only)."""
        self._ask("load", record=record.hex())

    def secrets(self) -> dict[str, object]:
        """Private keys, to write them into a vector (official only)."""
        return self._ask("secrets")


@contextmanager
def running_oracles() -> Iterator[Oracles]:
    """Start the Node process; it ends with the block."""
    with running("oracle.mjs") as process:
        yield Oracles(process)


@contextmanager
def running(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Node program of tests/peers/libsignal that answers line by line; it ends with the block."""
    folder: Path = requirements.require("libsignal")
    node = requirements.require("node")
    with subprocess.Popen(
        [str(node), program, *arguments],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
