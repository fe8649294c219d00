"""The whole comparison, held to the committed baseline; and a waton of which a part is gone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import require
from waton.parity import baseline as baselines
from waton.parity import gate
from waton.parity.engine import Found, run
from waton.parity.evidence import Domain, Evidence, Outcome, Status
from waton.parity.report import baseline_path, of
from waton.parity.stage import Recording

pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[3]


def test_the_gate_is_open(found: Found) -> None:
    assert [str(complaint) for complaint in gate.check(found, baselines.read(baseline_path()))] == []


def test_the_baseline_is_what_a_run_writes(found: Found) -> None:
    """Line by line, so that whoever changes a row sees which, and commits it."""
    fresh = baselines.Baseline(found.rows, found.versions).to_text().splitlines()
    committed = baseline_path().read_text("utf-8").splitlines()
    assert [line for line in fresh if line not in set(committed)] == []
    assert [line for line in committed if line not in set(fresh)] == []


def test_the_report_is_made_of_the_baseline() -> None:
    assert of(baselines.read(baseline_path())).to_markdown() == baseline_path().with_name("report.md").read_text(
        "utf-8"
    )


def test_each_kind_of_evidence_and_each_domain_has_rows(found: Found) -> None:
    assert {row.evidence for row in found.rows} == set(Evidence)
    assert {row.domain for row in found.rows} == set(Domain)


def test_nothing_is_left_out_or_lacking_without_a_reason(found: Found) -> None:
    assert [row.key for row in found.rows if not row.outcome.is_good and not row.note] == []
    assert [row.key for row in found.rows if row.outcome is Outcome.BETTER and not row.test] == []


async def test_a_comparison_runs_in_a_cell_that_has_a_loop(recordings: dict[str, Recording]) -> None:
    part = run(evidence=[Evidence.WIRE], scenarios=["server-ping"], recordings=recordings)
    assert {row.outcome for row in part.rows if row.kind == "stanza"} == {Outcome.BETTER}


@pytest.mark.parametrize(
    ("module", "domain"),
    [("protocol/stanza/usync.py", Domain.USYNC), ("protocol/noise.py", Domain.NOISE)],
)
def test_a_module_replaced_by_an_empty_one_of_the_same_length(module: str, domain: Domain, tmp_path: Path) -> None:
    require("baileys")
    package = tmp_path / "waton"
    shutil.copytree(ROOT / "waton", package, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    shutil.copytree(ROOT / "rust", tmp_path / "rust")
    gone = package / module
    size = gone.stat().st_size
    gone.write_text("\n" * size)
    assert gone.stat().st_size == size
    program = (
        "import json; from pathlib import Path; from waton.parity import evidence; from waton.parity.engine import run;"
        f"domain = evidence.Domain({domain.value!r});"
        f"rows = run(examples=2, domain=domain, package=Path({str(require('baileys'))!r})).rows;"
        "print(json.dumps([len(rows), evidence.judge(domain, rows).status]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    count, status = json.loads(done.stdout.splitlines()[-1])
    assert count > 20
    assert status == Status.MISSING
