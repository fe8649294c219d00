"""Several cases in one input: of a function with many small cases, a few inputs then ask about most of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from waton.parity.oracle.process import Functions

Value: TypeAlias = Any


def several(cases: SearchStrategy[Value]) -> SearchStrategy[list[Value]]:
    """One to eight of these."""
    return st.lists(cases, min_size=1, max_size=8)


def each(ask: Callable[[Functions, Value], Value]) -> Callable[[Functions, list[Value]], list[Value]]:
    """Baileys' answer to each."""
    return lambda baileys, values: [ask(baileys, value) for value in values]


def each_of(answer: Callable[[Value], Value]) -> Callable[[list[Value]], list[Value]]:
    """Ours."""
    return lambda values: [answer(value) for value in values]
