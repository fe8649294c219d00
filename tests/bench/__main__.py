"""`make bench`: our functions and Baileys' own, timed turn by turn in one run.

Each benchmark runs `--rounds` times (5 or more) on both sides, alternating; a round's figure is the median of its
batches; the ratio printed is the median over rounds of Baileys' time divided by ours. The machine may be noisy: read
the ratios, and their spread, not the microseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TypeVar

from tests.bench import fanout
from tests.bench.receive import Receiving
from waton._core import (
    NoiseHandshake,
    NoiseTransport,
    PreKeyBundle,
    decode_node,
    encode_node,
    sender_key_create,
    sender_key_decrypt,
    sender_key_distribution,
    sender_key_encrypt,
    sender_key_process,
    session_decrypt,
    session_decrypt_prekey,
    session_encrypt,
    session_initiate,
    x25519_public_key,
    xeddsa_sign,
)
from waton.protocol.framing import PROLOGUE, frame

HERE = Path(__file__).parent
PEERS = HERE.parents[1] / "waton" / "parity" / "oracle"
WORKLOADS = HERE / "workloads"
NODES = {"ack": 2000, "receipt": 2000, "group_msg_60": 50, "group_meta_1000": 3, "usync_2000": 1}
TEXT = bytes([7]) * 160
FRAME = bytes([7]) * 500
GOALS = {"decode": 3.0, "encode": 5.0, "signal": 5.0, "repository": 5.0, "x3dh": 10.0, "group": 100.0, "noise": 3.0}
DEVICES = 1000
FAN_OUT = f"fan-out to {DEVICES} devices"
FAN_OUT_MS = 150
GOALS |= {"receive-files": 3.0, "receive-memory": 1.0}
RECEIVING = Receiving()

T = TypeVar("T")
Batch = Callable[[int], float]
"""Runs a number of operations and returns the seconds they took."""


def clocked(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def again(count: int, function: Callable[[T], object], argument: T) -> None:
    """Call a function so many times and drop what it returns, as the other side's loops do."""
    for _ in repeat(None, count):
        function(argument)


@dataclass
class Party:
    """One end of a session."""

    identity: bytes
    signed: bytes
    once: bytes
    record: bytes = b""

    @classmethod
    def make(cls) -> Party:
        return cls(os.urandom(32), os.urandom(32), os.urandom(32))

    @property
    def public(self) -> bytes:
        return x25519_public_key(self.identity)

    def bundle(self) -> PreKeyBundle:
        signed = x25519_public_key(self.signed)
        return PreKeyBundle(
            registration_id=7,
            identity_key=self.public,
            signed_prekey_id=1,
            signed_prekey=signed,
            signed_prekey_signature=xeddsa_sign(self.identity, b"\x05" + signed, os.urandom(64)),
            prekey_id=1,
            prekey=x25519_public_key(self.once),
        )

    def send(self) -> bytes:
        self.record, _, message = session_encrypt(self.record, TEXT)
        return message

    def read(self, message: bytes) -> None:
        self.record, _ = session_decrypt(self.record, message, entropy=os.urandom(32))

    def read_first(self, message: bytes, record: bytes = b"") -> bytes:
        made, _, _ = session_decrypt_prekey(
            record,
            message,
            identity_private=self.identity,
            identity_public=self.public,
            registration_id=7,
            signed_prekey_private=self.signed,
            prekey_private=self.once,
            entropy=os.urandom(32),
        )
        return made


def conversation() -> tuple[Party, Party]:
    """Two parties past their first exchange, as in the other side's benchmark."""
    alice, bob = Party.make(), Party.make()
    alice.record = open_to(alice, bob.bundle())
    bob.record = bob.read_first(alice.send())
    alice.read(bob.send())
    return alice, bob


def open_to(alice: Party, bundle: PreKeyBundle, public: bytes | None = None) -> bytes:
    return session_initiate(
        b"",
        bundle,
        identity_private=alice.identity,
        identity_public=public or alice.public,
        registration_id=7,
        entropy=os.urandom(64),
    )


def decoding(name: str) -> Batch:
    data = (WORKLOADS / f"{name}.bin").read_bytes()
    return lambda count: clocked(lambda: again(count, decode_node, data))


def encoding(name: str) -> Batch:
    node = decode_node((WORKLOADS / f"{name}.bin").read_bytes())
    return lambda count: clocked(lambda: again(count, encode_node, node))


def signal_encrypt() -> Batch:
    alice, _ = conversation()

    def run(count: int) -> float:
        return clocked(lambda: [alice.send() for _ in range(count)])

    return run


def signal_decrypt() -> Batch:
    alice, bob = conversation()

    def run(count: int) -> float:
        messages = [alice.send() for _ in range(count)]
        return clocked(lambda: [bob.read(message) for message in messages])

    return run


def x3dh_initiate() -> Batch:
    alice, bundle = Party.make(), Party.make().bundle()
    public = alice.public
    return lambda count: clocked(lambda: [open_to(alice, bundle, public) for _ in range(count)])


def x3dh_accept() -> Batch:
    bob = Party.make()
    bundle, public = bob.bundle(), bob.public

    def run(count: int) -> float:
        messages: list[bytes] = []
        for _ in range(count):
            alice = Party.make()
            alice.record = open_to(alice, bundle)
            messages.append(alice.send())

        def accept() -> None:
            for message in messages:
                session_decrypt_prekey(
                    b"",
                    message,
                    identity_private=bob.identity,
                    identity_public=public,
                    registration_id=7,
                    signed_prekey_private=bob.signed,
                    prekey_private=bob.once,
                    entropy=os.urandom(32),
                )

        return clocked(accept)

    return run


