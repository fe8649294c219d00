"""A real Baileys client in a process of its own: commands as methods, its events as an ordered list to wait on.

    async with BaileysPeer.start(lab.url, name="Bea") as bea:
        qr = await bea.qr()
        ...
        await bea.opened()
        key = await bea.send_text(phone.lid, "hello")

`raw` keeps every event exactly as Baileys emitted it. `events` holds what a story waits for, in a smaller form: qr,
paired, restart, open, close, message, update, receipt, history, presence, group, participants, group_update.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waton.parity.oracle.package import require_package
from waton.parity.oracle.pipe_peer import Event, PipePeer
from waton.parity.oracle.process import BaileysError, command, from_wire, to_wire


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One event as Baileys emitted it."""

    type: str
    value: Any


class BaileysPeer(PipePeer):
    """One Baileys client."""

    WHO = "Baileys"

    def __init__(self, process: asyncio.subprocess.Process, url: str, name: str, config: Mapping[str, Any]) -> None:
        super().__init__(process)
        self._settings = {"url": url, "pushName": name, "config": dict(config)}
        self.raw: list[RawEvent] = []
        """Everything emitted, in order."""
        self.listeners: list[Callable[[RawEvent], None]] = []
        """Called with every event as it comes."""
        self.me: Mapping[str, str] = {}
        """id, lid and name, from the last open."""

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        url: str,
        *,
        name: str = "",
        log: str = "silent",
        ca: Path | None = None,
        package: Path | None = None,
        config: Mapping[str, Any] | None = None,
        connect: bool = True,
    ) -> AsyncGenerator[BaileysPeer]:
        """Start the process, connect it, and end it afterwards.

        Args:
            url: the lab's, on loopback.
            name: push name; with one, Baileys announces presence and sends plain delivery receipts.
            log: Baileys' level, for what goes to stderr.
            ca: a PEM file to trust, for wss.
            package: Baileys' package folder; None takes the installed one.
            config: further socket options, for example {"keepAliveIntervalMs": 500}.
            connect: False leaves it to `open`.
        Raises:
            ParityError: Node or Baileys is missing.
        """
        environment = {**os.environ, "BAILEYS_LOG": log}
        if ca is not None:
            environment["NODE_EXTRA_CA_CERTS"] = str(ca)
        process = await cls.spawn(command(package or require_package()), env=environment)
        peer = cls(process, url, name, config or {})
        async with peer.running():
            if connect:
                await peer.open()
            yield peer

    def _failure(self, text: str, code: int | None = None) -> Exception:
        return BaileysError(text, code)

    def _value(self, told: Any) -> Any:
        return from_wire(told)

    def _take(self, told: Mapping[str, Any]) -> Iterator[Event]:
        raw = RawEvent(told["event"], from_wire(told["value"]))
        self.raw.append(raw)
        yield from _told(raw)
        for listener in self.listeners:
            listener(raw)

    async def call(self, command: str, **args: Any) -> Any:
        """Run one command of sockets.mjs. Raises BaileysError, TimeoutError."""
        return await self._ask({"cmd": command, "args": to_wire({"client": "peer", **args})})

    async def event(self, kind: str, wanted: Callable[[Event], bool] = lambda event: True) -> Event:
        """The oldest event of this kind that fits, come already or still to come. Raises TimeoutError."""
        return await self.first(kind, lambda event: event["event"] == kind and wanted(event))

    # --- what stories do with it ------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect for the first time."""
        await self.call("open", **self._settings)

    async def qr(self) -> str:
        """The next QR it shows."""
        return str((await self.event("qr"))["qr"])

    async def opened(self) -> Mapping[str, str]:
        """Wait until its connection is open; who it is."""
        self.me = (await self.event("open"))["me"]
        return self.me

    async def closed(self) -> int | None:
        """Wait until a connection ends; Baileys' status code."""
        code = (await self.event("close"))["code"]
        return None if code is None else int(code)

    async def message(self, text: str) -> Event:
        """Wait for a message with this text."""
        return await self.event("message", lambda event: event["text"] == text)

    async def status(self, id: str, at_least: int) -> Event:
        """Wait until a message of its own got this far (3 delivered, 4 read).

        A receipt that overtakes Baileys' own event of the message is merged into that.
        """

        def wanted(event: Event) -> bool:
            is_news = event["event"] in ("update", "message") and event["key"]["id"] == id
            return is_news and (event["status"] or 0) >= at_least

        return await self.first("update", wanted)

    async def send_text(self, to: object, text: str, *, id: str | None = None) -> str:
        """Send a text; the message's id. With an id of yours it can be sent again after an error."""
        return str((await self.call("sendText", to=str(to), text=text, id=id))["id"])

    async def run(self, method: str, *args: Any) -> Any:
        """Call any method of its socket. Raises BaileysError, TimeoutError."""
        return await self.call("run", method=method, args=list(args))

    async def forget(self, *prefixes: str) -> list[str]:
        """Lose every record whose name begins so ("session/", "sender-key/" ...); the names of those there were."""
        return list(await self.call("forget", prefixes=list(prefixes)))

    async def read(self, message: Event) -> None:
        """Send the read receipt of a message event."""
        await self.call("readMessages", keys=[message["key"]])

    async def end(self) -> None:
        """Close its connection, keep its credentials."""
        await self.call("end")
        await self.closed()

    async def reconnect(self) -> None:
        """Connect again and wait until open."""
        await self.call("connect")
        await self.opened()


