"""What every test shares: the list of what was missing, told once at the end, and Hypothesis' profiles."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests import requirements

# No deadlines: the machine's pace is not the property under test. Failures found in CI are reproducible from the log.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=2_000)
settings.load_profile(os.environ.get("WATON_HYPOTHESIS", "default"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave benchmarks out unless they were asked for: they measure, and take their time."""
    if "bench" in (config.option.markexpr or ""):
        return
    left_out = [item for item in items if item.get_closest_marker("bench")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name once more what the machine lacked."""
    for line in requirements.summary():
        terminalreporter.write_line(line, yellow=True)
