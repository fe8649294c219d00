"""The participant hash against known values."""

import pytest

from waton.jid import Jid
from waton.protocol.participant_hash import participant_hash

# Made with sha256sum and base64 from the text that whatsmeow's ADString and sort give.
DEVICES = ["15550001000@s.whatsapp.net", "15550001000:3@s.whatsapp.net", "200000000001000:12@lid"]
HASH = "2:ego85IlO"


def test_nobody_has_a_hash_too() -> None:
    assert participant_hash([]) == "2:47DEQpj8"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_the_order_does_not_matter(order: tuple[int, ...]) -> None:
    assert participant_hash(Jid.parse(DEVICES[number]) for number in order) == HASH


def test_each_device_matters() -> None:
    jids = [Jid.parse(text) for text in DEVICES]
    others = [
        jids[:2],
        [jids[0], jids[1], jids[2].with_device(13)],
        [jids[0], jids[1], Jid("200000000001000", "s.whatsapp.net", 12)],
    ]
    assert len({participant_hash(jids), *(participant_hash(other) for other in others)}) == 4
