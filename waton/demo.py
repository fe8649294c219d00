"""`waton demo`: the whole story in a terminal.

A lab, a phone that scans the QR, a contact that answers, and what was recorded of it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import segno

from waton.api import LabHandle, Session, connect, start_lab
from waton.client.events import ConnectionStatus, MessagesUpsert

CONTACT = "Ada"


class Summary(TypedDict):
    """What the demo did."""

    paired: bool
    jid: str
    lid: str
    sent: int
    received: int
    frames: int
    nodes: int
    transitions: int
    journal: str


def answer(text: str) -> str:
    """What the lab's contact answers."""
    return f"You said: {text}"


async def run(directory: Path, say: Callable[[str], None]) -> Summary:
    """Tell the story in `directory`; `say` gets lines for a person."""
    with start_lab(path=directory / "lab") as server:
        say(f"The lab listens on {server.url}")
        async with connect(server, path=directory / "account", push_name="Demo") as session:
            await _pair(session, server, say)
            sent, received = await _talk(session, server, say)
            return _summarise(session, sent, received)


async def _pair(session: Session, server: LabHandle, say: Callable[[str], None]) -> None:
    if session.me is None:
        say(qr_text(await session.wait_qr()))
        say(f"{server.phone.name}'s phone scans the QR ...")
        await session.scan_with_lab()
    await session.wait_open(30)
    say(f"Open as {session.me} ({session.lid})")


async def _talk(session: Session, server: LabHandle, say: Callable[[str], None]) -> tuple[int, int]:
    contact = server.contact(CONTACT, replies=answer)
    sent = received = 0
    for text in ("Hello from waton", "Once more, now with an open session"):
        arrival = session.expect_message()
        result = await session.send_text(contact.lid, text)
        sent += 1
        say(f"-> {text}   ({len(result.devices)} device(s))")
        message: MessagesUpsert = await arrival
        received += 1
        say(f"<- {message.text}")
        await session.mark_read(message)
    return sent, received


def _summarise(session: Session, sent: int, received: int) -> Summary:
    return Summary(
        paired=session.connection.status is ConnectionStatus.OPEN,
        jid=str(session.me),
        lid=str(session.lid),
        sent=sent,
        received=received,
        frames=len(session.frames()),
        nodes=len(session.nodes()),
        transitions=len(session.transitions()),
        journal=str(session.path / "journal.db"),
    )


def qr_text(text: str) -> str:
    """A QR as characters of a terminal."""
    drawn = io.StringIO()
    segno.make(text, error="l").terminal(out=drawn, compact=True)
    return drawn.getvalue()
