"""A sink of the lab's traces that one can wait on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence

from waton.lab.faults import TRACE
from waton.protocol.trace import Layer, Trace


class Watch:
    """Keeps every trace; used on the lab's own loop."""

    def __init__(self) -> None:
        self.traces: list[Trace] = []
        self._changed = asyncio.Event()

    def __call__(self, traces: Sequence[Trace]) -> None:
        self.traces.extend(traces)
        self._changed.set()

    async def until(self, wanted: Callable[[Trace], bool]) -> Trace:
        """The first trace that fits, come already or still to come. Raises TimeoutError."""
        async with asyncio.timeout(10):
            seen = 0
            while True:
                for trace in self.traces[seen:]:
                    if wanted(trace):
                        return trace
                seen = len(self.traces)
                self._changed.clear()
                await self._changed.wait()

    async def fault(self, kind: str, times: int = 1) -> Trace:
        """Wait until a fault of this kind has happened so often; the last one."""
        await self.until(lambda _: len(self.faults(kind)) >= times)
        return self.faults(kind)[times - 1]

    def faults(self, kind: str | None = None) -> list[Trace]:
        """The faults so far."""
        found = (trace for trace in self.traces if trace.layer is Layer.STATE and trace.name == TRACE)
        return [trace for trace in found if kind in (None, trace.kind)]

    def notes(self, name: str) -> list[Trace]:
        """What happened to the world under this name."""
        return [trace for trace in self.traces if trace.layer is Layer.STATE and trace.name == name]


def told(fault: Trace) -> tuple[str, str, str, str]:
    """Kind, way, tag and id of a fault."""
    detail = json.loads(fault.detail)
    assert detail["kind"] == fault.kind
    return fault.kind, detail["way"], detail["tag"], fault.id
