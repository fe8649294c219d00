"""Writes tests/vectors/signal_*.json: calls of the session functions with what they gave.

Each call stands for itself: arguments in, results or refusal out. `signal_own.json` is two devices of ours with fixed
dice; it guards against change. `signal_official.json` is one device of ours in conversation with the official libsignal
client, whose messages and records stand in it, so that reading them needs no Node. Run as
`python -m tests.support.make_signal_vectors`; the official one comes out different each time, for its dice are its own.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import signal_parties
from tests.support.signal_parties import Sealed, Waton, running_oracles
from waton import _core
from waton.errors import DecodeError, DecryptError, InvalidSignature

FOLDER = Path(__file__).parents[1] / "vectors"
RECORDED = ["session_initiate", "session_encrypt", "session_decrypt", "session_decrypt_prekey"]
POSITIONAL = {
    "session_initiate": ["record", "bundle"],
    "session_encrypt": ["record", "plaintext"],
    "sender_key_create": ["record"],
    "sender_key_distribution": ["record"],
    "sender_key_process": ["record", "distribution"],
    "sender_key_encrypt": ["record", "plaintext"],
}


def plain(value: object) -> object:
    """A JSON form: bytes as hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return value


class Recorder:
    """Stands in front of the session functions and writes down every call."""

    def __init__(self) -> None:
        self.calls: list[dict[str, object]] = []
        self.story = ""
        self.bundle: dict[str, object] = {}

    def wrap(self, name: str) -> Callable[..., Any]:
        call = getattr(_core, name)

        def recorded(*args: object, **kwargs: object) -> object:
            given = dict(zip(POSITIONAL.get(name, ["record", "message"]), args, strict=True)) | kwargs
            said = {key: self.bundle if key == "bundle" else plain(value) for key, value in given.items()}
            entry: dict[str, object] = {"story": self.story, "call": name, "arguments": said}
            self.calls.append(entry)
            try:
                result = call(*args, **kwargs)
            except DecryptError as error:
                entry["refused"] = error.reason.value
                raise
            except DecodeError as error:
                entry["refused"] = f"decode at {error.offset}"
                raise
            except InvalidSignature:
                entry["refused"] = "signature"
                raise
            entry["gives"] = plain(result)
            return result

        return recorded


class Own(Waton):
    """A device whose calls are recorded."""

    recorder: Recorder

    def open(self, bundle: signal_parties.Bundle) -> None:
        self.recorder.bundle = {name: plain(getattr(bundle, name)) for name in bundle.__slots__}
        super().open(bundle)


def own(seed: int, recorder: Recorder) -> Own:
    Own.recorder = recorder
    return Own(seed)


def refused(device: Waton, sealed: Sealed) -> None:
    try:
        device.decrypt(sealed)
    except (DecryptError, DecodeError):
        return
    raise AssertionError("was read")


def flipped(sealed: Sealed, place: int) -> Sealed:
    changed = bytearray(sealed.message)
    changed[place] ^= 1
    return Sealed(sealed.type, bytes(changed))


def tell_own(recorder: Recorder) -> None:
    alice, bob = own(1, recorder), own(2, recorder)
    recorder.story = "alice opens with a one-time prekey, bob reads the second message first"
    alice.open(bob.bundle())
    first, second = alice.encrypt(b"first"), alice.encrypt(b"second")
    bob.decrypt(second)
    bob.decrypt(first)
    recorder.story = "the first message again, and changed"
    refused(bob, first)
    refused(bob, flipped(first, -5))
    recorder.story = "bob answers, alice reads; her messages are ordinary now"
    alice.decrypt(bob.encrypt(b"answer"))
    held, third = alice.encrypt(b"held back"), alice.encrypt(b"third")
    bob.decrypt(third)
    recorder.story = "a changed MAC, ciphertext, counter, ratchet key; a message cut short"
    refused(bob, flipped(held, -1))
    for place in (-12, 37, 20):
        refused(bob, flipped(held, place))
    refused(bob, Sealed("msg", held.message[:-20]))
    recorder.story = "the ratchet turns while a message is held back"
    alice.decrypt(bob.encrypt(b"more"))
    bob.decrypt(alice.encrypt(b"fourth"))
    bob.decrypt(held)
    recorder.story = "another device does not read it"
    refused(own(3, recorder), alice.encrypt(b"not for carol"))
    recorder.story = "a new session without one-time prekey; the old one still reads"
    late = bob.encrypt(b"late")
    alice.open(bob.bundle(with_prekey=False))
    alice.decrypt(late)
    recorder.story = "a signed prekey that is not signed"
    bundle = bob.bundle(with_prekey=False)
    with contextlib.suppress(InvalidSignature):
        own(4, recorder).open(type(bundle)(*[getattr(bundle, name) for name in bundle.__slots__[:4]], bytes(64)))


def tell_official(recorder: Recorder) -> None:
    with running_oracles() as oracles:
        for with_prekey in (True, False):
            ours, theirs = own(5, recorder), oracles.party("official")
            recorder.story = f"the official client opens {'with' if with_prekey else 'without'} a one-time prekey"
            theirs.open(ours.bundle(with_prekey=with_prekey))
            first, second = theirs.encrypt(b"first"), theirs.encrypt(b"second")
            ours.decrypt(second)
            refused(ours, flipped(first, -12))
            ours.decrypt(first)
            recorder.story = "the conversation goes on, out of order and through a turn"
            assert theirs.decrypt(ours.encrypt(b"answer")) == b"answer"
            held, third = theirs.encrypt(b"held back"), theirs.encrypt(b"third")
            ours.decrypt(third)
            assert theirs.decrypt(ours.encrypt(b"more")) == b"more"
            ours.decrypt(theirs.encrypt(b"fourth"))
            ours.decrypt(held)
            refused(ours, held)
        recorder.story = "we open"
        ours, theirs = own(6, recorder), oracles.party("official")
        ours.open(theirs.bundle())
        assert theirs.decrypt(ours.encrypt(b"hello")) == b"hello"
        ours.decrypt(theirs.encrypt(b"hello"))
        recorder.story = "a record of the official client, with skipped keys, continues here"
        other, theirs = own(7, recorder), oracles.party("official")
        theirs.open(other.bundle())
        other.decrypt(theirs.encrypt(b"hello"))
        theirs.decrypt(other.encrypt(b"hello"))
        sealed = [other.encrypt(b"%d" % number) for number in range(4)]
        theirs.decrypt(sealed[2])
        heir = own(8, recorder)
        heir.record = theirs.save()
        heir.decrypt(sealed[1])
        heir.decrypt(sealed[3])
        refused(heir, sealed[2])
        other.decrypt(heir.encrypt(b"from the heir"))


def write(name: str, source: str, tell: Callable[[Recorder], None]) -> None:
    recorder = Recorder()
    for call in RECORDED:
        setattr(signal_parties, call, recorder.wrap(call))
    tell(recorder)
    vector = {"source": source, "calls": recorder.calls}
    (FOLDER / name).write_text(json.dumps(vector, indent=1) + "\n")


if __name__ == "__main__":
    write(
        "signal_own.json", "waton, fixed dice; read by both oracles in tests/peers/test_signal_libsignal.py", tell_own
    )
    write("signal_official.json", "npm @signalapp/libsignal-client 0.21.1 in conversation with waton", tell_official)
