"""The function differential: Baileys' functions and ours on the same generated inputs.

A `Pair` is one of Baileys' functions with its counterpart. The engine draws inputs from the pair's strategy, asks both
sides, and compares what they say: bytes, numbers and texts must be equal, an error must meet an error (its words are
not compared). The first difference is shrunk to the smallest input that still shows it; that input and every place in
which the two answers differ are the pair's row.

A path says where two answers differ, but not for which inputs. So a known difference is never a line over a pair's
ordinary inputs: the inputs that show it are a pair of their own (`encodeBinaryNode: a device above 255`), and the
ordinary strategy leaves exactly those out. What differs elsewhere is news.

Counterparts are looked up by name, when they are needed. One that is not there, or cannot be imported, makes its row
`missing` and ends nothing else; so does an export that nobody has written a pair for. What is not compared says why
(waton.parity.functions.exports).

The same seed gives the same rows, as long as the pairs and the version of Hypothesis are the same.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from importlib import import_module
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias, cast
from zlib import crc32

from hypothesis import Phase, Verbosity, find, settings
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.errors import Flaky, HypothesisWarning, NoSuchExample
from hypothesis.strategies import SearchStrategy

from waton.errors import WatonError
from waton.parity.evidence import Domain, Evidence, Field, Outcome, Row
from waton.parity.known import Differences, known_differences
from waton.parity.oracle.process import BaileysError, Functions

Value: TypeAlias = Any
"""What JSON holds, bytes included."""

KIND = "function"
EXAMPLES = 40
REFUSED: dict[str, Value] = {"refused": True}
"""What a side says that raised."""
_MAX_FIELDS = 20
_MAX_SHOWN = 400
"""Characters of an input or a value in a row."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One function of Baileys' and what it is held against."""

    name: str
    """Baileys' export, "Class.method" or "object.method"; after a colon, which inputs. Unique."""
    domain: Domain
    theirs: str
    """Where it is: the module's path in the package, a colon, the export."""
    ours: str
    """The counterpart: a module, a colon, the name in it."""
    inputs: Callable[[], SearchStrategy[Value]]
    """Makes the strategy; called once in a run."""
    ask: Callable[[Functions, Value], Value]
    """Baileys' answer."""
    answer: Callable[[Value], Value]
    """Ours."""
    examples: int | None = None
    """How many inputs where others have EXAMPLES: fewer say as much, or one takes long. None: as many as others."""

    @property
    def export(self) -> str:
        """The name without the inputs."""
        return self.name.partition(":")[0]


class MissingCounterpart(Exception):
    """Waton has nothing of this name; the text says what."""


