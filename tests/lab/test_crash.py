"""A lab that is killed has lost nothing that it acknowledged."""

from __future__ import annotations

import asyncio
import re
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.lab.wire_client import WireClient, new_credentials
from waton.protocol import adv
from waton.protocol.binary_node import Node
from waton.protocol.credentials import Credentials
from waton.protocol.stanza import iq, pairing
from waton.protocol.stanza.message import Enc, IncomingMessage, OutgoingMessage
from waton.protocol.stanza.pairing import PairSuccess, QrText

pytestmark = pytest.mark.crash


@dataclass
class RunningLab:
    """A lab in another process, as much of it as its banner tells."""

    process: Process
    url: str
    root: bytes
    ca_pem: None = None

    @staticmethod
    async def start(state: Path) -> RunningLab:
        command = (sys.executable, "-m", "waton", "lab", "--port", "0", "--path", str(state))
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        assert process.stdout is not None
        url = root = ""
        while not (url and root):
            line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
            url = url or "".join(re.findall(r"ws://\S+", line)[:1])
            root = root or "".join(re.findall(r"[0-9a-f]{64}", line))
        return RunningLab(process, url, bytes.fromhex(root))

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def pair(self) -> Credentials:
        """A new device of the default phone, through the admin endpoint."""
        mine = new_credentials()
        admin = self.url.replace("ws://", "http://").replace("/ws/chat", "/admin/mock-phone/scan-qr")
        async with ClientSession() as session, WireClient.open(self, mine) as client:
            ref = pairing.refs_of(await client.next("iq"))[0]
            text = QrText(ref, mine.noise_key.public, mine.identity_key.public, mine.adv_secret).encode()
            post = asyncio.create_task(session.post(admin, data=text))
            success = PairSuccess.from_node(await client.next("iq"))
            verified = adv.verify_identity(
                success.container, adv_secret=mine.adv_secret, identity=mine.identity_key, entropy=bytes(64)
            )
            await client.send(pairing.pair_device_sign(success.id, verified.key_index, verified.reply))
            assert (await post).status == 200
        return mine.evolve(me=success.jid, lid=success.lid)


async def test_kill_after_the_ack(tmp_path: Path) -> None:
    lab = await RunningLab.start(tmp_path)
    try:
        writer, reader = await lab.pair(), await lab.pair()
        assert writer.lid is not None
        assert reader.lid is not None
        texts = [f"message {number}".encode() for number in range(20)]
        async with WireClient.open(lab, writer) as client:
            await client.next("success")
            for number, text in enumerate(texts):
                encs = ((reader.lid, Enc("msg", text)),)
                await client.send(OutgoingMessage(f"M{number}", writer.lid.bare, encs).to_node())
            for _ in texts:
                await client.next("ack")
            await lab.kill()
        lab = await RunningLab.start(tmp_path)
        async with WireClient.open(lab, reader) as client:
            await client.next("success")
            await client.send(iq.request("go", iq.IqType.SET, "passive", [Node("active")]))
            got = [IncomingMessage.from_node(await client.next("message")) for _ in texts]
        assert [message.encs[0].ciphertext for message in got] == texts
        assert [message.offline for message in got] == [str(number) for number in range(20)]
    finally:
        if lab.process.returncode is None:
            await lab.kill()
