"""What a notebook relies on: one session for an account, on a thread of its own, found again after a restart."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

import waton
from waton.api import LabHandle, Session
from waton.client.events import ConnectionStatus, MessagesUpsert
from waton.errors import CaptureError, LocalProtocolError, StorageError
from waton.jid import Jid
from waton.protocol.message import text_message
from waton.protocol.stanza.receipt import ReceiptType


@pytest.fixture
def lab(tmp_path: Path) -> Generator[LabHandle]:
    with waton.start_lab(path=tmp_path / "lab") as handle:
        yield handle


def echo(text: str) -> str:
    return f"echo: {text}"


async def paired(lab: LabHandle, path: Path) -> Session:
    session = await waton.connect(lab, path=path, push_name="Notebook")
    await session.scan_with_lab()
    await session.wait_open(20)
    return session


async def converse(session: Session, lab: LabHandle, text: str) -> MessagesUpsert:
    contact = lab.contact("Ada", replies=echo)
    reply = session.expect_message()
    await session.send_text(contact.lid, text)
    return await reply


async def test_a_session_is_linked_by_a_code(lab: LabHandle, tmp_path: Path) -> None:
    async with waton.connect(lab, path=tmp_path / "account") as session:
        code = await session.request_pairing_code(f"+{lab.phone.pn.user}")
        jid = await lab.phone.enter_code(code)
        await session.wait_open(20)
        assert session.me == jid


async def test_the_client_s_verbs_are_the_session_s(lab: LabHandle, tmp_path: Path) -> None:
    async with await paired(lab, tmp_path / "account") as session:
        contact = lab.contact("Ada", replies=echo)
        [found] = await session.on_whatsapp(f"+{contact.pn.user}")
        assert (found.is_registered, found.lid) == (True, contact.lid)
        reply = session.expect_message()
        sent = await session.send(contact.lid, text_message("any message"))
        received = await reply
        assert (sent.is_accepted, received.text) == (True, "echo: any message")
        await session.mark_read(received)
        await session.send_receipts([received], ReceiptType.PLAYED)
        assert await session.request_resend(received.key)
        assert await session.trust(contact.lid) == 0, "nothing was held"


async def test_connect_twice_gives_the_same_session_and_leaving_it_closes_it(lab: LabHandle, tmp_path: Path) -> None:
    async with waton.connect(lab, path=tmp_path / "account") as first:
        assert waton.connect(lab, path=tmp_path / "account") is first
        async with waton.connect(lab, path=tmp_path / "account") as again:
            assert again is first
        assert not first.is_over, "the inner block is not the last user"
    assert first.is_over
    with pytest.raises(LocalProtocolError):
        await first.open()
    renewed = waton.connect(lab, path=tmp_path / "account")
    assert renewed is not first
    await renewed.close()


async def test_an_account_goes_to_one_target_at_a_time(lab: LabHandle, tmp_path: Path) -> None:
    async with waton.connect(lab, path=tmp_path / "account"):
        with pytest.raises(LocalProtocolError):
            waton.connect("ws://127.0.0.1:9/ws/chat", path=tmp_path / "account")


async def test_a_paired_session_resumes_after_both_sides_restart(tmp_path: Path) -> None:
    with waton.start_lab(path=tmp_path / "lab") as lab:
        session = await paired(lab, tmp_path / "account")
        me = session.me
        assert (await converse(session, lab, "before")).text == "echo: before"
        await session.close()
    with waton.start_lab(path=tmp_path / "lab") as lab:
        async with waton.connect(lab, path=tmp_path / "account") as session:
            await session.wait_open(20)
            assert session.me == me
            assert (await converse(session, lab, "after")).text == "echo: after"
            assert set(session.nodes()["run"]) == {1, 2}


async def test_the_session_works_while_its_caller_s_loop_is_blocked(lab: LabHandle, tmp_path: Path) -> None:
    session = await paired(lab, tmp_path / "account")
    contact = lab.contact("Ada", replies=echo)
    arrived = threading.Event()
    session.on_event(lambda event: arrived.set() if getattr(event, "text", None) == "echo: from a cell" else None)
    # This blocks the test's own event loop, as a cell would: the send, the answer and its receipt all happen meanwhile.
    result = session.sync.send_text(contact.lid, "from a cell")
    assert result.is_accepted
    assert arrived.wait(10)
    await session.close()


async def test_blocking_on_the_session_s_own_thread_is_refused(lab: LabHandle, tmp_path: Path) -> None:
    async with waton.connect(lab, path=tmp_path / "account") as session:

        async def inside() -> None:
            session.sync.wait_open()

        with pytest.raises(RuntimeError, match="never end"):
            await asyncio.wrap_future(session.submit(inside()))


async def test_the_journal_answers_with_data_frames(lab: LabHandle, tmp_path: Path) -> None:
    session = await paired(lab, tmp_path / "account")
    await converse(session, lab, "hello")
    nodes = session.nodes(xml=True)
    assert {"time", "way", "tag", "id", "xml"} <= set(nodes.columns)
    assert (nodes["tag"] == "message").sum() >= 2
    assert nodes["xml"].str.contains("<message").any()
    machines = set(session.transitions()["machine"])
    assert {"account", "client", "connection", "prekeys", "ratchet"} <= machines
    assert "messages.upsert" in set(session.events()["type"])
    assert len(session.messages()) >= 2
    assert len(session.frames()) >= len(nodes)
    counted = session.analysis.sql("SELECT count(*) AS n FROM nodes")
    assert counted["n"].iloc[0] >= len(nodes)
    assert len(lab.nodes()) > 0
    await session.close()


async def test_everything_on_disk_is_private(lab: LabHandle, tmp_path: Path) -> None:
    session = await paired(lab, tmp_path / "account")
    for place in (tmp_path / "account", tmp_path / "lab"):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        for file in place.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    await session.close()


_OTHER = """
import asyncio, sys, waton
from waton.errors import StorageError
async def main():
    try:
        async with waton.connect("ws://127.0.0.1:9/ws/chat", path=sys.argv[1]):
            print("opened")
    except StorageError as error:
        print("refused:", error)
