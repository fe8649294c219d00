"""What chaos needs of the machine, and what of it takes minutes."""

from __future__ import annotations

import os

import pytest

collect_ignore = [] if os.environ.get("WATON_SOAK") == "1" else ["test_chaos_sees.py"]


@pytest.fixture(autouse=True)
def _outlive_rejections(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that does not decrypt rejects in a listener of Baileys', which would end the process: bots catch it."""
    monkeypatch.setenv("NODE_OPTIONS", "--unhandled-rejections=warn")
