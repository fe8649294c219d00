"""The parity widget's side in Python: what a view is told of a report."""

import json
import re

import anywidget
import ipywidgets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.widgets.conftest import Front, Show
from waton.errors import ParityError
from waton.parity.evidence import Domain, Evidence, Field, Outcome, Row
from waton.parity.report import Report
from waton.widgets import ParityWidget
from waton.widgets.base import LiveWidget
from waton.widgets.parity import sentence, side_by_side

KEY, OUTCOME, KIND, TITLE, GROUP, NOTE, DOMAIN = range(7)
TEST = "tests/peers/test_better_baileys.py::test_baileys_is_weaker"
OURS = '<iq to="s.whatsapp.net" xmlns="encrypt">\n  <count>50</count>\n  <skey/>\n</iq>'
THEIRS = '<iq xmlns="encrypt" to="s.whatsapp.net">\n  <count>5</count>\n  <skey/>\n</iq>'
PLACES = (
    Field("iq/count", "50", "5", Outcome.BETTER, "Baileys refills with five", TEST),
    Field("iq/a", "", "1", Outcome.OPEN, "waton has no secret"),
    Field("iq/b", "", "2", Outcome.OPEN, "waton has no secret"),
)


def wire(kind: str, name: str, outcome: Outcome, domain: Domain = Domain.NOISE, **more: object) -> Row:
    return Row(domain, Evidence.WIRE, kind, name, outcome, **more)


ROWS = (
    wire("scenario", "login", Outcome.EQUAL, ours="wake\nstart-up", theirs="wake\nstart-up", note="It logs in again."),
    wire("order", "login/wake", Outcome.EQUAL, ours="payload", theirs="payload"),
    wire("order", "login/start-up", Outcome.EQUAL, ours="iq count\nalways", theirs="iq digest\niq count\nalways"),
    wire("stanza", "login/start-up/iq count", Outcome.OPEN, Domain.PREKEYS, ours=OURS, theirs=THEIRS, fields=PLACES),
    wire("stanza", "login/start-up/iq digest", Outcome.MISSING, Domain.PREKEYS, theirs="<iq/>", note="no check"),
    wire("stanza", "login/start-up/always", Outcome.EQUAL, Domain.CHATS, ours="<presence/>", theirs="<presence/>"),
    wire("stanza", "login/wake/payload", Outcome.EQUAL, ours="<payload/>", theirs="<payload/>"),
    wire("event", "login/start-up/connection.update open", Outcome.DIFFERS, ours="<open/>"),
    wire("stanza", "logout/away/iq remove", Outcome.BETTER, theirs="<iq/>", note="said twice", test=TEST),
    wire("scenario", "send-album", Outcome.MISSING, Domain.MEDIA, note="waton makes no albums"),
    Row(Domain.CHATS, Evidence.SCAN, "method", "star", Outcome.MISSING, theirs="Socket/chats:star", note="none yet"),
    Row(Domain.CHATS, Evidence.SCAN, "event", "chats.update", Outcome.EQUAL, ours="events:ChatsUpdate", theirs="x:y"),
    Row(Domain.MEDIA, Evidence.FUNCTION, "function", "hkdf", Outcome.LEFT_OUT, theirs="crypto:hkdf", note="internal"),
)
REPORT = Report(ROWS, {"baileys": "7.0.0"})


def opened(show: Show, report: Report = REPORT) -> tuple[ParityWidget, Front]:
    return show(lambda: ParityWidget(report))


# --- pages -----------------------------------------------------------------------------------------------------------


def test_the_overview(show: Show) -> None:
    _, front = opened(show)
    page = front.ask("hello", "overview")
    assert (page["view"], page["baileys"], page["total"]) == ("v", "7.0.0", 13)
    domains = {domain["name"]: domain for domain in page["domains"]}
    assert len(domains) == len(Domain)
    assert [name for name, _ in page["evidence"]] == ["scan", "function", "wire"]
    assert domains["chats"]["cells"] == [[1, 2], [0, 0], [1, 1]]
    assert (domains["chats"]["status"], domains["chats"]["critical"], domains["chats"]["lacking"]) == (
        "partial",
        False,
        1,
    )
    assert domains["media"]["critical"] is True
    assert page["scenarios"] == [["login", 2, 4], ["logout", 1, 1]]
    assert page["unplayed"] == 1
    assert page["outcomes"] == {"equal": 6, "open": 1, "missing": 3, "differs": 1, "better": 1, "left_out": 1}