# --- the smaller form ------------------------------------------------------------------------------------------------


def _told(raw: RawEvent) -> Iterator[Event]:
    """What a story waits for in one of Baileys' events."""
    value = raw.value
    match raw.type:
        case "connection.update":
            yield from _connection(value)
        case "messages.upsert":
            yield from (_message(value["type"], message) for message in value["messages"])
        case "messages.update":
            yield from (_update(one) for one in value)
        case "message-receipt.update":
            yield from ({"event": "receipt", "key": one["key"], "receipt": one["receipt"]} for one in value)
        case "messaging-history.set":
            yield _history(value)
        case "presence.update":
            yield {"event": "presence", **value}
        case "groups.upsert":
            yield from ({"event": "group", **one} for one in value)
        case "groups.update":
            yield from ({"event": "group_update", **one} for one in value)
        case "group-participants.update":
            yield {"event": "participants", **value}
        case _:
            return


def _connection(value: Mapping[str, Any]) -> Iterator[Event]:
    if value.get("qr"):
        yield {"event": "qr", "qr": value["qr"]}
    if value.get("isNewLogin"):
        yield {"event": "paired", "me": value.get("me")}
    if value.get("connection") == "open":
        yield {"event": "open", "me": value.get("me")}
    if value.get("connection") == "close":
        kind = "restart" if value.get("restarts") else "close"
        yield {"event": kind, "code": value.get("code"), "text": value.get("error")}


def _message(kind: str, told: Mapping[str, Any]) -> Event:
    content = told.get("message")
    return {
        "event": "message",
        "type": kind,
        "key": told["key"],
        "text": _text_of(content),
        "author": told.get("pushName"),
        "status": told.get("status"),
        "kinds": list(content or {}),
        "stub": told.get("messageStubType"),
        "why": told.get("messageStubParameters") or [],
    }


def _update(told: Mapping[str, Any]) -> Event:
    update: Mapping[str, Any] = told["update"]
    why: list[str] = update.get("messageStubParameters") or []
    return {"event": "update", "key": told["key"], "status": update.get("status"), "why": why}


def _history(value: Mapping[str, Any]) -> Event:
    return {
        "event": "history",
        "syncType": value.get("syncType"),
        "chats": [chat["id"] for chat in value["chats"]],
        "contacts": [contact["id"] for contact in value["contacts"]],
        "texts": [_text_of(message.get("message")) for message in value["messages"]],
    }


def _text_of(content: Mapping[str, Any] | None) -> str | None:
    """The text of a text message, our own copy's included."""
    if not content:
        return None
    wrapped: Mapping[str, Any] | None = content.get("deviceSentMessage")
    if wrapped is not None:
        return _text_of(wrapped.get("message"))
    extended: Mapping[str, Any] | None = content.get("extendedTextMessage")
    return content.get("conversation") if extended is None else extended.get("text")
