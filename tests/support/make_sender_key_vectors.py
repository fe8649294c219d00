"""Writes tests/vectors/sender_key.json: calls of the sender-key functions with what they gave.

Each call stands for itself: arguments in, results or refusal out, so that reading them needs no Node. Three stories:
two devices of ours with fixed dice; a sender run by Baileys' lib/Signal/Group, whose distributions and messages stand
in it as they came; and a sender run by the official libsignal client, whose messages are rewritten to WhatsApp's wire
(see tests/peers/libsignal/group_oracle.mjs) and whose records stand in it as they are. Run as
`python -m tests.support.make_sender_key_vectors`; the last two come out different each time, for their dice are their
own.
"""

from __future__ import annotations

import contextlib
import json

from tests.support import sender_key_parties
from tests.support.make_signal_vectors import FOLDER, Recorder
from tests.support.sender_key_parties import Party, Sealed, Waton, running_group_oracles
from waton.errors import DecodeError, DecryptError

RECORDED = [
    "sender_key_create",
    "sender_key_distribution",
    "sender_key_process",
    "sender_key_encrypt",
    "sender_key_decrypt",
]


def refused(reader: Party, sealed: Sealed) -> None:
    try:
        reader.decrypt(sealed)
    except (DecryptError, DecodeError):
        return
    raise AssertionError("was read")


def flipped(sealed: Sealed, place: int) -> Sealed:
    changed = bytearray(sealed.message)
    changed[place] ^= 1
    return Sealed(bytes(changed), sealed.signing_private)


def tell(recorder: Recorder, who: str, sender: Party, seed: int) -> None:
    """One story, whoever sends; ours reads."""
    reader = Waton(seed)
    recorder.story = f"{who} sends; the second message is read first"
    sender.create()
    reader.process(sender.distribution())
    first, second = sender.encrypt(b"first"), sender.encrypt(b"second")
    assert reader.decrypt(second) == b"second"
    refused(reader, flipped(first, -70))
    assert reader.decrypt(first) == b"first"
    recorder.story = f"{who}: a message again; one with another key id; a changed signature, ciphertext, iteration"
    refused(reader, first)
    third = sender.encrypt(b"third" * 40)
    for place in (2, -1, -80, 8):
        refused(reader, flipped(third, place))
    recorder.story = f"{who} tells its key again, and nothing is lost"
    reader.process(sender.distribution())
    assert reader.decrypt(third) == b"third" * 40
    recorder.story = f"{who} makes a new key; the old one still reads"
    late = sender.encrypt(b"late")
    sender.create()
    refused(reader, sender.encrypt(b"nobody was told"))
    reader.process(sender.distribution())
    assert reader.decrypt(sender.encrypt(b"")) == b""
    assert reader.decrypt(late) == b"late"
    recorder.story = f"{who}: another device was not told"
    refused(Waton(seed + 1), sender.encrypt(b"not for carol"))


def inherit(recorder: Recorder) -> None:
    """What the official client has stored, continued here."""
    with running_group_oracles() as oracles:
        theirs, sender, reader = oracles.group_party("official"), Waton(21), Waton(22)
        recorder.story = "a reader's record of the official client, with skipped keys, continues here"
        sender.create()
        theirs.process(sender.distribution())
        sealed = [sender.encrypt(b"%d" % number) for number in range(4)]
        assert theirs.decrypt(sealed[2]) == b"2"
        heir = Waton(23, theirs.save())
        assert [heir.decrypt(sealed[number]) for number in (1, 3)] == [b"1", b"3"]
        refused(heir, sealed[2])
        recorder.story = "a sender's record of the official client continues here"
        theirs.create()
        reader.process(theirs.distribution())
        assert reader.decrypt(theirs.encrypt(b"from there")) == b"from there"
        heir = Waton(24, theirs.save())
        assert reader.decrypt(heir.encrypt(b"from here")) == b"from here"


def main() -> None:
    recorder = Recorder()
    for call in RECORDED:
        setattr(sender_key_parties, call, recorder.wrap(call))
    tell(recorder, "waton", Waton(1), 2)
    recorder.story = "a device without a key of its own"
    with contextlib.suppress(DecryptError):
        Waton(4).encrypt(b"text")
    with running_group_oracles() as oracles:
        tell(recorder, "Baileys", oracles.group_party("baileys"), 5)
        tell(recorder, "the official client", oracles.group_party("official"), 8)
    inherit(recorder)
    source = (
        "waton with fixed dice, npm baileys 7.0.0-rc14 lib/Signal/Group and npm @signalapp/libsignal-client 0.21.1 "
        "(its messages rewritten to WhatsApp's wire, its records as they are), each in conversation with waton"
    )
    vector = {"source": source, "calls": recorder.calls}
    (FOLDER / "sender_key.json").write_text(json.dumps(vector, indent=1) + "\n")


if __name__ == "__main__":
    main()