def symbol(place: str) -> Any:
    """What a place such as `waton.protocol.adv:verify_identity` names. Raises MissingCounterpart."""
    module, _, name = place.partition(":")
    try:
        found: Any = import_module(module)
    except ImportError as error:
        raise MissingCounterpart(f"{module} cannot be imported: {error}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise MissingCounterpart(f"{module} has no {name}")
        found = getattr(found, part)
    return found


# --- values ---------------------------------------------------------------------------------------------------------


def canonical(value: Value) -> Value:
    """A value as both sides would write it in JSON: bytes as {"$bytes": hex}, enums and big numbers as plain ones."""
    if isinstance(value, Enum):
        return canonical(value.value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, Mapping):
        return {str(name): canonical(item) for name, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in cast("Sequence[Any]", value)]
    return str(value)


def shown(value: Value) -> str:
    """A value in one short line: bytes as h'...', and such of one byte only as h'00'*32."""
    text = json.dumps(_readable(canonical(value)), ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}… ({len(text)} characters)"


def _readable(value: Value) -> Value:
    if isinstance(value, list):
        return [_readable(item) for item in cast("list[Value]", value)]
    if not isinstance(value, dict):
        return value
    made = cast("dict[str, Value]", value)
    return _bytes_text(made) if "$bytes" in made else {name: _readable(item) for name, item in made.items()}


def _bytes_text(value: dict[str, Value]) -> str:
    data = bytes.fromhex(value["$bytes"])
    is_even = len(data) > 4 and len(set(data)) == 1
    return f"h'{data[:1].hex()}'*{len(data)}" if is_even else f"h'{data.hex()}'"


def differences(ours: Value, theirs: Value, path: str = "") -> list[Field]:
    """Every place in which two canonical values differ; the path of the whole is "value"."""
    if _is_branch(ours) and _is_branch(theirs):
        return _dict_differences(cast("dict[str, Value]", ours), cast("dict[str, Value]", theirs), path)
    if isinstance(ours, list) and isinstance(theirs, list):
        return _list_differences(cast("list[Value]", ours), cast("list[Value]", theirs), path)
    if ours == theirs and isinstance(ours, bool) == isinstance(theirs, bool):
        return []
    return [Field(path or "value", shown(ours), shown(theirs))]


def _dict_differences(ours: dict[str, Value], theirs: dict[str, Value], path: str) -> list[Field]:
    found: list[Field] = []
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        place = f"{path}.{name}" if path else name
        if name not in theirs:
            found.append(Field(place, shown(ours[name]), ""))
        elif name not in ours:
            found.append(Field(place, "", shown(theirs[name])))
        else:
            found += differences(ours[name], theirs[name], place)
    return found


def _list_differences(ours: list[Value], theirs: list[Value], path: str) -> list[Field]:
    found: list[Field] = []
    for index, (mine, other) in enumerate(zip(ours, theirs, strict=False)):
        found += differences(mine, other, f"{path}[{index}]")
    if len(ours) != len(theirs):
        found.append(Field(f"{path}.length" if path else "length", str(len(ours)), str(len(theirs))))
    return found


def _is_branch(value: Value) -> bool:
    leaves = ({"$bytes"}, {"refused"}, {"raised"})
    return isinstance(value, dict) and cast("dict[str, Value]", value).keys() not in leaves


# --- one pair -------------------------------------------------------------------------------------------------------


def _ask(pair: Pair, baileys: Functions, value: Value) -> Value:
    try:
        return canonical(pair.ask(baileys, value))
    except BaileysError:
        return REFUSED
    except ImportError as error:
        raise MissingCounterpart(str(error)) from error
    except TimeoutError:
        raise
    except Exception as error:  # noqa: BLE001 - waton's half of the story failed with what Baileys sent
        return {"raised": type(error).__name__}


def _answer(pair: Pair, value: Value) -> Value:
    try:
        return canonical(pair.answer(value))
    except ImportError as error:
        raise MissingCounterpart(str(error)) from error
    except (WatonError, ValueError, OverflowError):
        return REFUSED
    except Exception as error:  # noqa: BLE001 - no refusal but a fault of ours, to be shown and not to end the run
        return {"raised": type(error).__name__}


def compare(pair: Pair, baileys: Functions, value: Value) -> list[Field]:
    """Where the two answers to this input differ.

    Raises:
        MissingCounterpart: a part of ours is not there.
    """
    return differences(_answer(pair, value), _ask(pair, baileys, value))


def judge(pair: Pair, baileys: Functions, *, examples: int = EXAMPLES, seed: int = 1) -> Row:
    """Draw inputs, compare, shrink: the pair's row, not yet explained."""
    row = Row(pair.domain, Evidence.FUNCTION, KIND, pair.name, Outcome.EQUAL, ours=pair.ours, theirs=pair.theirs)
    count = examples if pair.examples is None else max(1, examples * pair.examples // EXAMPLES)
    try:
        symbol(pair.ours)
        found = _smallest(pair, baileys, count, seed)
    except MissingCounterpart as missing:
        return replace(row, outcome=Outcome.MISSING, ours="", note=str(missing))
    except ImportError as missing:
        return replace(row, outcome=Outcome.MISSING, ours="", note=f"no inputs can be made: {missing}")
    except Flaky:
        return replace(row, outcome=Outcome.DIFFERS, note="the same input gives different answers from time to time")
    except TimeoutError:
        raise
    except Exception as error:  # noqa: BLE001 - a fault of waton's in making inputs ends this row and no other
        return replace(row, outcome=Outcome.DIFFERS, note=f"no inputs can be made: {type(error).__name__}: {error}")
    if found is None:
        return row
    return replace(row, outcome=Outcome.DIFFERS, fields=tuple(found[1][:_MAX_FIELDS]), note=f"input: {shown(found[0])}")


def _smallest(pair: Pair, baileys: Functions, examples: int, seed: int) -> tuple[Value, list[Field]] | None:
    def is_different(value: Value) -> bool:
        return bool(compare(pair, baileys, value))

    limits = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    dice = Random(seed ^ crc32(pair.name.encode()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HypothesisWarning)  # a large input is shown shortened
        try:
            value = find(pair.inputs(), is_different, settings=limits, random=dice)
        except NoSuchExample:
            return None
    return value, compare(pair, baileys, value)


# --- the whole table ------------------------------------------------------------------------------------------------


def run(
    baileys: Functions,
    *,
    only: Collection[str] | None = None,
    domain: Domain | None = None,
    examples: int = EXAMPLES,
    seed: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
    known: Differences | None = None,
) -> list[Row]:
    """A row for each pair, and one for each export that has none.

    Args:
        baileys: a running oracle.
        only: names to run, of pairs or of exports; None runs all.
        domain: run what belongs to it; None runs all.
        examples: inputs for each pair.
        seed: chooses the inputs.
        progress: told (name, number, of how many) before each row.
        known: the table of known differences; None takes a fresh one.
    Returns:
        The pairs in the table's order, then the exports by name; each explained.
    """
    from waton.parity.functions import load
    from waton.parity.functions.exports import export_rows

    table = known if known is not None else known_differences()
    pairs = load()
    rows = export_rows(baileys.ask("exports"), baileys.ask("homes"), frozenset(pair.export for pair in pairs))
    chosen = [pair for pair in pairs if _is_wanted(pair.name, pair.export, pair.domain, only, domain)]
    rest = [row for row in rows if _is_wanted(row.name, row.name, row.domain, only, domain)]
    judged: list[Row] = []
    with _own_storage():
        for number, pair in enumerate(chosen, 1):
            if progress is not None:
                progress(pair.name, number, len(chosen))
            judged.append(table.explain(_row(pair, baileys, examples, seed)))
    return [*judged, *(table.explain(row) for row in rest)]


@contextmanager
def _own_storage() -> Generator[None]:
    """Hypothesis keeps tables on disk, by default where the program was started; here they go when the run ends."""
    with TemporaryDirectory(prefix="waton-parity-") as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)


def _row(pair: Pair, baileys: Functions, examples: int, seed: int) -> Row:
    module, _, name = pair.theirs.partition(":")
    if not baileys.ask("has", module=module, name=name.partition(".")[0]):
        note = "this version of Baileys has no such function"
        return Row(pair.domain, Evidence.FUNCTION, KIND, pair.name, Outcome.LEFT_OUT, ours=pair.ours, note=note)
    return judge(pair, baileys, examples=examples, seed=seed)


def _is_wanted(name: str, export: str, belongs: Domain, only: Collection[str] | None, domain: Domain | None) -> bool:
    if domain is not None and belongs is not domain:
        return False
    return only is None or name in only or export in only
