"""One oracle process: starting it, values in and out, and asking it one question after the other."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias, cast

from waton.parity.oracle.package import PROGRAM, require_node, require_package

Value: TypeAlias = Any
"""What JSON holds, bytes included."""
_ANSWER_SECONDS = 60.0


class BaileysError(Exception):
    """A call that Baileys rejected: its sentence, and the status code if it gave one."""

    def __init__(self, text: str, code: int | None) -> None:
        super().__init__(text)
        self.code = code


def to_wire(value: Value) -> Value:
    """A Python value as the oracle reads it: bytes become {"$bytes": hex}, whole numbers above 2^53 {"$int": text}."""
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 1 << 53:
        return {"$int": str(value)}
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Value]", value)
        return {name: to_wire(item) for name, item in members.items()}
    if isinstance(value, list | tuple):
        items = cast("Sequence[Value]", value)
        return [to_wire(item) for item in items]
    return value


def from_wire(value: Value) -> Value:
    """The oracle's answer as Python values."""
    if isinstance(value, dict):
        members = cast("dict[str, Value]", value)
        if isinstance(members.get("$bytes"), str):
            return bytes.fromhex(members["$bytes"])
        if isinstance(members.get("$int"), str):
            return int(members["$int"])
        return {name: from_wire(item) for name, item in members.items()}
    if isinstance(value, list):
        items = cast("list[Value]", value)
        return [from_wire(item) for item in items]
    return value


def command(package: Path) -> list[str]:
    """What starts an oracle for this Baileys. Raises ParityError when Node is missing."""
    return [str(require_node()), str(PROGRAM / "oracle.mjs"), str(package)]


class Functions:
    """Baileys' functions, one call at a time, from one thread."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._next = 0
        self._asked_at: float | None = None
        threading.Thread(target=self._watch, name="waton-oracle-watch", daemon=True).start()

    def _watch(self) -> None:
        """End a process that gives no answer; whoever waits for it then reads the end of its output."""
        while self._process.poll() is None:
            asked_at = self._asked_at
            if asked_at is not None and time.monotonic() - asked_at > _ANSWER_SECONDS:
                self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)

    @classmethod
    @contextmanager
    def start(cls, package: Path | None = None) -> Generator[Functions]:
        """Start a process, and end it afterwards.

        Args:
            package: Baileys' package folder; None takes the installed one.
        Raises:
            ParityError: Node or Baileys is missing.
        """
        process = subprocess.Popen(
            command(package or require_package()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("BAILEYS_LOG") else subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        try:
            yield cls(process)
        finally:
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def ask(self, command: str, **args: Value) -> Value:
        """Run one command of functions.mjs.

        Raises:
            BaileysError: Baileys threw.
            TimeoutError: no answer within a minute; the process is ended then.
        """
        self._next += 1
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise BaileysError("the process has no pipes", None)
        self._asked_at = time.monotonic()
        try:
            stdin.write(json.dumps({"id": self._next, "cmd": command, "args": to_wire(args)}) + "\n")
            stdin.flush()
            line = stdout.readline()
        except OSError as error:
            raise BaileysError("the process ended", None) from error
        finally:
            self._asked_at = None
        if not line:
            raise TimeoutError(f"Baileys gave no answer to {command}")
        answer = json.loads(line)
        if "error" in answer:
            raise BaileysError(answer["error"], answer.get("code"))
        return from_wire(answer["value"])

    def call(self, module: str, name: str, *args: Value, now: float | None = None, dice: bytes | None = None) -> Value:
        """Call an exported function.

        Args:
            module: its path under the package, for example "lib/Utils/crypto.js".
            name: the export; "Curve.sign" reaches into an object.
            args: its arguments.
            now: what Date.now() says during the call, Unix seconds; None lets the clock run.
            dice: what crypto.randomBytes gives during the call, from the beginning and over again; None is random.
        """
        return self.ask("call", module=module, name=name, args=list(args), now=now, dice=dice)
