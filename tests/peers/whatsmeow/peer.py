"""One whatsmeow client (the Go library, inside neonize), driven line by line: JSON on stdin, JSON on stdout.

A command is {"id", "do", ...}; its reply {"reply": id, "value"} or {"reply": id, "error"}. Events are {"event",
"data"}: qr, paired, connected, message, receipt, undecryptable, disconnected, logged_out. Run by this folder's own
Python (.venv), in a process whose HTTPS_PROXY leads every connection to the lab: whatsmeow dials a fixed name.

whatsmeow trusts WhatsApp's root key, a variable of the library; "open" puts the lab's in its place, in this process.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

_say = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # whatever the library prints is no event
_saying = threading.Lock()

from neonize import events  # noqa: E402
from neonize.client import NewClient  # noqa: E402
from neonize.proto.Neonize_pb2 import JID  # noqa: E402
from neonize.proto.waCompanionReg.WAWebProtobufsCompanionReg_pb2 import DeviceProps  # noqa: E402

ROOT = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")
"""WhatsApp's root key. Source: whatsmeow handshake.go WACertPubKey."""


def tell(value: dict[str, Any]) -> None:
    with _saying:
        _say.write(json.dumps(value) + "\n")
        _say.flush()


def trust(root: bytes) -> None:
    """Overwrite the library's root key, in the writable part of it that holds it."""
    found = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, mode, *_, file = line.split(maxsplit=5) if line.count(" ") > 4 else (line, "", "")
        if "w" not in mode or "neonize" not in Path(file).name:
            continue
        begin, end = (int(text, 16) for text in span.split("-"))
        at = ctypes.string_at(begin, end - begin).find(ROOT)
        if at >= 0:
            ctypes.memmove(begin + at, root, len(root))
            found += 1
    if found != 1:
        raise RuntimeError(f"the root key is in the library {found} times")


def shown(jid: JID) -> str:
    device = f":{jid.Device}" if jid.Device else ""
    return f"{jid.User}{device}@{jid.Server}"


def parsed(text: str) -> JID:
    user, _, server = text.partition("@")
    user, _, device = user.partition(":")
    return JID(User=user, Server=server, Device=int(device or 0), RawAgent=0, Integrator=0, IsEmpty=False)


def text_of(message: Any) -> str | None:
    if message.HasField("deviceSentMessage"):
        return text_of(message.deviceSentMessage.message)
    if message.HasField("extendedTextMessage"):
        return str(message.extendedTextMessage.text)
    return str(message.conversation) if message.HasField("conversation") else None


class Peer:
    """The client, and what it is told to do."""

    def __init__(self) -> None:
        self.client: NewClient | None = None

    def open(self, root: str, state: str, name: str) -> None:
        trust(bytes.fromhex(root))
        client = self.client = NewClient(state, props=DeviceProps(os=name, platformType=DeviceProps.DESKTOP))
        client.event.qr(lambda _, data: tell({"event": "qr", "data": {"code": data.decode()}}))
        client.event(events.PairStatusEv)(lambda _, told: tell({"event": "paired", "data": {"jid": shown(told.ID)}}))
        client.event(events.ConnectedEv)(lambda _, told: tell({"event": "connected", "data": {}}))
        client.event(events.DisconnectedEv)(lambda _, told: tell({"event": "disconnected", "data": {}}))
        client.event(events.LoggedOutEv)(lambda _, told: tell({"event": "logged_out", "data": {}}))
        client.event(events.MessageEv)(self._message)
        client.event(events.UndecryptableMessageEv)(self._undecryptable)
        client.event(events.ReceiptEv)(self._receipt)
        threading.Thread(target=client.connect, daemon=True).start()

    @staticmethod
    def _about(info: Any) -> dict[str, Any]:
        source = info.MessageSource
        return {"id": info.ID, "chat": shown(source.Chat), "sender": shown(source.Sender), "from_me": source.IsFromMe}

    def _message(self, _: NewClient, told: Any) -> None:
        tell({"event": "message", "data": {**self._about(told.Info), "text": text_of(told.Message)}})

    def _undecryptable(self, _: NewClient, told: Any) -> None:
        tell({"event": "undecryptable", "data": self._about(told.Info)})

    @staticmethod
    def _receipt(_: NewClient, told: Any) -> None:
        tell({"event": "receipt", "data": {"ids": list(told.MessageIDs), "type": int(told.Type)}})

    def send(self, to: str, text: str) -> str:
        return str(self._opened().send_message(parsed(to), text).ID)

    def group(self, jid: str) -> list[str]:
        return [shown(one.JID) for one in self._opened().get_group_info(parsed(jid)).Participants]

    def _opened(self) -> NewClient:
        if self.client is None:
            raise RuntimeError("not opened")
        return self.client

    def stop(self) -> None:
        self._opened().disconnect()


def main() -> None:
    logging.basicConfig(stream=sys.stderr, level=os.environ.get("PEER_LOG", "WARNING"))
    peer = Peer()
    for line in sys.stdin:
        command = json.loads(line)
        number, verb = command.pop("id"), command.pop("do")
        try:
            tell({"reply": number, "value": getattr(peer, verb)(**command)})
        except Exception as error:  # noqa: BLE001  whatever it is, whoever asked is to know
            tell({"reply": number, "error": f"{type(error).__name__}: {error}"})
    os._exit(0)  # the library's threads do not end by themselves


main()
