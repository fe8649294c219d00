"""What chaos needs of the machine."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _outlive_rejections(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that does not decrypt rejects in a listener of Baileys', which would end the process: bots catch it."""
    monkeypatch.setenv("NODE_OPTIONS", "--unhandled-rejections=warn")