def group() -> tuple[bytes, bytes]:
    """The records of a sender and of a reader that knows its key."""
    sender = sender_key_create(b"", entropy=os.urandom(68))
    return sender, sender_key_process(b"", sender_key_distribution(sender))


def group_send(record: bytes, count: int) -> tuple[bytes, list[bytes]]:
    messages: list[bytes] = []
    for _ in range(count):
        record, message = sender_key_encrypt(record, TEXT, entropy=os.urandom(64))
        messages.append(message)
    return record, messages


def group_encrypt() -> Batch:
    record, _ = group()

    def run(count: int) -> float:
        def send() -> None:
            nonlocal record
            record, _ = group_send(record, count)

        return clocked(send)

    return run


def group_decrypt() -> Batch:
    sender, reader = group()

    def run(count: int) -> float:
        nonlocal sender
        sender, messages = group_send(sender, count)

        def read() -> None:
            nonlocal reader
            for message in messages:
                reader, _ = sender_key_decrypt(reader, message)

        return clocked(read)

    return run


def transports() -> tuple[NoiseTransport, NoiseTransport]:
    client, server = (
        NoiseHandshake(
            initiator=side, prologue=PROLOGUE, static_private=os.urandom(32), ephemeral_private=os.urandom(32)
        )
        for side in (True, False)
    )
    server.read_message(client.write_message())
    client.read_message(server.write_message())
    server.read_message(client.write_message())
    return client.into_transport(), server.into_transport()


def noise_encrypt() -> Batch:
    client, _ = transports()
    return lambda count: clocked(lambda: again(count, lambda plain: frame(client.encrypt(plain)), FRAME))


def noise_decrypt() -> Batch:
    client, server = transports()

    def run(count: int) -> float:
        frames = [client.encrypt(FRAME) for _ in range(count)]
        return clocked(lambda: deque(map(server.decrypt, frames), maxlen=0))

    return run


def benches() -> Iterator[tuple[str, int, Batch]]:
    """Name, operations in a batch, and what to run."""
    for name, count in NODES.items():
        yield f"decode {name}", count, decoding(name)
    for name, count in NODES.items():
        yield f"encode {name}", count, encoding(name)
    yield "signal encrypt", 200, signal_encrypt()
    yield "signal decrypt", 200, signal_decrypt()
    yield "repository encrypt", 100, signal_encrypt()
    yield "x3dh initiate", 5, x3dh_initiate()
    yield "x3dh accept", 5, x3dh_accept()
    yield "group encrypt", 20, group_encrypt()
    yield "group decrypt", 20, group_decrypt()
    yield "noise encrypt", 2000, noise_encrypt()
    yield "noise decrypt", 2000, noise_decrypt()
    # The same of ours twice: beside Baileys with its files, and beside Baileys with nothing that outlives it.
    yield "receive-files", 500, RECEIVING.batch
    yield "receive-memory", 500, RECEIVING.batch


def timed(seconds: float, count: int, run: Batch) -> float:
    """Nanoseconds for one operation: the median of at least five batches that together take about `seconds`."""
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < 5 or time.perf_counter() < end:
        samples.append(run(count) / count)
    return statistics.median(samples) * 1e9


class Baileys:
    """The Node process that times Baileys."""

    def __init__(self) -> None:
        command = ["node", str(HERE / "baileys_bench.mjs"), str(PEERS), str(WORKLOADS)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def time(self, name: str, seconds: float) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"name": name, "seconds": seconds}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return float(answer["ns"])

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)


def is_quick_enough(rounds: list[tuple[float, float]]) -> bool:
    """Show what one message to many devices took; whether our own time kept to its goal."""
    wall, processor = (1000 * statistics.median(column) for column in zip(*rounds, strict=True))
    mark = "" if processor < FAN_OUT_MS else "  below"
    print(f"{FAN_OUT}: {processor:.0f} ms of processor time, {wall:.0f} ms by the wall  goal {FAN_OUT_MS} ms{mark}")
    return processor < FAN_OUT_MS


def main() -> int:
    options = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    options.add_argument("-k", default="", help="only benchmarks whose name contains this")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=0.25, help="for each side of each round")
    chosen = options.parse_args()
    if not (PEERS / "node_modules" / "baileys").exists():
        print("Baileys is not installed: `make peers` (needs Node 20)")
        return 1
    baileys = Baileys()
    print(f"{'benchmark':24} {'waton us':>12} {'Baileys us':>12} {'ratio':>8}  {'spread':>13}  goal")
    missed = 0
    for name, count, run in benches():
        if chosen.k not in name:
            continue
        run(count)
        rounds: list[tuple[float, float]] = []
        for _ in range(max(5, chosen.rounds)):
            rounds.append((timed(chosen.seconds, count, run), baileys.time(name, chosen.seconds)))
        ratios = sorted(theirs / ours for ours, theirs in rounds)
        ratio, goal = statistics.median(ratios), GOALS[name.split()[0]]
        missed += ratio < goal
        ours, theirs = (statistics.median(column) / 1e3 for column in zip(*rounds, strict=True))
        spread = f"{ratios[0]:.1f}-{ratios[-1]:.1f}"
        mark = "" if ratio >= goal else "  below"
        print(f"{name:24} {ours:12.2f} {theirs:12.2f} {ratio:7.1f}x  {spread:>13}  {goal:.0f}x{mark}", flush=True)
    baileys.close()
    RECEIVING.close()
    if chosen.k in FAN_OUT:
        missed += not is_quick_enough(asyncio.run(fanout.measure(DEVICES, max(5, chosen.rounds))))
    print(f"{missed} below their goal{RECEIVING.summary()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
