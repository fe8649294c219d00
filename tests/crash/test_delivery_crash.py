"""kill -9 at every persistence point of a client that sends and receives: nothing lost, nothing twice, nothing broken.

Five chats, two of them groups; a real Baileys, phones, and a client in a process that dies at a named moment, life after
life. `make soak` runs it whole (WATON_SOAK=1); otherwise a part of it runs. A failure names its seed, and
WATON_CRASH_SEED repeats that one alone.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.crash.delivery_ordeal import Death, Ordeal, Plan, Victim, Watch
from tests.crash.delivery_points import NEEDS, Need
from tests.crash.delivery_verdict import Verdict, judge
from tests.requirements import require
from tests.support.cast import cast

pytestmark = pytest.mark.crash
IS_WHOLE = os.environ.get("WATON_SOAK") == "1"
SEED = int(os.environ.get("WATON_CRASH_SEED", "20261124"))
DEATHS, TEXTS = (200, 500) if IS_WHOLE else (25, 60)
_MOST_PASSAGES = {"sql": 12}
"""How often a moment is passed before a drawn death at most, by the first word of its name; else 4."""


def drawn(seed: int, count: int) -> list[Death]:
    """Every kind of death once, then any, in an order that the seed decides."""
    dice = random.Random(f"deaths {seed}")
    first = [Death(moment) for moment in NEEDS][:count]
    others = [moment for moment, need in NEEDS.items() if need is not Need.FIRST_GROUP_MESSAGE]
    while len(first) < count:
        moment = dice.choice(others)
        first.append(Death(moment, dice.randint(1, _MOST_PASSAGES.get(moment.partition(" ")[0], 4))))
    return first


async def run(
    directory: Path, deaths: list[Death], texts: int, *, flaw: str = "", with_baileys: bool = True
) -> Verdict:
    watch = Watch()
    async with cast(with_baileys=with_baileys, sink=watch) as everybody:
        plan = Plan.draw(SEED, everybody.chats, deaths, texts)
        async with Victim.start(everybody, directory, plan.outgoing) as victim:
            ordeal = Ordeal(everybody, victim, plan, flaw)
            await ordeal.run()
            return judge(ordeal, directory / "account.db", watch)


@pytest.mark.timeout(1800 if IS_WHOLE else 240)
@pytest.mark.peer
async def test_a_client_that_is_killed_again_and_again_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    require("baileys")
    verdict = await run(tmp_path, drawn(SEED, DEATHS), TEXTS)
    assert not verdict.complaints, str(verdict)
    if IS_WHOLE:
        missed = NEEDS.keys() - set(verdict.ends)
        assert not missed, f"nobody died at {missed}\n{verdict}"
