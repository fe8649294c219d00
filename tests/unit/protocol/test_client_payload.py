"""ClientPayload: every field that the facts name, and none besides."""

from __future__ import annotations

from hashlib import md5

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.unit.protocol.wires import Dice
from waton.errors import RemoteProtocolError
from waton.jid import Jid
from waton.protocol import proto
from waton.protocol.client_payload import Browser, login_payload, parse_payload, registration_payload
from waton.protocol.credentials import Credentials

CREDENTIALS = Credentials.generate(Dice("payload").take)
BROWSER = Browser(version=(2, 3000, 1027934701))
ME = Jid.parse("4915000000001:14@s.whatsapp.net")


@pytest.mark.parametrize(
    ("browser", "display"),
    [
        (Browser(), "Chrome (Mac OS)"),
        (Browser(os="Windows", name="Firefox"), "Firefox (Windows)"),
        (Browser(os="Windows", name="Desktop"), "Chrome (Windows)"),
        (Browser(os="Linux", name="Waton"), "Chrome (Linux)"),
    ],
)
def test_what_a_phone_lists_names_a_browser_that_the_service_knows(browser: Browser, display: str) -> None:
    assert browser.display == display


# Source: Baileys Utils/validate-connection.ts.
COMMON = {
    "connectType": "WIFI_UNKNOWN",
    "connectReason": "USER_ACTIVATED",
    "userAgent": {
        "platform": "WEB",
        "appVersion": {"primary": 2, "secondary": 3000, "tertiary": 1027934701},
        "releaseChannel": "RELEASE",
        "mcc": "000",
        "mnc": "000",
        "osVersion": "0.1",
        "device": "Desktop",
        "osBuildNumber": "0.1",
        "localeLanguageIso6391": "en",
        "localeCountryIso31661Alpha2": "US",
    },
    "webInfo": {"webSubPlatform": "WEB_BROWSER"},
}
DEVICE_PROPS = {
    "os": "Mac OS",
    "platformType": "CHROME",
    "requireFullSync": True,
    "version": {"primary": 10, "secondary": 15, "tertiary": 7},
    "historySyncConfig": {
        "storageQuotaMb": 10240,
        "inlineInitialPayloadInE2EeMsg": True,
        "supportCallLogHistory": False,
        "supportBotUserAgentChatHistory": True,
        "supportCagReactionsAndPolls": True,
        "supportBizHostedMsg": True,
        "supportRecentSyncChunkMessageCountTuning": True,
        "supportHostedGroupMsg": True,
        "supportFbidBotChatHistory": True,
        "supportMessageAssociation": True,
        "supportGroupHistory": False,
    },
}


def told(message: Message) -> dict[str, object]:
    """Every field that was written, enums by name."""
    return {field.name: _value(field, value) for field, value in message.ListFields()}


def _value(field: FieldDescriptor, value: object) -> object:
    if isinstance(value, Message):
        return told(value)
    return value if field.enum_type is None else field.enum_type.values_by_number[value].name


def test_login_says_who_and_nothing_about_keys() -> None:
    payload = parse_payload(login_payload(ME, BROWSER))
    assert told(payload) == COMMON | {
        "username": 4915000000001,
        "device": 14,
        "passive": True,
        "pull": True,
        "lidDbMigrated": False,
    }


def test_registration_says_the_keys_and_not_who() -> None:
    payload = parse_payload(registration_payload(CREDENTIALS, BROWSER))
    pairing = payload.devicePairingData
    assert proto.DeviceProps.FromString(pairing.deviceProps).HasField("requireFullSync")
    assert told(proto.DeviceProps.FromString(pairing.deviceProps)) == DEVICE_PROPS
    assert told(payload) == COMMON | {
        "passive": False,
        "pull": False,
        "devicePairingData": {
            "buildHash": md5(b"2.3000.1027934701", usedforsecurity=False).digest(),
            "deviceProps": pairing.deviceProps,
            "eRegid": CREDENTIALS.registration_id.to_bytes(4, "big"),
            "eKeytype": b"\x05",
            "eIdent": CREDENTIALS.identity_key.public,
            "eSkeyId": b"\x00\x00\x01",
            "eSkeyVal": CREDENTIALS.signed_prekey.public,
            "eSkeySig": CREDENTIALS.signed_prekey_signature,
        },
    }


@pytest.mark.parametrize(
    "payload", [login_payload(ME, BROWSER), registration_payload(CREDENTIALS, BROWSER)], ids=["login", "registration"]
)
def test_no_private_key_leaves(payload: bytes) -> None:
    for pair in (CREDENTIALS.noise_key, CREDENTIALS.identity_key, CREDENTIALS.signed_prekey):
        assert pair.private not in payload
    assert CREDENTIALS.adv_secret not in payload


def test_the_push_name_is_said_when_there_is_one() -> None:
    assert parse_payload(login_payload(ME, BROWSER, "Ada")).pushName == "Ada"
    assert parse_payload(registration_payload(CREDENTIALS.evolve(push_name="Ada"), BROWSER)).pushName == "Ada"
    assert not parse_payload(login_payload(ME, BROWSER)).HasField("pushName")


def test_a_user_that_is_no_number_cannot_log_in() -> None:
    with pytest.raises(ValueError):
        login_payload(Jid.parse("ada@s.whatsapp.net"), BROWSER)


# Source: DeviceProps.PlatformType and Baileys' companion-reg-client-utils.ts; the two number differently.
@pytest.mark.parametrize(
    ("name", "platform", "qr"),
    [
        ("Chrome", 1, "1"),
        ("Firefox", 2, "3"),
        ("IE", 3, "4"),
        ("Opera", 4, "5"),
        ("Safari", 5, "6"),
        ("Edge", 6, "2"),
        ("Waton", 1, "9"),
        ("unknown", 1, "9"),
        ("Desktop", 7, "7"),
    ],
)
def test_browsers_have_two_numbers(name: str, platform: int, qr: str) -> None:
    browser = Browser(name=name)
    assert browser.platform_type == platform
    assert browser.qr_platform == qr
    payload = parse_payload(registration_payload(CREDENTIALS, browser))
    assert proto.DeviceProps.FromString(payload.devicePairingData.deviceProps).platformType == platform


@pytest.mark.parametrize(
    ("os", "name", "app", "qr"),
    [
        ("Mac OS", "Desktop", "DARWIN", "7"),
        ("Windows", "Desktop", "WIN32", "8"),
        ("Ubuntu", "Desktop", "WEB_BROWSER", "7"),
        ("Windows", "Chrome", "WEB_BROWSER", "1"),
    ],
)
def test_the_desktop_app_says_so(os: str, name: str, app: str, qr: str) -> None:
    browser = Browser(os=os, name=name)
    payload = parse_payload(registration_payload(CREDENTIALS, browser))
    assert payload.webInfo.webSubPlatform == proto.ClientPayload.WebInfo.WebSubPlatform.Value(app)
    assert browser.qr_platform == qr


def test_the_country_and_the_os_are_the_browsers() -> None:
    payload = parse_payload(registration_payload(CREDENTIALS, Browser(os="Ubuntu", country="DE")))
    assert payload.userAgent.localeCountryIso31661Alpha2 == "DE"
    assert proto.DeviceProps.FromString(payload.devicePairingData.deviceProps).os == "Ubuntu"


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05", b"\x2a\xff"])
def test_what_is_no_payload_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_payload(data)
