"""The way out to many: one message to a group, our fresh sender key told to each of its devices over its own session.

A real Client with the real store on disk; every session exists, nothing is asked of a server. Timed is our own work:
from the message to the finished stanza in the outbox, committed.

python -m tests.bench.fanout 1000
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.receive import MY_LID, ReceivePath
from waton._core import PreKeyBundle, xeddsa_sign
from waton.client.client import Client
from waton.jid import Jid, JidServer, signal_address
from waton.ports import RecordKind
from waton.protocol import message as content
from waton.protocol import signal_repo
from waton.protocol.credentials import KeyPair
from waton.protocol.signal_repo import LocalIdentity
from waton.protocol.stanza.group import AddressingMode, GroupMetadata, GroupParticipant
from waton.protocol.stanza.usync import DeviceEntry, UserResult

GROUP = Jid("120363000000000001", JidServer.GROUP)


def somebody() -> PreKeyBundle:
    """A device's bundle; all of the benchmark's devices share it, for only our side of each session is used."""
    identity, signed, once = (KeyPair.of(os.urandom(32)) for _ in range(3))
    return PreKeyBundle(
        registration_id=5,
        identity_key=identity.public,
        signed_prekey_id=1,
        signed_prekey=signed.public,
        signed_prekey_signature=xeddsa_sign(identity.private, b"\x05" + signed.public, os.urandom(64)),
        prekey_id=7,
        prekey=once.public,
    )


async def prepare(client: Client, users: Sequence[Jid]) -> None:
    """A group of these people, one device each, with all of whom sessions are open."""
    bundle, local = somebody(), LocalIdentity.of(client.credentials)
    people = tuple(GroupParticipant(user) for user in users)
    group = GroupMetadata(GROUP, "Crowd", AddressingMode.LID, people, size=len(users))
    async with client.pipeline.step() as step:
        for user in (*users, MY_LID.bare):
            opened = signal_repo.open_session(None, bundle, local, entropy=os.urandom(64))
            step.save(RecordKind.SESSION, signal_address(user), opened)
        client.groups.keep(step, group)

    async def answer(asked: Sequence[Jid]) -> list[UserResult]:
        return [UserResult(user, (DeviceEntry(0),)) for user in asked]

    client.devices._ask = answer
    await client.people.devices_of([*users, MY_LID.bare])


async def measure(devices: int, rounds: int) -> list[tuple[float, float]]:
    """Seconds by the wall and of processor time for one message to so many devices, a pair for each round."""
    users = [Jid(str(300_000_000_000_000 + number), JidServer.LID) for number in range(devices - 1)]
    taken: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="waton-bench-") as directory:
        path = ReceivePath(Path(directory), records=False)
        await path.open()
        try:
            client = path.client
            await prepare(client, users)
            for number in range(rounds + 1):
                async with client.pipeline.step() as step:
                    await client.groups.rotate(step, GROUP, "bench")
                outgoing = await client.sender._compose(f"FAN{number}", GROUP, content.text_message("to all of you"))
                wall, processor = time.perf_counter(), time.process_time()
                await client.sender._seal_for_group(outgoing)
                taken.append((time.perf_counter() - wall, time.process_time() - processor))
                assert len(outgoing.sealed.encs) == devices
                assert not outgoing.sealed.skipped
        finally:
            await path.close()
    return taken[1:]


if __name__ == "__main__":
    for wall, processor in asyncio.run(measure(int(sys.argv[1]), 5)):
        print(f"{1000 * wall:.0f} ms by the wall, {1000 * processor:.0f} ms of processor time")
