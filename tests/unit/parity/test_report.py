"""The report's DataFrames and its document, over rows that are made here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from tests.unit.parity.rows import row
from waton import parity
from waton.errors import ParityError
from waton.parity import baseline as baselines
from waton.parity.baseline import Baseline
from waton.parity.evidence import Domain, Evidence, Field, Outcome, Row
from waton.parity.report import Report, of

FIELDS = (
    Field("message@id", "1", "2", Outcome.OPEN, "lacks an id"),
    Field("message@type", "a", "b", Outcome.BETTER, "Baileys is wrong", "tests/x.py::test_x"),
)
ORDER = "presence available\niq get count\niq get abt"
ROWS = [
    row("login/start-up/iq get count", domain=Domain.PREKEYS),
    row("login/start-up/presence available", domain=Domain.CHATS),
    row("login/start-up/iq get abt", Outcome.MISSING, domain=Domain.CHATS, note="asks for no props"),
    row("login/afterwards/message", Outcome.OPEN, domain=Domain.MESSAGES_SEND, note="lacks an id", fields=FIELDS),
    row("login/start-up/open", kind="event"),
    row("pair/register/client payload"),
    row("jidDecode", evidence=Evidence.FUNCTION, kind="function", domain=Domain.BINARY_CODEC),
    row("sendMessage", Outcome.LEFT_OUT, evidence=Evidence.SCAN, kind="method", note="no reason"),
    Row(Domain.NOISE, Evidence.WIRE, "scenario", "login", Outcome.EQUAL, "", "start-up\nafterwards"),
    Row(Domain.NOISE, Evidence.WIRE, "order", "login/start-up", Outcome.EQUAL, "", ORDER),
]


@pytest.fixture
def report() -> Report:
    return of(Baseline(tuple(baselines.arranged(ROWS)), {"baileys": "7"}))


def test_one_line_tells_what_a_scenario_says(report: Report) -> None:
    told = report.stanzas("login")
    assert list(told["step"]) == ["start-up", "start-up", "start-up", "afterwards"]
    assert list(told["stanza"]) == ["presence available", "iq get count", "iq get abt", "message"]
    assert list(told["outcome"]) == ["equal", "equal", "missing", "open"]
    assert told["note"][2] == "asks for no props"


def test_a_scenario_that_is_none_is_named_with_those_that_are(report: Report) -> None:
    with pytest.raises(ParityError, match="no scenario logout; there are login, pair"):
        report.stanzas("logout")


def test_each_kind_has_its_frame(report: Report) -> None:
    assert list(report.functions()["name"]) == ["jidDecode"]
    assert list(report.declared("method")["name"]) == ["sendMessage"]
    assert list(report.events("login")["event"]) == ["open"]
    assert list(report.frame(domain="chats", outcome="missing")["name"]) == ["login/start-up/iq get abt"]
    assert len(report.frame()) == len(ROWS)


def test_fields_are_rows_of_their_own(report: Report) -> None:
    told = report.fields("wire/stanza/login/afterwards/message")
    assert list(told["path"]) == ["message@id", "message@type"]
    assert list(report.fields()["outcome"]) == ["open", "better"]
    assert report.fields("wire/stanza/none").empty


def test_what_is_better_names_its_test(report: Report) -> None:
    assert report.better().to_dict("records") == [
        {
            "domain": "messages-send",
            "key": "wire/stanza/login/afterwards/message",
            "why": "Baileys is wrong",
            "test": "tests/x.py::test_x",
        }
    ]


def test_domains_are_told_with_their_shares(report: Report) -> None:
    told = report.domains()
    assert told.loc["chats"].to_dict() == {
        "status": "partial", "critical": False, "scan": "0/0", "function": "0/0", "wire": "1/2", "lacking": 1,
    }  # fmt: skip
    assert list(told.index) == [domain.value for domain in Domain]
    assert report.heat().loc["chats", "wire"] == 0.5
    assert pd.isna(report.heat().loc["noise", "scan"])  # its one row is left out


def test_what_is_lacking_comes_with_its_reason(report: Report) -> None:
    assert list(report.lacking("chats")["note"]) == ["asks for no props"]
    assert len(report.lacking()) == 2


def test_a_row_is_found_by_its_key(report: Report) -> None:
    assert report.row("wire/stanza/login/start-up/iq get abt").outcome is Outcome.MISSING
    with pytest.raises(ParityError, match="no row wire/stanza/x"):
        report.row("wire/stanza/x")


def test_the_document_names_everything(report: Report) -> None:
    text = report.to_markdown()
    for told in ("asks for no props", "lacks an id", "Baileys is wrong (`tests/x.py::test_x`)", "no reason"):
        assert told in text
    assert "| chats | partial | 0/0 | 0/0 | 1/2 | 1 |" in text


def test_the_committed_baseline_loads_without_baileys() -> None:
    report = parity.load()
    assert len(report.rows) > 1_500
    assert {verdict.domain for verdict in report.verdicts} == set(Domain)
    assert not report.stanzas("login").empty


def test_an_empty_baseline_is_no_parity(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    baselines.write(path, Baseline())
    assert set(parity.load(path).domains()["status"]) == {"missing"}
    assert parity.load(path).stanzas().empty


def test_names_of_the_package_stay_what_they_are() -> None:
    """A module of the same name would take a function's place once it is imported."""
    for name in parity.__all__:
        assert importlib.util.find_spec(f"waton.parity.{name}") is None