asyncio.run(main())
"""


async def test_a_second_process_is_refused_and_the_first_goes_on(lab: LabHandle, tmp_path: Path) -> None:
    session = await paired(lab, tmp_path / "account")
    command = [sys.executable, "-c", _OTHER, str(tmp_path / "account")]
    other = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert other.stdout.startswith("refused: storage"), other
    assert (await converse(session, lab, "still here")).text == "echo: still here"
    await session.close()


@pytest.mark.parametrize(("name", "error"), [("account.db", StorageError), ("journal.db", CaptureError)])
async def test_a_damaged_file_is_named_and_left_alone(
    lab: LabHandle, tmp_path: Path, name: str, error: type[Exception]
) -> None:
    place = tmp_path / "account"
    place.mkdir(mode=0o700)
    damaged = place / name
    damaged.write_bytes(b"this is no database" * 100)
    with pytest.raises(error):
        await waton.connect(lab, path=place)
    assert damaged.read_bytes() == b"this is no database" * 100
    damaged.unlink()
    async with waton.connect(lab, path=place) as session:
        assert await session.wait_qr(10)


async def test_a_lost_connection_comes_back_by_itself(lab: LabHandle, tmp_path: Path) -> None:
    session = await paired(lab, tmp_path / "account")
    seen: list[ConnectionStatus] = []
    session.on_connection(lambda update: seen.append(update.status))
    await session.reconnect()
    await session.wait_open(20)
    assert (await converse(session, lab, "back again")).text == "echo: back again"
    await session.close()


def test_addresses_people_write() -> None:
    from waton.api.session import address

    assert address("+1 (555) 000-1234") == Jid("15550001234", "s.whatsapp.net")
    assert address("15550001234@s.whatsapp.net") == Jid("15550001234", "s.whatsapp.net")
    assert address("2000@lid") == Jid("2000", "lid")
    with pytest.raises(ValueError, match="neither"):
        address("Ada")


def test_enable_nested_serves_those_who_insist() -> None:
    """In a process of its own: it patches asyncio for good."""
    script = (
        "import asyncio, waton\n"
        "async def outer():\n"
        "    waton.enable_nested()\n"
        "    return asyncio.run(asyncio.sleep(0, 'nested'))\n"
        "print(asyncio.run(outer()))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "nested"
