"""The lab's HTTP side: a readiness answer, and the button that has a phone scan a QR.

    GET  /                              200
    POST /admin/mock-phone/scan-qr      body: the QR's text (with or without the URL before '#')
         -> 200 {"jid", "lid", "phone"}     400 not a QR   404 no connection shows it   409 refused   410 it left

The body holds the QR's secret: it is used and not kept, and no answer or log repeats it.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from waton.errors import Disconnected, LabError, PairingError, PairingStep
from waton.lab.pairing import Desk
from waton.lab.phone import Phone
from waton.protocol.stanza.pairing import QrText

_LARGEST_QR = 4_096

ChoosePhone = Callable[[str], Phone]
"""The phone for a registration's push name."""


def routes(desk: Desk, choose: ChoosePhone) -> list[web.RouteDef]:
    """The HTTP routes, without the socket."""

    async def ready(request: web.Request) -> web.Response:
        return web.Response(text="waton lab\n")

    async def scan(request: web.Request) -> web.Response:
        try:
            text = (await request.content.read(_LARGEST_QR)).decode("ascii", "replace")
            registering = desk.find(QrText.parse(text))
            phone = choose(registering.registration.push_name)
            jid = await phone.scan(text)
        except PairingError as error:
            return _error(400 if error.step is PairingStep.FORMAT else 409, str(error))
        except LabError as error:
            return _error(404, str(error))
        except Disconnected as error:
            return _error(410, str(error))
        body = {"jid": str(jid), "lid": str(phone.lid.with_device(jid.device)), "phone": phone.name}
        return web.json_response(body)

    return [web.get("/", ready), web.post("/admin/mock-phone/scan-qr", scan)]


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)
