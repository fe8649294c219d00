"""A missing requirement skips with one line, and fails when nothing may be skipped."""

from pathlib import Path

import pytest

from tests import requirements


@pytest.fixture
def nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has a compass and lacks a sextant."""
    compass = requirements.Requirement("compass", "a compass: look north", lambda: Path("/compass"))
    sextant = requirements.Requirement("sextant", "a sextant: ask a sailor", lambda: None)
    monkeypatch.setattr(requirements, "REQUIREMENTS", {"compass": compass, "sextant": sextant})
    monkeypatch.setattr(requirements, "missing", set())
    monkeypatch.delenv(requirements.REQUIRE_ALL, raising=False)
    requirements.locate.cache_clear()


@pytest.mark.usefixtures("nothing_there")
def test_what_is_there_is_given() -> None:
    assert requirements.require("compass") == Path("/compass")
    assert requirements.summary() == []


@pytest.mark.usefixtures("nothing_there")
def test_what_is_missing_skips_in_one_line_and_is_counted() -> None:
    for _ in range(2):
        with pytest.raises(pytest.skip.Exception) as skipped:
            requirements.require("sextant")
        assert str(skipped.value) == "needs a sextant: ask a sailor"
    assert requirements.summary() == ["not found, so its tests did not run: a sextant: ask a sailor"]


@pytest.mark.usefixtures("nothing_there")
def test_what_is_missing_fails_when_all_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(requirements.REQUIRE_ALL, "1")
    with pytest.raises(pytest.fail.Exception, match="a sextant: ask a sailor"):
        requirements.require("sextant")


@pytest.mark.usefixtures("nothing_there")
def test_an_unknown_name_is_a_mistake_in_the_test() -> None:
    with pytest.raises(KeyError):
        requirements.require("astrolabe")


def test_every_hint_is_one_line() -> None:
    for requirement in requirements.REQUIREMENTS.values():
        assert "\n" not in requirement.how_to_get_it


def test_an_old_node_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v18.19.0\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert requirements.find_node() is None
    node.write_text("#!/bin/sh\necho v20.0.0\n")
    assert requirements.find_node() == node