def test_a_cell_is_shown_worst_first(show: Show) -> None:
    _, front = opened(show)
    page = front.ask("cell", "rows", domain="chats", evidence="scan")
    assert (page["choice"], page["title"]) == ("chats/scan", "chats · scan")
    assert [(row[OUTCOME], row[KIND], row[TITLE], row[GROUP], row[NOTE]) for row in page["rows"]] == [
        ("missing", "method", "star", "", "none yet"),
        ("equal", "event", "chats.update", "", ""),
    ]


def test_what_was_said_on_the_wire_stands_under_scenario_and_step(show: Show) -> None:
    _, front = opened(show)
    rows = front.ask("cell", "rows", domain="noise", evidence="wire")["rows"]
    assert [(row[GROUP], row[TITLE], row[OUTCOME]) for row in rows] == [
        ("login › start-up", "connection.update open", "differs"),
        ("login › start-up", "the order of what both send", "equal"),
        ("logout › away", "iq remove", "better"),
        ("login › wake", "the order of what both send", "equal"),
        ("login › wake", "payload", "equal"),
        ("login", "the scenario as a whole", "equal"),
    ]


def test_all_of_a_domain_and_all_domains(show: Show) -> None:
    _, front = opened(show)
    chats = front.ask("cell", "rows", domain="chats", evidence="")["rows"]
    assert [(row[GROUP], row[TITLE]) for row in chats] == [
        ("scan", "star"),
        ("scan", "chats.update"),
        ("login › start-up", "always"),
    ]
    assert len(front.ask("cell", "rows", domain="", evidence="")["rows"]) == len(ROWS)
    assert {row[DOMAIN] for row in front.ask("cell", "rows", domain="", evidence="scan")["rows"]} == {"chats"}


def test_a_scenario_is_told_in_the_order_said(show: Show) -> None:
    _, front = opened(show)
    page = front.ask("scenario", "rows", name="login")
    assert (page["choice"], page["title"], page["text"]) == ("scenario:login", "login", "It logs in again.")
    assert [(row[GROUP], row[TITLE]) for row in page["rows"]] == [
        ("wake", "payload"),
        ("wake", "the order of what both send"),
        ("start-up", "iq digest"),
        ("start-up", "iq count"),
        ("start-up", "always"),
        ("start-up", "the order of what both send"),
        ("start-up: events", "connection.update open"),
    ]


def test_scenarios_that_are_still_to_be_played(show: Show) -> None:
    _, front = opened(show)
    page = front.ask("scenario", "rows", name="")
    assert [(row[TITLE], row[NOTE]) for row in page["rows"]] == [("send-album", "waton makes no albums")]


def test_a_scenario_waton_does_not_get_through_says_so_first(show: Show) -> None:
    failed = wire("scenario", "login", Outcome.MISSING, theirs="wake", note="waton does not get through: deaf")
    payload = wire("stanza", "login/wake/payload", Outcome.MISSING, theirs="<payload/>")
    _, front = opened(show, Report((payload, failed), {}))
    rows = front.ask("scenario", "rows", name="login")["rows"]
    assert [row[TITLE] for row in rows] == ["the scenario as a whole", "payload"]


def test_lists_leave_the_two_sides_out(show: Show) -> None:
    _, front = opened(show)
    for page in (
        front.ask("cell", "rows", domain="", evidence=""),
        front.ask("scenario", "rows", name="login"),
        front.ask("hello", "overview"),
    ):
        assert "whatsapp.net" not in json.dumps(page)


# --- one row ---------------------------------------------------------------------------------------------------------


def test_a_row_with_both_sides_and_reasons(show: Show) -> None:
    _, front = opened(show)
    page = front.ask("row", "row", key="wire/stanza/login/start-up/iq count")
    assert page["row"][GROUP] == "login › start-up"
    assert page["sentence"] == "Both do this, and differ in 3 places."
    assert page["reasons"] == [
        {
            "outcome": "better",
            "note": "Baileys refills with five",
            "test": TEST,
            "places": [["iq/count", "50", "5"]],
        },
        {
            "outcome": "open",
            "note": "waton has no secret",
            "test": "",
            "places": [["iq/a", "", "1"], ["iq/b", "", "2"]],
        },
    ]
    assert [mark for mark, _, _ in page["lines"]] == ["", "changed", "", ""]
    assert page["reordered"] is True


