"""A client in a process of its own, to be killed: prints a line for everything that matters.

python -m tests.crash.victim_client URL ROOT_HEX DIRECTORY

qr TEXT | open | text REDELIVERED CONTENT | undecryptable REASON
"""

import asyncio
import sys
from pathlib import Path

from waton.client.backoff import Backoff
from waton.client.client import Client, ClientConfig
from waton.client.events import ConnectionStatus, ConnectionUpdate, Event, MessagesUpsert, MessageUndecryptable
from waton.infra.clock import SystemClock
from waton.infra.entropy import SystemEntropy
from waton.infra.storage_sqlite import SqliteStore
from waton.infra.websocket import WebSocketConnector
from waton.protocol.trace import Tracer


def say(*words: object) -> None:
    print(*words, flush=True)


def tell(event: Event) -> None:
    match event:
        case ConnectionUpdate(status=ConnectionStatus.QR):
            say("qr", event.qr)
        case ConnectionUpdate(status=ConnectionStatus.OPEN):
            say("open")
        case MessagesUpsert() if not event.key.from_me:
            say("text", int(event.redelivered), event.text)
        case MessageUndecryptable():
            say("undecryptable", event.reason)
        case _:
            pass


async def main(url: str, root: str, directory: str) -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    store = await SqliteStore.open(Path(directory) / "account.db", clock=clock)
    config = ClientConfig(url=url, root=bytes.fromhex(root), push_name="Victim", backoff=Backoff(first=0.05, cap=0.2))
    client = Client(
        config,
        store=store,
        connector=WebSocketConnector(),
        clock=clock,
        entropy=entropy,
        tracer=Tracer(lambda _: None),
    )
    client.subscribe(tell)
    await client.start()
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
