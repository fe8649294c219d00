"""The function differential's engine: what it finds, how small it makes it, and what it survives. No Node here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

import pytest
from hypothesis import strategies as st

from waton.errors import DecodeError
from waton.parity import differential
from waton.parity.differential import MissingCounterpart, Pair, canonical, differences, judge, shown, symbol
from waton.parity.evidence import Domain, Evidence, Field, Outcome
from waton.parity.functions import load
from waton.parity.functions.exports import EXPORTS, INTERNALS, domain_of, export_rows, is_paired
from waton.parity.known import Differences, better, known_differences, open_
from waton.parity.oracle.process import BaileysError, Functions

NOBODY = cast("Functions", None)
"""The pairs below ask no Baileys."""


def pair(
    theirs: Callable[[Any], Any],
    ours: Callable[[Any], Any],
    inputs: st.SearchStrategy[Any] | None = None,
    counterpart: str = "waton.jid:Jid.parse",
) -> Pair:
    return Pair(
        "name: inputs",
        Domain.NOISE,
        "lib/x.js:name",
        counterpart,
        lambda: inputs if inputs is not None else st.integers(0, 1_000),
        lambda baileys, value: theirs(value),
        ours,
    )


def refuse(error: Exception) -> Any:
    raise error


# --- one pair -------------------------------------------------------------------------------------------------------


def test_the_same_answers_are_equal() -> None:
    row = judge(
        pair(lambda n: {"n": n, "bytes": bytes([n % 256])}, lambda n: {"bytes": bytes([n % 256]), "n": n}), NOBODY
    )
    assert (row.outcome, row.fields, row.note) == (Outcome.EQUAL, (), "")
    assert (row.key, row.domain) == ("function/function/name: inputs", Domain.NOISE)
    assert (row.ours, row.theirs) == ("waton.jid:Jid.parse", "lib/x.js:name")


def test_a_difference_is_shrunk_to_the_smallest_input_that_shows_it() -> None:
    row = judge(pair(lambda n: min(n, 100), lambda n: n), NOBODY)
    assert row.outcome is Outcome.DIFFERS
    assert row.note == "input: 101"
    assert row.fields == (Field("value", "101", "100"),)


def test_a_difference_in_one_place_of_many_names_the_place() -> None:
    def ours(words: list[str]) -> Any:
        return {"words": [{"text": word, "size": len(word)} for word in words]}

    def theirs(words: list[str]) -> Any:
        return {"words": [{"text": word, "size": len(word.encode())} for word in words]}

    row = judge(pair(theirs, ours, st.lists(st.text("ab é", max_size=4), max_size=3)), NOBODY)
    assert row.note == 'input: ["é"]'
    assert row.fields == (Field("words[0].size", "1", "2"),)


def test_the_same_seed_gives_the_same_row_and_another_one_other_inputs() -> None:
    def seen_with(seed: int) -> list[int]:
        seen: list[int] = []
        judge(pair(lambda n: seen.append(n), lambda n: None, st.integers(0, 1 << 40)), NOBODY, seed=seed)
        return seen

    assert seen_with(1) == seen_with(1)
    assert seen_with(1) != seen_with(2)


def test_no_more_inputs_than_asked_for() -> None:
    seen: set[int] = set()
    judge(pair(lambda n: seen.add(n), lambda n: None, st.integers(0, 1 << 40)), NOBODY, examples=7)
    assert len(seen) == 7


def test_an_error_meets_an_error_whatever_its_words() -> None:
    both = pair(lambda n: refuse(BaileysError("no", None)), lambda n: refuse(DecodeError(0)))
    assert judge(both, NOBODY).outcome is Outcome.EQUAL


@pytest.mark.parametrize("error", [DecodeError(0), ValueError("a device above 255"), OverflowError()])
def test_a_refusal_of_ours_alone_differs(error: Exception) -> None:
    row = judge(pair(lambda n: n, lambda n: refuse(error) if n > 5 else n), NOBODY)
    assert row.fields == (Field("value", '{"refused": true}', "6"),)


def test_a_refusal_of_baileys_alone_differs() -> None:
    row = judge(pair(lambda n: refuse(BaileysError("no", None)), lambda n: n), NOBODY)
    assert row.fields == (Field("value", "0", '{"refused": true}'),)


def test_a_fault_of_ours_is_no_refusal() -> None:
    both = pair(lambda n: refuse(BaileysError("no", None)), lambda n: refuse(KeyError("jid")))
    assert judge(both, NOBODY).fields == (Field("value", '{"raised": "KeyError"}', '{"refused": true}'),)


def test_answers_that_change_are_said_to() -> None:
    answers = iter(range(10_000))
    row = judge(pair(lambda n: next(answers) % 3 == 0, lambda n: True), NOBODY)
    assert row.outcome is Outcome.DIFFERS


def test_inputs_that_cannot_be_made_end_one_row_only() -> None:
    def broken(n: int) -> int:
        raise RuntimeError("the maker")

    row = judge(pair(lambda n: n, lambda n: n, st.integers().map(broken)), NOBODY)
    assert row.outcome is Outcome.DIFFERS
    assert "RuntimeError" in row.note


# --- what is missing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("waton.protocol.noise:ClientHandshakes", "waton.protocol.noise has no ClientHandshakes"),
        ("waton.protocol.noise:ClientHandshake.begin", "waton.protocol.noise has no ClientHandshake.begin"),
        ("waton.protocol.group_ciphers:encrypt", "waton.protocol.group_ciphers cannot be imported"),
    ],
)
def test_a_missing_counterpart_is_missing(place: str, said: str) -> None:
    with pytest.raises(MissingCounterpart, match=said):
        symbol(place)
    row = judge(pair(lambda n: n, lambda n: n, counterpart=place), NOBODY)
    assert (row.outcome, row.ours) == (Outcome.MISSING, "")
    assert row.note.startswith(said)


def test_a_part_that_is_missing_on_the_way_is_missing_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "waton.utils.padding", ModuleType("waton.utils.padding"))

    def ours(n: int) -> bytes:
        from waton.utils.padding import pad

        return pad(b"", n)

    row = judge(pair(lambda n: b"", ours), NOBODY)
    assert (row.outcome, row.ours) == (Outcome.MISSING, "")


def test_every_pair_has_its_own_name_and_a_counterpart_and_loads_without_waton(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = load()
    assert len({made.name for made in pairs}) == len(pairs)
    assert len(pairs) > 140
    for made in pairs:
        assert symbol(made.ours) is not None
    for name in [name for name in sys.modules if name.startswith(("waton.protocol", "waton.client"))]:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    emptied = load()
    assert [made.name for made in emptied] == [made.name for made in pairs]


# --- values ---------------------------------------------------------------------------------------------------------


def test_canonical_values_are_json() -> None:
    assert canonical({"a": (b"\x01", Outcome.EQUAL, None, True, 1.5)}) == {
        "a": [{"$bytes": "01"}, "equal", None, True, 1.5]
    }


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, [Field("a.b[1]", "2", "3")]),
        ([1, 2], [1], [Field("length", "2", "1")]),
        ({"a": 1}, {"c": 1}, [Field("a", "1", ""), Field("c", "", "1")]),
        ({"$bytes": "00ff"}, {"$bytes": "00fe"}, [Field("value", "\"h'00ff'\"", "\"h'00fe'\"")]),
        ({"$bytes": "00"}, "00", [Field("value", "\"h'00'\"", '"00"')]),
        (True, 1, [Field("value", "true", "1")]),
        ([True], [1], [Field("[0]", "true", "1")]),
        (2, 2.0, []),
        (None, {"refused": True}, [Field("value", "null", '{"refused": true}')]),
    ],
)
def test_differences(ours: Any, theirs: Any, found: list[Field]) -> None:
    assert differences(ours, theirs) == found


def test_what_is_shown_is_short() -> None:
    assert shown({"key": bytes(32), "text": b"ab"}) == '{"key": "h\'00\'*32", "text": "h\'6162\'"}'
    assert len(shown("x" * 10_000)) < 450


# --- known differences and exports ----------------------------------------------------------------------------------


def test_a_known_difference_explains_its_field_and_no_other() -> None:
    both = pair(lambda n: {"a": n, "b": n}, lambda n: {"a": n + 1, "b": n})
    table = Differences([better("function/function/name: inputs#a", "one more", "tests/x.py::test")])
    explained = table.explain(judge(both, NOBODY))
    assert (explained.outcome, explained.test) == (Outcome.BETTER, "tests/x.py::test")
    worse = pair(lambda n: {"a": n, "b": n}, lambda n: {"a": n + 1, "b": n + 1})
    assert table.explain(judge(worse, NOBODY)).outcome is Outcome.DIFFERS


def test_a_known_difference_that_is_gone_is_stale() -> None:
    line = open_("function/function/name: inputs#*", "not there yet")
    table = Differences([line])
    assert table.explain(judge(pair(lambda n: n, lambda n: n), NOBODY)).outcome is Outcome.EQUAL
    assert table.stale(Evidence.FUNCTION) == [line]


def test_known_differences_are_of_special_inputs_only() -> None:
    # A line over a pair's ordinary inputs would hide whatever goes wrong there next.
    ordinary = [known.where for known in _lines() if ":" not in known.where.partition("#")[0]]
    assert ordinary == []
    names = {made.name for made in load()}
    assert [where for known in _lines() if (where := known.where.split("/", 2)[2].partition("#")[0]) not in names] == []


def _lines() -> list[Any]:
    table = known_differences()
    return table.stale(Evidence.FUNCTION)


def test_an_export_nobody_knows_is_missing_in_its_module_s_domain() -> None:
    exports = {"newPatch": "function", "jidDecode": "function", "sha256": "function", "MAX": "number"}
    homes = {"newPatch": "lib/Utils/chat-utils.js", "sha256": "lib/Utils/crypto.js"}
    rows = {row.name: row for row in export_rows(exports, homes, {"jidDecode"})}
    assert (rows["newPatch"].outcome, rows["newPatch"].domain) == (Outcome.MISSING, Domain.APP_STATE_SYNC)
    assert rows["newPatch"].note == "not in the table"
    assert rows["newPatch"].theirs == "lib/Utils/chat-utils.js:newPatch"
    assert rows["sha256"].outcome is Outcome.LEFT_OUT
    assert set(rows) == {"newPatch", "sha256", *INTERNALS}


def test_a_pair_that_goes_leaves_its_export_missing() -> None:
    rows = export_rows({"hkdf": "function"}, {}, frozenset())
    assert (rows[0].outcome, rows[0].note) == (
        Outcome.MISSING,
        "the table says that a pair compares it, and there is none",
    )


def test_every_export_is_compared_missing_or_left_out() -> None:
    paired = {made.export for made in load()}
    for name, export in EXPORTS.items():
        says = [bool(export.missing), bool(export.left_out), is_paired(name, paired)]
        assert sum(says) == 1, name


@pytest.mark.parametrize(
    ("home", "domain"),
    [
        ("lib/WABinary/encode.js", Domain.BINARY_CODEC),
        ("lib/WAUSync/Protocols/USyncStatusProtocol.js", Domain.USYNC),
        ("lib/Utils/event-buffer.js", Domain.EVENT_BUFFER),
        ("lib/Utils/generics.js", Domain.MESSAGES_SEND),
    ],
)
def test_domains_of_modules(home: str, domain: Domain) -> None:
    assert domain_of(home) is domain


def test_default_examples_are_enough_to_find_a_rare_fault() -> None:
    # One address in a dozen has device 7 or above 90; a pair's inputs must come across such.
    rare = pair(
        lambda text: text,
        lambda text: "" if text.endswith("@hosted") else text,
        st.from_regex(r"[0-9]+@(lid|hosted|g\.us)", fullmatch=True),
    )
    assert judge(rare, NOBODY, examples=differential.EXAMPLES).outcome is Outcome.DIFFERS