def test_what_only_one_side_does(show: Show) -> None:
    _, front = opened(show)
    page = front.ask("row", "row", key="wire/stanza/login/start-up/iq digest")
    assert page["sentence"] == "Only Baileys does this."
    assert page["reasons"] == [{"outcome": "missing", "note": "no check", "test": "", "places": []}]
    assert page["lines"] == [("", None, "<iq/>")]
    better = front.ask("row", "row", key="wire/stanza/logout/away/iq remove")
    assert (better["reasons"][0]["note"], better["reasons"][0]["test"]) == ("said twice", TEST)


def test_what_a_row_says_beyond_its_fields_is_shown_too(show: Show) -> None:
    field = Field("value", "1", "2", Outcome.OPEN, "rounds otherwise")
    row = Row(Domain.MEDIA, Evidence.FUNCTION, "function", "f", Outcome.OPEN, "a:f", "b:f", "input: 7", "", (field,))
    _, front = opened(show, Report((row,), {}))
    reasons = front.ask("row", "row", key="function/function/f")["reasons"]
    assert [reason["note"] for reason in reasons] == ["input: 7", "rounds otherwise"]


def test_names_of_two_things_are_not_compared_by_line(show: Show) -> None:
    _, front = opened(show)
    page = front.ask("row", "row", key="scan/event/chats.update")
    assert (page["lines"], page["reordered"]) == ([("", "events:ChatsUpdate", "x:y")], False)


@pytest.mark.parametrize(
    ("evidence", "outcome", "ours", "theirs", "fields", "expected"),
    [
        ("wire", "equal", "a", "a", 0, "Both are equal."),
        ("wire", "better", "", "a", 0, "Only Baileys does this."),
        ("wire", "differs", "a", "", 0, "Only waton does this."),
        ("wire", "open", "a", "b", 1, "Both do this, and differ in one place."),
        ("scan", "equal", "a", "b", 0, "Both have this."),
        ("scan", "equal", "a", "", 0, "Waton has this."),
        ("scan", "missing", "a", "", 0, "Waton has no counterpart yet."),
        ("scan", "missing", "", "b", 0, "Only Baileys has this."),
        ("scan", "open", "a", "b", 0, "Both have this, and differ."),
        ("function", "left_out", "", "b", 0, "This is not compared."),
    ],
)
def test_a_row_in_a_sentence(evidence: str, outcome: str, ours: str, theirs: str, fields: int, expected: str) -> None:
    places = tuple(Field(str(place), "a", "b") for place in range(fields))
    row = Row(Domain.MEDIA, Evidence(evidence), "kind", "a/b/c", Outcome(outcome), ours, theirs, fields=places)
    assert sentence(row) == expected


def test_a_scenario_nobody_has_played() -> None:
    assert sentence(wire("scenario", "later", Outcome.MISSING)) == "This scenario is not played yet."


# --- side by side ----------------------------------------------------------------------------------------------------


def test_the_order_of_attributes_is_no_difference() -> None:
    assert side_by_side('<a x="1" y="2"/>', '<a y="2" x="1"/>') == [("", '<a x="1" y="2"/>', '<a y="2" x="1"/>')]
    assert side_by_side('<a x="1" y="2"/>', '<a y="1" x="2"/>')[0][0] == "changed"


def test_lines_that_one_side_lacks_leave_a_gap() -> None:
    ours, theirs = "<m>\n  <text>a</text>\n</m>", "<m>\n  <text>b</text>\n  <secret/>\n</m>"
    assert side_by_side(ours, theirs) == [
        ("", "<m>", "<m>"),
        ("changed", "  <text>a</text>", "  <text>b</text>"),
        ("theirs", None, "  <secret/>"),
        ("", "</m>", "</m>"),
    ]
    assert [mark for mark, _, _ in side_by_side(theirs, ours)] == ["", "changed", "ours", ""]


