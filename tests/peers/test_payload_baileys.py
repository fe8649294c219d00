"""What we say beside what the real Baileys says: client payloads, acks, and the answer to a pair-success."""

from __future__ import annotations

import itertools
import json
import subprocess
from typing import Any

import pytest
from google.protobuf.message import Message

from tests.requirements import require
from tests.unit.protocol.wires import NOW, Dice, dice
from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.adv import verify_device_signature, verify_identity, vouch
from waton.protocol.binary_node import Node
from waton.protocol.client_payload import Browser, login_payload, parse_payload, registration_payload
from waton.protocol.credentials import Credentials, KeyPair
from waton.protocol.stanza.receipt import ack

pytestmark = pytest.mark.peer

MINE = Credentials.generate(Dice("beside Baileys").take)
PHONE = KeyPair.of(dice("phone", 32))
BROWSERS = [
    Browser(),
    Browser(os="Ubuntu", name="Firefox", version=(2, 3000, 7), country="DE"),
    *(Browser(os="Windows", name=name) for name in ("Edge", "Safari", "Opera", "IE", "Desktop", "Waton")),
]


def ask(questions: list[dict[str, object]]) -> list[dict[str, Any]]:
    """Baileys' answers, in order."""
    folder = require("baileys")
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    command = [str(require("node")), "payload_oracle.mjs"]
    done = subprocess.run(command, cwd=folder, input=lines, capture_output=True, text=True, timeout=100, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(answers) == len(questions)
    return answers


def config(browser: Browser, push_name: str = "") -> dict[str, object]:
    return {
        "version": browser.version,
        "browser": [browser.os, browser.name, "1"],
        "countryCode": browser.country,
        # We always ask for the whole history. Baileys then names the desktop app as the platform for Desktop only.
        "syncFullHistory": True,
        "pushName": push_name,
    }


def told(message: Message) -> dict[str, object]:
    """Every field that was written."""
    return {field.name: told(value) if isinstance(value, Message) else value for field, value in message.ListFields()}


def payload_told(data: bytes) -> dict[str, object]:
    payload = parse_payload(data)
    fields = told(payload)
    if payload.HasField("devicePairingData"):
        props = proto.DeviceProps.FromString(payload.devicePairingData.deviceProps)
        fields["devicePairingData"] = {**told(payload.devicePairingData), "deviceProps": told(props)}
    return fields


def without_web_platform(fields: dict[str, object], browser: Browser) -> dict[str, object]:
    if browser.name == "Desktop":
        return {name: value for name, value in fields.items() if name != "webInfo"}
    return fields


@pytest.mark.parametrize("push_name", ["", "Ada"])
def test_login_says_the_same(push_name: str) -> None:
    jids = [Jid.parse(text) for text in ("4915000000001@s.whatsapp.net", "4915000000001:77@s.whatsapp.net")]
    cases = list(itertools.product(jids, BROWSERS))
    answers = ask([{"login": str(jid), "config": config(browser, push_name)} for jid, browser in cases])
    for (jid, browser), answer in zip(cases, answers, strict=True):
        ours = payload_told(login_payload(jid, browser, push_name))
        theirs = payload_told(bytes.fromhex(answer["hex"]))
        if jid.device == 0:
            assert ours.pop("device") == 0  # Baileys leaves the number out; a companion never has device 0
        assert without_web_platform(ours, browser) == without_web_platform(theirs, browser)


def test_registration_says_the_same() -> None:
    keys = {
        "registrationId": MINE.registration_id,
        "identity": MINE.identity_key.public.hex(),
        "signedId": MINE.signed_prekey_id,
        "signed": MINE.signed_prekey.public.hex(),
        "signature": MINE.signed_prekey_signature.hex(),
    }
    answers = ask([{"registration": keys, "config": config(browser)} for browser in BROWSERS])
    for browser, answer in zip(BROWSERS, answers, strict=True):
        ours = payload_told(registration_payload(MINE, browser))
        theirs = payload_told(bytes.fromhex(answer["hex"]))
        assert without_web_platform(ours, browser) == without_web_platform(theirs, browser)


def test_acks_say_the_same() -> None:
    peer, group = "4915000000002:3@s.whatsapp.net", "12036302@g.us"
    optional = {"participant": "77000000000002:1@lid", "recipient": peer, "type": "text", "t": "5"}
    cases: list[tuple[str, dict[str, str], int | None]] = []
    for tag, sender, error in itertools.product(
        ("message", "receipt", "notification", "call"), (peer, group), (None, 487, 500)
    ):
        for count in range(len(optional) + 1):
            for chosen in itertools.combinations(optional.items(), count):
                cases.append((tag, {"id": "A1", "from": sender, **dict(chosen)}, error))
    me = "4915000000001:4@s.whatsapp.net"
    answers = ask([{"ack": {"tag": tag, "attrs": attrs}, "error": error, "me": me} for tag, attrs, error in cases])
    for (tag, attrs, error), answer in zip(cases, answers, strict=True):
        ours = ack(Node(tag, dict(attrs)), error=error, me=Jid.parse(me))
        assert [[name, str(value)] for name, value in ours.attrs.items()] == answer["attrs"], (tag, attrs, error)


def test_a_pair_success_is_answered_the_same() -> None:
    container, _ = vouch(
        PHONE,
        companion_identity=MINE.identity_key.public,
        adv_secret=MINE.adv_secret,
        raw_id=1,
        key_index=6,
        timestamp=int(NOW),
        entropy=dice("vouch", 64),
    )
    pair = {"jid": "4915000000001:4@s.whatsapp.net", "lid": "77000000000001:4@lid", "container": container.hex()}
    identity = {"private": MINE.identity_key.private.hex(), "public": MINE.identity_key.public.hex()}
    wrong = {**pair, "container": container[:-3].hex() + "000000"}
    sound, refused = ask(
        [
            {"pair": pair, "identity": identity, "secret": MINE.adv_secret.hex()},
            {"pair": wrong, "identity": identity, "secret": dice("another", 32).hex()},
        ]
    )
    ours = verify_identity(container, adv_secret=MINE.adv_secret, identity=MINE.identity_key, entropy=dice("sign", 64))
    assert sound["keyIndex"] == str(ours.key_index)
    theirs = bytes.fromhex(sound["reply"])
    verify_device_signature(theirs, companion_identity=MINE.identity_key.public, account_key=PHONE.public)
    # The signature is drawn with dice; everything beside it is the same.
    replies = [proto.ADVSignedDeviceIdentity.FromString(reply) for reply in (theirs, ours.reply)]
    for reply in replies:
        assert len(reply.deviceSignature) == 64
        reply.ClearField("deviceSignature")
    assert replies[0] == replies[1]
    assert "error" in refused
