"""kill -9 at every persistence point of a client that sends and receives: nothing lost, nothing twice, nothing broken.

Five chats, two of them groups; a real Baileys, phones, and a client in a process that dies at a named moment, life
after life. `make soak` runs it whole (WATON_SOAK=1); otherwise a part of it runs. A failure names its seed, and
WATON_CRASH_SEED repeats that one alone.
"""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

from tests.crash.delivery_cast import cast
from tests.crash.delivery_flaws import FLAWS
from tests.crash.delivery_ordeal import Ordeal, Watch
from tests.crash.delivery_plan import Death, Plan
from tests.crash.delivery_points import NEEDS, ONCE, Need
from tests.crash.delivery_process import PATIENCE, Victim
from tests.crash.delivery_verdict import Verdict, judge
from tests.requirements import require

pytestmark = pytest.mark.crash
IS_WHOLE = os.environ.get("WATON_SOAK") == "1"
SEED = int(os.environ.get("WATON_CRASH_SEED", "20261124"))
DEATHS, TEXTS = (200, 500) if IS_WHOLE else (25, 60)


def drawn(seed: int, count: int) -> list[Death]:
    """Every kind of death once, then any, in an order that the seed decides.

    What needs more than talk comes once in a life, as logging in does; other moments may be passed a few times before
    one of them kills.
    """
    dice = random.Random(f"deaths {seed}")
    first = [Death(moment) for moment in NEEDS][:count]
    others = [moment for moment, need in NEEDS.items() if need is not Need.FIRST_GROUP_MESSAGE]
    while len(first) < count:
        moment = dice.choice(others)
        most = 1 if NEEDS[moment] is not Need.TALK or moment in ONCE else 6 if moment.startswith("sql") else 3
        first.append(Death(moment, dice.randint(1, most)))
    return first


async def run(
    directory: Path,
    deaths: list[Death],
    texts: int,
    *,
    flaw: str = "",
    with_baileys: bool = True,
    patience: float = PATIENCE,
) -> Verdict:
    watch = Watch()
    async with cast(with_baileys=with_baileys, sink=watch) as everybody:
        watch.retries.clear()
        plan = Plan.draw(SEED, everybody.chats, deaths, texts)
        async with Victim.start(everybody, directory, plan.outgoing, patience) as victim:
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


# --- what it must see -------------------------------------------------------------------------------------------------

SEEN = {
    "acknowledges before the commit": ("sql record received", "never told"),
    "emits before the commit": ("sql record received", "times as news"),
    "keeps no outbox": ("outbox writing", "read .* 0 times"),
    "keeps no received ids": ("retry written", "times as news"),
    "marks as handled before it tells": ("handling", "never told"),
    "keeps ratchets in memory": ("message written", r"could not read \(duplicate\)"),
}
"""For each flaw, a moment that shows it, and how it shows."""
QUICK = ("acknowledges before the commit", "keeps no outbox", "keeps no received ids", "keeps ratchets in memory")


def dying_at(*moments: str) -> list[Death]:
    return [Death("logged in"), *(Death(moment, count) for moment in moments for count in (1, 2, 1, 3, 1, 2))]


@pytest.mark.parametrize("flaw", FLAWS if IS_WHOLE else QUICK)
async def test_a_client_that_is_made_wrong_on_purpose_is_found_out(tmp_path: Path, flaw: str) -> None:
    moment, complaint = SEEN[flaw]
    verdict = await run(tmp_path, dying_at(moment), 30, flaw=flaw, with_baileys=False, patience=6)
    assert [one for one in verdict.complaints if re.search(complaint, one)], str(verdict)


async def test_the_same_deaths_without_a_flaw_are_no_cause_for_complaint(tmp_path: Path) -> None:
    moments = sorted({moment for moment, _ in SEEN.values()})
    verdict = await run(tmp_path, dying_at(*moments), 60, with_baileys=False)
    assert not verdict.complaints, str(verdict)
