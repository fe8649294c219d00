"""Devices that speak sender keys in tests: ours over `waton._core`, and those of the Node oracles.

A party holds one record: its own key if it sends, a sender's keys if it reads. Every party has the same verbs, so that
one story can be told with any two of them. Our dice are seeded.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from tests import requirements
from tests.support.signal_parties import Oracles, running
from waton._core import (
    sender_key_create,
    sender_key_decrypt,
    sender_key_distribution,
    sender_key_encrypt,
    sender_key_process,
)


@dataclass(frozen=True, slots=True)
class Sealed:
    """One group message on its way."""

    message: bytes
    signing_private: bytes
    """The sender's key: the official client can read WhatsApp's wire only after its message is signed anew."""


class Party(Protocol):
    """One record: of a sender, or of a reader for that sender."""

    def create(self) -> None:
        """A fresh key of one's own."""

    def distribution(self) -> bytes: ...
    def process(self, distribution: bytes) -> None: ...
    def encrypt(self, plaintext: bytes) -> Sealed: ...
    def decrypt(self, sealed: Sealed) -> bytes: ...


@dataclass(slots=True)
class Waton:
    """A device of ours."""

    seed: int
    record: bytes = b""
    dice: random.Random = field(init=False)
    signing_private: bytes = b""

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    def create(self) -> None:
        entropy = self.dice.randbytes(68)
        self.signing_private = entropy[36:]
        self.record = sender_key_create(self.record, entropy=entropy)

    def distribution(self) -> bytes:
        return sender_key_distribution(self.record)

    def process(self, distribution: bytes) -> None:
        self.record = sender_key_process(self.record, distribution)

    def encrypt(self, plaintext: bytes) -> Sealed:
        self.record, message = sender_key_encrypt(self.record, plaintext, entropy=self.dice.randbytes(64))
        return Sealed(message, self.signing_private)

    def decrypt(self, sealed: Sealed) -> bytes:
        self.record, plaintext = sender_key_decrypt(self.record, sealed.message)
        return plaintext


@dataclass(slots=True)
class Oracle:
    """A device of another implementation."""

    oracles: Oracles
    name: str

    def _ask(self, do: str, **arguments: object) -> dict[str, object]:
        return self.oracles.ask({"do": do, "party": self.name, **arguments})

    def _bytes(self, do: str, gives: str, **arguments: object) -> bytes:
        return bytes.fromhex(str(self._ask(do, **arguments)[gives]))

    def create(self) -> None:
        """The record begins anew: neither implementation makes a second key in one."""
        self._ask("create")

    def distribution(self) -> bytes:
        return self._bytes("distribution", "distribution")

    def process(self, distribution: bytes) -> None:
        self._ask("process", distribution=distribution.hex())

    def encrypt(self, plaintext: bytes) -> Sealed:
        said = self._ask("encrypt", plaintext=plaintext.hex())
        return Sealed(bytes.fromhex(str(said["message"])), bytes.fromhex(str(said["signing_private"])))

    def decrypt(self, sealed: Sealed) -> bytes:
        given = {"message": sealed.message.hex(), "signing_private": sealed.signing_private.hex()}
        return self._bytes("decrypt", "plaintext", **given)

    def states(self) -> list[dict[str, object]]:
        """What the record holds, oldest first (Baileys only)."""
        states = self._ask("describe")["states"]
        assert isinstance(states, list)
        return states

    def originals(self, plaintext: bytes) -> tuple[bytes, bytes]:
        """A distribution and a message as they are on the official client's own wire (official only)."""
        told = self._bytes("distribution", "original")
        return told, self._bytes("encrypt", "original", plaintext=plaintext.hex())

    def save(self) -> bytes:
        """The stored record (official only)."""
        return self._bytes("save", "record")

    def load(self, record: bytes) -> None:
        """Take this record as the stored one (official only)."""
        self._ask("load", record=record.hex())


@dataclass(slots=True)
class GroupOracles(Oracles):
    """The Node process that runs the other implementations."""

    def group_party(self, by: str) -> Oracle:
        """A new record run by "official", "baileys" or "repository" (Baileys with its own storage; only reads)."""
        self.made += 1
        name = f"party{self.made}"
        self.ask({"do": "new", "party": name, "by": by})
        return Oracle(self, name)


@contextmanager
def running_group_oracles() -> Iterator[GroupOracles]:
    """Start the Node process; it ends with the block."""
    baileys = requirements.require("baileys")
    with running("group_oracle.mjs", str(baileys)) as process:
        yield GroupOracles(process)
