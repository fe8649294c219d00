"""Chaos."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.requirements import require
from tests.soak.chaos import BIG, SMALL, run

pytestmark = [pytest.mark.peer, pytest.mark.timeout(900)]
require("baileys")

IS_SOAK = os.environ.get("WATON_SOAK") == "1"
SIZE = BIG if IS_SOAK else SMALL


def seeds() -> list[int]:
    alone = os.environ.get("WATON_CHAOS_SEED")
    if alone is not None:
        return [int(alone)]
    return list(range(20 if IS_SOAK else 3))


@pytest.mark.parametrize("seed", seeds())
async def test_nothing_is_lost_nothing_comes_twice_and_order_is_kept(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NODE_OPTIONS", "--unhandled-rejections=warn")
    outcome = await run(seed, SIZE, tmp_path)
    with capsys.disabled():
        print(f"\n{outcome}")
    assert not outcome.wrong, str(outcome)
