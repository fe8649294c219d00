"""Running a notebook: in JupyterLab on loopback, or without a browser, telling what happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TIMEOUT = 180
"""Seconds for one cell."""
SUMMARY_TYPE = "application/vnd.waton.summary+json"
"""The MIME type under which the notebook's last cell shows its summary."""


def open_jupyterlab(notebook: Path, port: int) -> int:
    """Run JupyterLab on 127.0.0.1 with this notebook open, until it is stopped; returns its exit status."""
    command = [sys.executable, "-m", "jupyter", "lab", str(notebook), "--ServerApp.ip=127.0.0.1", f"--port={port}"]
    return subprocess.call(command)


def run_headless(notebook: Path, say: Callable[[str], None]) -> int:
    """Execute a notebook without a browser and print its summary; returns 0 when every cell ran.

    Nobody is there to press a button, so the lab's phone scans by itself.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    # nbformat has no types of its own.
    read: Callable[..., Any] = nbformat.read  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    document = read(notebook, as_version=4)
    client = NotebookClient(document, timeout=TIMEOUT, resources={"metadata": {"path": str(notebook.parent)}})
    os.environ["WATON_SCAN"] = "auto"
    try:
        client.execute()
    except CellExecutionError as error:
        say(str(error))
        return 1
    found = False
    for summary in _summaries(document):
        found = True
        for name, value in summary.items():
            say(f"{name:12} {value}")
    if not found:
        say("every cell ran")
    return 0


def _summaries(document: Any) -> Iterator[dict[str, object]]:
    for cell in document.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {}).get(SUMMARY_TYPE)
            if data is not None:
                yield json.loads(data) if isinstance(data, str) else data