def test_what_stands_alone_is_not_marked() -> None:
    assert side_by_side("<a/>", "") == [("", "<a/>", None)]
    assert side_by_side("", "") == []


TEXT = st.lists(st.sampled_from(["<a>", '<b x="1"/>', '<b x="2"/>', "  c", "</a>"])).map("\n".join)


@given(TEXT, TEXT)
def test_no_line_is_lost_and_none_made_up(ours: str, theirs: str) -> None:
    lines = side_by_side(ours, theirs)
    assert [line for _, line, _ in lines if line is not None] == ours.splitlines()
    assert [line for _, _, line in lines if line is not None] == theirs.splitlines()
    if ours and theirs:
        assert all((left == right) == (mark == "") for mark, left, right in lines)


# --- opening from Python ---------------------------------------------------------------------------------------------


def test_show_opens_a_row_in_every_view_and_in_later_ones(show: Show) -> None:
    widget, front = opened(show)
    key = "wire/stanza/login/start-up/iq digest"
    widget.show(key)
    listed = front.next("rows")
    assert (listed["choice"], listed.get("view")) == ("scenario:login", None)
    assert front.next("row")["row"][KEY] == key
    front.say("hello", view="late")
    assert [front.next(kind)["view"] for kind in ("overview", "rows", "row")] == ["late"] * 3


def test_show_leads_to_where_the_row_is_listed(show: Show) -> None:
    widget, front = opened(show)
    widget.show("scan/method/star")
    assert front.next("rows")["choice"] == "chats/scan"
    widget.show("wire/scenario/send-album")
    assert front.next("rows")["choice"] == "scenario:"


def test_a_widget_that_begins_with_a_scenario(show: Show) -> None:
    _, front = show(lambda: ParityWidget(REPORT, scenario="login"))
    assert front.ask("hello", "rows")["choice"] == "scenario:login"


def test_what_there_is_not(show: Show) -> None:
    with pytest.raises(ParityError, match="no scenario dance; there are login, logout"):
        ParityWidget(REPORT, scenario="dance")
    widget, front = opened(show)
    with pytest.raises(ParityError, match="no row wire/x/y"):
        widget.show("wire/x/y")
    assert "no domain nowhere" in front.ask("cell", "error", domain="nowhere", evidence="wire")["text"]
    assert "no row" in front.ask("row", "error", key="a/b/c")["text"]


def test_an_empty_report(show: Show) -> None:
    widget, front = opened(show, Report((), {}))
    page = front.ask("hello", "overview")
    assert (page["total"], page["scenarios"], page["unplayed"], page["baileys"]) == (0, [], 0, "")
    assert front.ask("cell", "rows", domain="", evidence="")["rows"] == []
    assert repr(widget) == "<Parity: 0 rows; domains 20 missing; the map is live in a notebook>"


# --- what holds for every widget -------------------------------------------------------------------------------------


def test_without_a_browser(show: Show) -> None:
    widget, _ = opened(show)
    assert repr(widget) == "<Parity: 13 rows; domains 18 missing, 2 partial; the map is live in a notebook>"


def test_no_state_of_its_own_and_nothing_fetched(show: Show) -> None:
    widget, _ = opened(show)
    state = widget.get_state()
    assert set(state) - set(ipywidgets.DOMWidget().get_state()) == {"_esm", "_css", "_anywidget_id"}
    assert len(state["_esm"].encode()) <= 60 * 1024
    front_end = state["_esm"] + state["_css"]
    assert not re.search(r"\bimport\b|\bfetch\(|XMLHttpRequest|innerHTML|eval\(|url\(", front_end)


def test_nothing_of_ipywidgets_is_overridden_by_accident(show: Show) -> None:
    widget, _ = opened(show)
    theirs = set(dir(anywidget.AnyWidget))
    ours = {name for name in vars(ParityWidget) if not name.startswith("__")} - set(vars(LiveWidget))
    made_by_traitlets = {name for name in ours if re.search(r"trait|descriptor|instance_init|initial_value", name)}
    assert (ours & theirs) - made_by_traitlets == set()
    assert not {"_pages", "_first"} & theirs
    assert {"_pages", "_first"} <= set(vars(widget))
