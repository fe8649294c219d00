"""Chaos: four clients in eight chats under seeded faults; nothing is lost, nothing comes twice, order is kept.

`make test` runs three small schedules, `make soak` (WATON_SOAK=1) twenty of a thousand texts each. WATON_CHAOS_SEED=7
runs one seed alone. A seed draws the weather; how the clients' steps interleave with it differs from run to run, so a
failure says all that is known about the texts it is about.

What is asserted, and of whom:

- both watons and all four phones are told every text of their chats exactly once, their own included, in the order in
  which each sender wrote it in each chat. A text is owed when the server has acknowledged it.
- what waton or a phone wrote, no waton and no phone ever has to ask for again: whatever the weather does, it breaks no
  session. What Baileys wrote they may have to, for it stores a session after it has used it, or an older one over a
  newer one, and remembers a member as told of its sender key before the stanza has gone out. Such a text comes when
  Baileys gives it again, behind what it wrote meanwhile: for it, and only for it, the order is not asserted.
- in the end nothing waits anywhere: no queue of the server, no outbox, no request for a message that could not be read,
  no event that was not handed out, no query without an answer; and the watons are connected.
- Baileys gets every text in order, as far as the wire goes, and acknowledges it like one that it could read.

What Baileys does with it then nobody can mend from outside, so it is counted and not asserted:

- it acknowledges a message before it tells it, and drops what it holds back when its connection closes. So a text may
  be acknowledged and never told; or called known (error 487) when it is delivered again, and never have been told. The
  same goes for its own texts, and for those whose bytes it has written into a connection that was dead by then.
- it may leave a device out of whose session it has none yet, and heeds no participant hash; nobody can ask for what was
  never made for him.
- it answers two requests for one message and no more. A phone that cannot read either answer is left without the text;
  a waton asks its own phone then.
- it asks for a repeat of what is delivered twice, and tells a repeat like a new message: texts come twice, late, and as
  unreadable.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.requirements import require
from tests.soak.chaos import BIG, SMALL, run

pytestmark = [pytest.mark.peer, pytest.mark.timeout(900)]
require("baileys")

IS_SOAK = os.environ.get("WATON_SOAK") == "1"


def seeds() -> list[int]:
    alone = os.environ.get("WATON_CHAOS_SEED")
    if alone is not None:
        return [int(alone)]
    return list(range(20 if IS_SOAK else 3))


@pytest.mark.parametrize("seed", seeds())
async def test_nothing_is_lost_nothing_comes_twice_and_order_is_kept(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = await run(seed, BIG if IS_SOAK else SMALL, tmp_path)
    if IS_SOAK:
        with capsys.disabled():
            print(f"\n{outcome}")
    assert not outcome.wrong, str(outcome)
