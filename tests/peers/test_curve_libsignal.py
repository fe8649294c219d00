"""XEdDSA and X25519 beside the official libsignal client and libsignal-node, both ways."""

from __future__ import annotations

import json
import random
import subprocess
from itertools import pairwise
from typing import Any

import pytest

from tests.requirements import require
from waton._core import x25519, x25519_public_key, xeddsa_sign, xeddsa_verify

pytestmark = [pytest.mark.peer, pytest.mark.parametrize("by", ["official", "node"])]

DICE = random.Random(25_519)
KEYS = [DICE.randbytes(32) for _ in range(24)]
MESSAGES = [DICE.randbytes(length) for length in (1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 300, 5_000) * 2]


def ask(by: str, what: str, questions: list[dict[str, str]]) -> list[Any]:
    folder = require("libsignal")
    lines = "".join(json.dumps({"by": by, "do": what, **question}) + "\n" for question in questions)
    command = [str(require("node")), "curve_oracle.mjs"]
    done = subprocess.run(command, cwd=folder, input=lines, capture_output=True, text=True, timeout=60, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer for answer in answers if "error" in answer] == []
    return [answer["value"] for answer in answers]


def test_the_same_public_keys(by: str) -> None:
    assert ask(by, "public", [{"key": key.hex()} for key in KEYS]) == [x25519_public_key(key).hex() for key in KEYS]


def test_the_same_secrets(by: str) -> None:
    pairs = [(key, x25519_public_key(other)) for key, other in pairwise(KEYS)]
    theirs = ask(by, "agree", [{"key": key.hex(), "other": other.hex()} for key, other in pairs])
    assert theirs == [x25519(key, other).hex() for key, other in pairs]


def test_we_verify_theirs(by: str) -> None:
    jobs = list(zip(KEYS, MESSAGES, strict=True))
    signatures = ask(by, "sign", [{"key": key.hex(), "message": message.hex()} for key, message in jobs])
    for (key, message), signature in zip(jobs, signatures, strict=True):
        xeddsa_verify(x25519_public_key(key), message, bytes.fromhex(signature))


def test_they_verify_ours_and_not_a_changed_one(by: str) -> None:
    questions: list[dict[str, str]] = []
    for key, message in zip(KEYS, MESSAGES, strict=True):
        signature = xeddsa_sign(key, message, DICE.randbytes(64))
        changed = signature[:40] + bytes([signature[40] ^ 1]) + signature[41:]
        asked = {"key": x25519_public_key(key).hex(), "message": message.hex()}
        questions += [{**asked, "signature": signature.hex()}, {**asked, "signature": changed.hex()}]
    assert ask(by, "verify", questions) == [True, False] * len(KEYS)
