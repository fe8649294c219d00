"""The pairs, one module for each family, and the table that accounts for every export.

Nothing here imports waton's protocol or client at the top: each pair reaches for its counterpart when it is asked, so
that a part that is missing takes only its own rows with it, and so that what is compared is what is there now.

Inputs are plain values (texts, numbers, bytes, dicts of them) that both sides can be told; what takes a key pair gets a
private key, and each side makes the public one itself.
"""

from __future__ import annotations

from waton.parity.differential import Pair


def load() -> list[Pair]:
    """Every pair, in the table's order."""
    from waton.parity.functions import (
        codec,
        contents,
        crypto,
        envelopes,
        groups,
        identities,
        jids,
        lids,
        meaning,
        messages,
        noise,
        pairing,
        payloads,
        prekeys,
        profiles,
        reasons,
        retries,
        sender_keys,
        signal,
        tokens,
        usync,
    )

    families = (
        codec,
        jids,
        crypto,
        noise,
        payloads,
        pairing,
        signal,
        sender_keys,
        prekeys,
        lids,
        usync,
        profiles,
        messages,
        envelopes,
        meaning,
        contents,
        retries,
        identities,
        tokens,
        groups,
        reasons,
    )
    return [pair for family in families for pair in family.pairs()]
