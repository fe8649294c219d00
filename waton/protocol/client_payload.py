"""ClientPayload: what a client says about itself at the end of the handshake, to register or to log in.

Source: Baileys Utils/validate-connection.ts (fields and values; facts), whatsmeow store/clientpayload.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import md5

from waton._core import Jid
from waton.errors import RemoteProtocolError
from waton.protocol import proto
from waton.protocol.credentials import Credentials

KEY_TYPE = b"\x05"
"""The type byte of a Curve25519 public key."""


@dataclass(frozen=True, slots=True)
class Browser:
    """What the phone lists under "linked devices" and the server takes as the client's kind."""

    os: str = "Mac OS"
    name: str = "Chrome"
    version: tuple[int, int, int] = (2, 3000, 1043857760)
    """Of the web client, not of the browser."""
    country: str = "US"

    @property
    def platform_type(self) -> proto.DeviceProps.PlatformType.ValueType:
        """DeviceProps.PlatformType by upper-cased name, CHROME if unknown."""
        known = proto.DeviceProps.PlatformType
        name = self.name.upper()
        return known.Value(name if name in known.keys() and name != "UNKNOWN" else "CHROME")  # noqa: SIM118

    @property
    def qr_platform(self) -> str:
        """The client type at the end of a QR text; another numbering than DeviceProps'."""
        if self.name == _DESKTOP:
            return "8" if self.os == "Windows" else "7"
        return _QR_PLATFORM.get(self.name, "9")

    @property
    def display(self) -> str:
        """What a phone that links by code lists: Browser (System); a client that is none says Chrome, as the web does.

        Source: whatsapp-rust wacore/src/companion_reg.rs.
        """
        return f"{self.name if self.name in _QR_PLATFORM else 'Chrome'} ({self.os})"

    @property
    def web_platform(self) -> proto.ClientPayload.WebInfo.WebSubPlatform.ValueType:
        """A browser, or the desktop app of Windows or macOS; no other system has one."""
        app = {"Mac OS": "DARWIN", "Windows": "WIN32"}.get(self.os) if self.name == _DESKTOP else None
        return proto.ClientPayload.WebInfo.WebSubPlatform.Value(app or "WEB_BROWSER")


_DESKTOP = "Desktop"
_QR_PLATFORM = {"Chrome": "1", "Edge": "2", "Firefox": "3", "IE": "4", "Opera": "5", "Safari": "6"}


def registration_payload(credentials: Credentials, browser: Browser) -> bytes:
    """The payload of a device that is not paired yet."""
    payload = _base(browser)
    payload.passive = False
    payload.pull = False
    payload.devicePairingData.CopyFrom(
        proto.ClientPayload.DevicePairingRegistrationData(
            buildHash=md5(_dotted(browser).encode(), usedforsecurity=False).digest(),
            deviceProps=_device_props(browser).SerializeToString(),
            eRegid=credentials.registration_id.to_bytes(4, "big"),
            eKeytype=KEY_TYPE,
            eIdent=credentials.identity_key.public,
            eSkeyId=credentials.signed_prekey_id.to_bytes(3, "big"),
            eSkeyVal=credentials.signed_prekey.public,
            eSkeySig=credentials.signed_prekey_signature,
        )
    )
    if credentials.push_name:
        payload.pushName = credentials.push_name
    return payload.SerializeToString()


def login_payload(me: Jid, browser: Browser, push_name: str = "") -> bytes:
    """The payload of a paired device.

    Raises:
        ValueError: the user part of `me` is not a number.
    """
    payload = _base(browser)
    payload.username = int(me.user)
    payload.device = me.device
    payload.passive = True
    payload.pull = True
    payload.lidDbMigrated = False
    if push_name:
        payload.pushName = push_name
    return payload.SerializeToString()


def parse_payload(data: bytes) -> proto.ClientPayload:
    """Raises RemoteProtocolError when it does not parse."""
    try:
        return proto.ClientPayload.FromString(data)
    except Exception as error:  # protobuf's own error class differs between its implementations
        raise RemoteProtocolError("the client payload does not parse") from error


def _base(browser: Browser) -> proto.ClientPayload:
    primary, secondary, tertiary = browser.version
    agent = proto.ClientPayload.UserAgent
    return proto.ClientPayload(
        connectType=proto.ClientPayload.ConnectType.Value("WIFI_UNKNOWN"),
        connectReason=proto.ClientPayload.ConnectReason.Value("USER_ACTIVATED"),
        userAgent=agent(
            platform=agent.Platform.Value("WEB"),
            appVersion=agent.AppVersion(primary=primary, secondary=secondary, tertiary=tertiary),
            releaseChannel=agent.ReleaseChannel.Value("RELEASE"),
            mcc="000",
            mnc="000",
            osVersion="0.1",
            device="Desktop",
            osBuildNumber="0.1",
            localeLanguageIso6391="en",
            localeCountryIso31661Alpha2=browser.country,
        ),
        webInfo=proto.ClientPayload.WebInfo(webSubPlatform=browser.web_platform),
    )


def _dotted(browser: Browser) -> str:
    return ".".join(str(part) for part in browser.version)


def _device_props(browser: Browser) -> proto.DeviceProps:
    props = proto.DeviceProps
    return props(
        os=browser.os,
        platformType=browser.platform_type,
        requireFullSync=True,
        version=props.AppVersion(primary=10, secondary=15, tertiary=7),
        historySyncConfig=props.HistorySyncConfig(
            storageQuotaMb=10240,
            inlineInitialPayloadInE2EeMsg=True,
            supportCallLogHistory=False,
            supportBotUserAgentChatHistory=True,
            supportCagReactionsAndPolls=True,
            supportBizHostedMsg=True,
            supportRecentSyncChunkMessageCountTuning=True,
            supportHostedGroupMsg=True,
            supportFbidBotChatHistory=True,
            supportMessageAssociation=True,
            supportGroupHistory=False,
        ),
    )
