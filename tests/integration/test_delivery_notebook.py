"""The delivery notebook without a browser, from the command line: every cell runs, and what it counts is right."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = "notebooks/delivery_lab.ipynb"


@pytest.mark.timeout(180)
def test_the_delivery_notebook_runs_headless_and_everything_arrives_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "waton", "notebook", NOTEBOOK, "--headless"]
    private = {name: str(tmp_path / name) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    environment = {**os.environ, **private, "WATON_HOME": str(tmp_path / "waton"), "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=150, check=False)
    assert ran.returncode == 0, ran.stdout[-3000:]
    said = {line[:13].strip(): line[13:].strip() for line in ran.stdout.splitlines()}
    assert said["exactly once"] == "30 texts, 40 answers"
    assert said["sent"].startswith("33 messages in ")
    assert int(said["connections"]) > 1
    assert int(said["retries"]) > 0
