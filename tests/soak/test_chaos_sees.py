"""Chaos sees what it is there to see: with a flaw put into the product, some seed soon fails. Part of `make soak`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.requirements import require
from tests.soak import flaws
from tests.soak.chaos import SMALL, run

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
require("baileys")
SEEDS = 6


@pytest.mark.parametrize("flaw", flaws.FLAWS)
async def test_a_flaw_is_seen(
    flaw: Callable[[pytest.MonkeyPatch], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flaw(monkeypatch)
    for seed in range(SEEDS):
        (tmp_path / str(seed)).mkdir()
        outcome = await run(seed, SMALL, tmp_path / str(seed))
        if outcome.wrong:
            with capsys.disabled():
                print(f"\n{flaw.__name__}, seed {seed}: {outcome.wrong[0]}")
            return
    pytest.fail(f"{SEEDS} seeds have not seen it")
