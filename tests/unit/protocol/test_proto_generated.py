"""The committed modules are what the pinned generators make of the committed .proto files."""

import subprocess
import sys
from pathlib import Path

from tests.requirements import require

ROOT = Path(__file__).parents[3]


def test_modules_are_what_the_proto_files_say() -> None:
    command = [sys.executable, str(require("proto-generators")), "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
