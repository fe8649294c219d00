"""Mutations: waton with one thing wrong, for tests of what finds faults.

    with mutated("waton.protocol.stanza.usync", '"mode": "query"', '"mode": "full"'): ...

The module's source is changed in one place and compiled anew; the code of each function that differs is put into the
function that everybody has already, and a changed constant into the module. So nothing has to be imported again, and
everything is as before afterwards.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Any


@contextmanager
def mutated(name: str, old: str, new: str) -> Generator[None]:
    """Run with `old` replaced by `new` in a module's source, where it must stand exactly once."""
    with mutated_together(name, [(old, new)]):
        yield


@contextmanager
def mutated_together(name: str, changes: Iterable[tuple[str, str]]) -> Generator[None]:
    """The same with several changes of one module at once."""
    module = import_module(name)
    source = inspect.getsource(module)
    for old, new in changes:
        assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {name}"
        source = source.replace(old, new)
    namespace: dict[str, Any] = {"__name__": name, "__file__": module.__file__, "__package__": module.__package__}
    exec(compile(source, str(module.__file__), "exec"), namespace)
    with ExitStack() as undo:
        code = list(_change_code(module, namespace, undo.callback))
        constants = list(_change_constants(module, namespace, undo.callback))
        assert code or constants, f"{changes!r} change nothing that is used"
        yield


def _change_code(module: ModuleType, namespace: Mapping[str, Any], undo: Callable[..., object]) -> Iterator[str]:
    wrong = dict(_functions(namespace, module.__name__))
    for qualified, function in _functions(vars(module), module.__name__):
        other = wrong.get(qualified)
        if other is not None and other.__code__ != function.__code__:
            undo(_set_code, function, function.__code__)
            _set_code(function, other.__code__)
            yield qualified


def _set_code(function: FunctionType, code: CodeType) -> None:
    function.__code__ = code


def _change_constants(module: ModuleType, namespace: Mapping[str, Any], undo: Callable[..., object]) -> Iterator[str]:
    for name, value in list(vars(module).items()):
        if name in namespace and _is_plain(value) and _differ(namespace[name], value):
            undo(setattr, module, name, value)
            setattr(module, name, namespace[name])
            yield name


def _differ(one: object, other: object) -> bool:
    try:
        return one != other
    except RecursionError:  # a table that holds itself
        return False


def _is_plain(value: object) -> bool:
    return isinstance(value, int | float | str | bytes | tuple | list | dict | set | frozenset)


def _functions(names: Mapping[str, Any], module: str) -> Iterator[tuple[str, FunctionType]]:
    """Every function and method of a module's own, by its qualified name and how deep in decorators it is."""
    for value in list(names.values()):
        if isinstance(value, type) and value.__module__ == module:
            yield from _functions(vars(value), module)
            continue
        for part in ("", "__func__", "fget", "__wrapped__"):
            found = getattr(value, part, None) if part else value
            if isinstance(found, FunctionType) and found.__module__ == module:
                yield f"{found.__qualname__} {part}", found
