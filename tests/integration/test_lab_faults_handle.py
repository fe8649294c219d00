"""Faults as a notebook asks for them, from any thread, and as the command line does."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import waton
from waton import cli
from waton.api import LabHandle, Session
from waton.errors import LabError
from waton.lab.faults import Defect, Fault
from waton.lab.schedules import Kind, Schedule


@pytest.fixture
def lab(tmp_path: Path) -> Generator[LabHandle]:
    with waton.start_lab(path=tmp_path / "lab") as handle:
        yield handle


async def paired(lab: LabHandle, path: Path) -> Session:
    session = await waton.connect(lab, path=path)
    await session.scan_with_lab()
    await session.wait_open(20)
    return session


async def test_a_notebook_makes_faults_sees_them_and_calms_the_lab(lab: LabHandle, tmp_path: Path) -> None:
    session = await paired(lab, tmp_path / "account")
    ada = lab.contact("Ada", replies=lambda text: f"echo: {text}")
    schedule = lab.faults.schedule("duplicate=100%/max:2, delay=1-2ms/out/max:3, seed=7")
    assert lab.faults.running == schedule == Schedule.parse(str(schedule))
    reply = session.expect_message()
    await session.send_text(ada.lid, "hello")
    assert (await reply).text == "echo: hello"
    while not lab.faults.is_over:
        await session.send_text(ada.lid, "and again")
    lab.faults.calm()
    assert (lab.faults.running, lab.faults.is_over) == (None, True)
    assert lab.faults.injected == {Kind.DUPLICATE: 2, Kind.DELAY: 3}
    table = lab.faults.table()
    assert list(table["kind"].value_counts().sort_index().items()) == [("delay", 3), ("duplicate", 2)]
    doubled = table[table["kind"] == "duplicate"]
    assert set(doubled["way"]) == {"out"}
    assert set(doubled["tag"]) <= {"message", "receipt", "notification"}
    assert (table["connection"] > 0).all()
    assert table[table["kind"] == "delay"]["seconds"].between(0.001, 0.002).all()
    nodes = lab.nodes()
    struck = nodes[nodes["seq"].isin(doubled["cause"])]
    assert set(struck["id"]) == set(doubled["id"])
    assert "lab.fault" in set(lab.transitions()["machine"])
    await session.close()


def test_the_door_is_open_to_every_thread(lab: LabHandle) -> None:
    def work(seed: int) -> set[str]:
        seen: set[str] = set()
        for _ in range(20):
            seen.add(str(lab.faults.profile("hostile", seed)))
            assert lab.faults.injected == {}
            lab.faults.calm()
        return seen

    with ThreadPoolExecutor(4) as threads:
        for seed, seen in enumerate(threads.map(work, range(4))):
            assert seen == {str(Schedule.parse(f"hostile,seed={seed}"))}


def test_an_error_comes_through_the_door(lab: LabHandle) -> None:
    with pytest.raises(LabError, match="'drop=1x'"):
        lab.faults.schedule("drop=1x")
    with pytest.raises(LabError, match="hurricane"):
        lab.faults.profile("hurricane")
    assert lab.faults.running is None


async def test_a_restart_and_a_single_fault_from_a_notebook(lab: LabHandle, tmp_path: Path) -> None:
    session = await paired(lab, tmp_path / "account")
    url = lab.url
    await asyncio.to_thread(lab.restart, 0.05)
    assert lab.url == url
    await session.wait_open(20)
    ada = lab.contact("Ada")
    await session.send_text(ada.lid, "after the restart")
    assert (await ada.next_message()).text == "after the restart"
    await session.close()
    lab.faults.next(Fault.certificate(Defect.LEAF_KEY))
    assert repr(lab.faults) == "<FaultsHandle calm>"


# --- the command line


def test_a_wrong_specification_is_named_and_nothing_is_started(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lab", "--port", "0", "--faults", "seed=7,drop=1x"]) == 1
    assert "'drop=1x': '1x' is none of" in capsys.readouterr().err


def test_the_help_tells_the_kinds_and_profiles(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["lab", "--help"])
    told = capsys.readouterr().out
    assert [kind for kind in Kind if f"{kind}=" not in told] == []
    assert "slow, flaky, lossy, forgetful, restarts, hostile" in told
    example = re.search(r"for example +(\S+)", told)
    assert example is not None
    Schedule.parse(example[1])


def test_a_lab_on_the_command_line_says_what_it_will_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "waton", "lab", "--port", "0", "--faults", "lossy,seed=3,max=5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as lab:
        assert lab.stdout is not None
        try:
            line = next(line for line in lab.stdout if line.startswith("Faults"))
        finally:
            lab.terminate()
    assert Schedule.parse(line.removeprefix("Faults").strip()) == Schedule.parse("lossy,seed=3,max=5")
