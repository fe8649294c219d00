"""Pairing, the client's part: the refs one after the other, the phone's word, and what the server is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.unit.client.worlds import StandingClock
from tests.unit.protocol.wires import NOW, STRANGER, Dice, dice
from waton.client import pairing
from waton.client.pairing import QrRotation, QrShown
from waton.errors import PairingError, PairingStep
from waton.jid import SERVER, Jid
from waton.protocol.adv import verify_device_signature, vouch
from waton.protocol.binary_node import Node
from waton.protocol.client_payload import Browser
from waton.protocol.credentials import Credentials, KeyPair
from waton.protocol.stanza.pairing import PairSuccess, QrText, pair_device

MINE = Credentials.generate(Dice("pairing").take)
PHONE = KeyPair.of(dice("phone", 32))
ME, LID = Jid.parse("4915000000001:4@s.whatsapp.net"), Jid.parse("77000000000001:4@lid")


def word(*, secret: bytes = MINE.adv_secret, companion: bytes = MINE.identity_key.public) -> PairSuccess:
    container, _ = vouch(
        PHONE,
        companion_identity=companion,
        adv_secret=secret,
        raw_id=1,
        key_index=6,
        timestamp=int(NOW),
        entropy=dice("vouch", 64),
    )
    return PairSuccess("55", container, ME, LID, "android", "Ada & Co")


# --- QRs --------------------------------------------------------------------------------------------------------------


class Rotation:
    """A rotation whose waiting moves the clock instead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, browser: Browser | None = None) -> None:
        self.clock = StandingClock()
        self.shown: list[tuple[float, QrShown]] = []
        self.rotation = QrRotation(MINE, browser or Browser(), self.clock, self._show)
        monkeypatch.setattr("waton.client.pairing.asyncio.sleep", self._sleep)

    def _show(self, qr: QrShown) -> None:
        self.shown.append((self.clock.time - NOW, qr))

    async def _sleep(self, seconds: float) -> None:
        self.clock.time += seconds


async def test_every_ref_is_shown_in_turn_for_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Rotation(monkeypatch)
    with pytest.raises(PairingError) as ended:
        await world.rotation.run(pair_device("1", [b"one", b"two", b"three"]))
    assert ended.value.step is PairingStep.REFS
    # Source: Baileys Socket/socket.ts: 60 s for the first, 20 s for each later one.
    assert [at for at, _ in world.shown] == [0, 60, 80]
    assert world.clock.time == NOW + 100
    assert [qr.expires_at for _, qr in world.shown] == [NOW + 60, NOW + 80, NOW + 100]
    assert [qr.left for _, qr in world.shown] == [2, 1, 0]
    assert [QrText.parse(qr.text).ref for _, qr in world.shown] == ["one", "two", "three"]


async def test_a_qr_says_our_keys_and_our_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Rotation(monkeypatch, Browser(name="Firefox"))
    with pytest.raises(PairingError):
        await world.rotation.run(pair_device("1", [b"one"]))
    [(_, qr)] = world.shown
    assert QrText.parse(qr.text) == QrText(
        "one", MINE.noise_key.public, MINE.identity_key.public, MINE.adv_secret, platform="3"
    )
    assert qr.text not in repr(qr)


async def test_no_refs_no_qr(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Rotation(monkeypatch)
    with pytest.raises(PairingError) as ended:
        await world.rotation.run(pair_device("1", []))
    assert ended.value.step is PairingStep.REFS
    assert world.shown == []


async def test_the_last_qr_stays_while_a_code_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Rotation(monkeypatch)
    world.rotation = QrRotation(MINE, Browser(), world.clock, world._show, lambda: NOW + 180)
    with pytest.raises(PairingError) as ended:
        await world.rotation.run(pair_device("1", [b"one", b"two"]))
    assert ended.value.step is PairingStep.REFS
    assert world.clock.time == NOW + 180
    assert len(world.shown) == 2


async def test_a_scan_stops_the_rotation() -> None:
    shown: list[QrShown] = []
    task = asyncio.create_task(
        QrRotation(MINE, Browser(), StandingClock(), shown.append).run(pair_device("1", [b"1", b"2"]))
    )
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert len(shown) == 1


# --- the phone's word -------------------------------------------------------------------------------------------------


def test_a_sound_word_is_taken_and_signed_back() -> None:
    paired = pairing.accept(MINE, word(), dice("sign", 64))
    made = paired.credentials
    assert (made.me, made.lid, made.platform) == (ME, LID, "android")
    assert made.account == paired.identity.account
    assert replace(made, me=None, lid=None, platform="", account=b"") == MINE  # and nothing else has changed
    assert paired.identity.account_key == PHONE.public
    assert paired.reply.attrs == {"to": SERVER, "type": "result", "id": "55"}
    [signed] = paired.reply.children("pair-device-sign")[0].children()
    assert signed.attrs == {"key-index": "6"}
    assert isinstance(signed.content, bytes)
    verify_device_signature(signed.content, companion_identity=MINE.identity_key.public, account_key=PHONE.public)


def test_a_word_may_be_sealed_with_the_secret_of_any_code_that_was_answered() -> None:
    secrets = [dice(f"code {number}", 32) for number in range(3)]
    for secret in (*secrets, MINE.adv_secret):
        paired = pairing.accept(MINE, word(secret=secret), dice("sign", 64), secrets)
        assert paired.credentials.adv_secret == secret
    with pytest.raises(PairingError) as refused:
        pairing.accept(MINE, word(secret=dice("another", 32)), dice("sign", 64), secrets)
    assert refused.value.step is PairingStep.HMAC


@pytest.mark.parametrize(
    ("success", "step", "code", "text"),
    [
        (word(secret=dice("another", 32)), PairingStep.HMAC, "401", "hmac-mismatch"),
        (word(companion=STRANGER.public), PairingStep.ACCOUNT_SIGNATURE, "401", "signature-mismatch"),
        (replace(word(), container=b"\xff\xff"), PairingStep.FORMAT, "500", "internal-error"),
    ],
)
def test_what_the_server_is_told_of_a_word_that_does_not_hold(
    success: PairSuccess, step: PairingStep, code: str, text: str
) -> None:
    # Source: whatsmeow pair.go.
    before = MINE.to_json()
    with pytest.raises(PairingError) as refused:
        pairing.accept(MINE, success, dice("sign", 64))
    assert refused.value.step is step
    assert MINE.to_json() == before
    answer = pairing.refusal(success, refused.value)
    assert answer.attrs == {"to": SERVER, "type": "error", "id": "55"}
    assert answer.children() == [Node("error", {"code": code, "text": text})]


def test_what_was_paired_shows_no_key() -> None:
    paired = pairing.accept(MINE, word(), dice("sign", 64))
    assert repr(PHONE.public) not in repr(paired)
    assert "4915" not in repr(paired)
