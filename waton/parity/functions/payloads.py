"""What a client says of itself: payloads of registration and login, its platform, the text in the QR.

Payloads are compared field by field, as each side's protobuf says them. Waton always asks for the whole history, so
Baileys is told to.

Source: Baileys Utils/validate-connection.ts, companion-reg-client-utils.ts, browser-utils.ts.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity import generators
from waton.parity.differential import Pair
from waton.parity.evidence import Domain
from waton.parity.functions import devices
from waton.parity.oracle.process import Functions

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from waton.protocol.client_payload import Browser

Value: TypeAlias = Any

CONNECTION = "lib/Utils/validate-connection.js"
COMPANION = "lib/Utils/companion-reg-client-utils.js"
BROWSERS = "lib/Utils/browser-utils.js"


def fields(message: Message) -> dict[str, Value]:
    """Every field that was written, by name."""
    from google.protobuf.message import Message

    return {field.name: fields(value) if isinstance(value, Message) else value for field, value in message.ListFields()}


# --- payloads -------------------------------------------------------------------------------------------------------


def _browser(value: Value) -> Browser:
    from waton.protocol.client_payload import Browser

    return Browser(value["os"], value["name"], tuple(value["version"]), value["country"])


def _config(value: Value) -> dict[str, Value]:
    browser = value["browser"]
    return {
        "version": browser["version"],
        "browser": [browser["os"], browser["name"], "1"],
        "countryCode": browser["country"],
        "syncFullHistory": True,
        "pushName": value["push_name"],
    }


def _payload(data: bytes) -> dict[str, Value]:
    from waton.protocol import proto

    payload = proto.ClientPayload.FromString(data)
    told = fields(payload)
    if payload.HasField("devicePairingData"):
        props = proto.DeviceProps.FromString(payload.devicePairingData.deviceProps)
        told["devicePairingData"] = told["devicePairingData"] | {"deviceProps": fields(props)}
    return told


def _clients(names: tuple[str, ...], systems: tuple[str, ...] | None = None) -> SearchStrategy[Value]:
    browsers = generators.browsers(names)
    if systems is not None:
        browsers = browsers.map(lambda browser: browser | {"os": systems[0]})
    return st.fixed_dictionaries(
        {
            "device": generators.credentials(),
            "browser": browsers,
            "push_name": generators.prose(20),
            "me": generators.user_jids(("s.whatsapp.net",)).filter(lambda jid: ":" in jid),
        }
    )


def _their_registration(baileys: Functions, value: Value) -> Value:
    args = [devices.theirs(value["device"]), _config(value)]
    made = baileys.ask("call", module=CONNECTION, name="generateRegistrationNode", args=args, encodeAs="ClientPayload")
    return _payload(made)


def _our_registration(value: Value) -> Value:
    from waton.protocol.client_payload import registration_payload

    credentials = devices.ours(value["device"]).evolve(push_name=value["push_name"])
    return _payload(registration_payload(credentials, _browser(value["browser"])))


def _their_login(baileys: Functions, value: Value) -> Value:
    args = [value["me"], _config(value)]
    return _payload(
        baileys.ask("call", module=CONNECTION, name="generateLoginNode", args=args, encodeAs="ClientPayload")
    )


def _our_login(value: Value) -> Value:
    from waton.jid import Jid
    from waton.protocol.client_payload import login_payload

    return _payload(login_payload(Jid.parse(value["me"]), _browser(value["browser"]), value["push_name"]))


def _payloads() -> list[Pair]:
    def registration(name: str, inputs: Callable[[], SearchStrategy[Value]]) -> Pair:
        return Pair(
            f"generateRegistrationNode{name}",
            Domain.PAIRING,
            f"{CONNECTION}:generateRegistrationNode",
            "waton.protocol.client_payload:registration_payload",
            inputs,
            _their_registration,
            _our_registration,
        )

    def login(name: str, inputs: Callable[[], SearchStrategy[Value]]) -> Pair:
        return Pair(
            f"generateLoginNode{name}",
            Domain.NOISE,
            f"{CONNECTION}:generateLoginNode",
            "waton.protocol.client_payload:login_payload",
            inputs,
            _their_login,
            _our_login,
        )

    desktop = ("Desktop",)
    return [
        registration("", lambda: _clients(generators.BROWSER_NAMES)),
        registration(": the desktop app", lambda: _clients(desktop, ("Windows",))),
        registration(": a desktop of another system", lambda: _clients(desktop, ("Ubuntu",))),
        registration(": an Android phone", lambda: _clients(("Android",))),
        login("", lambda: _clients(generators.BROWSER_NAMES)),
        login(": the desktop app", lambda: _clients(desktop, ("Windows",))),
        login(": an Android phone", lambda: _clients(("Android",))),
    ]


# --- the QR ---------------------------------------------------------------------------------------------------------


def _kinds(names: tuple[str, ...]) -> Callable[[], SearchStrategy[Value]]:
    return lambda: generators.browsers(names)


def _named(browser: Value) -> list[str]:
    return [browser["os"], browser["name"], "1"]


def _qr_codes() -> SearchStrategy[Value]:
    return st.fixed_dictionaries(
        {
            "ref": st.text(generators.LETTERS + generators.DIGITS + "@/+=,", min_size=1, max_size=60),
            "noise": generators.keys(),
            "identity": generators.keys(),
            "secret": generators.keys(),
            "browser": generators.browsers(),
        }
    )


def _their_qr(baileys: Functions, value: Value) -> Value:
    keys = [b64encode(value[name]).decode() for name in ("noise", "identity", "secret")]
    return baileys.call(COMPANION, "buildPairingQRData", value["ref"], *keys, _named(value["browser"]))


def _our_qr(value: Value) -> str:
    from waton.protocol.stanza.pairing import QrText

    platform = _browser(value["browser"]).qr_platform
    return QrText(value["ref"], value["noise"], value["identity"], value["secret"], platform).encode()


def _platforms() -> list[Pair]:
    place = "waton.protocol.client_payload:Browser."

    def platform(name: str, names: tuple[str, ...]) -> Pair:
        return Pair(
            f"getPlatformId{name}",
            Domain.PAIRING,
            f"{BROWSERS}:getPlatformId",
            f"{place}platform_type",
            _kinds(names),
            lambda baileys, value: int(baileys.call(BROWSERS, "getPlatformId", value["name"])),
            lambda value: int(_browser(value).platform_type),
        )

    def companion(export: str, name: str, names: tuple[str, ...]) -> Pair:
        return Pair(
            f"{export}{name}",
            Domain.PAIRING,
            f"{COMPANION}:{export}",
            f"{place}qr_platform",
            _kinds(names),
            lambda baileys, value: str(baileys.call(COMPANION, export, _named(value))),
            lambda value: _browser(value).qr_platform,
        )

    return [
        platform("", (*generators.BROWSER_NAMES, "Desktop", "Android")),
        platform(": a browser called unknown", ("unknown",)),
        companion("getCompanionPlatformId", "", generators.BROWSER_NAMES),
        companion("getCompanionPlatformId", ": the desktop app", ("Desktop",)),
        companion("getCompanionWebClientType", "", generators.BROWSER_NAMES),
        companion("getCompanionWebClientType", ": the desktop app", ("Desktop",)),
        Pair(
            "buildPairingQRData",
            Domain.PAIRING,
            f"{COMPANION}:buildPairingQRData",
            "waton.protocol.stanza.pairing:QrText.encode",
            _qr_codes,
            _their_qr,
            _our_qr,
        ),
    ]


def pairs() -> list[Pair]:
    """The family's pairs."""
    return [*_payloads(), *_platforms()]
