"""Scenarios: the stories that are played to both clients, one small file each.

To add one, put a file here with a `SCENARIO`; it is found by itself. `coming` lists those that have no file yet.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from waton.parity.stage import Scenario


def scenarios() -> list[Scenario]:
    """Every scenario there is, by name."""
    found = [import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    return sorted((module.SCENARIO for module in found if hasattr(module, "SCENARIO")), key=lambda one: one.name)
