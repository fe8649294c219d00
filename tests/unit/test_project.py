"""The project's promises about itself: lists that must agree, names that must exist, and what no commit may hold."""

import ast
import importlib
import json
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "waton"


@cache
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@cache
def tracked_files() -> list[Path]:
    """What git would hand to a new user; from an archive without git, every file that is not built."""
    asked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    if asked.returncode == 0:
        return [path for name in asked.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    built = {".venv", "target", "node_modules", "__pycache__"}
    return [path for path in ROOT.rglob("*") if path.is_file() and not built & set(path.relative_to(ROOT).parts)]


def tracked_text() -> list[tuple[Path, str]]:
    """Each tracked file that is text, by its path from the root."""
    texts: list[tuple[Path, str]] = []
    for path in tracked_files():
        data = path.read_bytes()
        if b"\0" not in data:
            texts.append((path.relative_to(ROOT), data.decode("utf-8", errors="replace")))
    return texts


# --- environment.yml says what pyproject.toml says


def environment() -> tuple[list[str], list[str]]:
    """The conda and the pip entries of environment.yml, read line by line: it is a flat list with one nested list."""
    conda: list[str] = []
    pip: list[str] = []
    for line in (ROOT / "environment.yml").read_text().splitlines():
        if match := re.fullmatch(r"( +)- (.+)", line):
            (pip if len(match[1]) > 2 else conda).append(match[2])
    return conda[conda.index("conda-forge") + 1 :], pip


def test_environment_installs_what_pyproject_asks_for() -> None:
    project = pyproject()["project"]
    extras = project["optional-dependencies"]
    wanted = {*project["dependencies"], *extras["notebook"], *extras["test"]}
    _, pip = environment()
    assert pip[-1] == "--editable ."
    assert sorted(pip[:-1]) == sorted(wanted)


def test_environment_brings_the_same_languages() -> None:
    conda, _ = environment()
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())
    node = json.loads((ROOT / "waton/parity/oracle/package.json").read_text())["engines"]["node"]
    assert f"python{pyproject()['project']['requires-python']}" in conda
    assert f"rust>={cargo['package']['rust-version']}" in conda
    assert f"nodejs{node}" in conda


def test_versions_agree() -> None:
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())
    assert cargo["package"]["version"] == pyproject()["project"]["version"]


# --- the pins


def pins(name: str) -> dict[str, str]:
    """Distribution to version of one list; where a platform decides, the lines together."""
    found: dict[str, str] = {}
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        if match := re.match(r"([a-z0-9.-]+)==(\S+)", line):
            found[match[1]] = f"{found.get(match[1], '')} {match[2]}".strip()
    return found


@pytest.mark.parametrize(("name", "extras"), [("notebook", ["notebook"]), ("test", ["test"]), ("dev", ["test", "dev"])])
def test_every_requirement_is_pinned_within_its_bounds(name: str, extras: list[str]) -> None:
    project = pyproject()["project"]
    pinned = pins(name)
    for text in [
        *project["dependencies"],
        *(line for extra in extras for line in project["optional-dependencies"][extra]),
    ]:
        requirement = Requirement(text)
        versions = pinned[requirement.name].split()
        assert all(requirement.specifier.contains(version, prereleases=True) for version in versions), text


def test_the_lists_of_pins_contain_one_another() -> None:
    assert pins("notebook").items() <= pins("test").items() <= pins("dev").items()


def test_every_pin_has_a_hash() -> None:
    for path in [*(ROOT / "requirements").glob("*.txt"), ROOT / ".ci/node.txt"]:
        entries = re.split(r"\n(?=\S)", path.read_text().strip())
        assert entries
        assert all("--hash=sha256:" in entry for entry in entries), path


def test_peers_are_locked_by_content_not_by_address() -> None:
    paths = [*(ROOT / "tests/peers").glob("*/package-lock.json"), ROOT / "waton/parity/oracle/package-lock.json"]
    for path in paths:
        packages = json.loads(path.read_text())["packages"]
        assert all("resolved" not in package for package in packages.values()), path
        assert all("integrity" in package for name, package in packages.items() if name), path


# --- names


def public_names() -> list[str]:
    return list(importlib.import_module("waton").__all__)


def test_every_public_name_is_there() -> None:
    waton = importlib.import_module("waton")
    assert len(set(waton.__all__)) == len(waton.__all__)
    assert [name for name in waton.__all__ if not hasattr(waton, name)] == []


def test_nothing_inside_the_package_leans_on_its_front_door() -> None:
    """`from waton import connect` inside a room would go round the floors that import-linter checks."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert "waton" not in [alias.name for alias in node.names], path
            if (
                isinstance(node, ast.ImportFrom)
                and node.module == "waton"
                and path.name not in {"cli.py", "__main__.py"}
            ):
                for alias in node.names:
                    is_room = (PACKAGE / alias.name).is_dir() or (PACKAGE / f"{alias.name}.py").is_file()
                    assert is_room or alias.name == "_core", f"{path}: from waton import {alias.name}"


# --- what a commit may not hold

# Spelled in pieces, so that this file does not hold what it looks for.
REGISTRY_HOSTS = [
    "registry.npm" + "js",
    "registry.yarn" + "pkg",
    "py" + "pi.org/simple",
    "files.python" + "hosted",
    "static.crates" + ".io",
    "index.crates" + ".io",
    "proxy." + "golang" + ".org",
]
MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(?:work|home|Users|root|farm)/[\w.-]+")


def test_no_tracked_file_names_a_registry_host() -> None:
    found = [f"{path}: {host}" for path, text in tracked_text() for host in REGISTRY_HOSTS if host in text]
    assert found == []


def test_no_tracked_file_names_a_path_of_somebodys_machine() -> None:
    found = [f"{path}: {match[0]}" for path, text in tracked_text() for match in MACHINE_PATH.finditer(text)]
    assert found == []


def notebooks() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".ipynb"]


def test_notebooks_are_committed_without_outputs() -> None:
    for path in notebooks():
        for cell in json.loads(path.read_text())["cells"]:
            assert not cell.get("outputs"), path
            assert cell.get("execution_count") is None, path


def test_notebooks_carry_no_widget_state() -> None:
    for path in notebooks():
        assert "widgets" not in json.loads(path.read_text())["metadata"], path


# --- the documents


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", ".ci/run", "docs/architecture.md"])
def test_every_make_command_named_in_a_document_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    named = set(re.findall(r"^(?:[A-Z_]+=\S+ +)?make ([a-z]+)", text, re.MULTILINE)) | set(
        re.findall(r"`make ([a-z]+)", text)
    )
    assert named, name
    assert named <= make_targets()


@pytest.mark.parametrize("name", ["README.md", "docs/architecture.md", "docs/decisions/README.md", "CHANGELOG.md"])
def test_every_relative_link_leads_somewhere(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_script_is_executable() -> None:
    for path in [*(ROOT / "tools").iterdir(), ROOT / ".ci/run"]:
        if path.is_file() and path.read_bytes().startswith(b"#!"):
            assert path.stat().st_mode & 0o111, path
