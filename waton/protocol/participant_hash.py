"""The participant hash: a short name for a set of devices, by which two sides notice that they think of different ones.

A sender writes the hash of the devices it encrypted for as `phash` of its message; the service compares, and answers
with its own when it knows another set. Notifications about devices carry the hash of the list after the change, and
usync answers may carry one too.

Source: whatsmeow send.go participantListHashV2 and types/jid.go ADString; whatsapp-rust's, as it writes it in groups of
the lab, is the same when it does not take its own LID for an address of agent 1. Baileys cuts the text to six
characters where six bytes are meant, and never sends it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256

from waton.jid import Jid

_HASHED_BYTES = 6


def participant_hash(jids: Iterable[Jid]) -> str:
    """The hash of a set of devices: "2:" and eight characters of standard Base64.

    Args:
        jids: the devices, in any order; each once. The phone is device 0.
    """
    names = sorted(f"{jid.user}.0:{jid.device}@{jid.server}" for jid in jids)
    return "2:" + b64encode(sha256("".join(names).encode()).digest()[:_HASHED_BYTES]).decode()
