"""Where accounts and labs live: `$WATON_HOME` (default `~/.waton`), `accounts/<name>/` and `labs/<name>/`.

All of it is private (0700, 0600): it holds keys and messages.
"""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The directory that holds accounts and labs."""
    return Path(os.environ.get("WATON_HOME") or Path.home() / ".waton").expanduser()


def place(kind: str, name: str, path: str | os.PathLike[str] | None) -> Path:
    """The directory of an account or a lab: `path` itself when given, else by its name."""
    return (Path(path) if path is not None else home() / kind / name).expanduser().resolve()
